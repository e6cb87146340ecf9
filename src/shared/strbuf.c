/* Growable buffer with a bound, and the JSON string writer that all answers use. */
#include "hale/hale.h"

#include "hale/strbuf.h"

#include <stdarg.h>

#include "hale/arena.h"

void
strbuf_init(struct strbuf *b, size_t max)
{
	*b = (struct strbuf){.max = max ? max : STRBUF_DEFAULT_MAX};
}

void
strbuf_release(struct strbuf *b)
{
	size_t max = b->max;

	free(b->data);
	strbuf_init(b, max);
}

void
strbuf_clear(struct strbuf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->data)
		b->data[0] = '\0';
}

/* Room for `more` bytes and a NUL; returns how many of them are allowed. */
static size_t
strbuf_reserve(struct strbuf *b, size_t more)
{
	if (more > b->max - b->len) {
		b->overflow = true;
		more = b->max - b->len;
	}
	if (b->len + more + 1 > b->cap) {
		size_t cap = b->cap ? b->cap : 128;

		while (cap < b->len + more + 1)
			cap *= 2;
		if (cap - 1 > b->max)
			cap = b->max + 1;
		b->data = xrealloc(b->data, cap);
		b->cap = cap;
	}
	return more;
}

void
strbuf_add(struct strbuf *b, const void *data, size_t len)
{
	size_t n;

	if (b->overflow)
		return;
	n = len < b->cap - b->len ? len : strbuf_reserve(b, len); /* cap - 1 is within max */
	if (n)
		memcpy(b->data + b->len, data, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void
strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void
strbuf_putc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void
strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	char small[256], *text = small;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	HALE_ASSERT(n >= 0);
	if ((size_t)n >= sizeof(small)) {
		text = xmalloc((size_t)n + 1);
		va_start(ap, fmt);
		vsnprintf(text, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	strbuf_add(b, text, (size_t)n);
	if (text != small)
		free(text);
}

void
strbuf_drop(struct strbuf *b, size_t n)
{
	HALE_ASSERT(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

const char *
strbuf_str(const struct strbuf *b)
{
	return b->data ? b->data : "";
}

char *
strbuf_take(struct strbuf *b)
{
	char *p = b->data ? b->data : xstrdup("");

	strbuf_init(b, b->max);
	return p;
}

/* Length of the valid UTF-8 sequence at s (no overlong forms, no surrogates, up to U+10FFFF), 0 if invalid. */
static size_t
strbuf_utf8_len(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* Bytes at the beginning of s that stand for themselves in a JSON string: printable ASCII but quote and backslash.
 * Eight at a time: the top bit of a byte of `odd` says that the byte is not one of them. */
static size_t
strbuf_plain_len(const unsigned char *s, size_t len)
{
	const uint64_t ones = 0x0101010101010101ULL, tops = ones << 7;
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		uint64_t w, odd;

		memcpy(&w, s + i, 8);
		odd = w | (w - ones * 0x20) | ((w ^ ones * '"') - ones) | ((w ^ ones * '\\') - ones);
		if (odd & tops)
			break;
	}
	while (i < len && s[i] >= 0x20 && s[i] < 0x80 && s[i] != '"' && s[i] != '\\')
		i++;
	return i;
}

void
strbuf_json_stringn(struct strbuf *b, const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t run = 0, i = strbuf_plain_len(p, len);

	strbuf_putc(b, '"');
	while (i < len) {
		unsigned char c = p[i];
		size_t n = strbuf_utf8_len(p + i, len - i);

		if (n && c != '"' && c != '\\' && c >= 0x20) {
			i += n;
			i += strbuf_plain_len(p + i, len - i);
			continue;
		}
		strbuf_add(b, s + run, i - run);
		if (n == 0)
			strbuf_puts(b, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			strbuf_printf(b, "\\%c", c);
		else if (c == '\n')
			strbuf_puts(b, "\\n");
		else if (c == '\t')
			strbuf_puts(b, "\\t");
		else
			strbuf_printf(b, "\\u%04x", c);
		run = ++i;
	}
	strbuf_add(b, s + run, len - run);
	strbuf_putc(b, '"');
}

void
strbuf_json_string(struct strbuf *b, const char *s)
{
	if (s)
		strbuf_json_stringn(b, s, strlen(s));
	else
		strbuf_puts(b, "null");
}

/* String tokens that json_scan() found: what they say, and putting another one in their place. */
#include "hale/hale.h"

#include "hale/json_scan.h"

#include <sys/uio.h>

#include "hale/err.h"
#include "json_hex.h"

static size_t
json_text_put(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

/* At the backslash; returns bytes taken, 0 when the escape is bad. A pair of surrogates is one escape. */
static size_t
json_text_escape(const unsigned char *p, const unsigned char *end, uint32_t *cp)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	int v, low;

	if (end - p < 2)
		return 0;
	if (p[1] != 'u') {
		at = p[1] ? strchr(from, p[1]) : NULL;
		*cp = at ? (uint32_t)to[at - from] : 0;
		return at ? 2 : 0;
	}
	v = json_hex4(p + 2, end);
	if (v <= 0 || (v >= 0xdc00 && v <= 0xdfff))
		return 0;
	*cp = (uint32_t)v;
	if (v < 0xd800 || v > 0xdbff)
		return 6;
	low = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? json_hex4(p + 8, end) : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*cp = 0x10000 + (((uint32_t)v - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
	return 12;
}

int
json_unescape(const char *token, size_t len, char *buf, size_t size)
{
	const unsigned char *p = (const unsigned char *)token, *end = p + len;
	size_t used = 0;
	bool fits = size > 0;

	if (len < 2 || token[0] != '"' || token[len - 1] != '"')
		return HALE_EINVAL;
	p++;
	end--;
	/* Goes to the end even when the buffer is full: a bad escape is always reported as one. */
	while (p < end) {
		char utf8[4];
		uint32_t cp = *p;
		size_t n = 1, taken = 1;

		utf8[0] = (char)*p;
		if (*p == '\\') {
			taken = json_text_escape(p, end, &cp);
			if (taken == 0)
				return HALE_EINVAL;
			n = json_text_put(cp, utf8);
		} else if (*p == '"' || *p < 0x20) {
			return HALE_EINVAL;
		}
		fits = fits && n < size - used;
		if (fits) {
			memcpy(buf + used, utf8, n);
			used += n;
		}
		p += taken;
	}
	if (!fits)
		return HALE_ERANGE;
	buf[used] = '\0';
	return 0;
}

int
json_splice(const char *text, size_t len, const struct json_scan *scan, const char *token, size_t token_len,
            struct iovec *iov)
{
	size_t tail = scan->model.start + scan->model.len;

	if (!scan->model.len)
		return HALE_ENOENT;
	/* iovec has no const; nobody writes through it. */
	iov[0] = (struct iovec){(void *)(uintptr_t)text, scan->model.start};
	iov[1] = (struct iovec){(void *)(uintptr_t)token, token_len};
	iov[2] = (struct iovec){(void *)(uintptr_t)(text + tail), len - tail};
	return 0;
}

/* Strict parser for HTTP/1.x answers.
 *
 * A kept connection is only as safe as the agreement about where an answer ends, so everything that two
 * readers could understand differently is refused: folded lines, blanks before the colon, unknown
 * transfer codings, lengths that differ. Line ends may be bare LF, as every client accepts. An answer
 * with both a length and chunks, or with either in HTTP/1.0 form, is read as chunks and its connection
 * is not used again.
 */
#include "hale/hale.h"

#include "upstream_http.h"

#include <strings.h>

#include "hale/http_list.h"

#define UPSTREAM_HTTP_INTERIM_MAX 64
#define UPSTREAM_HTTP_SIZE_LINE_MAX 1024
#define UPSTREAM_HTTP_SIZE_DIGITS_MAX 15

void
upstream_http_start(struct upstream_http *p, bool to_head)
{
	p->state = UPSTREAM_HTTP_IN_HEAD;
	p->to_head = to_head;
	p->upgrade = false;
	p->line = p->scanned = 0;
	p->interim = 0;
	p->status = 0;
	p->nheader = 0;
	p->text = NULL;
}

static enum upstream_http_event
upstream_http_bad(struct upstream_http *p, const char *text)
{
	p->state = UPSTREAM_HTTP_FAILED;
	p->text = text;
	return UPSTREAM_HTTP_BAD;
}

/* ---- head ---- */

/* Bytes that may be in a field name (RFC 9110 token). */
static const bool upstream_http_token[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,
	['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

bool
upstream_http_is_token(const char *name)
{
	const char *p = name;

	while (upstream_http_token[(unsigned char)*p])
		p++;
	return p > name && *p == '\0';
}

/* No control bytes but TAB. */
static bool
upstream_http_text_ok(const char *s, const char *end)
{
	for (; s < end; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* "HTTP/1.1 200[ reason]" */
static bool
upstream_http_status(struct upstream_http *p, const char *s, const char *end)
{
	size_t n = (size_t)(end - s);

	if (n < 12 || memcmp(s, "HTTP/1.", 7) != 0 || s[7] < '0' || s[7] > '9' || s[8] != ' ')
		return false;
	for (int i = 9; i < 12; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	if ((n > 12 && s[12] != ' ') || !upstream_http_text_ok(s, end))
		return false;
	p->status = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
	p->keep_alive = s[7] != '0';
	p->chunked = p->has_length = false;
	p->left = 0;
	return p->status >= 100;
}

static const char *
upstream_http_length(struct upstream_http *p, const char *value)
{
	uint64_t n = 0;
	size_t digits = strspn(value, "0123456789");

	if (digits == 0 || digits > 18 || value[digits] != '\0')
		return "bad Content-Length in the answer";
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (uint64_t)(value[i] - '0');
	if (p->has_length && p->left != n)
		return "the answer has two different lengths";
	p->has_length = true;
	p->left = n;
	return NULL;
}

/* The headers that say where the answer ends. */
static const char *
upstream_http_framing(struct upstream_http *p, const char *name, size_t len, const char *value)
{
	if (len == 14 && strcasecmp(name, "Content-Length") == 0)
		return upstream_http_length(p, value);
	if (len == 17 && strcasecmp(name, "Transfer-Encoding") == 0) {
		if (p->chunked || strcasecmp(value, "chunked") != 0)
			return "unknown transfer coding in the answer";
		p->chunked = true;
	} else if (len == 10 && strcasecmp(name, "Connection") == 0) {
		if (http_list_has(value, "close"))
			p->keep_alive = false;
	}
	return NULL;
}

/* One header line [s, end), end being writable. NULL or what is wrong. */
static const char *
upstream_http_header(struct upstream_http *p, char *s, char *end)
{
	char *colon = s, *value;

	while (colon < end && upstream_http_token[(unsigned char)*colon])
		colon++;
	if (colon == s || colon == end || *colon != ':')
		return "malformed header in the answer";
	if (p->nheader >= UPSTREAM_HEAD_COUNT_MAX)
		return "the headers of the answer are too large";
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (!upstream_http_text_ok(value, end))
		return "malformed header in the answer";
	*colon = *end = '\0';
	p->header[p->nheader++] = (struct http_header){s, value};
	return upstream_http_framing(p, s, (size_t)(colon - s), value);
}

/* How the body is delimited (RFC 9112 section 6.3). */
static void
upstream_http_choose_body(struct upstream_http *p)
{
	if (p->to_head || p->status == 204 || p->status == 304) {
		p->state = UPSTREAM_HTTP_AT_END;
	} else if (p->chunked) {
		p->keep_alive &= !p->has_length;
		p->state = UPSTREAM_HTTP_IN_SIZE;
		p->left = p->digits = p->framing = 0;
	} else if (p->has_length) {
		p->state = p->left ? UPSTREAM_HTTP_IN_LENGTH : UPSTREAM_HTTP_AT_END;
	} else {
		p->keep_alive = false;
		p->state = UPSTREAM_HTTP_TO_END;
	}
}

/* A complete head of len bytes, the empty line included. */
static enum upstream_http_event
upstream_http_parse_head(struct upstream_http *p, char *data, size_t len)
{
	char *s = data, *stop = data + len;
	const char *why;

	p->nheader = 0;
	while (s < stop) {
		char *lf = memchr(s, '\n', (size_t)(stop - s)), *end = lf;

		if (end > s && end[-1] == '\r')
			end--;
		if (s == data) {
			if (!upstream_http_status(p, s, end))
				return upstream_http_bad(p, "the answer is not valid HTTP");
		} else if (end > s) {
			why = upstream_http_header(p, s, end);
			if (why)
				return upstream_http_bad(p, why);
		}
		s = lf + 1;
	}
	if (p->status == 101 && p->upgrade) {
		p->state = UPSTREAM_HTTP_AT_END;
		return UPSTREAM_HTTP_HEAD;
	}
	if (p->status == 101)
		return upstream_http_bad(p, "unexpected change of protocol in the answer");
	if (p->status < 200)
		return ++p->interim > UPSTREAM_HTTP_INTERIM_MAX ? upstream_http_bad(p, "too many interim answers")
		                                                : UPSTREAM_HTTP_MORE;
	upstream_http_choose_body(p);
	return UPSTREAM_HTTP_HEAD;
}

/* Refuses at the first byte that cannot begin an answer, long before a line is complete. */
static bool
upstream_http_is_prefix(const char *data, size_t len)
{
	static const char want[] = "HTTP/1.";

	return len == 0 || memcmp(data, want, len < sizeof(want) - 1 ? len : sizeof(want) - 1) == 0;
}

/* Length of the head, its empty line included; 0: not complete yet. Looks at every byte once. */
static size_t
upstream_http_head_end(struct upstream_http *p, const char *data, size_t len)
{
	const char *lf;

	while ((lf = memchr(data + p->scanned, '\n', len - p->scanned))) {
		size_t at = (size_t)(lf - data), line = at - p->line;

		p->line = p->scanned = (uint32_t)at + 1;
		if (line == 0 || (line == 1 && lf[-1] == '\r')) {
			p->line = p->scanned = 0;
			return at + 1;
		}
	}
	p->scanned = (uint32_t)len;
	return 0;
}

static enum upstream_http_event
upstream_http_feed_head(struct upstream_http *p, char *data, size_t len, size_t *used)
{
	for (;;) {
		char *head = data + *used;
		size_t left = len - *used, n;
		enum upstream_http_event e;

		if (!upstream_http_is_prefix(head, left))
			return upstream_http_bad(p, "the answer is not valid HTTP");
		n = upstream_http_head_end(p, head, left);
		if ((n ? n : left) > UPSTREAM_HEAD_BYTES_MAX)
			return upstream_http_bad(p, "the headers of the answer are too large");
		if (n == 0)
			return UPSTREAM_HTTP_MORE;
		*used += n;
		e = upstream_http_parse_head(p, head, n);
		if (e != UPSTREAM_HTTP_MORE) /* else an interim answer: the next one may be here already */
			return e;
	}
}

/* ---- chunks ---- */

static int
upstream_http_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The size line is complete. */
static void
upstream_http_size_end(struct upstream_http *p)
{
	p->state = p->left ? UPSTREAM_HTTP_IN_CHUNK : UPSTREAM_HTTP_IN_TRAILER;
	p->framing = p->line = 0;
}

/* One byte between chunks. NULL or what is wrong. */
static const char *
upstream_http_frame_byte(struct upstream_http *p, char c)
{
	static const char bad[] = "malformed chunk in the answer";
	int hex;

	switch (p->state) {
	case UPSTREAM_HTTP_IN_SIZE:
		hex = upstream_http_hex(c);
		if (hex >= 0) {
			p->left = p->left << 4 | (uint64_t)hex;
			return ++p->digits > UPSTREAM_HTTP_SIZE_DIGITS_MAX ? bad : NULL;
		}
		if (p->digits == 0 || (c != '\n' && c != '\r' && c != ';' && c != ' ' && c != '\t'))
			return bad;
		p->state = UPSTREAM_HTTP_IN_EXTENSION;
		/* fall through */
	case UPSTREAM_HTTP_IN_EXTENSION:
		if (c == '\n')
			upstream_http_size_end(p);
		return ++p->framing > UPSTREAM_HTTP_SIZE_LINE_MAX ? bad : NULL;
	case UPSTREAM_HTTP_CHUNK_CR:
		if (c == '\r') {
			p->state = UPSTREAM_HTTP_CHUNK_LF;
			return NULL;
		}
		/* fall through */
	case UPSTREAM_HTTP_CHUNK_LF:
		if (c != '\n')
			return bad;
		p->state = UPSTREAM_HTTP_IN_SIZE;
		p->left = p->digits = p->framing = 0;
		return NULL;
	default: /* trailers: lines until an empty one; line counts the bytes of the current one */
		if (++p->framing > UPSTREAM_HEAD_BYTES_MAX)
			return "the trailers of the answer are too large";
		if (c != '\n') {
			p->line += c != '\r';
			return NULL;
		}
		if (p->line == 0)
			p->state = UPSTREAM_HTTP_AT_END;
		p->line = 0;
		return NULL;
	}
}

static enum upstream_http_event
upstream_http_give(struct upstream_http *p, const char *data, size_t len, size_t *used)
{
	*used += len;
	p->body = data;
	p->body_len = len;
	return UPSTREAM_HTTP_BODY;
}

/* Chunks as far as data goes, their contents moved together: a stream's events of one read cost their
 * reader one call and its client one write, not one each. */
static enum upstream_http_event
upstream_http_feed_chunks(struct upstream_http *p, char *data, size_t len, size_t *used)
{
	const char *why = NULL;
	char *body = NULL;
	size_t body_len = 0;

	while (*used < len && p->state != UPSTREAM_HTTP_AT_END && !why) {
		size_t n = len - *used;

		if (p->state != UPSTREAM_HTTP_IN_CHUNK) {
			why = upstream_http_frame_byte(p, data[(*used)++]);
			continue;
		}
		if (n > p->left)
			n = (size_t)p->left;
		if (!body)
			body = data + *used;
		else
			memmove(body + body_len, data + *used, n);
		body_len += n;
		*used += n;
		p->left -= n;
		if (p->left == 0)
			p->state = UPSTREAM_HTTP_CHUNK_CR;
	}
	if (why)
		upstream_http_bad(p, why); /* reported after the bytes before it */
	if (body_len) {
		p->body = body;
		p->body_len = body_len;
		return UPSTREAM_HTTP_BODY;
	}
	return why ? UPSTREAM_HTTP_BAD : p->state == UPSTREAM_HTTP_AT_END ? UPSTREAM_HTTP_DONE : UPSTREAM_HTTP_MORE;
}

enum upstream_http_event
upstream_http_feed(struct upstream_http *p, char *data, size_t len, size_t *used)
{
	*used = 0;
	if (p->state == UPSTREAM_HTTP_IN_HEAD)
		return len ? upstream_http_feed_head(p, data, len, used) : UPSTREAM_HTTP_MORE;
	switch (p->state) {
	case UPSTREAM_HTTP_AT_END: return UPSTREAM_HTTP_DONE;
	case UPSTREAM_HTTP_FAILED: return UPSTREAM_HTTP_BAD;
	case UPSTREAM_HTTP_TO_END: return len ? upstream_http_give(p, data, len, used) : UPSTREAM_HTTP_MORE;
	case UPSTREAM_HTTP_IN_LENGTH:
		if (len == 0)
			return UPSTREAM_HTTP_MORE;
		if (len > p->left)
			len = (size_t)p->left;
		p->left -= len;
		if (p->left == 0)
			p->state = UPSTREAM_HTTP_AT_END;
		return upstream_http_give(p, data, len, used);
	default: return upstream_http_feed_chunks(p, data, len, used);
	}
}

bool
upstream_http_closed(const struct upstream_http *p)
{
	return p->state == UPSTREAM_HTTP_TO_END || p->state == UPSTREAM_HTTP_AT_END;
}

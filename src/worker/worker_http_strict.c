/* The checks of worker_http_strict.h.
 *
 * Why so strict: hale sits behind HAProxy or nginx and in front of other proxies. Every form that one of
 * them may read differently (a bare LF, a folded header, two lengths, a space before the colon, a sign in a
 * number) is how a request is smuggled past the other. No honest client sends any of them, so all of them
 * are refused, and the connection ends because nobody knows where the next request begins.
 */
#include "hale/hale.h"

#include "worker_http_strict.h"

#include <strings.h>

#include "hale/http_list.h"

static const struct http_fault_info http_faults[HTTP_FAULT_COUNT] = {
	[HTTP_FINE] = {200, "", ""},
	[HTTP_BAD_LINE] = {400, "bad_request_line", "The request line is malformed"},
	[HTTP_BAD_TARGET] = {400, "bad_request_target", "The request target is malformed"},
	[HTTP_BAD_VERSION] = {505, "bad_http_version", "Only HTTP/1.0 and HTTP/1.1 are spoken here"},
	[HTTP_BAD_NEWLINE] = {400, "bad_newline", "Lines of the request head must end with CR LF"},
	[HTTP_BAD_FIELD] = {400, "bad_header", "A header is malformed"},
	[HTTP_FOLDED_FIELD] = {400, "folded_header", "Headers that continue on the next line are refused"},
	[HTTP_BAD_HOST] = {400, "bad_host", "Exactly one valid Host header is required"},
	[HTTP_BAD_LENGTH] = {400, "bad_content_length", "Content-Length must be one decimal number"},
	[HTTP_BAD_CODING] = {501, "bad_transfer_encoding", "The only Transfer-Encoding is chunked, with HTTP/1.1"},
	[HTTP_LENGTH_AND_CODING] = {400, "ambiguous_length",
	                            "Content-Length and Transfer-Encoding exclude each other"},
	[HTTP_BAD_CHUNK] = {400, "bad_chunk", "The chunked request body is malformed"},
	[HTTP_HEAD_TOO_LARGE] = {431, "headers_too_large", "The request head is too large"},
	[HTTP_TOO_MANY_FIELDS] = {431, "too_many_headers", "The request has too many headers"},
	[HTTP_URI_TOO_LONG] = {414, "uri_too_long", "The request target is too long"},
	[HTTP_BODY_TOO_LARGE] = {413, "body_too_large", "The request body is too large"},
	[HTTP_METHOD_REFUSED] = {405, "method_not_allowed", "Method not allowed"},
	[HTTP_METHOD_UNKNOWN] = {501, "unknown_method", "Unknown method"},
	[HTTP_BAD_EXPECT] = {417, "bad_expect", "The only expectation that can be met is 100-continue"},
	[HTTP_HEAD_SLOW] = {408, "request_timeout", "The request head did not arrive in time"},
	[HTTP_BODY_SLOW] = {408, "request_timeout", "The request body did not arrive in time"},
	[HTTP_FULL] = {503, "too_many_connections", "Too many connections"},
};

const struct http_fault_info *
http_fault_info(enum http_fault f)
{
	return &http_faults[f];
}

static const char *const http_method_name[] = {
	[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST", [HTTP_PUT] = "PUT",
	[HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS", [HTTP_PATCH] = "PATCH",
};

/* RFC 9110 tchar. */
static bool
http_is_token(unsigned char c)
{
	static const bool token[256] = {
		['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true, ['*'] = true,
		['+'] = true, ['-'] = true, ['.'] = true, ['^'] = true, ['_'] = true, ['`'] = true, ['|'] = true,
		['~'] = true, ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
	};

	return token[c];
}

static bool
http_is_value(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static int
http_hex(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
http_strict_decode(char *s, bool plus)
{
	char *out = s;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '%') {
			int hi = http_hex((unsigned char)s[1]), lo = hi < 0 ? -1 : http_hex((unsigned char)s[2]);

			if (lo < 0)
				return false;
			c = (unsigned char)(hi << 4 | lo);
			s += 2;
			if (c == 0 || (!plus && (c < 0x20 || c == 0x7f)))
				return false;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		*out++ = (char)c;
	}
	*out = '\0';
	return true;
}

/* The escapes of a query are checked here and decoded by whoever reads it. */
static bool
http_query_ok(const char *q)
{
	for (; *q; q++) {
		if (*q != '%')
			continue;
		if (http_hex((unsigned char)q[1]) < 0 || http_hex((unsigned char)q[2]) < 0)
			return false;
		if (q[1] == '0' && q[2] == '0')
			return false;
	}
	return true;
}

enum http_fault
http_strict_scan(struct http_scan *s, const char *p, size_t len, const struct http_bounds *b, size_t *head_len)
{
	const char *nl;

	*head_len = 0;
	if (len == 0)
		return HTTP_FINE;
	if (s->pos == 0 && !http_is_token((unsigned char)p[0]))
		return HTTP_BAD_LINE; /* also a TLS hello: do not wait for a line end that never comes */
	while (s->pos < len && (nl = memchr(p + s->pos, '\n', len - s->pos)) != NULL) {
		size_t i = (size_t)(nl - p);

		if (p[i - 1] != '\r')
			return HTTP_BAD_NEWLINE;
		s->pos = i + 1;
		s->line = true;
		if (i >= 2 && p[i - 2] == '\n') {
			if (s->pos > b->head_bytes)
				return HTTP_HEAD_TOO_LARGE;
			*head_len = s->pos;
			return HTTP_FINE;
		}
	}
	s->pos = len;
	/* Room for the method, two spaces and the version. */
	if (!s->line && len > (size_t)b->uri_bytes + 40)
		return HTTP_URI_TOO_LONG;
	return len > b->head_bytes ? HTTP_HEAD_TOO_LARGE : HTTP_FINE;
}

/* http://authority/path -> where the path begins; NULL: no absolute form that we serve. */
static char *
http_skip_authority(char *t)
{
	size_t scheme = strncasecmp(t, "http://", 7) == 0 ? 7 : strncasecmp(t, "https://", 8) == 0 ? 8 : 0;
	size_t n;

	if (scheme == 0)
		return NULL;
	t += scheme;
	n = strcspn(t, "/?");
	if (n == 0 || memchr(t, '@', n))
		return NULL;
	return t + n;
}

static enum http_fault
http_parse_target(char *t, struct http_head *out)
{
	static char root[] = "/";
	char *q;

	for (const char *c = t; *c; c++)
		if (*c < 0x21 || *c > 0x7e || *c == '#')
			return HTTP_BAD_TARGET;
	if (strcmp(t, "*") == 0) {
		out->path = t;
		return out->method == HTTP_OPTIONS ? HTTP_FINE : HTTP_BAD_TARGET;
	}
	if (*t != '/' && (t = http_skip_authority(t)) == NULL)
		return HTTP_BAD_TARGET;
	q = strchr(t, '?');
	if (q) {
		*q++ = '\0';
		if (!http_query_ok(q))
			return HTTP_BAD_TARGET;
		out->query = q;
	}
	out->path = *t ? t : root;
	return http_strict_decode(t, false) ? HTTP_FINE : HTTP_BAD_TARGET;
}

static enum http_fault
http_parse_method(const char *name, struct http_head *out)
{
	for (size_t i = 0; i < HALE_COUNT(http_method_name); i++) {
		if (strcmp(name, http_method_name[i]) == 0) {
			out->method = (enum http_method)i;
			return HTTP_FINE;
		}
	}
	if (strcmp(name, "CONNECT") == 0 || strcmp(name, "TRACE") == 0)
		return HTTP_METHOD_REFUSED;
	return HTTP_METHOD_UNKNOWN;
}

/* line is NUL-terminated. */
static enum http_fault
http_parse_line(char *line, const struct http_bounds *b, struct http_head *out)
{
	char *target = line, *version;
	enum http_fault f;

	while (http_is_token((unsigned char)*target))
		target++;
	if (target == line || *target != ' ')
		return HTTP_BAD_LINE;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (!version || version == target)
		return HTTP_BAD_LINE;
	if ((size_t)(version - target) > b->uri_bytes)
		return HTTP_URI_TOO_LONG;
	*version++ = '\0';
	if (strncmp(version, "HTTP/", 5) != 0 || version[5] < '0' || version[5] > '9' || version[6] != '.' ||
	    version[7] < '0' || version[7] > '9' || version[8] != '\0')
		return HTTP_BAD_LINE;
	if (version[5] != '1' || version[7] > '1')
		return HTTP_BAD_VERSION;
	out->minor = (unsigned)(version[7] - '0');
	f = http_parse_method(line, out);
	return f != HTTP_FINE ? f : http_parse_target(target, out);
}

static bool
http_host_ok(const char *v)
{
	for (; *v; v++)
		if (!http_is_token((unsigned char)*v) && !strchr("()[],;:=", *v))
			return false;
	return true;
}

/* One decimal number without sign, list or space; too many digits is too large, not malformed. */
static enum http_fault
http_parse_length(const char *v, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (*v == '\0' || v[strspn(v, "0123456789")] != '\0')
		return HTTP_BAD_LENGTH;
	for (; *v; v++) {
		if (n > (UINT64_MAX - 9) / 10)
			return HTTP_BODY_TOO_LARGE;
		n = n * 10 + (uint64_t)(*v - '0');
	}
	*out = n;
	return n > max ? HTTP_BODY_TOO_LARGE : HTTP_FINE;
}

/* What the fields say about framing and the connection. */
struct http_seen {
	unsigned host, length, coding;
	bool keep_alive;
};

static enum http_fault
http_note_field(const struct http_field *f, const struct http_bounds *b, struct http_seen *seen, struct http_head *out)
{
	switch (f->name_len) {
	case 4:
		if (strcasecmp(f->name, "host") == 0 && (seen->host++ || !http_host_ok(f->value)))
			return HTTP_BAD_HOST;
		break;
	case 6:
		if (strcasecmp(f->name, "expect") == 0 && out->minor > 0) {
			if (strcasecmp(f->value, "100-continue") != 0)
				return HTTP_BAD_EXPECT;
			out->expect_continue = true;
		}
		break;
	case 10:
		if (strcasecmp(f->name, "connection") == 0) {
			out->close |= http_list_has(f->value, "close");
			seen->keep_alive |= http_list_has(f->value, "keep-alive");
		}
		break;
	case 14:
		if (strcasecmp(f->name, "content-length") == 0) {
			if (seen->length++)
				return HTTP_BAD_LENGTH;
			return http_parse_length(f->value, b->body_bytes, &out->length);
		}
		break;
	case 17:
		if (strcasecmp(f->name, "transfer-encoding") == 0 &&
		    (seen->coding++ || out->minor == 0 || strcasecmp(f->value, "chunked") != 0))
			return HTTP_BAD_CODING;
		break;
	}
	return HTTP_FINE;
}

/* Cuts "name: value" (line[0..len), len > 0, line[len] is the CR) into two strings. */
static enum http_fault
http_parse_field(char *line, size_t len, struct http_field *f)
{
	char *end = line + len, *v = line;

	if (*line == ' ' || *line == '\t')
		return HTTP_FOLDED_FIELD;
	while (v < end && http_is_token((unsigned char)*v))
		v++;
	if (v == line || v == end || *v != ':')
		return HTTP_BAD_FIELD;
	f->name = line;
	f->name_len = (uint32_t)(v - line);
	*v++ = '\0';
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (const char *c = v; c < end; c++)
		if (!http_is_value((unsigned char)*c))
			return *c == '\r' ? HTTP_BAD_NEWLINE : HTTP_BAD_FIELD;
	*end = '\0';
	f->value = v;
	return HTTP_FINE;
}

static enum http_fault
http_settle_framing(const struct http_seen *seen, struct http_head *out)
{
	if (seen->host > 1 || (seen->host == 0 && out->minor > 0))
		return HTTP_BAD_HOST;
	if (seen->length && seen->coding)
		return HTTP_LENGTH_AND_CODING;
	out->framing = seen->coding ? HTTP_CHUNKED : out->length ? HTTP_SIZED : HTTP_NO_BODY;
	if (out->minor == 0 && !seen->keep_alive)
		out->close = true;
	return HTTP_FINE;
}

enum http_fault
http_strict_parse(char *text, size_t len, const struct http_bounds *b, struct http_head *out)
{
	struct http_field *field = out->field;
	struct http_seen seen = {0};
	enum http_fault f, late = HTTP_FINE;
	char *end = text + len, *nl = memchr(text, '\n', len);

	*out = (struct http_head){.field = field};
	HALE_ASSERT(nl && nl > text && len >= 4);
	nl[-1] = '\0';
	if (memchr(text, '\0', (size_t)(nl - 1 - text)) || memchr(text, '\r', (size_t)(nl - 1 - text)))
		return HTTP_BAD_LINE;
	f = http_parse_line(text, b, out);
	for (char *line = nl + 1; f == HTTP_FINE && line + 2 < end; line = nl + 1) {
		nl = memchr(line, '\n', (size_t)(end - line));
		HALE_ASSERT(nl && nl > line);
		if (out->nfield == b->fields)
			return HTTP_TOO_MANY_FIELDS;
		f = http_parse_field(line, (size_t)(nl - 1 - line), &field[out->nfield]);
		if (f == HTTP_FINE)
			f = http_note_field(&field[out->nfield++], b, &seen, out);
		/* A large body is no reason to overlook that the framing is ambiguous as well. */
		if (f == HTTP_BODY_TOO_LARGE) {
			late = f;
			f = HTTP_FINE;
		}
	}
	if (f == HTTP_FINE)
		f = http_settle_framing(&seen, out);
	return f != HTTP_FINE ? f : late;
}

const char *
http_strict_field(const struct http_head *h, const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < h->nfield; i++)
		if (h->field[i].name_len == n && strcasecmp(h->field[i].name, name) == 0)
			return h->field[i].value;
	return NULL;
}

enum { CHUNK_SIZE, CHUNK_EXT, CHUNK_SIZE_LF, CHUNK_DATA, CHUNK_CR, CHUNK_LF, TRAILER_START, TRAILER_NAME, TRAILER_VALUE,
       TRAILER_LF, LAST_LF };

/* The size line: hexadecimal digits, then perhaps extensions that are checked and ignored. */
static bool
http_chunk_size(struct http_chunked *c, unsigned char b)
{
	int digit = http_hex(b);

	if (++c->line > HTTP_CHUNK_LINE_MAX)
		return false;
	if (c->state == CHUNK_SIZE && digit >= 0) {
		if (c->left >> 56)
			return false;
		c->left = c->left << 4 | (uint64_t)digit;
		return true;
	}
	if (c->line == 1)
		return false; /* no digit at all */
	if (b == '\r') {
		c->state = CHUNK_SIZE_LF;
		return true;
	}
	if (c->state == CHUNK_SIZE && b != ';')
		return false;
	c->state = CHUNK_EXT;
	return http_is_value(b) && ++c->extra <= HTTP_CHUNK_EXTRA_MAX;
}

static bool
http_chunk_trailer(struct http_chunked *c, unsigned char b)
{
	if (++c->extra > HTTP_CHUNK_EXTRA_MAX)
		return false;
	switch (c->state) {
	case TRAILER_START:
		c->state = b == '\r' ? LAST_LF : TRAILER_NAME;
		return b == '\r' || http_is_token(b);
	case TRAILER_NAME:
		if (b == ':')
			c->state = TRAILER_VALUE;
		return b == ':' || http_is_token(b);
	case TRAILER_VALUE:
		if (b == '\r')
			c->state = TRAILER_LF;
		return b == '\r' || http_is_value(b);
	default: /* TRAILER_LF */
		c->state = TRAILER_START;
		return b == '\n';
	}
}

static bool
http_chunk_byte(struct http_chunked *c, unsigned char b, bool *done)
{
	switch (c->state) {
	case CHUNK_SIZE:
	case CHUNK_EXT:
		return http_chunk_size(c, b);
	case CHUNK_SIZE_LF:
		c->line = 0;
		c->state = c->left ? CHUNK_DATA : TRAILER_START;
		return b == '\n';
	case CHUNK_CR:
		c->state = CHUNK_LF;
		return b == '\r';
	case CHUNK_LF:
		c->state = CHUNK_SIZE;
		return b == '\n';
	case LAST_LF:
		*done = true;
		return b == '\n';
	default:
		return http_chunk_trailer(c, b);
	}
}

enum http_fault
http_strict_chunked(struct http_chunked *c, const char *p, size_t len, struct http_piece *out)
{
	size_t i = 0;

	*out = (struct http_piece){0};
	while (i < len && !out->done) {
		if (c->state == CHUNK_DATA) {
			out->data = p + i;
			out->len = len - i < c->left ? len - i : (size_t)c->left;
			c->left -= out->len;
			i += out->len;
			if (c->left == 0)
				c->state = CHUNK_CR;
			break;
		}
		if (!http_chunk_byte(c, (unsigned char)p[i++], &out->done))
			return HTTP_BAD_CHUNK;
	}
	out->consumed = i;
	return HTTP_FINE;
}

/* HTTP/1.1 requests, parsed in place.
 *
 * Strict where a gateway in front could be at fault: conflicting framing, a missing Host, broken chunks
 * and bare LF are refused, so that a test against the simulator sees them. Nothing is kept between calls: the
 * caller asks again when more bytes have come.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <strings.h>

bool
llmsim_span_starts(struct llmsim_span s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.len >= n && memcmp(s.p, prefix, n) == 0;
}

bool
llmsim_span_is(struct llmsim_span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

const char *
llmsim_http_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reason[] = {
		{200, "OK"}, {201, "Created"}, {204, "No Content"}, {301, "Moved Permanently"},
		{302, "Found"}, {307, "Temporary Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
		{402, "Payment Required"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {408, "Request Timeout"}, {409, "Conflict"},
		{413, "Content Too Large"}, {422, "Unprocessable Content"}, {429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
		{501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
		{504, "Gateway Timeout"}, {529, "Overloaded"},
	};

	for (size_t i = 0; i < HALE_COUNT(reason); i++)
		if (reason[i].status == status)
			return reason[i].text;
	return "Simulated";
}

static bool
llmsim_http_name_is(struct llmsim_span name, const char *lower)
{
	return name.len == strlen(lower) && strncasecmp(name.p, lower, name.len) == 0;
}

bool
llmsim_http_next(const struct llmsim_request *r, size_t *at, struct llmsim_span *name,
                 struct llmsim_span *value)
{
	const char *p = r->headers.p + *at, *end = r->headers.p + r->headers.len, *eol, *colon;

	if (p >= end)
		return false;
	eol = memchr(p, '\r', (size_t)(end - p));
	if (!eol)
		return false;
	colon = memchr(p, ':', (size_t)(eol - p));
	if (!colon)
		return false;
	*name = (struct llmsim_span){p, (size_t)(colon - p)};
	*at = (size_t)(eol + 2 - r->headers.p);
	for (colon++; colon < eol && (*colon == ' ' || *colon == '\t'); colon++)
		continue;
	while (eol > colon && (eol[-1] == ' ' || eol[-1] == '\t'))
		eol--;
	*value = (struct llmsim_span){colon, (size_t)(eol - colon)};
	return true;
}

struct llmsim_span
llmsim_http_header(const struct llmsim_request *r, const char *lower_name)
{
	struct llmsim_span name, value;
	size_t at = 0;

	while (llmsim_http_next(r, &at, &name, &value))
		if (llmsim_http_name_is(name, lower_name))
			return value;
	return (struct llmsim_span){NULL, 0};
}

/* "METHOD target HTTP/1.x" */
static bool
llmsim_http_line(struct llmsim_span line, struct llmsim_request *r)
{
	const char *sp = memchr(line.p, ' ', line.len), *end = line.p + line.len, *target, *question;

	if (!sp || sp == line.p || line.len < 12)
		return false;
	r->method = (struct llmsim_span){line.p, (size_t)(sp - line.p)};
	for (const char *p = line.p; p < sp; p++)
		if (*p < 'A' || *p > 'Z')
			return false;
	target = sp + 1;
	if (target > end - 10 || *target != '/' || memcmp(end - 9, " HTTP/1.", 8) != 0 ||
	    (end[-1] != '0' && end[-1] != '1'))
		return false;
	r->http10 = end[-1] == '0';
	r->target = (struct llmsim_span){target, (size_t)(end - 9 - target)};
	for (const char *p = target; p < end - 9; p++)
		if ((unsigned char)*p <= 0x20 || *p == 0x7f)
			return false;
	question = memchr(target, '?', r->target.len);
	r->path = (struct llmsim_span){target, question ? (size_t)(question - target) : r->target.len};
	if (question)
		r->query = (struct llmsim_span){question + 1, r->target.len - r->path.len - 1};
	return true;
}

static bool
llmsim_http_number(struct llmsim_span s, int64_t *out)
{
	int64_t n = 0;

	if (s.len == 0 || s.len > 15)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		n = n * 10 + (s.p[i] - '0');
	}
	*out = n;
	return true;
}

/* What one header means for the request; the length of the name picks the few that matter. false: refuse. */
static bool
llmsim_http_field(struct llmsim_request *r, struct llmsim_span name, struct llmsim_span value, bool *host)
{
	int64_t n;

	switch (name.len) {
	case 4: *host = *host || llmsim_http_name_is(name, "host"); break;
	case 6:
		if (llmsim_http_name_is(name, "expect"))
			r->expect_continue = llmsim_http_name_is(value, "100-continue");
		break;
	case 7:
		if (llmsim_http_name_is(name, "api-key"))
			r->key = value;
		break;
	case 9:
		if (llmsim_http_name_is(name, "x-api-key"))
			r->key = value;
		break;
	case 10:
		if (!llmsim_http_name_is(name, "connection"))
			break;
		if (llmsim_http_name_is(value, "close"))
			r->keep_alive = false;
		else if (llmsim_http_name_is(value, "keep-alive"))
			r->keep_alive = true;
		break;
	case 13:
		if (llmsim_http_name_is(name, "authorization") && value.len > 7 &&
		    strncasecmp(value.p, "bearer ", 7) == 0)
			r->key = (struct llmsim_span){value.p + 7, value.len - 7};
		break;
	case 14:
		if (llmsim_http_name_is(name, "x-goog-api-key"))
			r->key = value;
		if (!llmsim_http_name_is(name, "content-length"))
			break;
		if (!llmsim_http_number(value, &n) || (r->content_length >= 0 && r->content_length != n))
			return false;
		r->content_length = n;
		break;
	case 17:
		if (llmsim_http_name_is(name, "anthropic-version"))
			r->version = value;
		if (!llmsim_http_name_is(name, "transfer-encoding"))
			break;
		if (!llmsim_http_name_is(value, "chunked") || r->chunked)
			return false;
		r->chunked = true;
		break;
	}
	return true;
}

/* Head of `len` bytes, empty line included. */
static bool
llmsim_http_head(const char *p, size_t len, struct llmsim_request *r)
{
	const char *eol = memchr(p, '\r', len);
	struct llmsim_span name, value;
	unsigned count = 0;
	bool host = false;
	size_t at = 0;

	if (!eol || eol[1] != '\n' || !llmsim_http_line((struct llmsim_span){p, (size_t)(eol - p)}, r))
		return false;
	r->keep_alive = !r->http10;
	r->headers = (struct llmsim_span){eol + 2, len - (size_t)(eol + 2 - p) - 2};
	while (llmsim_http_next(r, &at, &name, &value)) {
		const char *last = name.p + name.len - 1;

		if (name.len == 0 || *last == ' ' || *last == '\t' || *name.p == ' ' || *name.p == '\t')
			return false;
		if (memchr(name.p, '\n', name.len) || memchr(value.p, '\n', value.len) ||
		    memchr(value.p, '\0', value.len))
			return false;
		if (r->headers.p[at - 1] != '\n' || ++count > LLMSIM_HEADERS_MAX)
			return false;
		if (!llmsim_http_field(r, name, value, &host))
			return false;
	}
	if (at != r->headers.len || (r->chunked && r->content_length >= 0))
		return false;
	return host || r->http10;
}

static int
llmsim_http_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Size line of a chunk at *at; on DONE *at is behind it. */
static enum llmsim_parse
llmsim_http_chunk_size(const char *p, size_t len, size_t *at, size_t *size)
{
	const char *eol = memchr(p + *at, '\n', len - *at);
	size_t n = 0, i = *at;

	if (!eol)
		return len - *at > 256 ? LLMSIM_BAD : LLMSIM_MORE;
	if (eol == p + *at || eol[-1] != '\r' || llmsim_http_hex(p[i]) < 0)
		return LLMSIM_BAD;
	for (; llmsim_http_hex(p[i]) >= 0; i++) {
		if (n > LLMSIM_BODY_MAX)
			return LLMSIM_BAD;
		n = n * 16 + (size_t)llmsim_http_hex(p[i]);
	}
	if (p[i] != '\r' && p[i] != ';')
		return LLMSIM_BAD;
	*size = n;
	*at = (size_t)(eol + 1 - p);
	return LLMSIM_DONE;
}

/* Walks the chunks from `at`; with store set it also copies them. *end is behind the last trailer. */
static enum llmsim_parse
llmsim_http_chunks(const char *p, size_t len, size_t at, struct strbuf *store, size_t *end)
{
	size_t size, sum = 0;
	enum llmsim_parse e;

	for (;;) {
		e = llmsim_http_chunk_size(p, len, &at, &size);
		if (e != LLMSIM_DONE)
			return e;
		if (size == 0)
			break;
		sum += size;
		if (sum > LLMSIM_BODY_MAX)
			return LLMSIM_BAD;
		if (len - at < size + 2)
			return LLMSIM_MORE;
		if (memcmp(p + at + size, "\r\n", 2) != 0)
			return LLMSIM_BAD;
		if (store)
			strbuf_add(store, p + at, size);
		at += size + 2;
	}
	for (;;) { /* trailers */
		const char *eol = memchr(p + at, '\n', len - at);

		if (!eol)
			return len - at > LLMSIM_HEAD_MAX ? LLMSIM_BAD : LLMSIM_MORE;
		if (eol == p + at || eol[-1] != '\r')
			return LLMSIM_BAD;
		size = (size_t)(eol + 1 - p) - at;
		at += size;
		if (size == 2)
			break;
	}
	*end = at;
	return LLMSIM_DONE;
}

enum llmsim_parse
llmsim_http_parse(const char *p, size_t len, struct strbuf *store, struct llmsim_request *r, int *status)
{
	const char *blank;
	enum llmsim_parse e;
	size_t end;

	*r = (struct llmsim_request){
	    .content_length = -1, .max_tokens = -1, .max_completion_tokens = -1, .dimensions = -1};
	blank = p ? memmem(p, len < LLMSIM_HEAD_MAX ? len : LLMSIM_HEAD_MAX, "\r\n\r\n", 4) : NULL;
	if (!blank) {
		*status = memmem(p, len, "\n\n", 2) ? 400 : 431;
		return *status == 400 || len >= LLMSIM_HEAD_MAX ? LLMSIM_BAD : LLMSIM_MORE;
	}
	*status = 400;
	if (!llmsim_http_head(p, (size_t)(blank + 4 - p), r))
		return LLMSIM_BAD;
	r->head_bytes = (size_t)(blank + 4 - p);
	if (r->chunked) {
		e = llmsim_http_chunks(p, len, r->head_bytes, NULL, &end);
		if (e != LLMSIM_DONE)
			return e;
		strbuf_clear(store);
		e = llmsim_http_chunks(p, len, r->head_bytes, store, &end);
		r->body = (struct llmsim_span){strbuf_str(store), store->len};
		r->total_bytes = end;
		return e;
	}
	if (r->content_length > (int64_t)LLMSIM_BODY_MAX) {
		*status = 413;
		return LLMSIM_BAD;
	}
	end = r->content_length > 0 ? (size_t)r->content_length : 0;
	r->total_bytes = r->head_bytes + end;
	if (len < r->total_bytes)
		return LLMSIM_MORE;
	r->body = (struct llmsim_span){p + r->head_bytes, end};
	return LLMSIM_DONE;
}

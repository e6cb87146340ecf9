/* What may be called an HTTP/1.1 request: pure checks, byte in, verdict out. No I/O, no clock, no allocation.
 *
 * Stricter than RFC 9112 wherever two parties could read the same bytes differently. A head is taken as a
 * whole: http_strict_scan() finds its end while bytes arrive, http_strict_parse() cuts it into strings in
 * place. Chunked bodies go through http_strict_chunked() piece by piece.
 */
#ifndef HALE_WORKER_HTTP_STRICT_H
#define HALE_WORKER_HTTP_STRICT_H

#include "hale/hale.h"
#include "worker_http.h"

/* Why a request is refused. Keep http_fault_info() in step. */
enum http_fault {
	HTTP_FINE = 0,
	HTTP_BAD_LINE,       /* request line */
	HTTP_BAD_TARGET,
	HTTP_BAD_VERSION,
	HTTP_BAD_NEWLINE,    /* bare LF or bare CR */
	HTTP_BAD_FIELD,      /* header syntax: name, space before colon, control bytes */
	HTTP_FOLDED_FIELD,
	HTTP_BAD_HOST,       /* missing, twice or malformed */
	HTTP_BAD_LENGTH,
	HTTP_BAD_CODING,
	HTTP_LENGTH_AND_CODING,
	HTTP_BAD_CHUNK,
	HTTP_HEAD_TOO_LARGE,
	HTTP_TOO_MANY_FIELDS,
	HTTP_URI_TOO_LONG,
	HTTP_BODY_TOO_LARGE,
	HTTP_METHOD_REFUSED, /* known, never served */
	HTTP_METHOD_UNKNOWN,
	HTTP_BAD_EXPECT,
	HTTP_HEAD_SLOW,
	HTTP_BODY_SLOW,
	HTTP_FULL,           /* too many connections */
	HTTP_FAULT_COUNT
};

struct http_fault_info {
	int status;
	const char *code, *message; /* of the JSON answer */
};
const struct http_fault_info *http_fault_info(enum http_fault f);

struct http_bounds {
	uint32_t head_bytes, fields, uri_bytes;
	uint64_t body_bytes;
};

struct http_field {
	const char *name, *value;
	uint32_t name_len;
};

enum http_framing { HTTP_NO_BODY, HTTP_SIZED, HTTP_CHUNKED };

struct http_head {
	enum http_method method;
	unsigned minor;             /* HTTP/1.minor */
	const char *path;           /* decoded */
	char *query;                /* as sent, its escapes checked; NULL without "?" */
	struct http_field *field;   /* the caller's array of bounds.fields */
	unsigned nfield;
	enum http_framing framing;
	uint64_t length;            /* HTTP_SIZED */
	bool close;                 /* the client wants no further request on this connection */
	bool expect_continue;
};

/* Where a scan stands; zero it for a new head. */
struct http_scan {
	size_t pos;
	bool line; /* the request line is complete */
};

/* p[0..len): everything received of this head so far. *head_len: its length with the empty line, 0 while
 * incomplete. Refuses as early as it can. */
enum http_fault http_strict_scan(struct http_scan *s, const char *p, size_t len, const struct http_bounds *b,
                                 size_t *head_len);
/* text[0..len) is one complete head; it is cut into strings in place and must outlive out. */
enum http_fault http_strict_parse(char *text, size_t len, const struct http_bounds *b, struct http_head *out);
/* First value of a header, any case; NULL when absent. */
const char *http_strict_field(const struct http_head *h, const char *name);
/* Decodes %XX in place, and '+' as a space when plus is set. false: malformed, or NUL, or (without plus) a
 * control byte. */
bool http_strict_decode(char *s, bool plus);

#define HTTP_CHUNK_LINE_MAX 256     /* size and extensions of one chunk */
#define HTTP_CHUNK_EXTRA_MAX 16384  /* extensions and trailers of one body together */

struct http_chunked {
	unsigned state;
	uint64_t left;        /* of the current chunk */
	uint32_t line, extra; /* bytes of this line; bytes counted against HTTP_CHUNK_EXTRA_MAX */
};

struct http_piece {
	size_t consumed;  /* of the input */
	const char *data; /* body bytes inside the consumed ones */
	size_t len;
	bool done;
};

/* One step: consumes at least one byte of p[0..len) (len > 0) unless it fails. Zero *c for a new body. */
enum http_fault http_strict_chunked(struct http_chunked *c, const char *p, size_t len, struct http_piece *out);

#endif

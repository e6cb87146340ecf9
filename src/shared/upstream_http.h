/* HTTP/1.x answers: a strict parser for the client side. Pure: bytes in, events out, no I/O.
 *
 * The caller feeds what it has and gets one event at a time; bytes that were not consumed (an incomplete
 * head) are offered again with more behind them. Framing of bodies needs no memory, so only a head is
 * ever kept by the caller.
 */
#ifndef HALE_UPSTREAM_HTTP_H
#define HALE_UPSTREAM_HTTP_H

#include "hale/provider.h"
#include "upstream_int.h"

enum upstream_http_event {
	UPSTREAM_HTTP_MORE = 0, /* feed again with more bytes behind the unconsumed ones */
	UPSTREAM_HTTP_HEAD,     /* status, header[], nheader are valid until the next feed */
	UPSTREAM_HTTP_BODY,     /* body, body_len, inside the fed bytes */
	UPSTREAM_HTTP_DONE,     /* the answer is complete; what follows is not part of it */
	UPSTREAM_HTTP_BAD,      /* text says why; feed no more */
};

enum upstream_http_state {
	UPSTREAM_HTTP_IN_HEAD = 0,
	UPSTREAM_HTTP_IN_LENGTH, /* left bytes of body */
	UPSTREAM_HTTP_TO_END,    /* body until the connection closes */
	UPSTREAM_HTTP_IN_SIZE,   /* chunk size, digits */
	UPSTREAM_HTTP_IN_EXTENSION,
	UPSTREAM_HTTP_IN_CHUNK,  /* left bytes of the chunk */
	UPSTREAM_HTTP_CHUNK_CR,
	UPSTREAM_HTTP_CHUNK_LF,
	UPSTREAM_HTTP_IN_TRAILER,
	UPSTREAM_HTTP_AT_END,
	UPSTREAM_HTTP_FAILED,
};

struct upstream_http {
	enum upstream_http_state state;
	bool to_head;    /* the request was HEAD: no body, whatever the headers say */
	bool upgrade;    /* 101 was asked for: an answer like any other, without a body. Set after the start */
	bool keep_alive; /* from the head on: the connection may be used again after DONE */
	bool chunked, has_length;
	uint64_t left;   /* bytes of body or chunk; while a size is read, its value */
	uint32_t line, scanned; /* offsets into the unconsumed head: current line, first byte not seen */
	uint32_t framing;       /* bytes of the current size line, or of all trailers */
	unsigned digits, interim;
	/* of the event */
	int status;
	unsigned nheader;
	struct http_header header[UPSTREAM_HEAD_COUNT_MAX];
	const char *body;
	size_t body_len;
	const char *text;
};

/* A field name (RFC 9110 token), not empty. */
bool upstream_http_is_token(const char *name);
/* Ready for one answer. */
void upstream_http_start(struct upstream_http *p, bool to_head);
/* Next event of data[0..len); *used bytes are consumed. Writes NULs into a complete head, and moves the
 * contents of chunks together: one BODY is all that data holds. */
enum upstream_http_event upstream_http_feed(struct upstream_http *p, char *data, size_t len, size_t *used);
/* The connection closed in order: true when that is the proper end of this answer. */
bool upstream_http_closed(const struct upstream_http *p);

#endif

/* What a stream of server-sent events has said so far, in each dialect. Pure: bytes in, facts out. */
#ifndef HALE_WORKER_SSE_H
#define HALE_WORKER_SSE_H

#include "hale/mode.h"
#include "hale/strbuf.h"

enum sse_fact { SSE_PLAIN = 0, SSE_IDLE, SSE_CONTENT, SSE_FINISH, SSE_WHOLE, SSE_ERROR }; /* WHOLE: content and finish */

struct sse_watch {
	enum dialect dialect;
	struct strbuf carry; /* an unfinished line from earlier pieces, bounded */
	bool skip;           /* inside a line longer than the bound */
	bool content;        /* a content token, tool call, refusal ... was seen */
	bool finished;       /* the dialect's last event was seen: the stream may end */
	bool error;          /* an event carried an error object */
	bool named;          /* an "event:" line waits for its data */
	enum sse_fact fact;  /* what that name says */
	uint32_t events;     /* data lines */
};

void worker_sse_init(struct sse_watch *s, enum dialect d);
void worker_sse_release(struct sse_watch *s);
/* Returns the number of data events in this piece; what only keeps the connection alive does not count. */
uint32_t worker_sse_feed(struct sse_watch *s, const char *data, size_t len);

#endif

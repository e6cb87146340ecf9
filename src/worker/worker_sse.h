/* What a stream of server-sent events in OpenAI's form has said so far. Pure: bytes in, facts out. */
#ifndef HALE_WORKER_SSE_H
#define HALE_WORKER_SSE_H

#include "hale/strbuf.h"

struct sse_watch {
	struct strbuf carry; /* an unfinished line from earlier pieces, bounded */
	bool skip;           /* inside a line longer than the bound */
	bool content;        /* a content token, tool call, refusal ... was seen */
	bool finished;       /* finish_reason or [DONE] was seen: the stream may end */
	bool error;          /* an event carried an error object */
	uint32_t events;     /* data lines; comments and pings do not count */
};

void worker_sse_init(struct sse_watch *s);
void worker_sse_release(struct sse_watch *s);
/* Returns the number of data events in this piece. */
uint32_t worker_sse_feed(struct sse_watch *s, const char *data, size_t len);

#endif

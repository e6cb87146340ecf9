/* The state of one relayed request, shared by the files that are named below only. */
#ifndef HALE_WORKER_PROXY_INT_H
#define HALE_WORKER_PROXY_INT_H

#include <sys/queue.h>

#include "hale/json_scan.h"
#include "hale/mode.h"
#include "hale/outcome.h"
#include "hale/provider.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"
#include "worker.h"
#include "worker_choose.h"
#include "worker_sse.h"

struct arena;
struct deployment;
struct event;
struct http_req;
struct json_object;
struct messages_stream;

/* Where the upstream's model name goes in the client's body, and what
 * stands around it when the body has none. */
struct body_hole {
	size_t start, len;
	const char *before, *after;
};

#define PROXY_PASS_MAX 24 /* upstream headers that are passed on */

/* One try at one deployment. */
struct attempt {
	const struct deployment *d;
	enum mode mode;             /* of the cell: chat's where the client's is translated for it */
	const struct provider_op *op;
	struct upstream_call *call; /* NULL: not running */
	uint64_t start_ns;
	int status;                 /* 0: no head yet */
	bool sse;                   /* a 2xx answer in server-sent events */
	int64_t length;             /* Content-Length, -1: not given */
	const char *content_type;
	uint32_t retry_after_ms;
	struct http_header pass[PROXY_PASS_MAX];
	unsigned npass;
	struct strbuf hold;         /* the answer's bytes that the client has not got yet */
	struct strbuf out;          /* a translated piece on its way */
	struct strbuf line;         /* an unfinished line of a stream, behind line_sent bytes that are dealt with */
	size_t line_sent;
	struct sse_watch watch;
	struct event *token; /* streams: the next content token is due */
	bool bridge;                /* the cell's mode is not the client's */
	bool thinking;              /* the bridge shows it */
	struct messages_stream *bridged;
	struct strbuf said;         /* a piece of the stream in the client's words */
	struct xlate_stream *xs;
	bool xdone;
};

struct proxy {
	struct worker_task task; /* first: worker.running points at it */
	struct worker *w;
	struct http_req *r;
	struct arena *arena;
	enum mode mode;
	enum dialect dialect; /* of the client */
	const char *body; /* the client's, borrowed */
	size_t body_len;
	const char *body_type;  /* content type of a form; NULL: JSON */
	struct body_hole hole;
	struct json_scan scan;  /* of JSON */
	const char *model; /* as asked, unescaped */
	struct choice choice;
	unsigned attempts, attempts_max;
	bool stream;
	bool plain;  /* an answer in plain text was asked for */
	bool begun;  /* bytes of an answer went to the client: no other attempt is possible */
	bool paused; /* the upstream waits for a slow client */
	struct event *backoff; /* before the next attempt; made when first needed */
	struct attempt a;
	struct strbuf trail; /* what happened so far, one phrase per failed attempt */
	char call_id[37];
};

/* How an attempt failed. */
struct attempt_failure {
	enum outcome_class class;
	int status;       /* for the client */
	const char *text; /* short English, no secrets */
	const char *code; /* of the OpenAI envelope; NULL: the status */
	bool relay;       /* the upstream's own error body (a.hold) is what the client should see */
	bool retryable;
	bool elsewhere; /* another deployment may know what this one does not: each is asked once */
};

/* worker_proxy.c */
void worker_proxy_next(struct proxy *p);                                       /* choose and start an attempt */
void worker_proxy_failed(struct proxy *p, const struct attempt_failure *f);    /* the attempt is over: again, or answer */
void worker_proxy_done(struct proxy *p, enum outcome_class c);                 /* answered; frees p */
/* A proper answer of the gateway itself; frees p. */
void worker_proxy_refuse(struct proxy *p, int status, const char *message, const char *param, const char *code);

/* worker_body.c */
/* Reads model, stream and the like; needs p->r and p->mode. False: answered, p is gone. */
bool worker_body_read(struct proxy *p);
/* The body of an attempt. HALE_EINVAL: the deployment cannot be asked that, *why says so to the client. */
int worker_body_upstream(struct proxy *p, const char *model, struct upstream_request *q, const char **why);

/* worker_attempt.c */
/* 0 or an error with *why; then nothing runs. */
int worker_attempt_start(struct proxy *p, const struct deployment *d, const char **why);
/* Stops what runs and releases what the attempt holds; p->a is empty afterwards. */
void worker_attempt_clear(struct proxy *p);
void worker_attempt_resume(struct proxy *p);

/* worker_bridge.c */
/* Replaces the client's request by one in chat's form. */
int worker_bridge_request(struct proxy *p, const char *model, struct json_object **body, const char **why);
/* A stream begins; each piece of it, and its end. *data and *len: chat's
 * words in, the client's out, until the next. */
void worker_bridge_begin(struct proxy *p);
int worker_bridge_feed(struct proxy *p, const char **data, size_t *len);
void worker_bridge_end(struct proxy *p, const char **data, size_t *len);
/* A whole answer. */
int worker_bridge_whole(struct proxy *p, struct strbuf *body);
void worker_bridge_clear(struct attempt *a);

/* worker_pass.c */
/* The endpoint with the headers that the client may set; NULL: too many. */
const struct endpoint *worker_pass_up(struct proxy *p, const struct provider_op *op,
                                      const struct endpoint *shared);

/* worker_answer.c */
void worker_answer_headers(struct proxy *p);
/* Sends the head and everything held; from here on bytes pass through. */
void worker_answer_begin(struct proxy *p);
/* The whole held answer at once. Does not free p. */
void worker_answer_whole(struct proxy *p);
void worker_answer_error(struct proxy *p, const struct attempt_failure *f);
/* Ends a stream that broke after it had begun: an SSE error event, then a regular end. */
void worker_answer_broken_stream(struct proxy *p, const struct attempt_failure *f);

#endif

/* The state of one request for files or batches, shared by worker_passthrough*.c only. */
#ifndef HALE_WORKER_PASSTHROUGH_INT_H
#define HALE_WORKER_PASSTHROUGH_INT_H

#include "hale/json_scan.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"
#include "worker.h"
#include "worker_passthrough.h"

struct arena;
struct deployment;

#define PASSTHROUGH_HEADERS_MAX 16
#define PASSTHROUGH_CUTS 2

struct passthrough {
	struct worker_task task; /* first: worker.running points at it */
	struct worker *w;
	struct http_req *r;
	struct arena *arena;
	struct passthrough_target target;
	const struct deployment *d;
	struct upstream_call *call;
	const char *model; /* what the request names; NULL: nothing */
	const char *body;
	size_t body_len;
	struct json_span cut[PASSTHROUGH_CUTS]; /* of the body, in order */
	unsigned ncut;
	/* the answer */
	int status;
	int64_t length;
	const char *content_type;
	struct http_header pass[PASSTHROUGH_HEADERS_MAX];
	unsigned npass;
	struct strbuf error; /* the body of one that is no 2xx */
	bool begun, paused;
	char call_id[37];
};

/* A proper answer of the gateway itself; frees p. */
void worker_passthrough_refuse(struct passthrough *p, int status, const char *message, const char *param,
                               const char *code);
/* What names the deployment: query, header, body. false: answered, p is gone. */
bool worker_passthrough_read(struct passthrough *p);

#endif

/* One worker process: what its files share. Private to src/worker. */
#ifndef HALE_WORKER_H
#define HALE_WORKER_H

#include <sys/queue.h>

#include "hale/hale.h"
#include "hale/mode.h"

struct arena;
struct conf;
struct deployment;
struct endpoint;
struct event;
struct event_base;
struct heritage;
struct htable;
struct http_req;
struct http_server;
struct render_cache;
struct route_table;
struct upstream;
struct worker_rounds;

/* Something that runs for a client, a relayed request for example; the first member of what it is. */
struct worker_task {
	TAILQ_ENTRY(worker_task) entry;
	/* The time of a drain is up: tells the client, ends and frees it. */
	void (*end)(struct worker_task *t);
};

struct worker {
	const struct heritage *heritage;
	const struct conf *conf;
	struct htable *table; /* read-only but for this worker's own lines */
	unsigned index;
	struct event_base *base;
	struct event *control, *drain_timer;
	struct http_server *http;
	struct upstream *upstream;
	struct worker_rounds *rounds;
	struct render_cache *entries; /* of /health */
	struct route_table *routes; /* of large groups */
	struct arena *endpoint_arena;
	const struct endpoint **endpoint; /* [deployment][mode][stream], built when first used */
	uint64_t random, draws;           /* seed and position of worker_random() */
	bool leaving;  /* told to drain */
	bool draining; /* because the daemon ends, not because of a reload: health answers say so */
	bool listening;
	unsigned last_accepts; /* turns of the loop left to empty the listening sockets before they are closed */
	int exit_code;
	TAILQ_HEAD(worker_running, worker_task) running;
	unsigned nsession; /* realtime ones among them */
	struct event *deadline; /* of a drain: what still runs then is told so and ended */
};

/* 64 fresh random bits, seeded from the kernel at start: see worker_route_random(). */
uint64_t worker_random(struct worker *w);
/* A random UUID, version 4: what a relayed request is called in answers and in the log. */
void worker_call_id(struct worker *w, char out[37]);
/* The endpoint of a deployment's mode; NULL: the provider has no such mode, or model cannot be put in a URL.
 * model NULL: the deployment's own, cached for the life of the worker; otherwise allocated in a. */
const struct endpoint *worker_endpoint(struct worker *w, struct arena *a, const struct deployment *d, enum mode m,
                                       bool stream, const char *model);

#endif

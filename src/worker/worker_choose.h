/* Which deployment a request goes to: from a model name and a mode to one deployment after the other.
 *
 * For every kind of relay: JSON, multipart, pass-through, WebSocket. Call worker_choose_init() once, then
 * worker_choose_next() before each attempt and worker_choose_refused() behind each one that failed.
 */
#ifndef HALE_WORKER_CHOOSE_H
#define HALE_WORKER_CHOOSE_H

#include "hale/hale.h"
#include "hale/mode.h"
#include "worker_route.h"

struct arena;
struct deployment;
struct htable_view;
struct worker;

struct choice {
	struct worker *w;
	struct arena *arena;
	const char *call_id; /* for the log */
	const char *model;   /* as asked */
	enum mode mode;
	struct route_target target;
	struct route_candidate *candidate; /* deployments that can serve the mode, in configuration order */
	struct htable_view *view;          /* what candidate[i].view points at */
	uint32_t ncandidate; /* 0 until somebody has to look at all members of a large group */
};

/* Why there is no deployment, ready for the client. */
struct choose_refusal {
	int status;
	const char *param, *code; /* of the OpenAI envelope; NULL: none */
	char retry_after[24];     /* seconds, for the header of that name; "": none */
	char message[512];
};

/* Resolves the model name and collects the deployments that have a cell for the mode. model and call_id are
 * borrowed for the life of c, what c holds is allocated in a. False: none, why is filled. */
bool worker_choose_init(struct choice *c, struct worker *w, struct arena *a, const char *call_id,
                        const char *model, enum mode m, struct choose_refusal *why);
/* The deployment for the next attempt, by the health views of this moment; logs the choice, counts the
 * safety net. NULL: none, why is filled and counted. */
const struct deployment *worker_choose_next(struct choice *c, struct choose_refusal *why);
/* This deployment answered the request with an error: another one is preferred from now on. */
void worker_choose_refused(struct choice *c, const struct deployment *d);
/* Is there a deployment that has not answered this request with an error? */
bool worker_choose_has_fresh(const struct choice *c);
/* Attempts that one request may take: num_retries of the only
 * deployment, else of the router, and the first one. */
unsigned worker_choose_attempts_max(const struct choice *c);
/* Milliseconds to wait before the attempt behind `attempts`: only a group of one deployment makes a
 * request wait. retry_after_ms: what the upstream asked for, 0: nothing. */
uint32_t worker_choose_backoff_ms(const struct choice *c, unsigned attempts, uint32_t retry_after_ms);
/* The name that d's upstream knows the model by; for a wildcard the asked text takes the place of the
 * star. It is d->upstream_model itself where there is no star. */
const char *worker_choose_upstream_model(const struct choice *c, const struct deployment *d);

#endif

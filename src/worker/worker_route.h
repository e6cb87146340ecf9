/* The routing decision: which deployments to try, in which order, and why. Pure: no clock, no I/O, no
 * globals, so that every rule is tested without a daemon.
 */
#ifndef HALE_WORKER_ROUTE_H
#define HALE_WORKER_ROUTE_H

#include "hale/hale.h"

struct conf;
struct deployment;
struct htable_view;

#define ROUTE_ATTEMPTS_MAX 16

enum route_why {
	ROUTE_OK = 0,
	ROUTE_UNHEALTHY, /* removed by the health filter */
	ROUTE_COOLDOWN,
	ROUTE_BLOCKED,   /* model_info.blocked */
	ROUTE_REFUSED,   /* already answered this request with an error */
	ROUTE_ORDER,     /* a lower order value is available */
};
const char *route_why_name(enum route_why w);

struct route_candidate {
	uint32_t deployment;
	const struct htable_view *view;
	bool refused; /* this request was already refused by it */
	enum route_why why; /* out */
};

struct route_input {
	const struct conf *conf;
	struct route_candidate *candidate;
	uint32_t ncandidate;
	uint64_t now_ns;
	uint64_t random; /* one draw; the function expands it */
	bool pinned;     /* addressed by deployment id: no filters */
	unsigned want;   /* how many attempts to choose; 0: ROUTE_ATTEMPTS_MAX */
};

struct route_result {
	uint32_t chosen[ROUTE_ATTEMPTS_MAX]; /* deployments to try, best first */
	unsigned nchosen;
	bool safety_net;          /* every candidate was unhealthy, the filter was bypassed */
	bool safety_net_cooldown; /* every candidate was cooling down, that filter was bypassed */
};

/* Number `draw` (from 0) of the splitmix64 sequence that seed starts: for choosing, never for secrets. */
uint64_t worker_route_random(uint64_t seed, uint64_t draw);

/* What a deployment's share of requests is taken from: weight, rpm, tpm; ROUTE_METRICS: all alike. */
#define ROUTE_METRICS 3
double worker_route_metric(const struct deployment *d, int which);

/* Would this deployment pass the filters that look at it alone: not blocked, not down, not cooling? */
bool worker_route_is_eligible(const struct conf *c, const struct deployment *d, const struct htable_view *v,
                              uint64_t now_ns);

/* candidates -> health filter -> cooldown filter -> safety net -> blocked -> order -> weighted shuffle. */
void worker_route(const struct route_input *in, struct route_result *out);

/* Which deployments a model name, or what it is an alias for, means: exact group, deployment id, provider
 * model, then the wildcard group with the longest literal part. */
enum route_match { ROUTE_MATCH_NONE, ROUTE_MATCH_GROUP, ROUTE_MATCH_WILDCARD, ROUTE_MATCH_ID };
struct route_target {
	enum route_match match;
	uint32_t group;      /* position in conf.group */
	uint32_t deployment; /* for ROUTE_MATCH_ID */
	const char *star;    /* for ROUTE_MATCH_WILDCARD: the text that * stands for, inside that name */
	size_t star_len;
};
void worker_route_resolve(const struct conf *c, const char *model, struct route_target *out);

#endif

/* What probes cost: tokens of one, probes of a day. Pure. */
#ifndef HALE_COST_H
#define HALE_COST_H

#include "hale/hale.h"

struct conf;
struct identity;
struct probe_request;

/* What a probe without a limit of its own is taken to generate:
 * about what reasoning models think about "hi". */
#define COST_UNLIMITED_TOKENS 1000

/* Tokens of one probe, for providers that report none: a quarter of the bytes of a JSON body, and
 * the limit that it carries, or COST_UNLIMITED_TOKENS where the mode generates text and no limit
 * is named. 0 for a request without a body. */
uint32_t cost_estimate(const struct probe_request *q);

/* UTC days since 1970. */
uint32_t cost_day(uint64_t real_ns);
/* Until the next UTC day begins. */
uint64_t cost_day_left_ns(uint64_t real_ns);

/* The background probes of one deployment, as the configuration plans them: what a day brings while nothing
 * fails, is skipped for traffic, or meets a daily limit. */
struct cost_plan {
	bool probed;             /* in the background, by a request of its own */
	uint32_t leader;         /* whose request serves it; its own index when it sends one */
	double probes_per_day;   /* 0 unless probed */
	uint32_t tokens_per_probe;
	double tokens_per_day;
	uint64_t daily_limit;    /* smallest limit in force, own or the daemon's; 0: none */
	bool skips;              /* traffic makes probes unnecessary: the figures are upper bounds */
};

void cost_plan(const struct conf *c, const struct identity *id, uint32_t i, struct cost_plan *out);

#endif

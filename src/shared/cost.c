/* What probes cost. Pure arithmetic over a request that would be sent, and over the configuration. */
#include "hale/hale.h"

#include "hale/cost.h"

#include <ctype.h>

#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/identity.h"
#include "hale/probe.h"

#define COST_BYTES_PER_TOKEN 4
#define COST_DAY_S 86400ULL

/* The token limit in a body that we wrote ourselves, under any provider's name for it; 0: none. Text
 * inside a JSON string cannot look like a member: its quotes are escaped. */
static uint32_t
cost_limit(const char *body, size_t len)
{
	static const char *const names[] = {
		"\"max_tokens\":", "\"max_completion_tokens\":", "\"max_output_tokens\":", "\"maxOutputTokens\":",
		"\"maxTokens\":", "\"num_predict\":",
	};
	uint32_t limit = 0;

	for (size_t i = 0; i < HALE_COUNT(names) && limit == 0; i++) {
		const char *at = memmem(body, len, names[i], strlen(names[i])), *end = body + len;

		for (at = at ? at + strlen(names[i]) : end; at < end && isspace((unsigned char)*at); at++)
			;
		for (; at < end && isdigit((unsigned char)*at) && limit < COST_UNLIMITED_TOKENS * 1000; at++)
			limit = limit * 10 + (uint32_t)(*at - '0');
	}
	return limit;
}

uint32_t
cost_estimate(const struct probe_request *q)
{
	bool generates = q->mode == MODE_CHAT || q->mode == MODE_COMPLETION || q->mode == MODE_RESPONSES;
	uint32_t limit;

	if (!q->body || !q->shown || !q->content_type || strcmp(q->content_type, "application/json") != 0)
		return 0;
	limit = cost_limit(q->body, q->body_len);
	if (limit == 0 && generates)
		limit = COST_UNLIMITED_TOKENS;
	/* What is shown has notes in the place of files, which nobody bills by their base64. */
	return (uint32_t)((strlen(q->shown) + COST_BYTES_PER_TOKEN - 1) / COST_BYTES_PER_TOKEN) + limit;
}

uint32_t
cost_day(uint64_t real_ns)
{
	return (uint32_t)(real_ns / NS_PER_SEC / COST_DAY_S);
}

uint64_t
cost_day_left_ns(uint64_t real_ns)
{
	return (cost_day(real_ns) + 1ULL) * COST_DAY_S * NS_PER_SEC - real_ns;
}

void
cost_plan(const struct conf *c, const struct identity *id, uint32_t i, struct cost_plan *out)
{
	const struct conf_general *g = &c->general;
	const struct deployment *d = &c->deployment[i];

	*out = (struct cost_plan){
		.leader = id->leader[i],
		.tokens_per_probe = id->tokens[i],
		.daily_limit = d->probe.daily_token_limit,
		.skips = g->health_check_skip_if_traffic_s > 0,
	};
	if (g->health_check_daily_token_limit &&
	    (!out->daily_limit || g->health_check_daily_token_limit < out->daily_limit))
		out->daily_limit = g->health_check_daily_token_limit;
	out->probed = out->leader == i && id->sends[i] && conf_is_background(c, d);
	if (!out->probed)
		return;
	out->probes_per_day = (double)COST_DAY_S / g->health_check_interval_s;
	out->tokens_per_day = out->probes_per_day * out->tokens_per_probe;
}

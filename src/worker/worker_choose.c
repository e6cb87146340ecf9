/* Which deployment a request goes to.
 *
 * The room between a client's model name and worker_route.c, which decides on plain values: this one
 * resolves the name, reads the health views anew for each choice, so that a verdict that arrives
 * between two attempts counts, and puts into words why there is no deployment. It answers nobody
 * and starts nothing; what to do with a refusal is the caller's.
 */
#include "hale/hale.h"

#include "worker_choose.h"

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/htable.h"
#include "hale/log.h"
#include "hale/outcome.h"
#include "hale/provider.h"
#include "worker.h"
#include "worker_route_table.h"

#define CHOOSE_DRAWS 4 /* in a large group, before all of it is looked at */

/* The tunnel of realtime sessions knows no proxies, and nobody who set one wants it gone around. */
static bool
worker_choose_is_behind_proxy(const struct choice *c, const struct deployment *d)
{
	return c->mode == MODE_REALTIME && d->proxy;
}

static bool
worker_choose_serves(const struct choice *c, const struct deployment *d)
{
	return provider_serves(d->provider, c->mode) != MODE_NONE && !worker_choose_is_behind_proxy(c, d);
}

/* The group's deployments that can serve this mode; false: none can. */
static bool
worker_choose_candidates(struct choice *c)
{
	const struct conf *conf = c->w->conf;
	const struct conf_group *g = &conf->group[c->target.group];
	const uint32_t *member = g->member;
	uint32_t n = g->nmember;

	if (c->target.match == ROUTE_MATCH_ID) {
		member = &c->target.deployment;
		n = 1;
	}
	c->candidate = arena_alloc(c->arena, n * sizeof(*c->candidate));
	c->view = arena_alloc(c->arena, n * sizeof(*c->view));
	for (uint32_t i = 0; i < n; i++) {
		if (!worker_choose_serves(c, &conf->deployment[member[i]]))
			continue;
		c->candidate[c->ncandidate] =
			(struct route_candidate){.deployment = member[i], .view = &c->view[c->ncandidate]};
		c->ncandidate++;
	}
	return c->ncandidate > 0;
}

static void
worker_choose_unknown(const struct choice *c, struct choose_refusal *why)
{
	why->status = 400;
	why->param = "model";
	why->retry_after[0] = '\0';
	if (c->target.match == ROUTE_MATCH_NONE) {
		why->code = "model_not_found";
		snprintf(why->message, sizeof(why->message),
		         "Invalid model name passed in model=%.200s. Call `/v1/models` to view available models for your key.",
		         c->model);
	} else {
		const struct conf *conf = c->w->conf;
		const struct conf_group *g = &conf->group[c->target.group];
		bool behind = false;

		for (uint32_t i = 0; i < g->nmember; i++)
			behind |= worker_choose_is_behind_proxy(c, &conf->deployment[g->member[i]]);
		why->code = "unsupported_mode";
		snprintf(why->message, sizeof(why->message), "No deployment of model=%.200s can serve %s requests.%s", c->model,
		         mode_name(c->mode), behind ? " There are some with a proxy, but sessions do not go through a proxy." : "");
	}
}

/* Is this a group so large that the first attempt should not look at all
 * of it? A log of all verdicts needs them. */
static bool
worker_choose_is_large(const struct choice *c)
{
	return c->target.match != ROUTE_MATCH_ID && !log_is_debug() &&
	       c->w->conf->group[c->target.group].nmember >= ROUTE_TABLE_MEMBERS_MIN;
}

bool
worker_choose_init(struct choice *c, struct worker *w, struct arena *a, const char *call_id, const char *model,
                   enum mode m, struct choose_refusal *why)
{
	*c = (struct choice){.w = w, .arena = a, .call_id = call_id, .model = model, .mode = m};
	worker_route_resolve(w->conf, model, &c->target);
	if (c->target.match != ROUTE_MATCH_NONE && (worker_choose_is_large(c) || worker_choose_candidates(c)))
		return true;
	worker_choose_unknown(c, why);
	return false;
}

/* No deployment may be tried: everything is cooling down, blocked, or has failed this request. */
static void
worker_choose_nothing(const struct choice *c, struct choose_refusal *why)
{
	uint64_t now = clock_mono_ns(), soonest = 0;

	counter_add(c->w->table, c->w->index, COUNTER_NO_DEPLOYMENT, 1);
	for (uint32_t i = 0; i < c->ncandidate; i++) {
		uint64_t until = c->view[i].until_ns;

		if (until > now && (soonest == 0 || until < soonest))
			soonest = until;
	}
	why->status = 429;
	why->param = why->code = NULL;
	snprintf(why->retry_after, sizeof(why->retry_after), "%llu",
	         (unsigned long long)(soonest ? (soonest - now + NS_PER_SEC - 1) / NS_PER_SEC
	                                      : (c->w->conf->router.cooldown_time_ms + 999) / 1000));
	snprintf(why->message, sizeof(why->message),
	         "No deployments available for selected model, Try again in %s seconds. Passed model=%.200s.",
	         why->retry_after, c->model);
}

static void
worker_choose_log(const struct choice *c, const struct route_result *res)
{
	static const char health_net[] = "All deployments marked unhealthy by health checks, bypassing health filter";
	static const char cool_net[] =
		"All deployments in cooldown via health-check routing, bypassing cooldown filter";
	const struct conf *conf = c->w->conf;

	if (res->safety_net) {
		counter_add(c->w->table, c->w->index, COUNTER_SAFETY_NET, 1);
		log_limited(log_warn, "%s model_group=%.100s", health_net, conf->group[c->target.group].name);
	}
	if (res->safety_net_cooldown)
		log_limited(log_warn, "%s model_group=%.100s", cool_net, conf->group[c->target.group].name);
	if (!log_is_debug())
		return;
	for (uint32_t i = 0; i < c->ncandidate; i++)
		log_debug("route call=%s deployment=%s verdict=%s chosen=%d", c->call_id,
		          conf->deployment[c->candidate[i].deployment].id, route_why_name(c->candidate[i].why),
		          res->nchosen && res->chosen[0] == c->candidate[i].deployment);
}

static const struct deployment *
worker_choose_among(struct choice *c, struct choose_refusal *why)
{
	struct route_input in = {.conf = c->w->conf,
	                         .candidate = c->candidate,
	                         .ncandidate = c->ncandidate,
	                         .now_ns = clock_mono_ns(),
	                         .random = worker_random(c->w),
	                         .pinned = c->target.match == ROUTE_MATCH_ID,
	                         .want = 1};
	struct route_result res;

	for (uint32_t i = 0; i < c->ncandidate; i++)
		htable_read(c->w->table, c->candidate[i].deployment, &c->view[i]);
	worker_route(&in, &res);
	worker_choose_log(c, &res);
	if (res.nchosen)
		return &c->w->conf->deployment[res.chosen[0]];
	worker_choose_nothing(c, why);
	return NULL;
}

/* A large group: a few draws that do not look at the others. NULL: all of
 * them met a deployment that cannot serve. */
static const struct deployment *
worker_choose_sample(const struct choice *c)
{
	const struct conf *conf = c->w->conf;
	uint64_t now = clock_mono_ns();
	struct htable_view v;
	uint32_t i;

	for (int n = 0; n < CHOOSE_DRAWS; n++) {
		if (!worker_route_table_draw(c->w->routes, c->target.group, worker_random(c->w), &i))
			return NULL;
		if (!worker_choose_serves(c, &conf->deployment[i]))
			continue;
		htable_read(c->w->table, i, &v);
		if (worker_route_is_eligible(conf, &conf->deployment[i], &v, now))
			return &conf->deployment[i];
	}
	return NULL;
}

const struct deployment *
worker_choose_next(struct choice *c, struct choose_refusal *why)
{
	const struct deployment *d = c->candidate ? NULL : worker_choose_sample(c);

	if (d)
		return d;
	if (!c->candidate && !worker_choose_candidates(c)) {
		worker_choose_unknown(c, why);
		return NULL;
	}
	return worker_choose_among(c, why);
}

void
worker_choose_refused(struct choice *c, const struct deployment *d)
{
	if (!c->candidate)
		worker_choose_candidates(c);
	for (uint32_t i = 0; i < c->ncandidate; i++)
		if (c->candidate[i].deployment == d->index)
			c->candidate[i].refused = true;
}

bool
worker_choose_has_fresh(const struct choice *c)
{
	for (uint32_t i = 0; i < c->ncandidate; i++)
		if (!c->candidate[i].refused)
			return true;
	return false;
}

unsigned
worker_choose_attempts_max(const struct choice *c)
{
	const struct conf *conf = c->w->conf;
	int32_t own = c->ncandidate == 1 ? conf->deployment[c->candidate[0].deployment].num_retries : -1;

	return 1 + (own >= 0 ? (uint32_t)own : conf->router.num_retries);
}

uint32_t
worker_choose_backoff_ms(const struct choice *c, unsigned attempts, uint32_t retry_after_ms)
{
	uint32_t base, least = c->w->conf->router.retry_after_ms;

	if (c->ncandidate > 1)
		return 0;
	if (retry_after_ms > 0 && retry_after_ms <= 60000)
		return retry_after_ms;
	base = attempts > 4 ? 8000 : 500u << (attempts - 1);
	if (base < least)
		base = least;
	return (base > 8000 ? 8000 : base) + (uint32_t)(worker_random(c->w) % 750);
}

const char *
worker_choose_upstream_model(const struct choice *c, const struct deployment *d)
{
	const char *star = strchr(d->upstream_model, '*');

	if (star == NULL)
		return d->upstream_model;
	if (c->target.match != ROUTE_MATCH_WILDCARD)
		return c->model;
	return arena_printf(c->arena, "%.*s%.*s%s", (int)(star - d->upstream_model), d->upstream_model,
	                    (int)c->target.star_len, c->target.star, star + 1);
}

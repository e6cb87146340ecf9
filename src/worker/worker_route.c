/* Which deployment gets a request.
 *
 * The filters run in LiteLLM's order: health, cooldown, then what is blocked, what this request was
 * already refused by, and `order`; the survivors are drawn by weight. A filter that would leave
 * nothing is bypassed as a whole (the safety net): a wrong verdict may cost a detour, never an
 * outage. The net is the group's own: one sick group does not open the filter of another. Where
 * it opens the health filter, those whose probes merely timed out come first (they may be busy; a
 * timeout alone never removes the last one), and those with a dead key come last.
 *
 * Stale or missing views filter nothing. A deployment that the request addresses by id is used as
 * it is: whoever names it wants that one.
 */
#include "hale/hale.h"

#include "worker_route.h"

#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/htable.h"

const char *
route_why_name(enum route_why w)
{
	switch (w) {
	case ROUTE_OK: return "eligible";
	case ROUTE_UNHEALTHY: return "unhealthy";
	case ROUTE_COOLDOWN: return "cooldown";
	case ROUTE_BLOCKED: return "blocked";
	case ROUTE_REFUSED: return "refused this request";
	case ROUTE_ORDER: return "lower order available";
	}
	return "unknown";
}

static bool
worker_route_filter_on(const struct conf *c)
{
	const struct conf_general *g = &c->general;

	/* A policy takes the place of the binary filter, unless the filter was limited to named groups. */
	return g->enable_health_check_routing && g->background_health_checks &&
	       (c->router.allowed_fails_policy == NULL || g->background_groups != NULL);
}

static bool
worker_route_view_is_down(const struct conf *c, uint32_t group, const struct htable_view *v, uint64_t now_ns)
{
	return v->state == HEALTH_DOWN &&
	       !htable_is_stale(v, now_ns, c->general.health_check_staleness_s * NS_PER_SEC) &&
	       conf_is_background_group(c, c->group[group].name);
}

static bool
worker_route_is_down(const struct route_input *in, const struct route_candidate *x)
{
	return worker_route_view_is_down(in->conf, in->conf->deployment[x->deployment].group, x->view,
	                                 in->now_ns);
}

bool
worker_route_is_eligible(const struct conf *c, const struct deployment *d, const struct htable_view *v,
                         uint64_t now_ns)
{
	return !d->blocked && v->until_ns <= now_ns &&
	       !(worker_route_filter_on(c) && worker_route_view_is_down(c, d->group, v, now_ns));
}

/* Marks candidates that are still ROUTE_OK and match; undoes it all when none would
 * be left. Returns true when the net caught. */
static bool
worker_route_apply(const struct route_input *in, enum route_why why,
                   bool (*match)(const struct route_input *, const struct route_candidate *))
{
	uint32_t left = 0, marked = 0;

	for (uint32_t i = 0; i < in->ncandidate; i++) {
		struct route_candidate *x = &in->candidate[i];

		if (x->why != ROUTE_OK)
			continue;
		if (match(in, x)) {
			x->why = why;
			marked++;
		} else {
			left++;
		}
	}
	if (left || !marked)
		return false;
	for (uint32_t i = 0; i < in->ncandidate; i++)
		if (in->candidate[i].why == why)
			in->candidate[i].why = ROUTE_OK;
	return true;
}

static bool
worker_route_is_cooling(const struct route_input *in, const struct route_candidate *x)
{
	return x->view->until_ns > in->now_ns;
}

static bool
worker_route_is_refused(const struct route_input *in, const struct route_candidate *x)
{
	(void)in;
	return x->refused;
}

/* More than slow: its probe was answered badly, or not at all for another reason than time. */
static bool
worker_route_is_refusing(const struct route_input *in, const struct route_candidate *x)
{
	return worker_route_is_down(in, x) && x->view->reason != REASON_TIMEOUT;
}

/* Its key is dead or without funds: no request can succeed there. */
static bool
worker_route_is_keyless(const struct route_input *in, const struct route_candidate *x)
{
	return worker_route_is_down(in, x) &&
	       (x->view->reason == REASON_UNAUTHORIZED || x->view->reason == REASON_OUT_OF_FUNDS);
}

static void
worker_route_keep_lowest_order(const struct route_input *in)
{
	int32_t lowest = INT32_MAX;

	for (uint32_t i = 0; i < in->ncandidate; i++) {
		int32_t order = in->conf->deployment[in->candidate[i].deployment].order;

		if (in->candidate[i].why == ROUTE_OK && order < lowest)
			lowest = order;
	}
	for (uint32_t i = 0; i < in->ncandidate; i++)
		if (in->candidate[i].why == ROUTE_OK &&
		    in->conf->deployment[in->candidate[i].deployment].order > lowest)
			in->candidate[i].why = ROUTE_ORDER;
}

double
worker_route_metric(const struct deployment *d, int which)
{
	return which == 0 ? d->weight : which == 1 ? d->rpm : which == 2 ? d->tpm : 1.0;
}

/* The first of weight, rpm, tpm that any survivor has; ROUTE_METRICS: none. */
static int
worker_route_pick_metric(const struct route_input *in)
{
	for (int which = 0; which < ROUTE_METRICS; which++)
		for (uint32_t i = 0; i < in->ncandidate; i++)
			if (in->candidate[i].why == ROUTE_OK &&
			    worker_route_metric(&in->conf->deployment[in->candidate[i].deployment], which) > 0)
				return which;
	return ROUTE_METRICS;
}

uint64_t
worker_route_random(uint64_t seed, uint64_t draw)
{
	uint64_t z = seed + (draw + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static bool
worker_route_is_chosen(const struct route_result *out, uint32_t deployment)
{
	for (unsigned i = 0; i < out->nchosen; i++)
		if (out->chosen[i] == deployment)
			return true;
	return false;
}

/* One weighted draw among survivors not chosen yet. Those without weight come last, evenly. */
static bool
worker_route_draw(const struct route_input *in, int metric, struct route_result *out)
{
	const struct deployment *d = in->conf->deployment;
	double total = 0, at;
	uint32_t last = 0;
	bool any = false;

	for (uint32_t i = 0; i < in->ncandidate; i++)
		if (in->candidate[i].why == ROUTE_OK && !worker_route_is_chosen(out, in->candidate[i].deployment)) {
			total += worker_route_metric(&d[in->candidate[i].deployment], metric);
			any = true;
		}
	if (!any)
		return false;
	if (total <= 0)
		return metric != ROUTE_METRICS && worker_route_draw(in, ROUTE_METRICS, out);
	at = (double)(worker_route_random(in->random, out->nchosen) >> 11) * 0x1p-53 * total;
	for (uint32_t i = 0; i < in->ncandidate; i++) {
		double weight;

		if (in->candidate[i].why != ROUTE_OK || worker_route_is_chosen(out, in->candidate[i].deployment))
			continue;
		weight = worker_route_metric(&d[in->candidate[i].deployment], metric);
		if (weight <= 0)
			continue;
		last = in->candidate[i].deployment;
		if (at < weight)
			break;
		at -= weight; /* rounding may leave a rest behind the last one: `last` catches it */
	}
	out->chosen[out->nchosen++] = last;
	return true;
}

void
worker_route(const struct route_input *in, struct route_result *out)
{
	unsigned want = in->want && in->want < ROUTE_ATTEMPTS_MAX ? in->want : ROUTE_ATTEMPTS_MAX;
	int metric;

	out->nchosen = 0;
	out->safety_net = out->safety_net_cooldown = false;
	for (uint32_t i = 0; i < in->ncandidate; i++)
		in->candidate[i].why =
			in->conf->deployment[in->candidate[i].deployment].blocked ? ROUTE_BLOCKED : ROUTE_OK;
	if (!in->pinned) {
		if (worker_route_filter_on(in->conf))
			out->safety_net = worker_route_apply(in, ROUTE_UNHEALTHY, worker_route_is_down);
		if (out->safety_net && worker_route_apply(in, ROUTE_UNHEALTHY, worker_route_is_refusing))
			worker_route_apply(in, ROUTE_UNHEALTHY, worker_route_is_keyless);
		out->safety_net_cooldown = worker_route_apply(in, ROUTE_COOLDOWN, worker_route_is_cooling);
		worker_route_apply(in, ROUTE_REFUSED, worker_route_is_refused);
		worker_route_keep_lowest_order(in);
	}
	metric = worker_route_pick_metric(in);
	while (out->nchosen < want && worker_route_draw(in, metric, out))
		;
}

/* Does `model` fit a pattern with one or more *? On success the text of the first * is in *star. */
static bool
worker_route_glob(const char *pattern, const char *model, const char **star, size_t *star_len)
{
	const char *p = strchr(pattern, '*'), *tail = p + 1;
	size_t head = (size_t)(p - pattern), len = strlen(model), ntail = strlen(tail);

	if (len < head + ntail || strncmp(pattern, model, head) != 0)
		return false;
	if (strchr(tail, '*')) { /* rare: only whether it fits */
		const char *s;
		size_t n;

		for (size_t i = head; i <= len; i++)
			if (worker_route_glob(tail, model + i, &s, &n)) {
				*star = model + head;
				*star_len = i - head;
				return true;
			}
		return false;
	}
	if (strcmp(model + len - ntail, tail) != 0)
		return false;
	*star = model + head;
	*star_len = len - head - ntail;
	return true;
}

void
worker_route_resolve(const struct conf *c, const char *model, struct route_target *out)
{
	const char *alias = conf_alias_find(c, model);
	const struct conf_group *g;
	const struct deployment *d;
	size_t best = 0;

	*out = (struct route_target){.match = ROUTE_MATCH_NONE};
	model = alias ? alias : model;
	g = conf_group_find(c, model);
	if (g && !g->wildcard) {
		out->match = ROUTE_MATCH_GROUP;
		out->group = (uint32_t)(g - c->group);
		return;
	}
	d = conf_deployment_find(c, model);
	if (d) {
		out->match = ROUTE_MATCH_ID;
		out->group = d->group;
		out->deployment = d->index;
		return;
	}
	for (uint32_t i = 0; i < c->ngroup; i++) {
		const char *star;
		size_t star_len, literal = strlen(c->group[i].name);

		if (!c->group[i].wildcard || (out->match && literal <= best) ||
		    !worker_route_glob(c->group[i].name, model, &star, &star_len))
			continue;
		best = literal;
		out->match = ROUTE_MATCH_WILDCARD;
		out->group = i;
		out->star = star;
		out->star_len = star_len;
	}
}

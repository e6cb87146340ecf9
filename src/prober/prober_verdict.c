/* From one result to all slots that it concerns.
 *
 * A probe speaks for every deployment that would send the same bytes: all of them get the verdict, one of
 * them pays. Before it counts, it is compared with what real requests have shown since the probe was sent:
 * real traffic that is newer wins over a 4xx.
 *
 * What is about the key reaches the deployments that use it, as long as nothing says that the key works; one
 * success takes all of that back. What is about the host is no verdict about its other deployments, but a
 * reason to look at a few of them soon. Each of those that fails as well leads on to the next few, so an
 * outage is seen within moments, and costs at most one early probe per deployment.
 *
 * Who is right is decided by prober_policy.c; this file reads the table, asks, and publishes.
 */
#include "hale/hale.h"

#include "prober_verdict.h"

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/cost.h"
#include "hale/deployment.h"
#include "hale/htable_writer.h"
#include "hale/identity.h"
#include "hale/log.h"
#include "hale/outcome.h"
#include "hale/upstream.h"
#include "prober_publish.h"

#define VERDICT_DOUBTS_MAX 8 /* deployments of a host that one failure makes look again */
#define VERDICT_ROUND_MAX 64 /* of its ring that are looked at for that */
#define VERDICT_WAVE_MAX 256 /* of it that are looked at for a wave of refused keys */
#define VERDICT_WAVE_NS (60 * NS_PER_SEC)
#define VERDICT_UNTIL_NS NS_PER_SEC /* a deadline that moved by less is the same */

/* Real traffic of a deployment when its probe was sent. */
struct verdict_base {
	uint64_t start_ns, ok;
	uint32_t inflight;
};

/* What was shared about a key: nobody walks a ring of thousands for nothing. */
struct verdict_key {
	bool shared;       /* some slots hold a verdict about the key */
	uint64_t until_ns; /* the account's limit */
};

struct prober_verdicts {
	struct prober_verdict_env env;
	struct verdict_base *base;
	uint32_t *owner; /* by deployment: the first of those with its key */
	struct verdict_key *key; /* by owner */
};

static void
prober_verdict_base(struct prober_verdicts *v, uint32_t i, uint64_t now_ns)
{
	struct outcome_view o;

	outcome_read(v->env.table, -1, i, &o);
	v->base[i] = (struct verdict_base){.start_ns = now_ns, .ok = o.count[OUTCOME_OK], .inflight = o.inflight};
}

/* Who stands for each key, and which keys have something to take back. */
static void
prober_verdict_keys(struct prober_verdicts *v)
{
	uint32_t n = v->env.conf->ndeployment;
	struct htable_detail detail;
	struct htable_view view;

	v->owner = xcalloc(n + 1, sizeof(*v->owner));
	v->key = xcalloc(n + 1, sizeof(*v->key));
	memset(v->owner, 0xff, n * sizeof(*v->owner));
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t j = i; v->owner[j] == UINT32_MAX; j = v->env.id->credential[j])
			v->owner[j] = i;
		htable_read(v->env.table, i, &view);
		htable_read_detail(v->env.table, i, &detail);
		if (view.state == HEALTH_DOWN && detail.source == SOURCE_CREDENTIAL)
			v->key[v->owner[i]].shared = true;
	}
}

struct prober_verdicts *
prober_verdict_new(const struct prober_verdict_env *env, uint64_t now_ns)
{
	struct prober_verdicts *v = xcalloc(1, sizeof(*v));

	v->env = *env;
	v->base = xcalloc(env->conf->ndeployment + 1, sizeof(*v->base));
	for (uint32_t i = 0; i < env->conf->ndeployment; i++)
		prober_verdict_base(v, i, now_ns);
	prober_verdict_keys(v);
	return v;
}

void
prober_verdict_freep(struct prober_verdicts **v)
{
	if (!*v)
		return;
	free((*v)->base);
	free((*v)->owner);
	free((*v)->key);
	xfreep(v);
}

void
prober_verdict_begin(struct prober_verdicts *v, uint32_t i, uint64_t now_ns)
{
	uint32_t j = i;

	do
		prober_verdict_base(v, j, now_ns);
	while ((j = v->env.id->same[j]) != i);
}

void
prober_verdict_traffic(const struct prober_verdicts *v, uint32_t i, struct policy_traffic *out)
{
	struct outcome_view o;
	uint32_t j = i;

	*out = (struct policy_traffic){0};
	do {
		outcome_read(v->env.table, -1, j, &o);
		out->ok += o.count[OUTCOME_OK] - v->base[j].ok;
		out->inflight += v->base[j].inflight;
		if (o.last_ok_ns > out->last_ok_ns)
			out->last_ok_ns = o.last_ok_ns;
		if (o.last_fail_ns > out->last_fail_ns)
			out->last_fail_ns = o.last_fail_ns;
	} while ((j = v->env.id->same[j]) != i);
}

/* How old a real success may be: every one is seen by a look, though
 * jitter makes the next look a tenth later. */
static uint64_t
prober_verdict_window(const struct prober_verdicts *v)
{
	uint64_t interval_ns = v->env.conf->general.health_check_interval_s * NS_PER_SEC;

	return interval_ns + interval_ns / 4;
}

/* The verdict that real traffic has disproved, as it is shown. */
static void
prober_verdict_veto(struct prober_report *r)
{
	char said[HTABLE_ERROR_BYTES];

	memcpy(said, r->error, sizeof(said));
	snprintf(r->error, sizeof(r->error), "vetoed by real traffic: %.280s", said);
	r->vetoed = true;
	r->result.reason = REASON_BAD_PROBE;
	r->result.neutral = r->result.proven = true;
	r->result.until_ns = 0;
}

/* No probe can be built, and real requests succeed. */
static void
prober_verdict_serves(struct prober_report *r)
{
	r->source = SOURCE_TRAFFIC;
	r->error[0] = '\0';
	r->result.reason = REASON_OK;
	r->result.ok = true;
	r->result.neutral = false;
	r->result.http_status = 200;
	r->result.phase = UPSTREAM_DONE;
}

/* --- the same key --- */

/* Has anything shown since `since_ns` that the key of deployment i works? */
static bool
prober_verdict_key_works(const struct prober_verdicts *v, uint32_t i, uint64_t since_ns)
{
	struct htable_view view;
	struct outcome_view o;
	uint32_t j = i;

	do {
		htable_read(v->env.table, j, &view);
		outcome_read(v->env.table, -1, j, &o);
		if ((view.reason == REASON_OK && view.checked_ns > since_ns) || o.last_ok_ns > since_ns)
			return true;
	} while ((j = v->env.id->credential[j]) != i);
	return false;
}

/* Do most keys at the host of deployment i turn out to be refused at the same time? */
static bool
prober_verdict_is_wave(const struct prober_verdicts *v, uint32_t i, uint64_t now_ns)
{
	unsigned dead = 0, keys = 0, seen = 0;
	struct htable_view view;
	uint32_t j = i;

	do {
		if (v->owner[j] != j)
			continue;
		htable_read(v->env.table, j, &view);
		keys++;
		dead += view.state == HEALTH_DOWN && view.reason == REASON_UNAUTHORIZED &&
		        now_ns - view.changed_ns < VERDICT_WAVE_NS;
	} while ((j = v->env.host[j]) != i && ++seen < VERDICT_WAVE_MAX);
	return prober_policy_is_wave(dead, keys);
}

/* Takes back what was shared about the keys of a host in a wave: each deployment speaks for itself. */
static void
prober_verdict_calm(struct prober_verdicts *v, uint32_t i, uint64_t now_ns)
{
	struct htable_detail detail;
	struct htable_view view;
	unsigned seen = 0;

	log_limited(log_warn, "most keys of a provider are refused at once, which is taken for its trouble and not theirs "
	            "id=%s model=%s", v->env.conf->deployment[i].id, v->env.conf->deployment[i].model);
	for (uint32_t j = v->env.host[i]; j != i && seen < VERDICT_WAVE_MAX; j = v->env.host[j], seen++) {
		htable_read(v->env.table, j, &view);
		if (view.state != HEALTH_DOWN || view.reason != REASON_UNAUTHORIZED)
			continue;
		htable_read_detail(v->env.table, j, &detail);
		if (detail.source == SOURCE_CREDENTIAL)
			prober_publish_unshared(v->env.table, &v->env.conf->deployment[j], now_ns);
	}
}

static void
prober_verdict_share(struct prober_verdicts *v, uint32_t i, const struct prober_report *r, uint64_t now_ns)
{
	const struct conf *c = v->env.conf;
	const struct identity *id = v->env.id;
	struct htable_view view;

	if (prober_verdict_key_works(v, i, v->base[i].start_ns))
		return;
	if (r->result.reason == REASON_UNAUTHORIZED && prober_verdict_is_wave(v, i, now_ns)) {
		prober_verdict_calm(v, i, now_ns);
		return;
	}
	for (uint32_t j = id->credential[i]; j != i; j = id->credential[j]) {
		htable_read(v->env.table, j, &view);
		if (id->leader[j] == id->leader[i] || view.state == HEALTH_DOWN ||
		    !v->env.ops->wants(v->env.arg, j))
			continue;
		prober_verdict_base(v, j, now_ns);
		v->key[v->owner[i]].shared = true;
		prober_publish_shared(v->env.table, &c->deployment[j], &c->deployment[i], r, now_ns);
	}
}

/* The key of deployment i works. */
static void
prober_verdict_unshare(struct prober_verdicts *v, uint32_t i, uint64_t now_ns)
{
	const struct identity *id = v->env.id;
	struct htable_detail detail;
	struct htable_view view;

	if (!v->key[v->owner[i]].shared)
		return;
	v->key[v->owner[i]].shared = false;
	for (uint32_t j = id->credential[i]; j != i; j = id->credential[j]) {
		htable_read(v->env.table, j, &view);
		if (view.state != HEALTH_DOWN)
			continue;
		htable_read_detail(v->env.table, j, &detail);
		if (detail.source != SOURCE_CREDENTIAL)
			continue;
		prober_publish_unshared(v->env.table, &v->env.conf->deployment[j], now_ns);
		v->env.ops->doubt(v->env.arg, id->leader[j]);
	}
}

static void
prober_verdict_share_until(struct prober_verdicts *v, uint32_t i, uint64_t until_ns)
{
	const struct identity *id = v->env.id;
	struct verdict_key *key = &v->key[v->owner[i]];
	struct htable_view view;

	if (until_ns < key->until_ns + VERDICT_UNTIL_NS)
		return;
	key->until_ns = until_ns;
	for (uint32_t j = id->credential[i]; j != i; j = id->credential[j]) {
		htable_read(v->env.table, j, &view);
		if (view.until_ns >= until_ns || !v->env.ops->wants(v->env.arg, j))
			continue;
		view.until_ns = until_ns;
		htable_publish(v->env.table, j, &view);
	}
}

/* --- the same host --- */

/* Deployment i met, or no longer meets, trouble with its host: a few others are looked at again. */
static void
prober_verdict_doubt_host(struct prober_verdicts *v, uint32_t i, bool down)
{
	unsigned doubts = 0, seen = 0;
	struct htable_view view;

	for (uint32_t j = v->env.host[i]; j != i && doubts < VERDICT_DOUBTS_MAX && seen < VERDICT_ROUND_MAX;
	     j = v->env.host[j], seen++) {
		if (v->env.id->leader[j] != j)
			continue;
		htable_read(v->env.table, j, &view);
		if (down ? view.state == HEALTH_DOWN || view.checked_ns >= v->base[i].start_ns
		         : view.state != HEALTH_DOWN ||
		                    !prober_policy_is_host((enum health_reason)view.reason, view.phase))
			continue;
		v->env.ops->doubt(v->env.arg, j);
		doubts++;
	}
}

/* --- the result --- */

static void
prober_verdict_spread(struct prober_verdicts *v, uint32_t i, const struct prober_report *r,
                      const struct htable_view *old, const struct htable_view *new, uint64_t now_ns)
{
	bool was_host = old->state == HEALTH_DOWN &&
	                prober_policy_is_host((enum health_reason)old->reason, old->phase);
	bool is_host = new->state == HEALTH_DOWN && prober_policy_is_host((enum health_reason)new->reason, new->phase);

	if (r->result.ok || r->vetoed)
		prober_verdict_unshare(v, i, now_ns);
	else if (prober_policy_is_credential(&r->result) && new->state == HEALTH_DOWN &&
	         (old->state != HEALTH_DOWN || old->reason != new->reason))
		prober_verdict_share(v, i, r, now_ns);
	else if (prober_policy_is_account_limit(r))
		prober_verdict_share_until(v, i, r->result.until_ns);
	if (is_host && old->state != HEALTH_DOWN)
		prober_verdict_doubt_host(v, i, true);
	else if (was_host && r->result.ok)
		prober_verdict_doubt_host(v, i, false);
}

static void
prober_verdict_publish(struct prober_verdicts *v, uint32_t i, const struct prober_report *r, uint64_t now_ns,
                       uint32_t random, struct htable_view *out)
{
	const struct deployment *d = &v->env.conf->deployment[i];
	struct prober_thresholds t = *v->env.background;

	if (!conf_is_background(v->env.conf, d))
		t.interval_ns = 0;
	prober_publish_report(v->env.table, d, r, &t, now_ns, random, out);
	v->env.ops->published(v->env.arg, i, out);
}

void
prober_verdict_apply(struct prober_verdicts *v, uint32_t i, const struct prober_report *report,
                     uint64_t now_ns)
{
	const struct identity *id = v->env.id;
	struct prober_report r = *report, copy;
	uint32_t random = arc4random(); /* one for all, so that they are due together */
	struct policy_traffic traffic;
	struct htable_view old, new, other;

	prober_verdict_traffic(v, i, &traffic);
	if (prober_policy_vetoes(&r.result, &traffic, prober_verdict_window(v), now_ns))
		prober_verdict_veto(&r);
	else if (prober_policy_stands_in(&r.result, &traffic, prober_verdict_window(v), now_ns))
		prober_verdict_serves(&r);
	r.day = cost_day(clock_real_ns());
	htable_add_tokens(v->env.table, r.day, r.result.cost_tokens);
	htable_read(v->env.table, i, &old);
	prober_verdict_publish(v, i, &r, now_ns, random, &new);
	copy = r;
	copy.result.cost_tokens = 0;
	copy.requests = 0;
	if (r.source == SOURCE_PROBE)
		copy.source = SOURCE_IDENTICAL;
	for (uint32_t j = id->same[i]; j != i; j = id->same[j])
		if (v->env.ops->wants(v->env.arg, j))
			prober_verdict_publish(v, j, &copy, now_ns, random, &other);
	prober_verdict_spread(v, i, &r, &old, &new, now_ns);
}

/* --- later --- */

/* The verdict in a slot, as far as it can be disproved. */
static void
prober_verdict_recall(const struct htable_view *view, const struct htable_detail *d, struct prober_report *r)
{
	*r = (struct prober_report){
		.source = (enum health_source)d->source,
		.day = d->day,
		.estimated = d->flags & HTABLE_ESTIMATED,
		.limited = d->flags & HTABLE_LIMITED,
		.result = {
			.reason = (enum health_reason)view->reason,
			.phase = view->phase,
			.adapt = view->adapt,
			.http_status = view->http_status,
			.latency_us = view->latency_us,
		},
	};
	memcpy(r->error, d->error, sizeof(r->error));
	memcpy(r->ratelimit_requests, d->ratelimit_requests, sizeof(r->ratelimit_requests));
	memcpy(r->ratelimit_tokens, d->ratelimit_tokens, sizeof(r->ratelimit_tokens));
	memcpy(r->ms_region, d->ms_region, sizeof(r->ms_region));
}

/* One slot of a class whose traffic is t. */
static void
prober_verdict_review_one(struct prober_verdicts *v, uint32_t i, const struct policy_traffic *t,
                          uint64_t now_ns)
{
	struct htable_detail detail;
	struct htable_view view;
	struct prober_report r;

	htable_read(v->env.table, i, &view);
	if (view.state != HEALTH_DOWN)
		return;
	htable_read_detail(v->env.table, i, &detail);
	prober_verdict_recall(&view, &detail, &r);
	if (!prober_policy_vetoes(&r.result, t, prober_verdict_window(v), now_ns))
		return;
	prober_verdict_veto(&r);
	prober_publish_vetoed(v->env.table, &v->env.conf->deployment[i], &r, now_ns);
	if (view.reason == REASON_UNAUTHORIZED || view.reason == REASON_OUT_OF_FUNDS)
		prober_verdict_unshare(v, i, now_ns);
}

void
prober_verdict_review(struct prober_verdicts *v, uint64_t now_ns)
{
	const struct identity *id = v->env.id;
	struct policy_traffic traffic;
	struct htable_view view;

	for (uint32_t i = 0; i < id->count; i++) {
		uint32_t j = i;

		if (id->leader[i] != i)
			continue;
		htable_read(v->env.table, i, &view);
		if (view.state != HEALTH_DOWN || view.http_status < 400 || view.http_status >= 500)
			continue;
		prober_verdict_traffic(v, i, &traffic);
		if (traffic.ok <= traffic.inflight) /* what began before the probe cannot disprove it now */
			continue;
		do
			prober_verdict_review_one(v, j, &traffic, now_ns);
		while ((j = id->same[j]) != i);
	}
}

void
prober_verdict_inherit(struct prober_verdicts *v)
{
	const struct identity *id = v->env.id;
	struct htable_detail detail;
	struct htable_view view, known;

	for (uint32_t i = 0; i < id->count; i++) {
		uint32_t j = id->same[i];

		htable_read(v->env.table, i, &view);
		if (view.checked_ns || !v->env.ops->wants(v->env.arg, i))
			continue;
		for (; j != i; j = id->same[j]) {
			htable_read(v->env.table, j, &known);
			if (known.checked_ns)
				break;
		}
		if (j == i)
			continue;
		htable_read_detail(v->env.table, j, &detail);
		detail.source = SOURCE_IDENTICAL;
		detail.probes = detail.failures = detail.cost_tokens_total = 0;
		detail.tokens_today = detail.skipped = detail.withheld = 0;
		htable_publish_detail(v->env.table, i, &detail);
		known.id_hash = v->env.conf->deployment[i].id_hash;
		known.cost_tokens = 0;
		htable_publish(v->env.table, i, &known);
	}
}

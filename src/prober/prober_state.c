/* From single probe results to a state worth routing on.
 *
 * Pure: (old state, result, thresholds, now) -> new state. No clock, no I/O, no log, so that the whole
 * table of transitions is tested without a daemon (tests/unit/test_prober_state.c).
 *
 * A deployment starts UNKNOWN, which routes like UP but is reported as unknown: refusing traffic because
 * we have not looked yet would turn a restart into an outage. It takes `fall` consecutive failures to go
 * DOWN and `rise` successes to come back; with 1 and 1 every result is a verdict, which is what LiteLLM
 * does. From UNKNOWN the same thresholds lead to either side.
 *
 * A neutral result (our own payload was refused, or a transient error that the configuration ignores) is
 * shown but is no evidence against the deployment: it never takes one out. It does end a DOWN: the
 * upstream has answered, and nothing that it said keeps the older verdict alive. A neutral result that real
 * traffic contradicts (`proven`) is stronger: the deployment is UP.
 */
#include "hale/hale.h"

#include "prober_state.h"

static uint8_t
prober_state_count(uint8_t n)
{
	return n < UINT8_MAX ? n + 1 : n;
}

static uint32_t
prober_state_threshold(uint32_t n)
{
	return n == 0 ? 1 : n > UINT8_MAX ? UINT8_MAX : n;
}

/* In transition: the last results disagree with the state, and one more may change it. */
static bool
prober_state_moving(const struct htable_view *v)
{
	return (v->state == HEALTH_UP && v->fall > 0) || (v->state == HEALTH_DOWN && v->rise > 0) ||
	       (v->state == HEALTH_UNKNOWN && (v->rise > 0 || v->fall > 0));
}

static uint64_t
prober_state_due(const struct htable_view *v, const struct prober_thresholds *t, uint64_t now_ns)
{
	uint64_t after = t->interval_ns, due;

	if (after == 0)
		return 0;
	if (prober_state_moving(v)) {
		if (t->fast_ns)
			after = t->fast_ns;
	} else if (v->state == HEALTH_DOWN && t->down_ns) {
		after = t->down_ns;
	}
	due = now_ns + after;
	/* Asking before the announced moment can only give the same answer; beyond the normal interval the
	 * announcement is not trusted. */
	if (v->until_ns > due && due < now_ns + t->interval_ns)
		due = v->until_ns < now_ns + t->interval_ns ? v->until_ns : now_ns + t->interval_ns;
	return due;
}

void
prober_state_next(const struct htable_view *old, const struct prober_result *r, const struct prober_thresholds *t,
                  uint64_t now_ns, struct htable_view *new)
{
	*new = (struct htable_view){
		.id_hash = old->id_hash,
		.checked_ns = now_ns,
		.changed_ns = old->changed_ns,
		.until_ns = r->reason == REASON_RATE_LIMITED ? r->until_ns : 0,
		.state = old->state,
		.reason = (uint8_t)r->reason,
		.phase = r->phase,
		.adapt = r->adapt,
		.rise = old->rise,
		.fall = old->fall,
		.http_status = r->http_status,
		.latency_us = r->latency_us,
		.cost_tokens = r->cost_tokens,
	};
	if (r->neutral && r->proven) {
		new->state = HEALTH_UP;
		new->fall = 0;
	} else if (r->neutral) {
		if (old->state == HEALTH_DOWN) {
			new->state = HEALTH_UNKNOWN;
			new->rise = new->fall = 0;
		}
	} else if (r->ok) {
		new->fall = 0;
		new->rise = prober_state_count(old->rise);
		if (new->rise >= prober_state_threshold(t->rise))
			new->state = HEALTH_UP;
	} else {
		new->rise = 0;
		new->fall = prober_state_count(old->fall);
		if (new->fall >= prober_state_threshold(t->fall))
			new->state = HEALTH_DOWN;
	}
	if (new->state != old->state)
		new->changed_ns = now_ns;
	new->next_ns = prober_state_due(new, t, now_ns);
}

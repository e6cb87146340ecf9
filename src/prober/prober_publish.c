/* The only caller of htable_publish(): one result becomes slot, detail, history and, when it changed
 * something, one log line. Sameness is never logged: it is in the counters and in the history.
 */
#include "hale/hale.h"

#include "prober_publish.h"

#include "hale/clock.h"
#include "hale/deployment.h"
#include "hale/htable_writer.h"
#include "hale/log.h"
#include "hale/upstream.h"
#include "prober_sched.h"

/* Reasons that say something about us, not about the deployment: worth a line when they appear. */
static bool
prober_publish_is_ours(enum health_reason r)
{
	return r == REASON_BAD_PROBE || r == REASON_NO_PROBE;
}

static void
prober_publish_log(const struct deployment *d, const struct htable_view *old, const struct htable_view *new,
                   const struct prober_report *r)
{
	bool changed = new->state != old->state, ours = prober_publish_is_ours(r->result.reason);
	char line[1024];

	if (new->adapt != old->adapt)
		log_info("probe adapted form=%u requests=%u id=%s model=%s group=%s", new->adapt, r->requests, d->id,
		         d->model, d->model_name);
	if (!changed && !(ours && new->reason != old->reason))
		return;
	snprintf(line, sizeof(line),
	         "deployment state %s -> %s reason=%s status=%u phase=%s latency_ms=%u id=%s model=%s group=%s%s%s",
	         health_state_name((enum health_state)old->state), health_state_name((enum health_state)new->state),
	         health_reason_name(r->result.reason), new->http_status,
	         upstream_phase_name((enum upstream_phase)new->phase), new->latency_us / 1000, d->id, d->model,
	         d->model_name, r->error[0] ? " error=" : "", r->error);
	if (new->state == HEALTH_DOWN || ours)
		log_warn("%s", line);
	else if (old->state == HEALTH_UNKNOWN && old->checked_ns == 0) /* the first success is no news */
		log_debug("%s", line);
	else
		log_info("%s", line);
}

static void
prober_publish_detail(struct htable *t, uint32_t i, const struct prober_report *r)
{
	struct htable_detail d;

	htable_read_detail(t, i, &d);
	memcpy(d.error, r->error, sizeof(d.error));
	memcpy(d.ratelimit_requests, r->ratelimit_requests, sizeof(d.ratelimit_requests));
	memcpy(d.ratelimit_tokens, r->ratelimit_tokens, sizeof(d.ratelimit_tokens));
	memcpy(d.ms_region, r->ms_region, sizeof(d.ms_region));
	d.probes += r->requests;
	d.failures += !r->result.ok;
	d.cost_tokens_total += r->result.cost_tokens;
	d.skipped += r->skipped;
	if (d.day != r->day)
		d.tokens_today = 0;
	d.day = r->day;
	d.tokens_today += r->result.cost_tokens;
	d.source = (uint8_t)r->source;
	d.flags = (uint8_t)((r->vetoed ? HTABLE_VETOED : 0) | (r->estimated ? HTABLE_ESTIMATED : 0) |
	                    (r->limited ? HTABLE_LIMITED : 0));
	htable_publish_detail(t, i, &d);
}

void
prober_publish_report(struct htable *t, const struct deployment *d, const struct prober_report *r,
                      const struct prober_thresholds *thresholds, uint64_t now_ns, uint32_t random,
                      struct htable_view *out)
{
	struct htable_view old;

	htable_read(t, d->index, &old);
	old.id_hash = d->id_hash;
	prober_state_next(&old, &r->result, thresholds, now_ns, out);
	out->next_ns = prober_sched_jitter(now_ns, out->next_ns, random);
	prober_publish_detail(t, d->index, r); /* before the slot: who sees the verdict finds its text */
	htable_publish(t, d->index, out);
	htable_append_history(t, d->index, now_ns, out->latency_us, (enum health_state)out->state, r->result.reason);
	prober_publish_log(d, &old, out, r);
}

void
prober_publish_shared(struct htable *t, const struct deployment *d, const struct deployment *from,
                      const struct prober_report *r, uint64_t now_ns)
{
	struct prober_report told = *r;
	struct htable_view old, new;
	struct htable_detail detail;

	snprintf(told.error, sizeof(told.error), "shared from %.100s: %.200s", from->model_name, r->error);
	htable_read(t, d->index, &old);
	new = old;
	new.checked_ns = new.changed_ns = now_ns;
	new.state = HEALTH_DOWN;
	new.reason = (uint8_t)r->result.reason;
	new.phase = r->result.phase;
	new.http_status = r->result.http_status;
	new.rise = 0;
	new.fall = 1;
	htable_read_detail(t, d->index, &detail);
	memcpy(detail.error, told.error, sizeof(detail.error));
	detail.source = SOURCE_CREDENTIAL;
	detail.flags &= (uint8_t)~HTABLE_VETOED;
	htable_publish_detail(t, d->index, &detail);
	htable_publish(t, d->index, &new);
	htable_append_history(t, d->index, now_ns, 0, HEALTH_DOWN, r->result.reason);
	prober_publish_log(d, &old, &new, &told);
}

void
prober_publish_unshared(struct htable *t, const struct deployment *d, uint64_t now_ns)
{
	struct prober_report works = {.result = {.reason = REASON_OK}};
	struct htable_view old, new;
	struct htable_detail detail;

	htable_read(t, d->index, &old);
	new = old;
	new.changed_ns = now_ns;
	new.state = HEALTH_UNKNOWN;
	new.reason = REASON_OK;
	new.http_status = 200;
	new.rise = new.fall = 0;
	htable_read_detail(t, d->index, &detail);
	detail.error[0] = '\0';
	htable_publish_detail(t, d->index, &detail);
	htable_publish(t, d->index, &new);
	prober_publish_log(d, &old, &new, &works);
}

void
prober_publish_vetoed(struct htable *t, const struct deployment *d, const struct prober_report *r,
                      uint64_t now_ns)
{
	struct htable_view old, new;
	struct htable_detail detail;

	htable_read(t, d->index, &old);
	new = old;
	new.checked_ns = new.changed_ns = now_ns;
	new.until_ns = 0;
	new.state = HEALTH_UP;
	new.reason = (uint8_t)r->result.reason;
	new.fall = 0;
	htable_read_detail(t, d->index, &detail);
	memcpy(detail.error, r->error, sizeof(detail.error));
	detail.flags |= HTABLE_VETOED;
	htable_publish_detail(t, d->index, &detail);
	htable_publish(t, d->index, &new);
	htable_append_history(t, d->index, now_ns, new.latency_us, HEALTH_UP, r->result.reason);
	prober_publish_log(d, &old, &new, r);
}

void
prober_publish_withheld(struct htable *t, uint32_t i, uint32_t day, uint64_t next_ns)
{
	struct htable_view v;
	struct htable_detail d;

	htable_read_detail(t, i, &d);
	if (d.day != day)
		d.tokens_today = 0;
	d.day = day;
	d.flags |= HTABLE_LIMITED;
	d.withheld++;
	htable_publish_detail(t, i, &d);
	htable_read(t, i, &v);
	v.next_ns = next_ns;
	htable_publish(t, i, &v);
}

void
prober_publish_adopt(struct htable *t, uint32_t i, uint64_t next_ns, struct htable_view *v)
{
	uint8_t adapt = v->reason == REASON_BAD_PROBE ? 0 : v->adapt;

	if (v->adapt == adapt && v->next_ns == next_ns)
		return;
	v->adapt = adapt;
	v->next_ns = next_ns;
	htable_publish(t, i, v);
}

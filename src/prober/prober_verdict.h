/* Whom a result concerns: the deployments with the same probe, the same key, the same host. */
#ifndef HALE_PROBER_VERDICT_H
#define HALE_PROBER_VERDICT_H

#include "prober_check.h"
#include "prober_policy.h"
#include "prober_state.h"

struct conf;
struct htable;
struct identity;

struct prober_verdict_ops {
	/* Does deployment i want results: is it probed in the background, or does a round wait for it? */
	bool (*wants)(void *arg, uint32_t i);
	/* Deployment i has a new view, from a probe or in its place. */
	void (*published)(void *arg, uint32_t i, const struct htable_view *v);
	/* What is known of deployment i is doubtful: its next probe should not wait for its turn. */
	void (*doubt)(void *arg, uint32_t i);
};

/* What verdicts need of their process; outlives them. */
struct prober_verdict_env {
	struct htable *table;
	const struct conf *conf;
	const struct identity *id;
	const uint32_t *host;                   /* ring of the deployments of a host */
	const struct prober_thresholds *background; /* for deployments that are scheduled; others get no next probe */
	const struct prober_verdict_ops *ops;
	void *arg;
};

struct prober_verdicts;

struct prober_verdicts *prober_verdict_new(const struct prober_verdict_env *env, uint64_t now_ns);
void prober_verdict_freep(struct prober_verdicts **v);

/* The probe of leader i is being sent: real requests that begin from now on are newer than it. */
void prober_verdict_begin(struct prober_verdicts *v, uint32_t i, uint64_t now_ns);
/* Real traffic of all that leader i speaks for. */
void prober_verdict_traffic(const struct prober_verdicts *v, uint32_t i, struct policy_traffic *out);
/* The probe ended, or was not needed (r->source): publishes for everybody whom it concerns. */
void prober_verdict_apply(struct prober_verdicts *v, uint32_t i, const struct prober_report *r,
                          uint64_t now_ns);
/* Looks whether real traffic has contradicted a verdict since; now and then. */
void prober_verdict_review(struct prober_verdicts *v, uint64_t now_ns);
/* Deployments that nothing is known of take over what is known of an identical one. At start. */
void prober_verdict_inherit(struct prober_verdicts *v);

#endif

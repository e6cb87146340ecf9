/* When a probe is needed, when its verdict counts, and whom it concerns. Pure. */
#ifndef HALE_PROBER_POLICY_H
#define HALE_PROBER_POLICY_H

#include "hale/htable.h"

struct prober_report;
struct prober_result;

/* Real traffic of the deployments that a probe speaks for, seen since the probe was sent. */
struct policy_traffic {
	uint64_t ok;         /* requests that succeeded since then */
	uint64_t inflight;   /* requests that were in flight then */
	uint64_t last_ok_ns, last_fail_ns; /* ends of the newest ones; 0: never */
};

/* Real requests show that the probe is not needed: the newest one
 * succeeded, within the window. window 0: never. */
bool prober_policy_skips(const struct policy_traffic *t, uint64_t window_ns, uint64_t now_ns);

/* Real requests say what no probe can: there is none for this mode, provider or wildcard. */
bool prober_policy_stands_in(const struct prober_result *r, const struct policy_traffic *t,
                             uint64_t window_ns, uint64_t now_ns);

/* Real requests show that a probe's verdict is wrong. Only a 4xx can be: it may be the probe's own fault.
 *
 * What is about the request (404 and its like) yields to a success within `window_ns`. What is
 * about the credential (401, 402, 403, 429) yields only to a request that began after the probe
 * did: more successes than there were requests in flight prove that there is one. In neither
 * case when the newest real request failed. */
bool prober_policy_vetoes(const struct prober_result *r, const struct policy_traffic *t, uint64_t window_ns,
                          uint64_t now_ns);

/* The answer is about the key, not about this deployment: all that use the key are as dead. 403 is not: it
 * is what providers say when a key may not use one model. */
bool prober_policy_is_credential(const struct prober_result *r);
/* A rate limit that the provider calls account-wide: every deployment of the key waits for its end.
 * Without such words it is taken for one model's. */
bool prober_policy_is_account_limit(const struct prober_report *r);
/* Of so many keys at one provider so many were refused within a
 * minute: its trouble, and not the keys' death. */
bool prober_policy_is_wave(unsigned dead, unsigned keys);
/* No connection, or none in time: the host's trouble, which its other deployments may have as well. */
bool prober_policy_is_host(enum health_reason reason, unsigned phase);

/* May a probe be sent now? */
enum policy_budget {
	POLICY_GO = 0,
	POLICY_WAIT,  /* what is in flight may use up the rest: ask again soon */
	POLICY_SPENT, /* until the next UTC day */
};
/* limit 0: none. flying: estimates of the probes in flight. */
enum policy_budget prober_policy_budget(uint64_t limit, uint64_t spent, uint64_t flying);

#endif

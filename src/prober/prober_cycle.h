/* Cycles of the background loop, for logs and for "has everything been checked once". Pure but for the log. */
#ifndef HALE_PROBER_CYCLE_H
#define HALE_PROBER_CYCLE_H

#include "hale/hale.h"

/* Probes have due times of their own, so a cycle is an account, not a phase: it ends when every enabled deployment
 * was checked once since the last end. Its duration is that of its slowest check, from due to done, which is what a
 * loop that probes everything at once would have taken. */
struct prober_cycle {
	uint64_t number;   /* cycles completed */
	uint32_t left;     /* deployments that this cycle still waits for */
	uint32_t enabled;
	uint64_t longest_ns;
	bool *seen;        /* by deployment; true as well for those that are not enabled */
};

/* enabled[i]: deployment i is probed in the background. */
void prober_cycle_init(struct prober_cycle *c, const bool *enabled, uint32_t count);
void prober_cycle_release(struct prober_cycle *c);
/* Deployment i was checked; true when that completed the cycle (the next one has begun then, *duration_ns is that of
 * the completed one). enabled as above. */
bool prober_cycle_add(struct prober_cycle *c, const bool *enabled, uint32_t count, uint32_t i, uint64_t took_ns,
                      uint64_t *duration_ns);

#endif

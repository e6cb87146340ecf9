/* From single probe results to a state worth routing on. Pure: (old, result, thresholds, now) -> new. */
#ifndef HALE_PROBER_STATE_H
#define HALE_PROBER_STATE_H

#include "hale/htable.h"

struct prober_result {
	enum health_reason reason;
	/* neutral: shown, but no evidence against the deployment (bad_probe, no_probe, ignored transients) */
	bool ok, neutral;
	bool proven; /* with neutral: real traffic shows that it works, whatever the probe said */
	uint8_t phase, adapt;
	uint16_t http_status;
	uint32_t latency_us, cost_tokens;
	uint64_t until_ns;
};

struct prober_thresholds {
	uint32_t rise, fall;                    /* 1..255; 0 counts as 1 */
	uint64_t interval_ns, fast_ns, down_ns; /* interval 0: not scheduled; fast, down: 0 = interval */
};

/* Fills every field of *new; next_ns = now + the interval that fits the new state, without jitter. */
void prober_state_next(const struct htable_view *old, const struct prober_result *r, const struct prober_thresholds *t,
                       uint64_t now_ns, struct htable_view *new);

#endif

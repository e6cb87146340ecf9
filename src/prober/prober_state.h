/* From single probe results to a state worth routing on. Pure: (old, result, thresholds, now) -> new. */
#ifndef HALE_PROBER_STATE_H
#define HALE_PROBER_STATE_H

#include "hale/htable.h"

struct prober_result {
	enum health_reason reason;
	bool ok, neutral; /* neutral: shown, does not change the state (bad_probe, ignored transients) */
	uint8_t phase, adapt;
	uint16_t http_status;
	uint32_t latency_us, cost_tokens;
	uint64_t until_ns;
};

struct prober_thresholds {
	uint32_t rise, fall;
	uint64_t interval_ns, fast_ns, down_ns; /* fast, down: 0 = interval */
};

/* Fills every field of *new except next_ns' jitter; next_ns = now + the interval that fits the new state. */
void prober_state_next(const struct htable_view *old, const struct prober_result *r, const struct prober_thresholds *t,
                       uint64_t now_ns, struct htable_view *new);

#endif

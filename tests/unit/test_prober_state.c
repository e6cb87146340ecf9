/* prober_state: the whole table of transitions. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/clock.h"
#include "prober_state.h"

#define NOW (1000 * NS_PER_SEC)
#define OK (&result_ok)
#define BAD (&result_bad)
#define NEUTRAL (&result_neutral)
#define VETOED (&result_vetoed)

static const struct prober_result result_ok = {.reason = REASON_OK, .ok = true, .http_status = 200};
static const struct prober_result result_bad = {.reason = REASON_SERVER_ERROR, .http_status = 500};
static const struct prober_result result_vetoed = {.reason = REASON_BAD_PROBE, .neutral = true, .proven = true,
                                                   .http_status = 404};
static const struct prober_result result_neutral = {.reason = REASON_BAD_PROBE, .neutral = true, .http_status = 400};

struct step {
	uint8_t rise_at, fall_at;                /* thresholds */
	enum health_state old;
	uint8_t rise, fall;                      /* counters before */
	const struct prober_result *result;
	enum health_state new;
	uint8_t new_rise, new_fall;
};

static const struct step steps[] = {
	/* thresholds 1 and 1: every result is a verdict */
	{1, 1, HEALTH_UNKNOWN, 0, 0, OK, HEALTH_UP, 1, 0},
	{1, 1, HEALTH_UNKNOWN, 0, 0, BAD, HEALTH_DOWN, 0, 1},
	{1, 1, HEALTH_UNKNOWN, 0, 0, NEUTRAL, HEALTH_UNKNOWN, 0, 0},
	{1, 1, HEALTH_UP, 9, 0, OK, HEALTH_UP, 10, 0},
	{1, 1, HEALTH_UP, 9, 0, BAD, HEALTH_DOWN, 0, 1},
	{1, 1, HEALTH_UP, 9, 0, NEUTRAL, HEALTH_UP, 9, 0},
	{1, 1, HEALTH_DOWN, 0, 4, OK, HEALTH_UP, 1, 0},
	{1, 1, HEALTH_DOWN, 0, 4, BAD, HEALTH_DOWN, 0, 5},
	{1, 1, HEALTH_DOWN, 0, 4, NEUTRAL, HEALTH_UNKNOWN, 0, 0},
	{0, 0, HEALTH_UNKNOWN, 0, 0, OK, HEALTH_UP, 1, 0},
	{0, 0, HEALTH_UP, 3, 0, BAD, HEALTH_DOWN, 0, 1},
	/* thresholds 2 and 3 */
	{2, 3, HEALTH_UNKNOWN, 0, 0, OK, HEALTH_UNKNOWN, 1, 0},
	{2, 3, HEALTH_UNKNOWN, 1, 0, OK, HEALTH_UP, 2, 0},
	{2, 3, HEALTH_UNKNOWN, 1, 0, BAD, HEALTH_UNKNOWN, 0, 1},
	{2, 3, HEALTH_UNKNOWN, 0, 2, BAD, HEALTH_DOWN, 0, 3},
	{2, 3, HEALTH_UNKNOWN, 0, 2, OK, HEALTH_UNKNOWN, 1, 0},
	{2, 3, HEALTH_UP, 5, 0, BAD, HEALTH_UP, 0, 1},
	{2, 3, HEALTH_UP, 0, 1, BAD, HEALTH_UP, 0, 2},
	{2, 3, HEALTH_UP, 0, 2, BAD, HEALTH_DOWN, 0, 3},
	{2, 3, HEALTH_UP, 0, 2, OK, HEALTH_UP, 1, 0},
	{2, 3, HEALTH_UP, 0, 2, NEUTRAL, HEALTH_UP, 0, 2},
	{2, 3, HEALTH_DOWN, 0, 3, OK, HEALTH_DOWN, 1, 0},
	{2, 3, HEALTH_DOWN, 1, 0, OK, HEALTH_UP, 2, 0},
	{2, 3, HEALTH_DOWN, 1, 0, BAD, HEALTH_DOWN, 0, 1},
	{2, 3, HEALTH_DOWN, 1, 0, NEUTRAL, HEALTH_UNKNOWN, 0, 0},
	/* real traffic knows better than the probe */
	{2, 3, HEALTH_UNKNOWN, 0, 2, VETOED, HEALTH_UP, 0, 0},
	{2, 3, HEALTH_UP, 1, 1, VETOED, HEALTH_UP, 1, 0},
	{2, 3, HEALTH_DOWN, 0, 3, VETOED, HEALTH_UP, 0, 0},
	/* counters saturate */
	{1, 1, HEALTH_UP, 255, 0, OK, HEALTH_UP, 255, 0},
	{1, 1, HEALTH_DOWN, 0, 255, BAD, HEALTH_DOWN, 0, 255},
	{1, 255, HEALTH_UP, 0, 254, BAD, HEALTH_DOWN, 0, 255},
};

static void
test_transitions(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(steps); i++) {
		const struct step *s = &steps[i];
		struct prober_thresholds t = {.rise = s->rise_at, .fall = s->fall_at, .interval_ns = NS_PER_SEC};
		struct htable_view old = {.state = (uint8_t)s->old, .rise = s->rise, .fall = s->fall, .changed_ns = 7,
		                          .id_hash = 42, .checked_ns = 9}, new;

		prober_state_next(&old, s->result, &t, NOW, &new);
		if (new.state != s->new || new.rise != s->new_rise || new.fall != s->new_fall)
			fail_msg("step %zu: state %u rise %u fall %u", i, new.state, new.rise, new.fall);
		assert_int_equal(new.changed_ns, s->new == s->old ? 7 : NOW);
		assert_int_equal(new.checked_ns, NOW);
		assert_int_equal(new.id_hash, 42);
		assert_int_equal(new.reason, s->result->reason);
		assert_int_equal(new.http_status, s->result->http_status);
	}
}

/* Result fields reach the slot; a deadline only for the reason that has one. */
static void
test_fields(void **state)
{
	struct prober_result r = {.reason = REASON_RATE_LIMITED, .phase = 3, .adapt = 2, .http_status = 429,
	                          .latency_us = 1234, .cost_tokens = 17, .until_ns = NOW + NS_PER_SEC};
	struct prober_thresholds t = {.rise = 1, .fall = 1, .interval_ns = 10 * NS_PER_SEC};
	struct htable_view old = {0}, new;

	(void)state;
	prober_state_next(&old, &r, &t, NOW, &new);
	assert_int_equal(new.phase, 3);
	assert_int_equal(new.adapt, 2);
	assert_int_equal(new.latency_us, 1234);
	assert_int_equal(new.cost_tokens, 17);
	assert_int_equal(new.until_ns, NOW + NS_PER_SEC);
	r.reason = REASON_SERVER_ERROR;
	prober_state_next(&new, &r, &t, NOW, &old);
	assert_int_equal(old.until_ns, 0);
}

struct pace {
	struct prober_thresholds t;
	enum health_state old;
	uint8_t rise, fall;
	const struct prober_result *result;
	uint64_t after_s; /* 0: not scheduled */
};

#define S(n) ((n)*NS_PER_SEC)

static const struct pace paces[] = {
	{{1, 1, S(300), 0, 0}, HEALTH_UP, 1, 0, OK, 300},
	{{1, 1, S(300), 0, 0}, HEALTH_UP, 1, 0, BAD, 300},
	{{1, 1, 0, S(5), S(5)}, HEALTH_UP, 1, 0, BAD, 0},
	{{2, 3, S(300), S(5), S(60)}, HEALTH_UP, 9, 0, OK, 300},
	{{2, 3, S(300), S(5), S(60)}, HEALTH_UP, 9, 0, BAD, 5},   /* on the way down */
	{{2, 3, S(300), S(5), S(60)}, HEALTH_UP, 0, 2, BAD, 60},  /* down */
	{{2, 3, S(300), S(5), S(60)}, HEALTH_DOWN, 0, 3, BAD, 60},
	{{2, 3, S(300), S(5), S(60)}, HEALTH_DOWN, 0, 3, OK, 5},  /* on the way up */
	{{2, 3, S(300), S(5), S(60)}, HEALTH_DOWN, 1, 0, OK, 300},
	{{2, 3, S(300), S(5), S(60)}, HEALTH_UNKNOWN, 0, 0, OK, 5},
	{{2, 3, S(300), S(5), S(60)}, HEALTH_UNKNOWN, 0, 0, NEUTRAL, 300},
	{{2, 3, S(300), 0, S(900)}, HEALTH_DOWN, 0, 3, BAD, 900}, /* slower while down */
};

static void
test_intervals(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(paces); i++) {
		const struct pace *p = &paces[i];
		struct htable_view old = {.state = (uint8_t)p->old, .rise = p->rise, .fall = p->fall}, new;

		prober_state_next(&old, p->result, &p->t, NOW, &new);
		if (new.next_ns != (p->after_s ? NOW + S(p->after_s) : 0))
			fail_msg("pace %zu: %lld s", i, ((long long)new.next_ns - (long long)NOW) / (long long)NS_PER_SEC);
	}
}

/* A rate limit that ends later than the next fast probe moves it, but never beyond the normal interval. */
static void
test_until_moves_next(void **state)
{
	static const struct { uint64_t until_s, next_s; } c[] = {{2, 5}, {60, 60}, {5000, 300}};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		struct prober_result r = {.reason = REASON_RATE_LIMITED, .until_ns = NOW + S(c[i].until_s)};
		struct prober_thresholds t = {.rise = 1, .fall = 3, .interval_ns = S(300), .fast_ns = S(5)};
		struct htable_view old = {.state = HEALTH_UP}, new;

		prober_state_next(&old, &r, &t, NOW, &new);
		assert_int_equal(new.next_ns, NOW + S(c[i].next_s));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_until_moves_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

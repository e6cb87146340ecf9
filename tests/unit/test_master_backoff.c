/* Restart policy: delays, the limit, what exit codes mean. */
#include "hale/hale.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/clock.h"
#include "hale/proc.h"

#include "../../src/master/master_backoff.h"

#define S NS_PER_SEC

static void
delays_double_up_to_a_minute(void **state)
{
	static const unsigned want[] = {0, 1, 2, 4, 8, 16, 32, 60, 60};
	struct master_backoff b = {{0}, 0, 0};
	uint64_t now = 1000 * S;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(want); i++) {
		assert_int_equal(master_backoff(&b, now, S), want[i] * S);
		now += 100 * S; /* far enough apart for the limit not to count */
	}
}

static void
a_minute_of_life_earns_a_fresh_start(void **state)
{
	struct master_backoff b = {{0}, 0, 0};

	(void)state;
	assert_int_equal(master_backoff(&b, 1000 * S, S), 0);
	assert_int_equal(master_backoff(&b, 1001 * S, S), 1 * S);
	assert_int_equal(master_backoff(&b, 1061 * S, 60 * S - 1), 2 * S);
	assert_int_equal(master_backoff(&b, 1130 * S, 60 * S), 0);
	assert_int_equal(master_backoff(&b, 1131 * S, S), 1 * S);
}

static void
the_tenth_crash_in_five_minutes_ends_it(void **state)
{
	struct master_backoff b = {{0}, 0, 0};

	(void)state;
	for (unsigned i = 0; i < MASTER_BACKOFF_CRASHES - 1; i++)
		assert_int_not_equal(master_backoff(&b, (1000 + i) * S, 0), MASTER_BACKOFF_GIVE_UP);
	assert_int_equal(master_backoff(&b, (1000 + MASTER_BACKOFF_WINDOW_S) * S - 1, 0),
	                 MASTER_BACKOFF_GIVE_UP);
}

static void
ten_crashes_over_more_than_five_minutes_do_not(void **state)
{
	struct master_backoff b = {{0}, 0, 0};

	(void)state;
	for (unsigned i = 0; i < 100; i++) /* the window slides: nine in any five minutes */
		assert_int_not_equal(master_backoff(&b, (1000 + i * 34ULL) * S, 0), MASTER_BACKOFF_GIVE_UP);
	/* and one that comes earlier is the tenth */
	assert_int_equal(master_backoff(&b, (1000 + 99 * 34ULL) * S + 1, 0), MASTER_BACKOFF_GIVE_UP);
}

static void
many_crashes_at_the_first_second_of_the_clock(void **state)
{
	struct master_backoff b = {{0}, 0, 0};

	(void)state;
	/* Unused places of the ring are zero; they are no crashes. */
	assert_int_equal(master_backoff(&b, 1, 0), 0);
	assert_int_equal(master_backoff(&b, 2, 0), 1 * S);
}

static void
exit_codes_are_a_protocol(void **state)
{
	(void)state;
	assert_int_equal(master_backoff_verdict(PROC_EXIT_ASKED << 8, true), MASTER_VERDICT_GONE);
	assert_int_equal(master_backoff_verdict(PROC_EXIT_CRASH << 8, true), MASTER_VERDICT_GONE);
	assert_int_equal(master_backoff_verdict(SIGKILL, true), MASTER_VERDICT_GONE);
	assert_int_equal(master_backoff_verdict(PROC_EXIT_CONFIG << 8, false), MASTER_VERDICT_CONFIG);
	assert_int_equal(master_backoff_verdict(PROC_EXIT_CRASH << 8, false), MASTER_VERDICT_RESPAWN);
	assert_int_equal(master_backoff_verdict(SIGSEGV, false), MASTER_VERDICT_RESPAWN);
	assert_int_equal(master_backoff_verdict(SIGINT, false), MASTER_VERDICT_RESPAWN); /* 2, but a signal */
	/* Nobody asked it to end: its slot must not stay empty. */
	assert_int_equal(master_backoff_verdict(PROC_EXIT_ASKED << 8, false), MASTER_VERDICT_RESPAWN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays_double_up_to_a_minute),
		cmocka_unit_test(a_minute_of_life_earns_a_fresh_start),
		cmocka_unit_test(the_tenth_crash_in_five_minutes_ends_it),
		cmocka_unit_test(ten_crashes_over_more_than_five_minutes_do_not),
		cmocka_unit_test(many_crashes_at_the_first_second_of_the_clock),
		cmocka_unit_test(exit_codes_are_a_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

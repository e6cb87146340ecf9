/* prober_cycle: when everything was checked once. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "prober_cycle.h"

static void
test_cycle(void **state)
{
	static const bool enabled[4] = {true, false, true, true};
	struct prober_cycle c;
	uint64_t took = 0;

	(void)state;
	prober_cycle_init(&c, enabled, 4);
	assert_int_equal(c.enabled, 3);
	assert_false(prober_cycle_add(&c, enabled, 4, 0, 10, &took));
	assert_false(prober_cycle_add(&c, enabled, 4, 1, 99, &took)); /* not enabled: an on-demand result */
	assert_false(prober_cycle_add(&c, enabled, 4, 0, 30, &took)); /* twice does not stand for another */
	assert_false(prober_cycle_add(&c, enabled, 4, 2, 20, &took));
	assert_true(prober_cycle_add(&c, enabled, 4, 3, 5, &took));
	assert_int_equal(took, 30);
	assert_int_equal(c.number, 1);
	assert_false(prober_cycle_add(&c, enabled, 4, 3, 1, &took));
	assert_false(prober_cycle_add(&c, enabled, 4, 2, 1, &took));
	assert_true(prober_cycle_add(&c, enabled, 4, 0, 1, &took));
	assert_int_equal(took, 1);
	assert_int_equal(c.number, 2);
	prober_cycle_release(&c);
}

static void
test_nothing_enabled(void **state)
{
	static const bool enabled[2] = {false, false};
	struct prober_cycle c;
	uint64_t took;

	(void)state;
	prober_cycle_init(&c, enabled, 2);
	assert_false(prober_cycle_add(&c, enabled, 2, 0, 1, &took));
	assert_int_equal(c.number, 0);
	prober_cycle_release(&c);
	prober_cycle_init(&c, enabled, 0);
	prober_cycle_release(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cycle),
		cmocka_unit_test(test_nothing_enabled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

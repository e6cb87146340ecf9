/* prober_publish: what a report leaves in the table, and what a successor makes of it. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fixture.h"
#include "hale/clock.h"
#include "hale/htable_writer.h"
#include "prober_publish.h"

static struct fixture fix;
static struct htable *table;

static int
setup(void **state)
{
	(void)state;
	fixture_init(&fix, 1, "a b");
	fix.deployment[1].model = "openai/x";
	fix.deployment[1].model_name = "x";
	table = htable_create(&fix.conf, 1, NULL, NULL);
	assert_non_null(table);
	htable_attach(table, clock_mono_ns());
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	htable_freep(&table);
	return 0;
}

static void
test_report(void **state)
{
	static const struct prober_thresholds t = {.rise = 1, .fall = 1, .interval_ns = 60 * NS_PER_SEC};
	const uint64_t now = clock_mono_ns();
	struct prober_report good = {.requests = 2, .result = {.reason = REASON_OK, .ok = true, .http_status = 200,
	                             .latency_us = 5000, .cost_tokens = 9, .adapt = 1}, .ms_region = "East US"};
	struct prober_report bad = {.requests = 1, .result = {.reason = REASON_SERVER_ERROR, .http_status = 503, .adapt = 1},
	                            .error = "overloaded"};
	struct htable_view v, seen;
	struct htable_detail d;
	struct htable_event e[HTABLE_HISTORY];

	(void)state;
	prober_publish_report(table, &fix.deployment[1], &good, &t, now, UINT32_MAX, &v);
	prober_publish_report(table, &fix.deployment[1], &bad, &t, now + NS_PER_SEC, 0, &v);
	assert_true(htable_read(table, 1, &seen));
	assert_memory_equal(&seen, &v, sizeof(v));
	assert_int_equal(v.state, HEALTH_DOWN);
	assert_int_equal(v.id_hash, fix.deployment[1].id_hash);
	assert_int_equal(v.adapt, 1);
	assert_int_equal(v.next_ns, now + NS_PER_SEC + 54 * NS_PER_SEC);
	htable_read_detail(table, 1, &d);
	assert_string_equal(d.error, "overloaded");
	assert_string_equal(d.ms_region, ""); /* of the last answer only */
	assert_int_equal(d.probes, 3);
	assert_int_equal(d.failures, 1);
	assert_int_equal(d.cost_tokens_total, 9);
	assert_int_equal(htable_read_history(table, 1, now + 2 * NS_PER_SEC, e), 2);
	assert_int_equal(e[0].state, HEALTH_DOWN);
	assert_int_equal(e[0].reason, REASON_SERVER_ERROR);
	assert_int_equal(e[1].latency_ms, 5);
	htable_read(table, 0, &seen);
	assert_int_equal(seen.checked_ns, 0); /* the neighbour is untouched */
}

static void
test_adopt(void **state)
{
	struct htable_view v = {.id_hash = 1, .checked_ns = 5, .next_ns = 100, .state = HEALTH_UP, .reason = REASON_OK,
	                        .adapt = 2}, seen;

	(void)state;
	prober_publish_adopt(table, 0, 200, &v);
	htable_read(table, 0, &seen);
	assert_int_equal(seen.next_ns, 200);
	assert_int_equal(seen.adapt, 2);
	assert_int_equal(seen.checked_ns, 5);
	v.reason = REASON_BAD_PROBE; /* nothing worked: the configured form gets another chance */
	prober_publish_adopt(table, 0, 0, &v);
	htable_read(table, 0, &seen);
	assert_int_equal(seen.next_ns, 0);
	assert_int_equal(seen.adapt, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopt, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

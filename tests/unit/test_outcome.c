/* Outcomes and counters: one writer per line, sums over workers. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fixture.h"
#include "hale/outcome.h"

static struct htable *
make(unsigned workers)
{
	static struct fixture f;
	struct htable *t;

	fixture_init(&f, 1, "a b");
	t = htable_create(&f.conf, workers, NULL, NULL);
	assert_non_null(t);
	return t;
}

static void
test_sums(void **state)
{
	struct htable *t = make(3);
	struct outcome_view v;

	(void)state;
	for (unsigned w = 0; w < 3; w++) {
		outcome_begin(t, w, 1);
		outcome_begin(t, w, 1);
		outcome_end(t, w, 1, OUTCOME_OK, 500, 100 + w);
	}
	outcome_end(t, 1, 1, OUTCOME_SERVER, 5000, 99);
	outcome_dropped(t, 2, 1);
	outcome_read(t, -1, 1, &v);
	assert_int_equal(v.count[OUTCOME_OK], 3);
	assert_int_equal(v.count[OUTCOME_SERVER], 1);
	assert_int_equal(v.last_ok_ns, 102);
	assert_int_equal(v.last_fail_ns, 99);
	assert_int_equal(v.inflight, 1);
	assert_int_equal(outcome_inflight(t, 1), 1);
	assert_int_equal(outcome_inflight(t, 0), 0);
	assert_int_equal(v.latency[0], 3);
	assert_int_equal(v.latency[2], 1);
	outcome_read(t, 1, 1, &v);
	assert_int_equal(v.count[OUTCOME_OK], 1);
	assert_int_equal(v.inflight, 0);
	outcome_read(t, -1, 0, &v);
	assert_int_equal(v.count[OUTCOME_OK], 0);
	outcome_dropped(t, 1, 1); /* one too many does not wrap */
	assert_int_equal(outcome_inflight(t, 1), 1);
	htable_freep(&t);
}

static void
test_buckets(void **state)
{
	static const struct {
		uint32_t us;
		unsigned bucket;
	} row[] = {{0, 0}, {1000, 0}, {1001, 1}, {4000, 1}, {4001, 2}, {262144000, 9}, {262144001, 10}, {UINT32_MAX, 10}};
	struct htable *t = make(1);
	struct outcome_view v;
	uint64_t before;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(row); i++) {
		outcome_read(t, 0, 0, &v);
		before = v.latency[row[i].bucket];
		outcome_end(t, 0, 0, OUTCOME_TIMEOUT, row[i].us, 1);
		outcome_read(t, 0, 0, &v);
		assert_int_equal(v.latency[row[i].bucket], before + 1);
	}
	htable_freep(&t);
}

static void
test_counters(void **state)
{
	struct htable *t = make(2);

	(void)state;
	counter_add(t, 0, COUNTER_REQUESTS, 5);
	counter_add(t, 1, COUNTER_REQUESTS, 2);
	counter_add(t, 1, COUNTER_CONNECTIONS_OPEN, 3);
	counter_add(t, 1, COUNTER_CONNECTIONS_OPEN, -1);
	assert_int_equal(counter_read(t, -1, COUNTER_REQUESTS), 7);
	assert_int_equal(counter_read(t, 1, COUNTER_REQUESTS), 2);
	assert_int_equal(counter_read(t, -1, COUNTER_CONNECTIONS_OPEN), 2);
	htable_freep(&t);
}

static void
test_names(void **state)
{
	(void)state;
	for (int c = 0; c < COUNTER_COUNT; c++) {
		assert_non_null(counter_name((enum counter)c));
		for (int d = 0; d < c; d++)
			assert_string_not_equal(counter_name((enum counter)c), counter_name((enum counter)d));
	}
	for (int c = 0; c < OUTCOME_COUNT; c++)
		assert_non_null(outcome_name((enum outcome_class)c));
	assert_string_equal(outcome_name(OUTCOME_COUNT), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

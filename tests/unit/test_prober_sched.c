/* prober_sched: order, bounds and turns, with a clock of our own. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "prober_sched.h"

#define MANY 500

/* Takes everything that may start and writes it as "0 1 2". */
static const char *
taken(struct prober_sched *s, uint64_t now_ns)
{
	static char text[256];
	uint32_t i;
	int n = 0;

	text[0] = '\0';
	while (prober_sched_next(s, now_ns, &i))
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%u", n ? " " : "", i);
	return text;
}

static void
test_due_order(void **state)
{
	static const uint32_t host[4] = {0}, max[1] = {9};
	struct prober_sched *s = prober_sched_new(4, host, 1, max, 9);

	(void)state;
	assert_true(prober_sched_due(s) == PROBER_SCHED_NEVER);
	prober_sched_at(s, 0, 40);
	prober_sched_at(s, 1, 20);
	prober_sched_at(s, 2, 30);
	prober_sched_at(s, 3, 10);
	prober_sched_at(s, 3, 50); /* moved later */
	prober_sched_at(s, 2, 5);  /* moved earlier */
	assert_int_equal(prober_sched_due(s), 5);
	assert_string_equal(taken(s, 4), "");
	assert_string_equal(taken(s, 20), "2 1");
	assert_int_equal(prober_sched_running(s), 2);
	assert_true(prober_sched_is_running(s, 2));
	prober_sched_at(s, 2, 1); /* it runs: no effect */
	assert_string_equal(taken(s, 100), "0 3");
	for (uint32_t i = 0; i < 4; i++)
		prober_sched_done(s, i);
	assert_int_equal(prober_sched_running(s), 0);
	assert_string_equal(taken(s, 100), "");
	prober_sched_freep(&s);
	assert_null(s);
	prober_sched_freep(&s);
}

static void
test_global_bound(void **state)
{
	static const uint32_t host[5] = {0, 1, 2, 3, 4}, max[5] = {9, 9, 9, 9, 9};
	struct prober_sched *s = prober_sched_new(5, host, 5, max, 2);

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		prober_sched_at(s, i, i);
	assert_string_equal(taken(s, 10), "0 1");
	prober_sched_done(s, 1);
	assert_string_equal(taken(s, 10), "2");
	prober_sched_done(s, 0);
	prober_sched_done(s, 2);
	assert_string_equal(taken(s, 10), "3 4");
	prober_sched_freep(&s);
}

/* Hosts take turns, and a host at its bound delays nobody else. */
static void
test_turns(void **state)
{
	static const uint32_t host[7] = {0, 0, 0, 0, 1, 1, 2}, max[3] = {2, 1, 9};
	struct prober_sched *s = prober_sched_new(7, host, 3, max, 9);

	(void)state;
	for (uint32_t i = 0; i < 7; i++)
		prober_sched_at(s, i, i);
	assert_string_equal(taken(s, 10), "0 4 6 1");
	prober_sched_done(s, 4);
	assert_string_equal(taken(s, 10), "5");
	prober_sched_done(s, 0);
	prober_sched_done(s, 1);
	assert_string_equal(taken(s, 10), "2 3");
	prober_sched_freep(&s);
}

static void
test_asked_goes_first(void **state)
{
	static const uint32_t host[6] = {0}, max[1] = {1};
	struct prober_sched *s = prober_sched_new(6, host, 1, max, 9);

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		prober_sched_at(s, i, i);
	prober_sched_at(s, 4, 1000);
	assert_string_equal(taken(s, 10), "0");
	prober_sched_now(s, 3); /* waiting */
	prober_sched_now(s, 4); /* due much later */
	prober_sched_now(s, 5); /* nowhere */
	prober_sched_now(s, 0); /* running: joined, not started twice */
	prober_sched_now(s, 3);
	prober_sched_done(s, 0);
	assert_string_equal(taken(s, 10), "3");
	prober_sched_done(s, 3);
	assert_string_equal(taken(s, 10), "4");
	prober_sched_stop(s); /* 1 and 2 were only due */
	prober_sched_done(s, 4);
	assert_string_equal(taken(s, 10), "5");
	prober_sched_done(s, 5);
	assert_string_equal(taken(s, 10), "");
	prober_sched_at(s, 1, 5);
	assert_string_equal(taken(s, 10), "1");
	prober_sched_freep(&s);
}

/* A thousand random steps: never above a bound, nothing lost, nothing twice. */
static void
test_random(void **state)
{
	enum { HOSTS = 7 };
	uint32_t host[MANY], max[HOSTS], running[HOSTS] = {0}, total = 0, seed = 12345, i;
	bool runs[MANY] = {false}, pending[MANY] = {false};
	struct prober_sched *s;

	(void)state;
	for (uint32_t h = 0; h < HOSTS; h++)
		max[h] = 1 + h % 3;
	for (i = 0; i < MANY; i++)
		host[i] = i * 31 % HOSTS;
	s = prober_sched_new(MANY, host, HOSTS, max, 10);
	for (uint64_t now = 1; now < 20000; now++) {
		seed = seed * 1664525 + 1013904223;
		i = (seed >> 8) % MANY;
		if (now < 10000) {
			if (seed & 128)
				prober_sched_now(s, i);
			else
				prober_sched_at(s, i, now + (seed >> 20) % 100);
			pending[i] |= !runs[i];
		}
		while (prober_sched_next(s, now, &i)) {
			assert_false(runs[i]);
			assert_true(pending[i]);
			runs[i] = true;
			pending[i] = false;
			assert_true(++running[host[i]] <= max[host[i]]);
			assert_true(++total <= 10);
		}
		assert_int_equal(prober_sched_running(s), total);
		i = (seed >> 4) % MANY;
		for (uint32_t k = 0; k < MANY && total > 0 && (seed & 1); k++, i = (i + 1) % MANY)
			if (runs[i]) {
				prober_sched_done(s, i);
				runs[i] = false;
				running[host[i]]--;
				total--;
				break;
			}
	}
	for (i = 0; i < MANY; i++)
		assert_false(pending[i]);
	assert_true(prober_sched_due(s) == PROBER_SCHED_NEVER);
	prober_sched_freep(&s);
}

static void
test_first(void **state)
{
	const uint64_t now = 77, interval = 300 * NS_PER_SEC;

	(void)state;
	assert_int_equal(prober_sched_first(0, 2, now, interval), now);
	assert_int_equal(prober_sched_first(63, 10000, now, interval), now);
	assert_true(prober_sched_first(64, 10000, now, interval) > now);
	assert_true(prober_sched_first(999, 1000, now, interval) < now + 2 * NS_PER_SEC);
	assert_true(prober_sched_first(99999, 100000, now, interval) <= now + interval / 4);
	assert_true(prober_sched_first(999, 1000, now, NS_PER_SEC) <= now + NS_PER_SEC / 4);
}

static void
test_jitter(void **state)
{
	const uint64_t now = 1000 * NS_PER_SEC, due = now + 60 * NS_PER_SEC;

	(void)state;
	assert_int_equal(prober_sched_jitter(now, due, 0), now + 54 * NS_PER_SEC);
	assert_int_equal(prober_sched_jitter(now, due, UINT32_MAX), now + 66 * NS_PER_SEC);
	assert_in_range(prober_sched_jitter(now, due, UINT32_MAX / 2), due - NS_PER_MS, due + NS_PER_MS);
	assert_int_equal(prober_sched_jitter(now, 0, 5), 0); /* not scheduled stays so */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_due_order),
		cmocka_unit_test(test_global_bound),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_asked_goes_first),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_jitter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

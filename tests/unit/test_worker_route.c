/* The routing decision: every filter, the safety nets, weights, and what a model name means. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "route_fixture.h"

#define N 4

static void
setup(struct fixture *f)
{
	route_fixture_init(f, N);
}

static bool
chosen(const struct fixture *f, uint32_t i)
{
	for (unsigned k = 0; k < f->out.nchosen; k++)
		if (f->out.chosen[k] == i)
			return true;
	return false;
}

static void
test_all_up_all_chosen_once(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, N);
	for (uint32_t i = 0; i < N; i++)
		assert_true(chosen(&f, i));
}

static void
test_down_is_removed(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.v[1].state = HEALTH_DOWN;
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, N - 1);
	assert_false(chosen(&f, 1));
	assert_int_equal(f.x[1].why, ROUTE_UNHEALTHY);
	assert_false(f.out.safety_net);
}

static void
test_filter_off(void **state)
{
	struct fixture f;

	(void)state;
	for (int which = 0; which < 3; which++) {
		struct conf_node policy = {.kind = CONF_MAP};

		setup(&f);
		f.v[1].state = HEALTH_DOWN;
		if (which == 0)
			f.c.general.enable_health_check_routing = false;
		else if (which == 1)
			f.c.general.background_health_checks = false;
		else
			f.c.router.allowed_fails_policy = &policy;
		worker_route(&f.in, &f.out);
		assert_true(chosen(&f, 1));
	}
}

static void
test_stale_is_ignored_strictly(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.v[1].state = HEALTH_DOWN;
	f.v[1].checked_ns = NOW - 60 * NS_PER_SEC; /* exactly the threshold: eligible */
	worker_route(&f.in, &f.out);
	assert_true(chosen(&f, 1));
	f.v[1].checked_ns += 1;
	worker_route(&f.in, &f.out);
	assert_false(chosen(&f, 1));
}

static void
test_unknown_is_eligible(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.v[1] = (struct htable_view){.state = HEALTH_UNKNOWN};
	worker_route(&f.in, &f.out);
	assert_true(chosen(&f, 1));
}

static void
test_safety_net(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	for (uint32_t i = 0; i < N; i++)
		f.v[i].state = HEALTH_DOWN;
	worker_route(&f.in, &f.out);
	assert_true(f.out.safety_net);
	assert_int_equal(f.out.nchosen, N);
}

/* All of a group are down: who may only be slow goes first, whose key is dead last. */
static void
test_net_prefers_the_less_dead(void **state)
{
	static const struct { enum health_reason reason[N]; bool chosen[N]; } c[] = {
		{{REASON_TIMEOUT, REASON_UNAUTHORIZED, REASON_SERVER_ERROR, REASON_TIMEOUT}, {true, false, false, true}},
		{{REASON_OUT_OF_FUNDS, REASON_UNAUTHORIZED, REASON_SERVER_ERROR, REASON_CONNECT_ERROR},
		 {false, false, true, true}},
		{{REASON_OUT_OF_FUNDS, REASON_UNAUTHORIZED, REASON_UNAUTHORIZED, REASON_UNAUTHORIZED}, {true, true, true, true}},
		{{REASON_TIMEOUT, REASON_TIMEOUT, REASON_TIMEOUT, REASON_TIMEOUT}, {true, true, true, true}},
	};
	struct fixture f;

	(void)state;
	for (size_t k = 0; k < HALE_COUNT(c); k++) {
		setup(&f);
		for (uint32_t i = 0; i < N; i++) {
			f.v[i].state = HEALTH_DOWN;
			f.v[i].reason = (uint8_t)c[k].reason[i];
		}
		worker_route(&f.in, &f.out);
		assert_true(f.out.safety_net);
		for (uint32_t i = 0; i < N; i++)
			if (chosen(&f, i) != c[k].chosen[i])
				fail_msg("case %zu, deployment %u", k, i);
	}
}

static void
test_group_allow_list(void **state)
{
	static const char *const other[] = {"other", NULL}, *const ours[] = {"other", "g", NULL};
	struct conf_node policy = {.kind = CONF_MAP};
	struct fixture f;

	(void)state;
	setup(&f);
	f.v[1].state = HEALTH_DOWN;
	f.c.general.background_groups = other;
	worker_route(&f.in, &f.out);
	assert_true(chosen(&f, 1));
	f.c.general.background_groups = ours;
	f.c.router.allowed_fails_policy = &policy; /* with named groups the filter stays on */
	worker_route(&f.in, &f.out);
	assert_false(chosen(&f, 1));
}

static void
test_cooldown_and_its_net(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.v[0].until_ns = NOW + 1;
	f.v[1].until_ns = NOW; /* over */
	worker_route(&f.in, &f.out);
	assert_false(chosen(&f, 0));
	assert_true(chosen(&f, 1));
	for (uint32_t i = 0; i < N; i++)
		f.v[i].until_ns = NOW + 1;
	worker_route(&f.in, &f.out);
	assert_true(f.out.safety_net_cooldown);
	assert_int_equal(f.out.nchosen, N);
}

/* Unhealthy ones and cooling ones together are everybody: each filter alone leaves somebody, both must not
 * black the group out. */
static void
test_two_filters_never_black_out(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.v[0].state = f.v[1].state = HEALTH_DOWN;
	f.v[2].until_ns = f.v[3].until_ns = NOW + 1;
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, 2);
	assert_true(chosen(&f, 2) && chosen(&f, 3));
}

static void
test_blocked_has_no_net(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	for (uint32_t i = 0; i < N; i++)
		f.d[i].blocked = true;
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, 0);
}

static void
test_refused_last_resort(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.x[0].refused = f.x[1].refused = f.x[2].refused = true;
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, 1);
	assert_int_equal(f.out.chosen[0], 3);
	f.x[3].refused = true;
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, N);
}

static void
test_pinned_skips_filters(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.v[0].state = HEALTH_DOWN;
	f.v[0].until_ns = NOW + 1;
	f.in.pinned = true;
	f.in.ncandidate = 1;
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, 1);
	assert_false(f.out.safety_net);
}

static void
test_order_lowest_eligible(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.d[0].order = 1;
	f.d[1].order = 2;
	f.v[0].state = HEALTH_DOWN;
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, 1);
	assert_int_equal(f.out.chosen[0], 1);
}

static unsigned
share(struct fixture *f, uint32_t i, unsigned draws)
{
	unsigned hits = 0;

	f->in.want = 1;
	for (unsigned k = 0; k < draws; k++) {
		f->in.random = k * 0x9e3779b97f4a7c15ULL;
		worker_route(&f->in, &f->out);
		hits += f->out.chosen[0] == i;
	}
	return hits;
}

/* Fixed seeds: the counts are exact for this generator, the bounds only say "about three quarters". */
static void
test_weights(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.in.ncandidate = 2;
	f.d[1].weight = 3;
	f.d[0].weight = 1;
	f.d[0].rpm = 1000; /* weight wins over rpm */
	assert_in_range(share(&f, 1, 10000), 7200, 7800);
	f.v[1].state = HEALTH_DOWN;
	assert_int_equal(share(&f, 0, 1000), 1000);
}

static void
test_weight_missing_is_zero(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.d[2].rpm = 10; /* the first entry has no rpm: it must still count */
	assert_int_equal(share(&f, 2, 1000), 1000);
	f.in.want = 0;
	worker_route(&f.in, &f.out);
	assert_int_equal(f.out.nchosen, N); /* the others come behind, for retries */
	assert_int_equal(f.out.chosen[0], 2);
}

static void
test_uniform(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	for (uint32_t i = 0; i < N; i++)
		assert_in_range(share(&f, i, 10000), 2300, 2700);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_up_all_chosen_once),
		cmocka_unit_test(test_down_is_removed),
		cmocka_unit_test(test_filter_off),
		cmocka_unit_test(test_stale_is_ignored_strictly),
		cmocka_unit_test(test_unknown_is_eligible),
		cmocka_unit_test(test_safety_net),
		cmocka_unit_test(test_net_prefers_the_less_dead),
		cmocka_unit_test(test_group_allow_list),
		cmocka_unit_test(test_cooldown_and_its_net),
		cmocka_unit_test(test_two_filters_never_black_out),
		cmocka_unit_test(test_blocked_has_no_net),
		cmocka_unit_test(test_refused_last_resort),
		cmocka_unit_test(test_pinned_skips_filters),
		cmocka_unit_test(test_order_lowest_eligible),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_weight_missing_is_zero),
		cmocka_unit_test(test_uniform),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

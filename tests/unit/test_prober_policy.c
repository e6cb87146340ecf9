/* prober_policy: every decision as a table. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/clock.h"
#include "hale/upstream.h"
#include "prober_check.h"
#include "prober_policy.h"

#define S(n) ((n)*NS_PER_SEC)
#define NOW S(1000)

static void
test_skips(void **state)
{
	static const struct { uint64_t ok_s, fail_s, window_s; bool skips; } c[] = {
		{0, 0, 60, false},      /* no traffic */
		{990, 0, 60, true},
		{990, 0, 0, false},     /* switched off */
		{990, 0, 10, false},    /* too old */
		{991, 0, 10, true},
		{990, 995, 60, false},  /* the newest request failed */
		{990, 990, 60, true},
		{990, 900, 60, true},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		struct policy_traffic t = {.last_ok_ns = S(c[i].ok_s), .last_fail_ns = S(c[i].fail_s)};

		if (prober_policy_skips(&t, S(c[i].window_s), NOW) != c[i].skips)
			fail_msg("case %zu", i);
	}
}

static void
test_stands_in(void **state)
{
	struct policy_traffic t = {.last_ok_ns = S(990)};
	struct prober_result none = {.reason = REASON_NO_PROBE}, failed = {.reason = REASON_SERVER_ERROR, .http_status = 500};

	(void)state;
	assert_true(prober_policy_stands_in(&none, &t, S(60), NOW));
	assert_false(prober_policy_stands_in(&none, &t, S(5), NOW));
	assert_false(prober_policy_stands_in(&failed, &t, S(60), NOW));
	t.last_fail_ns = S(995);
	assert_false(prober_policy_stands_in(&none, &t, S(60), NOW));
}

static void
test_vetoes(void **state)
{
	static const struct {
		enum health_reason reason;
		int status;
		uint64_t ok, inflight, ok_s, fail_s;
		bool vetoes;
	} c[] = {
		/* the request: a success within the window */
		{REASON_NOT_FOUND, 404, 0, 0, 990, 0, true},
		{REASON_NOT_FOUND, 404, 0, 0, 900, 0, false},
		{REASON_NOT_FOUND, 404, 0, 0, 0, 0, false},
		{REASON_NOT_FOUND, 404, 0, 0, 990, 995, false},
		{REASON_BAD_PROBE, 400, 0, 0, 990, 0, true},
		{REASON_SERVER_ERROR, 409, 0, 0, 990, 0, true},
		/* the credential: a request that began after the probe */
		{REASON_UNAUTHORIZED, 401, 0, 0, 999, 0, false},
		{REASON_UNAUTHORIZED, 401, 1, 0, 999, 0, true},
		{REASON_UNAUTHORIZED, 401, 1, 1, 999, 0, false}, /* it may have begun before */
		{REASON_UNAUTHORIZED, 401, 2, 1, 999, 0, true},
		{REASON_UNAUTHORIZED, 401, 2, 1, 998, 999, false},
		{REASON_UNAUTHORIZED, 403, 1, 0, 999, 0, true},
		{REASON_OUT_OF_FUNDS, 402, 0, 0, 999, 0, false},
		{REASON_OUT_OF_FUNDS, 429, 1, 0, 999, 0, true},
		{REASON_RATE_LIMITED, 429, 0, 0, 999, 0, false},
		{REASON_RATE_LIMITED, 429, 1, 0, 999, 0, true},
		/* what no payload of ours explains */
		{REASON_SERVER_ERROR, 500, 9, 0, 999, 0, false},
		{REASON_TIMEOUT, 0, 9, 0, 999, 0, false},
		{REASON_TIMEOUT, 408, 9, 0, 999, 0, false},
		{REASON_CONNECT_ERROR, 0, 9, 0, 999, 0, false},
		{REASON_BAD_BODY, 200, 9, 0, 999, 0, false},
		{REASON_OK, 200, 9, 0, 999, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		struct prober_result r = {.reason = c[i].reason, .ok = c[i].reason == REASON_OK,
		                          .http_status = (uint16_t)c[i].status};
		struct policy_traffic t = {.ok = c[i].ok, .inflight = c[i].inflight, .last_ok_ns = S(c[i].ok_s),
		                           .last_fail_ns = S(c[i].fail_s)};

		if (prober_policy_vetoes(&r, &t, S(60), NOW) != c[i].vetoes)
			fail_msg("case %zu", i);
	}
}

static void
test_credential(void **state)
{
	static const struct { enum health_reason reason; int status; bool is; } c[] = {
		{REASON_UNAUTHORIZED, 401, true}, {REASON_UNAUTHORIZED, 400, true},
		{REASON_UNAUTHORIZED, 403, false}, /* this key may not use this model */
		{REASON_OUT_OF_FUNDS, 402, true},  {REASON_OUT_OF_FUNDS, 429, true},
		{REASON_RATE_LIMITED, 429, false}, {REASON_SERVER_ERROR, 500, false}, {REASON_NOT_FOUND, 404, false},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		struct prober_result r = {.reason = c[i].reason, .http_status = (uint16_t)c[i].status};

		if (prober_policy_is_credential(&r) != c[i].is)
			fail_msg("case %zu", i);
	}
}

static void
test_account_limit(void **state)
{
	struct prober_report r = {.result = {.reason = REASON_RATE_LIMITED, .until_ns = NOW},
	                          .error = "Your Account Rate Limit is reached"};

	(void)state;
	assert_true(prober_policy_is_account_limit(&r));
	r.result.until_ns = 0; /* nothing to share */
	assert_false(prober_policy_is_account_limit(&r));
	r.result.until_ns = NOW;
	r.result.reason = REASON_OUT_OF_FUNDS;
	assert_false(prober_policy_is_account_limit(&r));
	r.result.reason = REASON_RATE_LIMITED; /* limits are per model unless said otherwise */
	snprintf(r.error, sizeof(r.error), "Rate limit reached for gpt-4o in organization org-1 on tokens per min");
	assert_false(prober_policy_is_account_limit(&r));
}

static void
test_wave(void **state)
{
	(void)state;
	assert_false(prober_policy_is_wave(1, 1));
	assert_false(prober_policy_is_wave(2, 2));
	assert_false(prober_policy_is_wave(1, 3));
	assert_true(prober_policy_is_wave(2, 3));
	assert_false(prober_policy_is_wave(2, 4));
	assert_true(prober_policy_is_wave(3, 4));
}

static void
test_host(void **state)
{
	(void)state;
	assert_true(prober_policy_is_host(REASON_CONNECT_ERROR, UPSTREAM_CONNECT));
	assert_true(prober_policy_is_host(REASON_CONNECT_ERROR, UPSTREAM_RESOLVE));
	assert_true(prober_policy_is_host(REASON_TLS_ERROR, UPSTREAM_TLS));
	assert_true(prober_policy_is_host(REASON_TIMEOUT, UPSTREAM_CONNECT));
	assert_false(prober_policy_is_host(REASON_TIMEOUT, UPSTREAM_HEAD)); /* this model is slow */
	assert_false(prober_policy_is_host(REASON_CONNECT_ERROR, UPSTREAM_BODY));
	assert_false(prober_policy_is_host(REASON_SERVER_ERROR, UPSTREAM_CONNECT));
}

static void
test_budget(void **state)
{
	(void)state;
	assert_int_equal(prober_policy_budget(0, 1000, 1000), POLICY_GO);
	assert_int_equal(prober_policy_budget(10, 0, 0), POLICY_GO);
	assert_int_equal(prober_policy_budget(10, 9, 0), POLICY_GO);
	assert_int_equal(prober_policy_budget(10, 10, 0), POLICY_SPENT);
	assert_int_equal(prober_policy_budget(10, 5, 5), POLICY_WAIT);
	assert_int_equal(prober_policy_budget(10, 5, 4), POLICY_GO);
	assert_int_equal(prober_policy_budget(10, 11, 5), POLICY_SPENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skips),
		cmocka_unit_test(test_stands_in),
		cmocka_unit_test(test_vetoes),
		cmocka_unit_test(test_credential),
		cmocka_unit_test(test_account_limit),
		cmocka_unit_test(test_wave),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

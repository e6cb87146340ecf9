/* prober_verdict and prober_budget: what one result leaves in the slots of everybody whom it concerns. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fixture.h"
#include "hale/clock.h"
#include "hale/cost.h"
#include "hale/htable_writer.h"
#include "hale/identity.h"
#include "hale/outcome.h"
#include "hale/upstream.h"
#include "prober_budget.h"
#include "prober_verdict.h"

#define N 6

/* 0 and 1 send the same probe; 0 to 3 use the same key; all but 5 are on one host. */
struct world {
	struct fixture f;
	struct identity id;
	uint32_t leader[N], same[N], credential[N], tokens[N], host[N];
	uint8_t sends[N];
	struct prober_thresholds thresholds;
	struct htable *table;
	struct prober_verdicts *verdicts;
	bool wants[N];
	unsigned published[N], doubts[N];
	uint64_t now_ns;
};

static struct world w;

static bool
wants(void *arg, uint32_t i)
{
	return ((struct world *)arg)->wants[i];
}

static void
published(void *arg, uint32_t i, const struct htable_view *v)
{
	(void)v;
	((struct world *)arg)->published[i]++;
}

static void
doubt(void *arg, uint32_t i)
{
	((struct world *)arg)->doubts[i]++;
}

static const struct prober_verdict_ops ops = {.wants = wants, .published = published, .doubt = doubt};

static void
adopt(void)
{
	prober_verdict_freep(&w.verdicts);
	w.verdicts = prober_verdict_new(&(struct prober_verdict_env){
		.table = w.table, .conf = &w.f.conf, .id = &w.id, .host = w.host, .background = &w.thresholds, .ops = &ops,
		.arg = &w,
	}, w.now_ns);
}

static int
setup(void **state)
{
	static const uint32_t same[N] = {1, 0, 2, 3, 4, 5}, credential[N] = {1, 2, 3, 0, 4, 5}, host[N] = {1, 2, 3, 4, 0, 5};

	(void)state;
	memset(&w, 0, sizeof(w));
	fixture_init(&w.f, 1, "a b c d e f");
	w.f.conf.general.background_health_checks = true;
	w.f.conf.general.health_check_interval_s = 60;
	for (uint32_t i = 0; i < N; i++) {
		w.f.deployment[i].model_name = w.f.id[i];
		w.f.deployment[i].model = "openai/m";
		w.leader[i] = i == 1 ? 0 : i;
		w.same[i] = same[i];
		w.credential[i] = credential[i];
		w.host[i] = host[i];
		w.tokens[i] = 10;
		w.sends[i] = w.wants[i] = true;
	}
	w.id = (struct identity){.count = N, .leader = w.leader, .same = w.same, .credential = w.credential,
	                         .tokens = w.tokens, .sends = w.sends};
	w.thresholds = (struct prober_thresholds){.rise = 1, .fall = 1, .interval_ns = 60 * NS_PER_SEC};
	w.table = htable_create(&w.f.conf, 1, NULL, NULL);
	assert_non_null(w.table);
	w.now_ns = clock_mono_ns();
	htable_attach(w.table, w.now_ns);
	adopt();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	prober_verdict_freep(&w.verdicts);
	htable_freep(&w.table);
	return 0;
}

static void
pass(uint64_t s)
{
	w.now_ns += s * NS_PER_SEC;
}

static void
probe(uint32_t i, enum health_reason reason, int status)
{
	struct prober_report r = {
		.requests = 1,
		.result = {.reason = reason, .ok = reason == REASON_OK, .http_status = (uint16_t)status, .cost_tokens = 7,
		           .phase = reason == REASON_CONNECT_ERROR ? UPSTREAM_CONNECT : UPSTREAM_BODY},
	};

	snprintf(r.error, sizeof(r.error), "%s", r.result.ok ? "" : "it said no");
	prober_verdict_begin(w.verdicts, i, w.now_ns);
	pass(1);
	prober_verdict_apply(w.verdicts, i, &r, w.now_ns);
}

static void
real(uint32_t i, enum outcome_class c)
{
	outcome_begin(w.table, 0, i);
	outcome_end(w.table, 0, i, c, 1000, w.now_ns);
}

static struct htable_view
view(uint32_t i)
{
	struct htable_view v;

	htable_read(w.table, i, &v);
	return v;
}

static struct htable_detail
detail(uint32_t i)
{
	struct htable_detail d;

	htable_read_detail(w.table, i, &d);
	return d;
}

static void
assert_states(const char *want)
{
	char got[N + 1] = "";

	for (uint32_t i = 0; i < N; i++)
		got[i] = ".+-"[view(i).state];
	assert_string_equal(got, want);
}

static void
test_identical(void **state)
{
	struct htable_daemon daemon;

	(void)state;
	probe(0, REASON_OK, 200);
	assert_states("++....");
	assert_int_equal(view(0).next_ns, view(1).next_ns);
	assert_int_equal(detail(0).source, SOURCE_PROBE);
	assert_int_equal(detail(1).source, SOURCE_IDENTICAL);
	assert_int_equal(view(0).cost_tokens + view(1).cost_tokens, 7);
	assert_int_equal(detail(0).probes + detail(1).probes, 1);
	htable_read_daemon(w.table, &daemon);
	assert_int_equal(daemon.tokens_today, 7);
	assert_int_equal(daemon.tokens_day, cost_day(clock_real_ns()));
	w.wants[1] = false; /* is not to be probed, so it is not judged either */
	probe(0, REASON_SERVER_ERROR, 500);
	assert_states("-+....");
	assert_int_equal(w.published[0], 2);
	assert_int_equal(w.published[1], 1);
}

static void
test_inherit(void **state)
{
	(void)state;
	w.wants[1] = false;
	probe(0, REASON_OK, 200);
	w.wants[1] = true;
	prober_verdict_inherit(w.verdicts);
	assert_states("++....");
	assert_int_equal(view(1).id_hash, w.f.deployment[1].id_hash);
	assert_int_equal(detail(1).tokens_today, 0);
}

static void
test_key(void **state)
{
	(void)state;
	probe(2, REASON_OK, 200);
	pass(5);
	probe(0, REASON_UNAUTHORIZED, 401);
	assert_states("----..");
	assert_string_equal(detail(2).error, "shared from a: it said no");
	assert_int_equal(detail(2).source, SOURCE_CREDENTIAL);
	assert_int_equal(detail(1).source, SOURCE_IDENTICAL);
	assert_int_equal(view(2).http_status, 401);
	assert_true(view(2).next_ns > 0); /* as planned */
	adopt(); /* a successor takes back what its predecessor shared */
	probe(0, REASON_OK, 200);
	assert_states("++....");
	assert_int_equal(view(2).reason, REASON_OK);
	assert_int_equal(w.doubts[2] + w.doubts[3], 2);
	probe(3, REASON_UNAUTHORIZED, 403); /* one model's */
	assert_states("++.-..");
}

/* Nothing is shared when the key has worked since the probe was sent. */
static void
test_key_works(void **state)
{
	struct prober_report r = {.requests = 1, .result = {.reason = REASON_OUT_OF_FUNDS, .http_status = 402}};

	(void)state;
	prober_verdict_begin(w.verdicts, 0, w.now_ns);
	probe(2, REASON_OK, 200);
	prober_verdict_apply(w.verdicts, 0, &r, w.now_ns);
	assert_states("--+...");
	probe(0, REASON_OK, 200);
	prober_verdict_begin(w.verdicts, 0, w.now_ns);
	pass(1);
	real(3, OUTCOME_OK);
	prober_verdict_apply(w.verdicts, 0, &r, w.now_ns);
	assert_states("--+...");
}

static void
test_veto(void **state)
{
	struct prober_report r = {.requests = 1, .result = {.reason = REASON_UNAUTHORIZED, .http_status = 401},
	                          .error = "it said no"};

	(void)state;
	probe(0, REASON_OK, 200);
	real(1, OUTCOME_OK); /* of the other one with the same probe */
	pass(2);
	probe(0, REASON_NOT_FOUND, 404);
	assert_states("++....");
	assert_int_equal(view(0).reason, REASON_BAD_PROBE);
	assert_true(detail(0).flags & HTABLE_VETOED);
	assert_string_equal(detail(1).error, "vetoed by real traffic: it said no");
	/* a request that was in flight before proves nothing about a key */
	outcome_begin(w.table, 0, 0);
	prober_verdict_begin(w.verdicts, 0, w.now_ns);
	pass(1);
	outcome_end(w.table, 0, 0, OUTCOME_OK, 1000, w.now_ns);
	prober_verdict_apply(w.verdicts, 0, &r, w.now_ns);
	assert_int_equal(view(0).state, HEALTH_DOWN);
	/* one that began after it does, also later */
	pass(1);
	prober_verdict_review(w.verdicts, w.now_ns);
	assert_int_equal(view(0).state, HEALTH_DOWN);
	real(0, OUTCOME_OK);
	prober_verdict_review(w.verdicts, w.now_ns);
	assert_int_equal(view(0).state, HEALTH_UP);
	assert_int_equal(view(1).state, HEALTH_UP);
	/* and no longer when the newest one failed */
	pass(100);
	real(0, OUTCOME_OK);
	pass(1);
	real(0, OUTCOME_UNAUTHORIZED);
	probe(0, REASON_NOT_FOUND, 404);
	assert_int_equal(view(0).state, HEALTH_DOWN);
}

static void
test_account_limit(void **state)
{
	struct prober_report r = {.requests = 1, .error = "account-wide limit", .result = {
		.reason = REASON_RATE_LIMITED, .http_status = 429, .until_ns = w.now_ns + 100 * NS_PER_SEC}};

	(void)state;
	probe(3, REASON_OK, 200);
	prober_verdict_begin(w.verdicts, 2, w.now_ns);
	prober_verdict_apply(w.verdicts, 2, &r, w.now_ns);
	assert_states("..-+..");
	assert_int_equal(view(3).until_ns, r.result.until_ns);
	assert_int_equal(view(4).until_ns, 0);
	snprintf(r.error, sizeof(r.error), "limit of this model");
	r.result.until_ns *= 2;
	prober_verdict_apply(w.verdicts, 2, &r, w.now_ns);
	assert_int_equal(view(3).until_ns, r.result.until_ns / 2);
}

static void
test_host(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < N; i++)
		if (w.leader[i] == i)
			probe(i, REASON_OK, 200);
	pass(10);
	probe(4, REASON_CONNECT_ERROR, 0);
	assert_states("++++-+");
	assert_int_equal(w.doubts[0] + w.doubts[2] + w.doubts[3], 3); /* leaders of the host */
	assert_int_equal(w.doubts[1] + w.doubts[4] + w.doubts[5], 0);
	probe(4, REASON_CONNECT_ERROR, 0); /* nothing new */
	assert_int_equal(w.doubts[0], 1);
	probe(0, REASON_CONNECT_ERROR, 0);
	w.doubts[0] = w.doubts[4] = 0;
	probe(4, REASON_OK, 200); /* it is back: those that are down look again */
	assert_int_equal(w.doubts[0], 1);
	assert_int_equal(w.doubts[4], 0);
}

static void
test_budget(void **state)
{
	struct prober_budget *b = prober_budget_new(&w.f.conf, w.table, &w.id);
	uint64_t next_ns;

	(void)state;
	assert_int_equal(prober_budget_ask(b, 0), POLICY_GO);
	w.f.deployment[1].probe.daily_token_limit = 14; /* holds for the request that it shares */
	probe(0, REASON_OK, 200);
	assert_int_equal(prober_budget_ask(b, 0), POLICY_GO);
	assert_false(prober_budget_is_reached(b, 0, 6));
	assert_true(prober_budget_is_reached(b, 0, 7));
	probe(0, REASON_OK, 200);
	assert_int_equal(prober_budget_ask(b, 0), POLICY_SPENT);
	assert_int_equal(prober_budget_ask(b, 2), POLICY_GO);
	next_ns = prober_budget_withhold(b, 0, w.now_ns);
	assert_true(next_ns >= w.now_ns + cost_day_left_ns(clock_real_ns()));
	assert_int_equal(view(1).next_ns, next_ns);
	assert_true(detail(1).flags & HTABLE_LIMITED);
	assert_int_equal(detail(0).withheld, 1);
	assert_states("++...."); /* nothing was learned */
	w.f.conf.general.health_check_daily_token_limit = 30; /* 14 spent, 10 in flight */
	prober_budget_begin(b, 2);
	assert_int_equal(prober_budget_ask(b, 3), POLICY_GO);
	prober_budget_begin(b, 3);
	assert_int_equal(prober_budget_ask(b, 4), POLICY_WAIT);
	prober_budget_end(b, 3);
	assert_int_equal(prober_budget_ask(b, 4), POLICY_GO);
	w.f.conf.general.health_check_daily_token_limit = 14;
	assert_int_equal(prober_budget_ask(b, 4), POLICY_SPENT);
	prober_budget_freep(&b);
}

/* A day's account ends with it, and goes along with a reload. */
static void
test_account(void **state)
{
	struct htable_daemon d;
	struct htable *next;

	(void)state;
	htable_add_tokens(w.table, 100, 5);
	htable_add_tokens(w.table, 100, 6);
	next = htable_create(&w.f.conf, 1, w.table, &w.f.conf);
	assert_non_null(next);
	htable_read_daemon(next, &d);
	assert_int_equal(d.tokens_day, 100);
	assert_int_equal(d.tokens_today, 11);
	htable_freep(&next);
	htable_add_tokens(w.table, 101, 2);
	htable_read_daemon(w.table, &d);
	assert_int_equal(d.tokens_today, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identical, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inherit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_works, setup, teardown),
		cmocka_unit_test_setup_teardown(test_veto, setup, teardown),
		cmocka_unit_test_setup_teardown(test_account_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_account, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* identity and cost: who shares a probe, who shares a key, what a day of probes costs. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/cost.h"
#include "hale/deployment.h"
#include "hale/identity.h"
#include "hale/probe.h"

static struct conf *
load(const char *yaml)
{
	struct conf *c = NULL;
	struct errlist errs;

	errlist_init(&errs);
	if (conf_load_text("test.yaml", yaml, strlen(yaml), &c, &errs) != 0)
		fail_msg("%s", errs.error[0].text);
	errlist_release(&errs);
	return c;
}

static bool
in_ring(const uint32_t *ring, uint32_t i, uint32_t j)
{
	for (uint32_t k = ring[i]; k != i; k = ring[k])
		if (k == j)
			return true;
	return i == j;
}

#define E(name, rest) "  - model_name: " name "\n    litellm_params: {api_base: 'http://a.test/v1', " rest "\n"

static void
test_classes(void **state)
{
	struct conf *c = load("model_list:\n"
		E("a", "model: openai/m, api_key: sk-1}")                                        /* 0 */
		E("b", "model: openai/m, api_key: sk-1, rpm: 5}")                                /* 1: an alias */
		E("c", "model: openai/m, api_key: sk-2}")                                        /* 2: another key */
		E("d", "model: openai/n, api_key: sk-1}")                                        /* 3: another model */
		E("e", "model: openai/m, api_key: sk-1, organization: [o1, o2]}")                /* 4, 5: other accounts */
		E("f", "model: openai/m, api_key: sk-1}\n    model_info: {health_check_timeout: 3}") /* 6: another patience */
		E("g", "model: openai/m, api_key: sk-1}\n    model_info: {mode: embedding}")     /* 7 */
		E("h", "model: openai/m, api_key: sk-1}\n    model_info: {health_check_prompt: x}") /* 8 */
		"  - model_name: i\n    litellm_params: {model: openai/m, api_key: sk-1, api_base: 'http://b.test/v1'}\n" /* 9 */
		E("w", "model: openai/*, api_key: sk-1}")                                        /* 10: no probe */
		E("k", "model: hosted_vllm/m}") E("k", "model: hosted_vllm/n}")                 /* 11, 12: no key */
		E("p", "model: openai/m, api_key: sk-2}\n    model_info: {proxy: 'http://p.test:1'}")); /* 13: another way than 2 */
	struct identity id;

	(void)state;
	assert_int_equal(c->ndeployment, 14);
	identity_init(&id, c);
	for (uint32_t i = 0; i < 14; i++) {
		for (uint32_t j = 0; j < 14; j++) {
			bool same = i == j || (i < 2 && j < 2);
			bool key = i == j || (i == 2 && j == 13) || (i == 13 && j == 2) ||
			           (i != 2 && j != 2 && (i < 4 || (i > 5 && i < 9)) && (j < 4 || (j > 5 && j < 9)));

			if (in_ring(id.same, i, j) != same || in_ring(id.credential, i, j) != key)
				fail_msg("%u and %u", i, j);
		}
		assert_int_equal(id.leader[i], i == 1 ? 0 : i);
		assert_int_equal(id.sends[i], i != 10);
		assert_int_equal(id.tokens[i] > 0, i != 10);
	}
	identity_release(&id);
	conf_freep(&c);
}

/* Who is probed in the background leads, and so does not depend on who is not. */
static void
test_leader(void **state)
{
	struct conf *c = load("model_list:\n"
		E("a", "model: openai/m, api_key: sk-1}\n    model_info: {disable_background_health_check: true}")
		E("b", "model: openai/m, api_key: sk-1}") E("c", "model: openai/m, api_key: sk-1}")
		"general_settings: {background_health_checks: true}\n");
	struct identity id;

	(void)state;
	identity_init(&id, c);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(id.leader[i], 1);
	identity_release(&id);
	conf_freep(&c);
}

/* A key that another provider's health_check_model does not send is none of that probe's business. */
static void
test_foreign_probe(void **state)
{
	struct conf *c = load("model_list:\n"
		"  - model_name: a\n    litellm_params: {model: openai/*, api_key: sk-1}\n"
		"    model_info: {health_check_model: anthropic/claude-3}\n"
		"  - model_name: b\n    litellm_params: {model: openai/m, api_key: sk-1}\n");
	struct identity id;

	(void)state;
	identity_init(&id, c);
	assert_true(id.sends[0]);
	assert_int_equal(id.credential[0], 0);
	assert_int_equal(id.credential[1], 1);
	identity_release(&id);
	conf_freep(&c);
}

static void
test_none(void **state)
{
	struct conf *c = load("model_list: []\n");
	struct identity id;

	(void)state;
	identity_init(&id, c);
	assert_int_equal(id.count, 0);
	identity_release(&id);
	conf_freep(&c);
}

static void
test_estimate(void **state)
{
	static const struct { const char *body, *type; enum mode mode; uint32_t tokens; } c[] = {
		{"{\"max_tokens\":5}", "application/json", MODE_CHAT, 4 + 5},
		{"{\"max_tokens\": 16 }", "application/json", MODE_CHAT, 5 + 16},
		{"{\"max_completion_tokens\":16}", "application/json", MODE_CHAT, 7 + 16},
		{"{\"generationConfig\":{\"maxOutputTokens\":1}}", "application/json", MODE_CHAT, 11 + 1},
		{"{\"prompt\":\"\\\"max_tokens\\\":7\"}", "application/json", MODE_CHAT, 8 + COST_UNLIMITED_TOKENS},
		{"{\"a\":1}", "application/json", MODE_EMBEDDING, 2},
		{"{\"a\":1}", "multipart/form-data; boundary=x", MODE_CHAT, 0},
		{NULL, NULL, MODE_CHAT, 0},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		struct probe_request q = {.body = c[i].body, .body_len = c[i].body ? strlen(c[i].body) : 0,
		                          .shown = c[i].body, .content_type = c[i].type, .mode = c[i].mode};

		if (cost_estimate(&q) != c[i].tokens)
			fail_msg("case %zu: %u", i, cost_estimate(&q));
	}
	/* a page is not billed by its base64 */
	assert_int_equal(cost_estimate(&(struct probe_request){.body = "{\"document\":\"data:...;base64,AAAAAAAAAAAAAAAA\"}",
	                                                       .body_len = 46, .shown = "{\"document\":\"<16>\"}",
	                                                       .content_type = "application/json", .mode = MODE_OCR}), 5);
}

static void
test_day(void **state)
{
	const uint64_t day_ns = 86400 * NS_PER_SEC;

	(void)state;
	assert_int_equal(cost_day(0), 0);
	assert_int_equal(cost_day(day_ns - 1), 0);
	assert_int_equal(cost_day(day_ns), 1);
	assert_int_equal(cost_day_left_ns(day_ns - 1), 1);
	assert_int_equal(cost_day_left_ns(day_ns), day_ns);
}

static void
test_plan(void **state)
{
	struct conf *c = load("model_list:\n"
		E("a", "model: openai/m, api_key: sk-1}\n    model_info: {health_check_daily_token_limit: 500}")
		E("b", "model: openai/m, api_key: sk-1}")
		E("c", "model: openai/n, api_key: sk-1}\n    model_info: {disable_background_health_check: true}")
		"general_settings: {background_health_checks: true, health_check_interval: 600, "
		"health_check_skip_if_traffic: true, health_check_daily_token_limit: 9000}\n");
	struct identity id;
	struct cost_plan p;

	(void)state;
	identity_init(&id, c);
	cost_plan(c, &id, 0, &p);
	assert_true(p.probed && p.skips);
	assert_int_equal((int)p.probes_per_day, 144);
	assert_int_equal((int)p.tokens_per_day, 144 * (int)id.tokens[0]);
	assert_int_equal(p.daily_limit, 500);
	cost_plan(c, &id, 1, &p);
	assert_false(p.probed);
	assert_int_equal(p.leader, 0);
	assert_int_equal(p.daily_limit, 9000);
	cost_plan(c, &id, 2, &p);
	assert_false(p.probed);
	assert_true(p.tokens_per_probe > 0); /* what an on-demand probe would cost */
	assert_int_equal(c->general.health_check_skip_if_traffic_s, 600);
	identity_release(&id);
	conf_freep(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_leader),
		cmocka_unit_test(test_foreign_probe),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_estimate),
		cmocka_unit_test(test_day),
		cmocka_unit_test(test_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

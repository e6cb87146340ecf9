/* Loading: what values mean, where they come from, and every kind of mistake with its message. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/provider.h"
#include "hale/strbuf.h"

#define MODEL_A "model_list:\n- model_name: a\n  litellm_params: {model: openai/x}\n"

/* Variables that a developer's shell may hold must not change what the tests see. */
static int
test_clean_environment(void **state)
{
	static const char *const names[] = {
		"LITELLM_MASTER_KEY", "DATABASE_URL", "DEFAULT_HEALTH_CHECK_PROMPT", "HEALTH_CHECK_TIMEOUT_SECONDS",
		"DEFAULT_HEALTH_CHECK_INTERVAL", "BACKGROUND_HEALTH_CHECK_MAX_TOKENS", "DEFAULT_COOLDOWN_TIME_SECONDS",
		"BACKGROUND_HEALTH_CHECK_MAX_TOKENS_REASONING", "DEFAULT_ALLOWED_FAILS", "DEFAULT_MAX_RETRIES",
		"GRACEFUL_SHUTDOWN_TIMEOUT", "LITELLM_ENVIRONMENT", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE",
		"AZURE_API_KEY", "AZURE_API_BASE", "AZURE_API_VERSION", "AZURE_OPENAI_API_KEY",
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(names); i++)
		unsetenv(names[i]);
	return 0;
}

/* Loads text that must be accepted. warning: text that one warning holds; NULL: there must be none. */
static struct conf *
test_load(const char *text, const char *warning)
{
	struct conf *c = NULL;
	struct errlist errs;
	char line[1024];
	bool found = false;

	errlist_init(&errs);
	assert_int_equal(conf_load_text("t.yaml", text, strlen(text), &c, &errs), 0);
	assert_non_null(c);
	for (unsigned i = 0; i < errs.nwarning && i < ERRLIST_MAX; i++) {
		errlist_format(&errs.warning[i], line, sizeof(line));
		if (warning && strstr(line, warning))
			found = true;
		else
			print_message("unexpected warning: %s\n", line);
	}
	assert_int_equal(found, warning != NULL);
	assert_int_equal(errs.nwarning, warning != NULL);
	errlist_release(&errs);
	return c;
}

/* Loads text that must be refused with exactly this first message. */
static void
test_refused_bytes(const char *text, size_t len, const char *expected)
{
	struct conf *c = NULL;
	struct errlist errs;
	char line[1024];

	errlist_init(&errs);
	assert_int_equal(conf_load_text("t.yaml", text, len, &c, &errs), HALE_ECONF);
	assert_null(c);
	assert_true(errs.nerror > 0);
	errlist_format(&errs.error[0], line, sizeof(line));
	assert_string_equal(line, expected);
	errlist_release(&errs);
}

static void
test_refused(const char *text, const char *expected)
{
	test_refused_bytes(text, strlen(text), expected);
}

static void
test_defaults(void **state)
{
	struct conf *c = test_load("", NULL);

	(void)state;
	assert_int_equal(c->ndeployment, 0);
	assert_int_equal(c->ngroup, 0);
	assert_null(c->general.master_key);
	assert_false(c->general.background_health_checks);
	assert_true(c->general.health_check_details);
	assert_int_equal(c->general.health_check_interval_s, 300);
	assert_int_equal(c->general.health_check_staleness_s, 600);
	assert_int_equal(c->general.health_check_rise, 1);
	assert_int_equal(c->general.health_check_fall, 1);
	assert_null(c->general.background_groups);
	assert_int_equal(c->router.strategy, CONF_SIMPLE_SHUFFLE);
	assert_int_equal(c->router.num_retries, 2);
	assert_int_equal(c->router.timeout_ms, 6000000);
	assert_int_equal(c->router.cooldown_time_ms, 5000);
	assert_int_equal(c->router.allowed_fails, 3);
	assert_false(c->router.allowed_fails_set);
	assert_int_equal(c->limits.body_bytes_max, 33554432);
	assert_int_equal(c->limits.drain_timeout_ms, 30000);
	assert_int_equal(c->limits.deployments_max, 20000);
	assert_string_equal(c->health_env.prompt, "test from litellm");
	assert_int_equal(c->health_env.timeout_ms, 60000);
	assert_int_equal(c->health_env.max_tokens, -1);
	assert_null(c->success_callbacks[0]);
	assert_null(c->cache_type);
	assert_null(conf_deployment_find(c, "x"));
	assert_null(conf_group_find(c, "x"));
	conf_freep(&c);
	assert_null(c);
}

static void
test_builtin(void **state)
{
	struct conf *c = NULL;
	struct errlist errs;

	(void)state;
	errlist_init(&errs);
	assert_int_equal(conf_load(NULL, &c, &errs), 0);
	assert_int_equal(errs.nwarning, 0);
	assert_null(c->path);
	assert_true(c->general.background_health_checks);
	conf_freep(&c);
	errlist_release(&errs);
}

/* litellm_settings < router_settings, general_settings < router_settings, variables < all of them. */
static void
test_precedence(void **state)
{
	struct conf *c = test_load("environment_variables: {DEFAULT_MAX_RETRIES: 7, DEFAULT_COOLDOWN_TIME_SECONDS: 9,\n"
	                           "  DEFAULT_ALLOWED_FAILS: 8, GRACEFUL_SHUTDOWN_TIMEOUT: 2.5}\n"
	                           "litellm_settings: {num_retries: 3, request_timeout: 60, allowed_fails: 1}\n"
	                           "general_settings: {enable_health_check_routing: false, health_check_interval: 20,\n"
	                           "  health_check_staleness_threshold: 100}\n"
	                           "router_settings: {num_retries: 4, enable_health_check_routing: true, timeout: 0.5,\n"
	                           "  health_check_staleness_threshold: 50}\n",
	                           "without effect in hale so far: allowed_fails");

	(void)state;
	assert_int_equal(c->router.num_retries, 4);
	assert_int_equal(c->router.timeout_ms, 500);
	assert_int_equal(c->router.cooldown_time_ms, 9000);
	assert_int_equal(c->router.allowed_fails, 1);
	assert_true(c->router.allowed_fails_set);
	assert_true(c->general.enable_health_check_routing);
	assert_int_equal(c->general.health_check_staleness_s, 50);
	assert_int_equal(c->limits.drain_timeout_ms, 2500);
	conf_freep(&c);
	c = test_load("litellm_settings: {request_timeout: 60}\ngeneral_settings: {health_check_interval: 45}\n", NULL);
	assert_int_equal(c->router.timeout_ms, 60000);
	assert_int_equal(c->general.health_check_staleness_s, 90);
	conf_freep(&c);
}

/* A setting that is a time or a switch. */
static void
test_time_or_switch(void **state)
{
	static const struct { const char *value; uint32_t seconds; } cases[] = {
		{"true", 40}, {"false", 0}, {"30", 30}, {"0", 0}, {"\"30\"", 30}, {"\"true\"", 40}, {"null", 0},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		char text[200];
		struct conf *c;

		snprintf(text, sizeof(text), "general_settings: {health_check_interval: 40, health_check_skip_if_traffic: %s}\n",
		         cases[i].value);
		c = test_load(text, NULL);
		assert_int_equal(c->general.health_check_skip_if_traffic_s, cases[i].seconds);
		conf_freep(&c);
	}
	test_refused("general_settings: {health_check_skip_if_traffic: often}\n",
	             "t.yaml:1:50: health_check_skip_if_traffic: \"often\" is not true, false or a whole number of seconds, "
	             "use 0..86400 (seconds)");
}

static void
test_values_as_text(void **state)
{
	struct conf *c = test_load("general_settings: {health_check_interval: \"60\", health_check_details: \"false\"}\n",
	                           "t.yaml:1:71: health_check_details: \"false\" is text, taken as false");

	(void)state;
	assert_int_equal(c->general.health_check_interval_s, 60);
	assert_false(c->general.health_check_details);
	conf_freep(&c);
	c = test_load("general_settings: {health_check_concurrency: -1, health_check_interval: null, master_key: 1234}\n",
	              NULL);
	assert_int_equal(c->general.health_check_concurrency, 0);
	assert_int_equal(c->general.health_check_interval_s, 300);
	assert_string_equal(c->general.master_key, "1234");
	conf_freep(&c);
}

static void
test_environ_references(void **state)
{
	struct conf *c;

	(void)state;
	setenv("HALE_TEST_A", "from-process", 1);
	setenv("HALE_TEST_B", " True ", 1);
	unsetenv("HALE_TEST_UNSET");
	c = test_load("environment_variables: {HALE_TEST_C: os.environ/HALE_TEST_A, HALE_TEST_D: 45, OPENAI_API_KEY: sk-env}\n"
	              "general_settings: {master_key: os.environ/HALE_TEST_C, background_health_checks: os.environ/HALE_TEST_B,\n"
	              "  health_check_interval: os.environ/HALE_TEST_D, database_url: os.environ/HALE_TEST_UNSET}\n"
	              "model_list:\n- model_name: a\n"
	              "  litellm_params: {model: openai/x, api_key: os.environ/HALE_TEST_UNSET, user: x-os.environ/HALE_TEST_A}\n",
	              NULL);
	assert_string_equal(c->general.master_key, "from-process");
	assert_true(c->general.background_health_checks);
	assert_int_equal(c->general.health_check_interval_s, 45);
	assert_null(c->general.database_url);
	assert_string_equal(c->deployment[0].api_key, "sk-env");
	assert_int_equal(conf_get(c->deployment[0].params, "api_key")->kind, CONF_NULL);
	assert_string_equal(conf_get_string(c->deployment[0].params, "user"), "x-os.environ/HALE_TEST_A");
	assert_string_equal(conf_env(c, "HALE_TEST_A"), "from-process");
	assert_string_equal(conf_env(c, "HALE_TEST_D"), "45");
	assert_null(conf_env(c, "HALE_TEST_UNSET"));
	conf_freep(&c);
	c = test_load("environment_variables: {HEALTH_CHECK_TIMEOUT_SECONDS: soon, BACKGROUND_HEALTH_CHECK_MAX_TOKENS: ''}\n",
	              "environment: HEALTH_CHECK_TIMEOUT_SECONDS: \"soon\" is not a number, use a number 0.001..86400 (seconds)");
	assert_int_equal(c->health_env.timeout_ms, 60000);
	assert_int_equal(c->health_env.max_tokens, -1);
	conf_freep(&c);
}

static void
test_deployments(void **state)
{
	struct conf *c = test_load(
		"model_list:\n"
		"- model_name: gpt\n"
		"  rpm: 60\n"
		"  litellm_params: {model: azure/dep, api_base: 'https://x.example/', api_key: k, weight: 2, order: 1, timeout: 1.5,\n"
		"    num_retries: 0, stream_timeout: 3}\n"
		"  model_info: {id: 17, mode: chat, health_check_timeout: 4, health_check_max_tokens: 9, blocked: true,\n"
		"    health_check_supports_max_tokens: false, disable_background_health_check: true, health_check_model: azure/y,\n"
		"    health_check_params: {a: 1}, health_check_prompt: hi}\n"
		"- model_name: all-*\n"
		"  litellm_params: {model: 'openai/*'}\n"
		"- model_name: gpt\n"
		"  litellm_params: {model: meta/llama, custom_llm_provider: openai, api_base: http://h/v1, rpm: 5}\n"
		"  rpm: 6\n",
		NULL);
	const struct deployment *d = c->deployment;

	(void)state;
	assert_int_equal(c->ndeployment, 3);
	assert_int_equal(c->ngroup, 2);
	assert_string_equal(d[0].id, "17");
	assert_string_equal(d[0].provider->name, "azure");
	assert_string_equal(d[0].upstream_model, "dep");
	assert_string_equal(d[0].api_base, "https://x.example");
	assert_true(d[0].api_base_set && d[0].blocked && d[0].probe.disabled);
	assert_string_equal(d[0].api_version, d[0].provider->default_version);
	assert_true(d[0].weight == 2 && d[0].rpm == 60 && d[0].tpm == 0);
	assert_int_equal(conf_get(d[0].params, "rpm")->v.integer, 60);
	assert_int_equal(d[0].order, 1);
	assert_int_equal(d[0].timeout_ms, 1500);
	assert_int_equal(d[0].stream_timeout_ms, 3000);
	assert_int_equal(d[0].num_retries, 0);
	assert_int_equal(d[0].probe.mode, MODE_CHAT);
	assert_int_equal(d[0].probe.timeout_ms, 4000);
	assert_int_equal(d[0].probe.max_tokens, 9);
	assert_int_equal(d[0].probe.max_tokens_reasoning, -1);
	assert_int_equal(d[0].probe.supports_max_tokens, 0);
	assert_string_equal(d[0].probe.model, "azure/y");
	assert_string_equal(d[0].probe.prompt, "hi");
	assert_int_equal(d[0].probe.params->child->v.integer, 1);
	assert_true(d[1].wildcard && c->group[1].wildcard && !c->group[0].wildcard);
	assert_string_equal(d[1].api_base, "https://api.openai.com/v1");
	assert_false(d[1].api_base_set);
	assert_int_equal(d[1].order, INT32_MAX);
	assert_int_equal(d[1].num_retries, -1);
	assert_int_equal(d[1].probe.supports_max_tokens, -1);
	assert_int_equal(d[1].probe.timeout_ms, 60000);
	assert_string_equal(d[2].upstream_model, "meta/llama");
	assert_true(d[2].rpm == 5);
	assert_ptr_equal(conf_deployment_find(c, "17"), &d[0]);
	assert_ptr_equal(conf_group_find(c, "gpt"), &c->group[0]);
	assert_int_equal(c->group[0].nmember, 2);
	assert_int_equal(c->group[0].member[0], 0);
	assert_int_equal(c->group[0].member[1], 2);
	assert_int_equal(c->group[1].member[0], 1);
	assert_int_equal(d[2].group, 0);
	conf_freep(&c);
}

static void
test_organizations_and_equal_ids(void **state)
{
	struct conf *c = test_load("model_list:\n"
	                           "- {model_name: a, litellm_params: {model: openai/x, organization: [o1, o2]}, model_info: {id: i}}\n"
	                           "- {model_name: b, litellm_params: {model: openai/x, organization: o3}}\n"
	                           "- {model_name: b, litellm_params: {model: openai/x, organization: o3}}\n"
	                           "- {model_name: c, litellm_params: {model: openai/x}, model_info: {id: i-2}}\n",
	                           "t.yaml:2:95: id: an entry above has this id, so this one gets \"i-1\"");
	const struct deployment *d = c->deployment;
	char expected[80];

	(void)state;
	assert_int_equal(c->ndeployment, 5);
	assert_string_equal(d[0].id, "i");
	assert_string_equal(d[1].id, "i-1");
	assert_string_equal(d[0].organization, "o1");
	assert_string_equal(d[1].organization, "o2");
	assert_string_equal(conf_get_string(d[1].params, "organization"), "o2");
	assert_string_equal(conf_get_string(d[1].params, "model"), "openai/x");
	assert_string_equal(d[2].organization, "o3");
	snprintf(expected, sizeof(expected), "%s-1", d[2].id);
	assert_string_equal(d[3].id, expected);
	assert_ptr_equal(conf_deployment_find(c, expected), &d[3]);
	assert_string_equal(d[4].id, "i-2");
	conf_freep(&c);
}

static void
test_entries_left_out(void **state)
{
	static const char environments[] =
		"model_list:\n"
		"- {model_name: a, litellm_params: {model: openai/x}, model_info: {supported_environments: [staging]}}\n"
		"- {model_name: b, litellm_params: {model: openai/x}, model_info: {supported_environments: [production]}}\n";
	struct conf *c = test_load("model_list:\n- {model_name: a, litellm_params: {model: nonesuch/x}}\n"
	                           "- {model_name: b, litellm_params: {model: openai/x}}\n",
	                           "t.yaml:2:43: model: no provider is known for \"nonesuch/x\", so the entry is left out; known "
	                           "are openai, azure, ");

	(void)state;
	assert_int_equal(c->ndeployment, 1);
	assert_string_equal(c->deployment[0].model_name, "b");
	conf_freep(&c);
	setenv("LITELLM_ENVIRONMENT", "production", 1);
	c = test_load(environments, NULL);
	unsetenv("LITELLM_ENVIRONMENT");
	assert_int_equal(c->ndeployment, 1);
	assert_string_equal(c->deployment[0].model_name, "b");
	conf_freep(&c);
}

static void
test_warnings(void **state)
{
	static const struct {
		const char *text, *warning;
	} cases[] = {
		{"general_setings: {}\n", "t.yaml:1:1: general_setings: unknown key, did you mean \"general_settings\"?"},
		{"general_settings: {health_chekc_interval: 5}\n", "did you mean \"health_check_interval\"?"},
		{"general_settings: {zzzzzzzzzzzz: 5}\n", "zzzzzzzzzzzz: unknown key in general_settings, it has no effect"},
		{"general_settings: {alerting: [slack], custom_auth: x}\nguardrails: []\n",
	         "t.yaml:2:1: known from LiteLLM, but without effect in hale so far: guardrails, alerting, custom_auth"},
		{MODEL_A "  model_info: {cooldown_time: 1}\n" "- model_name: b\n"
	         "  litellm_params: {model: openai/x, cooldown_time: 2, max_parallel_requests: 3}\n",
	         "t.yaml:4:16: known from LiteLLM, but without effect in hale so far: cooldown_time, max_parallel_requests"},
		{"router_settings: {routing_strategy: least-busy}\n",
	         "t.yaml:1:37: routing_strategy: least-busy acts as simple-shuffle so far"},
		{MODEL_A "  model_info: {helth_check_timeout: 5, my_own: 1}\n", "did you mean \"health_check_timeout\"?"},
		{"general_settings: {background_health_check_model_groups: [a, b]}\n" MODEL_A,
	         "t.yaml:1:58: background_health_check_model_groups: there is no model group \"b\" in model_list"},
		{"router_settings: {model_group_alias: {b: a, c: zz}}\n" MODEL_A,
	         "t.yaml:1:48: c: there is no model group \"zz\" in model_list"},
		{"model_list: [{model_name: a, litellm_params: {model: azure/x}}]\n",
	         "t.yaml:1:54: model: provider azure has no address of its own, set api_base"},
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++) {
		struct conf *c = test_load(cases[i].text, cases[i].warning);

		conf_freep(&c);
	}
}

static void
test_wrong_values(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"general_settings:\n  health_check_interval: 0\n",
	         "t.yaml:2:26: health_check_interval: 0 is out of range, use 1..86400 (seconds)"},
		{"general_settings:\r\n  health_check_interval: -1\r\n",
	         "t.yaml:2:26: health_check_interval: -1 is out of range, use 1..86400 (seconds)"},
		{"general_settings: {health_check_interval: 1.5}\n",
	         "t.yaml:1:43: health_check_interval: 1.5 is not a whole number, use 1..86400 (seconds)"},
		{"general_settings: {health_check_interval: yes}\n",
	         "t.yaml:1:43: health_check_interval: yes is not a whole number, use 1..86400 (seconds)"},
		{"general_settings: {background_health_checks: maybe}\n",
	         "t.yaml:1:46: background_health_checks: \"maybe\" is not allowed, use true or false"},
		{"general_settings: []\n", "t.yaml:1:19: general_settings: a list where a map is expected"},
		{"general_settings: {master_key: {sk: 1}}\n", "t.yaml:1:32: master_key: a map is not allowed, use text"},
		{"general_settings: {background_health_check_model_groups: a}\n",
	         "t.yaml:1:58: background_health_check_model_groups: must be a list of model group names"},
		{"general_settings: {background_health_check_model_groups: [1]}\n",
	         "t.yaml:1:59: background_health_check_model_groups: must be a list of model group names"},
		{"router_settings: {background_health_check_model_groups: [null]}\n",
	         "t.yaml:1:58: background_health_check_model_groups: must be a list of model group names"},
		{"router_settings: {model_group_alias: {b: {hidden: true}}}\n",
	         "t.yaml:1:42: b: must be the name of a group, or a map with it as model"},
		{"router_settings: {model_group_alias: {b: 5}}\n",
	         "t.yaml:1:42: b: must be the name of a group, or a map with it as model"},
		{"router_settings: {health_check_interval: 5}\n",
	         "t.yaml:1:42: health_check_interval: 'health_check_interval' is NOT a valid router_settings parameter. Please "
	         "move it to 'general_settings'."},
		{"router_settings: {timeout: .inf}\n",
	         "t.yaml:1:28: timeout: .inf is not a number, use a number 0.001..86400 (seconds)"},
		{"router_settings: {routing_strategy: best}\n",
	         "t.yaml:1:37: routing_strategy: \"best\" is not allowed, use simple-shuffle, least-busy, usage-based-routing, "
	         "usage-based-routing-v2, latency-based-routing or cost-based-routing"},
		{"model_list: {}\n", "t.yaml:1:13: model_list: a map where a list is expected"},
		{"model_list:\n- litellm_params: {model: openai/x}\n", "t.yaml:2:3: an entry of model_list needs a model_name"},
		{"model_list:\n- model_name: a\n", "t.yaml:2:3: an entry of model_list needs litellm_params"},
		{"model_list:\n- {model_name: a, litellm_params: {}}\n",
	         "t.yaml:2:35: litellm_params: model is missing, use provider/model"},
		{"model_list:\n- {model_name: a, litellm_params: {model: openai/}}\n",
	         "t.yaml:2:43: model: \"openai/\" names no model, use provider/model"},
		{"model_list: [a]\n", "t.yaml:1:14: text where an entry of model_list (a map) is expected"},
		{"hale_settings: {deployments_max: 1}\n" MODEL_A "- model_name: b\n  litellm_params: {model: openai/x}\n",
	         "t.yaml:3:1: model_list: 2 deployments, the limit is 1 (hale_settings.deployments_max)"},
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++)
		test_refused(cases[i].text, cases[i].error);
}

static void
test_hostile_yaml(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: a: given twice, first at line 1"},
		{"a: &x [1, *x]\n", "t.yaml:1:11: alias *x refers to the value that it is part of"},
		{"a: *x\n", "t.yaml:1:4: alias *x has no anchor above it"},
		{"a: \"b\\0c\"\n", "t.yaml:1:4: text with a NUL character is not allowed"},
		{"a:\n\tb: 1\n", "t.yaml:2:1: a tab in the indentation, YAML allows only spaces there"},
		{"a: b\n---\nc: d\n", "t.yaml:2:1: a second document starts here, one is allowed"},
		{"{[a]: b}\n", "t.yaml:1:2: a key must be plain text"},
		{"a: {<<: 5}\n", "t.yaml:1:9: <<: only a map or a list of maps can be merged"},
		{"a: !!python/object:os.system x\n",
	         "t.yaml:1:4: tag tag:yaml.org,2002:python/object:os.system is not supported or does not fit the value"},
		{"- a\n", "t.yaml:1:1: a list where settings (\"key: value\" lines) are expected"},
		{"a: \"b\n", "t.yaml:2:1: not valid YAML: found unexpected end of stream, while scanning a quoted scalar (from "
	                     "line 1)"},
		{"a:\n  b: 1\n c: 2\n", "t.yaml:3:2: not valid YAML: did not find expected key, while parsing a block mapping "
	                                 "(from line 1)"},
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++)
		test_refused(cases[i].text, cases[i].error);
	test_refused_bytes("a: b\nc: \0d\n", 11, "t.yaml:2:4: a NUL byte is not allowed");
	test_refused_bytes("a: b\nc: \xff\n", 10, "t.yaml:2:4: invalid leading UTF-8 octet");
}

static void
test_bounds(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	strbuf_puts(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 12; i++)
		strbuf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
		              i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	test_refused(strbuf_str(&b),
	             "t.yaml:7:10: too many values: the limit is 2000000, aliases counted as what they stand for");
	strbuf_clear(&b);
	strbuf_puts(&b, "a: &a '"); /* one long text, referred to often */
	for (int i = 0; i < 100000; i++)
		strbuf_puts(&b, "0123456789");
	strbuf_puts(&b, "'\nb: [");
	for (int i = 0; i < 10000; i++)
		strbuf_puts(&b, "*a,");
	strbuf_puts(&b, "]\n");
	test_refused(strbuf_str(&b),
	             "t.yaml:2:1535: too many values: the limit is 2000000, aliases counted as what they stand for");
	strbuf_clear(&b);
	strbuf_puts(&b, "a: ");
	for (int i = 0; i < 100000; i++)
		strbuf_putc(&b, '[');
	test_refused(strbuf_str(&b), "t.yaml:1:67: nested too deeply: the limit is 64 levels");
	strbuf_release(&b);
}

/* All mistakes of a file are reported, at most 20 of them in words. */
static void
test_many_errors(void **state)
{
	struct conf *c = NULL;
	struct errlist errs;
	struct strbuf b;

	(void)state;
	errlist_init(&errs);
	strbuf_init(&b, 0);
	strbuf_puts(&b, "model_list:\n");
	for (int i = 0; i < 30; i++)
		strbuf_puts(&b, "- model_name: a\n");
	assert_int_equal(conf_load_text("t.yaml", strbuf_str(&b), b.len, &c, &errs), HALE_ECONF);
	assert_int_equal(errs.nerror, 30);
	assert_int_equal(errs.error[19].line, 21);
	strbuf_release(&b);
	errlist_release(&errs);
}

/* Secrets do not appear in messages, wherever they stand. */
static void
test_no_secret_in_messages(void **state)
{
	(void)state;
	test_refused("general_settings: {master_key: true}\n", "t.yaml:1:32: master_key: the value is not allowed, use text");
}

static void
test_write(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
test_include(void **state)
{
	char dir[] = "/tmp/hale-test-XXXXXX", path[256], line[1024];
	static const char *const names[] = {"main.yaml", "more.yaml", "loop.yaml", "missing.yaml"};
	struct conf *c = NULL;
	struct errlist errs;

	(void)state;
	errlist_init(&errs);
	assert_non_null(mkdtemp(dir));
	test_write(dir, "main.yaml", "include: [more.yaml]\ngeneral_settings: {master_key: own}\n" MODEL_A);
	test_write(dir, "more.yaml", "general_settings: {master_key: other, health_check_interval: 7}\n"
	                             "model_list:\n- {model_name: b, litellm_params: {model: openai/y}}\n"
	                             "router_settings: {num_retries: 5}\n");
	test_write(dir, "loop.yaml", "include: ./loop.yaml\n");
	test_write(dir, "missing.yaml", "include: [nope.yaml]\n");
	snprintf(path, sizeof(path), "%s/main.yaml", dir);
	assert_int_equal(conf_load(path, &c, &errs), 0);
	assert_int_equal(errs.nwarning, 1); /* master_key is in both */
	assert_string_equal(c->general.master_key, "own");
	assert_int_equal(c->general.health_check_interval_s, 7);
	assert_int_equal(c->router.num_retries, 5);
	assert_int_equal(c->ndeployment, 2);
	assert_string_equal(c->deployment[1].model_name, "b");
	assert_string_equal(c->path, path);
	conf_freep(&c);
	errlist_release(&errs);

	snprintf(path, sizeof(path), "%s/loop.yaml", dir);
	assert_int_equal(conf_load(path, &c, &errs), HALE_ECONF);
	errlist_format(&errs.error[0], line, sizeof(line));
	assert_non_null(strstr(line, "loop.yaml:1:10: include: "));
	assert_non_null(strstr(line, "loop.yaml: includes itself"));
	errlist_release(&errs);

	snprintf(path, sizeof(path), "%s/missing.yaml", dir);
	assert_int_equal(conf_load(path, &c, &errs), HALE_ECONF);
	errlist_format(&errs.error[0], line, sizeof(line));
	assert_non_null(strstr(line, "nope.yaml: cannot be read: No such file or directory"));
	errlist_release(&errs);

	assert_int_equal(conf_load(dir, &c, &errs), HALE_ECONF);
	assert_string_equal(errs.error[0].text, "is a directory, a file is expected");
	errlist_release(&errs);
	for (unsigned i = 0; i < HALE_COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

static void
test_cache_and_callbacks(void **state)
{
	struct conf *c = test_load("litellm_settings: {cache: true, success_callback: langfuse}\n", NULL);

	(void)state;
	assert_string_equal(c->cache_type, "redis");
	assert_string_equal(c->success_callbacks[0], "langfuse");
	assert_null(c->success_callbacks[1]);
	conf_freep(&c);
	c = test_load("litellm_settings: {cache: false, cache_params: {type: redis}, success_callback: [a, b]}\n", NULL);
	assert_null(c->cache_type);
	assert_string_equal(c->success_callbacks[1], "b");
	conf_freep(&c);
}

/* Thousands of entries with one id: numbering must not search from the start each time. */
static void
test_many_equal_entries(void **state)
{
	struct conf *c;
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	strbuf_puts(&b, "model_list:\n");
	for (int i = 0; i < 5000; i++)
		strbuf_puts(&b, "- {model_name: a, litellm_params: {model: openai/x}}\n");
	c = test_load(strbuf_str(&b), NULL);
	assert_int_equal(c->ndeployment, 5000);
	assert_int_equal(c->group[0].nmember, 5000);
	for (uint32_t i = 0; i < c->ndeployment; i++)
		assert_ptr_equal(conf_deployment_find(c, c->deployment[i].id), &c->deployment[i]);
	conf_freep(&c);
	strbuf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_builtin),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_time_or_switch),
		cmocka_unit_test(test_values_as_text),
		cmocka_unit_test(test_environ_references),
		cmocka_unit_test(test_deployments),
		cmocka_unit_test(test_organizations_and_equal_ids),
		cmocka_unit_test(test_entries_left_out),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_hostile_yaml),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_no_secret_in_messages),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_cache_and_callbacks),
		cmocka_unit_test(test_many_equal_entries),
	};

	return cmocka_run_group_tests(tests, test_clean_environment, NULL);
}

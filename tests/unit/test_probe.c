/* probe: the exact request of every provider and mode, as written in a configuration. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/arena.h"
#include "hale/catalogue.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/probe.h"
#include "hale/strbuf.h"

struct built {
	struct arena *arena;
	struct conf *conf;
	struct probe_request q;
	const char *why;
	int rc;
};

/* One deployment from the members of its two maps, in flow style. */
static void
build(struct built *b, const char *params, const char *info, enum probe_adapt adapt)
{
	struct errlist errs;
	struct strbuf yaml;

	strbuf_init(&yaml, 0);
	strbuf_printf(&yaml, "model_list:\n- model_name: g\n  litellm_params: {%s}\n  model_info: {%s}\n", params, info);
	errlist_init(&errs);
	*b = (struct built){.arena = arena_new(1024)};
	if (conf_load_text("test.yaml", strbuf_str(&yaml), yaml.len, &b->conf, &errs))
		fail_msg("%s", errs.nerror ? errs.error[0].text : "no configuration");
	assert_int_equal(b->conf->ndeployment, 1);
	b->rc = probe_request_build(b->arena, b->conf, &b->conf->deployment[0], adapt, 0, &b->q, &b->why);
	errlist_release(&errs);
	strbuf_release(&yaml);
}

static void
release(struct built *b)
{
	arena_freep(&b->arena);
	conf_freep(&b->conf);
}

static void
check_headers(const struct endpoint *e, const char *want)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	for (unsigned i = 0; i < e->nheader; i++)
		strbuf_printf(&b, "%s%s: %s", i ? "|" : "", e->header[i].name, e->header[i].value);
	assert_string_equal(strbuf_str(&b), want);
	strbuf_release(&b);
}

static void
check_request(const char *params, const char *info, const char *url, const char *headers, const char *body)
{
	struct built b;

	build(&b, params, info, PROBE_ADAPT_NONE);
	if (b.rc)
		fail_msg("%s: %s", params, b.why);
	assert_string_equal(b.q.endpoint.method, "POST");
	assert_string_equal(b.q.endpoint.url, url);
	check_headers(&b.q.endpoint, headers);
	assert_string_equal(b.q.body, body);
	assert_int_equal(b.q.body_len, strlen(body));
	assert_string_equal(b.q.content_type, "application/json");
	assert_non_null(b.q.op);
	release(&b);
}

static void
check_body(const char *params, const char *info, enum probe_adapt adapt, const char *body)
{
	struct built b;

	build(&b, params, info, adapt);
	if (b.rc)
		fail_msg("%s: %s", params, b.why);
	assert_string_equal(b.q.body, body);
	release(&b);
}

static void
check_refused(const char *params, const char *info, int rc, const char *why)
{
	struct built b;

	build(&b, params, info, PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, rc);
	assert_string_equal(b.why, why);
	release(&b);
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"test from litellm\"}]"

static void
test_modes_and_providers(void **state)
{
	(void)state;
	check_request("model: openai/gpt-4o, api_key: k1", "", "https://api.openai.com/v1/chat/completions",
	              "Authorization: Bearer k1", "{\"model\":\"gpt-4o\"," HI ",\"max_tokens\":1}");
	check_request("model: gpt-3.5-turbo-instruct, api_key: k1, organization: org-1", "mode: completion",
	              "https://api.openai.com/v1/completions", "Authorization: Bearer k1|OpenAI-Organization: org-1",
	              "{\"model\":\"gpt-3.5-turbo-instruct\",\"prompt\":\"test from litellm\",\"max_tokens\":1}");
	check_request("model: text-embedding-3-small, api_key: k1", "", "https://api.openai.com/v1/embeddings",
	              "Authorization: Bearer k1", "{\"model\":\"text-embedding-3-small\",\"input\":[\"test from litellm\"]}");
	check_request("model: azure/my dep/ü, api_key: k2, api_base: 'https://r.openai.azure.com/', api_version: 2024-06-01",
	              "", "https://r.openai.azure.com/openai/deployments/my%20dep%2F%C3%BC/chat/completions?api-version=2024-06-01",
	              "api-key: k2", "{\"model\":\"my dep/\xc3\xbc\"," HI ",\"max_tokens\":1}");
	check_request("model: azure/e, api_key: k2, api_base: 'https://r.openai.azure.com'", "mode: embedding",
	              "https://r.openai.azure.com/openai/deployments/e/embeddings?api-version=2025-02-01-preview",
	              "api-key: k2", "{\"model\":\"e\",\"input\":[\"test from litellm\"]}");
	check_request("model: azure/c, azure_ad_token: t, api_key: k2, api_base: 'https://r.openai.azure.com'",
	              "mode: completion",
	              "https://r.openai.azure.com/openai/deployments/c/completions?api-version=2025-02-01-preview",
	              "Authorization: Bearer t", "{\"model\":\"c\",\"prompt\":\"test from litellm\",\"max_tokens\":1}");
	check_request("model: anthropic/claude-3-5-haiku-latest, api_key: k3", "", "https://api.anthropic.com/v1/messages",
	              "x-api-key: k3|anthropic-version: 2023-06-01",
	              "{\"model\":\"claude-3-5-haiku-latest\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	              "\"text\":\"test from litellm\"}]}],\"max_tokens\":1}");
	check_request("model: groq/llama-3.1-8b, api_key: k", "", "https://api.groq.com/openai/v1/chat/completions",
	              "Authorization: Bearer k", "{\"model\":\"llama-3.1-8b\"," HI ",\"max_tokens\":1}");
	check_request("model: voyage/voyage-3, api_key: k", "", "https://api.voyageai.com/v1/embeddings",
	              "Authorization: Bearer k", "{\"model\":\"voyage-3\",\"input\":[\"test from litellm\"]}");
	check_request("model: ollama/llama3", "", "http://localhost:11434/v1/chat/completions", "",
	              "{\"model\":\"llama3\"," HI ",\"max_tokens\":1}");
	check_request("model: hosted_vllm/meta/x, api_base: 'http://127.0.0.1:8000/v1'", "",
	              "http://127.0.0.1:8000/v1/chat/completions", "", "{\"model\":\"meta/x\"," HI ",\"max_tokens\":1}");
}

static void
check_url(const char *params, const char *url)
{
	struct built b;

	build(&b, params, "", PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.q.endpoint.url, url);
	release(&b);
}

static void
test_bases(void **state)
{
	(void)state;
	check_url("model: openai/m, api_base: 'http://h:1/v1/'", "http://h:1/v1/chat/completions");
	check_url("model: openai/m, api_base: 'http://h:1/v1/chat/completions'", "http://h:1/v1/chat/completions");
	check_url("model: openai/m, api_base: 'http://h:1/v1/chat/completions/?a=b'", "http://h:1/v1/chat/completions?a=b");
	check_url("model: openai/m, api_base: 'http://h:1/v1/embeddings'", "http://h:1/v1/chat/completions");
	check_url("model: openai/m, api_base: 'HTTP://h'", "HTTP://h/chat/completions");
	check_url("model: anthropic/m, api_base: 'http://h:1/'", "http://h:1/v1/messages");
	check_url("model: anthropic/m, api_base: 'http://h:1/v1'", "http://h:1/v1/messages");
	check_url("model: anthropic/m, api_base: 'http://h:1/v1/messages'", "http://h:1/v1/messages");
	check_url("model: ollama/m, api_base: 'http://h:1'", "http://h:1/v1/chat/completions");
	check_url("model: ollama/m, api_base: 'http://h:1/v1'", "http://h:1/v1/chat/completions");
	check_url("model: azure/d, api_base: 'https://r/openai'",
	          "https://r/openai/deployments/d/chat/completions?api-version=2025-02-01-preview");
	check_url("model: azure/d, api_base: 'https://r/openai/deployments/x/chat/completions?api-version=1'",
	          "https://r/openai/deployments/x/chat/completions?api-version=1");
	check_url("model: azure/o_series/d, api_base: 'https://r'",
	          "https://r/openai/deployments/d/chat/completions?api-version=2025-02-01-preview");
	check_url("model: azure/d, api_base: 'https://r/openai/v1'", "https://r/openai/v1/chat/completions");
	check_url("model: azure/d, api_version: preview, api_base: 'https://r'",
	          "https://r/openai/v1/chat/completions?api-version=preview");
	check_url("model: azure/d, api_version: v1, api_base: 'https://r'", "https://r/openai/v1/chat/completions");
	check_url("model: azure/d, api_version: 'a&b', api_base: 'https://r'",
	          "https://r/openai/deployments/d/chat/completions?api-version=a%26b");
}

static void
test_refused(void **state)
{
	static const char why[] = "api_base, api_key or extra_headers cannot be used in a request";

	(void)state;
	check_refused("model: openai/m, api_key: \"a\\r\\nX: y\"", "", HALE_EINVAL, why);
	check_refused("model: openai/m, api_base: 'ftp://h'", "", HALE_EINVAL, why);
	check_refused("model: openai/m, api_base: 'file:///etc/passwd'", "", HALE_EINVAL, why);
	check_refused("model: openai/m, api_base: 'http://h /x'", "", HALE_EINVAL, why);
	check_refused("model: openai/m, api_base: 'http://'", "", HALE_EINVAL, why);
	check_refused("model: openai/m, extra_headers: {Host: x}", "", HALE_EINVAL, why);
	check_refused("model: openai/m, extra_headers: {'a b': x}", "", HALE_EINVAL, why);
	check_refused("model: openai/m, extra_headers: {a: \"x\\ny\"}", "", HALE_EINVAL, why);
	check_refused("model: openai/m, extra_headers: {a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1}", "",
	              HALE_ELIMIT, why);
	check_refused("model: azure/m", "", HALE_EINVAL, "the deployment has no api_base");
	check_refused("model: 'openai/*'", "", HALE_EUNSUPPORTED,
	              "Unable to health check wildcard model for provider openai. Set model_info.health_check_model to one "
	              "of its models.");
	check_refused("model: openai/m", "mode: realtime", HALE_EUNSUPPORTED,
	              "Mode realtime not supported. See modes here: https://docs.litellm.ai/docs/proxy/health");
	check_refused("model: jina_ai/m", "mode: chat", HALE_EUNSUPPORTED,
	              "Mode chat not supported. See modes here: https://docs.litellm.ai/docs/proxy/health");
}

static void
test_extra_headers(void **state)
{
	(void)state;
	check_request("model: openai/m, api_key: k, extra_headers: {X-Team: a, X-N: 5}", "",
	              "https://api.openai.com/v1/chat/completions", "Authorization: Bearer k|X-Team: a|X-N: 5",
	              "{\"model\":\"m\"," HI ",\"max_tokens\":1}");
}

static void
test_extra_header_replaces(void **state)
{
	(void)state;
	check_request("model: anthropic/m, api_key: k, extra_headers: {Anthropic-Version: 2024-01-01, anthropic-beta: b}", "",
	              "https://api.anthropic.com/v1/messages", "x-api-key: k|Anthropic-Version: 2024-01-01|anthropic-beta: b",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	              "\"text\":\"test from litellm\"}]}],\"max_tokens\":1}");
}

static void
test_parameters(void **state)
{
	(void)state;
	/* request parameters go along in file order, everything else stays */
	check_body("model: openai/m, rpm: 5, temperature: 0.7, supports_vision: true, top_p: 1, custom_flag: 3, seed: 7, "
	           "timeout: 3, api_key: k, drop_params: true, input_cost_per_token: 1.0e-06, stream: true", "",
	           PROBE_ADAPT_NONE, "{\"model\":\"m\"," HI ",\"temperature\":0.7,\"top_p\":1,\"seed\":7,\"max_tokens\":1}");
	check_body("model: text-embedding-3-small, temperature: 0.7, dimensions: 8", "", PROBE_ADAPT_NONE,
	           "{\"model\":\"text-embedding-3-small\",\"input\":[\"test from litellm\"],\"dimensions\":8}");
	/* health_check_params: merged later, any name, but nothing that the probe decides itself */
	check_body("model: openai/m, temperature: 0.7",
	           "health_check_params: {temperature: 0, provider: {order: [a, b]}, model: x, stream: true, api_key: s, "
	           "messages: [], extra_body: {k: null, z: 1}}", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\"," HI ",\"temperature\":0,\"provider\":{\"order\":[\"a\",\"b\"]},\"z\":1,\"max_tokens\":1}");
	check_body("model: openai/m, extra_body: {guided_choice: [x]}", "", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\"," HI ",\"guided_choice\":[\"x\"],\"max_tokens\":1}");
	check_body("model: openai/m", "health_check_reasoning_effort: low", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\"," HI ",\"max_tokens\":1,\"reasoning_effort\":\"low\"}");
	check_body("model: openai/m", "health_check_reasoning_effort: {effort: low, summary: auto}", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\"," HI ",\"max_tokens\":1,\"reasoning_effort\":{\"effort\":\"low\",\"summary\":\"auto\"}}");
	check_body("model: openai/m", "health_check_prompt: \"a \\\"b\\\"\"", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a \\\"b\\\"\"}],\"max_tokens\":1}");
}

static void
check_limit(const char *model, const char *info, enum probe_adapt adapt, const char *limit)
{
	struct built b;
	const char *comma;

	build(&b, model, info, adapt);
	assert_int_equal(b.rc, 0);
	comma = strstr(b.q.body, "litellm\"}]");
	assert_non_null(comma);
	assert_string_equal(comma + strlen("litellm\"}]"), limit);
	release(&b);
}

static void
test_max_tokens(void **state)
{
	(void)state;
	check_limit("model: openai/m", "", PROBE_ADAPT_NONE, ",\"max_tokens\":1}");
	check_limit("model: openai/m", "health_check_max_tokens: 7", PROBE_ADAPT_NONE, ",\"max_tokens\":7}");
	check_limit("model: openai/m, max_tokens: 4096", "", PROBE_ADAPT_NONE, ",\"max_tokens\":1}");
	check_limit("model: openai/m", "health_check_max_tokens_non_reasoning: 3, health_check_max_tokens_reasoning: 4",
	            PROBE_ADAPT_NONE, ",\"max_tokens\":3}");
	check_limit("model: openai/o3-mini", "health_check_max_tokens_non_reasoning: 3, health_check_max_tokens_reasoning: 4",
	            PROBE_ADAPT_NONE, ",\"max_tokens\":4}");
	check_limit("model: openai/m", "health_check_max_tokens: 2, health_check_max_tokens_non_reasoning: 3",
	            PROBE_ADAPT_NONE, ",\"max_tokens\":2}");
	check_limit("model: openai/m", "health_check_supports_max_tokens: false", PROBE_ADAPT_NONE, "}");
	check_limit("model: openai/m", "health_check_params: {max_completion_tokens: 20}", PROBE_ADAPT_NONE,
	            ",\"max_completion_tokens\":20}");
	check_limit("model: openai/m", "health_check_params: {max_completion_tokens: 20}, health_check_max_tokens: 2",
	            PROBE_ADAPT_NONE, ",\"max_tokens\":2}");
	check_limit("model: 'openai/*'", "health_check_model: openai/gpt-4o-mini", PROBE_ADAPT_NONE, ",\"max_tokens\":10}");
	check_body("model: text-embedding-3-small", "health_check_supports_max_tokens: true", PROBE_ADAPT_NONE,
	           "{\"model\":\"text-embedding-3-small\",\"input\":[\"test from litellm\"],\"max_tokens\":1}");
	/* what an upstream that refuses the first form is sent next */
	check_limit("model: openai/gpt-5, temperature: 0.5", "", PROBE_ADAPT_LARGER, ",\"temperature\":0.5,\"max_tokens\":16}");
	check_limit("model: openai/gpt-5, temperature: 0.5", "", PROBE_ADAPT_COMPLETION,
	            ",\"temperature\":0.5,\"max_completion_tokens\":16}");
	check_limit("model: openai/gpt-5, temperature: 0.5", "health_check_params: {a: 1}", PROBE_ADAPT_NO_LIMIT, "}");
	check_limit("model: openai/gpt-5", "health_check_max_tokens: 50", PROBE_ADAPT_COMPLETION,
	            ",\"max_completion_tokens\":50}");
}

static void
test_environment(void **state)
{
	(void)state;
	setenv("DEFAULT_HEALTH_CHECK_PROMPT", "ping", 1);
	setenv("BACKGROUND_HEALTH_CHECK_MAX_TOKENS", "5", 1);
	setenv("BACKGROUND_HEALTH_CHECK_MAX_TOKENS_REASONING", "6", 1);
	check_body("model: openai/m", "", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_tokens\":5}");
	check_body("model: openai/o1", "", PROBE_ADAPT_NONE,
	           "{\"model\":\"o1\",\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_tokens\":6}");
	check_body("model: 'openai/*'", "health_check_model: openai/o1, health_check_prompt: p", PROBE_ADAPT_NONE,
	           "{\"model\":\"o1\",\"messages\":[{\"role\":\"user\",\"content\":\"p\"}],\"max_tokens\":5}");
	unsetenv("DEFAULT_HEALTH_CHECK_PROMPT");
	unsetenv("BACKGROUND_HEALTH_CHECK_MAX_TOKENS");
	unsetenv("BACKGROUND_HEALTH_CHECK_MAX_TOKENS_REASONING");
}

static void
test_health_check_model(void **state)
{
	struct built b;

	(void)state;
	build(&b, "model: 'openai/*', api_key: k, api_base: 'http://h/v1'", "health_check_model: openai/gpt-4o-mini",
	      PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.q.model, "openai/gpt-4o-mini");
	assert_string_equal(b.q.endpoint.url, "http://h/v1/chat/completions");
	check_headers(&b.q.endpoint, "Authorization: Bearer k");
	release(&b);
	/* a name of the upstream's own */
	check_body("model: 'openrouter/*', api_key: k", "health_check_model: meta/llama", PROBE_ADAPT_NONE,
	           "{\"model\":\"meta/llama\"," HI ",\"max_tokens\":10}");
	check_body("model: 'x/*', custom_llm_provider: openrouter, api_key: k", "health_check_model: openai/gpt-4o",
	           PROBE_ADAPT_NONE, "{\"model\":\"openai/gpt-4o\"," HI ",\"max_tokens\":10}");
	check_refused("model: 'openai/*'", "health_check_model: 'openai/gpt-*'", HALE_EUNSUPPORTED,
	              "Unable to health check wildcard model for provider openai. Set model_info.health_check_model to one "
	              "of its models.");
	/* another provider: neither our address nor our key from the environment go there */
	setenv("OPENAI_API_KEY", "env-key", 1);
	check_request("model: openai/gpt-4o", "health_check_model: groq/llama", "https://api.groq.com/openai/v1/chat/completions",
	              "", "{\"model\":\"llama\"," HI ",\"max_tokens\":1}");
	unsetenv("OPENAI_API_KEY");
}

static void
test_reasoning(void **state)
{
	static const char *const yes[] = {"o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5.1", "openai/o1-preview",
	                                  "deepseek-reasoner", "deepseek-ai/DeepSeek-R1", "claude-3-7-sonnet-latest",
	                                  "claude-sonnet-4-20250514", "grok-3-mini", "openai/gpt-oss-120b"};
	static const char *const no[] = {"gpt-4o", "gpt-5-chat-latest", "o1x", "claude-3-5-haiku", "llama-3", "gpt-50", ""};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(yes); i++)
		assert_true(catalogue_is_reasoning(yes[i]));
	for (size_t i = 0; i < HALE_COUNT(no); i++)
		assert_false(catalogue_is_reasoning(no[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes_and_providers),
		cmocka_unit_test(test_bases),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_extra_headers),
		cmocka_unit_test(test_extra_header_replaces),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_max_tokens),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_health_check_model),
		cmocka_unit_test(test_reasoning),
	};

	unsetenv("OPENAI_API_KEY");
	unsetenv("OPENAI_BASE_URL");
	unsetenv("OPENAI_API_BASE");
	unsetenv("AZURE_API_BASE");
	unsetenv("AZURE_API_VERSION");
	unsetenv("OLLAMA_API_KEY");
	unsetenv("OLLAMA_API_BASE");
	unsetenv("HOSTED_VLLM_API_KEY");
	unsetenv("GROQ_API_KEY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

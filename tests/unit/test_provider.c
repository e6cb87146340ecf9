/* provider: names, prefixes and bare names to rows of the table. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/provider.h"
#include "hale/strbuf.h"

static void
check_model(const char *model, const char *custom, const char *provider, const char *rest)
{
	const char *r = NULL;
	const struct provider *p = provider_of_model(model, custom, &r);

	if (!provider) {
		assert_null(p);
		return;
	}
	assert_non_null(p);
	assert_string_equal(p->name, provider);
	assert_string_equal(r, rest);
}

static void
test_of_model(void **state)
{
	(void)state;
	check_model("openai/gpt-4o", NULL, "openai", "gpt-4o");
	check_model("gpt-4o", NULL, "openai", "gpt-4o");
	check_model("o1", NULL, "openai", "o1");
	check_model("o3-mini", NULL, "openai", "o3-mini");
	check_model("o1x", NULL, NULL, NULL);
	check_model("whisper-1", NULL, "openai", "whisper-1");
	check_model("gpt-image-1", NULL, "openai", "gpt-image-1");
	check_model("text-embedding-3-small", NULL, "openai", "text-embedding-3-small");
	check_model("claude-3-5-haiku-latest", NULL, "anthropic", "claude-3-5-haiku-latest");
	check_model("azure/my-dep", NULL, "azure", "my-dep");
	check_model("gemini/gemini-2.0-flash", NULL, "gemini", "gemini-2.0-flash");
	check_model("cohere/command-r", NULL, "cohere", "command-r");
	check_model("command-r-plus", NULL, "cohere_chat", "command-r-plus");
	check_model("openai/*", NULL, "openai", "*");
	check_model("together_ai/meta-llama/Llama-3-70b", NULL, "together_ai", "meta-llama/Llama-3-70b");
	check_model("openrouter/openai/gpt-4o", NULL, "openrouter", "openai/gpt-4o");
	check_model("bedrock/us-west-2/anthropic.claude-v2", NULL, "bedrock", "us-west-2/anthropic.claude-v2");
	check_model("openai/", NULL, "openai", "");
	/* custom_llm_provider wins and only its own prefix is taken off */
	check_model("meta-llama/Llama-3", "openai", "openai", "meta-llama/Llama-3");
	check_model("openai/gpt-4o", "openai", "openai", "gpt-4o");
	check_model("openai/gpt-4o", "openrouter", "openrouter", "openai/gpt-4o");
	check_model("gpt-4o", "no_such", NULL, NULL);
	/* families without an implementation are unknown on purpose */
	check_model("sagemaker/jumpstart", NULL, NULL, NULL);
	check_model("gemini-2.0-flash", NULL, NULL, NULL);
	check_model("meta-llama/Llama-3", NULL, NULL, NULL);
	check_model("", NULL, NULL, NULL);
	check_model("/", NULL, NULL, NULL);
	check_model("*", NULL, NULL, NULL);
}

static void
test_list_is_table(void **state)
{
	struct strbuf b;
	const struct provider *p;

	(void)state;
	strbuf_init(&b, 0);
	for (unsigned i = 0; (p = provider_at(i)); i++) {
		strbuf_printf(&b, "%s%s", i ? ", " : "", p->name);
		assert_ptr_equal(provider_find(p->name, strlen(p->name)), p);
		assert_true(p->default_base || p->local || p->base_env[0]);
	}
	assert_string_equal(strbuf_str(&b), provider_list());
	assert_null(provider_find("openai", 5));
	assert_null(provider_find("open", 4));
	strbuf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_model),
		cmocka_unit_test(test_list_is_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Deployment ids: LiteLLM's formula with values as Python prints them; the hashes were made with Python. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/catalogue.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/strbuf.h"

/* Loads one entry of group `name` whose litellm_params are `params`; more: further lines of the file. */
static struct conf *
test_load(const char *name, const char *params, const char *more)
{
	struct conf *c = NULL;
	struct errlist errs;
	struct strbuf b;

	errlist_init(&errs);
	strbuf_init(&b, 0);
	strbuf_printf(&b, "%smodel_list:\n- model_name: %s\n  litellm_params: ", more, name);
	strbuf_puts(&b, params);
	assert_int_equal(conf_load_text("t.yaml", strbuf_str(&b), b.len, &c, &errs), 0);
	assert_int_equal(c->ndeployment, 1);
	strbuf_release(&b);
	errlist_release(&errs);
	return c;
}

static void
test_id_of(const char *name, const char *params, const char *expected)
{
	struct conf *c = test_load(name, params, "");

	assert_string_equal(c->deployment[0].id, expected);
	assert_ptr_equal(conf_deployment_find(c, expected), &c->deployment[0]);
	assert_int_equal(c->deployment[0].id_hash, deployment_id_hash(expected));
	conf_freep(&c);
}

static void
test_id_vector(void **state)
{
	(void)state;
	test_id_of("gpt-4", "{model: openai/gpt-4, api_key: sk-1}",
	           "4e2a4f42d5d56214dcb1e641bf40fe93fc7516c80550f480d48fa15d8a3e1d3d");
}

static void
test_id_numbers(void **state)
{
	(void)state;
	test_id_of("grp",
	           "{model: openai/a, temperature: 0.5, n: 5, stream: true, stop: null, "
	           "seed: 1_000, top_p: 1.0, x: 0x1F, y: 017, z: 1:30}",
	           "9678d273e60d6a4526c413fc91cbf6ff2f6040ac4f232b6d9d23df0f20803994");
}

static void
test_id_odd_numbers(void **state)
{
	(void)state;
	test_id_of("grp", "{model: openai/a, a: 1:30.5, b: ._5, c: -.5, d: -9223372036854775808, e: 5., f: 1.e+3, g: 1_}",
	           "24118c41970508b31d4b0c6d1e9477b66e41b8135ee644d48efb8d6ba593ffb8");
}

static void
test_id_nested(void **state)
{
	(void)state;
	test_id_of("grp",
	           "{model: openai/a, tags: [a, 'it''s', \"q\\\"'\", 1, 2.50, yes, ~, {b: c}, "
	           "[d]], extra_body: {b: \"\\u00e9\\U0001F600\\n\\x7f\\\"\", n: 1.0, l: [1, "
	           "true, null, 1.0e+20], m: {}}}",
	           "1cafaad1f9e6edaf4ed041f38395e3688234d50255db613a77aed0347296765b");
}

static void
test_id_floats(void **state)
{
	(void)state;
	test_id_of("grp",
	           "{model: openai/a, a: 1.0e+16, b: 1.0e-05, c: 0.0001, "
	           "d: 123456789012345680.0, e: -0.0, f: .inf, g: -.inf, h: .nan, i: 0.1, "
	           "j: 1e5, k: 2024-10-21, l: 5.0e-324, m: 1.7976931348623157e+308, "
	           "o: 99999999999999999999}",
	           "052a0e04228c975c12989549f917eba1e23ca90aca1ed86cf969007ce2e50c0e");
}

static void
test_id_text(void **state)
{
	(void)state;
	test_id_of("grp",
	           "{model: openai/a, tags: [\"tab\\there\", \"nb\\u00a0sp\", \"back\\\\slash\", "
	           "\"\\u200b\", \"\xc3""\xa9""\", \"\\x01\"], headers: {z: {y: [x]}, \"k\\\"\": null}}",
	           "5d8ad4d9f3fe0e7afc5f1ed7e6ba4211527db1d5f2cd59bbe193568ba4bda9f2");
}

static void
test_id_empty(void **state)
{
	(void)state;
	test_id_of("grp",
	           "{model: openai/a, api_version: 2024-02-01, timeout: 600, tags: [], "
	           "extra_headers: {}}",
	           "081e731cda2e31611fc99cfa5b03a92be9a2bfdf5624431015e2aaa311235116");
}

/* The id is made after references were resolved; it changes with the key, not with the spelling. */
static void
test_id_environment(void **state)
{
	struct conf *c = test_load("gpt-4", "{model: openai/gpt-4, api_key: os.environ/TEST_ID_KEY}",
	                           "environment_variables: {TEST_ID_KEY: sk-1}\n");

	(void)state;
	assert_string_equal(c->deployment[0].id, "4e2a4f42d5d56214dcb1e641bf40fe93fc7516c80550f480d48fa15d8a3e1d3d");
	conf_freep(&c);
	c = test_load("gpt-4", "{model: openai/gpt-4, api_key: os.environ/TEST_ID_KEY}",
	              "environment_variables: {TEST_ID_KEY: sk-2}\n");
	assert_string_not_equal(c->deployment[0].id, "4e2a4f42d5d56214dcb1e641bf40fe93fc7516c80550f480d48fa15d8a3e1d3d");
	conf_freep(&c);
}

/* `<<` puts merged keys first, as Python's yaml does; the order is part of the id. */
static void
test_id_merge_order(void **state)
{
	struct conf *c = test_load("grp", "{<<: [*b, *o], api_key: k2, timeout: 3}",
	                           "x: &b {model: openai/m, api_key: k1, rpm: 5}\ny: &o {rpm: 6, tpm: 7}\n");

	(void)state;
	assert_string_equal(c->deployment[0].id, "582aa9d14bd1fbcc553f71f21143c1ec2b3112bee4b929ad6f90d4102d9211fa");
	conf_freep(&c);
}

static void
test_resolve_mode(void **state)
{
	static const struct {
		const char *model;
		enum mode mode;
	} cases[] = {
		{"openai/gpt-4o", MODE_CHAT},
		{"openai/text-embedding-3-small", MODE_EMBEDDING},
		{"azure/my-Whisper", MODE_AUDIO_TRANSCRIPTION},
		{"openai/tts-1-hd", MODE_AUDIO_SPEECH},
		{"openai/dall-e-3", MODE_IMAGE_GENERATION},
		{"jina_ai/jina-reranker-v2", MODE_RERANK},
		{"voyage/voyage-3", MODE_EMBEDDING},
		{"openai/gpt-4o-realtime-preview", MODE_REALTIME},
		{"openai/omni-moderation-latest", MODE_MODERATION},
		{"openai/gpt-3.5-turbo-instruct", MODE_COMPLETION},
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++) {
		char params[128];
		struct conf *c;

		snprintf(params, sizeof(params), "{model: %s}", cases[i].model);
		c = test_load("a", params, "");
		assert_int_equal(deployment_resolve_mode(&c->deployment[0]), cases[i].mode);
		conf_freep(&c);
		snprintf(params, sizeof(params), "{model: %s}\n  model_info: {mode: ocr}", cases[i].model);
		c = test_load("a", params, "");
		assert_int_equal(deployment_resolve_mode(&c->deployment[0]), MODE_OCR);
		conf_freep(&c);
	}
}

/* Where the mode comes from; LiteLLM's words without a probe are kept to be reported. */
static void
test_mode_source(void **state)
{
	static const struct {
		const char *params;
		enum mode_source source;
		enum mode mode;
	} cases[] = {
		{"{model: openai/gpt-4o}", MODE_BY_DEFAULT, MODE_CHAT},
		{"{model: openai/whisper-1}", MODE_BY_NAME, MODE_AUDIO_TRANSCRIPTION},
		{"{model: openai/whisper-1}\n  model_info: {mode: chat}", MODE_CONFIGURED, MODE_CHAT},
		{"{model: openai/*}\n  model_info: {health_check_model: openai/dall-e-3}", MODE_BY_NAME, MODE_IMAGE_GENERATION},
		{"{model: openai/a}\n  model_info: {mode: video_generation}", MODE_CONFIGURED, MODE_NONE},
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++) {
		struct conf *c = test_load("a", cases[i].params, "");
		enum mode mode;

		assert_int_equal(deployment_mode_source(&c->deployment[0], &mode), cases[i].source);
		assert_int_equal(mode, cases[i].mode);
		assert_int_equal(deployment_resolve_mode(&c->deployment[0]), mode);
		if (mode == MODE_NONE)
			assert_string_equal(c->deployment[0].probe.mode_text, "video_generation");
		conf_freep(&c);
	}
}

static void
test_catalogue(void **state)
{
	static const struct {
		const char *provider, *model;
		enum mode mode;
	} cases[] = {
		{"openai", "text-embedding-3-small", MODE_EMBEDDING},
		{"together_ai", "BAAI/bge-large-en-v1.5", MODE_EMBEDDING},
		{"hosted_vllm", "intfloat/multilingual-e5-large", MODE_EMBEDDING},
		{"ollama", "nomic-embed-text", MODE_EMBEDDING},
		{"hosted_vllm", "BAAI/bge-reranker-v2-m3", MODE_RERANK},
		{"cohere", "rerank-english-v3.0", MODE_RERANK},
		{"voyage", "rerank-2", MODE_RERANK},
		{"groq", "distil-whisper-large-v3-en", MODE_AUDIO_TRANSCRIPTION},
		{"openai", "gpt-4o-mini-transcribe", MODE_AUDIO_TRANSCRIPTION},
		{"openai", "gpt-4o-mini-tts", MODE_AUDIO_SPEECH},
		{"groq", "playai-tts", MODE_AUDIO_SPEECH},
		{"openai", "gpt-4o-realtime-preview", MODE_REALTIME},
		{"openai", "gpt-image-1", MODE_IMAGE_GENERATION},
		{"azure", "dall-e-3", MODE_IMAGE_GENERATION},
		{"together_ai", "black-forest-labs/FLUX.1-schnell", MODE_IMAGE_GENERATION},
		{"mistral", "mistral-ocr-latest", MODE_OCR},
		{"openai", "text-moderation-stable", MODE_MODERATION},
		{"openai", "babbage-002", MODE_COMPLETION},
		{"azure", "text-davinci-003", MODE_COMPLETION},
		{"openai", "gpt-5-codex", MODE_RESPONSES},
		{"azure", "o3-pro", MODE_RESPONSES},
		/* chat, or not to be known */
		{"openrouter", "openai/gpt-5-codex", MODE_NONE},
		{"hosted_vllm", "deepseek-ai/DeepSeek-OCR", MODE_NONE},
		{"openai", "gpt-4o", MODE_NONE},
		{"azure", "unembedded", MODE_NONE},
		{"azure", "watts", MODE_NONE},
		{"embed", "llama-3", MODE_NONE},
		{"openrouter", "embed/llama-3", MODE_NONE},
		{"", "", MODE_NONE},
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++)
		if (catalogue_mode(cases[i].provider, cases[i].model) != cases[i].mode)
			fail_msg("%s: %s", cases[i].model, mode_name(catalogue_mode(cases[i].provider, cases[i].model)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id_vector),
		cmocka_unit_test(test_id_numbers),
		cmocka_unit_test(test_id_odd_numbers),
		cmocka_unit_test(test_id_nested),
		cmocka_unit_test(test_id_floats),
		cmocka_unit_test(test_id_text),
		cmocka_unit_test(test_id_empty),
		cmocka_unit_test(test_id_environment),
		cmocka_unit_test(test_id_merge_order),
		cmocka_unit_test(test_resolve_mode),
		cmocka_unit_test(test_mode_source),
		cmocka_unit_test(test_catalogue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

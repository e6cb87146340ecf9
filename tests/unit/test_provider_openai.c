/* provider_openai: which 2xx bodies count as an answer, and the parts that addresses are made of. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/arena.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "provider_impl.h"

typedef bool (*essential_f)(const char *body, size_t len, const char **why);

static void
check(essential_f f, const char *body, const char *want_why)
{
	const char *why = NULL;
	size_t len = strlen(body);
	char *copy = xmalloc(len ? len : 1);
	bool yes;

	memcpy(copy, body, len);
	yes = f(copy, len, &why);
	free(copy);
	if (yes != !want_why)
		fail_msg("%s: %s", body, yes ? "accepted" : why);
	if (want_why)
		assert_string_equal(why, want_why);
}

#define NO_LIST "the answer has no choices"
#define NO_DATA "the answer has no data"
#define NO_OBJECT "the answer is not a JSON object"

static void
test_chat(void **state)
{
	essential_f f = provider_openai_op[MODE_CHAT].essential;

	(void)state;
	check(f, "{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\"}}]}", NULL);
	check(f, "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[]}},{}],\"usage\":{}}", NULL);
	/* a reasoning model that spent its limit: alive */
	check(f, "{\"choices\":[{\"finish_reason\":\"length\",\"message\":{\"content\":\"\"}}]}", NULL);
	check(f, "", "the answer is empty");
	check(f, "   ", NO_OBJECT);
	check(f, "<html>502</html>", NO_OBJECT);
	check(f, "[]", NO_OBJECT);
	check(f, "{\"choices\":[{\"message\":{}}]", NO_OBJECT);
	check(f, "{\"choices\":[{\"message\":{}}]} trailing", NO_OBJECT);
	check(f, "{}", NO_LIST);
	check(f, "{\"error\":{\"message\":\"no\"}}", NO_LIST);
	check(f, "{\"choices\":[]}", NO_LIST);
	check(f, "{\"choices\":{}}", NO_LIST);
	check(f, "{\"choices\":null}", NO_LIST);
	check(f, "{\"choices\":[{}]}", "the first choice has no message");
	check(f, "{\"choices\":[1]}", "the first choice has no message");
	check(f, "{\"choices\":[{\"message\":\"x\"}]}", "the first choice has no message");
	check(f, "{\"choices\":[{\"text\":\"x\"}]}", "the first choice has no message");
	check(f, "{\"data\":[{\"message\":{}}]}", NO_LIST);
	assert_ptr_equal(provider_azure_op[MODE_CHAT].essential, f);
}

static void
test_completion(void **state)
{
	essential_f f = provider_openai_op[MODE_COMPLETION].essential;

	(void)state;
	check(f, "{\"choices\":[{\"text\":\"\"}]}", NULL);
	check(f, "{\"choices\":[{\"message\":{}}]}", NULL);
	check(f, "{\"choices\":[{\"text\":null}]}", "the first choice has no text");
	check(f, "{\"choices\":[]}", NO_LIST);
}

static void
test_embedding(void **state)
{
	essential_f f = provider_openai_op[MODE_EMBEDDING].essential;

	(void)state;
	check(f, "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"embedding\":[0.1,-2e-3],\"index\":0}]}", NULL);
	check(f, "{\"data\":[{\"embedding\":\"AAAA\"}]}", NULL);
	check(f, "{\"data\":[{\"embedding\":null}]}", "the first element of data has no embedding");
	check(f, "{\"data\":[{\"embedding\":[]}]}", "the first element of data has no embedding");
	check(f, "{\"data\":[{\"embedding\":\"\"}]}", "the first element of data has no embedding");
	check(f, "{\"data\":[]}", NO_DATA);
	check(f, "{\"choices\":[{\"embedding\":[]}]}", NO_DATA);
}

/* The other modes: what counts, and what a 200 must not get away with. */
static void
test_other_modes(void **state)
{
	static const struct {
		enum mode mode;
		const char *body, *why; /* why NULL: counts */
	} cases[] = {
		{MODE_IMAGE_GENERATION, "{\"created\":1,\"data\":[{\"url\":\"https://x/y.png\"}]}", NULL},
		{MODE_IMAGE_EDIT, "{\"data\":[{\"b64_json\":\"iVBO\"}]}", NULL},
		{MODE_IMAGE_GENERATION, "{\"data\":[]}", NO_DATA},
		{MODE_IMAGE_GENERATION, "{\"data\":[{\"url\":\"\"}]}", "the first element of data has no image"},
		{MODE_AUDIO_TRANSCRIPTION, "{\"text\":\"\"}", NULL},
		{MODE_AUDIO_TRANSCRIPTION, "{\"text\":null}", "the answer has no text"},
		{MODE_AUDIO_TRANSCRIPTION, "{\"error\":{}}", "the answer has no text"},
		{MODE_AUDIO_SPEECH, "\xff\xf3\x40", NULL},
		{MODE_AUDIO_SPEECH, "\xff\xfb\x90", NULL},
		{MODE_AUDIO_SPEECH, "OggS\x02", NULL},
		{MODE_AUDIO_SPEECH, "", "the answer is empty"},
		{MODE_AUDIO_SPEECH, "upstream busy\n", "the answer is text, not audio"},
		{MODE_AUDIO_SPEECH, "<!DOCTYPE html><title>gew\xc3\xa4hlt</title>", "the answer is text, not audio"},
		{MODE_AUDIO_SPEECH, "{\"error\":{\"message\":\"\xe9\x94\x99\xe8\xaf\xaf\"}}", "the answer is text, not audio"},
		{MODE_AUDIO_SPEECH, "{\"error\":{\"message\":\"no\"}}", "the answer is text, not audio"},
		{MODE_RERANK, "{\"results\":[{\"index\":0,\"relevance_score\":0.5}]}", NULL},
		{MODE_RERANK, "{\"results\":[]}", "the answer has no results"},
		{MODE_RERANK, "{\"results\":[{\"index\":0}]}", "the first result has no relevance_score"},
		{MODE_BATCH, "{\"object\":\"list\",\"data\":[]}", NULL},
		{MODE_BATCH, "{\"data\":null}", "the answer has no list in data"},
		{MODE_RESPONSES, "{\"status\":\"incomplete\",\"output\":[]}", NULL},
		{MODE_RESPONSES, "{\"status\":\"failed\",\"output\":[]}", "the response failed"},
		{MODE_RESPONSES, "{\"status\":\"completed\"}", "the answer has no output"},
		{MODE_MODERATION, "{\"results\":[{\"flagged\":false}]}", NULL},
		{MODE_MODERATION, "{\"results\":[{}]}", "the first result has no verdict"},
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++)
		check(provider_openai_op[cases[i].mode].essential, cases[i].body, cases[i].why);
	check(provider_find("mistral", 7)->op[MODE_OCR]->essential, "{\"pages\":[{\"index\":0,\"markdown\":\"test\"}]}", NULL);
	check(provider_find("mistral", 7)->op[MODE_OCR]->essential, "{\"pages\":[]}", "the answer has no pages");
}

/* Anthropic's cells. */
static void
test_messages(void **state)
{
	essential_f f = provider_anthropic_op[MODE_MESSAGES].essential, n = provider_anthropic_op[MODE_COUNT_TOKENS].essential;

	(void)state;
	check(f, "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}", NULL);
	check(f, "{\"content\":[],\"stop_reason\":\"end_turn\"}", NULL);
	check(f, "{\"content\":[],\"stop_reason\":null}", "the answer has no content");
	check(n, "{\"input_tokens\":0}", NULL);
	check(n, "{\"input_tokens\":null}", "the answer has no input_tokens");
	check(n, "{\"type\":\"error\",\"error\":{}}", "the answer has no input_tokens");
	check(n, "", "the answer is empty");
}

static void
test_encode(void **state)
{
	struct arena *a = arena_new(256);

	(void)state;
	assert_string_equal(provider_endpoint_encode(a, "aZ09-._~"), "aZ09-._~");
	assert_string_equal(provider_endpoint_encode(a, "a/b?c#d%e f&\xc3\xa9\r\n"), "a%2Fb%3Fc%23d%25e%20f%26%C3%A9%0D%0A");
	assert_string_equal(provider_endpoint_encode(a, "../x"), "..%2Fx");
	assert_string_equal(provider_endpoint_encode(a, ""), "");
	arena_freep(&a);
}

static void
test_headers(void **state)
{
	struct endpoint e = {0};

	(void)state;
	assert_int_equal(provider_endpoint_header(&e, "a", NULL), 0);
	assert_int_equal(e.nheader, 0);
	assert_int_equal(provider_endpoint_header(&e, "a", "b\rc"), HALE_EINVAL);
	assert_int_equal(provider_endpoint_header(&e, "a", "b\nc"), HALE_EINVAL);
	assert_int_equal(provider_endpoint_header(&e, "a", "b\tc"), HALE_EINVAL);
	assert_int_equal(provider_endpoint_header(&e, "a", "b\x7f"), HALE_EINVAL);
	assert_int_equal(e.nheader, 0);
	assert_int_equal(provider_endpoint_header(&e, "a", "b \xc3\xa9"), 0);
	assert_int_equal(provider_endpoint_header(&e, "A", "c"), 0);
	assert_int_equal(e.nheader, 1);
	assert_string_equal(e.header[0].value, "c");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chat),
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_embedding),
		cmocka_unit_test(test_other_modes),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

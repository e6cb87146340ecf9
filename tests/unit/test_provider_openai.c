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

#define NO_LIST "the answer has no choices or data"
#define NO_OBJECT "the answer is not a JSON object"

static void
test_chat(void **state)
{
	essential_f f = provider_openai_chat.essential;

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
	assert_ptr_equal(provider_azure_chat.essential, f);
}

static void
test_completion(void **state)
{
	essential_f f = provider_openai_completion.essential;

	(void)state;
	check(f, "{\"choices\":[{\"text\":\"\"}]}", NULL);
	check(f, "{\"choices\":[{\"message\":{}}]}", NULL);
	check(f, "{\"choices\":[{\"text\":null}]}", "the first choice has no text");
	check(f, "{\"choices\":[]}", NO_LIST);
}

static void
test_embedding(void **state)
{
	essential_f f = provider_openai_embedding.essential;

	(void)state;
	check(f, "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"embedding\":[0.1,-2e-3],\"index\":0}]}", NULL);
	check(f, "{\"data\":[{\"embedding\":\"AAAA\"}]}", NULL);
	check(f, "{\"data\":[{\"embedding\":null}]}", "the first element of data has no embedding");
	check(f, "{\"data\":[{\"embedding\":[]}]}", "the first element of data has no embedding");
	check(f, "{\"data\":[{\"embedding\":\"\"}]}", "the first element of data has no embedding");
	check(f, "{\"data\":[]}", NO_LIST);
	check(f, "{\"choices\":[{\"embedding\":[]}]}", NO_LIST);
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
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

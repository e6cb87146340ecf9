/* worker_realtime: the key that a browser hides among its subprotocols. Sessions are for the scenarios. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "worker_realtime.h"

static void
check(const char *protocols, const char *want)
{
	char key[8] = "";

	assert_int_equal(worker_realtime_key(protocols, key, sizeof(key)), want != NULL);
	if (want)
		assert_string_equal(key, want);
}

static void
test_key(void **state)
{
	(void)state;
	check("", NULL);
	check("realtime", NULL);
	check("realtime, openai-insecure-api-key.sk-abc, openai-beta.realtime-v1", "sk-abc");
	check("openai-insecure-api-key.sk-abc", "sk-abc");
	check("\topenai-insecure-api-key.a.b ,x", "a.b");
	check("OpenAI-Insecure-API-Key.k", "k");
	check("openai-insecure-api-key.", NULL);
	check("openai-insecure-api-key. sk", NULL);
	check("xopenai-insecure-api-key.sk", NULL);
	check("openai-insecure-api-key.1234567", "1234567");
	check("openai-insecure-api-key.12345678", NULL); /* does not fit */
	check("openai-insecure-api-key.12345678, openai-insecure-api-key.a", "a");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* apierror: the exact bytes of the envelopes. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/apierror.h"
#include "hale/strbuf.h"

static void
test_openai(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	apierror_openai(&b, 401, "Authentication Error, No api key passed in.", "auth_error", "None", NULL);
	assert_string_equal(strbuf_str(&b), "{\"error\":{\"message\":\"Authentication Error, No api key passed in.\","
	                                    "\"type\":\"auth_error\",\"param\":\"None\",\"code\":\"401\"}}");
	strbuf_clear(&b);
	apierror_openai(&b, 429, "say \"please\"\n", NULL, NULL, "slow_down");
	assert_string_equal(strbuf_str(&b), "{\"error\":{\"message\":\"say \\\"please\\\"\\n\",\"type\":\"rate_limit_error\","
	                                    "\"param\":null,\"code\":\"slow_down\"}}");
	strbuf_clear(&b);
	apierror_openai(&b, 500, NULL, NULL, NULL, NULL);
	assert_string_equal(strbuf_str(&b),
	                    "{\"error\":{\"message\":\"\",\"type\":\"server_error\",\"param\":null,\"code\":\"500\"}}");
	strbuf_release(&b);
}

static void
test_types(void **state)
{
	(void)state;
	assert_string_equal(apierror_type(400), "invalid_request_error");
	assert_string_equal(apierror_type(404), "invalid_request_error");
	assert_string_equal(apierror_type(401), "authentication_error");
	assert_string_equal(apierror_type(403), "permission_error");
	assert_string_equal(apierror_type(408), "timeout_error");
	assert_string_equal(apierror_type(429), "rate_limit_error");
	assert_string_equal(apierror_type(502), "server_error");
}

static void
test_anthropic(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	apierror_anthropic(&b, 401, "no \"key\"", NULL, "req_1");
	assert_string_equal(strbuf_str(&b), "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\","
	                                    "\"message\":\"no \\\"key\\\"\"},\"request_id\":\"req_1\"}");
	strbuf_clear(&b);
	apierror_dialect(&b, DIALECT_MESSAGES, 404, "m", "model", "x");
	assert_string_equal(strbuf_str(&b), "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"m\"}}");
	strbuf_clear(&b);
	apierror_dialect(&b, DIALECT_RESPONSES, 404, "m", "model", "x");
	assert_string_equal(strbuf_str(&b), "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\","
	                                    "\"param\":\"model\",\"code\":\"x\"}}");
	strbuf_release(&b);
	assert_string_equal(apierror_anthropic_type(400), "invalid_request_error");
	assert_string_equal(apierror_anthropic_type(403), "permission_error");
	assert_string_equal(apierror_anthropic_type(405), "invalid_request_error");
	assert_string_equal(apierror_anthropic_type(413), "request_too_large");
	assert_string_equal(apierror_anthropic_type(429), "rate_limit_error");
	assert_string_equal(apierror_anthropic_type(502), "api_error");
	assert_string_equal(apierror_anthropic_type(503), "overloaded_error");
	assert_string_equal(apierror_anthropic_type(529), "overloaded_error");
}

/* The event that ends a broken stream, in each dialect. */
static void
test_event(void **state)
{
	static const char *const text[DIALECT_COUNT] = {
		[DIALECT_CHAT] = "data: {\"error\":{\"message\":\"cut\",\"type\":\"upstream_error\",\"param\":null,"
	                         "\"code\":\"c\"}}\n\n",
		[DIALECT_RESPONSES] = "event: error\ndata: {\"type\":\"error\",\"sequence_number\":7,\"code\":\"c\","
	                              "\"message\":\"cut\",\"param\":null,\"error\":{\"message\":\"cut\","
	                              "\"type\":\"upstream_error\",\"param\":null,\"code\":\"c\"}}\n\n",
		[DIALECT_MEDIA] = "event: error\ndata: {\"type\":\"error\",\"sequence_number\":7,\"code\":\"c\","
	                          "\"message\":\"cut\",\"param\":null,\"error\":{\"message\":\"cut\","
	                          "\"type\":\"upstream_error\",\"param\":null,\"code\":\"c\"}}\n\n",
		[DIALECT_MESSAGES] = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
	                             "\"message\":\"cut\"}}\n\n",
	};
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	for (int d = 0; d < DIALECT_COUNT; d++) {
		strbuf_clear(&b);
		apierror_event(&b, (enum dialect)d, 7, 502, "cut", "c");
		assert_string_equal(strbuf_str(&b), text[d]);
	}
	strbuf_release(&b);
}

static void
test_detail(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	apierror_detail(&b, "Not Found");
	assert_string_equal(strbuf_str(&b), "{\"detail\":\"Not Found\"}");
	strbuf_clear(&b);
	apierror_detail_error(&b, "Model with ID \"x\" not found");
	assert_string_equal(strbuf_str(&b), "{\"detail\":{\"error\":\"Model with ID \\\"x\\\" not found\"}}");
	strbuf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openai),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_anthropic),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_detail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

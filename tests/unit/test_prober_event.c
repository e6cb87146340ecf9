/* prober_event: what the first words of a realtime server amount to. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/strbuf.h"
#include "prober_event.h"

static void
test_status(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{"{\"type\":\"session.created\",\"session\":{}}", 0},
		{"{\"type\":\"conversation.created\"}", 0},
		{"{\"type\":\"\"}", 0},
		{"", -1},
		{"hello", -1},
		{"[]", -1},
		{"{}", -1},
		{"{\"type\":1}", -1},
		{"{\"type\":\"error\"", -1},
		{"{\"type\":\"error\"}", 500},
		{"{\"type\":\"error\",\"error\":\"Unauthorized\"}", 401},
		{"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"code\":\"invalid_api_key\"}}", 401},
		{"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"code\":\"beta_api_shape_disabled\"}}", 400},
		{"{\"type\":\"error\",\"error\":{\"code\":\"insufficient_quota\",\"message\":\"rate_limit\"}}", 402},
		{"{\"type\":\"error\",\"error\":{\"code\":\"rate_limit_exceeded\"}}", 429},
		{"{\"type\":\"error\",\"error\":{\"code\":\"model_not_found\"}}", 404},
		{"{\"type\":\"error\",\"error\":{\"type\":\"server_error\"}}", 500},
		{"{\"type\":\"error\",\"error\":{\"code\":429,\"message\":\"x\"}}", 429},
		{"{\"type\":\"error\",\"error\":{\"code\":\"503\"}}", 503},
		{"{\"type\":\"error\",\"error\":{\"code\":200}}", 500},
		{"{\"type\":\"error\",\"error\":{\"code\":99999999999}}", 500},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		int got = prober_event_status(cases[i].text, strlen(cases[i].text));

		if (got != cases[i].status)
			fail_msg("%s: %d, not %d", cases[i].text, got, cases[i].status);
	}
}

static void
check_close(unsigned code, const char *reason, int status, const char *event)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	assert_int_equal(prober_event_close(code, reason, &b), status);
	assert_string_equal(strbuf_str(&b), event);
	strbuf_release(&b);
}

#define CLOSED(text) "{\"type\":\"error\",\"error\":{\"type\":\"closed\",\"message\":\"the server closed the session" text "\"}}"

static void
test_close(void **state)
{
	(void)state;
	check_close(0, "", 500, CLOSED(""));
	check_close(1000, "", 500, CLOSED(" with code 1000"));
	check_close(1008, "", 403, CLOSED(" with code 1008"));
	check_close(1013, "say \"later\"", 503, CLOSED(" with code 1013: say \\\"later\\\""));
	/* words are more particular than codes */
	check_close(3000, "invalid_request_error.invalid_api_key", 401,
	            CLOSED(" with code 3000: invalid_request_error.invalid_api_key"));
	check_close(1008, "insufficient_quota", 402, CLOSED(" with code 1008: insufficient_quota"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

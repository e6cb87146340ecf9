/* prober_message and prober_until: words, counts and moments in what providers send. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/clock.h"
#include "prober_message.h"
#include "prober_until.h"

static void
test_text(void **state)
{
	static const struct { const char *body, *text; } c[] = {
		{"{\"error\":{\"message\":\"no key\",\"code\":\"x\"}}", "no key"},
		{"{\"error\":\"Unauthorized\"}", "Unauthorized"},
		{"{\"object\":\"error\",\"message\":\"does not exist\"}", "does not exist"},
		{"{\"Message\":\"denied\"}", "denied"},
		{"{\"detail\":\"Not Found\"}", "Not Found"},
		{"{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"Field required\"}]}", "Field required"},
		{"{\"detail\":{\"error\":{\"message\":\"deep\"}}}", "deep"},
		{"[{\"error\":{\"message\":\"API key not valid.\"}}]", "API key not valid."},
		{"{\"errors\":[{\"message\":\"first\"},{\"message\":\"second\"}]}", "first"},
		{"{\"error\":{\"message\":\"Provider returned error\",\"metadata\":{\"raw\":\"overloaded\"}}}", "overloaded"},
		{"\"a string\"", "a string"},
		{"  Bad Request\r\n", "Bad Request"},
		{"upstream\nerror", "upstream error"},
		{"<html>\r\n<head><TITLE> 502 Bad Gateway </TITLE></head>", "502 Bad Gateway"},
		{"<html><body>x</body></html>", NULL},
		{"<title>cut", NULL},
		{"{\"error\":{}}", NULL},
		{"{\"error\":{\"message\":{\"a\":1}}}", NULL},
		{"{\"error\":{\"message\":\"", NULL},
		{"[]", NULL},
		{"null", "null"},
		{"   ", NULL},
		{"\x01\x02\x03", NULL},
		{"", NULL},
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		const char *s = prober_message_text(c[i].body, strlen(c[i].body), buf, sizeof(buf));

		if ((s == NULL) != (c[i].text == NULL) || (s && strcmp(s, c[i].text) != 0))
			fail_msg("body %zu: %s", i, s ? s : "(nothing)");
	}
	assert_null(prober_message_text(NULL, 0, buf, sizeof(buf)));
}

static void
test_text_cut(void **state)
{
	char buf[8];
	const char *body = "{\"error\":\"abcdef\xc3\xa9xyz\"}";

	(void)state;
	assert_string_equal(prober_message_text(body, strlen(body), buf, sizeof(buf)), "abcdef");
}

static void
test_deep_body(void **state)
{
	static char body[100000];
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = '[';
	assert_null(prober_message_text(body, sizeof(body), buf, sizeof(buf)));
	assert_int_equal(prober_message_tokens(body, sizeof(body)), 0);
	assert_int_equal(prober_message_status(body, sizeof(body)), 0);
}

static void
test_tokens(void **state)
{
	static const struct { const char *body; uint32_t n; } c[] = {
		{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10}}", 10},
		{"{\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}", 13},
		{"{\"usage\":{\"inputTokens\":3,\"outputTokens\":2}}", 5},
		{"{\"usage\":{\"inputTokens\":3,\"outputTokens\":2,\"cacheReadInputTokens\":4,\"totalTokens\":9}}", 9},
		{"{\"usageMetadata\":{\"totalTokenCount\":204}}", 204},
		{"{\"meta\":{\"billed_units\":{\"input_tokens\":4,\"output_tokens\":1}}}", 5},
		{"{\"usage\":{\"billed_units\":{\"input_tokens\":4.0,\"output_tokens\":2.0}}}", 6},
		{"{\"usage\":{\"total_tokens\":-5}}", 0},
		{"{\"usage\":{\"total_tokens\":1e30}}", UINT32_MAX / 4},
		{"{\"usage\":[]}", 0},
		{"{\"choices\":[]}", 0},
		{"no json", 0},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++)
		if (prober_message_tokens(c[i].body, strlen(c[i].body)) != c[i].n)
			fail_msg("body %zu: %u", i, prober_message_tokens(c[i].body, strlen(c[i].body)));
}

static void
test_until(void **state)
{
	static const uint64_t now = 5000 * NS_PER_SEC, real = 1445412470ULL * NS_PER_SEC; /* 2015-10-21 07:27:50 UTC */
	static const struct { const char *text; int64_t ms; } c[] = { /* -1: says nothing */
		{"20", 20000}, {"0", 0}, {"7.66", 7660}, {" 3 ", 3000},
		{"1s", 1000}, {"6m0s", 360000}, {"1h2m3s", 3723000}, {"250ms", 250}, {"2m59.56s", 179560}, {"1d", 86400000},
		{"Wed, 21 Oct 2015 07:28:00 GMT", 10000},
		{"Wed, 21 Oct 2015 07:00:00 GMT", 0}, /* past */
		{"2015-10-21T07:28:00Z", 10000}, {"2015-10-21T09:28:00.5+02:00", 10000},
		{"1445412480", 10000}, {"1445412480000", 10000}, {"1445412400", 0},
		{"999999999", 604800000}, {"99999999999999999999999999999999999999", 604800000},
		{"", -1}, {"  ", -1}, {"soon", -1}, {"-5", -1}, {"0x10", -1}, {"inf", -1}, {"nan", -1}, {"5 5", -1}, {"5x", -1},
		{"Wed, 21 Oct 2015 07:28:00 GMTjunk", -1}, {"2015-10-21", -1},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		uint64_t got = prober_until_parse(c[i].text, now, real), want = c[i].ms < 0 ? 0 : now + (uint64_t)c[i].ms * NS_PER_MS;

		if (got + NS_PER_MS / 100 < want || got > want + NS_PER_MS / 100)
			fail_msg("text '%s': %lld ms", c[i].text, ((long long)got - (long long)now) / 1000000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_cut),
		cmocka_unit_test(test_deep_body),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_until),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

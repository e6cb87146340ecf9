/* strbuf: bounds, and the JSON writer that all answers go through. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/strbuf.h"

static void
test_overflow_keeps_prefix(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 4);
	strbuf_puts(&b, "abcdef");
	assert_string_equal(strbuf_str(&b), "abcd");
	assert_true(b.overflow);
	strbuf_puts(&b, "x");
	assert_int_equal(b.len, 4);
	strbuf_release(&b);
}

static void
test_json_string(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	strbuf_json_string(&b, "a\"b\\c\n\x01\xc3\xa9\xff\xed\xa0\x80");
	assert_string_equal(strbuf_str(&b), "\"a\\\"b\\\\c\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	strbuf_clear(&b);
	strbuf_json_string(&b, NULL);
	assert_string_equal(strbuf_str(&b), "null");
	strbuf_release(&b);
}

/* Every byte at every place of a long plain text. */
static void
test_json_string_every_byte(void **state)
{
	struct strbuf b;
	char text[33], want[64];

	(void)state;
	strbuf_init(&b, 0);
	for (unsigned c = 1; c < 128; c++) {
		for (unsigned at = 0; at < 32; at++) {
			memset(text, 'x', 32);
			text[32] = '\0';
			text[at] = (char)c;
			strbuf_clear(&b);
			strbuf_json_string(&b, text);
			if (c == '"' || c == '\\')
				snprintf(want, sizeof(want), "\"%.*s\\%c%s\"", (int)at, text, (int)c, text + at + 1);
			else if (c == '\n' || c == '\t')
				snprintf(want, sizeof(want), "\"%.*s\\%c%s\"", (int)at, text, c == '\n' ? 'n' : 't', text + at + 1);
			else if (c < 0x20)
				snprintf(want, sizeof(want), "\"%.*s\\u%04x%s\"", (int)at, text, c, text + at + 1);
			else
				snprintf(want, sizeof(want), "\"%s\"", text);
			assert_string_equal(strbuf_str(&b), want);
		}
	}
	strbuf_release(&b);
}

static void
test_drop_and_take(void **state)
{
	struct strbuf b;
	char *p;

	(void)state;
	strbuf_init(&b, 0);
	assert_string_equal(strbuf_str(&b), "");
	strbuf_printf(&b, "%0300d|", 7);
	assert_int_equal(b.len, 301);
	strbuf_drop(&b, 300);
	p = strbuf_take(&b);
	assert_string_equal(p, "|");
	assert_int_equal(b.len, 0);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overflow_keeps_prefix),
		cmocka_unit_test(test_json_string),
		cmocka_unit_test(test_json_string_every_byte),
		cmocka_unit_test(test_drop_and_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

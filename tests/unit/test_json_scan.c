/* json_scan: what it finds, what it refuses, and that it agrees with json-c.
 *
 * The text is always handed over in a heap block of its exact size, so that valgrind and ASan see a read
 * past the end. The differential test mutates real requests with a fixed seed and compares with json-c in
 * strict mode; tests/fuzz/fuzz_json_scan.c does the same without end.
 */
#include "hale/hale.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/uio.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "hale/arena.h"
#include "hale/err.h"
#include "hale/json_scan.h"
#include "hale/strbuf.h"

#define DEPTH 64

static int
scan_n(const char *text, size_t len, struct json_scan *out, const char **why, size_t *at)
{
	char *copy = xmalloc(len ? len : 1);
	int rc;

	memcpy(copy, text, len);
	rc = json_scan(copy, len, DEPTH, out, why, at);
	free(copy);
	return rc;
}

static int
scan(const char *text, struct json_scan *out)
{
	const char *why = NULL;
	size_t at = 0;
	int rc = scan_n(text, strlen(text), out, &why, &at);

	if (rc) {
		assert_non_null(why);
		assert_true(at <= strlen(text));
	}
	return rc;
}

static void
check_span(const char *text, struct json_span span, const char *want)
{
	assert_int_equal(span.len, strlen(want));
	assert_memory_equal(text + span.start, want, span.len);
}

static void
test_finds(void **state)
{
	static const char text[] = " { \"messages\" : [ {\"role\":\"user\",\"content\":\"hi \\\"x\\\" {\",\"model\":\"no\"} ],"
	                           "\"stream_options\":{\"include_usage\":true},\"input\":[1,-2.5e+3],\"prompt\":\"p\","
	                           "\"max_tokens\":5, \"stream\" :true,\"model\"\t:\n\"gpt-4o\" } \r\n";
	struct json_scan s;

	(void)state;
	assert_int_equal(scan(text, &s), 0);
	check_span(text, s.model, "\"gpt-4o\"");
	check_span(text, s.messages, "[ {\"role\":\"user\",\"content\":\"hi \\\"x\\\" {\",\"model\":\"no\"} ]");
	check_span(text, s.stream_options, "{\"include_usage\":true}");
	check_span(text, s.input, "[1,-2.5e+3]");
	check_span(text, s.prompt, "\"p\"");
	assert_true(s.stream);
	assert_true(s.include_usage);
	assert_true(s.has_max_tokens);
	assert_false(s.model_escaped);
	assert_int_equal(scan("{}", &s), 0);
	assert_int_equal(s.model.len, 0);
	assert_false(s.stream || s.has_max_tokens);
	assert_int_equal(scan("{\"stream_options\":{\"include_usage\":false}}", &s), 0);
	assert_false(s.include_usage);
	assert_int_equal(scan("{\"stream_options\":[\"include_usage\"]}", &s), 0);
	assert_false(s.include_usage);
	assert_int_equal(scan("{\"stream\":null,\"max_completion_tokens\":1}", &s), 0);
	assert_false(s.stream);
	assert_true(s.has_max_tokens);
	/* a name with escapes is the name that it spells */
	assert_int_equal(scan("{\"mod\\u0065l\":\"a\\u0062\"}", &s), 0);
	assert_int_equal(s.model.len, 9);
	assert_true(s.model_escaped);
}

static void
test_accepts(void **state)
{
	static const char *const good[] = {
		"{}",
		"{ }",
		"\t\r\n {}\n",
		"{\"a\":[]}",
		"{\"a\":[ ]}",
		"{\"a\":{}}",
		"{\"a\":[[],[{}],{\"b\":[]}]}",
		"{\"a\":0,\"b\":-0,\"c\":0.0,\"d\":1e9,\"e\":1E-9,\"f\":12345678901234567890123}",
		"{\"a\":true,\"b\":false,\"c\":null}",
		"{\"\":\"\"}",
		"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00ff\\uD83D\\uDE00\"}",
		"{\"a\":\"\\ud800 alone\"}",
		"{\"a\":\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}",
		"{\"a\":1,\"a\":2}", /* a duplicate that nobody looks for */
		"{\"x\":{\"model\":1,\"model\":2,\"Model\":3}}", /* not the top level */
		"{\"models\":1,\"mode\":2}",
	};
	struct json_scan s;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(good); i++)
		if (scan(good[i], &s))
			fail_msg("refused: %s", good[i]);
}

static void
test_refuses(void **state)
{
	static const char *const bad[] = {
		"", " ", "null", "[]", "\"x\"", "1", "{", "}", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
		"{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\" 1}", "{a:1}", "{'a':1}", "{\"a\":'b'}", "{\"a\":1 \"b\":2}",
		"{\"a\":1}}", "{\"a\":1}x", "{} {}", "{}\v", "\xef\xbb\xbf{}", "{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":[1 2]}",
		"{\"a\":[1}", "{\"a\":{]}", "{\"a\":[1}}", "{\"a\":{\"b\":1]}", "{\"a\":[}", "{\"a\":{\"b\"}}", "{\"a\":{1}}",
		"{\"a\":{\"b\":1,}}", "{\"a\":tru}", "{\"a\":True}", "{\"a\":nul", "{\"a\":nan}", "{\"a\":NaN}",
		"{\"a\":Infinity}", "{\"a\":-}", "{\"a\":+1}", "{\"a\":01}", "{\"a\":-01}", "{\"a\":1.}", "{\"a\":.5}",
		"{\"a\":1e}", "{\"a\":1e+}", "{\"a\":0x10}", "{\"a\":1_0}", "{\"a\":truefalse}",
		"{\"a\":\"\t\"}", "{\"a\":\"\n\"}", "{\"a\":\"\x1f\"}", "{\"a\x01\":1}",
		"{\"a\":\"\\x\"}", "{\"a\":\"\\\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\u\"}", "{\"a\":\"\\",
		"{\"a\":\"\\u123", "{\"a\":\"\x80\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xc1\xbf\"}", "{\"a\":\"\xe0\x9f\xbf\"}",
		"{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf0\x8f\xbf\xbf\"}", "{\"a\":\"\xf4\x90\x80\x80\"}",
		"{\"a\":\"\xf5\x80\x80\x80\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xe2\x82\"}", "{\"a\":\"\xe2\x82", "{\"a\":\"\xf0\x9f\x98\"}",
		"{\"a\":/**/1}", "{//\n\"a\":1}",
		"{\"model\":\"a\",\"model\":\"b\"}", "{\"model\":\"a\",\"\\u006dodel\":\"b\"}",
		"{\"stream\":true,\"stream\":false}", "{\"messages\":[],\"m\\u0065ssages\":[]}",
		"{\"max_tokens\":1,\"max_tokens\":2}", "{\"Model\":\"a\"}", "{\"model\":\"a\",\"MODEL\":\"b\"}",
		"{\"model\":\"a\",\"\\u004dodel\":\"b\"}",
		"{\"model\":1}", "{\"model\":null}", "{\"model\":[\"a\"]}", "{\"stream\":1}", "{\"stream\":\"true\"}",
		"{\"model\\u0000\":\"x\"}", "{\"\\ud800\":1}",
	};
	struct json_scan s;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(bad); i++)
		if (scan(bad[i], &s) != HALE_EINVAL)
			fail_msg("accepted: %s", bad[i]);
}

static void
test_nul_bytes(void **state)
{
	static const char inside[] = "{\"a\":\"x\0y\"}", between[] = "{\"a\":1\0}", after[] = "{}\0";
	struct json_scan s;
	const char *why;
	size_t at;

	(void)state;
	assert_int_equal(scan_n(inside, sizeof(inside) - 1, &s, &why, &at), HALE_EINVAL);
	assert_int_equal(at, 7);
	assert_string_equal(why, "control character in a string");
	assert_int_equal(scan_n(between, sizeof(between) - 1, &s, &why, &at), HALE_EINVAL);
	assert_int_equal(scan_n(after, sizeof(after), &s, &why, &at), HALE_EINVAL);
}

static char *
nested(unsigned depth, const char *open, const char *close)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	strbuf_puts(&b, "{\"a\":");
	for (unsigned i = 0; i < depth; i++)
		strbuf_puts(&b, open);
	strbuf_puts(&b, "1");
	for (unsigned i = 0; i < depth; i++)
		strbuf_puts(&b, close);
	strbuf_puts(&b, "}");
	return strbuf_take(&b);
}

static void
test_depth(void **state)
{
	static const char *const form[][2] = {{"[", "]"}, {"{\"b\":", "}"}, {"[{\"c\":[", "]}]"}};
	struct json_scan s;
	const char *why;
	size_t at;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(form); i++) {
		char *ok = nested(21, form[i][0], form[i][1]), *deep = nested(100000, form[i][0], form[i][1]);

		assert_int_equal(scan(ok, &s), 0);
		assert_int_equal(scan(deep, &s), HALE_ELIMIT);
		assert_int_equal(json_scan(deep, strlen(deep), 1000000, &s, &why, &at), HALE_ELIMIT);
		free(ok);
		free(deep);
	}
	/* the object itself is level one */
	for (unsigned n = 62; n < 66; n++) {
		char *text = nested(n, "[", "]");

		assert_int_equal(scan(text, &s), n < 64 ? 0 : HALE_ELIMIT);
		free(text);
	}
	for (unsigned n = 1022; n < 1026; n++) {
		char *text = nested(n, "[", "]");

		assert_int_equal(json_scan(text, strlen(text), 5000, &s, &why, &at), n < 1024 ? 0 : HALE_ELIMIT);
		free(text);
	}
	assert_int_equal(json_scan("{\"a\":1}", 7, 0, &s, &why, &at), 0);
}

/* Every special byte at every offset of a block: the vector loop, its tail and the byte loop see it all. */
static void
test_every_offset(void **state)
{
	struct json_scan s;
	char text[256];

	(void)state;
	for (size_t size = 8; size < 200; size++) {
		memset(text, 'a', sizeof(text));
		memcpy(text, "{\"a\":\"", 6);
		memcpy(text + size, "\"}", 3);
		assert_int_equal(scan(text, &s), 0);
		for (size_t i = 6; i < size; i++) {
			const char special[] = {'\x1f', '"', '\x80', '\xff', '\0'};

			for (size_t k = 0; k < sizeof(special); k++) {
				const char *why;
				size_t at;

				text[i] = special[k];
				assert_int_equal(scan_n(text, size + 2, &s, &why, &at), HALE_EINVAL);
			}
			text[i] = ' ';
			assert_int_equal(scan(text, &s), 0);
			text[i] = 'a';
		}
	}
}

static void
test_truncated(void **state)
{
	static const char text[] = "{\"model\":\"g\\u00e9\xc3\xa9\",\"messages\":[{\"a\":[1.5e3,true,null,{}]}],\"stream\":false}";
	struct json_scan s;
	const char *why;
	size_t at;

	(void)state;
	assert_int_equal(scan(text, &s), 0);
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		assert_int_equal(scan_n(text, n, &s, &why, &at), HALE_EINVAL);
		assert_true(at <= n);
	}
}

static void
check_unescape(const char *token, int want_rc, const char *want)
{
	char buf[16];

	assert_int_equal(json_unescape(token, strlen(token), buf, sizeof(buf)), want_rc);
	if (want)
		assert_string_equal(buf, want);
}

/* All texts of up to six characters that a number is made of, against RFC 8259's grammar. */
static void
test_numbers(void **state)
{
	static const char alphabet[] = "-+.eE01";
	const size_t k = sizeof(alphabet) - 1;
	regex_t grammar;

	(void)state;
	assert_int_equal(regcomp(&grammar, "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$", REG_EXTENDED | REG_NOSUB), 0);
	for (size_t len = 1, count = k; len <= 6; len++, count *= k) {
		for (size_t n = 0; n < count; n++) {
			char number[8] = "", text[32];
			struct json_scan s;
			size_t v = n;
			bool valid;

			for (size_t i = 0; i < len; i++, v /= k)
				number[i] = alphabet[v % k];
			snprintf(text, sizeof(text), "{\"a\":%s}", number);
			valid = regexec(&grammar, number, 0, NULL, 0) == 0;
			if ((scan(text, &s) == 0) != valid)
				fail_msg("%s is %sa number", number, valid ? "" : "not ");
		}
	}
	regfree(&grammar);
}

/* All sequences of four bytes from both sides of every boundary of UTF-8, against the writer in strbuf.c. */
static void
test_utf8(void **state)
{
	static const unsigned char edge[] = {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
	                                     0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
	const size_t k = sizeof(edge);
	char text[] = "{\"a\":\"....\"}";
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	for (size_t n = 0; n < k * k * k * k; n++) {
		struct json_scan s;
		const char *why;
		size_t v = n, at;
		bool valid;

		for (size_t i = 0; i < 4; i++, v /= k)
			text[6 + i] = (char)edge[v % k];
		strbuf_clear(&b);
		strbuf_json_stringn(&b, text + 6, 4);
		valid = !strstr(strbuf_str(&b), "\xef\xbf\xbd");
		assert_int_equal(json_scan(text, strlen(text), DEPTH, &s, &why, &at), valid ? 0 : HALE_EINVAL);
	}
	strbuf_release(&b);
}

static void
test_unescape(void **state)
{
	char buf[4];

	(void)state;
	check_unescape("\"\"", 0, "");
	check_unescape("\"abc\"", 0, "abc");
	check_unescape("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0, "\"\\/\b\f\n\r\t");
	check_unescape("\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", 0, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	check_unescape("\"\\u0000\"", HALE_EINVAL, NULL);
	check_unescape("\"\\ud800\"", HALE_EINVAL, NULL);
	check_unescape("\"\\udc00\"", HALE_EINVAL, NULL);
	check_unescape("\"\\ud800\\u0041\"", HALE_EINVAL, NULL);
	check_unescape("\"\\ud800x\"", HALE_EINVAL, NULL);
	check_unescape("\"\\x\"", HALE_EINVAL, NULL);
	check_unescape("\"\\", HALE_EINVAL, NULL);
	check_unescape("\"\\\"", HALE_EINVAL, NULL);
	check_unescape("\"a\"b\"", HALE_EINVAL, NULL);
	check_unescape("\"", HALE_EINVAL, NULL);
	check_unescape("", HALE_EINVAL, NULL);
	check_unescape("abc", HALE_EINVAL, NULL);
	check_unescape("\"0123456789abcde\"", 0, "0123456789abcde");
	check_unescape("\"0123456789abcdef\"", HALE_ERANGE, NULL);
	check_unescape("\"0123456789abcdef\\x\"", HALE_EINVAL, NULL);
	assert_int_equal(json_unescape("\"ab\xe2\x82\xac\"", 7, buf, sizeof(buf)), HALE_ERANGE);
	assert_int_equal(json_unescape("\"\"", 2, buf, 0), HALE_ERANGE);
}

static void
test_splice(void **state)
{
	static const char text[] = "{\"n\":1, \"model\" : \"public\", \"messages\":[]}";
	struct json_scan s;
	struct iovec iov[3];
	struct strbuf b;

	(void)state;
	assert_int_equal(scan(text, &s), 0);
	assert_int_equal(json_splice(text, strlen(text), &s, "\"up\"", 4, iov), 0);
	assert_ptr_equal(iov[0].iov_base, text);
	strbuf_init(&b, 0);
	for (int i = 0; i < 3; i++)
		strbuf_add(&b, iov[i].iov_base, iov[i].iov_len);
	assert_string_equal(strbuf_str(&b), "{\"n\":1, \"model\" : \"up\", \"messages\":[]}");
	strbuf_release(&b);
	assert_int_equal(scan("{}", &s), 0);
	assert_int_equal(json_splice("{}", 2, &s, "\"up\"", 4, iov), HALE_ENOENT);
}

static void
test_members(void **state)
{
	static const char text[] = "{\"object\":\"list\",\"data\":[ {\"embedding\":[0.1]}, 2 ],\"DATA\":1}";
	struct json_want want[] = {{.key = "data"}, {.key = "usage"}};
	const char *why;
	size_t at;

	(void)state;
	assert_int_equal(json_members(text, strlen(text), DEPTH, want, 2, &why, &at), 0);
	check_span(text, want[0].value, "[ {\"embedding\":[0.1]}, 2 ]");
	assert_int_equal(want[1].value.len, 0);
	want[0].any_case = true;
	assert_int_equal(json_members(text, strlen(text), DEPTH, want, 2, &why, &at), HALE_EINVAL);
}

/* Members of members, in the same pass: inner NULL where nothing of the kind was there. */
static void
test_inner(void **state)
{
	static const struct {
		const char *text, *first, *inner; /* NULL: absent */
	} cases[] = {
		{"{\"a\":[{\"b\":1,\"c\":[2]},{\"b\":3}],\"z\":0}", "{\"b\":1,\"c\":[2]}", "1"},
		{"{\"a\": [ { \"c\":{\"b\":1}, \"b\" : [ [ ] , {} ] } , 4 , [5] ] }", "{ \"c\":{\"b\":1}, \"b\" : [ [ ] , {} ] }", "[ [ ] , {} ]"},
		{"{\"a\":{\"b\":\"x\"}}", NULL, "\"x\""},
		{"{\"a\":[]}", NULL, NULL},
		{"{\"a\":[ ]}", NULL, NULL},
		{"{\"a\":[7,{\"b\":1}]}", "7", NULL},
		{"{\"a\":[[{\"b\":1}]]}", "[{\"b\":1}]", NULL},
		{"{\"a\":[{}]}", "{}", NULL},
		{"{\"a\":{}}", NULL, NULL},
		{"{\"a\":null,\"b\":1}", NULL, NULL},
		{"{\"b\":1}", NULL, NULL},
	};
	static const char *const bad[] = {
		"{\"a\":[{\"b\":1}", "{\"a\":[{\"b\":1},]}", "{\"a\":[{\"b\":1}}}", "{\"a\":[", "{\"a\":{", "{\"a\":[{\"b\":1,\"b\":2}]}",
		"{\"a\":[{\"b\":}]}", "{\"a\":[1 2]}", "{\"a\":[{\"b\":1}][]}",
	};
	struct json_want inner = {.key = "b"}, outer = {.key = "a", .inner = &inner, .ninner = 1};
	const char *why;
	size_t at;

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++) {
		const char *t = cases[i].text;

		assert_int_equal(json_members(t, strlen(t), DEPTH, &outer, 1, &why, &at), 0);
		assert_int_equal(outer.first.len, cases[i].first ? strlen(cases[i].first) : 0);
		assert_int_equal(inner.value.len, cases[i].inner ? strlen(cases[i].inner) : 0);
		if (cases[i].first)
			check_span(t, outer.first, cases[i].first);
		if (cases[i].inner)
			check_span(t, inner.value, cases[i].inner);
	}
	for (unsigned i = 0; i < HALE_COUNT(bad); i++)
		assert_int_equal(json_members(bad[i], strlen(bad[i]), DEPTH, &outer, 1, &why, &at), HALE_EINVAL);
	/* the bound on nesting counts through both ways in */
	assert_int_equal(json_members("{\"a\":[{\"b\":[1]}]}", 17, 4, &outer, 1, &why, &at), 0);
	assert_int_equal(json_members("{\"a\":[{\"b\":[1]}]}", 17, 3, &outer, 1, &why, &at), HALE_ELIMIT);
	assert_int_equal(json_members("{\"a\":[{\"b\":1}]}", 15, 2, &outer, 1, &why, &at), HALE_ELIMIT);
	assert_int_equal(json_members("{\"a\":[1]}", 9, 1, &outer, 1, &why, &at), HALE_ELIMIT);
}

/* --- agreement with json-c --- */

static bool
jsonc_accepts(const char *text, size_t len, char *model, size_t size, bool *stream)
{
	struct json_tokener *tok = json_tokener_new_ex(DEPTH);
	struct json_object *root, *v;
	bool ok;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	root = json_tokener_parse_ex(tok, text, (int)len);
	ok = root && json_tokener_get_error(tok) == json_tokener_success && json_tokener_get_parse_end(tok) == len &&
	     json_object_is_type(root, json_type_object);
	model[0] = '\0';
	*stream = false;
	if (ok && json_object_object_get_ex(root, "model", &v))
		snprintf(model, size, "%s", json_object_get_string(v));
	if (ok && json_object_object_get_ex(root, "stream", &v))
		*stream = json_object_get_boolean(v);
	json_object_put(root);
	json_tokener_free(tok);
	return ok;
}

/* What we refuse on purpose although json-c takes it; the first three are the standards' rules, which
 * json-c's strict mode does not know ("-0.e3"); test_numbers and test_utf8 check those by other means. */
static bool
is_our_strictness(int rc, const char *why)
{
	static const char *const ours[] = {
		"control character in a string",
		"bad number",
		"invalid UTF-8",
		"duplicate member",
		"a member name differs from the expected one only in letter case",
		"U+0000 or a lone surrogate in a member name",
		"model must be a string",
		"stream must be true or false",
	};

	for (size_t i = 0; i < HALE_COUNT(ours); i++)
		if (strcmp(why, ours[i]) == 0)
			return true;
	return rc == HALE_ELIMIT;
}

static const char *const seeds[] = {
	"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":true,\"max_tokens\":16}",
	"{\"model\":\"a\\u0062\\n\",\"input\":[\"x\",1,-0.5e3,null,true,{\"y\":[]}],\"stream\":false}",
	"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\xe2\x82\xac \xf0\x9f\x98\x80\"}]}],\"model\":\"z\"}",
	"{ \"a\" : { \"b\" : [ [ ] , { } ] } , \"model\" : \"m\" , \"stream\" : null }",
};

static uint32_t
random_next(uint64_t *s)
{
	*s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*s >> 33);
}

static size_t
mutate(uint64_t *rng, char *text, size_t len, size_t size)
{
	static const char alphabet[] = "{}[]:,\"\\ \t\n0123456789.eE+-truefalsn/*'\x80\xc3\xa9\x1f\x01";

	for (unsigned n = 1 + random_next(rng) % 3; n; n--) {
		size_t at = len ? random_next(rng) % len : 0;
		char ch = alphabet[random_next(rng) % (sizeof(alphabet) - 1)];

		switch (random_next(rng) % 4) {
		case 0:
			if (len)
				text[at] = ch;
			break;
		case 1:
			if (len) {
				memmove(text + at, text + at + 1, len - at - 1);
				len--;
			}
			break;
		case 2:
			if (len < size) {
				memmove(text + at + 1, text + at, len - at);
				text[at] = ch;
				len++;
			}
			break;
		default: /* copy a piece from elsewhere */
			if (len > 8) {
				size_t from = random_next(rng) % (len - 8), to = random_next(rng) % (len - 8);

				memmove(text + to, text + from, 8);
			}
			break;
		}
	}
	return len;
}

static void
check_against_jsonc(const char *text, size_t len, unsigned *accepted)
{
	char theirs[256], ours[256] = "";
	struct json_scan s;
	const char *why = "";
	size_t at;
	bool stream;
	int rc = scan_n(text, len, &s, &why, &at);

	if (!jsonc_accepts(text, len, theirs, sizeof(theirs), &stream) || (rc && is_our_strictness(rc, why)))
		return;
	if (rc)
		fail_msg("json-c accepts, we refuse (%s at %zu): %.*s", why, at, (int)len, text);
	(*accepted)++;
	assert_int_equal(s.stream, stream);
	if (s.model.len && json_unescape(text + s.model.start, s.model.len, ours, sizeof(ours)) == 0)
		assert_string_equal(ours, theirs);
}

static void
test_agrees_with_jsonc(void **state)
{
	uint64_t rng = 20260901;
	unsigned accepted = 0;
	char text[512];

	(void)state;
	for (unsigned round = 0; round < 60000; round++) {
		const char *seed = seeds[round % HALE_COUNT(seeds)];
		size_t len = strlen(seed);

		memcpy(text, seed, len);
		if (round >= HALE_COUNT(seeds))
			len = mutate(&rng, text, len, sizeof(text));
		check_against_jsonc(text, len, &accepted);
	}
	assert_true(accepted > 1000); /* the test means something */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds),
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_every_offset),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_unescape),
		cmocka_unit_test(test_splice),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_inner),
		cmocka_unit_test(test_agrees_with_jsonc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* worker_http_strict: the verdict on bytes, without a socket. What a client sees of it is in test_worker_http. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "worker_http_strict.h"

#define FIELDS 8

static const struct http_bounds bounds = {.head_bytes = 400, .fields = FIELDS, .uri_bytes = 100, .body_bytes = 1000};

/* Head, verdict, and of good ones: method, minor, path, framing, length, close. */
struct head_case {
	const char *text;
	enum http_fault fault;
	enum http_method method;
	unsigned minor;
	const char *path;
	enum http_framing framing;
	uint64_t length;
	bool close;
};

#define H "Host: h\r\n"
static const struct head_case heads[] = {
	{"GET / HTTP/1.1\r\n" H "\r\n", HTTP_FINE, HTTP_GET, 1, "/", HTTP_NO_BODY, 0, false},
	{"GET / HTTP/1.0\r\n\r\n", HTTP_FINE, HTTP_GET, 0, "/", HTTP_NO_BODY, 0, true},
	{"GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n", HTTP_FINE, HTTP_GET, 0, "/", HTTP_NO_BODY, 0, false},
	{"GET / HTTP/1.1\r\n" H "Connection: keep-alive, close\r\n\r\n", HTTP_FINE, HTTP_GET, 1, "/", HTTP_NO_BODY, 0, true},
	{"GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n", HTTP_FINE, HTTP_GET, 1, "/", HTTP_NO_BODY, 0, false},
	{"HEAD /a%2fb%20c HTTP/1.1\r\n" H "\r\n", HTTP_FINE, HTTP_HEAD, 1, "/a/b c", HTTP_NO_BODY, 0, false},
	{"GET /a+b HTTP/1.1\r\n" H "\r\n", HTTP_FINE, HTTP_GET, 1, "/a+b", HTTP_NO_BODY, 0, false},
	{"GET HTTPS://x HTTP/1.1\r\n" H "\r\n", HTTP_FINE, HTTP_GET, 1, "/", HTTP_NO_BODY, 0, false},
	{"GET http://x?q HTTP/1.1\r\n" H "\r\n", HTTP_FINE, HTTP_GET, 1, "/", HTTP_NO_BODY, 0, false},
	{"GET http:///x HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET, 0, 0, NULL, 0, 0, false},
	{"GET x HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET, 0, 0, NULL, 0, 0, false},
	{"GET \x7f HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET, 0, 0, NULL, 0, 0, false},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n", HTTP_FINE, HTTP_POST, 1, "/", HTTP_SIZED, 1000, false},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n", HTTP_BODY_TOO_LARGE, 0, 0, NULL, 0, 0, false},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n", HTTP_BODY_TOO_LARGE, 0, 0, NULL, 0, 0, false},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 1e3\r\n\r\n", HTTP_BAD_LENGTH, 0, 0, NULL, 0, 0, false},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 1 1\r\n\r\n", HTTP_BAD_LENGTH, 0, 0, NULL, 0, 0, false},
	{"PUT / HTTP/1.1\r\n" H "transfer-encoding:\tCHUNKED \r\n\r\n", HTTP_FINE, HTTP_PUT, 1, "/", HTTP_CHUNKED, 0, false},
	{"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n", HTTP_BAD_CODING, 0, 0, NULL, 0, 0, false},
	{"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n", HTTP_BAD_CODING, 0, 0, NULL, 0, 0, false},
	{"PUT / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", HTTP_BAD_CODING, 0, 0, NULL, 0, 0, false},
	{"PUT / HTTP/1.1\r\n" H "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_LENGTH_AND_CODING, 0, 0, NULL,
	 0, 0, false},
	{"GET / HTTP/1.1\r\n\r\n", HTTP_BAD_HOST, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HTTP_BAD_HOST, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", HTTP_BAD_HOST, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\nhost: h\r\nHOST: h\r\n\r\n", HTTP_BAD_HOST, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\n" H "A: \t\r\n\r\n", HTTP_FINE, HTTP_GET, 1, "/", HTTP_NO_BODY, 0, false},
	{"GET / HTTP/1.1\r\n" H "A\t: b\r\n\r\n", HTTP_BAD_FIELD, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\n" H "A: \x80\xff\r\n\r\n", HTTP_FINE, HTTP_GET, 1, "/", HTTP_NO_BODY, 0, false},
	{"GET / HTTP/1.1\r\n" H "\xc3\xa9: b\r\n\r\n", HTTP_BAD_FIELD, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\n" H "A: b\r\r\n\r\n", HTTP_BAD_NEWLINE, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n", HTTP_FOLDED_FIELD, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\n" H "1: 1\r\n2: 1\r\n3: 1\r\n4: 1\r\n5: 1\r\n6: 1\r\n7: 1\r\n\r\n", HTTP_FINE, HTTP_GET, 1, "/",
	 HTTP_NO_BODY, 0, false},
	{"GET / HTTP/1.1\r\n" H "1: 1\r\n2: 1\r\n3: 1\r\n4: 1\r\n5: 1\r\n6: 1\r\n7: 1\r\n8: 1\r\n\r\n", HTTP_TOO_MANY_FIELDS, 0,
	 0, NULL, 0, 0, false},
	{"GET / HTTP/2.0\r\n" H "\r\n", HTTP_BAD_VERSION, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.10\r\n" H "\r\n", HTTP_BAD_LINE, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/11\r\n" H "\r\n", HTTP_BAD_LINE, 0, 0, NULL, 0, 0, false},
	{"GET /\tx HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n", HTTP_FINE, HTTP_GET, 1, "/", HTTP_NO_BODY, 0, false},
	{"GET / HTTP/1.1\r\n" H "Expect: 200\r\n\r\n", HTTP_BAD_EXPECT, 0, 0, NULL, 0, 0, false},
	{"GET / HTTP/1.0\r\nExpect: 200\r\n\r\n", HTTP_FINE, HTTP_GET, 0, "/", HTTP_NO_BODY, 0, true},
};

static void
test_heads(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(heads); i++) {
		const struct head_case *t = &heads[i];
		struct http_field field[FIELDS];
		struct http_head h = {.field = field};
		size_t len = strlen(t->text), head_len;
		char text[512];
		struct http_scan scan = {0};
		enum http_fault f = http_strict_scan(&scan, t->text, len, &bounds, &head_len);

		if (f == HTTP_FINE) {
			assert_int_equal(head_len, len);
			memcpy(text, t->text, len);
			f = http_strict_parse(text, len, &bounds, &h);
		}
		if (f != t->fault)
			fail_msg("%s: fault %d instead of %d", t->text, (int)f, (int)t->fault);
		if (f != HTTP_FINE)
			continue;
		if (h.method != t->method || h.minor != t->minor || strcmp(h.path, t->path) != 0 || h.framing != t->framing ||
		    h.length != t->length || h.close != t->close)
			fail_msg("%s: read differently: %d 1.%u %s %d %d", t->text, (int)h.method, h.minor, h.path, (int)h.framing,
			         (int)h.close);
	}
}

/* Refused as soon as it is certain, not when the head is complete. */
static void
test_early_refusal(void **state)
{
	static const struct {
		const char *text;
		enum http_fault fault;
	} cut[] = {
		{"\x16", HTTP_BAD_LINE}, {" ", HTTP_BAD_LINE}, {"G", HTTP_FINE}, {"GET / HTTP/1.1\n", HTTP_BAD_NEWLINE},
		{"GET / HTTP/1.1\r", HTTP_FINE}, {"GET / HTTP/1.1\r\nA: b\r\nC: d\n", HTTP_BAD_NEWLINE},
	};
	struct http_scan scan = {0};
	char long_line[512];
	size_t head_len;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cut); i++) {
		scan = (struct http_scan){0};
		assert_int_equal(http_strict_scan(&scan, cut[i].text, strlen(cut[i].text), &bounds, &head_len), cut[i].fault);
		assert_int_equal(head_len, 0);
	}
	memset(long_line, 'a', sizeof(long_line));
	scan = (struct http_scan){0};
	assert_int_equal(http_strict_scan(&scan, long_line, 200, &bounds, &head_len), HTTP_URI_TOO_LONG);
	memcpy(long_line, "GET / HTTP/1.1\r\n", 16);
	scan = (struct http_scan){0};
	assert_int_equal(http_strict_scan(&scan, long_line, 300, &bounds, &head_len), HTTP_FINE);
	assert_int_equal(http_strict_scan(&scan, long_line, 401, &bounds, &head_len), HTTP_HEAD_TOO_LARGE);
}

static void
test_decode(void **state)
{
	static const struct {
		const char *in, *path, *query; /* NULL: refused */
	} codes[] = {
		{"a%41%2f", "aA/", "aA/"}, {"a+b", "a+b", "a b"}, {"%2B", "+", "+"}, {"%00", NULL, NULL}, {"%0a", NULL, "\n"},
		{"%7F", NULL, "\x7f"}, {"%", NULL, NULL}, {"%a", NULL, NULL}, {"%g0", NULL, NULL}, {"%-1", NULL, NULL},
		{"%e2%82%ac", "\xe2\x82\xac", "\xe2\x82\xac"}, {"", "", ""}, {"%%41", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(codes); i++) {
		for (int plus = 0; plus < 2; plus++) {
			const char *want = plus ? codes[i].query : codes[i].path;
			char text[32];

			snprintf(text, sizeof(text), "%s", codes[i].in);
			if (http_strict_decode(text, plus) != (want != NULL) || (want && strcmp(text, want) != 0))
				fail_msg("%s plus=%d: %s", codes[i].in, plus, text);
		}
	}
}

/* body NULL: refused. rest: how much of the input is left behind the body. */
static const struct {
	const char *in, *body;
	size_t rest;
} chunks[] = {
	{"0\r\n\r\n", "", 0},
	{"3\r\nabc\r\n0\r\n\r\nGET", "abc", 3},
	{"1\r\na\r\n00000000000000000001\r\nb\r\n000\r\n\r\n", "ab", 0},
	{"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", 0},
	{"1;a\r\nx\r\n1;a=b;c=\"d e\"\r\ny\r\n0;z\r\n\r\n", "xy", 0},
	{"1\r\nx\r\n0\r\nA: b\r\nC-D:\r\n\r\n", "x", 0},
	{"\r\n", NULL, 0},
	{"g\r\n", NULL, 0},
	{"-1\r\n", NULL, 0},
	{"1 \r\nx\r\n", NULL, 0},
	{" 1\r\nx\r\n", NULL, 0},
	{"1\nx\r\n", NULL, 0},
	{"1;a\nx\r\n", NULL, 0},
	{"1\r\nxy\r\n", NULL, 0},
	{"1\r\nx\n0\r\n\r\n", NULL, 0},
	{"1\r\rx\r\n", NULL, 0},
	{";a\r\n", NULL, 0},
	{"0\r\nno colon\r\n\r\n", NULL, 0},
	{"0\r\n: b\r\n\r\n", NULL, 0},
	{"0\r\nA: b\n\r\n", NULL, 0},
	{"0\r\n\rx", NULL, 0},
	{"10000000000000000\r\n", NULL, 0},
};

static void
test_chunks(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(chunks); i++) {
		for (size_t step = 1; step < 32; step += 6) {
			size_t len = strlen(chunks[i].in), at = 0, body = 0;
			struct http_chunked c = {0};
			struct http_piece p = {0};
			enum http_fault f = HTTP_FINE;
			char out[64] = "";

			while (at < len && !p.done && f == HTTP_FINE) {
				f = http_strict_chunked(&c, chunks[i].in + at, len - at < step ? len - at : step, &p);
				memcpy(out + body, p.data ? p.data : "", p.len);
				body += p.len;
				at += p.consumed;
			}
			if (chunks[i].body ? f != HTTP_FINE || !p.done || strcmp(out, chunks[i].body) != 0 || len - at != chunks[i].rest
			                   : f != HTTP_BAD_CHUNK)
				fail_msg("%s in steps of %zu: fault %d, done %d, body %s", chunks[i].in, step, (int)f, p.done, out);
		}
	}
}

/* Every fault has an answer that a client can read. */
static void
test_fault_table(void **state)
{
	(void)state;
	for (int f = HTTP_FINE + 1; f < HTTP_FAULT_COUNT; f++) {
		const struct http_fault_info *i = http_fault_info((enum http_fault)f);

		assert_true(i->status >= 400 && i->status <= 505);
		assert_true(i->code && i->code[0] && i->message && i->message[0]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_early_refusal),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_fault_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

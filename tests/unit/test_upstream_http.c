/* upstream_http: where an answer ends, what may follow it, and what is refused. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../src/shared/upstream_http.h"
#include "hale/strbuf.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

/* Feeds text in pieces of `step` bytes; the last event, the body, and what was left over. */
static enum upstream_http_event
feed(struct upstream_http *p, const char *text, size_t len, size_t step, struct strbuf *body, size_t *left)
{
	enum upstream_http_event e = UPSTREAM_HTTP_MORE;
	char *have = malloc(len + 1);
	size_t n = 0, used;

	strbuf_clear(body);
	for (size_t read = 0; read < len && e == UPSTREAM_HTTP_MORE;) {
		size_t take = step < len - read ? step : len - read, at = 0;

		memcpy(have + n, text + read, take);
		n += take;
		read += take;
		do {
			e = upstream_http_feed(p, have + at, n - at, &used);
			if (e == UPSTREAM_HTTP_BODY)
				strbuf_add(body, p->body, p->body_len);
			at += used;
		} while (e == UPSTREAM_HTTP_HEAD || e == UPSTREAM_HTTP_BODY);
		memmove(have, have + at, n - at);
		n -= at;
		*left = n + len - read;
	}
	free(have);
	return e;
}

struct answer {
	const char *text;
	bool to_head;
	enum upstream_http_event last;
	int status;
	const char *body;
	bool keep_alive, closed; /* closed: MORE, and an orderly close now is the proper end */
	size_t left;
};

static const struct answer answers[] = {
	{OK "Content-Length: 3\r\n\r\nabc", false, UPSTREAM_HTTP_DONE, 200, "abc", true, false, 0},
	{OK "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", false, UPSTREAM_HTTP_DONE, 200, "abc", true, false, 0},
	{OK "Content-Length: 3\r\n\r\nabcHTTP", false, UPSTREAM_HTTP_DONE, 200, "abc", true, false, 4},
	{OK "CONTENT-LENGTH:3\r\nconnection: Keep-Alive, CLOSE\r\n\r\nabc", false, UPSTREAM_HTTP_DONE, 200, "abc", false, false, 0},
	{OK "Connection: closed\r\nContent-Length: 0\r\n\r\n", false, UPSTREAM_HTTP_DONE, 200, "", true, false, 0},
	{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, UPSTREAM_HTTP_DONE, 200, "x", false, false, 0},
	{OK "\r\nabc", false, UPSTREAM_HTTP_MORE, 200, "abc", false, true, 0},
	{OK "Content-Length: 3\r\n\r\nab", false, UPSTREAM_HTTP_MORE, 200, "ab", true, false, 0},
	{OK "Content-Length: 3\r\n\r\n", true, UPSTREAM_HTTP_DONE, 200, "", true, false, 0},
	{OK "\r\n", true, UPSTREAM_HTTP_DONE, 200, "", true, false, 0},
	{"HTTP/1.1 204 \r\n\r\n", false, UPSTREAM_HTTP_DONE, 204, "", true, false, 0},
	{"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n", false, UPSTREAM_HTTP_DONE, 304, "", true, false, 0},
	{"HTTP/1.1 599\n\nx", false, UPSTREAM_HTTP_MORE, 599, "x", false, true, 0},
	{CHUNKED "3\r\nabc\r\n0\r\n\r\n", false, UPSTREAM_HTTP_DONE, 200, "abc", true, false, 0},
	{CHUNKED "0003 \r\nabc\r\n00\r\n\r\nX", false, UPSTREAM_HTTP_DONE, 200, "abc", true, false, 1},
	{CHUNKED "1\na\n2;x=\"y\"\nbc\n0\n\n", false, UPSTREAM_HTTP_DONE, 200, "abc", true, false, 0},
	{CHUNKED "1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n", false, UPSTREAM_HTTP_DONE, 200, "a", true, false, 0},
	{CHUNKED "1\r\na\r\n0\r\n", false, UPSTREAM_HTTP_MORE, 200, "a", true, false, 0},
	{OK "Transfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n1\r\na\r\n0\r\n\r\n", false, UPSTREAM_HTTP_DONE, 200, "a", false,
	 false, 0},
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n" OK "Content-Length: 1\r\n\r\nz", false,
	 UPSTREAM_HTTP_DONE, 200, "z", true, false, 0},
	{"HTTP/1.1 100 Continue\r\n\r\n", false, UPSTREAM_HTTP_MORE, 100, "", true, false, 0},

	{"HTTP/2 200\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{"HTTP/1.1 20 OK\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{"HTTP/1.1 099 OK\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{"HTTP/1.1  200 OK\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{"HTTP/1.1 2000\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{"http/1.1 200 OK\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{"\r\nHTTP/1.1 200 OK\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{"HTTP/1.1 101 Switching Protocols\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "A : b\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK ": b\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "A\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "A: b\r\n folded\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "A: b\x01\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "A: b\rc\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "Content-Length: 3, 3\r\n\r\nabc", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "Content-Length: -3\r\n\r\nabc", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "Content-Length: +3\r\n\r\nabc", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "Content-Length:\r\n\r\nabc", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "Content-Length: 9999999999999999999\r\n\r\nabc", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false,
	 false, 0},
	{OK "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", false, UPSTREAM_HTTP_BAD, 0, "", false, false, 0},
	{CHUNKED "x\r\n", false, UPSTREAM_HTTP_BAD, 200, "", true, false, 0},
	{CHUNKED "\r\n", false, UPSTREAM_HTTP_BAD, 200, "", true, false, 0},
	{CHUNKED "-1\r\n", false, UPSTREAM_HTTP_BAD, 200, "", true, false, 0},
	{CHUNKED "0x1\r\na\r\n", false, UPSTREAM_HTTP_BAD, 200, "", true, false, 0},
	{CHUNKED "1\r\nab\r\n", false, UPSTREAM_HTTP_BAD, 200, "a", true, false, 0},
	{CHUNKED "1\r\na\rb", false, UPSTREAM_HTTP_BAD, 200, "a", true, false, 0},
	{CHUNKED "1000000000000000\r\n", false, UPSTREAM_HTTP_BAD, 200, "", true, false, 0},
};

static void
test_table(void **state)
{
	static const size_t steps[] = {1, 2, 3, 7, 64, 4096};
	struct strbuf body;

	(void)state;
	strbuf_init(&body, 0);
	for (unsigned i = 0; i < HALE_COUNT(answers); i++)
		for (unsigned j = 0; j < HALE_COUNT(steps); j++) {
			const struct answer *a = &answers[i];
			struct upstream_http p;
			size_t left = 0;
			enum upstream_http_event e;

			upstream_http_start(&p, a->to_head);
			e = feed(&p, a->text, strlen(a->text), steps[j], &body, &left);
			if (e != a->last)
				print_error("step %zu of \"%s\"\n", steps[j], a->text);
			assert_int_equal(e, a->last);
			assert_string_equal(strbuf_str(&body), a->body);
			assert_true((e == UPSTREAM_HTTP_BAD) == (p.text != NULL));
			if (e == UPSTREAM_HTTP_BAD)
				continue;
			assert_int_equal(p.status, a->status);
			assert_int_equal(p.keep_alive, a->keep_alive);
			if (e == UPSTREAM_HTTP_DONE)
				assert_int_equal(left, a->left);
			else
				assert_int_equal(upstream_http_closed(&p), a->closed);
		}
	strbuf_release(&body);
}

static void
test_header_fields(void **state)
{
	char text[] = OK "A: one\r\nB:\t two words \t\r\nC:\r\n\r\n";
	struct upstream_http p;
	size_t used;

	(void)state;
	upstream_http_start(&p, false);
	assert_int_equal(upstream_http_feed(&p, text, sizeof(text) - 1, &used), UPSTREAM_HTTP_HEAD);
	assert_int_equal(used, sizeof(text) - 1);
	assert_int_equal(p.nheader, 3);
	assert_string_equal(p.header[0].name, "A");
	assert_string_equal(p.header[0].value, "one");
	assert_string_equal(p.header[1].value, "two words");
	assert_string_equal(p.header[2].name, "C");
	assert_string_equal(p.header[2].value, "");
}

static enum upstream_http_event
feed_generated(const char *start, const char *piece, unsigned count, const char *end, size_t step)
{
	struct strbuf text, body;
	struct upstream_http p;
	enum upstream_http_event e;
	size_t left;

	strbuf_init(&text, 0);
	strbuf_init(&body, 0);
	strbuf_puts(&text, start);
	for (unsigned i = 0; i < count; i++)
		strbuf_puts(&text, piece);
	strbuf_puts(&text, end);
	upstream_http_start(&p, false);
	e = feed(&p, strbuf_str(&text), text.len, step, &body, &left);
	strbuf_release(&text);
	strbuf_release(&body);
	return e;
}

static void
test_bounds(void **state)
{
	static const size_t steps[] = {1000, 1 << 20};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(steps); i++) {
		size_t step = steps[i];

		assert_int_equal(feed_generated(OK, "A: b\r\n", UPSTREAM_HEAD_COUNT_MAX - 1, "Content-Length: 0\r\n\r\n", step),
		                 UPSTREAM_HTTP_DONE);
		assert_int_equal(feed_generated(OK, "A: b\r\n", UPSTREAM_HEAD_COUNT_MAX + 1, "\r\n", step), UPSTREAM_HTTP_BAD);
		assert_int_equal(feed_generated(OK "A: ", "x", UPSTREAM_HEAD_BYTES_MAX - 100, "\r\nContent-Length: 0\r\n\r\n", step),
		                 UPSTREAM_HTTP_DONE);
		assert_int_equal(feed_generated(OK "A: ", "x", UPSTREAM_HEAD_BYTES_MAX, "\r\n\r\n", step), UPSTREAM_HTTP_BAD);
		assert_int_equal(feed_generated(OK "A: ", "x", 2 * UPSTREAM_HEAD_BYTES_MAX, "", step), UPSTREAM_HTTP_BAD);
		assert_int_equal(feed_generated("", "HTTP/1.1 103 Early\r\n\r\n", 64, OK "Content-Length: 0\r\n\r\n", step),
		                 UPSTREAM_HTTP_DONE);
		assert_int_equal(feed_generated("", "HTTP/1.1 103 Early\r\n\r\n", 65, "", step), UPSTREAM_HTTP_BAD);
		assert_int_equal(feed_generated(CHUNKED "1;", "x", 2000, "\r\na\r\n", step), UPSTREAM_HTTP_BAD);
		assert_int_equal(feed_generated(CHUNKED "0\r\n", "A: b\r\n", 20000, "\r\n", step), UPSTREAM_HTTP_BAD);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_header_fields),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

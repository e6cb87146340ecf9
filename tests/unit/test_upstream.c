/* upstream: every way an answer can come, break or not come, and the form of requests.
 *
 * The server plays a script, the client is the real thing on an event loop, once over each transport
 * (upstream_fixture.h). Connections: test_upstream_conn.c; flow: test_upstream_flow.c.
 */
#include "hale/hale.h"

#include "upstream_fixture.h"

#include "hale/arena.h"

/* ---- answers, one line each ---- */

struct answer_case {
	const char *name, *answer;
	enum then then;
	enum upstream_error error;
	enum upstream_phase phase;
	int status;
	const char *body;
};

static const struct answer_case answers[] = {
	{"length", OK_HEAD "Content-Length: 5\r\n\r\nhello", KEEP, UPSTREAM_OK, UPSTREAM_DONE, 200, "hello"},
	{"length 0", OK_HEAD "Content-Length: 0\r\n\r\n", KEEP, UPSTREAM_OK, UPSTREAM_DONE, 200, ""},
	{"chunked", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", KEEP, UPSTREAM_OK,
	 UPSTREAM_DONE, 200, "hello world"},
	{"trailers", OK_HEAD "Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", KEEP,
	 UPSTREAM_OK, UPSTREAM_DONE, 200, "0123456789"},
	{"close-delimited", OK_HEAD "\r\nto the end", CLOSE, UPSTREAM_OK, UPSTREAM_DONE, 200, "to the end"},
	{"http/1.0", "HTTP/1.0 200 OK\r\n\r\nold", CLOSE, UPSTREAM_OK, UPSTREAM_DONE, 200, "old"},
	{"204", "HTTP/1.1 204 No Content\r\n\r\n", KEEP, UPSTREAM_OK, UPSTREAM_DONE, 204, ""},
	{"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", KEEP, UPSTREAM_OK, UPSTREAM_DONE, 304, ""},
	{"no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", KEEP, UPSTREAM_OK, UPSTREAM_DONE, 200, "ok"},
	{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", KEEP, UPSTREAM_OK, UPSTREAM_DONE, 200, "ok"},
	{"429", "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}", KEEP, UPSTREAM_OK,
	 UPSTREAM_DONE, 429, "{}"},
	{"redirect is an answer", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", KEEP,
	 UPSTREAM_OK, UPSTREAM_DONE, 302, ""},
	{"1xx", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\nok",
	 KEEP, UPSTREAM_OK, UPSTREAM_DONE, 200, "ok"},
	{"compressed stays", OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", KEEP, UPSTREAM_OK, UPSTREAM_DONE,
	 200, "abc"},

	{"closed before head", "", CLOSE, UPSTREAM_ERESET, UPSTREAM_HEAD, 0, ""},
	{"reset before head", "", RESET, UPSTREAM_ERESET, UPSTREAM_HEAD, 0, ""},
	{"reset in the body", OK_HEAD "Content-Length: 50\r\n\r\nhello", RESET, UPSTREAM_ERESET, UPSTREAM_BODY, 200, "hello"},
	{"cut length", OK_HEAD "Content-Length: 50\r\n\r\nhello", CLOSE, UPSTREAM_ERESET, UPSTREAM_BODY, 200, "hello"},
	{"cut chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n50\r\nhello", CLOSE, UPSTREAM_ERESET, UPSTREAM_BODY, 200,
	 "hello"},
	{"no last chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CLOSE, UPSTREAM_ERESET, UPSTREAM_BODY, 200,
	 "hello"},
	{"bad chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n", HANG, UPSTREAM_EPROTOCOL, UPSTREAM_BODY,
	 200, "hello"},
	{"silence", "", HANG, UPSTREAM_ETIMEOUT, UPSTREAM_HEAD, 0, ""},
	{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", HANG, UPSTREAM_ETIMEOUT, UPSTREAM_HEAD, 0, ""},
	{"only 1xx", "HTTP/1.1 103 Early Hints\r\n\r\n", HANG, UPSTREAM_ETIMEOUT, UPSTREAM_HEAD, 0, ""},
	{"stalled length", OK_HEAD "Content-Length: 50\r\n\r\nhello", HANG, UPSTREAM_ETIMEOUT, UPSTREAM_BODY, 200, "hello"},
	{"stalled chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", HANG, UPSTREAM_ETIMEOUT, UPSTREAM_BODY, 200,
	 "hello"},
	{"garbage", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", HANG, UPSTREAM_EPROTOCOL, UPSTREAM_HEAD, 0, ""},
	{"binary", "\x16\x03\x01\x02\x03\x04\x05\x06\x07\r\n\r\n", HANG, UPSTREAM_EPROTOCOL, UPSTREAM_HEAD, 0, ""},
	{"bad status", "HTTP/1.1 2x0 OK\r\n\r\n", CLOSE, UPSTREAM_EPROTOCOL, UPSTREAM_HEAD, 0, ""},
	{"header without colon", "HTTP/1.1 200 OK\r\nwhat is this\r\nContent-Length: 0\r\n\r\n", CLOSE, UPSTREAM_EPROTOCOL,
	 UPSTREAM_HEAD, 0, ""},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: x5\r\n\r\nhello", CLOSE, UPSTREAM_EPROTOCOL, UPSTREAM_HEAD, 0, ""},
};

static void
run_answer(void **state, const struct answer_case *a, bool drip)
{
	const struct script sc = {.answer = a->answer, .then = a->then, .drip = drip, .await = strlen(a->body)};
	struct client cl;
	struct call k;

	atomic_store(&client_bytes, 0);
	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	exchange(&cl, &sc, &k, NULL);
	if (k.result.error != a->error || (k.result.phase != a->phase && !drip) || k.result.status != a->status)
		print_error("case \"%s\"%s: error %s phase %s status %d text %s\n", a->name, drip ? " (drip)" : "",
		            upstream_error_name(k.result.error), upstream_phase_name(k.result.phase), k.result.status, k.text);
	assert_int_equal(k.ends, 1);
	assert_int_equal(k.result.error, a->error);
	assert_int_equal(k.result.phase, a->phase);
	assert_int_equal(k.result.status, a->status);
	assert_string_equal(strbuf_str(&k.body), a->body);
	assert_int_equal(k.heads, a->status ? 1 : 0);
	assert_true(k.result.total_us >= k.result.head_us);
	assert_non_null(k.result.text);
	assert_null(strstr(k.text, "secret"));
	assert_int_equal(strlen(k.text) == 0, a->error == UPSTREAM_OK);
	call_release(&k);
	client_close(&cl);
}

static void
test_answers(void **state)
{
	for (unsigned i = 0; i < HALE_COUNT(answers); i++)
		run_answer(state, &answers[i], false);
}

static void
test_answers_byte_by_byte(void **state)
{
	for (unsigned i = 0; i < HALE_COUNT(answers); i++)
		run_answer(state, &answers[i], true);
}

static void
test_headers(void **state)
{
	const struct script sc = {.answer = "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	                                    "X-A:  spaced out \t\r\nX-Empty:\r\nx-a: again\r\n\r\nok"};
	struct client cl;
	struct call k;

	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	exchange(&cl, &sc, &k, NULL);
	assert_string_equal(strbuf_str(&k.headers), "Content-Length=2\nX-A=spaced out\nX-Empty=\nx-a=again\n");
	call_release(&k);
	client_close(&cl);
}

static void
run_large_head(void **state, unsigned count, unsigned size)
{
	struct strbuf b;
	struct client cl;
	struct call k;

	strbuf_init(&b, 0);
	strbuf_puts(&b, "HTTP/1.1 200 OK\r\n");
	for (unsigned i = 0; i < count; i++)
		strbuf_printf(&b, "X-%u: %0*d\r\n", i, (int)size, 7);
	strbuf_puts(&b, "Content-Length: 0\r\n\r\n");
	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	exchange(&cl, &(struct script){.answer = strbuf_str(&b), .then = HANG}, &k, NULL);
	assert_int_equal(k.heads, 0);
	assert_int_equal(k.result.error, UPSTREAM_EPROTOCOL);
	assert_int_equal(k.result.phase, UPSTREAM_HEAD);
	call_release(&k);
	client_close(&cl);
	strbuf_release(&b);
}

static void
test_large_heads(void **state)
{
	run_large_head(state, 1, 99000);
	run_large_head(state, 100, 1000);
	run_large_head(state, 1000, 1);
}

/* ---- requests ---- */

static void
test_request_form(void **state)
{
	static const struct http_header extra[] = {{"Content-Type", "application/json"}, {"X-Empty", ""},
	                                           {"Content-Length", "999"}, {"Transfer-Encoding", "chunked"},
	                                           {"Connection", "close"}};
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 0\r\n\r\n"}, NULL);
	struct client cl;
	struct target t;
	struct call k;
	char line[64];

	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	target_init(&t, "http", "127.0.0.1", s->port);
	t.r.header = extra;
	t.r.nheader = HALE_COUNT(extra);
	call_start(&k, &t.r);
	client_wait(&cl, &k);
	assert_int_equal(k.result.error, UPSTREAM_OK);
	snprintf(line, sizeof(line), "Host: 127.0.0.1:%u\r\n", s->port);
	assert_ptr_equal(strstr(s->head, "POST /v1/chat/completions HTTP/1.1\r\n"), s->head);
	assert_non_null(strstr(s->head, line));
	assert_non_null(strstr(s->head, "\r\nAuthorization: Bearer sk-secret\r\n"));
	assert_non_null(strstr(s->head, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(s->head, "\r\nX-Empty:"));
	assert_non_null(strstr(s->head, "\r\nContent-Length: 2\r\n"));
	assert_null(strstr(s->head, "Content-Length: 999"));
	assert_null(strstr(s->head, "Transfer-Encoding"));
	assert_null(strstr(s->head, "Expect"));
	assert_null(strstr(s->head, "Accept-Encoding"));
	assert_null(strstr(s->head, "Connection: close"));
	assert_int_equal(atomic_load(&s->body_bytes), 2);
	call_release(&k);
	client_close(&cl);
	server_stop(s);
}

/* A request that has no body, and a HEAD whose answer must have none. */
static void
test_methods(void **state)
{
	static const char *const methods[] = {"GET", "HEAD", "DELETE", "PUT", "POST"};
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 0\r\n\r\n"}, NULL);
	struct client cl;
	struct target t;

	client_open(&cl, state, NULL);
	target_init(&t, "http", "127.0.0.1", s->port);
	t.r.nbody = 0;
	for (unsigned i = 0; i < 2 * HALE_COUNT(methods); i++) {
		struct call k;
		char line[32];

		call_init(&k, &cl);
		t.e.method = methods[i % HALE_COUNT(methods)];
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, UPSTREAM_OK);
		snprintf(line, sizeof(line), "%s /v1/", t.e.method);
		assert_ptr_equal(strstr(s->head, line), s->head);
		call_release(&k);
	}
	assert_int_equal(atomic_load(&s->accepts), 1);
	client_close(&cl);
	server_stop(s);
}

static void
test_refused_requests(void **state)
{
	static const char *const urls[] = {"ftp://127.0.0.1/", "127.0.0.1", "http://", "http:///x", "http://a b/", "http://a/\r\nX: y"};
	static const struct http_header bad[] = {{"X", "a\r\nY: b"}, {"X Y", "a"}, {"", "a"}, {"X:", "a"}};
	struct client cl;
	struct target t;
	struct call k;

	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	for (unsigned i = 0; i < HALE_COUNT(urls) + HALE_COUNT(bad); i++) {
		enum upstream_error e = UPSTREAM_OK;

		target_init(&t, "http", "127.0.0.1", 1);
		if (i < HALE_COUNT(urls)) {
			t.e.url = urls[i];
		} else {
			t.r.header = &bad[i - HALE_COUNT(urls)];
			t.r.nheader = 1;
		}
		assert_null(upstream_start(cl.u, &t.r, &call_ops, &k, &e));
		assert_int_equal(e, UPSTREAM_EPROTOCOL);
	}
	client_turn(&cl);
	assert_int_equal(k.ends, 0);
	call_release(&k);
	client_close(&cl);
}

/* Bodies in parts: every part size around the 64 KiB where libcurl changes its ways, and 1 MiB. */
static void
run_body_parts(void **state, SSL_CTX *ctx)
{
	static const size_t sizes[][UPSTREAM_BODY_PARTS] = {
		{10, 0, 7, 3}, {30000, 35000, 1, 500}, {65535, 1, 0, 0}, {65536, 1, 0, 0}, {1 << 20, 0, 0, 0},
		{100, 1 << 20, 8, 99}, {1 << 18, 1 << 18, 1 << 18, 1 << 18}};
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok"}, ctx);
	char *data = xmalloc(2 << 20);
	struct client cl;
	struct target t;

	for (size_t i = 0; i < 2 << 20; i++)
		data[i] = (char)(i * 31 + i / 1000);
	client_open(&cl, state, NULL);
	target_init(&t, ctx ? "https" : "http", "127.0.0.1", s->port);
	for (unsigned i = 0; i < HALE_COUNT(sizes); i++) {
		size_t at = 0;
		unsigned sum = 0;
		struct call k;

		call_init(&k, &cl);
		for (t.r.nbody = 0; t.r.nbody < UPSTREAM_BODY_PARTS; t.r.nbody++) {
			t.r.body[t.r.nbody] = (struct iovec){data + at, sizes[i][t.r.nbody]};
			at += sizes[i][t.r.nbody];
		}
		for (size_t n = 0; n < at; n++)
			sum += (unsigned char)data[n] * (unsigned)(n % 251 + 1);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, UPSTREAM_OK);
		assert_int_equal(atomic_load(&s->body_bytes), at);
		assert_int_equal(atomic_load(&s->body_sum), sum);
		call_release(&k);
	}
	client_close(&cl);
	server_stop(s);
	free(data);
}

static void
test_body_parts(void **state)
{
	run_body_parts(state, NULL);
	run_body_parts(state, tls.good);
}

/* A server that answers and closes before it took the body: the answer counts. */
static void
test_early_answer(void **state)
{
	struct server *s = server_start(&(struct script){.answer = "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
	                                                 .then = HANG, .deaf = true}, NULL);
	char *data = xcalloc(1, 4 << 20);
	struct client cl;
	struct target t;
	struct call k;

	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	target_init(&t, "http", "127.0.0.1", s->port);
	t.r.body[0] = (struct iovec){data, 4 << 20};
	call_start(&k, &t.r);
	client_wait(&cl, &k);
	assert_int_equal(k.result.error, UPSTREAM_OK);
	assert_int_equal(k.result.status, 413);
	assert_string_equal(strbuf_str(&k.body), "no");
	call_release(&k);
	client_close(&cl);
	server_stop(s);
	free(data);
}

static void
test_names_of_enums(void **state)
{
	(void)state;
	for (int i = UPSTREAM_OK; i <= UPSTREAM_ELIMIT; i++)
		for (int j = UPSTREAM_OK; j < i; j++)
			assert_string_not_equal(upstream_error_name((enum upstream_error)i), upstream_error_name((enum upstream_error)j));
	assert_string_equal(upstream_error_name(UPSTREAM_ECONNECT), "connect_error");
	for (int i = UPSTREAM_RESOLVE; i <= UPSTREAM_DONE; i++)
		for (int j = UPSTREAM_RESOLVE; j < i; j++)
			assert_string_not_equal(upstream_phase_name((enum upstream_phase)i), upstream_phase_name((enum upstream_phase)j));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_answers),
		BOTH(test_answers_byte_by_byte),
		BOTH(test_headers),
		BOTH(test_large_heads),
		BOTH(test_request_form),
		BOTH(test_methods),
		BOTH(test_refused_requests),
		BOTH(test_body_parts),
		BOTH(test_early_answer),
		cmocka_unit_test(test_names_of_enums),
	};

	return cmocka_run_group_tests(tests, upstream_fixture_setup, upstream_fixture_teardown);
}

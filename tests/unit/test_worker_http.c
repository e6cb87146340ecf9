/* worker_http: the server as a client on a socket sees it. One case per known hole of the engine behind it. */
#include "http_fixture.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <sys/resource.h>

/* --- requests that get one answer and lose the connection --- */

struct refusal {
	const char *what, *request, *expect;
};

static const struct refusal refusals[] = {
	{"bare LF everywhere", "GET /echo HTTP/1.1\nHost: a\n\n", "400 Bad Request"},
	{"bare LF after a header", "GET /echo HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "bad_newline"},
	{"bare CR in a value", "GET /echo HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", "bad_newline"},
	{"obs-fold", "GET /echo HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "folded_header"},
	{"fold before the first header", "GET /echo HTTP/1.1\r\n Host: a\r\n\r\n", "folded_header"},
	{"space before colon", "GET /echo HTTP/1.1\r\nHost : a\r\n\r\n", "bad_header"},
	{"no colon", "GET /echo HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", "bad_header"},
	{"empty name", "GET /echo HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n", "bad_header"},
	{"odd name", "GET /echo HTTP/1.1\r\nHost: a\r\nX(y): v\r\n\r\n", "bad_header"},
	{"control byte in value", "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\001b\r\n\r\n", "bad_header"},
	{"DEL in value", "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\177b\r\n\r\n", "bad_header"},
	{"no Host", "GET /echo HTTP/1.1\r\n\r\n", "bad_host"},
	{"two Hosts", "GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad_host"},
	{"two Hosts, 1.0", "GET /echo HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "bad_host"},
	{"Host with a path", "GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n", "bad_host"},
	{"length and coding", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "ambiguous_length"},
	{"two lengths", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	 "bad_content_length"},
	{"list of lengths", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\nhello", "bad_content_length"},
	{"signed length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", "bad_content_length"},
	{"negative length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", "bad_content_length"},
	{"hexadecimal length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", "bad_content_length"},
	{"empty length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "bad_content_length"},
	{"huge length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
	 "413 Content Too Large"},
	{"length over the limit", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200001\r\n\r\n", "body_too_large"},
	{"too large and ambiguous",
	 "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200001\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "ambiguous_length"},
	{"gzip coding", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Not Implemented"},
	{"gzip, chunked", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	 "bad_transfer_encoding"},
	{"chunked twice", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "bad_transfer_encoding"},
	{"disguised coding", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
	 "bad_transfer_encoding"},
	{"coding with 1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_transfer_encoding"},
	{"HTTP/0.9", "GET /echo\r\n\r\n", "bad_request_line"},
	{"two spaces", "GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"},
	{"space at the end", "GET /echo HTTP/1.1 \r\nHost: a\r\n\r\n", "bad_request_line"},
	{"space in the target", "GET /echo a HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
	{"lower case version", "GET /echo http/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP Version Not Supported"},
	{"HTTP/1.2", "GET /echo HTTP/1.2\r\nHost: a\r\n\r\n", "505"},
	{"TLS hello", "\026\003\001", "bad_request_line"},
	{"two empty lines first", "\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
	{"authority form", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed"},
	{"authority form, other method", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"TRACE", "TRACE /echo HTTP/1.1\r\nHost: a\r\n\r\n", "\r\nAllow: GET, HEAD, POST"},
	{"unknown method", "BREW /echo HTTP/1.1\r\nHost: a\r\n\r\n", "501 Not Implemented"},
	{"lower case method", "get /echo HTTP/1.1\r\nHost: a\r\n\r\n", "unknown_method"},
	{"asterisk, wrong method", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"absolute form of another scheme", "GET ftp://a/echo HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"absolute form with credentials", "GET http://u@a/echo HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"fragment", "GET /echo#x HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"byte over 127 in the target", "GET /echo\303\251 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"NUL by escape", "GET /echo%00 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"line break by escape", "GET /echo%0d%0a HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"bad escape", "GET /echo%4 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"bad escape in the query", "GET /echo?q=%zz HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"NUL in the query", "GET /echo?q=%00 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_target"},
	{"expectation", "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\nx", "417"},
	{"chunk size with sign", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
	 "bad_chunk"},
	{"chunk size with 0x",
	 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", "bad_chunk"},
	{"chunk size with space",
	 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", "bad_chunk"},
	{"no chunk size", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n", "bad_chunk"},
	{"huge chunk size",
	 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1ffffffffffffffff\r\n", "bad_chunk"},
	{"chunk size line with bare LF",
	 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", "bad_chunk"},
	{"chunk longer than its size",
	 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", "bad_chunk"},
	{"folded trailer",
	 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n", "bad_chunk"},
};

static void
test_refusals(void **state)
{
	struct rig *g = *state;

	for (size_t i = 0; i < HALE_COUNT(refusals); i++) {
		const struct refusal *t = &refusals[i];
		struct peer p;

		peer_open(&p, g);
		peer_puts(&p, t->request);
		peer_puts(&p, "GET /echo/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
		RIG_WAIT(g, peer_ended(&p));
		if (!strstr(strbuf_str(&p.in), t->expect) || peer_count(&p, "\r\nDate: ") != 1 ||
		    peer_count(&p, "\"error\":{\"message\":") + peer_count(&p, "\"error\": {\"message\":") != 1 ||
		    peer_count(&p, "Connection: close\r\n") != 1)
			fail_msg("%s: expected one answer with %s, got: %s", t->what, t->expect, strbuf_str(&p.in));
		peer_close(&p);
	}
	assert_int_equal(g->handled, 0);
	assert_true(counter_read(g->table, 0, COUNTER_REQUESTS_BAD) > 40);
	assert_int_equal(counter_read(g->table, 0, COUNTER_BODY_TOO_LARGE), 2);
}

static void
test_nul_in_head(void **state)
{
	static const char in_value[] = "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
	static const char in_line[] = "GET /echo\0x HTTP/1.1\r\nHost: a\r\n\r\n";
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_send(&p, in_value, sizeof(in_value) - 1);
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "bad_header"));
	peer_close(&p);
	peer_open(&p, g);
	peer_send(&p, in_line, sizeof(in_line) - 1);
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "bad_request_line"));
	peer_close(&p);
	assert_int_equal(g->handled, 0);
}

/* --- requests that are fine --- */

static const struct refusal served[] = {
	{"plain", "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", "[0 /echo q=(none) ]"},
	{"empty line first", "\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", "[0 /echo q=(none) ]"},
	{"absolute form", "GET http://a:1/echo?q=2 HTTP/1.1\r\nHost: a\r\n\r\n", "[0 /echo q=2 ]"},
	{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "[5 * q=(none) ]"},
	{"PATCH", "PATCH /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "[6 /echo q=(none) hi]"},
	{"DELETE", "DELETE /echo HTTP/1.1\r\nHost:\r\n\r\n", "[4 /echo q=(none) ]"},
	{"escapes", "GET /echo%2Fa%20b?x=1&q=a%2Bb+c%26 HTTP/1.1\r\nHost: a\r\n\r\n", "[0 /echo/a b q=a+b c& ]"},
	{"query without value", "GET /echo?a&q&b=1 HTTP/1.1\r\nHost: a\r\n\r\n", "[0 /echo q= ]"},
	{"first value counts", "GET /echo?=0&q=1&q=2 HTTP/1.1\r\nHost: a\r\n\r\n", "[0 /echo q=1 ]"},
	{"odd but valid header", "GET /echo HTTP/1.1\r\nHost: [::1]:80\r\n!#$%&'*+-.^_`|~:\t x \t\r\n\r\n", "[0 /echo"},
	{"body with GET", "GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "[0 /echo q=(none) hi]"},
	{"length 0", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "[2 /echo q=(none) ]"},
	{"leading zeros", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0002\r\n\r\nhi", "[2 /echo q=(none) hi]"},
	{"chunked", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
	 "[2 /echo q=(none) hi0123456789]"},
	{"trailers", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\nHost: z\r\n\r\n",
	 "[2 /echo q=(none) hi]"},
};

/* Each one whole, and byte by byte. */
static void
test_served(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	for (size_t i = 0; i < 2 * HALE_COUNT(served); i++) {
		const struct refusal *t = &served[i / 2];

		strbuf_clear(&p.in);
		if (i % 2)
			for (const char *c = t->request; *c; c++) {
				peer_send(&p, c, 1);
				event_base_loop(g->base, EVLOOP_NONBLOCK);
			}
		else
			peer_puts(&p, t->request);
		RIG_WAIT(g, peer_has(&p, "]") || peer_ended(&p));
		if (!peer_has(&p, t->expect) || p.eof)
			fail_msg("%s: expected %s, got: %s", t->what, t->expect, strbuf_str(&p.in));
		assert_true(peer_has(&p, "\r\nDate: "));
		assert_false(peer_has(&p, "\r\nServer: "));
	}
	peer_close(&p);
	assert_int_equal(counter_read(g->table, 0, COUNTER_CONNECTIONS), 1);
	assert_int_equal(counter_read(g->table, 0, COUNTER_REQUESTS), 2 * HALE_COUNT(served));
}

static void
test_head_answers_without_body(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, peer_has(&p, "]"));
	assert_int_equal(peer_count(&p, "Content-Length: 19\r\n"), 2);
	assert_int_equal(peer_count(&p, "[0 /echo"), 1);
	peer_close(&p);
}

static void
test_http10(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	RIG_WAIT(g, peer_has(&p, "]"));
	assert_true(peer_has(&p, "Connection: keep-alive\r\n"));
	strbuf_clear(&p.in);
	peer_puts(&p, "GET /hold HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	RIG_WAIT(g, g->held);
	http_reply_begin(g->held, 200, NULL, -1);
	http_reply_chunk(g->held, "abc", 3);
	http_reply_end(g->held);
	RIG_WAIT(g, peer_ended(&p));
	assert_false(p.reset);
	assert_true(peer_has(&p, "Connection: close\r\n\r\nabc"));
	assert_false(peer_has(&p, "chunked"));
	peer_close(&p);
}

static void
test_pipelining(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "GET /echo/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /hold HTTP/1.1\r\nHost: a\r\n\r\n"
	              "POST /echo/3 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n3GET /echo/4 HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	assert_true(g->handled == 2);
	http_reply(g->held, 200, "text/plain", "[2]", 3);
	RIG_WAIT(g, peer_count(&p, "]") == 4);
	assert_true(strstr(strbuf_str(&p.in), "/echo/1") < strstr(strbuf_str(&p.in), "[2]"));
	assert_true(strstr(strbuf_str(&p.in), "[2]") < strstr(strbuf_str(&p.in), "/echo/3"));
	assert_true(strstr(strbuf_str(&p.in), "/echo/3") < strstr(strbuf_str(&p.in), "/echo/4"));
	peer_close(&p);
}

static void
test_continue(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	RIG_WAIT(g, peer_has(&p, "HTTP/1.1 100 Continue\r\n\r\n"));
	peer_puts(&p, "hi");
	RIG_WAIT(g, peer_has(&p, " hi]"));
	strbuf_clear(&p.in);
	/* A body that came along needs no encouragement. */
	peer_puts(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nho");
	RIG_WAIT(g, peer_has(&p, " ho]"));
	assert_false(peer_has(&p, "100 Continue"));
	strbuf_clear(&p.in);
	peer_puts(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 200001\r\n\r\n");
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "HTTP/1.1 413"));
	peer_close(&p);
}

/* --- limits --- */

static void
send_many(struct peer *p, const char *piece, size_t times)
{
	for (size_t i = 0; i < times; i++)
		peer_puts(p, piece);
}

static void
test_large_head(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "GET /echo HTTP/1.1\r\nHost: a\r\nX: ");
	send_many(&p, "0123456789", 1000);
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "HTTP/1.1 431 "));
	assert_true(peer_has(&p, "headers_too_large"));
	peer_close(&p);

	peer_open(&p, g);
	peer_puts(&p, "GET /echo HTTP/1.1\r\nHost: a\r\n");
	send_many(&p, "X: y\r\n", 20);
	peer_puts(&p, "\r\n");
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "too_many_headers"));
	peer_close(&p);

	peer_open(&p, g);
	peer_puts(&p, "GET /echo");
	send_many(&p, "0123456789", 300);
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "HTTP/1.1 414 "));
	peer_close(&p);

	peer_open(&p, g);
	peer_puts(&p, "GET /echo");
	send_many(&p, "0123456789", 204); /* 2045 bytes of target */
	peer_puts(&p, " HTTP/1.1\r\nHost: a\r\n");
	send_many(&p, "X: y\r\n", 19);
	peer_puts(&p, "\r\n");
	RIG_WAIT(g, peer_has(&p, "]"));
	assert_true(peer_has(&p, "HTTP/1.1 200 "));
	peer_close(&p);
	assert_int_equal(counter_read(g->table, 0, COUNTER_HEADERS_TOO_LARGE), 2);
}

static void
test_bodies(void **state)
{
	struct rig *g = *state;
	char *body = calloc(1, 200001), head[128];
	struct peer p;

	memset(body, 'b', 200000);
	peer_open(&p, g);
	for (int i = 0; i < 3; i++) { /* sized, chunked, one byte too much */
		strbuf_clear(&p.in);
		snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n",
		         i == 0 ? "Content-Length: 200000" : "Transfer-Encoding: chunked");
		peer_puts(&p, head);
		if (i > 0)
			peer_puts(&p, "30d40\r\n");
		peer_send(&p, body, 200000);
		if (i == 2)
			peer_puts(&p, "\r\n1\r\nb\r\n0\r\n\r\n");
		else if (i == 1)
			peer_puts(&p, "\r\n0\r\n\r\n");
		RIG_WAIT(g, peer_has(&p, "]") || peer_ended(&p));
		if (i < 2) {
			assert_true(peer_has(&p, body));
			assert_true(p.in.len > 200000 && p.in.len < 200400);
		}
	}
	assert_true(peer_has(&p, "HTTP/1.1 413 "));
	peer_close(&p);
	free(body);
}

static void
test_bounded_extensions(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 1000 && !peer_ended(&p); i++) {
		peer_puts(&p, "1;0123456789012345678901234567890123456789=1\r\nx\r\n");
		rig_pump(g);
	}
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "bad_chunk"));
	peer_close(&p);

	peer_open(&p, g);
	peer_puts(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
	for (int i = 0; i < 10000 && !peer_ended(&p); i++) {
		peer_puts(&p, "Name: 0123456789\r\n");
		event_base_loop(g->base, EVLOOP_NONBLOCK);
	}
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "bad_chunk"));
	peer_close(&p);
	assert_int_equal(g->handled, 0);
}

/* The server takes no more than its watermark while a request runs; the rest stays with the client. */
static void
test_unsolicited_input_is_bounded(void **state)
{
	static char junk[65536];
	struct rig *g = *state;
	size_t sent = 0;
	struct peer p;
	int size = 16384, idle = 0;

	peer_open(&p, g);
	setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	while (sent < 64u << 20 && idle < 50) {
		ssize_t n = send(p.fd, junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL);

		idle = n > 0 ? 0 : idle + 1;
		sent += n > 0 ? (size_t)n : 0;
		rig_pump(g);
	}
	assert_true(sent < 32u << 20); /* what the kernel holds, not what we hold */
	assert_int_equal(g->gone, 0);
	http_reply(g->held, 200, NULL, "[]", 2);
	RIG_WAIT(g, peer_has(&p, "bad_request_line"));
	peer_close(&p);
}

static void
test_connection_limit(void **state)
{
	struct rig *g = *state;
	struct peer p[4];

	g->conf.limits.client_connections_max = 2;
	for (int i = 0; i < 2; i++) {
		peer_open(&p[i], g);
		peer_puts(&p[i], "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
		RIG_WAIT(g, peer_has(&p[i], "]"));
	}
	peer_open(&p[2], g);
	peer_puts(&p[2], "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, peer_ended(&p[2]));
	assert_true(peer_has(&p[2], "HTTP/1.1 503 "));
	assert_true(peer_has(&p[2], "too_many_connections"));
	assert_false(p[2].reset);
	assert_int_equal(counter_read(g->table, 0, COUNTER_CONNECTIONS_REFUSED), 1);
	assert_int_equal(counter_read(g->table, 0, COUNTER_CONNECTIONS_OPEN), 2);
	peer_close(&p[0]);
	RIG_WAIT(g, counter_read(g->table, 0, COUNTER_CONNECTIONS_OPEN) == 1);
	peer_open(&p[3], g);
	peer_puts(&p[3], "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, peer_has(&p[3], "]"));
	for (int i = 1; i < 4; i++)
		peer_close(&p[i]);
}

/* --- deadlines --- */

static void
dribble(struct rig *g, struct peer *p, const char *byte)
{
	RIG_WAIT(g, (peer_puts(p, byte), peer_ended(p)));
	assert_true(peer_has(p, "HTTP/1.1 408 "));
	assert_true(peer_has(p, "request_timeout"));
}

static void
test_slow_head(void **state)
{
	struct rig *g = *state;
	struct peer p;

	g->conf.limits.client_header_timeout_ms = 50;
	peer_open(&p, g);
	peer_puts(&p, "GET /echo HTTP/1.1\r\nX: ");
	dribble(g, &p, "x");
	peer_close(&p);
	/* Nobody said anything: closed without an answer. */
	peer_open(&p, g);
	RIG_WAIT(g, peer_ended(&p));
	assert_int_equal(p.in.len, 0);
	peer_close(&p);
	assert_int_equal(counter_read(g->table, 0, COUNTER_CLIENT_TIMEOUT), 1);
}

static void
test_slow_body(void **state)
{
	struct rig *g = *state;
	struct peer p;

	g->conf.limits.client_body_timeout_ms = 50;
	peer_open(&p, g);
	peer_puts(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	dribble(g, &p, "x");
	peer_close(&p);
	peer_open(&p, g);
	peer_puts(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	dribble(g, &p, "1\r\nx\r\n");
	peer_close(&p);
	assert_int_equal(g->handled, 0);
}

static void
test_idle_connection_ends(void **state)
{
	struct rig *g = *state;
	struct peer p;

	g->conf.limits.client_idle_timeout_ms = 50;
	peer_open(&p, g);
	peer_puts(&p, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, peer_has(&p, "]"));
	strbuf_clear(&p.in);
	RIG_WAIT(g, peer_ended(&p));
	assert_int_equal(p.in.len, 0);
	peer_close(&p);
}

/* --- clients that vanish --- */

static void
test_gone_while_waiting(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	peer_close(&p);
	RIG_WAIT(g, g->gone == 1);
	/* Also when the close is there before the handler ran. */
	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	peer_close(&p);
	RIG_WAIT(g, g->gone == 2);
	/* And by a reset. */
	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	peer_close(&p);
	RIG_WAIT(g, g->gone == 3);
	RIG_WAIT(g, worker_http_connections(g->server) == 0);
	assert_int_equal(worker_http_requests(g->server), 0);
	assert_int_equal(counter_read(g->table, 0, COUNTER_CLIENT_GONE), 3);
}

static void
test_half_close_still_reads(void **state)
{
	struct rig *g = *state;
	struct peer p;
	char byte;

	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/2 HTTP/1.1\r\nHost: a\r\n\r\n");
	shutdown(p.fd, SHUT_WR);
	RIG_WAIT(g, g->held);
	RIG_WAIT(g, peer_has(&p, "100 Continue")); /* the probe */
	for (int i = 0; i < 100; i++) /* several looks at the socket */
		rig_pump(g);
	assert_int_equal(g->gone, 0);
	http_reply(g->held, 200, NULL, "[1]", 3);
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "[1]"));
	assert_true(peer_has(&p, "/echo/2"));
	peer_close(&p);
	/* Half-closed first, closed later, the probe unread. */
	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	shutdown(p.fd, SHUT_WR);
	RIG_WAIT(g, recv(p.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1);
	assert_int_equal(g->gone, 0);
	peer_close(&p);
	RIG_WAIT(g, g->gone == 1);
}

static void
test_gone_while_streaming(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	http_reply_begin(g->held, 200, "text/event-stream", -1);
	http_reply_chunk(g->held, "data: 1\n\n", 9);
	RIG_WAIT(g, peer_has(&p, "Transfer-Encoding: chunked\r\n"));
	assert_true(peer_has(&p, "\r\n\r\n9\r\ndata: 1\n\n\r\n"));
	peer_close(&p);
	for (int i = 0; i < 10000 && g->held; i++) {
		http_reply_chunk(g->held, "x", 1);
		rig_pump(g);
	}
	assert_int_equal(g->gone, 1);
	RIG_WAIT(g, worker_http_connections(g->server) == 0);
}

/* --- answers --- */

static void
test_back_pressure(void **state)
{
	static char piece[16384];
	struct rig *g = *state;
	size_t sent = 0;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	http_reply_begin(g->held, 200, NULL, -1);
	while (http_reply_chunk(g->held, piece, sizeof(piece)) && sent < 256u << 20)
		sent += sizeof(piece);
	assert_true(sent < 64u << 20);
	assert_int_equal(g->drained, 0);
	assert_int_equal(counter_read(g->table, 0, COUNTER_BUFFER_PAUSES), 1);
	RIG_WAIT(g, (strbuf_clear(&p.in), peer_read(&p), g->drained == 1));
	assert_true(http_reply_chunk(g->held, piece, 1));
	http_reply_end(g->held);
	RIG_WAIT(g, (peer_read(&p), worker_http_requests(g->server) == 0 && p.in.len >= 5 &&
	             memcmp(p.in.data + p.in.len - 5, "0\r\n\r\n", 5) == 0));
	peer_close(&p);
}

static void
test_stalled_reader_is_gone(void **state)
{
	static char piece[65536];
	struct rig *g = *state;
	struct peer p;

	g->conf.limits.client_write_timeout_ms = 50;
	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	http_reply_begin(g->held, 200, NULL, -1);
	while (http_reply_chunk(g->held, piece, sizeof(piece)))
		;
	RIG_WAIT(g, g->gone == 1);
	RIG_WAIT(g, worker_http_connections(g->server) == 0);
	peer_close(&p);
}

static void
test_abort_shows(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	http_reply_begin(g->held, 200, NULL, -1);
	http_reply_chunk(g->held, "part", 4);
	http_reply_abort(g->held);
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "4\r\npart\r\n"));
	assert_false(peer_has(&p, "0\r\n\r\n"));
	peer_close(&p);
	/* An answer that only the end of the connection delimits ends with a reset. */
	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.0\r\n\r\n");
	g->held = NULL;
	RIG_WAIT(g, g->held);
	http_reply_begin(g->held, 200, NULL, -1);
	http_reply_chunk(g->held, "part", 4);
	http_reply_abort(g->held);
	RIG_WAIT(g, peer_ended(&p));
	assert_true(p.reset);
	peer_close(&p);
	/* Announced, but not delivered. */
	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	g->held = NULL;
	RIG_WAIT(g, g->held);
	http_reply_begin(g->held, 200, NULL, 10);
	http_reply_chunk(g->held, "part", 4);
	http_reply_end(g->held);
	RIG_WAIT(g, peer_ended(&p));
	assert_true(peer_has(&p, "Content-Length: 10\r\n"));
	peer_close(&p);
}

static void
test_answer_headers_are_clean(void **state)
{
	struct rig *g = *state;
	struct peer p;

	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	http_reply_header(g->held, "x-good", "yes");
	http_reply_header(g->held, "x-bad", "a\r\nSet-Cookie: b");
	http_reply_header(g->held, "x\nbad", "a");
	http_reply(g->held, 204, NULL, NULL, 0);
	RIG_WAIT(g, peer_has(&p, "\r\n\r\n"));
	assert_true(peer_has(&p, "x-good: yes\r\n"));
	assert_false(peer_has(&p, "Set-Cookie"));
	assert_false(peer_has(&p, "bad"));
	assert_false(peer_has(&p, "Content-Length"));
	peer_close(&p);
}

static void
note_header(void *arg, const char *name, const char *value)
{
	strbuf_printf(arg, "%s=%s;", name, value);
}

static void
test_request_facts(void **state)
{
	struct rig *g = *state;
	struct strbuf b;
	struct peer p;

	strbuf_init(&b, 0);
	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one:  2 \r\n\r\n");
	RIG_WAIT(g, g->held);
	assert_string_equal(http_req_peer(g->held), "127.0.0.1");
	assert_true(http_req_peer_is_loopback(g->held));
	assert_string_equal(http_req_header(g->held, "x-ONE"), "1");
	assert_null(http_req_header(g->held, "x-two"));
	assert_true(http_req_start_ns(g->held) <= clock_mono_ns());
	http_req_each_header(g->held, note_header, &b);
	assert_string_equal(strbuf_str(&b), "Host=a;X-One=1;x-one=2;");
	http_reply(g->held, 200, NULL, "", 0);
	peer_close(&p);
	strbuf_release(&b);
}

/* A client of a dual-stack socket, once by each family. */
static void
test_peer_of_dual_stack(void **state)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(sa);
	struct rig *g = *state;
	struct peer p;
	int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), c;

	if (fd == -1) {
		assert_int_equal(errno, EAFNOSUPPORT); /* a host without IPv6 has nothing to show */
		skip();
	}
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(worker_http_listen(g->server, fd), 0);
	g->port = ntohs(sa.sin6_port);
	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	assert_string_equal(http_req_peer(g->held), "127.0.0.1");
	assert_true(http_req_peer_is_loopback(g->held));
	http_reply(g->held, 200, NULL, "", 0);
	g->held = NULL;
	sa.sin6_addr = in6addr_loopback;
	c = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(c, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
		assert_int_equal(send(c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n", 32, 0), 32);
		RIG_WAIT(g, g->held);
		assert_string_equal(http_req_peer(g->held), "::1");
		assert_true(http_req_peer_is_loopback(g->held));
		http_reply(g->held, 200, NULL, "", 0);
	}
	close(c);
	peer_close(&p);
	worker_http_freep(&g->server);
	close(fd);
}

/* Without descriptors the listener rests instead of spinning, and wakes up by itself. */
static void
test_out_of_descriptors(void **state)
{
	struct rig *g = *state;
	struct rlimit old, low;
	struct peer p, later;
	int probe;

	peer_open(&p, g);
	peer_puts(&p, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	probe = dup(p.fd);
	close(probe);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)probe;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (int i = 0; i < 20; i++)
		rig_pump(g);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(worker_http_connections(g->server), 0);
	peer_open(&later, g);
	peer_puts(&later, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, peer_has(&later, "]"));
	/* It waited in the socket. (Valgrind, which only plays this limit, has closed it.) */
	RIG_WAIT(g, peer_has(&p, "]") || peer_ended(&p));
	peer_close(&p);
	peer_close(&later);
}

static void
test_take_over(void **state)
{
	struct rig *g = *state;
	struct bufferevent *bev;
	struct http_req *r;
	struct peer p;
	char early[6] = "";

	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly");
	RIG_WAIT(g, g->held);
	r = g->held;
	bev = http_req_take_over(r);
	assert_int_equal(bufferevent_read(bev, early, 5), 5);
	assert_string_equal(early, "early");
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	bufferevent_write(bev, "HTTP/1.1 101 Switching Protocols\r\n\r\nhello", 41);
	RIG_WAIT(g, peer_has(&p, "hello"));
	peer_puts(&p, "later");
	RIG_WAIT(g, evbuffer_get_length(bufferevent_get_input(bev)) == 5);
	http_reply_abort(r);
	RIG_WAIT(g, peer_ended(&p));
	assert_int_equal(g->gone, 0);
	peer_close(&p);
}

/* --- drain --- */

static void
test_drain(void **state)
{
	struct rig *g = *state;
	struct peer idle, busy, late, next;

	peer_open(&idle, g);
	peer_puts(&idle, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, peer_has(&idle, "]"));
	peer_open(&late, g);
	peer_puts(&late, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, peer_has(&late, "]"));
	peer_open(&busy, g);
	peer_puts(&busy, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	strbuf_clear(&late.in);
	peer_puts(&late, "GET /echo/inflight HTTP/1.1\r\nHost: a\r\n\r\n");
	worker_http_drain(g->server);
	/* A request in flight on a kept-alive connection is answered, as its last one. */
	RIG_WAIT(g, peer_ended(&late));
	assert_true(peer_has(&late, "/echo/inflight"));
	assert_true(peer_has(&late, "Connection: close\r\n"));
	/* The running one too. */
	http_reply(g->held, 200, NULL, "[]", 2);
	RIG_WAIT(g, peer_ended(&busy));
	assert_true(peer_has(&busy, "Connection: close\r\n"));
	/* The idle one is closed after its grace. */
	RIG_WAIT(g, peer_ended(&idle));
	assert_false(idle.reset);
	peer_close(&idle);
	peer_close(&busy);
	peer_close(&late);
	RIG_WAIT(g, worker_http_connections(g->server) == 0);
	/* New ones wait in the socket for the successor. */
	peer_open(&next, g);
	peer_puts(&next, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 20; i++)
		rig_pump(g);
	assert_int_equal(worker_http_connections(g->server), 0);
	worker_http_freep(&g->server);
	g->server = worker_http_new(g->base, &g->conf.limits, g->table, 0, rig_handler, g);
	assert_int_equal(worker_http_listen(g->server, g->listen_fd), 0);
	RIG_WAIT(g, peer_has(&next, "]"));
	peer_close(&next);
}

static void
test_free_tells_holders(void **state)
{
	struct rig *g = *state;
	struct peer p, q;

	peer_open(&p, g);
	peer_puts(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	RIG_WAIT(g, g->held);
	peer_open(&q, g); /* perhaps accepted, perhaps not */
	peer_puts(&q, "GET /e");
	worker_http_freep(&g->server);
	assert_int_equal(g->gone, 1);
	RIG_WAIT(g, peer_ended(&p));
	peer_close(&p);
	peer_close(&q);
}

/* --- endurance: whatever clients do, nothing stays behind (the sanitizer and valgrind runs look closer) --- */

static void
test_ten_thousand_connections(void **state)
{
	static const char *const script[] = {
		"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234",
		"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /echo HTTP/1.1\nHost: a\n\n",
		"GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /ec",
		"",
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
		"GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	};
	struct rig *g = *state;
	unsigned times = getenv("HALE_TEST_CONNECTIONS") ? (unsigned)strtoul(getenv("HALE_TEST_CONNECTIONS"), NULL, 10) : 2000;

	for (unsigned i = 0; i < times; i++) {
		struct peer p;

		peer_open(&p, g);
		peer_puts(&p, script[i % HALE_COUNT(script)]);
		if (i % 3)
			event_base_loop(g->base, EVLOOP_NONBLOCK);
		if (i % 5 == 0)
			shutdown(p.fd, SHUT_WR);
		if (i % 7 == 0)
			setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
		if (i % 2)
			event_base_loop(g->base, EVLOOP_NONBLOCK);
		peer_close(&p);
		if (i % 50 == 49)
			RIG_WAIT(g, worker_http_connections(g->server) == 0);
	}
	RIG_WAIT(g, worker_http_connections(g->server) == 0);
	assert_int_equal(worker_http_requests(g->server), 0);
}

int
main(void)
{
#define HTTP_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		HTTP_TEST(test_refusals),
		HTTP_TEST(test_nul_in_head),
		HTTP_TEST(test_served),
		HTTP_TEST(test_head_answers_without_body),
		HTTP_TEST(test_http10),
		HTTP_TEST(test_pipelining),
		HTTP_TEST(test_continue),
		HTTP_TEST(test_large_head),
		HTTP_TEST(test_bodies),
		HTTP_TEST(test_bounded_extensions),
		HTTP_TEST(test_unsolicited_input_is_bounded),
		HTTP_TEST(test_connection_limit),
		HTTP_TEST(test_slow_head),
		HTTP_TEST(test_slow_body),
		HTTP_TEST(test_idle_connection_ends),
		HTTP_TEST(test_gone_while_waiting),
		HTTP_TEST(test_half_close_still_reads),
		HTTP_TEST(test_gone_while_streaming),
		HTTP_TEST(test_back_pressure),
		HTTP_TEST(test_stalled_reader_is_gone),
		HTTP_TEST(test_abort_shows),
		HTTP_TEST(test_answer_headers_are_clean),
		HTTP_TEST(test_request_facts),
		HTTP_TEST(test_peer_of_dual_stack),
		HTTP_TEST(test_out_of_descriptors),
		HTTP_TEST(test_take_over),
		HTTP_TEST(test_drain),
		HTTP_TEST(test_free_tells_holders),
		HTTP_TEST(test_ten_thousand_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

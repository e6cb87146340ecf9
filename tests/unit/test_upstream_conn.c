/* upstream: connections, made, kept, lost and not made, names, and TLS. */
#include "hale/hale.h"

#include "upstream_fixture.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "hale/arena.h"

/* ---- connections ---- */

static void
test_reuse(void **state)
{
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok"}, NULL);
	struct client cl;
	struct target t;

	client_open(&cl, state, NULL);
	target_init(&t, "http", "127.0.0.1", s->port);
	for (unsigned i = 0; i < 20; i++) {
		struct call k;

		call_init(&k, &cl);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, UPSTREAM_OK);
		assert_int_equal(k.result.reused, i > 0);
		call_release(&k);
	}
	assert_int_equal(atomic_load(&s->accepts), 1);
	assert_int_equal(atomic_load(&s->requests), 20);
	client_close(&cl);
	server_stop(s);
}

/* The kept connection is closed by the peer just when the next request comes: sent again, once, and the body
 * is complete the second time too. */
static void
run_stale(void **state, enum then then, uint32_t host_max)
{
	const struct upstream_limits l = {.connections_max = 9, .host_connections_max = host_max, .idle_timeout_ms = 60000};
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok", .second = 1 + then}, NULL);
	char *data = xmalloc(300000);
	struct client cl;
	struct target t;

	memset(data, 'x', 300000);
	client_open(&cl, state, &l);
	target_init(&t, "http", "127.0.0.1", s->port);
	t.r.body[0] = t.r.body[1] = t.r.body[2] = (struct iovec){data, 100000};
	t.r.nbody = 3;
	for (unsigned i = 0; i < 3; i++) {
		struct call k;

		call_init(&k, &cl);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, UPSTREAM_OK);
		assert_string_equal(strbuf_str(&k.body), "ok");
		assert_int_equal(atomic_load(&s->body_bytes), 300000);
		assert_int_equal(atomic_load(&s->accepts), i + 1);
		assert_false(k.result.reused);
		call_release(&k);
	}
	client_close(&cl);
	server_stop(s);
	free(data);
}

static void
test_stale_connection(void **state)
{
	run_stale(state, CLOSE, 0);
	run_stale(state, RESET, 0);
	run_stale(state, CLOSE, 1);
}

/* Bytes of an answer arrived: never again, not even on a kept connection. */
static void
test_no_second_send(void **state)
{
	struct script sc = {.answer = OK_HEAD "Content-Length: 2\r\n\r\nokHTTP/1.1 200 O", .then = KEEP};
	struct server *s = server_start(&sc, NULL);
	unsigned sent;
	struct client cl;
	struct target t;
	struct call k;

	/* Surplus bytes after an answer poison the connection: the next request must not take them. */
	client_open(&cl, state, NULL);
	target_init(&t, "http", "127.0.0.1", s->port);
	for (unsigned i = 0; i < 2; i++) {
		call_init(&k, &cl);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, UPSTREAM_OK);
		assert_string_equal(strbuf_str(&k.body), "ok");
		call_release(&k);
	}
	sent = atomic_load(&s->requests);
	assert_true(sent == 2 || sent == 3);
	server_stop(s);
	/* A fresh connection that is closed before the answer: reported, not repeated. */
	s = server_start(&(struct script){.then = CLOSE}, NULL);
	target_init(&t, "http", "127.0.0.1", s->port);
	call_init(&k, &cl);
	call_start(&k, &t.r);
	client_wait(&cl, &k);
	assert_int_equal(k.result.error, UPSTREAM_ERESET);
	assert_int_equal(atomic_load(&s->requests), 1);
	call_release(&k);
	client_close(&cl);
	server_stop(s);
}

static void
run_cut_on_kept(void **state, const char *second, enum upstream_phase phase)
{
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok", .second_answer = second},
	                                NULL);
	struct client cl;
	struct target t;

	client_open(&cl, state, NULL);
	target_init(&t, "http", "127.0.0.1", s->port);
	for (unsigned i = 0; i < 2; i++) {
		struct call k;

		call_init(&k, &cl);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, i ? UPSTREAM_ERESET : UPSTREAM_OK);
		assert_int_equal(k.result.phase, i ? phase : UPSTREAM_DONE);
		assert_int_equal(k.result.reused, i);
		call_release(&k);
	}
	assert_int_equal(atomic_load(&s->requests), 2);
	client_close(&cl);
	server_stop(s);
}

/* A kept connection breaks after some bytes of the answer: the request may have had its effect. */
static void
test_no_retry_after_bytes(void **state)
{
	run_cut_on_kept(state, "HTTP/1.1 100 Continue\r\n\r\n", UPSTREAM_HEAD);
	run_cut_on_kept(state, OK_HEAD "Content-Length: 9\r\n\r\nhalf", UPSTREAM_BODY);
}

static void
test_refused_connection(void **state)
{
	uint16_t port;
	struct client cl;
	struct target t;
	struct call k;

	close(listen_any(&port));
	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	target_init(&t, "http", "127.0.0.1", port);
	call_start(&k, &t.r);
	client_wait(&cl, &k);
	assert_int_equal(k.result.error, UPSTREAM_ECONNECT);
	assert_int_equal(k.result.phase, UPSTREAM_CONNECT);
	assert_int_equal(k.result.status, 0);
	call_release(&k);
	client_close(&cl);
}

static void
test_names(void **state)
{
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok"}, NULL);
	static const struct {
		const char *host;
		enum upstream_error error;
	} cases[] = {{"name.test", UPSTREAM_OK}, {"two.test", UPSTREAM_OK}, {"nowhere.invalid", UPSTREAM_ERESOLVE},
	             {"[::1]", UPSTREAM_ECONNECT}};
	struct client cl;
	struct target t;
	struct call k;

	client_open(&cl, state, NULL);
	for (unsigned i = 0; i < 2 * HALE_COUNT(cases); i++) {
		call_init(&k, &cl);
		target_init(&t, "http", cases[i / 2].host, s->port);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, cases[i / 2].error);
		if (k.result.error == UPSTREAM_ERESOLVE)
			assert_int_equal(k.result.phase, UPSTREAM_RESOLVE);
		call_release(&k);
	}
	client_close(&cl);
	server_stop(s);
}

/* A name is asked for once, not per connection. */
static void
test_name_is_kept(void **state)
{
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok", .then = CLOSE}, NULL);
	unsigned before = atomic_load(&lookups);
	struct client cl;
	struct target t;
	struct call k;

	client_open(&cl, state, NULL);
	target_init(&t, "http", "name.test", s->port);
	for (unsigned i = 0; i < 5; i++) {
		call_init(&k, &cl);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, UPSTREAM_OK);
		call_release(&k);
	}
	assert_int_equal(atomic_load(&s->accepts), 5);
	assert_int_equal(atomic_load(&lookups), before + 1);
	client_close(&cl);
	server_stop(s);
}

/* A socket that listens and never takes a connection: SYNs beyond its backlog are not answered. */
struct hole {
	int fd, fill[4];
};

static void
hole_open(struct hole *h, uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t len = sizeof(a);

	inet_pton(AF_INET, "127.0.0.9", &a.sin_addr);
	h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(h->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(h->fd, 0), 0);
	assert_int_equal(getsockname(h->fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	for (unsigned i = 0; i < HALE_COUNT(h->fill); i++) {
		h->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(h->fill[i], (struct sockaddr *)&a, sizeof(a)) == -1)
			assert_int_equal(errno, EINPROGRESS);
	}
}

static void
hole_close(struct hole *h)
{
	for (unsigned i = 0; i < HALE_COUNT(h->fill); i++)
		close(h->fill[i]);
	close(h->fd);
}

static void
test_connect_timer(void **state)
{
	uint16_t port = 0;
	struct client cl;
	struct target t;
	struct hole h;
	struct call k;

	hole_open(&h, &port);
	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	target_init(&t, "http", "127.0.0.9", port);
	t.r.timers.connect_ms = 30;
	call_start(&k, &t.r);
	client_wait(&cl, &k);
	assert_int_equal(k.result.error, UPSTREAM_ETIMEOUT);
	assert_int_equal(k.result.phase, UPSTREAM_CONNECT);
	call_release(&k);
	client_close(&cl);
	hole_close(&h);
}

/* The first address swallows everything; the second one is tried soon, and first the next time. */
static void
test_black_hole(void **state)
{
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok", .then = CLOSE}, NULL);
	struct client cl;
	struct target t;
	struct hole h;
	struct call k;

	hole_open(&h, &s->port);
	client_open(&cl, state, NULL);
	target_init(&t, "http", "hole.test", s->port);
	for (unsigned i = 0; i < 2; i++) {
		call_init(&k, &cl);
		/* The second call has no time for a detour through the hole. */
		t.r.timers.connect_ms = i ? 250 : 30000;
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, UPSTREAM_OK);
		call_release(&k);
	}
	client_close(&cl);
	server_stop(s);
	hole_close(&h);
}

/* The resolver hangs: the loop and the end of the call do not. */
static void
test_slow_name(void **state)
{
	struct client cl;
	struct target t;
	struct call k, cancelled;

	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	call_init(&cancelled, &cl);
	target_init(&t, "http", "slow.test", 9);
	t.r.timers.connect_ms = 60000; /* it is cancelled, however slow the machine is */
	call_start(&cancelled, &t.r);
	t.r.timers.connect_ms = 20;
	call_start(&k, &t.r);
	client_turn(&cl);
	upstream_cancel(cancelled.c);
	client_wait(&cl, &k);
	assert_int_equal(k.result.error, UPSTREAM_ETIMEOUT);
	assert_int_equal(k.result.phase, UPSTREAM_RESOLVE);
	while (atomic_load(&slow_waiting) == 0)
		usleep(500);
	atomic_store(&slow_gate, true);
	while (atomic_load(&slow_waiting))
		usleep(500);
	atomic_store(&slow_gate, false);
	call_release(&k);
	call_release(&cancelled);
	client_close(&cl);
}

static void
test_total_timer(void **state)
{
	struct server *s = server_start(&(struct script){.then = HANG}, NULL);
	struct client cl;
	struct target t;
	struct call k;

	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	target_init(&t, "http", "127.0.0.1", s->port);
	t.r.timers = (struct upstream_timers){.total_ms = 30};
	call_start(&k, &t.r);
	client_wait(&cl, &k);
	assert_int_equal(k.result.error, UPSTREAM_ETIMEOUT);
	assert_int_equal(k.result.phase, UPSTREAM_HEAD);
	assert_string_equal(k.text, "timeout while waiting for the answer to begin");
	call_release(&k);
	client_close(&cl);
	server_stop(s);
}

static void
test_limits(void **state)
{
	const struct upstream_limits l = {.connections_max = 2, .idle_timeout_ms = 1000, .shards = 1};
	struct server *s = server_start(&(struct script){.then = HANG}, NULL);
	enum upstream_error e = UPSTREAM_OK;
	struct client cl;
	struct target t;
	struct call k[3];

	client_open(&cl, state, &l);
	target_init(&t, "http", "127.0.0.1", s->port);
	for (unsigned i = 0; i < 3; i++)
		call_init(&k[i], &cl);
	call_start(&k[0], &t.r);
	call_start(&k[1], &t.r);
	assert_int_equal(upstream_running(cl.u), 2);
	assert_null(upstream_start(cl.u, &t.r, &call_ops, &k[2], &e));
	assert_int_equal(e, UPSTREAM_ELIMIT);
	upstream_cancel(k[1].c);
	t.r.timers.head_ms = 20;
	call_start(&k[2], &t.r);
	assert_non_null(k[2].c);
	client_wait(&cl, &k[2]);
	assert_int_equal(k[2].result.error, UPSTREAM_ETIMEOUT);
	upstream_cancel(k[0].c);
	client_turn(&cl);
	assert_int_equal(k[0].ends + k[1].ends, 0);
	for (unsigned i = 0; i < 3; i++)
		call_release(&k[i]);
	client_close(&cl);
	server_stop(s);
}

/* More calls than connections to one host: they wait for their turn and all come through. */
static void
test_host_limit(void **state)
{
	const struct upstream_limits l = {.connections_max = 64, .host_connections_max = 3, .idle_timeout_ms = 9000, .shards = 4};
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok"}, NULL);
	struct client cl;
	struct target t;
	struct call k[40];

	client_open(&cl, state, &l);
	target_init(&t, "http", "127.0.0.1", s->port);
	for (unsigned i = 0; i < 40; i++) {
		call_init(&k[i], &cl);
		k[i].restart = 3;
		call_start(&k[i], &t.r);
	}
	for (unsigned i = 0; i < 40; i++) {
		client_wait(&cl, &k[i]);
		assert_int_equal(k[i].result.error, UPSTREAM_OK);
		call_release(&k[i]);
	}
	assert_true(atomic_load(&s->accepts) <= 3);
	assert_int_equal(atomic_load(&s->requests), 160);
	client_close(&cl);
	server_stop(s);
}

/* ---- TLS ---- */

static void
run_tls(void **state, SSL_CTX *ctx, const char *host, bool insecure, enum upstream_error want)
{
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok"}, ctx);
	struct client cl;
	struct target t;

	client_open(&cl, state, NULL);
	target_init(&t, "https", host, s->port);
	t.r.insecure_tls = insecure;
	for (unsigned i = 0; i < 3; i++) {
		struct call k;

		call_init(&k, &cl);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, want);
		assert_int_equal(k.result.phase, want == UPSTREAM_OK ? UPSTREAM_DONE : UPSTREAM_TLS);
		assert_string_equal(strbuf_str(&k.body), want == UPSTREAM_OK ? "ok" : "");
		assert_int_equal(k.result.reused, want == UPSTREAM_OK && i > 0);
		call_release(&k);
	}
	assert_int_equal(atomic_load(&s->requests), want == UPSTREAM_OK ? 3 : 0);
	client_close(&cl);
	server_stop(s);
}

static void
test_tls_verified(void **state)
{
	run_tls(state, tls.good, "127.0.0.1", false, UPSTREAM_OK);
	run_tls(state, tls.good, "name.test", false, UPSTREAM_OK);
}

static void
test_tls_wrong_name(void **state)
{
	run_tls(state, tls.wrong_name, "127.0.0.1", false, UPSTREAM_ETLS);
	run_tls(state, tls.good, "other.test", false, UPSTREAM_ETLS);
	run_tls(state, tls.wrong_name, "127.0.0.1", true, UPSTREAM_OK);
}

static void
test_tls_unknown_ca(void **state)
{
	setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt", 1);
	run_tls(state, tls.good, "127.0.0.1", false, UPSTREAM_ETLS);
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	run_tls(state, tls.good, "127.0.0.1", false, UPSTREAM_ETLS);
	run_tls(state, tls.good, "127.0.0.1", true, UPSTREAM_OK);
	setenv("SSL_CERT_FILE", tls.bundle, 1);
}

/* The ticket of one connection shortens the handshake of the next. */
static void
test_tls_resumed(void **state)
{
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Connection: close\r\nContent-Length: 2\r\n\r\nok",
	                                                 .then = CLOSE}, tls.good);
	struct client cl;
	struct target t;
	struct call k;

	client_open(&cl, state, NULL);
	target_init(&t, "https", "name.test", s->port);
	for (unsigned i = 0; i < 3; i++) {
		call_init(&k, &cl);
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, UPSTREAM_OK);
		call_release(&k);
	}
	assert_int_equal(atomic_load(&s->accepts), 3);
	assert_int_equal(atomic_load(&s->resumed), 2);
	client_close(&cl);
	server_stop(s);
}

/* Plain HTTP where TLS was expected, and a handshake that never ends. */
static void
test_tls_not_spoken(void **state)
{
	static const enum then then[] = {CLOSE, HANG};

	for (unsigned i = 0; i < HALE_COUNT(then); i++) {
		struct server *s = server_start(&(struct script){.answer = then[i] == HANG ? "" : "HTTP/1.1 400 Bad\r\n\r\n",
		                                                 .then = then[i], .deaf = true}, NULL);
		struct client cl;
		struct target t;
		struct call k;

		client_open(&cl, state, NULL);
		call_init(&k, &cl);
		target_init(&t, "https", "127.0.0.1", s->port);
		if (then[i] == HANG)
			t.r.timers.connect_ms = 50;
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(k.result.error, then[i] == HANG ? UPSTREAM_ETIMEOUT : UPSTREAM_ETLS);
		assert_int_equal(k.result.phase, UPSTREAM_TLS);
		call_release(&k);
		client_close(&cl);
		server_stop(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_reuse),
		BOTH(test_stale_connection),
		BOTH(test_no_second_send),
		BOTH(test_no_retry_after_bytes),
		BOTH(test_refused_connection),
		BOTH(test_names),
		BOTH(test_name_is_kept),
		BOTH(test_connect_timer),
		DIRECT(test_black_hole),
		BOTH(test_slow_name),
		BOTH(test_total_timer),
		BOTH(test_limits),
		BOTH(test_host_limit),
		BOTH(test_tls_verified),
		BOTH(test_tls_wrong_name),
		BOTH(test_tls_unknown_ca),
		DIRECT(test_tls_resumed),
		BOTH(test_tls_not_spoken),
	};

	return cmocka_run_group_tests(tests, upstream_fixture_setup, upstream_fixture_teardown);
}

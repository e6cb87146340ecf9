/* upstream: pauses, cancels, many calls at once, and everything together. */
#include "hale/hale.h"

#include "upstream_fixture.h"

#include <dirent.h>
#include <unistd.h>

/* ---- flow ---- */

static void
run_pause(void **state, SSL_CTX *ctx, bool chunked, enum then then, unsigned every, bool inside)
{
	struct strbuf answer, want;
	struct client cl;
	struct call k;

	strbuf_init(&answer, 0);
	strbuf_init(&want, 0);
	for (unsigned i = 0; i < 200000; i++)
		strbuf_printf(&want, "%u,", i);
	strbuf_puts(&answer, OK_HEAD);
	if (chunked) {
		strbuf_puts(&answer, "Transfer-Encoding: chunked\r\n\r\n");
		for (size_t at = 0, n; at < want.len; at += n) {
			n = at % 7001 + 1 < want.len - at ? at % 7001 + 1 : want.len - at;
			strbuf_printf(&answer, "%zx\r\n", n);
			strbuf_add(&answer, want.data + at, n);
			strbuf_puts(&answer, "\r\n");
		}
		strbuf_puts(&answer, "0\r\nX-T: 1\r\n\r\n");
	} else {
		if (then == KEEP)
			strbuf_printf(&answer, "Content-Length: %zu\r\n", want.len);
		strbuf_puts(&answer, "\r\n");
		strbuf_add(&answer, want.data, want.len);
	}
	client_open(&cl, state, NULL);
	call_init(&k, &cl);
	k.pause_every = every;
	k.resume_inside = inside;
	exchange(&cl, &(struct script){.answer = answer.data, .len = answer.len, .then = then}, &k, ctx);
	assert_int_equal(k.result.error, UPSTREAM_OK);
	assert_int_equal(k.body.len, want.len);
	assert_memory_equal(k.body.data, want.data, want.len);
	assert_true(inside || k.pauses > 2);
	call_release(&k);
	client_close(&cl);
	strbuf_release(&answer);
	strbuf_release(&want);
}

static void
test_pause_resume(void **state)
{
	run_pause(state, NULL, false, KEEP, 1, false);
	run_pause(state, NULL, false, KEEP, 3, false);
	run_pause(state, NULL, false, CLOSE, 1, false);
	run_pause(state, NULL, true, KEEP, 1, false);
	run_pause(state, NULL, true, KEEP, 2, false);
	run_pause(state, NULL, true, KEEP, 0, true);
}

static void
test_pause_resume_tls(void **state)
{
	run_pause(state, tls.good, false, KEEP, 1, false);
	run_pause(state, tls.good, false, KEEP, 5, false);
	run_pause(state, tls.good, false, CLOSE, 1, false);
	run_pause(state, tls.good, true, KEEP, 1, false);
	run_pause(state, tls.good, true, KEEP, 7, false);
}

static void
test_cancel(void **state)
{
	static const enum cancel where[] = {CANCEL_IN_HEAD, CANCEL_IN_BODY};
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 9\r\n\r\nhello", .then = HANG}, NULL);
	struct client cl;
	struct target t;
	struct call k;

	client_open(&cl, state, NULL);
	target_init(&t, "http", "127.0.0.1", s->port);
	for (unsigned i = 0; i < HALE_COUNT(where); i++) {
		call_init(&k, &cl);
		k.cancel = where[i];
		call_start(&k, &t.r);
		client_wait(&cl, &k);
		assert_int_equal(upstream_running(cl.u), 0);
		client_turn(&cl);
		assert_int_equal(k.ends, 0);
		assert_int_equal(k.pieces, i);
		call_release(&k);
	}
	/* Before the loop ran, after it ran once, and while paused. */
	for (unsigned turns = 0; turns < 3; turns++) {
		call_init(&k, &cl);
		k.pause_every = 1;
		call_start(&k, &t.r);
		for (unsigned i = 0; i < turns; i++)
			client_turn(&cl);
		upstream_cancel(k.c);
		event_del(k.resume);
		client_turn(&cl);
		assert_int_equal(k.ends, 0);
		call_release(&k);
	}
	client_close(&cl);
	server_stop(s);
}

/* One call cancels the others from its callback: in the queue, connecting, waiting for their answer. */
struct cascade {
	struct call k;
	struct upstream_call *other[8];
	unsigned nother;
};

static void
cascade_head(void *arg, int status, const struct http_header *h, unsigned n)
{
	struct cascade *x = arg;

	(void)status;
	(void)h;
	(void)n;
	while (x->nother)
		upstream_cancel(x->other[--x->nother]);
}

static bool
cascade_body(void *arg, const char *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
	return true;
}

static void
cascade_end(void *arg, const struct upstream_result *r)
{
	struct cascade *x = arg;

	x->k.result = *r;
	x->k.done = true;
}

static void
test_cancel_others(void **state)
{
	static const struct upstream_ops ops = {cascade_head, cascade_body, cascade_end};
	struct server *hang = server_start(&(struct script){.then = HANG}, NULL);
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok"}, NULL);
	struct cascade x = {0};
	enum upstream_error e;
	struct client cl;
	struct target t, th;
	struct call other;

	client_open(&cl, state, NULL);
	call_init(&other, &cl);
	target_init(&t, "http", "127.0.0.1", s->port);
	target_init(&th, "http", "127.0.0.1", hang->port);
	while (x.nother < HALE_COUNT(x.other)) {
		x.other[x.nother] = upstream_start(cl.u, &th.r, &call_ops, &other, &e);
		assert_non_null(x.other[x.nother]);
		if (x.nother++ % 2)
			client_turn(&cl);
	}
	assert_non_null(upstream_start(cl.u, &t.r, &ops, &x, &e));
	client_wait(&cl, &x.k);
	assert_int_equal(x.k.result.error, UPSTREAM_OK);
	assert_int_equal(upstream_running(cl.u), 0);
	assert_int_equal(other.ends, 0);
	call_release(&other);
	client_close(&cl);
	server_stop(s);
	server_stop(hang);
}

/* Idle connections go when their time is over, and when the peer closes them. */
static void
test_idle_connections(void **state)
{
	const struct upstream_limits l = {.connections_max = 9, .idle_timeout_ms = 20};
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Content-Length: 2\r\n\r\nok"}, NULL);
	struct client cl;
	struct target t;
	struct call k;

	client_open(&cl, state, &l);
	call_init(&k, &cl);
	target_init(&t, "http", "127.0.0.1", s->port);
	call_start(&k, &t.r);
	client_wait(&cl, &k);
	assert_int_equal(k.result.error, UPSTREAM_OK);
	/* The connection thread ends only when the client closes; a
	 * hang is ended by the watchdog of make check. */
	while (atomic_load(&s->open)) {
		client_turn(&cl);
		usleep(1000);
	}
	call_release(&k);
	client_close(&cl);
	server_stop(s);
}

static unsigned
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void
test_many_calls(void **state)
{
	unsigned before = open_fds(), rounds = getenv("UPSTREAM_FEW_CALLS") ? 20 : 312;
	struct server *s = server_start(&(struct script){.answer = OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"}, NULL);
	struct client cl;
	struct target t;
	struct call k[32];

	client_open(&cl, state, NULL);
	target_init(&t, "http", "127.0.0.1", s->port);
	for (unsigned i = 0; i < 32; i++) {
		call_init(&k[i], &cl);
		k[i].restart = rounds;
		call_start(&k[i], &t.r);
	}
	for (unsigned i = 0; i < 32; i++) {
		client_wait(&cl, &k[i]);
		assert_int_equal(k[i].result.error, UPSTREAM_OK);
		assert_int_equal(k[i].body.len, 2 * (rounds + 1));
		call_release(&k[i]);
	}
	assert_true(atomic_load(&s->accepts) <= 32);
	assert_int_equal(atomic_load(&s->requests), 32 * (rounds + 1));
	client_close(&cl);
	server_stop(s);
	assert_int_equal(open_fds(), before);
}

/* Everything at once, with a fixed seed: calls to good and bad servers, paused, resumed and cancelled
 * wherever they happen to be. What counts is that the books are right in the end. */
struct storm {
	struct client cl;
	struct target target[7];
	struct storm_call {
		struct storm *storm;
		struct upstream_call *c; /* NULL: over */
		struct event *poke;
		bool paused;
	} call[48];
	uint32_t seed;
	unsigned left, started, ended, cancelled, refused;
};

static uint32_t
storm_random(struct storm *st, uint32_t below)
{
	st->seed ^= st->seed << 13;
	st->seed ^= st->seed >> 17;
	st->seed ^= st->seed << 5;
	return st->seed % below;
}

static void storm_start(struct storm_call *k);

static void
storm_stop(struct storm_call *k)
{
	upstream_cancel(k->c);
	k->c = NULL;
	k->storm->cancelled++;
	event_del(k->poke);
}

static void
storm_head(void *arg, int status, const struct http_header *h, unsigned n)
{
	struct storm_call *k = arg;

	(void)status;
	(void)h;
	(void)n;
	if (storm_random(k->storm, 12) == 0) {
		storm_stop(k);
		storm_start(k);
	}
}

static bool
storm_body(void *arg, const char *data, size_t len)
{
	const struct timeval tv = {.tv_usec = 100};
	struct storm_call *k = arg;

	(void)data;
	(void)len;
	assert_false(k->paused);
	switch (storm_random(k->storm, 8)) {
	case 0:
		storm_stop(k);
		storm_start(k);
		return storm_random(k->storm, 2);
	case 1:
	case 2:
		k->paused = true;
		event_add(k->poke, &tv);
		return false;
	default: return true;
	}
}

static void
storm_end(void *arg, const struct upstream_result *r)
{
	struct storm_call *k = arg;

	(void)r;
	k->c = NULL;
	k->storm->ended++;
	event_del(k->poke);
	storm_start(k);
}

/* Resumes a paused call, cancels a running one. */
static void
storm_poke_cb(evutil_socket_t fd, short what, void *arg)
{
	struct storm_call *k = arg;

	(void)fd;
	(void)what;
	if (!k->c) {
		storm_start(k);
		return;
	}
	if (k->paused && storm_random(k->storm, 8)) {
		k->paused = false;
		upstream_resume(k->c);
		return;
	}
	storm_stop(k);
	storm_start(k);
}

static void
storm_start(struct storm_call *k)
{
	static const struct upstream_ops ops = {storm_head, storm_body, storm_end};
	struct storm *st = k->storm;
	struct timeval tv = {.tv_usec = storm_random(st, 3000)};
	enum upstream_error e;

	k->paused = false;
	if (st->left == 0)
		return;
	st->left--;
	k->c = upstream_start(st->cl.u, &st->target[storm_random(st, HALE_COUNT(st->target))].r, &ops, k, &e);
	st->started += k->c != NULL;
	st->refused += k->c == NULL;
	if (!k->c || storm_random(st, 4) == 0)
		event_add(k->poke, &tv);
}

static void
test_storm(void **state)
{
	static const struct upstream_limits l = {.connections_max = 40, .host_connections_max = 7, .idle_timeout_ms = 50};
	static const struct script scripts[6] = {
		{.answer = OK_HEAD "Content-Length: 5\r\n\r\nhello"},
		{.answer = OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n \r\n0\r\n\r\n", .drip = true},
		{.answer = OK_HEAD "\r\nto the end", .then = CLOSE},
		{.answer = OK_HEAD "Content-Length: 50\r\n\r\nhello", .then = RESET},
		{.answer = OK_HEAD "Content-Length: 5\r\n\r\nhello", .second = 1 + CLOSE},
		{.answer = OK_HEAD "Content-Length: 5\r\n\r\nhello", .second = 1 + CLOSE}};
	struct server *s[6];
	struct storm st = {.seed = 2463534242u, .left = getenv("UPSTREAM_FEW_CALLS") ? 600 : 4000};
	const struct timeval limit = {.tv_sec = 60};
	unsigned before = open_fds();
	uint16_t dead;

	client_open(&st.cl, state, &l);
	for (unsigned i = 0; i < 6; i++) {
		s[i] = server_start(&scripts[i], i == 5 ? tls.good : NULL);
		target_init(&st.target[i], i == 5 ? "https" : "http", i % 2 ? "name.test" : "127.0.0.1", s[i]->port);
	}
	close(listen_any(&dead));
	target_init(&st.target[6], "http", "127.0.0.1", dead);
	event_add(st.cl.watchdog, &limit);
	for (unsigned i = 0; i < HALE_COUNT(st.call); i++) {
		st.call[i].storm = &st;
		st.call[i].poke = evtimer_new(st.cl.base, storm_poke_cb, &st.call[i]);
		storm_start(&st.call[i]);
	}
	while (st.left || upstream_running(st.cl.u))
		event_base_loop(st.cl.base, EVLOOP_ONCE);
	event_del(st.cl.watchdog);
	assert_true(st.refused > 0);
	assert_int_equal(st.started, st.ended + st.cancelled);
	assert_true(st.ended > 100 && st.cancelled > 20);
	for (unsigned i = 0; i < HALE_COUNT(st.call); i++)
		event_free(st.call[i].poke);
	client_close(&st.cl);
	for (unsigned i = 0; i < 6; i++)
		server_stop(s[i]);
	assert_int_equal(open_fds(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_pause_resume),
		BOTH(test_pause_resume_tls),
		BOTH(test_cancel),
		BOTH(test_cancel_others),
		DIRECT(test_idle_connections),
		BOTH(test_many_calls),
		BOTH(test_storm),
	};

	return cmocka_run_group_tests(tests, upstream_fixture_setup, upstream_fixture_teardown);
}

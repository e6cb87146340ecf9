/* upstream: every way an answer can come, break or not come, against raw sockets in this process.
 *
 * The server is a thread per connection that plays a script; the client is the real thing on an event
 * loop, once over each transport. getaddrinfo is ours, so that names resolve, fail and hang as the test says. Timers are small
 * but nothing asserts how long anything took; a watchdog ends a test that would hang.
 */
#include "hale/hale.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hale/arena.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"

/* ---- names ---- */

static atomic_bool slow_gate; /* lookups of slow.test end while it is open */
static atomic_uint slow_waiting, lookups;

static struct addrinfo *
name_entry(const char *address, const char *service, struct addrinfo *next)
{
	struct addrinfo *a = xcalloc(1, sizeof(*a) + sizeof(struct sockaddr_storage));
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)(a + 1);
	struct sockaddr_in *four = (struct sockaddr_in *)(void *)(a + 1);
	uint16_t port = htons((uint16_t)(service ? strtol(service, NULL, 10) : 0));

	a->ai_addr = (struct sockaddr *)(void *)(a + 1);
	a->ai_socktype = SOCK_STREAM;
	a->ai_protocol = IPPROTO_TCP;
	a->ai_next = next;
	if (strchr(address, ':')) {
		a->ai_family = six->sin6_family = AF_INET6;
		a->ai_addrlen = sizeof(*six);
		six->sin6_port = port;
		inet_pton(AF_INET6, address, &six->sin6_addr);
	} else {
		a->ai_family = four->sin_family = AF_INET;
		a->ai_addrlen = sizeof(*four);
		four->sin_port = port;
		inet_pton(AF_INET, address, &four->sin_addr);
	}
	return a;
}

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	char raw[16];

	(void)hints;
	atomic_fetch_add(&lookups, 1);
	if (strcmp(node, "slow.test") == 0) {
		atomic_fetch_add(&slow_waiting, 1);
		while (!atomic_load(&slow_gate))
			usleep(500);
		atomic_fetch_sub(&slow_waiting, 1);
	}
	if (strcmp(node, "hole.test") == 0)
		*out = name_entry("127.0.0.9", service, name_entry("127.0.0.1", service, NULL));
	else if (strcmp(node, "two.test") == 0)
		*out = name_entry("::1", service, name_entry("127.0.0.1", service, NULL));
	else if (strcmp(node, "name.test") == 0 || strcmp(node, "other.test") == 0 || strcmp(node, "slow.test") == 0)
		*out = name_entry("127.0.0.1", service, NULL);
	else if (inet_pton(AF_INET, node, raw) == 1 || inet_pton(AF_INET6, node, raw) == 1)
		*out = name_entry(node, service, NULL);
	else
		return EAI_NONAME;
	return 0;
}

void
freeaddrinfo(struct addrinfo *a)
{
	while (a) {
		struct addrinfo *next = a->ai_next;

		free(a);
		a = next;
	}
}

/* ---- the server ---- */

struct tls_fixture {
	SSL_CTX *good, *wrong_name;
	char bundle[64];
};

static struct tls_fixture tls;

enum then { KEEP, CLOSE, RESET, HANG };

struct script {
	const char *answer;
	size_t len; /* 0: strlen */
	enum then then;
	bool drip;       /* every byte in a segment of its own */
	bool deaf;       /* answers without reading the request */
	size_t await;    /* before a reset: the client has taken so many bytes of the body */
	const char *second_answer; /* the second request of a connection gets this and a close */
	unsigned second; /* how the second and later requests of a connection end: 0 as the first, 1 + enum then */
};

#define CONNS_MAX 8192

static atomic_size_t client_bytes; /* of bodies, taken by the client */

struct server {
	int fd;
	uint16_t port;
	pthread_t thread, conn[CONNS_MAX];
	int conn_fd[CONNS_MAX];
	unsigned nconn;
	pthread_mutex_t lock;
	atomic_uint accepts, requests, open, resumed;
	atomic_size_t body_bytes;
	atomic_uint body_sum;
	struct script script;
	SSL_CTX *tls;
	char head[4096]; /* of the last request; read it after server_stop or when the answer arrived */
};

struct conn {
	struct server *s;
	unsigned slot;
	int fd;
	SSL *ssl;
};

static ssize_t
conn_read(struct conn *c, char *buf, size_t n)
{
	return c->ssl ? SSL_read(c->ssl, buf, (int)n) : recv(c->fd, buf, n, 0);
}

static bool
conn_write(struct conn *c, const char *p, size_t n)
{
	while (n) {
		ssize_t w = c->ssl ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

/* One request with a Content-Length body. false: the client is gone. */
static bool
conn_request(struct conn *c)
{
	char buf[65536];
	char head[4096];
	size_t have = 0, body, length;
	char *end = NULL, *cl;
	unsigned sum = 0;

	while (!end) {
		ssize_t n = conn_read(c, head + have, sizeof(head) - 1 - have);

		if (n <= 0)
			return false;
		have += (size_t)n;
		head[have] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	cl = strstr(head, "Content-Length: ");
	length = cl ? strtoul(cl + 16, NULL, 10) : 0;
	body = have - (size_t)(end + 4 - head);
	for (size_t i = 0; i < body; i++)
		sum += (unsigned char)end[4 + i] * (unsigned)(i % 251 + 1);
	while (body < length) {
		ssize_t n = conn_read(c, buf, sizeof(buf));

		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++)
			sum += (unsigned char)buf[i] * (unsigned)((body + (size_t)i) % 251 + 1);
		body += (size_t)n;
	}
	end[4] = '\0';
	pthread_mutex_lock(&c->s->lock);
	memcpy(c->s->head, head, sizeof(c->s->head));
	pthread_mutex_unlock(&c->s->lock);
	atomic_store(&c->s->body_bytes, body);
	atomic_store(&c->s->body_sum, sum);
	atomic_fetch_add(&c->s->requests, 1);
	return true;
}

static void
conn_end(struct conn *c, bool reset)
{
	struct linger l = {.l_onoff = 1};

	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	if (c->ssl) {
		if (!reset)
			SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	pthread_mutex_lock(&c->s->lock);
	c->s->conn_fd[c->slot] = -1;
	close(c->fd);
	atomic_fetch_sub(&c->s->open, 1);
	pthread_mutex_unlock(&c->s->lock);
	free(c);
}

static void *
conn_main(void *arg)
{
	struct conn *c = arg;
	const struct script *sc = &c->s->script;
	enum then then = sc->then;
	char buf[256];

	if (c->s->tls) {
		c->ssl = SSL_new(c->s->tls);
		SSL_set_fd(c->ssl, c->fd);
		if (SSL_accept(c->ssl) != 1) {
			conn_end(c, false);
			return NULL;
		}
		atomic_fetch_add(&c->s->resumed, SSL_session_reused(c->ssl) ? 1 : 0);
	}
	for (unsigned n = 0; sc->deaf || conn_request(c); n++) {
		size_t len = sc->len || !sc->answer ? sc->len : strlen(sc->answer);
		bool ok = true;

		then = n && sc->second ? (enum then)(sc->second - 1) : sc->then;
		if (n && sc->second_answer) {
			conn_write(c, sc->second_answer, strlen(sc->second_answer));
			break;
		}
		if (n && sc->second && then != KEEP)
			break;
		for (size_t i = 0; sc->drip && i < len && ok; i++)
			ok = conn_write(c, sc->answer + i, 1);
		if (!sc->drip)
			ok = conn_write(c, sc->answer, len);
		if (!ok || then != KEEP)
			break;
	}
	if (then == HANG)
		while (conn_read(c, buf, sizeof(buf)) > 0)
			;
	/* A reset may overtake what was sent before it. */
	while (then == RESET && atomic_load(&client_bytes) < sc->await)
		usleep(200);
	conn_end(c, then == RESET);
	return NULL;
}

static void *
server_main(void *arg)
{
	struct server *s = arg;
	int fd, one = 1;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct conn *c = xcalloc(1, sizeof(*c));

		setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
		c->s = s;
		c->fd = fd;
		pthread_mutex_lock(&s->lock);
		if (s->nconn == CONNS_MAX)
			abort();
		c->slot = s->nconn++;
		s->conn_fd[c->slot] = fd;
		atomic_fetch_add(&s->accepts, 1);
		atomic_fetch_add(&s->open, 1);
		pthread_mutex_unlock(&s->lock);
		if (pthread_create(&s->conn[c->slot], NULL, conn_main, c) != 0)
			abort();
	}
	return NULL;
}

static int
listen_any(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 256), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static struct server *
server_start(const struct script *script, SSL_CTX *ctx)
{
	struct server *s = xcalloc(1, sizeof(*s));

	s->fd = listen_any(&s->port);
	s->script = *script;
	s->tls = ctx;
	pthread_mutex_init(&s->lock, NULL);
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
	return s;
}

static void
server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->nconn; i++)
		if (s->conn_fd[i] >= 0)
			shutdown(s->conn_fd[i], SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->nconn; i++)
		pthread_join(s->conn[i], NULL);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- the client ---- */

enum cancel { CANCEL_NEVER, CANCEL_IN_HEAD, CANCEL_IN_BODY };

/* Every test that makes calls runs over both transports; its state says which. */
static char use_curl, use_direct;

struct client {
	struct event_base *base;
	struct upstream *u;
	struct event *watchdog;
};

struct call {
	struct client *cl;
	struct upstream_call *c;
	struct event *resume;
	struct strbuf body, headers;
	unsigned heads, pieces, ends, pauses;
	unsigned pause_every; /* 0: never */
	bool paused, resume_inside;
	enum cancel cancel;
	unsigned restart; /* start so many more calls from end */
	const struct upstream_request *request;
	struct upstream_result result;
	char text[256];
	bool done;
};

static void call_start(struct call *k, const struct upstream_request *r);

static void
call_head(void *arg, int status, const struct http_header *h, unsigned n)
{
	struct call *k = arg;

	assert_true(status >= 200);
	assert_int_equal(k->heads, 0);
	assert_int_equal(k->ends, 0);
	k->heads++;
	for (unsigned i = 0; i < n; i++)
		strbuf_printf(&k->headers, "%s=%s\n", h[i].name, h[i].value);
	if (k->cancel == CANCEL_IN_HEAD) {
		upstream_cancel(k->c);
		k->done = true;
	}
}

static void
call_resume_cb(evutil_socket_t fd, short what, void *arg)
{
	struct call *k = arg;

	(void)fd;
	(void)what;
	k->paused = false;
	upstream_resume(k->c);
}

static bool
call_body(void *arg, const char *data, size_t len)
{
	struct call *k = arg;

	assert_int_equal(k->heads, 1);
	assert_false(k->paused);
	assert_false(k->done);
	assert_true(len > 0);
	strbuf_add(&k->body, data, len);
	atomic_fetch_add(&client_bytes, len);
	k->pieces++;
	if (k->cancel == CANCEL_IN_BODY) {
		upstream_cancel(k->c);
		k->done = true;
		return true;
	}
	if (k->resume_inside) {
		upstream_resume(k->c);
		return false;
	}
	if (k->pause_every && k->pieces % k->pause_every == 0) {
		const struct timeval tv = {.tv_usec = 500};

		k->paused = true;
		k->pauses++;
		event_add(k->resume, &tv);
		return false;
	}
	return true;
}

static void
call_end(void *arg, const struct upstream_result *r)
{
	struct call *k = arg;

	assert_false(k->done);
	k->ends++;
	k->result = *r;
	snprintf(k->text, sizeof(k->text), "%s", r->text);
	k->result.text = k->text;
	k->done = true;
	event_del(k->resume);
	if (k->restart) {
		k->restart--;
		k->done = false;
		k->heads = k->ends = 0;
		call_start(k, k->request);
		assert_non_null(k->c);
	}
}

static const struct upstream_ops call_ops = {call_head, call_body, call_end};

static void
call_init(struct call *k, struct client *cl)
{
	*k = (struct call){.cl = cl};
	strbuf_init(&k->body, 0);
	strbuf_init(&k->headers, 0);
	k->resume = event_new(cl->base, -1, 0, call_resume_cb, k);
}

static void
call_release(struct call *k)
{
	strbuf_release(&k->body);
	strbuf_release(&k->headers);
	event_free(k->resume);
}

static void
call_start(struct call *k, const struct upstream_request *r)
{
	enum upstream_error e = UPSTREAM_OK;
	unsigned heads = k->heads, ends = k->ends;

	k->request = r;
	k->c = upstream_start(k->cl->u, r, &call_ops, k, &e);
	assert_int_equal(k->heads, heads);
	assert_int_equal(k->ends, ends);
}

static void
watchdog_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	fail_msg("a call neither ended nor timed out");
}

static void
client_open(struct client *cl, void **state, const struct upstream_limits *l)
{
	struct upstream_limits limits = {.connections_max = 256, .idle_timeout_ms = 60000, .shards = 1};

	if (l)
		limits = *l;
	limits.direct = *state == &use_direct;
	cl->base = event_base_new();
	cl->u = upstream_new(cl->base, &limits);
	cl->watchdog = evtimer_new(cl->base, watchdog_cb, NULL);
}

static void
client_close(struct client *cl)
{
	assert_int_equal(upstream_running(cl->u), 0);
	upstream_freep(&cl->u);
	event_free(cl->watchdog);
	event_base_free(cl->base);
}

static void
client_wait(struct client *cl, const struct call *k)
{
	const struct timeval limit = {.tv_sec = 60};

	event_add(cl->watchdog, &limit);
	while (!k->done)
		assert_int_equal(event_base_loop(cl->base, EVLOOP_ONCE), 0);
	event_del(cl->watchdog);
}

/* Runs what is ready without waiting. */
static void
client_turn(struct client *cl)
{
	event_base_loop(cl->base, EVLOOP_NONBLOCK);
}

struct target {
	struct endpoint e;
	struct upstream_request r;
	char url[128];
};

static void
target_init(struct target *t, const char *scheme, const char *host, uint16_t port)
{
	*t = (struct target){.e = {.method = "POST", .header = {{"Authorization", "Bearer sk-secret"}}, .nheader = 1}};
	snprintf(t->url, sizeof(t->url), "%s://%s:%u/v1/chat/completions", scheme, host, port);
	t->e.url = t->url;
	t->r.endpoint = &t->e;
	t->r.body[0] = (struct iovec){.iov_base = (void *)(uintptr_t)"{}", .iov_len = 2};
	t->r.nbody = 1;
	t->r.timers = (struct upstream_timers){.connect_ms = 30000, .head_ms = 30000, .idle_ms = 30000, .total_ms = 50000};
}

/* One call to its end, against a server that plays sc; ctx: over TLS. */
static void
exchange(struct client *cl, const struct script *sc, struct call *k, SSL_CTX *ctx)
{
	struct server *s = server_start(sc, ctx);
	struct target t;

	target_init(&t, ctx ? "https" : "http", "127.0.0.1", s->port);
	if (sc->then == HANG)
		t.r.timers = (struct upstream_timers){.connect_ms = 30000, .head_ms = 40, .idle_ms = 30, .total_ms = 50000};
	call_start(k, &t.r);
	assert_non_null(k->c);
	client_wait(cl, k);
	server_stop(s);
}

/* ---- answers, one line each ---- */

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

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
	/* The connection thread ends only when the client closes; a hang is ended by the watchdog of make check. */
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

/* ---- TLS ---- */

static X509 *
tls_cert(EVP_PKEY *key, const char *cn, const char *san, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *x = X509_new();
	X509V3_CTX v3;
	X509_EXTENSION *ext;
	X509_NAME *name = X509_get_subject_name(x);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name);
	X509V3_set_ctx(&v3, issuer ? issuer : x, x, NULL, NULL, 0);
	ext = issuer ? X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, san)
	             : X509V3_EXT_conf_nid(NULL, &v3, NID_basic_constraints, "critical,CA:TRUE");
	assert_non_null(ext);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	assert_true(X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256()) > 0);
	return x;
}

static SSL_CTX *
tls_server_ctx(EVP_PKEY *key, X509 *cert)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	return ctx;
}

static int
group_setup(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *ca = tls_cert(key, "hale test CA", NULL, NULL, NULL);
	X509 *good = tls_cert(key, "good", "DNS:name.test,IP:127.0.0.1", ca, key);
	X509 *wrong = tls_cert(key, "wrong", "DNS:elsewhere.test", ca, key);
	FILE *f;
	int fd;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	snprintf(tls.bundle, sizeof(tls.bundle), "/tmp/hale-test-ca-XXXXXX");
	fd = mkstemp(tls.bundle);
	f = fdopen(fd, "w");
	PEM_write_X509(f, ca);
	fclose(f);
	setenv("SSL_CERT_FILE", tls.bundle, 1);
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	setenv("all_proxy", "http://127.0.0.1:9", 1);
	tls.good = tls_server_ctx(key, good);
	tls.wrong_name = tls_server_ctx(key, wrong);
	X509_free(ca);
	X509_free(good);
	X509_free(wrong);
	EVP_PKEY_free(key);
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	SSL_CTX_free(tls.good);
	SSL_CTX_free(tls.wrong_name);
	unlink(tls.bundle);
	return 0;
}

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

/* Everything at once, with a fixed seed: calls to good and bad servers, paused, resumed and cancelled wherever
 * they happen to be. What counts is that the books are right in the end. */
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

#define DIRECT(f) {"direct: " #f, f, NULL, NULL, &use_direct}
#define BOTH(f) {"curl: " #f, f, NULL, NULL, &use_curl}, {"direct: " #f, f, NULL, NULL, &use_direct}

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
		BOTH(test_pause_resume),
		BOTH(test_pause_resume_tls),
		BOTH(test_cancel),
		BOTH(test_cancel_others),
		DIRECT(test_idle_connections),
		BOTH(test_many_calls),
		BOTH(test_storm),
		BOTH(test_tls_verified),
		BOTH(test_tls_wrong_name),
		BOTH(test_tls_unknown_ca),
		DIRECT(test_tls_resumed),
		BOTH(test_tls_not_spoken),
		cmocka_unit_test(test_names_of_enums),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

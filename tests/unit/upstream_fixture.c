/* A server of scripts and a client for the tests of upstream. Contracts: upstream_fixture.h. */
#include "hale/hale.h"

#include "upstream_fixture.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <unistd.h>

#include "hale/arena.h"

/* ---- names ---- */

atomic_bool slow_gate;
atomic_uint slow_waiting, lookups;

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

struct tls_fixture tls;
atomic_size_t client_bytes;

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

int
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

struct server *
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

void
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

char use_curl, use_direct;

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

const struct upstream_ops call_ops = {call_head, call_body, call_end};

void
call_init(struct call *k, struct client *cl)
{
	*k = (struct call){.cl = cl};
	strbuf_init(&k->body, 0);
	strbuf_init(&k->headers, 0);
	k->resume = event_new(cl->base, -1, 0, call_resume_cb, k);
}

void
call_release(struct call *k)
{
	strbuf_release(&k->body);
	strbuf_release(&k->headers);
	event_free(k->resume);
}

void
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

void
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

void
client_close(struct client *cl)
{
	assert_int_equal(upstream_running(cl->u), 0);
	upstream_freep(&cl->u);
	event_free(cl->watchdog);
	event_base_free(cl->base);
}

void
client_wait(struct client *cl, const struct call *k)
{
	const struct timeval limit = {.tv_sec = 60};

	event_add(cl->watchdog, &limit);
	while (!k->done)
		assert_int_equal(event_base_loop(cl->base, EVLOOP_ONCE), 0);
	event_del(cl->watchdog);
}

void
client_turn(struct client *cl)
{
	event_base_loop(cl->base, EVLOOP_NONBLOCK);
}

void
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

void
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

/* ---- certificates ---- */

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

int
upstream_fixture_setup(void **state)
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

int
upstream_fixture_teardown(void **state)
{
	(void)state;
	SSL_CTX_free(tls.good);
	SSL_CTX_free(tls.wrong_name);
	unlink(tls.bundle);
	return 0;
}


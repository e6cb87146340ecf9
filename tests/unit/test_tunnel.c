/* tunnel: every way a handshake can go, against raw sockets in this process.
 *
 * The server is one thread that takes connections one after the other and plays a script.
 * getaddrinfo is ours, so that names resolve and fail as the test says. Nothing asserts how
 * long anything took; a watchdog ends a hang.
 */
#include "hale/hale.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
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
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hale/arena.h"
#include "hale/strbuf.h"
#include "hale/tunnel.h"
#include "hale/ws_frame.h"

/* ---- names ---- */

struct address {
	struct addrinfo info;
	struct sockaddr_storage storage;
};

static struct addrinfo *
address_new(const char *text, struct addrinfo *next)
{
	struct address *a = xcalloc(1, sizeof(*a));
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&a->storage;
	struct sockaddr_in *four = (struct sockaddr_in *)(void *)&a->storage;
	bool is_six = strchr(text, ':');

	a->info = (struct addrinfo){
		.ai_family = is_six ? AF_INET6 : AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_addr = (struct sockaddr *)(void *)&a->storage,
		.ai_addrlen = is_six ? sizeof(*six) : sizeof(*four),
		.ai_next = next,
	};
	a->storage.ss_family = (sa_family_t)a->info.ai_family;
	assert_int_equal(inet_pton(a->info.ai_family, text, is_six ? (void *)&six->sin6_addr : (void *)&four->sin_addr), 1);
	return &a->info;
}

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	(void)service;
	(void)hints;
	if (strcmp(node, "two.test") == 0) /* the server is on the second one only */
		*out = address_new("127.0.0.9", address_new("127.0.0.1", NULL));
	else if (strcmp(node, "name.test") == 0)
		*out = address_new("127.0.0.1", NULL);
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

static struct {
	SSL_CTX *good, *wrong_name;
	char bundle[64];
} tls;

/* answer: ACCEPT stands for the right Sec-WebSocket-Accept; "": none. Then the connection is closed, or
 * echoes, or stays silent until the client closes. */
enum then { CLOSE, ECHO, HANG };

struct server {
	int fd;
	uint16_t port;
	pthread_t thread;
	const char *answer;
	enum then then;
	SSL_CTX *ctx;
	char request[4096]; /* read it after server_stop */
};

#define ACCEPT "@accept@"

struct peer {
	int fd;
	SSL *ssl;
};

static ssize_t
peer_read(struct peer *p, char *buf, size_t n)
{
	return p->ssl ? SSL_read(p->ssl, buf, (int)n) : recv(p->fd, buf, n, 0);
}

static void
peer_write(struct peer *p, const char *s, size_t n)
{
	ssize_t done = p->ssl ? SSL_write(p->ssl, s, (int)n) : send(p->fd, s, n, MSG_NOSIGNAL);

	(void)done; /* the client may be gone, that is part of some tests */
}

static bool
server_request(struct server *s, struct peer *p)
{
	size_t have = 0;

	do {
		ssize_t n = peer_read(p, s->request + have, sizeof(s->request) - 1 - have);

		if (n <= 0)
			return false;
		have += (size_t)n;
		s->request[have] = '\0';
	} while (!strstr(s->request, "\r\n\r\n"));
	return true;
}

static void
server_answer(struct server *s, struct peer *p)
{
	static const char name[] = "Sec-WebSocket-Key: ";
	char *key = strstr(s->request, name), accept[WS_FRAME_ACCEPT_BYTES], text[WS_FRAME_KEY_BYTES] = "";
	const char *mark = strstr(s->answer, ACCEPT);

	if (mark && key) {
		memcpy(text, key + sizeof(name) - 1, sizeof(text) - 1);
		ws_frame_accept(text, accept);
		peer_write(p, s->answer, (size_t)(mark - s->answer));
		peer_write(p, accept, strlen(accept));
		peer_write(p, mark + strlen(ACCEPT), strlen(mark + strlen(ACCEPT)));
	} else {
		peer_write(p, s->answer, strlen(s->answer));
	}
}

static void *
server_main(void *arg)
{
	struct server *s = arg;
	struct peer p = {0};
	char buf[4096];

	while ((p.fd = accept(s->fd, NULL, NULL)) >= 0) {
		bool fine = true;
		ssize_t n;

		if (s->ctx) {
			p.ssl = SSL_new(s->ctx);
			SSL_set_fd(p.ssl, p.fd);
			fine = SSL_accept(p.ssl) == 1;
		}
		if (fine && server_request(s, &p)) {
			server_answer(s, &p);
			while (s->then != CLOSE && (n = peer_read(&p, buf, sizeof(buf))) > 0)
				if (s->then == ECHO)
					peer_write(&p, buf, (size_t)n);
			if (p.ssl && s->then == CLOSE)
				SSL_shutdown(p.ssl);
		}
		SSL_free(p.ssl);
		p.ssl = NULL;
		close(p.fd);
	}
	return NULL;
}

static void
server_start(struct server *s, const char *answer, enum then then, SSL_CTX *ctx)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	*s = (struct server){.answer = answer, .then = then, .ctx = ctx};
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void
server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

/* ---- the client ---- */

struct client {
	struct event_base *base;
	struct event *watchdog;
	struct upstream *up;
	struct tunnel *t;
	bool done;
	enum upstream_error error;
	enum upstream_phase phase;
	int status;
	char text[256], body[TUNNEL_BODY_MAX + 1], header[64];
	size_t body_len;
	bool body_cut;
	struct bufferevent *bev;
};

static void
watchdog_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	fprintf(stderr, "the watchdog ended a test that hung\n");
	abort();
}

static void
client_open(struct client *c, unsigned connections_max)
{
	struct upstream_limits l = {.connections_max = connections_max, .shards = 1};
	struct timeval limit = {.tv_sec = 60};

	*c = (struct client){0};
	c->base = event_base_new();
	c->up = upstream_new(c->base, &l);
	c->watchdog = evtimer_new(c->base, watchdog_cb, NULL);
	event_add(c->watchdog, &limit);
}

static void
client_close(struct client *c)
{
	tunnel_freep(&c->t);
	assert_int_equal(upstream_running(c->up), 0);
	upstream_freep(&c->up);
	event_free(c->watchdog);
	event_base_free(c->base);
}

static void
client_done(void *arg, const struct tunnel_result *r)
{
	struct client *c = arg;

	assert_false(c->done);
	c->done = true;
	c->error = r->error;
	c->phase = r->phase;
	c->status = r->status;
	snprintf(c->text, sizeof(c->text), "%s", r->text);
	c->body_len = r->body_len;
	c->body_cut = r->body_cut;
	memcpy(c->body, r->body, r->body_len);
	for (unsigned i = 0; i < r->nheader; i++)
		if (strcasecmp(r->header[i].name, "X-Test") == 0)
			snprintf(c->header, sizeof(c->header), "%s", r->header[i].value);
	c->bev = r->bev;
	if (!r->bev)
		c->t = NULL;
}

static const struct http_header no_header = {NULL, NULL};

static void
client_start(struct client *c, const char *url, const struct http_header *h, bool insecure)
{
	struct endpoint e = {.method = "GET", .url = url, .header = {{"Authorization", "Bearer k"}}, .nheader = 1};
	struct tunnel_request r = {
		.endpoint = &e, .query = "intent=transcription", .header = h, .nheader = h->name ? 1 : 0,
		.connect_ms = 20000, .total_ms = 30000, .insecure_tls = insecure,
	};
	enum upstream_error err;

	c->t = tunnel_start(c->up, &r, client_done, c, &err);
	assert_non_null(c->t);
	assert_int_equal(err, UPSTREAM_OK);
	assert_false(c->done);
	assert_int_equal(upstream_running(c->up), 1);
}

static void
client_run(struct client *c, const char *scheme, const char *host, uint16_t port, const struct http_header *h)
{
	char url[128];

	snprintf(url, sizeof(url), "%s://%s:%u/v1/realtime?model=m#no", scheme, host, port);
	client_start(c, url, h, false);
	while (!c->done)
		event_base_loop(c->base, EVLOOP_ONCE);
}

#define UPGRADE "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
#define OPEN UPGRADE "X-Test: yes\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n"

/* ---- tests ---- */

/* Open; bytes behind the head are there; both directions work; shut is seen by the server. */
static void
run_open(const char *scheme, const char *host, SSL_CTX *ctx)
{
	struct server s;
	struct client c;
	char got[16] = "";

	server_start(&s, OPEN "early", ECHO, ctx);
	client_open(&c, 0);
	client_run(&c, scheme, host, s.port, &no_header);
	assert_string_equal(c.text, "");
	assert_int_equal(c.error, UPSTREAM_OK);
	assert_int_equal(c.status, 101);
	assert_string_equal(c.header, "yes");
	assert_non_null(c.bev);
	assert_int_equal(upstream_running(c.up), 1);
	bufferevent_enable(c.bev, EV_READ | EV_WRITE);
	bufferevent_write(c.bev, "late", 4);
	while (evbuffer_get_length(bufferevent_get_input(c.bev)) < 9)
		event_base_loop(c.base, EVLOOP_ONCE);
	bufferevent_read(c.bev, got, 9);
	assert_string_equal(got, "earlylate");
	tunnel_shut(c.t);
	client_close(&c);
	server_stop(&s);
}

static void
test_open(void **state)
{
	(void)state;
	run_open("http", "127.0.0.1", NULL);
	run_open("http", "name.test", NULL);
	run_open("http", "two.test", NULL);
	run_open("https", "name.test", tls.good);
	run_open("https", "127.0.0.1", tls.good);
}

static void
test_request(void **state)
{
	const struct http_header protocol = {"Sec-WebSocket-Protocol", "realtime"};
	char want[256];
	struct server s;
	struct client c;
	char *key;

	(void)state;
	server_start(&s, UPGRADE "Sec-WebSocket-Protocol: realtime\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n", CLOSE, NULL);
	client_open(&c, 0);
	client_run(&c, "http", "127.0.0.1", s.port, &protocol);
	assert_int_equal(c.status, 101);
	assert_non_null(c.bev);
	client_close(&c);
	server_stop(&s);
	snprintf(want, sizeof(want),
	         "GET /v1/realtime?model=m&intent=transcription HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
	         "Connection: Upgrade\r\nSec-WebSocket-Key: ", s.port);
	assert_memory_equal(s.request, want, strlen(want));
	key = s.request + strlen(want);
	key[24] = '\0';
	assert_true(ws_frame_key_is_valid(key));
	assert_string_equal(key + 25, "\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer k\r\n"
	                              "Sec-WebSocket-Protocol: realtime\r\nUser-Agent: " HALE_PRODUCT "\r\n\r\n");
}

static void
check_failed(const char *answer, enum upstream_error error, enum upstream_phase phase, const char *text)
{
	struct server s;
	struct client c;

	server_start(&s, answer, CLOSE, NULL);
	client_open(&c, 0);
	client_run(&c, "http", "127.0.0.1", s.port, &no_header);
	assert_string_equal(c.text, text);
	assert_int_equal(c.error, error);
	assert_int_equal(c.phase, phase);
	assert_null(c.bev);
	assert_null(c.t);
	client_close(&c);
	server_stop(&s);
}

#define REFUSED(why) "WebSocket handshake failed: " why

static void
test_bad_answers(void **state)
{
	(void)state;
	check_failed("", UPSTREAM_ERESET, UPSTREAM_HEAD, "the connection ended before the answer was complete");
	check_failed("HTTP/1.1 101 x\r\nUpgr", UPSTREAM_ERESET, UPSTREAM_HEAD,
	             "the connection ended before the answer was complete");
	check_failed("SSH-2.0\r\n\r\n", UPSTREAM_EPROTOCOL, UPSTREAM_HEAD, "the answer is not valid HTTP");
	check_failed(UPGRADE "Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", UPSTREAM_EPROTOCOL, UPSTREAM_BODY,
	             REFUSED("Sec-WebSocket-Accept is wrong"));
	check_failed(UPGRADE "\r\n", UPSTREAM_EPROTOCOL, UPSTREAM_BODY, REFUSED("Sec-WebSocket-Accept is wrong"));
	check_failed("HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
	             UPSTREAM_EPROTOCOL, UPSTREAM_BODY, REFUSED("the answer does not upgrade to WebSocket"));
	check_failed("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
	             UPSTREAM_EPROTOCOL, UPSTREAM_BODY, REFUSED("the answer does not upgrade to WebSocket"));
	check_failed(UPGRADE "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n", UPSTREAM_EPROTOCOL,
	             UPSTREAM_BODY, REFUSED("a subprotocol that was not offered"));
	check_failed(UPGRADE "Sec-WebSocket-Extensions: x\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n", UPSTREAM_EPROTOCOL,
	             UPSTREAM_BODY, REFUSED("an extension that was not offered"));
}

static void
check_refused(const char *answer, int status, const char *body, bool cut)
{
	struct server s;
	struct client c;

	server_start(&s, answer, CLOSE, NULL);
	client_open(&c, 0);
	client_run(&c, "http", "127.0.0.1", s.port, &no_header);
	assert_int_equal(c.error, UPSTREAM_OK);
	assert_int_equal(c.phase, UPSTREAM_DONE);
	assert_int_equal(c.status, status);
	assert_int_equal(c.body_cut, cut);
	if (body) {
		assert_int_equal(c.body_len, strlen(body));
		assert_memory_equal(c.body, body, c.body_len);
	} else {
		assert_int_equal(c.body_len, TUNNEL_BODY_MAX);
	}
	assert_null(c.bev);
	client_close(&c);
	server_stop(&s);
}

static void
test_refusals(void **state)
{
	struct strbuf b;

	(void)state;
	check_refused("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}", 401, "{}", false);
	check_refused("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n"
	              "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", 429, "abcd", false);
	check_refused("HTTP/1.0 503 No\r\n\r\nuntil the end", 503, "until the end", false);
	check_refused("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", false);
	strbuf_init(&b, 0);
	strbuf_puts(&b, "HTTP/1.1 500 No\r\n\r\n");
	for (unsigned i = 0; i < TUNNEL_BODY_MAX; i++)
		strbuf_puts(&b, "xy");
	check_refused(strbuf_str(&b), 500, NULL, true);
	strbuf_release(&b);
}

static void
test_head_bound(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	strbuf_puts(&b, UPGRADE "X-Long: ");
	for (unsigned i = 0; i < 70000; i++)
		strbuf_putc(&b, 'x');
	check_failed(strbuf_str(&b), UPSTREAM_EPROTOCOL, UPSTREAM_HEAD, "the headers of the answer are too large");
	strbuf_release(&b);
}

static void
test_no_connection(void **state)
{
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, "", CLOSE, NULL);
	server_stop(&s); /* its port is free again */
	client_open(&c, 0);
	client_run(&c, "http", "127.0.0.1", s.port, &no_header);
	assert_int_equal(c.error, UPSTREAM_ECONNECT);
	assert_int_equal(c.phase, UPSTREAM_CONNECT);
	assert_string_equal(c.text, "connection failed: Connection refused");
	c.done = false;
	client_run(&c, "http", "nowhere.test", s.port, &no_header);
	assert_int_equal(c.error, UPSTREAM_ERESOLVE);
	assert_int_equal(c.phase, UPSTREAM_RESOLVE);
	client_close(&c);
}

static void
check_tls(SSL_CTX *ctx, const char *bundle, bool insecure, enum upstream_error want)
{
	struct server s;
	struct client c;
	char url[128];

	setenv("SSL_CERT_FILE", bundle, 1);
	server_start(&s, OPEN, ECHO, ctx);
	client_open(&c, 0);
	snprintf(url, sizeof(url), "https://name.test:%u/", s.port);
	client_start(&c, url, &no_header, insecure);
	while (!c.done)
		event_base_loop(c.base, EVLOOP_ONCE);
	assert_int_equal(c.error, want);
	if (want != UPSTREAM_OK)
		assert_int_equal(c.phase, UPSTREAM_TLS);
	client_close(&c);
	server_stop(&s);
	setenv("SSL_CERT_FILE", tls.bundle, 1);
}

static void
test_tls_verified(void **state)
{
	(void)state;
	check_tls(tls.good, tls.bundle, false, UPSTREAM_OK);
	check_tls(tls.wrong_name, tls.bundle, false, UPSTREAM_ETLS);
	check_tls(tls.wrong_name, tls.bundle, true, UPSTREAM_OK);
	check_tls(tls.good, "/dev/null", false, UPSTREAM_ETLS);
}

static void
test_limits(void **state)
{
	struct endpoint e = {.method = "GET", .url = "http://127.0.0.1:1/"};
	struct tunnel_request r = {.endpoint = &e};
	static const char *const bad[] = {"ftp://x/", "http://", "http://a b/", "http://u@x/", "http://x:0/", "http://x:y/"};
	struct http_header split = {"X-A", "1\r\nX-B: 2"};
	struct tunnel *one, *two;
	enum upstream_error err;
	struct client c;

	(void)state;
	client_open(&c, 1);
	one = tunnel_start(c.up, &r, client_done, &c, &err);
	assert_non_null(one);
	two = tunnel_start(c.up, &r, client_done, &c, &err);
	assert_null(two);
	assert_int_equal(err, UPSTREAM_ELIMIT);
	tunnel_freep(&one);
	tunnel_freep(&one);
	for (unsigned i = 0; i < HALE_COUNT(bad); i++) {
		e.url = bad[i];
		assert_null(tunnel_start(c.up, &r, client_done, &c, &err));
		assert_int_equal(err, UPSTREAM_EPROTOCOL);
	}
	e.url = "http://127.0.0.1:1/";
	r.query = "a=b c";
	assert_null(tunnel_start(c.up, &r, client_done, &c, &err));
	r.query = NULL;
	r.header = &split;
	r.nheader = 1;
	assert_null(tunnel_start(c.up, &r, client_done, &c, &err));
	event_base_loop(c.base, EVLOOP_NONBLOCK);
	assert_false(c.done);
	client_close(&c);
}

/* Whatever it waits for, a tunnel can be dropped, and both timers end it. */
static void
test_cancel_and_timers(void **state)
{
	struct endpoint e = {.method = "GET"};
	struct tunnel_request r = {.endpoint = &e};
	enum upstream_error err;
	struct server s;
	struct client c;
	char url[64];

	(void)state;
	server_start(&s, "", HANG, NULL);
	client_open(&c, 0);
	snprintf(url, sizeof(url), "http://name.test:%u/", s.port);
	for (unsigned turns = 0; turns < 4; turns++) {
		client_start(&c, url, &no_header, false);
		for (unsigned i = 0; i < turns; i++)
			event_base_loop(c.base, EVLOOP_ONCE);
		tunnel_freep(&c.t);
		assert_false(c.done);
	}
	e.url = url;
	r.total_ms = 30;
	c.t = tunnel_start(c.up, &r, client_done, &c, &err);
	while (!c.done)
		event_base_loop(c.base, EVLOOP_ONCE);
	assert_int_equal(c.error, UPSTREAM_ETIMEOUT);
	assert_int_equal(c.phase, UPSTREAM_HEAD);
	server_stop(&s);
	/* TLS to a peer that never says a word */
	server_start(&s, "", HANG, NULL);
	c.done = false;
	snprintf(url, sizeof(url), "https://name.test:%u/", s.port);
	r.total_ms = 0;
	r.connect_ms = 30;
	c.t = tunnel_start(c.up, &r, client_done, &c, &err);
	while (!c.done)
		event_base_loop(c.base, EVLOOP_ONCE);
	assert_int_equal(c.error, UPSTREAM_ETIMEOUT);
	assert_int_equal(c.phase, UPSTREAM_TLS);
	client_close(&c);
	server_stop(&s);
}

/* ---- certificates ---- */

static X509 *
tls_cert(EVP_PKEY *key, const char *san, X509 *issuer)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509V3_CTX v3;
	X509_EXTENSION *ext;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)(issuer ? "leaf" : "CA"), -1, -1, 0);
	X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name);
	X509V3_set_ctx(&v3, issuer ? issuer : x, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &v3, issuer ? NID_subject_alt_name : NID_basic_constraints, san);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return x;
}

static SSL_CTX *
tls_ctx(EVP_PKEY *key, X509 *ca, const char *san)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509 *leaf = tls_cert(key, san, ca);

	assert_int_equal(SSL_CTX_use_certificate(ctx, leaf), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(leaf);
	return ctx;
}

static int
group_setup(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *ca = tls_cert(key, "critical,CA:TRUE", NULL);
	FILE *f;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	snprintf(tls.bundle, sizeof(tls.bundle), "/tmp/hale-test-ca-XXXXXX");
	f = fdopen(mkstemp(tls.bundle), "w");
	PEM_write_X509(f, ca);
	fclose(f);
	setenv("SSL_CERT_FILE", tls.bundle, 1);
	tls.good = tls_ctx(key, ca, "DNS:name.test,IP:127.0.0.1");
	tls.wrong_name = tls_ctx(key, ca, "DNS:elsewhere.test");
	X509_free(ca);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_head_bound),
		cmocka_unit_test(test_no_connection),
		cmocka_unit_test(test_tls_verified),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cancel_and_timers),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

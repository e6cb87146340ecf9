/* Tunnels: from a URL to an upgraded connection.
 *
 * resolve -> connect (one address after the other) -> TLS -> handshake -> handed over. Names and trusted
 * certificates are those of the process's struct upstream, and an open tunnel counts as one of its
 * connections until it is freed. libevent's bufferevents carry the bytes: sessions are few and long, so what
 * counts here is not the cost of a request but that the caller gets buffers that it can splice.
 *
 * An address that does not answer gets a share of the connect time only, unless it is
 * the last one. There is no race of two addresses: names_report() remembers which one
 * worked, and that one comes first the next time.
 */
#include "hale/hale.h"

#include "hale/tunnel.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/http_list.h"
#include "hale/log.h"
#include "hale/strbuf.h"
#include "hale/ws_frame.h"
#include "upstream_http.h"
#include "upstream_int.h"
#include "upstream_names.h"

#define TUNNEL_ATTEMPT_MS 2000 /* for one address of several, at most */

struct tunnel {
	struct upstream *u;
	tunnel_done_f done; /* NULL: the result is out */
	void *arg;
	struct upstream_authority at;
	bool tls, insecure;
	bool offers_protocol, offers_extensions;
	enum upstream_phase phase;
	uint64_t start_ns;
	uint32_t connect_ms;
	struct event begin, connect_timer, total_timer, attempt, connected;
	struct upstream_names_wait name;
	struct upstream_addresses addresses;
	unsigned address;
	int fd; /* while connecting; later the bufferevent's */
	struct bufferevent *bev;
	struct strbuf request;
	char key[WS_FRAME_KEY_BYTES];
	/* the answer, until it is out */
	struct upstream_http *http;
	char *head; /* what http->header points into */
	struct strbuf body;
	char text[UPSTREAM_TEXT_BYTES];
};

/* ---- ends ---- */

static void
tunnel_close_fd(struct tunnel *t)
{
	event_del(&t->attempt);
	event_del(&t->connected);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

/* What only the way to the result needs. */
static void
tunnel_forget(struct tunnel *t)
{
	event_del(&t->begin);
	event_del(&t->connect_timer);
	event_del(&t->total_timer);
	upstream_names_leave(&t->name);
	tunnel_close_fd(t);
	strbuf_release(&t->request);
	strbuf_release(&t->body);
	xfreep(&t->http);
	xfreep(&t->head);
}

void
tunnel_freep(struct tunnel **tp)
{
	struct tunnel *t = *tp;

	if (!t)
		return;
	tunnel_forget(t);
	if (t->bev)
		bufferevent_free(t->bev);
	ERR_clear_error();
	upstream_authority_release(&t->at);
	t->u->running--;
	xfreep(tp);
}

static struct tunnel_result
tunnel_result(const struct tunnel *t, enum upstream_error e, const char *text)
{
	uint64_t us = (clock_mono_ns() - t->start_ns) / 1000;

	return (struct tunnel_result){
		.error = e,
		.phase = e == UPSTREAM_OK ? UPSTREAM_DONE : t->phase,
		.status = t->head ? t->http->status : 0,
		.total_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX,
		.text = text,
		.header = t->http->header,
		.nheader = t->head ? t->http->nheader : 0,
		.body = strbuf_str(&t->body),
		.body_len = t->body.len,
		.body_cut = t->body.overflow,
	};
}

/* An end without a tunnel. */
static void
tunnel_end(struct tunnel *t, enum upstream_error e, const char *text)
{
	struct tunnel_result r = tunnel_result(t, e, text);
	tunnel_done_f done = t->done;

	t->done = NULL;
	done(t->arg, &r);
	tunnel_freep(&t);
}

static void
tunnel_fail(struct tunnel *t, enum upstream_error e, const char *what, const char *reason)
{
	snprintf(t->text, sizeof(t->text), "%s: %s", what, reason);
	tunnel_end(t, e, t->text);
}

static void
tunnel_timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct tunnel *t = arg;

	(void)fd;
	(void)what;
	tunnel_end(t, UPSTREAM_ETIMEOUT, upstream_timeout_text(t->phase));
}

/* ---- the answer ---- */

static const char *
tunnel_header(const struct tunnel *t, const char *name)
{
	for (unsigned i = 0; i < t->http->nheader; i++)
		if (strcasecmp(t->http->header[i].name, name) == 0)
			return t->http->header[i].value;
	return NULL;
}

/* NULL: the 101 is what was asked for. */
static const char *
tunnel_objection(const struct tunnel *t)
{
	const char *upgrade = tunnel_header(t, "Upgrade"), *connection = tunnel_header(t, "Connection");
	const char *accept = tunnel_header(t, "Sec-WebSocket-Accept");
	char want[WS_FRAME_ACCEPT_BYTES];

	ws_frame_accept(t->key, want);
	if (!upgrade || strcasecmp(upgrade, "websocket") != 0 || !connection ||
	    !http_list_has(connection, "upgrade"))
		return "the answer does not upgrade to WebSocket";
	if (!accept || strcmp(accept, want) != 0)
		return "Sec-WebSocket-Accept is wrong";
	if (!t->offers_protocol && tunnel_header(t, "Sec-WebSocket-Protocol"))
		return "a subprotocol that was not offered";
	if (!t->offers_extensions && tunnel_header(t, "Sec-WebSocket-Extensions"))
		return "an extension that was not offered";
	return NULL;
}

static void
tunnel_hand_over(struct tunnel *t)
{
	struct tunnel_result r = tunnel_result(t, UPSTREAM_OK, "");
	struct upstream_http *http = t->http;
	tunnel_done_f done = t->done;
	char *head = t->head;

	bufferevent_disable(t->bev, EV_READ | EV_WRITE);
	bufferevent_setcb(t->bev, NULL, NULL, NULL, NULL);
	bufferevent_setwatermark(t->bev, EV_READ, 0, 0);
	r.bev = t->bev;
	t->done = NULL;
	t->http = NULL; /* the result borrows it, and the tunnel may be freed by the callback */
	t->head = NULL;
	tunnel_forget(t);
	done(t->arg, &r);
	free(http);
	free(head);
}

/* Keeps the head: its bytes leave the input, the parsed header stays. */
static void
tunnel_keep_head(struct tunnel *t, const char *data, size_t len)
{
	struct upstream_http *p = t->http;

	t->head = xmalloc(len + 1);
	memcpy(t->head, data, len);
	for (unsigned i = 0; i < p->nheader; i++) {
		p->header[i].name = t->head + (p->header[i].name - data);
		p->header[i].value = t->head + (p->header[i].value - data);
	}
}

/* false: the tunnel has ended or was handed over. */
static bool
tunnel_event(struct tunnel *t, enum upstream_http_event e, const char *data, size_t used)
{
	struct evbuffer *in = bufferevent_get_input(t->bev);
	const char *why;

	if (e == UPSTREAM_HTTP_HEAD)
		tunnel_keep_head(t, data, used);
	else if (e == UPSTREAM_HTTP_BODY)
		strbuf_add(&t->body, t->http->body, t->http->body_len);
	evbuffer_drain(in, used);
	if (e == UPSTREAM_HTTP_BAD) {
		tunnel_end(t, UPSTREAM_EPROTOCOL, t->http->text);
		return false;
	}
	if (e == UPSTREAM_HTTP_DONE || t->body.overflow) {
		tunnel_end(t, UPSTREAM_OK, "");
		return false;
	}
	if (e != UPSTREAM_HTTP_HEAD)
		return true;
	t->phase = UPSTREAM_BODY;
	if (t->http->status != 101)
		return true;
	why = tunnel_objection(t);
	if (why)
		tunnel_fail(t, UPSTREAM_EPROTOCOL, "WebSocket handshake failed", why);
	else
		tunnel_hand_over(t);
	return false;
}

static void
tunnel_read_cb(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct tunnel *t = arg;
	enum upstream_http_event e;

	do {
		size_t len = evbuffer_get_length(in), used = 0;
		char *data = len ? (char *)evbuffer_pullup(in, -1) : NULL, none[1] = "";

		e = upstream_http_feed(t->http, data ? data : none, len, &used);
		if (e == UPSTREAM_HTTP_MORE && used == 0 && len >= UPSTREAM_HEAD_BYTES_MAX) {
			tunnel_end(t, UPSTREAM_EPROTOCOL, "the headers of the answer are too large");
			return;
		}
		if (!tunnel_event(t, e, data, used))
			return;
	} while (e != UPSTREAM_HTTP_MORE);
}

/* ---- the connection ---- */

static void
tunnel_send(struct tunnel *t)
{
	event_del(&t->connect_timer);
	t->phase = UPSTREAM_HEAD;
	bufferevent_write(t->bev, strbuf_str(&t->request), t->request.len);
	bufferevent_enable(t->bev, EV_READ | EV_WRITE);
}

static void
tunnel_tls_failed(struct tunnel *t)
{
	unsigned long error = bufferevent_get_openssl_error(t->bev);
	SSL *ssl = bufferevent_openssl_get_ssl(t->bev);
	long verified = SSL_get_verify_result(ssl);
	const char *reason = error ? ERR_reason_error_string(error) : NULL;

	if (!t->insecure && verified != X509_V_OK)
		reason = X509_verify_cert_error_string(verified);
	tunnel_fail(t, UPSTREAM_ETLS, "TLS handshake failed",
	            reason ? reason : "connection closed by the peer");
}

static void
tunnel_event_cb(struct bufferevent *bev, short what, void *arg)
{
	struct tunnel *t = arg;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED)
		tunnel_send(t);
	else if (t->phase == UPSTREAM_TLS)
		tunnel_tls_failed(t);
	else if (t->head && upstream_http_closed(t->http))
		tunnel_end(t, UPSTREAM_OK, "");
	else
		tunnel_end(t, UPSTREAM_ERESET, "the connection ended before the answer was complete");
}

/* The descriptor becomes a bufferevent's; with TLS that shakes hands by itself. */
static void
tunnel_talk(struct tunnel *t)
{
	SSL *ssl = NULL;

	if (t->tls) {
		t->phase = UPSTREAM_TLS;
		ssl = upstream_tls_open(t->u->tls, &t->at, t->insecure);
		if (!ssl) {
			tunnel_end(t, UPSTREAM_ETLS, "TLS could not be prepared for this host");
			return;
		}
		/* What OpenSSL has read ahead would be waiting where no event tells of it. */
		SSL_set_read_ahead(ssl, 0);
		t->bev = bufferevent_openssl_socket_new(t->u->base, t->fd, ssl, BUFFEREVENT_SSL_CONNECTING,
		                                        BEV_OPT_CLOSE_ON_FREE);
	} else {
		t->bev = bufferevent_socket_new(t->u->base, t->fd, BEV_OPT_CLOSE_ON_FREE);
	}
	if (!t->bev)
		log_fatal(1, "out of memory");
	t->fd = -1;
	bufferevent_setcb(t->bev, tunnel_read_cb, NULL, tunnel_event_cb, t);
	bufferevent_setwatermark(t->bev, EV_READ, 0, UPSTREAM_HEAD_BYTES_MAX);
	if (!t->tls) {
		tunnel_send(t);
		return;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(t->bev, 1);
	bufferevent_enable(t->bev, EV_READ | EV_WRITE);
}

static void tunnel_connected_cb(evutil_socket_t fd, short what, void *arg);

static int
tunnel_socket(struct tunnel *t)
{
	union upstream_address a = t->addresses.address[t->address];
	socklen_t len = a.any.sa_family == AF_INET6 ? sizeof(a.six) : sizeof(a.four);
	int one = 1;

	if (a.any.sa_family == AF_INET6)
		a.six.sin6_port = htons(t->at.port);
	else
		a.four.sin_port = htons(t->at.port);
	t->fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd == -1)
		return errno;
	setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(t->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (connect(t->fd, &a.any, len) == -1 && errno != EINPROGRESS)
		return errno;
	event_assign(&t->connected, t->u->base, t->fd, EV_WRITE, tunnel_connected_cb, t);
	event_add(&t->connected, NULL);
	return 0;
}

static void
tunnel_arm(struct event *timer, uint32_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_add(timer, &tv);
}

/* From t->address on, until one takes the connection or answers later; error: why the one before did not. */
static void
tunnel_connect(struct tunnel *t, int error)
{
	unsigned n = t->addresses.n;

	for (; t->address < n; t->address++) {
		uint32_t share = t->connect_ms ? t->connect_ms / n : TUNNEL_ATTEMPT_MS;

		error = tunnel_socket(t);
		if (error == 0) {
			if (t->address + 1 < n)
				tunnel_arm(&t->attempt,
				           share < TUNNEL_ATTEMPT_MS ? share : TUNNEL_ATTEMPT_MS);
			return;
		}
		tunnel_close_fd(t);
	}
	upstream_names_report(upstream_names_of(t->u), t->at.name, NULL, false);
	tunnel_fail(t, UPSTREAM_ECONNECT, "connection failed", strerror(error));
}

static void
tunnel_next_address(struct tunnel *t, int error)
{
	tunnel_close_fd(t);
	t->address++;
	tunnel_connect(t, error);
}

static void
tunnel_attempt_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tunnel_next_address(arg, ETIMEDOUT);
}

static void
tunnel_connected_cb(evutil_socket_t fd, short what, void *arg)
{
	struct tunnel *t = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error) {
		tunnel_next_address(t, error);
		return;
	}
	event_del(&t->attempt);
	upstream_names_report(upstream_names_of(t->u), t->at.name, &t->addresses.address[t->address], true);
	tunnel_talk(t);
}

static void
tunnel_named(struct tunnel *t, const struct upstream_addresses *a)
{
	t->addresses = *a;
	t->phase = UPSTREAM_CONNECT;
	tunnel_connect(t, 0);
}

static void
tunnel_name_cb(struct upstream_names_wait *w, const struct upstream_addresses *a, const char *text)
{
	struct tunnel *t = (struct tunnel *)(void *)((char *)w - offsetof(struct tunnel, name));

	if (a)
		tunnel_named(t, a);
	else
		tunnel_fail(t, UPSTREAM_ERESOLVE, "host name not found", text);
}

static void
tunnel_begin_cb(evutil_socket_t fd, short what, void *arg)
{
	struct tunnel *t = arg;
	struct upstream_names *names = upstream_names_of(t->u);
	struct upstream_addresses a;

	(void)fd;
	(void)what;
	if (upstream_names_find(names, t->at.name, &a))
		tunnel_named(t, &a);
	else
		upstream_names_ask(names, t->at.name, &t->name);
}

/* ---- start ---- */

static bool
tunnel_is_ours(const char *name)
{
	return upstream_header_is_ours(name) || strcasecmp(name, "Sec-WebSocket-Key") == 0 ||
	       strcasecmp(name, "Sec-WebSocket-Version") == 0;
}

static void
tunnel_put_headers(struct tunnel *t, const struct http_header *h, unsigned n, bool *agent)
{
	for (unsigned i = 0; i < n; i++) {
		if (tunnel_is_ours(h[i].name))
			continue;
		*agent |= strcasecmp(h[i].name, "User-Agent") == 0;
		t->offers_protocol |= strcasecmp(h[i].name, "Sec-WebSocket-Protocol") == 0;
		t->offers_extensions |= strcasecmp(h[i].name, "Sec-WebSocket-Extensions") == 0;
		strbuf_printf(&t->request, "%s: %s\r\n", h[i].name, h[i].value);
	}
}

static void
tunnel_put_request(struct tunnel *t, const struct tunnel_request *r)
{
	const struct endpoint *e = r->endpoint;
	const char *path = e->url + upstream_origin_len(e->url);
	unsigned char nonce[16];
	bool agent = false;

	/* Not a secret: it only proves that the answer was made for this request. */
	if (getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
		log_fatal(1, "getrandom failed");
	ws_frame_key(nonce, t->key);
	strbuf_init(&t->request, 0);
	strbuf_printf(&t->request, "GET %s%.*s", *path == '/' ? "" : "/", (int)strcspn(path, "#"), path);
	if (r->query && *r->query)
		strbuf_printf(&t->request, "%c%s", strchr(path, '?') ? '&' : '?', r->query);
	strbuf_printf(&t->request,
	              " HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	              "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", t->at.text, t->key);
	tunnel_put_headers(t, e->header, e->nheader, &agent);
	tunnel_put_headers(t, r->header, r->nheader, &agent);
	strbuf_puts(&t->request, agent ? "\r\n" : "User-Agent: " HALE_PRODUCT "\r\n\r\n");
}

static bool
tunnel_is_sound(const struct tunnel_request *r)
{
	for (const char *p = r->query ? r->query : ""; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '#')
			return false;
	return upstream_url_is_valid(r->endpoint->url) &&
	       upstream_headers_are_valid(r->endpoint->header, r->endpoint->nheader) &&
	       upstream_headers_are_valid(r->header, r->nheader);
}

struct tunnel *
tunnel_start(struct upstream *u, const struct tunnel_request *r, tunnel_done_f done, void *arg,
             enum upstream_error *err)
{
	const char *url = r->endpoint->url;
	struct tunnel *t;
	size_t scheme;

	*err = UPSTREAM_EPROTOCOL;
	if (!tunnel_is_sound(r))
		return NULL;
	if (u->limits.connections_max && u->running >= u->limits.connections_max) {
		*err = UPSTREAM_ELIMIT;
		return NULL;
	}
	t = xcalloc(1, sizeof(*t));
	t->tls = upstream_url_is_tls(url);
	scheme = t->tls ? 8 : 7;
	if (!upstream_authority_parse(&t->at, url + scheme, upstream_origin_len(url) - scheme, t->tls)) {
		free(t);
		return NULL;
	}
	*err = UPSTREAM_OK;
	t->u = u;
	t->done = done;
	t->arg = arg;
	t->insecure = r->insecure_tls;
	t->start_ns = clock_mono_ns();
	t->connect_ms = r->connect_ms;
	t->fd = -1;
	t->name.done = tunnel_name_cb;
	t->http = xcalloc(1, sizeof(*t->http));
	upstream_http_start(t->http, false);
	t->http->upgrade = true;
	strbuf_init(&t->body, TUNNEL_BODY_MAX);
	tunnel_put_request(t, r);
	evtimer_assign(&t->begin, u->base, tunnel_begin_cb, t);
	evtimer_assign(&t->connect_timer, u->base, tunnel_timer_cb, t);
	evtimer_assign(&t->total_timer, u->base, tunnel_timer_cb, t);
	evtimer_assign(&t->attempt, u->base, tunnel_attempt_cb, t);
	event_assign(&t->connected, u->base, -1, EV_WRITE, tunnel_connected_cb, t);
	event_active(&t->begin, EV_TIMEOUT, 0);
	if (r->connect_ms)
		tunnel_arm(&t->connect_timer, r->connect_ms);
	if (r->total_ms)
		tunnel_arm(&t->total_timer, r->total_ms);
	u->running++;
	return t;
}

void
tunnel_shut(struct tunnel *t)
{
	SSL *ssl = t->tls ? bufferevent_openssl_get_ssl(t->bev) : NULL;

	HALE_ASSERT(t->bev && evbuffer_get_length(bufferevent_get_output(t->bev)) == 0);
	if (ssl)
		SSL_shutdown(ssl);
	ERR_clear_error();
	shutdown(bufferevent_getfd(t->bev), SHUT_WR);
}

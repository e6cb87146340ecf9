/* Requests to providers: the front, the same for every transport.
 *
 * Here a request is checked, counted against connections_max, timed and reported; a transport behind
 * it (upstream_direct.c, upstream_curl.c) moves the bytes. One libevent timer per call serves all of
 * its deadlines: it is armed for the earliest one and never moved when a deadline only gets later
 * (every piece of a body does that); when it fires too early it is armed again.
 */
#include "hale/hale.h"

#include "upstream_int.h"

#include <strings.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "upstream_curl.h"
#include "upstream_direct.h"
#include "upstream_http.h"
#include "upstream_names.h"

const char *
upstream_error_name(enum upstream_error e)
{
	switch (e) {
	case UPSTREAM_OK: return "ok";
	case UPSTREAM_ERESOLVE: return "resolve_error";
	case UPSTREAM_ECONNECT: return "connect_error";
	case UPSTREAM_ETLS: return "tls_error";
	case UPSTREAM_ETIMEOUT: return "timeout";
	case UPSTREAM_ERESET: return "connection_reset";
	case UPSTREAM_EPROTOCOL: return "protocol_error";
	case UPSTREAM_ELIMIT: return "connection_limit";
	}
	return "unknown";
}

const char *
upstream_phase_name(enum upstream_phase p)
{
	switch (p) {
	case UPSTREAM_RESOLVE: return "resolve";
	case UPSTREAM_CONNECT: return "connect";
	case UPSTREAM_TLS: return "tls";
	case UPSTREAM_SEND: return "send";
	case UPSTREAM_HEAD: return "head";
	case UPSTREAM_BODY: return "body";
	case UPSTREAM_DONE: return "done";
	}
	return "unknown";
}

bool
upstream_url_is_tls(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

size_t
upstream_origin_len(const char *url)
{
	size_t scheme = upstream_url_is_tls(url) ? 8 : 7;

	return scheme + strcspn(url + scheme, "/?#");
}

bool
upstream_header_is_ours(const char *name)
{
	/* By first letter, because nearly every header of a request is none of them. */
	switch (name[0] | 0x20) {
	case 'c':
		return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Connection") == 0;
	case 'e': return strcasecmp(name, "Expect") == 0;
	case 'h': return strcasecmp(name, "Host") == 0;
	case 'k': return strcasecmp(name, "Keep-Alive") == 0;
	case 'p': return strcasecmp(name, "Proxy-Connection") == 0;
	case 't':
		return strcasecmp(name, "TE") == 0 || strcasecmp(name, "Trailer") == 0 || strcasecmp(name, "Transfer-Encoding") == 0;
	case 'u': return strcasecmp(name, "Upgrade") == 0;
	default: return false;
	}
}

bool
upstream_url_is_valid(const char *url)
{
	size_t scheme = upstream_url_is_tls(url) ? 8 : 7;

	if (scheme == 7 && strncasecmp(url, "http://", 7) != 0)
		return false;
	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return upstream_origin_len(url) > scheme;
}

bool
upstream_headers_are_valid(const struct http_header *h, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!upstream_http_is_token(h[i].name) || h[i].value[strcspn(h[i].value, "\r\n")] != '\0')
			return false;
	return true;
}

static uint64_t
upstream_call_deadline(const struct upstream_call *c)
{
	uint64_t d = UINT64_MAX, t;

	if (c->timers.total_ms)
		d = c->start_ns + c->timers.total_ms * NS_PER_MS;
	if (c->timers.connect_ms && !c->connected && (t = c->connect_ns + c->timers.connect_ms * NS_PER_MS) < d)
		d = t;
	if (c->timers.head_ms && !c->head_done && (t = c->start_ns + c->timers.head_ms * NS_PER_MS) < d)
		d = t;
	if (c->timers.idle_ms && c->head_done && !c->paused && (t = c->last_ns + c->timers.idle_ms * NS_PER_MS) < d)
		d = t;
	return d;
}

static void
upstream_call_arm(struct upstream_call *c, uint64_t now)
{
	uint64_t d = upstream_call_deadline(c), us;
	struct timeval tv;

	if (d == UINT64_MAX || (c->armed_ns && c->armed_ns <= d))
		return;
	us = d > now ? (d - now + 999) / 1000 : 0;
	tv = (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
	event_add(&c->timer, &tv);
	c->armed_ns = d;
}

const char *
upstream_timeout_text(enum upstream_phase p)
{
	switch (p) {
	case UPSTREAM_RESOLVE: return "timeout while the host name was resolved";
	case UPSTREAM_CONNECT: return "timeout while connecting";
	case UPSTREAM_TLS: return "timeout during the TLS handshake";
	case UPSTREAM_SEND: return "timeout while the request was sent";
	case UPSTREAM_HEAD: return "timeout while waiting for the answer to begin";
	default: return "timeout in the middle of the answer";
	}
}

static void
upstream_timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_call *c = arg;
	uint64_t now = clock_mono_ns();

	(void)fd;
	(void)what;
	c->armed_ns = 0;
	if (now < upstream_call_deadline(c)) {
		upstream_call_arm(c, now);
		return;
	}
	upstream_call_end(c, UPSTREAM_ETIMEOUT, upstream_timeout_text(c->transport->phase(c)));
	c->transport->drop(c);
}

void
upstream_call_init(struct upstream *u, struct upstream_call *c, const struct upstream_transport *t)
{
	c->u = u;
	c->transport = t;
	evtimer_assign(&c->timer, u->base, upstream_timer_cb, c);
}

static void
upstream_call_begin(struct upstream_call *c, const struct upstream_request *r, const struct upstream_ops *ops, void *arg)
{
	c->ops = ops;
	c->arg = arg;
	c->timers = r->timers;
	c->armed_ns = c->last_ns = 0;
	c->start_ns = c->connect_ns = clock_mono_ns();
	c->head_us = 0;
	c->status = 0;
	c->head_done = c->paused = c->resumed = false;
	c->u->running++;
	upstream_call_arm(c, c->start_ns);
}

/* Out of the books: no timer, no callback, not counted. */
static void
upstream_call_close(struct upstream_call *c)
{
	if (c->armed_ns)
		event_del(&c->timer);
	c->armed_ns = 0;
	c->ops = NULL;
	c->u->running--;
}

void
upstream_call_reconnect(struct upstream_call *c)
{
	c->connected = false;
	c->connect_ns = clock_mono_ns();
	upstream_call_arm(c, c->connect_ns);
}

static uint32_t
upstream_elapsed_us(const struct upstream_call *c, uint64_t now)
{
	uint64_t us = (now - c->start_ns) / 1000;

	return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

void
upstream_call_head(struct upstream_call *c, int status, const struct http_header *header, unsigned nheader)
{
	HALE_ASSERT(c->ops && !c->head_done);
	c->last_ns = clock_mono_ns();
	c->head_us = upstream_elapsed_us(c, c->last_ns);
	c->head_done = true;
	c->status = status;
	upstream_call_arm(c, c->last_ns);
	c->ops->head(c->arg, status, header, nheader);
}

void
upstream_call_body(struct upstream_call *c, const char *data, size_t len)
{
	HALE_ASSERT(c->ops && c->head_done && !c->paused);
	if (c->timers.idle_ms)
		c->last_ns = clock_mono_ns();
	c->resumed = false;
	if (!c->ops->body(c->arg, data, len) && c->ops)
		c->paused = !c->resumed;
}

void
upstream_call_end(struct upstream_call *c, enum upstream_error e, const char *text)
{
	const struct upstream_ops *ops = c->ops;
	struct upstream_result r = {
		.error = e,
		.phase = e == UPSTREAM_OK ? UPSTREAM_DONE : c->transport->phase(c),
		.status = c->status,
		.head_us = c->head_us,
		.total_us = upstream_elapsed_us(c, clock_mono_ns()),
		.reused = c->transport->is_reused(c),
		.text = text,
	};

	HALE_ASSERT(ops);
	upstream_call_close(c);
	ops->end(c->arg, &r);
}

struct upstream *
upstream_new(struct event_base *base, const struct upstream_limits *l)
{
	struct upstream *u = xcalloc(1, sizeof(*u));

	u->base = base;
	u->limits = *l;
	u->tls = upstream_tls_new();
	u->curl = upstream_curl_new(u);
	if (l->direct)
		u->direct = upstream_direct_new(u);
	return u;
}

void
upstream_freep(struct upstream **u)
{
	if (!*u)
		return;
	HALE_ASSERT((*u)->running == 0);
	upstream_direct_freep(&(*u)->direct);
	upstream_curl_freep(&(*u)->curl);
	upstream_names_freep(&(*u)->names);
	upstream_tls_freep(&(*u)->tls);
	xfreep(u);
}

struct upstream_names *
upstream_names_of(struct upstream *u)
{
	if (!u->names)
		u->names = upstream_names_new(u->base);
	return u->names;
}

struct upstream_call *
upstream_start(struct upstream *u, const struct upstream_request *r, const struct upstream_ops *ops, void *arg,
               enum upstream_error *err)
{
	const struct endpoint *e = r->endpoint;
	struct upstream_call *c = NULL;

	HALE_ASSERT(r->nbody <= UPSTREAM_BODY_PARTS && e->nheader <= ENDPOINT_HEADERS_MAX);
	if (u->limits.connections_max && u->running >= u->limits.connections_max) {
		*err = UPSTREAM_ELIMIT;
		return NULL;
	}
	if (!upstream_url_is_valid(e->url) || !upstream_headers_are_valid(e->header, e->nheader) ||
	    !upstream_headers_are_valid(r->header, r->nheader)) {
		*err = UPSTREAM_EPROTOCOL;
		return NULL;
	}
	*err = UPSTREAM_OK;
	if (u->direct && !r->http2 && !r->proxy)
		c = upstream_direct_transport.start(u, r, err);
	if (!c && *err == UPSTREAM_OK)
		c = upstream_curl_transport.start(u, r, err);
	if (c)
		upstream_call_begin(c, r, ops, arg);
	return c;
}

void
upstream_resume(struct upstream_call *c)
{
	HALE_ASSERT(c->ops);
	c->resumed = true;
	if (!c->paused)
		return;
	c->paused = false;
	c->last_ns = clock_mono_ns();
	upstream_call_arm(c, c->last_ns);
	c->transport->resume(c);
}

void
upstream_cancel(struct upstream_call *c)
{
	HALE_ASSERT(c->ops);
	upstream_call_close(c);
	c->transport->drop(c);
}

unsigned
upstream_running(const struct upstream *u)
{
	return u->running;
}

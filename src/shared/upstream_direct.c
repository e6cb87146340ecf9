/* The direct transport: whom a call talks to and over which connection.
 *
 * The usual way is short: the most recently used idle connection of the host takes the call and the request
 * is written before upstream_start() returns. Everything else (a name to resolve, a connection to
 * open, a limit to wait for, a resume) goes through `queue` and its event, which runs in the same turn of
 * the loop but outside of all callbacks.
 *
 * Idle connections stay registered for reading, so one that the peer closes disappears at once; one that
 * was already dead when it was used fails before any byte of an answer, and its call goes once more over
 * a new connection. The oldest idle connection goes when it is too old or when another host needs room.
 */
#include "hale/hale.h"

#include "upstream_direct.h"

#include "hale/arena.h"
#include "hale/clock.h"

#define UPSTREAM_DIRECT_POOL_MAX 512
#define UPSTREAM_DIRECT_KEEP_MAX (16u << 10) /* larger request heads are not pooled */

/* ---- hosts ---- */

static unsigned
upstream_direct_hash(const char *s, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3ULL;
	return (unsigned)((h ^ h >> 32) % UPSTREAM_DIRECT_BUCKETS);
}

static void
upstream_direct_host_free(struct upstream_direct_host *h)
{
	if (h->session)
		SSL_SESSION_free(h->session);
	free(h->origin);
	upstream_authority_release(&h->at);
	free(h);
}

/* NULL: not for this transport. Hosts come from the configuration, so there is no need to forget any. */
static struct upstream_direct_host *
upstream_direct_host_get(struct upstream_direct *d, const char *url, bool insecure)
{
	size_t len = upstream_origin_len(url), scheme;
	unsigned b = upstream_direct_hash(url, len);
	struct upstream_direct_host *h;

	LIST_FOREACH(h, &d->host[b], link)
		if (h->origin_len == len && h->insecure == insecure && memcmp(h->origin, url, len) == 0)
			return h;
	h = xcalloc(1, sizeof(*h));
	h->direct = d;
	h->tls = upstream_url_is_tls(url);
	h->insecure = insecure;
	h->origin = xstrndup(url, len);
	h->origin_len = len;
	TAILQ_INIT(&h->idle);
	TAILQ_INIT(&h->waiting);
	scheme = h->tls ? 8 : 7;
	/* A form that is left to libcurl (credentials, odd ports)? */
	if (!upstream_authority_parse(&h->at, h->origin + scheme, len - scheme, h->tls)) {
		upstream_direct_host_free(h);
		return NULL;
	}
	h->authority_len = strlen(h->at.text);
	LIST_INSERT_HEAD(&d->host[b], h, link);
	return h;
}

/* ---- idle connections ---- */

static void
upstream_direct_unkeep(struct upstream_direct_conn *conn)
{
	TAILQ_REMOVE(&conn->host->idle, conn, link);
	TAILQ_REMOVE(&conn->host->direct->idle, conn, age);
	conn->idle = false;
}

static struct upstream_direct_conn *
upstream_direct_take(struct upstream_direct_host *h)
{
	struct upstream_direct_conn *conn = TAILQ_FIRST(&h->idle);

	if (conn)
		upstream_direct_unkeep(conn);
	return conn;
}

static void
upstream_direct_reap_arm(struct upstream_direct *d, uint64_t now)
{
	const struct upstream_direct_conn *oldest = TAILQ_FIRST(&d->idle);
	uint64_t due, us;
	struct timeval tv;

	if (d->reaping || !oldest || !d->u->limits.idle_timeout_ms)
		return;
	due = oldest->idle_ns + d->u->limits.idle_timeout_ms * NS_PER_MS;
	us = due > now ? (due - now) / 1000 + 1 : 0;
	tv = (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
	event_add(&d->reap, &tv);
	d->reaping = true;
}

static void
upstream_direct_reap_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_direct *d = arg;
	uint64_t now = clock_mono_ns(), age = d->u->limits.idle_timeout_ms * NS_PER_MS;
	struct upstream_direct_conn *conn;

	(void)fd;
	(void)what;
	d->reaping = false;
	while ((conn = TAILQ_FIRST(&d->idle)) && now - conn->idle_ns >= age) {
		upstream_direct_unkeep(conn);
		upstream_direct_conn_close(conn);
	}
	upstream_direct_reap_arm(d, now);
}

void
upstream_direct_keep(struct upstream_direct_conn *conn)
{
	struct upstream_direct_host *h = conn->host;

	conn->idle = true;
	conn->idle_ns = clock_mono_ns();
	TAILQ_INSERT_HEAD(&h->idle, conn, link);
	TAILQ_INSERT_TAIL(&h->direct->idle, conn, age);
	upstream_direct_reap_arm(h->direct, conn->idle_ns);
	upstream_direct_host_free_slot(h);
}

/* ---- calls ---- */

static void
upstream_direct_enqueue(struct upstream_direct_call *c)
{
	struct upstream_direct *d = c->host->direct;

	HALE_ASSERT(c->where == UPSTREAM_DIRECT_NOWHERE);
	c->where = UPSTREAM_DIRECT_QUEUED;
	TAILQ_INSERT_TAIL(&d->queue, c, link);
	event_active(&d->kick, EV_TIMEOUT, 0);
}

void
upstream_direct_host_free_slot(struct upstream_direct_host *h)
{
	struct upstream_direct_call *c = TAILQ_FIRST(&h->waiting);

	if (!c)
		return;
	TAILQ_REMOVE(&h->waiting, c, link);
	c->where = UPSTREAM_DIRECT_NOWHERE;
	upstream_direct_enqueue(c);
}

void
upstream_direct_call_recycle(struct upstream_direct_call *c)
{
	struct upstream_direct *d = c->host->direct;

	if (d->npool >= UPSTREAM_DIRECT_POOL_MAX || c->head_cap > UPSTREAM_DIRECT_KEEP_MAX) {
		free(c->head);
		free(c);
		return;
	}
	TAILQ_INSERT_HEAD(&d->pool, c, link);
	d->npool++;
}

void
upstream_direct_call_end(struct upstream_direct_call *c, enum upstream_error e, const char *text)
{
	c->where = UPSTREAM_DIRECT_NOWHERE;
	upstream_call_end(&c->base, e, text);
	upstream_direct_call_recycle(c);
}

void
upstream_direct_call_retry(struct upstream_direct_call *c)
{
	c->where = UPSTREAM_DIRECT_NOWHERE;
	c->conn = NULL;
	c->retried = true;
	c->reused = false;
	c->sent = 0;
	c->phase = UPSTREAM_CONNECT;
	upstream_call_reconnect(&c->base);
	upstream_direct_enqueue(c);
}

static void
upstream_direct_use(struct upstream_direct_conn *conn, struct upstream_direct_call *c)
{
	c->where = UPSTREAM_DIRECT_ON_CONN;
	c->reused = true;
	c->base.connected = true;
	upstream_direct_conn_use(conn, c);
}

/* Waits when the host has all the connections it may have; makes room when the process has. */
static bool
upstream_direct_may_open(struct upstream_direct_call *c)
{
	struct upstream_direct_host *h = c->host;
	struct upstream_direct *d = h->direct;
	const struct upstream_limits *l = &d->u->limits;
	struct upstream_direct_conn *oldest;

	/* One that wants a new connection (a retry) trades in an idle one. */
	if (l->host_connections_max && h->nconn >= l->host_connections_max && !TAILQ_EMPTY(&h->idle))
		upstream_direct_conn_close(upstream_direct_take(h));
	if (l->host_connections_max && h->nconn >= l->host_connections_max) {
		c->where = UPSTREAM_DIRECT_WAITING;
		TAILQ_INSERT_TAIL(&h->waiting, c, link);
		return false;
	}
	oldest = TAILQ_FIRST(&d->idle);
	if (l->connections_max && d->nconn >= l->connections_max && oldest) {
		upstream_direct_unkeep(oldest);
		upstream_direct_conn_close(oldest);
	}
	return true;
}

static void
upstream_direct_open(struct upstream_direct_call *c, const struct upstream_addresses *a)
{
	struct upstream_direct_conn *conn = c->retried ? NULL : upstream_direct_take(c->host);

	if (conn) {
		upstream_direct_use(conn, c);
	} else if (upstream_direct_may_open(c)) {
		c->where = UPSTREAM_DIRECT_ON_CONN;
		upstream_direct_open_start(c, a);
	}
}

static void
upstream_direct_named(struct upstream_names_wait *w, const struct upstream_addresses *a, const char *text)
{
	struct upstream_direct_call *c = (void *)((char *)w - offsetof(struct upstream_direct_call, name));

	c->where = UPSTREAM_DIRECT_NOWHERE;
	if (a) {
		upstream_direct_open(c, a);
		return;
	}
	snprintf(c->text, sizeof(c->text), "%s: %s", c->host->at.name, text);
	upstream_direct_host_free_slot(c->host);
	upstream_direct_call_end(c, UPSTREAM_ERESOLVE, c->text);
}

/* The turn of a queued call. */
static void
upstream_direct_acquire(struct upstream_direct_call *c)
{
	struct upstream_direct_host *h = c->host;
	struct upstream_addresses a = {.n = 0};

	c->phase = UPSTREAM_CONNECT;
	if ((!c->retried && !TAILQ_EMPTY(&h->idle)) || upstream_names_find(h->direct->names, h->at.name, &a)) {
		upstream_direct_open(c, &a);
		return;
	}
	c->phase = UPSTREAM_RESOLVE;
	c->where = UPSTREAM_DIRECT_NAMING;
	c->name.done = upstream_direct_named;
	upstream_names_ask(h->direct->names, h->at.name, &c->name);
}

static void
upstream_direct_kick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_direct *d = arg;
	struct upstream_direct_call *c;

	(void)fd;
	(void)what;
	while ((c = TAILQ_FIRST(&d->queue))) {
		TAILQ_REMOVE(&d->queue, c, link);
		c->where = c->conn ? UPSTREAM_DIRECT_ON_CONN : UPSTREAM_DIRECT_NOWHERE;
		if (c->conn)
			upstream_direct_conn_resume(c->conn);
		else
			upstream_direct_acquire(c);
	}
}

static struct upstream_call *
upstream_direct_start(struct upstream *u, const struct upstream_request *r, enum upstream_error *err)
{
	struct upstream_direct *d = u->direct;
	struct upstream_direct_host *h = upstream_direct_host_get(d, r->endpoint->url, r->insecure_tls);
	struct upstream_direct_call *c = TAILQ_FIRST(&d->pool);
	struct upstream_direct_conn *conn;

	if (!h) {
		*err = UPSTREAM_OK;
		return NULL;
	}
	if (c) {
		TAILQ_REMOVE(&d->pool, c, link);
		d->npool--;
	} else {
		c = xcalloc(1, sizeof(*c));
		upstream_call_init(u, &c->base, &upstream_direct_transport);
	}
	c->host = h;
	c->conn = NULL;
	c->where = UPSTREAM_DIRECT_NOWHERE;
	c->phase = UPSTREAM_CONNECT;
	c->base.connected = c->reused = c->answered = c->retried = false;
	upstream_direct_request_build(c, r);
	conn = TAILQ_EMPTY(&h->waiting) ? upstream_direct_take(h) : NULL;
	if (conn)
		upstream_direct_use(conn, c);
	else
		upstream_direct_enqueue(c);
	return &c->base;
}

static void
upstream_direct_resume(struct upstream_call *base)
{
	struct upstream_direct_call *c = (struct upstream_direct_call *)base;

	c->where = UPSTREAM_DIRECT_NOWHERE;
	upstream_direct_enqueue(c);
}

static void
upstream_direct_drop(struct upstream_call *base)
{
	struct upstream_direct_call *c = (struct upstream_direct_call *)base;
	struct upstream_direct_conn *conn = c->conn;

	if (c->where == UPSTREAM_DIRECT_QUEUED)
		TAILQ_REMOVE(&c->host->direct->queue, c, link);
	else if (c->where == UPSTREAM_DIRECT_WAITING)
		TAILQ_REMOVE(&c->host->waiting, c, link);
	else if (c->where == UPSTREAM_DIRECT_NAMING)
		upstream_names_leave(&c->name);
	/* It may have been woken for a free connection that another one waits for too. */
	if (!conn && c->where != UPSTREAM_DIRECT_WAITING)
		upstream_direct_host_free_slot(c->host);
	c->where = UPSTREAM_DIRECT_NOWHERE;
	c->conn = NULL;
	if (conn) {
		conn->call = NULL;
		if (conn->busy) {
			conn->corpse = c;
			return;
		}
		upstream_direct_conn_close(conn);
	}
	upstream_direct_call_recycle(c);
}

static enum upstream_phase
upstream_direct_phase(struct upstream_call *base)
{
	return ((struct upstream_direct_call *)base)->phase;
}

static bool
upstream_direct_is_reused(struct upstream_call *base)
{
	return ((struct upstream_direct_call *)base)->reused;
}

const struct upstream_transport upstream_direct_transport = {
	.start = upstream_direct_start,
	.resume = upstream_direct_resume,
	.drop = upstream_direct_drop,
	.phase = upstream_direct_phase,
	.is_reused = upstream_direct_is_reused,
};

struct upstream_direct *
upstream_direct_new(struct upstream *u)
{
	struct upstream_direct *d = xcalloc(1, sizeof(*d));

	d->u = u;
	d->names = upstream_names_of(u);
	for (unsigned i = 0; i < UPSTREAM_DIRECT_BUCKETS; i++)
		LIST_INIT(&d->host[i]);
	TAILQ_INIT(&d->queue);
	TAILQ_INIT(&d->pool);
	TAILQ_INIT(&d->idle);
	event_assign(&d->kick, u->base, -1, 0, upstream_direct_kick_cb, d);
	evtimer_assign(&d->reap, u->base, upstream_direct_reap_cb, d);
	return d;
}

void
upstream_direct_freep(struct upstream_direct **dp)
{
	struct upstream_direct *d = *dp;
	struct upstream_direct_conn *conn;
	struct upstream_direct_host *h;
	struct upstream_direct_call *c;

	if (!d)
		return;
	HALE_ASSERT(TAILQ_EMPTY(&d->queue));
	while ((conn = TAILQ_FIRST(&d->idle))) {
		upstream_direct_unkeep(conn);
		upstream_direct_conn_close(conn);
	}
	HALE_ASSERT(d->nconn == 0);
	for (unsigned i = 0; i < UPSTREAM_DIRECT_BUCKETS; i++)
		while ((h = LIST_FIRST(&d->host[i]))) {
			LIST_REMOVE(h, link);
			upstream_direct_host_free(h);
		}
	while ((c = TAILQ_FIRST(&d->pool))) {
		TAILQ_REMOVE(&d->pool, c, link);
		free(c->head);
		free(c);
	}
	event_del(&d->kick);
	event_del(&d->reap);
	xfreep(dp);
}

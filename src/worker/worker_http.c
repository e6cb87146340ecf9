/* The HTTP server: sockets, connections as a set, and everything that evhttp is told.
 *
 * evhttp accepts and owns the connection objects, their addresses and their ends. It does not parse what clients
 * send: its parser is lenient (bare LF, folded headers, signs in chunk sizes, missing Host, one inactivity timer),
 * it stops listening to the client while a request runs, and it costs more than the rest of a small request. So
 * a connection is taken out of its hands as soon as it is accepted (http_settle): its bufferevent loses the
 * descriptor and evhttp sees one request of our own (HTTP_TOKEN) that lasts as long as the connection, until
 * evhttp_connection_free() ends both. Reading, checking and framing is worker_http_conn.c, answers are
 * worker_http_reply.c.
 *
 * http_settle runs in the work event, which is queued before the new descriptor can be polled: there is no
 * moment in which evhttp could read. A request that it would take by itself all the same is dropped (http_gen_cb).
 *
 * Nothing is freed while a handler or callback may still hold it: ends are queued and done by http_work_cb.
 */
#include "hale/hale.h"

#include "worker_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/err.h"
#include "hale/log.h"
#include "worker_http_conn.h"

#define HTTP_TOKEN "GET / HTTP/1.1\r\n\r\n"

void
http_count(const struct http_server *s, enum counter c, int64_t by)
{
	if (s->table)
		counter_add(s->table, s->worker, c, by);
}

void
http_queue(struct http_req *r)
{
	struct http_server *s = r->server;

	if (r->queued)
		return;
	r->queued = true;
	TAILQ_INSERT_TAIL(&s->work, r, work);
	event_active(s->work_event, 0, 0);
}

/* evhttp asks for the bufferevent of a connection that it has accepted. */
static struct bufferevent *
http_bev_cb(struct event_base *base, void *arg)
{
	struct http_server *s = arg;
	struct http_req *r = xcalloc(1, sizeof(*r));

	r->server = s;
	r->phase = HTTP_FRESH;
	r->fd = -1;
	r->bev = bufferevent_socket_new(base, -1, 0); /* evhttp closes the descriptor */
	if (!r->bev)
		log_fatal(1, "out of memory"); /* NULL would make evhttp go on without us */
	bufferevent_incref(r->bev);
	strbuf_init(&r->extra, s->limits->header_bytes_max);
	evtimer_assign(&r->timer, base, http_conn_timer_cb, r);
	TAILQ_INSERT_TAIL(&s->conn, r, link);
	s->nconn++;
	http_queue(r);
	return r->bev;
}

static void
http_note_peer(struct http_req *r)
{
	const struct sockaddr *sa = evhttp_connection_get_addr(r->evcon);
	const void *addr = NULL;
	int family = sa->sa_family;

	if (family == AF_INET) {
		addr = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	} else if (family == AF_INET6) {
		const struct in6_addr *a6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

		addr = a6;
		if (IN6_IS_ADDR_V4MAPPED(a6)) {
			addr = &a6->s6_addr[12];
			family = AF_INET;
		}
	}
	if (!addr || !inet_ntop(family, addr, r->peer, sizeof(r->peer)))
		snprintf(r->peer, sizeof(r->peer), "unix");
}

/* Takes the descriptor of an accepted connection away from evhttp. false: evhttp gave the connection up half-way. */
static bool
http_detach(struct http_req *r)
{
	struct http_server *s = r->server;
	bufferevent_data_cb read, write;
	bufferevent_event_cb event;
	void *arg;

	bufferevent_getcb(r->bev, &read, &write, &event, &arg);
	r->fd = bufferevent_getfd(r->bev);
	if (read && r->fd != -1) {
		bufferevent_setfd(r->bev, -1);
		if (evbuffer_prepend(bufferevent_get_input(r->bev), HTTP_TOKEN, sizeof(HTTP_TOKEN) - 1) == 0) {
			s->detaching = r;
			read(r->bev, arg); /* evhttp's own: calls http_gen_cb */
			s->detaching = NULL;
		}
		if (!r->evcon)
			log_fatal(1, "out of memory");
	}
	bufferevent_decref(r->bev);
	r->bev = NULL;
	return r->evcon != NULL;
}

static void
http_settle(struct http_req *r)
{
	struct http_server *s = r->server;

	if (!http_detach(r)) {
		http_conn_kill(r);
		return;
	}
	event_assign(&r->readable, s->base, r->fd, EV_READ | EV_PERSIST, http_conn_read_cb, r);
	event_assign(&r->writable, s->base, r->fd, EV_WRITE, http_write_cb, r);
	http_note_peer(r);
	if (s->nconn - s->nrefused > s->limits->client_connections_max) {
		r->refused = true;
		s->nrefused++;
		http_count(s, COUNTER_CONNECTIONS_REFUSED, 1);
		http_conn_refuse(r, HTTP_FULL);
		/* Room for their answers to be read, but bounded too. */
		if (s->nrefused > s->limits->client_connections_max / 8 + 16)
			http_conn_kill(r);
		return;
	}
	r->counted = true;
	http_count(s, COUNTER_CONNECTIONS, 1);
	http_count(s, COUNTER_CONNECTIONS_OPEN, 1);
	event_add(&r->readable, NULL);
	http_conn_idle(r);
}

/* evhttp frees its connection, its request and the bufferevent, and closes the descriptor. */
static void
http_close(struct http_req *r)
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	event_del(&r->readable);
	event_del(&r->writable);
	if (r->taken)
		bufferevent_free(r->taken);
	/* This sends RST at once; evhttp's shutdown() would be a clean end. */
	if (r->reset)
		connect(r->fd, &nowhere, sizeof(nowhere));
	evhttp_connection_free(r->evcon);
}

static void
http_free(struct http_req *r)
{
	struct http_server *s = r->server;

	TAILQ_REMOVE(&s->conn, r, link);
	s->nconn--;
	if (r->refused)
		s->nrefused--;
	if (r->counted)
		http_count(s, COUNTER_CONNECTIONS_OPEN, -1);
	if (r->listed) {
		s->nrunning--;
		http_count(s, COUNTER_REQUESTS_OPEN, -1);
	}
	event_del(&r->timer);
	if (r->evcon)
		http_close(r);
	if (r->out)
		evbuffer_free(r->out);
	http_input_clear(r);
	strbuf_release(&r->extra);
	free(r->text);
	free(r->query);
	free(r->body);
	free(r);
}

static void
http_work_one(struct http_req *r)
{
	if (r->phase == HTTP_FRESH)
		http_settle(r);
	else if (r->phase == HTTP_DEAD)
		http_free(r);
	else if (r->broken)
		http_conn_gone(r);
	else
		http_conn_advance(r);
}

/* Handles what was queued before this run; what a handler queues meanwhile has its turn after other events. */
static void
http_work_cb(int fd, short what, void *arg)
{
	struct http_server *s = arg;
	struct http_req_list now = TAILQ_HEAD_INITIALIZER(now);
	struct http_req *r;

	(void)fd;
	(void)what;
	TAILQ_CONCAT(&now, &s->work, work);
	while ((r = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, r, work);
		r->queued = false;
		http_work_one(r);
	}
}

static void
http_gen_cb(struct evhttp_request *ereq, void *arg)
{
	struct http_server *s = arg;

	if (!s->detaching) {
		log_error("evhttp took a request by itself");
		evhttp_connection_free(evhttp_request_get_connection(ereq));
		return;
	}
	s->detaching->evcon = evhttp_request_get_connection(ereq);
}

static bool
http_is_loopback6(const struct in6_addr *a)
{
	return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

const char *
http_req_peer(const struct http_req *r)
{
	return r->peer;
}

bool
http_req_peer_is_loopback(const struct http_req *r)
{
	const struct sockaddr *sa = evhttp_connection_get_addr(r->evcon);

	if (sa->sa_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24) == 127;
	if (sa->sa_family == AF_INET6)
		return http_is_loopback6(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
	return sa->sa_family == AF_UNIX;
}

/* Out of descriptors: a level-triggered listener would spin until one is free. arg is evhttp's, so that waking it
 * is left to the next end of a connection and to http_tick_cb. */
static void
http_accept_error_cb(struct evconnlistener *l, void *arg)
{
	(void)arg;
	log_limited(log_warn, "accept: %s", strerror(errno));
	evconnlistener_disable(l);
}

static void
http_tick_cb(int fd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < s->nlisten; i++)
		evconnlistener_enable(s->listen[i].listener);
}

struct http_server *
worker_http_new(struct event_base *base, const struct conf_limits *limits, struct htable *t, unsigned w,
                http_handler_f handler, void *arg)
{
	struct http_server *s = xcalloc(1, sizeof(*s));
	struct timeval tick = {.tv_sec = 1};

	s->base = base;
	s->limits = limits;
	s->bounds = (struct http_bounds){.head_bytes = limits->header_bytes_max,
	                                 .fields = limits->header_count_max,
	                                 .uri_bytes = limits->uri_bytes_max,
	                                 .body_bytes = limits->body_bytes_max};
	s->input_max = (size_t)limits->header_bytes_max + 4096;
	s->scratch = xmalloc(HTTP_SCRATCH_BYTES);
	s->table = t;
	s->worker = w;
	s->handler = handler;
	s->arg = arg;
	TAILQ_INIT(&s->conn);
	TAILQ_INIT(&s->work);
	s->http = evhttp_new(base);
	s->work_event = event_new(base, -1, 0, http_work_cb, s);
	s->tick_event = event_new(base, -1, EV_PERSIST, http_tick_cb, s);
	if (!s->http || !s->work_event || !s->tick_event || event_add(s->tick_event, &tick) == -1)
		log_fatal(1, "out of memory");
	evhttp_set_bevcb(s->http, http_bev_cb, s);
	evhttp_set_gencb(s->http, http_gen_cb, s);
	return s;
}

int
worker_http_listen(struct http_server *s, int fd)
{
	struct evconnlistener *l;
	int one = 1;

	if (s->nlisten == HTTP_LISTENERS_MAX) {
		errno = ENOSPC;
		return HALE_ESYS;
	}
	/* Accepted sockets inherit it. Fails harmlessly on a unix socket. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	l = evconnlistener_new(s->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!l)
		return HALE_ESYS;
	s->listen[s->nlisten].listener = l;
	s->listen[s->nlisten].bound = evhttp_bind_listener(s->http, l);
	if (!s->listen[s->nlisten].bound) {
		evconnlistener_free(l);
		return HALE_ESYS;
	}
	evconnlistener_set_error_cb(l, http_accept_error_cb);
	s->nlisten++;
	return 0;
}

void
worker_http_drain(struct http_server *s)
{
	struct http_req *r;

	for (unsigned i = 0; i < s->nlisten; i++)
		evhttp_del_accept_socket(s->http, s->listen[i].bound);
	s->nlisten = 0;
	event_del(s->tick_event);
	if (s->draining)
		return;
	s->draining = true;
	TAILQ_FOREACH(r, &s->conn, link)
		if (r->phase == HTTP_IDLE)
			http_conn_idle(r);
}

unsigned
worker_http_connections(const struct http_server *s)
{
	return s->nconn;
}

unsigned
worker_http_requests(const struct http_server *s)
{
	return s->nrunning;
}

void
worker_http_freep(struct http_server **sp)
{
	struct http_server *s = *sp;
	struct http_req *r, *next;

	if (!s)
		return;
	worker_http_drain(s);
	s->freeing = true;
	TAILQ_FOREACH(r, &s->conn, link) {
		if (r->phase == HTTP_FRESH)
			http_settle(r);
		if (r->phase == HTTP_RUNNING || r->phase == HTTP_TAKEN)
			http_conn_gone(r);
	}
	TAILQ_FOREACH_SAFE(r, &s->conn, link, next)
		http_free(r);
	evhttp_free(s->http);
	free(s->scratch);
	event_free(s->work_event);
	event_free(s->tick_event);
	xfreep(sp);
}

/* libcurl's multi_socket interface on libevent.
 *
 * Hosts are hashed over `shards` multis, because a multi walks all of its hosts and connections again
 * and again (9,000 hosts in one are ten times dearer than in 64). New and resumed calls wait in
 * their shard's queue for an event that is activated, not timed: it runs in the same turn of the loop,
 * outside of all callbacks, and starts everything with one curl_multi_socket_action().
 *
 * A socket that libcurl lost interest in stays registered for reading as long as it is open, because
 * the next request on the kept connection wants exactly that again: no epoll_ctl per request. If
 * it becomes readable meanwhile (the peer closed), it is taken out then. This holds only for sockets
 * whose closing we see (opened by our function); the resolver's own are taken out at once.
 *
 * libcurl must not be entered from its own callbacks: while `busy`, dropped calls only go to the
 * doomed list.
 */
#include "hale/hale.h"

#include "upstream_curl.h"

#include <sys/socket.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/log.h"

#define UPSTREAM_CURL_POOL_MAX 512

struct upstream_curl_socket {
	struct event ev;
	struct upstream_curl_shard *shard;
	short want; /* EV_READ, EV_WRITE as registered; 0: not registered */
	bool ours;  /* opened by upstream_curl_open_cb, so its end is seen */
	bool lazy;  /* registered although libcurl does not ask for it now */
};

struct upstream_curl_shard {
	struct upstream_curl *curl;
	CURLM *multi;
	struct event timer, kick;
	struct upstream_curl_list queue, doomed;
	bool busy; /* libcurl is on the stack */
	bool due;  /* it asked for a timeout of 0 while busy */
};

struct upstream_curl {
	struct upstream *u;
	struct upstream_curl_shard *shard;
	unsigned nshard, npool;
	struct upstream_curl_list pool;
	struct upstream_curl_socket **socket; /* by descriptor */
	size_t nsocket;
};

static struct upstream_curl_socket *
upstream_curl_socket_get(struct upstream_curl *uc, curl_socket_t fd)
{
	size_t n = uc->nsocket;

	if ((size_t)fd >= n) {
		while ((size_t)fd >= n)
			n = n ? n * 2 : 64;
		uc->socket = xrealloc(uc->socket, n * sizeof(*uc->socket));
		memset(uc->socket + uc->nsocket, 0, (n - uc->nsocket) * sizeof(*uc->socket));
		uc->nsocket = n;
	}
	if (!uc->socket[fd])
		uc->socket[fd] = xcalloc(1, sizeof(**uc->socket));
	return uc->socket[fd];
}

static void
upstream_curl_socket_unwatch(struct upstream_curl_socket *s)
{
	if (s->want)
		event_del(&s->ev);
	s->want = 0;
	s->lazy = false;
}

static void
upstream_curl_socket_forget(struct upstream_curl *uc, curl_socket_t fd)
{
	if (fd < 0 || (size_t)fd >= uc->nsocket || !uc->socket[fd])
		return;
	upstream_curl_socket_unwatch(uc->socket[fd]);
	xfreep(&uc->socket[fd]);
}

static curl_socket_t
upstream_curl_open_cb(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct upstream_curl *uc = arg;
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);

	(void)purpose;
	if (fd == -1)
		return CURL_SOCKET_BAD;
	upstream_curl_socket_get(uc, fd)->ours = true;
	return fd;
}

static int
upstream_curl_close_cb(void *arg, curl_socket_t fd)
{
	upstream_curl_socket_forget(arg, fd);
	return close(fd);
}

/* Hands a call back to the pool; nobody refers to it any more. */
static void
upstream_curl_recycle(struct upstream_curl *uc, struct upstream_curl_call *c)
{
	c->state = UPSTREAM_CURL_IDLE;
	if (uc->npool >= UPSTREAM_CURL_POOL_MAX) {
		upstream_curl_call_free(c);
		return;
	}
	upstream_curl_call_reset(c);
	TAILQ_INSERT_HEAD(&uc->pool, c, link);
	uc->npool++;
}

static void
upstream_curl_remove(struct upstream_curl_call *c)
{
	curl_multi_remove_handle(c->shard->multi, c->easy);
	upstream_curl_recycle(c->shard->curl, c);
}

/* After libcurl returned: removes what was dropped meanwhile, reports what ended. */
static void
upstream_curl_reap(struct upstream_curl_shard *s)
{
	struct upstream_curl_call *c;
	CURLMsg *m;
	int left;

	while ((c = TAILQ_FIRST(&s->doomed))) {
		TAILQ_REMOVE(&s->doomed, c, link);
		upstream_curl_remove(c);
	}
	while ((m = curl_multi_info_read(s->multi, &left))) {
		CURLcode code = m->data.result;
		const char *text;
		enum upstream_error e;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		if (c->queued)
			TAILQ_REMOVE(&s->queue, c, link);
		c->queued = false;
		e = upstream_curl_call_verdict(c, code, &text);
		upstream_call_end(&c->base, e, text);
		upstream_curl_remove(c);
	}
}

static void
upstream_curl_action(struct upstream_curl_shard *s, curl_socket_t fd, int what)
{
	int running;

	s->busy = true;
	s->due = false;
	curl_multi_socket_action(s->multi, fd, what, &running);
	s->busy = false;
	if (s->due)
		event_active(&s->timer, EV_TIMEOUT, 0);
	upstream_curl_reap(s);
}

static void
upstream_curl_kick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_curl_shard *s = arg;
	struct upstream_curl_call *c;

	(void)fd;
	(void)what;
	s->busy = true;
	while ((c = TAILQ_FIRST(&s->queue))) {
		TAILQ_REMOVE(&s->queue, c, link);
		c->queued = false;
		if (c->state == UPSTREAM_CURL_ADDED) {
			curl_easy_pause(c->easy, CURLPAUSE_CONT);
			continue;
		}
		c->state = UPSTREAM_CURL_ADDED;
		if (curl_multi_add_handle(s->multi, c->easy) != CURLM_OK)
			log_fatal(1, "upstream: libcurl refused a handle: no memory");
	}
	upstream_curl_action(s, CURL_SOCKET_TIMEOUT, 0);
}

static void
upstream_curl_socket_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_curl_socket *s = arg;
	int mask = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

	if (s->lazy)
		upstream_curl_socket_unwatch(s);
	else
		upstream_curl_action(s->shard, fd, mask);
}

static int
upstream_curl_watch_cb(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	struct upstream_curl_shard *shard = arg;
	struct upstream_curl_socket *s = upstream_curl_socket_get(shard->curl, fd);
	short want = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));

	(void)easy;
	(void)unused;
	if (what == CURL_POLL_REMOVE) {
		if (!s->ours)
			upstream_curl_socket_forget(shard->curl, fd);
		else if (s->want == EV_READ)
			s->lazy = true;
		else
			upstream_curl_socket_unwatch(s);
		return 0;
	}
	s->lazy = false;
	if (s->want == want)
		return 0;
	upstream_curl_socket_unwatch(s);
	s->shard = shard;
	s->want = want;
	event_assign(&s->ev, shard->curl->u->base, fd, (short)(want | EV_PERSIST), upstream_curl_socket_cb, s);
	event_add(&s->ev, NULL);
	return 0;
}

static void
upstream_curl_timer_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	upstream_curl_action(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
upstream_curl_timeout_cb(CURLM *multi, long ms, void *arg)
{
	struct upstream_curl_shard *s = arg;
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	(void)multi;
	s->due = ms == 0 && s->busy;
	if (s->due)
		return 0;
	if (ms < 0)
		event_del(&s->timer);
	else
		event_add(&s->timer, &tv);
	return 0;
}

static void
upstream_curl_shard_init(struct upstream_curl_shard *s, struct upstream_curl *uc)
{
	const struct upstream_limits *l = &uc->u->limits;

	s->curl = uc;
	s->multi = curl_multi_init();
	if (!s->multi)
		log_fatal(1, "upstream: libcurl does not start");
	TAILQ_INIT(&s->queue);
	TAILQ_INIT(&s->doomed);
	evtimer_assign(&s->timer, uc->u->base, upstream_curl_timer_cb, s);
	event_assign(&s->kick, uc->u->base, -1, 0, upstream_curl_kick_cb, s);
	curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, upstream_curl_watch_cb);
	curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
	curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, upstream_curl_timeout_cb);
	curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
	curl_multi_setopt(s->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)l->host_connections_max);
	if (l->connections_max)
		curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)l->connections_max);
}

struct upstream_curl *
upstream_curl_new(struct upstream *u)
{
	struct upstream_curl *uc = xcalloc(1, sizeof(*uc));

	if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		log_fatal(1, "upstream: libcurl does not start");
	uc->u = u;
	uc->nshard = u->limits.shards ? u->limits.shards : 1;
	uc->shard = xcalloc(uc->nshard, sizeof(*uc->shard));
	TAILQ_INIT(&uc->pool);
	for (unsigned i = 0; i < uc->nshard; i++)
		upstream_curl_shard_init(&uc->shard[i], uc);
	return uc;
}

void
upstream_curl_freep(struct upstream_curl **ucp)
{
	struct upstream_curl *uc = *ucp;
	struct upstream_curl_call *c;

	if (!uc)
		return;
	for (unsigned i = 0; i < uc->nshard; i++) {
		struct upstream_curl_shard *s = &uc->shard[i];

		HALE_ASSERT(!s->busy && TAILQ_EMPTY(&s->queue) && TAILQ_EMPTY(&s->doomed));
		curl_multi_cleanup(s->multi);
		event_del(&s->timer);
		event_del(&s->kick);
	}
	while ((c = TAILQ_FIRST(&uc->pool))) {
		TAILQ_REMOVE(&uc->pool, c, link);
		upstream_curl_call_free(c);
	}
	for (size_t fd = 0; fd < uc->nsocket; fd++)
		upstream_curl_socket_forget(uc, (curl_socket_t)fd);
	free(uc->socket);
	free(uc->shard);
	curl_global_cleanup();
	xfreep(ucp);
}

/* FNV-1a over the origin: all requests to one host meet in one multi and share its connections. */
static struct upstream_curl_shard *
upstream_curl_shard_of(struct upstream_curl *uc, const char *url)
{
	size_t n = upstream_origin_len(url);
	uint64_t h = 0xcbf29ce484222325ULL;

	if (uc->nshard == 1)
		return uc->shard;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)url[i]) * 0x100000001b3ULL;
	return &uc->shard[(h ^ h >> 32) % uc->nshard];
}

static void
upstream_curl_enqueue(struct upstream_curl_call *c)
{
	struct upstream_curl_shard *s = c->shard;

	if (c->queued)
		return;
	TAILQ_INSERT_TAIL(&s->queue, c, link);
	c->queued = true;
	event_active(&s->kick, EV_TIMEOUT, 0);
}

static struct upstream_call *
upstream_curl_start(struct upstream *u, const struct upstream_request *r, enum upstream_error *err)
{
	struct upstream_curl *uc = u->curl;
	struct upstream_curl_call *c = TAILQ_FIRST(&uc->pool);

	(void)err;
	if (c) {
		TAILQ_REMOVE(&uc->pool, c, link);
		uc->npool--;
	} else {
		c = upstream_curl_call_new(u);
		curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETFUNCTION, upstream_curl_open_cb);
		curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETDATA, uc);
		curl_easy_setopt(c->easy, CURLOPT_CLOSESOCKETFUNCTION, upstream_curl_close_cb);
		curl_easy_setopt(c->easy, CURLOPT_CLOSESOCKETDATA, uc);
	}
	upstream_curl_call_setup(c, r);
	c->shard = upstream_curl_shard_of(uc, r->endpoint->url);
	c->state = UPSTREAM_CURL_NEW;
	upstream_curl_enqueue(c);
	return &c->base;
}

static void
upstream_curl_resume(struct upstream_call *base)
{
	upstream_curl_enqueue((struct upstream_curl_call *)base);
}

static void
upstream_curl_drop(struct upstream_call *base)
{
	struct upstream_curl_call *c = (struct upstream_curl_call *)base;
	struct upstream_curl_shard *s = c->shard;

	if (c->queued)
		TAILQ_REMOVE(&s->queue, c, link);
	c->queued = false;
	if (c->state == UPSTREAM_CURL_NEW) {
		upstream_curl_recycle(s->curl, c);
	} else if (s->busy) {
		c->state = UPSTREAM_CURL_DOOMED;
		TAILQ_INSERT_TAIL(&s->doomed, c, link);
	} else {
		upstream_curl_remove(c);
	}
}

const struct upstream_transport upstream_curl_transport = {
	.start = upstream_curl_start,
	.resume = upstream_curl_resume,
	.drop = upstream_curl_drop,
	.phase = upstream_curl_call_phase,
	.is_reused = upstream_curl_call_is_reused,
};

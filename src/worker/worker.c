/* A worker process from birth to drain.
 *
 * It owns one event base, one HTTP server on its slot's listening sockets, one pool of upstream
 * connections and its own lines of the shared segment; everything else it sees is read-only. It
 * waits for nobody: not for the prober (views are read from shared memory), not for Redis,
 * PostgreSQL or disk.
 *
 * It ends when the master says IPC_DRAIN and the last running request is answered, when the
 * control socket reports that the master is gone, or when a drain takes too long.
 */
#include "hale/hale.h"

#include "worker.h"

#include <event2/event.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/heritage.h"
#include "hale/htable.h"
#include "hale/ipc.h"
#include "hale/log.h"
#include "hale/proc.h"
#include "hale/provider.h"
#include "hale/upstream.h"
#include "worker_http.h"
#include "worker_rounds.h"
#include "worker_render_cache.h"
#include "worker_route.h"
#include "worker_route_table.h"
#include "worker_routes.h"

#define WORKER_LAST_ACCEPTS 100 /* turns of the loop that the last connections get when the daemon ends */

uint64_t
worker_random(struct worker *w)
{
	return worker_route_random(w->random, w->draws++);
}

void
worker_call_id(struct worker *w, char out[37])
{
	static const char hex[] = "0123456789abcdef";
	uint64_t bits[2] = {worker_random(w), worker_random(w)};
	unsigned k = 0;

	for (unsigned i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			out[i] = '-';
			continue;
		}
		out[i] = hex[bits[k / 16] >> (4 * (k % 16)) & 15];
		k++;
	}
	out[14] = '4';
	out[19] = hex[8 | (bits[1] & 3)];
	out[36] = '\0';
}

const struct endpoint *
worker_endpoint(struct worker *w, struct arena *a, const struct deployment *d, enum mode m, bool stream,
                const char *model)
{
	size_t at = ((size_t)d->index * MODE_COUNT + (size_t)m) * 2 + stream;
	const struct provider_op *op = d->provider->op[m];
	struct endpoint *e;

	if (op == NULL || op->endpoint == NULL)
		return NULL;
	if (model == NULL && w->endpoint[at])
		return w->endpoint[at];
	if (model == NULL)
		a = w->endpoint_arena;
	e = arena_alloc(a, sizeof(*e));
	if (op->endpoint(a, op, d, model ? model : d->upstream_model, stream, e) != 0)
		return NULL;
	if (model == NULL)
		w->endpoint[at] = e;
	return e;
}

static void
worker_end(struct worker *w, int code)
{
	w->exit_code = code;
	event_base_loopbreak(w->base);
}

/* Do connections wait in one of our listening sockets? */
static bool
worker_has_queue(const struct heritage *h)
{
	for (unsigned i = 0; i < h->nlisten; i++) {
		struct pollfd p = {.fd = h->listen_fd[i], .events = POLLIN};

		if (poll(&p, 1, 0) == 1)
			return true;
	}
	return false;
}

/* Stops to listen. Our copies are closed too: when the whole daemon ends they are the last ones, and a
 * client must be refused and not wait for nobody. */
static void
worker_stop_listening(struct worker *w)
{
	w->listening = false;
	worker_http_drain(w->http);
	for (unsigned i = 0; i < w->heritage->nlisten; i++)
		close(w->heritage->listen_fd[i]);
}

/* While draining: ends as soon as nothing runs. The master bounds the time. */
static void
worker_drain_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct timeval again = {0, 20000}, at_once = {0, 0};

	(void)fd;
	(void)what;
	if (w->listening && w->last_accepts > 0 && worker_has_queue(w->heritage)) {
		w->last_accepts--;
		evtimer_add(w->drain_timer, &at_once);
		return;
	}
	if (w->listening)
		worker_stop_listening(w);
	if (worker_http_connections(w->http) == 0)
		worker_end(w, PROC_EXIT_ASKED);
	else
		evtimer_add(w->drain_timer, &again);
}

static void
worker_deadline_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct worker_task *t, *next;
	unsigned n = 0;

	(void)fd;
	(void)what;
	for (t = TAILQ_FIRST(&w->running); t; t = next) {
		next = TAILQ_NEXT(t, entry);
		t->end(t);
		n++;
	}
	if (n)
		log_warn("drain timeout, requests ended with an error: %u", n);
}

static void
worker_drain(struct worker *w)
{
	struct htable_daemon d;
	struct timeval bound;

	if (w->leaving)
		return;
	w->leaving = true;
	/* After a reload a successor takes what is queued. When the daemon ends nobody would. */
	htable_read_daemon(w->table, &d);
	if (d.state == DAEMON_DRAINING)
		w->last_accepts = WORKER_LAST_ACCEPTS;
	w->draining = d.state == DAEMON_DRAINING;
	bound = (struct timeval){w->conf->limits.drain_timeout_ms / 1000, w->conf->limits.drain_timeout_ms % 1000 * 1000};
	evtimer_add(w->deadline, &bound);
	log_debug("draining connections=%u requests=%u", worker_http_connections(w->http),
	          worker_http_requests(w->http));
	worker_drain_cb(-1, 0, w);
}

static void
worker_control_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct ipc_msg m;
	int r;

	(void)what;
	while ((r = ipc_recv(fd, &m)) == 0)
		if (m.type == IPC_DRAIN)
			worker_drain(w);
	if (r == HALE_EBUSY)
		return;
	log_info("master is gone, ending");
	worker_end(w, PROC_EXIT_ASKED);
}

static struct event_base *
worker_base_new(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;

	if (cfg == NULL)
		log_fatal(PROC_EXIT_CRASH, "event_config_new failed");
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (base == NULL)
		log_fatal(PROC_EXIT_CRASH, "event_base_new failed");
	return base;
}

static void
worker_init(struct worker *w, const struct heritage *h)
{
	const struct conf_limits *l = &h->conf->limits;
	struct upstream_limits ul = {.connections_max = l->upstream_connections_max,
	                             .host_connections_max = l->upstream_host_connections_max,
	                             .idle_timeout_ms = l->upstream_idle_timeout_ms,
	                             .shards = 1,
	                             .direct = true};

	*w = (struct worker){.heritage = h, .conf = h->conf, .table = h->table, .index = (unsigned)h->index};
	if (getrandom(&w->random, sizeof(w->random), 0) != sizeof(w->random))
		log_fatal(PROC_EXIT_CRASH, "getrandom failed");
	if (htable_protect(w->table, h->index) != 0)
		log_fatal(PROC_EXIT_CRASH, "cannot protect the shared segment");
	w->base = worker_base_new();
	w->endpoint_arena = arena_new(0);
	w->entries = worker_render_cache_new(w->conf->ndeployment, w->conf->limits.health_cache_bytes_max);
	w->routes = worker_route_table_new(w->conf);
	w->endpoint = xcalloc((size_t)w->conf->ndeployment * MODE_COUNT * 2, sizeof(*w->endpoint));
	w->upstream = upstream_new(w->base, &ul);
	w->rounds = worker_rounds_new(w);
	w->http = worker_http_new(w->base, l, w->table, w->index, worker_routes_dispatch, w);
	TAILQ_INIT(&w->running);
	w->drain_timer = evtimer_new(w->base, worker_drain_cb, w);
	w->deadline = evtimer_new(w->base, worker_deadline_cb, w);
	w->control = event_new(w->base, h->control_fd, EV_READ | EV_PERSIST, worker_control_cb, w);
	if (w->drain_timer == NULL || w->deadline == NULL || w->control == NULL || event_add(w->control, NULL) != 0)
		log_fatal(PROC_EXIT_CRASH, "cannot watch the control socket");
	/* Listening comes last: the first request finds everything in place. */
	w->listening = true;
	for (unsigned i = 0; i < h->nlisten; i++)
		if (worker_http_listen(w->http, h->listen_fd[i]) != 0)
			log_fatal(PROC_EXIT_CRASH, "cannot listen fd=%d", h->listen_fd[i]);
}

static void
worker_release(struct worker *w)
{
	worker_http_freep(&w->http);
	worker_rounds_freep(&w->rounds);
	upstream_freep(&w->upstream);
	event_free(w->control);
	event_free(w->drain_timer);
	event_free(w->deadline);
	free(w->endpoint);
	worker_render_cache_freep(&w->entries);
	worker_route_table_freep(&w->routes);
	arena_freep(&w->endpoint_arena);
	event_base_free(w->base);
}

int
worker_main(const struct heritage *h)
{
	struct ipc_msg ready = {.type = IPC_READY};
	struct worker w;

	proc_child_init("worker", h->index, h->master_pid);
	log_init("worker", h->index, h->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	worker_init(&w, h);
	if (ipc_send(h->control_fd, &ready) != 0)
		log_fatal(PROC_EXIT_CRASH, "cannot report to the master");
	if (event_base_dispatch(w.base) == -1)
		log_fatal(PROC_EXIT_CRASH, "event loop failed");
	worker_release(&w);
	return w.exit_code;
}

/* On-demand probe rounds, the worker's half of the single flight.
 *
 * Requests for the same scope share one round; the prober joins the rounds of different workers.
 * The round socket outlives the prober, so a message may be answered by a successor or, when the
 * prober died after reading it, by nobody: while a round runs, a timer compares the prober's epoch
 * with the one the round was asked in and asks again when it changed.
 *
 * Rounds are few (one per scope), so a list is enough; waiters may be thousands.
 */
#include "hale/hale.h"

#include "worker_rounds.h"

#include <event2/event.h>
#include <sys/queue.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/err.h"
#include "hale/heritage.h"
#include "hale/htable.h"
#include "hale/log.h"
#include "hale/outcome.h"
#include "hale/proc.h"
#include "worker.h"

#define ROUNDS_TICK_MS 100

struct worker_waiter {
	TAILQ_ENTRY(worker_waiter) entry;
	void (*done)(void *arg, int err);
	void *arg;
};

struct worker_round {
	TAILQ_ENTRY(worker_round) entry;
	TAILQ_HEAD(, worker_waiter) waiters;
	uint64_t id, epoch, start_ns;
	enum ipc_scope scope;
	uint32_t index;
	bool sent;
};

struct worker_rounds {
	struct worker *w;
	TAILQ_HEAD(, worker_round) rounds;
	struct event *readable, *tick;
	uint64_t last_id;
	unsigned waiting;
	bool gone; /* no prober will ever answer: its last process of this generation ended */
};

static void
worker_rounds_send(struct worker_rounds *rs, struct worker_round *r)
{
	struct ipc_msg m = {.type = IPC_ROUND, .a = r->id, .b = r->scope, .c = r->index};
	struct htable_daemon d;

	htable_read_daemon(rs->w->table, &d);
	r->epoch = d.prober_epoch;
	r->sent = ipc_send(rs->w->heritage->round_fd[0], &m) == 0; /* a full queue is tried again by the tick */
}

static void
worker_rounds_finish(struct worker_rounds *rs, struct worker_round *r, int err)
{
	struct worker_waiter *x;

	/* Unlinked first: a waiter's answer may ask for the next round of the same scope. */
	TAILQ_REMOVE(&rs->rounds, r, entry);
	while ((x = TAILQ_FIRST(&r->waiters)) != NULL) {
		TAILQ_REMOVE(&r->waiters, x, entry);
		rs->waiting--;
		if (x->done)
			x->done(x->arg, err);
		free(x);
	}
	free(r);
}

static void
worker_rounds_readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker_rounds *rs = arg;
	struct worker_round *r;
	struct ipc_msg m;
	int rc;

	(void)what;
	while ((rc = ipc_recv(fd, &m)) == 0 || rc == HALE_EINVAL) {
		if (rc != 0 || m.type != IPC_ROUND_DONE)
			continue;
		TAILQ_FOREACH(r, &rs->rounds, entry)
			if (r->id == m.a)
				break;
		if (r) /* else: an answer to a predecessor of this worker, or to a round that timed out */
			worker_rounds_finish(rs, r, (int)(int64_t)m.b);
	}
	if (rc == HALE_EBUSY)
		return;
	rs->gone = true; /* the table is the best answer that there is */
	event_del(rs->readable);
	while ((r = TAILQ_FIRST(&rs->rounds)) != NULL)
		worker_rounds_finish(rs, r, HALE_EBUSY);
}

static void
worker_rounds_arm(struct worker_rounds *rs)
{
	struct timeval tv = {0, ROUNDS_TICK_MS * 1000};

	if (!TAILQ_EMPTY(&rs->rounds) && !evtimer_pending(rs->tick, NULL))
		evtimer_add(rs->tick, &tv);
}

static void
worker_rounds_tick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct worker_rounds *rs = arg;
	uint64_t now = clock_mono_ns(), bound = rs->w->conf->limits.health_round_timeout_ms * NS_PER_MS;
	struct worker_round *r, *next;
	struct htable_daemon d;

	(void)fd;
	(void)what;
	htable_read_daemon(rs->w->table, &d);
	for (r = TAILQ_FIRST(&rs->rounds); r; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (rs->gone) {
			worker_rounds_finish(rs, r, HALE_EBUSY);
		} else if (now - r->start_ns >= bound) {
			log_limited(log_warn, "probe round timed out scope=%d index=%u", (int)r->scope, r->index);
			worker_rounds_finish(rs, r, HALE_EBUSY);
		} else if (!r->sent || r->epoch != d.prober_epoch) {
			worker_rounds_send(rs, r);
		}
	}
	worker_rounds_arm(rs);
}

struct worker_rounds *
worker_rounds_new(struct worker *w)
{
	struct worker_rounds *rs = xcalloc(1, sizeof(*rs));

	rs->w = w;
	TAILQ_INIT(&rs->rounds);
	/* Ids continue where no predecessor of this slot can have been: answers to it are not ours. */
	rs->last_id = clock_mono_ns();
	rs->readable = event_new(w->base, w->heritage->round_fd[0], EV_READ | EV_PERSIST, worker_rounds_readable_cb, rs);
	rs->tick = evtimer_new(w->base, worker_rounds_tick_cb, rs);
	if (rs->readable == NULL || rs->tick == NULL || event_add(rs->readable, NULL) != 0)
		log_fatal(PROC_EXIT_CRASH, "cannot watch the round socket");
	return rs;
}

void
worker_rounds_freep(struct worker_rounds **rp)
{
	struct worker_rounds *rs = *rp;
	struct worker_round *r;

	if (rs == NULL)
		return;
	while ((r = TAILQ_FIRST(&rs->rounds)) != NULL)
		worker_rounds_finish(rs, r, HALE_EBUSY);
	event_free(rs->readable);
	event_free(rs->tick);
	xfreep(rp);
}

static struct worker_round *
worker_rounds_start(struct worker_rounds *rs, enum ipc_scope scope, uint32_t index)
{
	struct worker_round *r = xcalloc(1, sizeof(*r));

	TAILQ_INIT(&r->waiters);
	r->id = ++rs->last_id;
	r->scope = scope;
	r->index = index;
	r->start_ns = clock_mono_ns();
	TAILQ_INSERT_TAIL(&rs->rounds, r, entry);
	counter_add(rs->w->table, rs->w->index, COUNTER_ROUNDS, 1);
	worker_rounds_send(rs, r);
	worker_rounds_arm(rs);
	return r;
}

struct worker_waiter *
worker_rounds_ask(struct worker_rounds *rs, enum ipc_scope scope, uint32_t index, void (*done)(void *arg, int err),
                  void *arg)
{
	struct worker_waiter *x;
	struct worker_round *r;

	if (rs->waiting >= rs->w->conf->limits.health_waiters_max) {
		counter_add(rs->w->table, rs->w->index, COUNTER_ROUNDS_REFUSED, 1);
		return NULL;
	}
	TAILQ_FOREACH(r, &rs->rounds, entry)
		if (r->scope == scope && r->index == index)
			break;
	if (r)
		counter_add(rs->w->table, rs->w->index, COUNTER_ROUNDS_JOINED, 1);
	else
		r = worker_rounds_start(rs, scope, index);
	x = xmalloc(sizeof(*x));
	*x = (struct worker_waiter){.done = done, .arg = arg};
	TAILQ_INSERT_TAIL(&r->waiters, x, entry);
	rs->waiting++;
	return x;
}

/* It stays in its round's list, so that a client that comes and goes cannot exceed health_waiters_max. */
void
worker_rounds_forget(struct worker_waiter *x)
{
	x->done = NULL;
	x->arg = NULL;
}

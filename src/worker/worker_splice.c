/* The splice: bytes from one bufferevent's input to the other one's output, and the ends of both.
 *
 * Nothing is parsed but the lengths of the frames that go to the client, so that a close frame of ours
 * can stand between two of them. Back-pressure is per direction: when more than
 * client_buffer_bytes_max wait for a receiver, its sender is not read until half of that is gone.
 * Memory of a session is so bounded by twice that and two reads.
 *
 * An end is passed on when everything before it is out; a connection that broke takes
 * nothing more. From the first end on the session has SPLICE_LINGER_MS from its last
 * progress; before that, realtime_idle_timeout_ms. One timer serves both and is not moved by
 * traffic: it looks at last_ns when it fires.
 */
#include "hale/hale.h"

#include "worker_splice.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/outcome.h"
#include "hale/tunnel.h"
#include "hale/ws_frame.h"
#include "worker.h"

#define SPLICE_LINGER_MS 2000
#define SPLICE_TOLD_MS 300 /* the master does not wait much longer for a worker that drains */
#define SPLICE_PEEK_MAX 16

struct splice_side {
	struct splice *s;
	struct bufferevent *bev;
	struct tunnel *tunnel; /* NULL: the client's side */
	bool eof;              /* it says nothing more */
	bool shut;             /* it is told nothing more */
	bool broken;           /* it can be told nothing more */
	bool paused;           /* not read: the other side is slow */
	size_t waiting;        /* bytes of its output when the timer last looked */
};

struct splice {
	struct worker *w;
	struct splice_side side[2]; /* client, upstream */
	struct ws_frame_track track; /* of what goes to the client */
	struct event timer;
	struct event finish; /* done() is called from here, never from inside new or close */
	uint64_t last_ns;
	size_t buffer_max;
	bool ending;
	enum splice_end end;
	void (*done)(void *arg, enum splice_end e);
	void *arg;
};

const char *
worker_splice_end_name(enum splice_end e)
{
	static const char *const names[] = {"client", "upstream", "idle", "shutdown"};

	return names[e];
}

static struct splice_side *
worker_splice_other(struct splice_side *side)
{
	return &side->s->side[side == &side->s->side[0]];
}

static size_t
worker_splice_pending(const struct splice_side *side)
{
	return evbuffer_get_length(bufferevent_get_output(side->bev));
}

/* 0: no such limit. */
static uint64_t
worker_splice_limit_ms(const struct splice *s)
{
	if (!s->ending)
		return s->w->conf->limits.realtime_idle_timeout_ms;
	return s->end == SPLICE_TOLD ? SPLICE_TOLD_MS : SPLICE_LINGER_MS;
}

static void
worker_splice_arm(struct splice *s)
{
	uint64_t limit_ms = worker_splice_limit_ms(s), now = clock_mono_ns(), due, us;
	struct timeval tv;

	if (limit_ms == 0)
		return;
	due = s->last_ns + limit_ms * NS_PER_MS;
	us = due > now ? (due - now) / 1000 + 1 : 0;
	tv = (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
	event_add(&s->timer, &tv);
}

static void
worker_splice_begin_end(struct splice *s, enum splice_end e)
{
	if (s->ending)
		return;
	s->ending = true;
	s->end = e;
	s->last_ns = clock_mono_ns();
	worker_splice_arm(s);
}

static void
worker_splice_shut(struct splice_side *side)
{
	side->shut = true;
	if (side->broken)
		return;
	if (side->tunnel)
		tunnel_shut(side->tunnel);
	else
		shutdown(bufferevent_getfd(side->bev), SHUT_WR);
}

/* Passes ends on as far as the bytes before them are out. */
static void
worker_splice_settle(struct splice *s)
{
	for (int i = 0; i < 2; i++) {
		struct splice_side *side = &s->side[i];

		if (!side->shut &&
		    (side->broken || (worker_splice_other(side)->eof && worker_splice_pending(side) == 0)))
			worker_splice_shut(side);
	}
	if (s->side[0].shut && s->side[1].shut)
		event_active(&s->finish, EV_TIMEOUT, 0);
}

static void
worker_splice_follow(struct splice *s, struct evbuffer *in)
{
	struct evbuffer_iovec v[SPLICE_PEEK_MAX];
	struct evbuffer_ptr at;
	size_t left = evbuffer_get_length(in);

	evbuffer_ptr_set(in, &at, 0, EVBUFFER_PTR_SET);
	while (left) {
		int n = evbuffer_peek(in, (ev_ssize_t)left, &at, v, SPLICE_PEEK_MAX);
		size_t seen = 0;

		n = n < SPLICE_PEEK_MAX ? n : SPLICE_PEEK_MAX;
		for (int i = 0; i < n; i++) {
			size_t len = v[i].iov_len < left - seen ? v[i].iov_len : left - seen;

			ws_frame_follow(&s->track, v[i].iov_base, len);
			seen += len;
		}
		left -= seen;
		if (left)
			evbuffer_ptr_set(in, &at, seen, EVBUFFER_PTR_ADD);
	}
}

static void
worker_splice_move(struct splice_side *side)
{
	struct splice_side *to = worker_splice_other(side);
	struct evbuffer *in = bufferevent_get_input(side->bev);
	struct splice *s = side->s;

	if (evbuffer_get_length(in) == 0)
		return;
	s->last_ns = clock_mono_ns();
	if (to->shut || to->broken) {
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	if (side->tunnel)
		worker_splice_follow(s, in);
	bufferevent_write_buffer(to->bev, in);
	if (worker_splice_pending(to) > s->buffer_max && !side->paused) {
		side->paused = true;
		bufferevent_disable(side->bev, EV_READ);
		counter_add(s->w->table, s->w->index, COUNTER_BUFFER_PAUSES, 1);
	}
}

static void
worker_splice_read_cb(struct bufferevent *bev, void *arg)
{
	(void)bev;
	worker_splice_move(arg);
}

/* Half of what the side was sent is out. */
static void
worker_splice_write_cb(struct bufferevent *bev, void *arg)
{
	struct splice_side *side = arg, *from = worker_splice_other(side);

	(void)bev;
	side->s->last_ns = clock_mono_ns();
	if (from->paused) {
		from->paused = false;
		if (!from->eof)
			bufferevent_enable(from->bev, EV_READ);
	}
	if (from->eof)
		worker_splice_settle(side->s);
}

static void
worker_splice_event_cb(struct bufferevent *bev, short what, void *arg)
{
	struct splice_side *side = arg;

	(void)bev;
	worker_splice_move(side);
	side->eof = true;
	if (!(what & BEV_EVENT_EOF)) {
		side->broken = true;
		bufferevent_disable(side->bev, EV_READ | EV_WRITE);
	}
	worker_splice_begin_end(side->s, side->tunnel ? SPLICE_UPSTREAM : SPLICE_CLIENT);
	worker_splice_settle(side->s);
}

/* A receiver that takes bytes is alive, however slowly it does. */
static bool
worker_splice_progressed(struct splice *s)
{
	bool progress = false;

	for (int i = 0; i < 2; i++) {
		size_t now = worker_splice_pending(&s->side[i]);

		progress |= now != s->side[i].waiting && now > 0;
		s->side[i].waiting = now;
	}
	return progress;
}

/* The last word of ours to the client, where it cuts no frame. The upstream is not listened to any more,
 * and told so when the client has nothing more to say. */
static void
worker_splice_goodbye(struct splice *s, enum splice_end e, const char *reason)
{
	struct splice_side *client = &s->side[0], *upstream = &s->side[1];
	unsigned char frame[WS_FRAME_CLOSE_MAX];

	worker_splice_begin_end(s, e);
	upstream->eof = true;
	bufferevent_disable(upstream->bev, EV_READ);
	if (!s->track.closed && !client->broken && !client->shut && ws_frame_is_boundary(&s->track))
		bufferevent_write(client->bev, frame,
		                  ws_frame_close(WS_CLOSE_GOING_AWAY, reason, NULL, frame));
	else if (!s->track.closed)
		client->broken = upstream->broken = true;
	s->track.closed = true;
	worker_splice_settle(s);
}

static void
worker_splice_timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct splice *s = arg;
	uint64_t now = clock_mono_ns();

	(void)fd;
	(void)what;
	if (worker_splice_progressed(s))
		s->last_ns = now;
	if (now - s->last_ns < worker_splice_limit_ms(s) * NS_PER_MS)
		worker_splice_arm(s);
	else if (s->ending)
		s->done(s->arg, s->end);
	else
		worker_splice_goodbye(s, SPLICE_IDLE, "no traffic for realtime_idle_timeout_ms");
}

static void
worker_splice_finish_cb(evutil_socket_t fd, short what, void *arg)
{
	struct splice *s = arg;

	(void)fd;
	(void)what;
	s->done(s->arg, s->end);
}

static void
worker_splice_side(struct splice *s, int i, struct bufferevent *bev, struct tunnel *t)
{
	s->side[i] = (struct splice_side){.s = s, .bev = bev, .tunnel = t};
	bufferevent_setcb(bev, worker_splice_read_cb, worker_splice_write_cb, worker_splice_event_cb,
	                  &s->side[i]);
	bufferevent_setwatermark(bev, EV_WRITE, s->buffer_max / 2, 0);
	bufferevent_setwatermark(bev, EV_READ, 0, 0);
}

struct splice *
worker_splice_new(struct worker *w, struct bufferevent *client, struct tunnel *t,
                  struct bufferevent *upstream, void (*done)(void *arg, enum splice_end e), void *arg)
{
	struct splice *s = xcalloc(1, sizeof(*s));

	s->w = w;
	s->done = done;
	s->arg = arg;
	s->buffer_max = w->conf->limits.client_buffer_bytes_max;
	s->last_ns = clock_mono_ns();
	evtimer_assign(&s->timer, w->base, worker_splice_timer_cb, s);
	evtimer_assign(&s->finish, w->base, worker_splice_finish_cb, s);
	worker_splice_side(s, 0, client, NULL);
	worker_splice_side(s, 1, upstream, t);
	for (int i = 0; i < 2; i++) {
		bufferevent_enable(s->side[i].bev, EV_READ | EV_WRITE);
		worker_splice_move(&s->side[i]);
	}
	worker_splice_arm(s);
	return s;
}

void
worker_splice_freep(struct splice **sp)
{
	struct splice *s = *sp;

	if (!s)
		return;
	for (int i = 0; i < 2; i++) {
		bufferevent_disable(s->side[i].bev, EV_READ | EV_WRITE);
		bufferevent_setcb(s->side[i].bev, NULL, NULL, NULL, NULL);
	}
	event_del(&s->timer);
	event_del(&s->finish);
	xfreep(sp);
}

void
worker_splice_close(struct splice *s, const char *reason)
{
	worker_splice_goodbye(s, SPLICE_TOLD, reason);
}

/* One realtime session, opened to see whether it can be.
 *
 * The handshake alone proves little: OpenAI accepts nearly every connection with 101 and only then looks at
 * the key and the account; what it thinks comes as the first event. That event is waited for, and nothing is
 * asked: a session without a request costs nothing. Servers that people run themselves may have nothing to
 * say first, so their silence is taken for consent after CHECK_WS_QUIET_MS: long enough for a refusal to
 * arrive from anywhere, short beside any interval.
 *
 * This file moves bytes; what an event means is prober_event.c.
 */
#include "hale/hale.h"

#include "prober_check_ws.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/strbuf.h"
#include "hale/tunnel.h"
#include "hale/ws_frame.h"
#include "prober_event.h"

#define CHECK_WS_QUIET_MS 3000
#define CHECK_WS_EVENT_BYTES 65536 /* of the first event */

struct prober_check_ws {
	const struct upstream_ops *ops;
	void *arg;
	bool quiet;
	uint64_t start_ns, deadline_ns;
	struct tunnel *tunnel;
	struct bufferevent *bev; /* the tunnel's, once it is open */
	struct event timer;
	bool timed; /* timer is assigned */
	struct ws_frame_reader reader;
	struct strbuf event;
	bool decided; /* by result, which is reported when the close frame is out */
	struct upstream_result result;
};

static void
prober_check_ws_release(struct prober_check_ws *w)
{
	if (w->timed)
		event_del(&w->timer);
	tunnel_freep(&w->tunnel);
	ws_frame_reader_release(&w->reader);
	strbuf_release(&w->event);
	free(w);
}

void
prober_check_ws_cancel(struct prober_check_ws *w)
{
	prober_check_ws_release(w);
}

static uint32_t
prober_check_ws_elapsed_us(const struct prober_check_ws *w)
{
	uint64_t us = (clock_mono_ns() - w->start_ns) / 1000;

	return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void
prober_check_ws_report(struct prober_check_ws *w)
{
	struct upstream_result r = w->result;
	const struct upstream_ops *ops = w->ops;
	void *arg = w->arg;

	if (r.status && w->event.len)
		ops->body(arg, strbuf_str(&w->event), w->event.len);
	prober_check_ws_release(w);
	ops->end(arg, &r);
}

/* The verdict over an open session. Says goodbye, and reports when that is written. */
static void
prober_check_ws_decide(struct prober_check_ws *w, enum upstream_error e, int status, const char *text)
{
	static const struct timeval goodbye = {.tv_sec = 1};
	unsigned char mask[4], frame[WS_FRAME_CLOSE_MAX];

	w->decided = true;
	w->result = (struct upstream_result){
		.error = e,
		.phase = e == UPSTREAM_OK ? UPSTREAM_DONE : UPSTREAM_BODY,
		.status = e == UPSTREAM_OK ? status : 0,
		.head_us = w->result.head_us,
		.total_us = prober_check_ws_elapsed_us(w),
		.text = text,
	};
	bufferevent_disable(w->bev, EV_READ);
	if (e == UPSTREAM_ERESET) {
		prober_check_ws_report(w);
		return;
	}
	event_add(&w->timer, &goodbye);
	arc4random_buf(mask, sizeof(mask));
	bufferevent_write(w->bev, frame, ws_frame_close(WS_CLOSE_NORMAL, "", mask, frame));
}

static void
prober_check_ws_write_cb(struct bufferevent *bev, void *arg)
{
	struct prober_check_ws *w = arg;

	(void)bev;
	if (w->decided)
		prober_check_ws_report(w);
}

static void
prober_check_ws_read_cb(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct prober_check_ws *w = arg;
	size_t len = evbuffer_get_length(in), used = 0;
	enum ws_frame_event e;
	int status;

	if (len == 0 || w->decided)
		return;
	e = ws_frame_read(&w->reader, evbuffer_pullup(in, -1), len, &used);
	evbuffer_drain(in, used);
	if (e == WS_FRAME_BAD) {
		prober_check_ws_decide(w, UPSTREAM_EPROTOCOL, 0, w->reader.text);
	} else if (e == WS_FRAME_CLOSED) {
		status = prober_event_close(w->reader.close_code, strbuf_str(&w->reader.message), &w->event);
		prober_check_ws_decide(w, UPSTREAM_OK, status, "");
	} else if (e == WS_FRAME_MESSAGE) {
		status = prober_event_status(strbuf_str(&w->reader.message), w->reader.message.len);
		strbuf_add(&w->event, strbuf_str(&w->reader.message), w->reader.message.len);
		if (status < 0)
			prober_check_ws_decide(w, UPSTREAM_EPROTOCOL, 0, "the first message is not an event");
		else
			prober_check_ws_decide(w, UPSTREAM_OK, status ? status : 101, "");
	}
}

static void
prober_check_ws_event_cb(struct bufferevent *bev, short what, void *arg)
{
	struct prober_check_ws *w = arg;

	(void)bev;
	(void)what;
	if (w->decided) /* the goodbye could not be said */
		prober_check_ws_report(w);
	else
		prober_check_ws_decide(w, UPSTREAM_ERESET, 0, "the connection ended before the first event");
}

/* Nothing came, or the goodbye is not taken. */
static void
prober_check_ws_timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct prober_check_ws *w = arg;

	(void)fd;
	(void)what;
	if (w->decided)
		prober_check_ws_report(w);
	else if (w->quiet)
		prober_check_ws_decide(w, UPSTREAM_OK, 101, "");
	else
		prober_check_ws_decide(w, UPSTREAM_ETIMEOUT, 0, "timeout while waiting for the first event");
}

/* A 2xx that is not 101, or an error of the transport. */
static void
prober_check_ws_failed(struct prober_check_ws *w, const struct tunnel_result *t)
{
	w->tunnel = NULL;
	w->result = (struct upstream_result){
		.error = t->error,
		.phase = t->phase,
		.status = t->status == 101 ? 0 : t->status,
		.head_us = t->total_us,
		.total_us = t->total_us,
		.text = t->text,
	};
	if (t->error == UPSTREAM_OK && t->status < 300) {
		w->result.error = UPSTREAM_EPROTOCOL;
		w->result.phase = UPSTREAM_HEAD;
		w->result.status = 0;
		w->result.text = "the upstream does not upgrade to WebSocket";
	}
	strbuf_add(&w->event, t->body, t->body_len);
	prober_check_ws_report(w);
}

static void
prober_check_ws_done_cb(void *arg, const struct tunnel_result *t)
{
	struct prober_check_ws *w = arg;
	uint64_t now = clock_mono_ns(), left_ms = w->deadline_ns > now ? (w->deadline_ns - now) / NS_PER_MS + 1 : 0;
	struct timeval tv;

	if (t->status)
		w->ops->head(w->arg, t->status, t->header, t->nheader);
	if (!t->bev) {
		prober_check_ws_failed(w, t);
		return;
	}
	w->bev = t->bev;
	w->result.head_us = t->total_us;
	w->quiet = w->quiet && left_ms > CHECK_WS_QUIET_MS;
	if (w->quiet)
		left_ms = CHECK_WS_QUIET_MS;
	tv = (struct timeval){.tv_sec = (time_t)(left_ms / 1000),
	                      .tv_usec = (suseconds_t)(left_ms % 1000 * 1000)};
	evtimer_assign(&w->timer, bufferevent_get_base(w->bev), prober_check_ws_timer_cb, w);
	w->timed = true;
	event_add(&w->timer, &tv);
	bufferevent_setcb(w->bev, prober_check_ws_read_cb, prober_check_ws_write_cb, prober_check_ws_event_cb,
	                  w);
	bufferevent_setwatermark(w->bev, EV_READ, 0, 2 * CHECK_WS_EVENT_BYTES);
	bufferevent_enable(w->bev, EV_READ | EV_WRITE);
	prober_check_ws_read_cb(w->bev, w); /* what came with the handshake */
}

struct prober_check_ws *
prober_check_ws_start(struct upstream *u, const struct upstream_request *r, bool quiet,
                      const struct upstream_ops *ops, void *arg, enum upstream_error *err)
{
	struct prober_check_ws *w = xcalloc(1, sizeof(*w));
	struct tunnel_request t = {
		.endpoint = r->endpoint,
		.header = r->header,
		.nheader = r->nheader,
		.total_ms = r->timers.total_ms,
		.insecure_tls = r->insecure_tls,
	};

	w->ops = ops;
	w->arg = arg;
	w->quiet = quiet;
	w->start_ns = clock_mono_ns();
	w->deadline_ns = w->start_ns + r->timers.total_ms * NS_PER_MS;
	ws_frame_reader_init(&w->reader, CHECK_WS_EVENT_BYTES);
	strbuf_init(&w->event, 0);
	w->tunnel = tunnel_start(u, &t, prober_check_ws_done_cb, w, err);
	if (w->tunnel)
		return w;
	prober_check_ws_release(w);
	return NULL;
}

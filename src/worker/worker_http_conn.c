/* One client connection: from bytes to a whole request, and every way it can end.
 *
 *   FRESH -> IDLE -> IN_HEAD -> IN_BODY -> RUNNING -> FLUSH -> IDLE ...
 *                        any of them -> (refused) FLUSH -> LINGER -> DEAD
 *
 * Deadlines of head and body are absolute: they start with the first byte, and no later byte moves them.
 * While a request runs we go on reading (within the bound of worker_http_input.c), because that is how
 * a vanished client is noticed at once and its upstream request cancelled.
 *
 * Half-close. After shutdown(SHUT_WR) a client still wants its answer, after close() it does not, and TCP
 * shows the same FIN for both. They are told apart by writing: a closed peer answers with RST. So at EOF
 * an HTTP/1.1 client that has no answer yet is sent "100 Continue", which every client must skip, and the
 * socket is looked at: at once, then after 20 ms, 40 ms ... 30 s, writing again from 1 s on. On loopback
 * the first look decides. Once an answer has begun its own bytes are the probe. An HTTP/1.0 client may
 * not be sent 1xx: its EOF counts as gone.
 *
 * Connections that we end are shut for writing, then read and thrown away for HTTP_LINGER_MS: closing with
 * unread input would send RST and could destroy the answer on its way.
 */
#include "hale/hale.h"

#include "worker_http_conn.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "hale/apierror.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/log.h"

#define HTTP_BODY_FIRST_BYTES 65536 /* a declared length is trusted this far before its bytes arrive */

void
http_conn_arm(struct http_req *r, uint32_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	evtimer_add(&r->timer, &tv);
}

static void
http_conn_continue(struct http_req *r)
{
	char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};

	http_write(r, &iov, 1);
}

void
http_conn_kill(struct http_req *r)
{
	r->phase = HTTP_DEAD;
	http_queue(r);
}

static void
http_conn_linger(struct http_req *r)
{
	if (r->eof || r->reset) {
		http_conn_kill(r);
		return;
	}
	r->phase = HTTP_LINGER;
	http_input_clear(r);
	shutdown(r->fd, SHUT_WR);
	event_add(&r->readable, NULL);
	http_conn_arm(r, HTTP_LINGER_MS);
}

/* Large buffers are not kept by connections that may stay idle for long. */
static void
http_conn_forget(struct http_req *r)
{
	if (r->text_cap > HTTP_KEEP_BYTES) {
		xfreep(&r->text);
		r->text_cap = 0;
	}
	if (r->body_cap > HTTP_KEEP_BYTES) {
		xfreep(&r->body);
		r->body_cap = 0;
	}
	xfreep(&r->query);
	if (r->extra.cap > HTTP_KEEP_BYTES)
		strbuf_release(&r->extra);
	strbuf_clear(&r->extra);
	r->body_len = 0;
	r->scan = (struct http_scan){0};
	r->chunked = (struct http_chunked){0};
	r->head = (struct http_head){0};
	r->probe_ms = 0;
	r->skipped = r->paused = false;
	r->form = HTTP_REPLY_NONE;
	r->gone = r->drained = NULL;
}

void
http_conn_idle(struct http_req *r)
{
	const struct conf_limits *l = r->server->limits;
	uint32_t ms = r->served ? l->client_idle_timeout_ms : l->client_header_timeout_ms;

	if (r->server->draining && ms > HTTP_DRAIN_IDLE_MS)
		ms = HTTP_DRAIN_IDLE_MS;
	r->phase = HTTP_IDLE;
	http_conn_arm(r, ms);
	if (r->in.len)
		http_queue(r);
	else if (r->eof)
		http_conn_kill(r);
}

void
http_conn_flushed(struct http_req *r)
{
	r->served = true;
	if (r->close || r->reset) {
		http_conn_linger(r);
		return;
	}
	http_conn_forget(r);
	http_conn_idle(r);
}

void
http_conn_gone(struct http_req *r)
{
	void (*gone)(void *) = r->gone;

	if (r->phase == HTTP_DEAD)
		return;
	if (r->phase == HTTP_RUNNING)
		http_count(r->server, COUNTER_CLIENT_GONE, 1);
	r->gone = r->drained = NULL;
	http_conn_kill(r);
	if (gone)
		gone(r->arg);
}

static enum counter
http_fault_counter(int status)
{
	switch (status) {
	case 408:
		return COUNTER_CLIENT_TIMEOUT;
	case 413:
		return COUNTER_BODY_TOO_LARGE;
	case 431:
		return COUNTER_HEADERS_TOO_LARGE;
	default:
		return COUNTER_REQUESTS_BAD;
	}
}

void
http_conn_refuse(struct http_req *r, enum http_fault f)
{
	const struct http_fault_info *info = http_fault_info(f);
	struct strbuf b;

	http_count(r->server, http_fault_counter(info->status), f != HTTP_FULL);
	evtimer_del(&r->timer);
	strbuf_clear(&r->extra);
	if (f == HTTP_METHOD_REFUSED)
		http_reply_header(r, "Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
	r->close = true;
	r->phase = HTTP_RUNNING;
	strbuf_init(&b, 0);
	apierror_dialect(&b, mode_dialect_of_path(http_req_path(r)), info->status, info->message, NULL,
	                 info->code);
	http_reply_strbuf(r, info->status, "application/json", &b);
	strbuf_release(&b);
}

/* A peer that closed both sides, or reset: no byte of ours can arrive any more. */
static bool
http_conn_is_dead(const struct http_req *r)
{
	struct pollfd p = {.fd = r->fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* See the head of this file. */
static void
http_conn_half_closed(struct http_req *r)
{
	if (r->head.minor == 0 && r->form == HTTP_REPLY_NONE) {
		http_conn_gone(r);
		return;
	}
	if (r->form == HTTP_REPLY_NONE)
		http_conn_continue(r);
	if (r->broken || http_conn_is_dead(r)) {
		http_conn_gone(r);
		return;
	}
	r->probe_ms = HTTP_PROBE_MS;
	http_conn_arm(r, r->probe_ms);
}

/* The request is whole. */
static void
http_conn_run(struct http_req *r)
{
	struct http_server *s = r->server;

	evtimer_del(&r->timer);
	if (r->body)
		r->body[r->body_len] = '\0';
	http_input_keep(r);
	r->phase = HTTP_RUNNING;
	r->close = r->head.close || s->draining;
	if (r->head.query)
		r->query = http_query_split(r->head.query);
	r->listed = true;
	s->nrunning++;
	http_count(s, COUNTER_REQUESTS, 1);
	http_count(s, COUNTER_REQUESTS_OPEN, 1);
	s->handler(r, s->arg);
	if (r->phase != HTTP_RUNNING)
		return;
	HALE_ASSERT(r->gone); /* the contract: who answers later must want to know */
	if (r->eof) /* all of it, FIN included, was here before the handler ran */
		http_conn_half_closed(r);
}

static void
http_conn_grow_body(struct http_req *r, size_t need)
{
	size_t cap = r->body_cap ? r->body_cap : 1024;

	if (need + 1 <= r->body_cap)
		return;
	while (cap < need + 1)
		cap *= 2;
	if (r->head.framing == HTTP_SIZED && cap > r->head.length + 1 && need <= r->head.length)
		cap = (size_t)r->head.length + 1;
	r->body = xrealloc(r->body, cap);
	r->body_cap = cap;
}

/* true: complete. */
static bool
http_conn_sized(struct http_req *r)
{
	size_t left = (size_t)r->head.length - r->body_len, have = r->in.len < left ? r->in.len : left;
	size_t first = r->head.length < HTTP_BODY_FIRST_BYTES ? (size_t)r->head.length : HTTP_BODY_FIRST_BYTES;

	http_conn_grow_body(r, r->body_len + have > first ? r->body_len + have : first);
	if (have) {
		memcpy(r->body + r->body_len, r->in.p, have);
		http_input_drop(r, have);
	}
	r->body_len += have;
	left -= have;
	/* The rest of a long body does not go through the input. */
	while (left && !r->eof) {
		ssize_t n;

		http_conn_grow_body(r, r->body_len + (left < HTTP_BODY_FIRST_BYTES ? left : HTTP_BODY_FIRST_BYTES));
		have = r->body_cap - 1 - r->body_len;
		n = recv(r->fd, r->body + r->body_len, have < left ? have : left, MSG_DONTWAIT);
		if (n <= 0)
			break; /* nothing yet, or an end that the next read event reports */
		r->body_len += (size_t)n;
		left -= (size_t)n;
	}
	return left == 0;
}

static enum http_fault
http_conn_chunked(struct http_req *r, bool *done)
{
	*done = false;
	while (!*done && r->in.len) {
		struct http_piece piece;
		enum http_fault f = http_strict_chunked(&r->chunked, r->in.p, r->in.len, &piece);

		if (f != HTTP_FINE)
			return f;
		if (r->body_len + piece.len > r->server->limits->body_bytes_max)
			return HTTP_BODY_TOO_LARGE;
		if (piece.len) {
			http_conn_grow_body(r, r->body_len + piece.len);
			memcpy(r->body + r->body_len, piece.data, piece.len);
			r->body_len += piece.len;
		}
		http_input_drop(r, piece.consumed);
		*done = piece.done;
	}
	return HTTP_FINE;
}

static void
http_conn_body(struct http_req *r)
{
	enum http_fault f = HTTP_FINE;
	bool done = true;

	if (r->head.framing == HTTP_SIZED)
		done = http_conn_sized(r);
	else if (r->head.framing == HTTP_CHUNKED)
		f = http_conn_chunked(r, &done);
	if (f != HTTP_FINE)
		http_conn_refuse(r, f);
	else if (done)
		http_conn_run(r);
	else if (r->eof)
		http_conn_kill(r);
}

/* Copies the head out of the input and cuts it up. */
static enum http_fault
http_conn_parse(struct http_req *r, const char *p, size_t len)
{
	size_t fields = r->server->bounds.fields * sizeof(struct http_field), cap = fields + len + 1;
	enum http_fault f;

	if (r->text_cap < cap) {
		free(r->text);
		r->text_cap = cap < 2048 ? 2048 : cap;
		r->text = xmalloc(r->text_cap);
	}
	/* One block: the field array first, because it needs the alignment. */
	r->head.field = (struct http_field *)(void *)r->text;
	memcpy(r->text + fields, p, len);
	f = http_strict_parse(r->text + fields, len, &r->server->bounds, &r->head);
	http_input_drop(r, len);
	return f;
}

static void
http_conn_head(struct http_req *r)
{
	size_t len;
	enum http_fault f;

	if (!r->skipped && r->in.p[0] == '\r' && r->scan.pos == 0) {
		if (r->in.len == 1)
			return;
		if (r->in.p[1] == '\n') {
			r->skipped = true;
			http_input_drop(r, 2);
			if (r->in.len == 0)
				return;
		}
	}
	f = http_strict_scan(&r->scan, r->in.p, r->in.len, &r->server->bounds, &len);
	if (f == HTTP_FINE && len)
		f = http_conn_parse(r, r->in.p, len);
	if (f != HTTP_FINE) {
		http_conn_refuse(r, f);
		return;
	}
	if (len == 0)
		return;
	r->phase = HTTP_IN_BODY;
	if (r->head.framing != HTTP_NO_BODY) {
		http_conn_arm(r, r->server->limits->client_body_timeout_ms);
		if (r->head.expect_continue && r->in.len == 0)
			http_conn_continue(r);
	}
	http_conn_body(r);
}

void
http_conn_advance(struct http_req *r)
{
	if (r->phase == HTTP_IDLE && r->in.len) {
		r->phase = HTTP_IN_HEAD;
		r->start_ns = clock_mono_ns();
		http_conn_arm(r, r->server->limits->client_header_timeout_ms);
	}
	if (r->phase == HTTP_IN_HEAD && r->in.len)
		http_conn_head(r);
	else if (r->phase == HTTP_IN_BODY)
		http_conn_body(r);
	else if (r->phase == HTTP_LINGER)
		http_input_clear(r);
	if (r->phase == HTTP_DEAD || r->phase == HTTP_TAKEN)
		return;
	if (r->eof && r->phase <= HTTP_IN_BODY && !r->queued)
		http_conn_kill(r); /* a request that will never be whole */
	else if (!r->eof && r->in.len < r->server->input_max && !event_pending(&r->readable, EV_READ, NULL))
		event_add(&r->readable, NULL);
}

static void
http_conn_eof(struct http_req *r)
{
	r->eof = true;
	event_del(&r->readable);
	if (r->phase == HTTP_RUNNING)
		http_conn_half_closed(r);
	else if (r->phase == HTTP_FLUSH)
		http_conn_arm(r, HTTP_PROBE_MS);
	else if (r->phase == HTTP_LINGER)
		http_conn_kill(r);
	else
		http_conn_advance(r); /* ends it, unless a whole request is waiting */
}

void
http_conn_read_cb(int fd, short what, void *arg)
{
	struct http_req *r = arg;

	(void)fd;
	(void)what;
	switch (http_input_read(r)) {
	case 1:
		http_conn_advance(r);
		break;
	case 0:
		http_conn_eof(r);
		break;
	case -2:
		r->reset = true;
		http_conn_gone(r);
		break;
	}
	if (r->phase != HTTP_DEAD)
		http_input_keep(r);
}

/* Does the kernel hold bytes that we have not seen? Then the deadline was missed by us, not by the client. */
static bool
http_conn_has_unread(struct http_req *r)
{
	char c;

	return recv(r->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

void
http_conn_timer_cb(int fd, short what, void *arg)
{
	struct http_req *r = arg;

	(void)fd;
	(void)what;
	switch (r->phase) {
	case HTTP_IDLE:
		if (http_conn_has_unread(r)) {
			http_conn_arm(r, HTTP_DRAIN_IDLE_MS); /* the read event is on its way */
			break;
		}
		r->close = true;
		http_conn_linger(r);
		break;
	case HTTP_IN_HEAD:
		http_conn_refuse(r, HTTP_HEAD_SLOW);
		break;
	case HTTP_IN_BODY:
		http_conn_refuse(r, HTTP_BODY_SLOW);
		break;
	case HTTP_RUNNING:
	case HTTP_FLUSH:
		if (r->probe_ms >= HTTP_PROBE_WRITE_MS && r->form == HTTP_REPLY_NONE)
			http_conn_continue(r);
		if (r->broken || http_conn_is_dead(r)) {
			http_conn_gone(r);
			break;
		}
		r->probe_ms = r->probe_ms ? r->probe_ms * 2 : HTTP_PROBE_MS;
		if (r->probe_ms > HTTP_PROBE_MAX_MS)
			r->probe_ms = HTTP_PROBE_MAX_MS;
		http_conn_arm(r, r->probe_ms);
		break;
	default:
		http_conn_kill(r);
		break;
	}
}

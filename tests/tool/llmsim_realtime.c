/* Realtime sessions: WebSocket after a strict handshake, in the words of OpenAI's events.
 *
 * A session says session.created, answers response.create with a short sequence of events, session.update
 * with session.updated, and sends binary messages back as they are. Faults before 101 (status, hang,
 * reset) are those of every request; behind it these count: empty (nothing is said first), error_event
 * (an error with that code, then a close frame), close_code (a close frame at once), cut_after and
 * stall_after (events; a stalled session reads no more), chunks, chunk_bytes and chunk_delay_ms (the
 * events of a response), delay_ms (before 101).
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <event2/event.h>

#include "hale/http_list.h"
#include "hale/ws_frame.h"

#define REALTIME_OUT_HIGH (256u << 10)
#define REALTIME_CHUNKS 3

/* Value of a query parameter as sent; p NULL: absent. */
static struct llmsim_span
llmsim_realtime_query(const struct llmsim_request *r, const char *name)
{
	const char *p = r->query.p, *end = p + r->query.len;
	size_t n = strlen(name);

	while (p && p < end) {
		const char *amp = memchr(p, '&', (size_t)(end - p)), *stop = amp ? amp : end;

		if ((size_t)(stop - p) > n && memcmp(p, name, n) == 0 && p[n] == '=')
			return (struct llmsim_span){p + n + 1, (size_t)(stop - p) - n - 1};
		p = amp ? amp + 1 : NULL;
	}
	return (struct llmsim_span){NULL, 0};
}

static bool
llmsim_realtime_has(const struct llmsim_request *r, const char *header, const char *token)
{
	struct llmsim_span v = llmsim_http_header(r, header);
	char text[256];

	if (!v.p || v.len >= sizeof(text))
		return false;
	memcpy(text, v.p, v.len);
	text[v.len] = '\0';
	return http_list_has(text, token);
}

bool
llmsim_realtime_route(struct llmsim_request *r, bool azure)
{
	struct llmsim_span key = llmsim_http_header(r, "sec-websocket-key");

	r->model = llmsim_realtime_query(r, azure ? "deployment" : "model");
	return llmsim_span_is(r->method, "GET") && r->model.len &&
	       (!azure || llmsim_realtime_query(r, "api-version").len) &&
	       llmsim_realtime_has(r, "upgrade", "websocket") &&
	       llmsim_realtime_has(r, "connection", "upgrade") &&
	       llmsim_span_is(llmsim_http_header(r, "sec-websocket-version"), "13") && key.len == 24;
}

bool
llmsim_realtime_accepts(const struct llmsim_fault *f)
{
	return !f || !(f->status || f->hang || f->garbage || f->body || (f->reset && f->cut_after < 0));
}

static void
llmsim_realtime_frame(struct llmsim_conn *c, enum ws_frame_opcode op, const char *data, size_t len)
{
	unsigned char head[10] = {(unsigned char)(0x80 | op)};
	unsigned extra = len < 126 ? 0 : len < 65536 ? 2 : 8;

	head[1] = (unsigned char)(extra == 0 ? len : extra == 2 ? 126 : 127);
	for (unsigned i = 0; i < extra; i++)
		head[2 + i] = (unsigned char)(len >> 8 * (extra - 1 - i));
	strbuf_add(&c->out, head, 2 + extra);
	strbuf_add(&c->out, data, len);
}

/* The session ends when what was written is out. */
static void
llmsim_realtime_end(struct llmsim_conn *c, unsigned code, const char *reason)
{
	unsigned char frame[WS_FRAME_CLOSE_MAX];

	if (code)
		strbuf_add(&c->out, frame, ws_frame_close(code, reason, NULL, frame));
	else
		c->reset_after = c->fault && c->fault->reset;
	llmsim_count_end(c->sim, c->key, 101, false);
	c->key = NULL;
	c->play = PLAY_IDLE;
	c->close_after = true;
}

static bool
llmsim_realtime_is_stalled(const struct llmsim_conn *c)
{
	return c->fault && c->fault->stall_after >= 0 && (int64_t)c->session_events >= c->fault->stall_after;
}

/* One event of the server, unless the fault has something else in mind. */
static void
llmsim_realtime_say(struct llmsim_conn *c, const char *json, size_t len)
{
	if (c->play != PLAY_SESSION || llmsim_realtime_is_stalled(c))
		return;
	if (c->fault && c->fault->cut_after >= 0 && (int64_t)c->session_events >= c->fault->cut_after) {
		llmsim_realtime_end(c, 0, "");
		return;
	}
	c->session_events++;
	llmsim_realtime_frame(c, WS_TEXT, json, len);
}

static void
llmsim_realtime_put(struct llmsim_conn *c, const char *type, const char *members)
{
	strbuf_clear(&c->scratch);
	strbuf_printf(&c->scratch, "{\"type\":\"%s\",\"event_id\":\"event_%u\"%s}", type, c->session_events,
	              members);
	llmsim_realtime_say(c, strbuf_str(&c->scratch), c->scratch.len);
}

static void
llmsim_realtime_refuse(struct llmsim_conn *c, const char *code)
{
	char members[512], reason[128];

	snprintf(members, sizeof(members),
	         ",\"error\":{\"type\":\"invalid_request_error\",\"code\":\"%.100s\",\"message\":\"Refused: %.100s\"}", code,
	         code);
	llmsim_realtime_put(c, "error", members);
	snprintf(reason, sizeof(reason), "invalid_request_error.%.90s", code);
	if (c->play == PLAY_SESSION)
		llmsim_realtime_end(c, 4000, reason);
}

static void
llmsim_realtime_open(struct llmsim_conn *c)
{
	const struct llmsim_fault *f = c->fault;
	char members[LLMSIM_MODEL_MAX + 128];

	strbuf_add(&c->out, c->body.data, c->body.len); /* the head that llmsim_realtime_start() has made */
	if (f && f->close_code) {
		llmsim_realtime_end(c, (unsigned)f->close_code, f->error_event ? f->error_event : "");
	} else if (f && f->error_event) {
		llmsim_realtime_refuse(c, f->error_event);
	} else if (!f || !f->empty) {
		snprintf(members, sizeof(members),
		         ",\"session\":{\"id\":\"sess_%u\",\"object\":\"realtime.session\",\"model\":\"%s\"}",
		         (unsigned)c->reply.serial, c->reply.model);
		llmsim_realtime_put(c, "session.created", members);
	}
}

void
llmsim_realtime_start(struct llmsim_conn *c, const struct llmsim_request *r)
{
	struct llmsim_span key = llmsim_http_header(r, "sec-websocket-key");
	char text[25], accept[WS_FRAME_ACCEPT_BYTES];

	memcpy(text, key.p, 24);
	text[24] = '\0';
	ws_frame_accept(text, accept);
	strbuf_clear(&c->body);
	strbuf_printf(&c->body,
	              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	              "Sec-WebSocket-Accept: %s\r\n%s%s\r\n", accept,
	              llmsim_realtime_has(r, "sec-websocket-protocol", "realtime") ? "Sec-WebSocket-Protocol: realtime\r\n" : "",
	              c->fault && c->fault->headers ? c->fault->headers : "");
	snprintf(c->reply.model, sizeof(c->reply.model), "%.*s", (int)r->model.len, r->model.p);
	c->reply.serial = ++c->sim->serial;
	c->reply.status = 101;
	c->keep_alive = false;
	c->consumed = 0;
	c->event = c->events = c->session_events = 0;
	c->step_ms = c->fault ? c->fault->chunk_delay_ms : 0;
	c->session_open = false;
	c->play = PLAY_SESSION;
	strbuf_drop(&c->in, r->total_bytes);
}

static void
llmsim_realtime_response(struct llmsim_conn *c)
{
	const struct llmsim_fault *f = c->fault;
	unsigned bytes = f && f->chunk_bytes ? (unsigned)f->chunk_bytes : 0;
	struct strbuf text;

	if (c->event == 0) {
		llmsim_realtime_put(c, "response.created", "");
	} else if (c->event + 1 == c->events) {
		llmsim_realtime_put(c, "response.done", "");
	} else {
		strbuf_init(&text, 0);
		strbuf_printf(&text, "{\"type\":\"response.output_text.delta\",\"event_id\":\"event_%u\",\"delta\":\"",
		              c->session_events);
		llmsim_text_fill(c->event - 1, 1, bytes, &text);
		strbuf_puts(&text, "\"}");
		llmsim_realtime_say(c, strbuf_str(&text), text.len);
		strbuf_release(&text);
	}
	c->event++;
	if (c->event == c->events)
		c->event = c->events = 0;
	else if (c->step_ms)
		llmsim_conn_timer(c, c->step_ms);
}

/* A client's message; op: of its (only) frame. */
static void
llmsim_realtime_hear(struct llmsim_conn *c, enum ws_frame_opcode op, const char *data, size_t len)
{
	const struct llmsim_fault *f = c->fault;

	if (op == WS_CLOSE) {
		llmsim_realtime_end(c, len >= 2 ? (unsigned)(unsigned char)data[0] << 8 | (unsigned char)data[1] : 1000, "");
	} else if (op == WS_PING) {
		llmsim_realtime_frame(c, WS_PONG, data, len);
	} else if (op == WS_BINARY) {
		llmsim_realtime_frame(c, WS_BINARY, data, len);
	} else if (op == WS_TEXT && memmem(data, len, "\"response.create\"", 17)) {
		c->event = 0;
		c->events = 2 + (f && f->chunks ? (unsigned)f->chunks : REALTIME_CHUNKS);
	} else if (op == WS_TEXT && memmem(data, len, "\"session.update\"", 16)) {
		llmsim_realtime_put(c, "session.updated", "");
	} else if (op == WS_TEXT) {
		llmsim_realtime_put(c, "conversation.item.created", "");
	}
}

/* One frame out of the input. false: none is complete. */
static bool
llmsim_realtime_take(struct llmsim_conn *c, size_t *at)
{
	struct ws_frame_head h;
	char *p = c->in.data + *at;
	size_t len = c->in.len - *at;
	int n = len ? ws_frame_head_parse((unsigned char *)p, len, &h) : 0;

	if (n < 0 || (n > 0 && (!h.masked || !h.fin || h.payload_bytes > LLMSIM_BODY_MAX))) {
		llmsim_realtime_end(c, 1002, "one masked frame for a message, please");
		return false;
	}
	if (n == 0 || len - (size_t)n < h.payload_bytes)
		return false;
	for (size_t i = 0; i < h.payload_bytes; i++)
		p[(size_t)n + i] ^= (char)h.mask[i % 4];
	*at += (size_t)n + (size_t)h.payload_bytes;
	llmsim_realtime_hear(c, h.opcode, p + n, (size_t)h.payload_bytes);
	return true;
}

static void
llmsim_realtime_reading(struct llmsim_conn *c, bool on)
{
	if (on == !c->read_off)
		return;
	c->read_off = !on;
	if (on)
		event_add(&c->read_ev, NULL);
	else
		event_del(&c->read_ev);
}

bool
llmsim_realtime_run(struct llmsim_conn *c)
{
	size_t at = 0;

	if (!c->session_open) {
		if (c->fault && c->fault->delay_ms && !c->session_delayed) {
			c->session_delayed = true;
			llmsim_conn_timer(c, c->fault->delay_ms);
			return true;
		}
		c->session_open = true;
		llmsim_realtime_open(c);
	}
	while (c->play == PLAY_SESSION && !llmsim_realtime_is_stalled(c)) {
		if (c->out.len - c->out_at > REALTIME_OUT_HIGH) {
			if (!llmsim_conn_flush(c))
				return false;
			if (c->out.len)
				break; /* goes on when the client has taken it */
		}
		if (event_pending(&c->timer, EV_TIMEOUT, NULL))
			break;
		if (c->events)
			llmsim_realtime_response(c);
		else if (!llmsim_realtime_take(c, &at))
			break;
	}
	if (at)
		strbuf_drop(&c->in, at);
	if (c->play == PLAY_SESSION)
		llmsim_realtime_reading(c, c->out.len - c->out_at <= REALTIME_OUT_HIGH && !c->events &&
		                               !llmsim_realtime_is_stalled(c));
	return true;
}

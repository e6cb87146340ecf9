/* How an answer goes out: at once, late, in pieces, not at all.
 *
 * A small state machine per connection. It runs until it must wait for a timer or for the client to take what
 * was written; both come back to llmsim_play_run(). Without a fault a whole answer passes it in one go.
 */
#include "hale/hale.h"

#include "llmsim.h"

/* Beyond that the play waits for the client. */
#define LLMSIM_OUT_HIGH (256u << 10)
#define LLMSIM_SLICES 10
#define LLMSIM_COMMENT_MS 50

enum llmsim_step { STEP_ON, STEP_WAIT, STEP_END };

static void
llmsim_play_finish(struct llmsim_conn *c, bool close_after)
{
	llmsim_count_end(c->sim, c->key, (int)c->reply.status, false);
	llmsim_fault_put(c->fault);
	c->fault = NULL;
	c->key = NULL;
	c->play = PLAY_IDLE;
	c->close_after = c->close_after || close_after || !c->keep_alive;
	strbuf_drop(&c->in, c->consumed);
}

static void
llmsim_play_control(struct llmsim_conn *c, const struct llmsim_request *r)
{
	int status;

	strbuf_clear(&c->body);
	status = llmsim_control(c->sim, r, &c->body);
	strbuf_printf(
	    &c->out, "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n%s\r\n",
	    status, llmsim_http_reason(status), c->body.len, r->keep_alive ? "" : "connection: close\r\n");
	strbuf_add(&c->out, c->body.data, c->body.len);
	c->close_after = !r->keep_alive;
	strbuf_drop(&c->in, r->total_bytes);
}

void
llmsim_play_start(struct llmsim_conn *c, const struct llmsim_request *r)
{
	struct llmsim *s = c->sim;
	struct llmsim_fault *f;

	if (r->op == LLMSIM_CONTROL) {
		llmsim_play_control(c, r);
		return;
	}
	c->key = llmsim_count_key(s, r->key);
	llmsim_count_begin(s, c->key, r->path);
	c->fault = f = s->fault ? llmsim_fault_take(s, r) : NULL;
	c->key->faults += f != NULL;
	llmsim_count_record(s, c, r, f != NULL);
	if (r->op == LLMSIM_REALTIME && llmsim_realtime_accepts(f)) {
		llmsim_realtime_start(c, r);
		return;
	}
	llmsim_reply_make(s, r, f, &c->reply, &c->body);
	c->consumed = r->total_bytes;
	c->keep_alive = r->keep_alive && !(f && f->close);
	c->head_only = llmsim_span_is(r->method, "HEAD");
	c->framed = !r->http10 && (c->reply.stream || (f && f->chunked));
	if (r->http10 && c->reply.stream)
		c->keep_alive = false; /* the end of the connection is the end of the body */
	c->event = 0;
	c->body_at = 0;
	c->slice = c->body.len;
	c->step_ms = f ? f->chunk_delay_ms : 0;
	c->events = 0;
	if (c->reply.stream && !(f && f->empty))
		c->events = llmsim_stream_events(&c->reply, !(f && f->no_terminator));
	if (f && f->slow_body_ms) {
		c->slice = c->body.len / LLMSIM_SLICES + 1;
		c->step_ms = f->slow_body_ms / (c->events ? c->events : LLMSIM_SLICES);
	}
	c->play = PLAY_START;
}

static void
llmsim_play_head(struct llmsim_conn *c)
{
	llmsim_reply_head(&c->reply, c->fault, &c->out);
	if (!c->keep_alive)
		strbuf_puts(&c->out, "connection: close\r\n");
	if (c->framed)
		strbuf_puts(&c->out, "transfer-encoding: chunked\r\n\r\n");
	else if (c->reply.stream)
		strbuf_puts(&c->out, "\r\n");
	else
		llmsim_text(&c->out, "content-length: %u\r\n\r\n", (uint64_t)c->body.len);
}

static void
llmsim_play_piece(struct llmsim_conn *c, const char *data, size_t len)
{
	if (len == 0)
		return; /* a chunk of no bytes would be the end */
	if (c->framed)
		llmsim_text(&c->out, "%x\r\n", (uint64_t)len);
	strbuf_add(&c->out, data, len);
	if (c->framed)
		strbuf_puts(&c->out, "\r\n");
}

/* Ends in the middle: the client must be able to see that. */
static enum llmsim_step
llmsim_play_cut(struct llmsim_conn *c)
{
	c->reset_after = c->fault->reset;
	c->framed = false;
	llmsim_play_finish(c, true);
	return STEP_WAIT;
}

static enum llmsim_step
llmsim_play_stall(struct llmsim_conn *c)
{
	static const char comment[] = ": keep-alive\n\n";

	if (!c->fault->comments || !c->reply.stream) {
		c->play = PLAY_HANG;
		return STEP_ON;
	}
	llmsim_play_piece(c, comment, sizeof(comment) - 1);
	llmsim_conn_timer(c, c->step_ms ? c->step_ms : LLMSIM_COMMENT_MS);
	return STEP_WAIT;
}

/* One event of a stream. */
static enum llmsim_step
llmsim_play_event(struct llmsim_conn *c)
{
	const struct llmsim_fault *f = c->fault;
	int64_t n = c->event;

	if (f && f->cut_after == n)
		return llmsim_play_cut(c);
	if (f && f->stall_after == n)
		return llmsim_play_stall(c);
	strbuf_clear(&c->scratch);
	if (f && f->error_after == n) {
		llmsim_stream_error(&c->reply, &c->scratch);
		llmsim_play_piece(c, c->scratch.data, c->scratch.len);
		return STEP_END;
	}
	if (c->event == c->events)
		return STEP_END;
	llmsim_stream_event(&c->reply, c->event++, &c->scratch);
	llmsim_play_piece(c, c->scratch.data, c->scratch.len);
	if (c->step_ms == 0 || c->event == c->events)
		return STEP_ON;
	llmsim_conn_timer(c, c->step_ms);
	return STEP_WAIT;
}

/* One slice of a whole body, ending where the fault says. */
static enum llmsim_step
llmsim_play_slice(struct llmsim_conn *c)
{
	const struct llmsim_fault *f = c->fault;
	int64_t cut = f ? f->cut_after : -1, stall = f ? f->stall_after : -1;
	size_t n = c->body.len - c->body_at;
	int64_t stop = cut >= 0 && (stall < 0 || cut <= stall) ? cut : stall;

	if (c->head_only)
		return STEP_END;
	if (n > c->slice)
		n = c->slice;
	if (stop >= 0 && c->body_at + n > (size_t)stop)
		n = (size_t)stop - c->body_at;
	llmsim_play_piece(c, c->body.data + c->body_at, n);
	c->body_at += n;
	if (stop >= 0 && c->body_at == (size_t)stop)
		return stop == cut ? llmsim_play_cut(c) : llmsim_play_stall(c);
	if (c->body_at == c->body.len)
		return STEP_END;
	llmsim_conn_timer(c, c->step_ms);
	return STEP_WAIT;
}

/* Before the first byte. */
static enum llmsim_step
llmsim_play_begin(struct llmsim_conn *c)
{
	const struct llmsim_fault *f = c->fault;

	if (f && f->reset && f->cut_after < 0)
		return llmsim_play_cut(c);
	if (f && f->hang && strcmp(f->hang, "before_head") == 0) {
		c->play = PLAY_HANG;
		return STEP_ON;
	}
	llmsim_play_head(c);
	c->play = f && f->hang ? PLAY_HANG : PLAY_BODY;
	return STEP_ON;
}

bool
llmsim_play_run(struct llmsim_conn *c)
{
	enum llmsim_step step = STEP_ON;

	if (c->play == PLAY_SESSION)
		return llmsim_realtime_run(c);
	while (step == STEP_ON) {
		if (c->play == PLAY_START) {
			c->play = PLAY_HEAD;
			if (c->fault && c->fault->delay_ms) {
				llmsim_conn_timer(c, c->fault->delay_ms);
				step = STEP_WAIT;
			}
		} else if (c->play == PLAY_HEAD) {
			step = llmsim_play_begin(c);
		} else if (c->play == PLAY_BODY) {
			if (c->out.len - c->out_at > LLMSIM_OUT_HIGH) {
				if (!llmsim_conn_flush(c))
					return false;
				if (c->out.len)
					return true; /* goes on when the client has taken it */
			}
			step = c->reply.stream ? llmsim_play_event(c) : llmsim_play_slice(c);
		} else {
			return true;
		}
		if (step == STEP_END) {
			if (c->framed && !c->head_only)
				strbuf_puts(&c->out, "0\r\n\r\n");
			llmsim_play_finish(c, false);
		}
	}
	return true;
}

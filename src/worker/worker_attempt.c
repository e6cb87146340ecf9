/* One try at one deployment: builds the upstream request, reads the answer, decides whether it is good.
 *
 * A good answer is a 2xx with what the mode is for. To know that before the client sees a byte,
 * answers are held back: a stream until its first content token (comments, pings and role-only
 * events do not count), any other answer until it is complete or larger than ATTEMPT_HOLD_MAX.
 * While an answer is held the attempt can still be replaced by another one.
 *
 * Timers: connect, head and total are the upstream's; the first content token and the gap between
 * tokens are watched here, because an upstream that sends keep-alive comments looks busy on the wire.
 */
#include "hale/hale.h"

#include <event2/event.h>
#include <strings.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/embedding.h"
#include "hale/err.h"
#include "worker.h"
#include "worker_http.h"
#include "worker_proxy_int.h"

#define ATTEMPT_HOLD_MAX (1u << 20)       /* whole answers */
#define ATTEMPT_PREFIX_MAX (256u << 10)   /* a stream before its first content token; responses repeat the request */
#define ATTEMPT_ERROR_BODY_MAX (64u << 10)
#define ATTEMPT_LINE_MAX (64u << 10)

void
worker_attempt_clear(struct proxy *p)
{
	struct attempt *a = &p->a;

	if (a->call)
		upstream_cancel(a->call);
	if (a->token)
		event_free(a->token);
	if (a->xs)
		a->op->xlate->stream_free(a->xs);
	if (a->d) {
		strbuf_release(&a->hold);
		strbuf_release(&a->out);
		strbuf_release(&a->line);
		worker_sse_release(&a->watch);
	}
	worker_bridge_clear(a);
	*a = (struct attempt){0};
	p->paused = false;
}

void
worker_attempt_resume(struct proxy *p)
{
	if (!p->paused || p->a.call == NULL)
		return;
	p->paused = false;
	upstream_resume(p->a.call);
}

static void
worker_attempt_fail(struct proxy *p, enum outcome_class class, int status, const char *text, const char *code)
{
	struct attempt_failure f = {.class = class, .status = status, .text = text, .code = code, .retryable = true};

	worker_proxy_failed(p, &f);
}

/* The next content token is late. */
static void
worker_attempt_token_cb(evutil_socket_t fd, short what, void *arg)
{
	struct proxy *p = arg;
	struct timeval tv = {.tv_sec = 1};

	(void)fd;
	(void)what;
	if (p->paused) { /* it is the client that is slow; its own write timeout watches it */
		evtimer_add(p->a.token, &tv);
		return;
	}
	worker_attempt_fail(p, OUTCOME_TIMEOUT, 504,
	                    p->a.watch.content ? "upstream stopped sending tokens" : "no content token in time",
	                    "upstream_timeout");
}

/* stream_timeout of the deployment, else of the router: how long a stream may take to begin. 0: not set. */
static uint32_t
worker_attempt_begin_ms(const struct proxy *p)
{
	return p->a.d->stream_timeout_ms ? p->a.d->stream_timeout_ms : p->w->conf->router.stream_timeout_ms;
}

static void
worker_attempt_arm_token(struct proxy *p)
{
	const struct conf_limits *l = &p->w->conf->limits;
	uint32_t ms = p->a.watch.content ? l->stream_idle_timeout_ms : l->first_token_timeout_ms;
	struct timeval tv;

	if (ms == 0 && !p->a.watch.content)
		ms = worker_attempt_begin_ms(p);
	if (ms == 0) {
		if (p->a.token)
			evtimer_del(p->a.token);
		return;
	}
	tv = (struct timeval){ms / 1000, (ms % 1000) * 1000};
	if (p->a.token == NULL)
		p->a.token = evtimer_new(p->w->base, worker_attempt_token_cb, p);
	if (p->a.token)
		evtimer_add(p->a.token, &tv);
}

static bool
worker_attempt_passes(const char *name)
{
	return strncasecmp(name, "x-ratelimit-", 12) == 0 || strcasecmp(name, "x-request-id") == 0 ||
	       strncasecmp(name, "openai-", 7) == 0 || strcasecmp(name, "retry-after") == 0 ||
	       strcasecmp(name, "retry-after-ms") == 0 || strcasecmp(name, "x-ms-region") == 0 ||
	       strcasecmp(name, "request-id") == 0 || strncasecmp(name, "anthropic-", 10) == 0;
}

/* Media type of a stream in the provider's own framing. */
static const char *
worker_attempt_stream_type(const struct proxy *p)
{
	const struct provider_xlate *x = p->a.op->xlate;

	return x && x->stream_type ? x->stream_type : "text/event-stream";
}

/* Is the answer the stream that was asked for? */
static bool
worker_attempt_is_stream(const struct proxy *p)
{
	const char *type = worker_attempt_stream_type(p);

	return p->stream && p->a.content_type && strncasecmp(p->a.content_type, type, strlen(type)) == 0;
}

static void
worker_attempt_head_cb(void *arg, int status, const struct http_header *h, unsigned n)
{
	struct proxy *p = arg;
	struct attempt *a = &p->a;

	a->status = status;
	a->length = -1;
	for (unsigned i = 0; i < n; i++) {
		const char *name = h[i].name, *value = h[i].value;

		if (strcasecmp(name, "content-type") == 0)
			a->content_type = arena_strdup(p->arena, value);
		else if (strcasecmp(name, "content-length") == 0)
			a->length = (int64_t)strtoll(value, NULL, 10);
		else if (a->npass < PROXY_PASS_MAX && worker_attempt_passes(name))
			a->pass[a->npass++] = (struct http_header){arena_strdup(p->arena, name), arena_strdup(p->arena, value)};
		if (strcasecmp(name, "retry-after") == 0)
			a->retry_after_ms = (uint32_t)(strtoul(value, NULL, 10) % 1000000 * 1000);
	}
	if (status / 100 != 2)
		return;
	a->sse = worker_attempt_is_stream(p);
	if (a->sse && a->op->xlate && a->op->xlate->stream_new) {
		a->xs = a->op->xlate->stream_new(p->model, p->scan.include_usage || a->bridge);
		a->content_type = "text/event-stream"; /* whatever the provider's framing is */
	}
	if (a->sse && a->bridge)
		worker_bridge_begin(p);
	if (a->sse)
		worker_attempt_arm_token(p);
}

/* Passes a piece on or holds it; false: pause. */
static bool
worker_attempt_pass(struct proxy *p, const char *data, size_t len, bool may_begin, size_t hold_max)
{
	if (!p->begun) {
		strbuf_add(&p->a.hold, data, len);
		if (!may_begin && p->a.hold.len <= hold_max)
			return true;
		worker_answer_begin(p);
		return true;
	}
	if (len == 0 || http_reply_chunk(p->r, data, len))
		return true;
	counter_add(p->w->table, p->w->index, COUNTER_BUFFER_PAUSES, 1);
	p->paused = true;
	return false;
}

/* Whole lines only go to the client: what a cut leaves behind must not glue itself to our error event.
 * Appends data to the unfinished line and returns how much of *data ends in a newline. */
static size_t
worker_attempt_whole_lines(struct attempt *a, const char **data, size_t len)
{
	const char *nl = memrchr(*data, '\n', len);
	size_t whole = nl ? (size_t)(nl - *data) + 1 : 0;

	strbuf_drop(&a->line, a->line_sent);
	a->line_sent = 0;
	if (a->line.len == 0 && whole == len)
		return len;
	strbuf_add(&a->line, *data, len);
	*data = strbuf_str(&a->line);
	if (a->line.len > ATTEMPT_LINE_MAX) /* so long a line is passed on as it comes */
		whole = a->line.len;
	else
		whole = whole ? a->line.len - (len - whole) : 0;
	a->line_sent = whole;
	return whole;
}

/* A last line without its newline still counts when the stream is finished; else it is half a line. */
static void
worker_attempt_flush_line(struct proxy *p)
{
	bool named = p->a.watch.named;
	const char *data = "\n";
	size_t len;

	if (p->a.line.len == p->a.line_sent)
		return;
	len = worker_attempt_whole_lines(&p->a, &data, 1);
	worker_sse_feed(&p->a.watch, data, len);
	if (p->a.watch.finished)
		worker_attempt_pass(p, data, len, p->a.watch.content, ATTEMPT_PREFIX_MAX);
	else
		p->a.watch.named = named;
}

static bool
worker_attempt_stream_piece(struct proxy *p, const char *data, size_t len)
{
	struct attempt *a = &p->a;

	if (a->xs) {
		strbuf_clear(&a->out);
		if (a->op->xlate->stream_feed(a->xs, data, len, &a->out, &a->xdone) != 0) {
			worker_attempt_fail(p, OUTCOME_BROKEN, 502, "upstream sent an invalid event", "upstream_bad_answer");
			return true;
		}
		data = strbuf_str(&a->out);
		len = a->out.len;
	} else if (!a->bridge) {
		len = worker_attempt_whole_lines(a, &data, len);
	}
	if (worker_sse_feed(&a->watch, data, len) > 0)
		worker_attempt_arm_token(p);
	if (a->bridge && worker_bridge_feed(p, &data, &len) != 0) {
		worker_attempt_fail(p, OUTCOME_BROKEN, 502, "upstream sent an invalid event",
		                    "upstream_bad_answer");
		return true;
	}
	if (a->watch.error && !p->begun) {
		worker_attempt_fail(p, OUTCOME_SERVER, 502, "upstream reported an error in its stream", "upstream_error");
		return true;
	}
	return worker_attempt_pass(p, data, len, a->watch.content, ATTEMPT_PREFIX_MAX);
}

/* Does the answer call itself text? Then it is an error page or an error object, whatever its status. */
static bool
worker_attempt_is_text(const struct attempt *a)
{
	static const char *const type[] = {"text/", "application/json", "application/problem+json",
	                                   "application/xml"};

	for (size_t i = 0; a->content_type && i < HALE_COUNT(type); i++)
		if (strncasecmp(a->content_type, type[i], strlen(type[i])) == 0)
			return true;
	return false;
}

/* Bytes that are passed on as they come, once the first of them
 * are neither an object nor a page of markup. */
static bool
worker_attempt_bytes_piece(struct proxy *p, const char *data, size_t len)
{
	struct attempt *a = &p->a;
	size_t at = 0;

	if (!p->begun && worker_attempt_is_text(a)) {
		if (a->hold.len < ATTEMPT_ERROR_BODY_MAX)
			strbuf_add(&a->hold, data, len);
		return true;
	}
	if (a->hold.len == 0)
		while (at < len && strchr(" \t\r\n", data[at]) && data[at])
			at++;
	return worker_attempt_pass(p, data, len,
	                           a->hold.len == 0 && at < len && data[at] != '{' && data[at] != '<',
	                           ATTEMPT_PREFIX_MAX);
}

static bool
worker_attempt_body_cb(void *arg, const char *data, size_t len)
{
	struct proxy *p = arg;
	struct attempt *a = &p->a;

	if (a->status / 100 != 2) {
		if (a->hold.len < ATTEMPT_ERROR_BODY_MAX)
			strbuf_add(&a->hold, data, len);
		return true;
	}
	if (a->sse)
		return worker_attempt_stream_piece(p, data, len);
	if (a->op->binary && a->op->xlate == NULL)
		return worker_attempt_bytes_piece(p, data, len);
	if (a->op->xlate == NULL && !a->bridge)
		return worker_attempt_pass(p, data, len, false, ATTEMPT_HOLD_MAX);
	strbuf_add(&a->hold, data, len);
	if (a->hold.overflow)
		worker_attempt_fail(p, OUTCOME_BROKEN, 502, "upstream answer exceeds response_bytes_max",
		                    "upstream_bad_answer");
	return true;
}

static void
worker_attempt_transport(struct proxy *p, const struct upstream_result *r)
{
	switch (r->error) {
	case UPSTREAM_ETIMEOUT:
		worker_attempt_fail(p, OUTCOME_TIMEOUT, 504, r->text, "upstream_timeout");
		break;
	case UPSTREAM_ERESOLVE:
	case UPSTREAM_ECONNECT:
	case UPSTREAM_ETLS:
		worker_attempt_fail(p, OUTCOME_CONNECT, 502, r->text, "upstream_connect_error");
		break;
	default:
		worker_attempt_fail(p, OUTCOME_BROKEN, 502, r->text, "upstream_bad_answer");
		break;
	}
}

/* A response is kept, and its reasoning encrypted, by the account that made it. Which one that was is not
 * remembered: one that does not know it says so without doing any work, and the next is asked. */
static bool
worker_attempt_is_stranger(const struct proxy *p)
{
	static const char *const code[] = {"\"previous_response_not_found\"",
	                                   "\"invalid_encrypted_content\""};
	const struct strbuf *b = &p->a.hold;

	for (size_t i = 0; p->mode == MODE_RESPONSES && b->len && i < HALE_COUNT(code); i++)
		if (memmem(b->data, b->len, code[i], strlen(code[i])))
			return true;
	return false;
}

/* An answer that is complete, but not 2xx. */
static void
worker_attempt_refused(struct proxy *p)
{
	struct attempt_failure f = {.status = p->a.status, .relay = true};
	char text[32];

	snprintf(text, sizeof(text), "upstream answered %d", p->a.status);
	f.text = text;
	f.class = outcome_of_status(p->a.status);
	if (p->a.status < 400) { /* a redirect is not followed, and is of no use to the client */
		f.class = OUTCOME_BROKEN;
		f.status = 502;
		f.relay = false;
	}
	f.elsewhere = f.class == OUTCOME_CLIENT && worker_attempt_is_stranger(p);
	f.retryable = f.class != OUTCOME_CLIENT || p->a.status == 409 || f.elsewhere;
	worker_proxy_failed(p, &f);
}

/* What a translated stream has left to say when its end is only known by the end of the connection. */
static void
worker_attempt_xlate_end(struct proxy *p)
{
	struct attempt *a = &p->a;
	const char *data;
	size_t len;

	if (!a->xs || a->xdone || !a->op->xlate->stream_end)
		return;
	strbuf_clear(&a->out);
	a->xdone = a->op->xlate->stream_end(a->xs, &a->out) == 0;
	if (!a->xdone)
		return;
	data = strbuf_str(&a->out);
	len = a->out.len;
	worker_sse_feed(&a->watch, data, len);
	if (a->bridge && worker_bridge_feed(p, &data, &len) != 0)
		return;
	worker_attempt_pass(p, data, len, a->watch.content, ATTEMPT_PREFIX_MAX);
}

static void
worker_attempt_bridge_end(struct proxy *p)
{
	const char *data;
	size_t len;

	if (!p->a.bridged)
		return;
	worker_bridge_end(p, &data, &len);
	worker_attempt_pass(p, data, len, p->a.watch.content, ATTEMPT_PREFIX_MAX);
}

static void
worker_attempt_stream_end(struct proxy *p)
{
	struct attempt *a = &p->a;

	worker_attempt_flush_line(p);
	worker_attempt_xlate_end(p);
	worker_attempt_bridge_end(p);
	if (!a->watch.finished || a->watch.error || (a->xs && !a->xdone)) {
		worker_attempt_fail(p, OUTCOME_BROKEN, 502, "upstream ended the stream before it was finished",
		                    "upstream_stream_cut");
		return;
	}
	if (!p->begun)
		worker_answer_begin(p);
	http_reply_end(p->r);
	/* A stream that finished without a single token is relayed, but is no success of the deployment. */
	worker_proxy_done(p, a->watch.content ? OUTCOME_OK : OUTCOME_BROKEN);
}

/* A whole answer of the provider as one in OpenAI's form, in a->out. */
static int
worker_attempt_xlate_whole(struct proxy *p)
{
	struct attempt *a = &p->a;
	int err = a->op->xlate->response(p->model, strbuf_str(&a->hold), a->hold.len, &a->out);

	if (err == 0 && p->mode == MODE_EMBEDDING && embedding_wants_base64(p->body, p->body_len))
		err = embedding_to_base64(&a->out);
	return err;
}

/* Is the whole answer what the mode is for? */
static bool
worker_attempt_is_good(const struct proxy *p, const char **why)
{
	const struct attempt *a = &p->a;

	if (p->plain) { /* text was asked for: anything but nothing */
		*why = "the answer is empty";
		return a->hold.len > 0;
	}
	if (a->op->binary && a->op->xlate == NULL && a->hold.len && worker_attempt_is_text(a)) {
		*why = "the answer is text, not audio";
		return false;
	}
	return a->op->essential == NULL || a->op->essential(strbuf_str(&a->hold), a->hold.len, why);
}

static void
worker_attempt_whole_end(struct proxy *p)
{
	struct attempt *a = &p->a;
	const char *why = "upstream answer is not of the provider's form";

	if (p->begun) {
		http_reply_end(p->r);
		worker_proxy_done(p, OUTCOME_OK);
		return;
	}
	if (!worker_attempt_is_good(p, &why)) {
		worker_attempt_fail(p, OUTCOME_BROKEN, 502, why, "upstream_bad_answer");
		return;
	}
	if (a->op->xlate && a->op->xlate->response) {
		if (worker_attempt_xlate_whole(p) != 0) {
			worker_attempt_fail(p, OUTCOME_BROKEN, 502, why, "upstream_bad_answer");
			return;
		}
		strbuf_clear(&a->hold);
		strbuf_add(&a->hold, strbuf_str(&a->out), a->out.len);
		a->content_type = "application/json";
	}
	if (a->bridge && worker_bridge_whole(p, &a->hold) != 0) {
		worker_attempt_fail(p, OUTCOME_BROKEN, 502, why, "upstream_bad_answer");
		return;
	}
	worker_answer_whole(p);
	worker_proxy_done(p, OUTCOME_OK);
}

static void
worker_attempt_end_cb(void *arg, const struct upstream_result *r)
{
	struct proxy *p = arg;

	const struct provider_xlate *x = p->a.op->xlate;

	p->a.call = NULL; /* gone when this returns: nothing below may cancel it */
	if (x && x->status && r->error == UPSTREAM_OK && !p->a.sse && !p->begun)
		p->a.status = x->status(p->a.status, strbuf_str(&p->a.hold), p->a.hold.len);
	if (r->error != UPSTREAM_OK)
		worker_attempt_transport(p, r);
	else if (p->a.status / 100 != 2)
		worker_attempt_refused(p);
	else if (p->a.sse)
		worker_attempt_stream_end(p);
	else
		worker_attempt_whole_end(p);
}

static const struct upstream_ops worker_attempt_ops = {
	.head = worker_attempt_head_cb,
	.body = worker_attempt_body_cb,
	.end = worker_attempt_end_cb,
};

static void
worker_attempt_timers(const struct proxy *p, struct upstream_timers *t)
{
	const struct conf *c = p->w->conf;
	const struct deployment *d = p->a.d;

	t->connect_ms = c->limits.connect_timeout_ms;
	t->head_ms = c->limits.first_byte_timeout_ms;
	t->total_ms = d->timeout_ms ? d->timeout_ms : c->router.timeout_ms;
	if (p->stream && worker_attempt_begin_ms(p))
		t->head_ms = worker_attempt_begin_ms(p);
	if (p->a.op->binary)
		t->idle_ms = c->limits.stream_idle_timeout_ms;
}

/* Headers of this one request: what the body is, and the signature of providers that want one. */
static int
worker_attempt_headers(struct proxy *p, struct http_header *header, struct upstream_request *q, const char **why)
{
	struct provider_sign s = {.d = p->a.d, .endpoint = q->endpoint, .body = q->body, .nbody = q->nbody};

	header[0] = (struct http_header){"Content-Type", p->body_type ? p->body_type : "application/json"};
	header[1] = (struct http_header){"Accept", p->stream ? worker_attempt_stream_type(p)
	                                           : p->plain || p->a.op->binary ? "*/*"
	                                                                         : "application/json"};
	q->header = header;
	q->nheader = 2;
	if (p->a.op->sign == NULL)
		return 0;
	s.now_real_ns = clock_real_ns();
	*why = "This deployment has no credentials to sign the request with.";
	if (p->a.op->sign(p->arena, &s) != 0)
		return HALE_EUNSUPPORTED;
	memcpy(header + q->nheader, s.header, s.nheader * sizeof(*s.header));
	q->nheader += s.nheader;
	return 0;
}

int
worker_attempt_start(struct proxy *p, const struct deployment *d, const char **why)
{
	struct http_header header[2 + PROVIDER_SIGN_HEADERS_MAX];
	const char *model = worker_choose_upstream_model(&p->choice, d);
	struct upstream_request q = {.proxy = d->proxy, .http2 = d->http2, .insecure_tls = d->insecure_tls};
	struct attempt *a = &p->a;
	enum upstream_error uerr;
	int err = 0;

	a->d = d;
	a->mode = provider_serves(d->provider, p->mode);
	a->op = d->provider->op[a->mode];
	a->bridge = a->mode != p->mode;
	a->start_ns = clock_mono_ns();
	a->length = -1;
	strbuf_init(&a->hold, p->w->conf->limits.response_bytes_max);
	strbuf_init(&a->out, 0);
	strbuf_init(&a->line, 0);
	worker_sse_init(&a->watch, mode_dialect(a->mode));
	*why = "This deployment's address cannot be built for the request.";
	q.endpoint = worker_endpoint(p->w, p->arena, d, a->mode, p->stream,
	                             model == d->upstream_model ? NULL : model);
	if (q.endpoint && a->op->client_header)
		q.endpoint = worker_pass_up(p, a->op, q.endpoint);
	if (q.endpoint == NULL)
		err = HALE_EUNSUPPORTED;
	else
		err = worker_body_upstream(p, model, &q, why);
	worker_attempt_timers(p, &q.timers);
	if (err == 0)
		err = worker_attempt_headers(p, header, &q, why);
	if (err == 0) {
		a->call = upstream_start(p->w->upstream, &q, &worker_attempt_ops, p, &uerr);
		if (a->call == NULL)
			err = uerr == UPSTREAM_ELIMIT ? HALE_ELIMIT : HALE_EUNSUPPORTED;
	}
	if (err != 0) {
		worker_attempt_clear(p);
		return err;
	}
	outcome_begin(p->w->table, p->w->index, d->index);
	return 0;
}

/* One realtime session, from the client's handshake to its end.
 *
 * check -> choose -> [tunnel]* -> 101 -> splice. The client gets its 101 only after an upstream has
 * said 101, so a deployment that refuses or cannot be reached is replaced by another one like in any
 * other request, and what the client sees of a refusal is an HTTP answer in OpenAI's envelope. What
 * happens in a session afterwards is between its two ends; a provider that says no inside of it (OpenAI
 * does, about keys) is found by the probes.
 *
 * To the deployment a session is a success when it opens, and in flight until it ends.
 */
#include "hale/hale.h"

#include "worker_realtime.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <strings.h>

#include "hale/apierror.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/http_list.h"
#include "hale/log.h"
#include "hale/outcome.h"
#include "hale/redact.h"
#include "hale/strbuf.h"
#include "hale/tunnel.h"
#include "hale/ws_frame.h"
#include "worker.h"
#include "worker_choose.h"
#include "worker_http.h"
#include "worker_splice.h"

#define REALTIME_MODEL_BYTES 1024
#define REALTIME_KEY_PROTOCOL "openai-insecure-api-key."
#define REALTIME_BETA_PROTOCOL "openai-beta.realtime-v1"

struct realtime {
	struct worker_task task; /* first: worker.running points at it */
	struct worker *w;
	struct http_req *r;
	struct arena *arena;
	char call_id[37];
	/* of the client's handshake, borrowed from the request */
	const char *key, *protocols, *extensions, *model;
	bool beta;
	/* the way to an upstream */
	struct choice choice;
	unsigned attempts, attempts_max;
	const struct deployment *d; /* of the running attempt, then of the session */
	uint64_t start_ns;
	struct tunnel *tunnel;
	struct event *backoff;
	uint32_t retry_after_ms;
	struct strbuf trail;
	/* the session */
	struct splice *splice;
	uint64_t open_ns;
};

struct realtime_failure {
	enum outcome_class class;
	int status; /* for the client */
	const char *text, *code;
	bool relay; /* the upstream's own words are for the client */
	bool retryable;
};

/* ---- ends ---- */

static void
worker_realtime_free(struct realtime *s)
{
	struct arena *a = s->arena;

	TAILQ_REMOVE(&s->w->running, &s->task, entry);
	s->w->nsession--;
	counter_add(s->w->table, s->w->index, COUNTER_SESSIONS_OPEN, -1);
	worker_splice_freep(&s->splice);
	tunnel_freep(&s->tunnel);
	if (s->backoff)
		event_free(s->backoff);
	strbuf_release(&s->trail);
	arena_freep(&a); /* s lives in it */
}

static void
worker_realtime_error(struct http_req *r, int status, const char *message, const char *param, const char *code)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	apierror_openai(&b, status, message, apierror_type(status), param, code);
	http_reply_strbuf(r, status, "application/json", &b);
	strbuf_release(&b);
}

/* A proper answer of the gateway itself; frees s. */
static void
worker_realtime_refuse(struct realtime *s, int status, const char *message, const char *param, const char *code)
{
	http_reply_header(s->r, "x-litellm-call-id", s->call_id);
	worker_realtime_error(s->r, status, message, param, code);
	worker_realtime_free(s);
}

static void
worker_realtime_no_choice(struct realtime *s, const struct choose_refusal *no)
{
	if (no->retry_after[0])
		http_reply_header(s->r, "retry-after", no->retry_after);
	worker_realtime_refuse(s, no->status, no->message, no->param, no->code);
}

/* The client left, or the server is freed. */
static void
worker_realtime_gone(void *arg)
{
	struct realtime *s = arg;

	if (s->d)
		outcome_dropped(s->w->table, s->w->index, s->d->index);
	worker_realtime_free(s);
}

static void
worker_realtime_done(void *arg, enum splice_end e)
{
	struct realtime *s = arg;
	struct http_req *r = s->r;

	log_debug("session ended call=%s deployment=%s by=%s seconds=%llu", s->call_id, s->d->id,
	          worker_splice_end_name(e), (unsigned long long)((clock_mono_ns() - s->open_ns) / NS_PER_SEC));
	worker_realtime_gone(s);
	http_reply_abort(r);
}

/* A session gets its close frame, where that cuts no frame of the upstream. */
static void
worker_realtime_end(struct worker_task *t)
{
	struct realtime *s = (struct realtime *)t;

	if (s->splice) {
		worker_splice_close(s->splice, "the gateway is shutting down");
		return;
	}
	if (s->d)
		outcome_dropped(s->w->table, s->w->index, s->d->index);
	worker_realtime_refuse(s, 503, "The gateway is shutting down.", NULL, "shutting_down");
}

/* ---- the client's handshake ---- */

static size_t
worker_realtime_token(const char **list)
{
	*list += strspn(*list, " \t,");
	return strcspn(*list, " \t,");
}

bool
worker_realtime_key(const char *protocols, char *key, size_t size)
{
	const size_t prefix = sizeof(REALTIME_KEY_PROTOCOL) - 1;
	size_t len;

	for (const char *p = protocols; (len = worker_realtime_token(&p)) > 0; p += len) {
		if (len <= prefix || len - prefix >= size || strncasecmp(p, REALTIME_KEY_PROTOCOL, prefix) != 0)
			continue;
		memcpy(key, p + prefix, len - prefix);
		key[len - prefix] = '\0';
		return true;
	}
	return false;
}

/* The subprotocol that the client is told: the first that carries neither a key nor a setting. A client
 * that offers some and is told none ends the connection. */
static const char *
worker_realtime_protocol(const struct realtime *s)
{
	const char *p = s->protocols ? s->protocols : "";
	size_t len;

	for (; (len = worker_realtime_token(&p)) > 0; p += len)
		if (strncasecmp(p, "openai-", 7) != 0)
			return arena_strndup(s->arena, p, len);
	return NULL;
}

/* false: answered. */
static bool
worker_realtime_check(struct http_req *r)
{
	const char *upgrade = http_req_header(r, "upgrade"), *connection = http_req_header(r, "connection");
	const char *version = http_req_header(r, "sec-websocket-version"), *key = http_req_header(r, "sec-websocket-key");
	size_t body;

	(void)http_req_body(r, &body);
	if (http_req_method(r) != HTTP_GET || !upgrade || !http_list_has(upgrade, "websocket") || !connection ||
	    !http_list_has(connection, "upgrade") || !version || strcmp(version, "13") != 0) {
		http_reply_header(r, "Upgrade", "websocket");
		http_reply_header(r, "Sec-WebSocket-Version", "13");
		worker_realtime_error(r, 426, "This path speaks WebSocket: an upgrade with Sec-WebSocket-Version 13 is needed.",
		                      NULL, "upgrade_required");
		return false;
	}
	if (!key || !ws_frame_key_is_valid(key) || body > 0) {
		worker_realtime_error(r, 400, "The WebSocket handshake is malformed: Sec-WebSocket-Key must be 16 bytes in "
		                              "base64, and there is no body.", NULL, "bad_handshake");
		return false;
	}
	return true;
}

/* What the client's query says besides the model. Names that choose a deployment, a version or a key are the
 * gateway's, and so is what the deployment's own address has; names in disguise are nobody's. */
static const char *
worker_realtime_query(const struct realtime *s, const char *url)
{
	static const char *const ours[] = {"model", "deployment", "api-version", "api-key", "api_key", "key"};
	const char *p = http_req_raw_query(s->r), *own = strchr(url, '?');
	struct strbuf out;
	char *text;

	strbuf_init(&out, 0);
	for (; p && *p; p += *p == '&') {
		size_t len = strcspn(p, "&"), name = strcspn(p, "=&");
		bool pass = name > 0 && !memchr(p, '%', name) && !memchr(p, '+', name);

		for (size_t i = 0; i < HALE_COUNT(ours); i++)
			pass &= strlen(ours[i]) != name || strncasecmp(p, ours[i], name) != 0;
		for (const char *q = own; pass && q; q = strchr(q + 1, '&'))
			pass = strncasecmp(q + 1, p, name) != 0 || q[1 + name] != '=';
		if (pass)
			strbuf_printf(&out, "%s%.*s", out.len ? "&" : "", (int)len, p);
		p += len;
	}
	text = arena_strndup(s->arena, strbuf_str(&out), out.len);
	strbuf_release(&out);
	return text;
}

/* ---- attempts ---- */

static void worker_realtime_next(struct realtime *s);

static void
worker_realtime_retry_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_realtime_next(arg);
}

/* The upstream's error as it is when it is an envelope, else in one. Secrets are masked. */
static void
worker_realtime_relay(const struct realtime *s, int status, const char *text, const struct tunnel_result *t,
                      struct strbuf *out)
{
	struct json_object *o, *e, *m;
	struct strbuf clean, message;

	strbuf_init(&clean, 0);
	strbuf_init(&message, 4096);
	redact_text(s->w->conf, t->body, t->body_len, &clean);
	o = json_tokener_parse(strbuf_str(&clean));
	if (json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, "error", &e) &&
	    json_object_is_type(e, json_type_object) && json_object_object_get_ex(e, "message", &m)) {
		strbuf_add(out, strbuf_str(&clean), clean.len);
	} else {
		strbuf_printf(&message, "%s%s%.2000s", text, clean.len ? ": " : "", strbuf_str(&clean));
		apierror_openai(out, status, strbuf_str(&message), apierror_type(status), NULL, NULL);
	}
	json_object_put(o);
	strbuf_release(&message);
	strbuf_release(&clean);
}

/* Tells the client; frees s. */
static void
worker_realtime_give_up(struct realtime *s, const struct realtime_failure *f, const struct tunnel_result *t)
{
	struct strbuf out, message;
	char n[12];

	strbuf_init(&out, 0);
	strbuf_init(&message, 2048);
	if (f->relay) {
		worker_realtime_relay(s, f->status, f->text, t, &out);
	} else {
		strbuf_printf(&message, "The session with model=%.200s failed: %s.", s->model, strbuf_str(&s->trail));
		apierror_openai(&out, f->status, strbuf_str(&message), apierror_type(f->status), NULL, f->code);
	}
	snprintf(n, sizeof(n), "%u", s->attempts - 1);
	http_reply_header(s->r, "x-litellm-call-id", s->call_id);
	http_reply_header(s->r, "x-litellm-model-id", s->d->id);
	http_reply_header(s->r, "x-litellm-attempted-retries", n);
	for (unsigned i = 0; f->relay && i < t->nheader; i++)
		if (strcasecmp(t->header[i].name, "retry-after") == 0 || strcasecmp(t->header[i].name, "x-request-id") == 0)
			http_reply_header(s->r, t->header[i].name, t->header[i].value);
	http_reply_strbuf(s->r, f->status, "application/json", &out);
	strbuf_release(&message);
	strbuf_release(&out);
	worker_realtime_free(s);
}

static bool
worker_realtime_may_retry(const struct realtime *s, const struct realtime_failure *f)
{
	if (!f->retryable || s->attempts >= s->attempts_max)
		return false;
	/* A key that was refused is not tried twice. */
	return f->class != OUTCOME_UNAUTHORIZED || worker_choose_has_fresh(&s->choice);
}

static void
worker_realtime_failed(struct realtime *s, const struct realtime_failure *f, const struct tunnel_result *t)
{
	uint64_t now = clock_mono_ns();
	struct timeval tv;
	uint32_t wait;

	outcome_end(s->w->table, s->w->index, s->d->index, f->class, (uint32_t)((now - s->start_ns) / 1000), now);
	strbuf_printf(&s->trail, "%sattempt %u: %s", s->trail.len ? "; " : "", s->attempts, f->text);
	worker_choose_refused(&s->choice, s->d);
	log_limited(log_info, "session attempt failed call=%s deployment=%s attempt=%u status=%d class=%s text=\"%s\"",
	            s->call_id, s->d->id, s->attempts, t->status, outcome_name(f->class), f->text);
	if (!worker_realtime_may_retry(s, f)) {
		worker_realtime_give_up(s, f, t);
		return;
	}
	counter_add(s->w->table, s->w->index, COUNTER_RETRIES, 1);
	s->d = NULL;
	wait = worker_choose_backoff_ms(&s->choice, s->attempts, s->retry_after_ms);
	if (wait == 0) {
		worker_realtime_next(s);
		return;
	}
	if (s->backoff == NULL)
		s->backoff = evtimer_new(s->w->base, worker_realtime_retry_cb, s);
	tv = (struct timeval){wait / 1000, (wait % 1000) * 1000};
	if (s->backoff == NULL || evtimer_add(s->backoff, &tv) != 0)
		worker_realtime_refuse(s, 500, "The gateway could not start a timer.", NULL, NULL);
}

/* An answer that is not 101. */
static void
worker_realtime_answered(struct realtime *s, const struct tunnel_result *t)
{
	struct realtime_failure f = {.class = outcome_of_status(t->status), .status = t->status, .relay = true};
	char text[64];

	s->retry_after_ms = 0;
	for (unsigned i = 0; i < t->nheader; i++)
		if (strcasecmp(t->header[i].name, "retry-after") == 0)
			s->retry_after_ms = (uint32_t)(strtoul(t->header[i].value, NULL, 10) % 1000000 * 1000);
	snprintf(text, sizeof(text), "upstream answered %d to the handshake", t->status);
	f.text = text;
	if (t->status < 400) {
		f.class = OUTCOME_BROKEN;
		f.status = 502;
		f.code = "upstream_bad_answer";
		f.relay = false;
	}
	f.retryable = f.class != OUTCOME_CLIENT;
	worker_realtime_failed(s, &f, t);
}

static void worker_realtime_open(struct realtime *s, const struct tunnel_result *t);

static void
worker_realtime_tunnel_cb(void *arg, const struct tunnel_result *t)
{
	struct realtime *s = arg;
	struct realtime_failure f = {.text = t->text, .retryable = true};

	if (t->bev) {
		worker_realtime_open(s, t);
		return;
	}
	s->tunnel = NULL;
	switch (t->error) {
	case UPSTREAM_OK:
		worker_realtime_answered(s, t);
		return;
	case UPSTREAM_ETIMEOUT:
		f.class = OUTCOME_TIMEOUT;
		f.status = 504;
		f.code = "upstream_timeout";
		break;
	case UPSTREAM_ERESOLVE:
	case UPSTREAM_ECONNECT:
	case UPSTREAM_ETLS:
		f.class = OUTCOME_CONNECT;
		f.status = 502;
		f.code = "upstream_connect_error";
		break;
	default:
		f.class = OUTCOME_BROKEN;
		f.status = 502;
		f.code = "upstream_bad_answer";
		break;
	}
	worker_realtime_failed(s, &f, t);
}

static bool
worker_realtime_has_header(const struct endpoint *e, const char *name)
{
	for (unsigned i = 0; i < e->nheader; i++)
		if (strcasecmp(e->header[i].name, name) == 0)
			return true;
	return false;
}

/* false: answered. */
static bool
worker_realtime_start(struct realtime *s, const struct deployment *d, const struct endpoint *e)
{
	const struct conf *c = s->w->conf;
	struct http_header header[2];
	struct tunnel_request q = {
		.endpoint = e,
		.query = worker_realtime_query(s, e->url),
		.header = header,
		.connect_ms = c->limits.connect_timeout_ms,
		.total_ms = c->limits.first_byte_timeout_ms,
		.insecure_tls = d->insecure_tls,
	};
	enum upstream_error err;

	if (q.total_ms == 0)
		q.total_ms = d->timeout_ms ? d->timeout_ms : c->router.timeout_ms;
	if (s->extensions)
		header[q.nheader++] = (struct http_header){"Sec-WebSocket-Extensions", s->extensions};
	if (s->beta && !worker_realtime_has_header(e, "OpenAI-Beta"))
		header[q.nheader++] = (struct http_header){"OpenAI-Beta", "realtime=v1"};
	s->tunnel = tunnel_start(s->w->upstream, &q, worker_realtime_tunnel_cb, s, &err);
	if (s->tunnel)
		return true;
	if (err == UPSTREAM_ELIMIT) {
		counter_add(s->w->table, s->w->index, COUNTER_UPSTREAM_LIMIT, 1);
		worker_realtime_refuse(s, 503, "The gateway has no free upstream connection (upstream_connections_max).", NULL,
		                       "gateway_limit");
	} else {
		worker_realtime_refuse(s, 500, "This deployment's address cannot be built for the request.", NULL,
		                       "bad_deployment");
	}
	return false;
}

static void
worker_realtime_next(struct realtime *s)
{
	const struct deployment *d;
	const struct endpoint *e;
	struct choose_refusal no;
	const char *model;

	d = worker_choose_next(&s->choice, &no);
	if (d == NULL) {
		worker_realtime_no_choice(s, &no);
		return;
	}
	s->attempts++;
	s->start_ns = clock_mono_ns();
	model = worker_choose_upstream_model(&s->choice, d);
	e = worker_endpoint(s->w, s->arena, d, MODE_REALTIME, false, model == d->upstream_model ? NULL : model);
	if (e == NULL) {
		worker_realtime_refuse(s, 500, "This deployment's address cannot be built for the request.", NULL, "bad_deployment");
		return;
	}
	if (!worker_realtime_start(s, d, e))
		return;
	s->d = d;
	outcome_begin(s->w->table, s->w->index, d->index);
}

/* ---- the session ---- */

static void
worker_realtime_switch(struct realtime *s, const struct tunnel_result *t, struct bufferevent *client)
{
	const char *protocol = worker_realtime_protocol(s);
	char accept[WS_FRAME_ACCEPT_BYTES];
	struct strbuf b;

	ws_frame_accept(s->key, accept);
	strbuf_init(&b, 0);
	strbuf_printf(&b,
	              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	              "Sec-WebSocket-Accept: %s\r\n", accept);
	if (protocol)
		strbuf_printf(&b, "Sec-WebSocket-Protocol: %s\r\n", protocol);
	for (unsigned i = 0; i < t->nheader; i++)
		if (strcasecmp(t->header[i].name, "Sec-WebSocket-Extensions") == 0 ||
		    strcasecmp(t->header[i].name, "x-request-id") == 0)
			strbuf_printf(&b, "%s: %s\r\n", t->header[i].name, t->header[i].value);
	strbuf_printf(&b,
	              "x-litellm-call-id: %s\r\nx-litellm-model-id: %s\r\nx-litellm-attempted-retries: %u\r\n\r\n", s->call_id,
	              s->d->id, s->attempts - 1);
	bufferevent_write(client, strbuf_str(&b), b.len);
	strbuf_release(&b);
}

static void
worker_realtime_open(struct realtime *s, const struct tunnel_result *t)
{
	uint64_t now = s->open_ns = clock_mono_ns();
	struct worker *w = s->w;
	struct bufferevent *client;

	outcome_end(w->table, w->index, s->d->index, OUTCOME_OK, (uint32_t)((now - s->start_ns) / 1000), now);
	outcome_begin(w->table, w->index, s->d->index); /* in flight until it ends */
	counter_add(w->table, w->index, COUNTER_SESSIONS, 1);
	/* What is borrowed from the request is used before it leaves HTTP. */
	client = http_req_take_over(s->r);
	worker_realtime_switch(s, t, client);
	s->splice = worker_splice_new(w, client, s->tunnel, t->bev, worker_realtime_done, s);
}

static bool
worker_realtime_is_full(struct worker *w, struct http_req *r)
{
	if (w->nsession < w->conf->limits.realtime_sessions_max)
		return false;
	counter_add(w->table, w->index, COUNTER_SESSIONS_REFUSED, 1);
	http_reply_header(r, "retry-after", "1");
	worker_realtime_error(r, 503, "The gateway has no room for another realtime session (realtime_sessions_max).", NULL,
	                      "gateway_limit");
	return true;
}

void
worker_realtime_get(struct worker *w, struct http_req *r, bool admin)
{
	const char *model = http_req_query(r, "model"), *beta = http_req_header(r, "openai-beta");
	struct choose_refusal no;
	struct realtime *s;
	struct arena *a;

	(void)admin;
	if (!worker_realtime_check(r) || worker_realtime_is_full(w, r))
		return;
	if (!model || !*model || strlen(model) > REALTIME_MODEL_BYTES) {
		worker_realtime_error(r, 400, "Missing required parameter: 'model', in the query of the address.", "model",
		                      "missing_required_parameter");
		return;
	}
	a = arena_new(2048);
	s = arena_alloc(a, sizeof(*s));
	s->w = w;
	s->r = r;
	s->arena = a;
	s->model = arena_strdup(a, model);
	s->key = arena_strdup(a, http_req_header(r, "sec-websocket-key"));
	s->protocols = http_req_header(r, "sec-websocket-protocol");
	s->protocols = s->protocols ? arena_strdup(a, s->protocols) : NULL;
	s->extensions = http_req_header(r, "sec-websocket-extensions");
	s->beta = (beta && http_list_has(beta, "realtime=v1")) ||
	          (s->protocols && http_list_has(s->protocols, REALTIME_BETA_PROTOCOL));
	strbuf_init(&s->trail, 1024);
	worker_call_id(w, s->call_id);
	s->task.end = worker_realtime_end;
	TAILQ_INSERT_TAIL(&w->running, &s->task, entry);
	w->nsession++;
	counter_add(w->table, w->index, COUNTER_SESSIONS_OPEN, 1);
	if (!worker_choose_init(&s->choice, w, a, s->call_id, s->model, MODE_REALTIME, &no)) {
		worker_realtime_no_choice(s, &no);
		return;
	}
	s->attempts_max = worker_choose_attempts_max(&s->choice);
	counter_add(w->table, w->index, COUNTER_RELAYED, 1);
	http_req_watch(r, worker_realtime_gone, NULL, s);
	worker_realtime_next(s);
}

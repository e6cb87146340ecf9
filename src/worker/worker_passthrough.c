/* Files and batches: relayed to one account, as they are.
 *
 * An id that an upstream gave lives in the account that gave it, so the deployment is not drawn: it is
 * the one that the request names, else the first for batches in the configuration. Every worker comes to
 * the same one, health does not move it, and there is no second try. What names it (model,
 * target_model_names) is for us and is cut out; everything else passes: method, the rest of path and
 * query, body, status, content type. Bytes of files are passed on as they come, errors in our envelope.
 *
 * No outcome is recorded: that an account's files cannot be read says nothing about its models.
 */
#include "hale/hale.h"

#include "worker_passthrough.h"

#include <event2/event.h>
#include <strings.h>

#include "hale/apierror.h"
#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/log.h"
#include "hale/outcome.h"
#include "hale/provider.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"
#include "worker.h"
#include "worker_answer.h"
#include "worker_choose.h"
#include "worker_http.h"
#include "worker_passthrough_int.h"

#define PASSTHROUGH_ID_MAX 256
#define PASSTHROUGH_ERROR_MAX (64u << 10)

#define BIT(method) (1u << (method))

/* Length of the id at s; 0: none, or one that we do not pass on. */
static size_t
worker_passthrough_id(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=");

	return n <= PASSTHROUGH_ID_MAX && strspn(s, ".") < n ? n : 0;
}

bool
worker_passthrough_find(const char *path, struct passthrough_target *out)
{
	const char *rest = strncmp(path, "/v1/", 4) == 0 ? path + 3 : path, *p;
	size_t len = strlen(rest), id;

	out->batch = strncmp(rest, "/batches", 8) == 0;
	if (!out->batch && strncmp(rest, "/files", 6) != 0)
		return false;
	if (len > 1 && rest[len - 1] == '/')
		len--;
	if (len >= sizeof(out->rest))
		return false;
	memcpy(out->rest, rest, len);
	out->rest[len] = '\0';
	p = out->rest + (out->batch ? 8 : 6);
	out->methods = BIT(HTTP_GET) | BIT(HTTP_POST);
	if (*p == '\0')
		return true;
	id = *p == '/' ? worker_passthrough_id(p + 1) : 0;
	if (id == 0)
		return false;
	p += 1 + id;
	out->methods = out->batch ? BIT(HTTP_GET) : BIT(HTTP_GET) | BIT(HTTP_DELETE);
	if (*p == '\0')
		return true;
	out->methods = out->batch ? BIT(HTTP_POST) : BIT(HTTP_GET);
	return strcmp(p, out->batch ? "/cancel" : "/content") == 0;
}

static void
worker_passthrough_free(struct passthrough *p)
{
	struct arena *a = p->arena;

	TAILQ_REMOVE(&p->w->running, &p->task, entry);
	if (p->call)
		upstream_cancel(p->call);
	strbuf_release(&p->error);
	arena_freep(&a); /* p lives in it */
}

static void
worker_passthrough_headers(struct passthrough *p)
{
	http_reply_header(p->r, "x-litellm-call-id", p->call_id);
	if (p->d) {
		http_reply_header(p->r, "x-litellm-model-id", p->d->id);
		http_reply_header(p->r, "x-litellm-model-group", p->d->model_name);
	}
	for (unsigned i = 0; i < p->npass; i++)
		http_reply_header(p->r, p->pass[i].name, p->pass[i].value);
}

void
worker_passthrough_refuse(struct passthrough *p, int status, const char *message, const char *param,
                          const char *code)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	apierror_openai(&b, status, message, apierror_type(status), param, code);
	worker_passthrough_headers(p);
	http_reply_strbuf(p->r, status, "application/json", &b);
	strbuf_release(&b);
	worker_passthrough_free(p);
}

static void
worker_passthrough_gone(void *arg)
{
	worker_passthrough_free(arg);
}

static void
worker_passthrough_drained(void *arg)
{
	struct passthrough *p = arg;

	if (!p->paused || p->call == NULL)
		return;
	p->paused = false;
	upstream_resume(p->call);
}

/* The worker's time is up. */
static void
worker_passthrough_end(struct worker_task *t)
{
	struct passthrough *p = (struct passthrough *)t;

	if (!p->begun) {
		worker_passthrough_refuse(p, 503, "The gateway is shutting down.", NULL, "shutting_down");
		return;
	}
	http_reply_abort(p->r);
	worker_passthrough_free(p);
}

static void
worker_passthrough_failed(struct passthrough *p, const struct upstream_result *r)
{
	const char *code = "upstream_bad_answer";
	char message[256];

	if (r->error == UPSTREAM_ETIMEOUT)
		code = "upstream_timeout";
	else if (r->phase <= UPSTREAM_TLS)
		code = "upstream_connect_error";
	log_limited(log_info, "pass-through failed call=%s deployment=%s status=%d text=\"%s\"", p->call_id,
	            p->d->id, p->status, r->text);
	if (p->begun) {
		http_reply_abort(p->r);
		worker_passthrough_free(p);
		return;
	}
	snprintf(message, sizeof(message), "The request to model=%.100s failed: %.100s.", p->d->model_name,
	         r->text);
	worker_passthrough_refuse(p, r->error == UPSTREAM_ETIMEOUT ? 504 : 502, message, NULL, code);
}

/* ---- the answer ---- */

static bool
worker_passthrough_passes(const char *name)
{
	return strcasecmp(name, "x-request-id") == 0 || strcasecmp(name, "content-disposition") == 0 ||
	       strcasecmp(name, "retry-after") == 0 || strncasecmp(name, "openai-", 7) == 0 ||
	       strncasecmp(name, "x-ratelimit-", 12) == 0 || strcasecmp(name, "apim-request-id") == 0;
}

static void
worker_passthrough_head_cb(void *arg, int status, const struct http_header *h, unsigned n)
{
	struct passthrough *p = arg;

	p->status = status;
	p->length = -1;
	for (unsigned i = 0; i < n; i++) {
		if (strcasecmp(h[i].name, "content-type") == 0)
			p->content_type = arena_strdup(p->arena, h[i].value);
		else if (strcasecmp(h[i].name, "content-length") == 0)
			p->length = (int64_t)strtoll(h[i].value, NULL, 10);
		else if (p->npass < PASSTHROUGH_HEADERS_MAX && worker_passthrough_passes(h[i].name))
			p->pass[p->npass++] = (struct http_header){arena_strdup(p->arena, h[i].name),
			                                           arena_strdup(p->arena, h[i].value)};
	}
}

static bool
worker_passthrough_body_cb(void *arg, const char *data, size_t len)
{
	struct passthrough *p = arg;

	if (p->status / 100 != 2) {
		strbuf_add(&p->error, data, len); /* what is beyond the bound is of no use */
		return true;
	}
	if (!p->begun) {
		worker_passthrough_headers(p);
		http_reply_begin(p->r, p->status,
		                 p->content_type ? p->content_type : "application/octet-stream", p->length);
		p->begun = true;
	}
	if (http_reply_chunk(p->r, data, len))
		return true;
	counter_add(p->w->table, p->w->index, COUNTER_BUFFER_PAUSES, 1);
	p->paused = true;
	return false;
}

/* An answer that is complete, but no 2xx: its message in our envelope. */
static void
worker_passthrough_refused(struct passthrough *p)
{
	int status = p->status >= 400 ? p->status : 502; /* a redirect is not followed, and is of no use to the client */
	struct strbuf out;
	char text[32];

	snprintf(text, sizeof(text), "upstream answered %d", p->status);
	strbuf_init(&out, 0);
	worker_answer_foreign(p->w->conf, p->d->provider->op[MODE_BATCH], DIALECT_CHAT, status, text,
	                      &p->error, &out);
	worker_passthrough_headers(p);
	http_reply_strbuf(p->r, status, "application/json", &out);
	strbuf_release(&out);
	worker_passthrough_free(p);
}

static void
worker_passthrough_end_cb(void *arg, const struct upstream_result *r)
{
	struct passthrough *p = arg;

	p->call = NULL;
	if (r->error != UPSTREAM_OK) {
		worker_passthrough_failed(p, r);
		return;
	}
	if (p->status / 100 != 2) {
		worker_passthrough_refused(p);
		return;
	}
	if (p->begun) {
		http_reply_end(p->r);
	} else {
		worker_passthrough_headers(p);
		http_reply(p->r, p->status, p->content_type, "", 0);
	}
	worker_passthrough_free(p);
}

static const struct upstream_ops worker_passthrough_ops = {
	.head = worker_passthrough_head_cb,
	.body = worker_passthrough_body_cb,
	.end = worker_passthrough_end_cb,
};

/* ---- the request ---- */

static bool
worker_passthrough_serves(const struct deployment *d)
{
	const struct provider_op *op = d->provider->op[MODE_BATCH];

	return op && op->path && op->sign == NULL && !d->blocked;
}

/* The first of those that the name means, in the order of the configuration. */
static const struct deployment *
worker_passthrough_named(struct passthrough *p, struct choose_refusal *no)
{
	const struct conf *c = p->w->conf;
	struct choice choice;

	if (!worker_choose_init(&choice, p->w, p->arena, p->call_id, p->model, MODE_BATCH, no))
		return NULL;
	if (choice.target.match == ROUTE_MATCH_ID &&
	    worker_passthrough_serves(&c->deployment[choice.target.deployment]))
		return &c->deployment[choice.target.deployment];
	for (uint32_t i = 0; choice.target.match != ROUTE_MATCH_ID && i < c->group[choice.target.group].nmember; i++) {
		const struct deployment *d = &c->deployment[c->group[choice.target.group].member[i]];

		if (worker_passthrough_serves(d))
			return d;
	}
	*no = (struct choose_refusal){.status = 400, .param = "model", .code = "unsupported_mode"};
	snprintf(no->message, sizeof(no->message), "No deployment of model=%.200s can serve batch requests.",
	         p->model);
	return NULL;
}

static const struct deployment *
worker_passthrough_choose(struct passthrough *p, struct choose_refusal *no)
{
	const struct conf *c = p->w->conf;
	const struct deployment *any = NULL;

	if (p->model)
		return worker_passthrough_named(p, no);
	for (uint32_t i = 0; i < c->ndeployment; i++) {
		const struct deployment *d = &c->deployment[i];

		if (!worker_passthrough_serves(d))
			continue;
		if (d->probe.mode == MODE_BATCH)
			return d;
		any = any ? any : d;
	}
	*no = (struct choose_refusal){.status = 400, .code = "unsupported_mode"};
	snprintf(no->message, sizeof(no->message), "No deployment can serve batch requests.");
	return any;
}

/* The client's query without what was for us. */
static void
worker_passthrough_query(const struct passthrough *p, struct strbuf *url, bool more)
{
	static const char *const ours[] = {"model=", "target_model_names="};
	const char *q = http_req_raw_query(p->r);

	for (size_t n; q && *q; q += n + (q[n] == '&')) {
		bool skip = false;

		n = strcspn(q, "&");
		for (size_t i = 0; i < HALE_COUNT(ours); i++)
			skip = skip || strncmp(q, ours[i], strlen(ours[i])) == 0;
		if (skip || n == 0)
			continue;
		strbuf_putc(url, more ? '&' : '?');
		strbuf_add(url, q, n);
		more = true;
	}
}

/* The endpoint of the mode with our path in the place of its own. NULL: it has another form. */
static const struct endpoint *
worker_passthrough_endpoint(struct passthrough *p)
{
	const struct endpoint *e = worker_endpoint(p->w, p->arena, p->d, MODE_BATCH, false, NULL);
	static const char *const method[] = {[HTTP_GET] = "GET", [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE"};
	const char *path = p->d->provider->op[MODE_BATCH]->path, *query;
	struct endpoint *own;
	struct strbuf url;
	size_t n = strlen(path);

	if (e == NULL)
		return NULL;
	query = e->url + strcspn(e->url, "?");
	if ((size_t)(query - e->url) < n || memcmp(query - n, path, n) != 0)
		return NULL;
	strbuf_init(&url, 0);
	strbuf_add(&url, e->url, (size_t)(query - n - e->url));
	strbuf_puts(&url, p->target.rest);
	strbuf_puts(&url, query);
	worker_passthrough_query(p, &url, *query != '\0');
	own = arena_alloc(p->arena, sizeof(*own));
	*own = *e;
	own->url = arena_strndup(p->arena, strbuf_str(&url), url.len);
	own->method = method[http_req_method(p->r)];
	strbuf_release(&url);
	return own;
}

/* The client's body without what was cut out. */
static void
worker_passthrough_body(const struct passthrough *p, struct upstream_request *q)
{
	size_t at = 0;

	for (unsigned i = 0; i <= p->ncut; i++) {
		size_t end = i < p->ncut ? p->cut[i].start : p->body_len;

		/* iovec has no const; nobody writes through it. */
		if (end > at)
			q->body[q->nbody++] = (struct iovec){(void *)(uintptr_t)(p->body + at), end - at};
		if (i < p->ncut)
			at = end + p->cut[i].len;
	}
}

static void
worker_passthrough_call(struct passthrough *p)
{
	const struct conf *c = p->w->conf;
	const char *content_type = http_req_header(p->r, "content-type");
	struct http_header header[] = {{"Accept", "*/*"}, {"Content-Type", content_type}};
	struct upstream_request q = {.endpoint = worker_passthrough_endpoint(p),
	                             .header = header,
	                             .nheader = p->body_len && content_type ? 2 : 1,
	                             .proxy = p->d->proxy,
	                             .http2 = p->d->http2,
	                             .insecure_tls = p->d->insecure_tls};
	uint32_t total = p->d->timeout_ms ? p->d->timeout_ms : c->router.timeout_ms;
	enum upstream_error err;

	if (q.endpoint == NULL) {
		worker_passthrough_refuse(p, 500,
		                          "This deployment's address cannot be built for the request.", NULL,
		                          "bad_deployment");
		return;
	}
	/* A large file may take its time as long as it moves. */
	q.timers = (struct upstream_timers){.connect_ms = c->limits.connect_timeout_ms,
	                                    .head_ms = c->limits.first_byte_timeout_ms ? c->limits.first_byte_timeout_ms : total,
	                                    .idle_ms = c->limits.stream_idle_timeout_ms};
	worker_passthrough_body(p, &q);
	p->call = upstream_start(p->w->upstream, &q, &worker_passthrough_ops, p, &err);
	if (p->call)
		return;
	if (err == UPSTREAM_ELIMIT) {
		counter_add(p->w->table, p->w->index, COUNTER_UPSTREAM_LIMIT, 1);
		worker_passthrough_refuse(p, 503, "The gateway has no free upstream connection (upstream_connections_max).",
		                          NULL, "gateway_limit");
	} else {
		worker_passthrough_refuse(p, 500,
		                          "This deployment's address cannot be built for the request.", NULL,
		                          "bad_deployment");
	}
}

void
worker_passthrough_start(struct worker *w, struct http_req *r, const struct passthrough_target *t)
{
	struct arena *a = arena_new(2048);
	struct passthrough *p = arena_alloc(a, sizeof(*p));
	struct choose_refusal no;

	p->w = w;
	p->r = r;
	p->arena = a;
	p->target = *t;
	p->task.end = worker_passthrough_end;
	TAILQ_INSERT_TAIL(&w->running, &p->task, entry);
	strbuf_init(&p->error, PASSTHROUGH_ERROR_MAX);
	worker_call_id(w, p->call_id);
	if (!worker_passthrough_read(p))
		return;
	p->d = worker_passthrough_choose(p, &no);
	if (p->d == NULL) {
		worker_passthrough_refuse(p, no.status, no.message, no.param, no.code);
		return;
	}
	counter_add(w->table, w->index, COUNTER_RELAYED, 1);
	http_req_watch(r, worker_passthrough_gone, worker_passthrough_drained, p);
	worker_passthrough_call(p);
}

/* One relayed request, from the parsed client request to its answer.
 *
 * parse -> resolve -> [choose -> attempt]* -> answer. An attempt may be followed by another one as
 * long as no byte of an answer reached the client; each choice reads the health views again, so a
 * verdict that arrives between two attempts counts. worker_attempt.c runs one attempt,
 * worker_answer.c writes to the client; the choice itself is worker_route.c.
 *
 * A client that leaves takes its upstream call with it, at once, and that is nobody's failure.
 */
#include "hale/hale.h"

#include "worker_proxy.h"

#include <event2/event.h>

#include "hale/apierror.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/htable.h"
#include "hale/log.h"
#include "worker.h"
#include "worker_http.h"
#include "worker_proxy_int.h"

#define PROXY_MODEL_BYTES 1024

static void
worker_proxy_free(struct proxy *p)
{
	struct arena *a = p->arena;

	TAILQ_REMOVE(&p->w->running, p, entry);
	worker_attempt_clear(p);
	if (p->backoff)
		event_free(p->backoff);
	strbuf_release(&p->trail);
	arena_freep(&a); /* p lives in it */
}

void
worker_proxy_done(struct proxy *p, enum outcome_class c)
{
	uint64_t now = clock_mono_ns();

	outcome_end(p->w->table, p->w->index, p->a.d->index, c, (uint32_t)((now - p->a.start_ns) / 1000), now);
	worker_proxy_free(p);
}

void
worker_proxy_refuse(struct proxy *p, int status, const char *message, const char *param, const char *code)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	apierror_openai(&b, status, message, apierror_type(status), param, code);
	http_reply_header(p->r, "x-litellm-call-id", p->call_id);
	http_reply_strbuf(p->r, status, "application/json", &b);
	strbuf_release(&b);
	worker_proxy_free(p);
}

static void
worker_proxy_gone(void *arg)
{
	struct proxy *p = arg;

	if (p->a.d)
		outcome_dropped(p->w->table, p->w->index, p->a.d->index);
	worker_proxy_free(p);
}

static void
worker_proxy_drained(void *arg)
{
	worker_attempt_resume(arg);
}

/* No deployment may be tried: everything is cooling down, blocked, or has no such mode. */
static void
worker_proxy_no_deployment(struct proxy *p)
{
	uint64_t now = clock_mono_ns(), soonest = 0;
	char message[512], seconds[24];

	counter_add(p->w->table, p->w->index, COUNTER_NO_DEPLOYMENT, 1);
	for (uint32_t i = 0; i < p->ncandidate; i++) {
		uint64_t until = p->candidate[i].view->until_ns;

		if (until > now && (soonest == 0 || until < soonest))
			soonest = until;
	}
	snprintf(seconds, sizeof(seconds), "%llu",
	         (unsigned long long)(soonest ? (soonest - now + NS_PER_SEC - 1) / NS_PER_SEC
	                                      : (p->w->conf->router.cooldown_time_ms + 999) / 1000));
	snprintf(message, sizeof(message),
	         "No deployments available for selected model, Try again in %s seconds. Passed model=%.200s.", seconds,
	         p->model);
	http_reply_header(p->r, "retry-after", seconds);
	worker_proxy_refuse(p, 429, message, NULL, NULL);
}

static void
worker_proxy_log_choice(const struct proxy *p, const struct route_result *res)
{
	static const char health_net[] = "All deployments marked unhealthy by health checks, bypassing health filter";
	static const char cool_net[] =
		"All deployments in cooldown via health-check routing, bypassing cooldown filter";

	if (res->safety_net) {
		counter_add(p->w->table, p->w->index, COUNTER_SAFETY_NET, 1);
		log_limited(log_warn, "%s model_group=%.100s", health_net, p->w->conf->group[p->target.group].name);
	}
	if (res->safety_net_cooldown)
		log_limited(log_warn, "%s model_group=%.100s", cool_net, p->w->conf->group[p->target.group].name);
	if (!log_is_debug())
		return;
	for (uint32_t i = 0; i < p->ncandidate; i++)
		log_debug("route call=%s deployment=%s verdict=%s chosen=%d", p->call_id,
		          p->w->conf->deployment[p->candidate[i].deployment].id, route_why_name(p->candidate[i].why),
		          res->nchosen && res->chosen[0] == p->candidate[i].deployment);
}

void
worker_proxy_next(struct proxy *p)
{
	struct route_input in = {.conf = p->w->conf,
	                         .candidate = p->candidate,
	                         .ncandidate = p->ncandidate,
	                         .now_ns = clock_mono_ns(),
	                         .random = worker_random(p->w),
	                         .pinned = p->target.match == ROUTE_MATCH_ID,
	                         .want = 1};
	struct route_result res;
	const char *why;
	int err;

	for (uint32_t i = 0; i < p->ncandidate; i++)
		htable_read(p->w->table, p->candidate[i].deployment, &p->view[i]);
	worker_route(&in, &res);
	worker_proxy_log_choice(p, &res);
	if (res.nchosen == 0) {
		worker_proxy_no_deployment(p);
		return;
	}
	p->attempts++;
	err = worker_attempt_start(p, &p->w->conf->deployment[res.chosen[0]], &why);
	if (err == HALE_EINVAL)
		worker_proxy_refuse(p, 400, why, NULL, NULL);
	else if (err == HALE_ELIMIT) {
		counter_add(p->w->table, p->w->index, COUNTER_UPSTREAM_LIMIT, 1);
		worker_proxy_refuse(p, 503, "The gateway has no free upstream connection (upstream_connections_max).", NULL,
		                    "gateway_limit");
	} else if (err != 0)
		worker_proxy_refuse(p, 500, why, NULL, "bad_deployment");
}

static void
worker_proxy_retry_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_proxy_next(arg);
}

/* Milliseconds to wait before the next attempt: only a group of one deployment makes a request wait. */
static uint32_t
worker_proxy_backoff_ms(struct proxy *p)
{
	uint32_t base, least = p->w->conf->router.retry_after_ms;

	if (p->ncandidate > 1)
		return 0;
	if (p->a.retry_after_ms > 0 && p->a.retry_after_ms <= 60000)
		return p->a.retry_after_ms;
	base = p->attempts > 4 ? 8000 : 500u << (p->attempts - 1);
	if (base < least)
		base = least;
	return (base > 8000 ? 8000 : base) + (uint32_t)(worker_random(p->w) % 750);
}

static bool
worker_proxy_may_retry(const struct proxy *p, const struct attempt_failure *f)
{
	if (p->begun || !f->retryable || p->attempts >= p->attempts_max)
		return false;
	if (f->class != OUTCOME_UNAUTHORIZED)
		return true;
	/* A key that was refused is not tried twice. */
	for (uint32_t i = 0; i < p->ncandidate; i++)
		if (!p->candidate[i].refused)
			return true;
	return false;
}

/* Tells the client, as far as it can still be told. */
static void
worker_proxy_give_up(struct proxy *p, const struct attempt_failure *f)
{
	if (p->begun && p->a.sse)
		worker_answer_broken_stream(p, f);
	else if (p->begun)
		http_reply_abort(p->r);
	else
		worker_answer_error(p, f);
	worker_proxy_free(p);
}

void
worker_proxy_failed(struct proxy *p, const struct attempt_failure *f)
{
	uint64_t now = clock_mono_ns();
	struct timeval tv;
	uint32_t wait;

	outcome_end(p->w->table, p->w->index, p->a.d->index, f->class, (uint32_t)((now - p->a.start_ns) / 1000), now);
	strbuf_printf(&p->trail, "%sattempt %u: %s", p->trail.len ? "; " : "", p->attempts, f->text);
	for (uint32_t i = 0; i < p->ncandidate; i++)
		if (p->candidate[i].deployment == p->a.d->index)
			p->candidate[i].refused = true;
	log_limited(log_info, "attempt failed call=%s deployment=%s attempt=%u status=%d class=%s text=\"%s\"", p->call_id,
	            p->a.d->id, p->attempts, p->a.status, outcome_name(f->class), f->text);
	if (!worker_proxy_may_retry(p, f)) {
		worker_proxy_give_up(p, f);
		return;
	}
	counter_add(p->w->table, p->w->index, COUNTER_RETRIES, 1);
	wait = worker_proxy_backoff_ms(p);
	worker_attempt_clear(p);
	if (wait == 0) {
		worker_proxy_next(p);
		return;
	}
	if (p->backoff == NULL)
		p->backoff = evtimer_new(p->w->base, worker_proxy_retry_cb, p);
	tv = (struct timeval){wait / 1000, (wait % 1000) * 1000};
	if (p->backoff == NULL || evtimer_add(p->backoff, &tv) != 0)
		worker_proxy_refuse(p, 500, "The gateway could not start a timer.", NULL, NULL);
}

/* The group's deployments that can serve this mode; false: none can. */
static bool
worker_proxy_candidates(struct proxy *p)
{
	const struct conf *c = p->w->conf;
	const struct conf_group *g = &c->group[p->target.group];
	const uint32_t *member = g->member;
	uint32_t n = g->nmember;

	if (p->target.match == ROUTE_MATCH_ID) {
		member = &p->target.deployment;
		n = 1;
	}
	p->candidate = arena_alloc(p->arena, n * sizeof(*p->candidate));
	p->view = arena_alloc(p->arena, n * sizeof(*p->view));
	for (uint32_t i = 0; i < n; i++) {
		if (c->deployment[member[i]].provider->op[p->mode] == NULL)
			continue;
		p->candidate[p->ncandidate] =
			(struct route_candidate){.deployment = member[i], .view = &p->view[p->ncandidate]};
		p->ncandidate++;
	}
	return p->ncandidate > 0;
}

/* Member that the mode cannot do without. */
static const char *
worker_proxy_missing(const struct proxy *p)
{
	if (p->mode == MODE_CHAT && p->scan.messages.len == 0)
		return "messages";
	if (p->mode == MODE_COMPLETION && p->scan.prompt.len == 0)
		return "prompt";
	if (p->mode == MODE_EMBEDDING && p->scan.input.len == 0)
		return "input";
	return NULL;
}

/* Reads the body's top level. False: answered, p is gone. */
static bool
worker_proxy_parse(struct proxy *p)
{
	char message[160], *model;
	const char *why, *missing;
	size_t at;
	int err;

	p->body = http_req_body(p->r, &p->body_len);
	err = json_scan(p->body, p->body_len, p->w->conf->limits.json_depth_max, &p->scan, &why, &at);
	if (err != 0) {
		snprintf(message, sizeof(message), "The request body is not valid JSON: %s at byte %zu.", why, at);
		worker_proxy_refuse(p, 400, message, NULL, "invalid_json");
		return false;
	}
	if (p->scan.model.len <= 2) { /* absent, or "" */
		worker_proxy_refuse(p, 400, "Missing required parameter: 'model'. See /v1/models for what is available.",
		                    "model", "missing_required_parameter");
		return false;
	}
	model = arena_alloc(p->arena, p->scan.model.len + 1);
	if (p->scan.model.len > PROXY_MODEL_BYTES ||
	    json_unescape(p->body + p->scan.model.start, p->scan.model.len, model, p->scan.model.len + 1) != 0) {
		worker_proxy_refuse(p, 400, "Invalid parameter: 'model' must be a string of at most 1024 bytes.", "model",
		                    "invalid_type");
		return false;
	}
	p->model = model;
	p->stream = p->scan.stream;
	missing = worker_proxy_missing(p);
	if (missing) {
		snprintf(message, sizeof(message), "Missing required parameter: '%s'.", missing);
		worker_proxy_refuse(p, 400, message, missing, "missing_required_parameter");
		return false;
	}
	return true;
}

/* Finds out whom the model name means. False: answered, p is gone. */
static bool
worker_proxy_resolve(struct proxy *p)
{
	char message[400];

	worker_route_resolve(p->w->conf, p->model, &p->target);
	if (p->target.match == ROUTE_MATCH_NONE) {
		snprintf(message, sizeof(message),
		         "Invalid model name passed in model=%.200s. Call `/v1/models` to view available models for your key.",
		         p->model);
		worker_proxy_refuse(p, 400, message, "model", "model_not_found");
		return false;
	}
	if (!worker_proxy_candidates(p)) {
		snprintf(message, sizeof(message), "No deployment of model=%.200s can serve %s requests.", p->model,
		         mode_name(p->mode));
		worker_proxy_refuse(p, 400, message, "model", "unsupported_mode");
		return false;
	}
	return true;
}

/* A random UUID, version 4. */
static void
worker_proxy_call_id(struct worker *w, char out[37])
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

void
worker_proxy_start(struct worker *w, struct http_req *r, enum mode m)
{
	struct arena *a = arena_new(2048);
	struct proxy *p = arena_alloc(a, sizeof(*p));
	int32_t own;

	p->w = w;
	p->r = r;
	p->arena = a;
	p->mode = m;
	TAILQ_INSERT_TAIL(&w->running, p, entry);
	strbuf_init(&p->trail, 1024);
	worker_proxy_call_id(w, p->call_id);
	if (!worker_proxy_parse(p) || !worker_proxy_resolve(p))
		return;
	own = p->ncandidate == 1 ? w->conf->deployment[p->candidate[0].deployment].num_retries : -1;
	p->attempts_max = 1 + (own >= 0 ? (uint32_t)own : w->conf->router.num_retries);
	counter_add(w->table, w->index, COUNTER_RELAYED, 1);
	if (p->stream)
		counter_add(w->table, w->index, COUNTER_STREAMS, 1);
	http_req_watch(r, worker_proxy_gone, worker_proxy_drained, p);
	worker_proxy_next(p);
}

void
worker_proxy_end_all(struct worker *w)
{
	const struct attempt_failure f = {
		.status = 503, .text = "the gateway is shutting down", .code = "shutting_down"};
	struct proxy *p, *next;
	unsigned n = 0;

	for (p = TAILQ_FIRST(&w->running); p; p = next) {
		next = TAILQ_NEXT(p, entry);
		n++;
		if (p->a.d == NULL) { /* between two attempts */
			worker_proxy_refuse(p, f.status, "The gateway is shutting down.", NULL, f.code);
			continue;
		}
		outcome_dropped(w->table, w->index, p->a.d->index);
		strbuf_printf(&p->trail, "%s%s", p->trail.len ? "; " : "", f.text);
		worker_proxy_give_up(p, &f);
	}
	if (n)
		log_warn("drain timeout, requests ended with an error: %u", n);
}

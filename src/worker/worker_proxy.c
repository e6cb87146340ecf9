/* One relayed request, from the parsed client request to its answer.
 *
 * parse -> resolve -> [choose -> attempt]* -> answer. An attempt may be followed by another one as
 * long as no byte of an answer reached the client. worker_choose.c says which deployment,
 * worker_attempt.c runs one attempt, worker_answer.c writes to the client.
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
#include "hale/log.h"
#include "worker.h"
#include "worker_http.h"
#include "worker_proxy_int.h"

static void
worker_proxy_free(struct proxy *p)
{
	struct arena *a = p->arena;

	TAILQ_REMOVE(&p->w->running, &p->task, entry);
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
	apierror_dialect(&b, p->dialect, status, message, param, code);
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

/* Answers with what the choice has to say; frees p. */
static void
worker_proxy_no_choice(struct proxy *p, const struct choose_refusal *no)
{
	if (no->retry_after[0])
		http_reply_header(p->r, "retry-after", no->retry_after);
	worker_proxy_refuse(p, no->status, no->message, no->param, no->code);
}

void
worker_proxy_next(struct proxy *p)
{
	struct choose_refusal no;
	const struct deployment *d;
	const char *why;
	uint32_t mute = 0; /* deployments to which the request cannot be said; another family may do */
	int err;

	do {
		d = worker_choose_next(&p->choice, &no);
		if (d == NULL) {
			worker_proxy_no_choice(p, &no);
			return;
		}
		err = worker_attempt_start(p, d, &why);
		if (err == HALE_EINVAL)
			worker_choose_refused(&p->choice, d);
	} while (err == HALE_EINVAL && ++mute < p->choice.ncandidate && worker_choose_has_fresh(&p->choice));
	p->attempts++;
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

static bool
worker_proxy_may_retry(const struct proxy *p, const struct attempt_failure *f)
{
	if (p->begun || !f->retryable)
		return false;
	if (f->elsewhere)
		return p->attempts < p->choice.ncandidate && worker_choose_has_fresh(&p->choice);
	if (p->attempts >= p->attempts_max)
		return false;
	/* A key that was refused is not tried twice. */
	return f->class != OUTCOME_UNAUTHORIZED || worker_choose_has_fresh(&p->choice);
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
	worker_choose_refused(&p->choice, p->a.d);
	log_limited(log_info, "attempt failed call=%s deployment=%s attempt=%u status=%d class=%s text=\"%s\"", p->call_id,
	            p->a.d->id, p->attempts, p->a.status, outcome_name(f->class), f->text);
	if (!worker_proxy_may_retry(p, f)) {
		worker_proxy_give_up(p, f);
		return;
	}
	counter_add(p->w->table, p->w->index, COUNTER_RETRIES, 1);
	wait = worker_choose_backoff_ms(&p->choice, p->attempts, p->a.retry_after_ms);
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

/* The worker's time is up: an error that says so. */
static void
worker_proxy_end(struct worker_task *t)
{
	static const struct attempt_failure f = {
		.status = 503, .text = "the gateway is shutting down", .code = "shutting_down"};
	struct proxy *p = (struct proxy *)t;

	if (p->a.d == NULL) { /* between two attempts */
		worker_proxy_refuse(p, f.status, "The gateway is shutting down.", NULL, f.code);
		return;
	}
	outcome_dropped(p->w->table, p->w->index, p->a.d->index);
	strbuf_printf(&p->trail, "%s%s", p->trail.len ? "; " : "", f.text);
	worker_proxy_give_up(p, &f);
}

void
worker_proxy_start(struct worker *w, struct http_req *r, enum mode m, const char *model, size_t len)
{
	struct arena *a = arena_new(2048);
	struct proxy *p = arena_alloc(a, sizeof(*p));
	struct choose_refusal no;

	p->w = w;
	p->r = r;
	p->arena = a;
	p->mode = m;
	p->dialect = mode_dialect(m);
	p->model = model ? arena_strndup(a, model, len) : NULL;
	p->task.end = worker_proxy_end;
	TAILQ_INSERT_TAIL(&w->running, &p->task, entry);
	strbuf_init(&p->trail, 1024);
	worker_call_id(w, p->call_id);
	if (!worker_body_read(p))
		return;
	if (!worker_choose_init(&p->choice, w, a, p->call_id, p->model, m, &no)) {
		worker_proxy_no_choice(p, &no);
		return;
	}
	p->attempts_max = worker_choose_attempts_max(&p->choice);
	counter_add(w->table, w->index, COUNTER_RELAYED, 1);
	if (p->stream)
		counter_add(w->table, w->index, COUNTER_STREAMS, 1);
	http_req_watch(r, worker_proxy_gone, worker_proxy_drained, p);
	worker_proxy_next(p);
}

/* The health and model endpoints.
 *
 * Everything is rendered from the shared table by worker_render.c; the only thing that ever waits is
 * GET /health without background checks, which first asks the prober for a round. It waits without
 * holding anything but its place in the round's list, and a client that leaves gives that up.
 */
#include "hale/hale.h"

#include "worker_health.h"

#include <strings.h>

#include "hale/apierror.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/strbuf.h"
#include "worker.h"
#include "worker_http.h"
#include "worker_render.h"
#include "worker_rounds.h"

#define HEALTH_JSON "application/json"

/* A GET /health that waits for its round. */
struct worker_health_wait {
	struct worker *w;
	struct http_req *r;
	struct worker_waiter *waiter;
	struct render_scope scope;
	bool admin;
};

static struct render_now
worker_health_now(void)
{
	return (struct render_now){.mono_ns = clock_mono_ns(), .real_ns = clock_real_ns()};
}

static void
worker_health_send(struct http_req *r, int status, struct strbuf *b)
{
	http_reply_strbuf(r, status, HEALTH_JSON, b);
	strbuf_release(b);
}

static void
worker_health_answer(struct worker *w, struct http_req *r, const struct render_scope *scope, bool admin)
{
	const struct render_source from = {.conf = w->conf, .table = w->table, .cache = w->entries};
	struct render_now now = worker_health_now();
	struct strbuf b;
	int status;

	strbuf_init(&b, 0);
	status = worker_render_health(&b, &from, scope, admin, &now);
	if (!admin)
		http_reply_header(r, "Litellm-Health-Field-Notice", RENDER_FIELD_NOTICE);
	worker_health_send(r, status, &b);
}

static void
worker_health_round_done(void *arg, int err)
{
	struct worker_health_wait *x = arg;

	(void)err; /* a round that did not end in time: what is known is shown, what is not is in neither list */
	worker_health_answer(x->w, x->r, &x->scope, x->admin);
	free(x);
}

static void
worker_health_gone(void *arg)
{
	struct worker_health_wait *x = arg;

	worker_rounds_forget(x->waiter);
	free(x);
}

void
worker_health_get(struct worker *w, struct http_req *r, bool admin)
{
	const char *model = http_req_query(r, "model"), *id = http_req_query(r, "model_id");
	struct worker_health_wait *x;
	struct render_scope scope;
	struct strbuf b;

	strbuf_init(&b, 0);
	if (worker_render_scope(w->conf, model, id, &scope) != 0) {
		worker_render_no_model_id(&b, id);
		worker_health_send(r, 404, &b);
		return;
	}
	if (w->conf->ndeployment == 0) {
		apierror_detail_error(&b, "Model list not initialized");
		worker_health_send(r, 500, &b);
		return;
	}
	if (w->conf->general.background_health_checks || scope.empty) {
		worker_health_answer(w, r, &scope, admin);
		return;
	}
	x = xmalloc(sizeof(*x));
	*x = (struct worker_health_wait){.w = w, .r = r, .scope = scope, .admin = admin};
	x->waiter = worker_rounds_ask(w->rounds, scope.scope, scope.index, worker_health_round_done, x);
	if (x->waiter == NULL) {
		free(x);
		http_reply_header(r, "retry-after", "1");
		apierror_openai(&b, 503, "Too many requests wait for a health check round (health_waiters_max).", NULL,
		                NULL, "gateway_limit");
		worker_health_send(r, 503, &b);
		return;
	}
	http_req_watch(r, worker_health_gone, NULL, x);
}

void
worker_health_liveness(struct worker *w, struct http_req *r, bool admin)
{
	struct strbuf b;
	int status;

	(void)admin;
	strbuf_init(&b, 0);
	status = worker_render_liveness(&b, w->table, w->draining);
	worker_health_send(r, status, &b);
}

static void
worker_health_ready(struct worker *w, struct http_req *r, bool details)
{
	struct render_now now = worker_health_now();
	struct strbuf b;
	int status;

	strbuf_init(&b, 0);
	status = worker_render_readiness(&b, w->conf, w->table, w->draining, details, &now);
	worker_health_send(r, status, &b);
}

void
worker_health_readiness(struct worker *w, struct http_req *r, bool admin)
{
	(void)admin;
	worker_health_ready(w, r, false);
}

void
worker_health_details(struct worker *w, struct http_req *r, bool admin)
{
	(void)admin;
	worker_health_ready(w, r, true);
}

void
worker_health_backlog(struct worker *w, struct http_req *r, bool admin)
{
	struct strbuf b;

	(void)admin;
	strbuf_init(&b, 0);
	worker_render_backlog(&b, w->table);
	worker_health_send(r, 200, &b);
}

static bool
worker_health_flag(struct http_req *r, const char *name, bool otherwise)
{
	const char *v = http_req_query(r, name);

	if (v == NULL)
		return otherwise;
	return strcasecmp(v, "true") == 0 || strcmp(v, "1") == 0;
}

void
worker_health_model_info(struct worker *w, struct http_req *r, bool admin)
{
	bool healthy_only = worker_health_flag(r, "healthy_only", w->conf->general.model_list_healthy_only);
	struct render_now now = worker_health_now();
	struct strbuf b;
	int status;

	(void)admin;
	strbuf_init(&b, 0);
	status = worker_render_model_info(&b, w->conf, w->table, http_req_query(r, "litellm_model_id"), healthy_only, &now);
	worker_health_send(r, status, &b);
}

void
worker_health_models(struct worker *w, struct http_req *r, bool admin)
{
	bool healthy_only = worker_health_flag(r, "healthy_only", w->conf->general.model_list_healthy_only);
	struct render_now now = worker_health_now();
	struct strbuf b;

	(void)admin;
	strbuf_init(&b, 0);
	worker_render_models(&b, w->conf, w->table, healthy_only,
	                     worker_health_flag(r, "return_wildcard_routes", false), &now);
	worker_health_send(r, 200, &b);
}

void
worker_health_test(struct worker *w, struct http_req *r, bool admin)
{
	static const char body[] = "{\"route\":\"/test\"}";

	(void)w;
	(void)admin;
	http_reply(r, 200, HEALTH_JSON, body, sizeof(body) - 1);
}

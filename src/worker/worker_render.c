/* GET /health as text.
 *
 * An entry is built from the configuration overlaid with the table, through an allow-list: what is not named
 * here is not shown, whatever a deployment's parameters contain. The shape is LiteLLM's; our own keys (state,
 * reason, phase, latency_ms, checked_at, since, next_check_at) are additions that its clients ignore.
 *
 * The two lists follow the state that routing uses. A deployment whose state is still unknown is listed by
 * its last result; one that was never checked is in neither list while the background loop will get to it,
 * and is reported as unhealthy where the caller had asked for a probe that brought no result.
 *
 * Written for a thousand deployments at a time: text straight into the buffer, one pass, no tree.
 */
#include "hale/hale.h"

#include "worker_render.h"

#include "hale/apierror.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/cost.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/htable.h"
#include "hale/probe.h"
#include "hale/redact.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"
#include "worker_render_cache.h"
#include "worker_render_int.h"

#define RENDER_REQUEST_BYTES 16384 /* of a probe's request that are shown */

/* One answer being written. */
struct render {
	struct strbuf *healthy;
	struct strbuf unhealthy;
	unsigned nhealthy, nunhealthy;
	const struct conf *conf;
	const struct htable *table;
	const struct render_now *now;
	bool admin;
	struct arena *scratch; /* of requests that are shown; NULL until one is */
};

/* litellm_params that may be shown, and which of them only an admin sees. */
static const struct render_param {
	const char *name;
	bool admin;
} render_params[] = {
	{"api_base", true}, {"api_version", true}, {"aws_bedrock_runtime_endpoint", true},
	{"custom_llm_provider", false}, {"mode", false}, {"base_model", false}, {"aws_region_name", false},
	{"region_name", false}, {"watsonx_region_name", false}, {"vertex_project", false}, {"vertex_location", false},
	{"tpm", false}, {"rpm", false},
};

int
worker_render_scope(const struct conf *c, const char *model, const char *model_id, struct render_scope *out)
{
	const struct deployment *d;
	const struct conf_group *g;
	const char *alias;

	*out = (struct render_scope){.scope = IPC_SCOPE_ALL, .targeted = model_id != NULL || model != NULL};
	if (model_id) {
		d = conf_deployment_find(c, model_id);
		if (d == NULL)
			return HALE_ENOENT;
		out->scope = IPC_SCOPE_DEPLOYMENT;
		out->index = d->index;
		return 0;
	}
	if (model == NULL)
		return 0;
	alias = conf_alias_find(c, model);
	model = alias ? alias : model;
	g = conf_group_find(c, model);
	if (g) {
		out->scope = IPC_SCOPE_GROUP;
		out->index = (uint32_t)(g - c->group);
		return 0;
	}
	out->scope = IPC_SCOPE_MODEL;
	for (uint32_t i = 0; i < c->ndeployment; i++) {
		if (strcmp(c->deployment[i].model, model) == 0) {
			out->index = i;
			return 0;
		}
	}
	out->empty = true;
	return 0;
}

void
worker_render_no_model_id(struct strbuf *out, const char *model_id)
{
	struct strbuf text;

	strbuf_init(&text, 0);
	strbuf_printf(&text, "Model with ID %s not found", model_id);
	apierror_detail_error(out, strbuf_str(&text));
	strbuf_release(&text);
}

/* Deployments that the health system leaves alone are not reported either. */
static bool
render_covers(const struct conf *c, const struct deployment *d)
{
	const struct conf_general *g = &c->general;

	if (d->probe.disabled && (g->background_health_checks || g->health_check_skip_disabled_background_models))
		return false;
	return !g->background_health_checks || conf_is_background_group(c, d->model_name);
}

static bool
render_is_healthy(const struct htable_view *v)
{
	if (v->state == HEALTH_UNKNOWN)
		return v->reason == REASON_OK;
	return v->state == HEALTH_UP;
}

static int
render_exception_status(const struct htable_view *v)
{
	if (v->reason == REASON_TIMEOUT)
		return 408;
	return v->http_status >= 400 ? v->http_status : 500;
}

static void
render_request_headers(struct strbuf *out, const struct probe_request *q)
{
	worker_render_key(out, "raw_request_headers");
	strbuf_putc(out, '{');
	if (q->content_type)
		worker_render_member(out, "Content-Type", q->content_type);
	for (unsigned i = 0; i < q->endpoint.nheader; i++) {
		const struct http_header *h = &q->endpoint.header[i];

		worker_render_any_key(out, h->name);
		if (redact_is_secret_name(h->name)) {
			struct strbuf mask;

			strbuf_init(&mask, 0);
			redact_mask(h->value, &mask);
			strbuf_json_stringn(out, strbuf_str(&mask), mask.len);
			strbuf_release(&mask);
		} else {
			strbuf_json_string(out, h->value);
		}
	}
	strbuf_putc(out, '}');
}

/* The members that were sent, with the empty extra_body that LiteLLM's
 * clients expect; null when there was no body. */
static void
render_request_body(struct strbuf *out, const struct conf *c, const struct probe_request *q)
{
	size_t len = q->shown ? strlen(q->shown) : 0;

	worker_render_key(out, "raw_request_body");
	if (len < 2 || q->shown[0] != '{' || q->shown[len - 1] != '}') {
		strbuf_puts(out, "null");
		return;
	}
	if (len > RENDER_REQUEST_BYTES)
		strbuf_printf(out, "{\"note\":\"%zu bytes, too long to show\"", q->body_len);
	else
		redact_text(c, q->shown, len - 1, out);
	worker_render_key(out, "extra_body");
	strbuf_puts(out, "{}}");
}

/* How the failed probe looked: only for those who may see addresses. */
static void
render_request(struct strbuf *out, const struct conf *c, const struct probe_request *q)
{
	const char *base = q->as->api_base ? q->as->api_base : q->endpoint.url;
	struct strbuf b;

	strbuf_init(&b, 0);
	redact_text(c, base, strlen(base), &b);
	if (b.len && b.data[b.len - 1] != '/')
		strbuf_putc(&b, '/');
	worker_render_key(out, "raw_request_typed_dict");
	strbuf_putc(out, '{');
	worker_render_member(out, "raw_request_api_base", strbuf_str(&b));
	render_request_body(out, c, q);
	render_request_headers(out, q);
	worker_render_key(out, "error");
	strbuf_puts(out, "null}");
	strbuf_release(&b);
}

static void
render_params_shown(struct strbuf *out, const struct conf *c, const struct deployment *d, bool admin)
{
	if (d->params == NULL)
		return;
	for (const struct conf_node *n = d->params->child; n; n = n->next) {
		if (n->kind == CONF_NULL || n->kind == CONF_LIST || n->kind == CONF_MAP)
			continue;
		for (size_t i = 0; i < HALE_COUNT(render_params); i++) {
			const char *name = render_params[i].name;

			if (n->key[0] != name[0] || strcmp(n->key, name) != 0 || (render_params[i].admin && !admin))
				continue;
			worker_render_key(out, n->key);
			worker_render_node(out, c, n, false);
			break;
		}
	}
}

static void
render_limits(struct strbuf *out, const struct htable_detail *d)
{
	if (d->ratelimit_requests[0])
		worker_render_member(out, "x-ratelimit-remaining-requests", d->ratelimit_requests);
	if (d->ratelimit_tokens[0])
		worker_render_member(out, "x-ratelimit-remaining-tokens", d->ratelimit_tokens);
	if (d->ms_region[0])
		worker_render_member(out, "x-ms-region", d->ms_region);
}

static void
render_error(struct strbuf *out, const struct htable_view *v, const struct htable_detail *d)
{
	const char *text = d->error;

	if (v->checked_ns == 0)
		text = "No probe result yet";
	else if (text[0] == '\0')
		text = v->reason == REASON_TIMEOUT ? "Timeout exceeded" : health_reason_name(v->reason);
	worker_render_member(out, "error", text);
}

/* What its probes cost, and what kept them from being sent. */
static void
render_cost(struct strbuf *out, const struct htable_view *v, const struct htable_detail *d,
            const struct render_now *now)
{
	bool today = d->day == cost_day(now->real_ns);

	strbuf_printf(out, ",\"probe_tokens\":%u,\"probe_tokens_today\":%llu", v->cost_tokens,
	              today ? (unsigned long long)d->tokens_today : 0ULL);
	if (d->flags & HTABLE_ESTIMATED)
		worker_render_bool(out, "probe_tokens_estimated", true);
	if (today && d->flags & HTABLE_LIMITED)
		worker_render_bool(out, "probe_limit_reached", true);
	if (d->skipped)
		strbuf_printf(out, ",\"probes_skipped\":%llu", (unsigned long long)d->skipped);
	if (d->withheld)
		strbuf_printf(out, ",\"probes_withheld\":%llu", (unsigned long long)d->withheld);
}

/* Our own additions. */
static void
render_state(struct strbuf *out, const struct htable_view *v, const struct htable_detail *d, bool healthy,
             const struct render_now *now)
{
	worker_render_member(out, "state", health_state_name(v->state));
	worker_render_member(out, "reason", health_reason_name(v->reason));
	if (v->checked_ns) {
		worker_render_member(out, "source", health_source_name((enum health_source)d->source));
		if (healthy && v->reason != REASON_OK && d->error[0]) /* "error" is what makes an entry unhealthy for clients */
			worker_render_member(out, "probe_error", d->error);
		worker_render_member(out, "phase", upstream_phase_name(v->phase));
		strbuf_printf(out, ",\"latency_ms\":%u.%03u", v->latency_us / 1000, v->latency_us % 1000);
		worker_render_time(out, "checked_at", v->checked_ns, now);
	}
	worker_render_time(out, "since", v->changed_ns, now);
	worker_render_time(out, "next_check_at", v->next_ns, now);
	if (v->checked_ns || d->withheld)
		render_cost(out, v, d, now);
}

/* Building the request costs more than all the rest: only for failures, and where the model that is probed is
 * not the configured one. */
static bool
render_wants_request(const struct render *r, const struct deployment *d, bool healthy)
{
	if (!healthy && r->admin && r->conf->general.health_check_details)
		return true;
	return d->probe.model == NULL && (d->wildcard || strncmp(d->model, "bedrock/", 8) == 0);
}

/* `model` is LiteLLM's: the one that is probed. Where that is not the configured one, both are named. */
static void
render_names(struct strbuf *out, const struct deployment *d)
{
	if (!d->probe.model && !d->wildcard)
		return;
	worker_render_member(out, "configured_model", d->model);
	if (d->probe.model)
		worker_render_member(out, "probe_model", d->probe.model);
}

static void
render_entry(struct render *r, const struct deployment *d, const struct htable_view *v, struct strbuf *out,
             bool healthy)
{
	bool details = r->conf->general.health_check_details, built = false;
	const char *model = d->probe.model ? d->probe.model : d->model, *why;
	struct htable_detail detail;
	struct probe_request q;

	if (render_wants_request(r, d, healthy)) {
		if (r->scratch == NULL)
			r->scratch = arena_new(8192);
		built = probe_request_build(r->scratch, r->conf, d, v->adapt, 0, &q, &why) == 0;
	}
	strbuf_putc(out, '{');
	worker_render_member(out, "model", built ? q.model : model);
	if (details) {
		htable_read_detail(r->table, d->index, &detail);
		render_params_shown(out, r->conf, d, r->admin);
		render_limits(out, &detail);
		if (!healthy)
			render_error(out, v, &detail);
		if (!healthy && r->admin && built)
			render_request(out, r->conf, &q);
	}
	worker_render_member(out, "model_id", d->id);
	if (details)
		render_names(out, d);
	if (!healthy)
		strbuf_printf(out, ",\"exception_status\":%d", render_exception_status(v));
	if (details)
		render_state(out, v, &detail, healthy, r->now);
	strbuf_putc(out, '}');
}

static bool
render_in_scope(const struct conf *c, const struct render_scope *s, const struct deployment *d)
{
	switch (s->scope) {
	case IPC_SCOPE_GROUP: return d->group == s->index;
	case IPC_SCOPE_MODEL: return strcmp(d->model, c->deployment[s->index].model) == 0;
	case IPC_SCOPE_DEPLOYMENT: return d->index == s->index;
	case IPC_SCOPE_ALL: return true;
	}
	return false;
}

/* From the cache, or rendered and kept. */
static void
render_entry_once(struct render *r, struct render_cache *cache, const struct deployment *d,
                  const struct htable_view *v, const struct render_stamp *stamp)
{
	bool healthy = render_is_healthy(v);
	struct strbuf *out = healthy ? r->healthy : &r->unhealthy;
	const char *text;
	size_t from, len;

	if ((healthy ? r->nhealthy++ : r->nunhealthy++) != 0)
		strbuf_putc(out, ',');
	from = out->len;
	text = cache ? worker_render_cache_get(cache, d->index, r->admin, stamp, &len) : NULL;
	if (text) {
		strbuf_add(out, text, len);
		return;
	}
	render_entry(r, d, v, out, healthy);
	if (cache && !out->overflow)
		worker_render_cache_put(cache, d->index, r->admin, stamp, out->data + from, out->len - from);
}

int
worker_render_health(struct strbuf *out, const struct render_source *from, const struct render_scope *scope,
                     bool admin, const struct render_now *now)
{
	const struct conf *c = from->conf;
	struct render r = {.healthy = out, .conf = c, .table = from->table, .now = now, .admin = admin};
	struct render_stamp stamp = {.day = cost_day(now->real_ns)};
	struct htable_view v;

	strbuf_init(&r.unhealthy, 0);
	strbuf_puts(out, "{\"healthy_endpoints\":[");
	for (uint32_t i = 0; i < c->ndeployment && !scope->empty; i++) {
		const struct deployment *d = &c->deployment[i];

		if (!render_in_scope(c, scope, d) || !render_covers(c, d))
			continue;
		stamp.version = htable_version(r.table, i);
		htable_read(r.table, i, &v);
		if (v.checked_ns == 0 && c->general.background_health_checks)
			continue;
		render_entry_once(&r, from->cache, d, &v, &stamp);
		if (r.scratch && arena_bytes(r.scratch) > 256 * 1024)
			arena_freep(&r.scratch);
	}
	strbuf_puts(out, "],\"unhealthy_endpoints\":[");
	strbuf_add(out, strbuf_str(&r.unhealthy), r.unhealthy.len);
	strbuf_printf(out, "],\"healthy_count\":%u,\"unhealthy_count\":%u}", r.nhealthy, r.nunhealthy);
	strbuf_release(&r.unhealthy);
	arena_freep(&r.scratch);
	return scope->targeted && r.nhealthy == 0 ? 503 : 200;
}

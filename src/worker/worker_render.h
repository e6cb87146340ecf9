/* What the health endpoints answer, as text: pure functions from (config, table, now) to JSON in a strbuf.
 *
 * No HTTP, no clock, no waiting: worker_health.c decides who may ask, whether a probe round comes first, and
 * sends. Every function appends one complete JSON value to out. All of them may be called with a background
 * of writers; each deployment is rendered from one consistent copy of its slot.
 */
#ifndef HALE_WORKER_RENDER_H
#define HALE_WORKER_RENDER_H

#include "hale/hale.h"
#include "hale/ipc.h"

struct conf;
struct htable;
struct render_cache;
struct strbuf;

/* Which deployments an answer covers; the same scope goes into IPC_ROUND (b = scope, c = index). */
struct render_scope {
	enum ipc_scope scope;
	uint32_t index;
	bool empty;    /* ?model= names nothing that exists: no round, empty lists */
	bool targeted; /* ?model= or ?model_id= was given: 503 when nothing in it is healthy */
};

/* From the query (either may be NULL; model_id wins). model: a group's name or
 * alias, else litellm_params.model.
 * 0; HALE_ENOENT: no deployment has this id (404, worker_render_no_model_id()). */
int worker_render_scope(const struct conf *c, const char *model, const char *model_id, struct render_scope *out)
	HALE_MUST_USE;
/* {"detail":{"error":"Model with ID ... not found"}} */
void worker_render_no_model_id(struct strbuf *out, const char *model_id);

struct render_now {
	uint64_t mono_ns, real_ns;
};

/* What Litellm-Health-Field-Notice says to callers who are not admins. */
#define RENDER_FIELD_NOTICE "api_base, api_version, aws_bedrock_runtime_endpoint are admin-only on this endpoint"

/* Where answers come from. */
struct render_source {
	const struct conf *conf;
	const struct htable *table;
	struct render_cache *cache; /* entries made before; NULL: none are kept */
};

/* GET /health. Returns the HTTP status: 200, or 503 for a targeted scope without a healthy deployment. */
int worker_render_health(struct strbuf *out, const struct render_source *from,
                         const struct render_scope *scope, bool admin, const struct render_now *now);

/* GET /health/readiness, details: /health/readiness/details. Returns the HTTP status. draining: this worker
 * is; a draining daemon counts too. */
int worker_render_readiness(struct strbuf *out, const struct conf *c, const struct htable *t, bool draining,
                            bool details, const struct render_now *now);
/* GET /health/liveness. Returns the HTTP status. */
int worker_render_liveness(struct strbuf *out, const struct htable *t, bool draining);
/* GET /health/backlog: figures of all workers. */
void worker_render_backlog(struct strbuf *out, const struct htable *t);

/* GET /v1/model/info. id: litellm_model_id or NULL. Returns the HTTP
 * status: 200, 400 (unknown id), 500 (no models). */
int worker_render_model_info(struct strbuf *out, const struct conf *c, const struct htable *t, const char *id,
                             bool healthy_only, const struct render_now *now);
/* GET /v1/models, OpenAI's list. wildcards: names with a * too (?return_wildcard_routes=true). */
void worker_render_models(struct strbuf *out, const struct conf *c, const struct htable *t, bool healthy_only,
                          bool wildcards, const struct render_now *now);

#endif

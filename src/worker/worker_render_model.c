/* What models there are: /v1/model/info with LiteLLM's shape, /v1/models with OpenAI's. */
#include "hale/hale.h"

#include "worker_render.h"

#include "hale/apierror.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/htable.h"
#include "hale/provider.h"
#include "hale/redact.h"
#include "hale/strbuf.h"
#include "worker_render_int.h"

/* Clients compare it with nothing; LiteLLM sends this moment for every model. */
#define RENDER_MODEL_CREATED 1677610602

bool *
worker_render_alive(const struct conf *c, const struct htable *t, const struct render_now *now)
{
	bool *alive = xcalloc(c->ngroup, sizeof(*alive));
	uint64_t stale_ns = c->general.health_check_staleness_s * NS_PER_SEC;
	struct htable_view v;

	for (uint32_t i = 0; i < c->ndeployment; i++) {
		htable_read(t, i, &v);
		if (v.state != HEALTH_DOWN || htable_is_stale(&v, now->mono_ns, stale_ns))
			alive[c->deployment[i].group] = true;
	}
	return alive;
}

/* Never shown, not even masked. */
static bool
render_is_withheld(const char *key)
{
	static const char *const name[] = {
		"api_key", "client_secret", "vertex_credentials", "vertex_ai_credentials", "aws_access_key_id",
		"aws_secret_access_key",
	};

	for (size_t i = 0; i < HALE_COUNT(name); i++)
		if (strcmp(key, name[i]) == 0)
			return true;
	return false;
}

static void
render_litellm_params(struct strbuf *out, const struct conf *c, const struct deployment *d)
{
	worker_render_key(out, "litellm_params");
	strbuf_putc(out, '{');
	for (const struct conf_node *n = d->params ? d->params->child : NULL; n; n = n->next) {
		if (render_is_withheld(n->key))
			continue;
		worker_render_any_key(out, n->key);
		worker_render_node(out, c, n, redact_is_secret_name(n->key));
	}
	strbuf_putc(out, '}');
}

static void
render_info(struct strbuf *out, const struct conf *c, const struct deployment *d)
{
	bool provider = false;

	worker_render_key(out, "model_info");
	strbuf_putc(out, '{');
	worker_render_member(out, "id", d->id);
	worker_render_bool(out, "db_model", false);
	for (const struct conf_node *n = d->info ? d->info->child : NULL; n; n = n->next) {
		if (strcmp(n->key, "id") == 0 || strcmp(n->key, "db_model") == 0)
			continue;
		provider = provider || strcmp(n->key, "litellm_provider") == 0;
		worker_render_any_key(out, n->key);
		/* "key" is a model's name in the price map */
		worker_render_node(out, c, n, redact_is_secret_name(n->key) && strcmp(n->key, "key") != 0);
	}
	if (!provider)
		worker_render_member(out, "litellm_provider", d->provider->name);
	strbuf_putc(out, '}');
}

int
worker_render_model_info(struct strbuf *out, const struct conf *c, const struct htable *t, const char *id,
                         bool healthy_only, const struct render_now *now)
{
	const struct deployment *only = id ? conf_deployment_find(c, id) : NULL;
	bool *alive, first = true;

	if (c->ndeployment == 0) {
		apierror_detail_error(out, "LLM Model List not loaded in. Make sure you passed models in your config.yaml "
		                           "or on the LiteLLM Admin UI. - https://docs.litellm.ai/docs/proxy/configs");
		return 500;
	}
	if (id && only == NULL) {
		struct strbuf text;

		strbuf_init(&text, 0);
		strbuf_printf(&text, "Model id = %s not found on litellm proxy", id);
		apierror_detail_error(out, strbuf_str(&text));
		strbuf_release(&text);
		return 400;
	}
	alive = healthy_only || c->general.model_list_healthy_only ? worker_render_alive(c, t, now) : NULL;
	strbuf_puts(out, "{\"data\":[");
	for (uint32_t i = 0; i < c->ndeployment; i++) {
		const struct deployment *d = &c->deployment[i];

		if ((only && d != only) || (alive && !alive[d->group]))
			continue;
		if (!first)
			strbuf_putc(out, ',');
		first = false;
		strbuf_putc(out, '{');
		worker_render_member(out, "model_name", d->model_name);
		render_litellm_params(out, c, d);
		render_info(out, c, d);
		strbuf_putc(out, '}');
	}
	strbuf_puts(out, "]}");
	free(alive);
	return 200;
}

static void
render_model(struct strbuf *out, const char *name, bool *first)
{
	if (!*first)
		strbuf_putc(out, ',');
	*first = false;
	strbuf_putc(out, '{');
	worker_render_member(out, "id", name);
	strbuf_printf(out, ",\"object\":\"model\",\"created\":%d,\"owned_by\":\"openai\"}", RENDER_MODEL_CREATED);
}

/* The group that an alias stands for, NULL when it is hidden: name -> group, or {model, hidden}. */
static const char *
render_alias_target(const struct conf_node *alias)
{
	const struct conf_node *hidden = conf_get(alias, "hidden");

	if (alias->kind == CONF_STRING)
		return alias->v.string;
	if (hidden && hidden->kind == CONF_BOOL && hidden->v.boolean)
		return NULL;
	return conf_get_string(alias, "model");
}

void
worker_render_models(struct strbuf *out, const struct conf *c, const struct htable *t, bool healthy_only,
                     bool wildcards, const struct render_now *now)
{
	bool *alive = healthy_only || c->general.model_list_healthy_only ? worker_render_alive(c, t, now) : NULL;
	const struct conf_node *aliases = c->router.model_group_alias;
	bool first = true;

	strbuf_puts(out, "{\"data\":[");
	for (uint32_t i = 0; i < c->ngroup; i++)
		if ((!c->group[i].wildcard || wildcards) && (alive == NULL || alive[i]))
			render_model(out, c->group[i].name, &first);
	for (const struct conf_node *a = aliases ? aliases->child : NULL; a; a = a->next) {
		const char *target = render_alias_target(a);
		const struct conf_group *g = target ? conf_group_find(c, target) : NULL;

		if (g && conf_group_find(c, a->key) == NULL && (alive == NULL || alive[g - c->group]))
			render_model(out, a->key, &first);
	}
	strbuf_puts(out, "],\"object\":\"list\"}");
	free(alive);
}

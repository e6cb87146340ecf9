/* Probe requests.
 *
 * A probe is a real request of its mode: a body in OpenAI's form, handed to the same operation (address,
 * headers, translation) that serves clients. Into the body go only names that are request parameters; the
 * rest of litellm_params is about hale or the price of tokens, and an upstream that is sent a capability
 * flag answers 400 although it works.
 *
 * Members stand in this order: model, the question, configured parameters, health_check_params, the token
 * limit, reasoning_effort; a later one replaces an earlier one of the same name in its place.
 */
#include "hale/hale.h"

#include "hale/probe.h"

#include <json-c/json.h>

#include "hale/arena.h"
#include "hale/catalogue.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/redact.h"
#include "hale/strbuf.h"

#define PROBE_MAX_TOKENS 1
#define PROBE_MAX_TOKENS_WILDCARD 10
/* What OpenAI's newer models take at least. */
#define PROBE_MAX_TOKENS_LARGER 16
#define PROBE_PARAMS_MAX 64

/* One member of the body: a node of the configuration, or an integer of ours. */
struct probe_param {
	const char *name;
	const struct conf_node *node;
	int32_t number;
};

struct probe_build {
	struct arena *arena;
	const struct conf *conf;
	const struct deployment *d;
	enum probe_adapt adapt;
	struct probe_request *out;
	struct deployment target; /* d, asked for what is probed */
	const char *model;        /* upstream's name of it */
	struct probe_param param[PROBE_PARAMS_MAX];
	unsigned nparam;
};

#define CHAT (1u << MODE_CHAT)
#define COMPLETION (1u << MODE_COMPLETION)
#define EMBEDDING (1u << MODE_EMBEDDING)

/* litellm_params that are parameters of a request, by mode. */
static const struct {
	const char *name;
	unsigned modes;
} probe_request_param[] = {
	{"temperature", CHAT | COMPLETION},
	{"top_p", CHAT | COMPLETION},
	{"top_k", CHAT | COMPLETION},
	{"min_p", CHAT | COMPLETION},
	{"n", CHAT | COMPLETION},
	{"seed", CHAT | COMPLETION},
	{"stop", CHAT | COMPLETION},
	{"frequency_penalty", CHAT | COMPLETION},
	{"presence_penalty", CHAT | COMPLETION},
	{"repetition_penalty", CHAT | COMPLETION},
	{"logit_bias", CHAT | COMPLETION},
	{"logprobs", CHAT | COMPLETION},
	{"top_logprobs", CHAT},
	{"max_tokens", CHAT | COMPLETION},
	{"max_completion_tokens", CHAT},
	{"response_format", CHAT},
	{"tools", CHAT},
	{"tool_choice", CHAT},
	{"parallel_tool_calls", CHAT},
	{"reasoning_effort", CHAT},
	{"thinking", CHAT},
	{"verbosity", CHAT},
	{"modalities", CHAT},
	{"audio", CHAT},
	{"web_search_options", CHAT},
	{"service_tier", CHAT | COMPLETION},
	{"store", CHAT},
	{"user", CHAT | COMPLETION | EMBEDDING},
	{"safety_identifier", CHAT},
	{"dimensions", EMBEDDING},
	{"encoding_format", EMBEDDING},
	{"input_type", EMBEDDING},
	{"task", EMBEDDING},
};

/* Never taken from health_check_params: what the probe decides itself, and where and as whom it connects. */
static const char *const probe_reserved[] = {
	"model", "messages", "prompt", "input", "stream", "stream_options", "api_base", "base_url", "api_version",
	"custom_llm_provider", "timeout", "stream_timeout", "mode", "organization", "extra_headers", "cache",
};

static struct probe_param *
probe_param_find(struct probe_build *b, const char *name)
{
	for (unsigned i = 0; i < b->nparam; i++)
		if (strcmp(b->param[i].name, name) == 0)
			return &b->param[i];
	return NULL;
}

static void
probe_param_set(struct probe_build *b, const char *name, const struct conf_node *node, int32_t number)
{
	struct probe_param *p = probe_param_find(b, name);

	if (!p && b->nparam < PROBE_PARAMS_MAX)
		p = &b->param[b->nparam++];
	if (p)
		*p = (struct probe_param){name, node, number};
}

static void
probe_param_drop(struct probe_build *b, const char *name)
{
	struct probe_param *p = probe_param_find(b, name);

	if (p) {
		memmove(p, p + 1, (size_t)(&b->param[b->nparam] - (p + 1)) * sizeof(*p));
		b->nparam--;
	}
}

static bool
probe_is_request_param(const char *name, enum mode mode)
{
	for (unsigned i = 0; i < HALE_COUNT(probe_request_param); i++)
		if (strcmp(probe_request_param[i].name, name) == 0)
			return probe_request_param[i].modes >> mode & 1;
	return false;
}

static bool
probe_is_reserved(const char *name)
{
	for (unsigned i = 0; i < HALE_COUNT(probe_reserved); i++)
		if (strcmp(probe_reserved[i], name) == 0)
			return true;
	return redact_is_secret_name(name);
}

/* extra_body is the SDK's way to say "more members": they stand beside the others on the wire. */
static void
probe_param_merge(struct probe_build *b, const struct conf_node *map)
{
	for (const struct conf_node *n = map && map->kind == CONF_MAP ? map->child : NULL; n; n = n->next)
		if (n->kind != CONF_NULL && !probe_is_reserved(n->key) && strcmp(n->key, "extra_body") != 0)
			probe_param_set(b, n->key, n, 0);
}

static void
probe_param_configured(struct probe_build *b)
{
	const struct conf_node *params = b->d->params;

	for (const struct conf_node *n = params && params->kind == CONF_MAP ? params->child : NULL; n; n = n->next)
		if (n->kind != CONF_NULL && probe_is_request_param(n->key, b->out->mode))
			probe_param_set(b, n->key, n, 0);
	probe_param_merge(b, conf_get(params, "extra_body"));
	probe_param_merge(b, b->d->probe.params);
	probe_param_merge(b, conf_get(b->d->probe.params, "extra_body"));
}

/* The configured limit, or the default; health-behaviour of the config page, section "max_tokens". */
static int32_t
probe_limit(const struct probe_build *b)
{
	const struct deployment_probe *p = &b->d->probe;
	const struct conf_health_env *env = &b->conf->health_env;
	bool wildcard = b->d->wildcard, reasoning = !wildcard && catalogue_is_reasoning(b->model);

	if (p->max_tokens > 0)
		return p->max_tokens;
	if (reasoning && p->max_tokens_reasoning > 0)
		return p->max_tokens_reasoning;
	if (!wildcard && !reasoning && p->max_tokens_non_reasoning > 0)
		return p->max_tokens_non_reasoning;
	if (reasoning && env->max_tokens_reasoning > 0)
		return env->max_tokens_reasoning;
	if (env->max_tokens > 0)
		return env->max_tokens;
	return wildcard ? PROBE_MAX_TOKENS_WILDCARD : PROBE_MAX_TOKENS;
}

static bool
probe_takes_limit(const struct probe_build *b)
{
	enum mode m = b->out->mode;

	if (b->d->probe.supports_max_tokens >= 0)
		return b->d->probe.supports_max_tokens > 0;
	return m == MODE_CHAT || m == MODE_COMPLETION || m == MODE_RESPONSES;
}

static void
probe_param_limit(struct probe_build *b)
{
	const struct conf_node *params = b->d->probe.params;
	int32_t limit = probe_limit(b);

	if (!probe_takes_limit(b))
		return;
	/* A limit that somebody wrote for the probe beats a default. */
	if (b->adapt == PROBE_ADAPT_NONE && b->d->probe.max_tokens <= 0 &&
	    (conf_get(params, "max_tokens") || conf_get(params, "max_completion_tokens")))
		return;
	probe_param_drop(b, "max_tokens");
	probe_param_drop(b, "max_completion_tokens");
	if (b->adapt != PROBE_ADAPT_NONE && limit < PROBE_MAX_TOKENS_LARGER)
		limit = PROBE_MAX_TOKENS_LARGER;
	probe_param_set(b, b->adapt == PROBE_ADAPT_COMPLETION ? "max_completion_tokens" : "max_tokens", NULL,
	                limit);
}

static void
probe_collect(struct probe_build *b)
{
	const struct conf_node *effort = b->d->probe.reasoning_effort;

	if (b->adapt == PROBE_ADAPT_NO_LIMIT)
		return;
	probe_param_configured(b);
	probe_param_limit(b);
	if (effort && effort->kind != CONF_NULL && (b->out->mode == MODE_CHAT || b->out->mode == MODE_COMPLETION))
		probe_param_set(b, "reasoning_effort", effort, 0);
}

static void
probe_write_question(const struct probe_build *b, struct strbuf *body)
{
	const char *prompt = b->d->probe.prompt ? b->d->probe.prompt : b->conf->health_env.prompt;
	const char *before = "", *after = "";

	if (b->out->mode == MODE_CHAT) {
		before = "\"messages\":[{\"role\":\"user\",\"content\":";
		after = "}]";
	} else if (b->out->mode == MODE_EMBEDDING) {
		before = "\"input\":[";
		after = "]";
	} else {
		before = "\"prompt\":";
	}
	strbuf_puts(body, before);
	strbuf_json_string(body, prompt ? prompt : "test from litellm");
	strbuf_puts(body, after);
}

static void
probe_write(const struct probe_build *b, struct strbuf *body)
{
	strbuf_puts(body, "{\"model\":");
	strbuf_json_string(body, b->model);
	strbuf_putc(body, ',');
	probe_write_question(b, body);
	for (unsigned i = 0; i < b->nparam; i++) {
		const struct probe_param *p = &b->param[i];

		strbuf_putc(body, ',');
		strbuf_json_string(body, p->name);
		strbuf_putc(body, ':');
		if (p->node)
			conf_json(p->node, body);
		else
			strbuf_printf(body, "%d", p->number);
	}
	strbuf_putc(body, '}');
}

static bool
probe_is_wildcard(const char *model)
{
	return strchr(model, '*') != NULL;
}

/* Whom to ask for which model. health_check_model may name another provider: then a key and an address that
 * came from this one's defaults must not go along. */
static int
probe_resolve_target(struct probe_build *b, const char **why)
{
	const struct deployment *d = b->d;
	const char *custom = conf_get_string(d->params, "custom_llm_provider");
	const struct provider *p = d->provider;

	b->target = *d;
	b->model = d->upstream_model;
	b->out->model = d->model;
	if (d->probe.model) {
		const char *slash = strchr(d->probe.model, '/');
		size_t prefix = slash ? (size_t)(slash - d->probe.model) : 0;
		const struct provider *named = provider_find(d->probe.model, prefix);

		b->out->model = d->probe.model;
		b->model = named && (named == p || !custom) ? slash + 1 : d->probe.model;
		if (named && named != p && !custom) {
			p = named;
			b->target.provider = p;
			b->target.api_base = d->api_base_set ? d->api_base : p->default_base;
			b->target.api_key = conf_get_string(d->params, "api_key");
			b->target.api_version = p->default_version;
		}
	}
	b->target.upstream_model = b->model;
	if (!probe_is_wildcard(b->model))
		return 0;
	*why = arena_printf(b->arena,
	                    "Unable to health check wildcard model for provider %s. Set model_info.health_check_model "
	                    "to one of its models.", p->name);
	return HALE_EUNSUPPORTED;
}

static int
probe_resolve_op(struct probe_build *b, const char **why)
{
	const char *text = b->d->probe.mode_text;

	b->out->mode = deployment_resolve_mode(b->d);
	b->out->op = b->out->mode == MODE_NONE ? NULL : b->target.provider->op[b->out->mode];
	if (b->out->op && (1u << b->out->mode & (CHAT | COMPLETION | EMBEDDING)))
		return 0;
	*why = arena_printf(b->arena,
	                    "Mode %s not supported. See modes here: https://docs.litellm.ai/docs/proxy/health",
	                    b->out->mode == MODE_NONE && text ? text : mode_name(b->out->mode));
	return HALE_EUNSUPPORTED;
}

/* The provider's form of the body, through the translation that real requests take. */
static int
probe_translate(struct probe_build *b, struct strbuf *body, const char **why)
{
	const struct provider_xlate *x = b->out->op->xlate;
	struct json_object *openai;
	struct strbuf out;
	int rc;

	if (!x || !x->request)
		return 0;
	openai = json_tokener_parse(strbuf_str(body));
	HALE_ASSERT(openai); /* we wrote it */
	strbuf_init(&out, 0);
	rc = x->request(&b->target, b->model, openai, &out, why);
	json_object_put(openai);
	strbuf_release(body);
	*body = out;
	return rc;
}

int
probe_request_build(struct arena *a, const struct conf *c, const struct deployment *d, enum probe_adapt adapt,
                    uint32_t random, struct probe_request *out, const char **why)
{
	struct probe_build b = {.arena = a, .conf = c, .d = d, .adapt = adapt, .out = out};
	struct strbuf body;
	int rc;

	(void)random; /* one prompt for all: nothing to pick from */
	*out = (struct probe_request){.content_type = "application/json"};
	rc = probe_resolve_target(&b, why);
	if (!rc)
		rc = probe_resolve_op(&b, why);
	if (rc)
		return rc;
	rc = out->op->endpoint(a, out->op, &b.target, b.model, false, &out->endpoint);
	if (rc) {
		*why = b.target.api_base ? "api_base, api_key or extra_headers cannot be used in a request"
		                         : "the deployment has no api_base";
		return rc;
	}
	probe_collect(&b);
	strbuf_init(&body, 0);
	probe_write(&b, &body);
	rc = probe_translate(&b, &body, why);
	out->body = arena_strndup(a, strbuf_str(&body), body.len);
	out->body_len = body.len;
	strbuf_release(&body);
	return rc;
}

/* Azure OpenAI: OpenAI's bodies, the deployment in the path, the version in the query.
 *
 * Three forms of base are in use: the resource (https://x.openai.azure.com), the full address of one
 * deployment, and the newer .../openai/v1, which takes the model from the body as OpenAI does. An
 * api_version of "v1", "preview" or "latest" asks for that last form too.
 */
#include "hale/hale.h"

#include "provider_impl.h"

#include <strings.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"

#define AZURE_REALTIME_VERSION "2024-10-01-preview"

static bool
provider_azure_ends(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len >= n && strcmp(s + len - n, end) == 0;
}

static bool
provider_azure_is_v1(const char *version)
{
	return strcmp(version, "v1") == 0 || strcmp(version, "preview") == 0 || strcmp(version, "latest") == 0;
}

/* "o_series/name" and "gpt5_series/name" tell LiteLLM which parameters the deployment takes. */
static const char *
provider_azure_model(const char *model)
{
	static const char *const hint[] = {"o_series/", "gpt5_series/"};

	for (unsigned i = 0; i < HALE_COUNT(hint); i++)
		if (strncmp(model, hint[i], strlen(hint[i])) == 0)
			return model + strlen(hint[i]);
	return model;
}

/* Batches and responses belong to the resource: the deployment is in the body, or nowhere. */
static bool
provider_azure_is_account_wide(const struct provider_op *op)
{
	return op == &provider_azure_op[MODE_BATCH] || op == &provider_azure_op[MODE_RESPONSES];
}

static const char *
provider_azure_url(struct arena *a, const struct deployment *d, struct provider_base *base, const char *model,
                   const struct provider_op *op)
{
	const char *path = op->path;
	const char *version = d->api_version ? d->api_version : d->provider->default_version;
	const char *query, *openai = provider_azure_ends(base->root, "/openai") ? "" : "/openai";
	bool v1_base = provider_azure_ends(base->root, "/openai/v1");

	/* A pasted address brings its version along. */
	if ((base->query && strstr(base->query, "api-version=")) || strcmp(version, "v1") == 0 ||
	    (v1_base && !provider_azure_is_v1(version)))
		query = NULL;
	else
		query = arena_printf(a, "api-version=%s", provider_endpoint_encode(a, version));
	if (v1_base || strstr(base->root, "/openai/deployments/"))
		return provider_endpoint_url(a, base, path, query);
	if (provider_azure_is_v1(version))
		path = arena_printf(a, "%s/v1%s", openai, path);
	else if (provider_azure_is_account_wide(op))
		path = arena_printf(a, "%s%s", openai, path);
	else
		path = arena_printf(a, "%s/deployments/%s%s", openai,
		                    provider_endpoint_encode(a, provider_azure_model(model)), path);
	return provider_endpoint_url(a, base, path, query);
}

/* realtime_protocol "GA" (or "v1"), as LiteLLM calls it, asks for the path of the released API. */
static bool
provider_azure_is_released(const struct deployment *d, const struct provider_base *base, const char *version)
{
	const char *protocol = conf_get_string(d->params, "realtime_protocol");

	if (protocol && (strcasecmp(protocol, "GA") == 0 || strcasecmp(protocol, "v1") == 0))
		return true;
	return provider_azure_ends(base->root, "/openai/v1") || provider_azure_is_v1(version);
}

/* Two generations: /openai/realtime with a version and the deployment, and /openai/v1/realtime with the
 * model, where a dated version has no place. A base that names a deployment is cut back to its resource. */
static const char *
provider_azure_realtime(struct arena *a, const struct deployment *d, struct provider_base *base,
                        const char *model, const struct provider_op *op)
{
	/* The default of the other modes is of no use here. */
	bool own = d->api_version && d->api_version != d->provider->default_version;
	const char *version = own ? d->api_version : AZURE_REALTIME_VERSION;
	bool released = provider_azure_is_released(d, base, version);
	/* "preview" and "latest" are versions of the released path, a date is none. */
	bool versioned = !released || (provider_azure_is_v1(version) && strcmp(version, "v1") != 0);
	const char *name = released ? "model" : "deployment", *cut = strstr(base->root, "/openai/deployments/");
	const char *path, *query = "";

	if (cut)
		base->root = arena_strndup(a, base->root, (size_t)(cut - base->root));
	path = provider_azure_ends(base->root, "/openai/v1") || provider_azure_ends(base->root, "/openai")
	               ? ""
	               : "/openai";
	if (released && !provider_azure_ends(base->root, "/openai/v1"))
		path = arena_printf(a, "%s/v1", path);
	if (!provider_endpoint_has(base, "api-version") && versioned)
		query = arena_printf(a, "api-version=%s", provider_endpoint_encode(a, version));
	if (!provider_endpoint_has(base, name))
		query = arena_printf(a, "%s%s%s=%s", query, *query ? "&" : "", name,
		                     provider_endpoint_encode(a, provider_azure_model(model)));
	return provider_endpoint_url(a, base, arena_printf(a, "%s%s", path, op->path), *query ? query : NULL);
}

static int
provider_azure_endpoint(struct arena *a, const struct provider_op *op, const struct deployment *d, const char *model,
                        bool stream, struct endpoint *out)
{
	const char *token = conf_get_string(d->params, "azure_ad_token");
	struct provider_base base;
	int rc = provider_endpoint_base(a, d, &base);

	(void)stream;
	if (rc)
		return rc;
	*out = (struct endpoint){
		.method = provider_op_has_body(op) ? "POST" : "GET",
		.url = op->form == OP_WEBSOCKET ? provider_azure_realtime(a, d, &base, model, op)
		                                : provider_azure_url(a, d, &base, model, op),
	};
	if (token)
		rc = provider_endpoint_header(out, "Authorization", arena_printf(a, "Bearer %s", token));
	else
		rc = provider_endpoint_header(out, "api-key", d->api_key);
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

#define CELL(p, ...) {.endpoint = provider_azure_endpoint, .path = p, __VA_ARGS__}

const struct provider_op provider_azure_op[MODE_COUNT] = {
	[MODE_CHAT] = CELL("/chat/completions", .essential = provider_essential_message),
	[MODE_COMPLETION] = CELL("/completions", .essential = provider_essential_text),
	[MODE_EMBEDDING] = CELL("/embeddings", .essential = provider_essential_embedding),
	[MODE_IMAGE_GENERATION] = CELL("/images/generations", .essential = provider_essential_image),
	[MODE_IMAGE_EDIT] = CELL("/images/edits", .form = OP_MULTIPART, .essential = provider_essential_image),
	[MODE_AUDIO_TRANSCRIPTION] = CELL("/audio/transcriptions", .form = OP_MULTIPART,
	                                  .essential = provider_essential_transcript),
	[MODE_AUDIO_TRANSLATION] = CELL("/audio/translations", .form = OP_MULTIPART,
	                                .essential = provider_essential_transcript),
	[MODE_AUDIO_SPEECH] = CELL("/audio/speech", .binary = true, .essential = provider_essential_audio),
	[MODE_BATCH] = CELL("/batches", .form = OP_LIST, .essential = provider_essential_list),
	[MODE_REALTIME] = CELL("/realtime", .form = OP_WEBSOCKET),
	[MODE_RESPONSES] = CELL("/responses", .essential = provider_essential_output),
};

/* Azure OpenAI: OpenAI's bodies, the deployment in the path, the version in the query.
 *
 * Three forms of base are in use: the resource (https://x.openai.azure.com), the full address of one
 * deployment, and the newer .../openai/v1, which takes the model from the body as OpenAI does. An
 * api_version of "v1", "preview" or "latest" asks for that last form too.
 */
#include "hale/hale.h"

#include "provider_impl.h"

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"

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

static const char *
provider_azure_url(struct arena *a, const struct deployment *d, struct provider_base *base, const char *model,
                   const char *path)
{
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
	else
		path = arena_printf(a, "%s/deployments/%s%s", openai,
		                    provider_endpoint_encode(a, provider_azure_model(model)), path);
	return provider_endpoint_url(a, base, path, query);
}

static int
provider_azure_endpoint(struct arena *a, const struct deployment *d, const char *model, const char *path,
                        struct endpoint *out)
{
	const char *token = conf_get_string(d->params, "azure_ad_token");
	struct provider_base base;
	int rc = provider_endpoint_base(a, d, &base);

	if (rc)
		return rc;
	*out = (struct endpoint){.method = "POST", .url = provider_azure_url(a, d, &base, model, path)};
	if (token)
		rc = provider_endpoint_header(out, "Authorization", arena_printf(a, "Bearer %s", token));
	else
		rc = provider_endpoint_header(out, "api-key", d->api_key);
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

static int
provider_azure_chat_endpoint(struct arena *a, const struct deployment *d, const char *model, bool stream,
                             struct endpoint *out)
{
	(void)stream;
	return provider_azure_endpoint(a, d, model, "/chat/completions", out);
}

static int
provider_azure_completion_endpoint(struct arena *a, const struct deployment *d, const char *model, bool stream,
                                   struct endpoint *out)
{
	(void)stream;
	return provider_azure_endpoint(a, d, model, "/completions", out);
}

static int
provider_azure_embedding_endpoint(struct arena *a, const struct deployment *d, const char *model, bool stream,
                                  struct endpoint *out)
{
	(void)stream;
	return provider_azure_endpoint(a, d, model, "/embeddings", out);
}

const struct provider_op provider_azure_chat = {
	.endpoint = provider_azure_chat_endpoint,
	.essential = provider_openai_has_message,
};
const struct provider_op provider_azure_completion = {
	.endpoint = provider_azure_completion_endpoint,
	.essential = provider_openai_has_text,
};
const struct provider_op provider_azure_embedding = {
	.endpoint = provider_azure_embedding_endpoint,
	.essential = provider_openai_has_embedding,
};

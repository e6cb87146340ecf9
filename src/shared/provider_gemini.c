/* Gemini: the model is a part of the path, and so is what is done with it.
 *
 * The key goes into a header. Google takes it in the query as well, but queries
 * stand in the logs of every proxy on the way.
 */
#include "hale/hale.h"

#include "gemini.h"
#include "hale/arena.h"
#include "hale/deployment.h"
#include "provider_impl.h"

/* Is the last segment of the root a version, as in ".../v1beta"? */
static bool
provider_gemini_has_version(const char *root)
{
	const char *slash = strrchr(root, '/');

	return slash && slash[1] == 'v' && slash[2] >= '1' && slash[2] <= '9';
}

/* What stands before the model: people give a host, a version, the
 * collection, or the address of one model. */
static const char *
provider_gemini_collection(struct arena *a, const char *root, const char *version, const char *model)
{
	static const char models[] = "/models";
	const char *at = strstr(root, models), *name = GEMINI_COLLECTION(model);

	if (at && (at[sizeof(models) - 1] == '/' || !at[sizeof(models) - 1]))
		root = arena_strndup(a, root, (size_t)(at - root));
	else if (!provider_gemini_has_version(root))
		root = arena_printf(a, "%s/%s", root, version);
	return arena_printf(a, "%s/%s", root, name);
}

static int
provider_gemini_endpoint(struct arena *a, const struct provider_op *op, const struct deployment *d,
                         const char *model, bool stream, struct endpoint *out)
{
	const char *version = d->api_version ? d->api_version : d->provider->default_version, *slash, *verb = op->path;
	struct provider_base base;
	int rc = provider_endpoint_base(a, d, &base);

	if (rc)
		return rc;
	if (stream)
		verb = "streamGenerateContent";
	else if (strcmp(verb, "predict") == 0 && !GEMINI_IS_IMAGEN(model))
		verb = "generateContent";
	base.root = provider_gemini_collection(a, base.root, version, model);
	slash = strchr(model, '/');
	if (slash) { /* the collection's slash is one of the path */
		base.root = arena_printf(a, "%s%s/", base.root,
		                         provider_endpoint_encode(a, arena_strndup(a, model, (size_t)(slash - model))));
		model = slash + 1;
	}
	*out = (struct endpoint){
		.method = "POST",
		.url = provider_endpoint_url(a, &base, arena_printf(a, "%s:%s", provider_endpoint_encode(a, model), verb),
		                             stream ? "alt=sse" : NULL),
	};
	rc = provider_endpoint_header(out, "x-goog-api-key", d->api_key);
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

static const struct provider_xlate provider_gemini_chat = {
	.request = gemini_request,
	.response = gemini_answer,
	.error = gemini_error,
	.status = gemini_status,
	.stream_new = gemini_stream_new,
	.stream_feed = gemini_stream_feed,
	.stream_end = gemini_stream_end,
	.stream_free = gemini_stream_free,
};

static const struct provider_xlate provider_gemini_embed = {
	.request = gemini_embed_request,
	.response = gemini_embed_answer,
	.error = gemini_error,
	.status = gemini_status,
};

static const struct provider_xlate provider_gemini_image = {
	.request = gemini_image_request,
	.response = gemini_image_answer,
	.error = gemini_image_error,
	.status = gemini_image_status,
};

const struct provider_op provider_gemini_op[MODE_COUNT] = {
	[MODE_CHAT] = {
		.endpoint = provider_gemini_endpoint,
		.path = "generateContent",
		.xlate = &provider_gemini_chat,
		.essential = provider_essential_candidate,
	},
	[MODE_EMBEDDING] = {
		.endpoint = provider_gemini_endpoint,
		.path = "batchEmbedContents",
		.xlate = &provider_gemini_embed,
		.essential = provider_essential_vector,
	},
	[MODE_IMAGE_GENERATION] = {
		.endpoint = provider_gemini_endpoint,
		.path = "predict",
		.xlate = &provider_gemini_image,
		.essential = provider_essential_prediction,
	},
};

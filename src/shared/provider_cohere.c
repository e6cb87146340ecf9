/* Cohere: v2 addresses, the translations of cohere.h around chat and embeddings. Rerank is Cohere's own form,
 * the one that clients speak, so it passes as it is; only its errors are translated.
 */
#include "hale/hale.h"

#include "cohere.h"
#include "hale/arena.h"
#include "hale/deployment.h"
#include "provider_impl.h"

/* Takes `end` off the first len bytes of root, if they end so. */
static size_t
provider_cohere_strip(const char *root, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && memcmp(root + len - n, end, n) == 0 ? len - n : len;
}

/* People write the host, the host with a version, or the full address of any operation. */
static int
provider_cohere_endpoint(struct arena *a, const struct provider_op *op, const struct deployment *d,
                         const char *model, bool stream, struct endpoint *out)
{
	static const char *const ends[] = {"/chat", "/embed", "/rerank", "/v1", "/v2"};
	struct provider_base base;
	int rc = provider_endpoint_base(a, d, &base);
	size_t len;

	(void)model;
	(void)stream;
	if (rc)
		return rc;
	len = strlen(base.root);
	for (size_t i = 0; i < HALE_COUNT(ends); i++)
		len = provider_cohere_strip(base.root, len, ends[i]);
	base.root = arena_strndup(a, base.root, len);
	*out = (struct endpoint){.method = "POST", .url = provider_endpoint_url(a, &base, op->path, NULL)};
	if (d->api_key)
		rc = provider_endpoint_header(out, "Authorization", arena_printf(a, "Bearer %s", d->api_key));
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

static const struct provider_xlate provider_cohere_chat = {
	.request = cohere_request,
	.response = cohere_answer,
	.error = cohere_error,
	.stream_new = cohere_stream_new,
	.stream_feed = cohere_stream_feed,
	.stream_free = cohere_stream_free,
};

static const struct provider_xlate provider_cohere_embed = {
	.request = cohere_embed_request,
	.response = cohere_embed_answer,
	.error = cohere_error,
};

static const struct provider_xlate provider_cohere_rerank = {.error = cohere_error};

#define CELL(p, ...) {.endpoint = provider_cohere_endpoint, .path = p, __VA_ARGS__}

const struct provider_op provider_cohere_op[MODE_COUNT] = {
	[MODE_CHAT] = CELL("/v2/chat", .xlate = &provider_cohere_chat, .essential = provider_essential_reply),
	[MODE_EMBEDDING] = CELL("/v2/embed", .xlate = &provider_cohere_embed, .essential = provider_essential_typed),
	[MODE_RERANK] = CELL("/v2/rerank", .xlate = &provider_cohere_rerank, .essential = provider_essential_ranking),
};

/* Anthropic: one address and its own key header. Messages pass as
 * they are, chat is translated (anthropic.h). */
#include "hale/hale.h"

#include "anthropic.h"
#include "hale/arena.h"
#include "hale/deployment.h"
#include "provider_impl.h"

static int
provider_anthropic_endpoint(struct arena *a, const struct provider_op *op, const struct deployment *d,
                            const char *model, bool stream, struct endpoint *out)
{
	struct provider_base base;
	int rc = provider_endpoint_base(a, d, &base);
	size_t n;

	(void)model;
	(void)stream;
	if (rc)
		return rc;
	n = strlen(base.root);
	*out = (struct endpoint){
		.method = "POST",
		.url = provider_endpoint_url(
			a, &base, n > 3 && strcmp(base.root + n - 3, "/v1") == 0 ? op->path + 3 : op->path,
			NULL),
	};
	rc = provider_endpoint_header(out, "x-api-key", d->api_key);
	if (!rc)
		rc = provider_endpoint_header(out, "anthropic-version", "2023-06-01");
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

static const struct provider_xlate provider_anthropic_xlate = {
	.request = anthropic_request,
	.response = anthropic_answer,
	.error = anthropic_error,
	.stream_new = anthropic_stream_new,
	.stream_feed = anthropic_stream_feed,
	.stream_free = anthropic_stream_free,
};

/* The version that a client speaks, and the features that it asked for. */
static const struct client_header provider_anthropic_client[] = {
	{"anthropic-version", false},
	{"anthropic-beta", true},
	{NULL, false},
};

#define CELL(p, ...) {.endpoint = provider_anthropic_endpoint, .path = p, __VA_ARGS__}

const struct provider_op provider_anthropic_op[MODE_COUNT] = {
	[MODE_CHAT] = CELL("/v1/messages", .xlate = &provider_anthropic_xlate,
                           .essential = provider_essential_content),
	[MODE_MESSAGES] = CELL("/v1/messages", .client_header = provider_anthropic_client,
                               .essential = provider_essential_content),
	[MODE_COUNT_TOKENS] = CELL("/v1/messages/count_tokens", .client_header = provider_anthropic_client,
                                   .essential = provider_essential_tokens),
};

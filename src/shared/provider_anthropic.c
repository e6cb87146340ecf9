/* Anthropic: one address, its own key header, and the translation of anthropic.h around it. */
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

	(void)op;
	(void)model;
	(void)stream;
	if (rc)
		return rc;
	n = strlen(base.root);
	*out = (struct endpoint){
		.method = "POST",
		.url = provider_endpoint_url(
			a, &base, n > 3 && strcmp(base.root + n - 3, "/v1") == 0 ? "/messages" : "/v1/messages", NULL),
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

const struct provider_op provider_anthropic_op[MODE_COUNT] = {
	[MODE_CHAT] = {
		.endpoint = provider_anthropic_endpoint,
		.xlate = &provider_anthropic_xlate,
		.essential = provider_essential_content,
	},
};

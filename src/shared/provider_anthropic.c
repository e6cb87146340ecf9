/* Anthropic: one address, its own key header, and the translation of anthropic.h around it. */
#include "hale/hale.h"

#include "anthropic.h"
#include "hale/arena.h"
#include "hale/deployment.h"
#include "hale/json_scan.h"
#include "provider_impl.h"

static int
provider_anthropic_endpoint(struct arena *a, const struct deployment *d, const char *model, bool stream,
                            struct endpoint *out)
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
			a, &base, n > 3 && strcmp(base.root + n - 3, "/v1") == 0 ? "/messages" : "/v1/messages", NULL),
	};
	rc = provider_endpoint_header(out, "x-api-key", d->api_key);
	if (!rc)
		rc = provider_endpoint_header(out, "anthropic-version", "2023-06-01");
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

/* Content may be empty when the model had nothing to say; then the answer says why it ended. */
static bool
provider_anthropic_has_content(const char *body, size_t len, const char **why)
{
	struct json_want want[] = {{.key = "content"}, {.key = "stop_reason"}};
	struct json_span first;
	size_t at;

	if (json_members(body, len, JSON_DEPTH_MAX, want, HALE_COUNT(want), why, &at)) {
		*why = len ? "the answer is not a JSON object" : "the answer is empty";
		return false;
	}
	if (json_first(body + want[0].value.start, want[0].value.len, &first))
		return true;
	if (want[0].value.len && body[want[0].value.start] == '[' && want[1].value.len &&
	    body[want[1].value.start] == '"')
		return true;
	*why = "the answer has no content";
	return false;
}

static const struct provider_xlate provider_anthropic_xlate = {
	.request = anthropic_request,
	.response = anthropic_answer,
	.error = anthropic_error,
	.stream_new = anthropic_stream_new,
	.stream_feed = anthropic_stream_feed,
	.stream_free = anthropic_stream_free,
};

const struct provider_op provider_anthropic_chat = {
	.endpoint = provider_anthropic_endpoint,
	.xlate = &provider_anthropic_xlate,
	.essential = provider_anthropic_has_content,
};

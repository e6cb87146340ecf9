/* Amazon Bedrock: an address in each region, AWS signatures, and the Converse API around bedrock.h's
 * translation; embeddings through InvokeModel.
 *
 * The model is a part of the path, with every ':' and '/' of it encoded. A request is signed when the
 * deployment has AWS credentials; an api_key (Bedrock's bearer keys) goes as it is.
 */
#include "hale/hale.h"

#include <strings.h>

#include "aws_sigv4.h"
#include "bedrock.h"
#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "provider_impl.h"

/* What the model is called in the path: model_id of the deployment when it is the deployment's own model. */
static const char *
provider_bedrock_id(const struct deployment *d, const char *model, const struct bedrock_model *parsed)
{
	const char *own = conf_get_string(d->params, "model_id");
	size_t all = strlen(d->model), n = strlen(model);

	return own && *own && all >= n && strcmp(d->model + all - n, model) == 0 ? own : parsed->id;
}

/* The base for this model: another region than the deployment's has another default address. */
static const char *
provider_bedrock_base(struct arena *a, const struct deployment *d, const char *region)
{
	const char *base = d->api_base, *usual = d->provider->default_base;

	if (!base || !region)
		return base;
	if (d->aws.region && strcmp(base, bedrock_model_base(a, usual, d->aws.region)) == 0)
		base = usual;
	return bedrock_model_base(a, base, region);
}

static int
provider_bedrock_endpoint(struct arena *a, const struct provider_op *op, const struct deployment *d,
                          const char *model, bool stream, struct endpoint *out)
{
	struct deployment there = *d;
	struct bedrock_model parsed;
	struct provider_base base;
	const char *path;
	int rc;

	bedrock_model_parse(a, model, &parsed);
	*out = (struct endpoint){.method = "POST", .region = parsed.region ? parsed.region : d->aws.region};
	there.api_base = provider_bedrock_base(a, d, out->region);
	if (there.api_base && strstr(there.api_base, BEDROCK_REGION))
		return HALE_EINVAL;
	rc = provider_endpoint_base(a, &there, &base);
	if (rc)
		return rc;
	path = arena_printf(a, "/model/%s%s%s",
	                    provider_endpoint_encode(a, provider_bedrock_id(d, model, &parsed)), op->path,
	                    stream ? "-stream" : "");
	out->url = provider_endpoint_url(a, &base, path, NULL);
	if (d->api_key)
		rc = provider_endpoint_header(out, "Authorization", arena_printf(a, "Bearer %s", d->api_key));
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

/* Headers that AWS wants signed: what the body is, and its own ones among the configured. true:
 * something else has authorized the request. */
static bool
provider_bedrock_signed(const struct endpoint *e, struct http_header *header, unsigned *n)
{
	header[0] = (struct http_header){"Content-Type", "application/json"};
	*n = 1;
	for (unsigned i = 0; i < e->nheader; i++) {
		if (strcasecmp(e->header[i].name, "Authorization") == 0)
			return true;
		if (strncasecmp(e->header[i].name, "x-amz", 5) == 0)
			header[(*n)++] = e->header[i];
	}
	return false;
}

static int
provider_bedrock_sign(struct arena *a, struct provider_sign *s)
{
	const struct deployment_aws *aws = &s->d->aws;
	struct http_header header[ENDPOINT_HEADERS_MAX + 1];
	struct endpoint out = {0}; /* checks what goes into the request head */
	struct aws_sigv4 v4 = {
		.key_id = aws->key_id, .secret = aws->secret, .token = aws->token, .region = s->endpoint->region,
		.service = "bedrock", .method = s->endpoint->method, .url = s->endpoint->url, .header = header,
		.body = s->body, .nbody = s->nbody, .now_s = s->now_real_ns / 1000000000u,
	};
	struct strbuf text;
	char date[17];
	int rc;

	s->nheader = 0;
	if (provider_bedrock_signed(s->endpoint, header, &v4.nheader))
		return 0;
	if (!v4.key_id || !v4.secret || !v4.region)
		return HALE_EINVAL;
	strbuf_init(&text, 0);
	rc = aws_sigv4_authorization(&v4, &text);
	if (!rc)
		rc = aws_sigv4_date(v4.now_s, date);
	if (!rc)
		rc = provider_endpoint_header(&out, "Authorization", arena_strdup(a, strbuf_str(&text)));
	if (!rc)
		rc = provider_endpoint_header(&out, "X-Amz-Date", arena_strdup(a, date));
	if (!rc)
		rc = provider_endpoint_header(&out, "X-Amz-Security-Token", v4.token);
	strbuf_release(&text);
	if (rc)
		return rc;
	memcpy(s->header, out.header, out.nheader * sizeof(*out.header));
	s->nheader = out.nheader;
	return 0;
}

static const struct provider_xlate provider_bedrock_chat = {
	.request = bedrock_request,
	.response = bedrock_answer,
	.stream_type = "application/vnd.amazon.eventstream",
	.error = bedrock_error,
	.stream_new = bedrock_stream_new,
	.stream_feed = bedrock_stream_feed,
	.stream_end = bedrock_stream_end,
	.stream_free = bedrock_stream_free,
};

static const struct provider_xlate provider_bedrock_embed = {
	.request = bedrock_embed_request,
	.response = bedrock_embed_answer,
	.error = bedrock_error,
};

const struct provider_op provider_bedrock_op[MODE_COUNT] = {
	[MODE_CHAT] = {
		.endpoint = provider_bedrock_endpoint,
		.path = "/converse",
		.xlate = &provider_bedrock_chat,
		.essential = provider_essential_converse,
		.sign = provider_bedrock_sign,
	},
	[MODE_EMBEDDING] = {
		.endpoint = provider_bedrock_endpoint,
		.path = "/invoke",
		.xlate = &provider_bedrock_embed,
		.essential = provider_essential_invoked,
		.sign = provider_bedrock_sign,
	},
};

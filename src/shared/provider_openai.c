/* OpenAI and everything that speaks its form: bodies pass as they are, only the address differs.
 *
 * The essential-member checks run over relayed answers too, so they use the scanner and build no tree.
 */
#include "hale/hale.h"

#include "provider_impl.h"

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/json_scan.h"

/* Answers are not ours to bound in depth; the scanner's own bound is enough. */
#define PROVIDER_ANSWER_DEPTH JSON_DEPTH_MAX

static int
provider_openai_endpoint(struct arena *a, const struct deployment *d, const char *path, struct endpoint *out)
{
	struct provider_base base;
	int rc = provider_endpoint_base(a, d, &base);

	if (rc)
		return rc;
	*out = (struct endpoint){.method = "POST", .url = provider_endpoint_url(a, &base, path, NULL)};
	if (d->api_key)
		rc = provider_endpoint_header(out, "Authorization", arena_printf(a, "Bearer %s", d->api_key));
	if (!rc)
		rc = provider_endpoint_header(out, "OpenAI-Organization", d->organization);
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

static int
provider_openai_chat_endpoint(struct arena *a, const struct deployment *d, const char *model, bool stream,
                              struct endpoint *out)
{
	(void)model;
	(void)stream;
	return provider_openai_endpoint(a, d, "/chat/completions", out);
}

static int
provider_openai_completion_endpoint(struct arena *a, const struct deployment *d, const char *model, bool stream,
                                    struct endpoint *out)
{
	(void)model;
	(void)stream;
	return provider_openai_endpoint(a, d, "/completions", out);
}

static int
provider_openai_embedding_endpoint(struct arena *a, const struct deployment *d, const char *model, bool stream,
                                   struct endpoint *out)
{
	(void)model;
	(void)stream;
	return provider_openai_endpoint(a, d, "/embeddings", out);
}

/* First element of the array in member `list`, as a span of body. */
static bool
provider_openai_first(const char *body, size_t len, const char *list, struct json_span *out, const char **why)
{
	struct json_want want = {.key = list};
	size_t at;

	if (json_members(body, len, PROVIDER_ANSWER_DEPTH, &want, 1, why, &at)) {
		*why = len ? "the answer is not a JSON object" : "the answer is empty";
		return false;
	}
	if (!json_first(body + want.value.start, want.value.len, out)) {
		*why = "the answer has no choices or data";
		return false;
	}
	out->start += want.value.start;
	return true;
}

/* A member's value inside the object at span, as a span of body; length 0 when there is none. */
static struct json_span
provider_openai_member(const char *body, struct json_span object, const char *member)
{
	struct json_want want = {.key = member};
	const char *why;
	size_t at;

	if (json_members(body + object.start, object.len, PROVIDER_ANSWER_DEPTH, &want, 1, &why, &at))
		return (struct json_span){0, 0};
	return (struct json_span){object.start + want.value.start, want.value.len};
}

/* First byte of that value; 0 when there is none. */
static char
provider_openai_kind(const char *body, struct json_span object, const char *member)
{
	struct json_span v = provider_openai_member(body, object, member);

	return v.len ? body[v.start] : '\0';
}

bool
provider_openai_has_message(const char *body, size_t len, const char **why)
{
	struct json_span choice;

	if (!provider_openai_first(body, len, "choices", &choice, why))
		return false;
	if (provider_openai_kind(body, choice, "message") == '{')
		return true;
	*why = "the first choice has no message";
	return false;
}

bool
provider_openai_has_text(const char *body, size_t len, const char **why)
{
	struct json_span choice;

	if (!provider_openai_first(body, len, "choices", &choice, why))
		return false;
	if (provider_openai_kind(body, choice, "text") == '"' ||
	    provider_openai_kind(body, choice, "message") == '{')
		return true;
	*why = "the first choice has no text";
	return false;
}

bool
provider_openai_has_embedding(const char *body, size_t len, const char **why)
{
	struct json_span first, vector, number;

	if (!provider_openai_first(body, len, "data", &first, why))
		return false;
	vector = provider_openai_member(body, first, "embedding");
	/* Numbers, or base64 of them. */
	if (json_first(body + vector.start, vector.len, &number) || (vector.len > 2 && body[vector.start] == '"'))
		return true;
	*why = "the first element of data has no embedding";
	return false;
}

const struct provider_op provider_openai_chat = {
	.endpoint = provider_openai_chat_endpoint,
	.essential = provider_openai_has_message,
};
const struct provider_op provider_openai_completion = {
	.endpoint = provider_openai_completion_endpoint,
	.essential = provider_openai_has_text,
};
const struct provider_op provider_openai_embedding = {
	.endpoint = provider_openai_embedding_endpoint,
	.essential = provider_openai_has_embedding,
};

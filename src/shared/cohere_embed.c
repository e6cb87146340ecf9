/* OpenAI's embeddings request and answer, and Cohere's v2 embed.
 *
 * Cohere wants to know what the vectors are for: input_type comes from the request, else from litellm_params,
 * else it is what LiteLLM says. Which form was asked for (numbers or base64) is read off the answer, so that
 * the translation of an answer needs no memory of its request.
 */
#include "hale/hale.h"

#include "cohere.h"

#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "xlate.h"

#define COHERE_INPUT_TYPE "search_document"

/* A text, or a list of nothing but texts. NULL: neither. */
static struct json_object *
cohere_embed_texts(struct json_object *input)
{
	struct json_object *list;

	if (json_object_is_type(input, json_type_string)) {
		list = json_object_new_array();
		json_object_array_add(list, json_object_get(input));
		return list;
	}
	for (size_t i = 0; i < xlate_count(input); i++)
		if (!json_object_is_type(json_object_array_get_idx(input, i), json_type_string))
			return NULL;
	return xlate_count(input) ? json_object_get(input) : NULL;
}

int
cohere_embed_request(const struct deployment *d, const char *model, struct json_object *openai,
                     struct strbuf *out, const char **why)
{
	struct json_object *o, *texts = cohere_embed_texts(xlate_get(openai, "input")), *types;
	struct json_object *dimensions = xlate_get(openai, "dimensions"), *truncate = xlate_get(openai, "truncate");
	const char *type = xlate_text(openai, "input_type");

	if (!texts) {
		*why = "input must be a string or an array of strings for this provider";
		return HALE_EINVAL;
	}
	if (!type && d)
		type = conf_get_string(d->params, "input_type");
	if (!type)
		type = COHERE_INPUT_TYPE;
	o = json_object_new_object();
	json_object_object_add(o, "model", json_object_new_string(model));
	json_object_object_add(o, strcmp(type, "image") == 0 ? "images" : "texts", texts);
	json_object_object_add(o, "input_type", json_object_new_string(type));
	types = json_object_new_array();
	json_object_array_add(types,
	                      json_object_new_string(xlate_is(openai, "encoding_format", "base64") ? "base64" : "float"));
	json_object_object_add(o, "embedding_types", types);
	if (dimensions)
		json_object_object_add(o, "output_dimension", json_object_get(dimensions));
	if (truncate)
		json_object_object_add(o, "truncate", json_object_get(truncate));
	xlate_plain(o, out);
	json_object_put(o);
	if (!out->overflow)
		return 0;
	*why = "the translated request is too large";
	return HALE_ELIMIT;
}

int
cohere_embed_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len), *all = xlate_get(in, "embeddings");
	struct json_object *list = xlate_get(all, "float");
	int64_t tokens = 0;
	int rc = HALE_EINVAL;

	if (!list)
		list = xlate_get(all, "base64");
	if (xlate_count(list)) {
		strbuf_puts(out, "{\"object\":\"list\",\"data\":[");
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			strbuf_printf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":",
			              i ? "," : "", i);
			xlate_plain(json_object_array_get_idx(list, i), out);
			strbuf_putc(out, '}');
		}
		xlate_usage_count(xlate_get(xlate_get(in, "meta"), "billed_units"), "input_tokens", &tokens);
		strbuf_puts(out, "],\"model\":");
		strbuf_json_string(out, model);
		strbuf_printf(out, ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}",
		              (long long)tokens, (long long)tokens);
		rc = out->overflow ? HALE_ELIMIT : 0;
	}
	json_object_put(in);
	return rc;
}

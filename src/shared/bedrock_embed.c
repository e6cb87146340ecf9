/* OpenAI embeddings to Bedrock's InvokeModel, in the words of Titan and of Cohere.
 *
 * InvokeModel takes each model's own form. Titan embeds one text for each request, so a list of several is
 * refused instead of being answered by half; Cohere takes lists, and wants to know what the vectors are for.
 */
#include "hale/hale.h"

#include "bedrock.h"

static int
bedrock_embed_titan(struct json_object *in, struct json_object *out, const char **why)
{
	struct json_object *input = xlate_get(in, "input"), *dimensions = xlate_get(in, "dimensions");

	if (xlate_count(input) == 1)
		input = json_object_array_get_idx(input, 0);
	*why = "this model embeds one text for each request: input must be a text";
	if (!json_object_is_type(input, json_type_string))
		return HALE_EINVAL;
	json_object_object_add(out, "inputText", json_object_get(input));
	if (dimensions)
		json_object_object_add(out, "dimensions", json_object_get(dimensions));
	return 0;
}

static int
bedrock_embed_cohere(struct json_object *in, struct json_object *out, const char **why)
{
	struct json_object *input = xlate_get(in, "input"), *texts = json_object_new_array();
	const char *type = xlate_text(in, "input_type");
	size_t n = xlate_count(input);

	json_object_object_add(out, "texts", texts);
	json_object_object_add(out, "input_type", json_object_new_string(type ? type : "search_document"));
	*why = "input must be a text or a list of texts: this provider takes no token ids";
	if (json_object_is_type(input, json_type_string))
		return json_object_array_add(texts, json_object_get(input));
	for (size_t i = 0; i < n; i++) {
		struct json_object *text = json_object_array_get_idx(input, i);

		if (!json_object_is_type(text, json_type_string))
			return HALE_EINVAL;
		json_object_array_add(texts, json_object_get(text));
	}
	return n ? 0 : HALE_EINVAL;
}

int
bedrock_embed_request(const struct deployment *d, const char *model, struct json_object *openai,
                      struct strbuf *out, const char **why)
{
	struct json_object *root = json_object_new_object();
	int rc = HALE_EINVAL;

	(void)d;
	*why = "of Bedrock's embedding models those of Titan and Cohere are known";
	if (strcasestr(model, "titan"))
		rc = bedrock_embed_titan(openai, root, why);
	else if (strcasestr(model, "cohere"))
		rc = bedrock_embed_cohere(openai, root, why);
	if (!rc)
		xlate_plain(root, out);
	if (!rc && out->overflow) {
		*why = "the translated request is too large";
		rc = HALE_ELIMIT;
	}
	json_object_put(root);
	return rc;
}

static bool
bedrock_embed_vector(struct json_object *vector, size_t index, struct strbuf *out)
{
	if (xlate_count(vector) == 0)
		return false;
	strbuf_printf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", index ? "," : "",
	              index);
	xlate_plain(vector, out);
	strbuf_putc(out, '}');
	return true;
}

int
bedrock_embed_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len);
	struct json_object *one = xlate_get(in, "embedding"), *list = xlate_get(in, "embeddings");
	int64_t tokens = 0;
	size_t n;
	bool good;

	if (json_object_is_type(list, json_type_object)) /* Cohere, asked for types */
		list = xlate_get(list, "float");
	n = xlate_count(list);
	good = one || n;
	strbuf_puts(out, "{\"object\":\"list\",\"data\":[");
	if (one)
		good = bedrock_embed_vector(one, 0, out);
	for (size_t i = 0; i < n && !one && good; i++)
		good = bedrock_embed_vector(json_object_array_get_idx(list, i), i, out);
	strbuf_puts(out, "],\"model\":");
	strbuf_json_string(out, model);
	xlate_usage_count(in, "inputTextTokenCount", &tokens);
	strbuf_printf(out, ",\"usage\":{\"prompt_tokens\":%lld,"
	                   "\"total_tokens\":%lld}}", (long long)tokens, (long long)tokens);
	json_object_put(in);
	if (!good)
		return HALE_EINVAL;
	return out->overflow ? HALE_ELIMIT : 0;
}

/* OpenAI embeddings to Gemini's batchEmbedContents.
 *
 * One text is a batch of one. Gemini counts no tokens for embeddings unless it says so; usage is 0 then.
 */
#include "hale/hale.h"

#include "gemini.h"

#include <strings.h>

#include "hale/err.h"
#include "hale/strbuf.h"

/* task_type is Gemini's word, input_type Cohere's for the same. */
static const char *
gemini_embed_task(struct json_object *in)
{
	static const char *const known[][2] = {
		{"search_query", "RETRIEVAL_QUERY"}, {"query", "RETRIEVAL_QUERY"},
		{"search_document", "RETRIEVAL_DOCUMENT"}, {"document", "RETRIEVAL_DOCUMENT"},
		{"passage", "RETRIEVAL_DOCUMENT"}, {"classification", "CLASSIFICATION"}, {"clustering", "CLUSTERING"},
	};
	const char *task = xlate_text(in, "task_type");

	if (task)
		return task;
	task = xlate_text(in, "input_type");
	for (size_t i = 0; task && i < HALE_COUNT(known); i++)
		if (strcasecmp(task, known[i][0]) == 0)
			return known[i][1];
	return task;
}

static struct json_object *
gemini_embed_one(const char *model, struct json_object *in, struct json_object *text)
{
	struct json_object *one = json_object_new_object(), *content = json_object_new_object();
	struct json_object *parts = json_object_new_array(), *part = json_object_new_object();
	struct json_object *dimensions = xlate_get(in, "dimensions");
	const char *task = gemini_embed_task(in), *title = xlate_text(in, "title");
	struct strbuf name;

	strbuf_init(&name, 0);
	strbuf_printf(&name, "%s%s", GEMINI_COLLECTION(model), model);
	xlate_put_text(one, "model", strbuf_str(&name));
	strbuf_release(&name);
	json_object_object_add(part, "text", json_object_get(text));
	json_object_array_add(parts, part);
	json_object_object_add(content, "parts", parts);
	json_object_object_add(one, "content", content);
	if (task)
		xlate_put_text(one, "taskType", task);
	if (title)
		xlate_put_text(one, "title", title);
	if (dimensions)
		json_object_object_add(one, "outputDimensionality", json_object_get(dimensions));
	return one;
}

int
gemini_embed_request(const struct deployment *d, const char *model, struct json_object *openai,
                     struct strbuf *out, const char **why)
{
	struct json_object *input = xlate_get(openai, "input"), *list = json_object_new_array(), *root;
	size_t n = json_object_is_type(input, json_type_array) ? json_object_array_length(input) : 1;
	int rc = n ? 0 : HALE_EINVAL;

	(void)d;
	*why = "input must be a text or a list of texts: this provider takes no token ids";
	for (size_t i = 0; i < n && !rc; i++) {
		struct json_object *text = xlate_count(input) ? json_object_array_get_idx(input, i) : input;

		if (json_object_is_type(text, json_type_string))
			json_object_array_add(list, gemini_embed_one(model, openai, text));
		else
			rc = HALE_EINVAL;
	}
	root = json_object_new_object();
	json_object_object_add(root, "requests", list);
	if (!rc) {
		xlate_plain(root, out);
		if (out->overflow) {
			*why = "the translated request is too large";
			rc = HALE_ELIMIT;
		}
	}
	json_object_put(root);
	return rc;
}

static bool
gemini_embed_vector(struct json_object *embedding, size_t index, struct strbuf *out)
{
	struct json_object *values = xlate_get(embedding, "values");

	if (xlate_count(values) == 0)
		return false;
	strbuf_printf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", index ? "," : "",
	              index);
	xlate_plain(values, out);
	strbuf_putc(out, '}');
	return true;
}

int
gemini_embed_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len), *list = xlate_get(in, "embeddings");
	struct json_object *one = xlate_get(in, "embedding"); /* of embedContent, which proxies may have asked */
	size_t n = xlate_count(list);
	struct gemini_usage usage = {0};
	bool good = n > 0 || one;

	strbuf_puts(out, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < n && good; i++)
		good = gemini_embed_vector(json_object_array_get_idx(list, i), i, out);
	if (n == 0 && good)
		good = gemini_embed_vector(one, 0, out);
	strbuf_puts(out, "],\"model\":");
	strbuf_json_string(out, model);
	gemini_usage_read(xlate_get(in, "usageMetadata"), &usage);
	strbuf_printf(out, ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}",
	              (long long)usage.prompt, (long long)usage.prompt);
	json_object_put(in);
	if (!good) {
		strbuf_clear(out);
		return HALE_EINVAL;
	}
	return out->overflow ? HALE_ELIMIT : 0;
}

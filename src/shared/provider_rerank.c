/* Rerank of services that are otherwise OpenAI-compatible, but do not speak Cohere's form: Voyage
 * (other names in the request, "data" in the answer) and Fireworks ("data" in the answer).
 * Voyage's embeddings have other names, too.
 */
#include "hale/hale.h"

#include "provider_impl.h"

#include "cohere.h"
#include "hale/err.h"
#include "xlate.h"

/* OpenAI's or Cohere's name of a member, and Voyage's. */
struct rerank_name {
	const char *theirs, *voyage;
};

static int
provider_rerank_rename(const char *model, struct json_object *in, const struct rerank_name *name,
                       struct strbuf *out, const char **why)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "model", json_object_new_string(model));
	for (; name->theirs; name++) {
		struct json_object *v = xlate_get(in, name->theirs);

		if (v)
			json_object_object_add(o, name->voyage, json_object_get(v));
	}
	xlate_plain(o, out);
	json_object_put(o);
	if (!out->overflow)
		return 0;
	*why = "the translated request is too large";
	return HALE_ELIMIT;
}

/* Cohere's documents may be objects; Voyage takes texts. NULL: there is another one. */
static struct json_object *
provider_rerank_texts(struct json_object *documents)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < xlate_count(documents); i++) {
		struct json_object *d = json_object_array_get_idx(documents, i);
		struct json_object *text = json_object_is_type(d, json_type_string) ? d : xlate_get(d, "text");

		if (!json_object_is_type(text, json_type_string)) {
			json_object_put(list);
			return NULL;
		}
		json_object_array_add(list, json_object_get(text));
	}
	return list;
}

static int
provider_rerank_voyage(const struct deployment *d, const char *model, struct json_object *in,
                       struct strbuf *out, const char **why)
{
	static const struct rerank_name name[] = {{"query", "query"},   {"documents", "documents"},
	                                          {"top_n", "top_k"},   {"return_documents", "return_documents"},
	                                          {"truncation", "truncation"}, {NULL, NULL}};
	struct json_object *texts = provider_rerank_texts(xlate_get(in, "documents"));

	(void)d;
	if (!texts || json_object_array_length(texts) == 0) {
		json_object_put(texts);
		*why = "documents must be an array of strings, or of objects with a text";
		return HALE_EINVAL;
	}
	json_object_object_add(in, "documents", texts);
	return provider_rerank_rename(model, in, name, out, why);
}

/* Voyage has no "float": numbers are what it gives unasked. */
static int
provider_rerank_voyage_embed(const struct deployment *d, const char *model, struct json_object *in,
                             struct strbuf *out, const char **why)
{
	static const struct rerank_name name[] = {{"input", "input"},
	                                          {"input_type", "input_type"},
	                                          {"truncation", "truncation"},
	                                          {"dimensions", "output_dimension"},
	                                          {"output_dimension", "output_dimension"},
	                                          {"output_dtype", "output_dtype"},
	                                          {"encoding_format", "encoding_format"},
	                                          {NULL, NULL}};

	(void)d;
	if (xlate_is(in, "encoding_format", "float"))
		json_object_object_del(in, "encoding_format");
	return provider_rerank_rename(model, in, name, out, why);
}

/* A result as it is, but with the document as an object. */
static void
provider_rerank_result(struct json_object *result, struct strbuf *out)
{
	const char *document = xlate_text(result, "document");

	if (document) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "text", json_object_new_string(document));
		json_object_object_add(result, "document", o);
	}
	xlate_plain(result, out);
}

static int
provider_rerank_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len), *list = xlate_get(in, "data"), *usage = xlate_get(in, "usage");
	const char *id = xlate_text(in, "id");
	int64_t total = 0;
	int rc = HALE_EINVAL;

	if (!list)
		list = xlate_get(in, "results");
	if (xlate_count(list)) {
		strbuf_puts(out, "{\"id\":");
		strbuf_json_string(out, id ? id : model);
		strbuf_puts(out, ",\"results\":[");
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			if (i)
				strbuf_putc(out, ',');
			provider_rerank_result(json_object_array_get_idx(list, i), out);
		}
		xlate_usage_count(usage, "total_tokens", &total);
		strbuf_printf(out, "],\"meta\":{\"billed_units\":{\"total_tokens\":%lld},\"tokens\":{\"input_tokens\":%lld,"
		              "\"output_tokens\":0}}}", (long long)total, (long long)total);
		rc = out->overflow ? HALE_ELIMIT : 0;
	}
	json_object_put(in);
	return rc;
}

static const struct provider_xlate provider_rerank_voyage_xlate = {
	.request = provider_rerank_voyage,
	.response = provider_rerank_answer,
	.error = cohere_error,
};

static const struct provider_xlate provider_rerank_voyage_embed_xlate = {
	.request = provider_rerank_voyage_embed,
	.error = cohere_error,
};

static const struct provider_xlate provider_rerank_fireworks_xlate = {.response = provider_rerank_answer};

#define CELL(p, ...) {.endpoint = provider_openai_endpoint, .path = p, __VA_ARGS__}

const struct provider_op provider_voyage_op[MODE_COUNT] = {
	[MODE_EMBEDDING] = CELL("/embeddings", .xlate = &provider_rerank_voyage_embed_xlate,
                                .essential = provider_essential_embedding),
	[MODE_RERANK] = CELL("/rerank", .xlate = &provider_rerank_voyage_xlate,
                             .essential = provider_essential_scores),
};

const struct provider_op provider_fireworks_op[MODE_COUNT] = {
	[MODE_RERANK] = CELL("/rerank", .xlate = &provider_rerank_fireworks_xlate,
                             .essential = provider_essential_scores),
};

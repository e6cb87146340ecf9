/* Rerank as Cohere and Jina speak it, OCR as Mistral does, moderation as OpenAI does. */
#include "hale/hale.h"

#include "llmsim.h"

#include <json-c/json.h>

/* Member of the JSON body; *root is the caller's. */
static struct json_object *
llmsim_judge_member(const struct llmsim_request *r, const char *name, struct json_object **root)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *v = NULL;

	*root = json_tokener_parse_ex(tok, r->body.p, (int)r->body.len);
	json_tokener_free(tok);
	json_object_object_get_ex(*root, name, &v);
	return v;
}

/* The documents come back in the order in which they were sent, each a little less relevant. */
static void
llmsim_judge_rerank(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                    struct strbuf *body)
{
	static const char *const need[] = {"model", "query", "documents", NULL};
	struct json_object *root, *documents, *top, *echo;
	size_t n;

	(void)s;
	if (!llmsim_service_has(r, rep, need, body))
		return;
	documents = llmsim_judge_member(r, "documents", &root);
	if (!json_object_is_type(documents, json_type_array) || json_object_array_length(documents) == 0) {
		llmsim_service_refuse(rep, 400, "invalid request: documents must be a list that is not empty",
		                      NULL, body);
		json_object_put(root);
		return;
	}
	n = json_object_array_length(documents);
	if (json_object_object_get_ex(root, "top_n", &top) && json_object_get_int64(top) > 0 &&
	    (size_t)json_object_get_int64(top) < n)
		n = (size_t)json_object_get_int64(top);
	json_object_object_get_ex(root, "return_documents", &echo);
	llmsim_text(body, "{\"id\":\"rerank-%i\",\"results\":[", rep->serial);
	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(documents, i);

		strbuf_printf(body, "%s{\"index\":%zu,\"relevance_score\":%.6f", i ? "," : "", i,
		              0.98 / (double)(i + 1));
		if (json_object_get_boolean(echo)) {
			strbuf_puts(body, ",\"document\":{\"text\":");
			strbuf_json_string(body, json_object_get_string(d));
			strbuf_putc(body, '}');
		}
		strbuf_putc(body, '}');
	}
	strbuf_puts(body, "],\"meta\":{\"api_version\":{\"version\":\"2\"},\"billed_units\":{\"search_units\":1}}}");
	json_object_put(root);
}

static void
llmsim_judge_ocr(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                 struct strbuf *body)
{
	static const char *const need[] = {"model", "document", NULL};
	struct json_object *root, *document, *type, *url = NULL;
	bool fine;

	(void)s;
	if (!llmsim_service_has(r, rep, need, body))
		return;
	document = llmsim_judge_member(r, "document", &root);
	fine = json_object_object_get_ex(document, "type", &type) &&
	       json_object_object_get_ex(document, json_object_get_string(type), &url) && url;
	json_object_put(root);
	if (!fine) {
		llmsim_service_refuse(rep, 400,
		                      "document: type document_url or image_url and its member are needed",
		                      NULL, body);
		return;
	}
	llmsim_text(body,
	            "{\"pages\":[{\"index\":0,\"markdown\":\"# Simulated page\",\"images\":[],\"dimensions\":"
	            "{\"dpi\":200,\"height\":2200,\"width\":1700}}],\"model\":\"%s\",\"document_annotation\":null,"
	            "\"usage_info\":{\"pages_processed\":1,\"doc_size_bytes\":1024}}",
	            rep->model);
}

static void
llmsim_judge_moderation(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                        struct strbuf *body)
{
	static const char *const need[] = {"input", NULL};
	static const char *const category[] = {"harassment", "hate", "illicit", "self-harm", "sexual", "violence"};
	struct json_object *root, *input;
	size_t n = 1;

	(void)s;
	if (!llmsim_service_has(r, rep, need, body))
		return;
	input = llmsim_judge_member(r, "input", &root);
	if (json_object_is_type(input, json_type_array))
		n = json_object_array_length(input);
	llmsim_text(body, "{\"id\":\"modr-%i\",\"model\":\"%s\",\"results\":[", rep->serial, rep->model);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_object_get_string(json_object_is_type(input, json_type_array)
		                                                  ? json_object_array_get_idx(input, i)
		                                                  : input);
		bool bad = text && strstr(text, "kill");

		strbuf_printf(body, "%s{\"flagged\":%s,\"categories\":{", i ? "," : "",
		              bad ? "true" : "false");
		for (size_t k = 0; k < HALE_COUNT(category); k++)
			strbuf_printf(body, "%s\"%s\":%s", k ? "," : "", category[k],
			              bad && k == 5 ? "true" : "false");
		strbuf_puts(body, "},\"category_scores\":{");
		for (size_t k = 0; k < HALE_COUNT(category); k++)
			strbuf_printf(body, "%s\"%s\":%s", k ? "," : "", category[k],
			              bad && k == 5 ? "0.97" : "0.0001");
		strbuf_puts(body, "}}");
	}
	strbuf_puts(body, "]}");
	json_object_put(root);
}

const struct llmsim_service llmsim_judge_service[] = {
	{.path = "/rerank", .answer = llmsim_judge_rerank},
	{.path = "/v2/rerank", .exact = true, .answer = llmsim_judge_rerank, .error = llmsim_cohere_error},
	{.path = "/ocr", .answer = llmsim_judge_ocr},
	{.path = "/moderations", .answer = llmsim_judge_moderation},
	{0},
};

/* Cohere's v2: chat whole and streamed, embeddings; rerank is llmsim_judge.c's. Voyage's rerank, below
 * /voyage because other services have the same path.
 *
 * message-start, content-start, content-delta..., content-end, message-end
 *
 * With tools and "tool_choice": "REQUIRED" the answer is one call of the first tool, after its plan:
 * message-start, tool-plan-delta, tool-call-start, tool-call-delta..., tool-call-end, message-end
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <json-c/json.h>
#include <openssl/evp.h>

#define COHERE_DIMENSIONS 8
#define COHERE_ARGUMENTS "{\"city\":\"Paris\"}"
#define COHERE_PIECES 3 /* of the arguments, in a stream */
#define COHERE_PLAN "I will look it up."

/* The JSON body; the caller puts it. */
static struct json_object *
llmsim_cohere_root(const struct llmsim_request *r)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *root = json_tokener_parse_ex(tok, r->body.p, (int)r->body.len);

	json_tokener_free(tok);
	return root;
}

static struct json_object *
llmsim_cohere_get(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, name, &v) ? v : NULL;
}

void
llmsim_cohere_error(const struct llmsim_reply *rep, const char *message, struct strbuf *out)
{
	llmsim_text(out, "{\"id\":\"%i\",\"message\":", rep->serial);
	strbuf_json_string(out, message);
	strbuf_putc(out, '}');
}

static void
llmsim_voyage_error(const struct llmsim_reply *rep, const char *message, struct strbuf *out)
{
	(void)rep;
	strbuf_puts(out, "{\"detail\":");
	strbuf_json_string(out, message);
	strbuf_putc(out, '}');
}

/* What Cohere does not know of OpenAI's parameters, and a few things that it checks. NULL: fine. */
static const char *
llmsim_cohere_check(const struct llmsim_request *r, struct json_object *root)
{
	static const char *const foreign[] = {"max_completion_tokens", "top_p", "top_k", "stop", "n", "stream_options", "input",
	                                      "dimensions", "encoding_format"};
	const char *choice = json_object_get_string(llmsim_cohere_get(root, "tool_choice"));

	if (!llmsim_span_is(r->method, "POST") || !root || !r->valid)
		return "invalid request: a JSON object is needed";
	if (!r->model.p)
		return "invalid request: model is required";
	for (size_t i = 0; i < HALE_COUNT(foreign); i++)
		if (llmsim_cohere_get(root, foreign[i]))
			return "invalid request: unknown field";
	if (choice && strcmp(choice, "REQUIRED") != 0 && strcmp(choice, "NONE") != 0)
		return "invalid request: tool_choice must be REQUIRED or NONE";
	return NULL;
}

/* The name of the tool that is called; rep->prefix keeps it for the events of a stream. */
static void
llmsim_cohere_tool(struct llmsim_reply *rep, struct json_object *root)
{
	struct json_object *tools = llmsim_cohere_get(root, "tools"), *name;
	const char *choice = json_object_get_string(llmsim_cohere_get(root, "tool_choice"));

	strbuf_clear(&rep->prefix);
	if (!choice || strcmp(choice, "REQUIRED") != 0 || !json_object_is_type(tools, json_type_array))
		return;
	name = llmsim_cohere_get(llmsim_cohere_get(json_object_array_get_idx(tools, 0), "function"), "name");
	if (name)
		strbuf_puts(&rep->prefix, json_object_get_string(name));
}

static void
llmsim_cohere_usage(const struct llmsim_reply *rep, struct strbuf *out)
{
	/* what is billed differs from what passes through the model, as it does there */
	llmsim_text(out,
	            "{\"billed_units\":{\"input_tokens\":%u,\"output_tokens\":%u},\"tokens\":{\"input_tokens\":%u,"
	            "\"output_tokens\":%u}}",
	            rep->prompt_tokens, rep->tokens, rep->prompt_tokens + 60, rep->tokens);
}

static const char *
llmsim_cohere_finish(const struct llmsim_reply *rep)
{
	if (rep->prefix.len)
		return "TOOL_CALL";
	return rep->truncated ? "MAX_TOKENS" : "COMPLETE";
}

static void
llmsim_cohere_message(const struct llmsim_reply *rep, struct strbuf *body)
{
	llmsim_text(body, "{\"id\":\"%i\",\"finish_reason\":\"%s\",\"message\":{\"role\":\"assistant\",",
	            rep->serial, llmsim_cohere_finish(rep));
	if (rep->prefix.len) {
		llmsim_text(body, "\"tool_plan\":\"" COHERE_PLAN "\",\"tool_calls\":[{\"id\":\"call_%i\",\"type\":\"function\","
		                  "\"function\":{\"name\":", rep->serial);
		strbuf_json_string(body, strbuf_str(&rep->prefix));
		strbuf_puts(body, ",\"arguments\":");
		strbuf_json_string(body, COHERE_ARGUMENTS);
		strbuf_puts(body, "}}]");
	} else {
		strbuf_puts(body, "\"content\":[{\"type\":\"text\",\"text\":\"");
		llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, body);
		strbuf_puts(body, "\"}]");
	}
	strbuf_puts(body, "},\"usage\":");
	llmsim_cohere_usage(rep, body);
	strbuf_putc(body, '}');
}

static void
llmsim_cohere_chat(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                   struct strbuf *body)
{
	struct json_object *root = llmsim_cohere_root(r);
	const char *wrong = llmsim_cohere_check(r, root);

	(void)s;
	if (!wrong && !r->messages.p)
		wrong = "invalid request: messages is required";
	if (!wrong)
		llmsim_cohere_tool(rep, root);
	json_object_put(root);
	if (wrong)
		llmsim_service_refuse(rep, 400, wrong, NULL, body);
	else if (r->stream)
		rep->stream = rep->sse = true;
	else
		llmsim_cohere_message(rep, body);
}

/* Events between message-start and message-end. */
static unsigned
llmsim_cohere_middle(const struct llmsim_reply *rep)
{
	return rep->prefix.len ? 2 + COHERE_PIECES + 1 : 1 + (unsigned)rep->tokens + 1;
}

static unsigned
llmsim_cohere_events(const struct llmsim_reply *rep)
{
	return 1 + llmsim_cohere_middle(rep) + 1;
}

static void
llmsim_cohere_event_text(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	if (n == 0) {
		strbuf_puts(out, "event: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":"
		                 "{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n");
	} else if (n <= rep->tokens) {
		strbuf_puts(out, "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":"
		                 "{\"content\":{\"text\":\"");
		llmsim_text_fill(n - 1, 1, rep->chunk_bytes, out);
		strbuf_puts(out, "\"}}}}\n\n");
	} else {
		strbuf_puts(out, "event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n");
	}
}

static void
llmsim_cohere_event_tool(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	static const char arguments[] = COHERE_ARGUMENTS;
	size_t piece = (sizeof(arguments) - 1 + COHERE_PIECES - 1) / COHERE_PIECES, at = (n - 2) * piece;

	if (n == 0) {
		strbuf_puts(out, "event: tool-plan-delta\ndata: {\"type\":\"tool-plan-delta\",\"delta\":{\"message\":"
		                 "{\"tool_plan\":\"" COHERE_PLAN "\"}}}\n\n");
	} else if (n == 1) {
		llmsim_text(out, "event: tool-call-start\ndata: {\"type\":\"tool-call-start\",\"index\":0,\"delta\":{\"message\":"
		                 "{\"tool_calls\":{\"id\":\"call_%i\",\"type\":\"function\",\"function\":{\"name\":", rep->serial);
		strbuf_json_string(out, strbuf_str(&rep->prefix));
		strbuf_puts(out, ",\"arguments\":\"\"}}}}}\n\n");
	} else if (n < 2 + COHERE_PIECES) {
		strbuf_puts(out, "event: tool-call-delta\ndata: {\"type\":\"tool-call-delta\",\"index\":0,\"delta\":{\"message\":"
		                 "{\"tool_calls\":{\"function\":{\"arguments\":");
		strbuf_json_stringn(out, arguments + at,
		                    n + 1 == 2 + COHERE_PIECES ? sizeof(arguments) - 1 - at : piece);
		strbuf_puts(out, "}}}}}\n\n");
	} else {
		strbuf_puts(out, "event: tool-call-end\ndata: {\"type\":\"tool-call-end\",\"index\":0}\n\n");
	}
}

static void
llmsim_cohere_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	if (n == 0) {
		llmsim_text(out, "event: message-start\ndata: {\"id\":\"%i\",\"type\":\"message-start\",\"delta\":{\"message\":"
		                 "{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\",\"tool_calls\":[],\"citations\":[]}}}\n\n",
		            rep->serial);
	} else if (n > llmsim_cohere_middle(rep)) {
		llmsim_text(out, "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"%s\",\"usage\":",
		            llmsim_cohere_finish(rep));
		llmsim_cohere_usage(rep, out);
		strbuf_puts(out, "}}\n\n");
	} else if (rep->prefix.len) {
		llmsim_cohere_event_tool(rep, n - 1, out);
	} else {
		llmsim_cohere_event_text(rep, n - 1, out);
	}
}

/* Voyage's names and nothing else; the documents come back in their order, each a little less relevant. */
static void
llmsim_voyage_rerank(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                     struct strbuf *body)
{
	static const char *const need[] = {"model", "query", "documents", NULL};
	struct json_object *root, *documents, *top;
	size_t n;

	(void)s;
	if (!llmsim_service_has(r, rep, need, body))
		return;
	root = llmsim_cohere_root(r);
	documents = llmsim_cohere_get(root, "documents");
	top = llmsim_cohere_get(root, "top_k");
	n = json_object_is_type(documents, json_type_array) ? json_object_array_length(documents) : 0;
	if (n == 0 || llmsim_cohere_get(root, "top_n") ||
	    !json_object_is_type(json_object_array_get_idx(documents, 0), json_type_string)) {
		llmsim_service_refuse(rep, 400,
		                      "Argument 'documents' must be a list of strings, 'top_k' its limit",
		                      NULL, body);
		json_object_put(root);
		return;
	}
	if (top && json_object_get_int64(top) > 0 && (size_t)json_object_get_int64(top) < n)
		n = (size_t)json_object_get_int64(top);
	strbuf_puts(body, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < n; i++) {
		strbuf_printf(body, "%s{\"relevance_score\":%.6f,\"index\":%zu", i ? "," : "",
		              0.5 / (double)(i + 1), i);
		if (json_object_get_boolean(llmsim_cohere_get(root, "return_documents"))) {
			strbuf_puts(body, ",\"document\":");
			strbuf_json_string(body,
			                   json_object_get_string(json_object_array_get_idx(documents, i)));
		}
		strbuf_putc(body, '}');
	}
	llmsim_text(body, "],\"model\":\"%s\",\"usage\":{\"total_tokens\":26}}", rep->model);
	json_object_put(root);
}

/* Vectors that count upwards: 0.5, 1.5, 2.5 ... in each, as numbers or as base64 of 32-bit floats. */
static void
llmsim_cohere_vector(bool base64, unsigned dimensions, struct strbuf *out)
{
	unsigned char text[(sizeof(float) * 4096 + 2) / 3 * 4 + 1];
	float value[4096];

	for (unsigned i = 0; i < dimensions; i++)
		value[i] = (float)i + 0.5f;
	if (base64) {
		EVP_EncodeBlock(text, (const unsigned char *)value, (int)(dimensions * sizeof(*value)));
		strbuf_json_string(out, (const char *)text);
		return;
	}
	for (unsigned i = 0; i < dimensions; i++)
		strbuf_printf(out, "%s%.1f", i ? "," : "[", (double)value[i]);
	strbuf_putc(out, ']');
}

static void
llmsim_cohere_embed(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                    struct strbuf *body)
{
	struct json_object *root = llmsim_cohere_root(r), *texts = llmsim_cohere_get(root, "texts");
	struct json_object *types = llmsim_cohere_get(root, "embedding_types"), *n = llmsim_cohere_get(root, "output_dimension");
	const char *wrong = llmsim_cohere_check(r, root), *type = NULL;
	int64_t dimensions = n ? json_object_get_int64(n) : COHERE_DIMENSIONS;

	(void)s;
	if (!wrong && (!json_object_is_type(texts, json_type_array) || json_object_array_length(texts) == 0))
		wrong = "invalid request: at least one text is required";
	if (!wrong && !llmsim_cohere_get(root, "input_type"))
		wrong = "invalid request: input_type is required";
	if (json_object_is_type(types, json_type_array))
		type = json_object_get_string(json_object_array_get_idx(types, 0));
	if (!wrong && (!type || dimensions < 1 || dimensions > 4096))
		wrong = "invalid request: embedding_types and output_dimension";
	if (wrong) {
		llmsim_service_refuse(rep, 400, wrong, NULL, body);
	} else {
		llmsim_text(body, "{\"id\":\"%i\",\"embeddings\":{\"%s\":[", rep->serial, type);
		for (size_t i = 0; i < json_object_array_length(texts); i++) {
			if (i)
				strbuf_putc(body, ',');
			llmsim_cohere_vector(strcmp(type, "base64") == 0, (unsigned)dimensions, body);
		}
		llmsim_text(body,
		            "]},\"texts\":[],\"meta\":{\"api_version\":{\"version\":\"2\"},\"billed_units\":"
		            "{\"input_tokens\":%u}},\"response_type\":\"embeddings_by_type\"}",
		            (uint64_t)json_object_array_length(texts) * 2);
	}
	json_object_put(root);
}

const struct llmsim_service llmsim_cohere_service[] = {
	{.path = "/v2/chat", .exact = true, .answer = llmsim_cohere_chat, .events = llmsim_cohere_events,
	 .event = llmsim_cohere_event, .error = llmsim_cohere_error},
	{.path = "/v2/embed", .exact = true, .answer = llmsim_cohere_embed, .error = llmsim_cohere_error},
	{.path = "/voyage/v1/rerank", .exact = true, .answer = llmsim_voyage_rerank, .error = llmsim_voyage_error},
	{0},
};

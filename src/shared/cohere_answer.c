/* Cohere's v2 chat answer to OpenAI's chat completion, and its errors.
 *
 * Text parts are joined to the content; when there are none the tool_plan is the content, which is what it
 * is: the model's words before it calls tools. Tool calls have OpenAI's form already. Citations are left out.
 */
#include "hale/hale.h"

#include "cohere.h"

#include "hale/apierror.h"
#include "hale/err.h"
#include "xlate.h"

const char *
cohere_finish(const char *reason)
{
	static const char *const word[][2] = {
		{"MAX_TOKENS", "length"}, {"ERROR_LIMIT", "length"}, {"TOOL_CALL", "tool_calls"}, {"ERROR_TOXIC", "content_filter"},
	};

	for (size_t i = 0; reason && i < HALE_COUNT(word); i++)
		if (strcmp(reason, word[i][0]) == 0)
			return word[i][1];
	return "stop";
}

bool
cohere_failed(const char *reason)
{
	return reason && (strcmp(reason, "ERROR") == 0 || strcmp(reason, "TIMEOUT") == 0);
}

void
cohere_usage(struct json_object *usage, struct strbuf *out)
{
	struct json_object *counts = xlate_get(usage, "tokens");
	int64_t in = 0, written = 0, cached = 0;

	if (!counts)
		counts = xlate_get(usage, "billed_units");
	xlate_usage_count(counts, "input_tokens", &in);
	xlate_usage_count(counts, "output_tokens", &written);
	xlate_usage_count(usage, "cached_tokens", &cached);
	strbuf_printf(out,
	              "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
	              "\"prompt_tokens_details\":{\"cached_tokens\":%lld}}",
	              (long long)in, (long long)written, (long long)(in + written), (long long)cached);
}

/* Appends the texts of all parts of a type; true when there was one. */
static bool
cohere_answer_join(struct json_object *content, const char *type, struct strbuf *out)
{
	bool any = false;

	for (size_t i = 0; i < xlate_count(content); i++) {
		struct json_object *part = json_object_array_get_idx(content, i);

		if (xlate_is(part, "type", type) && xlate_join(xlate_get(part, type), out))
			any = true;
	}
	return any;
}

static void
cohere_answer_tools(struct json_object *calls, struct strbuf *out)
{
	for (size_t i = 0; i < xlate_count(calls); i++) {
		struct json_object *call = json_object_array_get_idx(calls, i), *f = xlate_get(call, "function");

		xlate_answer_tool((unsigned)i, xlate_text(call, "id"), xlate_text(f, "name"),
		                  xlate_text(f, "arguments"), out);
	}
	if (xlate_count(calls))
		strbuf_putc(out, ']');
}

static void
cohere_answer_write(const char *model, struct json_object *in, struct strbuf *out)
{
	struct json_object *message = xlate_get(in, "message"), *content = xlate_get(message, "content");
	const char *plan = xlate_text(message, "tool_plan");
	struct strbuf text;

	strbuf_init(&text, out->max);
	xlate_answer_open(xlate_text(in, "id"), model, out);
	if (cohere_answer_join(content, "text", &text))
		strbuf_json_stringn(out, strbuf_str(&text), text.len);
	else
		strbuf_json_string(out, plan && *plan ? plan : NULL);
	strbuf_puts(out, ",\"refusal\":null");
	strbuf_clear(&text);
	if (cohere_answer_join(content, "thinking", &text)) {
		strbuf_puts(out, ",\"reasoning_content\":");
		strbuf_json_stringn(out, strbuf_str(&text), text.len);
	}
	cohere_answer_tools(xlate_get(message, "tool_calls"), out);
	xlate_answer_finish(cohere_finish(xlate_text(in, "finish_reason")), out);
	strbuf_puts(out, "],\"usage\":");
	cohere_usage(xlate_get(in, "usage"), out);
	strbuf_putc(out, '}');
	strbuf_release(&text);
}

int
cohere_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len);
	int rc = HALE_EINVAL;

	if (json_object_is_type(xlate_get(in, "message"), json_type_object) &&
	    !cohere_failed(xlate_text(in, "finish_reason"))) {
		cohere_answer_write(model, in, out);
		rc = out->overflow ? HALE_ELIMIT : 0;
	}
	json_object_put(in);
	return rc;
}

int
cohere_error(int status, const char *body, size_t len, struct strbuf *message, const char **type)
{
	struct json_object *in = xlate_parse(body, len);
	const char *text = xlate_text(in, "message");
	int rc = HALE_EINVAL;

	if (!text) /* Voyage says it so */
		text = xlate_text(in, "detail");
	if (text) {
		strbuf_puts(message, text);
		*type = apierror_type(status);
		rc = 0;
	}
	json_object_put(in);
	return rc;
}

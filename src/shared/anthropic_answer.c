/* Anthropic message to OpenAI chat completion, and its errors.
 *
 * Text blocks are joined to the content, tool_use blocks become tool_calls. Thinking is passed on the way
 * LiteLLM does (reasoning_content for people, thinking_blocks to send back), other blocks are left out.
 */
#include "hale/hale.h"

#include "anthropic.h"

#include "hale/err.h"
#include "hale/strbuf.h"

const char *
anthropic_finish(const char *stop_reason)
{
	static const char *const word[][2] = {
		{"max_tokens", "length"},
		{"model_context_window_exceeded", "length"},
		{"tool_use", "tool_calls"},
		{"refusal", "content_filter"},
	};

	for (size_t i = 0; stop_reason && i < HALE_COUNT(word); i++)
		if (strcmp(stop_reason, word[i][0]) == 0)
			return word[i][1];
	return "stop";
}

const char *
anthropic_error_type(const char *type)
{
	static const char *const same[] = {"invalid_request_error", "authentication_error", "permission_error",
	                                   "not_found_error", "rate_limit_error"};

	for (size_t i = 0; type && i < HALE_COUNT(same); i++)
		if (strcmp(type, same[i]) == 0)
			return same[i];
	return type && strcmp(type, "request_too_large") == 0 ? "invalid_request_error" : "server_error";
}

void
anthropic_usage_read(struct json_object *usage, struct xlate_usage *u)
{
	xlate_usage_count(usage, "input_tokens", &u->input);
	xlate_usage_count(usage, "output_tokens", &u->output);
	xlate_usage_count(usage, "cache_creation_input_tokens", &u->cache_write);
	xlate_usage_count(usage, "cache_read_input_tokens", &u->cache_read);
}

/* Appends the named string of every block of a type; true when there was one. */
static bool
anthropic_answer_join(struct json_object *content, const char *type, const char *member, struct strbuf *out)
{
	bool any = false;

	for (size_t i = 0; i < json_object_array_length(content); i++) {
		struct json_object *block = json_object_array_get_idx(content, i);

		if (xlate_is(block, "type", type) && xlate_join(xlate_get(block, member), out))
			any = true;
	}
	return any;
}

static void
anthropic_answer_thinking(struct json_object *content, struct strbuf *scratch, struct strbuf *out)
{
	unsigned n = 0;

	strbuf_clear(scratch);
	if (anthropic_answer_join(content, "thinking", "thinking", scratch)) {
		strbuf_puts(out, ",\"reasoning_content\":");
		strbuf_json_stringn(out, strbuf_str(scratch), scratch->len);
	}
	for (size_t i = 0; i < json_object_array_length(content); i++) {
		struct json_object *block = json_object_array_get_idx(content, i);

		if (!xlate_is(block, "type", "thinking") && !xlate_is(block, "type", "redacted_thinking"))
			continue;
		strbuf_puts(out, n++ ? "," : ",\"thinking_blocks\":[");
		xlate_plain(block, out);
	}
	if (n)
		strbuf_putc(out, ']');
}

static void
anthropic_answer_tools(struct json_object *content, struct strbuf *out)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(content); i++) {
		struct json_object *block = json_object_array_get_idx(content, i);

		if (xlate_is(block, "type", "tool_use"))
			xlate_answer_tool(n++, xlate_text(block, "id"), xlate_text(block, "name"),
			                  xlate_arguments(xlate_get(block, "input")), out);
	}
	if (n)
		strbuf_putc(out, ']');
}

static void
anthropic_answer_write(const char *model, struct json_object *in, struct strbuf *out)
{
	struct json_object *content = xlate_get(in, "content");
	struct xlate_usage usage = {0};
	struct strbuf scratch;

	strbuf_init(&scratch, out->max);
	xlate_answer_open(xlate_text(in, "id"), model, out);
	if (anthropic_answer_join(content, "text", "text", &scratch))
		strbuf_json_stringn(out, strbuf_str(&scratch), scratch.len);
	else
		strbuf_puts(out, "null");
	strbuf_puts(out, ",\"refusal\":null");
	anthropic_answer_thinking(content, &scratch, out);
	anthropic_answer_tools(content, out);
	xlate_answer_finish(anthropic_finish(xlate_text(in, "stop_reason")), out);
	strbuf_puts(out, "],\"usage\":");
	anthropic_usage_read(xlate_get(in, "usage"), &usage);
	xlate_usage_write(&usage, out);
	strbuf_putc(out, '}');
	strbuf_release(&scratch);
}

int
anthropic_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len);
	int rc = HALE_EINVAL;

	if (in && json_object_is_type(xlate_get(in, "content"), json_type_array)) {
		anthropic_answer_write(model, in, out);
		rc = out->overflow ? HALE_ELIMIT : 0;
	}
	json_object_put(in);
	return rc;
}

int
anthropic_error(int status, const char *body, size_t len, struct strbuf *message, const char **type)
{
	struct json_object *in = xlate_parse(body, len), *error = xlate_get(in, "error");
	const char *text = xlate_text(error, "message");
	int rc = HALE_EINVAL;

	(void)status; /* the type says it more exactly */
	if (text) {
		strbuf_puts(message, text);
		*type = anthropic_error_type(xlate_text(error, "type"));
		rc = 0;
	}
	json_object_put(in);
	return rc;
}

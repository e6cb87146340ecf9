/* Converse answers to OpenAI chat completions, and Bedrock's errors.
 *
 * Text blocks are joined to the content, toolUse blocks become tool_calls. Reasoning is passed on the way
 * LiteLLM does (reasoning_content for people, thinking_blocks to send back); other blocks are left out.
 */
#include "hale/hale.h"

#include "bedrock.h"

#include "hale/apierror.h"

const char *
bedrock_finish(const char *stop_reason)
{
	static const char *const word[][2] = {
		{"max_tokens", "length"},
		{"model_context_window_exceeded", "length"},
		{"tool_use", "tool_calls"},
		{"guardrail_intervened", "content_filter"},
		{"content_filtered", "content_filter"},
	};

	for (size_t i = 0; stop_reason && i < HALE_COUNT(word); i++)
		if (strcmp(stop_reason, word[i][0]) == 0)
			return word[i][1];
	return "stop";
}

void
bedrock_answer_id(char out[25])
{
	uint32_t part[3];

	arc4random_buf(part, sizeof(part));
	snprintf(out, 25, "%08x%08x%08x", part[0], part[1], part[2]);
}

void
bedrock_usage_read(struct json_object *usage, struct xlate_usage *u)
{
	xlate_usage_count(usage, "inputTokens", &u->input);
	xlate_usage_count(usage, "outputTokens", &u->output);
	xlate_usage_count(usage, "cacheWriteInputTokens", &u->cache_write);
	xlate_usage_count(usage, "cacheReadInputTokens", &u->cache_read);
}

static struct json_object *
bedrock_answer_reasoning(struct json_object *block)
{
	return xlate_get(block, "reasoningContent");
}

/* Joined text of all blocks: their own, or that of their reasoning. true: there was one. */
static bool
bedrock_answer_join(struct json_object *content, bool reasoning, struct strbuf *out)
{
	bool any = false;

	for (size_t i = 0; i < json_object_array_length(content); i++) {
		struct json_object *block = json_object_array_get_idx(content, i);
		struct json_object *in = reasoning ? xlate_get(bedrock_answer_reasoning(block), "reasoningText") : block;

		if (xlate_join(xlate_get(in, "text"), out))
			any = true;
	}
	return any;
}

static void
bedrock_answer_thinking(struct json_object *content, struct strbuf *scratch, struct strbuf *out)
{
	unsigned n = 0;

	strbuf_clear(scratch);
	if (bedrock_answer_join(content, true, scratch)) {
		strbuf_puts(out, ",\"reasoning_content\":");
		strbuf_json_stringn(out, strbuf_str(scratch), scratch->len);
	}
	for (size_t i = 0; i < json_object_array_length(content); i++) {
		struct json_object *r = bedrock_answer_reasoning(json_object_array_get_idx(content, i));
		struct json_object *text = xlate_get(r, "reasoningText");

		if (!r)
			continue;
		strbuf_puts(out, n++ ? "," : ",\"thinking_blocks\":[");
		if (text) {
			strbuf_puts(out, "{\"type\":\"thinking\",\"thinking\":");
			strbuf_json_string(out, xlate_text(text, "text"));
			strbuf_puts(out, ",\"signature\":");
			strbuf_json_string(out, xlate_text(text, "signature"));
		} else {
			strbuf_puts(out, "{\"type\":\"redacted_thinking\",\"data\":");
			strbuf_json_string(out, xlate_text(r, "redactedContent"));
		}
		strbuf_putc(out, '}');
	}
	if (n)
		strbuf_putc(out, ']');
}

static void
bedrock_answer_tools(struct json_object *content, struct strbuf *out)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(content); i++) {
		struct json_object *use = xlate_get(json_object_array_get_idx(content, i), "toolUse");

		if (use)
			xlate_answer_tool(n++, xlate_text(use, "toolUseId"), xlate_text(use, "name"),
			                  xlate_arguments(xlate_get(use, "input")), out);
	}
	if (n)
		strbuf_putc(out, ']');
}

static void
bedrock_answer_write(const char *model, struct json_object *in, struct json_object *content,
                     struct strbuf *out)
{
	struct xlate_usage usage = {0};
	struct strbuf scratch;
	char id[25];

	strbuf_init(&scratch, out->max);
	bedrock_answer_id(id);
	xlate_answer_open(id, model, out);
	if (bedrock_answer_join(content, false, &scratch))
		strbuf_json_stringn(out, strbuf_str(&scratch), scratch.len);
	else
		strbuf_puts(out, "null");
	strbuf_puts(out, ",\"refusal\":null");
	bedrock_answer_thinking(content, &scratch, out);
	bedrock_answer_tools(content, out);
	xlate_answer_finish(bedrock_finish(xlate_text(in, "stopReason")), out);
	strbuf_puts(out, "],\"usage\":");
	bedrock_usage_read(xlate_get(in, "usage"), &usage);
	xlate_usage_write(&usage, out);
	strbuf_putc(out, '}');
	strbuf_release(&scratch);
}

int
bedrock_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len);
	struct json_object *content = xlate_get(xlate_get(xlate_get(in, "output"), "message"), "content");
	int rc = HALE_EINVAL;

	if (json_object_is_type(content, json_type_array)) {
		bedrock_answer_write(model, in, content, out);
		rc = out->overflow ? HALE_ELIMIT : 0;
	}
	json_object_put(in);
	return rc;
}

int
bedrock_error(int status, const char *body, size_t len, struct strbuf *message, const char **type)
{
	struct json_object *in = xlate_parse(body, len);
	const char *text = xlate_text(in, "message");
	int rc = HALE_EINVAL;

	if (!text)
		text = xlate_text(in, "Message");
	if (text) {
		strbuf_puts(message, text);
		*type = status == 404 ? "not_found_error" : apierror_type(status);
		rc = 0;
	}
	json_object_put(in);
	return rc;
}

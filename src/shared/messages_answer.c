/* OpenAI chat completion to Anthropic message.
 *
 * Thinking first, then the text, then the calls, as Anthropic orders them. A call whose arguments are no
 * JSON object has no counterpart: cut off by the limit it becomes an empty input (the stop reason says so),
 * else the answer is invalid, because a client would run the tool with something else than was meant.
 */
#include "hale/hale.h"

#include "messages_impl.h"


const char *
messages_stop_reason(const char *finish, bool tools)
{
	if (finish && strcmp(finish, "length") == 0)
		return "max_tokens";
	if (finish && strcmp(finish, "content_filter") == 0)
		return "refusal";
	if (tools || (finish && (strcmp(finish, "tool_calls") == 0 || strcmp(finish, "function_call") == 0)))
		return "tool_use";
	return "end_turn";
}

void
messages_usage_read(struct json_object *usage, struct xlate_usage *u)
{
	int64_t prompt = 0;

	if (!json_object_is_type(usage, json_type_object))
		return;
	xlate_usage_count(xlate_get(usage, "prompt_tokens_details"), "cached_tokens", &u->cache_read);
	xlate_usage_count(usage, "cache_creation_input_tokens", &u->cache_write);
	xlate_usage_count(usage, "completion_tokens", &u->output);
	xlate_usage_count(usage, "prompt_tokens", &prompt);
	prompt -= u->cache_read + u->cache_write;
	u->input = prompt > 0 ? prompt : 0;
}

void
messages_usage_write(const struct xlate_usage *u, struct strbuf *out)
{
	strbuf_printf(out,
	              "{\"input_tokens\":%lld,\"cache_creation_input_tokens\":%lld,\"cache_read_input_tokens\":%lld,"
	              "\"output_tokens\":%lld}",
	              (long long)u->input, (long long)u->cache_write, (long long)u->cache_read, (long long)u->output);
}

static void
messages_answer_comma(unsigned *n, struct strbuf *out)
{
	if ((*n)++)
		strbuf_putc(out, ',');
}

/* What the model thought: blocks with their signatures where the cell has them, else the bare text. */
static void
messages_answer_thinking(struct json_object *message, unsigned *n, struct strbuf *out)
{
	struct json_object *blocks = xlate_get(message, "thinking_blocks");
	const char *text = xlate_text(message, "reasoning_content");

	for (size_t i = 0; i < xlate_count(blocks); i++) {
		messages_answer_comma(n, out);
		xlate_plain(json_object_array_get_idx(blocks, i), out);
	}
	if (!text)
		text = xlate_text(message, "reasoning");
	if (xlate_count(blocks) || !text || !*text)
		return;
	messages_answer_comma(n, out);
	strbuf_puts(out, "{\"type\":\"thinking\",\"thinking\":");
	strbuf_json_string(out, text);
	strbuf_puts(out, ",\"signature\":\"\"}");
}

static void
messages_answer_text(struct json_object *message, unsigned *n, struct strbuf *out)
{
	struct strbuf text;

	strbuf_init(&text, out->max);
	if (!messages_text(xlate_get(message, "content"), &text) || text.len == 0)
		messages_text(xlate_get(message, "refusal"), &text);
	if (text.len) {
		messages_answer_comma(n, out);
		strbuf_puts(out, "{\"type\":\"text\",\"text\":");
		strbuf_json_stringn(out, strbuf_str(&text), text.len);
		strbuf_putc(out, '}');
	}
	strbuf_release(&text);
}

static int
messages_answer_call(struct json_object *call, bool cut, size_t index, struct strbuf *out)
{
	struct json_object *function = xlate_get(call, "function"), *input;
	const char *id = xlate_text(call, "id"), *name = xlate_text(function, "name");

	if (!name)
		return HALE_EINVAL;
	input = xlate_tool_input(xlate_text(function, "arguments"));
	if (!input && cut)
		input = json_object_new_object();
	if (!input)
		return HALE_EINVAL;
	strbuf_puts(out, "{\"type\":\"tool_use\",\"id\":");
	if (id && *id)
		strbuf_json_string(out, id);
	else
		strbuf_printf(out, "\"toolu_%zu\"", index);
	strbuf_puts(out, ",\"name\":");
	strbuf_json_string(out, name);
	strbuf_puts(out, ",\"input\":");
	xlate_plain(input, out);
	strbuf_putc(out, '}');
	json_object_put(input);
	return 0;
}

static int
messages_answer_content(struct json_object *choice, bool thinking, struct strbuf *out)
{
	struct json_object *message = xlate_get(choice, "message"), *calls = xlate_get(message, "tool_calls");
	bool cut = xlate_is(choice, "finish_reason", "length");
	unsigned n = 0;
	int rc = 0;

	strbuf_puts(out, "\"content\":[");
	if (thinking)
		messages_answer_thinking(message, &n, out);
	messages_answer_text(message, &n, out);
	for (size_t i = 0; i < xlate_count(calls) && !rc; i++) {
		messages_answer_comma(&n, out);
		rc = messages_answer_call(json_object_array_get_idx(calls, i), cut, i, out);
	}
	strbuf_putc(out, ']');
	return rc;
}

int
messages_answer(const char *model, bool thinking, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len), *choices = xlate_get(in, "choices");
	struct json_object *choice = xlate_count(choices) ? json_object_array_get_idx(choices, 0) : NULL;
	struct json_object *message = xlate_get(choice, "message"), *calls = xlate_get(message, "tool_calls");
	const char *id = xlate_text(in, "id");
	struct xlate_usage usage = {0};
	struct strbuf name;
	int rc = HALE_EINVAL;

	if (json_object_is_type(message, json_type_object)) {
		strbuf_init(&name, 256);
		strbuf_printf(&name, "msg_%s", id ? id : "");
		strbuf_puts(out, "{\"id\":");
		strbuf_json_stringn(out, strbuf_str(&name), name.len);
		strbuf_release(&name);
		strbuf_puts(out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
		strbuf_json_string(out, model);
		strbuf_putc(out, ',');
		rc = messages_answer_content(choice, thinking, out);
		strbuf_printf(out, ",\"stop_reason\":\"%s\",\"stop_sequence\":null,\"usage\":",
		              messages_stop_reason(xlate_text(choice, "finish_reason"), xlate_count(calls)));
		messages_usage_read(xlate_get(in, "usage"), &usage);
		messages_usage_write(&usage, out);
		strbuf_putc(out, '}');
		if (!rc && out->overflow)
			rc = HALE_ELIMIT;
	}
	json_object_put(in);
	return rc;
}

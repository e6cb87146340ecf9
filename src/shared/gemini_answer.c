/* Gemini's answer to OpenAI chat completion, and its errors.
 *
 * Candidates become choices. Parts of text are joined to the content, thoughts to reasoning_content,
 * functionCalls become tool_calls with an id of their own, because Gemini gives none. A prompt that was
 * blocked has no candidate: it becomes a choice without content that ended by content_filter.
 */
#include "hale/hale.h"

#include "gemini.h"

#include "hale/apierror.h"
#include "hale/clock.h"
#include "hale/err.h"
#include "hale/strbuf.h"

const char *
gemini_finish(const char *reason, bool called)
{
	static const char *const filtered[] = {
		"SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
		"IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER",
	};

	if (reason && strcmp(reason, "MAX_TOKENS") == 0)
		return "length";
	for (size_t i = 0; reason && i < HALE_COUNT(filtered); i++)
		if (strcmp(reason, filtered[i]) == 0)
			return "content_filter";
	return called ? "tool_calls" : "stop";
}

void
gemini_usage_read(struct json_object *metadata, struct gemini_usage *u)
{
	xlate_usage_count(metadata, "promptTokenCount", &u->prompt);
	xlate_usage_count(metadata, "candidatesTokenCount", &u->candidates);
	xlate_usage_count(metadata, "thoughtsTokenCount", &u->thoughts);
	xlate_usage_count(metadata, "cachedContentTokenCount", &u->cached);
	xlate_usage_count(metadata, "toolUsePromptTokenCount", &u->tools);
	xlate_usage_count(metadata, "totalTokenCount", &u->total);
}

void
gemini_usage_write(const struct gemini_usage *u, struct strbuf *out)
{
	/* Thoughts are paid for as output; what Gemini's own tools read, as input. */
	int64_t prompt = u->prompt + u->tools, completion = u->candidates + u->thoughts;

	strbuf_printf(out,
	              "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
	              "\"prompt_tokens_details\":{\"cached_tokens\":%lld},"
	              "\"completion_tokens_details\":{\"reasoning_tokens\":%lld}}",
	              (long long)prompt, (long long)completion,
	              (long long)(u->total ? u->total : prompt + completion), (long long)u->cached,
	              (long long)u->thoughts);
}

void
gemini_call_write(struct json_object *part, const char *answer_id, unsigned number, struct strbuf *out)
{
	struct json_object *call = xlate_get(part, "functionCall"), *args = xlate_get(call, "args");
	const char *id = xlate_text(call, "id"), *signature = xlate_text(part, "thoughtSignature");
	struct strbuf scratch;

	strbuf_init(&scratch, out->max);
	if (id && *id)
		strbuf_puts(&scratch, id);
	else /* the same id must not come twice in one conversation */
		strbuf_printf(&scratch, "call_%s_%u", answer_id, number);
	strbuf_puts(out, "\"id\":");
	strbuf_json_string(out, strbuf_str(&scratch));
	strbuf_puts(out, ",\"type\":\"function\",\"function\":{\"name\":");
	strbuf_json_string(out, xlate_text(call, "name") ? xlate_text(call, "name") : "");
	strbuf_clear(&scratch);
	if (args)
		xlate_plain(args, &scratch);
	strbuf_puts(out, ",\"arguments\":");
	strbuf_json_string(out, scratch.len ? strbuf_str(&scratch) : "{}");
	strbuf_putc(out, '}');
	strbuf_release(&scratch);
	if (!signature)
		return;
	/* Where Google's OpenAI endpoint has it, and where LiteLLM has
	 * it: clients send back what they know. */
	strbuf_puts(out, ",\"extra_content\":{\"google\":{\"thought_signature\":");
	strbuf_json_string(out, signature);
	strbuf_puts(out, "}},\"provider_specific_fields\":{\"thought_signature\":");
	strbuf_json_string(out, signature);
	strbuf_putc(out, '}');
}

/* Joins the text of all parts that are thoughts, or of those that are none; true when there was one. */
static bool
gemini_answer_join(struct json_object *parts, bool thought, struct strbuf *out)
{
	bool any = false;

	strbuf_clear(out);
	for (size_t i = 0; i < xlate_count(parts); i++) {
		struct json_object *part = json_object_array_get_idx(parts, i), *text = xlate_get(part, "text");

		if (json_object_get_boolean(xlate_get(part, "thought")) == thought && xlate_join(text, out))
			any = true;
	}
	return any;
}

/* Returns how many there are. */
static unsigned
gemini_answer_calls(struct json_object *parts, const char *answer_id, unsigned first, struct strbuf *out)
{
	unsigned n = 0;

	for (size_t i = 0; i < xlate_count(parts); i++) {
		struct json_object *part = json_object_array_get_idx(parts, i);

		if (!xlate_get(part, "functionCall"))
			continue;
		strbuf_puts(out, n ? ",{" : ",\"tool_calls\":[{");
		gemini_call_write(part, answer_id, first + n++, out);
		strbuf_putc(out, '}');
	}
	if (n)
		strbuf_putc(out, ']');
	return n;
}

/* One choice; *calls counts the tool calls of all of them. */
static void
gemini_answer_choice(struct json_object *candidate, unsigned index, const char *answer_id, unsigned *calls,
                     struct strbuf *out)
{
	struct json_object *parts = xlate_get(xlate_get(candidate, "content"), "parts");
	struct strbuf text;
	unsigned n;

	strbuf_init(&text, out->max);
	strbuf_printf(out, "{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":", index);
	if (gemini_answer_join(parts, false, &text))
		strbuf_json_stringn(out, strbuf_str(&text), text.len);
	else
		strbuf_puts(out, "null");
	strbuf_puts(out, ",\"refusal\":null");
	if (gemini_answer_join(parts, true, &text)) {
		strbuf_puts(out, ",\"reasoning_content\":");
		strbuf_json_stringn(out, strbuf_str(&text), text.len);
	}
	n = gemini_answer_calls(parts, answer_id, *calls, out);
	*calls += n;
	xlate_answer_finish(gemini_finish(xlate_text(candidate, "finishReason"), n > 0), out);
	strbuf_release(&text);
}

static void
gemini_answer_blocked(struct json_object *feedback, struct strbuf *out)
{
	const char *why = xlate_text(feedback, "blockReasonMessage");

	strbuf_puts(out, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":");
	strbuf_json_string(out, why);
	strbuf_puts(out, "},\"logprobs\":null,\"finish_reason\":\"content_filter\"}");
}

static void
gemini_answer_write(const char *model, struct json_object *in, struct strbuf *out)
{
	static const char prefix[] = "chatcmpl-";
	struct json_object *candidates = xlate_get(in, "candidates");
	const char *said = xlate_text(in, "responseId");
	size_t n = xlate_count(candidates);
	struct gemini_usage usage = {0};
	unsigned calls = 0;
	struct strbuf id;

	strbuf_init(&id, 256);
	if (said)
		strbuf_printf(&id, "%s%s", prefix, said);
	else
		strbuf_printf(&id, "%s%llx", prefix, (unsigned long long)clock_real_ns());
	strbuf_puts(out, "{\"id\":");
	strbuf_json_string(out, strbuf_str(&id));
	strbuf_printf(out, ",\"object\":\"chat.completion\",\"created\":%lld,\"model\":",
	              (long long)(clock_real_ns() / 1000000000u));
	strbuf_json_string(out, model);
	strbuf_puts(out, ",\"choices\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			strbuf_putc(out, ',');
		gemini_answer_choice(json_object_array_get_idx(candidates, i), (unsigned)i,
		                     strbuf_str(&id) + strlen(prefix), &calls, out);
	}
	if (n == 0)
		gemini_answer_blocked(xlate_get(in, "promptFeedback"), out);
	strbuf_puts(out, "],\"usage\":");
	gemini_usage_read(xlate_get(in, "usageMetadata"), &usage);
	gemini_usage_write(&usage, out);
	strbuf_putc(out, '}');
	strbuf_release(&id);
}

int
gemini_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len);
	int rc = HALE_EINVAL;

	if (xlate_count(xlate_get(in, "candidates")) ||
	    json_object_is_type(xlate_get(in, "promptFeedback"), json_type_object)) {
		gemini_answer_write(model, in, out);
		rc = out->overflow ? HALE_ELIMIT : 0;
	}
	json_object_put(in);
	return rc;
}

struct json_object *
gemini_error_of(struct json_object *answer)
{
	if (xlate_count(answer))
		answer = json_object_array_get_idx(answer, 0);
	return xlate_get(answer, "error");
}

/* Gemini answers 400 to a key that it does not know. */
static bool
gemini_error_is_key(struct json_object *error)
{
	struct json_object *details = xlate_get(error, "details");
	const char *text = xlate_text(error, "message");

	for (size_t i = 0; i < xlate_count(details); i++)
		if (xlate_is(json_object_array_get_idx(details, i), "reason", "API_KEY_INVALID"))
			return true;
	return text &&
	       (strncmp(text, "API key not valid", 17) == 0 || strncmp(text, "API key expired", 15) == 0);
}

int
gemini_status(int status, const char *body, size_t len)
{
	struct json_object *in;

	if (status != 400)
		return status;
	in = xlate_parse_value(body, len);
	if (gemini_error_is_key(gemini_error_of(in)))
		status = 401;
	json_object_put(in);
	return status;
}

int
gemini_error(int status, const char *body, size_t len, struct strbuf *message, const char **type)
{
	struct json_object *in = xlate_parse_value(body, len), *error = gemini_error_of(in);
	const char *text = xlate_text(error, "message");
	int rc = HALE_EINVAL;

	if (text) {
		strbuf_puts(message, text);
		*type = apierror_type(gemini_error_is_key(error) ? 401 : status);
		rc = 0;
	}
	json_object_put(in);
	return rc;
}

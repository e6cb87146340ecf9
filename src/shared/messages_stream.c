/* OpenAI's event stream to Anthropic's.
 *
 * Deltas become blocks, one open at a time: text, thinking, or one tool call. What kind the next delta
 * is decides whether the open block goes on or is closed and another one begins. The counts come last in
 * OpenAI's stream, and the finish reason before them: message_delta, which has both, waits for [DONE]. A
 * stream that ends without a finish reason was cut: nothing is said then.
 */
#include "hale/hale.h"

#include "messages_impl.h"

#include "hale/apierror.h"
#include "hale/arena.h"

enum messages_block { BLOCK_NONE = 0, BLOCK_TEXT, BLOCK_THINKING, BLOCK_TOOL };

struct messages_stream {
	char *model, *finish;
	bool thinking; /* is wanted */
	bool begun, done, tools;
	struct xlate_events events;
	struct xlate_usage usage;
	enum messages_block open;
	unsigned nblock; /* begun so far: the open one is the last */
	int64_t call;    /* index of the open tool call */
	char *call_id;   /* and its id: some servers give every call the same index */
};

struct messages_stream *
messages_stream_new(const char *model, bool thinking)
{
	struct messages_stream *s = xcalloc(1, sizeof(*s));

	s->model = xstrdup(model);
	s->thinking = thinking;
	xlate_events_init(&s->events);
	return s;
}

void
messages_stream_free(struct messages_stream *s)
{
	if (!s)
		return;
	free(s->model);
	free(s->finish);
	free(s->call_id);
	xlate_events_release(&s->events);
	free(s);
}

static void
messages_stream_open_event(const char *type, struct strbuf *out)
{
	strbuf_printf(out, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static void
messages_stream_close_event(struct strbuf *out)
{
	strbuf_puts(out, "}\n\n");
}

static void
messages_stream_ping(struct strbuf *out)
{
	messages_stream_open_event("ping", out);
	messages_stream_close_event(out);
}

static void
messages_stream_begin(struct messages_stream *s, struct json_object *chunk, struct strbuf *out)
{
	const char *id = xlate_text(chunk, "id");
	struct strbuf name;

	if (s->begun)
		return;
	s->begun = true;
	strbuf_init(&name, 256);
	strbuf_printf(&name, "msg_%s", id ? id : "");
	messages_stream_open_event("message_start", out);
	strbuf_puts(out, ",\"message\":{\"id\":");
	strbuf_json_stringn(out, strbuf_str(&name), name.len);
	strbuf_puts(out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
	strbuf_json_string(out, s->model);
	strbuf_puts(out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
	messages_usage_write(&s->usage, out);
	strbuf_putc(out, '}');
	messages_stream_close_event(out);
	messages_stream_ping(out);
	strbuf_release(&name);
}

static void
messages_stream_stop_block(struct messages_stream *s, struct strbuf *out)
{
	if (s->open == BLOCK_NONE)
		return;
	s->open = BLOCK_NONE;
	messages_stream_open_event("content_block_stop", out);
	strbuf_printf(out, ",\"index\":%u", s->nblock - 1);
	messages_stream_close_event(out);
}

/* block: the members of the new content block; NULL for a tool call, which its caller writes. */
static void
messages_stream_start_block(struct messages_stream *s, enum messages_block kind, const char *block,
                            struct strbuf *out)
{
	messages_stream_stop_block(s, out);
	s->open = kind;
	messages_stream_open_event("content_block_start", out);
	strbuf_printf(out, ",\"index\":%u,\"content_block\":{", s->nblock++);
	if (!block)
		return;
	strbuf_puts(out, block);
	strbuf_putc(out, '}');
	messages_stream_close_event(out);
}

/* One delta of the open block. */
static void
messages_stream_delta(const struct messages_stream *s, const char *type, const char *member,
                      struct json_object *text, struct strbuf *out)
{
	messages_stream_open_event("content_block_delta", out);
	strbuf_printf(out, ",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":", s->nblock - 1, type, member);
	strbuf_json_stringn(out, json_object_get_string(text), (size_t)json_object_get_string_len(text));
	strbuf_putc(out, '}');
	messages_stream_close_event(out);
}

static void
messages_stream_text(struct messages_stream *s, struct json_object *text, struct strbuf *out)
{
	if (!json_object_is_type(text, json_type_string) || json_object_get_string_len(text) == 0)
		return;
	if (s->open != BLOCK_TEXT)
		messages_stream_start_block(s, BLOCK_TEXT, "\"type\":\"text\",\"text\":\"\"", out);
	messages_stream_delta(s, "text_delta", "text", text, out);
}

/* A string, or an array of parts as some models that think send it. */
static void
messages_stream_content(struct messages_stream *s, struct json_object *content, struct strbuf *out)
{
	messages_stream_text(s, content, out);
	for (size_t i = 0; i < xlate_count(content); i++)
		messages_stream_text(s, xlate_get(json_object_array_get_idx(content, i), "text"), out);
}

static void
messages_stream_thinking(struct messages_stream *s, struct json_object *delta, struct strbuf *out)
{
	struct json_object *text = xlate_get(delta, "reasoning_content"), *blocks = xlate_get(delta, "thinking_blocks");

	if (!text)
		text = xlate_get(delta, "reasoning");
	if (json_object_is_type(text, json_type_string) && json_object_get_string_len(text) > 0) {
		if (s->open != BLOCK_THINKING)
			messages_stream_start_block(s, BLOCK_THINKING,
			                            "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"", out);
		messages_stream_delta(s, "thinking_delta", "thinking", text, out);
	}
	for (size_t i = 0; i < xlate_count(blocks); i++) {
		struct json_object *signature = xlate_get(json_object_array_get_idx(blocks, i), "signature");

		if (s->open == BLOCK_THINKING && json_object_is_type(signature, json_type_string))
			messages_stream_delta(s, "signature_delta", "signature", signature, out);
	}
}

/* The beginning of a call: its id and name. */
static int
messages_stream_start_call(struct messages_stream *s, const char *id, const char *name, int64_t index,
                           struct strbuf *out)
{
	char own[32];

	if (!name || (s->tools && index < s->call))
		return HALE_EINVAL;
	snprintf(own, sizeof(own), "toolu_%u", s->nblock);
	messages_stream_start_block(s, BLOCK_TOOL, NULL, out);
	s->tools = true;
	s->call = index;
	free(s->call_id);
	s->call_id = xstrdup(id && *id ? id : own);
	strbuf_puts(out, "\"type\":\"tool_use\",\"id\":");
	strbuf_json_string(out, s->call_id);
	strbuf_puts(out, ",\"name\":");
	strbuf_json_string(out, name);
	strbuf_puts(out, ",\"input\":{}}");
	messages_stream_close_event(out);
	return 0;
}

static int
messages_stream_call(struct messages_stream *s, struct json_object *call, struct strbuf *out)
{
	struct json_object *function = xlate_get(call, "function"), *index = xlate_get(call, "index");
	struct json_object *arguments = xlate_get(function, "arguments");
	const char *id = xlate_text(call, "id"), *name = xlate_text(function, "name");
	int64_t at = index ? json_object_get_int64(index) : s->call;
	bool other = s->open != BLOCK_TOOL || at != s->call || (id && *id && strcmp(id, s->call_id) != 0);
	int rc = 0;

	if (other)
		rc = messages_stream_start_call(s, id, name, at, out);
	if (!rc && json_object_is_type(arguments, json_type_string) &&
	    json_object_get_string_len(arguments) > 0)
		messages_stream_delta(s, "input_json_delta", "partial_json", arguments, out);
	return rc;
}

static int
messages_stream_choice(struct messages_stream *s, struct json_object *choice, struct strbuf *out)
{
	struct json_object *delta = xlate_get(choice, "delta"), *calls = xlate_get(delta, "tool_calls");
	const char *finish = xlate_text(choice, "finish_reason");
	int rc = 0;

	if (s->thinking)
		messages_stream_thinking(s, delta, out);
	else if (xlate_get(delta, "reasoning_content") || xlate_get(delta, "reasoning"))
		messages_stream_ping(out); /* work goes on, of which nothing may be shown */
	messages_stream_content(s, xlate_get(delta, "content"), out);
	messages_stream_text(s, xlate_get(delta, "refusal"), out);
	for (size_t i = 0; i < xlate_count(calls) && !rc; i++)
		rc = messages_stream_call(s, json_object_array_get_idx(calls, i), out);
	if (!rc && finish && !s->finish) {
		messages_stream_stop_block(s, out);
		s->finish = xstrdup(finish);
	}
	return rc;
}

static void
messages_stream_finish(struct messages_stream *s, struct strbuf *out)
{
	messages_stream_begin(s, NULL, out);
	messages_stream_stop_block(s, out);
	messages_stream_open_event("message_delta", out);
	strbuf_printf(out, ",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null},\"usage\":",
	              messages_stop_reason(s->finish, s->tools));
	messages_usage_write(&s->usage, out);
	messages_stream_close_event(out);
	messages_stream_open_event("message_stop", out);
	messages_stream_close_event(out);
	s->done = true;
}

static void
messages_stream_error(struct json_object *error, struct strbuf *out)
{
	const char *message = xlate_word(error, "message"), *type = xlate_text(error, "type");
	bool limited = type && strstr(type, "rate_limit"), busy = type && strstr(type, "overloaded");

	apierror_event(out, DIALECT_MESSAGES, 0, limited ? 429 : busy ? 529 : 500,
	               message ? message : "the upstream reported an error", NULL);
}

static int
messages_stream_event(struct messages_stream *s, struct strbuf *out)
{
	const struct strbuf *event = &s->events.event;
	struct json_object *chunk, *choices, *error;
	int rc = 0;

	if (event->len == 6 && memcmp(strbuf_str(event), "[DONE]", 6) == 0) {
		messages_stream_finish(s, out);
		return 0;
	}
	chunk = xlate_parse(strbuf_str(event), event->len);
	choices = xlate_get(chunk, "choices");
	error = xlate_get(chunk, "error");
	if (!chunk)
		return HALE_EINVAL;
	messages_usage_read(xlate_get(chunk, "usage"), &s->usage);
	if (error && !choices) {
		messages_stream_error(error, out);
	} else if (xlate_count(choices)) {
		messages_stream_begin(s, chunk, out);
		rc = messages_stream_choice(s, json_object_array_get_idx(choices, 0), out);
	}
	json_object_put(chunk);
	return rc;
}

int
messages_stream_feed(struct messages_stream *s, const char *data, size_t len, struct strbuf *out)
{
	int rc = 0;

	while (rc >= 0 && !s->done && (rc = xlate_events_next(&s->events, &data, &len)) > 0)
		rc = messages_stream_event(s, out);
	return rc < 0 ? rc : out->overflow ? HALE_ELIMIT : 0;
}

void
messages_stream_end(struct messages_stream *s, struct strbuf *out)
{
	if (s->finish && !s->done)
		messages_stream_finish(s, out);
}

/* Anthropic's event stream to OpenAI's, event by event.
 *
 * Bytes arrive cut anywhere; lines are collected until an empty one ends the event. Each event says its
 * kind in its JSON, so the "event:" lines are not needed. The role comes out with message_start, every
 * delta as one chunk, the finish reason with message_delta, usage (when asked for) and [DONE] with
 * message_stop. A stream that ends without message_stop was cut: *done stays false.
 */
#include "hale/hale.h"

#include "anthropic.h"

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/err.h"
#include "hale/strbuf.h"

/* One event: far more than any that Anthropic sends, far less than would hurt. */
#define ANTHROPIC_EVENT_MAX (4u << 20)

struct xlate_stream {
	char *model, *id;
	uint64_t created;
	bool include_usage, finished, done;
	struct strbuf line;  /* the unfinished line */
	struct strbuf event; /* data of the unfinished event */
	struct anthropic_usage usage;
	/* The block that is open: deltas belong to it. */
	bool tool_open, tool_arguments; /* it is a tool call; some of its arguments are out */
	unsigned ntool;                 /* tool calls begun so far */
};

struct xlate_stream *
anthropic_stream_new(const char *model, bool include_usage)
{
	struct xlate_stream *s = xcalloc(1, sizeof(*s));

	s->model = xstrdup(model);
	s->created = clock_real_ns() / 1000000000u;
	s->include_usage = include_usage;
	strbuf_init(&s->line, ANTHROPIC_EVENT_MAX);
	strbuf_init(&s->event, ANTHROPIC_EVENT_MAX);
	return s;
}

void
anthropic_stream_free(struct xlate_stream *s)
{
	if (!s)
		return;
	free(s->model);
	free(s->id);
	strbuf_release(&s->line);
	strbuf_release(&s->event);
	free(s);
}

static void
anthropic_stream_head(const struct xlate_stream *s, struct strbuf *out)
{
	strbuf_puts(out, "data: {\"id\":");
	strbuf_json_string(out, s->id ? s->id : "chatcmpl-");
	strbuf_printf(out, ",\"object\":\"chat.completion.chunk\",\"created\":%llu,\"model\":",
	              (unsigned long long)s->created);
	strbuf_json_string(out, s->model);
	strbuf_puts(out, ",\"choices\":[");
}

static void
anthropic_stream_open(const struct xlate_stream *s, struct strbuf *out)
{
	anthropic_stream_head(s, out);
	strbuf_puts(out, "{\"index\":0,\"delta\":{");
}

static void
anthropic_stream_close(const struct xlate_stream *s, const char *finish, struct strbuf *out)
{
	strbuf_puts(out, "},\"logprobs\":null,\"finish_reason\":");
	strbuf_json_string(out, finish);
	strbuf_puts(out, s->include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}

/* A chunk whose delta has one string. */
static void
anthropic_stream_string(const struct xlate_stream *s, const char *member, struct json_object *text,
                        struct strbuf *out)
{
	if (!json_object_is_type(text, json_type_string))
		return;
	anthropic_stream_open(s, out);
	strbuf_printf(out, "\"%s\":", member);
	strbuf_json_stringn(out, json_object_get_string(text), (size_t)json_object_get_string_len(text));
	anthropic_stream_close(s, NULL, out);
}

static void
anthropic_stream_arguments(struct xlate_stream *s, const char *text, struct strbuf *out)
{
	anthropic_stream_open(s, out);
	strbuf_printf(out, "\"tool_calls\":[{\"index\":%u,\"function\":{\"arguments\":", s->ntool - 1);
	strbuf_json_string(out, text);
	strbuf_puts(out, "}}]");
	anthropic_stream_close(s, NULL, out);
	s->tool_arguments = true;
}

static void
anthropic_stream_start(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	struct json_object *message = anthropic_get(event, "message");
	const char *id = anthropic_text(message, "id");
	struct strbuf b;

	strbuf_init(&b, 256);
	strbuf_printf(&b, "chatcmpl-%s", id ? id : "");
	free(s->id);
	s->id = strbuf_take(&b);
	anthropic_usage_read(anthropic_get(message, "usage"), &s->usage);
	anthropic_stream_open(s, out);
	strbuf_puts(out, "\"role\":\"assistant\",\"content\":\"\"");
	anthropic_stream_close(s, NULL, out);
}

static void
anthropic_stream_block(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	struct json_object *block = anthropic_get(event, "content_block"), *input = anthropic_get(block, "input");
	struct json_object *text = anthropic_get(block, "text");

	s->tool_open = anthropic_is(block, "type", "tool_use");
	s->tool_arguments = false;
	if (anthropic_is(block, "type", "text") && json_object_get_string_len(text) > 0)
		anthropic_stream_string(s, "content", text, out);
	if (!s->tool_open)
		return;
	anthropic_stream_open(s, out);
	strbuf_printf(out, "\"tool_calls\":[{\"index\":%u,\"id\":", s->ntool++);
	strbuf_json_string(out, anthropic_text(block, "id"));
	strbuf_puts(out, ",\"type\":\"function\",\"function\":{\"name\":");
	strbuf_json_string(out, anthropic_text(block, "name"));
	strbuf_puts(out, ",\"arguments\":\"\"}}]");
	anthropic_stream_close(s, NULL, out);
	if (json_object_is_type(input, json_type_object) && json_object_object_length(input) > 0)
		anthropic_stream_arguments(s, json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN), out);
}

static void
anthropic_stream_delta(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	struct json_object *delta = anthropic_get(event, "delta");
	const char *json = anthropic_text(delta, "partial_json");

	if (anthropic_is(delta, "type", "text_delta")) {
		anthropic_stream_string(s, "content", anthropic_get(delta, "text"), out);
	} else if (anthropic_is(delta, "type", "thinking_delta")) {
		anthropic_stream_string(s, "reasoning_content", anthropic_get(delta, "thinking"), out);
	} else if (anthropic_is(delta, "type", "signature_delta")) {
		anthropic_stream_open(s, out);
		strbuf_puts(out, "\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":");
		strbuf_json_string(out, anthropic_text(delta, "signature"));
		strbuf_puts(out, "}]");
		anthropic_stream_close(s, NULL, out);
	} else if (anthropic_is(delta, "type", "input_json_delta") && s->tool_open && json && *json) {
		anthropic_stream_arguments(s, json, out);
	}
}

static void
anthropic_stream_finish(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	const char *reason = anthropic_text(anthropic_get(event, "delta"), "stop_reason");

	anthropic_usage_read(anthropic_get(event, "usage"), &s->usage);
	if (!reason || s->finished)
		return;
	s->finished = true;
	anthropic_stream_open(s, out);
	anthropic_stream_close(s, anthropic_finish(reason), out);
}

static void
anthropic_stream_stop(struct xlate_stream *s, struct strbuf *out)
{
	if (!s->finished) {
		anthropic_stream_open(s, out);
		anthropic_stream_close(s, "stop", out);
	}
	if (s->include_usage) {
		anthropic_stream_head(s, out);
		strbuf_puts(out, "],\"usage\":");
		anthropic_usage_write(&s->usage, out);
		strbuf_puts(out, "}\n\n");
	}
	strbuf_puts(out, "data: [DONE]\n\n");
	s->done = true;
}

static void
anthropic_stream_error(struct json_object *event, struct strbuf *out)
{
	struct json_object *error = anthropic_get(event, "error");
	const char *message = anthropic_text(error, "message"), *type = anthropic_text(error, "type");

	strbuf_puts(out, "data: {\"error\":{\"message\":");
	strbuf_json_string(out, message ? message : "the upstream reported an error");
	strbuf_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":", anthropic_error_type(type));
	strbuf_json_string(out, type);
	strbuf_puts(out, "}}\n\n");
}

static int
anthropic_stream_event(struct xlate_stream *s, struct strbuf *out)
{
	struct json_object *event = anthropic_parse(strbuf_str(&s->event), s->event.len);

	if (!event)
		return HALE_EINVAL;
	if (anthropic_is(event, "type", "message_start"))
		anthropic_stream_start(s, event, out);
	else if (anthropic_is(event, "type", "content_block_start"))
		anthropic_stream_block(s, event, out);
	else if (anthropic_is(event, "type", "content_block_delta"))
		anthropic_stream_delta(s, event, out);
	else if (anthropic_is(event, "type", "content_block_stop") && s->tool_open && !s->tool_arguments)
		anthropic_stream_arguments(s, "{}", out); /* a call without arguments: clients parse them */
	else if (anthropic_is(event, "type", "message_delta"))
		anthropic_stream_finish(s, event, out);
	else if (anthropic_is(event, "type", "message_stop"))
		anthropic_stream_stop(s, out);
	else if (anthropic_is(event, "type", "error"))
		anthropic_stream_error(event, out);
	if (anthropic_is(event, "type", "content_block_stop"))
		s->tool_open = false;
	json_object_put(event);
	return 0;
}

/* One line without its end. */
static int
anthropic_stream_line(struct xlate_stream *s, struct strbuf *out)
{
	const char *line = strbuf_str(&s->line);
	size_t len = s->line.len;
	int rc = 0;

	if (len && line[len - 1] == '\r')
		len--;
	if (len == 0) {
		if (s->event.len)
			rc = anthropic_stream_event(s, out);
		strbuf_clear(&s->event);
	} else if (len >= 5 && memcmp(line, "data:", 5) == 0) {
		size_t skip = len > 5 && line[5] == ' ' ? 6 : 5;

		if (s->event.len)
			strbuf_putc(&s->event, '\n');
		strbuf_add(&s->event, line + skip, len - skip);
	}
	return s->event.overflow ? HALE_ELIMIT : rc;
}

int
anthropic_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done)
{
	int rc = 0;

	while (len && !s->done && !rc) {
		const char *newline = memchr(data, '\n', len);
		size_t n = newline ? (size_t)(newline - data) : len;

		strbuf_add(&s->line, data, n);
		if (s->line.overflow)
			return HALE_ELIMIT;
		data += n + (newline ? 1 : 0);
		len -= n + (newline ? 1 : 0);
		if (newline) {
			rc = anthropic_stream_line(s, out);
			strbuf_clear(&s->line);
		}
	}
	*done = s->done;
	return !rc && out->overflow ? HALE_ELIMIT : rc;
}

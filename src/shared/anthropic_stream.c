/* Anthropic's event stream to OpenAI's, event by event.
 *
 * Each event says its kind in its JSON, so the "event:" lines are not needed. The role comes out with
 * message_start, every delta as one chunk, the finish reason with message_delta, usage (when asked for) and
 * [DONE] with message_stop. A stream that ends without message_stop was cut: *done stays false.
 */
#include "hale/hale.h"

#include "anthropic.h"

#include "hale/arena.h"
#include "hale/err.h"
#include "hale/strbuf.h"

struct xlate_stream {
	struct xlate_chunk chunk;
	struct xlate_events events;
	bool finished, done;
	struct xlate_usage usage;
};

struct xlate_stream *
anthropic_stream_new(const char *model, bool include_usage)
{
	struct xlate_stream *s = xcalloc(1, sizeof(*s));

	xlate_chunk_init(&s->chunk, model, include_usage);
	xlate_events_init(&s->events);
	return s;
}

void
anthropic_stream_free(struct xlate_stream *s)
{
	if (!s)
		return;
	xlate_chunk_release(&s->chunk);
	xlate_events_release(&s->events);
	free(s);
}

static void
anthropic_stream_start(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	struct json_object *message = xlate_get(event, "message");

	xlate_chunk_name(&s->chunk, xlate_text(message, "id"));
	anthropic_usage_read(xlate_get(message, "usage"), &s->usage);
	xlate_chunk_role(&s->chunk, 0, out);
}

static void
anthropic_stream_block(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	struct json_object *block = xlate_get(event, "content_block"), *input = xlate_get(block, "input");
	struct json_object *text = xlate_get(block, "text");

	s->chunk.tool_open = false; /* deltas belong to this block from here on */
	if (xlate_is(block, "type", "text") && json_object_get_string_len(text) > 0)
		xlate_chunk_string(&s->chunk, 0, "content", text, out);
	if (!xlate_is(block, "type", "tool_use"))
		return;
	xlate_chunk_tool(&s->chunk, xlate_text(block, "id"), xlate_text(block, "name"), out);
	if (json_object_is_type(input, json_type_object) && json_object_object_length(input) > 0)
		xlate_chunk_arguments(&s->chunk,
		                      json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN), out);
}

static void
anthropic_stream_delta(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	struct json_object *delta = xlate_get(event, "delta");

	if (xlate_is(delta, "type", "text_delta")) {
		xlate_chunk_string(&s->chunk, 0, "content", xlate_get(delta, "text"), out);
	} else if (xlate_is(delta, "type", "thinking_delta")) {
		xlate_chunk_string(&s->chunk, 0, "reasoning_content", xlate_get(delta, "thinking"), out);
	} else if (xlate_is(delta, "type", "signature_delta")) {
		xlate_chunk_open(&s->chunk, 0, out);
		strbuf_puts(out, "\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":");
		strbuf_json_string(out, xlate_text(delta, "signature"));
		strbuf_puts(out, "}]");
		xlate_chunk_close(&s->chunk, NULL, out);
	} else if (xlate_is(delta, "type", "input_json_delta")) {
		xlate_chunk_arguments(&s->chunk, xlate_text(delta, "partial_json"), out);
	}
}

static void
anthropic_stream_finish(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	const char *reason = xlate_text(xlate_get(event, "delta"), "stop_reason");

	anthropic_usage_read(xlate_get(event, "usage"), &s->usage);
	if (!reason || s->finished)
		return;
	s->finished = true;
	xlate_chunk_finish(&s->chunk, anthropic_finish(reason), out);
}

static void
anthropic_stream_stop(struct xlate_stream *s, struct strbuf *out)
{
	if (!s->finished)
		xlate_chunk_finish(&s->chunk, "stop", out);
	xlate_usage_done(&s->usage, &s->chunk, out);
	s->done = true;
}

static void
anthropic_stream_error(struct json_object *event, struct strbuf *out)
{
	struct json_object *error = xlate_get(event, "error");
	const char *type = xlate_text(error, "type");

	xlate_chunk_error(xlate_text(error, "message"), anthropic_error_type(type), type, out);
}

static int
anthropic_stream_event(struct xlate_stream *s, struct strbuf *out)
{
	struct json_object *event = xlate_parse(strbuf_str(&s->events.event), s->events.event.len);

	if (!event)
		return HALE_EINVAL;
	if (xlate_is(event, "type", "message_start"))
		anthropic_stream_start(s, event, out);
	else if (xlate_is(event, "type", "content_block_start"))
		anthropic_stream_block(s, event, out);
	else if (xlate_is(event, "type", "content_block_delta"))
		anthropic_stream_delta(s, event, out);
	else if (xlate_is(event, "type", "content_block_stop"))
		xlate_chunk_tool_end(&s->chunk, out);
	else if (xlate_is(event, "type", "message_delta"))
		anthropic_stream_finish(s, event, out);
	else if (xlate_is(event, "type", "message_stop"))
		anthropic_stream_stop(s, out);
	else if (xlate_is(event, "type", "error"))
		anthropic_stream_error(event, out);
	json_object_put(event);
	return 0;
}

int
anthropic_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done)
{
	int rc = 0, more = 1;

	while (!s->done && !rc && (more = xlate_events_next(&s->events, &data, &len)) > 0)
		rc = anthropic_stream_event(s, out);
	*done = s->done;
	if (!rc && more < 0)
		rc = more;
	return !rc && out->overflow ? HALE_ELIMIT : rc;
}

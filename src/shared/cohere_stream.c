/* Cohere's v2 event stream to OpenAI's, event by event.
 *
 * Each event says its kind in its JSON, so the "event:" lines are not needed. The role comes out
 * with message-start, every delta as one chunk, the finish reason, usage (when asked for) and
 * [DONE] with message-end. A message-end that reports a failure is an error event; a stream
 * without message-end was cut: *done stays false.
 */
#include "hale/hale.h"

#include "cohere.h"

#include "hale/arena.h"
#include "hale/err.h"
#include "xlate.h"

struct xlate_stream {
	struct xlate_chunk chunk;
	struct xlate_events events;
	bool done;
};

struct xlate_stream *
cohere_stream_new(const char *model, bool include_usage)
{
	struct xlate_stream *s = xcalloc(1, sizeof(*s));

	xlate_chunk_init(&s->chunk, model, include_usage);
	xlate_events_init(&s->events);
	return s;
}

void
cohere_stream_free(struct xlate_stream *s)
{
	if (!s)
		return;
	xlate_chunk_release(&s->chunk);
	xlate_events_release(&s->events);
	free(s);
}

/* Text and thinking, in content-start (where it is mostly empty) and content-delta. */
static void
cohere_stream_content(struct xlate_stream *s, struct json_object *message, struct strbuf *out)
{
	struct json_object *content = xlate_get(message, "content");
	struct json_object *text = xlate_get(content, "text"), *thinking = xlate_get(content, "thinking");

	if (json_object_get_string_len(text) > 0)
		xlate_chunk_string(&s->chunk, 0, "content", text, out);
	if (json_object_get_string_len(thinking) > 0)
		xlate_chunk_string(&s->chunk, 0, "reasoning_content", thinking, out);
}

/* tool_calls of an event: one object, in older streams a list of one. */
static struct json_object *
cohere_stream_call(struct json_object *message)
{
	struct json_object *call = xlate_get(message, "tool_calls");

	return xlate_count(call) ? json_object_array_get_idx(call, 0) : call;
}

static void
cohere_stream_tool(struct xlate_stream *s, struct json_object *call, struct strbuf *out)
{
	struct json_object *f = xlate_get(call, "function");

	xlate_chunk_tool(&s->chunk, xlate_text(call, "id"), xlate_text(f, "name"), out);
	xlate_chunk_arguments(&s->chunk, xlate_text(f, "arguments"), out);
}

static void
cohere_stream_end(struct xlate_stream *s, struct json_object *delta, struct strbuf *out)
{
	const char *reason = xlate_text(delta, "finish_reason");
	struct strbuf usage;

	if (cohere_failed(reason)) {
		xlate_chunk_error(xlate_text(delta, "error"), "server_error", reason, out);
		return;
	}
	xlate_chunk_finish(&s->chunk, cohere_finish(reason), out);
	strbuf_init(&usage, 0);
	cohere_usage(xlate_get(delta, "usage"), &usage);
	xlate_chunk_done(&s->chunk, strbuf_str(&usage), out);
	strbuf_release(&usage);
	s->done = true;
}

static void
cohere_stream_take(struct xlate_stream *s, struct json_object *event, struct strbuf *out)
{
	struct json_object *delta = xlate_get(event, "delta"), *message = xlate_get(delta, "message"), *call;
	const char *type = xlate_text(event, "type");

	if (!type && xlate_text(event, "message")) { /* an error in the form of the API's error answers */
		xlate_chunk_error(xlate_text(event, "message"), "server_error", NULL, out);
	} else if (!type) {
		return;
	} else if (strcmp(type, "message-start") == 0) {
		xlate_chunk_name(&s->chunk, xlate_text(event, "id"));
		xlate_chunk_role(&s->chunk, 0, out);
	} else if (strcmp(type, "content-start") == 0 || strcmp(type, "content-delta") == 0) {
		cohere_stream_content(s, message, out);
	} else if (strcmp(type, "tool-plan-delta") == 0) {
		xlate_chunk_string(&s->chunk, 0, "content", xlate_get(message, "tool_plan"), out);
	} else if (strcmp(type, "tool-call-start") == 0) {
		cohere_stream_tool(s, cohere_stream_call(message), out);
	} else if (strcmp(type, "tool-call-delta") == 0) {
		call = cohere_stream_call(message);
		xlate_chunk_arguments(&s->chunk, xlate_text(xlate_get(call, "function"), "arguments"), out);
	} else if (strcmp(type, "tool-call-end") == 0) {
		xlate_chunk_tool_end(&s->chunk, out);
	} else if (strcmp(type, "message-end") == 0) {
		cohere_stream_end(s, delta, out);
	} /* content-end, citations, debug and what is yet to be invented say nothing to an OpenAI client */
}

static int
cohere_stream_event(struct xlate_stream *s, struct strbuf *out)
{
	struct json_object *event = xlate_parse(strbuf_str(&s->events.event), s->events.event.len);

	if (!event) /* a terminator of OpenAI's kind says nothing: message-end does */
		return strcmp(strbuf_str(&s->events.event), "[DONE]") == 0 ? 0 : HALE_EINVAL;
	cohere_stream_take(s, event, out);
	json_object_put(event);
	return 0;
}

int
cohere_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done)
{
	int rc = 0, more = 1;

	while (!s->done && !rc && (more = xlate_events_next(&s->events, &data, &len)) > 0)
		rc = cohere_stream_event(s, out);
	*done = s->done;
	if (!rc && more < 0)
		rc = more;
	return !rc && out->overflow ? HALE_ELIMIT : rc;
}

/* A ConverseStream answer to OpenAI's events, message by message.
 *
 * The framing is aws_eventstream.h's; each message says its kind in a header and is JSON inside. The role
 * comes out with messageStart, every delta as one chunk, the finish reason with messageStop. The token counts
 * come after that in `metadata`, which is the last message: [DONE] follows it. A connection that ends in
 * order after messageStop is complete without it; one that ends before was cut.
 *
 * Exceptions of the stream become an error event. Nothing that comes after one is
 * looked at, so such a stream is never done.
 */
#include "hale/hale.h"

#include "aws_eventstream.h"
#include "bedrock.h"

#include "hale/arena.h"

struct xlate_stream {
	struct xlate_chunk chunk;
	struct aws_eventstream events;
	bool stopped, failed, done; /* messageStop, an exception, or metadata was there */
	struct xlate_usage usage;
};

struct xlate_stream *
bedrock_stream_new(const char *model, bool include_usage)
{
	struct xlate_stream *s = xcalloc(1, sizeof(*s));
	char id[25];

	xlate_chunk_init(&s->chunk, model, include_usage);
	bedrock_answer_id(id);
	xlate_chunk_name(&s->chunk, id);
	aws_eventstream_init(&s->events);
	return s;
}

void
bedrock_stream_free(struct xlate_stream *s)
{
	if (!s)
		return;
	xlate_chunk_release(&s->chunk);
	aws_eventstream_release(&s->events);
	free(s);
}

static void
bedrock_stream_start(struct xlate_stream *s, struct json_object *in, struct strbuf *out)
{
	(void)in;
	xlate_chunk_role(&s->chunk, 0, out);
}

static void
bedrock_stream_block(struct xlate_stream *s, struct json_object *in, struct strbuf *out)
{
	struct json_object *use = xlate_get(xlate_get(in, "start"), "toolUse");

	s->chunk.tool_open = false; /* deltas belong to this block from here on */
	if (use)
		xlate_chunk_tool(&s->chunk, xlate_text(use, "toolUseId"), xlate_text(use, "name"), out);
}

static void
bedrock_stream_reasoning(struct xlate_stream *s, struct json_object *r, struct strbuf *out)
{
	const char *signature = xlate_text(r, "signature"), *redacted = xlate_text(r, "redactedContent");

	xlate_chunk_string(&s->chunk, 0, "reasoning_content", xlate_get(r, "text"), out);
	if (!signature && !redacted)
		return;
	xlate_chunk_open(&s->chunk, 0, out);
	strbuf_puts(out,
	            signature ? "\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":"
	                      : "\"thinking_blocks\":[{\"type\":\"redacted_thinking\",\"data\":");
	strbuf_json_string(out, signature ? signature : redacted);
	strbuf_puts(out, "}]");
	xlate_chunk_close(&s->chunk, NULL, out);
}

static void
bedrock_stream_delta(struct xlate_stream *s, struct json_object *in, struct strbuf *out)
{
	struct json_object *delta = xlate_get(in, "delta"), *reasoning = xlate_get(delta, "reasoningContent");

	xlate_chunk_string(&s->chunk, 0, "content", xlate_get(delta, "text"), out);
	if (reasoning)
		bedrock_stream_reasoning(s, reasoning, out);
	xlate_chunk_arguments(&s->chunk, xlate_text(xlate_get(delta, "toolUse"), "input"), out);
}

static void
bedrock_stream_block_end(struct xlate_stream *s, struct json_object *in, struct strbuf *out)
{
	(void)in;
	xlate_chunk_tool_end(&s->chunk, out);
}

static void
bedrock_stream_stop(struct xlate_stream *s, struct json_object *in, struct strbuf *out)
{
	if (s->stopped)
		return;
	s->stopped = true;
	xlate_chunk_finish(&s->chunk, bedrock_finish(xlate_text(in, "stopReason")), out);
}

static void
bedrock_stream_done(struct xlate_stream *s, struct strbuf *out)
{
	xlate_usage_done(&s->usage, &s->chunk, out);
	s->done = true;
}

static void
bedrock_stream_metadata(struct xlate_stream *s, struct json_object *in, struct strbuf *out)
{
	bedrock_usage_read(xlate_get(in, "usage"), &s->usage);
	if (s->stopped)
		bedrock_stream_done(s, out);
}

static void
bedrock_stream_failed(struct xlate_stream *s, const struct aws_event *e, struct strbuf *out)
{
	static const char *const type[][2] = {
		{"throttlingException", "rate_limit_error"}, {"validationException", "invalid_request_error"},
		{"accessDeniedException", "permission_error"},
	};
	struct aws_event_text kind = e->exception_type.len ? e->exception_type : e->error_code;
	struct json_object *in = xlate_parse(e->payload.p, e->payload.len);
	const char *message = xlate_text(in, "message"), *as = "server_error";
	char *code = kind.len ? xstrndup(kind.p, kind.len) : NULL;
	char *header = e->error_message.len ? xstrndup(e->error_message.p, e->error_message.len) : NULL;

	for (size_t i = 0; i < HALE_COUNT(type); i++)
		if (aws_event_is(kind, type[i][0]))
			as = type[i][1];
	xlate_chunk_error(message ? message : header, as, code, out);
	s->failed = true;
	json_object_put(in);
	free(header);
	free(code);
}

static int
bedrock_stream_event(struct xlate_stream *s, const struct aws_event *e, struct strbuf *out)
{
	static const struct {
		const char *name;
		void (*take)(struct xlate_stream *s, struct json_object *in, struct strbuf *out);
	} kinds[] = {
		{"contentBlockDelta", bedrock_stream_delta}, {"contentBlockStart", bedrock_stream_block},
		{"contentBlockStop", bedrock_stream_block_end}, {"messageStart", bedrock_stream_start},
		{"messageStop", bedrock_stream_stop}, {"metadata", bedrock_stream_metadata},
	};
	struct json_object *in;

	if (!aws_event_is(e->message_type, "event")) {
		bedrock_stream_failed(s, e, out);
		return 0;
	}
	for (size_t i = 0; i < HALE_COUNT(kinds); i++) {
		if (!aws_event_is(e->event_type, kinds[i].name))
			continue;
		in = xlate_parse(e->payload.p, e->payload.len);
		if (!in)
			return HALE_EINVAL;
		kinds[i].take(s, in, out);
		json_object_put(in);
		break;
	}
	return 0; /* kinds that we do not know are no content */
}

int
bedrock_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done)
{
	struct aws_event e;
	int rc = 1;

	while (rc > 0 && !s->done && !s->failed) {
		rc = aws_eventstream_next(&s->events, &data, &len, &e);
		if (rc > 0) {
			int bad = bedrock_stream_event(s, &e, out);

			rc = bad ? bad : rc;
		}
	}
	*done = s->done;
	if (rc < 0)
		return rc;
	return out->overflow ? HALE_ELIMIT : 0;
}

int
bedrock_stream_end(struct xlate_stream *s, struct strbuf *out)
{
	/* Bytes of an unfinished message mean that more was to come. */
	if (!s->stopped || s->failed || (s->events.message.len && !s->events.whole))
		return HALE_EINVAL;
	bedrock_stream_done(s, out);
	return 0;
}

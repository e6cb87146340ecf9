/* Gemini's stream of answers (alt=sse) to OpenAI's chunks.
 *
 * Every event is a whole answer with the next parts in it, and no event says that it is the last: the stream
 * is complete when the connection ended and every choice has a finishReason. Some servers write one into
 * every event, so it is kept until then. Without one the stream was cut.
 */
#include "hale/hale.h"

#include "gemini.h"

#include "hale/apierror.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/err.h"
#include "hale/strbuf.h"

struct gemini_choice {
	bool seen;
	const char *finish; /* OpenAI's word for the finishReason; NULL: none came yet */
	unsigned calls;
};

struct xlate_stream {
	struct xlate_chunk chunk;
	struct xlate_events events;
	struct gemini_usage usage;
	struct gemini_choice choice[GEMINI_CHOICES_MAX];
	char *id; /* what Gemini calls the answer, for the ids of tool calls */
	unsigned calls;
	bool failed;
};

struct xlate_stream *
gemini_stream_new(const char *model, bool include_usage)
{
	struct xlate_stream *s = xcalloc(1, sizeof(*s));

	xlate_chunk_init(&s->chunk, model, include_usage);
	xlate_events_init(&s->events);
	return s;
}

void
gemini_stream_free(struct xlate_stream *s)
{
	if (!s)
		return;
	xlate_chunk_release(&s->chunk);
	xlate_events_release(&s->events);
	free(s->id);
	free(s);
}

static void
gemini_stream_name(struct xlate_stream *s, struct json_object *event)
{
	const char *id = xlate_text(event, "responseId");
	char made[24];

	if (s->id)
		return;
	snprintf(made, sizeof(made), "%llx", (unsigned long long)clock_real_ns());
	s->id = xstrdup(id ? id : made);
	xlate_chunk_name(&s->chunk, s->id);
}

static void
gemini_stream_begin(struct xlate_stream *s, unsigned index, struct strbuf *out)
{
	if (s->choice[index].seen)
		return;
	s->choice[index].seen = true;
	xlate_chunk_role(&s->chunk, index, out);
}

static void
gemini_stream_part(struct xlate_stream *s, unsigned index, struct json_object *part, struct strbuf *out)
{
	struct json_object *text = xlate_get(part, "text");
	bool thought = json_object_get_boolean(xlate_get(part, "thought"));

	if (xlate_get(part, "functionCall")) {
		xlate_chunk_open(&s->chunk, index, out);
		strbuf_printf(out, "\"tool_calls\":[{\"index\":%u,", s->choice[index].calls++);
		gemini_call_write(part, s->id, s->calls++, out);
		strbuf_puts(out, "}]");
		xlate_chunk_close(&s->chunk, NULL, out);
	} else if (json_object_is_type(text, json_type_string) && json_object_get_string_len(text) > 0) {
		xlate_chunk_string(&s->chunk, index, thought ? "reasoning_content" : "content", text, out);
	}
}

static int
gemini_stream_candidate(struct xlate_stream *s, struct json_object *candidate, struct strbuf *out)
{
	struct json_object *parts = xlate_get(xlate_get(candidate, "content"), "parts");
	struct json_object *number = xlate_get(candidate, "index");
	int64_t index = number ? json_object_get_int64(number) : 0;
	const char *finish = xlate_text(candidate, "finishReason");

	if (index < 0 || index >= GEMINI_CHOICES_MAX)
		return HALE_EINVAL;
	gemini_stream_begin(s, (unsigned)index, out);
	for (size_t i = 0; i < xlate_count(parts); i++)
		gemini_stream_part(s, (unsigned)index, json_object_array_get_idx(parts, i), out);
	if (finish)
		s->choice[index].finish = gemini_finish(finish, s->choice[index].calls > 0);
	return 0;
}

static void
gemini_stream_error(struct xlate_stream *s, struct json_object *error, struct strbuf *out)
{
	int64_t code = json_object_get_int64(xlate_get(error, "code"));

	xlate_chunk_error(xlate_text(error, "message"),
	                  apierror_type(code >= 400 && code < 600 ? (int)code : 500),
	                  xlate_text(error, "status"), out);
	s->failed = true;
}

static int
gemini_stream_event(struct xlate_stream *s, struct strbuf *out)
{
	struct json_object *event = xlate_parse_value(strbuf_str(&s->events.event), s->events.event.len);
	struct json_object *candidates = xlate_get(event, "candidates"), *error = gemini_error_of(event);
	int rc = error || json_object_is_type(event, json_type_object) ? 0 : HALE_EINVAL;

	if (error) {
		gemini_stream_error(s, error, out);
	} else if (!rc) {
		gemini_stream_name(s, event);
		gemini_usage_read(xlate_get(event, "usageMetadata"), &s->usage);
		if (!candidates && xlate_text(xlate_get(event, "promptFeedback"), "blockReason")) {
			gemini_stream_begin(s, 0, out);
			s->choice[0].finish = "content_filter";
		}
	}
	for (size_t i = 0; i < xlate_count(candidates) && !rc && !error; i++)
		rc = gemini_stream_candidate(s, json_object_array_get_idx(candidates, i), out);
	json_object_put(event);
	return rc;
}

int
gemini_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done)
{
	int rc = 0, more = 1;

	*done = false; /* only the end of the connection says so */
	while (!s->failed && !rc && (more = xlate_events_next(&s->events, &data, &len)) > 0)
		rc = gemini_stream_event(s, out);
	if (!rc && more < 0)
		rc = more;
	return !rc && out->overflow ? HALE_ELIMIT : rc;
}

int
gemini_stream_end(struct xlate_stream *s, struct strbuf *out)
{
	struct strbuf usage;
	unsigned complete = 0;
	bool done;

	/* The last event may lack its empty line. */
	if (gemini_stream_feed(s, "\n\n", 2, out, &done) || s->failed)
		return HALE_EINVAL;
	for (unsigned i = 0; i < GEMINI_CHOICES_MAX; i++) {
		if (s->choice[i].seen && !s->choice[i].finish)
			return HALE_EINVAL;
		complete += s->choice[i].seen;
	}
	if (complete == 0)
		return HALE_EINVAL;
	for (unsigned i = 0; i < GEMINI_CHOICES_MAX; i++) {
		if (!s->choice[i].seen)
			continue;
		xlate_chunk_open(&s->chunk, i, out);
		xlate_chunk_close(&s->chunk, s->choice[i].finish, out);
	}
	strbuf_init(&usage, 0);
	gemini_usage_write(&s->usage, &usage);
	xlate_chunk_done(&s->chunk, strbuf_str(&usage), out);
	strbuf_release(&usage);
	return 0;
}

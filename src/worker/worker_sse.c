/* Watching a stream go by.
 *
 * The relay passes bytes on as they come; this only has to know four things: did a content token
 * pass (then the attempt cannot move any more), did the upstream say that it was finished (then an
 * end of connection is a proper end), did it report an error, and was this piece more than a
 * keep-alive comment. So it looks at whole lines, mostly in place: only a line that is split over
 * two pieces is copied.
 *
 * In chat streams it finds keys by their quoted name inside a data line instead of parsing JSON. A model
 * that writes the text "finish_reason" sends it with escaped quotes, which do not match. The other dialects
 * name each event, in its "event:" line and again as "type" at the top level of its data; the table below
 * says what a name means. The line is enough; only where it is missing the data is read.
 */
#include "hale/hale.h"

#include "worker_sse.h"

#include "hale/json_scan.h"

#define SSE_LINE_MAX (64u << 10)

struct sse_word {
	const char *word;
	enum sse_fact fact;
	bool is_end; /* of the name, not all of it */
};

static const struct sse_word worker_sse_responses[] = {
	{".delta", SSE_CONTENT, true}, /* output_text, refusal, reasoning_text, function_call_arguments, audio ... */
	{".partial_image", SSE_CONTENT, true},
	{"response.output_item.done", SSE_CONTENT, false}, /* a call without arguments has no delta */
	{"response.in_progress", SSE_IDLE, false},
	{"response.queued", SSE_IDLE, false},
	{"keepalive", SSE_IDLE, false},
	{"response.completed", SSE_FINISH, false},
	{"response.incomplete", SSE_FINISH, false},
	{"response.failed", SSE_ERROR, false},
	{"error", SSE_ERROR, false},
	{NULL, SSE_PLAIN, false},
};

static const struct sse_word worker_sse_media[] = {
	{".delta", SSE_CONTENT, true},
	{".partial_image", SSE_CONTENT, true},
	{"image_generation.completed", SSE_WHOLE, false},
	{"image_edit.completed", SSE_WHOLE, false},
	{"transcript.text.done", SSE_WHOLE, false},
	{"speech.audio.done", SSE_FINISH, false},
	{"keepalive", SSE_IDLE, false},
	{"error", SSE_ERROR, false},
	{NULL, SSE_PLAIN, false},
};

static const struct sse_word worker_sse_messages[] = {
	{"content_block_delta", SSE_CONTENT, false},
	{"content_block_stop", SSE_CONTENT, false}, /* a tool call without arguments has no delta */
	{"ping", SSE_IDLE, false},
	{"message_stop", SSE_FINISH, false},
	{"error", SSE_ERROR, false},
	{NULL, SSE_PLAIN, false},
};

/* NULL: events have no names. */
static const struct sse_word *const worker_sse_words[DIALECT_COUNT] = {
	[DIALECT_RESPONSES] = worker_sse_responses,
	[DIALECT_MEDIA] = worker_sse_media,
	[DIALECT_MESSAGES] = worker_sse_messages,
};

void
worker_sse_init(struct sse_watch *s, enum dialect d)
{
	*s = (struct sse_watch){.dialect = d};
	strbuf_init(&s->carry, SSE_LINE_MAX);
}

void
worker_sse_release(struct sse_watch *s)
{
	strbuf_release(&s->carry);
}

/* Is there "key": with a value that is neither null, "", [] nor {}? */
static bool
worker_sse_has(const char *line, size_t len, const char *quoted_key)
{
	size_t klen = strlen(quoted_key);
	const char *p = line, *end = line + len;

	while ((p = memmem(p, (size_t)(end - p), quoted_key, klen)) != NULL) {
		p += klen;
		while (p < end && (*p == ' ' || *p == ':'))
			p++;
		if (end - p < 2)
			return false;
		if (*p == '"' && p[1] != '"')
			return true;
		if ((*p == '[' && p[1] != ']') || (*p == '{' && p[1] != '}'))
			return true;
	}
	return false;
}

static bool
worker_sse_is_content(const char *line, size_t len)
{
	static const char *const keys[] = {"\"content\"", "\"text\"", "\"tool_calls\"", "\"refusal\"",
	                                   "\"reasoning_content\"", "\"reasoning\"", "\"function_call\"", "\"audio\""};

	for (size_t i = 0; i < HALE_COUNT(keys); i++)
		if (worker_sse_has(line, len, keys[i]))
			return true;
	return false;
}

static enum sse_fact
worker_sse_name(enum dialect d, const char *name, size_t len)
{
	for (const struct sse_word *w = worker_sse_words[d]; w->word; w++) {
		size_t n = strlen(w->word);

		if ((w->is_end ? len > n : len == n) && memcmp(name + len - n, w->word, n) == 0)
			return w->fact;
	}
	return SSE_PLAIN;
}

/* What the data of an event without a name says. */
static enum sse_fact
worker_sse_type(enum dialect d, const char *data, size_t len)
{
	struct json_want want[] = {{.key = "type"}, {.key = "error"}};
	const struct json_span *type = &want[0].value, *error = &want[1].value;
	const char *why;
	size_t at;

	/* Of a line longer than the bound (an image) only the beginning is here; its type stands there. */
	if (json_members(data, len, JSON_DEPTH_MAX, want, HALE_COUNT(want), &why, &at) != 0 && type->len == 0)
		return SSE_PLAIN;
	if (type->len > 2 && data[type->start] == '"')
		return worker_sse_name(d, data + type->start + 1, type->len - 2);
	return error->len && data[error->start] == '{' ? SSE_ERROR : SSE_PLAIN;
}

static void
worker_sse_note(struct sse_watch *s, enum sse_fact fact)
{
	s->content = s->content || fact == SSE_CONTENT || fact == SSE_WHOLE;
	s->finished = s->finished || fact == SSE_FINISH || fact == SSE_WHOLE;
	s->error = s->error || fact == SSE_ERROR;
}

static void
worker_sse_chat(struct sse_watch *s, const char *data, size_t len)
{
	if (len == 6 && memcmp(data, "[DONE]", 6) == 0) {
		s->finished = true;
		return;
	}
	if (!s->content)
		s->content = worker_sse_is_content(data, len);
	if (!s->finished)
		s->finished = worker_sse_has(data, len, "\"finish_reason\"");
	/* An error event has the object at its top level, not inside choices. */
	if (!s->error && worker_sse_has(data, len, "\"error\"") &&
	    memmem(data, len, "\"choices\"", 9) == NULL)
		s->error = true;
}

/* The value behind "field:", NULL when the line has another field. */
static const char *
worker_sse_field(const char *line, size_t *len, const char *field, size_t n)
{
	if (*len < n || memcmp(line, field, n) != 0)
		return NULL;
	line += n;
	*len -= n;
	while (*len && *line == ' ') {
		line++;
		(*len)--;
	}
	return line;
}

static uint32_t
worker_sse_line(struct sse_watch *s, const char *line, size_t len)
{
	enum sse_fact fact;
	const char *value;

	if (len && line[len - 1] == '\r')
		len--;
	value = worker_sse_field(line, &len, "data:", 5);
	if (value == NULL) {
		if (worker_sse_words[s->dialect] == NULL)
			return 0;
		value = worker_sse_field(line, &len, "event:", 6);
		if (value)
			s->fact = worker_sse_name(s->dialect, value, len);
		if (value || len == 0) /* an empty line ends the event */
			s->named = value != NULL;
		return 0;
	}
	s->events++;
	if (worker_sse_words[s->dialect] == NULL) {
		worker_sse_chat(s, value, len);
		return 1;
	}
	fact = s->named ? s->fact : worker_sse_type(s->dialect, value, len);
	worker_sse_note(s, fact);
	if (s->dialect == DIALECT_MEDIA && !s->named && fact == SSE_PLAIN)
		worker_sse_chat(s, value, len); /* vLLM's transcripts */
	s->named = false;
	return fact != SSE_IDLE;
}

uint32_t
worker_sse_feed(struct sse_watch *s, const char *data, size_t len)
{
	const char *p = data, *end = data + len, *nl;
	uint32_t events = 0;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (s->skip) {
			s->skip = false;
		} else if (s->carry.len) {
			strbuf_add(&s->carry, p, (size_t)(nl - p));
			events += worker_sse_line(s, s->carry.data, s->carry.len);
		} else {
			events += worker_sse_line(s, p, (size_t)(nl - p));
		}
		strbuf_clear(&s->carry);
		p = nl + 1;
	}
	if (p == end || s->skip)
		return events;
	strbuf_add(&s->carry, p, (size_t)(end - p));
	if (s->carry.overflow) {
		/* What is there of it is judged now; the rest of the line is passed on unread. */
		events += worker_sse_line(s, s->carry.data, s->carry.len);
		strbuf_clear(&s->carry);
		s->skip = true;
	}
	return events;
}

/* Watching a stream go by.
 *
 * The relay passes bytes on as they come; this only has to know four things: did a content token
 * pass (then the attempt cannot move any more), did the upstream say that it was finished (then an
 * end of connection is a proper end), did it report an error, and was this piece more than a
 * keep-alive comment. So it looks at whole lines, mostly in place: only a line that is split over
 * two pieces is copied.
 *
 * It finds keys by their quoted name inside a data line instead of parsing JSON. A model that writes
 * the text "finish_reason" sends it with escaped quotes, which do not match.
 */
#include "hale/hale.h"

#include "worker_sse.h"

#define SSE_LINE_MAX (64u << 10)

void
worker_sse_init(struct sse_watch *s)
{
	*s = (struct sse_watch){0};
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

static uint32_t
worker_sse_line(struct sse_watch *s, const char *line, size_t len)
{
	if (len && line[len - 1] == '\r')
		len--;
	if (len < 5 || memcmp(line, "data:", 5) != 0)
		return 0;
	line += 5;
	len -= 5;
	while (len && *line == ' ') {
		line++;
		len--;
	}
	s->events++;
	if (len == 6 && memcmp(line, "[DONE]", 6) == 0) {
		s->finished = true;
		return 1;
	}
	if (!s->content)
		s->content = worker_sse_is_content(line, len);
	if (!s->finished)
		s->finished = worker_sse_has(line, len, "\"finish_reason\"");
	/* An error event has the object at its top level, not inside choices. */
	if (!s->error && worker_sse_has(line, len, "\"error\"") && memmem(line, len, "\"choices\"", 9) == NULL)
		s->error = true;
	return 1;
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

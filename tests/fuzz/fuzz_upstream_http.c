/* The answer parser: however the bytes are cut into reads, the events are the same; nothing is invented, and what
 * passes obeys what the relay path relies on.
 *
 * First byte: bit 7 the request was HEAD, the rest the size of the reads (0: all at once). Then the answer.
 */
#include "hale/hale.h"

#include "upstream_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	enum upstream_http_event last;
	int status;
	unsigned nheader;
	uint64_t head_sum, body_sum;
	size_t body, used;
	bool keep_alive, closed;
};

static uint64_t
sum(uint64_t s, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s = s * 31 + (unsigned char)p[i] + 1;
	return s;
}

static void
see_head(struct seen *s, const struct upstream_http *p)
{
	HALE_ASSERT(s->status == 0);
	HALE_ASSERT(p->status >= 200 && p->status <= 999 && p->nheader <= UPSTREAM_HEAD_COUNT_MAX);
	s->status = p->status;
	s->nheader = p->nheader;
	for (unsigned i = 0; i < p->nheader; i++) {
		const char *v = p->header[i].value;

		HALE_ASSERT(p->header[i].name[0] && v[strcspn(v, "\r\n")] == '\0');
		s->head_sum = sum(s->head_sum, p->header[i].name, strlen(p->header[i].name) + 1);
		s->head_sum = sum(s->head_sum, v, strlen(v) + 1);
	}
}

/* Feeds all of it in reads of `step` bytes, keeping what was not used, as a connection does. */
static void
play(const uint8_t *data, size_t size, size_t step, bool to_head, struct seen *s)
{
	char *have = malloc(size + 1);
	size_t len = 0, read = 0;
	struct upstream_http p;

	*s = (struct seen){0};
	upstream_http_start(&p, to_head);
	while (read < size) {
		size_t n = step < size - read ? step : size - read, at = 0, used;

		memcpy(have + len, data + read, n);
		len += n;
		read += n;
		do {
			s->last = upstream_http_feed(&p, have + at, len - at, &used);
			HALE_ASSERT(used <= len - at);
			if (s->last == UPSTREAM_HTTP_HEAD)
				see_head(s, &p);
			if (s->last == UPSTREAM_HTTP_BODY) {
				HALE_ASSERT(s->status && !to_head && p.body >= have + at && p.body + p.body_len <= have + at + used);
				s->body += p.body_len;
				s->body_sum = sum(s->body_sum, p.body, p.body_len);
			}
			at += used;
			s->used += used;
		} while (s->last == UPSTREAM_HTTP_HEAD || s->last == UPSTREAM_HTTP_BODY);
		memmove(have, have + at, len - at);
		len -= at;
		HALE_ASSERT(len <= UPSTREAM_HEAD_BYTES_MAX || s->last != UPSTREAM_HTTP_MORE);
		if (s->last != UPSTREAM_HTTP_MORE)
			break;
	}
	s->keep_alive = s->status && p.keep_alive;
	s->closed = s->last == UPSTREAM_HTTP_MORE && upstream_http_closed(&p);
	HALE_ASSERT(s->last != UPSTREAM_HTTP_BAD || p.text);
	HALE_ASSERT(!(s->closed && s->keep_alive));
	free(have);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole, cut;
	bool to_head;
	size_t step;

	if (size < 2)
		return 0;
	to_head = data[0] & 0x80;
	step = data[0] & 0x7f;
	play(data + 1, size - 1, size, to_head, &whole);
	play(data + 1, size - 1, step ? step : 1, to_head, &cut);
	HALE_ASSERT(whole.last == cut.last && whole.status == cut.status && whole.nheader == cut.nheader);
	HALE_ASSERT(whole.head_sum == cut.head_sum && whole.body == cut.body && whole.body_sum == cut.body_sum);
	HALE_ASSERT(whole.keep_alive == cut.keep_alive && whole.closed == cut.closed);
	HALE_ASSERT(whole.last != UPSTREAM_HTTP_DONE || whole.used == cut.used);
	return 0;
}

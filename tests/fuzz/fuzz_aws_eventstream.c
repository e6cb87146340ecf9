/* The event-stream decoder: however the bytes are cut into reads, the messages are the same, and what is handed out lies
 * inside what came in. The Bedrock translation runs over the same bytes: it is never done after an error.
 *
 * First byte: bit 7 wraps the rest into messages with right checksums, or else nothing would get past them; the other
 * bits are the size of the reads (0: 1). Wrapped, the rest is a list of {length of headers, length of payload, bytes}.
 */
#include "hale/hale.h"

#include "aws_eventstream.h"
#include "bedrock.h"
#include "hale/strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	int last;
	unsigned count;
	uint64_t sum;
};

static void
put(struct strbuf *b, uint32_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		strbuf_putc(b, (char)(n >> shift));
}

static void
wrap(const uint8_t *data, size_t size, struct strbuf *out)
{
	while (size >= 2) {
		size_t headers = data[0], payload = data[1], start = out->len;

		data += 2;
		size -= 2;
		headers = headers < size ? headers : size;
		payload = payload < size - headers ? payload : size - headers;
		put(out, (uint32_t)(16 + headers + payload));
		put(out, (uint32_t)headers);
		put(out, aws_eventstream_crc(0, out->data + start, 8));
		strbuf_add(out, data, headers + payload);
		put(out, aws_eventstream_crc(0, out->data + start, out->len - start));
		data += headers + payload;
		size -= headers + payload;
	}
}

static void
see(struct seen *s, const struct aws_eventstream *d, const struct aws_event_text *t)
{
	const char *begin = d->message.data, *end = begin + d->message.len;

	HALE_ASSERT(t->len == 0 || (t->p >= begin && t->p <= end && t->len <= (size_t)(end - t->p)));
	s->sum = s->sum * 31 + t->len + 1;
	for (size_t i = 0; i < t->len; i++)
		s->sum = s->sum * 31 + (unsigned char)t->p[i];
}

static void
play(const struct strbuf *in, size_t step, struct seen *s)
{
	struct aws_eventstream d;
	struct aws_event e;

	*s = (struct seen){0};
	aws_eventstream_init(&d);
	for (size_t at = 0; at < in->len && s->last >= 0; at += step) {
		const char *p = in->data + at;
		size_t len = in->len - at < step ? in->len - at : step;

		while ((s->last = aws_eventstream_next(&d, &p, &len, &e)) > 0) {
			s->count++;
			see(s, &d, &e.message_type);
			see(s, &d, &e.event_type);
			see(s, &d, &e.exception_type);
			see(s, &d, &e.error_code);
			see(s, &d, &e.error_message);
			see(s, &d, &e.payload);
		}
		HALE_ASSERT(s->last < 0 || len == 0);
		HALE_ASSERT(d.message.len <= AWS_EVENTSTREAM_MAX);
	}
	aws_eventstream_release(&d);
}

static void
translate(const struct strbuf *in, size_t step)
{
	struct xlate_stream *s = bedrock_stream_new("m", true);
	struct strbuf out;
	bool done = false;
	int rc = 0;

	strbuf_init(&out, 0);
	for (size_t at = 0; at < in->len && !rc; at += step)
		rc = bedrock_stream_feed(s, in->data + at, in->len - at < step ? in->len - at : step, &out, &done);
	if (!rc && !done && bedrock_stream_end(s, &out) == 0)
		done = true;
	HALE_ASSERT(done == (strstr(strbuf_str(&out), "data: [DONE]\n\n") != NULL));
	HALE_ASSERT(!done || (strstr(strbuf_str(&out), "\"finish_reason\":\"") && !strstr(strbuf_str(&out), "data: {\"error\"")));
	HALE_ASSERT(out.len == 0 || (out.len > 2 && memcmp(out.data + out.len - 2, "\n\n", 2) == 0));
	bedrock_stream_free(s);
	strbuf_release(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole, cut;
	struct strbuf in;
	size_t step;

	if (size < 2)
		return 0;
	step = data[0] & 0x7f ? data[0] & 0x7f : 1;
	strbuf_init(&in, 0);
	if (data[0] & 0x80)
		wrap(data + 1, size - 1, &in);
	else
		strbuf_add(&in, data + 1, size - 1);
	if (in.len) {
		play(&in, in.len, &whole);
		play(&in, step, &cut);
		HALE_ASSERT(whole.last == cut.last && whole.count == cut.count && whole.sum == cut.sum);
		translate(&in, step);
	}
	strbuf_release(&in);
	return 0;
}

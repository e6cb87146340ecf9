/* Messages of application/vnd.amazon.eventstream. Contract: aws_eventstream.h.
 *
 * The prelude has a checksum of its own, which is what makes its lengths worth trusting: a stream
 * of other bytes is refused after twelve of them instead of being collected up to some random
 * length. A message is handed out only when its second checksum fits too, so a cut or a flipped
 * bit can end a stream but never change it.
 *
 * Of the headers only text ones with known names are kept; all others are stepped over.
 */
#include "hale/hale.h"

#include "aws_eventstream.h"

#include "hale/err.h"

#define EVENTSTREAM_PRELUDE 12
#define EVENTSTREAM_LEAST (EVENTSTREAM_PRELUDE + 4)
#define EVENTSTREAM_TEXT 7 /* header type of text */

uint32_t
aws_eventstream_crc(uint32_t crc, const void *data, size_t len)
{
	/* The remainders of 4 bits: two steps a byte, and no table to build. */
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const unsigned char *p = data;

	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
		crc = table[(crc ^ p[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

bool
aws_event_is(struct aws_event_text t, const char *word)
{
	return t.len == strlen(word) && memcmp(t.p, word, t.len) == 0;
}

void
aws_eventstream_init(struct aws_eventstream *s)
{
	*s = (struct aws_eventstream){0};
	strbuf_init(&s->message, AWS_EVENTSTREAM_MAX);
}

void
aws_eventstream_release(struct aws_eventstream *s)
{
	strbuf_release(&s->message);
}

static uint32_t
aws_eventstream_number(const char *p, unsigned bytes)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < bytes; i++)
		n = n << 8 | (unsigned char)p[i];
	return n;
}

/* Bytes of a header's value at p, of which `left` are there; -1: no such type, or more than are left. */
static ssize_t
aws_eventstream_value(unsigned type, const char *p, size_t left)
{
	static const signed char fixed[] = {0, 0, 1, 2, 4, 8, -1, -1, 8, 16};
	size_t n;

	if (type >= HALE_COUNT(fixed))
		return -1;
	if (fixed[type] >= 0)
		n = (size_t)fixed[type];
	else if (left >= 2)
		n = 2 + aws_eventstream_number(p, 2);
	else
		return -1;
	return n <= left ? (ssize_t)n : -1;
}

static int
aws_eventstream_headers(const char *p, size_t len, struct aws_event *out)
{
	const struct {
		const char *name;
		struct aws_event_text *to;
	} known[] = {
		{":message-type", &out->message_type}, {":event-type", &out->event_type},
		{":exception-type", &out->exception_type}, {":error-code", &out->error_code},
		{":error-message", &out->error_message},
	};

	while (len) {
		struct aws_event_text name = {p + 1, (unsigned char)*p};
		unsigned type;
		ssize_t n;

		if (name.len == 0 || len < name.len + 2)
			return HALE_EINVAL;
		type = (unsigned char)p[name.len + 1];
		p += name.len + 2;
		len -= name.len + 2;
		n = aws_eventstream_value(type, p, len);
		if (n < 0)
			return HALE_EINVAL;
		for (size_t i = 0; i < HALE_COUNT(known) && type == EVENTSTREAM_TEXT; i++)
			if (aws_event_is(name, known[i].name))
				*known[i].to = (struct aws_event_text){p + 2, (size_t)n - 2};
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The message is there. */
static int
aws_eventstream_read(const struct aws_eventstream *s, struct aws_event *out)
{
	const char *p = s->message.data;
	size_t headers = aws_eventstream_number(p + 4, 4);

	if (aws_eventstream_crc(0, p, s->total - 4) != aws_eventstream_number(p + s->total - 4, 4))
		return HALE_EINVAL;
	*out = (struct aws_event){
		.payload = {p + EVENTSTREAM_PRELUDE + headers, s->total - EVENTSTREAM_LEAST - headers},
	};
	return aws_eventstream_headers(p + EVENTSTREAM_PRELUDE, headers, out);
}

/* The prelude is there. */
static int
aws_eventstream_prelude(struct aws_eventstream *s)
{
	const char *p = s->message.data;
	uint32_t total = aws_eventstream_number(p, 4), headers = aws_eventstream_number(p + 4, 4);

	if (aws_eventstream_crc(0, p, 8) != aws_eventstream_number(p + 8, 4))
		return HALE_EINVAL;
	if (total < EVENTSTREAM_LEAST || headers > total - EVENTSTREAM_LEAST)
		return HALE_EINVAL;
	if (total > AWS_EVENTSTREAM_MAX)
		return HALE_ELIMIT;
	s->total = total;
	return 0;
}

int
aws_eventstream_next(struct aws_eventstream *s, const char **data, size_t *len, struct aws_event *out)
{
	if (s->whole) {
		strbuf_clear(&s->message);
		s->total = 0;
		s->whole = false;
	}
	while (*len) {
		size_t want = (s->total ? s->total : EVENTSTREAM_PRELUDE) - s->message.len, n = *len < want ? *len : want;
		int rc = 0;

		strbuf_add(&s->message, *data, n);
		*data += n;
		*len -= n;
		if (n < want)
			return 0;
		if (s->total) {
			s->whole = true;
			rc = aws_eventstream_read(s, out);
			return rc ? rc : 1;
		}
		rc = aws_eventstream_prelude(s);
		if (rc)
			return rc;
	}
	return 0;
}

/* application/vnd.amazon.eventstream: binary messages with headers and checksums. A pure, incremental decoder.
 *
 *   u32 total length | u32 length of the headers | u32 CRC of these 8 bytes | headers | payload | u32 CRC of all before
 */
#ifndef HALE_AWS_EVENTSTREAM_H
#define HALE_AWS_EVENTSTREAM_H

#include "hale/hale.h"
#include "hale/strbuf.h"

/* One message: far more than a model sends at once, far less than would hurt. */
#define AWS_EVENTSTREAM_MAX (4u << 20)

/* Text inside the message; not terminated. len 0: absent. */
struct aws_event_text {
	const char *p;
	size_t len;
};

/* One message. Borrowed until the next call. */
struct aws_event {
	struct aws_event_text message_type;   /* "event", "exception", "error" */
	struct aws_event_text event_type;     /* of an event */
	struct aws_event_text exception_type; /* of an exception */
	struct aws_event_text error_code, error_message;
	struct aws_event_text payload;
};

struct aws_eventstream {
	struct strbuf message; /* what is there of it */
	size_t total;          /* its length; 0: not known yet */
	bool whole;            /* it was handed out */
};

void aws_eventstream_init(struct aws_eventstream *s);
void aws_eventstream_release(struct aws_eventstream *s);
/* Takes bytes up to the end of the next message and moves *data and *len behind them. 1: *out is whole; 0:
 * the bytes are used up; HALE_EINVAL: a checksum or a length is wrong; HALE_ELIMIT: larger than
 * AWS_EVENTSTREAM_MAX. After an error the stream cannot go on. */
int aws_eventstream_next(struct aws_eventstream *s, const char **data, size_t *len, struct aws_event *out)
	HALE_MUST_USE;
/* Is t this word? */
bool aws_event_is(struct aws_event_text t, const char *word);
/* CRC-32 as in Ethernet and gzip; start with 0. */
uint32_t aws_eventstream_crc(uint32_t crc, const void *data, size_t len);

#endif

/* aws_eventstream: AWS's own sample messages, every way of cutting them, and everything that may be wrong. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/err.h"

#include "aws_eventstream.h"

/* From the published encoding tests: a payload with one header, and without any. */
static const char sample[] =
	"\x00\x00\x00\x3d\x00\x00\x00\x20\x07\xfd\x83\x96\x0c" "content-type" "\x07\x00\x10" "application/json"
	"{'foo':'bar'}" "\x8d\x9c\x08\xb1";
static const char empty[] = "\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff";

static void
put(struct strbuf *b, uint32_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		strbuf_putc(b, (char)(n >> shift));
}

/* Wraps headers (as they are) and a payload into a message with right checksums. */
static void
wrap(struct strbuf *b, const char *headers, size_t nheader, const char *payload)
{
	size_t start = b->len;

	put(b, (uint32_t)(16 + nheader + strlen(payload)));
	put(b, (uint32_t)nheader);
	put(b, aws_eventstream_crc(0, b->data + start, 8));
	strbuf_add(b, headers, nheader);
	strbuf_puts(b, payload);
	put(b, aws_eventstream_crc(0, b->data + start, b->len - start));
}

static int
first(const char *data, size_t len, struct aws_event *out)
{
	struct aws_eventstream s;
	int rc;

	aws_eventstream_init(&s);
	rc = aws_eventstream_next(&s, &data, &len, out);
	aws_eventstream_release(&s);
	return rc;
}

static void
test_samples(void **state)
{
	struct aws_eventstream s;
	struct aws_event e;

	(void)state;
	assert_int_equal(aws_eventstream_crc(0, "123456789", 9), 0xcbf43926);
	for (size_t step = 1; step <= sizeof(sample) - 1; step++) {
		unsigned seen = 0;

		aws_eventstream_init(&s);
		for (size_t at = 0; at < sizeof(sample) - 1; at += step) {
			const char *data = sample + at;
			size_t len = sizeof(sample) - 1 - at < step ? sizeof(sample) - 1 - at : step;
			int rc = aws_eventstream_next(&s, &data, &len, &e);

			assert_in_range(rc, 0, 1);
			assert_int_equal(len, 0);
			seen += (unsigned)rc;
		}
		assert_int_equal(seen, 1);
		assert_true(aws_event_is(e.payload, "{'foo':'bar'}"));
		assert_int_equal(e.event_type.len, 0); /* content-type is none of ours */
		aws_eventstream_release(&s);
	}
	assert_int_equal(first(empty, sizeof(empty) - 1, &e), 1);
	assert_int_equal(e.payload.len, 0);
}

static void
test_every_flipped_bit_is_seen(void **state)
{
	struct aws_event e;

	(void)state;
	for (size_t bit = 0; bit < (sizeof(sample) - 1) * 8; bit++) {
		char copy[sizeof(sample) - 1];

		memcpy(copy, sample, sizeof(copy));
		copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
		assert_int_equal(first(copy, sizeof(copy), &e), HALE_EINVAL);
	}
}

static void
test_events(void **state)
{
	static const char headers[] = "\x0b:event-type\x07\x00\x0c" "messageStart" "\x03one\x00\x03int\x04\x00\x00\x00\x07"
	                              "\x04uuid\x09" "0123456789abcdef" "\x05""bytes\x06\x00\x03\x00\x01\x02"
	                              "\x0d:message-type\x07\x00\x05" "event";
	static const char exception[] = "\x0f:exception-type\x07\x00\x13" "throttlingException"
	                                "\x0d:message-type\x07\x00\x09" "exception";
	struct aws_eventstream s;
	struct aws_event e;
	struct strbuf b;
	const char *data;
	size_t len;

	(void)state;
	strbuf_init(&b, 0);
	wrap(&b, headers, sizeof(headers) - 1, "{\"role\":\"assistant\"}");
	wrap(&b, exception, sizeof(exception) - 1, "{\"message\":\"slow down\"}");
	strbuf_puts(&b, "\x01");
	data = b.data;
	len = b.len;
	aws_eventstream_init(&s);
	assert_int_equal(aws_eventstream_next(&s, &data, &len, &e), 1);
	assert_true(aws_event_is(e.message_type, "event") && aws_event_is(e.event_type, "messageStart"));
	assert_true(aws_event_is(e.payload, "{\"role\":\"assistant\"}"));
	assert_int_equal(aws_eventstream_next(&s, &data, &len, &e), 1);
	assert_true(aws_event_is(e.message_type, "exception") && aws_event_is(e.exception_type, "throttlingException"));
	assert_int_equal(e.event_type.len, 0);
	assert_int_equal(aws_eventstream_next(&s, &data, &len, &e), 0);
	aws_eventstream_release(&s);
	strbuf_release(&b);
}

static void
check_headers(const char *headers, size_t n)
{
	struct aws_event e;
	struct strbuf b;

	strbuf_init(&b, 0);
	wrap(&b, headers, n, "");
	assert_int_equal(first(b.data, b.len, &e), HALE_EINVAL);
	strbuf_release(&b);
}

static void
test_bad_headers_and_lengths(void **state)
{
	struct aws_event e;
	struct strbuf b;

	(void)state;
	check_headers("\x00", 1);               /* no name */
	check_headers("\x05" "abc", 4);         /* a name that is longer than the headers */
	check_headers("\x01" "a", 2);           /* no type */
	check_headers("\x01" "a\x0a", 3);       /* no such type */
	check_headers("\x01" "a\x07\x00", 4);   /* half a length */
	check_headers("\x01" "a\x07\x00\x02" "x", 6);
	check_headers("\x01" "a\x04\x00\x00\x00", 6);
	/* lengths that the prelude's checksum vouches for */
	for (int i = 0; i < 3; i++) {
		static const struct { uint32_t total, headers; int rc; } bad[] = {
			{15, 0, HALE_EINVAL}, {20, 5, HALE_EINVAL}, {AWS_EVENTSTREAM_MAX + 1, 0, HALE_ELIMIT}};

		strbuf_init(&b, 0);
		put(&b, bad[i].total);
		put(&b, bad[i].headers);
		put(&b, aws_eventstream_crc(0, b.data, 8));
		assert_int_equal(first(b.data, b.len, &e), bad[i].rc);
		strbuf_release(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_every_flipped_bit_is_seen),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_bad_headers_and_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

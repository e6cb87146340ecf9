/* ws_frame: the wire of RFC 6455, with the examples of the RFC where it has some. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/err.h"
#include "hale/http_list.h"
#include "hale/ws_frame.h"

static void
test_handshake(void **state)
{
	char accept[WS_FRAME_ACCEPT_BYTES], key[WS_FRAME_KEY_BYTES];
	unsigned char nonce[16];

	(void)state;
	ws_frame_accept("dGhlIHNhbXBsZSBub25jZQ==", accept); /* section 1.3 */
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	memcpy(nonce, "the sample nonce", 16);
	ws_frame_key(nonce, key);
	assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
	assert_true(ws_frame_key_is_valid(key));
	assert_false(ws_frame_key_is_valid(""));
	assert_false(ws_frame_key_is_valid("dGhlIHNhbXBsZSBub25jZQ"));
	assert_false(ws_frame_key_is_valid("dGhlIHNhbXBsZSBub25jZ==="));
	assert_false(ws_frame_key_is_valid("dGhlIHNhbXBsZSBub25jZQ== "));
	assert_true(http_list_has("keep-alive, Upgrade", "upgrade"));
	assert_true(http_list_has("UPGRADE", "upgrade"));
	assert_true(http_list_has(" ,\tupgrade,", "upgrade"));
	assert_false(http_list_has("upgrades, not-upgrade", "upgrade"));
	assert_false(http_list_has("", "upgrade"));
}

static int
head_of(const char *hex, struct ws_frame_head *h)
{
	unsigned char bytes[WS_FRAME_HEAD_MAX];
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

		bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	/* Less than a head never reads further and never decides. */
	for (size_t i = 0; i < n; i++) {
		int r = ws_frame_head_parse(bytes, i, h);

		assert_true(r == 0 || r == HALE_EINVAL);
	}
	return ws_frame_head_parse(bytes, n, h);
}

static void
test_heads(void **state)
{
	struct ws_frame_head h;

	(void)state;
	assert_int_equal(head_of("8105", &h), 2);
	assert_true(h.fin && !h.masked && h.opcode == WS_TEXT && h.payload_bytes == 5 && h.reserved == 0);
	assert_int_equal(head_of("818537fa213d", &h), 6);
	assert_true(h.masked && h.payload_bytes == 5);
	assert_memory_equal(h.mask, "\x37\xfa\x21\x3d", 4);
	assert_int_equal(head_of("827e0100", &h), 4);
	assert_true(h.opcode == WS_BINARY && h.payload_bytes == 256);
	assert_int_equal(head_of("827f0000000000010000", &h), 10);
	assert_true(h.payload_bytes == 65536);
	assert_int_equal(head_of("42ff7fffffffffffffff01020304", &h), 14);
	assert_true(!h.fin && h.reserved == 4 && h.payload_bytes == INT64_MAX);
	assert_int_equal(head_of("827f8000000000000000", &h), HALE_EINVAL); /* the highest bit must be 0 */
	assert_int_equal(head_of("8305", &h), HALE_EINVAL);                 /* opcodes that nobody has defined */
	assert_int_equal(head_of("8b00", &h), HALE_EINVAL);
	assert_int_equal(head_of("0900", &h), HALE_EINVAL);                 /* a ping in pieces */
	assert_int_equal(head_of("897e", &h), HALE_EINVAL);                 /* a long ping */
}

static void
test_close(void **state)
{
	unsigned char out[WS_FRAME_CLOSE_MAX];
	char reason[300];

	(void)state;
	assert_int_equal(ws_frame_close(1001, "bye", NULL, out), 7);
	assert_memory_equal(out, "\x88\x05\x03\xe9" "bye", 7);
	assert_int_equal(ws_frame_close(1000, "", (const unsigned char *)"\x01\x02\x03\x04", out), 8);
	assert_memory_equal(out, "\x88\x82\x01\x02\x03\x04\x02\xea", 8);
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	assert_int_equal(ws_frame_close(1000, reason, NULL, out), 2 + WS_FRAME_CONTROL_MAX);
}

/* Offers bytes one more at a time, as a slow socket would; the first event that is not MORE. */
static enum ws_frame_event
read_slowly(struct ws_frame_reader *r, const char *bytes, size_t len, size_t *used)
{
	size_t from = 0;

	for (size_t n = 0; n <= len; n++) {
		enum ws_frame_event e = ws_frame_read(r, (const unsigned char *)bytes + from, n - from, used);

		from += *used;
		if (e != WS_FRAME_MORE) {
			*used = from;
			return e;
		}
	}
	*used = from;
	return WS_FRAME_MORE;
}

static void
check_read(const char *bytes, size_t len, enum ws_frame_event want, const char *text)
{
	struct ws_frame_reader r;
	size_t used;

	ws_frame_reader_init(&r, 1000);
	assert_int_equal(read_slowly(&r, bytes, len, &used), want);
	if (want == WS_FRAME_MESSAGE || want == WS_FRAME_CLOSED)
		assert_string_equal(strbuf_str(&r.message), text);
	if (want == WS_FRAME_BAD)
		assert_string_equal(r.text, text);
	ws_frame_reader_release(&r);
}

#define CHECK(bytes, want, text) check_read(bytes, sizeof(bytes) - 1, want, text)

static void
test_messages(void **state)
{
	(void)state;
	CHECK("", WS_FRAME_MORE, NULL);
	CHECK("\x81\x05Hell", WS_FRAME_MORE, NULL);
	CHECK("\x81\x05Hello", WS_FRAME_MESSAGE, "Hello");
	CHECK("\x81\x00", WS_FRAME_MESSAGE, "");
	CHECK("\x01\x03Hel\x80\x02lo", WS_FRAME_MESSAGE, "Hello");
	CHECK("\x89\x05Hello\x8a\x00\x82\x01x", WS_FRAME_MESSAGE, "x"); /* pings and pongs are skipped */
	CHECK("\x01\x03Hel\x89\x01!\x00\x01l\x80\x01o", WS_FRAME_MESSAGE, "Hello"); /* also within a message */
	CHECK("\x81\x7e\x00\x03" "abc", WS_FRAME_MESSAGE, "abc");
	CHECK("\x88\x00", WS_FRAME_CLOSED, "");
	CHECK("\x88\x05\x03\xe9" "bye", WS_FRAME_CLOSED, "bye");
	CHECK("\x01\x03Hel\x88\x02\x03\xe8", WS_FRAME_CLOSED, "");
	CHECK("\x81\x85\x37\xfa\x21\x3dHello", WS_FRAME_BAD, "the server masks its frames");
	CHECK("\xc1\x05Hello", WS_FRAME_BAD, "a frame uses an extension that was not agreed on");
	CHECK("\x80\x05Hello", WS_FRAME_BAD, "a continuation without a beginning");
	CHECK("\x01\x01" "a\x81\x01" "b", WS_FRAME_BAD, "a message begins inside another one");
	CHECK("\x88\x01x", WS_FRAME_BAD, "a close frame with half a code");
	CHECK("\x81\x7e\x03\xe9", WS_FRAME_BAD, "a message is too large"); /* refused before it arrives */
	CHECK("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", WS_FRAME_BAD, "a message is too large");
	CHECK("HTTP/1.1 400", WS_FRAME_BAD, "not a WebSocket frame");
	CHECK("\x83\x00", WS_FRAME_BAD, "not a WebSocket frame");
}

/* Fragments together are bounded like one frame, and one message follows the other. */
static void
test_reader(void **state)
{
	struct ws_frame_reader r;
	size_t used;

	(void)state;
	ws_frame_reader_init(&r, 6);
	assert_int_equal(ws_frame_read(&r, (const unsigned char *)"\x01\x03" "abc\x00\x03" "def\x80\x01g", 14, &used),
	                 WS_FRAME_BAD);
	assert_string_equal(r.text, "a message is too large");
	ws_frame_reader_release(&r);
	ws_frame_reader_init(&r, 6);
	assert_int_equal(ws_frame_read(&r, (const unsigned char *)"\x81\x03one\x81\x03two\x88\x02\x0f\xa0", 14, &used),
	                 WS_FRAME_MESSAGE);
	assert_int_equal(used, 5);
	assert_string_equal(strbuf_str(&r.message), "one");
	assert_int_equal(ws_frame_read(&r, (const unsigned char *)"\x81\x03two\x88\x02\x0f\xa0", 9, &used),
	                 WS_FRAME_MESSAGE);
	assert_string_equal(strbuf_str(&r.message), "two");
	assert_int_equal(ws_frame_read(&r, (const unsigned char *)"\x88\x02\x0f\xa0", 4, &used), WS_FRAME_CLOSED);
	assert_int_equal(r.close_code, 4000);
	ws_frame_reader_release(&r);
}

/* Boundaries are where the frames end, however the bytes are cut. */
static void
test_track(void **state)
{
	static const char bytes[] = "\x81\x05Hello\xc2\x7e\x00\x80";
	char all[4 + 7 + 128 + 4];
	size_t end[3];

	(void)state;
	memset(all, 'x', sizeof(all));
	memcpy(all, bytes, sizeof(bytes) - 1);
	end[0] = 7;
	end[1] = 7 + 4 + 128;
	memcpy(all + end[1], "\x88\x02\x03\xe8", 4);
	end[2] = end[1] + 4;
	assert_int_equal(end[2], sizeof(all));
	for (size_t step = 1; step <= sizeof(all); step++) {
		struct ws_frame_track t = {0};

		assert_true(ws_frame_is_boundary(&t));
		for (size_t at = 0; at < sizeof(all); at += step) {
			size_t n = at + step < sizeof(all) ? step : sizeof(all) - at, now = at + n;

			ws_frame_follow(&t, all + at, n);
			assert_int_equal(ws_frame_is_boundary(&t), now == end[0] || now == end[1] || now == end[2]);
		}
		assert_true(t.closed && !t.lost);
	}
	{
		struct ws_frame_track t = {0};

		ws_frame_follow(&t, "\x83\x00\x81\x00", 4);
		assert_true(t.lost);
		assert_false(ws_frame_is_boundary(&t));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_track),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

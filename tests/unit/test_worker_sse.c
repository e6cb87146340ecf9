/* The stream watcher: what it must notice, at every way of cutting the stream into pieces. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../src/worker/worker_sse.h"

struct expect {
	const char *text;
	bool content, finished, error;
	uint32_t events;
	enum dialect dialect;
	bool idle, named; /* its events do not count; it ends in the middle of an event that has only a name */
};

#define C DIALECT_CHAT
#define R DIALECT_RESPONSES
#define M DIALECT_MESSAGES
#define P DIALECT_MEDIA

static const struct expect cases[] = {
	{"", false, false, false, 0, C, false, false},
	{": ping\n\n: ping\n\n", false, false, false, 0, C, false, false},
	{"event: ping\nid: 3\n\n", false, false, false, 0, C, false, false},
	{"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n", false, false,
	 false, 1, C, false, false},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n", true, false, false, 1, C, false, false},
	{"data:{\"choices\":[{\"delta\":{\"content\" : \"Hi\"}}]}\r\n\r\n", true, false, false, 1, C, false, false},
	{"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n", true, false, false, 1, C, false, false},
	{"data: {\"choices\":[{\"delta\":{\"tool_calls\":[]}}]}\n\n", false, false, false, 1, C, false, false},
	{"data: {\"choices\":[{\"delta\":{\"refusal\":\"no\"}}]}\n\n", true, false, false, 1, C, false, false},
	{"data: {\"choices\":[{\"text\":\"x\"}]}\n\n", true, false, false, 1, C, false, false},
	{"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", false, true, false, 1, C, false, false},
	{"data: [DONE]\n\n", false, true, false, 1, C, false, false},
	{"data: {\"error\":{\"message\":\"overloaded\"}}\n\n", false, false, true, 1, C, false, false},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"an \\\"error\\\": {x\"}}]}\n\n", true, false, false, 1, C, false, false},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"\\\"finish_reason\\\": \\\"stop\\\"\"}}]}\n\n", true, false, false, 1, C, false, false},
	{"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"tools\":[{\"type\":\"error\"}]}}\n\n",
	 false, false, false, 1, R, false, false},
	{"event: response.output_text.delta\ndata: {\"delta\":\"x\"}\n\n", true, false, false, 1, R, false, false},
	{"event:response.function_call_arguments.delta\r\ndata:{}\r\n\r\n", true, false, false, 1, R, false, false},
	{"event: response.reasoning_summary_text.delta\ndata: {}\n\n", true, false, false, 1, R, false, false},
	{"event: response.output_item.done\ndata: {}\n\n", true, false, false, 1, R, false, false},
	{"event: image_generation.partial_image\ndata: {}\n\n", true, false, false, 1, R, false, false},
	{"event: response.output_item.added\ndata: {\"item\":{\"content\":[{\"text\":\"x\"}]}}\n\n", false, false, false, 1, R,
	 false, false},
	{"event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n", false, true, false, 1, R, false, false},
	{"event: response.incomplete\ndata: {}\n\n", false, true, false, 1, R, false, false},
	{"event: response.failed\ndata: {}\n\n", false, false, true, 1, R, false, false},
	{"event: error\ndata: {\"type\":\"error\",\"message\":\"m\"}\n\n", false, false, true, 1, R, false, false},
	{"event: keepalive\ndata: {}\n\n", false, false, false, 1, R, true, false},
	/* without names the data says it, wherever its type stands */
	{"data: {\"type\":\"response.completed\"}\n\n", false, true, false, 1, R, false, false},
	{"data: {\"item\":{\"type\":\"error\"},\"type\":\"response.output_text.delta\"}\n\n", true, false, false, 1, R, false,
	 false},
	{"data: {\"error\":{\"message\":\"m\"}}\n\n", false, false, true, 1, R, false, false},
	{"data: {\"response\":{\"error\":{\"message\":\"m\"}},\"type\":\"response.created\"}\n\n", false, false, false, 1, R,
	 false, false},
	{"data: [DONE]\n\n", false, false, false, 1, R, false, false},
	/* a name is for one event */
	{"event: response.completed\n\ndata: {}\n\n", false, false, false, 1, R, false, false},
	{"event: response.completed\n", false, false, false, 0, R, false, true},
	{"event: image_generation.partial_image\ndata: {}\n\n", true, false, false, 1, P, false, false},
	{"event: image_generation.completed\ndata: {}\n\n", true, true, false, 1, P, false, false},
	{"data: {\"type\":\"image_edit.completed\",\"b64_json\":\"x\"}\n\n", true, true, false, 1, P, false, false},
	{"data: {\"type\":\"transcript.text.delta\",\"delta\":\"x\"}\n\n", true, false, false, 1, P, false, false},
	{"data: {\"type\":\"transcript.text.done\",\"text\":\"\"}\n\n", true, true, false, 1, P, false, false},
	{"data: {\"type\":\"speech.audio.done\"}\n\n", false, true, false, 1, P, false, false},
	{"event: error\ndata: {}\n\n", false, false, true, 1, P, false, false},
	{"data: {\"object\":\"transcription.chunk\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n", true,
	 true, false, 2, P, false, false},
	{"event: message_start\ndata: {\"message\":{\"content\":[]}}\n\n", false, false, false, 1, M, false, false},
	{"event: ping\ndata: {\"type\":\"ping\"}\n\n", false, false, false, 1, M, true, false},
	{"event: content_block_start\ndata: {\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n", false, false, false, 1, M,
	 false, false},
	{"event: content_block_delta\ndata: {\"delta\":{\"text\":\"x\"}}\n\n", true, false, false, 1, M, false, false},
	{"event: content_block_stop\ndata: {}\n\n", true, false, false, 1, M, false, false},
	{"event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n", false, false, false, 1, M, false, false},
	{"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", false, true, false, 1, M, false, false},
	{"event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n", false, false, true, 1, M, false, false},
	{"data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"message_stop\"}}\n\n", true, false, false, 1, M, false,
	 false},
	{"event: content_block_delta\n", false, false, false, 0, M, false, true},
};

static void
check(const struct expect *e, const struct sse_watch *s, uint32_t events)
{
	assert_int_equal(s->content, e->content);
	assert_int_equal(s->finished, e->finished);
	assert_int_equal(s->error, e->error);
	assert_int_equal(events, e->idle ? 0 : e->events);
	assert_int_equal(s->events, e->events);
	assert_int_equal(s->named, e->named);
}

static void
test_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		size_t len = strlen(cases[i].text);

		for (size_t cut = 0; cut <= len; cut++) {
			struct sse_watch s;
			uint32_t n;

			worker_sse_init(&s, cases[i].dialect);
			n = worker_sse_feed(&s, cases[i].text, cut);
			n += worker_sse_feed(&s, cases[i].text + cut, len - cut);
			check(&cases[i], &s, n);
			worker_sse_release(&s);
		}
	}
}

static void
test_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		struct sse_watch s;
		uint32_t n = 0;

		worker_sse_init(&s, cases[i].dialect);
		for (const char *p = cases[i].text; *p; p++)
			n += worker_sse_feed(&s, p, 1);
		check(&cases[i], &s, n);
		worker_sse_release(&s);
	}
}

/* A line without end may not grow the watcher's memory, and must not hide the lines behind it. */
static void
test_endless_line(void **state)
{
	char block[4096];
	struct sse_watch s;

	(void)state;
	memset(block, 'x', sizeof(block));
	worker_sse_init(&s, DIALECT_CHAT);
	worker_sse_feed(&s, "data: ", 6);
	for (int i = 0; i < 100; i++)
		worker_sse_feed(&s, block, sizeof(block));
	assert_true(s.carry.cap <= 256 << 10);
	assert_int_equal(s.events, 1);
	worker_sse_feed(&s, "\ndata: [DONE]\n", 14);
	assert_true(s.finished);
	assert_int_equal(s.events, 2);
	worker_sse_release(&s);
}

/* The last event of a response repeats all of it: its name is enough. */
static void
test_long_event(void **state)
{
	static const char end[] = "\n\nevent: error\ndata: {}\n\n";
	static const char head[] = "event: response.completed\ndata: {\"response\":\"";
	char block[4096];
	struct sse_watch s;

	(void)state;
	memset(block, 'x', sizeof(block));
	worker_sse_init(&s, DIALECT_RESPONSES);
	worker_sse_feed(&s, head, sizeof(head) - 1);
	for (int i = 0; i < 100; i++)
		worker_sse_feed(&s, block, sizeof(block));
	assert_true(s.finished);
	assert_int_equal(s.events, 1);
	worker_sse_feed(&s, end, sizeof(end) - 1);
	assert_true(s.error);
	worker_sse_release(&s);
}

/* An image in an event without a name: its type stands in front. */
static void
test_long_data(void **state)
{
	static const char head[] = "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"";
	char block[4096];
	struct sse_watch s;

	(void)state;
	memset(block, 'x', sizeof(block));
	worker_sse_init(&s, DIALECT_MEDIA);
	worker_sse_feed(&s, head, sizeof(head) - 1);
	for (int i = 0; i < 100; i++)
		worker_sse_feed(&s, block, sizeof(block));
	assert_true(s.content && s.finished && !s.error);
	worker_sse_release(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_endless_line),
		cmocka_unit_test(test_long_event),
		cmocka_unit_test(test_long_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
};

static const struct expect cases[] = {
	{"", false, false, false, 0},
	{": ping\n\n: ping\n\n", false, false, false, 0},
	{"event: ping\nid: 3\n\n", false, false, false, 0},
	{"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n", false, false,
	 false, 1},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n", true, false, false, 1},
	{"data:{\"choices\":[{\"delta\":{\"content\" : \"Hi\"}}]}\r\n\r\n", true, false, false, 1},
	{"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n", true, false, false, 1},
	{"data: {\"choices\":[{\"delta\":{\"tool_calls\":[]}}]}\n\n", false, false, false, 1},
	{"data: {\"choices\":[{\"delta\":{\"refusal\":\"no\"}}]}\n\n", true, false, false, 1},
	{"data: {\"choices\":[{\"text\":\"x\"}]}\n\n", true, false, false, 1},
	{"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", false, true, false, 1},
	{"data: [DONE]\n\n", false, true, false, 1},
	{"data: {\"error\":{\"message\":\"overloaded\"}}\n\n", false, false, true, 1},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"an \\\"error\\\": {x\"}}]}\n\n", true, false, false, 1},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"\\\"finish_reason\\\": \\\"stop\\\"\"}}]}\n\n", true, false, false, 1},
};

static void
check(const struct expect *e, const struct sse_watch *s, uint32_t events)
{
	assert_int_equal(s->content, e->content);
	assert_int_equal(s->finished, e->finished);
	assert_int_equal(s->error, e->error);
	assert_int_equal(events, e->events);
	assert_int_equal(s->events, e->events);
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

			worker_sse_init(&s);
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

		worker_sse_init(&s);
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
	worker_sse_init(&s);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_endless_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

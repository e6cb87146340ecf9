/* Drawing from large groups has the distribution of worker_route(), which looks at everybody. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../src/worker/worker_route_table.h"
#include "route_fixture.h"

#define N 40
#define DRAWS 40000

static void
setup(struct fixture *f)
{
	route_fixture_init(f, N);
	for (uint32_t i = 0; i < N; i++)
		f->d[i].weight = 1;
}

/* Draws until somebody eligible comes, as the worker does (which gives up earlier); counts who was taken. */
static void
sample(struct fixture *f, const struct route_table *t, unsigned *count)
{
	uint64_t draw = 0;
	uint32_t i;

	memset(count, 0, N * sizeof(*count));
	for (unsigned n = 0; n < DRAWS; n++) {
		do
			assert_true(worker_route_table_draw(t, 0, worker_route_random(11, draw++), &i));
		while (!worker_route_is_eligible(&f->c, &f->d[i], &f->v[i], NOW));
		count[i]++;
	}
}

static void
look(struct fixture *f, unsigned *count)
{
	struct route_result out;

	memset(count, 0, N * sizeof(*count));
	for (unsigned n = 0; n < DRAWS; n++) {
		struct route_input in = {.conf = &f->c, .candidate = f->x, .ncandidate = N, .now_ns = NOW,
		                         .random = worker_route_random(23, n), .want = 1};

		worker_route(&in, &out);
		count[out.chosen[0]]++;
	}
}

static void
test_same_distribution(void **state)
{
	unsigned drawn[N], looked[N];
	struct route_table *t;
	struct fixture f;

	(void)state;
	setup(&f);
	for (uint32_t i = 0; i < N; i++) {
		f.d[i].weight = i % 4; /* a quarter without weight */
		if (i % 5 == 0)
			f.v[i].state = HEALTH_DOWN;
		if (i % 7 == 0)
			f.v[i].until_ns = NOW + 1;
		f.d[i].blocked = i == 13;
		if (i >= 30)
			f.d[i].order = 2;
		else
			f.d[i].order = 1;
	}
	t = worker_route_table_new(&f.c);
	sample(&f, t, drawn);
	look(&f, looked);
	for (uint32_t i = 0; i < N; i++) {
		int difference = (int)drawn[i] - (int)looked[i];

		assert_int_equal(drawn[i] == 0, looked[i] == 0);
		assert_in_range(difference + 400, 0, 800); /* about 2,000 each: more than five deviations */
	}
	worker_route_table_freep(&t);
	assert_null(t);
}

static void
test_metric_of_the_lowest_order(void **state)
{
	unsigned count[N];
	struct route_table *t;
	struct fixture f;

	(void)state;
	setup(&f);
	for (uint32_t i = 0; i < N; i++) {
		f.d[i].weight = i < 10 ? 5 : 0; /* only behind those that are used first */
		f.d[i].order = i < 10 ? 9 : 1;
		f.d[i].rpm = i == 11 ? 100 : 0;
	}
	t = worker_route_table_new(&f.c);
	sample(&f, t, count);
	assert_int_equal(count[11], DRAWS);
	worker_route_table_freep(&t);
}

static void
test_edges(void **state)
{
	struct route_table *t;
	struct fixture f;
	uint32_t i = 99;

	(void)state;
	setup(&f);
	f.d[0].weight = f.d[N - 1].weight = 0;
	t = worker_route_table_new(&f.c);
	assert_true(worker_route_table_draw(t, 0, 0, &i));
	assert_int_equal(i, 1);
	assert_true(worker_route_table_draw(t, 0, UINT64_MAX, &i));
	assert_int_equal(i, N - 2);
	worker_route_table_freep(&t);

	for (unsigned k = 0; k < N; k++)
		f.d[k].blocked = true;
	t = worker_route_table_new(&f.c);
	assert_false(worker_route_table_draw(t, 0, 1, &i));
	worker_route_table_freep(&t);

	f.g.nmember = ROUTE_TABLE_MEMBERS_MIN - 1;
	t = worker_route_table_new(&f.c);
	assert_false(worker_route_table_draw(t, 0, 1, &i));
	worker_route_table_freep(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_distribution),
		cmocka_unit_test(test_metric_of_the_lowest_order),
		cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The shared table under ThreadSanitizer: one writer thread, readers, a worker with its outcomes, all over the
 * code that the daemon runs. Built with -fsanitize=thread by `make check-tsan`; it also runs without.
 *
 * TSan's shadow memory is private to a process, so threads stand in for processes here. Handles are private per
 * thread as they are per process.
 */
#include "hale/hale.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../unit/fixture.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/htable_master.h"
#include "hale/htable_writer.h"
#include "htable_layout.h"

#define TSAN_SLOTS 3
#define TSAN_ROUNDS 20000
#define TSAN_READERS 2

static struct htable *tsan_table;
static struct fixture tsan_fixture;
static _Atomic int tsan_stop;

static struct htable
tsan_handle(void)
{
	struct htable t = *tsan_table;

	t.cache = xcalloc(1, sizeof(*t.cache));
	t.cache->view = xcalloc(TSAN_SLOTS, sizeof(*t.cache->view));
	t.cache->detail = xcalloc(TSAN_SLOTS, sizeof(*t.cache->detail));
	return t;
}

static void
tsan_handle_release(struct htable *t)
{
	free(t->cache->view);
	free(t->cache->detail);
	free(t->cache);
}

static void *
tsan_writer(void *arg)
{
	struct htable t = tsan_handle();

	(void)arg;
	htable_attach(&t, 1);
	for (uint64_t k = 1; k <= TSAN_ROUNDS; k++) {
		uint32_t i = (uint32_t)(k % TSAN_SLOTS);
		struct htable_detail d = {.probes = k, .failures = k, .cost_tokens_total = k};

		htable_publish(&t, i, &(struct htable_view){.checked_ns = k, .changed_ns = k, .until_ns = k, .next_ns = k});
		htable_publish_detail(&t, i, &d);
		htable_append_history(&t, i, k * NS_PER_SEC, 0, HEALTH_UP, REASON_OK);
		htable_heartbeat(&t, k, k);
	}
	tsan_handle_release(&t);
	atomic_store(&tsan_stop, 1);
	return NULL;
}

static void *
tsan_reader(void *arg)
{
	struct htable t = tsan_handle();
	struct htable_event e[HTABLE_HISTORY];
	struct outcome_view o;
	struct htable_daemon daemon;
	struct htable_detail d;
	struct htable_view v;
	uint64_t *reads = arg;

	while (!atomic_load(&tsan_stop)) {
		for (uint32_t i = 0; i < TSAN_SLOTS; i++) {
			htable_read(&t, i, &v);
			HALE_ASSERT(v.checked_ns == v.changed_ns && v.until_ns == v.next_ns && v.checked_ns == v.until_ns);
			htable_read_detail(&t, i, &d);
			HALE_ASSERT(d.probes == d.failures && d.failures == d.cost_tokens_total);
			htable_read_history(&t, i, UINT64_MAX, e);
			outcome_read(&t, -1, i, &o);
			htable_read_daemon(&t, &daemon);
			(*reads)++;
		}
	}
	tsan_handle_release(&t);
	return NULL;
}

static void *
tsan_worker(void *arg)
{
	(void)arg;
	while (!atomic_load(&tsan_stop)) {
		outcome_begin(tsan_table, 0, 1);
		outcome_end(tsan_table, 0, 1, OUTCOME_OK, 1000, 1);
		counter_add(tsan_table, 0, COUNTER_REQUESTS, 1);
	}
	return NULL;
}

/* The master reloads meanwhile, with a handle of its own. */
static void
tsan_reload(void)
{
	struct htable old = tsan_handle(), *t;

	while (!atomic_load(&tsan_stop)) {
		t = htable_create(&tsan_fixture.conf, 1, &old, &tsan_fixture.conf);
		HALE_ASSERT(t != NULL);
		htable_freep(&t);
		htable_set_reload(tsan_table, 1, true);
	}
	tsan_handle_release(&old);
}

int
main(void)
{
	pthread_t writer, worker, reader[TSAN_READERS];
	uint64_t reads[TSAN_READERS] = {0};

	fixture_init(&tsan_fixture, 1, "a b c");
	tsan_table = htable_create(&tsan_fixture.conf, 1, NULL, NULL);
	HALE_ASSERT(tsan_table != NULL);
	for (int i = 0; i < TSAN_READERS; i++)
		HALE_ASSERT(pthread_create(&reader[i], NULL, tsan_reader, &reads[i]) == 0);
	HALE_ASSERT(pthread_create(&worker, NULL, tsan_worker, NULL) == 0);
	HALE_ASSERT(pthread_create(&writer, NULL, tsan_writer, NULL) == 0);
	tsan_reload();
	pthread_join(writer, NULL);
	pthread_join(worker, NULL);
	for (int i = 0; i < TSAN_READERS; i++)
		pthread_join(reader[i], NULL);
	printf("PASS tsan_htable: %d publications, %llu reads\n", TSAN_ROUNDS, (unsigned long long)(reads[0] + reads[1]));
	htable_freep(&tsan_table);
	return 0;
}

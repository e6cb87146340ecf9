/* The shared table: layout, publication, recovery, carry-over, protection, history. */
#include "hale/hale.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"
#include "hale/clock.h"
#include "hale/err.h"
#include "hale/htable_master.h"
#include "hale/htable_writer.h"
#include "htable_layout.h"

static struct htable *
make(struct fixture *f, const char *ids, unsigned workers)
{
	struct htable *t;

	fixture_init(f, 1, ids);
	t = htable_create(&f->conf, workers, NULL, NULL);
	assert_non_null(t);
	return t;
}

static struct htable_view
view_of(const struct fixture *f, uint32_t i, uint64_t checked_ns, enum health_state s)
{
	return (struct htable_view){
		.id_hash = f->deployment[i].id_hash,
		.checked_ns = checked_ns,
		.changed_ns = checked_ns,
		.state = (uint8_t)s,
		.reason = s == HEALTH_UP ? REASON_OK : REASON_SERVER_ERROR,
		.http_status = 503,
		.latency_us = 1234,
	};
}

static void
test_layout(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "a b c", 2);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct htable_daemon d;

	(void)state;
	assert_int_equal(htable_header_check(t), 0);
	assert_int_equal(t->prober_off % page, 0);
	assert_int_equal(t->worker_off % page, 0);
	assert_int_equal(t->worker_stride % page, 0);
	assert_int_equal((uintptr_t)t->base % page, 0);
	assert_int_equal((uintptr_t)htable_at_health(t, 1) % HTABLE_LINE, 0);
	assert_int_equal((uintptr_t)htable_at_detail(t, 1) % HTABLE_LINE, 0);
	assert_int_equal((uintptr_t)htable_at_ring(t, 1) % HTABLE_LINE, 0);
	assert_int_equal((uintptr_t)htable_at_outcome(t, 1, 2) % HTABLE_LINE, 0);
	assert_true((uintptr_t)(htable_at_head(t, 2) + 1) <= (uintptr_t)t->base + t->worker_off);
	assert_true((char *)(htable_at_outcome(t, 1, 2) + 1) <= t->base + t->bytes);
	assert_true((char *)(htable_at_outcome(t, 0, 2) + 1) <= (char *)htable_at_counters(t, 1));
	assert_int_equal(htable_count(t), 3);
	assert_int_equal(htable_workers(t), 2);
	assert_int_equal(htable_bytes(t), t->bytes);
	htable_read_daemon(t, &d);
	assert_int_equal(d.generation, 1);
	assert_int_equal(d.master_pid, getpid());
	assert_int_equal(d.workers, 2);
	assert_int_equal(d.state, DAEMON_STARTING);
	assert_true(d.started_ns > 0 && d.started_ns <= clock_mono_ns());
	htable_freep(&t);
	assert_null(t);
	htable_freep(&t);
}

/* Every figure of the header is compared before anything trusts the mapping. */
static void
test_foreign_header(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "a", 1);
	struct htable_header *h = htable_at_header(t), good = *h;

	(void)state;
	h->magic++;
	assert_int_equal(htable_header_check(t), HALE_EINVAL);
	*h = good;
	h->version++;
	assert_int_equal(htable_protect(t, 0), HALE_EINVAL);
	*h = good;
	h->layout_hash ^= 1;
	assert_int_equal(htable_header_check(t), HALE_EINVAL);
	*h = good;
	h->deployments++;
	assert_int_equal(htable_header_check(t), HALE_EINVAL);
	*h = good;
	h->worker_stride += 64;
	assert_int_equal(htable_header_check(t), HALE_EINVAL);
	*h = good;
	assert_int_equal(htable_header_check(t), 0);
	htable_freep(&t);
}

static void
test_publish_and_read(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "a b", 1);
	struct htable_detail d = {.probes = 7, .failures = 2}, got_d;
	struct htable_view v = view_of(&f, 1, 500, HEALTH_DOWN), got;

	(void)state;
	assert_true(htable_read(t, 1, &got));
	assert_int_equal(got.state, HEALTH_UNKNOWN);
	assert_int_equal(got.reason, REASON_NONE);
	assert_int_equal(got.id_hash, f.deployment[1].id_hash);
	htable_publish(t, 1, &v);
	assert_true(htable_read(t, 1, &got));
	assert_memory_equal(&got, &v, sizeof(v));
	assert_true(htable_read(t, 0, &got));
	assert_int_equal(got.state, HEALTH_UNKNOWN);

	memset(d.error, 'x', sizeof(d.error)); /* a text that fills its field is ended by the reader */
	snprintf(d.ms_region, sizeof(d.ms_region), "East US");
	htable_publish_detail(t, 1, &d);
	assert_true(htable_read_detail(t, 1, &got_d));
	assert_int_equal(strlen(got_d.error), HTABLE_ERROR_BYTES - 1);
	assert_string_equal(got_d.ms_region, "East US");
	assert_int_equal(got_d.probes, 7);
	assert_int_equal(got_d.failures, 2);
	htable_freep(&t);
}

static void
test_last_good_while_busy(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "a b", 1);
	struct htable_view v = view_of(&f, 0, 500, HEALTH_UP), got;
	struct htable_detail d = {.error = "first"}, got_d;

	(void)state;
	htable_publish(t, 0, &v);
	htable_publish_detail(t, 0, &d);
	assert_true(htable_read(t, 0, &got));
	assert_true(htable_read_detail(t, 0, &got_d));
	/* A writer that died after three of the words. */
	atomic_fetch_add(&htable_at_health(t, 0)->seq, 1);
	for (int k = 0; k < 3; k++)
		atomic_store(&htable_at_health(t, 0)->w[k], 0xdeadULL);
	atomic_fetch_add(&htable_at_detail(t, 0)->seq, 1);
	atomic_store(&htable_at_detail(t, 0)->w[0], 0xdeadULL);
	assert_false(htable_read(t, 0, &got));
	assert_memory_equal(&got, &v, sizeof(v));
	assert_false(htable_read_detail(t, 0, &got_d));
	assert_string_equal(got_d.error, "first");
	assert_int_equal(htable_busy_count(t), 2);
	/* Never read before: UNKNOWN of the right deployment. */
	atomic_fetch_add(&htable_at_health(t, 1)->seq, 1);
	assert_false(htable_read(t, 1, &got));
	assert_int_equal(got.state, HEALTH_UNKNOWN);
	assert_int_equal(got.checked_ns, 0);
	assert_int_equal(got.id_hash, f.deployment[1].id_hash);
	htable_freep(&t);
}

static void
test_attach_repairs(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "a b c", 1);
	struct htable_view v = view_of(&f, 0, 500, HEALTH_DOWN), got;
	struct htable_detail d = {.error = "old"}, got_d;
	struct htable_daemon daemon;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		v.id_hash = f.deployment[i].id_hash;
		htable_publish(t, i, &v);
		htable_publish_detail(t, i, &d);
	}
	assert_int_equal(htable_attach(t, 1000), 0);
	atomic_fetch_add(&htable_at_health(t, 1)->seq, 1);
	atomic_store(&htable_at_health(t, 1)->w[0], 1);
	atomic_fetch_add(&htable_at_detail(t, 2)->seq, 1);
	assert_int_equal(htable_attach(t, 2000), 2);
	assert_true(htable_read(t, 1, &got));
	assert_int_equal(got.state, HEALTH_UNKNOWN);
	assert_int_equal(got.reason, REASON_RESTARTED);
	assert_int_equal(got.changed_ns, 2000);
	assert_int_equal(got.checked_ns, 0);
	assert_int_equal(got.id_hash, f.deployment[1].id_hash);
	assert_true(htable_read(t, 0, &got)); /* whole slots are adopted */
	assert_int_equal(got.state, HEALTH_DOWN);
	assert_true(htable_read_detail(t, 2, &got_d));
	assert_string_equal(got_d.error, "");
	assert_true(htable_read_detail(t, 1, &got_d));
	assert_string_equal(got_d.error, "old");
	htable_heartbeat(t, 3000, 5);
	htable_set_db(t, DAEMON_DB_CONNECTED);
	htable_read_daemon(t, &daemon);
	assert_int_equal(daemon.prober_epoch, 2);
	assert_int_equal(daemon.prober_pid, getpid());
	assert_int_equal(daemon.prober_heartbeat_ns, 3000);
	assert_int_equal(daemon.cycle, 5);
	assert_int_equal(daemon.db, DAEMON_DB_CONNECTED);
	htable_freep(&t);
}

/* Runs f in a child without core dumps; returns the signal that ended it, 0 for a clean exit. */
static int
signal_of(void (*f)(struct htable *), struct htable *t)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		f(t);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
second_writer(struct htable *t)
{
	htable_attach(t, 2000);
}

static void
displaced_writer(struct htable *t)
{
	htable_heartbeat(t, 3000, 1);
}

static void
test_two_writers_are_noticed(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "a", 1);

	(void)state;
	htable_attach(t, 1000);
	assert_int_equal(signal_of(displaced_writer, t), 0);
	assert_int_equal(signal_of(second_writer, t), 0);
	assert_int_equal(signal_of(displaced_writer, t), SIGABRT);
	htable_freep(&t);
}

static void
protected_as_worker(struct htable *t)
{
	struct htable_view v;

	if (htable_protect(t, 1) != 0)
		_exit(1);
	outcome_begin(t, 1, 2);
	counter_add(t, 1, COUNTER_REQUESTS, 1);
	htable_read(t, 0, &v);
	counter_read(t, -1, COUNTER_REQUESTS);
}

static void
worker_publishes(struct htable *t)
{
	protected_as_worker(t);
	htable_publish(t, 0, &(struct htable_view){0});
}

static void
worker_writes_neighbour(struct htable *t)
{
	protected_as_worker(t);
	outcome_begin(t, 0, 0);
}

static void
worker_writes_next(struct htable *t)
{
	protected_as_worker(t);
	outcome_begin(t, 2, 0);
}

static void
protected_as_prober(struct htable *t)
{
	if (htable_protect(t, HTABLE_PROBER) != 0)
		_exit(1);
	htable_attach(t, 1);
	htable_publish(t, 2, &(struct htable_view){0});
	htable_publish_detail(t, 2, &(struct htable_detail){0});
	htable_append_history(t, 2, 1, 1, HEALTH_UP, REASON_OK);
}

static void
prober_writes_worker(struct htable *t)
{
	protected_as_prober(t);
	counter_add(t, 0, COUNTER_REQUESTS, 1);
}

static void
prober_writes_master(struct htable *t)
{
	protected_as_prober(t);
	htable_set_daemon_state(t, DAEMON_DRAINING);
}

static void
nobody_reads(struct htable *t)
{
	struct htable_view v;

	if (htable_protect(t, HTABLE_NOBODY) != 0 || !htable_read(t, 0, &v))
		_exit(1);
}

static void
nobody_writes(struct htable *t)
{
	nobody_reads(t);
	counter_add(t, 1, COUNTER_REQUESTS, 1);
}

static void
test_protect(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "a b c", 3);

	(void)state;
	assert_int_equal(signal_of(protected_as_worker, t), 0);
	assert_int_equal(signal_of(worker_publishes, t), SIGSEGV);
	assert_int_equal(signal_of(worker_writes_neighbour, t), SIGSEGV);
	assert_int_equal(signal_of(worker_writes_next, t), SIGSEGV);
	assert_int_equal(signal_of(protected_as_prober, t), 0);
	assert_int_equal(signal_of(prober_writes_worker, t), SIGSEGV);
	assert_int_equal(signal_of(prober_writes_master, t), SIGSEGV);
	assert_int_equal(signal_of(nobody_reads, t), 0);
	assert_int_equal(signal_of(nobody_writes, t), SIGSEGV);
	assert_int_equal(counter_read(t, 1, COUNTER_REQUESTS), 4); /* the children's writes are everybody's */
	assert_int_equal(outcome_inflight(t, 2), 4);
	htable_worker_reaped(t, 1);
	assert_int_equal(outcome_inflight(t, 2), 0);
	assert_int_equal(counter_read(t, 1, COUNTER_REQUESTS), 4);
	htable_freep(&t);
}

/* Removal (b), reordering (a after c) and addition (x) at once. */
static void
test_carry_over(void **state)
{
	struct fixture f, g;
	struct htable *old = make(&f, "a b c", 2), *t;
	struct htable_detail d = {0}, got_d;
	struct htable_event e[HTABLE_HISTORY];
	struct htable_view v, got;
	struct htable_daemon was, now;

	(void)state;
	htable_attach(old, 1);
	htable_heartbeat(old, 2, 9);
	htable_set_reload(old, 77, true);
	for (uint32_t i = 0; i < 3; i++) {
		v = view_of(&f, i, 1000 + i, i == 2 ? HEALTH_DOWN : HEALTH_UP);
		v.until_ns = 5000 + i;
		htable_publish(old, i, &v);
		snprintf(d.error, sizeof(d.error), "error of %s", f.id[i]);
		htable_publish_detail(old, i, &d);
		for (uint32_t k = 0; k < 40 + i; k++)
			htable_append_history(old, i, k * NS_PER_SEC, 1000 * i, HEALTH_UP, REASON_OK);
	}
	fixture_init(&g, 2, "c x a");
	t = htable_create(&g.conf, 4, old, &f.conf);
	assert_non_null(t);
	assert_true(htable_read(t, 0, &got));
	assert_int_equal(got.id_hash, g.deployment[0].id_hash);
	assert_int_equal(got.checked_ns, 1002);
	assert_int_equal(got.until_ns, 5002);
	assert_int_equal(got.state, HEALTH_DOWN);
	assert_true(htable_read(t, 1, &got));
	assert_int_equal(got.state, HEALTH_UNKNOWN);
	assert_int_equal(got.id_hash, g.deployment[1].id_hash);
	assert_true(htable_read(t, 2, &got));
	assert_int_equal(got.checked_ns, 1000);
	assert_true(htable_read_detail(t, 2, &got_d));
	assert_string_equal(got_d.error, "error of a");
	assert_true(htable_read_detail(t, 1, &got_d));
	assert_string_equal(got_d.error, "");
	assert_int_equal(htable_read_history(t, 0, 100 * NS_PER_SEC, e), HTABLE_HISTORY);
	assert_int_equal(e[0].age_s, 100 - 41);
	assert_int_equal(e[0].latency_ms, 2);
	assert_int_equal(htable_read_history(t, 1, 100 * NS_PER_SEC, e), 0);
	htable_append_history(t, 0, 50 * NS_PER_SEC, 0, HEALTH_DOWN, REASON_TIMEOUT);
	assert_int_equal(htable_read_history(t, 0, 100 * NS_PER_SEC, e), HTABLE_HISTORY);
	assert_int_equal(e[0].reason, REASON_TIMEOUT);
	assert_int_equal(e[1].age_s, 100 - 41);
	htable_read_daemon(old, &was);
	htable_read_daemon(t, &now);
	assert_int_equal(now.started_ns, was.started_ns);
	assert_int_equal(now.generation, 2);
	assert_int_equal(now.cycle, 9);
	assert_int_equal(now.prober_epoch, 1);
	assert_int_equal(now.reload_real_ns, 77);
	assert_true(now.reload_ok);
	htable_freep(&old);
	assert_true(htable_read(t, 0, &got)); /* nothing points into the old mapping */
	htable_freep(&t);
}

/* The old prober is stopped in the middle of a publication: the reload goes on without that slot. */
static void
test_carry_over_busy_slot(void **state)
{
	struct fixture f, g;
	struct htable *old = make(&f, "a b", 1), *t;
	struct htable_view v = view_of(&f, 1, 1000, HEALTH_DOWN), got;

	(void)state;
	htable_publish(old, 1, &v);
	atomic_fetch_add(&htable_at_health(old, 0)->seq, 1);
	fixture_init(&g, 2, "a b");
	t = htable_create(&g.conf, 1, old, &f.conf);
	assert_non_null(t);
	assert_true(htable_read(t, 0, &got));
	assert_int_equal(got.state, HEALTH_UNKNOWN);
	assert_true(htable_read(t, 1, &got));
	assert_memory_equal(&got, &v, sizeof(v));
	htable_freep(&old);
	htable_freep(&t);
}

static void
test_history(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "a b", 1);
	struct htable_event e[HTABLE_HISTORY];
	_Atomic uint64_t *word;

	(void)state;
	assert_int_equal(htable_read_history(t, 1, NS_PER_SEC, e), 0);
	htable_append_history(t, 1, 7 * NS_PER_SEC, 70000000, HEALTH_DOWN, REASON_RESTARTED);
	assert_int_equal(htable_read_history(t, 1, 10 * NS_PER_SEC, e), 1);
	assert_int_equal(e[0].age_s, 3);
	assert_int_equal(e[0].latency_ms, UINT16_MAX);
	assert_int_equal(e[0].state, HEALTH_DOWN);
	assert_int_equal(e[0].reason, REASON_RESTARTED);
	for (uint32_t k = 0; k < 3 * HTABLE_HISTORY; k++) {
		unsigned n;

		htable_append_history(t, 1, (100 + k) * NS_PER_SEC, k * 1000, HEALTH_UP, REASON_OK);
		n = htable_read_history(t, 1, (100 + k) * NS_PER_SEC, e);
		assert_int_equal(n, k + 2 < HTABLE_HISTORY ? k + 2 : HTABLE_HISTORY);
		assert_int_equal(e[0].age_s, 0);
		assert_int_equal(e[0].latency_ms, k);
		assert_int_equal(e[n - 1].age_s, n == k + 2 ? 93 + k : HTABLE_HISTORY - 1);
	}
	/* The writer is one step ahead of its announcement: the oldest word is gone, the others stand. */
	word = &htable_at_ring(t, 1)->entry[(1 + 3 * HTABLE_HISTORY) % HTABLE_HISTORY];
	atomic_store(word, (*word & ~(uint64_t)HTABLE_EVENT_LAP_MASK) | htable_event_lap(1 + 3 * HTABLE_HISTORY));
	assert_int_equal(htable_read_history(t, 1, 1000 * NS_PER_SEC, e), HTABLE_HISTORY - 1);
	assert_int_equal(htable_read_history(t, 0, 1000 * NS_PER_SEC, e), 0);
	htable_freep(&t);
}

static void
test_stale(void **state)
{
	struct htable_view v = {.checked_ns = 1000};

	(void)state;
	assert_false(htable_is_stale(&v, 1000, 100));
	assert_false(htable_is_stale(&v, 1099, 100));
	assert_true(htable_is_stale(&v, 1100, 100));
	assert_false(htable_is_stale(&v, 999, 100)); /* checked after the caller looked at the clock */
	v.checked_ns = 0;
	assert_true(htable_is_stale(&v, 10, 100));
}

static void
test_daemon_line(void **state)
{
	struct fixture f;
	struct htable *t = make(&f, "", 1);
	struct htable_daemon d;

	(void)state;
	htable_set_daemon_state(t, DAEMON_RUNNING);
	htable_set_reload(t, 42, false);
	htable_read_daemon(t, &d);
	assert_int_equal(d.state, DAEMON_RUNNING);
	assert_int_equal(d.reload_real_ns, 42);
	assert_false(d.reload_ok);
	assert_int_equal(htable_count(t), 0);
	assert_string_equal(health_state_name(HEALTH_UP), "healthy");
	for (int r = 0; r < REASON_COUNT; r++)
		assert_non_null(health_reason_name((enum health_reason)r));
	htable_freep(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_foreign_header),
		cmocka_unit_test(test_publish_and_read),
		cmocka_unit_test(test_last_good_while_busy),
		cmocka_unit_test(test_attach_repairs),
		cmocka_unit_test(test_two_writers_are_noticed),
		cmocka_unit_test(test_protect),
		cmocka_unit_test(test_carry_over),
		cmocka_unit_test(test_carry_over_busy_slot),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_daemon_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

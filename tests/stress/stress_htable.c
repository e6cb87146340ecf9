/* stress_htable SECONDS [no-recheck]: readers validate every copy that the table gives them, while the writer is
 * killed in the middle of its work again and again and a successor takes over, as the master does it.
 *
 * Exit 0: nothing torn, at least one writer died with a slot half written, and readers got through. With
 * "no-recheck" the readers take words without the second look at the sequence: then tearing must be seen, which
 * shows that this test can see it. It says little about memory orders on x86; that is what tests/model is for.
 */
#include "hale/hale.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/fixture.h"
#include "hale/clock.h"
#include "hale/htable_writer.h"
#include "htable_layout.h"

#define STRESS_READERS 2
#define STRESS_SLOTS 2

struct stress_reader {
	_Alignas(64) _Atomic uint64_t good, fell_back, torn;
};

/* Shared by all processes of the test. */
struct stress {
	_Atomic int stop;
	_Atomic uint64_t published;
	struct stress_reader reader[STRESS_READERS];
};

/* What publication k looks like: every word k, texts ended as the reader ends them. */
static void
stress_view(struct htable_view *v, uint64_t k)
{
	uint64_t w[SEQSLOT_WORDS];

	for (unsigned i = 0; i < SEQSLOT_WORDS; i++)
		w[i] = k;
	memcpy(v, w, sizeof(w));
}

static void
stress_detail(struct htable_detail *d, uint64_t k)
{
	uint64_t w[HTABLE_DETAIL_WORDS];

	for (unsigned i = 0; i < HTABLE_DETAIL_WORDS; i++)
		w[i] = k;
	memcpy(d, w, sizeof(w));
	d->error[sizeof(d->error) - 1] = '\0';
	d->ratelimit_requests[sizeof(d->ratelimit_requests) - 1] = '\0';
	d->ratelimit_tokens[sizeof(d->ratelimit_tokens) - 1] = '\0';
	d->ms_region[sizeof(d->ms_region) - 1] = '\0';
}

HALE_NORETURN static void
stress_writer(struct htable *t, struct stress *s)
{
	struct htable_detail d;
	struct htable_view v;

	if (htable_protect(t, HTABLE_PROBER) != 0)
		_exit(2);
	htable_attach(t, clock_mono_ns());
	for (uint64_t k = atomic_load(&s->published) + 1;; k++) {
		atomic_store(&s->published, k);
		stress_view(&v, k);
		stress_detail(&d, k);
		for (uint32_t i = 0; i < STRESS_SLOTS; i++) {
			htable_publish(t, i, &v);
			htable_publish_detail(t, i, &d);
			htable_append_history(t, i, k % UINT32_MAX * NS_PER_SEC, (uint32_t)k, HEALTH_UP, REASON_OK);
		}
		htable_heartbeat(t, k, k);
	}
}

/* A repaired slot is whole too: the prober's UNKNOWN, or an empty detail. */
static bool
stress_view_whole(const struct htable *t, uint32_t i, const struct htable_view *v)
{
	struct htable_view want;

	if (v->id_hash == t->id_hash[i])
		return v->state == HEALTH_UNKNOWN && v->checked_ns == 0 && v->next_ns == 0;
	stress_view(&want, v->id_hash);
	return memcmp(v, &want, sizeof(want)) == 0;
}

static bool
stress_detail_whole(const struct htable_detail *d)
{
	struct htable_detail want;

	stress_detail(&want, d->probes);
	return memcmp(d, &want, sizeof(want)) == 0;
}

/* Newest first, so ages never fall. */
static bool
stress_history_whole(const struct htable *t, uint32_t i)
{
	struct htable_event e[HTABLE_HISTORY];
	unsigned n = htable_read_history(t, i, (uint64_t)UINT32_MAX * NS_PER_SEC, e);

	for (unsigned k = 1; k < n; k++)
		if (e[k].age_s < e[k - 1].age_s)
			return false;
	return n <= HTABLE_HISTORY;
}

/* The mistake that the sequence number prevents. */
static void
stress_read_unchecked(const struct htable *t, uint32_t i, struct htable_view *v, struct htable_detail *d)
{
	uint64_t w[HTABLE_DETAIL_WORDS];

	for (unsigned k = 0; k < SEQSLOT_WORDS; k++)
		w[k] = atomic_load_explicit(&htable_at_health(t, i)->w[k], memory_order_acquire);
	memcpy(v, w, sizeof(*v));
	for (unsigned k = 0; k < HTABLE_DETAIL_WORDS; k++)
		w[k] = atomic_load_explicit(&htable_at_detail(t, i)->w[k], memory_order_acquire);
	memcpy(d, w, sizeof(*d));
	d->error[sizeof(d->error) - 1] = '\0';
	d->ratelimit_requests[sizeof(d->ratelimit_requests) - 1] = '\0';
	d->ratelimit_tokens[sizeof(d->ratelimit_tokens) - 1] = '\0';
	d->ms_region[sizeof(d->ms_region) - 1] = '\0';
}

HALE_NORETURN static void
stress_reader(struct htable *t, struct stress *s, struct stress_reader *me, bool recheck)
{
	struct htable_detail d;
	struct htable_view v;

	if (htable_protect(t, HTABLE_NOBODY) != 0)
		_exit(2);
	while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		for (uint32_t i = 0; i < STRESS_SLOTS; i++) {
			bool fresh = true;

			if (recheck) {
				fresh = htable_read(t, i, &v);
				fresh = htable_read_detail(t, i, &d) && fresh;
			} else {
				stress_read_unchecked(t, i, &v, &d);
			}
			atomic_fetch_add_explicit(fresh ? &me->good : &me->fell_back, 1, memory_order_relaxed);
			if (!stress_view_whole(t, i, &v) || !stress_detail_whole(&d) || !stress_history_whole(t, i))
				atomic_fetch_add_explicit(&me->torn, 1, memory_order_relaxed);
		}
	}
	_exit(0);
}

static pid_t
stress_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == -1) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(2);
	}
	return pid;
}

static bool
stress_half_written(const struct htable *t)
{
	bool odd = false;

	for (uint32_t i = 0; i < STRESS_SLOTS; i++)
		odd |= (atomic_load(&htable_at_health(t, i)->seq) | atomic_load(&htable_at_detail(t, i)->seq)) & 1;
	return odd;
}

int
main(int argc, char **argv)
{
	uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 5, good = 0, fell_back = 0, torn = 0;
	bool recheck = argc < 3 || strcmp(argv[2], "no-recheck") != 0, unwell = false, passed;
	uint64_t end = clock_mono_ns() + seconds * NS_PER_SEC, random = 1;
	unsigned kills = 0, half = 0;
	pid_t reader[STRESS_READERS], writer;
	static struct fixture f;
	struct stress *s;
	struct htable *t;
	int status;

	fixture_init(&f, 1, "a b");
	t = htable_create(&f.conf, 1, NULL, NULL);
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == NULL || s == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	for (unsigned i = 0; i < STRESS_READERS; i++)
		if ((reader[i] = stress_fork()) == 0)
			stress_reader(t, s, &s->reader[i], recheck);
	for (; clock_mono_ns() < end; kills++) {
		if ((writer = stress_fork()) == 0)
			stress_writer(t, s);
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		usleep((useconds_t)(300 + (random >> 33) % 2000));
		kill(writer, SIGKILL);
		waitpid(writer, &status, 0); /* reap first, then the successor: the rule that makes one writer */
		unwell |= WIFEXITED(status);
		half += stress_half_written(t);
	}
	atomic_store(&s->stop, 1);
	for (unsigned i = 0; i < STRESS_READERS; i++) {
		waitpid(reader[i], &status, 0);
		unwell |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
		good += s->reader[i].good;
		fell_back += s->reader[i].fell_back;
		torn += s->reader[i].torn;
	}
	passed = !unwell && half > 0 && good > 0 && (recheck ? torn == 0 : torn > 0);
	printf("%s stress_htable%s: published=%llu writers_killed=%u slots_left_half=%u read=%llu fell_back=%llu torn=%llu\n",
	       passed ? "PASS" : "FAIL", recheck ? "" : " without the re-check (tearing is wanted)",
	       (unsigned long long)s->published, kills, half, (unsigned long long)good, (unsigned long long)fell_back,
	       (unsigned long long)torn);
	return !passed;
}

/* Shared segment, the master's part: makes the mapping, carries state over a reload, writes its own line.
 *
 * A reload gets a new mapping, a new generation and a new prober; slots are never re-used in place. What the
 * old generation knew is copied by deployment id, through the read functions, because the old prober may
 * still be publishing. The only lines of others that the master ever touches are those of a worker that it
 * has reaped: then it is their one writer.
 */
#include "hale/hale.h"

#include "hale/htable_master.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "htable_layout.h"

/* How long a reload waits in total for slots that the old prober is writing; it holds one slot at a time, for
 * well under a microsecond, unless it is stopped or descheduled. */
#define HTABLE_CARRY_WAIT_MS 20

static size_t
htable_round(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* One owner, one range of whole pages: the master, the prober, each worker. */
static void
htable_place(struct htable *t, uint32_t deployments, unsigned workers, size_t page)
{
	size_t n = deployments;

	t->deployments = deployments;
	t->workers = workers;
	t->master_off = sizeof(struct htable_header);
	t->prober_off = page;
	t->health_off = t->prober_off + sizeof(struct htable_prober_line);
	t->detail_off = t->health_off + n * sizeof(struct seqslot);
	t->history_off = t->detail_off + n * sizeof(struct htable_detail_slot);
	t->head_off = t->history_off + n * sizeof(struct htable_ring);
	t->worker_off = htable_round(t->head_off + n * sizeof(uint64_t), page);
	t->worker_stride = htable_round(sizeof(struct htable_counters) + n * sizeof(struct htable_outcome), page);
	t->bytes = t->worker_off + workers * t->worker_stride;
}

static void
htable_write_header(const struct htable *t, const struct conf *c, const struct htable *old)
{
	struct htable_header *h = htable_at_header(t);

	*h = (struct htable_header){
		.magic = HTABLE_MAGIC,
		.version = HTABLE_VERSION,
		.deployments = t->deployments,
		.layout_hash = htable_layout_hash(),
		.bytes = t->bytes,
		.generation = c->generation,
		.started_ns = clock_mono_ns(),
		.started_real_ns = clock_real_ns(),
		.master_pid = (uint32_t)getpid(),
		.workers = t->workers,
		.master_off = t->master_off,
		.prober_off = t->prober_off,
		.health_off = t->health_off,
		.detail_off = t->detail_off,
		.history_off = t->history_off,
		.head_off = t->head_off,
		.worker_off = t->worker_off,
		.worker_stride = t->worker_stride,
	};
	if (old) { /* the daemon has been up since its first generation */
		h->started_ns = htable_at_header(old)->started_ns;
		h->started_real_ns = htable_at_header(old)->started_real_ns;
	}
}

/* Positions of the old deployments by id: open addressing, filled
 * at most half. 0: empty, else position + 1. */
static uint32_t *
htable_index(const struct conf *c, uint32_t *mask)
{
	uint32_t size = 8, *slot;

	while (size < c->ndeployment * 2)
		size *= 2;
	*mask = size - 1;
	slot = xcalloc(size, sizeof(*slot));
	for (uint32_t i = 0; i < c->ndeployment; i++) {
		uint32_t at = (uint32_t)c->deployment[i].id_hash & *mask;

		while (slot[at])
			at = (at + 1) & *mask;
		slot[at] = i + 1;
	}
	return slot;
}

static bool
htable_index_find(const uint32_t *slot, uint32_t mask, const struct conf *c, const struct deployment *d, uint32_t *pos)
{
	for (uint32_t at = (uint32_t)d->id_hash & mask; slot[at]; at = (at + 1) & mask) {
		const struct deployment *o = &c->deployment[slot[at] - 1];

		if (o->id_hash == d->id_hash && strcmp(o->id, d->id) == 0) {
			*pos = slot[at] - 1;
			return true;
		}
	}
	return false;
}

/* Waits a millisecond while the budget of the whole reload lasts. */
static bool
htable_carry_wait(unsigned *budget_ms)
{
	if (*budget_ms == 0)
		return false;
	(*budget_ms)--;
	nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
	return true;
}

static void
htable_carry_one(struct htable *t, uint32_t to, const struct htable *old, uint32_t from, unsigned *budget_ms)
{
	uint64_t w[HTABLE_DETAIL_WORDS], head;
	struct htable_view v;
	struct htable_detail d;

	while (!htable_read(old, from, &v) && htable_carry_wait(budget_ms))
		;
	memcpy(w, &v, sizeof(v));
	seqslot_write(htable_at_health(t, to), w);
	while (!htable_read_detail(old, from, &d) && htable_carry_wait(budget_ms))
		;
	memcpy(w, &d, sizeof(d));
	seqslot_write_words(&htable_at_detail(t, to)->seq, htable_at_detail(t, to)->w, w, HTABLE_DETAIL_WORDS);
	/* Words carry their own validity, so a ring that moves while it
	 * is copied loses its oldest words only. */
	head = atomic_load_explicit(htable_at_head(old, from), memory_order_acquire);
	for (unsigned k = 0; k < HTABLE_HISTORY; k++)
		atomic_store_explicit(&htable_at_ring(t, to)->entry[k],
		                      atomic_load_explicit(&htable_at_ring(old, from)->entry[k], memory_order_relaxed),
		                      memory_order_relaxed);
	atomic_store_explicit(htable_at_head(t, to), head, memory_order_release);
}

static void
htable_carry(struct htable *t, const struct conf *c, const struct htable *old, const struct conf *old_conf)
{
	const struct htable_master_line *om = htable_at_master(old);
	const struct htable_prober_line *op = htable_at_prober(old);
	unsigned budget_ms = HTABLE_CARRY_WAIT_MS;
	uint32_t mask, from, *index;

	HALE_ASSERT(htable_header_check(old) == 0 && old->deployments == old_conf->ndeployment);
	index = htable_index(old_conf, &mask);
	for (uint32_t i = 0; i < c->ndeployment; i++)
		if (htable_index_find(index, mask, old_conf, &c->deployment[i], &from))
			htable_carry_one(t, i, old, from, &budget_ms);
	free(index);
	htable_at_master(t)->reload_real_ns = atomic_load_explicit(&om->reload_real_ns, memory_order_relaxed);
	htable_at_master(t)->reload_ok = atomic_load_explicit(&om->reload_ok, memory_order_relaxed);
	htable_at_prober(t)->epoch = atomic_load_explicit(&op->epoch, memory_order_relaxed);
	htable_at_prober(t)->cycle = atomic_load_explicit(&op->cycle, memory_order_relaxed);
	htable_at_prober(t)->tokens_day = atomic_load_explicit(&op->tokens_day, memory_order_relaxed);
	htable_at_prober(t)->tokens_today = atomic_load_explicit(&op->tokens_today, memory_order_relaxed);
	htable_at_prober(t)->db = atomic_load_explicit(&op->db, memory_order_relaxed);
}

struct htable *
htable_create(const struct conf *c, unsigned nworkers, const struct htable *old, const struct conf *old_conf)
{
	struct htable *t = xcalloc(1, sizeof(*t));
	void *p;

	htable_place(t, c->ndeployment, nworkers, (size_t)sysconf(_SC_PAGESIZE));
	p = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		free(t);
		return NULL;
	}
	t->base = p;
	t->id_hash = xcalloc(c->ndeployment, sizeof(*t->id_hash));
	t->cache = xcalloc(1, sizeof(*t->cache));
	t->cache->view = xcalloc(c->ndeployment, sizeof(*t->cache->view));
	t->cache->detail = xcalloc(c->ndeployment, sizeof(*t->cache->detail)); /* pages appear when /health is asked */
	htable_write_header(t, c, old);
	for (uint32_t i = 0; i < c->ndeployment; i++) {
		t->id_hash[i] = c->deployment[i].id_hash;
		t->cache->view[i].id_hash = t->id_hash[i];
		seqslot_write(htable_at_health(t, i), (const uint64_t[SEQSLOT_WORDS]){t->id_hash[i]});
	}
	if (old)
		htable_carry(t, c, old, old_conf);
	return t;
}

void
htable_freep(struct htable **tp)
{
	struct htable *t = *tp;

	if (t == NULL)
		return;
	munmap(t->base, t->bytes);
	free(t->id_hash);
	free(t->cache->view);
	free(t->cache->detail);
	free(t->cache);
	xfreep(tp);
}

void
htable_set_daemon_state(struct htable *t, enum daemon_state s)
{
	atomic_store_explicit(&htable_at_master(t)->state, (uint64_t)s, memory_order_relaxed);
}

void
htable_set_reload(struct htable *t, uint64_t real_ns, bool ok)
{
	atomic_store_explicit(&htable_at_master(t)->reload_ok, ok, memory_order_relaxed);
	atomic_store_explicit(&htable_at_master(t)->reload_real_ns, real_ns, memory_order_relaxed);
}

void
htable_worker_reaped(struct htable *t, unsigned w)
{
	struct htable_counters *c = htable_at_counters(t, w);

	atomic_store_explicit(&c->value[COUNTER_CONNECTIONS_OPEN], 0, memory_order_relaxed);
	atomic_store_explicit(&c->value[COUNTER_REQUESTS_OPEN], 0, memory_order_relaxed);
	for (uint32_t i = 0; i < t->deployments; i++)
		atomic_store_explicit(&htable_at_outcome(t, w, i)->inflight, 0, memory_order_relaxed);
}

/* The bytes of the shared segment: structs, offsets, and the process-private handle on them.
 *
 * Included by htable*.c, outcome.c and tests only. docs/health-table.md is the map for people; a test
 * compares the two. Whoever changes anything here raises HTABLE_VERSION and corrects the map.
 */
#ifndef HALE_HTABLE_LAYOUT_H
#define HALE_HTABLE_LAYOUT_H

#include "hale/hale.h"

#include <stdatomic.h>

#include "hale/htable.h"
#include "hale/outcome.h"
#include "hale/seqslot.h"

#define HTABLE_MAGIC 0x316c6261746c6168ULL /* "haltabl1", first byte first */
#define HTABLE_VERSION 2
#define HTABLE_LINE 64
#define HTABLE_DETAIL_WORDS 63
#define HTABLE_COUNTERS 64 /* room, so that a new counter moves nothing */

/* Lines 0 and 1: written once by the master before the first fork. */
struct htable_header {
	_Alignas(HTABLE_LINE) uint64_t magic;
	uint32_t version, deployments;
	uint64_t layout_hash, bytes, generation, started_ns, started_real_ns;
	uint32_t master_pid, workers;
	uint64_t master_off, prober_off, health_off, detail_off, history_off, head_off, worker_off, worker_stride;
};

/* Written by the master at any time. */
struct htable_master_line {
	_Alignas(HTABLE_LINE) _Atomic uint64_t state;
	_Atomic uint64_t reload_real_ns, reload_ok;
};

/* Written by the prober. */
struct htable_prober_line {
	_Alignas(HTABLE_LINE) _Atomic uint64_t pid;
	_Atomic uint64_t epoch, heartbeat_ns, cycle, db, tokens_day, tokens_today;
};

struct htable_detail_slot {
	_Alignas(HTABLE_LINE) _Atomic uint64_t seq;
	_Atomic uint64_t w[HTABLE_DETAIL_WORDS];
};

/* Past results as single words: seconds 32 | latency_ms 16 | state 2 | reason 5 | lap 9, from the top. The
 * lap says which round of the ring wrote the word, so a reader that is overtaken notices. */
struct htable_ring {
	_Alignas(HTABLE_LINE) _Atomic uint64_t entry[HTABLE_HISTORY];
};

#define HTABLE_EVENT_SECONDS 32
#define HTABLE_EVENT_LATENCY 16
#define HTABLE_EVENT_STATE 14
#define HTABLE_EVENT_REASON 9
#define HTABLE_EVENT_LAP_MASK 511

static inline uint64_t
htable_event_lap(uint64_t k)
{
	return k / HTABLE_HISTORY & HTABLE_EVENT_LAP_MASK;
}

/* One worker's counters, then its outcomes, one per deployment. */
struct htable_counters {
	_Alignas(HTABLE_LINE) _Atomic uint64_t value[HTABLE_COUNTERS];
};

struct htable_outcome {
	_Alignas(HTABLE_LINE) _Atomic uint64_t count[OUTCOME_COUNT];
	_Atomic uint64_t last_ok_ns, last_fail_ns;
	_Atomic uint32_t latency[OUTCOME_BUCKETS];
	_Atomic uint32_t inflight;
};

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "u32 atomics must be lock-free to be address-free");
_Static_assert(sizeof(struct htable_header) == 2 * HTABLE_LINE, "the header is lines 0 and 1");
_Static_assert(sizeof(struct htable_master_line) == HTABLE_LINE, "the master's line");
_Static_assert(sizeof(struct htable_prober_line) == HTABLE_LINE, "the prober's line");
_Static_assert(sizeof(struct seqslot) == HTABLE_LINE, "a health slot is one line");
_Static_assert(sizeof(struct htable_view) == SEQSLOT_WORDS * sizeof(uint64_t), "a view fills its slot");
_Static_assert(sizeof(struct htable_detail_slot) == 8 * HTABLE_LINE, "a detail slot is eight lines");
_Static_assert(sizeof(struct htable_detail) == HTABLE_DETAIL_WORDS * sizeof(uint64_t), "a detail fills its slot");
_Static_assert(sizeof(struct htable_ring) == 4 * HTABLE_LINE, "a ring is four lines");
_Static_assert(sizeof(struct htable_counters) == 8 * HTABLE_LINE, "counters are eight lines");
_Static_assert(COUNTER_COUNT <= HTABLE_COUNTERS, "every counter has its word");
_Static_assert(sizeof(struct htable_outcome) == 2 * HTABLE_LINE, "an outcome is two lines");
_Static_assert(REASON_COUNT <= 32 && HEALTH_DOWN <= 3, "reason and state fit into a history word");
/* One deployment and one worker: health, detail, ring, ring position, outcome. */
_Static_assert(sizeof(struct seqslot) + sizeof(struct htable_detail_slot) + sizeof(struct htable_ring) +
                       sizeof(uint64_t) + sizeof(struct htable_outcome) <
                   1024,
               "budget per deployment and worker");

/* The handle: private to each process (copied by fork). Nothing that another process can write is used as an
 * offset or a count; the header is only compared. */
struct htable {
	char *base;
	size_t bytes;
	uint32_t deployments;
	unsigned workers;
	size_t master_off, prober_off, health_off, detail_off, history_off, head_off, worker_off, worker_stride;
	uint64_t *id_hash;          /* per deployment */
	struct htable_cache *cache; /* behind a pointer: readers hold a const handle */
	uint64_t epoch;             /* writer: the epoch that this process attached with; 0: not attached */
};

/* Last good copies of this process. */
struct htable_cache {
	struct htable_view *view;
	struct htable_detail *detail;
	uint64_t busy; /* reads that fell back to them */
};

static inline struct htable_header *
htable_at_header(const struct htable *t)
{
	return (void *)t->base;
}

static inline struct htable_master_line *
htable_at_master(const struct htable *t)
{
	return (void *)(t->base + t->master_off);
}

static inline struct htable_prober_line *
htable_at_prober(const struct htable *t)
{
	return (void *)(t->base + t->prober_off);
}

static inline struct seqslot *
htable_at_health(const struct htable *t, uint32_t i)
{
	HALE_ASSERT(i < t->deployments);
	return (struct seqslot *)(void *)(t->base + t->health_off) + i;
}

static inline struct htable_detail_slot *
htable_at_detail(const struct htable *t, uint32_t i)
{
	HALE_ASSERT(i < t->deployments);
	return (struct htable_detail_slot *)(void *)(t->base + t->detail_off) + i;
}

static inline struct htable_ring *
htable_at_ring(const struct htable *t, uint32_t i)
{
	HALE_ASSERT(i < t->deployments);
	return (struct htable_ring *)(void *)(t->base + t->history_off) + i;
}

/* How many results were ever appended to the ring. */
static inline _Atomic uint64_t *
htable_at_head(const struct htable *t, uint32_t i)
{
	HALE_ASSERT(i < t->deployments);
	return (_Atomic uint64_t *)(void *)(t->base + t->head_off) + i;
}

static inline struct htable_counters *
htable_at_counters(const struct htable *t, unsigned w)
{
	HALE_ASSERT(w < t->workers);
	return (void *)(t->base + t->worker_off + w * t->worker_stride);
}

static inline struct htable_outcome *
htable_at_outcome(const struct htable *t, unsigned w, uint32_t i)
{
	HALE_ASSERT(i < t->deployments);
	return (struct htable_outcome *)(void *)(htable_at_counters(t, w) + 1) + i;
}

/* Hash of everything that makes two builds' segments differ. */
uint64_t htable_layout_hash(void);
/* 0 or HALE_EINVAL: not a segment of this build, or its numbers are not those of the handle. */
int htable_header_check(const struct htable *t) HALE_MUST_USE;

#endif

/* When to probe what.
 *
 * An item (a deployment) is in one place at a time: in the heap of due times, in a waiting queue of its
 * host, running, or nowhere. Every host has two queues, one for what a round asked for and one for what
 * is merely due; per kind there is a ring of the hosts that have something to start. Taking the head
 * of the ring and putting the host back at its tail is what makes hosts take turns: one provider with a
 * thousand slow deployments does not delay the others.
 *
 * A host at its bound falls out of the ring when its turn comes and returns when one of its probes ends,
 * so nothing here ever scans. All of it is O(log n) per probe.
 */
#include "hale/hale.h"

#include "prober_sched.h"

#include <sys/queue.h>

#include "hale/arena.h"
#include "hale/clock.h"

#define SCHED_NOWHERE UINT32_MAX
#define SCHED_BURST 64              /* deployments that are checked at once at start */
#define SCHED_STEP_NS (2 * NS_PER_MS)

enum sched_place { SCHED_IDLE = 0, SCHED_DUE, SCHED_WAITING, SCHED_RUNNING };
enum sched_lane { SCHED_ASKED = 0, SCHED_ROUTINE, SCHED_LANES };

struct sched_item {
	TAILQ_ENTRY(sched_item) link; /* in its host's queue */
	uint64_t due_ns;
	uint32_t heap_at, host;
	enum sched_place place;
	enum sched_lane lane;
};
TAILQ_HEAD(sched_queue, sched_item);

struct sched_host {
	struct sched_queue waiting[SCHED_LANES];
	TAILQ_ENTRY(sched_host) ring[SCHED_LANES];
	bool in_ring[SCHED_LANES];
	uint32_t running, max;
};
TAILQ_HEAD(sched_ring, sched_host);

struct prober_sched {
	struct sched_item *item;
	struct sched_host *host;
	uint32_t *heap; /* item numbers, earliest first */
	uint32_t count, nheap, running, running_max;
	struct sched_ring ring[SCHED_LANES];
};

struct prober_sched *
prober_sched_new(uint32_t count, const uint32_t *host, uint32_t nhost, const uint32_t *host_max, uint32_t running_max)
{
	struct prober_sched *s = xcalloc(1, sizeof(*s));

	HALE_ASSERT(running_max > 0);
	s->item = xcalloc(count ? count : 1, sizeof(*s->item));
	s->heap = xcalloc(count ? count : 1, sizeof(*s->heap));
	s->host = xcalloc(nhost ? nhost : 1, sizeof(*s->host));
	s->count = count;
	s->running_max = running_max;
	for (int lane = 0; lane < SCHED_LANES; lane++)
		TAILQ_INIT(&s->ring[lane]);
	for (uint32_t h = 0; h < nhost; h++) {
		HALE_ASSERT(host_max[h] > 0);
		s->host[h].max = host_max[h];
		for (int lane = 0; lane < SCHED_LANES; lane++)
			TAILQ_INIT(&s->host[h].waiting[lane]);
	}
	for (uint32_t i = 0; i < count; i++) {
		HALE_ASSERT(host[i] < nhost);
		s->item[i].host = host[i];
		s->item[i].heap_at = SCHED_NOWHERE;
	}
	return s;
}

void
prober_sched_freep(struct prober_sched **s)
{
	if (!*s)
		return;
	free((*s)->item);
	free((*s)->heap);
	free((*s)->host);
	xfreep(s);
}

/* --- the heap of due times --- */

static void
prober_sched_put(struct prober_sched *s, uint32_t at, uint32_t i)
{
	s->heap[at] = i;
	s->item[i].heap_at = at;
}

/* Moves item i, whose place in the heap is open at `at`, to where it belongs. */
static void
prober_sched_sift(struct prober_sched *s, uint32_t at, uint32_t i)
{
	uint64_t due = s->item[i].due_ns;

	while (at > 0 && s->item[s->heap[(at - 1) / 2]].due_ns > due) {
		prober_sched_put(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (uint32_t kid; (kid = 2 * at + 1) < s->nheap; at = kid) {
		if (kid + 1 < s->nheap && s->item[s->heap[kid + 1]].due_ns < s->item[s->heap[kid]].due_ns)
			kid++;
		if (s->item[s->heap[kid]].due_ns >= due)
			break;
		prober_sched_put(s, at, s->heap[kid]);
	}
	prober_sched_put(s, at, i);
}

static void
prober_sched_unheap(struct prober_sched *s, uint32_t i)
{
	uint32_t at = s->item[i].heap_at, last = s->heap[--s->nheap];

	s->item[i].heap_at = SCHED_NOWHERE;
	s->item[i].place = SCHED_IDLE;
	if (last != i)
		prober_sched_sift(s, at, last);
}

/* --- queues and rings --- */

static void
prober_sched_activate(struct prober_sched *s, struct sched_host *h, int lane)
{
	if (h->in_ring[lane] || TAILQ_EMPTY(&h->waiting[lane]))
		return;
	TAILQ_INSERT_TAIL(&s->ring[lane], h, ring[lane]);
	h->in_ring[lane] = true;
}

static void
prober_sched_enqueue(struct prober_sched *s, uint32_t i, enum sched_lane lane)
{
	struct sched_item *it = &s->item[i];
	struct sched_host *h = &s->host[it->host];

	it->place = SCHED_WAITING;
	it->lane = lane;
	TAILQ_INSERT_TAIL(&h->waiting[lane], it, link);
	prober_sched_activate(s, h, lane);
}

static void
prober_sched_dequeue(struct prober_sched *s, struct sched_item *it)
{
	TAILQ_REMOVE(&s->host[it->host].waiting[it->lane], it, link);
	it->place = SCHED_IDLE;
}

/* First waiting item of the next host in the lane that is below its bound. */
static struct sched_item *
prober_sched_turn(struct prober_sched *s, int lane)
{
	struct sched_host *h;
	struct sched_item *it;

	while ((h = TAILQ_FIRST(&s->ring[lane]))) {
		TAILQ_REMOVE(&s->ring[lane], h, ring[lane]);
		h->in_ring[lane] = false;
		it = TAILQ_FIRST(&h->waiting[lane]);
		if (!it || h->running >= h->max)
			continue; /* prober_sched_done() brings a full host back */
		prober_sched_dequeue(s, it);
		h->running++;
		prober_sched_activate(s, h, lane);
		return it;
	}
	return NULL;
}

/* --- what the prober calls --- */

void
prober_sched_at(struct prober_sched *s, uint32_t i, uint64_t due_ns)
{
	struct sched_item *it = &s->item[i];

	if (it->place == SCHED_WAITING || it->place == SCHED_RUNNING)
		return;
	if (it->place == SCHED_IDLE)
		it->heap_at = s->nheap++;
	it->place = SCHED_DUE;
	it->due_ns = due_ns;
	prober_sched_sift(s, it->heap_at, i);
}

void
prober_sched_now(struct prober_sched *s, uint32_t i)
{
	struct sched_item *it = &s->item[i];

	if (it->place == SCHED_RUNNING || (it->place == SCHED_WAITING && it->lane == SCHED_ASKED))
		return;
	if (it->place == SCHED_DUE)
		prober_sched_unheap(s, i);
	else if (it->place == SCHED_WAITING)
		prober_sched_dequeue(s, it);
	prober_sched_enqueue(s, i, SCHED_ASKED);
}

void
prober_sched_stop(struct prober_sched *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct sched_item *it = &s->item[i];

		if (it->place == SCHED_DUE)
			prober_sched_unheap(s, i);
		else if (it->place == SCHED_WAITING && it->lane == SCHED_ROUTINE)
			prober_sched_dequeue(s, it);
	}
}

bool
prober_sched_next(struct prober_sched *s, uint64_t now_ns, uint32_t *i)
{
	struct sched_item *it = NULL;

	while (s->nheap > 0 && s->item[s->heap[0]].due_ns <= now_ns) {
		uint32_t first = s->heap[0];

		prober_sched_unheap(s, first);
		prober_sched_enqueue(s, first, SCHED_ROUTINE);
	}
	if (s->running >= s->running_max)
		return false;
	for (int lane = 0; lane < SCHED_LANES && !it; lane++)
		it = prober_sched_turn(s, lane);
	if (!it)
		return false;
	it->place = SCHED_RUNNING;
	s->running++;
	*i = (uint32_t)(it - s->item);
	return true;
}

void
prober_sched_done(struct prober_sched *s, uint32_t i)
{
	struct sched_host *h = &s->host[s->item[i].host];

	HALE_ASSERT(s->item[i].place == SCHED_RUNNING);
	s->item[i].place = SCHED_IDLE;
	s->running--;
	h->running--;
	for (int lane = 0; lane < SCHED_LANES; lane++)
		prober_sched_activate(s, h, lane);
}

bool
prober_sched_is_running(const struct prober_sched *s, uint32_t i)
{
	return s->item[i].place == SCHED_RUNNING;
}

uint32_t
prober_sched_running(const struct prober_sched *s)
{
	return s->running;
}

uint64_t
prober_sched_due(const struct prober_sched *s)
{
	return s->nheap ? s->item[s->heap[0]].due_ns : PROBER_SCHED_NEVER;
}

/* --- times --- */

uint64_t
prober_sched_first(uint32_t i, uint32_t count, uint64_t now_ns, uint64_t interval_ns)
{
	uint64_t step = SCHED_STEP_NS;

	if (i < SCHED_BURST)
		return now_ns;
	if (step > interval_ns / 4 / count)
		step = interval_ns / 4 / count;
	return now_ns + (i - SCHED_BURST + 1) * step;
}

uint64_t
prober_sched_jitter(uint64_t now_ns, uint64_t due_ns, uint32_t random)
{
	uint64_t tenth = due_ns > now_ns ? (due_ns - now_ns) / 10 : 0;

	return tenth == 0 ? due_ns : due_ns - tenth + (uint64_t)((double)random / UINT32_MAX * 2 * (double)tenth);
}

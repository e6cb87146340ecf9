/* Shared health table, write side: the prober, and nobody else.
 *
 * Every function here is straight-line stores on lines that belong to the prober: no allocation, no log,
 * nothing that can fail half way. A writer that is killed between two stores leaves an odd sequence number;
 * its successor finds those slots in htable_attach() and starts them again as UNKNOWN. What makes "one
 * writer" true is that the master reaps a dead prober before it forks the next one.
 */
#include "hale/hale.h"

#include "hale/htable_writer.h"

#include <string.h>
#include <unistd.h>

#include "hale/clock.h"
#include "htable_layout.h"

unsigned
htable_attach(struct htable *t, uint64_t now_ns)
{
	struct htable_prober_line *p = htable_at_prober(t);
	unsigned repaired = 0;

	HALE_ASSERT(htable_header_check(t) == 0);
	t->epoch = atomic_load_explicit(&p->epoch, memory_order_relaxed) + 1;
	atomic_store_explicit(&p->epoch, t->epoch, memory_order_relaxed);
	atomic_store_explicit(&p->pid, (uint64_t)getpid(), memory_order_relaxed);
	atomic_store_explicit(&p->heartbeat_ns, now_ns, memory_order_relaxed);
	for (uint32_t i = 0; i < t->deployments; i++) {
		if (atomic_load_explicit(&htable_at_health(t, i)->seq, memory_order_relaxed) & 1) {
			htable_publish(t, i, &(struct htable_view){
				.id_hash = t->id_hash[i],
				.changed_ns = now_ns,
				.state = HEALTH_UNKNOWN,
				.reason = REASON_RESTARTED,
			});
			repaired++;
		}
		if (atomic_load_explicit(&htable_at_detail(t, i)->seq, memory_order_relaxed) & 1) {
			htable_publish_detail(t, i, &(struct htable_detail){0});
			repaired++;
		}
	}
	return repaired;
}

void
htable_publish(struct htable *t, uint32_t i, const struct htable_view *v)
{
	uint64_t w[SEQSLOT_WORDS];

	memcpy(w, v, sizeof(w));
	seqslot_write(htable_at_health(t, i), w);
}

void
htable_publish_detail(struct htable *t, uint32_t i, const struct htable_detail *d)
{
	struct htable_detail_slot *s = htable_at_detail(t, i);
	uint64_t w[HTABLE_DETAIL_WORDS];

	memcpy(w, d, sizeof(w));
	seqslot_write_words(&s->seq, s->w, w, HTABLE_DETAIL_WORDS);
}

void
htable_append_history(struct htable *t, uint32_t i, uint64_t now_ns, uint32_t latency_us, enum health_state s,
                      enum health_reason r)
{
	_Atomic uint64_t *head = htable_at_head(t, i);
	uint64_t k = atomic_load_explicit(head, memory_order_relaxed);
	uint64_t ms = latency_us / 1000 < UINT16_MAX ? latency_us / 1000 : UINT16_MAX;
	uint64_t word = (uint64_t)(uint32_t)(now_ns / NS_PER_SEC) << HTABLE_EVENT_SECONDS |
	                ms << HTABLE_EVENT_LATENCY | (uint64_t)(s & 3) << HTABLE_EVENT_STATE |
	                (uint64_t)(r & 31) << HTABLE_EVENT_REASON | htable_event_lap(k);

	atomic_store_explicit(&htable_at_ring(t, i)->entry[k % HTABLE_HISTORY], word, memory_order_relaxed);
	atomic_store_explicit(head, k + 1, memory_order_release); /* the word before its announcement */
}

void
htable_heartbeat(struct htable *t, uint64_t now_ns, uint64_t cycle)
{
	struct htable_prober_line *p = htable_at_prober(t);

	HALE_ASSERT(atomic_load_explicit(&p->epoch, memory_order_relaxed) == t->epoch);
	atomic_store_explicit(&p->cycle, cycle, memory_order_relaxed);
	atomic_store_explicit(&p->heartbeat_ns, now_ns, memory_order_relaxed);
}

void
htable_add_tokens(struct htable *t, uint64_t day, uint64_t tokens)
{
	struct htable_prober_line *p = htable_at_prober(t);

	if (atomic_load_explicit(&p->tokens_day, memory_order_relaxed) == day)
		tokens += atomic_load_explicit(&p->tokens_today, memory_order_relaxed);
	atomic_store_explicit(&p->tokens_today, tokens, memory_order_relaxed);
	atomic_store_explicit(&p->tokens_day, day, memory_order_relaxed);
}

void
htable_set_db(struct htable *t, enum daemon_db db)
{
	atomic_store_explicit(&htable_at_prober(t)->db, (uint64_t)db, memory_order_relaxed);
}

/* The shared segment, write side: the prober's capability (and the tests'). The layering check refuses
 * this header anywhere else.
 *
 * Publishing is a critical section: straight-line stores, no log, no allocation, nothing that can fail.
 */
#ifndef HALE_HTABLE_WRITER_H
#define HALE_HTABLE_WRITER_H

#include "hale/htable.h"

/* Becomes the writer: new epoch, own pid, every slot that a dead writer left half-written is rewritten
 * as UNKNOWN/REASON_RESTARTED. Only after the previous prober was reaped. Returns slots repaired. */
unsigned htable_attach(struct htable *t, uint64_t now_ns);
void htable_publish(struct htable *t, uint32_t i, const struct htable_view *v);
void htable_publish_detail(struct htable *t, uint32_t i, const struct htable_detail *d);
void htable_append_history(struct htable *t, uint32_t i, uint64_t now_ns, uint32_t latency_us, enum health_state s,
                           enum health_reason r);
/* Ends the process when another writer attached meanwhile: two
 * writers are the one thing that must not happen. */
void htable_heartbeat(struct htable *t, uint64_t now_ns, uint64_t cycle);
/* Adds what a probe cost to the daemon's account of that UTC day;
 * another day than the last starts a new one. */
void htable_add_tokens(struct htable *t, uint64_t day, uint64_t tokens);
void htable_set_db(struct htable *t, enum daemon_db db);

#endif

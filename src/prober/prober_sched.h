/* When to probe what: due times, concurrency, fairness between hosts. No clock of its own: now is passed in. */
#ifndef HALE_PROBER_SCHED_H
#define HALE_PROBER_SCHED_H

#include "hale/hale.h"

struct prober_sched;

#define PROBER_SCHED_NEVER UINT64_MAX

/* count items; item i belongs to host[i] < nhost, of which host_max[h] may run at once; running_max bounds all of
 * them together. Everything is copied. */
struct prober_sched *prober_sched_new(uint32_t count, const uint32_t *host, uint32_t nhost, const uint32_t *host_max,
                                      uint32_t running_max);
void prober_sched_freep(struct prober_sched **s);

/* Due at due_ns, replacing an earlier due time; an item that already waits for its turn or runs is left alone. */
void prober_sched_at(struct prober_sched *s, uint32_t i, uint64_t due_ns);
/* As soon as the bounds allow, before everything that is only due. No effect on a running item. */
void prober_sched_now(struct prober_sched *s, uint32_t i);
/* Forgets everything that is due but was not asked for; running items stay. */
void prober_sched_stop(struct prober_sched *s);

/* Takes the next item that may start; it counts as running until prober_sched_done(). false: none now. */
bool prober_sched_next(struct prober_sched *s, uint64_t now_ns, uint32_t *i);
void prober_sched_done(struct prober_sched *s, uint32_t i);
bool prober_sched_is_running(const struct prober_sched *s, uint32_t i);
uint32_t prober_sched_running(const struct prober_sched *s);
/* When prober_sched_next() may have something new without a prober_sched_done() before: the earliest due time. */
uint64_t prober_sched_due(const struct prober_sched *s);

/* First due time of item i of count: a small configuration at once, a large one spread so that it does not arrive
 * as one burst, over at most a quarter of the interval. */
uint64_t prober_sched_first(uint32_t i, uint32_t count, uint64_t now_ns, uint64_t interval_ns);
/* due_ns moved by up to a tenth of its distance from now in either direction. */
uint64_t prober_sched_jitter(uint64_t now_ns, uint64_t due_ns, uint32_t random);

#endif

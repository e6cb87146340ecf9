/* From a report to what everybody sees. */
#ifndef HALE_PROBER_PUBLISH_H
#define HALE_PROBER_PUBLISH_H

#include "prober_check.h"
#include "prober_state.h"

struct htable;

/* Moves deployment d's state, publishes slot, detail and history, logs a change. next_ns gets its jitter from
 * random. *out is the new view. */
void prober_publish_report(struct htable *t, const struct deployment *d, const struct prober_report *r,
                           const struct prober_thresholds *thresholds, uint64_t now_ns, uint32_t random,
                           struct htable_view *out);
/* r, a verdict about a key, reaches a deployment that was not probed: DOWN at once, next
 * probe as planned. from: whose probe it was. */
void prober_publish_shared(struct htable *t, const struct deployment *d, const struct deployment *from,
                           const struct prober_report *r, uint64_t now_ns);
/* Takes such a verdict back: what is left is that the key works. */
void prober_publish_unshared(struct htable *t, const struct deployment *d, uint64_t now_ns);
/* Real traffic has disproved the verdict in the slot since: UP, next
 * probe as planned. r: that verdict, vetoed. */
void prober_publish_vetoed(struct htable *t, const struct deployment *d, const struct prober_report *r,
                           uint64_t now_ns);
/* A daily token limit holds the probe of deployment i back: nothing is learned, the next one is due at
 * next_ns. */
void prober_publish_withheld(struct htable *t, uint32_t i, uint32_t day, uint64_t next_ns);
/* What a new prober does with a slot that it finds: a form that was refused last time is forgotten (the
 * configuration may have changed), next_ns becomes the given one. *v is the slot, before and after. */
void prober_publish_adopt(struct htable *t, uint32_t i, uint64_t next_ns, struct htable_view *v);

#endif

/* The shared segment, the master's own line: facts about the daemon. */
#ifndef HALE_HTABLE_MASTER_H
#define HALE_HTABLE_MASTER_H

#include "hale/htable.h"

void htable_set_daemon_state(struct htable *t, enum daemon_state s);
void htable_set_reload(struct htable *t, uint64_t real_ns, bool ok);
/* Zeroes worker w's in-flight figures after it was reaped: a dead worker has nothing in flight. */
void htable_worker_reaped(struct htable *t, unsigned w);

#endif

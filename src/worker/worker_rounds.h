/* On-demand probe rounds: the worker asks the prober and remembers who waits. */
#ifndef HALE_WORKER_ROUNDS_H
#define HALE_WORKER_ROUNDS_H

#include "hale/hale.h"
#include "hale/ipc.h"

struct worker;
struct worker_rounds;
struct worker_waiter;

struct worker_rounds *worker_rounds_new(struct worker *w);
void worker_rounds_freep(struct worker_rounds **r);
/* Calls done(arg, err) once, later, when every result of the scope is in the table: err 0; HALE_EBUSY when the
 * prober did not answer within health_round_timeout_ms. A round of the same scope that is already running is
 * joined. NULL: health_waiters_max requests wait already. Never blocks. */
struct worker_waiter *worker_rounds_ask(struct worker_rounds *r, enum ipc_scope scope, uint32_t index,
                                        void (*done)(void *arg, int err), void *arg);
/* The waiter does not want the answer any more (client gone); done is not called. */
void worker_rounds_forget(struct worker_waiter *waiter);

#endif

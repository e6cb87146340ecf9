/* On-demand rounds: workers ask, each deployment is probed once, everybody who asked is told. */
#ifndef HALE_PROBER_ROUND_H
#define HALE_PROBER_ROUND_H

#include "hale/hale.h"

struct conf;
struct event_base;
struct prober_rounds;

/* Makes sure that deployment i gets a result soon: starts or joins a probe. Never reports from inside. */
typedef void (*prober_round_ask_f)(void *arg, uint32_t i);

/* fd: this process's ends of the round pairs, borrowed. */
struct prober_rounds *prober_round_new(const struct conf *c, struct event_base *base, const int *fd, unsigned nfd,
                                       prober_round_ask_f ask, void *arg);
void prober_round_freep(struct prober_rounds **r);
/* Deployment i has a new result in the table. */
void prober_round_result(struct prober_rounds *r, uint32_t i);
/* true while somebody waits for deployment i. */
bool prober_round_wants(const struct prober_rounds *r, uint32_t i);
/* From now on whoever asks is refused with HALE_EBUSY; open rounds go on. */
void prober_round_close(struct prober_rounds *r);
/* Rounds that are not finished yet, and answers that a worker has not taken yet. */
unsigned prober_round_open(const struct prober_rounds *r);

#endif

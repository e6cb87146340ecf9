/* On-demand rounds: workers ask, each deployment is probed once, everybody who asked is told. */
#ifndef HALE_PROBER_ROUND_H
#define HALE_PROBER_ROUND_H

#include "hale/hale.h"

struct conf;
struct event_base;
struct prober_rounds;

struct prober_round_ops {
	/* Makes sure that deployment i gets a result soon: starts or joins a probe. Never reports from inside. */
	void (*ask)(void *arg, uint32_t i);
	/* A worker is gone for good: prober_round_is_over() may have become true. */
	void (*gone)(void *arg);
};

/* fd: this process's ends of the round pairs, borrowed. */
struct prober_rounds *prober_round_new(const struct conf *c, struct event_base *base, const int *fd, unsigned nfd,
                                       const struct prober_round_ops *ops, void *arg);
void prober_round_freep(struct prober_rounds **r);
/* Deployment i has a new result in the table. */
void prober_round_result(struct prober_rounds *r, uint32_t i);
/* true while somebody waits for deployment i. */
bool prober_round_wants(const struct prober_rounds *r, uint32_t i);
/* Rounds that are not finished yet. */
unsigned prober_round_open(const struct prober_rounds *r);
/* true when no round is open and nobody is left who could ask: the sockets' other ends are closed. */
bool prober_round_is_over(const struct prober_rounds *r);

#endif

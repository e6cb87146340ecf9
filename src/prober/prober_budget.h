/* Daily token limits: what background probes may still cost today. */
#ifndef HALE_PROBER_BUDGET_H
#define HALE_PROBER_BUDGET_H

#include "hale/hale.h"
#include "prober_policy.h"

struct conf;
struct htable;
struct identity;
struct prober_budget;

/* The account itself is in the table, so that it survives this process and a reload. All three outlive it. */
struct prober_budget *prober_budget_new(const struct conf *c, struct htable *t, const struct identity *id);
void prober_budget_freep(struct prober_budget **b);

/* May leader i be probed in the background now? */
enum policy_budget prober_budget_ask(const struct prober_budget *b, uint32_t i);
/* A probe of leader i is in flight, and no longer is (no effect when it was not). */
void prober_budget_begin(struct prober_budget *b, uint32_t i);
void prober_budget_end(struct prober_budget *b, uint32_t i);
/* Publishes that leader i and those it speaks for wait for the next
 * day, logs it once, and returns when that is. */
uint64_t prober_budget_withhold(struct prober_budget *b, uint32_t i, uint64_t now_ns);
/* Is a limit of leader i reached when its probe has cost `more`? */
bool prober_budget_is_reached(const struct prober_budget *b, uint32_t i, uint64_t more);

#endif

/* Drawing from large groups without looking at every member. Pure. */
#ifndef HALE_WORKER_ROUTE_TABLE_H
#define HALE_WORKER_ROUTE_TABLE_H

#include "hale/hale.h"

struct conf;
struct route_table;

/* Groups with fewer members have no table: looking at all of them is as quick. */
#define ROUTE_TABLE_MEMBERS_MIN 16

/* For a whole configuration, which must outlive it. */
struct route_table *worker_route_table_new(const struct conf *c);
void worker_route_table_freep(struct route_table **t);
/* A member of the group by weight, among those that worker_route() would draw from if all were well: not
 * blocked, of the lowest order. false: the group has no table. O(log members). */
bool worker_route_table_draw(const struct route_table *t, uint32_t group, uint64_t random,
                             uint32_t *deployment);

#endif

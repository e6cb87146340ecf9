/* Drawing from large groups.
 *
 * worker_route() looks at every member, which is right and quick for a dozen and too slow for a thousand. But
 * nearly always most members are well, and then a member drawn by its configured weight and taken only if it
 * is eligible has the very same distribution: that of the weights among the eligible (rejection sampling). So
 * a large group gets a table of running sums at start, a choice costs one binary search and the view of one
 * deployment, and only who drew badly a few times in a row pays for the whole look.
 *
 * Nothing here changes at run time and nothing is published by the prober: health is read where it is.
 */
#include "hale/hale.h"

#include "worker_route_table.h"

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "worker_route.h"

struct route_table_row {
	double until; /* sum of the weights up to and with this one */
	uint32_t deployment;
};

struct route_table_group {
	struct route_table_row *row; /* NULL: no table */
	uint32_t nrow;
};

struct route_table {
	uint32_t ngroup;
	struct route_table_group group[];
};

static void
worker_route_table_fill(const struct conf *c, const struct conf_group *g, struct route_table_group *out)
{
	int32_t lowest = INT32_MAX;
	double sum = 0;
	int metric;

	for (uint32_t i = 0; i < g->nmember; i++) {
		const struct deployment *d = &c->deployment[g->member[i]];

		if (!d->blocked && d->order < lowest)
			lowest = d->order;
	}
	out->row = xcalloc(g->nmember, sizeof(*out->row));
	for (uint32_t i = 0; i < g->nmember; i++) {
		const struct deployment *d = &c->deployment[g->member[i]];

		if (!d->blocked && d->order == lowest)
			out->row[out->nrow++].deployment = d->index;
	}
	metric = ROUTE_METRICS;
	for (int which = ROUTE_METRICS - 1; which >= 0; which--)
		for (uint32_t i = 0; i < out->nrow; i++)
			if (worker_route_metric(&c->deployment[out->row[i].deployment], which) > 0)
				metric = which;
	for (uint32_t i = 0; i < out->nrow; i++) {
		sum += worker_route_metric(&c->deployment[out->row[i].deployment], metric);
		out->row[i].until = sum;
	}
}

struct route_table *
worker_route_table_new(const struct conf *c)
{
	struct route_table *t = xcalloc(1, sizeof(*t) + c->ngroup * sizeof(t->group[0]));

	t->ngroup = c->ngroup;
	for (uint32_t i = 0; i < c->ngroup; i++)
		if (c->group[i].nmember >= ROUTE_TABLE_MEMBERS_MIN)
			worker_route_table_fill(c, &c->group[i], &t->group[i]);
	return t;
}

void
worker_route_table_freep(struct route_table **t)
{
	if (!*t)
		return;
	for (uint32_t i = 0; i < (*t)->ngroup; i++)
		free((*t)->group[i].row);
	xfreep(t);
}

bool
worker_route_table_draw(const struct route_table *t, uint32_t group, uint64_t random, uint32_t *deployment)
{
	const struct route_table_group *g = &t->group[group];
	uint32_t low = 0, high = g->nrow;
	double at;

	if (g->nrow == 0)
		return false;
	at = (double)(random >> 11) * 0x1p-53 * g->row[g->nrow - 1].until;
	while (low < high) { /* the first row whose sum is beyond it: never one without weight */
		uint32_t middle = low + (high - low) / 2;

		if (g->row[middle].until > at)
			high = middle;
		else
			low = middle + 1;
	}
	*deployment = g->row[low < g->nrow ? low : g->nrow - 1].deployment;
	return true;
}

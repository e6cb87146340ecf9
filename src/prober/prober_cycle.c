/* The account of what was checked since the last cycle ended. */
#include "hale/hale.h"

#include "prober_cycle.h"

#include "hale/arena.h"

static void
prober_cycle_restart(struct prober_cycle *c, const bool *enabled, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		c->seen[i] = !enabled[i];
	c->left = c->enabled;
	c->longest_ns = 0;
}

void
prober_cycle_init(struct prober_cycle *c, const bool *enabled, uint32_t count)
{
	*c = (struct prober_cycle){.seen = xcalloc(count ? count : 1, sizeof(*c->seen))};
	for (uint32_t i = 0; i < count; i++)
		c->enabled += enabled[i];
	prober_cycle_restart(c, enabled, count);
}

void
prober_cycle_release(struct prober_cycle *c)
{
	xfreep(&c->seen);
}

bool
prober_cycle_add(struct prober_cycle *c, const bool *enabled, uint32_t count, uint32_t i, uint64_t took_ns,
                 uint64_t *duration_ns)
{
	if (!enabled[i])
		return false;
	if (took_ns > c->longest_ns)
		c->longest_ns = took_ns;
	if (c->seen[i])
		return false;
	c->seen[i] = true;
	if (--c->left > 0)
		return false;
	*duration_ns = c->longest_ns;
	c->number++;
	prober_cycle_restart(c, enabled, count);
	return true;
}

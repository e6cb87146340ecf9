/* Text to number, for tables that are filled once and read often (ids, groups, anchors, schema keys).
 *
 * Memory comes from an arena and goes with it; keys are borrowed. Nothing is ever removed.
 */
#ifndef HALE_STRMAP_H
#define HALE_STRMAP_H

#include "hale/hale.h"

struct arena;
struct strmap_slot;

struct strmap {
	struct arena *arena;
	struct strmap_slot *slot;
	uint32_t nslot, used; /* nslot: a power of two, 0 before the first put */
};

/* expected: how many keys will come; growing beyond it is fine. */
void strmap_init(struct strmap *m, struct arena *a, uint32_t expected);
/* Place of the number for key, added as `missing` when absent. Valid until the next put. Never NULL. */
uint32_t *strmap_put(struct strmap *m, const char *key, uint32_t missing);
/* Place of the number, NULL when absent. */
uint32_t *strmap_get(const struct strmap *m, const char *key);
/* The same on every host and in every build: FNV-1a with a final mix, so that low bits are usable. */
uint64_t strmap_hash(const char *key);

#endif

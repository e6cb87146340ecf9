/* Open addressing with linear probing, at most half full. */
#include "hale/hale.h"

#include "strmap.h"

#include "hale/arena.h"

struct strmap_slot {
	const char *key; /* NULL: free */
	uint64_t hash;
	uint32_t value;
};

uint64_t
strmap_hash(const char *key)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (const unsigned char *p = (const unsigned char *)key; *p; p++)
		h = (h ^ *p) * 0x100000001b3ULL;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	return h ^ (h >> 32);
}

static void
strmap_resize(struct strmap *m, uint32_t nslot)
{
	struct strmap_slot *old = m->slot;
	uint32_t nold = m->nslot;

	m->slot = arena_alloc(m->arena, (size_t)nslot * sizeof(*m->slot));
	m->nslot = nslot;
	for (uint32_t i = 0; i < nold; i++) {
		uint32_t at = (uint32_t)old[i].hash & (nslot - 1);

		if (old[i].key == NULL)
			continue;
		while (m->slot[at].key)
			at = (at + 1) & (nslot - 1);
		m->slot[at] = old[i];
	}
}

void
strmap_init(struct strmap *m, struct arena *a, uint32_t expected)
{
	uint32_t nslot = 16;

	*m = (struct strmap){.arena = a};
	while (nslot / 2 < expected && nslot < (1u << 30))
		nslot *= 2;
	strmap_resize(m, nslot);
}

static struct strmap_slot *
strmap_find(const struct strmap *m, const char *key, uint64_t hash)
{
	uint32_t at = (uint32_t)hash & (m->nslot - 1);

	while (m->slot[at].key && (m->slot[at].hash != hash || strcmp(m->slot[at].key, key) != 0))
		at = (at + 1) & (m->nslot - 1);
	return &m->slot[at];
}

uint32_t *
strmap_put(struct strmap *m, const char *key, uint32_t missing)
{
	uint64_t hash = strmap_hash(key);
	struct strmap_slot *s = strmap_find(m, key, hash);

	if (s->key)
		return &s->value;
	if (m->used >= m->nslot / 2) {
		strmap_resize(m, m->nslot * 2);
		s = strmap_find(m, key, hash);
	}
	m->used++;
	*s = (struct strmap_slot){.key = key, .hash = hash, .value = missing};
	return &s->value;
}

uint32_t *
strmap_get(const struct strmap *m, const char *key)
{
	struct strmap_slot *s;

	if (m->nslot == 0)
		return NULL;
	s = strmap_find(m, key, strmap_hash(key));
	return s->key ? &s->value : NULL;
}

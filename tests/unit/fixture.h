/* Configurations made by hand, for tests of what runs behind the loader. Static memory, no cleanup. */
#ifndef HALE_TESTS_FIXTURE_H
#define HALE_TESTS_FIXTURE_H

#include "hale/hale.h"

#include <string.h>

#include "hale/conf.h"
#include "hale/deployment.h"

#define FIXTURE_MAX 64

struct fixture {
	struct conf conf;
	struct deployment deployment[FIXTURE_MAX];
	char id[FIXTURE_MAX][32];
};

/* FNV-1a: any 64-bit hash serves the table. */
static inline uint64_t
fixture_hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	return h;
}

/* One deployment per word of ids ("a b c"). */
static inline void
fixture_init(struct fixture *f, uint64_t generation, const char *ids)
{
	uint32_t n = 0;

	*f = (struct fixture){.conf = {.generation = generation, .deployment = f->deployment}};
	while (*ids) {
		size_t len = strcspn(ids, " ");
		struct deployment *d = &f->deployment[n];

		HALE_ASSERT(n < FIXTURE_MAX && len < sizeof(f->id[n]));
		memcpy(f->id[n], ids, len);
		d->index = n;
		d->id = f->id[n];
		d->id_hash = fixture_hash(d->id);
		ids += len + (ids[len] == ' ');
		n++;
	}
	f->conf.ndeployment = n;
}

#endif

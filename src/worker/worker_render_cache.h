/* Entries of /health as they were rendered last. */
#ifndef HALE_WORKER_RENDER_CACHE_H
#define HALE_WORKER_RENDER_CACHE_H

#include "hale/hale.h"

struct render_cache;

/* For `count` deployments; keeps at most bytes_max of text, 0: nothing. */
struct render_cache *worker_render_cache_new(uint32_t count, size_t bytes_max);
void worker_render_cache_freep(struct render_cache **c);

/* What an entry was made of: htable_version() from before its slots were read, and the UTC day. */
struct render_stamp {
	uint64_t version;
	uint32_t day;
};

/* Text of deployment i as this kind of reader gets it, when nothing it was made of has changed; borrowed
 * until the next put. NULL: to be rendered. */
const char *worker_render_cache_get(const struct render_cache *c, uint32_t i, bool admin,
                                    const struct render_stamp *s, size_t *len);
/* Replaces what is kept. */
void worker_render_cache_put(struct render_cache *c, uint32_t i, bool admin, const struct render_stamp *s,
                             const char *text, size_t len);

#endif

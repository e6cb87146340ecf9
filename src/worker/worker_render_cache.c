/* Entries of /health as they were rendered last.
 *
 * An entry changes when the prober publishes, so once in an interval; /health may be asked many times a
 * second, by monitors that poll and by people that watch. An entry is therefore kept under the version of the
 * slots that it was made of. A version that moved on while the entry was made is the old one, so such an
 * entry is made again the next time: the cache can be late to keep, never late to forget.
 *
 * When bytes_max is reached, further entries are rendered every time; what is kept stays,
 * because all are asked for equally often.
 */
#include "hale/hale.h"

#include "worker_render_cache.h"

#include "hale/arena.h"

struct render_cached {
	struct render_stamp stamp;
	char *text; /* NULL: none */
	uint32_t len;
};

struct render_cache {
	size_t bytes, bytes_max;
	uint32_t count;
	struct render_cached entry[]; /* [deployment][admin] */
};

struct render_cache *
worker_render_cache_new(uint32_t count, size_t bytes_max)
{
	struct render_cache *c = xcalloc(1, sizeof(*c) + (size_t)count * 2 * sizeof(c->entry[0]));

	c->count = count;
	c->bytes_max = bytes_max;
	return c;
}

void
worker_render_cache_freep(struct render_cache **c)
{
	if (!*c)
		return;
	for (size_t i = 0; i < (size_t)(*c)->count * 2; i++)
		free((*c)->entry[i].text);
	xfreep(c);
}

const char *
worker_render_cache_get(const struct render_cache *c, uint32_t i, bool admin, const struct render_stamp *s,
                        size_t *len)
{
	const struct render_cached *e = &c->entry[(size_t)i * 2 + admin];

	if (!e->text || e->stamp.version != s->version || e->stamp.day != s->day)
		return NULL;
	*len = e->len;
	return e->text;
}

void
worker_render_cache_put(struct render_cache *c, uint32_t i, bool admin, const struct render_stamp *s,
                        const char *text, size_t len)
{
	struct render_cached *e = &c->entry[(size_t)i * 2 + admin];

	if (c->bytes - (e->text ? e->len : 0) + len > c->bytes_max || len > UINT32_MAX)
		return;
	if (!e->text || e->len != len) {
		c->bytes += len - (e->text ? e->len : 0);
		e->text = xrealloc(e->text, len);
		e->len = (uint32_t)len;
	}
	memcpy(e->text, text, len);
	e->stamp = *s;
}

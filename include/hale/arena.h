/* Bump allocator: many small objects with one end of life (a config generation, a request). */
#ifndef HALE_ARENA_H
#define HALE_ARENA_H

#include "hale/hale.h"

struct arena;

/* first_bytes: size of the first block. Allocation failure ends the process (see xmalloc). */
struct arena *arena_new(size_t first_bytes);
void arena_freep(struct arena **a);
/* Zeroed, aligned for any type. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) HALE_PRINTF(2, 3);
/* Bytes taken from the system so far. */
size_t arena_bytes(const struct arena *a);

/* Like malloc/calloc/realloc/strdup, but failure ends the process with a log line: the supervisor
 * starts it again. Used where no smaller unit of failure exists. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
/* Frees and sets NULL. */
#define xfreep(pp) \
	do { \
		free(*(pp)); \
		*(pp) = NULL; \
	} while (0)

#endif

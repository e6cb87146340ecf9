/* Bump allocator and the allocation calls that cannot fail.
 *
 * Blocks double in size up to 1 MiB; a request larger than a block gets a block of its own. Nothing is given
 * back before the whole arena is.
 */
#include "hale/hale.h"

#include "hale/arena.h"

#include <stdalign.h>
#include <stdarg.h>

#include "hale/log.h"
#include "hale/proc.h"

#define ARENA_BLOCK_MAX (1u << 20)
#define ARENA_ALIGN (alignof(max_align_t))

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(max_align_t) char data[];
};

struct arena {
	struct arena_block *head;
	size_t next_size, total;
};

static struct arena_block *
arena_block_new(struct arena *a, size_t at_least)
{
	size_t size = a->next_size > at_least ? a->next_size : at_least;
	struct arena_block *b = xmalloc(sizeof(*b) + size);

	b->size = size;
	b->used = 0;
	b->next = a->head;
	a->head = b;
	a->total += sizeof(*b) + size;
	if (a->next_size < ARENA_BLOCK_MAX)
		a->next_size *= 2;
	return b;
}

struct arena *
arena_new(size_t first_bytes)
{
	struct arena *a = xcalloc(1, sizeof(*a));

	a->next_size = first_bytes ? first_bytes : 4096;
	return a;
}

void
arena_freep(struct arena **ap)
{
	struct arena *a = *ap;

	if (a == NULL)
		return;
	while (a->head) {
		struct arena_block *b = a->head;

		a->head = b->next;
		free(b);
	}
	xfreep(ap);
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->head;
	size_t need = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	void *p;

	HALE_ASSERT(need >= size);
	if (b == NULL || b->size - b->used < need)
		b = arena_block_new(a, need);
	p = b->data + b->used;
	b->used += need;
	return memset(p, 0, need);
}

char *
arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = arena_alloc(a, len + 1);

	memcpy(p, s, len);
	return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	HALE_ASSERT(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

size_t
arena_bytes(const struct arena *a)
{
	return a->total;
}

static void *
arena_check(void *p, size_t size)
{
	if (p == NULL)
		log_fatal(PROC_EXIT_CRASH, "out of memory bytes=%zu", size);
	return p;
}

void *
xmalloc(size_t size)
{
	return arena_check(malloc(size ? size : 1), size);
}

void *
xcalloc(size_t count, size_t size)
{
	return arena_check(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *
xrealloc(void *p, size_t size)
{
	return arena_check(realloc(p, size ? size : 1), size);
}

char *
xstrndup(const char *s, size_t len)
{
	char *p = xmalloc(len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

/* Error codes as text, and the bounded list of configuration messages. */
#include "hale/hale.h"

#include "hale/err.h"

#include <stdarg.h>

#include "hale/arena.h"

const char *
err_text(int code)
{
	switch (code) {
	case HALE_OK: return "success";
	case HALE_ESYS: return "system call failed";
	case HALE_ENOMEM: return "out of memory";
	case HALE_EINVAL: return "invalid input";
	case HALE_ERANGE: return "out of range";
	case HALE_ENOENT: return "not found";
	case HALE_ELIMIT: return "limit reached";
	case HALE_EUNSUPPORTED: return "not supported";
	case HALE_ECONF: return "configuration refused";
	case HALE_EBUSY: return "busy";
	default: return "unknown error";
	}
}

void
errlist_init(struct errlist *l)
{
	*l = (struct errlist){0};
}

static void
err_entry_release(struct err_entry *e)
{
	xfreep(&e->file);
	xfreep(&e->key);
	xfreep(&e->text);
}

void
errlist_release(struct errlist *l)
{
	for (unsigned i = 0; i < ERRLIST_MAX; i++) {
		err_entry_release(&l->error[i]);
		err_entry_release(&l->warning[i]);
	}
	errlist_init(l);
}

void
errlist_add(struct errlist *l, bool warning, const char *file, uint32_t line, uint32_t column, const char *key,
            const char *fmt, ...)
{
	unsigned *n = warning ? &l->nwarning : &l->nerror;
	struct err_entry *e;
	char text[512];
	va_list ap;

	if ((*n)++ >= ERRLIST_MAX)
		return;
	e = warning ? &l->warning[*n - 1] : &l->error[*n - 1];
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->file = file ? xstrdup(file) : NULL;
	e->key = key ? xstrdup(key) : NULL;
	e->text = xstrdup(text);
	e->line = line;
	e->column = column;
	e->warning = warning;
}

int
errlist_format(const struct err_entry *e, char *buf, size_t size)
{
	char place[32] = "";

	if (e->line)
		snprintf(place, sizeof(place), ":%u:%u", e->line, e->column);
	return snprintf(buf, size, "%s%s: %s%s%s", e->file ? e->file : "(built-in)", place, e->key ? e->key : "",
	                e->key ? ": " : "", e->text);
}

/* Growable text or byte buffer with a bound: past `max` it stops growing and remembers that it did. */
#ifndef HALE_STRBUF_H
#define HALE_STRBUF_H

#include "hale/hale.h"

struct strbuf {
	char *data; /* always NUL-terminated once something was added; NULL before */
	size_t len, cap, max;
	bool overflow; /* something did not fit; what is there is a prefix */
};

#define STRBUF_DEFAULT_MAX (64u << 20)

void strbuf_init(struct strbuf *b, size_t max); /* max 0: STRBUF_DEFAULT_MAX */
void strbuf_release(struct strbuf *b);
void strbuf_clear(struct strbuf *b); /* keeps the memory */
void strbuf_add(struct strbuf *b, const void *data, size_t len);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) HALE_PRINTF(2, 3);
/* Removes n bytes at the front (n <= len). */
void strbuf_drop(struct strbuf *b, size_t n);
/* The text, "" when empty. Borrowed until the next change. */
const char *strbuf_str(const struct strbuf *b);
/* Transfers the memory to the caller (free()); the buffer is empty afterwards. Never NULL. */
char *strbuf_take(struct strbuf *b);

/* JSON text output, enough for answers of fixed shape. */
void strbuf_json_string(struct strbuf *b, const char *s);             /* quoted and escaped; NULL gives null */
void strbuf_json_stringn(struct strbuf *b, const char *s, size_t len); /* invalid UTF-8 becomes U+FFFD */

#endif

/* Keeps secrets out of what people read: logs, /health, error texts. */
#ifndef HALE_REDACT_H
#define HALE_REDACT_H

#include "hale/hale.h"

struct conf;
struct strbuf;

/* "Bearer team-a-key" -> "Be****ey"; shorter than 5 characters -> "****". */
void redact_mask(const char *secret, struct strbuf *out);
/* true for parameter and header names whose value is secret (api_key, authorization, ...secret...). */
bool redact_is_secret_name(const char *name);
/* Copies text, replacing every secret of the configuration and everything that looks like a provider key
 * (sk-..., Bearer ...) by its mask. c may be NULL. */
void redact_text(const struct conf *c, const char *text, size_t len, struct strbuf *out);

#endif

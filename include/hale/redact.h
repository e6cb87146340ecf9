/* Keeps secrets out of what people read: logs, /health, error texts. */
#ifndef HALE_REDACT_H
#define HALE_REDACT_H

#include "hale/hale.h"

struct arena;
struct conf;
struct redact_set;
struct strbuf;

/* "Bearer team-a-key" -> "Be****ey"; shorter than 5 characters -> "****". */
void redact_mask(const char *secret, struct strbuf *out);
/* true for parameter and header names whose value is secret (api_key, authorization, ...secret...). Names of
 * amounts (max_tokens, input_cost_per_token) are not. */
bool redact_is_secret_name(const char *name);
/* Copies text, replacing every secret of the configuration and everything that looks like a provider key
 * (sk-..., Bearer ...) by its mask. c may be NULL. Uses c->secrets; without it the set is built for this call. */
void redact_text(const struct conf *c, const char *text, size_t len, struct strbuf *out);
/* Every string under a secret name of c->root, the deployments' keys and the master key, sorted for lookup.
 * Allocated in a; c's strings are borrowed. The loader's last step. */
const struct redact_set *redact_set_build(struct arena *a, const struct conf *c);

#endif

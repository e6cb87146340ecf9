/* What the provider files share: building addresses and headers, and the cells of the table. */
#ifndef HALE_PROVIDER_IMPL_H
#define HALE_PROVIDER_IMPL_H

#include "hale/provider.h"

/* A configured base, taken apart: query parameters stay behind the path that gets appended. */
struct provider_base {
	const char *root;  /* without a trailing slash and without a mode's path */
	const char *query; /* without '?'; NULL if none */
};

/* HALE_EINVAL: no base, not http(s), or characters that no URL has. */
int provider_endpoint_base(struct arena *a, const struct deployment *d, struct provider_base *out) HALE_MUST_USE;
/* Adds a header, or replaces the one of that name; NULL value: none. HALE_EINVAL: characters that would break
 * the request head. Borrows both. */
int provider_endpoint_header(struct endpoint *e, const char *name, const char *value) HALE_MUST_USE;
/* Adds litellm_params.extra_headers. */
int provider_endpoint_extra(struct arena *a, const struct deployment *d, struct endpoint *e) HALE_MUST_USE;
/* One path segment or query value with everything but unreserved characters as %XX. */
char *provider_endpoint_encode(struct arena *a, const char *text);
/* root + path (+ "?" query, joined with the base's own); query may be NULL. */
char *provider_endpoint_url(struct arena *a, const struct provider_base *b, const char *path, const char *query);

/* Essential members of answers in OpenAI's form. */
bool provider_openai_has_message(const char *body, size_t len, const char **why);
bool provider_openai_has_text(const char *body, size_t len, const char **why);
bool provider_openai_has_embedding(const char *body, size_t len, const char **why);

extern const struct provider_op provider_openai_chat, provider_openai_completion, provider_openai_embedding;
extern const struct provider_op provider_azure_chat, provider_azure_completion, provider_azure_embedding;
extern const struct provider_op provider_anthropic_chat;

#endif

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
/* Is this parameter in the base's own query? */
bool provider_endpoint_has(const struct provider_base *b, const char *name);
/* root + path (+ "?" query, joined with the base's own); query may be NULL. */
char *provider_endpoint_url(struct arena *a, const struct provider_base *b, const char *path, const char *query);

/* Essential members of answers in OpenAI's form (provider_essential.c). */
bool provider_essential_message(const char *body, size_t len, const char **why);    /* choices[0].message */
bool provider_essential_text(const char *body, size_t len, const char **why);       /* choices[0].text */
bool provider_essential_embedding(const char *body, size_t len, const char **why);  /* data[0].embedding */
bool provider_essential_image(const char *body, size_t len, const char **why);      /* data[0].url or .b64_json */
bool provider_essential_transcript(const char *body, size_t len, const char **why); /* text, which may be empty */
bool provider_essential_audio(const char *body, size_t len, const char **why);      /* bytes that are no text */
bool provider_essential_ranking(const char *body, size_t len, const char **why);    /* results[0] with a score */
bool provider_essential_list(const char *body, size_t len, const char **why);       /* data: an array */
bool provider_essential_pages(const char *body, size_t len, const char **why);      /* pages[0] */
bool provider_essential_output(const char *body, size_t len, const char **why);     /* output of a response that did not fail */
bool provider_essential_moderation(const char *body, size_t len, const char **why); /* results[0] with a verdict */
bool provider_essential_content(const char *body, size_t len, const char **why);    /* Anthropic's content or stop_reason */
bool provider_essential_tokens(const char *body, size_t len, const char **why);     /* Anthropic's input_tokens */
bool provider_essential_candidate(const char *body, size_t len, const char **why);  /* Gemini's candidates[0] */
bool provider_essential_vector(const char *body, size_t len, const char **why);     /* Gemini's embeddings[0].values */
bool provider_essential_invoked(const char *body, size_t len, const char **why);    /* Bedrock's embedding(s) */
bool provider_essential_converse(const char *body, size_t len, const char **why);   /* Bedrock's output.message.content */
bool provider_essential_prediction(const char *body, size_t len, const char **why); /* Imagen's predictions[0] or Gemini's */
bool provider_essential_reply(const char *body, size_t len, const char **why);      /* Cohere's message, finished well */
bool provider_essential_typed(const char *body, size_t len, const char **why);      /* Cohere's embeddings by type */
bool provider_essential_scores(const char *body, size_t len, const char **why);     /* results or data[0] with a score */

/* Address and bearer key of everything that speaks OpenAI's form. */
int provider_openai_endpoint(struct arena *a, const struct provider_op *op, const struct deployment *d,
                             const char *model, bool stream, struct endpoint *out);

/* Cells by mode; an unused one has no endpoint function. */
extern const struct provider_op provider_openai_op[MODE_COUNT];
extern const struct provider_op provider_azure_op[MODE_COUNT];
extern const struct provider_op provider_anthropic_op[MODE_COUNT];
extern const struct provider_op provider_gemini_op[MODE_COUNT];
extern const struct provider_op provider_bedrock_op[MODE_COUNT];
extern const struct provider_op provider_cohere_op[MODE_COUNT];
extern const struct provider_op provider_voyage_op[MODE_COUNT], provider_fireworks_op[MODE_COUNT];

#endif

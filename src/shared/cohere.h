/* Between OpenAI's forms and Cohere's v2: chat (request, answer, stream) and embeddings. */
#ifndef HALE_COHERE_H
#define HALE_COHERE_H

#include "hale/provider.h"

struct json_object;
struct strbuf;

/* Members of struct provider_xlate; contracts there. */
int cohere_request(const struct deployment *d, const char *model, struct json_object *openai,
                   struct strbuf *out, const char **why);
int cohere_answer(const char *model, const char *body, size_t len, struct strbuf *out);
int cohere_error(int status, const char *body, size_t len, struct strbuf *message, const char **type);
struct xlate_stream *cohere_stream_new(const char *model, bool include_usage);
int cohere_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done);
void cohere_stream_free(struct xlate_stream *s);
int cohere_embed_request(const struct deployment *d, const char *model, struct json_object *openai,
                         struct strbuf *out, const char **why);
int cohere_embed_answer(const char *model, const char *body, size_t len, struct strbuf *out);

/* OpenAI's word for a finish_reason; "stop" for unknown ones and NULL. */
const char *cohere_finish(const char *reason);
/* Does this finish_reason say that the answer failed? Cohere says so with status 200. */
bool cohere_failed(const char *reason);
/* OpenAI's usage object from Cohere's (NULL: zeros). */
void cohere_usage(struct json_object *usage, struct strbuf *out);

#endif

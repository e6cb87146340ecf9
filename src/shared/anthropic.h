/* Between OpenAI's chat form and Anthropic's messages: the three halves of the translation. */
#ifndef HALE_ANTHROPIC_H
#define HALE_ANTHROPIC_H

#include "hale/err.h"
#include "hale/provider.h"
#include "xlate_build.h"

/* Members of struct provider_xlate; contracts there. */
int anthropic_request(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
                      const char **why);
int anthropic_answer(const char *model, const char *body, size_t len, struct strbuf *out);
int anthropic_error(int status, const char *body, size_t len, struct strbuf *message, const char **type);
struct xlate_stream *anthropic_stream_new(const char *model, bool include_usage);
int anthropic_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done);
void anthropic_stream_free(struct xlate_stream *s);

/* OpenAI's word for a stop_reason; "stop" for unknown ones and NULL. */
const char *anthropic_finish(const char *stop_reason);
/* OpenAI's error type for Anthropic's. */
const char *anthropic_error_type(const char *type);

/* Members that are present replace what is in u: later events of a stream refine earlier ones. */
void anthropic_usage_read(struct json_object *usage, struct xlate_usage *u);

/* anthropic_request.c writes turns, anthropic_params.c the rest. */
/* {"type": type}, with the cache mark of the part that it comes from (or NULL). */
struct json_object *anthropic_request_block(const char *type, struct json_object *part);
/* response_format; may add to the system messages. */
int anthropic_params_format(struct xlate_build *b);
/* Everything else. */
int anthropic_params_fill(struct xlate_build *b);

#endif

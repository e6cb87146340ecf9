/* Amazon Bedrock: names of models, and the translation between OpenAI's chat form and the Converse API. */
#ifndef HALE_BEDROCK_H
#define HALE_BEDROCK_H

#include "hale/err.h"
#include "hale/provider.h"
#include "xlate_build.h"

struct arena;

/* Stands for the region in a base address. */
#define BEDROCK_REGION "{region}"

/* "us-west-2/x", "converse/eu.anthropic.x", "arn:aws:bedrock:...": what is asked for, and where. */
struct bedrock_model {
	const char *id;     /* inside the text that was parsed */
	const char *region; /* NULL: the name says none */
};
/* Takes off segments that are a region of AWS or name an API of
 * Bedrock; cross-region prefixes ("eu.") stay. */
void bedrock_model_parse(struct arena *a, const char *model, struct bedrock_model *out);
/* The name without regions, as LiteLLM shows it: "converse/x". */
const char *bedrock_model_shown(struct arena *a, const char *model);
/* Region of an ARN; NULL: it is none, or has none. arn may be NULL. */
const char *bedrock_model_arn_region(struct arena *a, const char *arn);
/* Has it the form of one, "us-gov-west-1"? */
bool bedrock_model_is_region(const char *s, size_t len);
/* base with BEDROCK_REGION replaced, and the domain of China's regions where they are meant. */
const char *bedrock_model_base(struct arena *a, const char *base, const char *region);

/* Members of struct provider_xlate; contracts there. */
int bedrock_request(const struct deployment *d, const char *model, struct json_object *openai,
                    struct strbuf *out, const char **why);
int bedrock_answer(const char *model, const char *body, size_t len, struct strbuf *out);
int bedrock_error(int status, const char *body, size_t len, struct strbuf *message, const char **type);
struct xlate_stream *bedrock_stream_new(const char *model, bool include_usage);
int bedrock_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done);
int bedrock_stream_end(struct xlate_stream *s, struct strbuf *out);
void bedrock_stream_free(struct xlate_stream *s);

/* The same for embeddings (bedrock_embed.c). */
int bedrock_embed_request(const struct deployment *d, const char *model, struct json_object *openai,
                          struct strbuf *out, const char **why);
int bedrock_embed_answer(const char *model, const char *body, size_t len, struct strbuf *out);

/* OpenAI's word for a stopReason; "stop" for unknown ones and NULL. */
const char *bedrock_finish(const char *stop_reason);
/* An id for an answer: Bedrock's bodies have none. */
void bedrock_answer_id(char out[25]);
/* Members that are present replace what is in u. */
void bedrock_usage_read(struct json_object *usage, struct xlate_usage *u);

/* bedrock_request.c writes turns, bedrock_params.c the rest. */
/* Appends {"cachePoint"} to list when the part that was written before it asks to be cached. */
void bedrock_request_mark(struct json_object *list, struct json_object *part);
/* response_format; may add to the system messages. */
int bedrock_params_format(struct xlate_build *b);
/* Everything else. */
int bedrock_params_fill(struct xlate_build *b);

#endif

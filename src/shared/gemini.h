/* Between OpenAI's forms and Google's generateContent, batchEmbedContents and predict. */
#ifndef HALE_GEMINI_H
#define HALE_GEMINI_H

#include "hale/err.h"
#include "hale/provider.h"
#include "xlate_build.h"

/* Members of struct provider_xlate; contracts there. */
int gemini_request(const struct deployment *d, const char *model, struct json_object *openai,
                   struct strbuf *out, const char **why);
int gemini_answer(const char *model, const char *body, size_t len, struct strbuf *out);
int gemini_error(int status, const char *body, size_t len, struct strbuf *message, const char **type);
int gemini_status(int status, const char *body, size_t len);
struct xlate_stream *gemini_stream_new(const char *model, bool include_usage);
int gemini_stream_feed(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done);
int gemini_stream_end(struct xlate_stream *s, struct strbuf *out);
void gemini_stream_free(struct xlate_stream *s);
int gemini_embed_request(const struct deployment *d, const char *model, struct json_object *openai,
                         struct strbuf *out, const char **why);
int gemini_embed_answer(const char *model, const char *body, size_t len, struct strbuf *out);
int gemini_image_request(const struct deployment *d, const char *model, struct json_object *openai,
                         struct strbuf *out, const char **why);
int gemini_image_answer(const char *model, const char *body, size_t len, struct strbuf *out);
int gemini_image_error(int status, const char *body, size_t len, struct strbuf *message, const char **type);
int gemini_image_status(int status, const char *body, size_t len);

/* Of a request and of a stream. */
#define GEMINI_CHOICES_MAX 8
/* Google's models that only make pictures have another operation. */
#define GEMINI_IS_IMAGEN(model) (strstr(model, "imagen") != NULL)
/* The model as a path: "models/" before a name that has no collection of its own ("tunedModels/x"). */
#define GEMINI_COLLECTION(model) (strchr(model, '/') ? "" : "models/")

/* gemini_request.c writes turns, gemini_params.c the rest. Refuses
 * what would change the shape of the answer. */
int gemini_params_check(struct xlate_build *b);
/* Tools, tool_choice, generationConfig and Gemini's own members. */
int gemini_params_fill(struct xlate_build *b);
/* A JSON schema as Gemini's subset of OpenAPI's, a value of its
 * own. NULL: *why says what is wrong with it. */
struct json_object *gemini_schema(struct json_object *in, const char **why);

/* Token counts; members that are present replace what is in u. */
struct gemini_usage {
	int64_t prompt, candidates, thoughts, cached, tools, total;
};
void gemini_usage_read(struct json_object *metadata, struct gemini_usage *u);
/* OpenAI's usage object. */
void gemini_usage_write(const struct gemini_usage *u, struct strbuf *out);
/* OpenAI's word for a finishReason. called: the answer has tool calls. */
const char *gemini_finish(const char *reason, bool called);
/* The error object of {"error": {...}} or [{"error": {...}}]; borrowed, NULL when there is none. */
struct json_object *gemini_error_of(struct json_object *answer);
/* The members of one tool call, from "id" on, without the braces around
 * them. number: of the call in its answer. */
void gemini_call_write(struct json_object *part, const char *answer_id, unsigned number, struct strbuf *out);

#endif

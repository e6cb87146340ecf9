/* Between OpenAI's chat form and Anthropic's messages: the three halves of the translation, and small
 * readers of json-c trees that they share.
 */
#ifndef HALE_ANTHROPIC_H
#define HALE_ANTHROPIC_H

#include <json-c/json.h>

#include "hale/err.h"
#include "hale/provider.h"

#define ANTHROPIC_PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

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
/* A JSON object of its own (json_object_put), NULL when the text is none. */
struct json_object *anthropic_parse(const char *text, size_t len);

/* Token counts as Anthropic reports them. */
struct anthropic_usage {
	int64_t input, output, cache_write, cache_read;
};
/* Members that are present replace what is in u: later events of a stream refine earlier ones. */
void anthropic_usage_read(struct json_object *usage, struct anthropic_usage *u);
/* OpenAI's usage object. */
void anthropic_usage_write(const struct anthropic_usage *u, struct strbuf *out);

/* Member that is neither absent nor null; borrowed. NULL also when o is no object. */
static inline struct json_object *
anthropic_get(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

/* Text of a string member, NULL when it is none; borrowed. */
static inline const char *
anthropic_text(struct json_object *o, const char *key)
{
	struct json_object *v = anthropic_get(o, key);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

static inline bool
anthropic_is(struct json_object *o, const char *key, const char *word)
{
	const char *s = anthropic_text(o, key);

	return s && strcmp(s, word) == 0;
}

/* A string, or the named string member of an object; NULL when it is neither. */
static inline const char *
anthropic_word(struct json_object *o, const char *key)
{
	return json_object_is_type(o, json_type_string) ? json_object_get_string(o) : anthropic_text(o, key);
}

/* Elements of an array, 0 when o is none. */
static inline size_t
anthropic_count(struct json_object *o)
{
	return json_object_is_type(o, json_type_array) ? json_object_array_length(o) : 0;
}

/* One request on its way: anthropic_request.c writes turns, anthropic_params.c the rest. */
struct anthropic_build {
	struct json_object *in, *out, *messages, *system;
	const char *model, *why;
	bool bare_tool_turn; /* an assistant turn with tool calls and without its thinking */
};

/* HALE_EINVAL, with the reason. */
static inline int
anthropic_fail(struct anthropic_build *b, const char *why)
{
	b->why = why;
	return HALE_EINVAL;
}

/* {"type": type}, with the cache mark of the part that it comes from (or NULL). */
struct json_object *anthropic_request_block(const char *type, struct json_object *part);
/* Refuses what would change the shape of the answer. */
int anthropic_params_check(struct anthropic_build *b);
/* response_format; may add to the system messages. */
int anthropic_params_format(struct anthropic_build *b);
/* Everything else. */
int anthropic_params_fill(struct anthropic_build *b);

#endif

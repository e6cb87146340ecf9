/* What the translations between OpenAI's form and a provider's share: readers of json-c trees, the event
 * stream of a provider as whole events, and the chunks of a stream in OpenAI's form.
 */
#ifndef HALE_XLATE_H
#define HALE_XLATE_H

#include <json-c/json.h>

#include "hale/provider.h"
#include "hale/strbuf.h"

#define XLATE_PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
/* One event: far more than any that a provider sends, far less than would hurt. */
#define XLATE_EVENT_MAX (4u << 20)

/* What response_format "json_object" becomes where the provider has no such switch. */
#define XLATE_ASK_JSON "Answer with one JSON object and nothing else."

/* A JSON value of its own (json_object_put), NULL when the text is none or has more behind it. */
struct json_object *xlate_parse_value(const char *text, size_t len);
/* The same for an object only. */
struct json_object *xlate_parse(const char *text, size_t len);
/* Appends o as text. */
void xlate_plain(struct json_object *o, struct strbuf *out);

/* "data:image/png;base64,..." taken apart; type is not terminated. */
struct xlate_data_url {
	const char *type, *base64;
	size_t type_len;
};
/* false: not such a URL. */
bool xlate_data_url(const char *url, struct xlate_data_url *out);

/* Bytes that arrive cut anywhere, as the data of whole server-sent events. */
struct xlate_events {
	struct strbuf line;  /* the unfinished line */
	struct strbuf event; /* data of the event */
	bool whole;          /* event was handed out */
};
void xlate_events_init(struct xlate_events *e);
void xlate_events_release(struct xlate_events *e);
/* Takes bytes up to the end of the next event and moves *data and *len behind them. 1: e->event is whole,
 * until the next call; 0: the bytes are used up; HALE_ELIMIT: an event is larger than XLATE_EVENT_MAX. */
int xlate_events_next(struct xlate_events *e, const char **data, size_t *len) HALE_MUST_USE;

/* Writes "chat.completion.chunk" events. */
struct xlate_chunk {
	char *model, *id; /* id: NULL until the provider has said one */
	uint64_t created;
	bool include_usage;
	bool tool_open, tool_arguments; /* a tool call is open; some of its arguments are out */
	unsigned ntool;                 /* tool calls begun so far */
};
void xlate_chunk_init(struct xlate_chunk *c, const char *model, bool include_usage);
void xlate_chunk_release(struct xlate_chunk *c);
/* The id becomes "chatcmpl-" and what the provider calls the answer (NULL: nothing). */
void xlate_chunk_name(struct xlate_chunk *c, const char *id);
/* Begins a chunk: what follows are members of the delta of that choice. */
void xlate_chunk_open(const struct xlate_chunk *c, unsigned index, struct strbuf *out);
void xlate_chunk_close(const struct xlate_chunk *c, const char *finish, struct strbuf *out);
/* A chunk whose delta has one string; nothing when text is no string. */
void xlate_chunk_string(const struct xlate_chunk *c, unsigned index, const char *member,
                        struct json_object *text, struct strbuf *out);
/* The last chunk, with the usage object if the client asked for it, and [DONE]. */
void xlate_chunk_done(const struct xlate_chunk *c, const char *usage, struct strbuf *out);
/* An error event; NULL message: a general one. */
void xlate_chunk_error(const char *message, const char *type, const char *code, struct strbuf *out);

/* The same for the parts that most streams have (xlate_chat.c). A finish reason alone. */
void xlate_chunk_finish(const struct xlate_chunk *c, const char *finish, struct strbuf *out);
void xlate_chunk_role(const struct xlate_chunk *c, unsigned index, struct strbuf *out);
/* A tool call begins; more of its arguments, when it is open and text has some; it ends: a call without
 * arguments gets "{}", because clients parse them. */
void xlate_chunk_tool(struct xlate_chunk *c, const char *id, const char *name, struct strbuf *out);
void xlate_chunk_arguments(struct xlate_chunk *c, const char *text, struct strbuf *out);
void xlate_chunk_tool_end(struct xlate_chunk *c, struct strbuf *out);

/* A whole answer up to the value of its content. */
void xlate_answer_open(const char *id, const char *model, struct strbuf *out);
/* Appends a string value to joined text; false: it is none. */
bool xlate_join(struct json_object *text, struct strbuf *joined);
/* The n-th tool call, from 0 on: `,"tool_calls":[{...}` or `,{...}`. NULL and empty arguments are "{}". */
void xlate_answer_tool(unsigned n, const char *id, const char *name, const char *arguments,
                       struct strbuf *out);
/* The end of a choice. */
void xlate_answer_finish(const char *finish, struct strbuf *out);
/* A value as the text of a call's arguments, borrowed from it; NULL for NULL. */
const char *xlate_arguments(struct json_object *value);

/* max_completion_tokens, else max_tokens; *limit stays when neither is there. HALE_EINVAL: *why. */
int xlate_limit(struct json_object *openai, int64_t *limit, const char **why) HALE_MUST_USE;
/* stop as a list of the caller's (json_object_put), NULL when there is none. HALE_EINVAL: *why. */
int xlate_stop(struct json_object *openai, struct json_object **list, const char **why) HALE_MUST_USE;

/* Refuses what would change the shape of the answer, for providers that
 * give one plain choice: HALE_EINVAL, *why. */
int xlate_check_choice(struct json_object *openai, const char **why) HALE_MUST_USE;
/* A limit that leaves room for a budget of thinking tokens, which count as output. */
int64_t xlate_limit_above(int64_t limit, int64_t budget);
/* thinking as Anthropic's models take it. */
struct json_object *xlate_thinking(int64_t budget);
/* reasoning_effort as a budget of thinking tokens, LiteLLM's figures; 0: none was asked for. */
int64_t xlate_reasoning_budget(struct json_object *openai);

/* Token counts of providers that report cached tokens beside the prompt's. */
struct xlate_usage {
	int64_t input, output, cache_write, cache_read;
};
/* A member of the provider's object, when it is a sensible count; else *out stays. */
void xlate_usage_count(struct json_object *usage, const char *key, int64_t *out);
/* OpenAI's usage object. */
void xlate_usage_write(const struct xlate_usage *u, struct strbuf *out);
/* xlate_chunk_done() with it. */
void xlate_usage_done(const struct xlate_usage *u, const struct xlate_chunk *c, struct strbuf *out);

/* An id of a tool call with letters, digits, '_' and '-' only; other gateways make other ones. */
struct json_object *xlate_tool_id(const char *id);
/* The arguments of a tool call as an object, {} for NULL and blanks; NULL when they are none. */
struct json_object *xlate_tool_input(const char *arguments);
/* A copy of a function's parameters that is a schema of an object, also when they are absent. */
struct json_object *xlate_tool_schema(struct json_object *parameters);

/* Member that is neither absent nor null; borrowed. NULL also when o is no object. */
static inline struct json_object *
xlate_get(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

/* Text of a string member, NULL when it is none; borrowed. */
static inline const char *
xlate_text(struct json_object *o, const char *key)
{
	struct json_object *v = xlate_get(o, key);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

static inline bool
xlate_is(struct json_object *o, const char *key, const char *word)
{
	const char *s = xlate_text(o, key);

	return s && strcmp(s, word) == 0;
}

/* A string, or the named string member of an object; NULL when it is neither. */
static inline const char *
xlate_word(struct json_object *o, const char *key)
{
	return json_object_is_type(o, json_type_string) ? json_object_get_string(o) : xlate_text(o, key);
}

/* Elements of an array, 0 when o is none. */
static inline size_t
xlate_count(struct json_object *o)
{
	return json_object_is_type(o, json_type_array) ? json_object_array_length(o) : 0;
}

#endif

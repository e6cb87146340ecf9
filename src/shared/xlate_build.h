/* An OpenAI chat request on its way to a provider's. The walk over messages, parts and tool calls is the same
 * for everybody and stands in xlate_build.c; what a provider calls them is in its struct xlate_build_op.
 */
#ifndef HALE_XLATE_BUILD_H
#define HALE_XLATE_BUILD_H

#include "hale/err.h"
#include "xlate.h"

struct xlate_build {
	const struct xlate_build_op *op;
	struct json_object *in, *out;
	struct json_object *turns, *system; /* arrays: turns as they go out, blocks of the system messages */
	const char *model, *why;
	bool results;            /* the last turn holds results of tools (results_apart) */
	bool tool_turns;         /* the conversation has tool calls or results */
	bool bare_tool_turn;     /* an assistant turn with tool calls and without its thinking */
	unsigned ndocument;      /* files so far, where they need names */
	struct json_object *names; /* function names by the id of their call, where results need them */
};

/* A tool call of an assistant message, checked. */
struct xlate_call {
	struct json_object *whole; /* as the client wrote it */
	const char *id, *name;
	struct json_object *take_input; /* an object; goes to whom the call is given */
	bool first;                     /* of its message */
};

struct xlate_build_op {
	const char *content;   /* member of a turn that lists its blocks */
	const char *assistant; /* role of the model's turns */
	bool results_apart;    /* results of tools stand in a turn without anything else */
	/* Everything: calls xlate_build_messages() and adds the parameters to b->out. */
	int (*fill)(struct xlate_build *b);
	/* The rest is for xlate_build_messages(). A string as a block, for part (NULL: the message is a
	 * string); NULL: left out, because the provider refuses such texts. */
	struct json_object *(*text)(struct json_object *text, struct json_object *part);
	/* A part that is no text. */
	int (*part)(struct xlate_build *b, struct json_object *part, struct json_object **block);
	/* After the block of part (NULL: of a string) went to list; NULL: nothing to do. */
	void (*mark)(struct json_object *list, struct json_object *part);
	/* What a client got with an earlier answer and sends back; NULL: it is left out. */
	void (*thinking)(struct xlate_build *b, struct json_object *block);
	void (*call)(struct xlate_build *b, const struct xlate_call *call);
	int (*result)(struct xlate_build *b, struct json_object *message, const char *id);
};

/* The whole of provider_xlate.request for an op; b is zero but for what the provider put there. */
int xlate_build_request(struct xlate_build *b, const struct xlate_build_op *op, const char *model,
                        struct json_object *openai, struct strbuf *out, const char **why) HALE_MUST_USE;
/* All messages, into b->turns and b->system. The first turn is the user's and there is one at least. */
int xlate_build_messages(struct xlate_build *b) HALE_MUST_USE;
/* String or array of parts (NULL: nothing) as blocks, to list, or to the turn
 * of a role (list NULL), which it may begin. */
int xlate_build_content(struct xlate_build *b, struct json_object *content, const char *role,
                        struct json_object *list) HALE_MUST_USE;
/* Blocks of the last turn if that has the role, else of a new one: neighbours are merged, because the
 * results of parallel tool calls must stand in one turn. results: for a tool's result. */
struct json_object *xlate_build_turn(struct xlate_build *b, const char *role, bool results);
/* For providers that want it so: the answer's beginning, if the last turn is one, does not end in white
 * space. type: of a block of text; NULL: blocks have none. */
void xlate_build_trim_last(struct xlate_build *b, const char *type);

/* HALE_EINVAL, with the reason. */
static inline int
xlate_fail(struct xlate_build *b, const char *why)
{
	b->why = why;
	return HALE_EINVAL;
}

/* {key: value}; takes value. */
static inline struct json_object *
xlate_one(const char *key, struct json_object *take_value)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, key, take_value);
	return o;
}

static inline void
xlate_put_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text));
}

#endif

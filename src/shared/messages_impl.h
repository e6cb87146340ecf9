/* Anthropic's messages in OpenAI's form: what the files of the
 * translation share. Contracts in hale/messages.h. */
#ifndef HALE_MESSAGES_IMPL_H
#define HALE_MESSAGES_IMPL_H

#include "hale/err.h"
#include "hale/messages.h"
#include "hale/strbuf.h"
#include "xlate.h"

/* One request on its way: messages_request.c writes turns, messages_params.c the rest. */
struct messages_build {
	const struct deployment *d;
	const char *model, *why;
	struct json_object *in, *out, *messages;
	bool rich; /* the cell translates: it reads parts, cache marks and thinking */
};

static inline int
messages_fail(struct messages_build *b, const char *why)
{
	b->why = why;
	return HALE_EINVAL;
}

/* Everything but messages and system. */
int messages_params(struct messages_build *b);

/* From OpenAI's usage object, in which the cached tokens are part of the
 * prompt's; leaves u alone when it is none. */
void messages_usage_read(struct json_object *usage, struct xlate_usage *u);
void messages_usage_write(const struct xlate_usage *u, struct strbuf *out);
/* Anthropic's word for a finish_reason. tools: the answer has calls, whatever the reason says. */
const char *messages_stop_reason(const char *finish, bool tools);
/* Text of a string, or of the text parts of an array; false: there is none. */
bool messages_text(struct json_object *content, struct strbuf *out);

#endif

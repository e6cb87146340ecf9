/* Anthropic's messages for deployments that speak something else: the client's request becomes an OpenAI chat
 * request, which the deployment's chat cell takes, and the cell's answer becomes Anthropic's again.
 *
 * It is the mirror image of a provider_xlate, on the client's side of the cell; both may be at work at once.
 * Pure, as those are.
 */
#ifndef HALE_MESSAGES_H
#define HALE_MESSAGES_H

#include "hale/hale.h"

struct deployment;
struct json_object;
struct messages_stream;
struct strbuf;

/* The chat request for d's upstream `model`; *openai is the caller's (json_object_put). HALE_EINVAL: *why
 * (static text) says what cannot be said to this deployment. */
int messages_request(const struct deployment *d, const char *model, struct json_object *anthropic,
                     struct json_object **openai, const char **why);
/* Does the client want to see the model think? What it did not ask for, it may not expect. */
bool messages_wants_thinking(struct json_object *anthropic);
/* Whole chat answer -> message. model: the client's word. HALE_EINVAL: not OpenAI's form. */
int messages_answer(const char *model, bool thinking, const char *body, size_t len, struct strbuf *out);

struct messages_stream *messages_stream_new(const char *model, bool thinking);
/* Bytes of an OpenAI stream in, whole events of Anthropic's out. An error event becomes one. HALE_EINVAL: not
 * OpenAI's form; HALE_ELIMIT: an event is too large. */
int messages_stream_feed(struct messages_stream *s, const char *data, size_t len, struct strbuf *out);
/* The connection ended in order: says the rest if the answer was finished, else nothing. */
void messages_stream_end(struct messages_stream *s, struct strbuf *out);
void messages_stream_free(struct messages_stream *s);

#endif

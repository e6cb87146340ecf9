/* Errors of upstreams in the words of clients, for every kind of relay. */
#ifndef HALE_WORKER_ANSWER_H
#define HALE_WORKER_ANSWER_H

#include "hale/hale.h"
#include "hale/mode.h"

struct conf;
struct provider_op;
struct strbuf;

/* The error body that a deployment's operation sent, as an envelope that a client of this dialect reads,
 * without secrets. text: what happened, for bodies that are no envelope. */
void worker_answer_foreign(const struct conf *c, const struct provider_op *op, enum dialect d, int status,
                           const char *text, const struct strbuf *body, struct strbuf *out);

#endif

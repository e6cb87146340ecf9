/* Error answers in the envelopes that clients parse: OpenAI's, Anthropic's, and LiteLLM's {"detail": ...}. */
#ifndef HALE_APIERROR_H
#define HALE_APIERROR_H

#include "hale/hale.h"
#include "hale/mode.h"

struct strbuf;

/* {"error":{"message","type","param","code"}}; NULL param gives null. code is a string, the status as text
 * when NULL. NULL type: apierror_type(status). */
void apierror_openai(struct strbuf *out, int status, const char *message, const char *type, const char *param,
                     const char *code);
/* OpenAI's type word for a status: "invalid_request_error", "rate_limit_error", "server_error" ... */
const char *apierror_type(int status);
/* {"type":"error","error":{"type","message"},"request_id"}; NULL type: apierror_anthropic_type(status), NULL
 * request_id: left out. */
void apierror_anthropic(struct strbuf *out, int status, const char *message, const char *type,
                        const char *request_id);
/* Anthropic's type word for a status: "invalid_request_error", "overloaded_error", "api_error" ... */
const char *apierror_anthropic_type(int status);
/* apierror_openai() or apierror_anthropic(), whichever a client of this dialect reads. */
void apierror_dialect(struct strbuf *out, enum dialect d, int status, const char *message, const char *param,
                      const char *code);
/* The event that ends a stream which cannot be finished, framed, without the end of the event before it.
 * sequence: its number in the stream, where the dialect counts. */
void apierror_event(struct strbuf *out, enum dialect d, uint32_t sequence, int status, const char *message,
                    const char *code);
/* {"detail": "text"} and {"detail": {"error": "text"}} */
void apierror_detail(struct strbuf *out, const char *text);
void apierror_detail_error(struct strbuf *out, const char *text);

#endif

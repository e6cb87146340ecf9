/* Error answers in the envelopes that clients parse: OpenAI's, and LiteLLM's {"detail": ...}. */
#ifndef HALE_APIERROR_H
#define HALE_APIERROR_H

#include "hale/hale.h"

struct strbuf;

/* {"error":{"message","type","param","code"}}; NULL param gives null. code is a string, the status as text
 * when NULL. NULL type: apierror_type(status). */
void apierror_openai(struct strbuf *out, int status, const char *message, const char *type, const char *param,
                     const char *code);
/* OpenAI's type word for a status: "invalid_request_error", "rate_limit_error", "server_error" ... */
const char *apierror_type(int status);
/* {"detail": "text"} and {"detail": {"error": "text"}} */
void apierror_detail(struct strbuf *out, const char *text);
void apierror_detail_error(struct strbuf *out, const char *text);

#endif

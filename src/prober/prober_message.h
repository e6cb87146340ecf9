/* What the body of a probe's answer says, beyond its status. Pure; any bytes are allowed as body. */
#ifndef HALE_PROBER_MESSAGE_H
#define HALE_PROBER_MESSAGE_H

#include "hale/hale.h"

/* The provider's own words in an error body: "error.message", "message", "detail" and their like, the title of an
 * HTML page, or a short plain text. Control characters become spaces; cut at a UTF-8 boundary. Returns buf, or NULL
 * when there is nothing to quote. */
const char *prober_message_text(const char *body, size_t len, char *buf, size_t size);
/* Google's RetryInfo: details[].retryDelay ("34s"). Returns buf or NULL. */
const char *prober_message_delay(const char *body, size_t len, char *buf, size_t size);
/* The HTTP status that a 200 body with an error inside reports ("error": {"code": 429}); 0: none. */
int prober_message_status(const char *body, size_t len);
/* Tokens that the answer was billed for, in the forms of OpenAI, Anthropic, Gemini and Cohere; 0: not said. */
uint32_t prober_message_tokens(const char *body, size_t len);

#endif

/* Embeddings in OpenAI's form: vectors as base64, which the official SDKs ask for. Pure. */
#ifndef HALE_EMBEDDING_H
#define HALE_EMBEDDING_H

#include "hale/hale.h"

struct strbuf;

/* Does the request say "encoding_format": "base64"? */
bool embedding_wants_base64(const char *request, size_t len);
/* Replaces the lists of numbers of an answer by base64 of little-endian floats.
 * Vectors that are base64 already stay. HALE_EINVAL: not an answer of that form (it is
 * as it was); HALE_ELIMIT: it became too large. */
int embedding_to_base64(struct strbuf *answer) HALE_MUST_USE;

#endif

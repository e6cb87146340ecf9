/* Vectors as base64.
 *
 * OpenAI's SDKs ask for base64 unless told otherwise, and the one for Node.js reads an answer
 * that holds numbers instead as garbage. Providers with a form of their own send numbers, so
 * the translated answer gets this last step.
 */
#include "hale/hale.h"

#include "hale/embedding.h"

#include <openssl/evp.h>

#include "hale/arena.h"
#include "hale/err.h"
#include "hale/json_scan.h"
#include "xlate.h"

bool
embedding_wants_base64(const char *request, size_t len)
{
	struct json_want want = {.key = "encoding_format"};
	const char *why;
	size_t at;

	return json_members(request, len, JSON_DEPTH_MAX, &want, 1, &why, &at) == 0 && want.value.len == 8 &&
	       memcmp(request + want.value.start, "\"base64\"", 8) == 0;
}

/* NULL: not a list of numbers. */
static struct json_object *
embedding_encode(struct json_object *vector)
{
	size_t n = xlate_count(vector), bytes = n * 4;
	struct json_object *out = NULL;
	unsigned char *raw, *text;

	if (n == 0 || n > 1u << 20)
		return NULL;
	raw = xcalloc(1, bytes);
	text = xcalloc(1, (bytes + 2) / 3 * 4 + 1);
	for (size_t i = 0; i < n; i++) {
		struct json_object *v = json_object_array_get_idx(vector, i);
		float f = (float)json_object_get_double(v);
		uint32_t bits;

		if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
			goto out;
		memcpy(&bits, &f, sizeof(bits));
		for (unsigned k = 0; k < 4; k++)
			raw[i * 4 + k] = (unsigned char)(bits >> 8 * k);
	}
	EVP_EncodeBlock(text, raw, (int)bytes);
	out = json_object_new_string((const char *)text);
out:
	free(text);
	free(raw);
	return out;
}

int
embedding_to_base64(struct strbuf *answer)
{
	struct json_object *in = xlate_parse(strbuf_str(answer), answer->len), *data = xlate_get(in, "data");
	int rc = xlate_count(data) ? 0 : HALE_EINVAL;

	for (size_t i = 0; i < xlate_count(data) && !rc; i++) {
		struct json_object *one = json_object_array_get_idx(data, i), *vector = xlate_get(one, "embedding"), *text;

		if (json_object_is_type(vector, json_type_string))
			continue;
		text = embedding_encode(vector);
		if (text)
			json_object_object_add(one, "embedding", text);
		else
			rc = HALE_EINVAL;
	}
	if (!rc) {
		strbuf_clear(answer);
		xlate_plain(in, answer);
		rc = answer->overflow ? HALE_ELIMIT : 0;
	}
	json_object_put(in);
	return rc;
}

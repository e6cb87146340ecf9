/* Reading the bodies of answers: error messages, retry delays, token counts.
 *
 * Providers agree on nothing but JSON, and not always on that, so this is a list of the places where
 * each of them puts what we want. A body that is no JSON is quoted only when it is short plain text or
 * has a <title>: a page of HTML in a log line helps nobody.
 */
#include "hale/hale.h"

#include "prober_message.h"

#include <ctype.h>
#include <strings.h>

#include <json-c/json.h>

#define MESSAGE_JSON_DEPTH 32
#define MESSAGE_JSON_BYTES (256u << 10)
#define MESSAGE_PLAIN_BYTES 1024

/* NULL when the body is no JSON. The caller puts it. */
static struct json_object *
prober_message_parse(const char *body, size_t len)
{
	struct json_tokener *tok;
	struct json_object *root;

	if (!body || len == 0 || len > MESSAGE_JSON_BYTES)
		return NULL;
	tok = json_tokener_new_ex(MESSAGE_JSON_DEPTH);
	if (!tok)
		return NULL;
	root = json_tokener_parse_ex(tok, body, (int)len);
	json_tokener_free(tok);
	return root;
}

/* Member of an object, first element of a list when key is NULL; NULL when o is something else. */
static struct json_object *
prober_message_get(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (key)
		return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
	return json_object_is_type(o, json_type_array) ? json_object_array_get_idx(o, 0) : NULL;
}

static const char *
prober_message_string(struct json_object *o)
{
	const char *s = json_object_is_type(o, json_type_string) ? json_object_get_string(o) : NULL;

	return s && *s ? s : NULL;
}

/* Copies printable text, cut at a UTF-8 boundary; NULL when nothing but blanks would remain. */
static const char *
prober_message_copy(const char *s, size_t len, char *buf, size_t size)
{
	size_t n = 0;
	bool text = false;

	while (len > 0 && isspace((unsigned char)*s)) {
		s++;
		len--;
	}
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		len--;
	if (len > size - 1)
		for (len = size - 1; len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80; )
			len--;
	for (; n < len; n++) {
		buf[n] = (unsigned char)s[n] < 0x20 || s[n] == 0x7f ? ' ' : s[n];
		text |= buf[n] != ' ';
	}
	buf[n] = '\0';
	return text ? buf : NULL;
}

/* The message of one error value: a text, or an object with a text in one of the usual places. */
static const char *
prober_message_of(struct json_object *o)
{
	static const char *const places[] = {"message", "Message", "detail", "msg", "error_description", "error",
	                                     "title", "reason"};
	const char *s = prober_message_string(o);

	for (size_t i = 0; !s && i < HALE_COUNT(places); i++)
		s = prober_message_string(prober_message_get(o, places[i]));
	return s;
}

/* OpenRouter wraps the provider's answer: error.metadata.raw says more than "Provider returned error". */
static const char *
prober_message_wrapped(struct json_object *error)
{
	return prober_message_string(prober_message_get(prober_message_get(error, "metadata"), "raw"));
}

static const char *
prober_message_find(struct json_object *root)
{
	static const char *const places[] = {"error", "errors", "detail", "message"};
	const char *s = NULL;

	for (size_t i = 0; !s && i < HALE_COUNT(places); i++) {
		struct json_object *o = prober_message_get(root, places[i]);

		s = prober_message_wrapped(o);
		if (!s)
			s = prober_message_of(o);
		if (!s)
			s = prober_message_of(prober_message_get(o, NULL));
		if (!s) /* {"detail": {"error": {"message": ...}}} */
			s = prober_message_of(prober_message_get(o, "error"));
	}
	return s ? s : prober_message_of(root);
}

/* <title> of a page, else short text that is no markup. */
static const char *
prober_message_plain(const char *body, size_t len, char *buf, size_t size)
{
	static const char open[] = "<title>";
	size_t skip = 0;

	if (len > MESSAGE_PLAIN_BYTES)
		len = MESSAGE_PLAIN_BYTES;
	while (skip < len && isspace((unsigned char)body[skip]))
		skip++;
	if (skip == len)
		return NULL;
	if (body[skip] != '<')
		return body[skip] == '{' || body[skip] == '[' ? NULL : prober_message_copy(body, len, buf, size);
	for (size_t i = skip; i + sizeof(open) - 1 < len; i++) {
		const char *start = body + i + sizeof(open) - 1, *end;

		if (strncasecmp(body + i, open, sizeof(open) - 1) != 0)
			continue;
		end = memchr(start, '<', (size_t)(body + len - start));
		return end ? prober_message_copy(start, (size_t)(end - start), buf, size) : NULL;
	}
	return NULL;
}

/* True when the kept bytes are text: what a peer sends as binary is not quoted. */
static bool
prober_message_is_text(const char *s, size_t len)
{
	for (size_t i = 0; i < len && i < 64; i++)
		if ((unsigned char)s[i] < 0x20 && !isspace((unsigned char)s[i]))
			return false;
	return true;
}

const char *
prober_message_text(const char *body, size_t len, char *buf, size_t size)
{
	struct json_object *root;
	const char *s = NULL;

	if (!body || len == 0)
		return NULL;
	root = prober_message_parse(body, len);
	if (json_object_is_type(root, json_type_array)) /* Gemini: [{"error": ...}] */
		s = prober_message_find(prober_message_get(root, NULL));
	else if (json_object_is_type(root, json_type_object))
		s = prober_message_find(root);
	else
		s = prober_message_string(root);
	if (s)
		s = prober_message_copy(s, strlen(s), buf, size);
	else if (!root && prober_message_is_text(body, len))
		s = prober_message_plain(body, len, buf, size);
	json_object_put(root);
	return s;
}

const char *
prober_message_delay(const char *body, size_t len, char *buf, size_t size)
{
	struct json_object *root = prober_message_parse(body, len), *error, *details;
	const char *found = NULL, *s;
	size_t n;

	error = prober_message_get(root, "error");
	if (!error)
		error = prober_message_get(prober_message_get(root, NULL), "error");
	details = prober_message_get(error, "details");
	n = json_object_is_type(details, json_type_array) ? json_object_array_length(details) : 0;
	for (size_t i = 0; i < n && !found; i++) {
		s = prober_message_string(prober_message_get(json_object_array_get_idx(details, i), "retryDelay"));
		if (s)
			found = prober_message_copy(s, strlen(s), buf, size);
	}
	json_object_put(root);
	return found;
}

int
prober_message_status(const char *body, size_t len)
{
	struct json_object *root = prober_message_parse(body, len), *error, *code;
	int status = 0;

	error = prober_message_get(root, "error");
	code = prober_message_get(error, "code");
	if (!code)
		code = prober_message_get(error, "status");
	if (json_object_is_type(code, json_type_int) || json_object_is_type(code, json_type_string))
		status = json_object_get_int(code); /* 0 for a word */
	json_object_put(root);
	return status >= 400 && status <= 599 ? status : 0;
}

static uint32_t
prober_message_count(struct json_object *o, const char *key)
{
	struct json_object *v = prober_message_get(o, key);
	int64_t n;

	if (!json_object_is_type(v, json_type_int) && !json_object_is_type(v, json_type_double))
		return 0;
	n = json_object_get_int64(v);
	return n < 0 ? 0 : n > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)n;
}

uint32_t
prober_message_tokens(const char *body, size_t len)
{
	struct json_object *root = prober_message_parse(body, len), *usage;
	uint32_t n;

	usage = prober_message_get(root, "usage");
	n = prober_message_count(usage, "total_tokens");
	if (n == 0) /* Anthropic, Bedrock */
		n = prober_message_count(usage, "input_tokens") + prober_message_count(usage, "output_tokens");
	if (n == 0)
		n = prober_message_count(usage, "totalTokens");
	if (n == 0)
		n = prober_message_count(usage, "inputTokens") + prober_message_count(usage, "outputTokens");
	if (n == 0)
		n = prober_message_count(prober_message_get(root, "usageMetadata"), "totalTokenCount");
	if (n == 0) { /* Cohere */
		usage = prober_message_get(usage, "billed_units");
		if (!usage)
			usage = prober_message_get(prober_message_get(root, "meta"), "billed_units");
		n = prober_message_count(usage, "input_tokens") + prober_message_count(usage, "output_tokens");
	}
	json_object_put(root);
	return n;
}

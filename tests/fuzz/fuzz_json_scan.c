/* The request scanner: what it accepts, json-c reads the same way; what json-c accepts, it accepts, except for the
 * rules named below. Spans lie inside the text, and a spliced request says the new model.
 */
#include "hale/hale.h"

#include <sys/uio.h>

#include <json-c/json.h>

#include "hale/err.h"
#include "hale/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH 32

/* json-c's strict mode is laxer than RFC 8259 and UTF-8 in the first three; the rest are rules of our own. */
static const char *const stricter[] = {
	"control character in a string",
	"bad number",
	"invalid UTF-8",
	"duplicate member",
	"a member name differs from the expected one only in letter case",
	"U+0000 or a lone surrogate in a member name",
	"model must be a string",
	"stream must be true or false",
};

static struct json_object *
parse(const char *text, size_t len)
{
	struct json_tokener *tok = json_tokener_new_ex(DEPTH);
	struct json_object *root;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	root = json_tokener_parse_ex(tok, text, (int)len);
	if (root && (json_tokener_get_parse_end(tok) != len || !json_object_is_type(root, json_type_object))) {
		json_object_put(root);
		root = NULL;
	}
	json_tokener_free(tok);
	return root;
}

static void
check_refusal(const char *text, size_t len, int rc, const char *why, size_t at)
{
	struct json_object *root;

	HALE_ASSERT(why && at <= len);
	if (rc == HALE_ELIMIT)
		return;
	for (size_t i = 0; i < HALE_COUNT(stricter); i++)
		if (strcmp(why, stricter[i]) == 0)
			return;
	root = parse(text, len);
	HALE_ASSERT(root == NULL);
}

static void
check_span(struct json_span s, size_t len)
{
	HALE_ASSERT(s.start <= len && s.len <= len - s.start);
}

static void
check_splice(const char *text, size_t len, const struct json_scan *s)
{
	struct iovec iov[3];
	struct json_scan again;
	const char *why;
	size_t at, n = 0;
	char *joined;

	if (json_splice(text, len, s, "\"new\"", 5, iov))
		return;
	joined = malloc(len + 5);
	for (int i = 0; i < 3; i++) {
		memcpy(joined + n, iov[i].iov_base, iov[i].iov_len);
		n += iov[i].iov_len;
	}
	HALE_ASSERT(json_scan(joined, n, DEPTH, &again, &why, &at) == 0);
	HALE_ASSERT(again.model.len == 5 && memcmp(joined + again.model.start, "\"new\"", 5) == 0);
	HALE_ASSERT(again.stream == s->stream);
	free(joined);
}

static void
check_accepted(const char *text, size_t len, const struct json_scan *s)
{
	struct json_object *root = parse(text, len), *v = NULL;
	char ours[8192];

	check_span(s->model, len);
	check_span(s->messages, len);
	check_span(s->input, len);
	check_span(s->prompt, len);
	check_span(s->stream_options, len);
	check_splice(text, len, s);
	/* json-c stops at a few things that RFC 8259 allows (lone surrogates in names, huge exponents). */
	if (!root)
		return;
	HALE_ASSERT(json_object_object_get_ex(root, "model", &v) == (s->model.len > 0));
	if (s->model.len && json_unescape(text + s->model.start, s->model.len, ours, sizeof(ours)) == 0)
		HALE_ASSERT(strcmp(ours, json_object_get_string(v)) == 0);
	v = NULL;
	json_object_object_get_ex(root, "stream", &v);
	HALE_ASSERT(json_object_get_boolean(v) == s->stream);
	json_object_put(root);
}

/* Looking into a member accepts nothing that the plain look refuses, and finds the same place. */
static void
check_members(const char *text, size_t size)
{
	struct json_want inner = {.key = "content"}, outer = {.key = "messages", .inner = &inner, .ninner = 1};
	struct json_want plain = {.key = "messages"};
	const char *why = NULL;
	size_t at = 0;

	if (json_members(text, size, DEPTH, &outer, 1, &why, &at))
		return;
	HALE_ASSERT(json_members(text, size, DEPTH, &plain, 1, &why, &at) == 0);
	HALE_ASSERT(plain.value.start == outer.value.start && plain.value.len == outer.value.len);
	check_span(outer.first, size);
	check_span(inner.value, size);
	HALE_ASSERT(outer.first.len == 0 || outer.first.start > outer.value.start);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1); /* its exact size: a read past the end is a crash under ASan */
	struct json_scan s;
	const char *why = NULL;
	size_t at = 0;
	int rc;

	if (size)
		memcpy(text, data, size);
	rc = json_scan(text, size, DEPTH, &s, &why, &at);
	if (rc)
		check_refusal(text, size, rc, why, at);
	else
		check_accepted(text, size, &s);
	check_members(text, size);
	free(text);
	return 0;
}

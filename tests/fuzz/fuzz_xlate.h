/* What the targets of all translations do: a stream means the same however it is cut; every request and answer that
 * is translated is JSON again.
 */
#ifndef FUZZ_XLATE_H
#define FUZZ_XLATE_H

#include <ctype.h>

#include <json-c/json.h>

#include "hale/json_scan.h"
#include "hale/strbuf.h"
#include "provider_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* json-c keeps invalid UTF-8 as it was, and the translation passes on what it got. */
static bool
is_json(const struct strbuf *b)
{
	struct json_want none;
	const char *why;
	size_t at;

	return json_members(strbuf_str(b), b->len, JSON_DEPTH_MAX, &none, 0, &why, &at) == 0 ||
	       strcmp(why, "invalid UTF-8") == 0 || strcmp(why, "bad number") == 0;
}

static int
run_stream(const struct provider_xlate *x, const char *text, size_t len, size_t step, struct strbuf *out, bool *done)
{
	struct xlate_stream *s = x->stream_new("m", true);
	int rc = 0;

	*done = false;
	for (size_t at = 0; at < len && !rc; at += step)
		rc = x->stream_feed(s, text + at, len - at < step ? len - at : step, out, done);
	if (!rc && !*done && x->stream_end)
		*done = x->stream_end(s, out) == 0;
	x->stream_free(s);
	return rc;
}

/* Times and the ids that are made of them may differ between two runs. */
static void
blank_times(struct strbuf *b)
{
	static const char *const before[] = {"\"created\":", "chatcmpl-", "call_"};

	for (size_t i = 0; i < HALE_COUNT(before); i++) {
		char *p = b->data;

		while (p && (p = strstr(p, before[i])) != NULL)
			for (p += strlen(before[i]); isxdigit((unsigned char)*p); p++)
				*p = '0';
	}
}

static void
check_stream(const struct provider_xlate *x, const char *text, size_t len, size_t step)
{
	struct strbuf a, b;
	bool done_a, done_b;
	int rc;

	strbuf_init(&a, 0);
	strbuf_init(&b, 0);
	rc = run_stream(x, text, len, len, &a, &done_a);
	HALE_ASSERT(rc == run_stream(x, text, len, step, &b, &done_b));
	blank_times(&a);
	blank_times(&b);
	HALE_ASSERT(done_a == done_b && a.len == b.len && memcmp(strbuf_str(&a), strbuf_str(&b), a.len) == 0);
	strbuf_release(&a);
	strbuf_release(&b);
}

static void
check_request(const struct provider_xlate *x, const char *model, const char *text, size_t len)
{
	struct json_tokener *tok = json_tokener_new_ex(32);
	struct json_object *o = json_tokener_parse_ex(tok, text, (int)len);
	const char *why = NULL;
	struct strbuf out;

	json_tokener_free(tok);
	strbuf_init(&out, 0);
	if (json_object_is_type(o, json_type_object)) {
		if (x->request(NULL, model, o, &out, &why) == 0)
			HALE_ASSERT(is_json(&out));
		else
			HALE_ASSERT(why && out.len == 0);
	}
	json_object_put(o);
	strbuf_release(&out);
}

/* First byte: 0 a request, 1 an answer, 2 an error, else a stream, cut into pieces of that size. */
static inline void
fuzz_xlate(const struct provider_op *op, const char *model, const uint8_t *data, size_t size)
{
	const struct provider_xlate *x = op->xlate;
	const char *why = NULL, *type = NULL;
	struct strbuf out;
	size_t len = size - 1;
	char *text;

	if (size < 2)
		return;
	text = malloc(len);
	memcpy(text, data + 1, len);
	strbuf_init(&out, 0);
	if (data[0] == 0) {
		check_request(x, model, text, len);
	} else if (data[0] == 1) {
		if (x->response("m", text, len, &out) == 0)
			HALE_ASSERT(is_json(&out));
		if (!op->essential(text, len, &why))
			HALE_ASSERT(why);
	} else if (data[0] == 2) {
		if (x->error(500, text, len, &out, &type) == 0)
			HALE_ASSERT(type);
	} else if (x->stream_new) {
		check_stream(x, text, len, data[0]);
	}
	strbuf_release(&out);
	free(text);
}

#endif

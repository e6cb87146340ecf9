/* Anthropic's messages for deployments of other families: a stream means the same however it is cut and says
 * whole events only; every request and answer that is translated is JSON again, also for a cell that translates it
 * once more.
 *
 * First byte: 0 a request, 1 an answer, else a stream, cut into pieces of that size.
 */
#include "hale/hale.h"

#include <json-c/json.h>

#include "hale/deployment.h"
#include "hale/json_scan.h"
#include "hale/messages.h"
#include "hale/provider.h"
#include "hale/strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* json-c keeps invalid UTF-8 as it was, and the translation passes on what it got. */
static bool
is_json(const char *text, size_t len)
{
	struct json_want none;
	const char *why;
	size_t at;

	return json_members(text, len, JSON_DEPTH_MAX, &none, 0, &why, &at) == 0 || strcmp(why, "invalid UTF-8") == 0 ||
	       strcmp(why, "bad number") == 0;
}

static int
run_stream(const char *text, size_t len, size_t step, struct strbuf *out)
{
	struct messages_stream *s = messages_stream_new("m", step & 1);
	int rc = 0;

	for (size_t at = 0; at < len && !rc; at += step)
		rc = messages_stream_feed(s, text + at, len - at < step ? len - at : step, out);
	if (!rc)
		messages_stream_end(s, out);
	messages_stream_free(s);
	return rc;
}

static void
check_stream(const char *text, size_t len, size_t step)
{
	size_t whole = len + (len & 1) + (step & 1); /* of the same parity: whether thinking is shown */
	struct strbuf a, b;
	int rc;

	strbuf_init(&a, 0);
	strbuf_init(&b, 0);
	rc = run_stream(text, len, whole, &a);
	HALE_ASSERT(rc == run_stream(text, len, step, &b));
	HALE_ASSERT(a.len == b.len && memcmp(strbuf_str(&a), strbuf_str(&b), a.len) == 0);
	for (const char *p = strbuf_str(&a); *p;) {
		const char *line = strchr(p, '\n'), *end = strstr(p, "}\n\n");

		HALE_ASSERT(strncmp(p, "event: ", 7) == 0 && line && end && strncmp(line + 1, "data: {", 7) == 0);
		HALE_ASSERT(is_json(line + 7, (size_t)(end + 1 - (line + 7))));
		p = end + 3;
	}
	strbuf_release(&a);
	strbuf_release(&b);
}

static void
check_request(const char *text, size_t len, const char *provider)
{
	struct deployment d = {.provider = provider_find(provider, strlen(provider)), .api_base = "https://h"};
	const struct provider_xlate *x = d.provider->op[MODE_CHAT]->xlate;
	struct json_tokener *tok = json_tokener_new_ex(32);
	struct json_object *o = json_tokener_parse_ex(tok, text, (int)len), *chat = NULL;
	const char *why = NULL, *again;
	struct strbuf out;

	json_tokener_free(tok);
	if (!json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return;
	}
	strbuf_init(&out, 0);
	if (messages_request(&d, "claude-sonnet-4-5", o, &chat, &why) == 0) {
		again = json_object_to_json_string_ext(chat, JSON_C_TO_STRING_PLAIN);
		HALE_ASSERT(is_json(again, strlen(again)));
		if (x && x->request(&d, "claude-sonnet-4-5", chat, &out, &why) == 0)
			HALE_ASSERT(is_json(strbuf_str(&out), out.len));
	} else {
		HALE_ASSERT(why && !chat);
	}
	messages_wants_thinking(o);
	json_object_put(chat);
	json_object_put(o);
	strbuf_release(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf out;
	size_t len = size - 1;
	char *text;

	if (size < 2)
		return 0;
	text = malloc(len);
	memcpy(text, data + 1, len);
	strbuf_init(&out, 0);
	if (data[0] == 0) {
		check_request(text, len, "openai");
		check_request(text, len, "anthropic");
	} else if (data[0] == 1) {
		if (messages_answer("m", true, text, len, &out) == 0)
			HALE_ASSERT(is_json(strbuf_str(&out), out.len));
	} else {
		check_stream(text, len, data[0]);
	}
	strbuf_release(&out);
	free(text);
	return 0;
}

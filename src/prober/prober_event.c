/* Realtime servers accept the connection first and look at the key and the account afterwards: what an HTTP
 * status says elsewhere comes as an error event, or as the reason of a close frame. Here it becomes that
 * status again, so that one classification serves all modes.
 */
#include "hale/hale.h"

#include "prober_event.h"

#include <ctype.h>
#include <json-c/json.h>

#include "hale/strbuf.h"

#define EVENT_JSON_DEPTH 32
#define EVENT_WORDS_BYTES 2048

/* First match wins: money before limits before keys, the particular before the general. */
static const struct {
	const char *word;
	int status;
} prober_event_words[] = {
	{"insufficient_quota", 402},
	{"billing", 402},
	{"credit balance", 402},
	{"rate_limit", 429},
	{"rate limit", 429},
	{"too many", 429},
	{"invalid_api_key", 401},
	{"incorrect api key", 401},
	{"authentication", 401},
	{"unauthorized", 401},
	{"permission", 403},
	{"forbidden", 403},
	{"model_not_found", 404},
	{"deploymentnotfound", 404},
	{"does not exist", 404},
	{"not found", 404},
	{"overloaded", 503},
	{"unavailable", 503},
	{"server_error", 500},
	{"internal", 500},
	{"invalid_request", 400},
};

/* Close codes of RFC 6455 and its registry. */
static const struct {
	unsigned code;
	int status;
} prober_event_codes[] = {
	{1001, 503}, /* going away */
	{1008, 403}, /* policy: how most servers refuse a key */
	{1012, 503}, /* restart */
	{1013, 503}, /* try again later */
	{3000, 401}, /* unauthorized */
	{3003, 403}, /* forbidden */
};

static int
prober_event_of_words(const char *text, size_t len)
{
	char low[EVENT_WORDS_BYTES];
	size_t n = len < sizeof(low) ? len : sizeof(low) - 1;

	for (size_t i = 0; i < n; i++)
		low[i] = text[i] ? (char)tolower((unsigned char)text[i]) : ' ';
	low[n] = '\0';
	for (size_t i = 0; i < HALE_COUNT(prober_event_words); i++)
		if (strstr(low, prober_event_words[i].word))
			return prober_event_words[i].status;
	return 0;
}

/* A status that the error carries as a number. */
static int
prober_event_number(struct json_object *root)
{
	static const char *const names[] = {"status", "status_code", "code"};
	struct json_object *error, *v;

	if (!json_object_object_get_ex(root, "error", &error) ||
	    !json_object_is_type(error, json_type_object))
		return 0;
	for (size_t i = 0; i < HALE_COUNT(names); i++)
		if (json_object_object_get_ex(error, names[i], &v)) {
			int n = json_object_get_int(v); /* also of "429" */

			if (n >= 400 && n < 600)
				return n;
		}
	return 0;
}

int
prober_event_status(const char *text, size_t len)
{
	struct json_tokener *tok = json_tokener_new_ex(EVENT_JSON_DEPTH);
	struct json_object *root = NULL, *type;
	int status = -1;

	if (tok && len < INT32_MAX)
		root = json_tokener_parse_ex(tok, text, (int)len);
	json_tokener_free(tok);
	if (json_object_is_type(root, json_type_object) && json_object_object_get_ex(root, "type", &type) &&
	    json_object_is_type(type, json_type_string)) {
		status = 0;
		if (strcmp(json_object_get_string(type), "error") == 0) {
			status = prober_event_number(root);
			if (!status)
				status = prober_event_of_words(text, len);
			if (!status)
				status = 500;
		}
	}
	json_object_put(root);
	return status;
}

int
prober_event_close(unsigned code, const char *reason, struct strbuf *event)
{
	int status = prober_event_of_words(reason, strlen(reason));
	struct strbuf message;

	for (size_t i = 0; !status && i < HALE_COUNT(prober_event_codes); i++)
		if (prober_event_codes[i].code == code)
			status = prober_event_codes[i].status;
	strbuf_init(&message, 0);
	strbuf_puts(&message, "the server closed the session");
	if (code)
		strbuf_printf(&message, " with code %u", code);
	if (*reason)
		strbuf_printf(&message, ": %s", reason);
	strbuf_puts(event, "{\"type\":\"error\",\"error\":{\"type\":\"closed\",\"message\":");
	strbuf_json_string(event, strbuf_str(&message));
	strbuf_puts(event, "}}");
	strbuf_release(&message);
	return status ? status : 500;
}

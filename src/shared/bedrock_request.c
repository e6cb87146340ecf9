/* OpenAI chat request to a Converse request: the turns.
 *
 * Turns alternate and the user's comes first; neighbours of one role are merged, because the results of parallel
 * tool calls must stand in one user turn. System messages go to `system`, wherever they stood. Bedrock fetches
 * nothing: images and files come as data URLs. Blank texts, which it refuses, are left out.
 *
 * Parameters beside the messages are the business of bedrock_params.c.
 */
#include "hale/hale.h"

#include "bedrock.h"

#include <strings.h>

/* Bedrock wants a user turn first. */
#define BEDROCK_CONTINUE "Please continue."

static const char blanks[] = " \t\r\n";

static struct json_object *
bedrock_request_string(const char *text)
{
	return bedrock_one("text", json_object_new_string(text));
}

/* NULL for blank text. */
static struct json_object *
bedrock_request_text(struct json_object *text)
{
	const char *s = json_object_get_string(text);
	int len = json_object_get_string_len(text);

	return strspn(s, blanks) == (size_t)len ? NULL : bedrock_one("text", json_object_new_string_len(s, len));
}

void
bedrock_request_mark(struct json_object *list, struct json_object *part)
{
	if (xlate_get(part, "cache_control"))
		json_object_array_add(list, bedrock_one("cachePoint", bedrock_one("type", json_object_new_string("default"))));
}

/* Content of the last turn if that has the role, else of a new one. */
static struct json_object *
bedrock_request_turn(struct bedrock_build *b, const char *role)
{
	size_t n = json_object_array_length(b->messages);
	struct json_object *turn = n ? json_object_array_get_idx(b->messages, n - 1) : NULL;

	if (!turn || !xlate_is(turn, "role", role)) {
		if (!turn && strcmp(role, "user") != 0)
			json_object_array_add(bedrock_request_turn(b, "user"), bedrock_request_string(BEDROCK_CONTINUE));
		turn = bedrock_one("role", json_object_new_string(role));
		json_object_object_add(turn, "content", json_object_new_array());
		json_object_array_add(b->messages, turn);
	}
	return xlate_get(turn, "content");
}

/* The format of a media type, as Bedrock calls it; NULL: it takes no such thing. */
static const char *
bedrock_request_format(const struct xlate_data_url *url, bool image)
{
	static const struct {
		const char *type, *format;
		bool image;
	} known[] = {
		{"image/png", "png", true}, {"image/jpeg", "jpeg", true}, {"image/jpg", "jpeg", true},
		{"image/gif", "gif", true}, {"image/webp", "webp", true}, {"application/pdf", "pdf", false},
		{"text/csv", "csv", false}, {"text/html", "html", false}, {"text/plain", "txt", false},
		{"text/markdown", "md", false}, {"application/msword", "doc", false}, {"application/vnd.ms-excel", "xls", false},
		{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx", false},
		{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", false},
	};

	for (size_t i = 0; i < HALE_COUNT(known); i++)
		if (known[i].image == image && strlen(known[i].type) == url->type_len &&
		    strncasecmp(known[i].type, url->type, url->type_len) == 0)
			return known[i].format;
	return NULL;
}

/* {"format", "source": {"bytes"}} */
static struct json_object *
bedrock_request_bytes(const char *format, const char *base64)
{
	struct json_object *o = bedrock_one("format", json_object_new_string(format));

	json_object_object_add(o, "source", bedrock_one("bytes", json_object_new_string(base64)));
	return o;
}

static int
bedrock_request_image(struct bedrock_build *b, struct json_object *part, struct json_object **block)
{
	const char *text = xlate_word(xlate_get(part, "image_url"), "url"), *format;
	struct xlate_data_url url;

	if (!text || !xlate_data_url(text, &url))
		return bedrock_fail(b, "this provider fetches no images: image_url must be a base64 data URL");
	format = bedrock_request_format(&url, true);
	if (!format)
		return bedrock_fail(b, "this provider takes images of type png, jpeg, gif and webp");
	*block = bedrock_one("image", bedrock_request_bytes(format, url.base64));
	return 0;
}

static int
bedrock_request_file(struct bedrock_build *b, struct json_object *part, struct json_object **block)
{
	const char *text = xlate_text(xlate_get(part, "file"), "file_data"), *format;
	struct json_object *document;
	struct xlate_data_url url;
	char name[32];

	if (!text || !xlate_data_url(text, &url))
		return bedrock_fail(b, "this provider stores no files: a file needs file_data as a base64 data URL");
	format = bedrock_request_format(&url, false);
	if (!format)
		return bedrock_fail(b, "this provider takes files of type pdf, csv, doc, docx, xls, xlsx, html, txt and md");
	/* Names must differ, and the model reads them: a file name is not let into the prompt. */
	snprintf(name, sizeof(name), "document-%u", ++b->ndocument);
	document = bedrock_request_bytes(format, url.base64);
	json_object_object_add(document, "name", json_object_new_string(name));
	*block = bedrock_one("document", document);
	return 0;
}

/* One element of a content array; *block stays NULL for blank text. */
static int
bedrock_request_part(struct bedrock_build *b, struct json_object *part, struct json_object **block)
{
	bool refusal = xlate_is(part, "type", "refusal");
	struct json_object *text = xlate_get(part, refusal ? "refusal" : "text");

	*block = NULL;
	if (refusal || xlate_is(part, "type", "text")) {
		if (!json_object_is_type(text, json_type_string))
			return bedrock_fail(b, "a text part needs a text");
		*block = bedrock_request_text(text);
		return 0;
	}
	if (xlate_is(part, "type", "image_url"))
		return bedrock_request_image(b, part, block);
	if (xlate_is(part, "type", "file"))
		return bedrock_request_file(b, part, block);
	return bedrock_fail(b, "this provider takes content parts of type text, image_url and file");
}

/* String or array of parts, appended to list, or to the turn of a role (list NULL), which it may begin. */
static int
bedrock_request_content(struct bedrock_build *b, struct json_object *content, const char *role, struct json_object *list)
{
	bool array = json_object_is_type(content, json_type_array);
	size_t n = array ? json_object_array_length(content) : 1;
	int rc = 0;

	if (!content)
		return 0;
	if (!array && !json_object_is_type(content, json_type_string))
		return bedrock_fail(b, "message content must be a string or an array of parts");
	for (size_t i = 0; i < n && !rc; i++) {
		struct json_object *part = array ? json_object_array_get_idx(content, i) : NULL, *block = NULL, *to;

		if (array)
			rc = bedrock_request_part(b, part, &block);
		else
			block = bedrock_request_text(content);
		if (!block)
			continue;
		to = list ? list : bedrock_request_turn(b, role);
		json_object_array_add(to, block);
		bedrock_request_mark(to, part);
	}
	return rc;
}

static int
bedrock_request_tool_call(struct bedrock_build *b, struct json_object *call)
{
	struct json_object *function = xlate_get(call, "function"), *use, *input;
	const char *id = xlate_text(call, "id"), *name = xlate_text(function, "name");

	if (!id || !name)
		return bedrock_fail(b, "a tool call needs an id and a function with a name");
	input = xlate_tool_input(xlate_text(function, "arguments"));
	if (!input)
		return bedrock_fail(b, "the arguments of a tool call are not a JSON object");
	use = bedrock_one("toolUseId", xlate_tool_id(id));
	json_object_object_add(use, "name", json_object_new_string(name));
	json_object_object_add(use, "input", input);
	json_object_array_add(bedrock_request_turn(b, "assistant"), bedrock_one("toolUse", use));
	b->tool_turns = true;
	return 0;
}

/* What clients got with an earlier answer and send back: it must stand before the calls that it led to. */
static void
bedrock_request_thinking(struct bedrock_build *b, struct json_object *thinking)
{
	struct json_object *reasoning;

	if (xlate_is(thinking, "type", "redacted_thinking") && xlate_text(thinking, "data")) {
		reasoning = bedrock_one("redactedContent", json_object_new_string(xlate_text(thinking, "data")));
	} else if (xlate_text(thinking, "thinking") && xlate_text(thinking, "signature")) {
		reasoning = bedrock_one("text", json_object_new_string(xlate_text(thinking, "thinking")));
		json_object_object_add(reasoning, "signature", json_object_new_string(xlate_text(thinking, "signature")));
		reasoning = bedrock_one("reasoningText", reasoning);
	} else {
		return;
	}
	json_object_array_add(bedrock_request_turn(b, "assistant"), bedrock_one("reasoningContent", reasoning));
}

static int
bedrock_request_assistant(struct bedrock_build *b, struct json_object *m)
{
	struct json_object *thinking = xlate_get(m, "thinking_blocks"), *calls = xlate_get(m, "tool_calls");
	size_t nthinking = xlate_count(thinking), ncalls = xlate_count(calls);
	int rc;

	if (xlate_get(m, "function_call"))
		return bedrock_fail(b, "function_call is not supported by this provider, use tool_calls");
	for (size_t i = 0; i < nthinking; i++)
		bedrock_request_thinking(b, json_object_array_get_idx(thinking, i));
	b->bare_tool_turn = b->bare_tool_turn || (ncalls && !nthinking);
	rc = bedrock_request_content(b, xlate_get(m, "content"), "assistant", NULL);
	for (size_t i = 0; i < ncalls && !rc; i++)
		rc = bedrock_request_tool_call(b, json_object_array_get_idx(calls, i));
	return rc;
}

static int
bedrock_request_tool_result(struct bedrock_build *b, struct json_object *m)
{
	struct json_object *result, *list = json_object_new_array(), *turn;
	const char *id = xlate_text(m, "tool_call_id");
	int rc = id ? bedrock_request_content(b, xlate_get(m, "content"), NULL, list)
	            : bedrock_fail(b, "a tool message needs a tool_call_id");

	if (rc) {
		json_object_put(list);
		return rc;
	}
	result = bedrock_one("toolUseId", xlate_tool_id(id));
	json_object_object_add(result, "content", list);
	turn = bedrock_request_turn(b, "user");
	json_object_array_add(turn, bedrock_one("toolResult", result));
	bedrock_request_mark(turn, m);
	b->tool_turns = true;
	return 0;
}

static int
bedrock_request_message(struct bedrock_build *b, struct json_object *m)
{
	const char *role = xlate_text(m, "role");

	if (!role)
		return bedrock_fail(b, "a message needs a role");
	if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
		return bedrock_request_content(b, xlate_get(m, "content"), NULL, b->system);
	if (strcmp(role, "user") == 0)
		return bedrock_request_content(b, xlate_get(m, "content"), "user", NULL);
	if (strcmp(role, "assistant") == 0)
		return bedrock_request_assistant(b, m);
	if (strcmp(role, "tool") == 0)
		return bedrock_request_tool_result(b, m);
	return bedrock_fail(b, "message roles are system, developer, user, assistant and tool");
}

/* The answer's beginning, if the last turn is one, must not end in white space. */
static void
bedrock_request_trim_last(struct bedrock_build *b)
{
	size_t n = json_object_array_length(b->messages), len;
	struct json_object *turn = json_object_array_get_idx(b->messages, n - 1), *content = xlate_get(turn, "content");
	struct json_object *block = json_object_array_get_idx(content, json_object_array_length(content) - 1);
	const char *text = xlate_text(block, "text");

	if (!xlate_is(turn, "role", "assistant") || !text)
		return;
	len = strlen(text);
	while (len && strchr(blanks, text[len - 1]))
		len--;
	if (text[len])
		json_object_object_add(block, "text", json_object_new_string_len(text, (int)len));
}

static int
bedrock_request_messages(struct bedrock_build *b)
{
	struct json_object *messages = xlate_get(b->in, "messages");
	int rc = 0;

	if (!json_object_is_type(messages, json_type_array))
		return bedrock_fail(b, "messages must be an array");
	for (size_t i = 0; i < json_object_array_length(messages) && !rc; i++)
		rc = bedrock_request_message(b, json_object_array_get_idx(messages, i));
	if (rc)
		return rc;
	if (json_object_array_length(b->messages) == 0) {
		if (json_object_array_length(b->system) == 0)
			return bedrock_fail(b, "messages have no content");
		json_object_array_add(bedrock_request_turn(b, "user"), bedrock_request_string(BEDROCK_CONTINUE));
	}
	bedrock_request_trim_last(b);
	return 0;
}

static int
bedrock_request_fill(struct bedrock_build *b)
{
	int rc = xlate_check_choice(b->in, &b->why);

	if (!rc)
		rc = bedrock_request_messages(b);
	if (!rc)
		rc = bedrock_params_format(b);
	if (rc)
		return rc;
	json_object_object_add(b->out, "messages", json_object_get(b->messages));
	if (json_object_array_length(b->system))
		json_object_object_add(b->out, "system", json_object_get(b->system));
	return bedrock_params_fill(b);
}

int
bedrock_request(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
                const char **why)
{
	struct bedrock_build b = {
		.in = openai,
		.out = json_object_new_object(),
		.messages = json_object_new_array(),
		.system = json_object_new_array(),
		.model = model,
		.why = "the request cannot be translated",
	};
	int rc;

	(void)d;
	rc = bedrock_request_fill(&b);
	if (rc) {
		*why = b.why;
	} else {
		xlate_plain(b.out, out);
		if (out->overflow) {
			*why = "the translated request is too large";
			rc = HALE_ELIMIT;
		}
	}
	json_object_put(b.messages);
	json_object_put(b.system);
	json_object_put(b.out);
	return rc;
}

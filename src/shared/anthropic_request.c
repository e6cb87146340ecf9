/* OpenAI chat request to Anthropic messages request.
 *
 * Messages become turns of content blocks; neighbours of one role are merged, because the results of
 * parallel tool calls must stand in one user turn. System messages go to `system`, wherever they stood.
 *
 * Parameters beside the messages are the business of anthropic_params.c.
 */
#include "hale/hale.h"

#include "anthropic.h"

#include <strings.h>

#include "hale/err.h"
#include "hale/strbuf.h"

/* Anthropic wants a user turn first. */
#define ANTHROPIC_CONTINUE "Please continue."

static struct json_object *
anthropic_request_string(struct json_object *s)
{
	return json_object_new_string_len(json_object_get_string(s), json_object_get_string_len(s));
}

struct json_object *
anthropic_request_block(const char *type, struct json_object *part)
{
	struct json_object *block = json_object_new_object(), *mark = xlate_get(part, "cache_control");

	json_object_object_add(block, "type", json_object_new_string(type));
	if (mark)
		json_object_object_add(block, "cache_control", json_object_get(mark));
	return block;
}

/* Takes block into the last turn if that has the role, else into a new one. */
static void
anthropic_request_add(struct anthropic_build *b, const char *role, struct json_object *take_block)
{
	size_t n = json_object_array_length(b->messages);
	struct json_object *turn = n ? json_object_array_get_idx(b->messages, n - 1) : NULL;

	if (!turn || !xlate_is(turn, "role", role)) {
		if (!turn && strcmp(role, "user") != 0) {
			struct json_object *first = anthropic_request_block("text", NULL);

			json_object_object_add(first, "text", json_object_new_string(ANTHROPIC_CONTINUE));
			anthropic_request_add(b, "user", first);
		}
		turn = json_object_new_object();
		json_object_object_add(turn, "role", json_object_new_string(role));
		json_object_object_add(turn, "content", json_object_new_array());
		json_object_array_add(b->messages, turn);
	}
	json_object_array_add(xlate_get(turn, "content"), take_block);
}

/* Anthropic refuses empty text blocks, so they are left out. */
static struct json_object *
anthropic_request_text(struct json_object *text, struct json_object *part)
{
	struct json_object *block;

	if (json_object_get_string_len(text) == 0)
		return NULL;
	block = anthropic_request_block("text", part);
	json_object_object_add(block, "text", anthropic_request_string(text));
	return block;
}

/* {"type":"base64","media_type","data"} of a data URL, {"type":"url"} of another one; NULL: neither. */
static struct json_object *
anthropic_request_source(const char *url)
{
	struct json_object *source;
	struct xlate_data_url data;

	if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0) {
		source = json_object_new_object();
		json_object_object_add(source, "type", json_object_new_string("url"));
		json_object_object_add(source, "url", json_object_new_string(url));
		return source;
	}
	if (!xlate_data_url(url, &data))
		return NULL;
	source = json_object_new_object();
	json_object_object_add(source, "type", json_object_new_string("base64"));
	json_object_object_add(source, "media_type",
	                       json_object_new_string_len(data.type, (int)data.type_len));
	json_object_object_add(source, "data", json_object_new_string(data.base64));
	return source;
}

static int
anthropic_request_image(struct anthropic_build *b, struct json_object *part, struct json_object **block)
{
	struct json_object *image = xlate_get(part, "image_url"), *source;
	const char *url = json_object_is_type(image, json_type_string) ? json_object_get_string(image)
	                                                                : xlate_text(image, "url");

	source = url ? anthropic_request_source(url) : NULL;
	if (!source)
		return anthropic_fail(b, "image_url must be an http(s) URL or a base64 data URL");
	*block = anthropic_request_block("image", part);
	json_object_object_add(*block, "source", source);
	return 0;
}

static int
anthropic_request_file(struct anthropic_build *b, struct json_object *part, struct json_object **block)
{
	struct json_object *file = xlate_get(part, "file"), *source = NULL;
	const char *data = xlate_text(file, "file_data"), *id = xlate_text(file, "file_id");

	if (data) {
		source = anthropic_request_source(data);
	} else if (id) {
		source = json_object_new_object();
		json_object_object_add(source, "type", json_object_new_string("file"));
		json_object_object_add(source, "file_id", json_object_new_string(id));
	}
	if (!source)
		return anthropic_fail(b, "file needs a file_id or file_data as a base64 data URL");
	*block = anthropic_request_block("document", part);
	json_object_object_add(*block, "source", source);
	return 0;
}

/* One element of a content array; *block stays NULL for empty text. */
static int
anthropic_request_part(struct anthropic_build *b, struct json_object *part, struct json_object **block)
{
	bool refusal = xlate_is(part, "type", "refusal");
	struct json_object *text = xlate_get(part, refusal ? "refusal" : "text");

	*block = NULL;
	if (refusal || xlate_is(part, "type", "text")) {
		if (!json_object_is_type(text, json_type_string))
			return anthropic_fail(b, "a text part needs a text");
		*block = anthropic_request_text(text, part);
		return 0;
	}
	if (xlate_is(part, "type", "image_url"))
		return anthropic_request_image(b, part, block);
	if (xlate_is(part, "type", "file"))
		return anthropic_request_file(b, part, block);
	return anthropic_fail(b, "this provider takes content parts of type text, image_url and file");
}

/* String or array of parts, appended to a list of blocks (blocks) or to the turn of a role. */
static int
anthropic_request_content(struct anthropic_build *b, struct json_object *content, const char *role,
                          struct json_object *blocks)
{
	struct json_object *block = NULL;
	bool array = json_object_is_type(content, json_type_array);
	size_t n = array ? json_object_array_length(content) : 1;

	if (!content)
		return 0;
	if (!array && !json_object_is_type(content, json_type_string))
		return anthropic_fail(b, "message content must be a string or an array of parts");
	for (size_t i = 0; i < n; i++) {
		int rc = 0;

		if (array)
			rc = anthropic_request_part(b, json_object_array_get_idx(content, i), &block);
		else
			block = anthropic_request_text(content, NULL);
		if (rc)
			return rc;
		if (block && blocks)
			json_object_array_add(blocks, block);
		else if (block)
			anthropic_request_add(b, role, block);
	}
	return 0;
}

static int
anthropic_request_tool_call(struct anthropic_build *b, struct json_object *call)
{
	struct json_object *function = xlate_get(call, "function"), *block, *input;
	const char *id = xlate_text(call, "id"), *name = xlate_text(function, "name");
	const char *arguments = xlate_text(function, "arguments");

	if (!id || !name)
		return anthropic_fail(b, "a tool call needs an id and a function with a name");
	input = xlate_tool_input(arguments);
	if (!input)
		return anthropic_fail(b, "the arguments of a tool call are not a JSON object");
	block = anthropic_request_block("tool_use", call);
	json_object_object_add(block, "id", xlate_tool_id(id));
	json_object_object_add(block, "name", json_object_new_string(name));
	json_object_object_add(block, "input", input);
	anthropic_request_add(b, "assistant", block);
	return 0;
}

static int
anthropic_request_assistant(struct anthropic_build *b, struct json_object *m)
{
	struct json_object *thinking = xlate_get(m, "thinking_blocks");
	struct json_object *calls = xlate_get(m, "tool_calls");
	size_t nthinking = xlate_count(thinking), ncalls = xlate_count(calls);
	int rc;

	if (xlate_get(m, "function_call"))
		return anthropic_fail(b, "function_call is not supported by this provider, use tool_calls");
	/* What clients got with an earlier answer and send back unchanged. */
	for (size_t i = 0; i < nthinking; i++)
		anthropic_request_add(b, "assistant", json_object_get(json_object_array_get_idx(thinking, i)));
	b->bare_tool_turn = b->bare_tool_turn || (ncalls && !nthinking);
	rc = anthropic_request_content(b, xlate_get(m, "content"), "assistant", NULL);
	for (size_t i = 0; i < ncalls && !rc; i++)
		rc = anthropic_request_tool_call(b, json_object_array_get_idx(calls, i));
	return rc;
}

static int
anthropic_request_tool_result(struct anthropic_build *b, struct json_object *m)
{
	struct json_object *block, *content = xlate_get(m, "content"), *parts;
	const char *id = xlate_text(m, "tool_call_id");
	int rc;

	if (!id)
		return anthropic_fail(b, "a tool message needs a tool_call_id");
	block = anthropic_request_block("tool_result", m);
	json_object_object_add(block, "tool_use_id", xlate_tool_id(id));
	if (json_object_is_type(content, json_type_array)) {
		parts = json_object_new_array();
		json_object_object_add(block, "content", parts);
		rc = anthropic_request_content(b, content, NULL, parts);
		if (rc) {
			json_object_put(block);
			return rc;
		}
	} else if (content) {
		json_object_object_add(block, "content", json_object_new_string(json_object_get_string(content)));
	}
	anthropic_request_add(b, "user", block);
	return 0;
}

static int
anthropic_request_message(struct anthropic_build *b, struct json_object *m)
{
	const char *role = xlate_text(m, "role");

	if (!role)
		return anthropic_fail(b, "a message needs a role");
	if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
		return anthropic_request_content(b, xlate_get(m, "content"), NULL, b->system);
	if (strcmp(role, "user") == 0)
		return anthropic_request_content(b, xlate_get(m, "content"), "user", NULL);
	if (strcmp(role, "assistant") == 0)
		return anthropic_request_assistant(b, m);
	if (strcmp(role, "tool") == 0)
		return anthropic_request_tool_result(b, m);
	return anthropic_fail(b, "message roles are system, developer, user, assistant and tool");
}

/* The answer's beginning, if the last turn is one, must not end in white space. */
static void
anthropic_request_trim_last(struct anthropic_build *b)
{
	size_t n = json_object_array_length(b->messages), len, k;
	struct json_object *turn = json_object_array_get_idx(b->messages, n - 1);
	struct json_object *content = xlate_get(turn, "content");
	struct json_object *block = json_object_array_get_idx(content, json_object_array_length(content) - 1);
	const char *text = xlate_text(block, "text");

	if (!xlate_is(turn, "role", "assistant") || !xlate_is(block, "type", "text") || !text)
		return;
	len = k = strlen(text);
	while (k && strchr(" \t\r\n", text[k - 1]))
		k--;
	if (k && k < len)
		json_object_object_add(block, "text", json_object_new_string_len(text, (int)k));
}

static int
anthropic_request_messages(struct anthropic_build *b)
{
	struct json_object *messages = xlate_get(b->in, "messages"), *block;
	int rc = 0;

	if (!json_object_is_type(messages, json_type_array))
		return anthropic_fail(b, "messages must be an array");
	for (size_t i = 0; i < json_object_array_length(messages) && !rc; i++)
		rc = anthropic_request_message(b, json_object_array_get_idx(messages, i));
	if (rc)
		return rc;
	if (json_object_array_length(b->messages) == 0) {
		if (json_object_array_length(b->system) == 0)
			return anthropic_fail(b, "messages have no content");
		block = anthropic_request_block("text", NULL);
		json_object_object_add(block, "text", json_object_new_string(ANTHROPIC_CONTINUE));
		anthropic_request_add(b, "user", block);
	}
	anthropic_request_trim_last(b);
	return 0;
}

static int
anthropic_request_fill(struct anthropic_build *b)
{
	int rc = xlate_check_choice(b->in, &b->why);

	json_object_object_add(b->out, "model", json_object_new_string(b->model));
	if (!rc)
		rc = anthropic_request_messages(b);
	if (!rc)
		rc = anthropic_params_format(b);
	if (rc)
		return rc;
	json_object_object_add(b->out, "messages", json_object_get(b->messages));
	if (json_object_array_length(b->system))
		json_object_object_add(b->out, "system", json_object_get(b->system));
	return anthropic_params_fill(b);
}

int
anthropic_request(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
                  const char **why)
{
	struct anthropic_build b = {
		.in = openai,
		.out = json_object_new_object(),
		.messages = json_object_new_array(),
		.system = json_object_new_array(),
		.model = model,
		.why = "the request cannot be translated",
	};
	int rc;

	(void)d;
	rc = anthropic_request_fill(&b);
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

/* Anthropic messages request to OpenAI chat request: the turns.
 *
 * A user turn becomes one tool message for each of its results, which must stand behind the calls that they
 * answer, and one user message of the rest. Text that stands alone is one string, because not every
 * server takes parts. What only Anthropic can read is left out when it is a hint (cache marks, thinking
 * of earlier turns) and refused when the answer would miss it.
 */
#include "hale/hale.h"

#include "messages_impl.h"

#include "hale/deployment.h"

#define MESSAGES_GAP "\n\n" /* between texts that become one */

static void
messages_request_add(struct messages_build *b, const char *role, struct json_object *take_content)
{
	struct json_object *m = json_object_new_object();

	json_object_object_add(m, "role", json_object_new_string(role));
	json_object_object_add(m, "content", take_content);
	json_object_array_add(b->messages, m);
}

static struct json_object *
messages_request_text(struct messages_build *b, struct json_object *block)
{
	struct json_object *part = json_object_new_object(), *mark = xlate_get(block, "cache_control");

	json_object_object_add(part, "type", json_object_new_string("text"));
	json_object_object_add(part, "text", json_object_get(xlate_get(block, "text")));
	if (mark && b->rich)
		json_object_object_add(part, "cache_control", json_object_get(mark));
	return part;
}

static struct json_object *
messages_request_data_url(struct json_object *source)
{
	const char *type = xlate_text(source, "media_type"), *data = xlate_text(source, "data");
	struct json_object *url;
	struct strbuf s;

	if (!type || !data)
		return NULL;
	strbuf_init(&s, 0);
	strbuf_puts(&s, "data:");
	strbuf_puts(&s, type);
	strbuf_puts(&s, ";base64,");
	strbuf_puts(&s, data);
	url = s.overflow ? NULL : json_object_new_string_len(strbuf_str(&s), (int)s.len);
	strbuf_release(&s);
	return url;
}

static int
messages_request_image(struct messages_build *b, struct json_object *block, struct json_object *parts)
{
	struct json_object *source = xlate_get(block, "source"), *url = NULL, *part, *image;

	if (xlate_is(source, "type", "base64"))
		url = messages_request_data_url(source);
	else if (xlate_is(source, "type", "url") && xlate_text(source, "url"))
		url = json_object_get(xlate_get(source, "url"));
	if (!url)
		return messages_fail(b, "images need a source of type base64 or url on this deployment");
	image = json_object_new_object();
	json_object_object_add(image, "url", url);
	part = json_object_new_object();
	json_object_object_add(part, "type", json_object_new_string("image_url"));
	json_object_object_add(part, "image_url", image);
	json_object_array_add(parts, part);
	return 0;
}

static int
messages_request_document(struct messages_build *b, struct json_object *block, struct json_object *parts)
{
	struct json_object *source = xlate_get(block, "source"), *part, *file, *data;
	const char *title = xlate_text(block, "title");

	part = json_object_new_object();
	json_object_array_add(parts, part);
	if (xlate_is(source, "type", "text") && xlate_text(source, "data")) {
		json_object_object_add(part, "type", json_object_new_string("text"));
		json_object_object_add(part, "text", json_object_get(xlate_get(source, "data")));
		return 0;
	}
	data = xlate_is(source, "type", "base64") ? messages_request_data_url(source) : NULL;
	if (!data)
		return messages_fail(b, "documents need a source of type base64 or text on this deployment");
	file = json_object_new_object();
	json_object_object_add(file, "filename", json_object_new_string(title ? title : "document.pdf"));
	json_object_object_add(file, "file_data", data);
	json_object_object_add(part, "type", json_object_new_string("file"));
	json_object_object_add(part, "file", file);
	return 0;
}

static int
messages_request_part(struct messages_build *b, struct json_object *block, struct json_object *parts)
{
	if (xlate_is(block, "type", "text")) {
		if (!xlate_text(block, "text"))
			return messages_fail(b, "a text block needs a text");
		json_object_array_add(parts, messages_request_text(b, block));
		return 0;
	}
	if (xlate_is(block, "type", "image"))
		return messages_request_image(b, block, parts);
	if (xlate_is(block, "type", "document"))
		return messages_request_document(b, block, parts);
	return messages_fail(b, "this deployment takes user blocks of type text, image, document and tool_result");
}

bool
messages_text(struct json_object *content, struct strbuf *out)
{
	bool any = false;

	if (json_object_is_type(content, json_type_string)) {
		strbuf_add(out, json_object_get_string(content), (size_t)json_object_get_string_len(content));
		return true;
	}
	for (size_t i = 0; i < xlate_count(content); i++) {
		struct json_object *part = json_object_array_get_idx(content, i), *text = xlate_get(part, "text");

		if (!xlate_is(part, "type", "text") || !json_object_is_type(text, json_type_string))
			continue;
		if (any)
			strbuf_puts(out, MESSAGES_GAP);
		strbuf_add(out, json_object_get_string(text), (size_t)json_object_get_string_len(text));
		any = true;
	}
	return any;
}

/* Parts of text only, as one string. Takes parts. */
static struct json_object *
messages_request_content(struct messages_build *b, struct json_object *take_parts)
{
	struct json_object *text;
	struct strbuf s;

	if (b->rich)
		return take_parts;
	for (size_t i = 0; i < json_object_array_length(take_parts); i++)
		if (!xlate_is(json_object_array_get_idx(take_parts, i), "type", "text"))
			return take_parts;
	strbuf_init(&s, 0);
	messages_text(take_parts, &s);
	json_object_put(take_parts);
	text = json_object_new_string_len(strbuf_str(&s), (int)s.len);
	strbuf_release(&s);
	return text;
}

/* A tool message has text only: what else a result brings joins the user's parts behind it. */
static int
messages_request_result(struct messages_build *b, struct json_object *block, struct json_object *parts)
{
	struct json_object *content = xlate_get(block, "content"), *id = xlate_get(block, "tool_use_id");
	struct strbuf s;
	int rc = 0;

	if (!json_object_is_type(id, json_type_string))
		return messages_fail(b, "a tool_result needs a tool_use_id");
	for (size_t i = 0; i < xlate_count(content) && !rc; i++) {
		struct json_object *one = json_object_array_get_idx(content, i);

		if (!xlate_is(one, "type", "text"))
			rc = messages_request_part(b, one, parts);
	}
	if (rc)
		return rc;
	strbuf_init(&s, 0);
	if (!messages_text(content, &s) && json_object_get_boolean(xlate_get(block, "is_error")))
		strbuf_puts(&s, "error");
	messages_request_add(b, "tool", json_object_new_string_len(strbuf_str(&s), (int)s.len));
	strbuf_release(&s);
	json_object_object_add(json_object_array_get_idx(b->messages, json_object_array_length(b->messages) - 1),
	                       "tool_call_id", json_object_get(id));
	return 0;
}

static int
messages_request_user(struct messages_build *b, struct json_object *content)
{
	struct json_object *parts = json_object_new_array();
	int rc = 0;

	for (size_t i = 0; i < json_object_array_length(content) && !rc; i++) {
		struct json_object *block = json_object_array_get_idx(content, i);

		if (xlate_is(block, "type", "tool_result"))
			rc = messages_request_result(b, block, parts);
		else
			rc = messages_request_part(b, block, parts);
	}
	if (rc || json_object_array_length(parts) == 0)
		json_object_put(parts);
	else
		messages_request_add(b, "user", messages_request_content(b, parts));
	return rc;
}

static int
messages_request_call(struct messages_build *b, struct json_object *block, struct json_object *calls)
{
	struct json_object *call, *function, *input = xlate_get(block, "input");
	const char *id = xlate_text(block, "id"), *name = xlate_text(block, "name");

	if (!id || !name)
		return messages_fail(b, "a tool_use needs an id and a name");
	function = json_object_new_object();
	json_object_object_add(function, "name", json_object_new_string(name));
	json_object_object_add(function, "arguments",
	                       json_object_new_string(input ? json_object_to_json_string_ext(input, XLATE_PLAIN) : "{}"));
	call = json_object_new_object();
	json_object_object_add(call, "id", json_object_new_string(id));
	json_object_object_add(call, "type", json_object_new_string("function"));
	json_object_object_add(call, "function", function);
	json_object_array_add(calls, call);
	return 0;
}

static int
messages_request_assistant_block(struct messages_build *b, struct json_object *block,
                                 struct json_object *calls, struct json_object *thinking, struct strbuf *text)
{
	struct json_object *part = xlate_get(block, "text");

	if (xlate_is(block, "type", "tool_use"))
		return messages_request_call(b, block, calls);
	if (xlate_is(block, "type", "thinking") || xlate_is(block, "type", "redacted_thinking")) {
		json_object_array_add(thinking, json_object_get(block));
		return 0;
	}
	if (!xlate_is(block, "type", "text") || !json_object_is_type(part, json_type_string))
		return messages_fail(b, "this deployment takes assistant blocks of type text, thinking and tool_use");
	if (text->len)
		strbuf_puts(text, MESSAGES_GAP);
	strbuf_add(text, json_object_get_string(part), (size_t)json_object_get_string_len(part));
	return 0;
}

static int
messages_request_assistant(struct messages_build *b, struct json_object *content)
{
	struct json_object *calls = json_object_new_array(), *thinking = json_object_new_array(), *m;
	struct strbuf text;
	int rc = 0;

	strbuf_init(&text, 0);
	for (size_t i = 0; i < json_object_array_length(content) && !rc; i++)
		rc = messages_request_assistant_block(b, json_object_array_get_idx(content, i), calls,
		                                      thinking, &text);
	if (rc == 0) {
		if (text.len == 0 && json_object_array_length(calls))
			messages_request_add(b, "assistant", NULL);
		else
			messages_request_add(b, "assistant",
			                     json_object_new_string_len(strbuf_str(&text), (int)text.len));
		m = json_object_array_get_idx(b->messages, json_object_array_length(b->messages) - 1);
		if (json_object_array_length(calls))
			json_object_object_add(m, "tool_calls", json_object_get(calls));
		if (b->rich && json_object_array_length(thinking))
			json_object_object_add(m, "thinking_blocks", json_object_get(thinking));
	}
	json_object_put(calls);
	json_object_put(thinking);
	strbuf_release(&text);
	return rc;
}

static int
messages_request_system(struct messages_build *b, struct json_object *system)
{
	struct json_object *parts;

	if (json_object_is_type(system, json_type_string)) {
		messages_request_add(b, "system", json_object_get(system));
		return 0;
	}
	if (!json_object_is_type(system, json_type_array))
		return messages_fail(b, "system must be a string or an array of text blocks");
	if (json_object_array_length(system) == 0)
		return 0;
	parts = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(system); i++) {
		struct json_object *block = json_object_array_get_idx(system, i);

		if (!xlate_is(block, "type", "text") || !xlate_text(block, "text")) {
			json_object_put(parts);
			return messages_fail(b, "system must be a string or an array of text blocks");
		}
		json_object_array_add(parts, messages_request_text(b, block));
	}
	messages_request_add(b, "system", messages_request_content(b, parts));
	return 0;
}

static int
messages_request_turn(struct messages_build *b, struct json_object *turn)
{
	struct json_object *content = xlate_get(turn, "content");
	const char *role = xlate_text(turn, "role");

	if (!role)
		return messages_fail(b, "a message needs a role");
	if (strcmp(role, "system") == 0)
		return messages_request_system(b, content);
	if (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0)
		return messages_fail(b, "message roles are user and assistant");
	if (json_object_is_type(content, json_type_string)) {
		messages_request_add(b, role, json_object_get(content));
		return 0;
	}
	if (!json_object_is_type(content, json_type_array))
		return messages_fail(b, "message content must be a string or an array of blocks");
	return strcmp(role, "user") == 0 ? messages_request_user(b, content)
	                                 : messages_request_assistant(b, content);
}

static int
messages_request_fill(struct messages_build *b)
{
	struct json_object *system = xlate_get(b->in, "system"), *messages = xlate_get(b->in, "messages");
	int rc = 0;

	json_object_object_add(b->out, "model", json_object_new_string(b->model));
	if (!json_object_is_type(messages, json_type_array) || json_object_array_length(messages) == 0)
		return messages_fail(b, "messages: Field required");
	if (system)
		rc = messages_request_system(b, system);
	for (size_t i = 0; i < json_object_array_length(messages) && !rc; i++)
		rc = messages_request_turn(b, json_object_array_get_idx(messages, i));
	if (rc)
		return rc;
	json_object_object_add(b->out, "messages", json_object_get(b->messages));
	return messages_params(b);
}

int
messages_request(const struct deployment *d, const char *model, struct json_object *anthropic,
                 struct json_object **openai, const char **why)
{
	struct messages_build b = {
		.d = d,
		.model = model,
		.in = anthropic,
		.out = json_object_new_object(),
		.messages = json_object_new_array(),
		.why = "the request cannot be translated",
		.rich = d->provider->op[MODE_CHAT] && d->provider->op[MODE_CHAT]->xlate,
	};
	int rc = messages_request_fill(&b);

	json_object_put(b.messages);
	if (rc) {
		*why = b.why;
		json_object_put(b.out);
		b.out = NULL;
	}
	*openai = b.out;
	return rc;
}

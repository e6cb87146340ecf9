/* The walk over an OpenAI chat request. Contracts: xlate_build.h.
 *
 * System messages go to a list of their own, wherever they stood. What a message must have is
 * checked here, so that every provider refuses the same requests with the same words; what only
 * one provider cannot say is its own affair.
 */
#include "hale/hale.h"

#include "xlate_build.h"

/* Providers want something to answer, and a user's turn first. */
#define XLATE_BUILD_CONTINUE "Please continue."

static void
xlate_build_continue(struct xlate_build *b)
{
	struct json_object *text = json_object_new_string(XLATE_BUILD_CONTINUE);

	json_object_array_add(xlate_build_turn(b, "user", false), b->op->text(text, NULL));
	json_object_put(text);
}

struct json_object *
xlate_build_turn(struct xlate_build *b, const char *role, bool results)
{
	size_t n = json_object_array_length(b->turns);
	struct json_object *turn = n ? json_object_array_get_idx(b->turns, n - 1) : NULL;

	if (!turn || !xlate_is(turn, "role", role) || (b->op->results_apart && b->results != results)) {
		if (!turn && strcmp(role, "user") != 0)
			xlate_build_continue(b);
		turn = xlate_one("role", json_object_new_string(role));
		json_object_object_add(turn, b->op->content, json_object_new_array());
		json_object_array_add(b->turns, turn);
		b->results = results;
	}
	return xlate_get(turn, b->op->content);
}

/* One element of a content array; *block stays NULL for a text that is left out. */
static int
xlate_build_part(struct xlate_build *b, struct json_object *part, struct json_object **block)
{
	bool refusal = xlate_is(part, "type", "refusal");
	struct json_object *text = xlate_get(part, refusal ? "refusal" : "text");

	if (!refusal && !xlate_is(part, "type", "text"))
		return b->op->part(b, part, block);
	if (!json_object_is_type(text, json_type_string))
		return xlate_fail(b, "a text part needs a text");
	*block = b->op->text(text, part);
	return 0;
}

int
xlate_build_content(struct xlate_build *b, struct json_object *content, const char *role,
                    struct json_object *list)
{
	bool array = json_object_is_type(content, json_type_array);
	size_t n = array ? json_object_array_length(content) : 1;
	int rc = 0;

	HALE_ASSERT(role || list);
	if (!content)
		return 0;
	if (!array && !json_object_is_type(content, json_type_string))
		return xlate_fail(b, "message content must be a string or an array of parts");
	for (size_t i = 0; i < n && !rc; i++) {
		struct json_object *part = array ? json_object_array_get_idx(content, i) : NULL, *block = NULL, *to;

		if (array)
			rc = xlate_build_part(b, part, &block);
		else
			block = b->op->text(content, NULL);
		if (!block)
			continue;
		to = list ? list : xlate_build_turn(b, role, false);
		json_object_array_add(to, block);
		if (b->op->mark)
			b->op->mark(to, part);
	}
	return rc;
}

static int
xlate_build_call(struct xlate_build *b, struct json_object *whole, bool first)
{
	struct json_object *function = xlate_get(whole, "function");
	struct xlate_call call = {.whole = whole,
	                          .id = xlate_text(whole, "id"),
	                          .name = xlate_text(function, "name"),
	                          .first = first};

	if (!call.id || !call.name)
		return xlate_fail(b, "a tool call needs an id and a function with a name");
	call.take_input = xlate_tool_input(xlate_text(function, "arguments"));
	if (!call.take_input)
		return xlate_fail(b, "the arguments of a tool call are not a JSON object");
	b->tool_turns = true;
	b->op->call(b, &call);
	return 0;
}

static int
xlate_build_assistant(struct xlate_build *b, struct json_object *m)
{
	struct json_object *thinking = xlate_get(m, "thinking_blocks"), *calls = xlate_get(m, "tool_calls");
	size_t nthinking = xlate_count(thinking), ncalls = xlate_count(calls);
	int rc;

	if (xlate_get(m, "function_call"))
		return xlate_fail(b, "function_call is not supported by this provider, use tool_calls");
	/* It must stand before the calls that it led to. */
	for (size_t i = 0; i < nthinking && b->op->thinking; i++)
		b->op->thinking(b, json_object_array_get_idx(thinking, i));
	b->bare_tool_turn = b->bare_tool_turn || (ncalls && !nthinking);
	rc = xlate_build_content(b, xlate_get(m, "content"), b->op->assistant, NULL);
	for (size_t i = 0; i < ncalls && !rc; i++)
		rc = xlate_build_call(b, json_object_array_get_idx(calls, i), i == 0);
	return rc;
}

static int
xlate_build_result(struct xlate_build *b, struct json_object *m)
{
	const char *id = xlate_text(m, "tool_call_id");

	if (!id)
		return xlate_fail(b, "a tool message needs a tool_call_id");
	b->tool_turns = true;
	return b->op->result(b, m, id);
}

static int
xlate_build_message(struct xlate_build *b, struct json_object *m)
{
	const char *role = xlate_text(m, "role");

	if (!role)
		return xlate_fail(b, "a message needs a role");
	if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
		return xlate_build_content(b, xlate_get(m, "content"), NULL, b->system);
	if (strcmp(role, "user") == 0)
		return xlate_build_content(b, xlate_get(m, "content"), "user", NULL);
	if (strcmp(role, "assistant") == 0)
		return xlate_build_assistant(b, m);
	if (strcmp(role, "tool") == 0)
		return xlate_build_result(b, m);
	return xlate_fail(b, "message roles are system, developer, user, assistant and tool");
}

int
xlate_build_messages(struct xlate_build *b)
{
	struct json_object *messages = xlate_get(b->in, "messages");
	int rc = 0;

	if (!json_object_is_type(messages, json_type_array))
		return xlate_fail(b, "messages must be an array");
	for (size_t i = 0; i < json_object_array_length(messages) && !rc; i++)
		rc = xlate_build_message(b, json_object_array_get_idx(messages, i));
	if (rc || json_object_array_length(b->turns))
		return rc;
	if (json_object_array_length(b->system) == 0)
		return xlate_fail(b, "messages have no content");
	xlate_build_continue(b);
	return 0;
}

void
xlate_build_trim_last(struct xlate_build *b, const char *type)
{
	size_t n = json_object_array_length(b->turns), len, k;
	struct json_object *turn = json_object_array_get_idx(b->turns, n - 1);
	struct json_object *content = xlate_get(turn, b->op->content);
	struct json_object *block = json_object_array_get_idx(content, json_object_array_length(content) - 1);
	const char *text = xlate_text(block, "text");

	if (!xlate_is(turn, "role", b->op->assistant) || !text || (type && !xlate_is(block, "type", type)))
		return;
	len = k = strlen(text);
	while (k && strchr(" \t\r\n", text[k - 1]))
		k--;
	if (k && k < len)
		json_object_object_add(block, "text", json_object_new_string_len(text, (int)k));
}

int
xlate_build_request(struct xlate_build *b, const struct xlate_build_op *op, const char *model,
                    struct json_object *openai, struct strbuf *out, const char **why)
{
	int rc;

	b->op = op;
	b->in = openai;
	b->out = json_object_new_object();
	b->turns = json_object_new_array();
	b->system = json_object_new_array();
	b->model = model;
	b->why = "the request cannot be translated";
	rc = op->fill(b);
	if (rc) {
		*why = b->why;
	} else {
		xlate_plain(b->out, out);
		if (out->overflow) {
			*why = "the translated request is too large";
			rc = HALE_ELIMIT;
		}
	}
	json_object_put(b->turns);
	json_object_put(b->system);
	json_object_put(b->out);
	return rc;
}

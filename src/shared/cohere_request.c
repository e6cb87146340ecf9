/* OpenAI chat request to Cohere's v2 chat.
 *
 * The two forms are close: roles, parts and tool calls have the same shape. What differs is named here:
 * sampling parameters, stop sequences, schemas, and the text beside tool calls, which is Cohere's tool_plan.
 *
 * What has no counterpart: hints (logit_bias, parallel_tool_calls, store) are left out; what
 * would change the shape of the answer is refused. Parameters of Cohere's own (documents,
 * safety_mode ...) pass as clients write them.
 */
#include "hale/hale.h"

#include "cohere.h"

#include "hale/catalogue.h"
#include "xlate_build.h"

static struct json_object *
cohere_request_object(const char *type)
{
	struct json_object *o = json_object_new_object();

	xlate_put_text(o, "type", type);
	return o;
}

static struct json_object *
cohere_request_text(struct json_object *text)
{
	struct json_object *part = cohere_request_object("text");

	json_object_object_add(part, "text", json_object_get(text));
	return part;
}

/* {"type":"image_url","image_url":{"url","detail"}}, also when the client wrote the URL alone. */
static int
cohere_request_image(struct xlate_build *b, struct json_object *part, struct json_object **out)
{
	struct json_object *image = xlate_get(part, "image_url"), *detail = xlate_get(image, "detail"), *copy;
	const char *url = xlate_word(image, "url");

	if (!url || !*url)
		return xlate_fail(b, "image_url needs a url");
	copy = json_object_new_object();
	xlate_put_text(copy, "url", url);
	if (detail)
		json_object_object_add(copy, "detail", json_object_get(detail));
	*out = cohere_request_object("image_url");
	json_object_object_add(*out, "image_url", copy);
	return 0;
}

/* One element of a content array. A tool may answer with documents in Cohere's form. */
static int
cohere_request_part(struct xlate_build *b, struct json_object *part, bool tool, struct json_object **out)
{
	bool refusal = xlate_is(part, "type", "refusal");
	struct json_object *text = xlate_get(part, refusal ? "refusal" : "text");

	if (refusal || xlate_is(part, "type", "text")) {
		if (!json_object_is_type(text, json_type_string))
			return xlate_fail(b, "a text part needs a text");
		*out = cohere_request_text(text);
		return 0;
	}
	if (!tool && xlate_is(part, "type", "image_url"))
		return cohere_request_image(b, part, out);
	if (tool && xlate_is(part, "type", "document") && xlate_get(part, "document")) {
		*out = json_object_get(part);
		return 0;
	}
	return xlate_fail(b, tool ? "this provider takes tool results of type text and document"
	                                   : "this provider takes content parts of type text and image_url");
}

/* A string stays one; parts become parts. *out stays NULL when there is no content. */
static int
cohere_request_content(struct xlate_build *b, struct json_object *content, bool tool,
                       struct json_object **out)
{
	struct json_object *list, *part = NULL;
	int rc = 0;

	*out = NULL;
	if (!content)
		return 0;
	if (json_object_is_type(content, json_type_string)) {
		*out = json_object_get(content);
		return 0;
	}
	if (!json_object_is_type(content, json_type_array))
		return xlate_fail(b, "message content must be a string or an array of parts");
	list = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(content) && !rc; i++) {
		rc = cohere_request_part(b, json_object_array_get_idx(content, i), tool, &part);
		if (!rc)
			json_object_array_add(list, part);
	}
	if (rc)
		json_object_put(list);
	else
		*out = list;
	return rc;
}

static int
cohere_request_call(struct xlate_build *b, struct json_object *call, struct json_object *list)
{
	struct json_object *function = xlate_get(call, "function"), *copy, *f;
	const char *id = xlate_text(call, "id"), *name = xlate_text(function, "name");
	const char *arguments = xlate_text(function, "arguments");

	if (!id || !name)
		return xlate_fail(b, "a tool call needs an id and a function with a name");
	f = json_object_new_object();
	xlate_put_text(f, "name", name);
	json_object_object_add(f, "arguments",
	                       json_object_new_string(arguments && *arguments ? arguments : "{}"));
	copy = json_object_new_object();
	xlate_put_text(copy, "id", id);
	xlate_put_text(copy, "type", "function");
	json_object_object_add(copy, "function", f);
	json_object_array_add(list, copy);
	return 0;
}

/* Text that stands beside tool calls is the plan that led to them. */
static void
cohere_request_plan(struct json_object *content, struct json_object *out)
{
	struct strbuf plan;

	strbuf_init(&plan, 0);
	if (json_object_is_type(content, json_type_string))
		strbuf_add(&plan, json_object_get_string(content),
		           (size_t)json_object_get_string_len(content));
	for (size_t i = 0; i < xlate_count(content); i++) {
		const char *text = xlate_text(json_object_array_get_idx(content, i), "text");

		strbuf_puts(&plan, text ? text : "");
	}
	if (plan.len)
		json_object_object_add(out, "tool_plan",
		                       json_object_new_string_len(strbuf_str(&plan), (int)plan.len));
	strbuf_release(&plan);
}

static int
cohere_request_assistant(struct xlate_build *b, struct json_object *m, struct json_object *out)
{
	struct json_object *calls = xlate_get(m, "tool_calls"), *content, *list;
	int rc = cohere_request_content(b, xlate_get(m, "content"), false, &content);

	if (rc)
		return rc;
	if (xlate_get(m, "function_call"))
		rc = xlate_fail(b, "function_call is not supported by this provider, use tool_calls");
	if (rc || xlate_count(calls) == 0) {
		/* Cohere wants a content when there are no calls. */
		json_object_object_add(out, "content", content ? content : json_object_new_string(""));
		return rc;
	}
	cohere_request_plan(content, out);
	json_object_put(content);
	list = json_object_new_array();
	json_object_object_add(out, "tool_calls", list);
	for (size_t i = 0; i < xlate_count(calls) && !rc; i++)
		rc = cohere_request_call(b, json_object_array_get_idx(calls, i), list);
	return rc;
}

/* The role as Cohere calls it, NULL when there is none such. */
static const char *
cohere_request_role(const char *role)
{
	static const char *const roles[] = {"system", "user", "assistant", "tool"};

	for (size_t i = 0; i < HALE_COUNT(roles); i++)
		if (strcmp(role, roles[i]) == 0)
			return roles[i];
	return strcmp(role, "developer") == 0 ? "system" : NULL;
}

static int
cohere_request_message(struct xlate_build *b, struct json_object *m, struct json_object *list)
{
	const char *role = xlate_text(m, "role"), *id = xlate_text(m, "tool_call_id");
	struct json_object *out, *content;
	bool tool;
	int rc;

	if (!role)
		return xlate_fail(b, "a message needs a role");
	role = cohere_request_role(role);
	if (!role)
		return xlate_fail(b, "message roles are system, developer, user, assistant and tool");
	out = json_object_new_object();
	json_object_array_add(list, out);
	xlate_put_text(out, "role", role);
	if (strcmp(role, "assistant") == 0)
		return cohere_request_assistant(b, m, out);
	tool = strcmp(role, "tool") == 0;
	if (tool && !id)
		return xlate_fail(b, "a tool message needs a tool_call_id");
	if (tool)
		xlate_put_text(out, "tool_call_id", id);
	rc = cohere_request_content(b, xlate_get(m, "content"), tool, &content);
	if (!rc)
		json_object_object_add(out, "content", content ? content : json_object_new_string(""));
	return rc;
}

static int
cohere_request_messages(struct xlate_build *b)
{
	struct json_object *messages = xlate_get(b->in, "messages"), *list = json_object_new_array();
	int rc = 0;

	json_object_object_add(b->out, "messages", list);
	if (!json_object_is_type(messages, json_type_array))
		return xlate_fail(b, "messages must be an array");
	if (json_object_array_length(messages) == 0)
		return xlate_fail(b, "messages have no content");
	for (size_t i = 0; i < json_object_array_length(messages) && !rc; i++)
		rc = cohere_request_message(b, json_object_array_get_idx(messages, i), list);
	return rc;
}

/* only: the one tool that may be called, NULL for all. */
static int
cohere_request_tools(struct xlate_build *b, struct json_object *tools, const char *only)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(b->out, "tools", list);
	for (size_t i = 0; i < json_object_array_length(tools); i++) {
		struct json_object *f = xlate_get(json_object_array_get_idx(tools, i), "function"), *function, *tool;
		const char *name = xlate_text(f, "name"), *description = xlate_text(f, "description");

		if (!name)
			return xlate_fail(b, "a tool needs a function with a name");
		if (only && strcmp(only, name) != 0)
			continue;
		function = json_object_new_object();
		xlate_put_text(function, "name", name);
		if (description)
			xlate_put_text(function, "description", description);
		json_object_object_add(function, "parameters", xlate_tool_schema(xlate_get(f, "parameters")));
		tool = cohere_request_object("function");
		json_object_object_add(tool, "function", function);
		json_object_array_add(list, tool);
	}
	return only && json_object_array_length(list) == 0
	               ? xlate_fail(b, "tool_choice names a function that is not among the tools")
	               : 0;
}

/* REQUIRED and NONE; "auto" is what Cohere does unasked. A named function is REQUIRED with that one alone. */
static int
cohere_request_choice(struct xlate_build *b)
{
	static const char *const word[][2] = {
		{"auto", ""}, {"none", "NONE"}, {"required", "REQUIRED"}, {"any", "REQUIRED"}, {"function", "REQUIRED"},
	};
	struct json_object *tools = xlate_get(b->in, "tools"), *choice = xlate_get(b->in, "tool_choice");
	const char *said = xlate_word(choice, "type"), *only = NULL, *out = choice ? NULL : "";
	int rc;

	if (tools && !json_object_is_type(tools, json_type_array))
		return xlate_fail(b, "tools must be an array");
	if (xlate_count(tools) == 0) /* nothing to choose from */
		return 0;
	if (xlate_is(choice, "type", "function"))
		only = xlate_text(xlate_get(choice, "function"), "name");
	for (size_t i = 0; said && i < HALE_COUNT(word); i++)
		if (strcmp(said, word[i][0]) == 0 && (strcmp(said, "function") != 0 || only))
			out = word[i][1];
	if (!out)
		return xlate_fail(b, "tool_choice must be none, auto, required or name a function");
	rc = cohere_request_tools(b, tools, only);
	if (!rc && *out)
		xlate_put_text(b->out, "tool_choice", out);
	return rc;
}

static int
cohere_request_format(struct xlate_build *b)
{
	struct json_object *in = xlate_get(b->in, "response_format"), *schema, *out;

	if (!in || xlate_is(in, "type", "text"))
		return 0;
	schema = xlate_get(xlate_get(in, "json_schema"), "schema");
	if (!schema && !xlate_is(in, "type", "json_object"))
		return xlate_fail(b,
		                  "response_format must be text, json_object or json_schema with a schema");
	out = cohere_request_object("json_object");
	if (schema)
		json_object_object_add(out, "json_schema", json_object_get(schema));
	json_object_object_add(b->out, "response_format", out);
	return 0;
}

/* thinking as Anthropic's clients write it, or reasoning_effort for models that reason. */
static void
cohere_request_thinking(struct xlate_build *b)
{
	struct json_object *in = xlate_get(b->in, "thinking"), *out;
	int64_t budget = catalogue_is_reasoning(b->model) ? xlate_reasoning_budget(b->in) : 0;
	const char *type = xlate_text(in, "type");

	if (in)
		budget = json_object_get_int64(xlate_get(in, xlate_get(in, "token_budget") ? "token_budget" : "budget_tokens"));
	if (!type && budget <= 0)
		return;
	out = cohere_request_object(type ? type : "enabled");
	if (budget > 0)
		json_object_object_add(out, "token_budget", json_object_new_int64(budget));
	json_object_object_add(b->out, "thinking", out);
}

static void
cohere_request_plain(struct xlate_build *b)
{
	/* OpenAI's name (or LiteLLM's), Cohere's; then what is Cohere's own. */
	static const char *const name[][2] = {
		{"temperature", "temperature"},
		{"top_p", "p"},
		{"top_k", "k"},
		{"seed", "seed"},
		{"frequency_penalty", "frequency_penalty"},
		{"presence_penalty", "presence_penalty"},
		{"stream", "stream"},
		{"documents", "documents"},
		{"citation_options", "citation_options"},
		{"safety_mode", "safety_mode"},
		{"strict_tools", "strict_tools"},
		{"priority", "priority"},
	};

	for (size_t i = 0; i < HALE_COUNT(name); i++) {
		struct json_object *v = xlate_get(b->in, name[i][0]);

		if (v)
			json_object_object_add(b->out, name[i][1], json_object_get(v));
	}
}

static int
cohere_request_fill(struct xlate_build *b)
{
	struct json_object *stop = NULL;
	int64_t limit = 0;
	int rc = xlate_check_choice(b->in, &b->why);

	xlate_put_text(b->out, "model", b->model);
	if (!rc)
		rc = cohere_request_messages(b);
	if (!rc)
		rc = xlate_limit(b->in, &limit, &b->why);
	if (!rc && limit)
		json_object_object_add(b->out, "max_tokens", json_object_new_int64(limit));
	if (!rc)
		rc = xlate_stop(b->in, &stop, &b->why);
	if (stop)
		json_object_object_add(b->out, "stop_sequences", stop);
	if (!rc)
		rc = cohere_request_choice(b);
	if (!rc)
		rc = cohere_request_format(b);
	if (rc)
		return rc;
	cohere_request_thinking(b);
	cohere_request_plain(b);
	return 0;
}

int
cohere_request(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
               const char **why)
{
	static const struct xlate_build_op op = {.fill = cohere_request_fill};
	struct xlate_build b = {0};

	(void)d;
	return xlate_build_request(&b, &op, model, openai, out, why);
}

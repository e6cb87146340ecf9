/* Parameters of an OpenAI chat request beside its messages, in the words of Converse.
 *
 * Only what is named here goes out: Bedrock answers 400 to a key that it does not know. What all models
 * understand is inferenceConfig; what one family has of its own goes to additionalModelRequestFields.
 */
#include "hale/hale.h"

#include "bedrock.h"

#include "hale/catalogue.h"

static int
bedrock_params_tools(struct xlate_build *b, struct json_object *tools, struct json_object *config)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(config, "tools", list);
	for (size_t i = 0; i < json_object_array_length(tools); i++) {
		struct json_object *tool = json_object_array_get_idx(tools, i), *f = xlate_get(tool, "function"), *spec;
		const char *name = xlate_text(f, "name"), *description = xlate_text(f, "description");

		if (!name)
			return xlate_fail(b, "a tool needs a function with a name");
		spec = xlate_one("name", json_object_new_string(name));
		if (description && *description)
			xlate_put_text(spec, "description", description);
		json_object_object_add(spec, "inputSchema",
		                       xlate_one("json", xlate_tool_schema(xlate_get(f, "parameters"))));
		json_object_array_add(list, xlate_one("toolSpec", spec));
		bedrock_request_mark(list, tool);
	}
	return 0;
}

/* "auto", "any" or "tool" in Converse's form; auto is the default and not said. */
static int
bedrock_params_tool_choice(struct xlate_build *b, struct json_object *config)
{
	struct json_object *in = xlate_get(b->in, "tool_choice"), *choice;
	const char *s = xlate_word(in, "type"), *name = xlate_text(xlate_get(in, "function"), "name");

	if (!in || (s && (strcmp(s, "auto") == 0 || strcmp(s, "none") == 0)))
		return 0;
	if (s && (strcmp(s, "required") == 0 || strcmp(s, "any") == 0))
		choice = xlate_one("any", json_object_new_object());
	else if (s && name && strcmp(s, "function") == 0)
		choice = xlate_one("tool", xlate_one("name", json_object_new_string(name)));
	else
		return xlate_fail(b, "tool_choice must be none, auto, required or name a function");
	json_object_object_add(config, "toolChoice", choice);
	return 0;
}

static int
bedrock_params_tool_config(struct xlate_build *b)
{
	struct json_object *tools = xlate_get(b->in, "tools"), *config;
	const char *choice = xlate_word(xlate_get(b->in, "tool_choice"), "type");
	int rc;

	if (tools && !json_object_is_type(tools, json_type_array))
		return xlate_fail(b, "tools must be an array");
	/* Converse has no word for "none": the tools are left out, unless the conversation refers to them. */
	if (xlate_count(tools) == 0 || (choice && strcmp(choice, "none") == 0 && !b->tool_turns))
		return 0;
	config = json_object_new_object();
	json_object_object_add(b->out, "toolConfig", config);
	rc = bedrock_params_tools(b, tools, config);
	return rc ? rc : bedrock_params_tool_choice(b, config);
}

int
bedrock_params_format(struct xlate_build *b)
{
	struct json_object *in = xlate_get(b->in, "response_format"), *json = xlate_get(in, "json_schema"), *o, *schema;
	struct strbuf text;

	if (!in || xlate_is(in, "type", "text"))
		return 0;
	if (xlate_is(in, "type", "json_object")) {
		json_object_array_add(b->system, xlate_one("text", json_object_new_string(XLATE_ASK_JSON)));
		return 0;
	}
	schema = xlate_get(json, "schema");
	if (!schema)
		return xlate_fail(b,
		                  "response_format must be text, json_object or json_schema with a schema");
	strbuf_init(&text, 0);
	xlate_plain(schema, &text);
	o = xlate_one("schema", json_object_new_string(strbuf_str(&text))); /* text, not an object */
	strbuf_release(&text);
	if (xlate_text(json, "name"))
		xlate_put_text(o, "name", xlate_text(json, "name"));
	if (xlate_text(json, "description"))
		xlate_put_text(o, "description", xlate_text(json, "description"));
	o = xlate_one("structure", xlate_one("jsonSchema", o));
	xlate_put_text(o, "type", "json_schema");
	json_object_object_add(b->out, "outputConfig", xlate_one("textFormat", o));
	return 0;
}

/* Fields of one family's own, the client's additionalModelRequestFields
 * among them. *budget: of thinking, 0: none. */
static struct json_object *
bedrock_params_family(const struct xlate_build *b, int64_t *budget)
{
	struct json_object *own = xlate_get(b->in, "additionalModelRequestFields"), *fields = NULL;
	struct json_object *effort = xlate_get(b->in, "reasoning_effort"), *thinking = xlate_get(b->in, "thinking");
	struct json_object *top_k = xlate_get(b->in, "top_k");

	if (!json_object_is_type(own, json_type_object) || json_object_deep_copy(own, &fields, NULL))
		fields = json_object_new_object();
	*budget = 0;
	if (strcasestr(b->model, "gpt-oss") && json_object_is_type(effort, json_type_string))
		json_object_object_add(fields, "reasoning_effort", json_object_get(effort));
	if (!strcasestr(b->model, "claude"))
		return fields;
	if (json_object_is_type(thinking, json_type_object)) {
		*budget = json_object_get_int64(xlate_get(thinking, "budget_tokens"));
		json_object_object_add(fields, "thinking", json_object_get(thinking));
	} else if (!b->bare_tool_turn && catalogue_is_reasoning(b->model) && xlate_reasoning_budget(b->in)) {
		/* A turn that called tools must bring its thinking along, or thinking cannot be on. */
		*budget = xlate_reasoning_budget(b->in);
		json_object_object_add(fields, "thinking", xlate_thinking(*budget));
	}
	if (top_k && *budget <= 0)
		json_object_object_add(fields, "top_k", json_object_get(top_k));
	return fields;
}

/* inferenceConfig. A thinking budget counts as output, so the limit must lie above it, and
 * thinking goes with the default temperature only. */
static int
bedrock_params_inference(struct xlate_build *b, int64_t budget)
{
	struct json_object *config = json_object_new_object(), *stop = NULL;
	struct json_object *temperature = xlate_get(b->in, "temperature"), *top_p = xlate_get(b->in, "top_p");
	int64_t limit = 0;
	int rc = xlate_limit(b->in, &limit, &b->why);

	if (!rc)
		rc = xlate_stop(b->in, &stop, &b->why);
	if (limit)
		json_object_object_add(config, "maxTokens",
		                       json_object_new_int64(xlate_limit_above(limit, budget)));
	if (temperature && budget <= 0)
		json_object_object_add(config, "temperature", json_object_get(temperature));
	if (top_p && budget <= 0)
		json_object_object_add(config, "topP", json_object_get(top_p));
	if (stop)
		json_object_object_add(config, "stopSequences", stop);
	if (rc || json_object_object_length(config) == 0)
		json_object_put(config);
	else
		json_object_object_add(b->out, "inferenceConfig", config);
	return rc;
}

int
bedrock_params_fill(struct xlate_build *b)
{
	/* Parameters of Converse's own that clients pass through. */
	static const char *const same[] = {"guardrailConfig", "performanceConfig", "requestMetadata"};
	struct json_object *fields;
	int64_t budget;
	int rc;

	fields = bedrock_params_family(b, &budget);
	rc = bedrock_params_inference(b, budget);
	if (rc || json_object_object_length(fields) == 0)
		json_object_put(fields);
	else
		json_object_object_add(b->out, "additionalModelRequestFields", fields);
	for (size_t i = 0; i < HALE_COUNT(same) && !rc; i++) {
		struct json_object *v = xlate_get(b->in, same[i]);

		if (json_object_is_type(v, json_type_object))
			json_object_object_add(b->out, same[i], json_object_get(v));
	}
	return rc ? rc : bedrock_params_tool_config(b);
}

/* Parameters of an Anthropic request beside its turns, in OpenAI's words.
 *
 * Left out: what only shapes sampling and has no counterpart (top_k), bookkeeping (metadata, service_tier)
 * and savings (context_management). Refused: what the answer depends on, so that nobody waits for a search
 * that no one makes: Anthropic's own tools, MCP servers.
 */
#include "hale/hale.h"

#include "messages_impl.h"

#include "hale/catalogue.h"
#include "hale/deployment.h"

static int
messages_params_tools(struct messages_build *b, struct json_object *tools)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(b->out, "tools", list);
	for (size_t i = 0; i < json_object_array_length(tools); i++) {
		struct json_object *tool = json_object_array_get_idx(tools, i), *f, *t, *v;

		if (xlate_get(tool, "type") && !xlate_is(tool, "type", "custom"))
			return messages_fail(b, "Anthropic's own tools are not available on this deployment, only custom ones");
		if (!xlate_text(tool, "name"))
			return messages_fail(b, "a tool needs a name");
		f = json_object_new_object();
		json_object_object_add(f, "name", json_object_get(xlate_get(tool, "name")));
		if ((v = xlate_get(tool, "description")))
			json_object_object_add(f, "description", json_object_get(v));
		if ((v = xlate_get(tool, "input_schema")))
			json_object_object_add(f, "parameters", json_object_get(v));
		t = json_object_new_object();
		json_object_object_add(t, "type", json_object_new_string("function"));
		json_object_object_add(t, "function", f);
		if (b->rich && (v = xlate_get(tool, "cache_control")))
			json_object_object_add(t, "cache_control", json_object_get(v));
		json_object_array_add(list, t);
	}
	return 0;
}

static int
messages_params_choice(struct messages_build *b, struct json_object *choice)
{
	struct json_object *out, *f;

	if (xlate_is(choice, "type", "tool") && xlate_text(choice, "name")) {
		f = json_object_new_object();
		json_object_object_add(f, "name", json_object_get(xlate_get(choice, "name")));
		out = json_object_new_object();
		json_object_object_add(out, "type", json_object_new_string("function"));
		json_object_object_add(out, "function", f);
	} else if (xlate_is(choice, "type", "any")) {
		out = json_object_new_string("required");
	} else if (xlate_is(choice, "type", "auto") || xlate_is(choice, "type", "none")) {
		out = json_object_get(xlate_get(choice, "type"));
	} else {
		return messages_fail(b, "tool_choice must be of type auto, any, none or tool with a name");
	}
	json_object_object_add(b->out, "tool_choice", out);
	if (json_object_get_boolean(xlate_get(choice, "disable_parallel_tool_use")))
		json_object_object_add(b->out, "parallel_tool_calls", json_object_new_boolean(false));
	return 0;
}

/* OpenAI and newer Azure want the limit under its new name, and reasoning models nothing else; other servers
 * may know only the old one. */
static const char *
messages_params_limit(const struct messages_build *b)
{
	const struct deployment *d = b->d;
	const char *version = d->api_version ? d->api_version : d->provider->default_version;
	bool azure = strcmp(d->provider->name, "azure") == 0;

	if (b->rich)
		return "max_tokens";
	if (azure ? !version || version[0] != '2' || strcmp(version, "2024-09") > 0
	          : d->api_base && strncmp(d->api_base, "https://api.openai.com/", 23) == 0)
		return "max_completion_tokens";
	return strcmp(d->provider->name, "openai") == 0 && catalogue_is_reasoning(b->model)
	               ? "max_completion_tokens"
	               : "max_tokens";
}

/* A budget of thinking tokens as an effort, LiteLLM's steps; NULL: the client said nothing. */
static const char *
messages_params_effort(const struct messages_build *b)
{
	const char *effort = xlate_text(xlate_get(b->in, "output_config"), "effort");
	struct json_object *thinking = xlate_get(b->in, "thinking");
	int64_t budget = json_object_get_int64(xlate_get(thinking, "budget_tokens"));

	if (xlate_is(thinking, "type", "disabled"))
		return NULL;
	if (effort)
		return strcmp(effort, "low") == 0 || strcmp(effort, "medium") == 0 ? effort : "high";
	if (!xlate_is(thinking, "type", "enabled"))
		return NULL;
	return budget >= 10000 ? "high" : budget >= 5000 ? "medium" : "low";
}

bool
messages_wants_thinking(struct json_object *anthropic)
{
	struct json_object *thinking = xlate_get(anthropic, "thinking");

	return thinking && !xlate_is(thinking, "type", "disabled");
}

static void
messages_params_format(struct messages_build *b)
{
	struct json_object *format = xlate_get(xlate_get(b->in, "output_config"), "format"), *out, *schema;

	if (!format)
		format = xlate_get(b->in, "output_format");
	if (!xlate_is(format, "type", "json_schema") || !xlate_get(format, "schema"))
		return;
	schema = json_object_new_object();
	json_object_object_add(schema, "name", json_object_new_string("answer"));
	json_object_object_add(schema, "strict", json_object_new_boolean(true));
	json_object_object_add(schema, "schema", json_object_get(xlate_get(format, "schema")));
	out = json_object_new_object();
	json_object_object_add(out, "type", json_object_new_string("json_schema"));
	json_object_object_add(out, "json_schema", schema);
	json_object_object_add(b->out, "response_format", out);
}

static void
messages_params_plain(struct messages_build *b)
{
	static const struct {
		const char *from, *to;
		bool sampling, rich;
	} same[] = {
		{"temperature", "temperature", true, false},
		{"top_p", "top_p", true, false},
		{"top_k", "top_k", true, true},
		{"stop_sequences", "stop", false, false},
		{"metadata", "metadata", false, true},
	};
	bool fixed = !b->rich && catalogue_is_reasoning(b->model); /* refuses any other temperature than its own */

	for (size_t i = 0; i < HALE_COUNT(same); i++) {
		struct json_object *v = xlate_get(b->in, same[i].from);

		if (json_object_is_type(v, json_type_array) && json_object_array_length(v) == 0)
			continue;
		if (v && (b->rich || !same[i].rich) && !(fixed && same[i].sampling))
			json_object_object_add(b->out, same[i].to, json_object_get(v));
	}
}

static void
messages_params_stream(struct messages_build *b)
{
	struct json_object *options;

	if (!json_object_get_boolean(xlate_get(b->in, "stream")))
		return;
	json_object_object_add(b->out, "stream", json_object_new_boolean(true));
	if (b->d->provider->no_stream_options)
		return;
	options = json_object_new_object();
	json_object_object_add(options, "include_usage", json_object_new_boolean(true));
	json_object_object_add(b->out, "stream_options", options);
}

int
messages_params(struct messages_build *b)
{
	struct json_object *tools = xlate_get(b->in, "tools"), *choice = xlate_get(b->in, "tool_choice");
	struct json_object *max = xlate_get(b->in, "max_tokens");
	const char *effort = messages_params_effort(b);
	int rc = 0;

	if (xlate_count(xlate_get(b->in, "mcp_servers")))
		return messages_fail(b, "mcp_servers are not available on this deployment");
	if (!json_object_is_type(max, json_type_int) || json_object_get_int64(max) < 1)
		return messages_fail(b, "max_tokens: a positive integer is required");
	json_object_object_add(b->out, messages_params_limit(b), json_object_get(max));
	messages_params_plain(b);
	messages_params_format(b);
	messages_params_stream(b);
	if (effort && (b->rich || catalogue_is_reasoning(b->model)))
		json_object_object_add(b->out, "reasoning_effort", json_object_new_string(effort));
	if (xlate_count(tools)) /* a choice without tools is refused by OpenAI */
		rc = messages_params_tools(b, tools);
	if (!rc && choice && xlate_count(tools))
		rc = messages_params_choice(b, choice);
	return rc;
}

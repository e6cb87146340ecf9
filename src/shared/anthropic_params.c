/* Parameters of an OpenAI chat request beside its messages, in Anthropic's words.
 *
 * What has no counterpart: hints that only shape sampling (seed, penalties, logit_bias) and bookkeeping
 * (store, service_tier) are left out; what would change the shape of the answer (n > 1, logprobs, audio)
 * is refused, so that no client waits for something that cannot come.
 */
#include "hale/hale.h"

#include "anthropic.h"

#include "hale/catalogue.h"
#include "hale/err.h"

/* Anthropic wants a limit in every request. */
#define ANTHROPIC_MAX_TOKENS 4096

static int
anthropic_params_tools(struct xlate_build *b, struct json_object *tools)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(b->out, "tools", list);
	for (size_t i = 0; i < json_object_array_length(tools); i++) {
		struct json_object *tool = json_object_array_get_idx(tools, i), *f = xlate_get(tool, "function");
		struct json_object *mark = xlate_get(tool, "cache_control"), *t;
		const char *description = xlate_text(f, "description");

		/* Anthropic's own tools ({"type":"web_search_20250305","name":...}) pass as they are. */
		if (!f && xlate_text(tool, "name") && !xlate_is(tool, "type", "function")) {
			json_object_array_add(list, json_object_get(tool));
			continue;
		}
		if (!xlate_text(f, "name"))
			return xlate_fail(b, "a tool needs a function with a name");
		t = json_object_new_object();
		xlate_put_text(t, "name", xlate_text(f, "name"));
		if (description)
			xlate_put_text(t, "description", description);
		json_object_object_add(t, "input_schema", xlate_tool_schema(xlate_get(f, "parameters")));
		if (mark)
			json_object_object_add(t, "cache_control", json_object_get(mark));
		json_object_array_add(list, t);
	}
	return 0;
}

static int
anthropic_params_tool_choice(struct xlate_build *b)
{
	static const char *const word[][2] = {
		{"auto", "auto"}, {"none", "none"}, {"required", "any"}, {"any", "any"},
	};
	struct json_object *in = xlate_get(b->in, "tool_choice");
	struct json_object *parallel = xlate_get(b->in, "parallel_tool_calls");
	const char *s = xlate_word(in, "type");
	const char *name = xlate_text(xlate_get(in, "function"), "name"), *type = NULL;
	bool single = json_object_is_type(parallel, json_type_boolean) && !json_object_get_boolean(parallel);
	struct json_object *out;

	if (!in && !single)
		return 0;
	if (!in)
		type = "auto";
	for (size_t i = 0; s && i < HALE_COUNT(word); i++)
		if (strcmp(s, word[i][0]) == 0)
			type = word[i][1];
	if (!name)
		name = xlate_text(in, "name");
	if (name && (xlate_is(in, "type", "function") || xlate_is(in, "type", "tool")))
		type = "tool";
	if (!type)
		return xlate_fail(b, "tool_choice must be none, auto, required or name a function");
	out = json_object_new_object();
	xlate_put_text(out, "type", type);
	if (strcmp(type, "tool") == 0)
		xlate_put_text(out, "name", name);
	if (single && strcmp(type, "none") != 0)
		json_object_object_add(out, "disable_parallel_tool_use", json_object_new_boolean(true));
	json_object_object_add(b->out, "tool_choice", out);
	return 0;
}

/* reasoning_effort as a budget of thinking tokens; 0: none. */
static int64_t
anthropic_params_budget(const struct xlate_build *b)
{
	/* A turn that called tools must bring its thinking along, or thinking cannot be on. */
	return b->bare_tool_turn || !catalogue_is_reasoning(b->model) ? 0 : xlate_reasoning_budget(b->in);
}

/* max_tokens and thinking: the budget counts as output, so the limit must lie above it. */
static int
anthropic_params_limits(struct xlate_build *b, bool *thinks)
{
	struct json_object *thinking = xlate_get(b->in, "thinking");
	int64_t limit = ANTHROPIC_MAX_TOKENS, budget = anthropic_params_budget(b);

	if (xlate_limit(b->in, &limit, &b->why))
		return HALE_EINVAL;
	if (thinking)
		budget = json_object_get_int64(xlate_get(thinking, "budget_tokens"));
	*thinks = budget > 0;
	json_object_object_add(b->out, "max_tokens", json_object_new_int64(xlate_limit_above(limit, budget)));
	if (thinking)
		json_object_object_add(b->out, "thinking", json_object_get(thinking));
	else if (budget > 0)
		json_object_object_add(b->out, "thinking", xlate_thinking(budget));
	return 0;
}

static int
anthropic_params_stop(struct xlate_build *b)
{
	struct json_object *list;
	int rc = xlate_stop(b->in, &list, &b->why);

	if (list)
		json_object_object_add(b->out, "stop_sequences", list);
	return rc;
}

int
anthropic_params_format(struct xlate_build *b)
{
	struct json_object *in = xlate_get(b->in, "response_format"), *format, *config, *schema, *block;

	if (!in || xlate_is(in, "type", "text"))
		return 0;
	if (xlate_is(in, "type", "json_object")) {
		block = anthropic_request_block("text", NULL);
		xlate_put_text(block, "text", XLATE_ASK_JSON);
		json_object_array_add(b->system, block);
		return 0;
	}
	schema = xlate_get(xlate_get(in, "json_schema"), "schema");
	if (!schema)
		return xlate_fail(b,
		                  "response_format must be text, json_object or json_schema with a schema");
	format = json_object_new_object();
	xlate_put_text(format, "type", "json_schema");
	json_object_object_add(format, "schema", json_object_get(schema));
	config = json_object_new_object();
	json_object_object_add(config, "format", format);
	json_object_object_add(b->out, "output_config", config);
	return 0;
}

static void
anthropic_params_plain(struct xlate_build *b, bool thinks)
{
	/* The last two: parameters of Anthropic's own that clients pass through. */
	static const char *const same[] = {"temperature", "top_p",       "top_k",
	                                   "stream",      "mcp_servers", "context_management"};
	const char *user = xlate_text(b->in, "user");

	for (size_t i = 0; i < HALE_COUNT(same); i++) {
		struct json_object *v = xlate_get(b->in, same[i]);

		/* Thinking goes with the default temperature only. */
		if (v && !(thinks && i < 3))
			json_object_object_add(b->out, same[i], json_object_get(v));
	}
	if (!user)
		user = xlate_text(xlate_get(b->in, "metadata"), "user_id");
	if (user) {
		struct json_object *metadata = json_object_new_object();

		xlate_put_text(metadata, "user_id", user);
		json_object_object_add(b->out, "metadata", metadata);
	}
}

int
anthropic_params_fill(struct xlate_build *b)
{
	struct json_object *tools = xlate_get(b->in, "tools");
	bool thinks = false;
	int rc = anthropic_params_limits(b, &thinks);

	if (!rc)
		rc = anthropic_params_stop(b);
	if (!rc && tools && !json_object_is_type(tools, json_type_array))
		rc = xlate_fail(b, "tools must be an array");
	/* Without tools a tool_choice has nothing to choose from and would be refused. */
	if (!rc && xlate_count(tools)) {
		rc = anthropic_params_tools(b, tools);
		if (!rc)
			rc = anthropic_params_tool_choice(b);
	}
	anthropic_params_plain(b, thinks);
	return rc;
}

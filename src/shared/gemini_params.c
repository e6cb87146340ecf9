/* Parameters of an OpenAI chat request beside its messages, in Gemini's words.
 *
 * What has no counterpart: hints that only shape sampling (logit_bias, parallel_tool_calls) and bookkeeping
 * (user, store, service_tier) are left out; what would change the shape of the answer (logprobs, audio,
 * pictures) is refused, so that no client waits for something that cannot come.
 *
 * Thinking counts as output: a small max_tokens with thinking on gives an answer without a word.
 * reasoning_effort "none" turns it off, or as far down as the model allows.
 */
#include "hale/hale.h"

#include "gemini.h"

#include "hale/err.h"

static int
gemini_params_function(struct xlate_build *b, struct json_object *f, struct json_object *list)
{
	struct json_object *parameters = xlate_get(f, "parameters"), *schema = NULL, *out;
	const char *name = xlate_text(f, "name"), *description = xlate_text(f, "description");

	if (!name)
		return xlate_fail(b, "a tool needs a function with a name");
	if (parameters) {
		schema = gemini_schema(parameters, &b->why);
		if (!schema)
			return HALE_EINVAL;
	}
	out = json_object_new_object();
	xlate_put_text(out, "name", name);
	if (description)
		xlate_put_text(out, "description", description);
	/* An object without members is refused; without parameters the function takes none. */
	if (json_object_is_type(xlate_get(schema, "properties"), json_type_object) &&
	    json_object_object_length(xlate_get(schema, "properties")) > 0)
		json_object_object_add(out, "parameters", schema);
	else
		json_object_put(schema);
	json_object_array_add(list, out);
	return 0;
}

/* *functions: there are some, not only Gemini's own tools. */
static int
gemini_params_tools(struct xlate_build *b, struct json_object *in, bool *functions)
{
	struct json_object *tools = json_object_new_array(), *list = json_object_new_array(), *one;
	int rc = 0;

	for (size_t i = 0; i < xlate_count(in) && !rc; i++) {
		struct json_object *tool = json_object_array_get_idx(in, i), *f = xlate_get(tool, "function");

		/* Gemini's own tools ({"googleSearch":{}}) pass as they are. */
		if (!f && json_object_is_type(tool, json_type_object) && !xlate_get(tool, "type"))
			json_object_array_add(tools, json_object_get(tool));
		else
			rc = gemini_params_function(b, f, list);
	}
	*functions = json_object_array_length(list) > 0;
	if (*functions && !rc) {
		one = json_object_new_object();
		json_object_object_add(one, "functionDeclarations", json_object_get(list));
		json_object_array_add(tools, one);
	}
	json_object_put(list);
	if (json_object_array_length(tools) && !rc)
		json_object_object_add(b->out, "tools", tools);
	else
		json_object_put(tools);
	return rc;
}

static int
gemini_params_tool_choice(struct xlate_build *b)
{
	static const char *const word[][2] = {
		{"auto", "AUTO"}, {"none", "NONE"}, {"required", "ANY"}, {"any", "ANY"},
	};
	struct json_object *in = xlate_get(b->in, "tool_choice"), *calling, *config, *names;
	const char *s = xlate_word(in, "type"), *mode = NULL;
	const char *name = xlate_text(xlate_get(in, "function"), "name");

	if (!in)
		return 0;
	for (size_t i = 0; s && i < HALE_COUNT(word); i++)
		if (strcmp(s, word[i][0]) == 0)
			mode = word[i][1];
	if (name && xlate_is(in, "type", "function"))
		mode = "ANY";
	if (!mode)
		return xlate_fail(b, "tool_choice must be none, auto, required or name a function");
	calling = json_object_new_object();
	xlate_put_text(calling, "mode", mode);
	if (name) {
		names = json_object_new_array();
		json_object_array_add(names, json_object_new_string(name));
		json_object_object_add(calling, "allowedFunctionNames", names);
	}
	config = json_object_new_object();
	json_object_object_add(config, "functionCallingConfig", calling);
	json_object_object_add(b->out, "toolConfig", config);
	return 0;
}

/* thinkingConfig for reasoning_effort. Gemini 3 takes a level; 2.5 Pro cannot do without thoughts. */
static struct json_object *
gemini_params_effort(const struct xlate_build *b, const char *effort)
{
	static const struct {
		const char *word, *level;
		int64_t budget;
	} known[] = {
		{"none", "low", 0},      {"disable", "low", 0},     {"minimal", "low", 0},  {"low", "low", 1024},
		{"medium", "high", 2048}, {"high", "high", 4096}, {"xhigh", "high", 8192},
	};
	bool level = strstr(b->model, "gemini-3"), pro = strstr(b->model, "2.5-pro");
	struct json_object *out;

	for (size_t i = 0; i < HALE_COUNT(known); i++) {
		if (strcmp(known[i].word, effort) != 0)
			continue;
		out = json_object_new_object();
		if (level)
			xlate_put_text(out, "thinkingLevel", known[i].level);
		else
			json_object_object_add(out, "thinkingBudget",
			                       json_object_new_int64(known[i].budget || !pro ? known[i].budget : 128));
		if (known[i].budget)
			json_object_object_add(out, "includeThoughts", json_object_new_boolean(true));
		return out;
	}
	return NULL;
}

/* Anthropic's member, which clients of LiteLLM send to every provider. */
static struct json_object *
gemini_params_budget(struct json_object *thinking)
{
	struct json_object *budget = xlate_get(thinking, "budget_tokens"), *out;
	bool off = xlate_is(thinking, "type", "disabled");

	if (!off && !json_object_is_type(budget, json_type_int))
		return NULL;
	out = json_object_new_object();
	json_object_object_add(out, "thinkingBudget",
	                       off ? json_object_new_int64(0) : json_object_get(budget));
	if (!off)
		json_object_object_add(out, "includeThoughts", json_object_new_boolean(true));
	return out;
}

static void
gemini_params_thinking(const struct xlate_build *b, struct json_object *config)
{
	static const char *const never[] = {"gemini-1.", "gemini-2.0", "gemma"};
	struct json_object *thinking = xlate_get(b->in, "thinking"), *out = NULL;
	const char *effort = xlate_word(xlate_get(b->in, "reasoning_effort"), "effort");

	for (size_t i = 0; i < HALE_COUNT(never); i++)
		if (strstr(b->model, never[i])) /* these refuse to be asked about it */
			return;
	if (thinking)
		out = gemini_params_budget(thinking);
	else if (effort)
		out = gemini_params_effort(b, effort);
	if (out)
		json_object_object_add(config, "thinkingConfig", out);
}

static int
gemini_params_format(struct xlate_build *b, struct json_object *config)
{
	struct json_object *in = xlate_get(b->in, "response_format"), *schema, *out = NULL;

	if (!in || xlate_is(in, "type", "text"))
		return 0;
	schema = xlate_get(xlate_get(in, "json_schema"), "schema");
	if (schema && xlate_is(in, "type", "json_schema")) {
		out = gemini_schema(schema, &b->why);
		if (!out)
			return HALE_EINVAL;
	} else if (!xlate_is(in, "type", "json_object")) {
		return xlate_fail(b,
		                  "response_format must be text, json_object or json_schema with a schema");
	}
	xlate_put_text(config, "responseMimeType", "application/json");
	if (out)
		json_object_object_add(config, "responseSchema", out);
	return 0;
}

static int
gemini_params_limits(struct xlate_build *b, struct json_object *config)
{
	struct json_object *stop = NULL;
	int64_t limit = 0;
	int rc = xlate_limit(b->in, &limit, &b->why);

	if (!rc)
		rc = xlate_stop(b->in, &stop, &b->why);
	if (limit)
		json_object_object_add(config, "maxOutputTokens", json_object_new_int64(limit));
	if (stop)
		json_object_object_add(config, "stopSequences", stop);
	return rc;
}

/* Members that only change their name, in `to`. */
static void
gemini_params_rename(struct json_object *in, const char *const (*name)[2], size_t n, struct json_object *to)
{
	for (size_t i = 0; i < n; i++) {
		struct json_object *v = xlate_get(in, name[i][0]);

		if (v)
			json_object_object_add(to, name[i][1], json_object_get(v));
	}
}

int
gemini_params_check(struct xlate_build *b)
{
	struct json_object *n = xlate_get(b->in, "n"), *modalities = xlate_get(b->in, "modalities");

	if (n && (!json_object_is_type(n, json_type_int) || json_object_get_int64(n) < 1 ||
	          json_object_get_int64(n) > GEMINI_CHOICES_MAX))
		return xlate_fail(b, "this provider gives up to 8 choices: n must be 1 to 8");
	if (json_object_get_boolean(xlate_get(b->in, "logprobs")))
		return xlate_fail(b, "logprobs are not supported by this provider");
	if (xlate_get(b->in, "audio"))
		return xlate_fail(b, "audio output is not supported by this provider");
	for (size_t i = 0; i < xlate_count(modalities); i++) {
		const char *word = xlate_word(json_object_array_get_idx(modalities, i), "");

		if (!word || strcmp(word, "text") != 0)
			return xlate_fail(b,
			                  "answers of this provider are text: modalities must be [\"text\"]");
	}
	if (xlate_get(b->in, "functions") || xlate_get(b->in, "function_call"))
		return xlate_fail(b, "functions are not supported by this provider, use tools");
	return 0;
}

int
gemini_params_fill(struct xlate_build *b)
{
	static const char *const generation[][2] = {
		{"temperature", "temperature"}, {"top_p", "topP"}, {"top_k", "topK"}, {"seed", "seed"},
		{"n", "candidateCount"}, {"presence_penalty", "presencePenalty"}, {"frequency_penalty", "frequencyPenalty"},
	};
	/* Gemini's own, which clients pass through. */
	static const char *const own[][2] = {{"safety_settings", "safetySettings"},
	                                     {"cached_content", "cachedContent"}};
	struct json_object *tools = xlate_get(b->in, "tools"), *config = json_object_new_object();
	bool functions = false;
	int rc = gemini_params_limits(b, config);

	if (!rc && tools && !json_object_is_type(tools, json_type_array))
		rc = xlate_fail(b, "tools must be an array");
	if (!rc)
		rc = gemini_params_tools(b, tools, &functions);
	/* Without functions a tool_choice has nothing to choose from and would be refused. */
	if (!rc && functions)
		rc = gemini_params_tool_choice(b);
	if (!rc)
		rc = gemini_params_format(b, config);
	gemini_params_rename(b->in, generation, HALE_COUNT(generation), config);
	gemini_params_thinking(b, config);
	gemini_params_rename(b->in, own, HALE_COUNT(own), b->out);
	if (json_object_object_length(config))
		json_object_object_add(b->out, "generationConfig", config);
	else
		json_object_put(config);
	return rc;
}

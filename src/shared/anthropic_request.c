/* OpenAI chat request to Anthropic messages request.
 *
 * Messages become turns of content blocks; neighbours of one role are merged, because the results of
 * parallel tool calls must stand in one user turn. System messages go to `system`, wherever they stood.
 *
 * What has no counterpart: hints that only shape sampling (seed, penalties, logit_bias) and bookkeeping
 * (store, service_tier) are left out; what would change the shape of the answer (n > 1, logprobs, audio)
 * is refused, so that no client waits for something that cannot come.
 */
#include "hale/hale.h"

#include "anthropic.h"

#include <strings.h>

#include "hale/catalogue.h"
#include "hale/err.h"
#include "hale/strbuf.h"

#define ANTHROPIC_MAX_TOKENS 4096
/* Anthropic wants a user turn first. */
#define ANTHROPIC_CONTINUE "Please continue."

struct anthropic_build {
	struct json_object *in, *out, *messages, *system;
	const char *model, *why;
	bool bare_tool_turn; /* an assistant turn with tool calls and without its thinking */
};

static int
anthropic_request_fail(struct anthropic_build *b, const char *why)
{
	b->why = why;
	return HALE_EINVAL;
}

static struct json_object *
anthropic_request_string(struct json_object *s)
{
	return json_object_new_string_len(json_object_get_string(s), json_object_get_string_len(s));
}

/* {"type": type}, with the cache mark of the part that it comes from. */
static struct json_object *
anthropic_request_block(const char *type, struct json_object *part)
{
	struct json_object *block = json_object_new_object(), *mark = anthropic_get(part, "cache_control");

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

	if (!turn || !anthropic_is(turn, "role", role)) {
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
	json_object_array_add(anthropic_get(turn, "content"), take_block);
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
	const char *comma, *semicolon;

	if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0) {
		source = json_object_new_object();
		json_object_object_add(source, "type", json_object_new_string("url"));
		json_object_object_add(source, "url", json_object_new_string(url));
		return source;
	}
	comma = strchr(url, ',');
	if (strncasecmp(url, "data:", 5) != 0 || !comma || comma - url < 13 || strncasecmp(comma - 7, ";base64", 7) != 0)
		return NULL;
	semicolon = url + 5 + strcspn(url + 5, ";");
	if (semicolon == url + 5)
		return NULL;
	source = json_object_new_object();
	json_object_object_add(source, "type", json_object_new_string("base64"));
	json_object_object_add(source, "media_type", json_object_new_string_len(url + 5, (int)(semicolon - url - 5)));
	json_object_object_add(source, "data", json_object_new_string(comma + 1));
	return source;
}

static int
anthropic_request_image(struct anthropic_build *b, struct json_object *part, struct json_object **block)
{
	struct json_object *image = anthropic_get(part, "image_url"), *source;
	const char *url = json_object_is_type(image, json_type_string) ? json_object_get_string(image)
	                                                                : anthropic_text(image, "url");

	source = url ? anthropic_request_source(url) : NULL;
	if (!source)
		return anthropic_request_fail(b, "image_url must be an http(s) URL or a base64 data URL");
	*block = anthropic_request_block("image", part);
	json_object_object_add(*block, "source", source);
	return 0;
}

static int
anthropic_request_file(struct anthropic_build *b, struct json_object *part, struct json_object **block)
{
	struct json_object *file = anthropic_get(part, "file"), *source = NULL;
	const char *data = anthropic_text(file, "file_data"), *id = anthropic_text(file, "file_id");

	if (data) {
		source = anthropic_request_source(data);
	} else if (id) {
		source = json_object_new_object();
		json_object_object_add(source, "type", json_object_new_string("file"));
		json_object_object_add(source, "file_id", json_object_new_string(id));
	}
	if (!source)
		return anthropic_request_fail(b, "file needs a file_id or file_data as a base64 data URL");
	*block = anthropic_request_block("document", part);
	json_object_object_add(*block, "source", source);
	return 0;
}

/* One element of a content array; *block stays NULL for empty text. */
static int
anthropic_request_part(struct anthropic_build *b, struct json_object *part, struct json_object **block)
{
	struct json_object *text = anthropic_get(part, anthropic_is(part, "type", "refusal") ? "refusal" : "text");

	*block = NULL;
	if (anthropic_is(part, "type", "text") || anthropic_is(part, "type", "refusal")) {
		if (!json_object_is_type(text, json_type_string))
			return anthropic_request_fail(b, "a text part needs a text");
		*block = anthropic_request_text(text, part);
		return 0;
	}
	if (anthropic_is(part, "type", "image_url"))
		return anthropic_request_image(b, part, block);
	if (anthropic_is(part, "type", "file"))
		return anthropic_request_file(b, part, block);
	return anthropic_request_fail(b, "this provider takes content parts of type text, image_url and file");
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
		return anthropic_request_fail(b, "message content must be a string or an array of parts");
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

/* Anthropic takes letters, digits, '_' and '-' in ids of tool calls; other gateways make other ones. */
static struct json_object *
anthropic_request_id(const char *id)
{
	struct strbuf s;
	struct json_object *out;

	strbuf_init(&s, 256);
	for (; *id; id++)
		strbuf_putc(&s, (*id >= '0' && *id <= '9') || ((*id | 0x20) >= 'a' && (*id | 0x20) <= 'z') || *id == '-' ? *id : '_');
	out = json_object_new_string(strbuf_str(&s));
	strbuf_release(&s);
	return out;
}

static int
anthropic_request_tool_call(struct anthropic_build *b, struct json_object *call)
{
	struct json_object *function = anthropic_get(call, "function"), *block, *input;
	const char *id = anthropic_text(call, "id"), *name = anthropic_text(function, "name");
	const char *arguments = anthropic_text(function, "arguments");

	if (!id || !name)
		return anthropic_request_fail(b, "a tool call needs an id and a function with a name");
	if (!arguments || !arguments[strspn(arguments, " \t\r\n")])
		input = json_object_new_object();
	else
		input = anthropic_parse(arguments, strlen(arguments));
	if (!input)
		return anthropic_request_fail(b, "the arguments of a tool call are not a JSON object");
	block = anthropic_request_block("tool_use", call);
	json_object_object_add(block, "id", anthropic_request_id(id));
	json_object_object_add(block, "name", json_object_new_string(name));
	json_object_object_add(block, "input", input);
	anthropic_request_add(b, "assistant", block);
	return 0;
}

static int
anthropic_request_assistant(struct anthropic_build *b, struct json_object *m)
{
	struct json_object *thinking = anthropic_get(m, "thinking_blocks"), *calls = anthropic_get(m, "tool_calls");
	size_t nthinking = json_object_is_type(thinking, json_type_array) ? json_object_array_length(thinking) : 0;
	size_t ncalls = json_object_is_type(calls, json_type_array) ? json_object_array_length(calls) : 0;
	int rc;

	if (anthropic_get(m, "function_call"))
		return anthropic_request_fail(b, "function_call is not supported by this provider, use tool_calls");
	/* What clients got with an earlier answer and send back unchanged. */
	for (size_t i = 0; i < nthinking; i++)
		anthropic_request_add(b, "assistant", json_object_get(json_object_array_get_idx(thinking, i)));
	b->bare_tool_turn = b->bare_tool_turn || (ncalls && !nthinking);
	rc = anthropic_request_content(b, anthropic_get(m, "content"), "assistant", NULL);
	for (size_t i = 0; i < ncalls && !rc; i++)
		rc = anthropic_request_tool_call(b, json_object_array_get_idx(calls, i));
	return rc;
}

static int
anthropic_request_tool_result(struct anthropic_build *b, struct json_object *m)
{
	struct json_object *block, *content = anthropic_get(m, "content"), *parts;
	const char *id = anthropic_text(m, "tool_call_id");
	int rc;

	if (!id)
		return anthropic_request_fail(b, "a tool message needs a tool_call_id");
	block = anthropic_request_block("tool_result", m);
	json_object_object_add(block, "tool_use_id", anthropic_request_id(id));
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
	const char *role = anthropic_text(m, "role");

	if (!role)
		return anthropic_request_fail(b, "a message needs a role");
	if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
		return anthropic_request_content(b, anthropic_get(m, "content"), NULL, b->system);
	if (strcmp(role, "user") == 0)
		return anthropic_request_content(b, anthropic_get(m, "content"), "user", NULL);
	if (strcmp(role, "assistant") == 0)
		return anthropic_request_assistant(b, m);
	if (strcmp(role, "tool") == 0)
		return anthropic_request_tool_result(b, m);
	return anthropic_request_fail(b, "message roles are system, developer, user, assistant and tool");
}

/* The answer's beginning, if the last turn is one, must not end in white space. */
static void
anthropic_request_trim_last(struct anthropic_build *b)
{
	size_t n = json_object_array_length(b->messages), len, k;
	struct json_object *turn = json_object_array_get_idx(b->messages, n - 1), *content = anthropic_get(turn, "content");
	struct json_object *block = json_object_array_get_idx(content, json_object_array_length(content) - 1);
	const char *text = anthropic_text(block, "text");

	if (!anthropic_is(turn, "role", "assistant") || !anthropic_is(block, "type", "text") || !text)
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
	struct json_object *messages = anthropic_get(b->in, "messages"), *block;
	int rc = 0;

	if (!json_object_is_type(messages, json_type_array))
		return anthropic_request_fail(b, "messages must be an array");
	for (size_t i = 0; i < json_object_array_length(messages) && !rc; i++)
		rc = anthropic_request_message(b, json_object_array_get_idx(messages, i));
	if (rc)
		return rc;
	if (json_object_array_length(b->messages) == 0) {
		if (json_object_array_length(b->system) == 0)
			return anthropic_request_fail(b, "messages have no content");
		block = anthropic_request_block("text", NULL);
		json_object_object_add(block, "text", json_object_new_string(ANTHROPIC_CONTINUE));
		anthropic_request_add(b, "user", block);
	}
	anthropic_request_trim_last(b);
	return 0;
}

static struct json_object *
anthropic_request_schema(struct json_object *parameters)
{
	struct json_object *schema = json_object_is_type(parameters, json_type_object) ? NULL : json_object_new_object();

	if (!schema && json_object_deep_copy(parameters, &schema, NULL))
		schema = json_object_new_object();
	if (!anthropic_get(schema, "type"))
		json_object_object_add(schema, "type", json_object_new_string("object"));
	if (!anthropic_get(schema, "properties") && anthropic_is(schema, "type", "object"))
		json_object_object_add(schema, "properties", json_object_new_object());
	return schema;
}

static int
anthropic_request_tools(struct anthropic_build *b, struct json_object *tools)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(b->out, "tools", list);
	for (size_t i = 0; i < json_object_array_length(tools); i++) {
		struct json_object *tool = json_object_array_get_idx(tools, i), *f = anthropic_get(tool, "function"), *t;
		struct json_object *mark = anthropic_get(tool, "cache_control");

		/* Anthropic's own tools ({"type":"web_search_20250305","name":...}) pass as they are. */
		if (!f && anthropic_text(tool, "name") && !anthropic_is(tool, "type", "function")) {
			json_object_array_add(list, json_object_get(tool));
			continue;
		}
		if (!anthropic_text(f, "name"))
			return anthropic_request_fail(b, "a tool needs a function with a name");
		t = json_object_new_object();
		json_object_object_add(t, "name", json_object_new_string(anthropic_text(f, "name")));
		if (anthropic_text(f, "description"))
			json_object_object_add(t, "description", json_object_new_string(anthropic_text(f, "description")));
		json_object_object_add(t, "input_schema", anthropic_request_schema(anthropic_get(f, "parameters")));
		if (mark)
			json_object_object_add(t, "cache_control", json_object_get(mark));
		json_object_array_add(list, t);
	}
	return 0;
}

static int
anthropic_request_tool_choice(struct anthropic_build *b)
{
	static const char *const word[][2] = {{"auto", "auto"}, {"none", "none"}, {"required", "any"}, {"any", "any"}};
	struct json_object *in = anthropic_get(b->in, "tool_choice"), *parallel = anthropic_get(b->in, "parallel_tool_calls");
	const char *s = json_object_is_type(in, json_type_string) ? json_object_get_string(in) : anthropic_text(in, "type");
	const char *name = anthropic_text(anthropic_get(in, "function"), "name"), *type = NULL;
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
		name = anthropic_text(in, "name");
	if (name && (anthropic_is(in, "type", "function") || anthropic_is(in, "type", "tool")))
		type = "tool";
	if (!type)
		return anthropic_request_fail(b, "tool_choice must be none, auto, required or name a function");
	out = json_object_new_object();
	json_object_object_add(out, "type", json_object_new_string(type));
	if (strcmp(type, "tool") == 0)
		json_object_object_add(out, "name", json_object_new_string(name));
	if (single && strcmp(type, "none") != 0)
		json_object_object_add(out, "disable_parallel_tool_use", json_object_new_boolean(true));
	json_object_object_add(b->out, "tool_choice", out);
	return 0;
}

/* reasoning_effort as a budget of thinking tokens, LiteLLM's figures; 0: none. */
static int64_t
anthropic_request_budget(const struct anthropic_build *b)
{
	static const struct {
		const char *word;
		int64_t budget;
	} effort[] = {{"low", 1024}, {"medium", 2048}, {"high", 4096}, {"xhigh", 8192}};
	struct json_object *in = anthropic_get(b->in, "reasoning_effort");
	const char *s = json_object_is_type(in, json_type_string) ? json_object_get_string(in) : anthropic_text(in, "effort");

	/* A turn that called tools must bring its thinking along, or thinking cannot be on. */
	if (!s || b->bare_tool_turn || !catalogue_is_reasoning(b->model))
		return 0;
	for (size_t i = 0; i < HALE_COUNT(effort); i++)
		if (strcmp(s, effort[i].word) == 0)
			return effort[i].budget;
	return 0;
}

/* max_tokens and thinking: the budget counts as output, so the limit must lie above it. */
static int
anthropic_request_limits(struct anthropic_build *b, bool *thinks)
{
	struct json_object *max = anthropic_get(b->in, "max_completion_tokens"), *thinking = anthropic_get(b->in, "thinking");
	int64_t limit = ANTHROPIC_MAX_TOKENS, budget;

	if (!max)
		max = anthropic_get(b->in, "max_tokens");
	if (max) {
		limit = json_object_get_int64(max);
		if (!json_object_is_type(max, json_type_int) || limit < 1)
			return anthropic_request_fail(b, "max_tokens must be a positive integer");
	}
	budget = thinking ? json_object_get_int64(anthropic_get(thinking, "budget_tokens")) : anthropic_request_budget(b);
	*thinks = budget > 0;
	if (budget > 0 && limit <= budget && limit < INT32_MAX && budget < INT32_MAX)
		limit += budget;
	json_object_object_add(b->out, "max_tokens", json_object_new_int64(limit));
	if (thinking) {
		json_object_object_add(b->out, "thinking", json_object_get(thinking));
	} else if (budget > 0) {
		thinking = json_object_new_object();
		json_object_object_add(thinking, "type", json_object_new_string("enabled"));
		json_object_object_add(thinking, "budget_tokens", json_object_new_int64(budget));
		json_object_object_add(b->out, "thinking", thinking);
	}
	return 0;
}

static int
anthropic_request_stop(struct anthropic_build *b)
{
	struct json_object *stop = anthropic_get(b->in, "stop"), *list;

	if (!stop)
		return 0;
	if (json_object_is_type(stop, json_type_array)) {
		list = json_object_get(stop);
	} else if (json_object_is_type(stop, json_type_string)) {
		list = json_object_new_array();
		json_object_array_add(list, json_object_get(stop));
	} else {
		return anthropic_request_fail(b, "stop must be a string or an array of strings");
	}
	json_object_object_add(b->out, "stop_sequences", list);
	return 0;
}

static int
anthropic_request_format(struct anthropic_build *b)
{
	static const char ask[] = "Answer with one JSON object and nothing else.";
	struct json_object *in = anthropic_get(b->in, "response_format"), *format, *config, *schema, *block;

	if (!in || anthropic_is(in, "type", "text"))
		return 0;
	if (anthropic_is(in, "type", "json_object")) {
		block = anthropic_request_block("text", NULL);
		json_object_object_add(block, "text", json_object_new_string(ask));
		json_object_array_add(b->system, block);
		return 0;
	}
	schema = anthropic_get(anthropic_get(in, "json_schema"), "schema");
	if (!schema)
		return anthropic_request_fail(b, "response_format must be text, json_object or json_schema with a schema");
	format = json_object_new_object();
	json_object_object_add(format, "type", json_object_new_string("json_schema"));
	json_object_object_add(format, "schema", json_object_get(schema));
	config = json_object_new_object();
	json_object_object_add(config, "format", format);
	json_object_object_add(b->out, "output_config", config);
	return 0;
}

/* Refuses what would change the shape of the answer. */
static int
anthropic_request_check(struct anthropic_build *b)
{
	struct json_object *n = anthropic_get(b->in, "n"), *audio = anthropic_get(b->in, "audio");

	if (n && json_object_get_int64(n) != 1)
		return anthropic_request_fail(b, "this provider gives one choice: n must be 1");
	if (json_object_get_boolean(anthropic_get(b->in, "logprobs")))
		return anthropic_request_fail(b, "logprobs are not supported by this provider");
	if (audio)
		return anthropic_request_fail(b, "audio output is not supported by this provider");
	if (anthropic_get(b->in, "functions") || anthropic_get(b->in, "function_call"))
		return anthropic_request_fail(b, "functions are not supported by this provider, use tools");
	return 0;
}

static void
anthropic_request_plain(struct anthropic_build *b, bool thinks)
{
	/* The last two: parameters of Anthropic's own that clients pass through. */
	static const char *const same[] = {"temperature", "top_p", "top_k", "stream", "mcp_servers", "context_management"};
	const char *user = anthropic_text(b->in, "user");

	for (size_t i = 0; i < HALE_COUNT(same); i++) {
		struct json_object *v = anthropic_get(b->in, same[i]);

		/* Thinking goes with the default temperature only. */
		if (v && !(thinks && i < 3))
			json_object_object_add(b->out, same[i], json_object_get(v));
	}
	if (!user)
		user = anthropic_text(anthropic_get(b->in, "metadata"), "user_id");
	if (user) {
		struct json_object *metadata = json_object_new_object();

		json_object_object_add(metadata, "user_id", json_object_new_string(user));
		json_object_object_add(b->out, "metadata", metadata);
	}
}

static int
anthropic_request_fill(struct anthropic_build *b)
{
	struct json_object *tools = anthropic_get(b->in, "tools");
	bool thinks = false;
	int rc = anthropic_request_check(b);

	json_object_object_add(b->out, "model", json_object_new_string(b->model));
	if (!rc)
		rc = anthropic_request_messages(b);
	if (!rc)
		rc = anthropic_request_format(b);
	if (rc)
		return rc;
	json_object_object_add(b->out, "messages", json_object_get(b->messages));
	if (json_object_array_length(b->system))
		json_object_object_add(b->out, "system", json_object_get(b->system));
	rc = anthropic_request_limits(b, &thinks);
	if (!rc)
		rc = anthropic_request_stop(b);
	if (!rc && tools && !json_object_is_type(tools, json_type_array))
		rc = anthropic_request_fail(b, "tools must be an array");
	/* Without tools a tool_choice has nothing to choose from and would be refused. */
	if (!rc && tools && json_object_array_length(tools)) {
		rc = anthropic_request_tools(b, tools);
		if (!rc)
			rc = anthropic_request_tool_choice(b);
	}
	anthropic_request_plain(b, thinks);
	return rc;
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
	size_t len;
	const char *text;
	int rc;

	(void)d;
	rc = anthropic_request_fill(&b);
	if (rc) {
		*why = b.why;
	} else {
		text = json_object_to_json_string_length(b.out, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
		strbuf_add(out, text, len);
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

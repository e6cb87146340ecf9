/* Pieces of a chat, as OpenAI writes them: what most providers take from a request and give in an answer
 * under other names, but with the same meaning. Contracts: xlate.h.
 */
#include "hale/hale.h"

#include "xlate.h"

#include "hale/clock.h"
#include "hale/err.h"

int
xlate_limit(struct json_object *openai, int64_t *limit, const char **why)
{
	struct json_object *max = xlate_get(openai, "max_completion_tokens");

	if (!max)
		max = xlate_get(openai, "max_tokens");
	if (!max)
		return 0;
	*limit = json_object_get_int64(max);
	if (json_object_is_type(max, json_type_int) && *limit >= 1)
		return 0;
	*why = "max_tokens must be a positive integer";
	return HALE_EINVAL;
}

int
xlate_stop(struct json_object *openai, struct json_object **list, const char **why)
{
	struct json_object *stop = xlate_get(openai, "stop");

	*list = NULL;
	if (!stop)
		return 0;
	if (json_object_is_type(stop, json_type_array)) {
		*list = json_object_get(stop);
		return 0;
	}
	if (!json_object_is_type(stop, json_type_string)) {
		*why = "stop must be a string or an array of strings";
		return HALE_EINVAL;
	}
	*list = json_object_new_array();
	json_object_array_add(*list, json_object_get(stop));
	return 0;
}

int64_t
xlate_limit_above(int64_t limit, int64_t budget)
{
	return budget > 0 && limit <= budget && limit < INT32_MAX && budget < INT32_MAX ? limit + budget
	                                                                                : limit;
}

struct json_object *
xlate_thinking(int64_t budget)
{
	struct json_object *thinking = json_object_new_object();

	json_object_object_add(thinking, "type", json_object_new_string("enabled"));
	json_object_object_add(thinking, "budget_tokens", json_object_new_int64(budget));
	return thinking;
}

void
xlate_answer_open(const char *id, const char *model, struct strbuf *out)
{
	struct strbuf name;

	strbuf_init(&name, 0);
	strbuf_printf(&name, "chatcmpl-%s", id ? id : "");
	strbuf_puts(out, "{\"id\":");
	strbuf_json_stringn(out, strbuf_str(&name), name.len);
	strbuf_printf(out, ",\"object\":\"chat.completion\",\"created\":%lld,\"model\":",
	              (long long)(clock_real_ns() / 1000000000u));
	strbuf_json_string(out, model);
	strbuf_puts(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
	strbuf_release(&name);
}

bool
xlate_join(struct json_object *text, struct strbuf *joined)
{
	if (!json_object_is_type(text, json_type_string))
		return false;
	strbuf_add(joined, json_object_get_string(text), (size_t)json_object_get_string_len(text));
	return true;
}

const char *
xlate_arguments(struct json_object *value)
{
	return value ? json_object_to_json_string_ext(value, XLATE_PLAIN) : NULL;
}

void
xlate_answer_tool(unsigned n, const char *id, const char *name, const char *arguments, struct strbuf *out)
{
	strbuf_puts(out, n ? ",{\"id\":" : ",\"tool_calls\":[{\"id\":");
	strbuf_json_string(out, id);
	strbuf_puts(out, ",\"type\":\"function\",\"function\":{\"name\":");
	strbuf_json_string(out, name);
	strbuf_puts(out, ",\"arguments\":");
	strbuf_json_string(out, arguments && *arguments ? arguments : "{}");
	strbuf_puts(out, "}}");
}

void
xlate_answer_finish(const char *finish, struct strbuf *out)
{
	strbuf_printf(out, "},\"logprobs\":null,\"finish_reason\":\"%s\"}", finish);
}

void
xlate_chunk_role(const struct xlate_chunk *c, unsigned index, struct strbuf *out)
{
	xlate_chunk_open(c, index, out);
	strbuf_puts(out, "\"role\":\"assistant\",\"content\":\"\"");
	xlate_chunk_close(c, NULL, out);
}

void
xlate_chunk_finish(const struct xlate_chunk *c, const char *finish, struct strbuf *out)
{
	xlate_chunk_open(c, 0, out);
	xlate_chunk_close(c, finish, out);
}

void
xlate_chunk_tool(struct xlate_chunk *c, const char *id, const char *name, struct strbuf *out)
{
	c->tool_open = true;
	c->tool_arguments = false;
	xlate_chunk_open(c, 0, out);
	strbuf_printf(out, "\"tool_calls\":[{\"index\":%u,\"id\":", c->ntool++);
	strbuf_json_string(out, id);
	strbuf_puts(out, ",\"type\":\"function\",\"function\":{\"name\":");
	strbuf_json_string(out, name);
	strbuf_puts(out, ",\"arguments\":\"\"}}]");
	xlate_chunk_close(c, NULL, out);
}

void
xlate_chunk_arguments(struct xlate_chunk *c, const char *text, struct strbuf *out)
{
	if (!c->tool_open || !text || !*text)
		return;
	c->tool_arguments = true;
	xlate_chunk_open(c, 0, out);
	strbuf_printf(out, "\"tool_calls\":[{\"index\":%u,\"function\":{\"arguments\":", c->ntool - 1);
	strbuf_json_string(out, text);
	strbuf_puts(out, "}}]");
	xlate_chunk_close(c, NULL, out);
}

void
xlate_chunk_tool_end(struct xlate_chunk *c, struct strbuf *out)
{
	if (!c->tool_arguments)
		xlate_chunk_arguments(c, "{}", out);
	c->tool_open = false;
}

void
xlate_usage_done(const struct xlate_usage *u, const struct xlate_chunk *c, struct strbuf *out)
{
	struct strbuf usage;

	strbuf_init(&usage, 0);
	xlate_usage_write(u, &usage);
	xlate_chunk_done(c, strbuf_str(&usage), out);
	strbuf_release(&usage);
}

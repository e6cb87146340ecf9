/* Pieces of a chat, as OpenAI writes them: what most providers take from a request and give in an answer under other
 * names, but with the same meaning. Contracts: xlate.h.
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

void
xlate_chunk_role(const struct xlate_chunk *c, struct strbuf *out)
{
	xlate_chunk_open(c, 0, out);
	strbuf_puts(out, "\"role\":\"assistant\",\"content\":\"\"");
	xlate_chunk_close(c, NULL, out);
}

void
xlate_chunk_tool(const struct xlate_chunk *c, unsigned n, const char *id, const char *name, struct strbuf *out)
{
	xlate_chunk_open(c, 0, out);
	strbuf_printf(out, "\"tool_calls\":[{\"index\":%u,\"id\":", n);
	strbuf_json_string(out, id);
	strbuf_puts(out, ",\"type\":\"function\",\"function\":{\"name\":");
	strbuf_json_string(out, name);
	strbuf_puts(out, ",\"arguments\":\"\"}}]");
	xlate_chunk_close(c, NULL, out);
}

void
xlate_chunk_arguments(const struct xlate_chunk *c, unsigned n, const char *text, struct strbuf *out)
{
	xlate_chunk_open(c, 0, out);
	strbuf_printf(out, "\"tool_calls\":[{\"index\":%u,\"function\":{\"arguments\":", n);
	strbuf_json_string(out, text);
	strbuf_puts(out, "}}]");
	xlate_chunk_close(c, NULL, out);
}

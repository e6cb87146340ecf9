/* The parts of a translation that are alike for every provider. Contracts: xlate.h.
 *
 * Nothing here knows a provider. Text of streams is written straight into the output, without a tree: that is
 * the path that runs for every token.
 */
#include "hale/hale.h"

#include "xlate.h"

#include <ctype.h>
#include <strings.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/err.h"

/* Nesting of tool inputs and search results that is followed. */
#define XLATE_DEPTH 128

struct json_object *
xlate_parse_value(const char *text, size_t len)
{
	struct json_tokener *tok;
	struct json_object *o;

	if (len == 0 || len > INT32_MAX)
		return NULL;
	tok = json_tokener_new_ex(XLATE_DEPTH);
	if (!tok)
		return NULL;
	o = json_tokener_parse_ex(tok, text, (int)len);
	/* Some text may follow the value only if it is white space. */
	for (size_t i = json_tokener_get_parse_end(tok); o && i < len; i++) {
		if (!strchr(" \t\r\n", text[i]) || !text[i]) {
			json_object_put(o);
			o = NULL;
		}
	}
	json_tokener_free(tok);
	return o;
}

struct json_object *
xlate_parse(const char *text, size_t len)
{
	struct json_object *o = xlate_parse_value(text, len);

	if (json_object_is_type(o, json_type_object))
		return o;
	json_object_put(o);
	return NULL;
}

void
xlate_plain(struct json_object *o, struct strbuf *out)
{
	size_t len;
	const char *text = json_object_to_json_string_length(o, XLATE_PLAIN, &len);

	strbuf_add(out, text, len);
}

bool
xlate_data_url(const char *url, struct xlate_data_url *out)
{
	const char *comma = strchr(url, ',');

	if (strncasecmp(url, "data:", 5) != 0 || !comma || comma - url < 13)
		return false;
	if (strncasecmp(comma - 7, ";base64", 7) != 0)
		return false;
	*out = (struct xlate_data_url){url + 5, comma + 1, strcspn(url + 5, ";")};
	return out->type_len > 0;
}

void
xlate_events_init(struct xlate_events *e)
{
	*e = (struct xlate_events){0};
	strbuf_init(&e->line, XLATE_EVENT_MAX);
	strbuf_init(&e->event, XLATE_EVENT_MAX);
}

void
xlate_events_release(struct xlate_events *e)
{
	strbuf_release(&e->line);
	strbuf_release(&e->event);
}

/* One line without its newline. Whole: the line ended an event that has data. */
static void
xlate_events_line(struct xlate_events *e)
{
	const char *line = strbuf_str(&e->line);
	size_t len = e->line.len;

	if (len && line[len - 1] == '\r')
		len--;
	if (len == 0) {
		e->whole = e->event.len > 0;
	} else if (len >= 5 && memcmp(line, "data:", 5) == 0) {
		size_t skip = len > 5 && line[5] == ' ' ? 6 : 5;

		if (e->event.len)
			strbuf_putc(&e->event, '\n');
		strbuf_add(&e->event, line + skip, len - skip);
	}
}

int
xlate_events_next(struct xlate_events *e, const char **data, size_t *len)
{
	if (e->whole)
		strbuf_clear(&e->event);
	e->whole = false;
	while (*len && !e->whole) {
		const char *newline = memchr(*data, '\n', *len);
		size_t n = newline ? (size_t)(newline - *data) : *len, taken = n + (newline != NULL);

		strbuf_add(&e->line, *data, n);
		if (e->line.overflow)
			return HALE_ELIMIT;
		*data += taken;
		*len -= taken;
		if (!newline)
			break;
		xlate_events_line(e);
		strbuf_clear(&e->line);
		if (e->event.overflow)
			return HALE_ELIMIT;
	}
	return e->whole;
}

void
xlate_chunk_init(struct xlate_chunk *c, const char *model, bool include_usage)
{
	*c = (struct xlate_chunk){.model = xstrdup(model),
	                          .created = clock_real_ns() / 1000000000u,
	                          .include_usage = include_usage};
}

void
xlate_chunk_release(struct xlate_chunk *c)
{
	free(c->model);
	free(c->id);
}

void
xlate_chunk_name(struct xlate_chunk *c, const char *id)
{
	struct strbuf b;

	strbuf_init(&b, 256);
	strbuf_printf(&b, "chatcmpl-%s", id ? id : "");
	free(c->id);
	c->id = strbuf_take(&b);
}

static void
xlate_chunk_head(const struct xlate_chunk *c, struct strbuf *out)
{
	strbuf_puts(out, "data: {\"id\":");
	strbuf_json_string(out, c->id ? c->id : "chatcmpl-");
	strbuf_printf(out, ",\"object\":\"chat.completion.chunk\",\"created\":%llu,\"model\":",
	              (unsigned long long)c->created);
	strbuf_json_string(out, c->model);
	strbuf_puts(out, ",\"choices\":[");
}

void
xlate_chunk_open(const struct xlate_chunk *c, unsigned index, struct strbuf *out)
{
	xlate_chunk_head(c, out);
	strbuf_printf(out, "{\"index\":%u,\"delta\":{", index);
}

void
xlate_chunk_close(const struct xlate_chunk *c, const char *finish, struct strbuf *out)
{
	strbuf_puts(out, "},\"logprobs\":null,\"finish_reason\":");
	strbuf_json_string(out, finish);
	strbuf_puts(out, c->include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}

void
xlate_chunk_string(const struct xlate_chunk *c, unsigned index, const char *member, struct json_object *text,
                   struct strbuf *out)
{
	if (!json_object_is_type(text, json_type_string))
		return;
	xlate_chunk_open(c, index, out);
	strbuf_printf(out, "\"%s\":", member);
	strbuf_json_stringn(out, json_object_get_string(text), (size_t)json_object_get_string_len(text));
	xlate_chunk_close(c, NULL, out);
}

void
xlate_chunk_done(const struct xlate_chunk *c, const char *usage, struct strbuf *out)
{
	if (c->include_usage) {
		xlate_chunk_head(c, out);
		strbuf_puts(out, "],\"usage\":");
		strbuf_puts(out, usage);
		strbuf_puts(out, "}\n\n");
	}
	strbuf_puts(out, "data: [DONE]\n\n");
}

void
xlate_chunk_error(const char *message, const char *type, const char *code, struct strbuf *out)
{
	strbuf_puts(out, "data: {\"error\":{\"message\":");
	strbuf_json_string(out, message ? message : "the upstream reported an error");
	strbuf_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":", type);
	strbuf_json_string(out, code);
	strbuf_puts(out, "}}\n\n");
}

void
xlate_usage_count(struct json_object *usage, const char *key, int64_t *out)
{
	struct json_object *v = xlate_get(usage, key);

	/* A bound keeps the sums below from overflowing, whatever the upstream writes. */
	if (json_object_is_type(v, json_type_int) && json_object_get_int64(v) >= 0 &&
	    json_object_get_int64(v) <= INT64_C(1) << 48)
		*out = json_object_get_int64(v);
}

void
xlate_usage_write(const struct xlate_usage *u, struct strbuf *out)
{
	/* OpenAI counts cached tokens as part of the prompt. */
	int64_t prompt = u->input + u->cache_write + u->cache_read;

	strbuf_printf(out,
	              "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
	              "\"prompt_tokens_details\":{\"cached_tokens\":%lld},\"cache_creation_input_tokens\":%lld,"
	              "\"cache_read_input_tokens\":%lld}",
	              (long long)prompt, (long long)u->output, (long long)(prompt + u->output),
	              (long long)u->cache_read, (long long)u->cache_write, (long long)u->cache_read);
}

struct json_object *
xlate_tool_id(const char *id)
{
	struct strbuf s;
	struct json_object *out;

	strbuf_init(&s, 256);
	for (; *id; id++)
		strbuf_putc(&s, isalnum((unsigned char)*id) || *id == '-' ? *id : '_');
	out = json_object_new_string(strbuf_str(&s));
	strbuf_release(&s);
	return out;
}

struct json_object *
xlate_tool_input(const char *arguments)
{
	if (!arguments || !arguments[strspn(arguments, " \t\r\n")])
		return json_object_new_object();
	return xlate_parse(arguments, strlen(arguments));
}

struct json_object *
xlate_tool_schema(struct json_object *parameters)
{
	struct json_object *schema = NULL;

	if (!json_object_is_type(parameters, json_type_object) ||
	    json_object_deep_copy(parameters, &schema, NULL))
		schema = json_object_new_object();
	if (!xlate_get(schema, "type"))
		json_object_object_add(schema, "type", json_object_new_string("object"));
	if (!xlate_get(schema, "properties") && xlate_is(schema, "type", "object"))
		json_object_object_add(schema, "properties", json_object_new_object());
	return schema;
}

int
xlate_check_choice(struct json_object *openai, const char **why)
{
	struct json_object *n = xlate_get(openai, "n");

	if (n && json_object_get_int64(n) != 1)
		*why = "this provider gives one choice: n must be 1";
	else if (json_object_get_boolean(xlate_get(openai, "logprobs")))
		*why = "logprobs are not supported by this provider";
	else if (xlate_get(openai, "audio"))
		*why = "audio output is not supported by this provider";
	else if (xlate_get(openai, "functions") || xlate_get(openai, "function_call"))
		*why = "functions are not supported by this provider, use tools";
	else
		return 0;
	return HALE_EINVAL;
}

int64_t
xlate_reasoning_budget(struct json_object *openai)
{
	static const struct {
		const char *word;
		int64_t budget;
	} effort[] = {{"low", 1024}, {"medium", 2048}, {"high", 4096}, {"xhigh", 8192}};
	const char *s = xlate_word(xlate_get(openai, "reasoning_effort"), "effort");

	for (size_t i = 0; s && i < HALE_COUNT(effort); i++)
		if (strcmp(s, effort[i].word) == 0)
			return effort[i].budget;
	return 0;
}

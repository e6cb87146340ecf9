/* OpenAI chat request to Anthropic messages request.
 *
 * Messages become turns of content blocks (the walk over them: xlate_build.h). Parameters beside the
 * messages are the business of anthropic_params.c.
 */
#include "hale/hale.h"

#include "anthropic.h"

#include <strings.h>

struct json_object *
anthropic_request_block(const char *type, struct json_object *part)
{
	struct json_object *block = json_object_new_object(), *mark = xlate_get(part, "cache_control");

	xlate_put_text(block, "type", type);
	if (mark)
		json_object_object_add(block, "cache_control", json_object_get(mark));
	return block;
}

static void
anthropic_request_add(struct xlate_build *b, const char *role, struct json_object *take_block)
{
	json_object_array_add(xlate_build_turn(b, role, false), take_block);
}

/* Anthropic refuses empty text blocks, so they are left out. */
static struct json_object *
anthropic_request_text(struct json_object *text, struct json_object *part)
{
	struct json_object *block;

	if (json_object_get_string_len(text) == 0)
		return NULL;
	block = anthropic_request_block("text", part);
	json_object_object_add(block, "text", json_object_get(text));
	return block;
}

/* {"type":"base64","media_type","data"} of a data URL, {"type":"url"} of another one; NULL: neither. */
static struct json_object *
anthropic_request_source(const char *url)
{
	struct json_object *source;
	struct xlate_data_url data;

	if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0) {
		source = anthropic_request_block("url", NULL);
		xlate_put_text(source, "url", url);
		return source;
	}
	if (!xlate_data_url(url, &data))
		return NULL;
	source = anthropic_request_block("base64", NULL);
	json_object_object_add(source, "media_type",
	                       json_object_new_string_len(data.type, (int)data.type_len));
	xlate_put_text(source, "data", data.base64);
	return source;
}

static int
anthropic_request_image(struct xlate_build *b, struct json_object *part, struct json_object **block)
{
	const char *url = xlate_word(xlate_get(part, "image_url"), "url");
	struct json_object *source = url ? anthropic_request_source(url) : NULL;

	if (!source)
		return xlate_fail(b, "image_url must be an http(s) URL or a base64 data URL");
	*block = anthropic_request_block("image", part);
	json_object_object_add(*block, "source", source);
	return 0;
}

static int
anthropic_request_file(struct xlate_build *b, struct json_object *part, struct json_object **block)
{
	struct json_object *file = xlate_get(part, "file"), *source = NULL;
	const char *data = xlate_text(file, "file_data"), *id = xlate_text(file, "file_id");

	if (data) {
		source = anthropic_request_source(data);
	} else if (id) {
		source = anthropic_request_block("file", NULL);
		xlate_put_text(source, "file_id", id);
	}
	if (!source)
		return xlate_fail(b, "file needs a file_id or file_data as a base64 data URL");
	*block = anthropic_request_block("document", part);
	json_object_object_add(*block, "source", source);
	return 0;
}

static int
anthropic_request_part(struct xlate_build *b, struct json_object *part, struct json_object **block)
{
	if (xlate_is(part, "type", "image_url"))
		return anthropic_request_image(b, part, block);
	if (xlate_is(part, "type", "file"))
		return anthropic_request_file(b, part, block);
	return xlate_fail(b, "this provider takes content parts of type text, image_url and file");
}

static void
anthropic_request_call(struct xlate_build *b, const struct xlate_call *call)
{
	struct json_object *block = anthropic_request_block("tool_use", call->whole);

	json_object_object_add(block, "id", xlate_tool_id(call->id));
	xlate_put_text(block, "name", call->name);
	json_object_object_add(block, "input", call->take_input);
	anthropic_request_add(b, "assistant", block);
}

/* Clients send it back unchanged. */
static void
anthropic_request_thinking(struct xlate_build *b, struct json_object *block)
{
	anthropic_request_add(b, "assistant", json_object_get(block));
}

static int
anthropic_request_result(struct xlate_build *b, struct json_object *m, const char *id)
{
	struct json_object *block, *content = xlate_get(m, "content"), *parts;
	int rc;

	block = anthropic_request_block("tool_result", m);
	json_object_object_add(block, "tool_use_id", xlate_tool_id(id));
	if (json_object_is_type(content, json_type_array)) {
		parts = json_object_new_array();
		json_object_object_add(block, "content", parts);
		rc = xlate_build_content(b, content, NULL, parts);
		if (rc) {
			json_object_put(block);
			return rc;
		}
	} else if (content) {
		xlate_put_text(block, "content", json_object_get_string(content));
	}
	anthropic_request_add(b, "user", block);
	return 0;
}

static int
anthropic_request_fill(struct xlate_build *b)
{
	int rc = xlate_check_choice(b->in, &b->why);

	xlate_put_text(b->out, "model", b->model);
	if (!rc)
		rc = xlate_build_messages(b);
	if (!rc)
		rc = anthropic_params_format(b);
	if (rc)
		return rc;
	xlate_build_trim_last(b, "text");
	json_object_object_add(b->out, "messages", json_object_get(b->turns));
	if (json_object_array_length(b->system))
		json_object_object_add(b->out, "system", json_object_get(b->system));
	return anthropic_params_fill(b);
}

int
anthropic_request(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
                  const char **why)
{
	static const struct xlate_build_op op = {
		.content = "content",
		.assistant = "assistant",
		.fill = anthropic_request_fill,
		.text = anthropic_request_text,
		.part = anthropic_request_part,
		.thinking = anthropic_request_thinking,
		.call = anthropic_request_call,
		.result = anthropic_request_result,
	};
	struct xlate_build b = {0};

	(void)d;
	return xlate_build_request(&b, &op, model, openai, out, why);
}

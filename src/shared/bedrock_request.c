/* OpenAI chat request to a Converse request: the turns.
 *
 * The walk over messages and parts: xlate_build.h. Bedrock fetches nothing: images and files come as data
 * URLs. Blank texts, which it refuses, are left out.
 *
 * Parameters beside the messages are the business of bedrock_params.c.
 */
#include "hale/hale.h"

#include "bedrock.h"

#include <strings.h>

/* NULL for blank text. */
static struct json_object *
bedrock_request_text(struct json_object *text, struct json_object *part)
{
	const char *s = json_object_get_string(text);

	(void)part;
	if (strspn(s, " \t\r\n") == (size_t)json_object_get_string_len(text))
		return NULL;
	return xlate_one("text", json_object_get(text));
}

void
bedrock_request_mark(struct json_object *list, struct json_object *part)
{
	if (xlate_get(part, "cache_control"))
		json_object_array_add(list, xlate_one("cachePoint", xlate_one("type", json_object_new_string("default"))));
}

/* The format of a media type, as Bedrock calls it; NULL: it takes no such thing. */
static const char *
bedrock_request_format(const struct xlate_data_url *url, bool image)
{
	static const struct {
		const char *type, *format;
		bool image;
	} known[] = {
		{"image/png", "png", true}, {"image/jpeg", "jpeg", true}, {"image/jpg", "jpeg", true},
		{"image/gif", "gif", true}, {"image/webp", "webp", true}, {"application/pdf", "pdf", false},
		{"text/csv", "csv", false}, {"text/html", "html", false}, {"text/plain", "txt", false},
		{"text/markdown", "md", false}, {"application/msword", "doc", false}, {"application/vnd.ms-excel", "xls", false},
		{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx", false},
		{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", false},
	};

	for (size_t i = 0; i < HALE_COUNT(known); i++)
		if (known[i].image == image && strlen(known[i].type) == url->type_len &&
		    strncasecmp(known[i].type, url->type, url->type_len) == 0)
			return known[i].format;
	return NULL;
}

/* {"format", "source": {"bytes"}} */
static struct json_object *
bedrock_request_bytes(const char *format, const char *base64)
{
	struct json_object *o = xlate_one("format", json_object_new_string(format));

	json_object_object_add(o, "source", xlate_one("bytes", json_object_new_string(base64)));
	return o;
}

static int
bedrock_request_image(struct xlate_build *b, struct json_object *part, struct json_object **block)
{
	const char *text = xlate_word(xlate_get(part, "image_url"), "url"), *format;
	struct xlate_data_url url;

	if (!text || !xlate_data_url(text, &url))
		return xlate_fail(b, "this provider fetches no images: image_url must be a base64 data URL");
	format = bedrock_request_format(&url, true);
	if (!format)
		return xlate_fail(b, "this provider takes images of type png, jpeg, gif and webp");
	*block = xlate_one("image", bedrock_request_bytes(format, url.base64));
	return 0;
}

static int
bedrock_request_file(struct xlate_build *b, struct json_object *part, struct json_object **block)
{
	const char *text = xlate_text(xlate_get(part, "file"), "file_data"), *format;
	struct json_object *document;
	struct xlate_data_url url;
	char name[32];

	if (!text || !xlate_data_url(text, &url))
		return xlate_fail(b, "this provider stores no files: a file needs file_data as a base64 data URL");
	format = bedrock_request_format(&url, false);
	if (!format)
		return xlate_fail(b, "this provider takes files of type pdf, csv, doc, docx, xls, xlsx, html, txt and md");
	/* Names must differ, and the model reads them: a file name is not let into the prompt. */
	snprintf(name, sizeof(name), "document-%u", ++b->ndocument);
	document = bedrock_request_bytes(format, url.base64);
	xlate_put_text(document, "name", name);
	*block = xlate_one("document", document);
	return 0;
}

static int
bedrock_request_part(struct xlate_build *b, struct json_object *part, struct json_object **block)
{
	if (xlate_is(part, "type", "image_url"))
		return bedrock_request_image(b, part, block);
	if (xlate_is(part, "type", "file"))
		return bedrock_request_file(b, part, block);
	return xlate_fail(b, "this provider takes content parts of type text, image_url and file");
}

static void
bedrock_request_call(struct xlate_build *b, const struct xlate_call *call)
{
	struct json_object *use = xlate_one("toolUseId", xlate_tool_id(call->id));

	xlate_put_text(use, "name", call->name);
	json_object_object_add(use, "input", call->take_input);
	json_object_array_add(xlate_build_turn(b, "assistant", false), xlate_one("toolUse", use));
}

static void
bedrock_request_thinking(struct xlate_build *b, struct json_object *thinking)
{
	struct json_object *reasoning;

	if (xlate_is(thinking, "type", "redacted_thinking") && xlate_text(thinking, "data")) {
		reasoning = xlate_one("redactedContent", json_object_new_string(xlate_text(thinking, "data")));
	} else if (xlate_text(thinking, "thinking") && xlate_text(thinking, "signature")) {
		reasoning = xlate_one("text", json_object_new_string(xlate_text(thinking, "thinking")));
		xlate_put_text(reasoning, "signature", xlate_text(thinking, "signature"));
		reasoning = xlate_one("reasoningText", reasoning);
	} else {
		return;
	}
	json_object_array_add(xlate_build_turn(b, "assistant", false),
	                      xlate_one("reasoningContent", reasoning));
}

static int
bedrock_request_result(struct xlate_build *b, struct json_object *m, const char *id)
{
	struct json_object *result, *list = json_object_new_array(), *turn;
	int rc = xlate_build_content(b, xlate_get(m, "content"), NULL, list);

	if (rc) {
		json_object_put(list);
		return rc;
	}
	result = xlate_one("toolUseId", xlate_tool_id(id));
	json_object_object_add(result, "content", list);
	turn = xlate_build_turn(b, "user", true);
	json_object_array_add(turn, xlate_one("toolResult", result));
	bedrock_request_mark(turn, m);
	return 0;
}

static int
bedrock_request_fill(struct xlate_build *b)
{
	int rc = xlate_check_choice(b->in, &b->why);

	if (!rc)
		rc = xlate_build_messages(b);
	if (!rc)
		rc = bedrock_params_format(b);
	if (rc)
		return rc;
	xlate_build_trim_last(b, NULL);
	json_object_object_add(b->out, "messages", json_object_get(b->turns));
	if (json_object_array_length(b->system))
		json_object_object_add(b->out, "system", json_object_get(b->system));
	return bedrock_params_fill(b);
}

int
bedrock_request(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
                const char **why)
{
	static const struct xlate_build_op op = {
		.content = "content",
		.assistant = "assistant",
		.fill = bedrock_request_fill,
		.text = bedrock_request_text,
		.part = bedrock_request_part,
		.mark = bedrock_request_mark,
		.thinking = bedrock_request_thinking,
		.call = bedrock_request_call,
		.result = bedrock_request_result,
	};
	struct xlate_build b = {0};

	(void)d;
	return xlate_build_request(&b, &op, model, openai, out, why);
}

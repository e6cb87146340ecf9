/* OpenAI chat request to Gemini's generateContent.
 *
 * Messages become contents of parts (the walk over them: xlate_build.h). Results of tools stand in a turn of
 * their own: Gemini counts them against the calls of the turn before. They name their function, not their
 * call, so the names of all calls are kept by id.
 *
 * Gemini 3 wants the signature of its thoughts back with a function call. It travels in the
 * members where LiteLLM and Google's own OpenAI endpoint put it; for a call that was made by
 * another model there is a word that stands for one.
 */
#include "hale/hale.h"

#include "gemini.h"

#include <strings.h>

#include "hale/err.h"
#include "hale/strbuf.h"

/* In place of the signature of another model. */
#define GEMINI_NO_SIGNATURE "skip_thought_signature_validator"

/* Gemini refuses empty text. */
static struct json_object *
gemini_request_text(struct json_object *text, struct json_object *part)
{
	(void)part;
	return json_object_get_string_len(text) ? xlate_one("text", json_object_get(text)) : NULL;
}

/* What a URL's extension says about its bytes; NULL: nothing. */
static const char *
gemini_request_kind(const char *url)
{
	static const char *const kind[][2] = {
		{"png", "image/png"},   {"jpg", "image/jpeg"},      {"jpeg", "image/jpeg"}, {"webp", "image/webp"},
		{"heic", "image/heic"}, {"heif", "image/heif"},     {"gif", "image/gif"},   {"bmp", "image/bmp"},
		{"pdf", "application/pdf"}, {"txt", "text/plain"},  {"mp4", "video/mp4"},   {"mov", "video/quicktime"},
		{"webm", "video/webm"}, {"mpeg", "video/mpeg"},     {"mp3", "audio/mp3"},   {"wav", "audio/wav"},
	};
	size_t len = strcspn(url, "?#"), dot = len;

	while (dot && url[dot - 1] != '.' && url[dot - 1] != '/')
		dot--;
	if (!dot || url[dot - 1] != '.')
		return NULL;
	for (size_t i = 0; i < HALE_COUNT(kind); i++)
		if (strlen(kind[i][0]) == len - dot && strncasecmp(url + dot, kind[i][0], len - dot) == 0)
			return kind[i][1];
	return NULL;
}

/* Bytes in the request, or a place that Gemini reads. mime: the client's own word for the kind, or NULL. */
static int
gemini_request_media(struct xlate_build *b, const char *url, const char *mime, struct json_object **part)
{
	struct json_object *o;
	struct xlate_data_url data;
	bool inlined = xlate_data_url(url, &data);

	if (!inlined && strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0 &&
	    strncasecmp(url, "gs://", 5) != 0)
		return xlate_fail(b, "image_url and file must be an http(s) or gs URL or a base64 data URL");
	if (!mime && !inlined)
		mime = gemini_request_kind(url);
	/* Gemini knows the kind of what was uploaded to it. */
	if (!mime && !inlined && !strstr(url, "/files/"))
		return xlate_fail(b, "the URL of an image or file does not show its type: add \"format\" with a media type");
	o = json_object_new_object();
	if (mime)
		xlate_put_text(o, "mimeType", mime);
	else if (inlined)
		json_object_object_add(o, "mimeType",
		                       json_object_new_string_len(data.type, (int)data.type_len));
	xlate_put_text(o, inlined ? "data" : "fileUri", inlined ? data.base64 : url);
	*part = xlate_one(inlined ? "inlineData" : "fileData", o);
	return 0;
}

static int
gemini_request_audio(struct xlate_build *b, struct json_object *audio, struct json_object **part)
{
	const char *data = xlate_text(audio, "data"), *format = xlate_text(audio, "format");
	struct json_object *o, *mime;
	struct strbuf s;

	if (!data || !format)
		return xlate_fail(b, "input_audio needs data and a format");
	strbuf_init(&s, 256);
	strbuf_printf(&s, "audio/%s", format);
	mime = json_object_new_string(strbuf_str(&s));
	strbuf_release(&s);
	o = json_object_new_object();
	json_object_object_add(o, "mimeType", mime);
	xlate_put_text(o, "data", data);
	*part = xlate_one("inlineData", o);
	return 0;
}

static int
gemini_request_part(struct xlate_build *b, struct json_object *in, struct json_object **part)
{
	struct json_object *image = xlate_get(in, "image_url"), *file = xlate_get(in, "file");
	const char *url = xlate_word(image, "url");

	if (xlate_is(in, "type", "image_url"))
		return gemini_request_media(b, url ? url : "", xlate_text(image, "format"), part);
	if (xlate_is(in, "type", "file")) {
		url = xlate_text(file, "file_data");
		if (!url)
			url = xlate_text(file, "file_id");
		return gemini_request_media(b, url ? url : "", xlate_text(file, "format"), part);
	}
	if (xlate_is(in, "type", "input_audio"))
		return gemini_request_audio(b, xlate_get(in, "input_audio"), part);
	return xlate_fail(b,
	                  "this provider takes content parts of type text, image_url, file and input_audio");
}

/* The signature that came with the call, in one of the places where clients keep it. */
static const char *
gemini_request_signature(struct json_object *call)
{
	const char *s = xlate_text(xlate_get(xlate_get(call, "extra_content"), "google"), "thought_signature");

	return s ? s : xlate_text(xlate_get(call, "provider_specific_fields"), "thought_signature");
}

/* The first call of a turn is the one that carries the signature. */
static void
gemini_request_call(struct xlate_build *b, const struct xlate_call *call)
{
	struct json_object *o = xlate_one("name", json_object_new_string(call->name)), *part;
	const char *signature = gemini_request_signature(call->whole);

	xlate_put_text(b->names, call->id, call->name);
	json_object_object_add(o, "args", call->take_input);
	part = xlate_one("functionCall", o);
	if (!signature && call->first && strstr(b->model, "gemini-3"))
		signature = GEMINI_NO_SIGNATURE;
	if (signature)
		xlate_put_text(part, "thoughtSignature", signature);
	json_object_array_add(xlate_build_turn(b, "model", false), part);
}

/* All text of a content; HALE_EINVAL: it has something else. */
static int
gemini_request_result_text(struct json_object *content, struct strbuf *out)
{
	if (json_object_is_type(content, json_type_string))
		strbuf_add(out, json_object_get_string(content), (size_t)json_object_get_string_len(content));
	else if (content && !json_object_is_type(content, json_type_array))
		return HALE_EINVAL;
	for (size_t i = 0; i < xlate_count(content); i++) {
		struct json_object *part = json_object_array_get_idx(content, i);
		struct json_object *text = xlate_is(part, "type", "text") ? xlate_get(part, "text") : NULL;

		if (!json_object_is_type(text, json_type_string))
			return HALE_EINVAL;
		strbuf_add(out, json_object_get_string(text), (size_t)json_object_get_string_len(text));
	}
	return 0;
}

static int
gemini_request_result(struct xlate_build *b, struct json_object *m, const char *id)
{
	const char *name = xlate_text(b->names, id);
	struct json_object *o, *response;
	struct strbuf text;

	if (!name)
		name = xlate_text(m, "name");
	if (!name)
		return xlate_fail(b, "a tool message must answer a tool call of an earlier message");
	strbuf_init(&text, 0);
	if (gemini_request_result_text(xlate_get(m, "content"), &text)) {
		strbuf_release(&text);
		return xlate_fail(b, "this provider takes tool results as text");
	}
	/* Gemini wants an object: a result that is one stays what it is. */
	response = xlate_parse(strbuf_str(&text), text.len);
	if (!response)
		response = xlate_one("output", json_object_new_string_len(strbuf_str(&text), (int)text.len));
	strbuf_release(&text);
	o = xlate_one("name", json_object_new_string(name));
	json_object_object_add(o, "response", response);
	json_object_array_add(xlate_build_turn(b, "user", true), xlate_one("functionResponse", o));
	return 0;
}

static int
gemini_request_fill(struct xlate_build *b)
{
	int rc = gemini_params_check(b);

	if (!rc)
		rc = xlate_build_messages(b);
	if (rc)
		return rc;
	json_object_object_add(b->out, "contents", json_object_get(b->turns));
	if (json_object_array_length(b->system))
		json_object_object_add(b->out, "systemInstruction",
		                       xlate_one("parts", json_object_get(b->system)));
	return gemini_params_fill(b);
}

int
gemini_request(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
               const char **why)
{
	static const struct xlate_build_op op = {
		.content = "parts",
		.assistant = "model",
		.results_apart = true,
		.fill = gemini_request_fill,
		.text = gemini_request_text,
		.part = gemini_request_part,
		.call = gemini_request_call,
		.result = gemini_request_result,
	};
	struct xlate_build b = {.names = json_object_new_object()};
	int rc = xlate_build_request(&b, &op, model, openai, out, why);

	(void)d;
	json_object_put(b.names);
	return rc;
}

/* OpenAI chat request to Gemini's generateContent.
 *
 * Messages become contents of parts; neighbours of one role are merged, because the results of parallel tool
 * calls must stand in one turn. They stand in a turn of their own, though: Gemini counts them against the calls of
 * the turn before. Results name their function, not their call, so the names of all calls are kept by id.
 *
 * Gemini 3 wants the signature of its thoughts back with a function call. It travels in the members where LiteLLM and
 * Google's own OpenAI endpoint put it; for a call that was made by another model there is a word that stands for one.
 */
#include "hale/hale.h"

#include "gemini.h"

#include <strings.h>

#include "hale/err.h"
#include "hale/strbuf.h"

/* Gemini wants something to answer, and a user turn first. */
#define GEMINI_CONTINUE "Please continue."
#define GEMINI_NO_SIGNATURE "skip_thought_signature_validator"

static struct json_object *
gemini_request_text(struct json_object *take_text)
{
	struct json_object *part = json_object_new_object();

	json_object_object_add(part, "text", take_text);
	return part;
}

static struct json_object *
gemini_request_continue(void)
{
	return gemini_request_text(json_object_new_string(GEMINI_CONTINUE));
}

/* Takes part into the last turn if that has the role and the same kind of parts, else into a new one. */
static void
gemini_request_add(struct gemini_build *b, const char *role, struct json_object *take_part)
{
	size_t n = json_object_array_length(b->contents);
	struct json_object *turn = n ? json_object_array_get_idx(b->contents, n - 1) : NULL;
	struct json_object *first = turn ? json_object_array_get_idx(xlate_get(turn, "parts"), 0) : NULL;
	bool results = xlate_get(take_part, "functionResponse"), same = results == !!xlate_get(first, "functionResponse");

	if (!turn || !same || !xlate_is(turn, "role", role)) {
		if (!turn && strcmp(role, "user") != 0)
			gemini_request_add(b, "user", gemini_request_continue());
		turn = json_object_new_object();
		gemini_put_text(turn, "role", role);
		json_object_object_add(turn, "parts", json_object_new_array());
		json_object_array_add(b->contents, turn);
	}
	json_object_array_add(xlate_get(turn, "parts"), take_part);
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
gemini_request_media(struct gemini_build *b, const char *url, const char *mime, struct json_object **part)
{
	struct json_object *o;
	struct xlate_data_url data;
	bool inlined = xlate_data_url(url, &data);

	if (!inlined && strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0 &&
	    strncasecmp(url, "gs://", 5) != 0)
		return gemini_fail(b, "image_url and file must be an http(s) or gs URL or a base64 data URL");
	if (!mime && !inlined)
		mime = gemini_request_kind(url);
	/* Gemini knows the kind of what was uploaded to it. */
	if (!mime && !inlined && !strstr(url, "/files/"))
		return gemini_fail(b, "the URL of an image or file does not show its type: add \"format\" with a media type");
	o = json_object_new_object();
	if (mime)
		gemini_put_text(o, "mimeType", mime);
	else if (inlined)
		json_object_object_add(o, "mimeType", json_object_new_string_len(data.type, (int)data.type_len));
	gemini_put_text(o, inlined ? "data" : "fileUri", inlined ? data.base64 : url);
	*part = json_object_new_object();
	json_object_object_add(*part, inlined ? "inlineData" : "fileData", o);
	return 0;
}

static int
gemini_request_audio(struct gemini_build *b, struct json_object *audio, struct json_object **part)
{
	const char *data = xlate_text(audio, "data"), *format = xlate_text(audio, "format");
	struct json_object *o, *mime;
	struct strbuf s;

	if (!data || !format)
		return gemini_fail(b, "input_audio needs data and a format");
	strbuf_init(&s, 256);
	strbuf_printf(&s, "audio/%s", format);
	mime = json_object_new_string(strbuf_str(&s));
	strbuf_release(&s);
	o = json_object_new_object();
	json_object_object_add(o, "mimeType", mime);
	gemini_put_text(o, "data", data);
	*part = json_object_new_object();
	json_object_object_add(*part, "inlineData", o);
	return 0;
}

/* One element of a content array; *part stays NULL for empty text, which Gemini refuses. */
static int
gemini_request_part(struct gemini_build *b, struct json_object *in, struct json_object **part)
{
	struct json_object *image = xlate_get(in, "image_url"), *file = xlate_get(in, "file");
	bool refusal = xlate_is(in, "type", "refusal");
	struct json_object *text = xlate_get(in, refusal ? "refusal" : "text");
	const char *url = xlate_word(image, "url");

	*part = NULL;
	if (refusal || xlate_is(in, "type", "text")) {
		if (!json_object_is_type(text, json_type_string))
			return gemini_fail(b, "a text part needs a text");
		*part = json_object_get_string_len(text) ? gemini_request_text(json_object_get(text)) : NULL;
		return 0;
	}
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
	return gemini_fail(b, "this provider takes content parts of type text, image_url, file and input_audio");
}

/* String or array of parts, appended to the system's parts (role NULL) or to the turn of a role. */
static int
gemini_request_content(struct gemini_build *b, struct json_object *content, const char *role)
{
	bool array = json_object_is_type(content, json_type_array);
	size_t n = array ? json_object_array_length(content) : 1;

	if (!content)
		return 0;
	if (!array && !json_object_is_type(content, json_type_string))
		return gemini_fail(b, "message content must be a string or an array of parts");
	for (size_t i = 0; i < n; i++) {
		struct json_object *part = NULL;
		int rc = 0;

		if (array)
			rc = gemini_request_part(b, json_object_array_get_idx(content, i), &part);
		else if (json_object_get_string_len(content))
			part = gemini_request_text(json_object_get(content));
		if (rc)
			return rc;
		if (part && role)
			gemini_request_add(b, role, part);
		else if (part)
			json_object_array_add(b->system, part);
	}
	return 0;
}

/* The signature that came with the call, in one of the places where clients keep it. */
static const char *
gemini_request_signature(struct json_object *call)
{
	const char *s = xlate_text(xlate_get(xlate_get(call, "extra_content"), "google"), "thought_signature");

	return s ? s : xlate_text(xlate_get(call, "provider_specific_fields"), "thought_signature");
}

/* first: of its turn, the one that carries the signature. */
static int
gemini_request_call(struct gemini_build *b, struct json_object *call, bool first)
{
	struct json_object *function = xlate_get(call, "function"), *part, *o, *args;
	const char *id = xlate_text(call, "id"), *name = xlate_text(function, "name");
	const char *signature = gemini_request_signature(call);

	if (!id || !name)
		return gemini_fail(b, "a tool call needs an id and a function with a name");
	args = xlate_tool_input(xlate_text(function, "arguments"));
	if (!args)
		return gemini_fail(b, "the arguments of a tool call are not a JSON object");
	gemini_put_text(b->names, id, name);
	o = json_object_new_object();
	gemini_put_text(o, "name", name);
	json_object_object_add(o, "args", args);
	part = json_object_new_object();
	json_object_object_add(part, "functionCall", o);
	if (!signature && first && strstr(b->model, "gemini-3"))
		signature = GEMINI_NO_SIGNATURE;
	if (signature)
		gemini_put_text(part, "thoughtSignature", signature);
	gemini_request_add(b, "model", part);
	return 0;
}

static int
gemini_request_assistant(struct gemini_build *b, struct json_object *m)
{
	struct json_object *calls = xlate_get(m, "tool_calls");
	size_t n = xlate_count(calls);
	int rc;

	if (xlate_get(m, "function_call"))
		return gemini_fail(b, "function_call is not supported by this provider, use tool_calls");
	rc = gemini_request_content(b, xlate_get(m, "content"), "model");
	for (size_t i = 0; i < n && !rc; i++)
		rc = gemini_request_call(b, json_object_array_get_idx(calls, i), i == 0);
	return rc;
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
gemini_request_result(struct gemini_build *b, struct json_object *m)
{
	const char *id = xlate_text(m, "tool_call_id"), *name = id ? xlate_text(b->names, id) : NULL;
	struct json_object *part, *o, *response;
	struct strbuf text;

	if (!id)
		return gemini_fail(b, "a tool message needs a tool_call_id");
	if (!name)
		name = xlate_text(m, "name");
	if (!name)
		return gemini_fail(b, "a tool message must answer a tool call of an earlier message");
	strbuf_init(&text, 0);
	if (gemini_request_result_text(xlate_get(m, "content"), &text)) {
		strbuf_release(&text);
		return gemini_fail(b, "this provider takes tool results as text");
	}
	/* Gemini wants an object: a result that is one stays what it is. */
	response = xlate_parse(strbuf_str(&text), text.len);
	if (!response) {
		response = json_object_new_object();
		json_object_object_add(response, "output",
		                       json_object_new_string_len(strbuf_str(&text), (int)text.len));
	}
	strbuf_release(&text);
	o = json_object_new_object();
	gemini_put_text(o, "name", name);
	json_object_object_add(o, "response", response);
	part = json_object_new_object();
	json_object_object_add(part, "functionResponse", o);
	gemini_request_add(b, "user", part);
	return 0;
}

static int
gemini_request_message(struct gemini_build *b, struct json_object *m)
{
	const char *role = xlate_text(m, "role");

	if (!role)
		return gemini_fail(b, "a message needs a role");
	if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
		return gemini_request_content(b, xlate_get(m, "content"), NULL);
	if (strcmp(role, "user") == 0)
		return gemini_request_content(b, xlate_get(m, "content"), "user");
	if (strcmp(role, "assistant") == 0)
		return gemini_request_assistant(b, m);
	if (strcmp(role, "tool") == 0)
		return gemini_request_result(b, m);
	return gemini_fail(b, "message roles are system, developer, user, assistant and tool");
}

static int
gemini_request_fill(struct gemini_build *b)
{
	struct json_object *messages = xlate_get(b->in, "messages"), *system;
	int rc = gemini_params_check(b);

	if (!rc && !json_object_is_type(messages, json_type_array))
		rc = gemini_fail(b, "messages must be an array");
	for (size_t i = 0; !rc && i < json_object_array_length(messages); i++)
		rc = gemini_request_message(b, json_object_array_get_idx(messages, i));
	if (rc)
		return rc;
	if (json_object_array_length(b->contents) == 0) {
		if (json_object_array_length(b->system) == 0)
			return gemini_fail(b, "messages have no content");
		gemini_request_add(b, "user", gemini_request_continue());
	}
	json_object_object_add(b->out, "contents", json_object_get(b->contents));
	if (json_object_array_length(b->system)) {
		system = json_object_new_object();
		json_object_object_add(system, "parts", json_object_get(b->system));
		json_object_object_add(b->out, "systemInstruction", system);
	}
	return gemini_params_fill(b);
}

int
gemini_request(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
               const char **why)
{
	struct gemini_build b = {
		.in = openai,
		.out = json_object_new_object(),
		.contents = json_object_new_array(),
		.system = json_object_new_array(),
		.names = json_object_new_object(),
		.model = model,
		.why = "the request cannot be translated",
	};
	int rc;

	(void)d;
	rc = gemini_request_fill(&b);
	if (rc) {
		*why = b.why;
	} else {
		xlate_plain(b.out, out);
		if (out->overflow) {
			*why = "the translated request is too large";
			rc = HALE_ELIMIT;
		}
	}
	json_object_put(b.names);
	json_object_put(b.contents);
	json_object_put(b.system);
	json_object_put(b.out);
	return rc;
}

/* OpenAI's image generation on Google's two kinds of models: Imagen (predict) and Gemini (generateContent).
 *
 * Both give bytes, no addresses. A picture that a filter held back comes with a 200 and the reason in its
 * place; for the client that is a refusal of its request (400), as it is with OpenAI.
 */
#include "hale/hale.h"

#include "gemini.h"

#include "hale/apierror.h"
#include "hale/clock.h"
#include "hale/err.h"
#include "hale/strbuf.h"

/* The nearest shape that there is. */
static const char *
gemini_image_shape(const char *size)
{
	static const char *const known[][2] = {
		{"1024x1024", "1:1"}, {"512x512", "1:1"},   {"256x256", "1:1"},   {"1792x1024", "16:9"}, {"1024x1792", "9:16"},
		{"1536x1024", "4:3"}, {"1024x1536", "3:4"}, {"1280x896", "4:3"}, {"896x1280", "3:4"},
	};

	for (size_t i = 0; i < HALE_COUNT(known); i++)
		if (strcmp(size, known[i][0]) == 0 || strcmp(size, known[i][1]) == 0)
			return known[i][1];
	return NULL;
}

static void
gemini_image_imagen(struct json_object *prompt, int64_t n, const char *shape, struct json_object *out)
{
	struct json_object *instances = json_object_new_array(), *one = json_object_new_object();
	struct json_object *parameters = json_object_new_object();

	json_object_object_add(one, "prompt", json_object_get(prompt));
	json_object_array_add(instances, one);
	json_object_object_add(out, "instances", instances);
	json_object_object_add(parameters, "sampleCount", json_object_new_int64(n));
	if (shape)
		xlate_put_text(parameters, "aspectRatio", shape);
	json_object_object_add(out, "parameters", parameters);
}

static void
gemini_image_gemini(struct json_object *prompt, const char *shape, struct json_object *out)
{
	struct json_object *contents = json_object_new_array(), *turn = json_object_new_object();
	struct json_object *parts = json_object_new_array(), *part = json_object_new_object();
	struct json_object *config = json_object_new_object(), *kinds = json_object_new_array(), *image;

	json_object_object_add(part, "text", json_object_get(prompt));
	json_object_array_add(parts, part);
	xlate_put_text(turn, "role", "user");
	json_object_object_add(turn, "parts", parts);
	json_object_array_add(contents, turn);
	json_object_object_add(out, "contents", contents);
	json_object_array_add(kinds, json_object_new_string("TEXT"));
	json_object_array_add(kinds, json_object_new_string("IMAGE"));
	json_object_object_add(config, "responseModalities", kinds);
	if (shape) {
		image = json_object_new_object();
		xlate_put_text(image, "aspectRatio", shape);
		json_object_object_add(config, "imageConfig", image);
	}
	json_object_object_add(out, "generationConfig", config);
}

/* What cannot be said; NULL: all can. */
static const char *
gemini_image_check(struct json_object *in, bool imagen)
{
	struct json_object *n = xlate_get(in, "n");
	const char *size = xlate_text(in, "size");
	int64_t most = imagen ? 4 : 1;

	if (!xlate_text(in, "prompt"))
		return "prompt must be a string";
	if (n && (!json_object_is_type(n, json_type_int) || json_object_get_int64(n) < 1 ||
	          json_object_get_int64(n) > most))
		return imagen ? "this provider gives up to 4 images: n must be 1 to 4"
		              : "this model gives one image: n must be 1";
	if (size && strcmp(size, "auto") != 0 && !gemini_image_shape(size))
		return "size must be auto, 1024x1024, 1792x1024, 1024x1792, 1536x1024, 1024x1536, 1280x896 or 896x1280";
	if (xlate_is(in, "response_format", "url"))
		return "this provider gives images as b64_json, not as url";
	if (json_object_get_boolean(xlate_get(in, "stream")))
		return "this provider does not stream images";
	return NULL;
}

int
gemini_image_request(const struct deployment *d, const char *model, struct json_object *openai,
                     struct strbuf *out, const char **why)
{
	bool imagen = GEMINI_IS_IMAGEN(model);
	const char *size = xlate_text(openai, "size"), *wrong = gemini_image_check(openai, imagen);
	struct json_object *root, *n = xlate_get(openai, "n");

	(void)d;
	if (wrong) {
		*why = wrong;
		return HALE_EINVAL;
	}
	root = json_object_new_object();
	if (imagen)
		gemini_image_imagen(xlate_get(openai, "prompt"), n ? json_object_get_int64(n) : 1,
		                    size ? gemini_image_shape(size) : NULL, root);
	else
		gemini_image_gemini(xlate_get(openai, "prompt"), size ? gemini_image_shape(size) : NULL,
		                    root);
	xlate_plain(root, out);
	json_object_put(root);
	if (out->overflow)
		*why = "the translated request is too large";
	return out->overflow ? HALE_ELIMIT : 0;
}

static void
gemini_image_add(struct json_object *data, size_t *n, struct strbuf *out)
{
	if (!json_object_is_type(data, json_type_string) || json_object_get_string_len(data) == 0)
		return;
	strbuf_puts(out, (*n)++ ? ",{\"b64_json\":" : "{\"b64_json\":");
	strbuf_json_stringn(out, json_object_get_string(data), (size_t)json_object_get_string_len(data));
	strbuf_putc(out, '}');
}

/* The pictures of an answer as elements of "data"; returns how many. */
static size_t
gemini_image_pictures(struct json_object *in, struct strbuf *out)
{
	struct json_object *predictions = xlate_get(in, "predictions"), *candidates = xlate_get(in, "candidates");
	size_t n = 0;

	for (size_t i = 0; i < xlate_count(predictions); i++)
		gemini_image_add(xlate_get(json_object_array_get_idx(predictions, i), "bytesBase64Encoded"),
		                 &n, out);
	for (size_t i = 0; i < xlate_count(candidates); i++) {
		struct json_object *parts =
			xlate_get(xlate_get(json_object_array_get_idx(candidates, i), "content"), "parts");

		for (size_t k = 0; k < xlate_count(parts); k++)
			gemini_image_add(xlate_get(xlate_get(json_object_array_get_idx(parts, k), "inlineData"), "data"), &n,
			                 out);
	}
	return n;
}

int
gemini_image_answer(const char *model, const char *body, size_t len, struct strbuf *out)
{
	struct json_object *in = xlate_parse(body, len);
	size_t n;

	(void)model;
	strbuf_printf(out, "{\"created\":%lld,\"data\":[", (long long)(clock_real_ns() / 1000000000u));
	n = gemini_image_pictures(in, out);
	strbuf_puts(out, "]}");
	json_object_put(in);
	if (n == 0) {
		strbuf_clear(out);
		return HALE_EINVAL;
	}
	return out->overflow ? HALE_ELIMIT : 0;
}

/* Why there is no picture in an answer that is one otherwise; NULL: it does not say. Borrowed. */
static const char *
gemini_image_reason(struct json_object *in)
{
	struct json_object *predictions = xlate_get(in, "predictions"), *candidates = xlate_get(in, "candidates");
	const char *reason = xlate_text(xlate_get(in, "promptFeedback"), "blockReason");

	if (!reason && xlate_count(predictions))
		reason = xlate_text(json_object_array_get_idx(predictions, 0), "raiFilteredReason");
	if (!reason && xlate_count(candidates))
		reason = xlate_text(json_object_array_get_idx(candidates, 0), "finishReason");
	return reason;
}

int
gemini_image_status(int status, const char *body, size_t len)
{
	struct json_object *in;
	struct strbuf pictures;

	if (status / 100 != 2)
		return gemini_status(status, body, len);
	strbuf_init(&pictures, 0);
	in = xlate_parse(body, len);
	if (gemini_image_pictures(in, &pictures) == 0 && gemini_image_reason(in))
		status = 400;
	json_object_put(in);
	strbuf_release(&pictures);
	return status;
}

int
gemini_image_error(int status, const char *body, size_t len, struct strbuf *message, const char **type)
{
	struct json_object *in;
	const char *reason;
	int rc = gemini_error(status, body, len, message, type);

	if (rc == 0)
		return 0;
	in = xlate_parse(body, len);
	reason = gemini_image_reason(in);
	if (reason) {
		strbuf_printf(message, "no image was made: %s", reason);
		*type = apierror_type(status);
		rc = 0;
	}
	json_object_put(in);
	return rc;
}

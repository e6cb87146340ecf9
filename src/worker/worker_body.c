/* The client's body: what is read from it, and how it goes upstream.
 *
 * Two forms come in, JSON and multipart. Of both only the top level is looked at: which model is asked
 * for, whether a stream is wanted, whether what the mode cannot do without is there. Upstream goes the
 * same body with the upstream's model name in the place of the asked one, as three pieces that are
 * never copied; only translated providers get a new one.
 */
#include "hale/hale.h"

#include <json-c/json.h>
#include <strings.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/err.h"
#include "hale/multipart.h"
#include "worker.h"
#include "worker_http.h"
#include "worker_proxy_int.h"

#define BODY_MODEL_BYTES 1024
#define BODY_JSON (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static const char body_no_model[] =
	"Missing required parameter: 'model'. See /v1/models for what is available.";
static const char body_bad_model[] = "Invalid parameter: 'model' must be a string of at most 1024 bytes.";

/* Parts of a form. */
enum { PART_MODEL, PART_STREAM, PART_FORMAT, PART_FILE, PART_IMAGE, PART_IMAGES, PART_COUNT };

static bool
worker_body_is_form(enum mode m)
{
	return m == MODE_AUDIO_TRANSCRIPTION || m == MODE_AUDIO_TRANSLATION || m == MODE_IMAGE_EDIT ||
	       m == MODE_IMAGE_VARIATION;
}

/* False: answered, p is gone. */
static bool
worker_body_lacks(struct proxy *p, const char *name)
{
	char message[160];

	snprintf(message, sizeof(message), "Missing required parameter: '%s'.", name);
	worker_proxy_refuse(p, 400, message, name, "missing_required_parameter");
	return false;
}

static bool
worker_body_invalid(struct proxy *p, const char *message, const char *param)
{
	worker_proxy_refuse(p, 400, message, param, "invalid_type");
	return false;
}

/* Members beyond those that every request is scanned for: rerank, OCR and speech have some of their own. */
static const char *
worker_body_more(struct proxy *p)
{
	struct json_want want[] = {
		{.key = "query"}, {.key = "documents"}, {.key = "document"}, {.key = "stream_format"}};
	const char *why;
	size_t at;

	if (json_members(p->body, p->body_len, p->w->conf->limits.json_depth_max, want, HALE_COUNT(want),
	                 &why, &at) != 0)
		return NULL; /* a duplicate of what another mode is about: the upstream may say what it thinks of it */
	p->stream = want[3].value.len == 5 && memcmp(p->body + want[3].value.start, "\"sse\"", 5) == 0;
	if (p->mode == MODE_RERANK)
		return want[0].value.len == 0 ? "query" : want[1].value.len == 0 ? "documents" : NULL;
	return p->mode == MODE_OCR && want[2].value.len == 0 ? "document" : NULL;
}

/* Member that the mode cannot do without. */
static const char *
worker_body_missing(struct proxy *p)
{
	const struct json_scan *s = &p->scan;

	switch (p->mode) {
	case MODE_CHAT:
		return s->messages.len ? NULL : "messages";
	case MODE_COMPLETION:
	case MODE_IMAGE_GENERATION:
		return s->prompt.len ? NULL : "prompt";
	case MODE_EMBEDDING:
	case MODE_MODERATION:
		return s->input.len ? NULL : "input";
	case MODE_RESPONSES: /* a stored prompt has its own input */
		return s->input.len || s->prompt.len ? NULL : "input";
	case MODE_AUDIO_SPEECH:
		return s->input.len ? worker_body_more(p) : "input";
	case MODE_RERANK:
	case MODE_OCR:
		return worker_body_more(p);
	default:
		return NULL;
	}
}

/* The model of a request that names none: moderation has a usual one. NULL: there is none. */
static const char *
worker_body_usual_model(const struct proxy *p)
{
	static const char moderation[] = "omni-moderation-latest";
	struct route_target t;

	if (p->mode != MODE_MODERATION)
		return NULL;
	worker_route_resolve(p->w->conf, moderation, &t);
	return t.match == ROUTE_MATCH_NONE ? NULL : moderation;
}

/* Where the model's value stands, or where the member goes that the body lacks. */
static void
worker_body_json_hole(struct proxy *p)
{
	const char *open;

	p->hole = (struct body_hole){p->scan.model.start, p->scan.model.len, "", ""};
	if (p->hole.len)
		return;
	open = memchr(p->body, '{', p->body_len);
	p->hole.start = (size_t)(open - p->body) + 1;
	p->hole.before = "\"model\":";
	p->hole.after = open[1 + strspn(open + 1, " \t\r\n")] == '}' ? "" : ",";
}

static bool
worker_body_json_model(struct proxy *p)
{
	const struct json_span *s = &p->scan.model;
	char *model;

	worker_body_json_hole(p);
	if (p->model) /* the path names it; what the body says gives way */
		return true;
	if (s->len <= 2) { /* absent, or "" */
		p->model = s->len ? NULL : worker_body_usual_model(p);
		if (p->model)
			return true;
		worker_proxy_refuse(p, 400, body_no_model, "model", "missing_required_parameter");
		return false;
	}
	model = arena_alloc(p->arena, s->len + 1);
	if (s->len > BODY_MODEL_BYTES || json_unescape(p->body + s->start, s->len, model, s->len + 1) != 0)
		return worker_body_invalid(p, body_bad_model, "model");
	p->model = model;
	return true;
}

static bool
worker_body_read_json(struct proxy *p)
{
	char message[160];
	const char *why, *missing;
	size_t at;

	if (json_scan(p->body, p->body_len, p->w->conf->limits.json_depth_max, &p->scan, &why, &at) != 0) {
		snprintf(message, sizeof(message), "The request body is not valid JSON: %s at byte %zu.", why,
		         at);
		worker_proxy_refuse(p, 400, message, NULL, "invalid_json");
		return false;
	}
	if (!worker_body_json_model(p))
		return false;
	p->stream = p->scan.stream;
	missing = worker_body_missing(p);
	return missing ? worker_body_lacks(p, missing) : true;
}

/* A name that may stand in a form: nothing that could end a line. */
static bool
worker_body_is_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20)
			return false;
	return len <= BODY_MODEL_BYTES;
}

/* The same of a form: a part of its own in front of the others. */
static void
worker_body_form_hole(struct proxy *p, const struct multipart_want *model)
{
	size_t line;

	p->hole = (struct body_hole){model->start, model->len, "", ""};
	if (model->count)
		return;
	line = (size_t)((const char *)memchr(p->body, '\n', p->body_len) - p->body) + 1;
	p->hole.start = line;
	p->hole.before = "Content-Disposition: form-data; name=\"model\"\r\n\r\n";
	p->hole.after = arena_printf(p->arena, "\r\n%.*s", (int)line, p->body);
}

static bool
worker_body_form_model(struct proxy *p, const struct multipart_want *model)
{
	if (p->model)
		return true;
	if (model->len == 0) {
		worker_proxy_refuse(p, 400, body_no_model, "model", "missing_required_parameter");
		return false;
	}
	if (!worker_body_is_name(p->body + model->start, model->len))
		return worker_body_invalid(p, body_bad_model, "model");
	p->model = arena_strndup(p->arena, p->body + model->start, model->len);
	return true;
}

/* Is the part this word, in any case? */
static bool
worker_body_says(const struct proxy *p, const struct multipart_want *w, const char *word)
{
	return w->len == strlen(word) && strncasecmp(p->body + w->start, word, w->len) == 0;
}

static bool
worker_body_read_form(struct proxy *p)
{
	struct multipart_want want[PART_COUNT] = {
		[PART_MODEL] = {.name = "model"},     [PART_STREAM] = {.name = "stream"},
		[PART_FORMAT] = {.name = "response_format"}, [PART_FILE] = {.name = "file"},
		[PART_IMAGE] = {.name = "image", .many = true}, [PART_IMAGES] = {.name = "image[]", .many = true},
	};
	const struct multipart_want *format = &want[PART_FORMAT];
	char message[160];
	const char *why;
	size_t at;

	p->body_type = http_req_header(p->r, "content-type");
	if (multipart_scan(p->body_type, p->body, p->body_len, want, PART_COUNT, &why, &at) != 0) {
		snprintf(message, sizeof(message), "The request body is not a valid form: %s (byte %zu).",
		         why, at);
		worker_proxy_refuse(p, 400, message, NULL, "invalid_form");
		return false;
	}
	if (!worker_body_form_model(p, &want[PART_MODEL]))
		return false;
	if (want[PART_STREAM].len && !worker_body_says(p, &want[PART_STREAM], "true") &&
	    !worker_body_says(p, &want[PART_STREAM], "false"))
		return worker_body_invalid(p, "Invalid parameter: 'stream' must be true or false.", "stream");
	p->stream = worker_body_says(p, &want[PART_STREAM], "true");
	p->plain = worker_body_says(p, format, "text") || worker_body_says(p, format, "srt") ||
	           worker_body_says(p, format, "vtt");
	if (p->mode == MODE_AUDIO_TRANSCRIPTION || p->mode == MODE_AUDIO_TRANSLATION) {
		if (want[PART_FILE].count == 0)
			return worker_body_lacks(p, "file");
	} else if (want[PART_IMAGE].count == 0 && want[PART_IMAGES].count == 0) {
		return worker_body_lacks(p, "image");
	}
	worker_body_form_hole(p, &want[PART_MODEL]); /* there are parts: the first line is a boundary */
	return true;
}

bool
worker_body_read(struct proxy *p)
{
	if (p->model && !worker_body_is_name(p->model, strlen(p->model)))
		return worker_body_invalid(p, body_bad_model, "model");
	p->body = http_req_body(p->r, &p->body_len);
	return worker_body_is_form(p->mode) ? worker_body_read_form(p) : worker_body_read_json(p);
}

/* The client's body with the upstream's model name in place of the asked one. */
static void
worker_body_splice(struct proxy *p, const char *model, struct upstream_request *q)
{
	const struct body_hole *h = &p->hole;
	struct strbuf token;
	char *text;

	strbuf_init(&token, 0);
	strbuf_puts(&token, h->before);
	if (p->body_type)
		strbuf_puts(&token, model);
	else
		strbuf_json_string(&token, model);
	strbuf_puts(&token, h->after);
	text = arena_strndup(p->arena, strbuf_str(&token), token.len);
	/* iovec has no const; nobody writes through it. */
	q->body[0] = (struct iovec){(void *)(uintptr_t)p->body, h->start};
	q->body[1] = (struct iovec){text, token.len};
	q->body[2] = (struct iovec){(void *)(uintptr_t)(p->body + h->start + h->len),
	                            p->body_len - h->start - h->len};
	q->nbody = 3;
	strbuf_release(&token);
}

static int
worker_body_translate(struct proxy *p, const char *model, struct upstream_request *q, const char **why)
{
	struct json_tokener *tok = json_tokener_new_ex((int)p->w->conf->limits.json_depth_max);
	struct json_object *o;
	int err = 0;

	if (tok == NULL || p->body_len > INT32_MAX) {
		*why = "request too large to translate";
		json_tokener_free(tok);
		return HALE_ELIMIT;
	}
	o = json_tokener_parse_ex(tok, p->body, (int)p->body_len);
	json_tokener_free(tok);
	if (o == NULL) {
		*why = "The request body is not valid JSON.";
		return HALE_EINVAL;
	}
	if (p->a.bridge)
		err = worker_bridge_request(p, model, &o, why);
	if (err == 0 && p->a.op->xlate && p->a.op->xlate->request)
		err = p->a.op->xlate->request(p->a.d, model, o, &p->a.out, why);
	else if (err == 0)
		strbuf_puts(&p->a.out, json_object_to_json_string_ext(o, BODY_JSON));
	json_object_put(o);
	if (err == 0) {
		q->body[0] = (struct iovec){arena_strndup(p->arena, strbuf_str(&p->a.out), p->a.out.len),
		                            p->a.out.len};
		q->nbody = 1;
		strbuf_clear(&p->a.out);
	}
	return err;
}

int
worker_body_upstream(struct proxy *p, const char *model, struct upstream_request *q, const char **why)
{
	bool form = p->body_type != NULL;

	if (form != (p->a.op->form == OP_MULTIPART)) {
		*why = "This deployment takes requests of this kind in another form.";
		return HALE_EINVAL;
	}
	if (p->a.bridge || (p->a.op->xlate && p->a.op->xlate->request))
		return worker_body_translate(p, model, q, why);
	worker_body_splice(p, model, q);
	return 0;
}

/* The question that a probe asks, by mode, and how it is written.
 *
 * What a mode asks is one row of a table. Whether it travels as JSON or as a form is the cell's business: in
 * JSON a file is a data: URL, in a form it is a part of its own. A cell with a form of its own gets the JSON
 * through its translation, which is the one that clients' requests take.
 *
 * People who look at a failed probe see the same members with a note in the place of each file.
 */
#include "hale/hale.h"

#include "probe_impl.h"

#include <json-c/json.h>
#include <openssl/evp.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/err.h"
#include "hale/strbuf.h"

/* Random enough to occur in no value; the same in each probe, so that equal probes are equal bytes. */
#define BODY_BOUNDARY "hale-probe-c5d8e1f20b7a4936"
#define BODY_MEMBERS 3

/* One member of a question. */
struct body_member {
	const char *name;
	enum probe_kind kind;
	const char *text; /* NULL: the prompt */
	enum probe_file file;
	bool optional; /* left out when the upstream refused the first form */
};

static const struct body_member probe_body_question[MODE_COUNT][BODY_MEMBERS] = {
	[MODE_CHAT] = {{.name = "messages", .kind = PROBE_MESSAGES}},
	[MODE_COMPLETION] = {{.name = "prompt", .kind = PROBE_TEXT}},
	[MODE_EMBEDDING] = {{.name = "input", .kind = PROBE_TEXT_LIST}},
	[MODE_IMAGE_GENERATION] = {{.name = "prompt", .kind = PROBE_TEXT}},
	[MODE_IMAGE_EDIT] = {{.name = "prompt", .kind = PROBE_TEXT, .text = "Add a small yellow star."},
	                     {.name = "image", .kind = PROBE_FILE, .file = PROBE_PNG}},
	/* some newer models know no verbose_json */
	[MODE_AUDIO_TRANSCRIPTION] = {{.name = "response_format", .kind = PROBE_TEXT, .text = "verbose_json",
	                               .optional = true},
	                              {.name = "file", .kind = PROBE_FILE, .file = PROBE_WAV}},
	[MODE_AUDIO_SPEECH] = {{.name = "input", .kind = PROBE_TEXT},
	                       {.name = "voice", .kind = PROBE_TEXT, .text = "alloy"}},
	[MODE_RERANK] = {{.name = "query", .kind = PROBE_TEXT},
	                 {.name = "documents", .kind = PROBE_TEXT_LIST, .text = "my sample text"}},
	[MODE_OCR] = {{.name = "document", .kind = PROBE_DOCUMENT, .file = PROBE_PDF}},
	[MODE_RESPONSES] = {{.name = "input", .kind = PROBE_TEXT}},
	[MODE_MODERATION] = {{.name = "input", .kind = PROBE_TEXT}},
	[MODE_MESSAGES] = {{.name = "messages", .kind = PROBE_MESSAGES},
	                   {.name = "stream", .kind = PROBE_JSON, .text = "false", .optional = true}},
};

/* The prompt: the deployment's own, else a member's fixed text, else the one for all. */
static const char *
probe_body_prompt(const struct probe_build *b, const struct body_member *m)
{
	const char *own = b->d->probe.prompt, *all = b->conf->health_env.prompt;

	if (m->text)
		return own && strcmp(m->name, "prompt") == 0 ? own : m->text;
	if (own)
		return own;
	return all ? all : "test from litellm";
}

void
probe_body_ask(struct probe_build *b)
{
	const struct body_member *m = probe_body_question[b->out->mode];

	for (unsigned i = 0; i < BODY_MEMBERS && m[i].name; i++) {
		struct probe_param p = {
			.name = m[i].name, .kind = m[i].kind, .text = probe_body_prompt(b, &m[i]), .file = m[i].file,
		};

		if (!m[i].optional || b->adapt != PROBE_ADAPT_NO_LIMIT)
			probe_params_set(b, &p);
	}
}

static void
probe_body_note(const struct probe_media *m, struct strbuf *out)
{
	strbuf_printf(out, "<%zu bytes of %s>", m->len, m->type);
}

/* "data:...;base64,..." in quotes, or the note. */
static void
probe_body_data_url(struct probe_build *b, const struct probe_param *p, bool shown, struct strbuf *out)
{
	struct probe_media m = probe_media_get(b->arena, p->file);
	unsigned char *text;

	strbuf_puts(out, "\"");
	if (shown) {
		probe_body_note(&m, out);
	} else {
		text = arena_alloc(b->arena, (m.len + 2) / 3 * 4 + 1);
		EVP_EncodeBlock(text, (const unsigned char *)m.data, (int)m.len);
		strbuf_printf(out, "data:%s;base64,%s", m.type, (const char *)text);
	}
	strbuf_puts(out, "\"");
}

static void
probe_body_value(struct probe_build *b, const struct probe_param *p, bool shown, struct strbuf *out)
{
	switch (p->kind) {
	case PROBE_NODE:
		conf_json(p->node, out);
		break;
	case PROBE_NUMBER:
		strbuf_printf(out, "%d", p->number);
		break;
	case PROBE_TEXT:
		strbuf_json_string(out, p->text);
		break;
	case PROBE_TEXT_LIST:
		strbuf_putc(out, '[');
		strbuf_json_string(out, p->text);
		strbuf_putc(out, ']');
		break;
	case PROBE_MESSAGES:
		strbuf_puts(out, "[{\"role\":\"user\",\"content\":");
		strbuf_json_string(out, p->text);
		strbuf_puts(out, "}]");
		break;
	case PROBE_JSON:
		strbuf_puts(out, p->text);
		break;
	case PROBE_FILE:
		probe_body_data_url(b, p, shown, out);
		break;
	case PROBE_DOCUMENT:
		strbuf_puts(out, "{\"type\":\"document_url\",\"document_url\":");
		probe_body_data_url(b, p, shown, out);
		strbuf_putc(out, '}');
		break;
	}
}

/* shown: for people, with notes instead of files. */
static void
probe_body_json(struct probe_build *b, bool shown, struct strbuf *out)
{
	strbuf_puts(out, "{\"model\":");
	strbuf_json_string(out, b->model);
	for (unsigned i = 0; i < b->nparam; i++) {
		strbuf_putc(out, ',');
		strbuf_json_string(out, b->param[i].name);
		strbuf_putc(out, ':');
		probe_body_value(b, &b->param[i], shown, out);
	}
	strbuf_putc(out, '}');
}

/* A name inside the quotes of a part's head, where a quote or a line break would end it. */
static void
probe_body_part_name(const char *name, const char *suffix, struct strbuf *out)
{
	strbuf_puts(out, "--" BODY_BOUNDARY "\r\nContent-Disposition: form-data; name=\"");
	for (; *name; name++) {
		if (*name == '"' || (unsigned char)*name < 0x20)
			strbuf_printf(out, "%%%02X", (unsigned char)*name);
		else
			strbuf_putc(out, *name);
	}
	strbuf_printf(out, "%s\"", suffix);
}

static void
probe_body_part(const char *name, const char *suffix, const char *text, struct strbuf *out)
{
	probe_body_part_name(name, suffix, out);
	strbuf_printf(out, "\r\n\r\n%s\r\n", text);
}

/* Scalars as their text, a list as one part per element, anything deeper as JSON. */
static void
probe_body_part_node(const char *name, const char *suffix, const struct conf_node *n, struct strbuf *out)
{
	struct strbuf text;

	if (n->kind == CONF_LIST) {
		for (const struct conf_node *e = n->child; e; e = e->next)
			probe_body_part_node(name, "[]", e, out);
		return;
	}
	strbuf_init(&text, 0);
	if (n->kind == CONF_STRING)
		strbuf_puts(&text, n->v.string);
	else
		conf_json(n, &text);
	probe_body_part(name, suffix, strbuf_str(&text), out);
	strbuf_release(&text);
}

static void
probe_body_form(struct probe_build *b, struct strbuf *out)
{
	probe_body_part("model", "", b->model, out);
	for (unsigned i = 0; i < b->nparam; i++) {
		const struct probe_param *p = &b->param[i];
		struct strbuf text;

		if (p->kind == PROBE_FILE) {
			struct probe_media m = probe_media_get(b->arena, p->file);

			probe_body_part_name(p->name, "", out);
			strbuf_printf(out, "; filename=\"%s\"\r\nContent-Type: %s\r\n\r\n", m.name, m.type);
			strbuf_add(out, m.data, m.len);
			strbuf_puts(out, "\r\n");
		} else if (p->kind == PROBE_NODE) {
			probe_body_part_node(p->name, "", p->node, out);
		} else if (p->kind == PROBE_TEXT) {
			probe_body_part(p->name, "", p->text, out);
		} else {
			strbuf_init(&text, 0);
			probe_body_value(b, p, false, &text);
			probe_body_part(p->name, "", strbuf_str(&text), out);
			strbuf_release(&text);
		}
	}
	strbuf_puts(out, "--" BODY_BOUNDARY "--\r\n");
}

/* The provider's form of the body, through the translation that real requests take. */
static int
probe_body_translate(struct probe_build *b, struct strbuf *body, const char **why)
{
	const struct provider_xlate *x = b->out->op->xlate;
	struct json_object *openai;
	struct strbuf out;
	int rc;

	if (!x || !x->request)
		return 0;
	openai = json_tokener_parse(strbuf_str(body));
	if (!openai) { /* we wrote it, but the configuration says how deep it is */
		*why = "the probe's parameters are nested too deeply";
		return HALE_EINVAL;
	}
	strbuf_init(&out, 0);
	rc = x->request(&b->target, b->model, openai, &out, why);
	json_object_put(openai);
	strbuf_release(body);
	*body = out;
	return rc;
}

static bool
probe_body_has_file(const struct probe_build *b)
{
	for (unsigned i = 0; i < b->nparam; i++)
		if (b->param[i].kind == PROBE_FILE || b->param[i].kind == PROBE_DOCUMENT)
			return true;
	return false;
}

int
probe_body_write(struct probe_build *b, const char **why)
{
	struct probe_request *out = b->out;
	bool form = out->op->form == OP_MULTIPART;
	struct strbuf body;
	int rc = 0;

	if (!provider_op_has_body(out->op))
		return 0;
	strbuf_init(&body, 0);
	if (form) {
		probe_body_form(b, &body);
	} else {
		probe_body_json(b, false, &body);
		rc = probe_body_translate(b, &body, why);
	}
	out->content_type = form ? "multipart/form-data; boundary=" BODY_BOUNDARY : "application/json";
	out->body = out->shown = arena_strndup(b->arena, strbuf_str(&body), body.len);
	out->body_len = body.len;
	if (form || probe_body_has_file(b)) {
		strbuf_clear(&body);
		probe_body_json(b, true, &body);
		out->shown = arena_strndup(b->arena, strbuf_str(&body), body.len);
	}
	strbuf_release(&body);
	return rc;
}

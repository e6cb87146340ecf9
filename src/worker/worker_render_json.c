/* JSON pieces of the renderer: members, times, values of the configuration. */
#include "hale/hale.h"

#include "worker_render_int.h"

#include <inttypes.h>
#include <math.h>

#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/redact.h"
#include "hale/strbuf.h"

void
worker_render_key(struct strbuf *out, const char *key)
{
	strbuf_puts(out, out->len && out->data[out->len - 1] != '{' ? ",\"" : "\"");
	strbuf_puts(out, key);
	strbuf_puts(out, "\":");
}

void
worker_render_any_key(struct strbuf *out, const char *key)
{
	if (out->len && out->data[out->len - 1] != '{')
		strbuf_putc(out, ',');
	strbuf_json_string(out, key);
	strbuf_putc(out, ':');
}

void
worker_render_member(struct strbuf *out, const char *key, const char *text)
{
	worker_render_key(out, key);
	strbuf_json_string(out, text);
}

void
worker_render_bool(struct strbuf *out, const char *key, bool value)
{
	worker_render_key(out, key);
	strbuf_puts(out, value ? "true" : "false");
}

void
worker_render_time(struct strbuf *out, const char *key, uint64_t at_ns, const struct render_now *now)
{
	char text[32];

	if (at_ns == 0)
		return;
	/* Unsigned arithmetic is right for moments before and after now. */
	clock_iso8601(now->real_ns + (at_ns - now->mono_ns), text, sizeof(text));
	worker_render_member(out, key, text);
}

static void
worker_render_number(struct strbuf *out, double v)
{
	char text[32];

	if (!isfinite(v)) {
		strbuf_puts(out, "null");
		return;
	}
	snprintf(text, sizeof(text), "%.15g", v);
	if (strtod(text, NULL) != v)
		snprintf(text, sizeof(text), "%.17g", v);
	strbuf_puts(out, text);
	if (strpbrk(text, ".e") == NULL)
		strbuf_puts(out, ".0");
}

static void
worker_render_string(struct strbuf *out, const struct conf *c, const char *s, bool secret)
{
	struct strbuf b;

	if (!secret && strpbrk(s, "@?") == NULL) {
		strbuf_json_string(out, s);
		return;
	}
	strbuf_init(&b, 0);
	if (secret)
		redact_mask(s, &b);
	else
		redact_text(c, s, strlen(s), &b);
	strbuf_json_stringn(out, strbuf_str(&b), b.len);
	strbuf_release(&b);
}

void
worker_render_node(struct strbuf *out, const struct conf *c, const struct conf_node *n, bool secret)
{
	switch (n->kind) {
	case CONF_NULL: strbuf_puts(out, "null"); break;
	case CONF_BOOL: strbuf_puts(out, n->v.boolean ? "true" : "false"); break;
	case CONF_INT: strbuf_printf(out, "%" PRId64, n->v.integer); break;
	case CONF_FLOAT: worker_render_number(out, n->v.number); break;
	case CONF_STRING: worker_render_string(out, c, n->v.string, secret); break;
	case CONF_LIST: /* the loader bounds the depth */
		strbuf_putc(out, '[');
		for (const struct conf_node *e = n->child; e; e = e->next) {
			if (e != n->child)
				strbuf_putc(out, ',');
			worker_render_node(out, c, e, secret);
		}
		strbuf_putc(out, ']');
		break;
	case CONF_MAP:
		strbuf_putc(out, '{');
		for (const struct conf_node *e = n->child; e; e = e->next) {
			worker_render_any_key(out, e->key);
			worker_render_node(out, c, e, secret || redact_is_secret_name(e->key));
		}
		strbuf_putc(out, '}');
		break;
	}
}

/* Values of the configuration as JSON text: what a probe sends and what /model/info shows. */
#include "hale/hale.h"

#include "hale/conf.h"

#include <math.h>

#include "hale/strbuf.h"

/* Fewest digits that read back as the same number. JSON has no infinity and no NaN. */
static void
conf_json_number(struct strbuf *out, double v)
{
	char text[40];

	if (!isfinite(v)) {
		strbuf_puts(out, "null");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	strbuf_puts(out, text);
}

void
conf_json(const struct conf_node *n, struct strbuf *out)
{
	switch (n ? n->kind : CONF_NULL) {
	case CONF_NULL:
		strbuf_puts(out, "null");
		break;
	case CONF_BOOL:
		strbuf_puts(out, n->v.boolean ? "true" : "false");
		break;
	case CONF_INT:
		strbuf_printf(out, "%lld", (long long)n->v.integer);
		break;
	case CONF_FLOAT:
		conf_json_number(out, n->v.number);
		break;
	case CONF_STRING:
		strbuf_json_string(out, n->v.string);
		break;
	case CONF_LIST:
	case CONF_MAP:
		strbuf_putc(out, n->kind == CONF_LIST ? '[' : '{');
		for (const struct conf_node *c = n->child; c; c = c->next) {
			if (n->kind == CONF_MAP) {
				strbuf_json_string(out, c->key);
				strbuf_putc(out, ':');
			}
			conf_json(c, out);
			if (c->next)
				strbuf_putc(out, ',');
		}
		strbuf_putc(out, n->kind == CONF_LIST ? ']' : '}');
		break;
	}
}

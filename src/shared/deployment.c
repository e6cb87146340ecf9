/* Deployment ids, and what a model's name says about its mode.
 *
 * The id hashes values as Python's str() and json.dumps() print them, because that is what LiteLLM hashes and
 * people have those ids in dashboards and clients. The printers below cover what YAML can produce.
 */
#include "hale/hale.h"

#include "hale/deployment.h"

#include <math.h>
#include <openssl/evp.h>

#include "hale/catalogue.h"
#include "hale/conf.h"
#include "hale/provider.h"
#include "hale/strbuf.h"
#include "strmap.h"

/* A float as Python's repr(): the shortest digits that read back, exponents from 1e16 and below 1e-4. */
static void
deployment_py_float(struct strbuf *b, double x, bool json)
{
	char digits[40], *e;
	int precision = 0, exponent, ndigit;

	if (!isfinite(x)) {
		strbuf_puts(b, isnan(x) ? (json ? "NaN" : "nan") : x > 0 ? (json ? "Infinity" : "inf") : json ? "-Infinity" : "-inf");
		return;
	}
	do
		snprintf(digits, sizeof(digits), "%.*e", precision, x);
	while (strtod(digits, NULL) != x && ++precision < 17);
	e = strchr(digits, 'e');
	exponent = (int)strtol(e + 1, NULL, 10);
	if (exponent < -4 || exponent >= 16) {
		strbuf_printf(b, "%.*se%c%02d", (int)(e - digits), digits, exponent < 0 ? '-' : '+', abs(exponent));
		return;
	}
	ndigit = precision - exponent;
	strbuf_printf(b, "%.*f", ndigit > 1 ? ndigit : 1, x);
}

/* One character of valid UTF-8; a byte that is none gives U+DC80 + low bits, as Python's surrogateescape. */
static uint32_t
deployment_utf8_next(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	unsigned n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	uint32_t c = n == 1 ? p[0] : n == 0 ? 0 : p[0] & (0x7fu >> n);

	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			n = 0;
			break;
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	*s += n ? n : 1;
	return n ? c : 0xdc00u + p[0];
}

/* json.dumps(): ASCII only. */
static void
deployment_json_string(struct strbuf *b, const char *s)
{
	strbuf_putc(b, '"');
	while (*s) {
		uint32_t c = deployment_utf8_next(&s);
		static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
		const char *at = c < 0x80 ? strchr(plain, (int)c) : NULL;

		if (at)
			strbuf_printf(b, "\\%c", letter[at - plain]);
		else if (c >= 0x20 && c < 0x7f)
			strbuf_putc(b, (char)c);
		else if (c >= 0x10000)
			strbuf_printf(b, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
		else
			strbuf_printf(b, "\\u%04x", c);
	}
	strbuf_putc(b, '"');
}

/* Characters that repr() escapes beyond ASCII: controls, odd spaces, format characters, private use. */
static bool
deployment_py_printable(uint32_t c)
{
	return !(c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad || c == 0x1680 || (c >= 0x2000 && c <= 0x200f) ||
	         (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x3000 || (c >= 0xd800 && c <= 0xf8ff) ||
	         c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe || c >= 0xe0000);
}

/* repr() of a string: in single quotes unless it has one and no double quote. */
static void
deployment_py_string(struct strbuf *b, const char *s)
{
	char quote = strchr(s, '\'') && !strchr(s, '"') ? '"' : '\'';

	strbuf_putc(b, quote);
	while (*s) {
		const char *start = s;
		uint32_t c = deployment_utf8_next(&s);

		if (c == '\\' || c == (unsigned char)quote)
			strbuf_printf(b, "\\%c", (char)c);
		else if (c == '\n' || c == '\r' || c == '\t')
			strbuf_printf(b, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else if (deployment_py_printable(c))
			strbuf_add(b, start, (size_t)(s - start));
		else if (c < 0x100)
			strbuf_printf(b, "\\x%02x", c);
		else
			strbuf_printf(b, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
	strbuf_putc(b, quote);
}

/* json: as json.dumps(), else as repr(). Depth is bounded by the configuration's reader. */
static void
deployment_py_value(struct strbuf *b, const struct conf_node *n, bool json)
{
	switch (n->kind) {
	case CONF_NULL:
		strbuf_puts(b, json ? "null" : "None");
		break;
	case CONF_BOOL:
		strbuf_puts(b, json ? (n->v.boolean ? "true" : "false") : n->v.boolean ? "True" : "False");
		break;
	case CONF_INT:
		strbuf_printf(b, "%lld", (long long)n->v.integer);
		break;
	case CONF_FLOAT:
		deployment_py_float(b, n->v.number, json);
		break;
	case CONF_STRING:
		(json ? deployment_json_string : deployment_py_string)(b, n->v.string);
		break;
	case CONF_LIST:
	case CONF_MAP:
		strbuf_putc(b, n->kind == CONF_LIST ? '[' : '{');
		for (const struct conf_node *c = n->child; c; c = c->next) {
			if (n->kind == CONF_MAP) {
				(json ? deployment_json_string : deployment_py_string)(b, c->key);
				strbuf_puts(b, ": ");
			}
			deployment_py_value(b, c, json);
			if (c->next)
				strbuf_puts(b, ", ");
		}
		strbuf_putc(b, n->kind == CONF_LIST ? ']' : '}');
		break;
	}
}

void
deployment_id(const char *model_name, const struct conf_node *params, char out[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct strbuf b;

	strbuf_init(&b, 0);
	strbuf_puts(&b, model_name);
	for (const struct conf_node *n = params ? params->child : NULL; n; n = n->next) {
		strbuf_puts(&b, n->key);
		if (n->kind == CONF_STRING)
			strbuf_puts(&b, n->v.string);
		else
			deployment_py_value(&b, n, n->kind == CONF_MAP);
	}
	HALE_ASSERT(EVP_Digest(strbuf_str(&b), b.len, digest, &len, EVP_sha256(), NULL) == 1 && len == 32);
	strbuf_release(&b);
	for (unsigned i = 0; i < 32; i++) {
		out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	out[64] = '\0';
}

uint64_t
deployment_id_hash(const char *id)
{
	return strmap_hash(id);
}

enum mode_source
deployment_mode_source(const struct deployment *d, enum mode *mode)
{
	const char *model = d->probe.model ? d->probe.model : d->upstream_model;

	*mode = d->probe.mode;
	if (d->probe.mode != MODE_NONE || d->probe.mode_text)
		return MODE_CONFIGURED;
	*mode = catalogue_mode(d->provider ? d->provider->name : "", model);
	if (*mode != MODE_NONE)
		return MODE_BY_NAME;
	*mode = MODE_CHAT;
	return MODE_BY_DEFAULT;
}

enum mode
deployment_resolve_mode(const struct deployment *d)
{
	enum mode mode;

	(void)deployment_mode_source(d, &mode);
	return mode;
}

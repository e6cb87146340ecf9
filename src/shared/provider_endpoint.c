/* Addresses and headers of upstream requests, from what people write into api_base.
 *
 * People paste a bare host, a base that ends in /v1, or the full address of one operation; all of them
 * mean the same deployment, so a mode's path at the end is taken off before another one is appended.
 * Values that end up in the request head are refused when they hold a control character: a key with a
 * line break in it would otherwise write headers of its own.
 */
#include "hale/hale.h"

#include "provider_impl.h"

#include <strings.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/strbuf.h"

/* Longer ones before those that they end in. */
static const char *const provider_mode_path[] = {
	"/chat/completions", "/completions", "/embeddings", "/images/generations", "/images/edits", "/images/variations",
	"/audio/transcriptions", "/audio/translations", "/audio/speech", "/rerank", "/responses", "/moderations", "/ocr",
	"/messages", "/messages/count_tokens",
	"/realtime",
};

/* No control characters, no space: nothing that could end the request line or the header. */
static bool
provider_endpoint_is_clean(const char *s, unsigned char least)
{
	for (; *s; s++)
		if ((unsigned char)*s < least || *s == 0x7f)
			return false;
	return true;
}

static void
provider_endpoint_trim(char *root)
{
	size_t len = strlen(root);

	while (len && root[len - 1] == '/')
		root[--len] = '\0';
}

/* Whoever has a realtime deployment may have written down its ws:// or wss:// address. */
static char *
provider_endpoint_scheme(struct arena *a, const char *base)
{
	if (strncasecmp(base, "ws://", 5) == 0)
		return arena_printf(a, "http%s", base + 2);
	if (strncasecmp(base, "wss://", 6) == 0)
		return arena_printf(a, "https%s", base + 3);
	return arena_strdup(a, base);
}

int
provider_endpoint_base(struct arena *a, const struct deployment *d, struct provider_base *out)
{
	char *root, *query, *host;
	size_t len;

	if (!d->api_base || !provider_endpoint_is_clean(d->api_base, 0x21))
		return HALE_EINVAL;
	root = provider_endpoint_scheme(a, d->api_base);
	if (strncasecmp(root, "http://", 7) != 0 && strncasecmp(root, "https://", 8) != 0)
		return HALE_EINVAL;
	root[strcspn(root, "#")] = '\0';
	query = strchr(root, '?');
	if (query)
		*query++ = '\0';
	provider_endpoint_trim(root);
	host = strchr(root, ':');
	if (!host || strlen(host) <= 3 || host[3] == '/')
		return HALE_EINVAL;
	host += 3;
	len = strlen(root);
	for (unsigned i = 0; i < HALE_COUNT(provider_mode_path); i++) {
		size_t n = strlen(provider_mode_path[i]);

		if (len > n && strcmp(root + len - n, provider_mode_path[i]) == 0) {
			root[len - n] = '\0';
			provider_endpoint_trim(root);
			break;
		}
	}
	out->root = root;
	if (d->provider->bare_path && !strchr(host, '/'))
		out->root = arena_printf(a, "%s%s", root, d->provider->bare_path);
	out->query = query && *query ? query : NULL;
	return 0;
}

int
provider_endpoint_header(struct endpoint *e, const char *name, const char *value)
{
	unsigned i = 0;

	if (!value)
		return 0;
	if (!provider_endpoint_is_clean(value, 0x20))
		return HALE_EINVAL;
	while (i < e->nheader && strcasecmp(e->header[i].name, name) != 0)
		i++;
	if (i == ENDPOINT_HEADERS_MAX)
		return HALE_ELIMIT;
	e->header[i] = (struct http_header){name, value};
	if (i == e->nheader)
		e->nheader++;
	return 0;
}

/* A token of RFC 9110 that does not decide about framing or the peer. */
static bool
provider_endpoint_is_name(const char *name)
{
	static const char *const framing[] = {"host", "connection", "content-length", "transfer-encoding", "te",
	                                      "upgrade", "trailer", "expect", "content-type"};
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	for (unsigned i = 0; i < HALE_COUNT(framing); i++)
		if (strcasecmp(name, framing[i]) == 0)
			return false;
	return *name && name[strspn(name, token)] == '\0';
}

int
provider_endpoint_extra(struct arena *a, const struct deployment *d, struct endpoint *e)
{
	const struct conf_node *extra = conf_get(d->params, "extra_headers");

	if (!extra || extra->kind == CONF_NULL)
		return 0;
	if (extra->kind != CONF_MAP)
		return HALE_EINVAL;
	for (const struct conf_node *n = extra->child; n; n = n->next) {
		const char *value = n->kind == CONF_STRING ? n->v.string : n->text;
		int rc;

		if (n->kind == CONF_LIST || n->kind == CONF_MAP || !provider_endpoint_is_name(n->key))
			return HALE_EINVAL;
		rc = n->kind == CONF_NULL ? 0 : provider_endpoint_header(e, n->key, arena_strdup(a, value));
		if (rc)
			return rc;
	}
	return 0;
}

char *
provider_endpoint_encode(struct arena *a, const char *text)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	struct strbuf b;
	char *out;

	strbuf_init(&b, 0);
	for (; *text; text++) {
		if (strchr(unreserved, *text))
			strbuf_putc(&b, *text);
		else
			strbuf_printf(&b, "%%%02X", (unsigned char)*text);
	}
	out = arena_strdup(a, strbuf_str(&b));
	strbuf_release(&b);
	return out;
}

bool
provider_endpoint_has(const struct provider_base *b, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = b->query; p && *p; p += strcspn(p, "&"), p += *p == '&')
		if (strncmp(p, name, n) == 0 && p[n] == '=')
			return true;
	return false;
}

char *
provider_endpoint_url(struct arena *a, const struct provider_base *b, const char *path, const char *query)
{
	bool both = b->query && query;

	return arena_printf(a, "%s%s%s%s%s%s", b->root, path, b->query || query ? "?" : "",
	                    b->query ? b->query : "", both ? "&" : "", query ? query : "");
}

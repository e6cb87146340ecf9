/* One HTTP/1.1 request as bytes: the head in a buffer of the call, the body where the caller has it. */
#include "hale/hale.h"

#include "upstream_direct.h"

#include <strings.h>

#include "hale/arena.h"

static void
upstream_direct_request_put(struct upstream_direct_call *c, const char *s, size_t len)
{
	memcpy(c->head + c->part[0].iov_len, s, len);
	c->part[0].iov_len += len;
}

static void
upstream_direct_request_puts(struct upstream_direct_call *c, const char *s)
{
	upstream_direct_request_put(c, s, strlen(s));
}

static size_t
upstream_direct_request_headers_size(const struct http_header *h, unsigned n)
{
	size_t size = 0;

	for (unsigned i = 0; i < n; i++)
		size += strlen(h[i].name) + strlen(h[i].value) + 4;
	return size;
}

/* Bits of what the caller sent itself. */
enum { UPSTREAM_DIRECT_AGENT = 1, UPSTREAM_DIRECT_ACCEPT = 2 };

static unsigned
upstream_direct_request_headers(struct upstream_direct_call *c, const struct http_header *h, unsigned n)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < n; i++) {
		if (upstream_header_is_ours(h[i].name))
			continue;
		if (strcasecmp(h[i].name, "User-Agent") == 0)
			seen |= UPSTREAM_DIRECT_AGENT;
		else if (strcasecmp(h[i].name, "Accept") == 0)
			seen |= UPSTREAM_DIRECT_ACCEPT;
		upstream_direct_request_puts(c, h[i].name);
		upstream_direct_request_put(c, ": ", 2);
		upstream_direct_request_puts(c, h[i].value);
		upstream_direct_request_put(c, "\r\n", 2);
	}
	return seen;
}

/* A method that gives a body a meaning says how long it is, even when there is none. */
static bool
upstream_direct_request_has_length(const char *method, size_t body)
{
	return body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

/* Request target: path and query of the URL, "/" when there is none; no fragment. */
static void
upstream_direct_request_target(struct upstream_direct_call *c, const char *path)
{
	if (*path != '/')
		upstream_direct_request_put(c, "/", 1);
	upstream_direct_request_put(c, path, strcspn(path, "#"));
}

void
upstream_direct_request_build(struct upstream_direct_call *c, const struct upstream_request *r)
{
	static const char agent[] = "User-Agent: " HALE_PRODUCT "\r\n", accept[] = "Accept: */*\r\n";
	const struct endpoint *e = r->endpoint;
	const char *path = e->url + c->host->origin_len;
	size_t body = 0, need;
	char length[48];
	unsigned seen;

	c->npart = 1;
	for (unsigned i = 0; i < r->nbody; i++) {
		body += r->body[i].iov_len;
		if (r->body[i].iov_len)
			c->part[c->npart++] = r->body[i];
	}
	need = strlen(e->method) + strlen(path) + c->host->authority_len + sizeof(agent) + sizeof(accept) + sizeof(length) +
	       upstream_direct_request_headers_size(e->header, e->nheader) +
	       upstream_direct_request_headers_size(r->header, r->nheader) + 64;
	if (need > c->head_cap) {
		free(c->head);
		c->head = xmalloc(need);
		c->head_cap = need;
	}
	c->part[0] = (struct iovec){.iov_base = c->head};
	upstream_direct_request_puts(c, e->method);
	upstream_direct_request_put(c, " ", 1);
	upstream_direct_request_target(c, path);
	upstream_direct_request_puts(c, " HTTP/1.1\r\nHost: ");
	upstream_direct_request_put(c, c->host->at.text, c->host->authority_len);
	upstream_direct_request_put(c, "\r\n", 2);
	seen = upstream_direct_request_headers(c, e->header, e->nheader);
	seen |= upstream_direct_request_headers(c, r->header, r->nheader);
	if (!(seen & UPSTREAM_DIRECT_AGENT))
		upstream_direct_request_put(c, agent, sizeof(agent) - 1);
	if (!(seen & UPSTREAM_DIRECT_ACCEPT))
		upstream_direct_request_put(c, accept, sizeof(accept) - 1);
	if (upstream_direct_request_has_length(e->method, body))
		upstream_direct_request_put(c, length, (size_t)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", body));
	upstream_direct_request_put(c, "\r\n", 2);
	c->to_head = strcmp(e->method, "HEAD") == 0;
	c->total = c->part[0].iov_len + body;
	c->sent = 0;
}

unsigned
upstream_direct_request_rest(const struct upstream_direct_call *c, struct iovec *iov)
{
	size_t skip = c->sent;
	unsigned n = 0;

	for (unsigned i = 0; i < c->npart; i++) {
		if (skip >= c->part[i].iov_len) {
			skip -= c->part[i].iov_len;
			continue;
		}
		iov[n++] = (struct iovec){(char *)c->part[i].iov_base + skip, c->part[i].iov_len - skip};
		skip = 0;
	}
	return n;
}

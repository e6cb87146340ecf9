/* multipart/form-data, as strictly as RFC 7578 lets a server be.
 *
 * No preamble, no epilogue, CRLF everywhere, a Content-Disposition with a name in each part: a gateway that
 * touches such a body must not get away with anything.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <openssl/evp.h>
#include <strings.h>

#define LLMSIM_BOUNDARY_MAX 70
#define LLMSIM_DESCRIBE_TEXT 1024

/* "; name=value" or "; name=\"value\"" of a header value. */
static struct llmsim_span
llmsim_multipart_param(struct llmsim_span header, const char *name)
{
	const char *p = header.p, *end = p + header.len;
	size_t n = strlen(name);

	while ((p = memchr(p, ';', (size_t)(end - p)))) {
		const char *from, *stop;

		do
			p++;
		while (p < end && (*p == ' ' || *p == '\t'));
		if ((size_t)(end - p) <= n || strncasecmp(p, name, n) != 0 || p[n] != '=')
			continue;
		from = p + n + 1;
		if (from < end && *from == '"') {
			from++;
			stop = memchr(from, '"', (size_t)(end - from));
			if (!stop)
				break;
		} else {
			for (stop = from; stop < end && !strchr("; \t", *stop); stop++)
				continue;
		}
		return (struct llmsim_span){from, (size_t)(stop - from)};
	}
	return (struct llmsim_span){NULL, 0};
}

/* Reads the headers of one part at p; returns behind the empty line, NULL when they are not proper. */
static const char *
llmsim_multipart_head(const char *p, const char *end, struct llmsim_part *out)
{
	static const char disposition[] = "Content-Disposition: form-data;", type[] = "Content-Type: ";

	*out = (struct llmsim_part){0};
	for (;;) {
		const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
		size_t len;

		if (!eol)
			return NULL;
		len = (size_t)(eol - p);
		if (len == 0)
			return out->name.p ? eol + 2 : NULL;
		if (len > sizeof(disposition) - 1 && strncasecmp(p, disposition, sizeof(disposition) - 1) == 0) {
			out->name = llmsim_multipart_param((struct llmsim_span){p, len}, "name");
			out->filename = llmsim_multipart_param((struct llmsim_span){p, len}, "filename");
		} else if (len > sizeof(type) - 1 && strncasecmp(p, type, sizeof(type) - 1) == 0) {
			out->type = (struct llmsim_span){p + sizeof(type) - 1, len - (sizeof(type) - 1)};
		} else if (!memchr(p, ':', len)) {
			return NULL;
		}
		p = eol + 2;
	}
}

int
llmsim_multipart(const struct llmsim_request *r, struct llmsim_part part[LLMSIM_PARTS_MAX])
{
	struct llmsim_span type = llmsim_http_header(r, "content-type"), boundary;
	const char *p = r->body.p, *end = p + r->body.len;
	char mark[LLMSIM_BOUNDARY_MAX + 5];
	size_t n;

	if (!llmsim_span_starts(type, "multipart/form-data;"))
		return -1;
	boundary = llmsim_multipart_param(type, "boundary");
	if (boundary.len == 0 || boundary.len > LLMSIM_BOUNDARY_MAX)
		return -1;
	n = (size_t)snprintf(mark, sizeof(mark), "\r\n--%.*s", (int)boundary.len, boundary.p);
	if (!llmsim_span_starts(r->body, mark + 2))
		return -1;
	p += n - 2;
	for (int count = 0;; count++) {
		const char *next;

		if (end - p == 2 || end - p == 4) /* some clients leave the last line break out */
			return memcmp(p, "--\r\n", (size_t)(end - p)) == 0 ? count : -1;
		if (end - p < 2 || memcmp(p, "\r\n", 2) != 0 || count == LLMSIM_PARTS_MAX)
			return -1;
		p = llmsim_multipart_head(p + 2, end, &part[count]);
		next = p ? memmem(p, (size_t)(end - p), mark, n) : NULL;
		if (!next)
			return -1;
		part[count].data = (struct llmsim_span){p, (size_t)(next - p)};
		p = next + n;
	}
}

static void
llmsim_multipart_member(struct strbuf *out, const char *name, struct llmsim_span s)
{
	strbuf_printf(out, ",\"%s\":", name);
	if (s.p)
		strbuf_json_stringn(out, s.p, s.len);
	else
		strbuf_puts(out, "null");
}

void
llmsim_multipart_describe(const struct llmsim_request *r, struct strbuf *out)
{
	struct llmsim_part part[LLMSIM_PARTS_MAX];
	int n = llmsim_multipart(r, part);

	if (n < 0) {
		strbuf_puts(out, "null");
		return;
	}
	strbuf_putc(out, '[');
	for (int i = 0; i < n; i++) {
		unsigned char sum[EVP_MAX_MD_SIZE];
		unsigned len = 0;

		(void)EVP_Digest(part[i].data.p, part[i].data.len, sum, &len, EVP_sha256(), NULL);
		strbuf_printf(out, "%s{\"bytes\":%zu,\"sha256\":\"", i ? "," : "", part[i].data.len);
		for (unsigned k = 0; k < len; k++)
			strbuf_printf(out, "%02x", sum[k]);
		strbuf_putc(out, '"');
		llmsim_multipart_member(out, "name", part[i].name);
		llmsim_multipart_member(out, "filename", part[i].filename);
		llmsim_multipart_member(out, "type", part[i].type);
		if (!part[i].filename.p && part[i].data.len <= LLMSIM_DESCRIBE_TEXT)
			llmsim_multipart_member(out, "text", part[i].data);
		strbuf_putc(out, '}');
	}
	strbuf_putc(out, ']');
}

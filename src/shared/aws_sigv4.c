/* AWS Signature Version 4. Contract: aws_sigv4.h.
 *
 *   canonical request = method, path, query, headers, names of the signed headers, hash of the body
 *   string to sign    = algorithm, time, scope (day/region/service), hash of the canonical request
 *   signature         = HMAC of that, keyed with the secret drawn through day, region and service
 *
 * Every part is written into one text buffer in the order in which the standard lists it. What both sides
 * must spell alike: the path is normalised and encoded (again), query parameters are decoded, encoded and
 * sorted, header values are trimmed and their inner blanks collapsed.
 */
#include "hale/hale.h"

#include "aws_sigv4.h"

#include <ctype.h>
#include <strings.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "hale/arena.h"
#include "hale/err.h"
#include "hale/provider.h"
#include "hale/strbuf.h"

#define AWS_SIGV4_HASH 32

/* The URL's parts, and the time as text. */
struct aws_sigv4_parts {
	const char *host, *path, *query;
	size_t host_len, path_len, query_len;
	char date[17];
};

static void
aws_sigv4_hex(const unsigned char *hash, struct strbuf *out)
{
	for (unsigned i = 0; i < AWS_SIGV4_HASH; i++)
		strbuf_printf(out, "%02x", hash[i]);
}

static void
aws_sigv4_sha256(const struct iovec *part, unsigned n, unsigned char *out)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;

	for (unsigned i = 0; i < n && ok; i++)
		ok = EVP_DigestUpdate(c, part[i].iov_base, part[i].iov_len) == 1;
	HALE_ASSERT(ok && EVP_DigestFinal_ex(c, out, NULL) == 1);
	EVP_MD_CTX_free(c);
}

static void
aws_sigv4_hmac(const void *key, size_t key_len, const char *text, size_t len, unsigned char *out)
{
	unsigned n = 0;

	HALE_ASSERT(HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, len, out, &n) &&
	            n == AWS_SIGV4_HASH);
}

static void
aws_sigv4_encode(unsigned char c, struct strbuf *out)
{
	if (isascii(c) && (isalnum(c) || strchr("-._~", c)) && c)
		strbuf_putc(out, (char)c);
	else
		strbuf_printf(out, "%%%02X", c);
}

int
aws_sigv4_date(uint64_t now_s, char out[17])
{
	time_t t = (time_t)now_s;
	struct tm tm;

	if (now_s > INT64_C(253402300799) || !gmtime_r(&t, &tm)) /* the year 9999 */
		return HALE_ERANGE;
	return strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm) == 16 ? 0 : HALE_ERANGE;
}

static int
aws_sigv4_split(const struct aws_sigv4 *s, struct aws_sigv4_parts *p)
{
	const char *scheme = strstr(s->url, "://"), *at;

	if (!scheme)
		return HALE_EINVAL;
	p->host = scheme + 3;
	p->host_len = strcspn(p->host, "/?#");
	p->path = p->host + p->host_len;
	p->path_len = strcspn(p->path, "?#");
	p->query = p->path + p->path_len;
	p->query += *p->query == '?';
	p->query_len = strcspn(p->query, "#");
	at = memchr(p->host, '@', p->host_len); /* user:password is not part of Host */
	if (at) {
		p->host_len -= (size_t)(at + 1 - p->host);
		p->host = at + 1;
	}
	return p->host_len ? aws_sigv4_date(s->now_s, p->date) : HALE_EINVAL;
}

/* Without empty and dot segments, each segment encoded as it stands. */
static void
aws_sigv4_path(const char *path, size_t len, struct strbuf *out)
{
	struct strbuf b;
	size_t at = 0;
	bool slash = true; /* the path ends in one */

	strbuf_init(&b, 0);
	while (at < len) {
		size_t n = 0;

		while (at + n < len && path[at + n] != '/')
			n++;
		slash = at + n < len || n == 0;
		if (n == 2 && memcmp(path + at, "..", 2) == 0) {
			const char *last = b.len ? memrchr(b.data, '/', b.len) : NULL;

			if (last) {
				b.len = (size_t)(last - b.data);
				b.data[b.len] = '\0';
			}
			slash = true;
		} else if (n == 1 && path[at] == '.') {
			slash = true;
		} else if (n) {
			strbuf_putc(&b, '/');
			for (size_t i = 0; i < n; i++)
				aws_sigv4_encode((unsigned char)path[at + i], &b);
		}
		at += n + 1;
	}
	strbuf_add(out, strbuf_str(&b), b.len);
	if (slash || b.len == 0)
		strbuf_putc(out, '/');
	strbuf_release(&b);
}

static int
aws_sigv4_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A name or value of the query: what is encoded already is not encoded twice. */
static void
aws_sigv4_requote(const char *s, size_t len, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		int hi = -1, lo = -1;

		if (s[i] == '%' && i + 2 < len) {
			hi = aws_sigv4_hex_digit(s[i + 1]);
			lo = aws_sigv4_hex_digit(s[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			aws_sigv4_encode((unsigned char)(hi << 4 | lo), out);
			i += 2;
		} else {
			aws_sigv4_encode((unsigned char)s[i], out);
		}
	}
}

struct aws_sigv4_pair {
	struct strbuf name, value;
};

static int
aws_sigv4_pair_compare(const void *a, const void *b)
{
	const struct aws_sigv4_pair *x = a, *y = b;
	int c = strcmp(strbuf_str(&x->name), strbuf_str(&y->name));

	return c ? c : strcmp(strbuf_str(&x->value), strbuf_str(&y->value));
}

static int
aws_sigv4_query(const char *query, size_t len, struct strbuf *out)
{
	struct aws_sigv4_pair pair[AWS_SIGV4_QUERY_MAX];
	unsigned n = 0;
	int rc = 0;

	for (size_t at = 0; at < len && !rc;) {
		const char *p = query + at, *amp = memchr(p, '&', len - at);
		size_t all = amp ? (size_t)(amp - p) : len - at;
		const char *equal = memchr(p, '=', all);
		size_t name = equal ? (size_t)(equal - p) : all;

		at += all + 1;
		if (all == 0)
			continue;
		if (n == AWS_SIGV4_QUERY_MAX) {
			rc = HALE_ELIMIT;
			continue;
		}
		strbuf_init(&pair[n].name, 0);
		strbuf_init(&pair[n].value, 0);
		aws_sigv4_requote(p, name, &pair[n].name);
		if (equal)
			aws_sigv4_requote(equal + 1, all - name - 1, &pair[n].value);
		n++;
	}
	if (n)
		qsort(pair, n, sizeof(*pair), aws_sigv4_pair_compare);
	for (unsigned i = 0; i < n; i++) {
		strbuf_printf(out, "%s%s=%s", i ? "&" : "", strbuf_str(&pair[i].name),
		              strbuf_str(&pair[i].value));
		strbuf_release(&pair[i].name);
		strbuf_release(&pair[i].value);
	}
	return rc;
}

/* Trimmed, blanks inside collapsed. */
static void
aws_sigv4_value(const char *value, struct strbuf *out)
{
	bool any = false, blank = false;

	for (; *value; value++) {
		if (*value == ' ' || *value == '\t') {
			blank = any;
			continue;
		}
		if (blank)
			strbuf_putc(out, ' ');
		blank = false;
		any = true;
		strbuf_putc(out, *value);
	}
}

/* All headers that are signed, in the order of their names; equal names keep theirs. */
static int
aws_sigv4_headers(const struct aws_sigv4 *s, const char *host, const char *date, struct http_header *h)
{
	unsigned n = 0;

	if (s->nheader > AWS_SIGV4_HEADERS_MAX)
		return HALE_ELIMIT;
	for (unsigned i = 0; i < s->nheader + 3; i++) {
		struct http_header add = {"host", host};
		unsigned at;

		if (i == 1)
			add = (struct http_header){"x-amz-date", date};
		else if (i == 2)
			add = (struct http_header){"x-amz-security-token", s->token};
		else if (i > 2)
			add = s->header[i - 3];
		if (!add.value)
			continue;
		for (at = n; at && strcasecmp(h[at - 1].name, add.name) > 0; at--)
			h[at] = h[at - 1];
		h[at] = add;
		n++;
	}
	return (int)n;
}

/* "name:value\n" of each, when values are wanted, or their names joined by ';'. */
static void
aws_sigv4_list(const struct http_header *h, int n, bool values, struct strbuf *out)
{
	for (int i = 0; i < n; i++) {
		bool again = i && strcasecmp(h[i].name, h[i - 1].name) == 0;

		if (!values && again)
			continue;
		if (i && !values)
			strbuf_putc(out, ';');
		if (again)
			strbuf_putc(out, ',');
		for (const char *c = h[i].name; *c && !again; c++)
			strbuf_putc(out, (char)tolower((unsigned char)*c));
		if (!values)
			continue;
		if (!again)
			strbuf_putc(out, ':');
		aws_sigv4_value(h[i].value, out);
		if (i + 1 == n || strcasecmp(h[i + 1].name, h[i].name) != 0)
			strbuf_putc(out, '\n');
	}
}

/* The canonical request, and the names of the signed headers once more. */
static int
aws_sigv4_request(const struct aws_sigv4 *s, const struct aws_sigv4_parts *p, struct strbuf *out,
                  struct strbuf *names)
{
	struct http_header h[AWS_SIGV4_HEADERS_MAX + 3];
	unsigned char hash[AWS_SIGV4_HASH];
	char *host = xstrndup(p->host, p->host_len);
	int n, rc;

	n = aws_sigv4_headers(s, host, p->date, h);
	strbuf_printf(out, "%s\n", s->method);
	aws_sigv4_path(p->path, p->path_len, out);
	strbuf_putc(out, '\n');
	rc = aws_sigv4_query(p->query, p->query_len, out);
	if (n >= 0 && rc == 0) {
		strbuf_putc(out, '\n');
		aws_sigv4_list(h, n, true, out);
		strbuf_putc(out, '\n');
		aws_sigv4_list(h, n, false, names);
		strbuf_printf(out, "%s\n", strbuf_str(names));
		aws_sigv4_sha256(s->body, s->nbody, hash);
		aws_sigv4_hex(hash, out);
	}
	free(host);
	return n < 0 ? n : rc;
}

int
aws_sigv4_canonical(const struct aws_sigv4 *s, struct strbuf *out)
{
	struct aws_sigv4_parts p;
	struct strbuf names;
	int rc = aws_sigv4_split(s, &p);

	strbuf_init(&names, 0);
	if (!rc)
		rc = aws_sigv4_request(s, &p, out, &names);
	strbuf_release(&names);
	return rc;
}

/* The signature over text, in hex. */
static void
aws_sigv4_sign(const struct aws_sigv4 *s, const char *date, const struct strbuf *text, struct strbuf *out)
{
	unsigned char key[AWS_SIGV4_HASH], next[AWS_SIGV4_HASH];
	struct strbuf first;

	strbuf_init(&first, 0);
	strbuf_printf(&first, "AWS4%s", s->secret);
	aws_sigv4_hmac(strbuf_str(&first), first.len, date, 8, key);
	aws_sigv4_hmac(key, sizeof(key), s->region, strlen(s->region), next);
	aws_sigv4_hmac(next, sizeof(next), s->service, strlen(s->service), key);
	aws_sigv4_hmac(key, sizeof(key), "aws4_request", 12, next);
	aws_sigv4_hmac(next, sizeof(next), text->data, text->len, key);
	aws_sigv4_hex(key, out);
	explicit_bzero(first.data, first.len);
	strbuf_release(&first);
}

int
aws_sigv4_authorization(const struct aws_sigv4 *s, struct strbuf *out)
{
	struct strbuf request, names, text;
	unsigned char hash[AWS_SIGV4_HASH];
	struct aws_sigv4_parts p;
	int rc = aws_sigv4_split(s, &p);

	strbuf_init(&request, 0);
	strbuf_init(&names, 0);
	strbuf_init(&text, 0);
	if (!rc)
		rc = aws_sigv4_request(s, &p, &request, &names);
	if (!rc) {
		aws_sigv4_sha256(&(struct iovec){request.data, request.len}, 1, hash);
		strbuf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n", p.date, p.date,
		              s->region, s->service);
		aws_sigv4_hex(hash, &text);
		strbuf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, Signature=",
		              s->key_id, p.date, s->region, s->service, strbuf_str(&names));
		aws_sigv4_sign(s, p.date, &text, out);
	}
	strbuf_release(&request);
	strbuf_release(&names);
	strbuf_release(&text);
	return rc;
}

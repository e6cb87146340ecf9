/* One transfer by libcurl: options, callbacks, and what its result means.
 *
 * Options that never change are set when the easy handle is made; a request sets method, URL, header
 * list and body. The body is borrowed: small ones are joined into one block, because libcurl sends up to
 * 64 KiB together with the head in one segment only from POSTFIELDS; larger ones in several parts are
 * read (and read again after a stale connection) through callbacks.
 *
 * Proxies named by the environment are not used: a daemon's way out must not depend on who started it. A
 * request says itself whether it goes through one, and whether it may be HTTP/2.
 */
#include "hale/hale.h"

#include "upstream_curl.h"

#include <openssl/ssl.h>
#include <strings.h>

#include "hale/arena.h"
#include "hale/log.h"

#define UPSTREAM_CURL_JOIN_MAX (64u << 10)
#define UPSTREAM_CURL_KEEP_MAX (16u << 10) /* larger buffers are not pooled */

static const char *
upstream_curl_text(const struct upstream_curl_call *c, const char *other)
{
	return c->errbuf[0] ? c->errbuf : other;
}

/* ---- the head of the answer ---- */

static void
upstream_curl_head_clear(struct upstream_curl_call *c)
{
	c->head_len = 0;
	c->nheader = 0;
	c->head_status = 0;
}

static void
upstream_curl_head_put(struct upstream_curl_call *c, const char *s, size_t len)
{
	if (c->head_len + len + 1 > c->head_cap) {
		c->head_cap = c->head_cap ? c->head_cap * 2 : 1024;
		if (c->head_cap < c->head_len + len + 1)
			c->head_cap = c->head_len + len + 1;
		c->head = xrealloc(c->head, c->head_cap);
	}
	memcpy(c->head + c->head_len, s, len);
	c->head_len += len;
	c->head[c->head_len++] = '\0';
}

/* One "Name: value" without its line end. NULL or what is wrong. */
static const char *
upstream_curl_head_add(struct upstream_curl_call *c, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *value, *end = line + len;

	if (!colon || colon == line || line[0] == ' ' || line[0] == '\t')
		return "malformed header in the answer";
	if (c->nheader >= UPSTREAM_HEAD_COUNT_MAX || c->head_len + len > UPSTREAM_HEAD_BYTES_MAX)
		return "the headers of the answer are too large";
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	c->name_at[c->nheader] = (uint32_t)c->head_len;
	upstream_curl_head_put(c, line, (size_t)(colon - line));
	c->value_at[c->nheader++] = (uint32_t)c->head_len;
	upstream_curl_head_put(c, value, (size_t)(end - value));
	return NULL;
}

static void
upstream_curl_head_report(struct upstream_curl_call *c)
{
	struct http_header h[UPSTREAM_HEAD_COUNT_MAX];

	for (unsigned i = 0; i < c->nheader; i++)
		h[i] = (struct http_header){c->head + c->name_at[i], c->head + c->value_at[i]};
	upstream_call_head(&c->base, c->head_status, h, c->nheader);
}

/* "HTTP/1.1 200 OK", "HTTP/2 200": the code, 0 when there is none. */
static int
upstream_curl_head_code(const char *line, size_t len)
{
	const char *p = memchr(line, ' ', len);
	int code = 0, digits = 0;

	for (p = p ? p + 1 : line + len; p < line + len && *p >= '0' && *p <= '9' && digits < 3; p++, digits++)
		code = code * 10 + (*p - '0');
	return digits == 3 && code >= 100 ? code : 0;
}

static size_t
upstream_curl_header_cb(char *line, size_t size, size_t count, void *arg)
{
	struct upstream_curl_call *c = arg;
	size_t len = size * count, n = len;

	if (!c->base.ops)
		return 0;
	if (c->base.head_done) /* trailers */
		return len;
	while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
		n--;
	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		upstream_curl_head_clear(c);
		c->head_status = upstream_curl_head_code(line, n);
		if (!c->head_status)
			c->fault = "malformed status line in the answer";
	} else if (n) {
		c->fault = upstream_curl_head_add(c, line, n);
	} else if (c->head_status >= 200) {
		upstream_curl_head_report(c);
		return c->base.ops ? len : 0;
	}
	return c->fault ? 0 : len;
}

/* ---- bodies ---- */

static size_t
upstream_curl_write_cb(char *data, size_t size, size_t count, void *arg)
{
	struct upstream_curl_call *c = arg;
	size_t len = size * count;

	if (!c->base.ops)
		return CURL_WRITEFUNC_ERROR;
	if (!c->base.head_done) {
		c->fault = "body before the head of the answer";
		return CURL_WRITEFUNC_ERROR;
	}
	/* A pause asked for by the piece before: libcurl keeps this one and offers it again. */
	if (c->base.paused)
		return CURL_WRITEFUNC_PAUSE;
	if (len)
		upstream_call_body(&c->base, data, len);
	return c->base.ops ? len : CURL_WRITEFUNC_ERROR;
}

static size_t
upstream_curl_read_cb(char *out, size_t size, size_t count, void *arg)
{
	struct upstream_curl_call *c = arg;
	size_t room = size * count, done = 0, skip = c->part_offset;

	for (unsigned i = 0; i < c->npart && done < room; i++) {
		size_t n = c->part[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > room - done)
			n = room - done;
		memcpy(out + done, (const char *)c->part[i].iov_base + skip, n);
		done += n;
		skip = 0;
	}
	c->part_offset += done;
	return done;
}

static int
upstream_curl_seek_cb(void *arg, curl_off_t offset, int origin)
{
	struct upstream_curl_call *c = arg;

	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	c->part_offset = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static CURLcode
upstream_curl_ssl_cb(CURL *easy, void *ctx, void *arg)
{
	struct upstream_curl_call *c = arg;
	X509_STORE *store;

	(void)easy;
	c->tls_begun = true;
	if (c->insecure)
		return CURLE_OK;
	store = upstream_tls_store(c->base.u->tls);
	X509_STORE_up_ref(store);
	SSL_CTX_set_cert_store(ctx, store);
	return CURLE_OK;
}

/* ---- the handle ---- */

static void
upstream_curl_call_options(struct upstream_curl_call *c)
{
	uint32_t idle_ms = c->base.u->limits.idle_timeout_ms;
	CURL *e = c->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->errbuf);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* A lookup that is given up must not be waited for: the thread ends by itself. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_NOPROXY, ""); /* no exceptions from the environment either */
	curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L); /* HTTP/2: a stream on the first connection, not a second one */
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, HALE_PRODUCT);
	curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 32768L);
	if (idle_ms)
		curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)(idle_ms + 999) / 1000);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, upstream_curl_ssl_cb);
	curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, c);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, upstream_curl_header_cb);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, upstream_curl_write_cb);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, upstream_curl_read_cb);
	curl_easy_setopt(e, CURLOPT_READDATA, c);
	curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, upstream_curl_seek_cb);
	curl_easy_setopt(e, CURLOPT_SEEKDATA, c);
}

struct upstream_curl_call *
upstream_curl_call_new(struct upstream *u)
{
	struct upstream_curl_call *c = xcalloc(1, sizeof(*c));

	upstream_call_init(u, &c->base, &upstream_curl_transport);
	c->easy = curl_easy_init();
	if (!c->easy)
		log_fatal(1, "upstream: no memory for a libcurl handle");
	upstream_curl_call_options(c);
	return c;
}

void
upstream_curl_call_free(struct upstream_curl_call *c)
{
	curl_easy_cleanup(c->easy);
	free(c->request);
	free(c->body);
	free(c->head);
	free(c);
}

void
upstream_curl_call_reset(struct upstream_curl_call *c)
{
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, NULL);
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
	c->npart = 0;
	if (c->body_cap > UPSTREAM_CURL_KEEP_MAX) {
		xfreep(&c->body);
		c->body_cap = 0;
	}
	if (c->head_cap > UPSTREAM_CURL_KEEP_MAX) {
		xfreep(&c->head);
		c->head_cap = 0;
	}
	if (c->request_cap > UPSTREAM_CURL_KEEP_MAX) {
		xfreep(&c->request);
		c->request_cap = 0;
	}
}

/* ---- the request ---- */

struct upstream_curl_headers {
	struct curl_slist *node;
	char *text;
	unsigned n;
	bool content_type;
};

static void
upstream_curl_header_put(struct upstream_curl_headers *l, const char *name, const char *separator, const char *value)
{
	size_t nname = strlen(name), nsep = strlen(separator), nvalue = strlen(value);
	struct curl_slist *node = &l->node[l->n++];

	node->data = l->text;
	node->next = node + 1;
	memcpy(l->text, name, nname);
	memcpy(l->text + nname, separator, nsep);
	memcpy(l->text + nname + nsep, value, nvalue + 1);
	l->text += nname + nsep + nvalue + 1;
}

static void
upstream_curl_headers_add(struct upstream_curl_headers *l, const struct http_header *h, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (upstream_header_is_ours(h[i].name))
			continue;
		if (strcasecmp(h[i].name, "Content-Type") == 0)
			l->content_type = true;
		/* "Name;" is libcurl's way to send an empty value. */
		upstream_curl_header_put(l, h[i].name, h[i].value[0] ? ": " : ";", h[i].value);
	}
}

static size_t
upstream_curl_headers_size(const struct http_header *h, unsigned n)
{
	size_t size = 0;

	for (unsigned i = 0; i < n; i++)
		size += strlen(h[i].name) + strlen(h[i].value) + sizeof(": ");
	return size;
}

/* The list that libcurl reads, nodes and text in one block of the call. */
static void
upstream_curl_setup_headers(struct upstream_curl_call *c, const struct upstream_request *r)
{
	static const char no_expect[] = "Expect", no_type[] = "Content-Type";
	const struct endpoint *e = r->endpoint;
	unsigned nodes = e->nheader + r->nheader + 2;
	struct upstream_curl_headers l = {0};
	size_t need;

	need = nodes * sizeof(struct curl_slist) + upstream_curl_headers_size(e->header, e->nheader) +
	       upstream_curl_headers_size(r->header, r->nheader) + sizeof(no_expect) + sizeof(no_type) + 2;
	if (need > c->request_cap) {
		free(c->request);
		c->request = xmalloc(need);
		c->request_cap = need;
	}
	l.node = (struct curl_slist *)(void *)c->request;
	l.text = c->request + nodes * sizeof(struct curl_slist);
	upstream_curl_header_put(&l, no_expect, ":", "");
	upstream_curl_headers_add(&l, e->header, e->nheader);
	upstream_curl_headers_add(&l, r->header, r->nheader);
	if (!l.content_type)
		upstream_curl_header_put(&l, no_type, ":", "");
	l.node[l.n - 1].next = NULL;
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, l.node);
}

static void
upstream_curl_setup_body(struct upstream_curl_call *c, const struct upstream_request *r)
{
	const char *fields = "";
	size_t total = 0, at = 0;

	for (unsigned i = 0; i < r->nbody; i++)
		total += r->body[i].iov_len;
	c->part_offset = 0;
	if (r->nbody == 1) {
		fields = r->body[0].iov_base;
	} else if (r->nbody && total <= UPSTREAM_CURL_JOIN_MAX) {
		if (total > c->body_cap) {
			free(c->body);
			c->body = xmalloc(total);
			c->body_cap = total;
		}
		for (unsigned i = 0; i < r->nbody; at += r->body[i++].iov_len)
			if (r->body[i].iov_len)
				memcpy(c->body + at, r->body[i].iov_base, r->body[i].iov_len);
		fields = total ? c->body : "";
	} else if (r->nbody) {
		memcpy(c->part, r->body, r->nbody * sizeof(*r->body));
		c->npart = r->nbody;
		fields = NULL;
	}
	curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)total);
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, fields);
}

/* The way to the upstream: through which proxy, in which version of HTTP. */
static void
upstream_curl_setup_way(struct upstream_curl_call *c, const struct upstream_request *r)
{
	curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION,
	                 (long)(r->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	curl_easy_setopt(c->easy, CURLOPT_PROXY, r->proxy ? r->proxy : "");
}

void
upstream_curl_call_setup(struct upstream_curl_call *c, const struct upstream_request *r)
{
	const char *method = r->endpoint->method;
	long verify = r->insecure_tls ? 0L : 1L;

	c->fault = NULL;
	c->errbuf[0] = '\0';
	c->insecure = r->insecure_tls;
	c->tls_begun = false;
	upstream_curl_head_clear(c);
	/* libcurl's own connect timer also divides the time among a host's addresses. */
	c->base.connected = true;
	curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)r->timers.connect_ms);
	curl_easy_setopt(c->easy, CURLOPT_URL, r->endpoint->url);
	upstream_curl_setup_way(c, r);
	curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, verify);
	curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, verify * 2);
	curl_easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
	if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
	else if (r->nbody || strcmp(method, "GET") != 0)
		upstream_curl_setup_body(c, r);
	curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, strcmp(method, "HEAD") == 0 ? NULL : method);
	upstream_curl_setup_headers(c, r);
}

/* ---- the result ---- */

bool
upstream_curl_call_is_reused(struct upstream_call *base)
{
	struct upstream_curl_call *c = (struct upstream_curl_call *)base;
	curl_off_t sent = 0;
	long opened = 1;

	if (c->state == UPSTREAM_CURL_NEW)
		return false;
	curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &opened);
	curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
	return opened == 0 && sent > 0;
}

/* libcurl notes when each step was finished; the first one that was not is where we are. Only the end of
 * the TCP handshake is not seen before that of TLS, so our callback says where TLS begins. */
enum upstream_phase
upstream_curl_call_phase(struct upstream_call *base)
{
	struct upstream_curl_call *c = (struct upstream_curl_call *)base;
	curl_off_t resolved = 0, connected = 0, begun = 0, sent = 0, want = 0;

	if (base->head_done)
		return UPSTREAM_BODY;
	if (c->state == UPSTREAM_CURL_NEW)
		return UPSTREAM_RESOLVE;
	curl_easy_getinfo(c->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
	curl_easy_getinfo(c->easy, CURLINFO_CONNECT_TIME_T, &connected);
	curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
	curl_easy_getinfo(c->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T, &want);
	if (begun)
		return want > sent ? UPSTREAM_SEND : UPSTREAM_HEAD;
	if (!resolved)
		return UPSTREAM_RESOLVE;
	if (c->tls_begun)
		return UPSTREAM_TLS;
	return connected ? UPSTREAM_SEND : UPSTREAM_CONNECT;
}

static enum upstream_error
upstream_curl_error(CURLcode code, const char *errbuf)
{
	switch (code) {
	case CURLE_OK: return UPSTREAM_OK;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY: return UPSTREAM_ERESOLVE;
	case CURLE_COULDNT_CONNECT: return UPSTREAM_ECONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT: return UPSTREAM_ETLS;
	case CURLE_OPERATION_TIMEDOUT: return UPSTREAM_ETIMEOUT;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_HTTP2_STREAM: return UPSTREAM_ERESET;
	/* Broken chunks have no code of their own in this version. */
	case CURLE_RECV_ERROR: return strstr(errbuf, "chunked") ? UPSTREAM_EPROTOCOL : UPSTREAM_ERESET;
	default: return UPSTREAM_EPROTOCOL;
	}
}

enum upstream_error
upstream_curl_call_verdict(struct upstream_curl_call *c, CURLcode code, const char **text)
{
	enum upstream_error e = upstream_curl_error(code, c->errbuf);

	*text = "";
	if (e == UPSTREAM_OK && !c->base.head_done) {
		*text = "no complete answer";
		return UPSTREAM_EPROTOCOL;
	}
	if (e == UPSTREAM_ETIMEOUT)
		*text = upstream_timeout_text(upstream_curl_call_phase(&c->base));
	else if (e == UPSTREAM_EPROTOCOL)
		*text = c->fault ? c->fault : upstream_curl_text(c, "the answer is not valid HTTP");
	else if (e != UPSTREAM_OK)
		*text = upstream_curl_text(c, curl_easy_strerror(code));
	return e;
}

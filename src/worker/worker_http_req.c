/* What a handler may ask about its request. The query is decoded once, when the request is complete. */
#include "hale/hale.h"

#include "worker_http.h"

#include "hale/arena.h"
#include "worker_http_conn.h"

enum http_method
http_req_method(const struct http_req *r)
{
	return r->head.method;
}

const char *
http_req_path(const struct http_req *r)
{
	return r->head.path;
}

/* a=b&c -> "a\0b\0c\0\0" and one more NUL at the end. The escapes were checked with the head. */
char *
http_query_split(const char *q)
{
	size_t n = strlen(q);
	char *pairs = xmalloc(2 * n + 3), *out = pairs;

	while (*q) {
		size_t len = strcspn(q, "&"), name = strcspn(q, "=&");

		if (name > 0) {
			size_t value = name < len ? len - name - 1 : 0;

			memcpy(out, q, name);
			out[name] = '\0';
			http_strict_decode(out, true);
			out += strlen(out) + 1;
			memcpy(out, q + len - value, value);
			out[value] = '\0';
			http_strict_decode(out, true);
			out += strlen(out) + 1;
		}
		q += len + (q[len] == '&');
	}
	*out = '\0';
	return pairs;
}

const char *
http_req_query(const struct http_req *r, const char *name)
{
	if (!r->query)
		return NULL;
	for (const char *p = r->query; *p;) {
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

const char *
http_req_raw_query(const struct http_req *r)
{
	return r->head.query;
}

const char *
http_req_header(const struct http_req *r, const char *name)
{
	return http_strict_field(&r->head, name);
}

const char *
http_req_body(struct http_req *r, size_t *len)
{
	*len = r->body_len;
	return r->body_len ? r->body : "";
}

uint64_t
http_req_start_ns(const struct http_req *r)
{
	return r->start_ns;
}

void
http_req_each_header(const struct http_req *r, void (*f)(void *arg, const char *name, const char *value), void *arg)
{
	for (unsigned i = 0; i < r->head.nfield; i++)
		f(arg, r->head.field[i].name, r->head.field[i].value);
}

void
http_req_watch(struct http_req *r, void (*gone)(void *arg), void (*drained)(void *arg), void *arg)
{
	r->gone = gone;
	r->drained = drained;
	r->arg = arg;
}

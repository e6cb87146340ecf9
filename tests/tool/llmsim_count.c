/* What the simulator saw: totals, per key and path, and copies of the last requests.
 *
 * Everything is bounded: keys beyond LLMSIM_KEYS_MAX and paths beyond LLMSIM_PATHS_MAX are counted under
 * "(other)", the ring keeps a fixed number of requests and the first LLMSIM_RECORD_BODY_MAX bytes of each
 * body. Requests are copied as bytes and become JSON only when somebody asks, because a benchmark passes here
 * a hundred thousand times a second.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <ctype.h>
#include <json-c/json.h>

#include "hale/arena.h"
#include "hale/clock.h"

#define LLMSIM_RECORD_BODY_MAX (256u << 10)

void
llmsim_count_up(struct llmsim_count *c)
{
	c->total++;
	c->open++;
	if (c->open > c->open_max)
		c->open_max = c->open;
}

struct llmsim_key *
llmsim_count_key(struct llmsim *s, struct llmsim_span key)
{
	struct llmsim_key **at, *k;
	uint32_t hash = 2166136261u;

	if (!key.p)
		key = (struct llmsim_span){"(none)", 6};
	for (int attempt = 0;; attempt++) {
		for (size_t i = 0; i < key.len; i++)
			hash = (hash ^ (unsigned char)key.p[i]) * 16777619u;
		for (at = &s->key[hash % LLMSIM_HASH]; *at; at = &(*at)->next)
			if (llmsim_span_is(key, (*at)->text))
				return *at;
		if (s->nkey < LLMSIM_KEYS_MAX || attempt)
			break;
		key = (struct llmsim_span){"(other)", 7};
		hash = 2166136261u;
	}
	k = xcalloc(1, sizeof(*k));
	k->text = xstrndup(key.p, key.len);
	*at = k;
	s->nkey++;
	return k;
}

void
llmsim_count_begin(struct llmsim *s, struct llmsim_key *k, struct llmsim_span path)
{
	llmsim_count_up(&s->requests);
	llmsim_count_up(&k->requests);
	for (unsigned i = 0; i < k->npath; i++)
		if (llmsim_span_is(path, k->path[i].text)) {
			k->path[i].count++;
			return;
		}
	if (k->npath < LLMSIM_PATHS_MAX) {
		if (k->npath == LLMSIM_PATHS_MAX - 1)
			path = (struct llmsim_span){"(other)", 7};
		k->path[k->npath++] = (struct llmsim_path){xstrndup(path.p, path.len), 1};
	} else {
		k->path[LLMSIM_PATHS_MAX - 1].count++;
	}
}

void
llmsim_count_end(struct llmsim *s, struct llmsim_key *k, int status, bool gone)
{
	s->requests.open--;
	k->requests.open--;
	if (gone) {
		s->gone++;
		k->gone++;
	} else {
		k->status_class[status >= 100 && status < 600 ? status / 100 : 0]++;
	}
}

void
llmsim_count_record(struct llmsim *s, const struct llmsim_conn *c, const struct llmsim_request *r, bool fault)
{
	struct llmsim_record *rec;
	size_t keep = r->body.len < LLMSIM_RECORD_BODY_MAX ? r->body.len : LLMSIM_RECORD_BODY_MAX;

	if (s->ring_size == 0)
		return;
	rec = &s->ring[s->ring_at++ % s->ring_size];
	strbuf_clear(&rec->head);
	strbuf_clear(&rec->body);
	strbuf_add(&rec->head, r->method.p, r->head_bytes);
	if (keep)
		strbuf_add(&rec->body, r->body.p, keep);
	strbuf_clear(&rec->parts);
	if (r->service && r->service->form != LLMSIM_JSON && llmsim_span_is(r->method, "POST"))
		llmsim_multipart_describe(r, &rec->parts);
	rec->serial = s->requests.total;
	rec->at_ms = clock_mono_ns() / NS_PER_MS - s->start_ms;
	rec->connection = c->number;
	rec->body_bytes = r->body.len;
	rec->key_at = r->key.p ? (size_t)(r->key.p - r->method.p) : 0;
	rec->key_bytes = r->key.len;
	rec->fault = fault;
}

static void
llmsim_count_one(struct strbuf *out, const char *name, const struct llmsim_count *c)
{
	strbuf_printf(out, "\"%s\":{\"total\":%llu,\"open\":%llu,\"open_max\":%llu}", name,
	              (unsigned long long)c->total, (unsigned long long)c->open,
	              (unsigned long long)c->open_max);
}

static void
llmsim_count_key_json(const struct llmsim_key *k, struct strbuf *out)
{
	static const char *const name[] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};

	strbuf_json_string(out, k->text);
	strbuf_printf(
	    out, ":{\"total\":%llu,\"open\":%llu,\"open_max\":%llu,\"faults\":%llu,\"gone\":%llu,\"paths\":{",
	    (unsigned long long)k->requests.total, (unsigned long long)k->requests.open,
	    (unsigned long long)k->requests.open_max, (unsigned long long)k->faults,
	    (unsigned long long)k->gone);
	for (unsigned i = 0; i < k->npath; i++) {
		if (i)
			strbuf_putc(out, ',');
		strbuf_json_string(out, k->path[i].text);
		strbuf_printf(out, ":%llu", (unsigned long long)k->path[i].count);
	}
	strbuf_puts(out, "},\"answers\":{");
	for (unsigned i = 0; i < HALE_COUNT(name); i++)
		strbuf_printf(out, "%s\"%s\":%llu", i ? "," : "", name[i],
		              (unsigned long long)k->status_class[i]);
	strbuf_puts(out, "}}");
}

void
llmsim_count_stats(const struct llmsim *s, struct strbuf *out)
{
	bool first = true;

	strbuf_putc(out, '{');
	llmsim_count_one(out, "connections", &s->connections);
	strbuf_putc(out, ',');
	llmsim_count_one(out, "requests", &s->requests);
	strbuf_printf(out, ",\"bad_requests\":%llu,\"gone\":%llu,\"keys\":{",
	              (unsigned long long)s->bad_requests, (unsigned long long)s->gone);
	for (unsigned i = 0; i < LLMSIM_HASH; i++)
		for (const struct llmsim_key *k = s->key[i]; k; k = k->next) {
			if (k->requests.total == 0)
				continue;
			if (!first)
				strbuf_putc(out, ',');
			first = false;
			llmsim_count_key_json(k, out);
		}
	strbuf_puts(out, "}}");
}

/* Header names in lower case; repeated ones as one value joined by ", ". */
static void
llmsim_count_headers(const struct llmsim_request *r, struct json_object *o)
{
	struct llmsim_span name, value;
	size_t at = 0;

	while (llmsim_http_next(r, &at, &name, &value)) {
		char *lower = xstrndup(name.p, name.len);
		struct json_object *old;
		struct strbuf b;

		for (char *p = lower; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		strbuf_init(&b, 0);
		if (json_object_object_get_ex(o, lower, &old)) {
			strbuf_puts(&b, json_object_get_string(old));
			strbuf_puts(&b, ", ");
		}
		strbuf_add(&b, value.p, value.len);
		json_object_object_add(o, lower, json_object_new_string_len(strbuf_str(&b), (int)b.len));
		strbuf_release(&b);
		free(lower);
	}
}

static void
llmsim_count_span(struct json_object *o, const char *name, struct llmsim_span s)
{
	json_object_object_add(o, name, s.p ? json_object_new_string_len(s.p, (int)s.len) : NULL);
}

static void
llmsim_count_record_json(const struct llmsim_record *rec, struct strbuf *out)
{
	struct json_object *o = json_object_new_object(), *headers = json_object_new_object(), *body;
	struct json_tokener *tok = json_tokener_new();
	struct llmsim_request r;
	struct strbuf none;
	int status;

	strbuf_init(&none, 1);
	/* the head was parsed once already; MORE because the body is kept apart */
	(void)llmsim_http_parse(rec->head.data, rec->head.len, &none, &r, &status);
	strbuf_release(&none);
	json_object_object_add(o, "serial", json_object_new_int64((int64_t)rec->serial));
	json_object_object_add(o, "at_ms", json_object_new_int64((int64_t)rec->at_ms));
	json_object_object_add(o, "connection", json_object_new_int64((int64_t)rec->connection));
	json_object_object_add(o, "fault", json_object_new_boolean(rec->fault));
	llmsim_count_span(o, "method", r.method);
	llmsim_count_span(o, "path", r.path);
	llmsim_count_span(o, "query", r.query);
	llmsim_count_span(o, "key", r.key);
	llmsim_count_headers(&r, headers);
	json_object_object_add(o, "headers", headers);
	json_object_object_add(o, "body_bytes", json_object_new_int64((int64_t)rec->body_bytes));
	json_object_object_add(o, "body_text",
	                       json_object_new_string_len(strbuf_str(&rec->body), (int)rec->body.len));
	body = rec->body.len ? json_tokener_parse_ex(tok, rec->body.data, (int)rec->body.len) : NULL;
	json_object_object_add(o, "body", body);
	if (rec->parts.len)
		json_object_object_add(o, "parts", json_tokener_parse(rec->parts.data));
	strbuf_puts(
	    out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	json_tokener_free(tok);
}

static bool
llmsim_count_wanted(const struct llmsim_record *rec, const char *key)
{
	return !key || (rec->key_bytes == strlen(key) &&
	                memcmp(rec->head.data + rec->key_at, key, rec->key_bytes) == 0);
}

void
llmsim_count_requests(const struct llmsim *s, const char *key, unsigned n, struct strbuf *out)
{
	uint64_t oldest = s->ring_at > s->ring_size ? s->ring_at - s->ring_size : 0, from = s->ring_at;
	unsigned found = 0;
	bool first = true;

	while (from > oldest && found < n)
		found += llmsim_count_wanted(&s->ring[--from % s->ring_size], key);
	strbuf_puts(out, "{\"requests\":[");
	for (; from < s->ring_at; from++) {
		const struct llmsim_record *rec = &s->ring[from % s->ring_size];

		if (!llmsim_count_wanted(rec, key))
			continue;
		if (!first)
			strbuf_putc(out, ',');
		first = false;
		llmsim_count_record_json(rec, out);
	}
	strbuf_puts(out, "]}");
}

/* Keys stay known, because running requests point to them. */
void
llmsim_count_reset(struct llmsim *s)
{
	for (unsigned i = 0; i < LLMSIM_HASH; i++)
		for (struct llmsim_key *k = s->key[i]; k; k = k->next) {
			while (k->npath)
				free(k->path[--k->npath].text);
			k->requests.total = k->requests.open_max = k->requests.open;
			k->faults = k->gone = 0;
			memset(k->status_class, 0, sizeof(k->status_class));
		}
	s->requests.total = s->requests.open_max = s->requests.open;
	s->connections.total = s->connections.open_max = s->connections.open;
	s->bad_requests = s->gone = 0;
	s->ring_at = 0;
}

void
llmsim_count_release(struct llmsim *s)
{
	llmsim_count_reset(s);
	for (unsigned i = 0; i < LLMSIM_HASH; i++)
		while (s->key[i]) {
			struct llmsim_key *k = s->key[i];

			s->key[i] = k->next;
			free(k->text);
			free(k);
		}
	for (unsigned i = 0; i < s->ring_size; i++) {
		strbuf_release(&s->ring[i].head);
		strbuf_release(&s->ring[i].body);
		strbuf_release(&s->ring[i].parts);
	}
	free(s->ring);
}

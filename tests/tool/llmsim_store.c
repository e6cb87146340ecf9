/* Files and batches: what was sent to one key is there for that key only, in memory, until a reset.
 *
 * Batches do not run: they are "validating" until somebody cancels them.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <json-c/json.h>

#include "hale/arena.h"

#define LLMSIM_STORE_MAX 256 /* things */
#define LLMSIM_STORE_BYTES (128u << 20)

/* A file, or a batch (data is its JSON then). */
struct llmsim_store {
	char *key, id[40], *json;
	struct strbuf data;
	bool batch;
	struct llmsim_store *next; /* newest first, as lists show them */
};

static void
llmsim_store_free(struct llmsim_store *t)
{
	free(t->key);
	free(t->json);
	strbuf_release(&t->data);
	free(t);
}

void
llmsim_store_clear(struct llmsim *s)
{
	while (s->store) {
		struct llmsim_store *t = s->store;

		s->store = t->next;
		llmsim_store_free(t);
	}
}

/* NULL: full. */
static struct llmsim_store *
llmsim_store_add(struct llmsim *s, const struct llmsim_request *r, bool batch, struct llmsim_span data)
{
	struct llmsim_store *t;
	size_t n = 0, bytes = data.len;

	for (t = s->store; t; t = t->next) {
		n++;
		bytes += t->data.len;
	}
	if (n == LLMSIM_STORE_MAX || bytes > LLMSIM_STORE_BYTES)
		return NULL;
	t = xcalloc(1, sizeof(*t));
	t->key = xstrndup(r->key.p ? r->key.p : "", r->key.len);
	t->batch = batch;
	strbuf_init(&t->data, 0);
	if (data.len)
		strbuf_add(&t->data, data.p, data.len);
	snprintf(t->id, sizeof(t->id), "%s%016llx", batch ? "batch_" : "file-",
	         (unsigned long long)++s->serial);
	t->next = s->store;
	s->store = t;
	return t;
}

/* The link to the thing of this key with the id at the start of r->rest;
 * NULL: none. *after: what follows the id. */
static struct llmsim_store **
llmsim_store_find(struct llmsim *s, const struct llmsim_request *r, bool batch, struct llmsim_span *after)
{
	struct llmsim_span id = {r->rest.p + 1, r->rest.len - 1};
	const char *slash = memchr(id.p, '/', id.len);

	*after = (struct llmsim_span){id.p + id.len, 0};
	if (slash) {
		*after = (struct llmsim_span){slash, (size_t)(id.p + id.len - slash)};
		id.len = (size_t)(slash - id.p);
	}
	for (struct llmsim_store **at = &s->store; *at; at = &(*at)->next)
		if ((*at)->batch == batch && llmsim_span_is(id, (*at)->id) &&
		    llmsim_span_is(r->key, (*at)->key))
			return at;
	return NULL;
}

/* Number behind "name=" in the query; fallback when absent. */
static unsigned
llmsim_store_query(const struct llmsim_request *r, const char *name, unsigned fallback)
{
	const char *p = r->query.p ? memmem(r->query.p, r->query.len, name, strlen(name)) : NULL;

	return p ? (unsigned)strtoul(p + strlen(name), NULL, 10) : fallback;
}

static void
llmsim_store_list(struct llmsim *s, const struct llmsim_request *r, bool batch, struct strbuf *body)
{
	unsigned limit = llmsim_store_query(r, "limit=", 20), n = 0;
	const char *first = NULL, *last = NULL;
	bool more = false;

	strbuf_puts(body, "{\"object\":\"list\",\"data\":[");
	for (const struct llmsim_store *t = s->store; t; t = t->next) {
		if (t->batch != batch || !llmsim_span_is(r->key, t->key))
			continue;
		more = n == limit;
		if (more)
			break;
		strbuf_printf(body, "%s%s", n++ ? "," : "", t->json);
		last = t->id;
		first = first ? first : last;
	}
	strbuf_puts(body, "],\"first_id\":");
	strbuf_json_string(body, first);
	strbuf_puts(body, ",\"last_id\":");
	strbuf_json_string(body, last);
	strbuf_printf(body, ",\"has_more\":%s}", more ? "true" : "false");
}

static void
llmsim_store_missing(struct llmsim_reply *rep, bool batch, struct strbuf *body)
{
	llmsim_service_refuse(rep, 404, batch ? "No batch found with that id." : "No such File object.", NULL,
	                      body);
}

static void
llmsim_store_upload(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                    struct strbuf *body)
{
	static const char *const need[] = {"purpose", "file", NULL};
	struct llmsim_part part[LLMSIM_PARTS_MAX];
	struct llmsim_store *t;
	struct strbuf json;
	char *purpose;
	int n, file = 0;

	if (!llmsim_service_has(r, rep, need, body))
		return;
	n = llmsim_multipart(r, part);
	for (int i = 0; i < n; i++)
		if (llmsim_span_is(part[i].name, "file"))
			file = i;
	t = n > 0 && part[file].filename.p ? llmsim_store_add(s, r, false, part[file].data) : NULL;
	if (!t) {
		llmsim_service_refuse(rep, 400, "The file has no name, or there is no room for it.", NULL,
		                      body);
		return;
	}
	purpose = llmsim_service_text(r, "purpose");
	strbuf_init(&json, 0);
	strbuf_printf(&json,
	              "{\"id\":\"%s\",\"object\":\"file\",\"bytes\":%zu,\"created_at\":%llu,\"filename\":",
	              t->id, t->data.len, (unsigned long long)rep->created);
	strbuf_json_stringn(&json, part[file].filename.p, part[file].filename.len);
	strbuf_puts(&json, ",\"purpose\":");
	strbuf_json_string(&json, purpose);
	strbuf_puts(&json, ",\"status\":\"processed\",\"expires_at\":null}");
	free(purpose);
	t->json = strbuf_take(&json);
	strbuf_puts(body, t->json);
}

static void
llmsim_store_files(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                   struct strbuf *body)
{
	bool get = llmsim_span_is(r->method, "GET") || llmsim_span_is(r->method, "HEAD");
	struct llmsim_store **at, *t;
	struct llmsim_span after;

	if (r->rest.len == 0) {
		if (get)
			llmsim_store_list(s, r, false, body);
		else
			llmsim_store_upload(s, r, rep, body);
		return;
	}
	at = llmsim_store_find(s, r, false, &after);
	if (!at) {
		llmsim_store_missing(rep, false, body);
	} else if (get && after.len == 0) {
		strbuf_puts(body, (*at)->json);
	} else if (get && llmsim_span_is(after, "/content")) {
		rep->content_type = "application/octet-stream";
		if ((*at)->data.len)
			strbuf_add(body, (*at)->data.data, (*at)->data.len);
	} else if (llmsim_span_is(r->method, "DELETE") && after.len == 0) {
		t = *at;
		strbuf_printf(body, "{\"id\":\"%s\",\"object\":\"file\",\"deleted\":true}", t->id);
		*at = t->next;
		llmsim_store_free(t);
	} else {
		llmsim_service_refuse(rep, 405, NULL, NULL, body);
	}
}

static void
llmsim_store_batch_json(struct llmsim_store *t, const char *status, uint64_t now,
                        const struct llmsim_request *r)
{
	char *endpoint = llmsim_service_text(r, "endpoint"), *input = llmsim_service_text(r, "input_file_id");
	struct strbuf json;

	strbuf_init(&json, 0);
	strbuf_printf(&json, "{\"id\":\"%s\",\"object\":\"batch\",\"endpoint\":", t->id);
	strbuf_json_string(&json, endpoint);
	strbuf_puts(&json, ",\"errors\":null,\"input_file_id\":");
	strbuf_json_string(&json, input);
	strbuf_printf(&json,
	              ",\"completion_window\":\"24h\",\"status\":\"%s\",\"output_file_id\":null,\"error_file_id\":null,"
	              "\"created_at\":%llu,\"request_counts\":{\"total\":0,\"completed\":0,\"failed\":0},"
	              "\"metadata\":null}",
	              status, (unsigned long long)now);
	free(endpoint);
	free(input);
	t->json = strbuf_take(&json);
}

static void
llmsim_store_create(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                    struct strbuf *body)
{
	static const char *const need[] = {"input_file_id", "endpoint", "completion_window", NULL};
	struct llmsim_store *t;

	if (!llmsim_service_has(r, rep, need, body))
		return;
	t = llmsim_store_add(s, r, true, (struct llmsim_span){NULL, 0});
	if (!t) {
		llmsim_service_refuse(rep, 400, "There is no room for another batch.", NULL, body);
		return;
	}
	llmsim_store_batch_json(t, "validating", rep->created, r);
	strbuf_puts(body, t->json);
}

static void
llmsim_store_cancel(struct llmsim_store *t)
{
	static const char before[] = "\"status\":\"validating\"", after[] = "\"status\":\"cancelling\"";
	char *at = strstr(t->json, before);

	HALE_ASSERT(sizeof(before) == sizeof(after));
	if (at)
		memcpy(at, after, sizeof(after) - 1);
}

static void
llmsim_store_batches(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                     struct strbuf *body)
{
	bool get = llmsim_span_is(r->method, "GET") || llmsim_span_is(r->method, "HEAD");
	struct llmsim_store **at;
	struct llmsim_span after;

	if (r->rest.len == 0) {
		if (get)
			llmsim_store_list(s, r, true, body);
		else
			llmsim_store_create(s, r, rep, body);
		return;
	}
	at = llmsim_store_find(s, r, true, &after);
	if (!at) {
		llmsim_store_missing(rep, true, body);
	} else if (get && after.len == 0) {
		strbuf_puts(body, (*at)->json);
	} else if (llmsim_span_is(r->method, "POST") && llmsim_span_is(after, "/cancel")) {
		llmsim_store_cancel(*at);
		strbuf_puts(body, (*at)->json);
	} else {
		llmsim_service_refuse(rep, 405, NULL, NULL, body);
	}
}

const struct llmsim_service llmsim_store_service[] = {
	{.path = "/files", .deep = true, .account = true, .form = LLMSIM_MULTIPART, .answer = llmsim_store_files},
	{.path = "/batches", .deep = true, .account = true, .answer = llmsim_store_batches},
	{0},
};

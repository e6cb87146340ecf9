/* Faults: which requests are to be treated badly, and how.
 *
 * A short list, searched in order: first those of the request's own key, then those of "*". One table of
 * fields reads both forms (JSON of the control path, name=value of the command line), so a new fault is one
 * member of the struct and one line here. A fault that is being played stays alive by its reference count,
 * also when the list was cleared meanwhile.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <errno.h>
#include <json-c/json.h>

#include "hale/arena.h"

enum llmsim_kind { KIND_INT, KIND_BOOL, KIND_TEXT };

static const struct {
	const char *name;
	enum llmsim_kind kind;
	size_t at;
	int64_t min, max;
} llmsim_field[] = {
#define FIELD(name, kind, min, max) {#name, kind, offsetof(struct llmsim_fault, name), min, max}
	FIELD(key, KIND_TEXT, 1, 4096),
	FIELD(match_model, KIND_TEXT, 1, 255),
	FIELD(match_path, KIND_TEXT, 1, 4096),
	FIELD(match_max_tokens, KIND_INT, 0, INT32_MAX),
	FIELD(times, KIND_INT, 0, INT32_MAX),
	FIELD(every, KIND_INT, 0, INT32_MAX),
	FIELD(status, KIND_INT, 200, 999),
	FIELD(delay_ms, KIND_INT, 0, 3600000),
	FIELD(chunks, KIND_INT, 0, 1000000),
	FIELD(chunk_bytes, KIND_INT, 0, LLMSIM_CHUNK_BYTES_MAX),
	FIELD(chunk_delay_ms, KIND_INT, 0, 3600000),
	FIELD(slow_body_ms, KIND_INT, 0, 3600000),
	FIELD(min_tokens, KIND_INT, 0, INT32_MAX),
	FIELD(cut_after, KIND_INT, 0, INT32_MAX),
	FIELD(stall_after, KIND_INT, 0, INT32_MAX),
	FIELD(error_after, KIND_INT, 0, INT32_MAX),
	FIELD(close_code, KIND_INT, 1000, 4999),
	FIELD(reset, KIND_BOOL, 0, 0),
	FIELD(garbage, KIND_BOOL, 0, 0),
	FIELD(empty, KIND_BOOL, 0, 0),
	FIELD(no_terminator, KIND_BOOL, 0, 0),
	FIELD(comments, KIND_BOOL, 0, 0),
	FIELD(chunked, KIND_BOOL, 0, 0),
	FIELD(close, KIND_BOOL, 0, 0),
	FIELD(require_completion_tokens, KIND_BOOL, 0, 0),
	FIELD(hang, KIND_TEXT, 1, 32),
	FIELD(body, KIND_TEXT, 0, 16 << 20),
	FIELD(content_type, KIND_TEXT, 1, 255),
	FIELD(retry_after, KIND_TEXT, 1, 255),
	FIELD(error_event, KIND_TEXT, 1, 100),
#undef FIELD
};

static char *
llmsim_fault_text(const char *what, const char *name)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	strbuf_puts(&b, name);
	strbuf_puts(&b, ": ");
	strbuf_puts(&b, what);
	return strbuf_take(&b);
}

void
llmsim_fault_put(struct llmsim_fault *f)
{
	if (!f || --f->refs)
		return;
	for (size_t i = 0; i < HALE_COUNT(llmsim_field); i++)
		if (llmsim_field[i].kind == KIND_TEXT)
			free(*(char **)(void *)((char *)f + llmsim_field[i].at));
	free(f->headers);
	free(f);
}

/* {"name": "value"} to header lines; a line break inside would let one header become two. */
static char *
llmsim_fault_headers(struct llmsim_fault *f, struct json_object *o)
{
	struct strbuf b;

	if (!json_object_is_type(o, json_type_object))
		return xstrdup("headers: an object is needed");
	strbuf_init(&b, 0);
	json_object_object_foreach(o, name, value) {
		const char *text = json_object_get_string(value);

		if (!text || strpbrk(text, "\r\n") || !*name || strpbrk(name, "\r\n: ")) {
			strbuf_release(&b);
			return xstrdup("headers: neither names nor values may have line breaks");
		}
		strbuf_puts(&b, name);
		strbuf_puts(&b, ": ");
		strbuf_puts(&b, text);
		strbuf_puts(&b, "\r\n");
	}
	free(f->headers);
	f->headers = strbuf_take(&b);
	return NULL;
}

static char *
llmsim_fault_field(struct llmsim_fault *f, const char *name, struct json_object *v)
{
	for (size_t i = 0; i < HALE_COUNT(llmsim_field); i++) {
		char *member = (char *)f + llmsim_field[i].at;

		if (strcmp(llmsim_field[i].name, name) != 0)
			continue;
		if (llmsim_field[i].kind == KIND_INT) {
			int64_t n = json_object_get_int64(v);

			if (!json_object_is_type(v, json_type_int) || n < llmsim_field[i].min ||
			    n > llmsim_field[i].max)
				return llmsim_fault_text("a whole number in its range is needed", name);
			memcpy(member, &n, sizeof(n));
		} else if (llmsim_field[i].kind == KIND_BOOL) {
			bool on = json_object_get_boolean(v);

			if (!json_object_is_type(v, json_type_boolean))
				return llmsim_fault_text("true or false is needed", name);
			memcpy(member, &on, sizeof(on));
		} else {
			const char *text = json_object_get_string(v);

			/* an object as body is welcome: its JSON text is sent */
			if (!text || (int64_t)strlen(text) < llmsim_field[i].min ||
			    (int64_t)strlen(text) > llmsim_field[i].max)
				return llmsim_fault_text("a text of fitting length is needed", name);
			if (strcmp(name, "body") != 0 && strpbrk(text, "\r\n"))
				return llmsim_fault_text("no line breaks, please", name);
			free(*(char **)(void *)member);
			*(char **)(void *)member = xstrdup(text);
		}
		return NULL;
	}
	return llmsim_fault_text("unknown member", name);
}

char *
llmsim_fault_add(struct llmsim *s, struct json_object *o)
{
	struct llmsim_fault *f, **at;
	bool add = false;
	char *wrong = NULL;

	if (!json_object_is_type(o, json_type_object))
		return xstrdup("an object is needed");
	f = xcalloc(1, sizeof(*f));
	f->refs = 1;
	f->cut_after = f->stall_after = f->error_after = -1;
	json_object_object_foreach(o, name, v) {
		if (strcmp(name, "headers") == 0)
			wrong = llmsim_fault_headers(f, v);
		else if (strcmp(name, "add") == 0)
			add = json_object_get_boolean(v);
		else
			wrong = llmsim_fault_field(f, name, v);
		if (wrong)
			goto out;
	}
	if (!f->key)
		f->key = xstrdup("*");
	if (f->hang && strcmp(f->hang, "before_head") != 0 && strcmp(f->hang, "after_head") != 0) {
		wrong = xstrdup("hang: before_head or after_head");
		goto out;
	}
	if (!add)
		llmsim_fault_clear(s, f->key);
	for (at = &s->fault; *at; at = &(*at)->next)
		continue;
	*at = f;
	f = NULL;
out:
	llmsim_fault_put(f);
	return wrong;
}

/* One "name=value" of the command line as a JSON value: what looks like a number or a truth value is one. */
static struct json_object *
llmsim_fault_value(const char *text)
{
	char *end;
	int64_t n;

	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return json_object_new_boolean(text[0] == 't');
	errno = 0;
	n = strtoll(text, &end, 10);
	if (*text && !*end && errno == 0)
		return json_object_new_int64(n);
	return json_object_new_string(text);
}

char *
llmsim_fault_add_text(struct llmsim *s, const char *text)
{
	const char *colon = strchr(text, ':');
	struct json_object *o;
	char *copy, *at, *item, *wrong = NULL;

	if (!colon || colon == text)
		return xstrdup("KEY:name=value,... is needed");
	o = json_object_new_object();
	copy = xstrndup(text, (size_t)(colon - text));
	json_object_object_add(o, "key", json_object_new_string(copy));
	free(copy);
	at = copy = xstrdup(colon + 1);
	while (!wrong && (item = strsep(&at, ","))) {
		char *equal = strchr(item, '=');

		if (!equal || equal == item) {
			wrong = llmsim_fault_text("name=value is needed", item);
			break;
		}
		*equal = '\0';
		json_object_object_add(o, item,
		                       strcmp(item, "retry_after") == 0 || strcmp(item, "body") == 0
		                           ? json_object_new_string(equal + 1)
		                           : llmsim_fault_value(equal + 1));
	}
	free(copy);
	if (!wrong)
		wrong = llmsim_fault_add(s, o);
	json_object_put(o);
	return wrong;
}

/* What the client allows at most; -1: it did not say. */
static int64_t
llmsim_fault_tokens(const struct llmsim_request *r)
{
	return r->max_completion_tokens >= 0 ? r->max_completion_tokens : r->max_tokens;
}

static bool
llmsim_fault_matches(struct llmsim_fault *f, const struct llmsim_request *r)
{
	int64_t tokens = llmsim_fault_tokens(r);

	if (f->match_model && !llmsim_span_is(r->model.p ? r->model : r->deployment, f->match_model))
		return false;
	if (f->match_path && !llmsim_span_is(r->path, f->match_path))
		return false;
	if (f->match_max_tokens && (tokens < 0 || tokens > f->match_max_tokens))
		return false;
	if (f->min_tokens && (tokens < 0 || tokens >= f->min_tokens))
		return false;
	if (f->require_completion_tokens && r->max_tokens < 0)
		return false;
	f->seen++;
	return f->every <= 1 || f->seen % (uint64_t)f->every == 0;
}

struct llmsim_fault *
llmsim_fault_take(struct llmsim *s, const struct llmsim_request *r)
{
	for (int all = 0; all < 2; all++)
		for (struct llmsim_fault **at = &s->fault; *at; at = &(*at)->next) {
			struct llmsim_fault *f = *at;

			if (all ? strcmp(f->key, "*") != 0 : !llmsim_span_is(r->key, f->key))
				continue;
			if (!llmsim_fault_matches(f, r))
				continue;
			f->refs++;
			if (f->times && --f->times == 0) {
				*at = f->next; /* that was the last one: the list's reference goes */
				f->refs--;
			}
			return f;
		}
	return NULL;
}

unsigned
llmsim_fault_clear(struct llmsim *s, const char *key)
{
	unsigned n = 0;

	for (struct llmsim_fault **at = &s->fault; *at;) {
		struct llmsim_fault *f = *at;

		if (key && strcmp(f->key, key) != 0) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		llmsim_fault_put(f);
		n++;
	}
	return n;
}

void
llmsim_fault_list(const struct llmsim *s, struct strbuf *out)
{
	strbuf_puts(out, "{\"faults\":[");
	for (const struct llmsim_fault *f = s->fault; f; f = f->next) {
		strbuf_puts(out, f == s->fault ? "{\"key\":" : ",{\"key\":");
		strbuf_json_string(out, f->key);
		strbuf_printf(out, ",\"status\":%lld,\"times\":%lld,\"seen\":%llu}", (long long)f->status,
		              (long long)f->times, (unsigned long long)f->seen);
	}
	strbuf_puts(out, "]}");
}

/* The control path /_sim/: set and remove faults, read what was seen. Never touched by faults. */
#include "hale/hale.h"

#include "llmsim.h"

#include <json-c/json.h>

#include "hale/arena.h"

static int
llmsim_control_error(struct strbuf *out, int status, const char *text)
{
	strbuf_puts(out, "{\"error\":");
	strbuf_json_string(out, text);
	strbuf_putc(out, '}');
	return status;
}

/* Value of a query parameter, percent-decoded, the caller's; NULL when absent. */
static char *
llmsim_control_query(const struct llmsim_request *r, const char *name)
{
	size_t n = strlen(name);
	const char *p = r->query.p, *end = p + r->query.len;

	while (p && p < end) {
		const char *amp = memchr(p, '&', (size_t)(end - p));
		const char *stop = amp ? amp : end;

		if ((size_t)(stop - p) > n && memcmp(p, name, n) == 0 && p[n] == '=') {
			struct strbuf b;

			strbuf_init(&b, 0);
			for (p += n + 1; p < stop; p++) {
				if (*p == '%' && stop - p > 2) {
					char hex[3] = {p[1], p[2], '\0'};

					strbuf_putc(&b, (char)strtol(hex, NULL, 16));
					p += 2;
				} else {
					strbuf_putc(&b, *p);
				}
			}
			return strbuf_take(&b);
		}
		p = stop + 1;
	}
	return NULL;
}

/* One fault as an object, or several as a list. */
static int
llmsim_control_fault(struct llmsim *s, const struct llmsim_request *r, struct strbuf *out)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *o = json_tokener_parse_ex(tok, r->body.p, (int)r->body.len);
	char *wrong = NULL;
	int status = 200;

	if (!o) {
		wrong = xstrdup("the body must be JSON");
	} else if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; !wrong && i < json_object_array_length(o); i++)
			wrong = llmsim_fault_add(s, json_object_array_get_idx(o, i));
	} else {
		wrong = llmsim_fault_add(s, o);
	}
	if (wrong)
		status = llmsim_control_error(out, 400, wrong);
	else
		llmsim_fault_list(s, out);
	free(wrong);
	json_object_put(o);
	json_tokener_free(tok);
	return status;
}

static int
llmsim_control_requests(struct llmsim *s, const struct llmsim_request *r, struct strbuf *out)
{
	char *key = llmsim_control_query(r, "key"), *n = llmsim_control_query(r, "n");
	unsigned long max = n ? strtoul(n, NULL, 10) : UINT32_MAX;

	llmsim_count_requests(s, key, max > UINT32_MAX ? UINT32_MAX : (unsigned)max, out);
	free(key);
	free(n);
	return 200;
}

int
llmsim_control(struct llmsim *s, const struct llmsim_request *r, struct strbuf *out)
{
	bool get = llmsim_span_is(r->method, "GET"), post = llmsim_span_is(r->method, "POST");

	if (s->many)
		return llmsim_control_error(out, 409, "the control path needs a simulator of one process");
	if (llmsim_span_is(r->path, "/_sim/fault")) {
		char *key;

		if (post)
			return llmsim_control_fault(s, r, out);
		if (get) {
			llmsim_fault_list(s, out);
			return 200;
		}
		if (!llmsim_span_is(r->method, "DELETE"))
			return llmsim_control_error(out, 405, "GET, POST or DELETE");
		key = llmsim_control_query(r, "key");
		strbuf_printf(out, "{\"removed\":%u}", llmsim_fault_clear(s, key));
		free(key);
		return 200;
	}
	if (get && llmsim_span_is(r->path, "/_sim/stats")) {
		llmsim_count_stats(s, out);
		return 200;
	}
	if (get && llmsim_span_is(r->path, "/_sim/requests"))
		return llmsim_control_requests(s, r, out);
	if (post && llmsim_span_is(r->path, "/_sim/reset")) {
		llmsim_fault_clear(s, NULL);
		llmsim_store_clear(s);
		llmsim_count_reset(s);
		strbuf_puts(out, "{}");
		return 200;
	}
	return llmsim_control_error(out, 404, "GET stats, GET requests, GET/POST/DELETE fault or POST reset");
}

/* Operations beyond chat, completions and embeddings: which one a path means, and what they share.
 *
 * Bodies are read with json-c here, member by member as an operation asks: these requests are few, and a
 * simulator of many APIs must above all be short. Only chat has to keep up with a benchmark.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <json-c/json.h>

#include "hale/arena.h"

static const struct llmsim_service *const llmsim_services[] = {llmsim_media_service, llmsim_judge_service,
                                                               llmsim_store_service, llmsim_responses_service,
                                                               llmsim_cohere_service};

/* Azure has account-wide operations beside its deployments, and others below them. */
static bool
llmsim_service_fits(const struct llmsim_request *r, const struct llmsim_service *e)
{
	return r->api != LLMSIM_AZURE || e->account == !r->deployment.p;
}

bool
llmsim_service_find(struct llmsim_request *r, struct llmsim_span rest)
{
	for (size_t i = 0; i < HALE_COUNT(llmsim_services); i++)
		for (const struct llmsim_service *e = llmsim_services[i]; e->path; e++) {
			struct llmsim_span path = e->exact ? r->path : rest;
			size_t n = strlen(e->path);

			if (e->exact != !rest.p || !llmsim_span_starts(path, e->path) ||
			    !llmsim_service_fits(r, e))
				continue;
			if (path.len > n && (!e->deep || path.p[n] != '/'))
				continue;
			r->service = e;
			r->rest = (struct llmsim_span){path.p + n, path.len - n};
			return true;
		}
	return false;
}

static void
llmsim_service_scan_form(struct llmsim_request *r)
{
	struct llmsim_part part[LLMSIM_PARTS_MAX];
	int n = llmsim_multipart(r, part);

	r->valid = n >= 0;
	for (int i = 0; i < n; i++) {
		if (llmsim_span_is(part[i].name, "model"))
			r->model = part[i].data;
		else if (llmsim_span_is(part[i].name, "prompt"))
			r->prompt = part[i].data;
		else if (llmsim_span_is(part[i].name, "stream"))
			r->stream = llmsim_span_is(part[i].data, "true");
	}
}

void
llmsim_service_scan(struct llmsim_request *r)
{
	struct llmsim_span type = llmsim_http_header(r, "content-type");

	if (r->service->form == LLMSIM_MULTIPART ||
	    (r->service->form == LLMSIM_ANY && llmsim_span_starts(type, "multipart/")))
		llmsim_service_scan_form(r);
	else
		r->valid = r->body.len && llmsim_scan(r->body, r);
}

void
llmsim_service_refuse(struct llmsim_reply *rep, int status, const char *message, const char *param,
                      struct strbuf *body)
{
	rep->status = (uint64_t)status;
	rep->stream = rep->sse = false;
	rep->content_type = NULL;
	llmsim_reply_error(rep, status, message, param, param ? "missing_required_parameter" : NULL, body);
}

char *
llmsim_service_text(const struct llmsim_request *r, const char *name)
{
	struct llmsim_part part[LLMSIM_PARTS_MAX];
	struct json_tokener *tok;
	struct json_object *o, *v;
	char *text = NULL;
	int n;

	if (llmsim_span_starts(llmsim_http_header(r, "content-type"), "multipart/")) {
		n = llmsim_multipart(r, part);
		for (int i = 0; i < n; i++)
			if (llmsim_span_is(part[i].name, name))
				return xstrndup(part[i].data.p, part[i].data.len);
		return NULL;
	}
	tok = json_tokener_new();
	o = r->body.len ? json_tokener_parse_ex(tok, r->body.p, (int)r->body.len) : NULL;
	if (json_object_object_get_ex(o, name, &v) && v)
		text = xstrdup(json_object_get_string(v));
	json_object_put(o);
	json_tokener_free(tok);
	return text;
}

bool
llmsim_service_has(const struct llmsim_request *r, struct llmsim_reply *rep, const char *const *need,
                   struct strbuf *body)
{
	char text[96];

	if (!llmsim_span_is(r->method, "POST")) {
		llmsim_service_refuse(rep, 405, NULL, NULL, body);
		return false;
	}
	if (!r->valid) {
		llmsim_service_refuse(rep, 400,
		                      r->service->form == LLMSIM_JSON
		                              ? "We could not parse the JSON body of your request."
		                              : "Could not parse multipart form",
		                      NULL, body);
		return false;
	}
	for (; *need; need++) {
		char *value = llmsim_service_text(r, *need);

		if (!value || !*value) {
			snprintf(text, sizeof(text), "Missing required parameter: '%s'.", *need);
			llmsim_service_refuse(rep, 400, text, *need, body);
			free(value);
			return false;
		}
		free(value);
	}
	return true;
}

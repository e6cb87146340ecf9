/* What a request for files or batches names: its deployment, in the query, a header or the body.
 *
 * What names it in the body is for us, and is cut out of what goes on. Nothing is copied but the name.
 */
#include "hale/hale.h"

#include "worker_passthrough_int.h"

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/json_scan.h"
#include "hale/multipart.h"
#include "worker_http.h"

#define PASSTHROUGH_MODEL_MAX 1024

/* The first name of a list with commas, without the space around it. */
static const char *
worker_passthrough_read_first(struct passthrough *p, const char *list)
{
	size_t n;

	list += strspn(list, " \t");
	n = strcspn(list, ",");
	while (n && strchr(" \t", list[n - 1]))
		n--;
	return n && n <= PASSTHROUGH_MODEL_MAX ? arena_strndup(p->arena, list, n) : NULL;
}

static void
worker_passthrough_read_name(struct passthrough *p, const char *text)
{
	if (p->model == NULL && text)
		p->model = worker_passthrough_read_first(p, text);
}

/* Cuts a member with its comma out of an object; value is its value. A name in escapes stays. */
static void
worker_passthrough_read_cut(struct passthrough *p, struct json_span value)
{
	static const char name[] = "\"model\"";
	const char *s = p->body, *from = s + value.start, *to = s + value.start + value.len, *end = s + p->body_len;
	const char *comma;

	do
		from--;
	while (strchr(" \t\r\n:", *from));
	from -= sizeof(name) - 2;
	if (memcmp(from, name, sizeof(name) - 1) != 0)
		return;
	while (to < end && strchr(" \t\r\n", *to))
		to++;
	for (comma = from - 1; strchr(" \t\r\n", *comma); comma--)
		continue;
	if (*to == ',')
		to++;
	else if (*comma == ',')
		from = comma;
	p->cut[p->ncut++] = (struct json_span){(size_t)(from - s), (size_t)(to - from)};
}

/* A new batch, as JSON. false: answered, p is gone. */
static bool
worker_passthrough_read_json(struct passthrough *p)
{
	struct json_want want = {.key = "model", .any_case = true};
	char message[160], *model;
	const char *why;
	size_t at;

	if (json_members(p->body, p->body_len, p->w->conf->limits.json_depth_max, &want, 1, &why, &at) != 0) {
		snprintf(message, sizeof(message), "The request body is not valid JSON: %s at byte %zu.", why,
		         at);
		worker_passthrough_refuse(p, 400, message, NULL, "invalid_json");
		return false;
	}
	if (want.value.len == 0)
		return true;
	model = arena_alloc(p->arena, want.value.len + 1);
	if (p->body[want.value.start] != '"' ||
	    json_unescape(p->body + want.value.start, want.value.len, model, want.value.len + 1) != 0) {
		worker_passthrough_refuse(p, 400, "Invalid parameter: 'model' must be a string.", "model",
		                          "invalid_type");
		return false;
	}
	worker_passthrough_read_name(p, model);
	worker_passthrough_read_cut(p, want.value);
	return true;
}

/* A new file, as a form. false: answered, p is gone. */
static bool
worker_passthrough_read_form(struct passthrough *p, const char *content_type)
{
	struct multipart_want want[PASSTHROUGH_CUTS] = {{.name = "model"}, {.name = "target_model_names"}};
	char message[160];
	const char *why;
	size_t at;

	if (multipart_scan(content_type, p->body, p->body_len, want, HALE_COUNT(want), &why, &at) != 0) {
		snprintf(message, sizeof(message), "The request body is not a valid form: %s (byte %zu).",
		         why, at);
		worker_passthrough_refuse(p, 400, message, NULL, "invalid_form");
		return false;
	}
	for (size_t i = 0; i < HALE_COUNT(want); i++) {
		if (want[i].count == 0)
			continue;
		worker_passthrough_read_name(p, arena_strndup(p->arena, p->body + want[i].start, want[i].len));
		p->cut[p->ncut++] = (struct json_span){want[i].part_start, want[i].part_len};
	}
	if (p->ncut == 2 && p->cut[0].start > p->cut[1].start) {
		struct json_span first = p->cut[1];

		p->cut[1] = p->cut[0];
		p->cut[0] = first;
	}
	return true;
}

bool
worker_passthrough_read(struct passthrough *p)
{
	const char *content_type = http_req_header(p->r, "content-type");

	worker_passthrough_read_name(p, http_req_query(p->r, "model"));
	worker_passthrough_read_name(p, http_req_query(p->r, "target_model_names"));
	worker_passthrough_read_name(p, http_req_header(p->r, "x-litellm-model"));
	worker_passthrough_read_name(p, http_req_header(p->r, "x-hale-model"));
	p->body = http_req_body(p->r, &p->body_len);
	if (http_req_method(p->r) != HTTP_POST ||
	    strcmp(p->target.rest, p->target.batch ? "/batches" : "/files") != 0)
		return true;
	return p->target.batch ? worker_passthrough_read_json(p)
	                       : worker_passthrough_read_form(p, content_type);
}

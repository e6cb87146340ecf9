/* What the client of a relayed request gets to see.
 *
 * Headers that tell which deployment answered, the upstream's answer or its error in the
 * client's envelope with secrets masked, and the one way a stream that already began may fail: an SSE event
 * with an error object, so that no SDK takes a cut answer for a complete one.
 */
#include "hale/hale.h"

#include "worker_answer.h"

#include <json-c/json.h>

#include "hale/apierror.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/redact.h"
#include "worker.h"
#include "worker_http.h"
#include "worker_proxy_int.h"

void
worker_answer_headers(struct proxy *p)
{
	char n[12];

	snprintf(n, sizeof(n), "%u", p->attempts - 1);
	http_reply_header(p->r, "x-litellm-call-id", p->call_id);
	http_reply_header(p->r, "x-litellm-model-id", p->a.d->id);
	http_reply_header(p->r, "x-litellm-model-group", p->a.d->model_name);
	http_reply_header(p->r, "x-litellm-attempted-retries", n);
	for (unsigned i = 0; i < p->a.npass; i++)
		http_reply_header(p->r, p->a.pass[i].name, p->a.pass[i].value);
}

void
worker_answer_begin(struct proxy *p)
{
	struct attempt *a = &p->a;

	worker_answer_headers(p);
	if (a->sse)
		http_reply_header(p->r, "Cache-Control", "no-cache");
	http_reply_begin(p->r, a->status, a->content_type ? a->content_type : "application/octet-stream",
	                 a->op->xlate || a->bridge ? -1 : a->length);
	p->begun = true;
	if (a->hold.len)
		http_reply_chunk(p->r, strbuf_str(&a->hold), a->hold.len);
	strbuf_release(&a->hold);
}

void
worker_answer_whole(struct proxy *p)
{
	worker_answer_headers(p);
	http_reply_strbuf(p->r, p->a.status, p->a.content_type ? p->a.content_type : "application/json", &p->a.hold);
	p->begun = true;
}

/* The message of {"error": {"message": ...}}, which every family has; NULL: it is no such envelope. */
static const char *
worker_answer_message(struct json_object *o, bool *anthropic)
{
	struct json_object *e, *m, *type;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "error", &e) ||
	    !json_object_is_type(e, json_type_object) || !json_object_object_get_ex(e, "message", &m))
		return NULL;
	*anthropic = json_object_object_get_ex(o, "type", &type) && json_object_is_type(type, json_type_string) &&
	             strcmp(json_object_get_string(type), "error") == 0;
	return json_object_get_string(m) ? json_object_get_string(m) : "";
}

/* What came as an envelope goes on as it is when it is the client's, else its message in the client's. */
static bool
worker_answer_envelope(enum dialect d, int status, const struct strbuf *text, struct strbuf *out)
{
	struct json_object *o = text->len > 0 && text->len <= INT32_MAX ? json_tokener_parse(strbuf_str(text)) : NULL;
	bool anthropic = false;
	const char *message = worker_answer_message(o, &anthropic);

	if (message && anthropic == (d == DIALECT_MESSAGES))
		strbuf_add(out, strbuf_str(text), text->len);
	else if (message)
		apierror_dialect(out, d, status, message, NULL, NULL);
	json_object_put(o);
	return message != NULL;
}

void
worker_answer_foreign(const struct conf *c, const struct provider_op *op, enum dialect d, int status,
                      const char *text, const struct strbuf *body, struct strbuf *out)
{
	const struct provider_xlate *x = op->xlate;
	const char *type = NULL;
	struct strbuf clean, message;

	strbuf_init(&clean, 0);
	strbuf_init(&message, 4096);
	redact_text(c, strbuf_str(body), body->len, &clean);
	if (x && x->error && x->error(status, strbuf_str(&clean), clean.len, &message, &type) == 0) {
		if (d == DIALECT_MESSAGES)
			apierror_anthropic(out, status, strbuf_str(&message), NULL, NULL);
		else
			apierror_openai(out, status, strbuf_str(&message), type, NULL, NULL);
	} else if (!worker_answer_envelope(d, status, &clean, out)) {
		strbuf_printf(&message, "%s%s%.2000s", text, clean.len ? ": " : "", strbuf_str(&clean));
		apierror_dialect(out, d, status, strbuf_str(&message), NULL, NULL);
	}
	strbuf_release(&message);
	strbuf_release(&clean);
}

void
worker_answer_error(struct proxy *p, const struct attempt_failure *f)
{
	struct strbuf out, message;

	strbuf_init(&out, 0);
	strbuf_init(&message, 2048);
	if (f->relay) {
		worker_answer_foreign(p->w->conf, p->a.op, p->dialect, f->status, f->text, &p->a.hold, &out);
	} else {
		strbuf_printf(&message, "The request to model=%.200s failed: %s.", p->model, strbuf_str(&p->trail));
		apierror_dialect(&out, p->dialect, f->status, strbuf_str(&message), NULL, f->code);
	}
	worker_answer_headers(p);
	http_reply_strbuf(p->r, f->status, "application/json", &out);
	strbuf_release(&message);
	strbuf_release(&out);
}

void
worker_answer_broken_stream(struct proxy *p, const struct attempt_failure *f)
{
	struct strbuf e;

	counter_add(p->w->table, p->w->index, COUNTER_STREAMS_BROKEN, 1);
	if (!p->a.watch.error) { /* the upstream's own error event was passed on already */
		strbuf_init(&e, 0);
		if (!p->a.watch.named) /* the cut may be inside an event; one that has only a name takes ours instead */
			strbuf_puts(&e, "\n\n");
		apierror_event(&e, p->dialect, p->a.watch.events, f->status, f->text, f->code);
		http_reply_chunk(p->r, strbuf_str(&e), e.len);
		strbuf_release(&e);
	}
	http_reply_end(p->r);
}

/* A client of Anthropic's API at a deployment that has chat only.
 *
 * The bridge stands between the client and the cell: behind it everything is a chat request in OpenAI's form,
 * which the cell may translate once more. So the attempt watches what the cell says in chat's words, and only
 * what goes to the client passes here (hale/messages.h).
 */
#include "hale/hale.h"

#include <json-c/json.h>

#include "hale/err.h"
#include "hale/messages.h"
#include "worker.h"
#include "worker_proxy_int.h"

int
worker_bridge_request(struct proxy *p, const char *model, struct json_object **body, const char **why)
{
	struct json_object *chat;
	int err = messages_request(p->a.d, model, *body, &chat, why);

	p->a.thinking = messages_wants_thinking(*body);
	if (err)
		return err;
	json_object_put(*body);
	*body = chat;
	return 0;
}

void
worker_bridge_begin(struct proxy *p)
{
	p->a.bridged = messages_stream_new(p->model, p->a.thinking);
	strbuf_init(&p->a.said, 0);
}

int
worker_bridge_feed(struct proxy *p, const char **data, size_t *len)
{
	struct attempt *a = &p->a;
	int err;

	strbuf_clear(&a->said);
	err = messages_stream_feed(a->bridged, *data, *len, &a->said);
	*data = strbuf_str(&a->said);
	*len = a->said.len;
	return err;
}

void
worker_bridge_end(struct proxy *p, const char **data, size_t *len)
{
	static const char blank[] = "\n\n"; /* the last event may lack it; half an event is none, then */

	strbuf_clear(&p->a.said);
	worker_sse_feed(&p->a.watch, blank, sizeof(blank) - 1);
	if (messages_stream_feed(p->a.bridged, blank, sizeof(blank) - 1, &p->a.said) == 0)
		messages_stream_end(p->a.bridged, &p->a.said);
	*data = strbuf_str(&p->a.said);
	*len = p->a.said.len;
}

int
worker_bridge_whole(struct proxy *p, struct strbuf *body)
{
	struct strbuf message;
	int err;

	strbuf_init(&message, 0);
	err = messages_answer(p->model, p->a.thinking, strbuf_str(body), body->len, &message);
	strbuf_release(body);
	*body = message;
	return err;
}

void
worker_bridge_clear(struct attempt *a)
{
	if (a->bridged == NULL)
		return;
	messages_stream_free(a->bridged);
	strbuf_release(&a->said);
}

/* Headers of the client that go upstream.
 *
 * None do by themselves: credentials, cookies and forwarding headers are nobody else's business. A cell
 * names those that its API needs from the client (struct client_header), Anthropic's version and beta
 * features for example. The endpoint is shared by all requests, so one that differs is a copy.
 */
#include "hale/hale.h"

#include <strings.h>

#include "hale/arena.h"
#include "worker_http.h"
#include "worker_proxy_int.h"

struct pass {
	struct arena *arena;
	const char *name, *value; /* value: all lines of that name so far, as one list */
};

static void
worker_pass_line(void *arg, const char *name, const char *value)
{
	struct pass *s = arg;

	if (*value && strcasecmp(name, s->name) == 0)
		s->value = s->value ? arena_printf(s->arena, "%s,%s", s->value, value) : value;
}

/* Sets or extends one header of e. False: no room. */
static bool
worker_pass_set(struct arena *a, struct endpoint *e, const struct client_header *h, const char *value)
{
	unsigned i = 0;

	while (i < e->nheader && strcasecmp(e->header[i].name, h->name) != 0)
		i++;
	if (i == ENDPOINT_HEADERS_MAX)
		return false;
	if (i == e->nheader)
		e->nheader++;
	else if (h->is_list)
		value = arena_printf(a, "%s,%s", e->header[i].value, value);
	e->header[i] = (struct http_header){h->name, value};
	return true;
}

const struct endpoint *
worker_pass_up(struct proxy *p, const struct provider_op *op, const struct endpoint *shared)
{
	struct endpoint *own = NULL;

	for (const struct client_header *h = op->client_header; h && h->name; h++) {
		struct pass s = {.arena = p->arena, .name = h->name};

		http_req_each_header(p->r, worker_pass_line, &s);
		if (s.value == NULL)
			continue;
		if (own == NULL) {
			own = arena_alloc(p->arena, sizeof(*own));
			*own = *shared;
		}
		if (!worker_pass_set(p->arena, own, h, s.value))
			return NULL;
	}
	return own ? own : shared;
}

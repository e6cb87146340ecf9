/* Groups deployments by the host that they are probed at. */
#include "hale/hale.h"

#include "prober_hosts.h"

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/provider.h"

struct host_entry {
	const char *name; /* "https://api.openai.com", not terminated there */
	size_t len;
	uint32_t deployment;
	bool local;
};

static struct host_entry
prober_hosts_entry(const struct deployment *d)
{
	const struct deployment *as = d->probe.as ? d->probe.as : d;
	struct host_entry e = {.deployment = d->index, .local = as->provider->local};
	const char *rest;

	e.name = as->api_base ? as->api_base : as->provider->default_base;
	if (!e.name)
		e.name = as->provider->name;
	rest = strstr(e.name, "://");
	rest = rest ? rest + 3 : e.name;
	e.len = (size_t)(rest - e.name) + strcspn(rest, "/?#");
	return e;
}

static int
prober_hosts_compare(const struct host_entry *a, const struct host_entry *b)
{
	int c = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);

	return c ? c : a->len < b->len ? -1 : a->len > b->len;
}

static int
prober_hosts_order(const void *a, const void *b)
{
	return prober_hosts_compare(a, b);
}

void
prober_hosts_init(struct prober_hosts *h, const struct conf *c, uint32_t host_max)
{
	uint32_t n = c->ndeployment, first = 0;
	struct host_entry *e = xcalloc(n ? n : 1, sizeof(*e));

	*h = (struct prober_hosts){
		.host = xcalloc(n ? n : 1, sizeof(*h->host)),
		.max = xcalloc(n ? n : 1, sizeof(*h->max)),
		.next = xcalloc(n ? n : 1, sizeof(*h->next)),
	};
	for (uint32_t i = 0; i < n; i++)
		e[i] = prober_hosts_entry(&c->deployment[i]);
	qsort(e, n, sizeof(*e), prober_hosts_order);
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || prober_hosts_compare(&e[i], &e[i - 1]) != 0) {
			first = e[i].deployment;
			h->max[h->nhost++] = host_max ? host_max : 1;
		} else {
			h->next[e[i - 1].deployment] = e[i].deployment;
		}
		h->next[e[i].deployment] = first;
		h->host[e[i].deployment] = h->nhost - 1;
		if (e[i].local)
			h->max[h->nhost - 1] = 1;
	}
	free(e);
}

void
prober_hosts_release(struct prober_hosts *h)
{
	xfreep(&h->host);
	xfreep(&h->max);
	xfreep(&h->next);
}

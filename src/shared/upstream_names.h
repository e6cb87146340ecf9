/* Host names to addresses, without ever blocking the loop. One per process.
 *
 * getaddrinfo (so that every source of names of the host counts) runs in short-lived helper threads; answers
 * are kept for a while, and an old answer is better than none when the resolver fails.
 */
#ifndef HALE_UPSTREAM_NAMES_H
#define HALE_UPSTREAM_NAMES_H

#include <netinet/in.h>
#include <sys/queue.h>

#include "hale/hale.h"

#define UPSTREAM_ADDRESSES_MAX 8

struct event_base;
struct upstream_names;
struct upstream_names_entry;

union upstream_address {
	struct sockaddr any;
	struct sockaddr_in four; /* port 0 */
	struct sockaddr_in6 six;
};

struct upstream_addresses {
	union upstream_address address[UPSTREAM_ADDRESSES_MAX];
	unsigned n;
};

/* One who waits; embedded by the caller. */
struct upstream_names_wait {
	TAILQ_ENTRY(upstream_names_wait) link;
	struct upstream_names_entry *entry; /* NULL: not waiting */
	/* Once, from the loop. a is borrowed; NULL: no such name, or the resolver failed: text says which. */
	void (*done)(struct upstream_names_wait *w, const struct upstream_addresses *a, const char *text);
};

struct upstream_names *upstream_names_new(struct event_base *base);
/* Nobody may wait any more. Lookups that still run end by themselves. */
void upstream_names_freep(struct upstream_names **n);
/* A numeric address or an answer that is fresh enough. false: ask with upstream_names_wait. Never blocks. */
bool upstream_names_find(struct upstream_names *n, const char *host, struct upstream_addresses *out);
void upstream_names_ask(struct upstream_names *n, const char *host, struct upstream_names_wait *w);
/* No done() follows. */
void upstream_names_leave(struct upstream_names_wait *w);
/* ok: `address` was connected to and is tried first from now on. Not ok: none could be reached; ask again
 * before the answer is used the next time. */
void upstream_names_report(struct upstream_names *n, const char *host, const union upstream_address *address, bool ok);

#endif

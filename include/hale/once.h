/* Probes outside of the daemon, for people: what is sent, what comes back, what it means.
 *
 * main.c hands prober_once to the command line as a function pointer, so that neither room's objects refer
 * to the other's.
 */
#ifndef HALE_ONCE_H
#define HALE_ONCE_H

#include "hale/hale.h"

struct conf;

struct once_options {
	const struct conf *conf;
	const uint32_t *deployment; /* positions in conf.deployment, probed in this order, one at a time */
	uint32_t count;
	bool dry_run; /* show the requests, send nothing */
};

/* Prints to stdout; secrets are masked. Returns how many deployments are not healthy (a dry
 * run: how many have no probe). Blocks until all are done, each for its health check
 * timeout at most. Not for daemon processes. */
typedef unsigned (*once_f)(const struct once_options *o);
unsigned prober_once(const struct once_options *o); /* src/prober/prober_once.c */

#endif

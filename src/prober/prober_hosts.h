/* Which deployments share a host. Pure but for memory. */
#ifndef HALE_PROBER_HOSTS_H
#define HALE_PROBER_HOSTS_H

#include "hale/hale.h"

struct conf;

struct prober_hosts {
	uint32_t *host; /* by deployment: number of its host */
	uint32_t *max;  /* by host: probes at once */
	uint32_t *next; /* by deployment: another one of its host; a ring, alone: itself */
	uint32_t nhost;
};

/* Deployments with the same scheme, name and port share a host; without an address, those of a provider.
 * host_max bounds each of them; a local server, which loads its models one after the other, gets one. */
void prober_hosts_init(struct prober_hosts *h, const struct conf *c, uint32_t host_max);
void prober_hosts_release(struct prober_hosts *h);

#endif

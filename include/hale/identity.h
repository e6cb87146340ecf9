/* Which deployments would send the same probe, and which use the same key.
 *
 * Organization lists, aliases and entries that are written twice lead to probes that are equal byte for
 * byte. Such a probe is sent once; its verdict is everybody's. A key is known by more deployments than a
 * request is: what a probe says about the key concerns all of them.
 *
 * Both are decided once per generation, from the requests that would be sent, so that nothing has to be
 * guessed from the configuration's words.
 */
#ifndef HALE_IDENTITY_H
#define HALE_IDENTITY_H

#include "hale/hale.h"

struct conf;

/* Rings: each member names the next one, the last names the first, who is alone names itself. */
struct identity {
	uint32_t count;
	uint32_t *leader;     /* by deployment: whose probe is sent for it; first those probed in the background */
	uint32_t *same;       /* ring of deployments with equal probes */
	uint32_t *credential; /* ring of deployments with the same provider, address and key; alone: no key */
	uint32_t *tokens;     /* what one probe costs, an estimate; 0: no probe can be built */
	uint8_t *sends;       /* a probe can be built */
};

/* Pure but for memory: 10,000 deployments take some 100 ms. */
void identity_init(struct identity *id, const struct conf *c);
void identity_release(struct identity *id);

#endif

/* When a rate limit ends. Pure. */
#ifndef HALE_PROBER_UNTIL_H
#define HALE_PROBER_UNTIL_H

#include "hale/hale.h"

/* From any form that providers use in Retry-After and x-ratelimit-reset*: seconds ("20", "7.66"), durations
 * ("6m0s", "250ms"), an HTTP date, RFC 3339, seconds or milliseconds since 1970. Monotonic; 0 when the text says
 * nothing that can be understood; now for a moment in the past; at most seven days ahead. */
uint64_t prober_until_parse(const char *text, uint64_t now_ns, uint64_t now_real_ns);

#endif

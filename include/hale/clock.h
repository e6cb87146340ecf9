/* The two clocks. Everything that is compared or waited for uses the monotonic one. */
#ifndef HALE_CLOCK_H
#define HALE_CLOCK_H

#include "hale/hale.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_SEC 1000000000ULL

/* CLOCK_MONOTONIC in nanoseconds: the same for all processes of the host. Never blocks. */
uint64_t clock_mono_ns(void);
/* CLOCK_REALTIME in nanoseconds since 1970: only for what people and other hosts read. */
uint64_t clock_real_ns(void);
/* ISO 8601 in UTC with microseconds ("2026-11-22T18:59:10.616968Z"); buf of at least 32 bytes. */
void clock_iso8601(uint64_t real_ns, char *buf, size_t size);

#endif

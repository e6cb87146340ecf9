/* Histogram with bounded relative error and constant cost. */
#include "hale/hale.h"

#include "loadgen.h"

static unsigned
loadgen_hist_index(uint64_t us)
{
	unsigned top;

	if (us < HIST_STEPS)
		return (unsigned)us;
	top = 63 - (unsigned)__builtin_clzll(us); /* 5 or more */
	return (top - 4) * HIST_STEPS + (unsigned)(us >> (top - 5)) - HIST_STEPS;
}

static uint64_t
loadgen_hist_upper(unsigned i)
{
	unsigned row = i / HIST_STEPS, step = i % HIST_STEPS;

	return row == 0 ? step : ((uint64_t)(HIST_STEPS + step + 1) << (row - 1)) - 1;
}

void
loadgen_hist_add(struct hist *h, uint64_t us)
{
	unsigned i = loadgen_hist_index(us);

	h->count[i < HIST_BUCKETS ? i : HIST_BUCKETS - 1]++;
	h->total++;
	h->sum += (double)us;
	if (us > h->max)
		h->max = us;
}

uint64_t
loadgen_hist_at(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->total), seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (seen > want || (seen == h->total && seen))
			return loadgen_hist_upper(i) < h->max ? loadgen_hist_upper(i) : h->max;
	}
	return 0;
}

void
loadgen_hist_print(const char *name, const struct hist *h)
{
	printf("\"%s\":{\"count\":%llu,\"mean\":%.1f,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p99.9\":%llu,\"max\":%llu}", name,
	       (unsigned long long)h->total, h->total ? h->sum / (double)h->total : 0.0,
	       (unsigned long long)loadgen_hist_at(h, 0.5), (unsigned long long)loadgen_hist_at(h, 0.9),
	       (unsigned long long)loadgen_hist_at(h, 0.99), (unsigned long long)loadgen_hist_at(h, 0.999),
	       (unsigned long long)h->max);
}

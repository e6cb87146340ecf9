/* The benchmark's load generator: shared by its three files. */
#ifndef HALE_LOADGEN_H
#define HALE_LOADGEN_H

#include "hale/hale.h"

/* Log-linear histogram of microseconds: 32 steps per power of two, error below 3 %. */
#define HIST_STEPS 32
#define HIST_BUCKETS (HIST_STEPS * 32)
struct hist {
	uint64_t count[HIST_BUCKETS], total, max;
	double sum;
};
void loadgen_hist_add(struct hist *h, uint64_t us);
/* Upper bound of the bucket that holds quantile q (0..1). */
uint64_t loadgen_hist_at(const struct hist *h, double q);
/* Writes "name":{...} with mean, p50, p90, p99, p99.9 and max. */
void loadgen_hist_print(const char *name, const struct hist *h);

struct options {
	const char *host, *path;
	uint16_t port;
	unsigned connections;
	double duration_s, warmup_s, rate; /* rate 0: closed loop */
	bool stream;
	char expect; /* first digit of the status that counts as success */
	char *request; /* the whole request, head and body */
	size_t request_len;
};

/* Counted from the end of the warm-up. */
struct result {
	uint64_t done, failed_connect, failed_status, failed_cut, bytes, events, backlog_max;
	struct hist latency, first, gap; /* whole answer, first event, between events */
	uint64_t begin_ns, end_ns;
};

struct event_base;
/* Opens the connections and runs until duration_s + warmup_s are over. 0, or -1 with a message on stderr. */
int loadgen_conn_run(struct event_base *base, const struct options *o, struct result *r);

#endif

/* Cost of the upstream client alone: N requests, K in flight, on one event loop.
 *
 *	upstream_loop [-k inflight] [-n requests] [-b body_bytes] [-d] [-i] URL
 *
 * Prints CPU time of this process per request, so the server's share does not matter as long as it keeps
 * up. -d: the direct transport, -i: without verification of certificates.
 */
#include "hale/hale.h"

#include <event2/event.h>
#include <sys/resource.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/upstream.h"

struct loop {
	struct upstream *u;
	struct upstream_request request;
	uint64_t left, running, failed, bytes;
	const char *text;
};

static void loop_next(struct loop *l);

static void
loop_head(void *arg, int status, const struct http_header *header, unsigned nheader)
{
	struct loop *l = arg;

	(void)header;
	(void)nheader;
	if (status != 200)
		l->failed++;
}

static bool
loop_body(void *arg, const char *data, size_t len)
{
	struct loop *l = arg;

	(void)data;
	l->bytes += len;
	return true;
}

static void
loop_end(void *arg, const struct upstream_result *r)
{
	struct loop *l = arg;

	l->running--;
	if (r->error != UPSTREAM_OK && l->failed++ == 0)
		printf("first failure: %s in phase %s: %s\n", upstream_error_name(r->error), upstream_phase_name(r->phase), r->text);
	loop_next(l);
}

static void
loop_next(struct loop *l)
{
	static const struct upstream_ops ops = {loop_head, loop_body, loop_end};
	enum upstream_error e;

	if (l->left == 0)
		return;
	l->left--;
	l->running++;
	if (!upstream_start(l->u, &l->request, &ops, l, &e)) {
		printf("refused: %s\n", upstream_error_name(e));
		exit(1);
	}
}

static uint64_t
loop_cpu_us(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

int
main(int argc, char **argv)
{
	struct upstream_limits limits = {.connections_max = 4096, .idle_timeout_ms = 60000, .shards = 1};
	struct endpoint e = {.method = "POST", .nheader = 1, .header = {{"Authorization", "Bearer sk-test"}}};
	static const struct http_header type = {"Content-Type", "application/json"};
	struct event_config *config = event_config_new();
	struct event_base *base;
	unsigned inflight = 64;
	size_t body = 600;
	uint64_t n = 100000, cpu, wall;
	struct loop l = {0};
	int c;

	while ((c = getopt(argc, argv, "k:n:b:di")) != -1) {
		if (c == 'k')
			inflight = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'n')
			n = strtoull(optarg, NULL, 10);
		else if (c == 'b')
			body = strtoull(optarg, NULL, 10);
		else if (c == 'd')
			limits.direct = true;
		else if (c == 'i')
			l.request.insecure_tls = true;
		else
			return 2;
	}
	if (optind >= argc)
		return 2;
	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	l.u = upstream_new(base, &limits);
	e.url = argv[optind];
	l.request.endpoint = &e;
	l.request.header = &type;
	l.request.nheader = 1;
	l.request.body[0] = (struct iovec){xcalloc(1, body + 1), body};
	memset(l.request.body[0].iov_base, 'x', body);
	l.request.nbody = 1;
	l.request.timers = (struct upstream_timers){10000, 10000, 10000, 60000};
	l.left = n / 10; /* warm up: connections and pools */
	for (unsigned i = 0; i < inflight; i++)
		loop_next(&l);
	while (l.running)
		event_base_loop(base, EVLOOP_ONCE);
	l.left = n;
	l.failed = 0;
	cpu = loop_cpu_us();
	wall = clock_mono_ns();
	for (unsigned i = 0; i < inflight; i++)
		loop_next(&l);
	while (l.running)
		event_base_loop(base, EVLOOP_ONCE);
	cpu = loop_cpu_us() - cpu;
	wall = clock_mono_ns() - wall;
	printf("requests=%llu failed=%llu cpu_us=%.2f rate=%.0f/s\n", (unsigned long long)n, (unsigned long long)l.failed,
	       (double)cpu / (double)n, (double)n * 1e9 / (double)wall);
	upstream_freep(&l.u);
	event_base_free(base);
	event_config_free(config);
	free(l.request.body[0].iov_base);
	return l.failed != 0;
}

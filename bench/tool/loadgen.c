/* loadgen: HTTP/1.1 load for the benchmark.
 *
 * Closed loop (each connection sends its next request when the last one was answered) measures what
 * a proxy can do; constant rate measures what a client feels: there, latency counts from the moment
 * a request was due, not from the moment a free connection was found for it, so a stall of the
 * proxy shows in every request that it delayed (no coordinated omission). With --stream the answer
 * is server-sent events, and the time to the first event and the gaps between events are measured.
 *
 * Loopback addresses only, bounded in time; prints one JSON object.
 *
 * usage: loadgen [-c CONNECTIONS] [-d SECONDS] [-w WARMUP] [-r RATE] [-s] [-e STATUS] [-H 'Name: value']...
 *                [-b BODYFILE] PORT PATH
 *
 * -e: the class of answers that count as done, by its first digit (4: all of 4xx); 2 unless told.
 */
#include "hale/hale.h"

#include <event2/event.h>
#include <sys/resource.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/strbuf.h"
#include "loadgen.h"

static int
loadgen_usage(void)
{
	fputs("usage: loadgen [-c connections] [-d seconds] [-w warmup] [-r rate] [-s] [-e class] [-H header]... "
	      "[-b bodyfile] port path\n",
	      stderr);
	return 2;
}

static int
loadgen_read_file(const char *path, struct strbuf *out)
{
	char block[65536];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		perror(path);
		return -1;
	}
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		strbuf_add(out, block, n);
	fclose(f);
	return 0;
}

static void
loadgen_build(struct options *o, const struct strbuf *headers, const struct strbuf *body)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	strbuf_printf(&b, "%s %s HTTP/1.1\r\nHost: %s:%u\r\n", body->len ? "POST" : "GET", o->path, o->host, o->port);
	strbuf_add(&b, strbuf_str(headers), headers->len);
	if (body->len)
		strbuf_printf(&b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body->len);
	strbuf_puts(&b, "\r\n");
	strbuf_add(&b, strbuf_str(body), body->len);
	o->request_len = b.len;
	o->request = strbuf_take(&b);
}

static int
loadgen_options(int argc, char **argv, struct options *o)
{
	struct strbuf headers, body;
	int c, err = 0;

	strbuf_init(&headers, 65536);
	strbuf_init(&body, 0);
	*o = (struct options){.host = "127.0.0.1", .connections = 64, .duration_s = 3, .warmup_s = 1, .expect = '2'};
	while (err == 0 && (c = getopt(argc, argv, "c:d:w:r:se:H:b:")) != -1) {
		switch (c) {
		case 'c': o->connections = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': o->duration_s = strtod(optarg, NULL); break;
		case 'w': o->warmup_s = strtod(optarg, NULL); break;
		case 'r': o->rate = strtod(optarg, NULL); break;
		case 's': o->stream = true; break;
		case 'e': o->expect = optarg[0]; break;
		case 'H': strbuf_printf(&headers, "%s\r\n", optarg); break;
		case 'b': err = loadgen_read_file(optarg, &body); break;
		default: err = -1;
		}
	}
	if (err != 0 || argc - optind != 2 || o->connections < 1 || o->connections > 20000 || o->duration_s > 600)
		return loadgen_usage();
	o->port = (uint16_t)strtoul(argv[optind], NULL, 10);
	o->path = argv[optind + 1];
	loadgen_build(o, &headers, &body);
	strbuf_release(&headers);
	strbuf_release(&body);
	return 0;
}

static double
loadgen_cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int
main(int argc, char **argv)
{
	struct event_config *cfg = event_config_new();
	static struct result r;
	struct event_base *base;
	struct options o;
	double seconds;
	int err = loadgen_options(argc, argv, &o);

	if (err != 0)
		return err;
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (base == NULL || loadgen_conn_run(base, &o, &r) != 0)
		return 1;
	seconds = (double)(r.end_ns - r.begin_ns) / 1e9;
	printf("{\"connections\":%u,\"rate\":%.0f,\"seconds\":%.3f,\"requests\":%llu,\"rps\":%.1f,\"failed_connect\":%llu,"
	       "\"failed_status\":%llu,\"failed_cut\":%llu,\"bytes\":%llu,\"events\":%llu,\"backlog_max\":%llu,\"cpu_s\":%.3f,",
	       o.connections, o.rate, seconds, (unsigned long long)r.done, (double)r.done / seconds,
	       (unsigned long long)r.failed_connect, (unsigned long long)r.failed_status,
	       (unsigned long long)r.failed_cut, (unsigned long long)r.bytes, (unsigned long long)r.events,
	       (unsigned long long)r.backlog_max, loadgen_cpu_s());
	loadgen_hist_print("latency_us", &r.latency);
	if (o.stream) {
		putchar(',');
		loadgen_hist_print("first_us", &r.first);
		putchar(',');
		loadgen_hist_print("gap_us", &r.gap);
	}
	puts("}");
	event_base_free(base);
	free(o.request);
	return r.failed_connect + r.failed_status + r.failed_cut ? 3 : 0;
}

/* The whole HTTP server behind a loopback socket: any bytes, cut anywhere, with a client that may close early.
 *
 * First byte: size of the writes (0: all at once); bit 7: half-close at the end instead of close. The server is
 * set up once; after each input no connection and no request may be left.
 */
#include "hale/hale.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hale/conf.h"
#include "worker_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rig {
	struct event_base *base;
	struct http_server *server;
	struct sockaddr_in sa;
	struct http_req *held;
};

static void
rig_gone(void *arg)
{
	((struct rig *)arg)->held = NULL;
}

/* Answers at once, or after the next turn of the loop (one at a time), whole or in pieces. */
static void
rig_handler(struct http_req *r, void *arg)
{
	struct rig *g = arg;
	size_t len;
	const char *body = http_req_body(r, &len);

	HALE_ASSERT(strlen(body) <= len && http_req_path(r)[0]);
	if (http_req_query(r, "hold") && !g->held) {
		g->held = r;
		http_req_watch(r, rig_gone, NULL, g);
	} else if (http_req_query(r, "abort")) {
		http_reply_abort(r);
	} else if (http_req_query(r, "stream")) {
		http_reply_begin(r, 200, "text/plain", -1);
		http_reply_chunk(r, body, len);
		http_reply_end(r);
	} else {
		http_reply(r, 200, "text/plain", body, len);
	}
}

static struct rig *
rig_get(void)
{
	static struct rig rig; /* one process, one server */
	static const struct conf_limits limits = {
		.header_bytes_max = 2048, .header_count_max = 16, .uri_bytes_max = 512, .body_bytes_max = 8192,
		.client_header_timeout_ms = 10000, .client_body_timeout_ms = 10000, .client_idle_timeout_ms = 10000,
		.client_write_timeout_ms = 10000, .client_connections_max = 4, .client_buffer_bytes_max = 4096,
	};
	socklen_t len = sizeof(rig.sa);
	int fd;

	if (rig.base)
		return &rig;
	signal(SIGPIPE, SIG_IGN);
	rig.base = event_base_new();
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	rig.sa.sin_family = AF_INET;
	rig.sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	HALE_ASSERT(bind(fd, (struct sockaddr *)&rig.sa, len) == 0 && listen(fd, 16) == 0);
	HALE_ASSERT(getsockname(fd, (struct sockaddr *)&rig.sa, &len) == 0);
	rig.server = worker_http_new(rig.base, &limits, NULL, 0, rig_handler, &rig);
	HALE_ASSERT(worker_http_listen(rig.server, fd) == 0);
	return &rig;
}

static void
rig_turn(struct rig *g)
{
	event_base_loop(g->base, EVLOOP_NONBLOCK);
	if (g->held) {
		struct http_req *r = g->held;

		g->held = NULL;
		http_reply(r, 200, NULL, "held", 4);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig *g = rig_get();
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char sink[4096];
	size_t step;

	if (size < 1 || connect(fd, (struct sockaddr *)&g->sa, sizeof(g->sa)) != 0) {
		close(fd);
		return 0;
	}
	step = data[0] & 0x7f ? data[0] & 0x7f : size;
	for (size_t at = 1; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		if (send(fd, data + at, n, MSG_DONTWAIT | MSG_NOSIGNAL) <= 0)
			break;
		rig_turn(g);
	}
	if (data[0] & 0x80) {
		shutdown(fd, SHUT_WR);
		rig_turn(g);
		rig_turn(g);
		while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
	close(fd);
	for (int i = 0; i < 10000 && worker_http_connections(g->server); i++)
		rig_turn(g);
	HALE_ASSERT(worker_http_connections(g->server) == 0 && worker_http_requests(g->server) == 0);
	return 0;
}

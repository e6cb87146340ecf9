/* The HTTP server alone: a handler that answers a constant. Prints its port and serves until its stdin ends, e.g. for
 * wrk beside an nginx that says "return 200"; CPU from /proc/PID/schedstat over the number of requests.
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

static const char answer[] = "{\"ok\":true}";

static void
bare_handler(struct http_req *r, void *arg)
{
	(void)arg;
	http_reply(r, 200, "application/json", answer, sizeof(answer) - 1);
}

static void
bare_stdin_cb(int fd, short what, void *arg)
{
	char buf[64];

	(void)what;
	if (read(fd, buf, sizeof(buf)) <= 0)
		event_base_loopbreak(arg);
}

int
main(void)
{
	struct conf_limits limits = {
		.header_bytes_max = 65536, .header_count_max = 100, .uri_bytes_max = 8192, .body_bytes_max = 1 << 26,
		.client_header_timeout_ms = 10000, .client_body_timeout_ms = 60000, .client_idle_timeout_ms = 75000,
		.client_write_timeout_ms = 60000, .client_connections_max = 10000, .client_buffer_bytes_max = 1 << 18,
	};
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	struct event_config *cfg = event_config_new();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct event_base *base;
	struct http_server *s;
	struct event *in;

	signal(SIGPIPE, SIG_IGN);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (!base || fd == -1 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 1024) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len))
		return 1;
	s = worker_http_new(base, &limits, NULL, 0, bare_handler, NULL);
	if (worker_http_listen(s, fd) != 0)
		return 1;
	in = event_new(base, 0, EV_READ | EV_PERSIST, bare_stdin_cb, base);
	event_add(in, NULL);
	printf("%d\n", ntohs(sa.sin_port));
	fflush(stdout);
	event_base_dispatch(base);
	event_free(in);
	worker_http_freep(&s);
	event_base_free(base);
	close(fd);
	return 0;
}

/* A server in this process with a trivial handler, and raw client sockets: shared by the tests of worker_http.
 * Time passes only while rig_pump() runs; every wait ends with a condition or after RIG_PATIENCE_S with a failure.
 */
#ifndef HALE_HTTP_FIXTURE_H
#define HALE_HTTP_FIXTURE_H

#include "hale/hale.h"

#include <stdarg.h>
#include <setjmp.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/htable_master.h"
#include "hale/outcome.h"
#include "hale/strbuf.h"
#include "worker_http.h"

#define RIG_PATIENCE_S 20

struct rig {
	struct conf conf;
	struct htable *table;
	struct event_base *base;
	struct http_server *server;
	int listen_fd;
	uint16_t port;
	struct http_req *held; /* the request of /hold */
	unsigned gone, drained, handled;
	char path[256];
};

struct peer {
	struct rig *rig;
	int fd;
	bool eof, reset;
	struct strbuf in;
};

static void
rig_gone(void *arg)
{
	struct rig *g = arg;

	g->gone++;
	g->held = NULL;
}

static void
rig_drained(void *arg)
{
	((struct rig *)arg)->drained++;
}

/* /echo answers at once, /hold is left to the test, everything else is 404. */
static void
rig_handler(struct http_req *r, void *arg)
{
	struct rig *g = arg;
	const char *q = http_req_query(r, "q");
	struct strbuf b;
	size_t len;

	g->handled++;
	snprintf(g->path, sizeof(g->path), "%s", http_req_path(r));
	if (strcmp(g->path, "/hold") == 0) {
		g->held = r;
		http_req_watch(r, rig_gone, rig_drained, g);
		return;
	}
	strbuf_init(&b, 0);
	strbuf_printf(&b, "[%d %s q=%s ", http_req_method(r), g->path, q ? q : "(none)");
	strbuf_add(&b, http_req_body(r, &len), 0);
	strbuf_add(&b, http_req_body(r, &len), len);
	strbuf_puts(&b, "]");
	http_reply_strbuf(r, strncmp(g->path, "/echo", 5) == 0 || strcmp(g->path, "*") == 0 ? 200 : 404, "text/plain", &b);
	strbuf_release(&b);
}

static void
rig_open(struct rig *g)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	struct event_config *cfg = event_config_new();

	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	g->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	assert_non_null(g->base);
	g->table = htable_create(&g->conf, 1, NULL, NULL);
	assert_non_null(g->table);
	g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(g->listen_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(g->listen_fd, 1024), 0);
	assert_int_equal(getsockname(g->listen_fd, (struct sockaddr *)&sa, &len), 0);
	g->port = ntohs(sa.sin_port);
	g->server = worker_http_new(g->base, &g->conf.limits, g->table, 0, rig_handler, g);
	assert_int_equal(worker_http_listen(g->server, g->listen_fd), 0);
}

static const struct conf_limits rig_limits = {
	.header_bytes_max = 8192,
	.header_count_max = 20,
	.uri_bytes_max = 2048,
	.body_bytes_max = 200000,
	.client_header_timeout_ms = 60000,
	.client_body_timeout_ms = 60000,
	.client_idle_timeout_ms = 60000,
	.client_write_timeout_ms = 60000,
	.client_connections_max = 100,
	.client_buffer_bytes_max = 65536,
};

static int
rig_setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	signal(SIGPIPE, SIG_IGN);
	g->conf.limits = rig_limits;
	rig_open(g);
	*state = g;
	return 0;
}

static int
rig_teardown(void **state)
{
	struct rig *g = *state;

	worker_http_freep(&g->server);
	assert_int_equal(counter_read(g->table, -1, COUNTER_CONNECTIONS_OPEN), 0);
	assert_int_equal(counter_read(g->table, -1, COUNTER_REQUESTS_OPEN), 0);
	assert_true(fcntl(g->listen_fd, F_GETFD) >= 0); /* still the caller's */
	close(g->listen_fd);
	htable_freep(&g->table);
	event_base_free(g->base);
	free(g);
	return 0;
}

static void
peer_open(struct peer *p, struct rig *g)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(g->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	*p = (struct peer){.rig = g};
	strbuf_init(&p->in, 0);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	assert_int_equal(connect(p->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

static void
peer_close(struct peer *p)
{
	close(p->fd);
	p->fd = -1;
	strbuf_release(&p->in);
}

static void
peer_read(struct peer *p)
{
	char buf[65536];
	ssize_t n;

	while ((n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		strbuf_add(&p->in, buf, (size_t)n);
	if (n == 0)
		p->eof = true;
	else if (errno != EAGAIN)
		p->eof = p->reset = true;
}

/* Lets the server work for a moment. */
static void
rig_pump(struct rig *g)
{
	struct timeval tv = {.tv_usec = 1000};

	event_base_loopexit(g->base, &tv);
	event_base_loop(g->base, EVLOOP_ONCE);
}

static void
peer_send(struct peer *p, const char *s, size_t len)
{
	while (len) {
		ssize_t n = send(p->fd, s, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n == -1 && errno == EAGAIN) {
			rig_pump(p->rig);
			continue;
		}
		if (n == -1)
			return; /* the server closed: the test sees it by the answer */
		s += n;
		len -= (size_t)n;
	}
}

static void
peer_puts(struct peer *p, const char *s)
{
	peer_send(p, s, strlen(s));
}

#define RIG_WAIT(g, cond) \
	do { \
		uint64_t wait_end_ = clock_mono_ns() + RIG_PATIENCE_S * NS_PER_SEC; \
		while (!(cond)) { \
			if (clock_mono_ns() > wait_end_) \
				fail_msg("waited in vain for: %s", #cond); \
			rig_pump(g); \
		} \
	} while (0)

static bool
peer_has(struct peer *p, const char *text)
{
	peer_read(p);
	return strstr(strbuf_str(&p->in), text) != NULL;
}

static bool
peer_ended(struct peer *p)
{
	peer_read(p);
	return p->eof;
}

static unsigned
peer_count(struct peer *p, const char *text)
{
	unsigned n = 0;

	peer_read(p);
	for (const char *s = strbuf_str(&p->in); (s = strstr(s, text)) != NULL; s += strlen(text))
		n++;
	return n;
}

#endif

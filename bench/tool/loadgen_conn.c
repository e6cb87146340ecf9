/* The connections of the load generator: send, parse just enough of the answer, count.
 *
 * Direct recv and send on libevent events, one small state per connection. In rate mode a timer
 * hands due requests to idle connections; what finds none waits in a backlog with its due time.
 */
#include "hale/hale.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/proc.h"
#include "loadgen.h"

#define READ_BYTES (256u << 10)
#define HEAD_BYTES 8192
#define TICK_US 500
#define BACKLOG_MAX (1u << 20)

enum phase { PHASE_IDLE, PHASE_HEAD, PHASE_LENGTH, PHASE_CHUNK_SIZE, PHASE_CHUNK_DATA, PHASE_CHUNK_END, PHASE_TRAILER };

struct run;

struct conn {
	struct run *run;
	struct event *readable, *writable;
	int fd;
	enum phase phase;
	size_t sent, head_len;
	uint64_t left, due_ns, event_ns;
	unsigned line_len; /* of a chunk-size or trailer line */
	bool keep, ok, first;
	char head[HEAD_BYTES], last; /* last: previous body byte, an event ends in two newlines */
};

struct run {
	struct event_base *base;
	const struct options *o;
	struct result *r;
	struct conn **idle;
	unsigned nidle;
	struct event *tick;
	uint64_t *backlog; /* ring of due times */
	uint32_t backlog_head, backlog_len;
	uint64_t next_due_ns, stop_ns;
	char *buf;
};

static void loadgen_conn_open(struct conn *c);
static void loadgen_conn_send(struct conn *c);

static bool
loadgen_conn_counts(const struct run *run, uint64_t now)
{
	return now >= run->r->begin_ns && now < run->stop_ns;
}

static void
loadgen_conn_close(struct conn *c)
{
	if (c->fd == -1)
		return;
	event_free(c->readable);
	event_free(c->writable);
	close(c->fd);
	c->fd = -1;
}

static void
loadgen_conn_begin(struct conn *c, uint64_t due_ns)
{
	c->phase = PHASE_HEAD;
	c->head_len = c->sent = 0;
	c->due_ns = due_ns;
	c->event_ns = 0;
	c->first = true;
	loadgen_conn_send(c);
}

/* An answered (or fresh) connection looks for its next request. */
static void
loadgen_conn_next(struct conn *c)
{
	struct run *run = c->run;
	uint64_t now = clock_mono_ns();

	c->phase = PHASE_IDLE;
	if (now >= run->stop_ns)
		return;
	if (run->o->rate <= 0) {
		loadgen_conn_begin(c, now);
	} else if (run->backlog_len) {
		uint64_t due = run->backlog[run->backlog_head];

		run->backlog_head = (run->backlog_head + 1) % BACKLOG_MAX;
		run->backlog_len--;
		loadgen_conn_begin(c, due);
	} else {
		run->idle[run->nidle++] = c;
	}
}

static void
loadgen_conn_failed(struct conn *c, uint64_t *counter)
{
	uint64_t now = clock_mono_ns();

	if (loadgen_conn_counts(c->run, now))
		(*counter)++;
	loadgen_conn_close(c);
	if (now < c->run->stop_ns && c->run->r->failed_connect < 10000) {
		loadgen_conn_open(c);
		if (c->fd != -1)
			loadgen_conn_next(c);
	}
}

static void
loadgen_conn_done(struct conn *c)
{
	struct run *run = c->run;
	uint64_t now = clock_mono_ns();

	if (!c->ok) {
		loadgen_conn_failed(c, &run->r->failed_status);
		return;
	}
	if (loadgen_conn_counts(run, now)) {
		run->r->done++;
		loadgen_hist_add(&run->r->latency, (now - c->due_ns) / 1000);
	}
	if (!c->keep) {
		loadgen_conn_close(c);
		loadgen_conn_open(c);
		if (c->fd == -1)
			return;
	}
	loadgen_conn_next(c);
}

static void
loadgen_conn_send(struct conn *c)
{
	const struct options *o = c->run->o;

	while (c->sent < o->request_len) {
		ssize_t n = send(c->fd, o->request + c->sent, o->request_len - c->sent, MSG_NOSIGNAL);

		if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
			event_add(c->writable, NULL);
			return;
		}
		if (n == -1)
			return; /* the read side sees the end and counts it */
		c->sent += (size_t)n;
	}
}

static void
loadgen_conn_writable_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	loadgen_conn_send(arg);
}

/* The head is complete: status, framing, connection reuse. */
static void
loadgen_conn_head(struct conn *c)
{
	char *p;

	c->head[c->head_len] = '\0';
	c->ok = c->head_len > 12 && c->head[9] == c->run->o->expect;
	c->keep = strcasestr(c->head, "\r\nconnection: close") == NULL;
	c->left = 0;
	c->phase = PHASE_LENGTH;
	if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) {
		c->phase = PHASE_CHUNK_SIZE;
		c->line_len = 0;
	} else if ((p = strcasestr(c->head, "\r\ncontent-length:")) != NULL) {
		c->left = strtoull(p + 17, NULL, 10);
	}
}

/* Body bytes: in stream mode every empty line ends an event. */
static void
loadgen_conn_body(struct conn *c, const char *data, size_t len)
{
	struct run *run = c->run;
	uint64_t now;

	run->r->bytes += len;
	if (!run->o->stream || len == 0)
		return;
	now = clock_mono_ns();
	for (size_t i = 0; i < len; i++) {
		bool end = data[i] == '\n' && c->last == '\n';

		c->last = data[i];
		if (!end)
			continue;
		c->last = 0;
		if (loadgen_conn_counts(run, now)) {
			run->r->events++;
			if (c->first)
				loadgen_hist_add(&run->r->first, (now - c->due_ns) / 1000);
			else
				loadgen_hist_add(&run->r->gap, (now - c->event_ns) / 1000);
		}
		c->first = false;
		c->event_ns = now;
	}
}

static size_t
loadgen_conn_take_head(struct conn *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len && c->head_len < HEAD_BYTES - 1; i++) {
		c->head[c->head_len++] = data[i];
		if (data[i] == '\n' && c->head_len >= 4 && memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4) == 0) {
			loadgen_conn_head(c);
			return i + 1;
		}
	}
	return len;
}

/* One byte of a line between chunks. Returns true when the answer is complete. */
static bool
loadgen_conn_chunk_byte(struct conn *c, char b)
{
	if (c->phase == PHASE_CHUNK_SIZE && b != '\r' && b != '\n') {
		c->left = c->left * 16 + (uint64_t)(b <= '9' ? b - '0' : (b | 32) - 'a' + 10);
		c->line_len++;
		return false;
	}
	if (b == '\r')
		return false;
	if (b != '\n') {
		c->line_len++;
		return false;
	}
	if (c->phase == PHASE_CHUNK_END) {
		c->phase = PHASE_CHUNK_SIZE;
		c->left = 0;
	} else if (c->phase == PHASE_CHUNK_SIZE) {
		c->phase = c->left ? PHASE_CHUNK_DATA : PHASE_TRAILER;
	} else if (c->line_len == 0) { /* the empty line behind the trailers */
		return true;
	}
	c->line_len = 0;
	return false;
}

/* true: the answer ended inside this piece; *used tells where. */
static bool
loadgen_conn_parse(struct conn *c, const char *data, size_t len, size_t *used)
{
	size_t at = 0;

	while (at < len) {
		if (c->phase == PHASE_HEAD) {
			at += loadgen_conn_take_head(c, data + at, len - at);
			if (c->phase == PHASE_LENGTH && c->left == 0)
				break;
		} else if (c->phase == PHASE_LENGTH || c->phase == PHASE_CHUNK_DATA) {
			size_t n = len - at < c->left ? len - at : (size_t)c->left;

			loadgen_conn_body(c, data + at, n);
			at += n;
			c->left -= n;
			if (c->left == 0 && c->phase == PHASE_LENGTH)
				break;
			if (c->left == 0)
				c->phase = PHASE_CHUNK_END;
		} else if (loadgen_conn_chunk_byte(c, data[at++])) {
			c->phase = PHASE_LENGTH;
			c->left = 0;
			break;
		}
	}
	*used = at;
	return c->phase == PHASE_LENGTH && c->left == 0;
}

static void
loadgen_conn_readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	ssize_t n = recv(fd, c->run->buf, READ_BYTES, 0);
	size_t used;

	(void)what;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 && c->phase == PHASE_IDLE) { /* an idle connection was closed: not a failure, take another */
		loadgen_conn_close(c);
		loadgen_conn_open(c);
		return;
	}
	if (n <= 0) {
		loadgen_conn_failed(c, c->head_len || c->sent ? &c->run->r->failed_cut : &c->run->r->failed_connect);
		return;
	}
	if (c->phase != PHASE_IDLE && loadgen_conn_parse(c, c->run->buf, (size_t)n, &used))
		loadgen_conn_done(c);
}

static void
loadgen_conn_open(struct conn *c)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(c->run->o->port)};
	int one = 1;

	inet_pton(AF_INET, c->run->o->host, &sa.sin_addr);
	c->phase = PHASE_IDLE;
	c->head_len = c->sent = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd == -1 || connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) == -1) {
		if (c->fd != -1)
			close(c->fd);
		c->fd = -1;
		c->run->r->failed_connect++;
		return;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	proc_fd_setup(c->fd);
	c->readable = event_new(c->run->base, c->fd, EV_READ | EV_PERSIST, loadgen_conn_readable_cb, c);
	c->writable = event_new(c->run->base, c->fd, EV_WRITE, loadgen_conn_writable_cb, c);
	event_add(c->readable, NULL);
}

/* Rate mode: everything that became due since the last tick. */
static void
loadgen_conn_tick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;
	uint64_t now = clock_mono_ns(), step = (uint64_t)(1e9 / run->o->rate);

	(void)fd;
	(void)what;
	for (; run->next_due_ns <= now && run->next_due_ns < run->stop_ns; run->next_due_ns += step) {
		if (run->nidle) {
			loadgen_conn_begin(run->idle[--run->nidle], run->next_due_ns);
		} else if (run->backlog_len < BACKLOG_MAX) {
			run->backlog[(run->backlog_head + run->backlog_len++) % BACKLOG_MAX] = run->next_due_ns;
			if (run->backlog_len > run->r->backlog_max)
				run->r->backlog_max = run->backlog_len;
		}
	}
}

static void
loadgen_conn_stop_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

int
loadgen_conn_run(struct event_base *base, const struct options *o, struct result *r)
{
	double total = o->warmup_s + o->duration_s;
	struct timeval tick = {0, TICK_US}, stop = {(time_t)total, (suseconds_t)((total - (double)(time_t)total) * 1e6)};
	struct run run = {.base = base, .o = o, .r = r};
	struct conn *conns = xcalloc(o->connections, sizeof(*conns));

	run.idle = xcalloc(o->connections, sizeof(struct conn *));
	run.backlog = xcalloc(o->rate > 0 ? BACKLOG_MAX : 1, sizeof(uint64_t));
	run.buf = xmalloc(READ_BYTES);
	for (unsigned i = 0; i < o->connections; i++) {
		conns[i].run = &run;
		loadgen_conn_open(&conns[i]);
		if (conns[i].fd == -1) {
			fprintf(stderr, "loadgen: cannot connect to %s:%u: %s\n", o->host, o->port, strerror(errno));
			return -1;
		}
	}
	run.next_due_ns = clock_mono_ns();
	r->begin_ns = run.next_due_ns + (uint64_t)(o->warmup_s * 1e9);
	r->end_ns = run.stop_ns = r->begin_ns + (uint64_t)(o->duration_s * 1e9);
	run.tick = event_new(base, -1, EV_PERSIST, o->rate > 0 ? loadgen_conn_tick_cb : NULL, &run);
	for (unsigned i = 0; i < o->connections; i++)
		loadgen_conn_next(&conns[i]);
	if (o->rate > 0)
		event_add(run.tick, &tick);
	event_base_once(base, -1, EV_TIMEOUT, loadgen_conn_stop_cb, base, &stop);
	event_base_dispatch(base);
	for (unsigned i = 0; i < o->connections; i++)
		loadgen_conn_close(&conns[i]);
	event_free(run.tick);
	free(run.idle);
	free(run.backlog);
	free(run.buf);
	free(conns);
	return 0;
}

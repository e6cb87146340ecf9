/* Connections: accept, read, write, TLS, and the order of pipelined requests.
 *
 * Plain recv() and send() on libevent events, one read event for the life of the connection and a write
 * event only when the client does not take everything at once. A client that closes while its answer is
 * under way counts as gone, at once.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hale/arena.h"

/* Input that a client may send ahead while an answer is under way. */
#define LLMSIM_AHEAD_MAX (1u << 20)
#define LLMSIM_AGAIN (-2)

void
llmsim_conn_close(struct llmsim_conn *c, bool reset)
{
	struct llmsim *s = c->sim;

	if (c->key)
		llmsim_count_end(s, c->key, 0, true);
	llmsim_fault_put(c->fault);
	event_del(&c->read_ev);
	event_del(&c->write_ev);
	event_del(&c->timer);
	if (c->ssl) {
		if (c->ssl_ready && !reset)
			SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
		ERR_clear_error();
	}
	if (reset) {
		struct linger now = {1, 0};

		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	} else {
		(void)shutdown(c->fd, SHUT_WR);
	}
	close(c->fd);
	s->connections.open--;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conn = c->next;
	if (c->next)
		c->next->prev = c->prev;
	strbuf_release(&c->in);
	strbuf_release(&c->out);
	strbuf_release(&c->store);
	strbuf_release(&c->body);
	strbuf_release(&c->scratch);
	strbuf_release(&c->reply.prefix);
	free(c);
}

void
llmsim_conn_timer(struct llmsim_conn *c, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_add(&c->timer, &tv);
}

/* What an OpenSSL call left behind, in the words of recv() and send(). */
static ssize_t
llmsim_conn_tls_result(struct llmsim_conn *c, int n)
{
	int e = SSL_get_error(c->ssl, n);

	ERR_clear_error();
	if (e == SSL_ERROR_WANT_WRITE)
		event_add(&c->write_ev, NULL);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return LLMSIM_AGAIN;
	return e == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* Bytes, 0 at the end, LLMSIM_AGAIN, or -1. */
static ssize_t
llmsim_conn_recv(struct llmsim_conn *c)
{
	struct llmsim *s = c->sim;
	ssize_t n;

	if (c->ssl) {
		int got = SSL_read(c->ssl, s->input, sizeof(s->input));

		return got > 0 ? got : llmsim_conn_tls_result(c, got);
	}
	n = recv(c->fd, s->input, sizeof(s->input), 0);
	return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? LLMSIM_AGAIN : -1;
}

static ssize_t
llmsim_conn_send(struct llmsim_conn *c, const char *p, size_t len)
{
	ssize_t n;

	if (c->ssl) {
		int put = SSL_write(c->ssl, p, len < 1u << 30 ? (int)len : 1 << 30);

		return put > 0 ? put : llmsim_conn_tls_result(c, put);
	}
	n = send(c->fd, p, len, MSG_NOSIGNAL);
	return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? LLMSIM_AGAIN : -1;
}

bool
llmsim_conn_flush(struct llmsim_conn *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n = llmsim_conn_send(c, c->out.data + c->out_at, c->out.len - c->out_at);

		if (n == LLMSIM_AGAIN) {
			event_add(&c->write_ev, NULL);
			return true;
		}
		if (n <= 0) {
			llmsim_conn_close(c, false);
			return false;
		}
		c->out_at += (size_t)n;
	}
	strbuf_clear(&c->out);
	c->out_at = 0;
	if (c->close_after && c->play == PLAY_IDLE) {
		llmsim_conn_close(c, c->reset_after);
		return false;
	}
	return true;
}

static void
llmsim_conn_bad(struct llmsim_conn *c, int status)
{
	struct llmsim_reply rep = {.api = LLMSIM_OPENAI, .status = (uint64_t)status};
	struct strbuf body;

	c->sim->bad_requests++;
	strbuf_init(&body, 0);
	llmsim_reply_error(&rep, status, NULL, NULL, NULL, &body);
	llmsim_reply_head(&rep, NULL, &c->out);
	strbuf_printf(&c->out, "connection: close\r\ncontent-length: %zu\r\n\r\n", body.len);
	strbuf_add(&c->out, strbuf_str(&body), body.len);
	strbuf_release(&body);
	strbuf_clear(&c->in);
	c->close_after = true;
}

/* The head is there, the body is not yet. */
static void
llmsim_conn_more(struct llmsim_conn *c, const struct llmsim_request *r)
{
	if (r->head_bytes == 0)
		return;
	c->need = r->chunked ? 0 : r->total_bytes;
	if (r->expect_continue && !c->continued)
		strbuf_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	c->continued = true;
}

/* Answers what is complete in the input, in order. false: the connection is gone. */
static bool
llmsim_conn_serve(struct llmsim_conn *c)
{
	while (c->play == PLAY_IDLE && !c->close_after && c->in.len && c->in.len >= c->need) {
		struct llmsim_request r;
		int status;
		enum llmsim_parse e = llmsim_http_parse(c->in.data, c->in.len, &c->store, &r, &status);

		if (e == LLMSIM_MORE) {
			llmsim_conn_more(c, &r);
			break;
		}
		c->need = 0;
		c->continued = false;
		if (e == LLMSIM_BAD) {
			llmsim_conn_bad(c, status);
			break;
		}
		llmsim_route(&r);
		if (r.op < LLMSIM_MODELS)
			r.valid = r.body.len && llmsim_scan(r.body, &r);
		else if (r.op == LLMSIM_SERVICE)
			llmsim_service_scan(&r);
		llmsim_play_start(c, &r);
		if (!llmsim_play_run(c))
			return false;
	}
	if (c->play == PLAY_SESSION && !llmsim_play_run(c))
		return false;
	if (c->read_off && c->play == PLAY_IDLE) {
		c->read_off = false;
		event_add(&c->read_ev, NULL);
	}
	return llmsim_conn_flush(c);
}

/* true: the handshake is done. On a failed one the connection is closed and *gone set. */
static bool
llmsim_conn_handshake(struct llmsim_conn *c, bool *gone)
{
	int n = SSL_do_handshake(c->ssl);

	*gone = false;
	if (n == 1) {
		c->ssl_ready = true;
		return true;
	}
	if (llmsim_conn_tls_result(c, n) != LLMSIM_AGAIN) {
		llmsim_conn_close(c, false);
		*gone = true;
	}
	return false;
}

static void
llmsim_conn_read_cb(int fd, short what, void *arg)
{
	struct llmsim_conn *c = arg;
	ssize_t n;
	bool gone;

	(void)fd;
	(void)what;
	if (c->ssl && !c->ssl_ready && !llmsim_conn_handshake(c, &gone))
		return;
	do {
		n = llmsim_conn_recv(c);
		if (n == LLMSIM_AGAIN)
			break;
		if (n <= 0) {
			llmsim_conn_close(c, false);
			return;
		}
		strbuf_add(&c->in, c->sim->input, (size_t)n);
		if (c->play != PLAY_IDLE && c->play != PLAY_SESSION && c->in.len - c->consumed > LLMSIM_AHEAD_MAX) {
			c->read_off = true;
			event_del(&c->read_ev);
		}
	} while (c->ssl && !c->read_off && SSL_pending(c->ssl));
	(void)llmsim_conn_serve(c);
}

/* The timer and the write event both mean: go on. */
static void
llmsim_conn_go_cb(int fd, short what, void *arg)
{
	struct llmsim_conn *c = arg;

	(void)fd;
	if (c->ssl && !c->ssl_ready) {
		llmsim_conn_read_cb(c->fd, EV_READ, c);
		return;
	}
	if ((what & EV_WRITE) && !llmsim_conn_flush(c))
		return;
	/* a write event must not end the wait between two events of a stream */
	if (!event_pending(&c->timer, EV_TIMEOUT, NULL) && !llmsim_play_run(c))
		return;
	(void)llmsim_conn_serve(c);
}

void
llmsim_conn_accept_cb(int fd, short what, void *arg)
{
	struct llmsim *s = arg;
	int one = 1;

	(void)what;
	for (int i = 0; i < 64; i++) {
		struct llmsim_conn *c;
		int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (got == -1)
			return;
		(void)setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = xcalloc(1, sizeof(*c));
		c->sim = s;
		c->fd = got;
		if (s->tls) {
			c->ssl = SSL_new(s->tls);
			if (!c->ssl || SSL_set_fd(c->ssl, got) != 1) {
				SSL_free(c->ssl);
				close(got);
				free(c);
				continue;
			}
			SSL_set_accept_state(c->ssl);
		}
		llmsim_count_up(&s->connections);
		c->number = s->connections.total;
		/* head, body and transfer coding of the largest request, and what may come ahead */
		strbuf_init(&c->in, 2 * LLMSIM_BODY_MAX);
		strbuf_init(&c->out, 0);
		strbuf_init(&c->store, LLMSIM_BODY_MAX);
		strbuf_init(&c->body, 0);
		strbuf_init(&c->scratch, 0);
		strbuf_init(&c->reply.prefix, 0);
		event_assign(&c->read_ev, s->base, got, EV_READ | EV_PERSIST, llmsim_conn_read_cb, c);
		event_assign(&c->write_ev, s->base, got, EV_WRITE, llmsim_conn_go_cb, c);
		event_assign(&c->timer, s->base, -1, EV_TIMEOUT, llmsim_conn_go_cb, c);
		c->next = s->conn;
		if (s->conn)
			s->conn->prev = c;
		s->conn = c;
		event_add(&c->read_ev, NULL);
	}
}

/* One connection of the direct transport while it carries a call: write,
 * read, end. upstream_direct_open.c opens it.
 *
 * Reading stays registered from the handshake to the close; writing is tried at once and registered only
 * after EAGAIN. Bytes are read into one scratch buffer of the process and handed out where they lie; a
 * connection keeps only what could not be used yet: a part of a head, or the rest when its call was paused.
 *
 * Whoever reads c->base.ops after a callback sees whether the call was dropped; the connection is then
 * closed here, not by the one who dropped it (`busy`).
 */
#include "hale/hale.h"

#include "upstream_direct.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"

/* ---- events and end ---- */

void
upstream_direct_conn_watch_read(struct upstream_direct_conn *conn, bool on)
{
	if (conn->reading == on)
		return;
	if (on)
		event_add(&conn->rd, NULL);
	else
		event_del(&conn->rd);
	conn->reading = on;
}

void
upstream_direct_conn_watch_write(struct upstream_direct_conn *conn, bool on)
{
	if (conn->writing == on)
		return;
	if (on)
		event_add(&conn->wr, NULL);
	else
		event_del(&conn->wr);
	conn->writing = on;
}

void
upstream_direct_conn_close_fd(struct upstream_direct_conn *conn)
{
	/* Not by `reading`: an event may also have been activated by hand. */
	event_del(&conn->rd);
	event_del(&conn->wr);
	conn->reading = conn->writing = false;
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
}

void
upstream_direct_conn_close(struct upstream_direct_conn *conn)
{
	struct upstream_direct_host *h = conn->host;

	if (conn->ssl) {
		if (conn->state == UPSTREAM_DIRECT_OPEN && !conn->send_dead)
			SSL_shutdown(conn->ssl);
		/* Without this OpenSSL takes the session for broken and never resumes it. */
		SSL_set_shutdown(conn->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(conn->ssl);
		ERR_clear_error();
	}
	event_del(&conn->attempt);
	if (conn->fd >= 0)
		upstream_direct_conn_close_fd(conn);
	h->nconn--;
	h->direct->nconn--;
	free(conn->saved);
	free(conn);
	upstream_direct_host_free_slot(h);
}

/* Takes the call off its connection and closes that. */
static struct upstream_direct_call *
upstream_direct_conn_abandon(struct upstream_direct_conn *conn)
{
	struct upstream_direct_call *c = conn->call;

	c->conn = NULL;
	conn->call = NULL;
	upstream_direct_conn_close(conn);
	return c;
}

void
upstream_direct_conn_fail(struct upstream_direct_conn *conn, enum upstream_error e, const char *text)
{
	upstream_direct_call_end(upstream_direct_conn_abandon(conn), e, text);
}

const char *
upstream_direct_conn_text(struct upstream_direct_conn *conn, const char *what, const char *reason)
{
	struct upstream_direct_call *c = conn->call;

	snprintf(c->text, sizeof(c->text), "%s: %s", what, reason);
	return c->text;
}

/* The call was dropped by its own callback. */
static void
upstream_direct_conn_bury(struct upstream_direct_conn *conn)
{
	struct upstream_direct_call *c = conn->corpse;

	HALE_ASSERT(c && !conn->call);
	upstream_direct_conn_close(conn);
	upstream_direct_call_recycle(c);
}

/* ---- the answer ---- */

/* The answer is complete: keep or close, then report. conn is not to be touched afterwards. */
static void
upstream_direct_conn_done(struct upstream_direct_conn *conn, bool surplus)
{
	struct upstream_direct_call *c = conn->call;

	conn->busy = false;
	if (!c->http.keep_alive || surplus || conn->send_dead || c->sent < c->total ||
	    (conn->ssl && SSL_has_pending(conn->ssl))) {
		upstream_direct_conn_abandon(conn);
	} else {
		c->conn = NULL;
		conn->call = NULL;
		upstream_direct_keep(conn);
	}
	c->phase = UPSTREAM_DONE;
	upstream_direct_call_end(c, UPSTREAM_OK, "");
}

static void
upstream_direct_conn_save(struct upstream_direct_conn *conn, const char *data, size_t len)
{
	if (len > conn->saved_cap) {
		free(conn->saved);
		conn->saved = xmalloc(len);
		conn->saved_cap = len;
	}
	if (len)
		memcpy(conn->saved, data, len);
	conn->saved_len = len;
	if (len == 0 && conn->saved_cap) {
		xfreep(&conn->saved);
		conn->saved_cap = 0;
	}
}

/* One event of the parser to the call. true: go on with the next. */
static bool
upstream_direct_conn_report(struct upstream_direct_conn *conn, enum upstream_http_event e)
{
	struct upstream_direct_call *c = conn->call;

	if (e == UPSTREAM_HTTP_HEAD) {
		c->phase = UPSTREAM_BODY;
		upstream_call_head(&c->base, c->http.status, c->http.header, c->http.nheader);
	} else if (c->http.body_len) {
		upstream_call_body(&c->base, c->http.body, c->http.body_len);
	}
	return conn->call && !c->base.paused;
}

/* Hands out data[0..len). true: more is wanted; false: paused, ended or dropped, conn may be gone. */
static bool
upstream_direct_conn_consume(struct upstream_direct_conn *conn, char *data, size_t len)
{
	struct upstream_direct_call *c = conn->call;

	conn->busy = true;
	for (;;) {
		size_t used;
		enum upstream_http_event e = upstream_http_feed(&c->http, data, len, &used);

		data += used;
		len -= used;
		if (e == UPSTREAM_HTTP_DONE) {
			upstream_direct_conn_done(conn, len > 0);
			return false;
		}
		if (e == UPSTREAM_HTTP_BAD) {
			conn->busy = false;
			upstream_direct_conn_fail(conn, UPSTREAM_EPROTOCOL, c->http.text);
			return false;
		}
		if (e == UPSTREAM_HTTP_MORE)
			break;
		if (upstream_direct_conn_report(conn, e))
			continue;
		conn->busy = false;
		if (!conn->call) {
			upstream_direct_conn_bury(conn);
			return false;
		}
		upstream_direct_conn_save(conn, data, len);
		upstream_direct_conn_watch_read(conn, false);
		return false;
	}
	conn->busy = false;
	upstream_direct_conn_save(conn, data, len);
	return true;
}

/* ---- reading ---- */

enum { UPSTREAM_DIRECT_AGAIN = -1, UPSTREAM_DIRECT_EOF = 0, UPSTREAM_DIRECT_BROKEN = -2 };

static ssize_t
upstream_direct_conn_recv_tls(struct upstream_direct_conn *conn, char *buf, size_t room)
{
	int n, saved;

	ERR_clear_error();
	errno = 0;
	n = SSL_read(conn->ssl, buf, (int)room);
	if (n > 0)
		return n;
	saved = errno;
	switch (SSL_get_error(conn->ssl, n)) {
	case SSL_ERROR_WANT_READ: return UPSTREAM_DIRECT_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		upstream_direct_conn_watch_write(conn, true);
		return UPSTREAM_DIRECT_AGAIN;
	case SSL_ERROR_ZERO_RETURN: return UPSTREAM_DIRECT_EOF;
	default:
		conn->send_dead = true;
		errno = saved ? saved : EPROTO;
		return UPSTREAM_DIRECT_BROKEN;
	}
}

static ssize_t
upstream_direct_conn_recv(struct upstream_direct_conn *conn, char *buf, size_t room)
{
	ssize_t n;

	if (conn->ssl)
		return upstream_direct_conn_recv_tls(conn, buf, room);
	do
		n = recv(conn->fd, buf, room, 0);
	while (n == -1 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK ? UPSTREAM_DIRECT_AGAIN : UPSTREAM_DIRECT_BROKEN;
}

/* No more bytes will come: the proper end, a connection that was dead before it was used, or a cut. */
static void
upstream_direct_conn_ended(struct upstream_direct_conn *conn, bool orderly, int error)
{
	struct upstream_direct_call *c = conn->call;
	const char *reason = orderly ? "closed by the peer" : strerror(error);

	if (!c->answered && c->reused && !c->retried) {
		upstream_direct_conn_abandon(conn);
		upstream_direct_call_retry(c);
	} else if (orderly && upstream_http_closed(&c->http)) {
		c->http.keep_alive = false;
		upstream_direct_conn_done(conn, false);
	} else {
		upstream_direct_conn_text(conn, c->base.head_done ? "connection ended in the middle of the answer"
		                                                   : "connection ended before the answer", reason);
		upstream_direct_conn_fail(conn, UPSTREAM_ERESET, c->text);
	}
}

/* Takes what is there, at most one scratch buffer per turn. */
static void
upstream_direct_conn_read(struct upstream_direct_conn *conn)
{
	char *buf = conn->host->direct->read;
	ssize_t n;

	do {
		size_t have = conn->saved_len;

		n = upstream_direct_conn_recv(conn, buf + have, UPSTREAM_DIRECT_READ_BYTES);
		if (n == UPSTREAM_DIRECT_AGAIN && !conn->send_dead)
			return;
		if (n <= 0) {
			upstream_direct_conn_ended(conn, n == UPSTREAM_DIRECT_EOF, n == UPSTREAM_DIRECT_AGAIN ? EPIPE : errno);
			return;
		}
		if (have)
			memcpy(buf, conn->saved, have);
		conn->call->answered = true;
		if (!upstream_direct_conn_consume(conn, buf, have + (size_t)n))
			return;
	} while (conn->ssl && SSL_has_pending(conn->ssl));
}

/* The peer said something although nothing was asked. TLS has its own reasons (tickets); all else ends it. */
static void
upstream_direct_conn_idle_read(struct upstream_direct_conn *conn)
{
	char c;

	if (conn->ssl && upstream_direct_conn_recv_tls(conn, &c, 1) == UPSTREAM_DIRECT_AGAIN)
		return;
	TAILQ_REMOVE(&conn->host->idle, conn, link);
	TAILQ_REMOVE(&conn->host->direct->idle, conn, age);
	conn->idle = false;
	upstream_direct_conn_close(conn);
}

void
upstream_direct_conn_resume(struct upstream_direct_conn *conn)
{
	char *buf = conn->host->direct->read;
	size_t len = conn->saved_len;

	if (len)
		memcpy(buf, conn->saved, len);
	upstream_direct_conn_watch_read(conn, true);
	if (upstream_direct_conn_consume(conn, buf, len) && (conn->send_dead || (conn->ssl && SSL_has_pending(conn->ssl))))
		upstream_direct_conn_read(conn);
}

/* ---- writing ---- */

/* One TLS record from byte `sent` on: the same bytes again after WANT_WRITE, as OpenSSL demands. */
static ssize_t
upstream_direct_conn_write_tls(struct upstream_direct_conn *conn, const struct iovec *iov, unsigned niov)
{
	char *record = conn->host->direct->record;
	size_t len = 0;
	int n;

	for (unsigned i = 0; i < niov && len < UPSTREAM_DIRECT_RECORD_BYTES; i++) {
		size_t part = iov[i].iov_len;

		if (part > UPSTREAM_DIRECT_RECORD_BYTES - len)
			part = UPSTREAM_DIRECT_RECORD_BYTES - len;
		memcpy(record + len, iov[i].iov_base, part);
		len += part;
	}
	ERR_clear_error();
	n = SSL_write(conn->ssl, record, (int)len);
	if (n > 0)
		return n;
	n = SSL_get_error(conn->ssl, n);
	return n == SSL_ERROR_WANT_WRITE || n == SSL_ERROR_WANT_READ ? UPSTREAM_DIRECT_AGAIN : UPSTREAM_DIRECT_BROKEN;
}

static ssize_t
upstream_direct_conn_write(struct upstream_direct_conn *conn)
{
	struct iovec iov[UPSTREAM_BODY_PARTS + 1];
	struct msghdr m = {.msg_iov = iov};
	ssize_t n;

	m.msg_iovlen = upstream_direct_request_rest(conn->call, iov);
	if (conn->ssl)
		return upstream_direct_conn_write_tls(conn, iov, (unsigned)m.msg_iovlen);
	do
		n = sendmsg(conn->fd, &m, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK ? UPSTREAM_DIRECT_AGAIN : UPSTREAM_DIRECT_BROKEN;
}

/* Never reports: a connection that takes no more bytes may still hold an answer, and this runs inside
 * upstream_start(); the read event is made to look. */
static void
upstream_direct_conn_send(struct upstream_direct_conn *conn)
{
	struct upstream_direct_call *c = conn->call;

	while (c->sent < c->total && !conn->send_dead) {
		ssize_t n = upstream_direct_conn_write(conn);

		if (n == UPSTREAM_DIRECT_AGAIN) {
			upstream_direct_conn_watch_write(conn, true);
			return;
		}
		if (n < 0) {
			conn->send_dead = true;
			event_active(&conn->rd, EV_READ, 0);
			break;
		}
		c->sent += (size_t)n;
	}
	if (c->sent == c->total && c->phase == UPSTREAM_SEND)
		c->phase = UPSTREAM_HEAD;
	upstream_direct_conn_watch_write(conn, false);
}

void
upstream_direct_conn_begin(struct upstream_direct_conn *conn)
{
	struct upstream_direct_call *c = conn->call;

	c->phase = UPSTREAM_SEND;
	upstream_http_start(&c->http, c->to_head);
	conn->saved_len = 0;
	upstream_direct_conn_watch_read(conn, true);
	upstream_direct_conn_send(conn);
}

void
upstream_direct_conn_use(struct upstream_direct_conn *conn, struct upstream_direct_call *c)
{
	conn->call = c;
	c->conn = conn;
	upstream_direct_conn_begin(conn);
}

/* ---- what the loop says ---- */

static void
upstream_direct_conn_rd_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_direct_conn *conn = arg;

	(void)fd;
	(void)what;
	if (conn->idle)
		upstream_direct_conn_idle_read(conn);
	else if (conn->state == UPSTREAM_DIRECT_HANDSHAKE)
		upstream_direct_open_ready(conn);
	else if (!conn->call->base.paused && conn->call->where == UPSTREAM_DIRECT_ON_CONN)
		upstream_direct_conn_read(conn);
}

static void
upstream_direct_conn_wr_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_direct_conn *conn = arg;

	(void)what;
	if (conn->state != UPSTREAM_DIRECT_OPEN) {
		upstream_direct_open_ready(conn);
	} else if (conn->call) {
		upstream_direct_conn_send(conn);
		/* TLS may have wanted to write before it can read. */
		if (conn->ssl)
			upstream_direct_conn_rd_cb(fd, EV_READ, conn);
	} else {
		upstream_direct_conn_watch_write(conn, false);
	}
}

void
upstream_direct_conn_assign(struct upstream_direct_conn *conn)
{
	struct event_base *base = conn->host->direct->u->base;

	event_assign(&conn->rd, base, conn->fd, EV_READ | EV_PERSIST, upstream_direct_conn_rd_cb, conn);
	event_assign(&conn->wr, base, conn->fd, EV_WRITE | EV_PERSIST, upstream_direct_conn_wr_cb, conn);
}

/* Opens a connection of the direct transport: TCP, then TLS.
 *
 * Addresses are tried one after the other, each for a moment at first and for longer every time around, so
 * that neither a black-holed family nor a slow network decides alone. An open connection begins with its call
 * at once; what happens on it is the business of upstream_direct_conn.c.
 */
#include "hale/hale.h"

#include "upstream_direct.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "hale/arena.h"

#define UPSTREAM_DIRECT_ATTEMPT_MS 300
#define UPSTREAM_DIRECT_ROUNDS_MAX 6

static void
upstream_direct_open_done(struct upstream_direct_conn *conn)
{
	conn->state = UPSTREAM_DIRECT_OPEN;
	conn->call->base.connected = true;
	upstream_direct_conn_begin(conn);
}

static int
upstream_direct_open_session_cb(SSL *ssl, SSL_SESSION *session)
{
	struct upstream_direct_conn *conn = SSL_get_app_data(ssl);

	if (!conn) /* a tunnel's, from the same context */
		return 0;
	if (conn->host->session)
		SSL_SESSION_free(conn->host->session);
	conn->host->session = session;
	return 1;
}

static void
upstream_direct_open_handshake(struct upstream_direct_conn *conn)
{
	const char *reason;
	long verified;
	int rc, error;

	ERR_clear_error();
	rc = SSL_do_handshake(conn->ssl);
	if (rc == 1) {
		upstream_direct_conn_watch_write(conn, false);
		upstream_direct_open_done(conn);
		return;
	}
	error = SSL_get_error(conn->ssl, rc);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		upstream_direct_conn_watch_read(conn, true);
		upstream_direct_conn_watch_write(conn, error == SSL_ERROR_WANT_WRITE);
		return;
	}
	verified = SSL_get_verify_result(conn->ssl);
	reason = ERR_reason_error_string(ERR_peek_last_error());
	if (!conn->host->insecure && verified != X509_V_OK)
		reason = X509_verify_cert_error_string(verified);
	upstream_direct_conn_text(conn, "TLS handshake failed",
	                          reason ? reason : "connection closed by the peer");
	upstream_direct_conn_fail(conn, UPSTREAM_ETLS, conn->call->text);
}

static bool
upstream_direct_open_ssl(struct upstream_direct_conn *conn)
{
	struct upstream_direct_host *h = conn->host;
	SSL_CTX *ctx = upstream_tls_client(h->direct->u->tls, h->insecure);

	SSL_CTX_sess_set_new_cb(ctx, upstream_direct_open_session_cb);
	conn->ssl = upstream_tls_open(h->direct->u->tls, &h->at, h->insecure);
	if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1)
		return false;
	SSL_set_app_data(conn->ssl, conn);
	if (h->session)
		SSL_set_session(conn->ssl, h->session);
	return true;
}

static void
upstream_direct_open_connected(struct upstream_direct_conn *conn)
{
	struct upstream_direct_host *h = conn->host;

	event_del(&conn->attempt);
	upstream_direct_conn_watch_write(conn, false);
	upstream_names_report(h->direct->names, h->at.name, &conn->addresses.address[conn->address], true);
	if (!h->tls) {
		upstream_direct_open_done(conn);
		return;
	}
	conn->state = UPSTREAM_DIRECT_HANDSHAKE;
	conn->call->phase = UPSTREAM_TLS;
	if (upstream_direct_open_ssl(conn)) {
		upstream_direct_open_handshake(conn);
		return;
	}
	upstream_direct_conn_fail(conn, UPSTREAM_ETLS, "TLS could not be prepared for this host");
}

static int
upstream_direct_open_socket(struct upstream_direct_conn *conn)
{
	union upstream_address a = conn->addresses.address[conn->address];
	socklen_t len = a.any.sa_family == AF_INET6 ? sizeof(a.six) : sizeof(a.four);
	int one = 1;

	if (a.any.sa_family == AF_INET6)
		a.six.sin6_port = htons(conn->host->at.port);
	else
		a.four.sin_port = htons(conn->host->at.port);
	conn->fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd == -1)
		return errno;
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(conn->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	upstream_direct_conn_assign(conn);
	if (connect(conn->fd, &a.any, len) == -1 && errno != EINPROGRESS)
		return errno;
	upstream_direct_conn_watch_write(conn, true);
	return 0;
}

/* Tries addresses until one takes the connection or answers later; ends the call when all refused. */
static void
upstream_direct_open_attempt(struct upstream_direct_conn *conn)
{
	const unsigned n = conn->addresses.n, all = (1u << n) - 1;
	struct upstream_direct_host *h = conn->host;

	event_del(&conn->attempt);
	while (conn->dead != all) {
		unsigned ms, error;
		struct timeval tv;

		if (conn->fd >= 0)
			upstream_direct_conn_close_fd(conn);
		while (conn->dead & 1u << conn->address) {
			conn->address = (conn->address + 1) % n;
			conn->round += conn->address == 0;
		}
		error = (unsigned)upstream_direct_open_socket(conn);
		if (error) {
			upstream_direct_conn_text(conn, "connection failed", strerror((int)error));
			conn->dead |= 1u << conn->address;
			continue;
		}
		/* The last one left, or the last time around: for as long as the call may last. */
		if ((conn->dead | 1u << conn->address) == all || conn->round >= UPSTREAM_DIRECT_ROUNDS_MAX)
			return;
		ms = UPSTREAM_DIRECT_ATTEMPT_MS << (2 * conn->round);
		tv = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
		event_add(&conn->attempt, &tv);
		return;
	}
	upstream_names_report(h->direct->names, h->at.name, NULL, false);
	upstream_direct_conn_fail(conn, UPSTREAM_ECONNECT, conn->call->text);
}

/* The current address refused. */
static void
upstream_direct_open_refused(struct upstream_direct_conn *conn, int error)
{
	upstream_direct_conn_text(conn, "connection failed", strerror(error));
	conn->dead |= 1u << conn->address;
	upstream_direct_open_attempt(conn);
}

void
upstream_direct_open_ready(struct upstream_direct_conn *conn)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (conn->state == UPSTREAM_DIRECT_HANDSHAKE) {
		upstream_direct_open_handshake(conn);
		return;
	}
	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error)
		upstream_direct_open_refused(conn, error);
	else
		upstream_direct_open_connected(conn);
}

static void
upstream_direct_open_attempt_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_direct_conn *conn = arg;

	(void)fd;
	(void)what;
	conn->address = (conn->address + 1) % conn->addresses.n;
	conn->round += conn->address == 0;
	upstream_direct_open_attempt(conn);
}

void
upstream_direct_open_start(struct upstream_direct_call *c, const struct upstream_addresses *a)
{
	struct upstream_direct_conn *conn = xcalloc(1, sizeof(*conn));
	struct upstream_direct_host *h = c->host;

	HALE_ASSERT(a->n > 0 && a->n <= UPSTREAM_ADDRESSES_MAX);
	conn->host = h;
	conn->fd = -1;
	conn->call = c;
	conn->addresses = *a;
	c->conn = conn;
	c->phase = UPSTREAM_CONNECT;
	h->nconn++;
	h->direct->nconn++;
	evtimer_assign(&conn->attempt, h->direct->u->base, upstream_direct_open_attempt_cb, conn);
	upstream_direct_open_attempt(conn);
}

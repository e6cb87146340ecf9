/* The direct transport: pool and calls (upstream_direct.c), one request (upstream_direct_request.c),
 * how a connection is opened (upstream_direct_open.c) and used (upstream_direct_conn.c). HTTP/1.1 with
 * kept connections, plain or TLS; no proxies.
 */
#ifndef HALE_UPSTREAM_DIRECT_H
#define HALE_UPSTREAM_DIRECT_H

#include <openssl/ssl.h>
#include <sys/queue.h>

#include "upstream_http.h"
#include "upstream_int.h"
#include "upstream_names.h"

#define UPSTREAM_DIRECT_BUCKETS 256
#define UPSTREAM_DIRECT_READ_BYTES 65536 /* asked of the kernel at once */
#define UPSTREAM_DIRECT_RECORD_BYTES 16384 /* largest TLS record */

struct upstream_direct_call;
struct upstream_direct_conn;
TAILQ_HEAD(upstream_direct_calls, upstream_direct_call);
TAILQ_HEAD(upstream_direct_conns, upstream_direct_conn);

/* scheme + host + port + verification: what a connection can be kept for. */
struct upstream_direct_host {
	LIST_ENTRY(upstream_direct_host) link;
	struct upstream_direct *direct;
	char *origin; /* as in the URL */
	struct upstream_authority at;
	size_t origin_len, authority_len;
	bool tls, insecure;
	unsigned nconn;                       /* idle ones included */
	struct upstream_direct_conns idle;    /* last used first */
	struct upstream_direct_calls waiting; /* for host_connections_max */
	SSL_SESSION *session;                 /* last ticket, for the next handshake */
};

enum upstream_direct_where {
	UPSTREAM_DIRECT_NOWHERE = 0,
	UPSTREAM_DIRECT_QUEUED,  /* direct.queue: gets its turn in this turn of the loop */
	UPSTREAM_DIRECT_NAMING,  /* waits for addresses */
	UPSTREAM_DIRECT_WAITING, /* host.waiting */
	UPSTREAM_DIRECT_ON_CONN,
};

struct upstream_direct_call {
	struct upstream_call base; /* first */
	struct upstream_direct_host *host;
	struct upstream_direct_conn *conn;
	TAILQ_ENTRY(upstream_direct_call) link; /* queue, waiting or pool */
	enum upstream_direct_where where;
	struct upstream_names_wait name;
	enum upstream_phase phase;
	bool to_head;  /* method HEAD */
	bool reused;   /* on a kept connection */
	bool answered; /* at least one byte came back */
	bool retried;  /* the kept connection was dead: only a new one will do */
	char *head; /* of the request, text[0] */
	size_t head_cap;
	struct iovec part[UPSTREAM_BODY_PARTS + 1]; /* head and body */
	unsigned npart;
	size_t total, sent;
	struct upstream_http http;
	char text[UPSTREAM_TEXT_BYTES];
};

enum upstream_direct_state { UPSTREAM_DIRECT_CONNECTING, UPSTREAM_DIRECT_HANDSHAKE, UPSTREAM_DIRECT_OPEN };

struct upstream_direct_conn {
	struct upstream_direct_host *host;
	struct upstream_direct_call *call;   /* NULL: idle, or its call was dropped under us */
	struct upstream_direct_call *corpse; /* dropped while busy, recycled when we are out */
	TAILQ_ENTRY(upstream_direct_conn) link, age; /* host.idle, direct.idle */
	enum upstream_direct_state state;
	int fd;
	SSL *ssl;
	struct event rd, wr, attempt;
	bool reading, writing; /* rd, wr are registered */
	bool idle;
	bool busy;      /* callbacks of its call may be on the stack */
	bool send_dead; /* a write failed: only reading can tell how it ends */
	uint64_t idle_ns;
	char *saved; /* bytes not yet consumed: a part of a head, or what a pause left */
	size_t saved_len, saved_cap;
	struct upstream_addresses addresses;
	unsigned address, round, dead; /* position, times around, bit mask of refused ones */
};

struct upstream_direct {
	struct upstream *u;
	struct upstream_names *names;
	LIST_HEAD(, upstream_direct_host) host[UPSTREAM_DIRECT_BUCKETS];
	struct event kick, reap;
	bool reaping;
	struct upstream_direct_calls queue, pool;
	struct upstream_direct_conns idle; /* of all hosts, oldest first */
	unsigned npool, nconn;
	char read[UPSTREAM_HEAD_BYTES_MAX + 2 * UPSTREAM_DIRECT_READ_BYTES]; /* scratch: saved bytes, then new ones */
	char record[UPSTREAM_DIRECT_RECORD_BYTES]; /* scratch: one TLS record to be written */
};

extern const struct upstream_transport upstream_direct_transport;

struct upstream_direct *upstream_direct_new(struct upstream *u);
void upstream_direct_freep(struct upstream_direct **d);

/* For connections. The call leaves its connection and ends; it is gone afterwards. */
void upstream_direct_call_end(struct upstream_direct_call *c, enum upstream_error e, const char *text);
/* Again, on a new connection. */
void upstream_direct_call_retry(struct upstream_direct_call *c);
void upstream_direct_call_recycle(struct upstream_direct_call *c);
/* A connection without a call is kept for the next one. */
void upstream_direct_keep(struct upstream_direct_conn *conn);
/* A connection of h is idle or gone: the next one who waits may try. */
void upstream_direct_host_free_slot(struct upstream_direct_host *h);

/* Request text and parts. */
void upstream_direct_request_build(struct upstream_direct_call *c, const struct upstream_request *r);
/* From byte `sent` on: how many of iov[] were filled. */
unsigned upstream_direct_request_rest(const struct upstream_direct_call *c, struct iovec *iov);

/* Opens a connection for c; failure ends the call. */
void upstream_direct_open_start(struct upstream_direct_call *c, const struct upstream_addresses *a);
/* The socket of a connection that is not open yet can be written (or, in the handshake, read). */
void upstream_direct_open_ready(struct upstream_direct_conn *conn);

/* An idle connection (not in any list any more) takes c and sends at once; never reports. */
void upstream_direct_conn_use(struct upstream_direct_conn *conn, struct upstream_direct_call *c);
void upstream_direct_conn_resume(struct upstream_direct_conn *conn);
void upstream_direct_conn_close(struct upstream_direct_conn *conn);

/* For the one who opens it: events of its new socket; registered or not. */
void upstream_direct_conn_assign(struct upstream_direct_conn *conn);
void upstream_direct_conn_watch_read(struct upstream_direct_conn *conn, bool on);
void upstream_direct_conn_watch_write(struct upstream_direct_conn *conn, bool on);
/* The socket only: another address is next. */
void upstream_direct_conn_close_fd(struct upstream_direct_conn *conn);
/* It is open: sends its call. */
void upstream_direct_conn_begin(struct upstream_direct_conn *conn);
/* Closes it and ends its call. */
void upstream_direct_conn_fail(struct upstream_direct_conn *conn, enum upstream_error e, const char *text);
/* "what: reason" in the call's own text. */
const char *upstream_direct_conn_text(struct upstream_direct_conn *conn, const char *what,
                                      const char *reason);

#endif

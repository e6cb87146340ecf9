/* Requests to providers, asynchronous on one event base.
 *
 * The only interface through which worker and prober reach an upstream (sessions: tunnel.h); which transport
 * does the work is behind it: libcurl (HTTP/2, proxies, the many hosts of the prober), or our own for
 * HTTP/1.1 (the relay path). Connections are kept and pooled per process. One call = one request: no hidden
 * retries except on a reused connection that the peer had already closed before any byte of an answer.
 */
#ifndef HALE_UPSTREAM_H
#define HALE_UPSTREAM_H

#include <sys/uio.h>

#include "hale/hale.h"
#include "hale/provider.h"

struct event_base;
struct upstream;
struct upstream_call;

/* 0: no such limit. connections_max bounds the running calls (UPSTREAM_ELIMIT beyond) and the kept
 * connections of a shard; calls beyond host_connections_max wait, on their timers, for a connection. */
struct upstream_limits {
	uint32_t connections_max, host_connections_max, idle_timeout_ms;
	unsigned shards; /* number of curl multis, 1 for a worker, 64 for the prober */
	bool direct;     /* HTTP/1.1 by our own transport, not by libcurl: worker true, prober false */
};

/* How far a call got; reported with a failure and in /health as "phase". */
enum upstream_phase {
	UPSTREAM_RESOLVE = 0,
	UPSTREAM_CONNECT,
	UPSTREAM_TLS,
	UPSTREAM_SEND,
	UPSTREAM_HEAD,  /* waiting for status and headers */
	UPSTREAM_BODY,
	UPSTREAM_DONE,
};

enum upstream_error {
	UPSTREAM_OK = 0,      /* a complete HTTP answer arrived, whatever its status */
	UPSTREAM_ERESOLVE,
	UPSTREAM_ECONNECT,
	UPSTREAM_ETLS,
	UPSTREAM_ETIMEOUT,    /* phase says which timer */
	UPSTREAM_ERESET,      /* connection ended before the answer was complete */
	UPSTREAM_EPROTOCOL,   /* not HTTP, or not valid */
	UPSTREAM_ELIMIT,      /* our own bound: connections_max */
};

/* Milliseconds; 0: no such limit. connect: resolve, connect and TLS; head: from the
 * start to the final status and headers; idle: between pieces of the body, not while
 * paused; total: from the start to the end. */
struct upstream_timers {
	uint32_t connect_ms, head_ms, idle_ms, total_ms;
};

#define UPSTREAM_BODY_PARTS 4

struct upstream_request {
	const struct endpoint *endpoint; /* read at start only */
	/* Per request, besides the endpoint's; copied at start. Host,
	 * framing and connection headers are left out. */
	const struct http_header *header;
	unsigned nheader;
	struct iovec body[UPSTREAM_BODY_PARTS]; /* borrowed until the call ended */
	unsigned nbody;
	struct upstream_timers timers;
	const char *proxy; /* "http://host:port", "socks5://..." or NULL: none; borrowed until the call ended */
	bool http2;        /* offered in TLS; this and a proxy mean libcurl */
	bool insecure_tls; /* ssl_verify: false of the deployment */
};

struct upstream_result {
	enum upstream_error error;
	enum upstream_phase phase;
	int status;              /* 0 when none arrived */
	uint32_t head_us, total_us; /* from start to the status line, to the end */
	bool reused;             /* on a kept connection */
	const char *text;        /* static or call-owned English text for logs; no secrets */
};

/* Callbacks run on the event loop, never from inside upstream_start(). */
struct upstream_ops {
	/* Final status (1xx are skipped) and headers, borrowed for the duration of the callback. */
	void (*head)(void *arg, int status, const struct http_header *header, unsigned nheader);
	/* A piece of the (dechunked, decompressed-never) body. Return false to pause; upstream_resume()
	 * continues: a pause refuses nothing, the piece counts as taken. The end may come while paused,
	 * when that was the last piece or the connection broke. */
	bool (*body)(void *arg, const char *data, size_t len);
	/* Exactly once, last; the call is gone when it returns. Not after upstream_cancel(). */
	void (*end)(void *arg, const struct upstream_result *r);
};

/* One per process, made after the fork; SIGPIPE must be ignored (proc_child_init does).
 * Ends the process when libcurl cannot start. */
struct upstream *upstream_new(struct event_base *base, const struct upstream_limits *l);
/* All calls must have ended or been cancelled. */
void upstream_freep(struct upstream **u);
/* Starts one request. NULL with *err set to UPSTREAM_ELIMIT or UPSTREAM_EPROTOCOL (bad URL
 * or header); no callback then. */
struct upstream_call *upstream_start(struct upstream *u, const struct upstream_request *r, const struct upstream_ops *ops,
                                     void *arg, enum upstream_error *err);
void upstream_resume(struct upstream_call *c);
/* Drops the call now; no callback follows. May be called from
 * inside a callback of the same call (not end). */
void upstream_cancel(struct upstream_call *c);
unsigned upstream_running(const struct upstream *u);
const char *upstream_error_name(enum upstream_error e); /* "connect_error" ... */
const char *upstream_phase_name(enum upstream_phase p); /* "connect" ... */

#endif

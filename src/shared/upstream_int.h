/* What the front (upstream.c) and the transports behind it share. Nobody else includes this.
 *
 * The front owns everything that is the same whatever carries the bytes: validity of a request, the
 * count of running calls, the timers, the callbacks, the result. A transport owns connections and
 * the HTTP on them; it embeds struct upstream_call as its first member and reports through
 * upstream_call_head/body/end. `ops` is NULL from the moment on in which a call was cancelled or
 * ended: a transport looks at it after every report.
 */
#ifndef HALE_UPSTREAM_INT_H
#define HALE_UPSTREAM_INT_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "hale/upstream.h"

/* Bounds on the head of one answer. */
#define UPSTREAM_HEAD_BYTES_MAX 65536
#define UPSTREAM_HEAD_COUNT_MAX 128

#define UPSTREAM_TEXT_BYTES 256

struct upstream_transport {
	/* A new call, or NULL with *err (UPSTREAM_OK: the other transport shall take it). The front has
	 * checked r; callbacks come later, from the loop. */
	struct upstream_call *(*start)(struct upstream *u, const struct upstream_request *r, enum upstream_error *err);
	void (*resume)(struct upstream_call *c);
	/* Cancelled, or its time is over: let go of it, now or when the loop is out of its callbacks. */
	void (*drop)(struct upstream_call *c);
	enum upstream_phase (*phase)(struct upstream_call *c);
	bool (*is_reused)(struct upstream_call *c);
};

struct upstream_call {
	struct upstream *u;
	const struct upstream_transport *transport;
	const struct upstream_ops *ops; /* NULL: cancelled or ended */
	void *arg;
	struct upstream_timers timers;
	struct event timer;
	uint64_t armed_ns;          /* when the timer fires; 0: not armed */
	uint64_t start_ns;
	uint64_t connect_ns;        /* when the current attempt to connect began */
	uint64_t last_ns;           /* last sign of life of the body */
	uint32_t head_us;
	int status;
	bool connected; /* the connect timer is over; a transport with an own one sets it at start */
	bool head_done, paused;
	bool resumed; /* upstream_resume() ran inside the body callback */
};

struct upstream_tls;
struct upstream_curl;
struct upstream_direct;
struct upstream_names;

/* "host[:port]" of a URL. */
struct upstream_authority {
	char *name; /* without brackets and port */
	char *text; /* for the Host header */
	uint16_t port;
	bool numeric;
};

struct upstream {
	struct event_base *base;
	struct upstream_limits limits;
	unsigned running;
	struct upstream_tls *tls;
	struct upstream_curl *curl;
	struct upstream_direct *direct; /* NULL: everything goes through libcurl */
	struct upstream_names *names;   /* NULL until somebody opens connections without libcurl */
};

/* For transports. Begins a call: fills c, arms its timer. c->timer
 * was prepared once by upstream_call_init. */
void upstream_call_init(struct upstream *u, struct upstream_call *c, const struct upstream_transport *t);
/* Any of these may leave c->ops NULL (cancelled by the callback). */
void upstream_call_head(struct upstream_call *c, int status, const struct http_header *header, unsigned nheader);
void upstream_call_body(struct upstream_call *c, const char *data, size_t len);
/* Last; text is borrowed for the call. c->ops is NULL afterwards, the memory stays the transport's. */
void upstream_call_end(struct upstream_call *c, enum upstream_error e, const char *text);
const char *upstream_timeout_text(enum upstream_phase p);
/* The kept connection was dead: the connect timer starts again. */
void upstream_call_reconnect(struct upstream_call *c);

/* Length of "scheme://host:port" of a URL that was found valid. Pure. */
size_t upstream_origin_len(const char *url);
bool upstream_url_is_tls(const char *url);
/* Printable, no blank, http or https, a host. Pure. */
bool upstream_url_is_valid(const char *url);
/* Names that are tokens, values without line ends: nothing in them can split a request. Pure. */
bool upstream_headers_are_valid(const struct http_header *h, unsigned n);
/* false: credentials, or a port that is none. Then nothing needs to be released. Pure. */
bool upstream_authority_parse(struct upstream_authority *a, const char *text, size_t len, bool tls);
void upstream_authority_release(struct upstream_authority *a);
/* The process's one cache of names. */
struct upstream_names *upstream_names_of(struct upstream *u);
/* Headers that describe the connection or the framing: the transport's business, never the caller's. Pure. */
bool upstream_header_is_ours(const char *name);

/* The process's trusted certificates, loaded at the first use and kept. NULL when there are none. */
struct upstream_tls *upstream_tls_new(void);
void upstream_tls_freep(struct upstream_tls **t);
struct x509_store_st *upstream_tls_store(struct upstream_tls *t);
/* Context for HTTP/1.1 client connections, verifying or not. Borrowed. */
struct ssl_ctx_st *upstream_tls_client(struct upstream_tls *t, bool insecure);
/* A new client side for one connection to that host: server name sent, and checked unless insecure. NULL:
 * no memory, or a name that TLS does not take. */
struct ssl_st *upstream_tls_open(struct upstream_tls *t, const struct upstream_authority *a, bool insecure);

#endif

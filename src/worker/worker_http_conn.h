/* Inside of the HTTP server: what worker_http.c (server, evhttp), worker_http_conn.c (reading, deadlines, ends),
 * worker_http_req.c (accessors) and worker_http_reply.c (answers) share. Nobody else includes this.
 */
#ifndef HALE_WORKER_HTTP_CONN_H
#define HALE_WORKER_HTTP_CONN_H

#include "hale/hale.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "hale/conf.h"
#include "hale/outcome.h"
#include "hale/strbuf.h"
#include "worker_http.h"
#include "worker_http_strict.h"

struct evbuffer;
struct evconnlistener;
struct evhttp;
struct evhttp_bound_socket;
struct evhttp_connection;

#define HTTP_LINGER_MS 2000       /* how long a connection that we end may still read our last answer */
#define HTTP_DRAIN_IDLE_MS 1000   /* while draining, an idle connection is kept this long for a request in flight */
#define HTTP_PROBE_MS 20          /* after a half-close: first look whether the client is gone; doubles */
#define HTTP_PROBE_MAX_MS 30000
#define HTTP_PROBE_WRITE_MS 1000  /* looks that are this far apart also write again */
#define HTTP_KEEP_BYTES 4096      /* larger head and body buffers are given back between requests */
#define HTTP_LISTENERS_MAX 16
#define HTTP_SCRATCH_BYTES 65536

enum http_phase {
	HTTP_FRESH,   /* accepted; evhttp has not finished with it */
	HTTP_IDLE,    /* waiting for the first byte of a request */
	HTTP_IN_HEAD,
	HTTP_IN_BODY,
	HTTP_RUNNING, /* the handler has it */
	HTTP_FLUSH,   /* answered, bytes still to be written */
	HTTP_LINGER,  /* our side is shut, input is thrown away until the client closes or HTTP_LINGER_MS */
	HTTP_TAKEN,   /* left HTTP */
	HTTP_DEAD,    /* freed by the next run of the server's work */
};

/* How the answer tells its end. */
enum http_reply_form { HTTP_REPLY_NONE, HTTP_REPLY_SIZED, HTTP_REPLY_CHUNKED, HTTP_REPLY_TO_CLOSE, HTTP_REPLY_BODYLESS };

/* Bytes received and not used yet. They live in the server's scratch buffer while a read is worked on, in
 * memory of the connection only when something stays over: an idle connection has none. */
struct http_input {
	const char *p;
	size_t len;
	char *own; /* NULL, or what p points into */
	size_t cap;
};

/* One connection and the one request that may be on it. */
struct http_req {
	struct http_server *server;
	TAILQ_ENTRY(http_req) link, work;
	struct bufferevent *bev;         /* HTTP_FRESH: evhttp's */
	struct bufferevent *taken;       /* HTTP_TAKEN: the new owner's */
	struct evhttp_connection *evcon; /* owns fd; NULL while HTTP_FRESH */
	int fd;
	struct event readable, writable, timer;
	enum http_phase phase;
	bool queued;     /* on the server's work list */
	bool served;     /* had a request before: idle timeout, not head timeout, and no 408 */
	bool skipped;    /* the one empty line before a request line was seen */
	bool eof;        /* the client has shut its side */
	bool broken;     /* a write failed: the client is gone, the handler is told by the next run */
	bool close;      /* no further request on this connection */
	bool reset;      /* end with RST: a clean end would look like a complete answer */
	bool paused;     /* reply_chunk said false */
	bool listed;     /* counted by http_server.nrunning */
	bool refused;    /* accepted over the limit */
	bool counted;    /* in COUNTER_CONNECTIONS_OPEN */
	uint32_t probe_ms;
	uint64_t start_ns;

	struct http_input in;
	char *text;      /* the head */
	size_t text_cap;
	char *query;     /* decoded pairs: name NUL value NUL ... NUL */
	struct http_scan scan;
	struct http_head head;
	struct http_chunked chunked;
	char *body;
	size_t body_len, body_cap;

	void (*gone)(void *arg);
	void (*drained)(void *arg);
	void *arg;
	enum http_reply_form form;
	uint64_t reply_left;  /* HTTP_REPLY_SIZED */
	struct strbuf extra;  /* header lines that the handler added */
	struct evbuffer *out; /* what the socket did not take; NULL: nothing */
	char peer[48];
};

TAILQ_HEAD(http_req_list, http_req);

struct http_server {
	struct event_base *base;
	const struct conf_limits *limits;
	struct http_bounds bounds;
	struct htable *table;
	unsigned worker;
	http_handler_f handler;
	void *arg;
	struct evhttp *http;
	struct {
		struct evconnlistener *listener;
		struct evhttp_bound_socket *bound;
	} listen[HTTP_LISTENERS_MAX];
	unsigned nlisten;
	struct event *work_event, *tick_event;
	struct http_req_list conn, work;
	unsigned nconn, nrefused, nrunning;
	size_t input_max;      /* of one connection: a head, and some more */
	char *scratch;         /* HTTP_SCRATCH_BYTES */
	bool draining, freeing;
	struct http_req *detaching; /* who is in http_detach() right now */
	int64_t date_s;
	char date[32];
};

void http_count(const struct http_server *s, enum counter c, int64_t by);
/* Runs worker_http.c's work for r after the current callbacks; nothing below frees r before that. */
void http_queue(struct http_req *r);

/* worker_http_conn.c */
/* Goes on with what was received. */
void http_conn_advance(struct http_req *r);
void http_conn_read_cb(int fd, short what, void *arg);
void http_conn_timer_cb(int fd, short what, void *arg);
void http_conn_arm(struct http_req *r, uint32_t ms);
/* Phase HTTP_IDLE with its deadline. */
void http_conn_idle(struct http_req *r);
/* The client is gone: tells the handler, then ends the connection. */
void http_conn_gone(struct http_req *r);
/* Everything of the finished answer is written. */
void http_conn_flushed(struct http_req *r);
/* Answers with the JSON error of f and ends the connection. */
void http_conn_refuse(struct http_req *r, enum http_fault f);
void http_conn_kill(struct http_req *r);

/* worker_http_req.c: decoded pairs, the caller's to free. */
char *http_query_split(const char *query);

/* worker_http_input.c */
/* One recv(). > 0: bytes were added; 0: end of input; -1: nothing now; -2: the connection is broken. */
int http_input_read(struct http_req *r);
/* Drops n bytes at the front. */
void http_input_drop(struct http_req *r, size_t n);
/* Moves what is left out of the server's scratch buffer: before a handler runs and before the next read. */
void http_input_keep(struct http_req *r);
void http_input_clear(struct http_req *r);

/* worker_http_reply.c */
void http_write_cb(int fd, short what, void *arg);
/* Sends now what the socket takes and keeps the rest. */
void http_write(struct http_req *r, struct iovec *iov, int n);
size_t http_pending(const struct http_req *r);

#endif

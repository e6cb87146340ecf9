/* The worker's HTTP server, as its handlers see it. Nothing here names the engine behind it.
 *
 * Life of a request: the server parses head and body within its limits and deadlines, calls the
 * handler once with a complete request; the handler answers now or later with reply functions. Whoever
 * holds a struct http_req after the handler returned must have set a gone callback: after it fired
 * (or after reply_end / reply) the pointer is dead.
 */
#ifndef HALE_WORKER_HTTP_H
#define HALE_WORKER_HTTP_H

#include "hale/hale.h"
#include "hale/provider.h"

struct bufferevent;
struct conf_limits;
struct event_base;
struct htable;
struct http_req;
struct http_server;
struct strbuf;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS, HTTP_PATCH };

typedef void (*http_handler_f)(struct http_req *r, void *arg);

/* counters go to worker w's lines of t (NULL: not counted). limits must outlive the server. SIGPIPE must be
 * ignored. */
struct http_server *worker_http_new(struct event_base *base, const struct conf_limits *limits, struct htable *t,
                                    unsigned w, http_handler_f handler, void *arg);
/* Serves an already listening, non-blocking socket. 0 or HALE_ESYS. The descriptor stays the caller's. */
int worker_http_listen(struct http_server *s, int fd);
/* Stops accepting: connections not yet taken stay in the sockets for a successor. Every answer from now on
 * is the last one of its connection (Connection: close); connections without a request are kept for another
 * second, so that a request already on its way is answered, then closed. */
void worker_http_drain(struct http_server *s);
unsigned worker_http_connections(const struct http_server *s);
unsigned worker_http_requests(const struct http_server *s); /* taken, not yet answered */
void worker_http_freep(struct http_server **s);

/* The request. All pointers borrowed, valid until the request ends. */
enum http_method http_req_method(const struct http_req *r);
const char *http_req_path(const struct http_req *r);                    /* percent-decoded, without query */
const char *http_req_query(const struct http_req *r, const char *name); /* decoded first value; NULL if absent */
const char *http_req_raw_query(const struct http_req *r);               /* as sent, escapes checked; NULL if absent */
const char *http_req_header(const struct http_req *r, const char *name); /* any case; NULL if absent */
const char *http_req_body(struct http_req *r, size_t *len);            /* contiguous; "" when empty */
const char *http_req_peer(const struct http_req *r);                    /* numeric address */
bool http_req_peer_is_loopback(const struct http_req *r);
uint64_t http_req_start_ns(const struct http_req *r);
/* Visits every header in order. */
void http_req_each_header(const struct http_req *r, void (*f)(void *arg, const char *name, const char *value), void *arg);

/* gone: the client closed or the write timed out; nothing may be sent any more. A client that shut
 * only its sending side still gets its answer. drained: see reply_chunk. Neither is called from
 * inside a reply function. drained may be NULL. */
void http_req_watch(struct http_req *r, void (*gone)(void *arg), void (*drained)(void *arg), void *arg);

/* Adds a header to the answer; before reply or reply_begin. name and value are copied and checked (a value
 * with CR, LF or NUL is dropped and logged). */
void http_reply_header(struct http_req *r, const char *name, const char *value);
/* Whole answer with Content-Length; ends the request. For HEAD the body is left out, its length kept. */
void http_reply(struct http_req *r, int status, const char *content_type, const void *body, size_t len);
void http_reply_strbuf(struct http_req *r, int status, const char *content_type, const struct strbuf *b);
/* Answer in pieces: chunked, or with the given length when length >= 0. */
void http_reply_begin(struct http_req *r, int status, const char *content_type, int64_t length);
/* false: client_buffer_bytes_max is exceeded; stop and wait for the drained callback. The piece was taken. */
bool http_reply_chunk(struct http_req *r, const void *data, size_t len);
void http_reply_end(struct http_req *r);
/* Closes the connection without a proper end: the client must see that the answer is not complete. */
void http_reply_abort(struct http_req *r);
/* Leaves HTTP: the caller drives the connection (bytes already read are in its input buffer, callbacks and
 * watermarks are cleared). r lives on for one purpose: http_reply_abort(r) closes and frees it all; the
 * bufferevent is not to be freed by the caller. gone fires only when the server itself is freed. */
struct bufferevent *http_req_take_over(struct http_req *r);

#endif

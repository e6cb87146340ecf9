/* What the tests of upstream share: names that resolve, fail and hang as a test says, a server that is a
 * thread per connection and plays a script, and the real client on an event loop.
 *
 * Timers are small but nothing asserts how long anything took; a watchdog ends a test that would hang.
 */
#ifndef HALE_TESTS_UPSTREAM_FIXTURE_H
#define HALE_TESTS_UPSTREAM_FIXTURE_H

#include "hale/hale.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "hale/strbuf.h"
#include "hale/upstream.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

/* ---- names: name.test, other.test, two.test (::1 first), hole.test (127.0.0.9 first), slow.test ---- */

extern atomic_bool slow_gate; /* lookups of slow.test end while it is open */
extern atomic_uint slow_waiting, lookups;

/* ---- the server ---- */

struct tls_fixture {
	SSL_CTX *good, *wrong_name;
	char bundle[64];
};

extern struct tls_fixture tls; /* from group setup on */

enum then { KEEP, CLOSE, RESET, HANG };

struct script {
	const char *answer;
	size_t len; /* 0: strlen */
	enum then then;
	bool drip;       /* every byte in a segment of its own */
	bool deaf;       /* answers without reading the request */
	size_t await;    /* before a reset: the client has taken so many bytes of the body */
	const char *second_answer; /* the second request of a connection gets this and a close */
	unsigned second; /* how the second and later requests of a connection end: 0 as the first, 1 + enum then */
};

#define CONNS_MAX 8192

extern atomic_size_t client_bytes; /* of bodies, taken by the client */

struct server {
	int fd;
	uint16_t port;
	pthread_t thread, conn[CONNS_MAX];
	int conn_fd[CONNS_MAX];
	unsigned nconn;
	pthread_mutex_t lock;
	atomic_uint accepts, requests, open, resumed;
	atomic_size_t body_bytes;
	atomic_uint body_sum;
	struct script script;
	SSL_CTX *tls;
	char head[4096]; /* of the last request; read it after server_stop or when the answer arrived */
};

int listen_any(uint16_t *port);
/* ctx: over TLS */
struct server *server_start(const struct script *script, SSL_CTX *ctx);
void server_stop(struct server *s);

/* ---- the client ---- */

enum cancel { CANCEL_NEVER, CANCEL_IN_HEAD, CANCEL_IN_BODY };

/* Every test that makes calls runs over both transports; its state says which. */
extern char use_curl, use_direct;

#define DIRECT(f) {"direct: " #f, f, NULL, NULL, &use_direct}
#define BOTH(f) {"curl: " #f, f, NULL, NULL, &use_curl}, {"direct: " #f, f, NULL, NULL, &use_direct}

struct client {
	struct event_base *base;
	struct upstream *u;
	struct event *watchdog;
};

struct call {
	struct client *cl;
	struct upstream_call *c;
	struct event *resume;
	struct strbuf body, headers;
	unsigned heads, pieces, ends, pauses;
	unsigned pause_every; /* 0: never */
	bool paused, resume_inside;
	enum cancel cancel;
	unsigned restart; /* start so many more calls from end */
	const struct upstream_request *request;
	struct upstream_result result;
	char text[256];
	bool done;
};

struct target {
	struct endpoint e;
	struct upstream_request r;
	char url[128];
};

void client_open(struct client *cl, void **state, const struct upstream_limits *l);
void client_close(struct client *cl);
void client_wait(struct client *cl, const struct call *k);
/* Runs what is ready without waiting. */
void client_turn(struct client *cl);

extern const struct upstream_ops call_ops;
void call_init(struct call *k, struct client *cl);
void call_release(struct call *k);
void call_start(struct call *k, const struct upstream_request *r);

void target_init(struct target *t, const char *scheme, const char *host, uint16_t port);
/* One call to its end, against a server that plays sc; ctx: over TLS. */
void exchange(struct client *cl, const struct script *sc, struct call *k, SSL_CTX *ctx);

/* ---- a group of tests ---- */

int upstream_fixture_setup(void **state);
int upstream_fixture_teardown(void **state);

#endif

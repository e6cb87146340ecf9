/* An upgraded connection (WebSocket) to a provider, asynchronous on the event base of a struct upstream.
 *
 * A tunnel resolves, connects, verifies TLS and does the opening handshake by the same rules as any
 * other request to an upstream (names, trusted certificates, limits and error words are those of
 * upstream.h); then it hands over a bufferevent and is out of the way: what the bytes mean is the
 * caller's business. Used by worker and prober.
 */
#ifndef HALE_TUNNEL_H
#define HALE_TUNNEL_H

#include "hale/upstream.h"

struct bufferevent;
struct tunnel;

#define TUNNEL_BODY_MAX 65536 /* of an answer that is not 101 */

struct tunnel_request {
	const struct endpoint *endpoint; /* read at start only; always a GET */
	const char *query;               /* goes behind the URL's own query; without '?'; NULL: nothing */
	/* Besides the endpoint's; copied at start. Host, framing, connection and handshake headers are
	 * left out, but Sec-WebSocket-Protocol and -Extensions are offers of the caller. */
	const struct http_header *header;
	unsigned nheader;
	uint32_t connect_ms; /* resolve, connect and TLS; 0: only total_ms counts */
	uint32_t total_ms;   /* until the answer is complete; 0: no such limit */
	bool insecure_tls;
};

/* Everything is borrowed for the callback, except bev. */
struct tunnel_result {
	enum upstream_error error; /* UPSTREAM_OK: an answer arrived; it is an open tunnel when bev is not NULL */
	enum upstream_phase phase;
	int status; /* 0 when none arrived */
	uint32_t total_us;
	const char *text; /* for logs; no secrets */
	const struct http_header *header;
	unsigned nheader;
	const char *body; /* of an answer that is not 101; a prefix when body_cut */
	size_t body_len;
	bool body_cut;
	/* The open connection: callbacks and watermarks are cleared, reading and
	 * writing are disabled, bytes behind the answer's head are in its input. It
	 * belongs to the tunnel: ends with tunnel_freep(). */
	struct bufferevent *bev;
};

/* Once, from the loop, never from inside tunnel_start(). Without r->bev the tunnel is
 * gone when this returns and must not be freed; with it the tunnel lives until
 * tunnel_freep(), which may be called from here. */
typedef void (*tunnel_done_f)(void *arg, const struct tunnel_result *r);

/* NULL with *err UPSTREAM_ELIMIT (connections_max) or UPSTREAM_EPROTOCOL
 * (bad URL or header); done is not called. */
struct tunnel *tunnel_start(struct upstream *u, const struct tunnel_request *r, tunnel_done_f done, void *arg,
                            enum upstream_error *err);
/* Cancels, or closes at once; done is not called any more. */
void tunnel_freep(struct tunnel **t);
/* Nothing more will be written; the output must be empty. The other direction stays open. */
void tunnel_shut(struct tunnel *t);

#endif

/* Outcomes of real traffic and counters: lines of the shared segment that one worker writes and everybody
 * may sum, so that any worker's answer speaks for the whole daemon.
 */
#ifndef HALE_OUTCOME_H
#define HALE_OUTCOME_H

#include "hale/htable.h"

/* Failure classes that matter to routing. */
enum outcome_class {
	OUTCOME_OK = 0,
	OUTCOME_RATE_LIMITED,
	OUTCOME_UNAUTHORIZED, /* 401, 403 */
	OUTCOME_CLIENT,       /* other 4xx: the request's fault */
	OUTCOME_SERVER,       /* 5xx */
	OUTCOME_TIMEOUT,
	OUTCOME_CONNECT,      /* resolve, connect, TLS */
	OUTCOME_BROKEN,       /* reset, bad or cut answer, empty 200 */
	OUTCOME_COUNT
};
const char *outcome_name(enum outcome_class c);

/* The class of an error status (>= 400). */
enum outcome_class outcome_of_status(int status);

#define OUTCOME_BUCKETS 11 /* latency histogram: upper bounds 1 ms * 4^k (1 ms .. 262 s), the last one unbounded */

struct outcome_view {
	uint64_t count[OUTCOME_COUNT];
	uint64_t latency[OUTCOME_BUCKETS]; /* each worker's part counts modulo 2^32 */
	uint64_t last_ok_ns, last_fail_ns; /* monotonic, 0: never */
	uint32_t inflight;
};

/* Per worker. Keep counter_name() in step. */
enum counter {
	COUNTER_CONNECTIONS,          /* accepted */
	COUNTER_CONNECTIONS_OPEN,     /* gauge */
	COUNTER_CONNECTIONS_REFUSED,  /* over client_connections_max */
	COUNTER_REQUESTS,             /* parsed */
	COUNTER_REQUESTS_OPEN,        /* gauge: answered later than now */
	COUNTER_REQUESTS_BAD,         /* refused by the HTTP layer */
	COUNTER_UNAUTHORIZED,
	COUNTER_HEADERS_TOO_LARGE,
	COUNTER_BODY_TOO_LARGE,
	COUNTER_CLIENT_TIMEOUT,
	COUNTER_CLIENT_GONE,
	COUNTER_RELAYED,              /* requests that reached an upstream */
	COUNTER_STREAMS,
	COUNTER_STREAMS_BROKEN,       /* ended with an error event */
	COUNTER_RETRIES,
	COUNTER_SAFETY_NET,           /* routed although every deployment was unhealthy */
	COUNTER_NO_DEPLOYMENT,
	COUNTER_ROUNDS,               /* on-demand probe rounds asked for */
	COUNTER_ROUNDS_JOINED,        /* GET /health answered by a round of another request */
	COUNTER_ROUNDS_REFUSED,       /* over health_waiters_max */
	COUNTER_UPSTREAM_LIMIT,       /* over upstream_connections_max */
	COUNTER_BUFFER_PAUSES,        /* upstream paused for a slow client; in sessions also the other way */
	COUNTER_SESSIONS,             /* realtime sessions opened */
	COUNTER_SESSIONS_OPEN,        /* gauge, with those whose upstream has not answered yet */
	COUNTER_SESSIONS_REFUSED,     /* over realtime_sessions_max */
	COUNTER_COUNT
};
const char *counter_name(enum counter c);

/* Writer side: worker w itself, in its own lines. Relaxed stores, no locks. */
void outcome_begin(struct htable *t, unsigned w, uint32_t i);                       /* in-flight + 1 */
void outcome_end(struct htable *t, unsigned w, uint32_t i, enum outcome_class c, uint32_t latency_us, uint64_t now_ns);
void outcome_dropped(struct htable *t, unsigned w, uint32_t i); /* client gone: in-flight - 1, nobody's failure */
void counter_add(struct htable *t, unsigned w, enum counter c, int64_t by);

/* Reader side: sums over all workers (w < 0) or one. */
void outcome_read(const struct htable *t, int w, uint32_t i, struct outcome_view *out);
uint64_t counter_read(const struct htable *t, int w, enum counter c);
/* In-flight requests of deployment i over all workers: the part of outcome_read() that routing needs. */
uint32_t outcome_inflight(const struct htable *t, uint32_t i);

#endif

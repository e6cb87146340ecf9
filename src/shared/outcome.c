/* Outcomes of real traffic and counters, in the shared segment.
 *
 * One worker writes a line, everybody may read it. Because nobody else writes, "add" is a plain load and
 * store of relaxed atomics: no locked instruction on the request path. Sums over workers are not a snapshot;
 * each figure is exact for some moment during the call, which is all that a metric promises.
 */
#include "hale/hale.h"

#include "hale/outcome.h"

#include "htable_layout.h"

/* Single writer: the value cannot change between the two steps. */
#define OUTCOME_ADD(p, by) \
	atomic_store_explicit((p), atomic_load_explicit((p), memory_order_relaxed) + (by), memory_order_relaxed)
#define OUTCOME_GET(p) atomic_load_explicit((p), memory_order_relaxed)

static const char *const outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_OK] = "ok",
	[OUTCOME_RATE_LIMITED] = "rate_limited",
	[OUTCOME_UNAUTHORIZED] = "unauthorized",
	[OUTCOME_CLIENT] = "client_error",
	[OUTCOME_SERVER] = "server_error",
	[OUTCOME_TIMEOUT] = "timeout",
	[OUTCOME_CONNECT] = "connect_error",
	[OUTCOME_BROKEN] = "broken",
};

static const char *const outcome_counters[COUNTER_COUNT] = {
	[COUNTER_CONNECTIONS] = "connections",
	[COUNTER_CONNECTIONS_OPEN] = "connections_open",
	[COUNTER_CONNECTIONS_REFUSED] = "connections_refused",
	[COUNTER_REQUESTS] = "requests",
	[COUNTER_REQUESTS_OPEN] = "requests_open",
	[COUNTER_REQUESTS_BAD] = "requests_bad",
	[COUNTER_UNAUTHORIZED] = "unauthorized",
	[COUNTER_HEADERS_TOO_LARGE] = "headers_too_large",
	[COUNTER_BODY_TOO_LARGE] = "body_too_large",
	[COUNTER_CLIENT_TIMEOUT] = "client_timeout",
	[COUNTER_CLIENT_GONE] = "client_gone",
	[COUNTER_RELAYED] = "relayed",
	[COUNTER_STREAMS] = "streams",
	[COUNTER_STREAMS_BROKEN] = "streams_broken",
	[COUNTER_RETRIES] = "retries",
	[COUNTER_SAFETY_NET] = "safety_net",
	[COUNTER_NO_DEPLOYMENT] = "no_deployment",
	[COUNTER_ROUNDS] = "rounds",
	[COUNTER_ROUNDS_JOINED] = "rounds_joined",
	[COUNTER_ROUNDS_REFUSED] = "rounds_refused",
	[COUNTER_UPSTREAM_LIMIT] = "upstream_limit",
	[COUNTER_BUFFER_PAUSES] = "buffer_pauses",
	[COUNTER_SESSIONS] = "sessions",
	[COUNTER_SESSIONS_OPEN] = "sessions_open",
	[COUNTER_SESSIONS_REFUSED] = "sessions_refused",
};

const char *
outcome_name(enum outcome_class c)
{
	return (unsigned)c < OUTCOME_COUNT ? outcome_names[c] : "unknown";
}

enum outcome_class
outcome_of_status(int status)
{
	switch (status) {
	case 401:
	case 403: return OUTCOME_UNAUTHORIZED;
	case 408: return OUTCOME_TIMEOUT;
	case 429: return OUTCOME_RATE_LIMITED;
	default: return status >= 500 ? OUTCOME_SERVER : OUTCOME_CLIENT;
	}
}

const char *
counter_name(enum counter c)
{
	return (unsigned)c < COUNTER_COUNT ? outcome_counters[c] : "unknown";
}

void
outcome_begin(struct htable *t, unsigned w, uint32_t i)
{
	OUTCOME_ADD(&htable_at_outcome(t, w, i)->inflight, 1);
}

/* After a master that took the worker for dead, or a caller's slip, the gauge stops at zero. */
static void
outcome_leave(struct htable_outcome *o)
{
	if (OUTCOME_GET(&o->inflight))
		OUTCOME_ADD(&o->inflight, (uint32_t)-1);
}

void
outcome_end(struct htable *t, unsigned w, uint32_t i, enum outcome_class c, uint32_t latency_us, uint64_t now_ns)
{
	struct htable_outcome *o = htable_at_outcome(t, w, i);
	uint32_t bound_us = 1000;
	unsigned bucket = 0;

	HALE_ASSERT((unsigned)c < OUTCOME_COUNT);
	while (bucket < OUTCOME_BUCKETS - 1 && latency_us > bound_us) {
		bucket++;
		bound_us *= 4; /* the last bound, 262 s, is below 2^32 */
	}
	OUTCOME_ADD(&o->count[c], 1);
	OUTCOME_ADD(&o->latency[bucket], 1);
	atomic_store_explicit(c == OUTCOME_OK ? &o->last_ok_ns : &o->last_fail_ns, now_ns, memory_order_relaxed);
	outcome_leave(o);
}

void
outcome_dropped(struct htable *t, unsigned w, uint32_t i)
{
	outcome_leave(htable_at_outcome(t, w, i));
}

void
counter_add(struct htable *t, unsigned w, enum counter c, int64_t by)
{
	HALE_ASSERT((unsigned)c < COUNTER_COUNT);
	OUTCOME_ADD(&htable_at_counters(t, w)->value[c], (uint64_t)by);
}

/* Workers to sum over: all, or one. */
static void
outcome_range(const struct htable *t, int w, unsigned *from, unsigned *to)
{
	HALE_ASSERT(w < (int)t->workers);
	*from = w < 0 ? 0 : (unsigned)w;
	*to = w < 0 ? t->workers : (unsigned)w + 1;
}

void
outcome_read(const struct htable *t, int w, uint32_t i, struct outcome_view *out)
{
	unsigned from, to;

	*out = (struct outcome_view){0};
	outcome_range(t, w, &from, &to);
	for (unsigned k = from; k < to; k++) {
		const struct htable_outcome *o = htable_at_outcome(t, k, i);
		uint64_t ok = OUTCOME_GET(&o->last_ok_ns), fail = OUTCOME_GET(&o->last_fail_ns);

		for (unsigned c = 0; c < OUTCOME_COUNT; c++)
			out->count[c] += OUTCOME_GET(&o->count[c]);
		for (unsigned b = 0; b < OUTCOME_BUCKETS; b++)
			out->latency[b] += OUTCOME_GET(&o->latency[b]);
		out->last_ok_ns = ok > out->last_ok_ns ? ok : out->last_ok_ns;
		out->last_fail_ns = fail > out->last_fail_ns ? fail : out->last_fail_ns;
		out->inflight += OUTCOME_GET(&o->inflight);
	}
}

uint32_t
outcome_inflight(const struct htable *t, uint32_t i)
{
	uint32_t n = 0;

	for (unsigned w = 0; w < t->workers; w++)
		n += OUTCOME_GET(&htable_at_outcome(t, w, i)->inflight);
	return n;
}

uint64_t
counter_read(const struct htable *t, int w, enum counter c)
{
	unsigned from, to;
	uint64_t n = 0;

	HALE_ASSERT((unsigned)c < COUNTER_COUNT);
	outcome_range(t, w, &from, &to);
	for (unsigned k = from; k < to; k++)
		n += OUTCOME_GET(&htable_at_counters(t, k)->value[c]);
	return n;
}

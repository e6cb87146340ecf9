/* Shared health table: the mapping and its read side.
 *
 * The master maps it before the first fork; every child inherits the mapping and turns all but its own lines
 * read-only. One 64-byte slot per deployment, each with its own sequence number, so a reader pays for the
 * slots it asks for and one slow slot never delays another.
 *
 * There is one writer, the prober. A reader never waits for it: after HTABLE_TRIES attempts it gets its own
 * last good copy. That is what keeps traffic flowing when the prober is descheduled or killed in the middle
 * of a store. Consistent is not the same as fresh: callers must look at view.checked_ns, and
 * htable_is_stale() is the only place that says what old means.
 *
 * The segment holds numbers and short texts only. No pointers, no struct that can differ between builds; the
 * layout hash in the header refuses a mapping made by another build, and every process keeps its own copy of
 * the offsets, so that nothing in the segment can lead a reader outside of it.
 */
#include "hale/hale.h"

#include "hale/htable.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hale/clock.h"
#include "hale/err.h"
#include "htable_layout.h"

static const char *const htable_states[] = {
	[HEALTH_UNKNOWN] = "unknown",
	[HEALTH_UP] = "healthy",
	[HEALTH_DOWN] = "unhealthy",
};

static const char *const htable_reasons[REASON_COUNT] = {
	[REASON_NONE] = "never_checked",
	[REASON_OK] = "ok",
	[REASON_RATE_LIMITED] = "rate_limited",
	[REASON_UNAUTHORIZED] = "unauthorized",
	[REASON_OUT_OF_FUNDS] = "out_of_funds",
	[REASON_NOT_FOUND] = "not_found",
	[REASON_BAD_PROBE] = "bad_probe",
	[REASON_SERVER_ERROR] = "server_error",
	[REASON_TIMEOUT] = "timeout",
	[REASON_CONNECT_ERROR] = "connect_error",
	[REASON_TLS_ERROR] = "tls_error",
	[REASON_BAD_BODY] = "bad_body",
	[REASON_NO_PROBE] = "no_probe",
	[REASON_RESTARTED] = "restarted",
};

const char *
health_state_name(enum health_state s)
{
	return htable_states[(unsigned)s < HALE_COUNT(htable_states) ? s : HEALTH_UNKNOWN];
}

const char *
health_reason_name(enum health_reason r)
{
	return htable_reasons[(unsigned)r < REASON_COUNT ? r : REASON_NONE];
}

const char *
health_source_name(enum health_source s)
{
	static const char *const names[SOURCE_COUNT] = {"probe", "identical", "traffic", "credential"};

	return names[(unsigned)s < SOURCE_COUNT ? s : SOURCE_PROBE];
}

uint64_t
htable_layout_hash(void)
{
	static const uint64_t fact[] = {
		HTABLE_VERSION,
		sizeof(struct htable_header), sizeof(struct htable_master_line), sizeof(struct htable_prober_line),
		sizeof(struct seqslot), sizeof(struct htable_detail_slot), sizeof(struct htable_ring),
		sizeof(struct htable_counters), sizeof(struct htable_outcome), sizeof(struct htable_view),
		offsetof(struct htable_view, checked_ns), offsetof(struct htable_view, changed_ns),
		offsetof(struct htable_view, until_ns), offsetof(struct htable_view, next_ns),
		offsetof(struct htable_view, state), offsetof(struct htable_view, rise),
		offsetof(struct htable_view, http_status), offsetof(struct htable_view, latency_us),
		offsetof(struct htable_view, cost_tokens),
		offsetof(struct htable_detail, ratelimit_requests), offsetof(struct htable_detail, ratelimit_tokens),
		offsetof(struct htable_detail, ms_region), offsetof(struct htable_detail, probes),
		offsetof(struct htable_detail, tokens_today), offsetof(struct htable_detail, day),
		offsetof(struct htable_outcome, last_ok_ns), offsetof(struct htable_outcome, latency),
		offsetof(struct htable_outcome, inflight),
		REASON_COUNT, OUTCOME_COUNT, COUNTER_COUNT, HTABLE_HISTORY,
	};
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a, a word at a time */

	for (size_t i = 0; i < HALE_COUNT(fact); i++)
		h = (h ^ fact[i]) * 0x100000001b3ULL;
	return h;
}

int
htable_header_check(const struct htable *t)
{
	const struct htable_header *h = htable_at_header(t);

	if (h->magic != HTABLE_MAGIC || h->version != HTABLE_VERSION || h->layout_hash != htable_layout_hash())
		return HALE_EINVAL;
	if (h->deployments != t->deployments || h->workers != t->workers || h->bytes != t->bytes)
		return HALE_EINVAL;
	if (h->master_off != t->master_off || h->prober_off != t->prober_off || h->health_off != t->health_off ||
	    h->detail_off != t->detail_off || h->history_off != t->history_off || h->head_off != t->head_off ||
	    h->worker_off != t->worker_off || h->worker_stride != t->worker_stride)
		return HALE_EINVAL;
	return 0;
}

static int
htable_protect_range(const struct htable *t, size_t from, size_t to)
{
	if (to > from && mprotect(t->base + from, to - from, PROT_READ) == -1)
		return HALE_ESYS;
	return 0;
}

int
htable_protect(struct htable *t, int w)
{
	size_t own = 0, end = 0; /* the range that stays writable */
	int rc = htable_header_check(t);

	if (rc)
		return rc;
	HALE_ASSERT(w < (int)t->workers);
	if (w >= 0) {
		own = t->worker_off + (size_t)w * t->worker_stride;
		end = own + t->worker_stride;
	} else if (w == HTABLE_PROBER) {
		own = t->prober_off;
		end = t->worker_off;
	}
	rc = htable_protect_range(t, 0, own);
	return rc ? rc : htable_protect_range(t, end, t->bytes);
}

bool
htable_read(const struct htable *t, uint32_t i, struct htable_view *out)
{
	const struct seqslot *s = htable_at_health(t, i);
	struct htable_view *last = &t->cache->view[i];
	uint64_t w[SEQSLOT_WORDS];

	for (int try = 0; try < HTABLE_TRIES; try++) {
		if (!seqslot_try_read(s, w))
			continue;
		memcpy(out, w, sizeof(*out));
		*last = *out;
		return true;
	}
	t->cache->busy++;
	*out = *last;
	return false;
}

/* Whatever a writer put there: texts end inside their field. */
static void
htable_detail_terminate(struct htable_detail *d)
{
	d->error[sizeof(d->error) - 1] = '\0';
	d->ratelimit_requests[sizeof(d->ratelimit_requests) - 1] = '\0';
	d->ratelimit_tokens[sizeof(d->ratelimit_tokens) - 1] = '\0';
	d->ms_region[sizeof(d->ms_region) - 1] = '\0';
}

bool
htable_read_detail(const struct htable *t, uint32_t i, struct htable_detail *out)
{
	const struct htable_detail_slot *s = htable_at_detail(t, i);
	struct htable_detail *last = &t->cache->detail[i];
	uint64_t w[HTABLE_DETAIL_WORDS];

	for (int try = 0; try < HTABLE_TRIES; try++) {
		if (!seqslot_try_read_words(&s->seq, s->w, w, HTABLE_DETAIL_WORDS))
			continue;
		memcpy(out, w, sizeof(*out));
		htable_detail_terminate(out);
		*last = *out;
		return true;
	}
	t->cache->busy++;
	*out = *last;
	return false;
}

uint64_t
htable_version(const struct htable *t, uint32_t i)
{
	/* Both only grow, so their sum does not come back. */
	return atomic_load_explicit(&htable_at_health(t, i)->seq, memory_order_acquire) +
	       atomic_load_explicit(&htable_at_detail(t, i)->seq, memory_order_acquire);
}

unsigned
htable_read_history(const struct htable *t, uint32_t i, uint64_t now_ns, struct htable_event *out)
{
	const struct htable_ring *r = htable_at_ring(t, i);
	uint64_t head = atomic_load_explicit(htable_at_head(t, i), memory_order_acquire);
	uint32_t now_s = (uint32_t)(now_ns / NS_PER_SEC);
	unsigned n = 0;

	for (uint64_t k = head; k > 0 && head - k < HTABLE_HISTORY; k--) {
		uint64_t word = atomic_load_explicit(&r->entry[(k - 1) % HTABLE_HISTORY], memory_order_relaxed);
		uint32_t at_s = (uint32_t)(word >> HTABLE_EVENT_SECONDS);

		if ((word & HTABLE_EVENT_LAP_MASK) != htable_event_lap(k - 1))
			break; /* overtaken: this and all older ones are being replaced */
		out[n++] = (struct htable_event){
			.age_s = now_s > at_s ? now_s - at_s : 0,
			.latency_ms = (uint16_t)(word >> HTABLE_EVENT_LATENCY),
			.state = (word >> HTABLE_EVENT_STATE) & 3,
			.reason = (word >> HTABLE_EVENT_REASON) & 31,
		};
	}
	return n;
}

bool
htable_is_stale(const struct htable_view *v, uint64_t now_ns, uint64_t threshold_ns)
{
	if (v->checked_ns == 0)
		return true;
	return now_ns > v->checked_ns && now_ns - v->checked_ns >= threshold_ns;
}

void
htable_read_daemon(const struct htable *t, struct htable_daemon *out)
{
	const struct htable_header *h = htable_at_header(t);
	const struct htable_master_line *m = htable_at_master(t);
	const struct htable_prober_line *p = htable_at_prober(t);

	*out = (struct htable_daemon){
		.generation = h->generation,
		.started_ns = h->started_ns,
		.started_real_ns = h->started_real_ns,
		.master_pid = h->master_pid,
		.workers = h->workers,
		.state = (enum daemon_state)atomic_load_explicit(&m->state, memory_order_relaxed),
		.reload_ok = atomic_load_explicit(&m->reload_ok, memory_order_relaxed) != 0,
		.prober_pid = (uint32_t)atomic_load_explicit(&p->pid, memory_order_relaxed),
		.prober_epoch = atomic_load_explicit(&p->epoch, memory_order_relaxed),
		.prober_heartbeat_ns = atomic_load_explicit(&p->heartbeat_ns, memory_order_relaxed),
		.cycle = atomic_load_explicit(&p->cycle, memory_order_relaxed),
		.db = (enum daemon_db)atomic_load_explicit(&p->db, memory_order_relaxed),
		.tokens_day = atomic_load_explicit(&p->tokens_day, memory_order_relaxed),
		.tokens_today = atomic_load_explicit(&p->tokens_today, memory_order_relaxed),
	};
	out->reload_real_ns = atomic_load_explicit(&m->reload_real_ns, memory_order_relaxed);
}

uint32_t
htable_count(const struct htable *t)
{
	return t->deployments;
}

unsigned
htable_workers(const struct htable *t)
{
	return t->workers;
}

size_t
htable_bytes(const struct htable *t)
{
	return t->bytes;
}

uint64_t
htable_busy_count(const struct htable *t)
{
	return t->cache->busy;
}

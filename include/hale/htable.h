/* The shared segment, read side: health of every deployment, facts about the daemon, sums of outcomes.
 *
 * The master maps one segment per config generation before it forks (htable_create); children
 * inherit it. Every 64-byte line has exactly one writer: the prober (health, detail, history, its
 * own line), one worker (its outcome and counter lines, see outcome.h) or the master (the daemon
 * line). Readers never wait: after HTABLE_TRIES attempts they get their last good copy.
 * docs/health-table.md has the byte map.
 *
 * Consistent is not the same as fresh: look at checked_ns through htable_is_stale().
 */
#ifndef HALE_HTABLE_H
#define HALE_HTABLE_H

#include "hale/hale.h"

struct conf;

#define HTABLE_TRIES 16
#define HTABLE_HISTORY 32       /* results kept per deployment */
#define HTABLE_ERROR_BYTES 320  /* last error text, NUL included, cut at a UTF-8 boundary */
#define HTABLE_HEADER_BYTES 40  /* each reported header value, NUL included */

enum health_state { HEALTH_UNKNOWN = 0, HEALTH_UP = 1, HEALTH_DOWN = 2 };

/* Why a deployment is in its state: the classes of prober_classify.c, and two of our own. */
enum health_reason {
	REASON_NONE = 0, /* never checked */
	REASON_OK,
	REASON_RATE_LIMITED,
	REASON_UNAUTHORIZED,
	REASON_OUT_OF_FUNDS,
	REASON_NOT_FOUND,
	REASON_BAD_PROBE, /* our payload was refused: says nothing about the deployment */
	REASON_SERVER_ERROR,
	REASON_TIMEOUT,
	REASON_CONNECT_ERROR,
	REASON_TLS_ERROR,
	REASON_BAD_BODY,
	REASON_NO_PROBE,  /* no probe can be built for this mode and provider */
	REASON_RESTARTED, /* the writer died in the middle of a publication */
	REASON_COUNT
};

const char *health_state_name(enum health_state s);   /* "unknown", "healthy", "unhealthy" */
const char *health_reason_name(enum health_reason r); /* "ok", "rate_limited" ... */

/* One slot's payload: 56 bytes, no padding, numbers only. All times CLOCK_MONOTONIC. */
struct htable_view {
	uint64_t id_hash;
	uint64_t checked_ns; /* end of the last probe; 0: never */
	uint64_t changed_ns; /* when state last changed */
	uint64_t until_ns;   /* cooldown deadline; 0: none */
	uint64_t next_ns;    /* next scheduled probe; 0: none */
	uint8_t state, reason, phase, adapt; /* enum health_state, health_reason, upstream_phase, probe_adapt */
	uint8_t rise, fall;  /* consecutive successes, failures; saturating */
	uint16_t http_status; /* 0: none arrived */
	uint32_t latency_us;
	uint32_t cost_tokens; /* tokens that the last probe was billed for; 0: not reported */
};
_Static_assert(sizeof(struct htable_view) == 56, "htable_view is seven words");

/* Where the verdict of a slot comes from. */
enum health_source {
	SOURCE_PROBE = 0,  /* its own probe */
	SOURCE_IDENTICAL,  /* the probe of a deployment whose request is the same */
	SOURCE_TRAFFIC,    /* a real request that succeeded made the probe unnecessary */
	SOURCE_CREDENTIAL, /* the probe of another deployment with the same key */
	SOURCE_COUNT
};

const char *health_source_name(enum health_source s); /* "probe", "identical", "traffic", "credential" */

#define HTABLE_VETOED 1u    /* the last probe failed, and real traffic shows that the probe was wrong */
#define HTABLE_ESTIMATED 2u /* the provider reports no usage: cost_tokens is an estimate */
#define HTABLE_LIMITED 4u   /* health_check_daily_token_limit is reached for `day` */

/* What numbers cannot say. Same scheme, own sequence. 440 + 64 bytes of payload. */
struct htable_detail {
	char error[HTABLE_ERROR_BYTES];
	char ratelimit_requests[HTABLE_HEADER_BYTES]; /* x-ratelimit-remaining-requests */
	char ratelimit_tokens[HTABLE_HEADER_BYTES];
	char ms_region[HTABLE_HEADER_BYTES];
	uint64_t probes, failures; /* since the slot exists */
	uint64_t cost_tokens_total;
	uint64_t tokens_today; /* that probes of this deployment cost on `day` */
	uint64_t skipped;      /* background probes that real traffic made unnecessary */
	uint64_t withheld;     /* background probes that a daily token limit held back */
	uint32_t day;          /* UTC days since 1970 */
	uint8_t source, flags; /* enum health_source, HTABLE_VETOED ... */
	uint16_t unused;
	uint64_t spare[1];
};
_Static_assert(sizeof(struct htable_detail) == 504, "htable_detail is 63 words");

/* One past result. */
struct htable_event {
	uint32_t age_s; /* before now */
	uint16_t latency_ms; /* saturating */
	uint8_t state, reason;
};

enum daemon_state { DAEMON_STARTING = 0, DAEMON_RUNNING = 1, DAEMON_DRAINING = 2 };
enum daemon_db { DAEMON_DB_NONE = 0, DAEMON_DB_CONNECTED = 1, DAEMON_DB_DISCONNECTED = 2 };

struct htable_daemon {
	uint64_t generation, started_ns, started_real_ns;
	uint32_t master_pid, workers;
	enum daemon_state state;    /* written by the master */
	uint64_t reload_real_ns;    /* last reload attempt, 0: none */
	bool reload_ok;
	uint32_t prober_pid;        /* written by the prober */
	uint64_t prober_epoch, prober_heartbeat_ns;
	uint64_t cycle;             /* background cycles completed */
	enum daemon_db db;
	uint64_t tokens_day, tokens_today; /* UTC day, and what probes of all deployments cost on it */
};

struct htable;

/* Maps a segment for c and nworkers, all deployments UNKNOWN. When old is not NULL, health, detail
 * and history of deployments with the same id are copied from it. Master, before the fork.
 * NULL: mmap failed (errno). */
struct htable *htable_create(const struct conf *c, unsigned nworkers, const struct htable *old,
                             const struct conf *old_conf);
/* Unmaps. NULL allowed. */
void htable_freep(struct htable **t);
/* Turns this process's view read-only except for its own lines: worker w >= 0 keeps its outcomes and
 * counters, HTABLE_PROBER the health part, HTABLE_NOBODY nothing. A stray store then kills the culprit,
 * not the table. After the fork, once. 0; HALE_ESYS; HALE_EINVAL: the header is not ours. */
#define HTABLE_NOBODY (-1)
#define HTABLE_PROBER (-2)
int htable_protect(struct htable *t, int w) HALE_MUST_USE;

/* Consistent copy of slot i. false: the writer was busy HTABLE_TRIES times, *out is this process's last
 * good copy (state UNKNOWN when there is none). Never blocks. Any process. */
bool htable_read(const struct htable *t, uint32_t i, struct htable_view *out);
bool htable_read_detail(const struct htable *t, uint32_t i, struct htable_detail *out);
/* Another number whenever slot i (view or detail) was published since; read it before the slot. */
uint64_t htable_version(const struct htable *t, uint32_t i);
/* Newest first; returns how many were written to out (at most HTABLE_HISTORY). */
unsigned htable_read_history(const struct htable *t, uint32_t i, uint64_t now_ns, struct htable_event *out);
/* True when the view is too old to count: never checked, or age >= threshold. Pure. */
bool htable_is_stale(const struct htable_view *v, uint64_t now_ns, uint64_t threshold_ns);
void htable_read_daemon(const struct htable *t, struct htable_daemon *out);
uint32_t htable_count(const struct htable *t); /* deployments */
unsigned htable_workers(const struct htable *t);
size_t htable_bytes(const struct htable *t);
/* Reads that fell back to the last good copy, this process. */
uint64_t htable_busy_count(const struct htable *t);

#endif

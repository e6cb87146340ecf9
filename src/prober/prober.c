/* The prober process: the only one that probes, and the only writer of health.
 *
 * It owns no answer: results go into the shared segment, and who asked for a round is told that they are
 * there. State that must survive this process is in the segment as well (states, counters, the form of
 * probe that works, the next due time), so that a prober that died, or that a reload replaced, is
 * succeeded by one that goes on where it stopped, without probing everything again.
 *
 * One event loop, three sources of work: due times (the background loop, when it is configured), rounds that
 * workers ask for, and the ends of probes. All of them meet in prober_pump(), which starts what the
 * scheduler lets start. Only the event loop calls it, so a result never arrives inside the question.
 */
#include "hale/hale.h"

#include <event2/event.h>
#include <sys/resource.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/heritage.h"
#include "hale/htable_writer.h"
#include "hale/identity.h"
#include "hale/ipc.h"
#include "hale/log.h"
#include "hale/proc.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"
#include "prober_budget.h"
#include "prober_check.h"
#include "prober_cycle.h"
#include "prober_hosts.h"
#include "prober_publish.h"
#include "prober_round.h"
#include "prober_sched.h"
#include "prober_verdict.h"

#define PROBER_SHARDS 64          /* curl multis; see docs: one multi with thousands of hosts is slow */
#define PROBER_HEARTBEAT_S 1
#define PROBER_DEFER_NS NS_PER_SEC /* after our own connection bound stood in the way */
#define PROBER_DOUBT_NS (NS_PER_SEC / 10)
#define PROBER_FD_RESERVE 64       /* descriptors that are not probe connections */

struct prober {
	const struct heritage *heritage;
	const struct conf *conf;
	struct htable *table;
	struct event_base *base;
	struct event *control, *heartbeat, *due;
	struct upstream *upstream;
	struct prober_check_env env;
	struct prober_sched *sched;
	struct prober_rounds *rounds;
	struct prober_cycle cycle;
	struct identity id;
	struct prober_hosts hosts;
	struct prober_verdicts *verdicts;
	struct prober_budget *budget;
	struct prober_check **check; /* by leader: the probe in flight */
	uint64_t *since_ns;          /* by deployment: when that probe was due */
	uint64_t *next_ns;           /* by deployment: when the next one is due, 0: not scheduled */
	uint64_t *due_ns;            /* by leader: the earliest next_ns of those that its probe serves */
	bool *enabled;               /* by deployment: probed in the background */
	struct prober_thresholds thresholds;
	uint32_t running_max;
	bool draining;
};

/* --- one result --- */

/* What LiteLLM's background loop logs after a cycle. */
static void
prober_log_cycle(const struct prober *p, uint64_t duration_ns)
{
	uint32_t healthy = 0, unhealthy = 0, interval_s = p->conf->general.health_check_interval_s;
	unsigned long long id = p->cycle.number, ms = duration_ns / NS_PER_MS;
	struct htable_view v;

	if (duration_ns > interval_s * NS_PER_SEC)
		log_warn("background_health_check_cycle_duration_exceeded_interval cycle_id=bg-%llu duration_ms=%llu "
		         "interval_seconds=%u", id, ms, interval_s);
	if (!log_is_debug())
		return;
	for (uint32_t i = 0; i < p->conf->ndeployment; i++) {
		if (!p->enabled[i])
			continue;
		htable_read(p->table, i, &v);
		healthy += v.state != HEALTH_DOWN;
		unhealthy += v.state == HEALTH_DOWN;
	}
	log_debug("background_health_check_cycle_complete cycle_id=bg-%llu model_count_enabled=%u healthy_count=%u "
	          "unhealthy_count=%u duration_ms=%llu interval_seconds=%u", id, p->cycle.enabled, healthy, unhealthy,
	          ms, interval_s);
	if (p->conf->general.enable_health_check_routing)
		log_debug("health_check_routing_state_updated healthy=%u unhealthy=%u", healthy, unhealthy);
}

static void
prober_count(struct prober *p, uint32_t i, uint64_t now_ns)
{
	uint64_t took_ns = now_ns - p->since_ns[p->id.leader[i]], duration_ns;

	if (!prober_cycle_add(&p->cycle, p->enabled, p->conf->ndeployment, i, took_ns, &duration_ns))
		return;
	htable_heartbeat(p->table, now_ns, p->cycle.number);
	prober_log_cycle(p, duration_ns);
}

/* Does anybody who is served by leader i wait for a round? */
static bool
prober_is_asked(const struct prober *p, uint32_t i)
{
	uint32_t j = i;

	do
		if (prober_round_wants(p->rounds, j))
			return true;
	while ((j = p->id.same[j]) != i);
	return false;
}

static bool
prober_wants_cb(void *arg, uint32_t i)
{
	const struct prober *p = arg;
	const struct conf *c = p->conf;

	return p->enabled[i] || prober_round_wants(p->rounds, i) ||
	       (!c->general.background_health_checks && !c->deployment[i].probe.disabled);
}

static void
prober_published_cb(void *arg, uint32_t i, const struct htable_view *v)
{
	struct prober *p = arg;
	uint32_t leader = p->id.leader[i];

	p->next_ns[i] = v->next_ns;
	if (v->next_ns && (p->due_ns[leader] == 0 || v->next_ns < p->due_ns[leader]))
		p->due_ns[leader] = v->next_ns;
	prober_count(p, i, clock_mono_ns());
}

/* A probe that was planned for later happens now. Those who have none planned are not in our hands. */
static void
prober_doubt_cb(void *arg, uint32_t i)
{
	struct prober *p = arg;
	uint64_t soon_ns = clock_mono_ns() + PROBER_DOUBT_NS;

	if (!p->enabled[i] || p->draining || p->next_ns[i] <= soon_ns)
		return;
	p->next_ns[i] = soon_ns;
	prober_sched_at(p->sched, i, soon_ns);
}

static const struct prober_verdict_ops prober_verdicts_ops = {
	.wants = prober_wants_cb,
	.published = prober_published_cb,
	.doubt = prober_doubt_cb,
};

/* The probe of leader i ended, or could not begin, or was not needed. */
static void
prober_result(struct prober *p, uint32_t i, const struct prober_report *r)
{
	uint64_t now_ns = clock_mono_ns();
	struct prober_report counted;
	uint32_t j = i;

	p->check[i] = NULL;
	prober_sched_done(p->sched, i);
	prober_budget_end(p->budget, i);
	if (r->deferred) {
		log_limited(log_warn, "probe put off, hale_settings.probe_connections_max is in use connections=%u",
		            upstream_running(p->upstream));
		prober_sched_at(p->sched, i, now_ns + PROBER_DEFER_NS);
		return;
	}
	counted = *r;
	counted.limited = prober_budget_is_reached(p->budget, i, r->result.cost_tokens);
	p->due_ns[i] = 0;
	prober_verdict_apply(p->verdicts, i, &counted, now_ns);
	if (p->due_ns[i] && !p->draining)
		prober_sched_at(p->sched, i, p->due_ns[i]);
	do /* when all that follows from the verdict is in the table as well */
		prober_round_result(p->rounds, j);
	while ((j = p->id.same[j]) != i);
}

static void prober_pump(struct prober *p);

static void
prober_check_cb(void *arg, const struct deployment *d, const struct prober_report *r)
{
	struct prober *p = arg;

	prober_result(p, d->index, r);
	prober_pump(p);
}

/* --- what starts probes --- */

/* A real request has just shown what the probe would: its success stands in for it. */
static bool
prober_skip(struct prober *p, uint32_t i, const struct htable_view *v, uint64_t now_ns)
{
	uint64_t window_ns = p->conf->general.health_check_skip_if_traffic_s * NS_PER_SEC;
	struct policy_traffic traffic;
	struct prober_report r = {
		.source = SOURCE_TRAFFIC,
		.skipped = true,
		.result = {.reason = REASON_OK, .ok = true, .phase = UPSTREAM_DONE, .adapt = v->adapt, .http_status = 200,
		           .latency_us = v->latency_us},
	};

	if (window_ns == 0)
		return false;
	prober_verdict_traffic(p->verdicts, i, &traffic);
	if (!prober_policy_skips(&traffic, window_ns, now_ns))
		return false;
	prober_result(p, i, &r);
	return true;
}

/* A daily limit does not let leader i be probed in the background now. */
static bool
prober_hold_back(struct prober *p, uint32_t i, uint64_t now_ns)
{
	uint64_t next_ns = now_ns + PROBER_DEFER_NS;
	enum policy_budget budget = prober_budget_ask(p->budget, i);

	if (budget == POLICY_GO)
		return false;
	prober_sched_done(p->sched, i);
	if (budget == POLICY_SPENT)
		next_ns = prober_budget_withhold(p->budget, i, now_ns);
	p->next_ns[i] = next_ns;
	prober_sched_at(p->sched, i, next_ns);
	return true;
}

static void
prober_start(struct prober *p, uint32_t i, uint64_t now_ns)
{
	struct prober_report r;
	struct htable_view v;

	htable_read(p->table, i, &v);
	p->since_ns[i] = p->next_ns[i] && p->next_ns[i] < now_ns ? p->next_ns[i] : now_ns;
	if (!prober_is_asked(p, i) && (prober_skip(p, i, &v, now_ns) || prober_hold_back(p, i, now_ns)))
		return;
	prober_budget_begin(p->budget, i);
	prober_verdict_begin(p->verdicts, i, now_ns);
	p->check[i] = prober_check_start(&p->env, &p->conf->deployment[i], v.adapt, prober_check_cb, p, &r);
	if (!p->check[i])
		prober_result(p, i, &r);
}

/* Arms the timer for the earliest due time; at_once: for now. */
static void
prober_arm(struct prober *p, bool at_once)
{
	uint64_t due_ns = prober_sched_due(p->sched), now_ns = clock_mono_ns(), us;
	struct timeval tv = {0, 0};

	if (!at_once) {
		if (due_ns == PROBER_SCHED_NEVER)
			return;
		us = due_ns > now_ns ? (due_ns - now_ns + 999) / 1000 : 0;
		tv = (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
	}
	event_add(p->due, &tv);
}

static void
prober_pump(struct prober *p)
{
	uint64_t now_ns = clock_mono_ns();
	uint32_t i;

	while (prober_sched_next(p->sched, now_ns, &i))
		prober_start(p, i, now_ns);
	if (p->draining && prober_round_is_over(p->rounds))
		event_base_loopbreak(p->base);
	else
		prober_arm(p, false);
}

static void
prober_due_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	prober_pump(arg);
}

static void
prober_ask_cb(void *arg, uint32_t i)
{
	struct prober *p = arg;

	prober_sched_now(p->sched, p->id.leader[i]);
	prober_arm(p, true);
}

static void
prober_gone_cb(void *arg)
{
	prober_arm(arg, true);
}

static const struct prober_round_ops prober_rounds_ops = {.ask = prober_ask_cb, .gone = prober_gone_cb};

/* --- control --- */

/* No more background probes. Rounds go on until the workers of this generation are gone:
 * their last clients get fresh answers as well. */
static void
prober_drain(struct prober *p)
{
	if (p->draining)
		return;
	p->draining = true;
	log_debug("draining rounds=%u probes=%u", prober_round_open(p->rounds), prober_sched_running(p->sched));
	prober_sched_stop(p->sched);
	for (uint32_t i = 0; i < p->conf->ndeployment; i++)
		if (p->check[i] && !prober_is_asked(p, i)) {
			prober_check_cancel(p->check[i]);
			p->check[i] = NULL;
			prober_sched_done(p->sched, i);
			prober_budget_end(p->budget, i);
		}
	prober_arm(p, true);
}

static void
prober_control_cb(evutil_socket_t fd, short what, void *arg)
{
	struct prober *p = arg;
	struct ipc_msg m;
	int rc;

	(void)what;
	while ((rc = ipc_recv((int)fd, &m)) == 0 || rc == HALE_EINVAL)
		if (rc == 0 && m.type == IPC_DRAIN)
			prober_drain(p);
	if (rc != HALE_EBUSY) /* the master is dead: so are the workers soon */
		event_base_loopbreak(p->base);
}

static void
prober_heartbeat_cb(evutil_socket_t fd, short what, void *arg)
{
	struct prober *p = arg;
	uint64_t now_ns = clock_mono_ns();

	(void)fd;
	(void)what;
	htable_heartbeat(p->table, now_ns, p->cycle.number);
	prober_verdict_review(p->verdicts, now_ns);
	prober_arm(p, false); /* that may have made a probe due */
}

/* --- birth --- */

static void
prober_init_enabled(struct prober *p)
{
	const struct conf *c = p->conf;
	struct strbuf names;
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->ndeployment && c->general.background_health_checks; i++) {
		p->enabled[i] = conf_is_background(c, &c->deployment[i]);
		n += p->enabled[i];
	}
	prober_cycle_init(&p->cycle, p->enabled, c->ndeployment);
	if (!c->general.background_health_checks)
		return;
	log_info("background_health_check_loop_started interval_seconds=%u max_concurrency=%u shared=false details=%s "
	         "model_count_total=%u model_count_enabled=%u", c->general.health_check_interval_s, p->running_max,
	         c->general.health_check_details ? "true" : "false", c->ndeployment, n);
	if (n > 0 || !c->general.background_groups)
		return;
	strbuf_init(&names, 1024);
	for (const char *const *g = c->general.background_groups; *g; g++)
		strbuf_printf(&names, "%s'%s'", names.len ? ", " : "", *g);
	log_warn("background_health_check_model_groups matched no deployments; groups=[%s]", strbuf_str(&names));
	strbuf_release(&names);
}

/* When a deployment whose slot is v is due: as planned by our predecessor, at once when nothing is known.
 * first counts those that are due at once. */
static uint64_t
prober_adopt_due(const struct prober *p, const struct htable_view *v, uint64_t now_ns, uint32_t *first)
{
	uint64_t interval_ns = p->thresholds.interval_ns, latest_ns = now_ns + interval_ns + interval_ns / 10;
	uint64_t due_ns = v->next_ns ? v->next_ns : v->checked_ns + interval_ns;

	if (v->state == HEALTH_UNKNOWN || due_ns <= now_ns)
		return prober_sched_first((*first)++, p->conf->ndeployment, now_ns, interval_ns);
	return due_ns < latest_ns ? due_ns : latest_ns; /* the interval may be shorter than before */
}

static void
prober_init_schedule(struct prober *p)
{
	uint64_t now_ns = clock_mono_ns(), duration_ns;
	struct htable_view v;
	uint32_t first = 0;

	prober_verdict_inherit(p->verdicts);
	for (uint32_t i = 0; i < p->conf->ndeployment; i++) {
		htable_read(p->table, i, &v);
		v.id_hash = p->conf->deployment[i].id_hash;
		if (p->enabled[i]) {
			p->next_ns[i] = prober_adopt_due(p, &v, now_ns, &first);
			if (p->id.leader[i] == i)
				prober_sched_at(p->sched, i, p->next_ns[i]);
			if (v.checked_ns) /* known from before: the first cycle only waits for the others */
				prober_cycle_add(&p->cycle, p->enabled, p->conf->ndeployment, i, 0, &duration_ns);
		}
		prober_publish_adopt(p->table, i, p->next_ns[i], &v);
	}
	htable_heartbeat(p->table, now_ns, p->cycle.number);
}

/* Every probe in flight is a descriptor: takes as many as the system gives, and lives with that. */
static uint32_t
prober_init_limits(const struct conf *c)
{
	uint32_t max = c->limits.probe_connections_max, wanted = c->general.health_check_concurrency;
	struct rlimit l;

	if (wanted && (wanted < max || max == 0))
		max = wanted;
	if (max == 0)
		max = 1;
	if (getrlimit(RLIMIT_NOFILE, &l) == -1)
		return max;
	if (l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &l) == -1 || getrlimit(RLIMIT_NOFILE, &l) == -1)
			return max;
	}
	if (l.rlim_cur < (rlim_t)max + PROBER_FD_RESERVE) {
		max = l.rlim_cur > 2 * PROBER_FD_RESERVE ? (uint32_t)l.rlim_cur - PROBER_FD_RESERVE
		                                         : PROBER_FD_RESERVE;
		log_warn("fewer probes at once than configured: the limit of open files is low probes=%u", max);
	}
	return max;
}

static void
prober_init_tables(struct prober *p)
{
	const struct conf_general *g = &p->conf->general;
	uint32_t n = p->conf->ndeployment, host_max = p->conf->limits.upstream_host_connections_max;

	p->check = xcalloc(n + 1, sizeof(*p->check));
	p->since_ns = xcalloc(n + 1, sizeof(*p->since_ns));
	p->next_ns = xcalloc(n + 1, sizeof(*p->next_ns));
	p->due_ns = xcalloc(n + 1, sizeof(*p->due_ns));
	p->enabled = xcalloc(n + 1, sizeof(*p->enabled));
	p->thresholds = (struct prober_thresholds){
		.rise = g->health_check_rise,
		.fall = g->health_check_fall,
		.interval_ns = g->health_check_interval_s * NS_PER_SEC,
		.fast_ns = g->health_check_fast_interval_s * NS_PER_SEC,
		.down_ns = g->health_check_down_interval_s * NS_PER_SEC,
	};
	p->running_max = prober_init_limits(p->conf);
	prober_hosts_init(&p->hosts, p->conf,
	                  host_max && host_max < p->running_max ? host_max : p->running_max);
	p->sched = prober_sched_new(n, p->hosts.host, p->hosts.nhost, p->hosts.max, p->running_max);
	identity_init(&p->id, p->conf);
	p->budget = prober_budget_new(p->conf, p->table, &p->id);
	p->verdicts = prober_verdict_new(&(struct prober_verdict_env){
		.table = p->table,
		.conf = p->conf,
		.id = &p->id,
		.host = p->hosts.next,
		.background = &p->thresholds,
		.ops = &prober_verdicts_ops,
		.arg = p,
	}, clock_mono_ns());
}

static void
prober_init_events(struct prober *p)
{
	const struct heritage *h = p->heritage;
	struct upstream_limits limits = {
		.connections_max = p->running_max,
		.host_connections_max = p->conf->limits.upstream_host_connections_max,
		.idle_timeout_ms = p->conf->limits.upstream_idle_timeout_ms,
		.shards = PROBER_SHARDS,
	};

	p->base = event_base_new();
	if (!p->base)
		log_fatal(PROC_EXIT_CRASH, "event loop: cannot be made");
	p->upstream = upstream_new(p->base, &limits);
	p->env = (struct prober_check_env){.upstream = p->upstream, .conf = p->conf};
	p->rounds = prober_round_new(p->conf, p->base, h->round_fd, h->nworker, &prober_rounds_ops, p);
	p->control = event_new(p->base, h->control_fd, EV_READ | EV_PERSIST, prober_control_cb, p);
	p->heartbeat = event_new(p->base, -1, EV_PERSIST, prober_heartbeat_cb, p);
	p->due = event_new(p->base, -1, 0, prober_due_cb, p);
	HALE_ASSERT(p->control && p->heartbeat && p->due);
	event_add(p->control, NULL);
	event_add(p->heartbeat, &(struct timeval){.tv_sec = PROBER_HEARTBEAT_S});
}

static void
prober_release(struct prober *p)
{
	for (uint32_t i = 0; i < p->conf->ndeployment; i++)
		if (p->check[i])
			prober_check_cancel(p->check[i]);
	prober_round_freep(&p->rounds);
	upstream_freep(&p->upstream);
	event_free(p->control);
	event_free(p->heartbeat);
	event_free(p->due);
	event_base_free(p->base);
	prober_sched_freep(&p->sched);
	prober_cycle_release(&p->cycle);
	xfreep(&p->check);
	xfreep(&p->since_ns);
	xfreep(&p->next_ns);
	xfreep(&p->due_ns);
	prober_verdict_freep(&p->verdicts);
	prober_budget_freep(&p->budget);
	identity_release(&p->id);
	prober_hosts_release(&p->hosts);
	xfreep(&p->enabled);
}

int
prober_main(const struct heritage *h)
{
	struct prober p = {.heritage = h, .conf = h->conf, .table = h->table};
	unsigned repaired;

	proc_child_init("prober", -1, h->master_pid);
	log_init("prober", -1, h->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (htable_protect(h->table, HTABLE_PROBER) != 0)
		log_fatal(PROC_EXIT_CRASH, "shared segment: cannot be protected");
	repaired = htable_attach(h->table, clock_mono_ns());
	if (repaired)
		log_warn("slots that a dead prober left half-written start again as unknown slots=%u", repaired);
	prober_init_tables(&p);
	prober_init_enabled(&p);
	prober_init_events(&p);
	prober_init_schedule(&p);
	if (ipc_send(h->control_fd, &(struct ipc_msg){.type = IPC_READY}) != 0)
		log_fatal(PROC_EXIT_CRASH, "control socket: the master does not listen");
	prober_arm(&p, true);
	event_base_dispatch(p.base);
	prober_release(&p);
	return PROC_EXIT_ASKED;
}

/* The supervisor.
 *
 * It must outlive every bug in the other processes, so it does almost nothing: no event library, no
 * network input, no database, no health written to shared memory. Signals are blocked for good and
 * read from a signalfd, so none interrupts anything; the process sleeps in ppoll() on that and on the
 * control pipes. Each wakeup handles, in this order, dead children, their messages, what is due by the
 * clock, the reload request, the stop request. The order matters: a dead prober is reaped before a new
 * one is forked, which is what makes "one writer" true.
 *
 * State:   BOOT -> RUN -> RELOAD -> RUN ... -> DRAIN -> GONE
 * RELOAD keeps both generations until every new process reported IPC_READY (master_reload.c). DRAIN
 * can follow any state and is final: nothing is started again, everything is told to end, and whoever
 * did not within the configured time is killed. A second SIGTERM or SIGINT kills at once.
 */
#include "hale/hale.h"

#include "master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/htable_master.h"
#include "hale/log.h"
#include "hale/proc.h"
#include "hale/sdnotify.h"

/* Signals become data: blocked here for good, unblocked in children by proc_child_init(). */
static int
master_signals(struct master *m)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN); /* used by nobody; the default would end the service */
	signal(SIGUSR2, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* ignored by some parents, and then nothing could be reaped */
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return HALE_ESYS;
	m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return m->signal_fd == -1 ? HALE_ESYS : 0;
}

/* timeout(1) and some shells signal a process and at once its whole group: that is one wish, not two. */
static void
master_stop_signal(struct master *m, const struct signalfd_siginfo *s)
{
	uint64_t now_ns = clock_mono_ns();
	bool same = m->stop_signal == (int)s->ssi_signo && m->stop_sender == s->ssi_pid;

	if (same && now_ns - m->stop_ns < MASTER_STOP_TWICE_MS * NS_PER_MS)
		return;
	m->stop_signal = (int)s->ssi_signo;
	m->stop_sender = s->ssi_pid;
	m->stop_ns = now_ns;
	m->want_stop++;
	log_info("signal=SIG%s from pid=%u", sigabbrev_np((int)s->ssi_signo), s->ssi_pid);
}

static void
master_read_signals(struct master *m)
{
	struct signalfd_siginfo s;

	while (read(m->signal_fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		switch (s.ssi_signo) {
		case SIGCHLD:
			m->want_reap = true;
			break;
		case SIGHUP:
			if (s.ssi_code == SI_KERNEL) /* the terminal is gone: nobody asked for a reload */
				master_stop_signal(m, &s);
			else
				m->want_reload = true;
			break;
		default:
			master_stop_signal(m, &s);
		}
	}
}

/* As many descriptors as we may have: children inherit the limit, and nothing here uses select(). */
static void
master_raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1 || r.rlim_cur == r.rlim_max)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		log_warn("cannot raise the limit of open files: %s", strerror(errno));
}

/* The path must mean the same file at every reload. No realpath(): a symbolic link may get another target. */
static char *
master_absolute(const char *path)
{
	char *cwd, *out;
	size_t size;

	if (!path || path[0] == '/')
		return path ? xstrdup(path) : NULL;
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return xstrdup(path);
	size = strlen(cwd) + strlen(path) + 2;
	out = xmalloc(size);
	snprintf(out, size, "%s/%s", cwd, path);
	free(cwd);
	return out;
}

static unsigned
master_worker_count(unsigned asked)
{
	long n = asked ? (long)asked : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > MASTER_WORKERS_MAX ? MASTER_WORKERS_MAX : (unsigned)n;
}

/* Sockets from systemd or our own; 0 only when we may listen there. Nothing is accepted before. */
static int
master_open_sockets(struct master *m, bool have_key)
{
	const struct master_options *o = m->options;
	int inherited = sdnotify_listen_fds(), rc;

	m->host = inherited ? "systemd" : o->host ? o->host : have_key ? "0.0.0.0" : "127.0.0.1";
	if (inherited)
		rc = master_listen_inherit(&m->listen, MASTER_LISTEN_FIRST_FD, (unsigned)inherited,
		                           m->nworker);
	else
		rc = master_listen_open(&m->listen, m->host, o->port, m->nworker);
	if (rc == 0)
		rc = master_listen_permitted(m->listen.loopback, have_key, o->insecure, m->host);
	if (rc == 0)
		master_listen_log(&m->listen);
	return rc;
}

/* Everything up to the fork of the first generation. 0 or the exit code. */
static int
master_boot(struct master *m)
{
	struct conf *c;
	unsigned room;

	master_raise_limits();
	if (master_signals(m) != 0) {
		log_error("signals: %s", strerror(errno));
		return PROC_EXIT_CRASH;
	}
	c = master_reload_load(m);
	if (!c)
		return PROC_EXIT_CONFIG;
	if (master_open_sockets(m, c->general.master_key != NULL) != 0) {
		conf_freep(&c);
		return PROC_EXIT_CONFIG;
	}
	room = 1 + (MASTER_GENERATIONS_MAX + 1) * (m->nworker + 1);
	m->poll = xcalloc(room, sizeof(*m->poll));
	m->polled = xcalloc(room, sizeof(struct master_child *));
	m->current = master_generation_new(m, c);
	if (!m->current)
		return PROC_EXIT_CRASH;
	htable_set_daemon_state(m->current->table, DAEMON_STARTING);
	if (master_generation_start(m, m->current) != 0)
		master_stop(m, PROC_EXIT_CRASH);
	return 0;
}

/* The first generation is ready: the service is. */
static void
master_announce(struct master *m, uint64_t begun_ns)
{
	m->state = MASTER_RUN;
	htable_set_daemon_state(m->current->table, DAEMON_RUNNING);
	master_ready(m, begun_ns);
}

void
master_ready(struct master *m, uint64_t begun_ns)
{
	unsigned long long number = m->current->number, start_ms = (clock_mono_ns() - begun_ns) / NS_PER_MS;
	char status[96];

	m->current->phase = MASTER_SERVING;
	log_info("ready generation=%llu workers=%u port=%u start_ms=%llu", number, m->nworker, m->listen.port,
	         start_ms);
	snprintf(status, sizeof(status), "generation %llu serves, %u workers, port %u", number, m->nworker,
	         m->listen.port);
	sdnotify_ready(status);
}

/* SIGTERM: load balancers are told first and everything else goes on meanwhile, if that is configured. */
static void
master_announce_stop(struct master *m)
{
	uint32_t announce_ms = m->state == MASTER_RUN ? m->current->conf->limits.drain_announce_ms : 0;

	if (announce_ms == 0) {
		master_stop(m, PROC_EXIT_ASKED);
		return;
	}
	m->leave_ns = clock_mono_ns() + announce_ms * NS_PER_MS;
	sdnotify_stopping();
	log_info("announcing the end, drain_announce_ms=%u", announce_ms);
	htable_set_daemon_state(m->current->table, DAEMON_DRAINING);
}

void
master_stop(struct master *m, int exit_code)
{
	if (m->state == MASTER_DRAIN)
		return;
	m->state = MASTER_DRAIN;
	m->exit_code = exit_code;
	m->next = NULL;
	m->leave_ns = 0;
	sdnotify_stopping();
	log_info("draining exit_code=%d", exit_code);
	/* Readiness must say 503 before the first worker stops to accept. */
	for (struct master_generation *g = m->newest; g; g = g->older)
		htable_set_daemon_state(g->table, DAEMON_DRAINING);
	/* Our copies go first: a connection that comes when the last worker has closed its own is refused,
	 * and does not wait in a queue that nobody reads. */
	master_listen_release(&m->listen);
	for (struct master_generation *g = m->newest; g; g = g->older)
		master_generation_leave(g);
}

/* When something is due even if nothing happens; UINT64_MAX: never. */
static uint64_t
master_deadline(const struct master *m)
{
	uint64_t at_ns = master_child_deadline(m);

	return m->leave_ns && m->leave_ns < at_ns ? m->leave_ns : at_ns;
}

/* Sleeps until a signal, a message or the next deadline. */
static void
master_wait(struct master *m)
{
	uint64_t at_ns = master_deadline(m), now_ns = clock_mono_ns(), left_ns;
	struct timespec ts, *timeout = NULL;
	nfds_t n = 1;

	m->poll[0] = (struct pollfd){.fd = m->signal_fd, .events = POLLIN};
	for (struct master_generation *g = m->newest; g; g = g->older)
		for (unsigned i = 0; i < g->nchild; i++) {
			if (g->child[i].control_fd == -1)
				continue;
			m->poll[n] = (struct pollfd){.fd = g->child[i].control_fd, .events = POLLIN};
			m->polled[n++] = &g->child[i];
		}
	if (at_ns != UINT64_MAX) {
		left_ns = at_ns > now_ns ? at_ns - now_ns : 0;
		ts = (struct timespec){.tv_sec = (time_t)(left_ns / NS_PER_SEC),
		                       .tv_nsec = (long)(left_ns % NS_PER_SEC)};
		timeout = &ts;
	}
	if (ppoll(m->poll, n, timeout, NULL) == -1) {
		HALE_ASSERT(errno == EINTR || errno == ENOMEM); /* ENOMEM: the kernel's, it passes */
		return;
	}
	if (m->poll[0].revents)
		master_read_signals(m);
	if (m->want_reap) {
		m->want_reap = false;
		master_child_reap(m);
	}
	for (nfds_t i = 1; i < n; i++)
		if (m->polled[i]->control_fd == m->poll[i].fd && m->poll[i].revents)
			master_child_receive(m, m->polled[i], m->poll[i].revents);
}

static void
master_step_reload(struct master *m)
{
	if (!m->want_reload || m->state != MASTER_RUN || m->leave_ns)
		return; /* during BOOT and RELOAD the request waits; any number of them is one */
	if (master_generation_count(m) >= MASTER_GENERATIONS_MAX) {
		if (!m->reload_waits)
			log_warn("reload waits: %d generations still drain", MASTER_GENERATIONS_MAX - 1);
		m->reload_waits = true;
		return;
	}
	master_reload_begin(m);
}

static void
master_step_stop(struct master *m)
{
	if (m->leave_ns && (m->want_stop || m->leave_ns <= clock_mono_ns())) {
		m->want_stop -= m->want_stop > 0; /* asked again: no more waiting for load balancers */
		master_stop(m, PROC_EXIT_ASKED);
	}
	if (m->want_stop && m->state != MASTER_DRAIN && !m->leave_ns) {
		m->want_stop--;
		master_announce_stop(m);
	}
	if (m->want_stop && m->state == MASTER_DRAIN) {
		m->want_stop = 0;
		log_warn("asked to stop again: ending at once");
		for (struct master_generation *g = m->newest; g; g = g->older)
			master_generation_kill(g);
	}
}

static void
master_loop(struct master *m, uint64_t begun_ns)
{
	while (m->state != MASTER_GONE) {
		master_wait(m);
		master_child_timers(m, clock_mono_ns());
		if (m->state == MASTER_BOOT && master_generation_is_ready(m->current))
			master_announce(m, begun_ns);
		if (m->state == MASTER_RELOAD && master_generation_is_ready(m->next))
			master_reload_finish(m);
		master_generation_collect(m);
		master_step_reload(m);
		master_step_stop(m);
		if (m->state == MASTER_DRAIN && !m->newest)
			m->state = MASTER_GONE;
	}
}

int
master_run(const struct master_options *o)
{
	uint64_t begun_ns = clock_mono_ns();
	struct master m = {.options = o, .state = MASTER_BOOT, .signal_fd = -1, .pid = (int)getpid()};
	int rc;

	log_init("master", -1, o->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	proc_title("master");
	m.config = master_absolute(o->config);
	m.nworker = master_worker_count(o->num_workers);
	rc = master_boot(&m);
	if (rc == 0) {
		master_loop(&m, begun_ns);
		rc = m.exit_code;
		log_info("ended exit_code=%d uptime_s=%.3f", rc, (double)(clock_mono_ns() - begun_ns) / 1e9);
	}
	master_listen_release(&m.listen);
	if (m.signal_fd != -1)
		close(m.signal_fd);
	free(m.poll);
	free(m.polled);
	free(m.config);
	return rc;
}

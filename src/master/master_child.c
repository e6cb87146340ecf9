/* Children: birth, messages, death.
 *
 * A child gets exactly the descriptors that struct heritage names; everything else is closed at birth.
 * That is not tidiness: a worker that held the master's end of another child's control pair would hide
 * the master's death from that child.
 *
 * A slot's next process is forked only after its predecessor was reaped. For the prober this is what
 * makes "one writer" true (see htable_writer.h), for a worker it keeps its lines of the segment to one
 * process.
 */
#include "hale/hale.h"

#include "master.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/htable_master.h"
#include "hale/ipc.h"
#include "hale/log.h"
#include "hale/proc.h"

#define MASTER_CHILD_MESSAGES 16 /* read from one child per wakeup */

bool
master_child_is_prober(const struct master_generation *g, unsigned index)
{
	return index == g->nchild - 1;
}

const char *
master_child_name(const struct master_generation *g, unsigned index, char *buf, size_t size)
{
	if (master_child_is_prober(g, index))
		snprintf(buf, size, "prober");
	else
		snprintf(buf, size, "worker[%u]", index);
	return buf;
}

static int
master_child_compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

/* [from, to]; by hand where a seccomp filter does not know the call. */
static void
master_child_close_range(unsigned from, unsigned to)
{
	long last;

	if (close_range(from, to, 0) == 0)
		return;
	last = sysconf(_SC_OPEN_MAX) - 1;
	for (unsigned fd = from; fd <= to && (long)fd <= last; fd++)
		close((int)fd);
}

/* Closes every descriptor but 0, 1, 2 and those in keep, which is sorted in place. */
static void
master_child_close_others(int *keep, unsigned n)
{
	unsigned from = STDERR_FILENO + 1;

	qsort(keep, n, sizeof(*keep), master_child_compare);
	for (unsigned i = 0; i < n; i++) {
		unsigned fd = (unsigned)keep[i];

		if (fd > from)
			master_child_close_range(from, fd - 1);
		if (fd >= from)
			from = fd + 1;
	}
	master_child_close_range(from, ~0U);
}

/* The child's whole life. */
static HALE_NORETURN void
master_child_run(struct master *m, struct master_generation *g, unsigned index, int control_fd)
{
	bool prober = master_child_is_prober(g, index);
	const int *round_fd = prober ? g->round_fd + m->nworker : g->round_fd + index;
	const int *listen_fd = prober ? NULL : master_listen_slot(&m->listen, index);
	unsigned nround = prober ? m->nworker : 1, nlisten = prober ? 0 : m->listen.nper, n = 0;
	int *keep = xmalloc(sizeof(*keep) * (1 + nround + nlisten));
	const struct heritage h = {
		.conf = g->conf,
		.table = g->table,
		.master_pid = m->pid,
		.index = prober ? -1 : (int)index,
		.nworker = m->nworker,
		.control_fd = control_fd,
		.listen_fd = listen_fd,
		.nlisten = nlisten,
		.round_fd = round_fd,
		.debug = m->options->debug,
		.insecure = m->options->insecure,
	};

	keep[n++] = control_fd;
	for (unsigned i = 0; i < nround; i++)
		keep[n++] = round_fd[i];
	for (unsigned i = 0; i < nlisten; i++)
		keep[n++] = listen_fd[i];
	master_child_close_others(keep, n);
	free(keep);
	master_generation_forget_others(m, g);
	/* Ctrl-C reaches the terminal's whole process group; the master alone decides what it means. */
	setpgid(0, 0);
	unsetenv("NOTIFY_SOCKET"); /* only the master speaks for the service */
	_exit((prober ? m->options->prober_main : m->options->worker_main)(&h));
}

int
master_child_spawn(struct master *m, struct master_generation *g, unsigned index)
{
	struct master_child *c = &g->child[index];
	uint64_t now_ns = clock_mono_ns();
	char name[24];
	int fd[2], pid;

	HALE_ASSERT(c->pid == 0 && c->control_fd == -1);
	if (ipc_pair(fd) != 0) {
		log_error("%s: control pair: %s", master_child_name(g, index, name, sizeof(name)),
		          strerror(errno));
		return HALE_ESYS;
	}
	pid = fork();
	if (pid == 0)
		master_child_run(m, g, index, fd[1]);
	close(fd[1]);
	if (pid == -1) {
		log_error("%s: fork: %s", master_child_name(g, index, name, sizeof(name)), strerror(errno));
		close(fd[0]);
		return HALE_ESYS;
	}
	c->pid = pid;
	c->control_fd = fd[0];
	c->ready = c->asked = false;
	c->started_ns = now_ns;
	c->due_ns = 0;
	c->kill_ns = now_ns + MASTER_READY_TIMEOUT_S * NS_PER_SEC;
	if (!master_child_is_prober(g, index))
		master_listen_avoid(&m->listen, index, false);
	log_debug("%s started pid=%d generation=%llu", master_child_name(g, index, name, sizeof(name)), pid,
	          (unsigned long long)g->number);
	return 0;
}

void
master_child_drain(struct master_child *c, uint64_t kill_ns)
{
	const struct ipc_msg m = {.type = IPC_DRAIN};

	c->due_ns = 0;
	if (c->pid == 0)
		return;
	if (!c->asked && c->control_fd != -1 && ipc_send(c->control_fd, &m) != 0)
		log_warn("pid=%d cannot be told to drain, it will be killed in time", c->pid);
	if (!c->asked || c->kill_ns == 0 || c->kill_ns > kill_ns)
		c->kill_ns = kill_ns;
	c->asked = true;
}

static void
master_child_hangup(struct master_child *c)
{
	uint64_t kill_ns = clock_mono_ns() + MASTER_HANGUP_TIMEOUT_S * NS_PER_SEC;

	close(c->control_fd);
	c->control_fd = -1;
	if (c->kill_ns == 0 || c->kill_ns > kill_ns)
		c->kill_ns = kill_ns;
}

void
master_child_receive(struct master *m, struct master_child *c, short events)
{
	struct ipc_msg msg;

	(void)m;
	if (c->control_fd == -1 || !(events & (POLLIN | POLLHUP | POLLERR)))
		return;
	for (int i = 0; i < MASTER_CHILD_MESSAGES; i++) {
		int rc = ipc_recv(c->control_fd, &msg);

		if (rc == HALE_EBUSY)
			return;
		if (rc == HALE_EINVAL) {
			log_limited(log_warn, "message of a wrong size from pid=%d", c->pid);
			continue;
		}
		if (rc != 0) {
			master_child_hangup(c);
			return;
		}
		if (msg.type != IPC_READY) {
			log_limited(log_warn, "unexpected message type=%u from pid=%d", msg.type, c->pid);
			continue;
		}
		if (!c->ready && !c->asked)
			c->kill_ns = 0;
		if (!c->ready)
			log_debug("ready pid=%d start_ms=%llu", c->pid,
			          (unsigned long long)((clock_mono_ns() - c->started_ns) / NS_PER_MS));
		c->ready = true;
	}
}

/* The obituary: what ended, how long it lived, of what it died. */
static void
master_child_obituary(const struct master_generation *g, unsigned index, int status)
{
	const struct master_child *c = &g->child[index];
	double uptime_s = (double)(clock_mono_ns() - c->started_ns) / 1e9;
	char name[24], cause[96];
	void (*log)(const char *fmt, ...) HALE_PRINTF(1, 2) = log_error;

	if (WIFSIGNALED(status)) {
		const char *word = sigabbrev_np(WTERMSIG(status));

		snprintf(cause, sizeof(cause), "signal=%d (SIG%s) core=%s", WTERMSIG(status),
		         word ? word : "?", WCOREDUMP(status) ? "yes" : "no");
	} else {
		snprintf(cause, sizeof(cause), "code=%d", WEXITSTATUS(status));
	}
	if (c->asked)
		log = WIFEXITED(status) && WEXITSTATUS(status) == PROC_EXIT_ASKED ? log_debug : log_warn;
	master_child_name(g, index, name, sizeof(name));
	log("%s ended pid=%d generation=%llu uptime_s=%.3f %s", name, c->pid, (unsigned long long)g->number,
	    uptime_s, cause);
}

/* When the slot's next process starts, or that the service ends. */
static void
master_child_replace(struct master *m, struct master_generation *g, unsigned index, enum master_verdict v)
{
	struct master_child *c = &g->child[index];
	uint64_t now_ns = clock_mono_ns(), delay_ns;
	char name[24];

	master_child_name(g, index, name, sizeof(name));
	if (v == MASTER_VERDICT_CONFIG) {
		log_error("%s cannot run with this configuration or permissions: the service ends", name);
		master_stop(m, PROC_EXIT_CONFIG);
		return;
	}
	delay_ns = master_backoff(&c->backoff, now_ns, now_ns - c->started_ns);
	if (delay_ns == MASTER_BACKOFF_GIVE_UP) {
		log_error("%s crashed %d times within %d s: the service ends", name, MASTER_BACKOFF_CRASHES,
		          MASTER_BACKOFF_WINDOW_S);
		master_stop(m, PROC_EXIT_CRASH);
		return;
	}
	c->due_ns = now_ns + delay_ns;
	if (delay_ns && g == m->current && !master_child_is_prober(g, index))
		master_listen_avoid(&m->listen, index, true);
	log_info("%s starts again delay_s=%llu crashes=%u", name, (unsigned long long)(delay_ns / NS_PER_SEC),
	         c->backoff.crashes);
}

static void
master_child_dead(struct master *m, struct master_generation *g, unsigned index, int status)
{
	struct master_child *c = &g->child[index];
	enum master_verdict v = master_backoff_verdict(status, c->asked);
	char why[64], name[24];

	master_child_obituary(g, index, status);
	if (c->control_fd != -1)
		close(c->control_fd);
	c->control_fd = -1;
	c->pid = 0;
	c->ready = false;
	c->kill_ns = 0;
	if (!master_child_is_prober(g, index))
		htable_worker_reaped(g->table, index);
	if (g->phase == MASTER_LEAVING || v == MASTER_VERDICT_GONE)
		return;
	if (g == m->next) {
		snprintf(why, sizeof(why), "its %s did not start",
		         master_child_name(g, index, name, sizeof(name)));
		master_reload_abort(m, why);
		return;
	}
	master_child_replace(m, g, index, v);
}

void
master_child_reap(struct master *m)
{
	int status, pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		bool found = false;

		for (struct master_generation *g = m->newest; g && !found; g = g->older)
			for (unsigned i = 0; i < g->nchild && !found; i++)
				if (g->child[i].pid == pid) {
					master_child_dead(m, g, i, status);
					found = true;
				}
		if (!found) /* as process 1 of a container we inherit orphans */
			log_debug("reaped a process that is not ours pid=%d", pid);
	}
}

static void
master_child_kill(struct master_generation *g, unsigned index)
{
	struct master_child *c = &g->child[index];
	char name[24];

	master_child_name(g, index, name, sizeof(name));
	if (c->asked)
		g->killed++;
	else if (!c->ready)
		log_error("%s pid=%d was not ready after %d s, killed", name, c->pid, MASTER_READY_TIMEOUT_S);
	else
		log_error("%s pid=%d closed its control pipe and did not end, killed", name, c->pid);
	c->kill_ns = 0;
	kill(c->pid, SIGKILL);
}

void
master_child_timers(struct master *m, uint64_t now_ns)
{
	for (struct master_generation *g = m->newest; g; g = g->older) {
		unsigned killed = g->killed;

		for (unsigned i = 0; i < g->nchild; i++) {
			struct master_child *c = &g->child[i];

			if (c->pid && c->kill_ns && c->kill_ns <= now_ns)
				master_child_kill(g, i);
			if (c->pid || c->due_ns == 0 || c->due_ns > now_ns || g->phase == MASTER_LEAVING)
				continue;
			c->started_ns = now_ns; /* a failed fork is a crash after no life */
			if (master_child_spawn(m, g, i) != 0)
				master_child_replace(m, g, i, MASTER_VERDICT_RESPAWN);
		}
		if (g->killed > killed)
			log_warn("drain timeout generation=%llu killed=%u: their requests were cut",
			         (unsigned long long)g->number, g->killed - killed);
	}
}

uint64_t
master_child_deadline(const struct master *m)
{
	uint64_t first_ns = UINT64_MAX;

	for (const struct master_generation *g = m->newest; g; g = g->older)
		for (unsigned i = 0; i < g->nchild; i++) {
			const struct master_child *c = &g->child[i];
			uint64_t at_ns = c->pid ? c->kill_ns : c->due_ns;

			if (at_ns && at_ns < first_ns)
				first_ns = at_ns;
		}
	return first_ns;
}

/* The supervisor with fake children: real processes, sockets, signals and segment, but a configuration of one
 * word, which says how the children of that generation behave.
 *
 * A worker answers each connection with "<slot> <generation> <pid> <own descriptors>\n" and closes it. Tests
 * wait for log lines or for the end of processes, never for time.
 */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/err.h"
#include "hale/heritage.h"
#include "hale/htable.h"
#include "hale/htable_writer.h"
#include "hale/ipc.h"
#include "hale/proc.h"

#define WORKERS 2
#define PATIENCE_MS 20000 /* only a test that fails waits this long */

/* ------------------------------------------------------------------ the configuration: one word in a file */

/* The linker sends the master's calls here (--wrap). */
int __wrap_conf_load(const char *path, struct conf **out, struct errlist *errs);
void __wrap_conf_freep(struct conf **c);

int
__wrap_conf_load(const char *path, struct conf **out, struct errlist *errs)
{
	char word[32] = "";
	FILE *f = fopen(path, "re");
	struct conf *c;

	if (!f || fscanf(f, "%31s", word) != 1 || strcmp(word, "bad") == 0) {
		errlist_add(errs, false, path, 3, 7, "general_settings", "is wrong");
		if (f)
			fclose(f);
		return HALE_ECONF;
	}
	fclose(f);
	c = xcalloc(1, sizeof(*c));
	c->path = xstrdup(word); /* the children read it here */
	c->limits.drain_timeout_ms = 200;
	if (strcmp(word, "patient") == 0)
		c->limits.drain_timeout_ms = 600000;
	if (strcmp(word, "announce") == 0)
		c->limits.drain_announce_ms = 600000;
	if (strcmp(word, "brief") == 0)
		c->limits.drain_announce_ms = 10;
	c->general.master_key = strcmp(word, "open") == 0 ? NULL : "key";
	*out = c;
	return 0;
}

void
__wrap_conf_freep(struct conf **c)
{
	if (*c) {
		char *word;

		memcpy(&word, &(*c)->path, sizeof(word));
		free(word);
	}
	xfreep(c);
}

static bool
is(const struct heritage *h, const char *word)
{
	return strcmp(h->conf->path, word) == 0;
}

/* ------------------------------------------------------------------ children */

static unsigned
open_descriptors(const char *pid)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	d = opendir(path);
	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2 - (strcmp(pid, "self") == 0); /* ".", "..", and the directory itself */
}

static void
answer(const struct heritage *h, int listen_fd)
{
	char text[96];
	int n, fd = accept(listen_fd, NULL, NULL);

	if (fd == -1)
		return;
	n = snprintf(text, sizeof(text), "%d %d %d %u\n", h->index, (int)h->conf->generation, (int)getpid(),
	             open_descriptors("self") - 1);
	if (write(fd, text, (size_t)n) != n)
		_exit(99);
	close(fd);
}

static int
child(const struct heritage *h)
{
	const struct ipc_msg ready = {.type = IPC_READY};
	struct pollfd p[4];
	bool drain = false;
	nfds_t n = 1;

	proc_child_init(h->index < 0 ? "prober" : "worker", h->index, h->master_pid);
	if (is(h, "refuse") && h->index == 1)
		return PROC_EXIT_CONFIG;
	if (is(h, "crash") && h->index == 0)
		return PROC_EXIT_CRASH;
	if (is(h, "die") && h->index == -1)
		kill(getpid(), SIGKILL);
	if (h->index < 0)
		htable_attach(h->table, clock_mono_ns());
	p[0] = (struct pollfd){.fd = h->control_fd, .events = POLLIN};
	for (unsigned i = 0; i < h->nlisten; i++)
		p[n++] = (struct pollfd){.fd = h->listen_fd[i], .events = POLLIN};
	if (ipc_send(h->control_fd, &ready) != 0)
		return PROC_EXIT_CRASH;
	for (;;) {
		struct ipc_msg m;
		int rc;

		if (poll(p, drain ? 1 : n, -1) == -1)
			continue;
		while ((rc = ipc_recv(h->control_fd, &m)) == 0)
			if (m.type == IPC_DRAIN) {
				if (!is(h, "stubborn") && !is(h, "patient"))
					return PROC_EXIT_ASKED;
				drain = true;
			}
		if (rc == HALE_ENOENT)
			return PROC_EXIT_ASKED; /* the master is gone */
		for (nfds_t i = 1; !drain && i < n; i++)
			if (p[i].revents)
				answer(h, p[i].fd);
	}
}

/* ------------------------------------------------------------------ the daemon under test */

struct daemon {
	int pid, log_fd;
	char dir[40], conf[64];
	char log[65536];
	size_t len, seen; /* seen: waits look behind this */
	unsigned port;
};

static void
configure(struct daemon *d, const char *word)
{
	FILE *f = fopen(d->conf, "we");

	assert_non_null(f);
	fprintf(f, "%s\n", word);
	fclose(f);
}

static void
start(struct daemon *d, const char *word)
{
	int fd[2];

	*d = (struct daemon){.dir = "/tmp/hale-master-XXXXXX"};
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->conf, sizeof(d->conf), "%s/config", d->dir);
	configure(d, word);
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	d->pid = fork();
	assert_int_not_equal(d->pid, -1);
	if (d->pid == 0) {
		const struct master_options o = {
			.config = "config", /* relative: must mean the same file at every reload */
			.host = "127.0.0.1",
			.num_workers = WORKERS,
			.debug = true,
			.worker_main = child,
			.prober_main = child,
		};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dup2(fd[1], STDERR_FILENO) == -1 || chdir(d->dir) == -1)
			_exit(98);
		_exit(master_run(&o));
	}
	close(fd[1]);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	d->log_fd = fd[0];
}

/* Reads what is there, or waits for more. False: end of the log, or patience is exhausted. */
static bool
read_log(struct daemon *d)
{
	struct pollfd p = {.fd = d->log_fd, .events = POLLIN};
	ssize_t n;

	if (d->len == sizeof(d->log) - 1 || poll(&p, 1, PATIENCE_MS) != 1)
		return false;
	n = read(d->log_fd, d->log + d->len, sizeof(d->log) - 1 - d->len);
	if (n <= 0)
		return false;
	d->len += (size_t)n;
	d->log[d->len] = '\0';
	return true;
}

/* Waits for a text in the log behind the last one waited for; returns what follows it. */
static const char *
wait_log(struct daemon *d, const char *text)
{
	for (;;) {
		char *at = strstr(d->log + d->seen, text), *nl = at ? strchr(at, '\n') : NULL;

		if (nl) {
			d->seen = (size_t)(nl - d->log);
			return at + strlen(text);
		}
		if (!read_log(d)) {
			print_error("no \"%s\" in:\n%s\n", text, d->log + d->seen);
			fail();
		}
	}
}

/* Waits until the log ends (all processes are gone) and the master's exit code. */
static int
wait_end(struct daemon *d)
{
	char path[64];
	int status = 0;

	while (read_log(d)) {
		/* until end of file */
	}
	assert_int_equal(waitpid(d->pid, &status, 0), d->pid);
	close(d->log_fd);
	snprintf(path, sizeof(path), "%s", d->conf);
	unlink(path);
	rmdir(d->dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static unsigned
count_log(const struct daemon *d, const char *text)
{
	unsigned n = 0;

	for (const char *p = d->log; (p = strstr(p, text)) != NULL; p += strlen(text))
		n++;
	return n;
}

static void
start_ready(struct daemon *d, const char *word)
{
	start(d, word);
	d->port = (unsigned)strtoul(wait_log(d, "listening host=127.0.0.1 port="), NULL, 10);
	wait_log(d, "ready generation=1 workers=2 port=");
}

static int
stop(struct daemon *d)
{
	kill(d->pid, SIGTERM);
	return wait_end(d);
}

static int
dial(const struct daemon *d)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_port = htons((uint16_t)d->port);
	assert_int_not_equal(fd, -1);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

struct reply {
	int slot, generation, pid;
	unsigned descriptors;
};

static struct reply
hear(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct reply r = {-1, -1, -1, 0};
	char text[96] = "";

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_int_equal(sscanf(text, "%d %d %d %u", &r.slot, &r.generation, &r.pid, &r.descriptors), 4);
	close(fd);
	return r;
}

/* A pid of each slot, by asking until every slot has answered. */
static void
ask_all(const struct daemon *d, struct reply out[WORKERS])
{
	unsigned known = 0;

	for (int i = 0; i < WORKERS; i++)
		out[i].pid = 0;
	for (int i = 0; known < WORKERS && i < 1000; i++) {
		struct reply r = hear(dial(d));

		assert_in_range(r.slot, 0, WORKERS - 1);
		known += out[r.slot].pid == 0;
		out[r.slot] = r;
	}
	assert_int_equal(known, WORKERS);
}

static int
logged_pid(struct daemon *d, const char *text)
{
	return (int)strtol(wait_log(d, text), NULL, 10);
}

static bool
exists(int pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

/* ------------------------------------------------------------------ tests */

static void
starts_serves_and_ends(void **state)
{
	struct reply r[WORKERS];
	struct daemon d;

	(void)state;
	start_ready(&d, "good");
	ask_all(&d, r);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(r[i].generation, 1);
		/* stdin, stdout, stderr, control, one listener, one round end: what heritage.h names and
		 * nothing else */
		assert_int_equal(r[i].descriptors, 6);
	}
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
	assert_null(strstr(d.log, "ERROR"));
	assert_null(strstr(d.log, "WARNING"));
}

static void
killed_worker_loses_no_queued_connection(void **state)
{
	struct reply before[WORKERS], r;
	struct daemon d;
	int fd[64], served = 0;

	(void)state;
	start_ready(&d, "good");
	ask_all(&d, before);
	kill(before[0].pid, SIGSTOP);
	for (size_t i = 0; i < HALE_COUNT(fd); i++)
		assert_int_not_equal(fd[i] = dial(&d), -1);
	kill(before[0].pid, SIGKILL);
	wait_log(&d, "worker[0] ended pid=");
	for (size_t i = 0; i < HALE_COUNT(fd); i++) {
		r = hear(fd[i]);
		assert_int_not_equal(r.pid, before[0].pid);
		served += r.slot == 0;
	}
	assert_true(served > 0); /* the successor had them in its queue */
	assert_non_null(strstr(d.log, "signal=9 (SIGKILL)"));
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
}

static void
killed_prober_is_reaped_then_replaced(void **state)
{
	struct daemon d;
	int pid, next;

	(void)state;
	start_ready(&d, "good");
	d.seen = 0;
	pid = logged_pid(&d, "prober started pid=");
	wait_log(&d, "ready generation=1");
	kill(pid, SIGKILL);
	wait_log(&d, "prober ended pid=");
	next = logged_pid(&d, "prober started pid="); /* behind the obituary in the log */
	assert_int_not_equal(next, pid);
	wait_log(&d, "ready pid=");
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
}

static void
configuration_exit_ends_the_service(void **state)
{
	struct daemon d;

	(void)state;
	start(&d, "refuse");
	assert_int_equal(wait_end(&d), PROC_EXIT_CONFIG);
	assert_int_equal(count_log(&d, "worker[1] started"), 1);
	assert_null(strstr(d.log, "ready generation"));
}

static void
bad_configuration_does_not_start(void **state)
{
	struct daemon d;

	(void)state;
	start(&d, "bad");
	assert_int_equal(wait_end(&d), PROC_EXIT_CONFIG);
	assert_non_null(strstr(d.log, "/config:3:7: general_settings: is wrong"));
	assert_null(strstr(d.log, "started pid"));
}

static void
reload_swaps_generations(void **state)
{
	struct reply before[WORKERS], after[WORKERS];
	struct daemon d;

	(void)state;
	start_ready(&d, "good");
	ask_all(&d, before);
	kill(d.pid, SIGHUP);
	wait_log(&d, "ready generation=2 workers=2");
	wait_log(&d, "generation=1 is gone killed=0");
	ask_all(&d, after);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(after[i].generation, 2);
		assert_int_equal(after[i].descriptors, 6);
		assert_false(exists(before[i].pid));
	}
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
}

/* After each of these the first generation must go on with the same processes. */
static void
failed_reload_changes_nothing(void **state)
{
	static const char *const words[] = {"bad", "crash", "refuse", "die"};
	struct reply before[WORKERS], after[WORKERS];
	struct daemon d;

	(void)state;
	start_ready(&d, "good");
	ask_all(&d, before);
	for (size_t i = 0; i < HALE_COUNT(words); i++) {
		configure(&d, words[i]);
		kill(d.pid, SIGHUP);
		wait_log(&d, "reload failed, generation 1 stays: ");
		if (i > 0)
			wait_log(&d, " is gone");
		ask_all(&d, after);
		for (int k = 0; k < WORKERS; k++)
			assert_int_equal(after[k].pid, before[k].pid);
	}
	configure(&d, "good");
	kill(d.pid, SIGHUP);
	wait_log(&d, "ready generation=");
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
}

static void
reloads_collapse_and_leak_nothing(void **state)
{
	struct daemon d;
	unsigned before;
	char pid[16];

	(void)state;
	start_ready(&d, "good");
	snprintf(pid, sizeof(pid), "%d", d.pid);
	before = open_descriptors(pid);
	kill(d.pid, SIGSTOP); /* 50 requests while nobody looks are one */
	for (int i = 0; i < 50; i++)
		kill(d.pid, SIGHUP);
	kill(d.pid, SIGCONT);
	wait_log(&d, "ready generation=2");
	wait_log(&d, "generation=1 is gone");
	for (int i = 3; i < 23; i++) {
		char text[40];

		kill(d.pid, SIGHUP);
		snprintf(text, sizeof(text), "ready generation=%d ", i);
		wait_log(&d, text);
		snprintf(text, sizeof(text), "generation=%d is gone", i - 1);
		wait_log(&d, text);
	}
	assert_int_equal(open_descriptors(pid), before);
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
	assert_int_equal(count_log(&d, "reload begins"), 21);
}

static void
old_generations_are_bounded(void **state)
{
	struct daemon d;
	char text[40];

	(void)state;
	start_ready(&d, "patient"); /* its workers never end by themselves */
	for (int i = 2; i <= 8; i++) {
		kill(d.pid, SIGHUP);
		snprintf(text, sizeof(text), "ready generation=%d ", i);
		wait_log(&d, text);
	}
	kill(d.pid, SIGHUP);
	wait_log(&d, "reload waits: 7 generations still drain");
	/* Two requests: drain, then at once. The same signal again right away (timeout(1) does that) is no
	 * second one. */
	kill(d.pid, SIGTERM);
	wait_log(&d, "draining exit_code=0");
	kill(d.pid, SIGTERM);
	kill(d.pid, SIGINT);
	wait_log(&d, "signal=SIGINT");
	wait_log(&d, "ending at once");
	assert_int_equal(wait_end(&d), PROC_EXIT_ASKED);
	assert_null(strstr(d.log, "ready generation=9"));
}

static void
drain_is_bounded(void **state)
{
	struct daemon d;

	(void)state;
	start_ready(&d, "stubborn");
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
	assert_non_null(strstr(d.log, "drain timeout generation=1 killed=3"));
}

static void
the_end_is_announced(void **state)
{
	struct reply r[WORKERS];
	struct daemon d;

	(void)state;
	start_ready(&d, "brief");
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
	assert_non_null(strstr(d.log, "announcing the end"));

	start_ready(&d, "announce");
	kill(d.pid, SIGTERM);
	wait_log(&d, "announcing the end");
	ask_all(&d, r); /* still served */
	kill(r[0].pid, SIGKILL); /* and still supervised */
	wait_log(&d, "worker[0] started pid=");
	kill(d.pid, SIGHUP); /* too late for that */
	kill(d.pid, SIGINT); /* no more waiting */
	wait_log(&d, "draining exit_code=0");
	assert_int_equal(wait_end(&d), PROC_EXIT_ASKED);
	assert_null(strstr(d.log, "reload begins"));
}

static void
children_end_with_the_master(void **state)
{
	struct daemon d;

	(void)state;
	start_ready(&d, "good");
	kill(d.pid, SIGKILL);
	assert_int_equal(wait_end(&d), 128 + SIGKILL); /* returns when the last holder of stderr is gone */
}

static void
reload_without_key_needs_loopback_only(void **state)
{
	struct daemon d;

	(void)state;
	start_ready(&d, "open"); /* listens on 127.0.0.1, where no key is needed */
	kill(d.pid, SIGHUP);
	wait_log(&d, "ready generation=2");
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
}

static void
tells_systemd(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct daemon d;
	char name[64], text[512];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	static const char *const want[] = {
		"READY=1\nSTATUS=generation 1 serves, 2 workers", "RELOADING=1\nMONOTONIC_USEC=",
		"READY=1\nSTATUS=generation 2 serves", "RELOADING=1\nMONOTONIC_USEC=",
		"READY=1\nSTATUS=reload failed, generation 2 stays: configuration refused", "STOPPING=1\n",
	};

	(void)state;
	snprintf(name, sizeof(name), "@hale-master-%d", (int)getpid());
	memcpy(a.sun_path + 1, name + 1, strlen(name) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
	                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
	                 0);
	setenv("NOTIFY_SOCKET", name, 1);
	start_ready(&d, "good");
	unsetenv("NOTIFY_SOCKET");
	kill(d.pid, SIGHUP);
	wait_log(&d, "ready generation=2");
	configure(&d, "bad");
	kill(d.pid, SIGHUP);
	wait_log(&d, "reload failed");
	assert_int_equal(stop(&d), PROC_EXIT_ASKED);
	for (size_t i = 0; i < HALE_COUNT(want); i++) {
		ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

		assert_true(n > 0);
		text[n] = '\0';
		if (strncmp(text, want[i], strlen(want[i])) != 0)
			fail_msg("message %zu is \"%s\"", i, text);
	}
	assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_serves_and_ends),
		cmocka_unit_test(killed_worker_loses_no_queued_connection),
		cmocka_unit_test(killed_prober_is_reaped_then_replaced),
		cmocka_unit_test(configuration_exit_ends_the_service),
		cmocka_unit_test(bad_configuration_does_not_start),
		cmocka_unit_test(reload_swaps_generations),
		cmocka_unit_test(failed_reload_changes_nothing),
		cmocka_unit_test(reloads_collapse_and_leak_nothing),
		cmocka_unit_test(old_generations_are_bounded),
		cmocka_unit_test(drain_is_bounded),
		cmocka_unit_test(the_end_is_announced),
		cmocka_unit_test(children_end_with_the_master),
		cmocka_unit_test(reload_without_key_needs_loopback_only),
		cmocka_unit_test(tells_systemd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

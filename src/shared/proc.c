/* What every child does at birth, and process titles. */
#include "hale/hale.h"

#include "hale/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "hale/err.h"

void
proc_no_core(void)
{
	/* Not 0: the kernel hands a core to a core_pattern pipe whatever the limit is, unless it is exactly 1. */
	setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1});
}

void
proc_child_init(const char *role, int index, int parent_pid)
{
	static const int reset[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2, SIGQUIT};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent_pid) /* it died between fork and prctl: nobody will ever tell us */
		_exit(PROC_EXIT_ASKED);
	for (size_t i = 0; i < HALE_COUNT(reset); i++)
		signal(reset[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (index < 0)
		proc_title("%s", role);
	else
		proc_title("%s[%d]", role, index);
}

void
proc_title(const char *fmt, ...)
{
	char text[64], name[16];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Blanks up to the length of argv[0]: libbsd marks the end of a shorter title with a dot that ps shows. */
	setproctitle("%-*s", (int)strlen(program_invocation_name), text);
	snprintf(name, sizeof(name), "hale-%.10s", text);
	prctl(PR_SET_NAME, name);
}

int
proc_fd_setup(int fd)
{
	int fl = fcntl(fd, F_GETFL), fdfl = fcntl(fd, F_GETFD);

	if (fl == -1 || fdfl == -1 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) == -1 ||
	    fcntl(fd, F_SETFD, fdfl | FD_CLOEXEC) == -1)
		return HALE_ESYS;
	return 0;
}

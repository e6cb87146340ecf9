/* systemd's notification and socket-activation protocols, spoken directly.
 *
 * One datagram per message to the address in NOTIFY_SOCKET; the socket is made and closed each time,
 * because a daemon speaks a few times in its life and a kept descriptor would have to be closed in
 * every child. A manager that does not read cannot hold us longer than SDNOTIFY_WAIT_S.
 */
#include "hale/hale.h"

#include "hale/sdnotify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "hale/clock.h"
#include "hale/log.h"

#define SDNOTIFY_WAIT_S 1
#define SDNOTIFY_LISTEN_FIRST 3
#define SDNOTIFY_LISTEN_MAX 4096

static void
sdnotify_send(const char *text, size_t len)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = SDNOTIFY_WAIT_S};
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n == 0)
		return;
	if (n < 2 || n > sizeof(addr.sun_path) || (path[0] != '/' && path[0] != '@')) {
		log_warn("NOTIFY_SOCKET is no socket address, systemd is not notified");
		return;
	}
	memcpy(addr.sun_path, path, n);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1) {
		log_warn("cannot notify systemd: socket: %s", strerror(errno));
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (sendto(fd, text, len, MSG_NOSIGNAL, (struct sockaddr *)&addr,
	           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == -1)
		log_warn("cannot notify systemd: %s", strerror(errno));
	close(fd);
}

/* "<first>STATUS=<status>"; a newline in status would start an assignment of its own. */
static void
sdnotify_with_status(const char *first, const char *status)
{
	char text[512];
	size_t skip = strlen(first);
	int n = snprintf(text, sizeof(text), "%sSTATUS=%s", first, status);

	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	for (size_t i = skip; i < (size_t)n; i++)
		if (text[i] == '\n')
			text[i] = ' ';
	sdnotify_send(text, (size_t)n);
}

void
sdnotify_ready(const char *status)
{
	sdnotify_with_status("READY=1\n", status);
}

void
sdnotify_reloading(void)
{
	char text[96];
	int n = snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
	                 (unsigned long long)(clock_mono_ns() / 1000));

	sdnotify_send(text, (size_t)n);
}

void
sdnotify_stopping(void)
{
	sdnotify_with_status("STOPPING=1\n", "draining");
}

void
sdnotify_status(const char *fmt, ...)
{
	char text[448];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sdnotify_with_status("", text);
}

/* A decimal number of an environment variable, -1 when absent or anything else. */
static long
sdnotify_env_number(const char *name, long max)
{
	const char *text = getenv(name);
	char *end;
	long v;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	v = strtol(text, &end, 10);
	return *end == '\0' && errno == 0 && v <= max ? v : -1;
}

int
sdnotify_listen_fds(void)
{
	long pid = sdnotify_env_number("LISTEN_PID", INT32_MAX),
	     n = sdnotify_env_number("LISTEN_FDS", SDNOTIFY_LISTEN_MAX);

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (pid != (long)getpid() || n <= 0)
		return 0;
	for (int fd = SDNOTIFY_LISTEN_FIRST; fd < SDNOTIFY_LISTEN_FIRST + n; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
			log_error("LISTEN_FDS=%ld, but descriptor %d is not open", n, fd);
			return 0;
		}
	return (int)n;
}

/* systemd's protocols, against real sockets. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hale/clock.h"
#include "hale/sdnotify.h"

/* A manager's datagram socket; name begins with '@' for an abstract one. */
static int
manager_open(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_not_equal(fd, -1);
	memcpy(a.sun_path, name, strlen(name));
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
	                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
	                 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static const char *
manager_read(int fd)
{
	static char buf[1024];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	if (n < 0)
		return NULL;
	buf[n] = '\0';
	return buf;
}

static void
conversation(int fd)
{
	unsigned long long usec = 0, before = clock_mono_ns() / 1000;
	const char *text;
	int end = 0;

	sdnotify_ready("generation 1 serves\nREADY=0");
	assert_string_equal(manager_read(fd), "READY=1\nSTATUS=generation 1 serves READY=0");
	sdnotify_reloading();
	text = manager_read(fd);
	assert_non_null(text);
	assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading%n", &usec, &end),
	                 1);
	assert_int_equal(end, (int)strlen(text));
	assert_true(usec >= before && usec <= clock_mono_ns() / 1000);
	sdnotify_status("reload failed, generation %d stays", 1);
	assert_string_equal(manager_read(fd), "STATUS=reload failed, generation 1 stays");
	sdnotify_stopping();
	assert_string_equal(manager_read(fd), "STOPPING=1\nSTATUS=draining");
	assert_null(manager_read(fd));
}

static void
speaks_to_a_socket_in_the_file_system(void **state)
{
	char dir[] = "/tmp/hale-sdnotify-XXXXXX", path[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/notify", dir);
	fd = manager_open(path);
	conversation(fd);
	close(fd);
	unlink(path);
	rmdir(dir);
}

static void
speaks_to_an_abstract_socket(void **state)
{
	char name[64];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@hale-sdnotify-%d", (int)getpid());
	fd = manager_open(name);
	conversation(fd);
	close(fd);
}

static void
nobody_to_speak_to(void **state)
{
	char text[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	sdnotify_ready("fine");
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	setenv("NOTIFY_SOCKET", text, 1); /* longer than an address can be */
	sdnotify_ready("fine");
	setenv("NOTIFY_SOCKET", "relative/path", 1);
	sdnotify_ready("fine");
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	sdnotify_ready("fine");
	unsetenv("NOTIFY_SOCKET");
}

static void
long_status_is_cut(void **state)
{
	char name[64], status[2048];
	const char *text;
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@hale-sdnotify-long-%d", (int)getpid());
	fd = manager_open(name);
	memset(status, 's', sizeof(status) - 1);
	status[sizeof(status) - 1] = '\0';
	sdnotify_ready(status);
	text = manager_read(fd);
	assert_non_null(text);
	assert_int_equal(strncmp(text, "READY=1\nSTATUS=sss", 18), 0);
	assert_int_equal(strlen(text), 511);
	close(fd);
}

/* What a process with this environment sees; descriptors 3 and 4 are open in it, 5 is not. */
static int
listen_fds_of(const char *pid, const char *fds)
{
	int child = fork(), status;

	assert_int_not_equal(child, -1);
	if (child == 0) {
		char own[16];
		int n;

		dup2(STDERR_FILENO, 3);
		dup2(STDERR_FILENO, 4);
		close(5);
		snprintf(own, sizeof(own), "%d", (int)getpid());
		setenv("LISTEN_PID", strcmp(pid, "own") == 0 ? own : pid, 1);
		setenv("LISTEN_FDS", fds, 1);
		n = sdnotify_listen_fds();
		if (getenv("LISTEN_PID") || getenv("LISTEN_FDS"))
			_exit(100);
		if (n == 2 && (!(fcntl(3, F_GETFD) & FD_CLOEXEC) || !(fcntl(4, F_GETFD) & FD_CLOEXEC)))
			_exit(101);
		_exit(n);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
takes_sockets_that_are_meant_for_it(void **state)
{
	(void)state;
	assert_int_equal(listen_fds_of("own", "2"), 2);
	assert_int_equal(listen_fds_of("1", "2"), 0);
	assert_int_equal(listen_fds_of("own", "0"), 0);
	assert_int_equal(listen_fds_of("own", "-1"), 0);
	assert_int_equal(listen_fds_of("own", "2x"), 0);
	assert_int_equal(listen_fds_of("own", ""), 0);
	assert_int_equal(listen_fds_of("own", "99999999999999999999"), 0);
	assert_int_equal(listen_fds_of("", "2"), 0);
	assert_int_equal(listen_fds_of("own", "3"), 0); /* says three, has two */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(speaks_to_a_socket_in_the_file_system),
		cmocka_unit_test(speaks_to_an_abstract_socket),
		cmocka_unit_test(nobody_to_speak_to),
		cmocka_unit_test(long_status_is_cut),
		cmocka_unit_test(takes_sockets_that_are_meant_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

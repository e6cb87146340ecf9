/* ipc: borders of messages, full queues, peers that are gone. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hale/err.h"
#include "hale/ipc.h"

static void
test_message_each_way(void **state)
{
	struct ipc_msg m = {.type = IPC_ROUND, .a = 1, .b = IPC_SCOPE_GROUP, .c = UINT64_MAX}, got;
	int fd[2];

	(void)state;
	assert_int_equal(ipc_pair(fd), 0);
	assert_true(fcntl(fd[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd[1], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(ipc_recv(fd[1], &got), HALE_EBUSY);
	assert_int_equal(ipc_send(fd[0], &m), 0);
	m.a = 2;
	assert_int_equal(ipc_send(fd[0], &m), 0);
	assert_int_equal(ipc_recv(fd[1], &got), 0);
	assert_int_equal(got.a, 1);
	assert_int_equal(got.c, UINT64_MAX);
	assert_int_equal(ipc_recv(fd[1], &got), 0);
	assert_int_equal(got.a, 2);
	assert_int_equal(ipc_send(fd[1], &m), 0);
	assert_int_equal(ipc_recv(fd[0], &got), 0);
	close(fd[0]);
	close(fd[1]);
}

static void
test_full_queue(void **state)
{
	struct ipc_msg m = {.type = IPC_READY}, got;
	int fd[2], rc, sent = 0;

	(void)state;
	assert_int_equal(ipc_pair(fd), 0);
	while ((rc = ipc_send(fd[0], &m)) == 0 && sent < 1000000)
		sent++;
	assert_int_equal(rc, HALE_EBUSY);
	assert_true(sent > 0);
	assert_int_equal(ipc_recv(fd[1], &got), 0);
	assert_int_equal(ipc_send(fd[0], &m), 0);
	close(fd[0]);
	close(fd[1]);
}

static void
test_wrong_size(void **state)
{
	char big[sizeof(struct ipc_msg) + 8] = {0};
	struct ipc_msg m = {.type = IPC_DRAIN}, got = {.type = 99};
	int fd[2];

	(void)state;
	assert_int_equal(ipc_pair(fd), 0);
	assert_int_equal(send(fd[0], big, 3, 0), 3);
	assert_int_equal(send(fd[0], big, sizeof(big), 0), (int)sizeof(big));
	assert_int_equal(ipc_send(fd[0], &m), 0);
	assert_int_equal(ipc_recv(fd[1], &got), HALE_EINVAL);
	assert_int_equal(ipc_recv(fd[1], &got), HALE_EINVAL);
	assert_int_equal(got.type, 99);
	assert_int_equal(ipc_recv(fd[1], &got), 0);
	assert_int_equal(got.type, IPC_DRAIN);
	close(fd[0]);
	close(fd[1]);
}

static void
test_peer_gone(void **state)
{
	struct ipc_msg m = {.type = IPC_READY}, got;
	int fd[2];

	(void)state;
	assert_int_equal(ipc_pair(fd), 0);
	assert_int_equal(ipc_send(fd[0], &m), 0);
	close(fd[0]);
	assert_int_equal(ipc_recv(fd[1], &got), 0); /* what was said before stays readable */
	assert_int_equal(ipc_recv(fd[1], &got), HALE_ENOENT);
	assert_int_equal(ipc_send(fd[1], &m), HALE_ENOENT);
	close(fd[1]);
	assert_int_equal(ipc_send(fd[1], &m), HALE_ESYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_each_way),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_wrong_size),
		cmocka_unit_test(test_peer_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Listening sockets: one per slot and address, refusal of addresses in use, systemd's sockets. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hale/err.h"

#include "../../src/master/master_listen.h"

#define SLOTS 4
#define CONNECTIONS 128

static int
option(int fd, int level, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

static int
connect_to(uint16_t port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void
every_slot_has_its_own_socket_on_one_port(void **state)
{
	struct master_listen l;
	int client[CONNECTIONS], accepted = 0, used = 0;

	(void)state;
	assert_int_equal(master_listen_open(&l, "127.0.0.1", 0, SLOTS), 0);
	assert_int_equal(l.nper, 1);
	assert_int_not_equal(l.port, 0);
	assert_true(l.loopback);
	for (unsigned i = 0; i < SLOTS; i++) {
		int fd = master_listen_slot(&l, i)[0];

		assert_int_equal(port_of(fd), l.port);
		assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEPORT), 1);
		assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
		assert_int_not_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
		assert_int_equal(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(fd, master_listen_slot(&l, k)[0]);
	}
	/* The first socket joined the group after it began to listen: the kernel must spread over all of
	 * them. */
	for (int i = 0; i < CONNECTIONS; i++)
		client[i] = connect_to(l.port);
	for (unsigned i = 0; i < SLOTS; i++) {
		int here = 0, fd;

		while ((fd = accept(master_listen_slot(&l, i)[0], NULL, NULL)) != -1) {
			close(fd);
			here++;
		}
		accepted += here;
		used += here > 0;
	}
	assert_int_equal(accepted, CONNECTIONS);
	assert_true(used >= 2);
	for (int i = 0; i < CONNECTIONS; i++)
		close(client[i]);
	master_listen_release(&l);
}

/* Opens CONNECTIONS connections and takes them all; got[slot] is how many came there. */
static void
spread(const struct master_listen *l, int got[SLOTS])
{
	int client[CONNECTIONS], total = 0, fd;

	for (int i = 0; i < CONNECTIONS; i++)
		client[i] = connect_to(l->port);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		for (got[slot] = 0; (fd = accept(master_listen_slot(l, slot)[0], NULL, NULL)) != -1;
		     got[slot]++)
			close(fd);
	for (int i = 0; i < CONNECTIONS; i++)
		close(client[i]);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		total += got[slot];
	assert_int_equal(total, CONNECTIONS);
}

static void
empty_slots_get_no_new_connections(void **state)
{
	struct master_listen l;
	int got[SLOTS];

	(void)state;
	assert_int_equal(master_listen_open(&l, "127.0.0.1", 0, SLOTS), 0);
	for (unsigned slot = 0; slot < SLOTS; slot++) { /* each alone: the kernel's numbers are our slots */
		master_listen_avoid(&l, slot, true);
		spread(&l, got);
		assert_int_equal(got[slot], 0);
		assert_true(got[(slot + 1) % SLOTS] > 0 && got[(slot + 2) % SLOTS] > 0);
		master_listen_avoid(&l, slot, false);
	}
	for (unsigned slot = 1; slot < SLOTS; slot++)
		master_listen_avoid(&l, slot, true);
	spread(&l, got);
	assert_int_equal(got[0], CONNECTIONS);
	master_listen_avoid(&l, 0, true); /* nobody left: connections wait, they are not refused */
	spread(&l, got);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		master_listen_avoid(&l, slot, false);
	spread(&l, got);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		assert_true(got[slot] > 0);
	master_listen_release(&l);
}

static void
an_address_in_use_is_refused(void **state)
{
	struct master_listen first, second;
	uint16_t port;

	(void)state;
	assert_int_equal(master_listen_open(&first, "127.0.0.1", 0, 2), 0);
	port = first.port;
	/* Same user, both with SO_REUSEPORT: without care the second daemon would take half of the
	 * connections. */
	assert_int_equal(master_listen_open(&second, "127.0.0.1", port, 2), HALE_ECONF);
	assert_null(second.fd);
	assert_int_equal(master_listen_open(&second, "0.0.0.0", port, 2), HALE_ECONF);
	master_listen_release(&first);
	/* Gone is gone: the port is free at once. */
	assert_int_equal(master_listen_open(&second, "127.0.0.1", port, 2), 0);
	master_listen_release(&second);
}

static void
bad_hosts_are_refused(void **state)
{
	static const char label[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl";
	struct master_listen l;

	(void)state;
	assert_int_equal(master_listen_open(&l, "192.0.2.1", 0, 1), HALE_ECONF);
	/* A label of more than 63 characters: refused without asking a name server. */
	assert_int_equal(master_listen_open(&l, label, 0, 1), HALE_ECONF);
}

static void
who_can_connect(void **state)
{
	struct master_listen l;

	(void)state;
	assert_int_equal(master_listen_open(&l, "localhost", 0, 1), 0);
	assert_true(l.loopback);
	master_listen_release(&l);
	assert_int_equal(master_listen_open(&l, "127.3.2.1", 0, 1), 0);
	assert_true(l.loopback);
	master_listen_release(&l);
	assert_int_equal(master_listen_open(&l, "0.0.0.0", 0, 1), 0);
	assert_false(l.loopback);
	master_listen_release(&l);
	if (master_listen_open(&l, "::1", 0, 2) == 0) { /* where the machine has IPv6 */
		assert_true(l.loopback);
		master_listen_release(&l);
		assert_int_equal(master_listen_open(&l, "::", 0, 2), 0);
		assert_false(l.loopback);
		master_listen_release(&l);
	}

	assert_int_equal(master_listen_permitted(true, false, false, "x"), 0);
	assert_int_equal(master_listen_permitted(false, true, false, "x"), 0);
	assert_int_equal(master_listen_permitted(false, false, true, "x"), 0);
	assert_int_equal(master_listen_permitted(false, false, false, "x"), HALE_ECONF);
}

/* n sockets at descriptors first.., as systemd passes them. */
static void
pass(int first, unsigned n, bool reuse, bool listening)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (unsigned i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), on = reuse;

		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		if (reuse)
			a.sin_port = htons(port_of(fd));
		if (listening)
			assert_int_equal(listen(fd, 16), 0);
		assert_int_equal(dup2(fd, first + (int)i), first + (int)i);
		close(fd);
	}
}

static void
sockets_from_systemd(void **state)
{
	struct master_listen l;
	int first = 60;

	(void)state;
	pass(first, 2, true, true); /* ReusePort, as many as slots */
	assert_int_equal(master_listen_inherit(&l, first, 2, 2), 0);
	assert_false(l.shared);
	assert_int_equal(l.nper, 1);
	assert_int_equal(master_listen_slot(&l, 0)[0], first);
	assert_int_equal(master_listen_slot(&l, 1)[0], first + 1);
	assert_true(fcntl(first, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
	master_listen_release(&l);
	assert_int_equal(fcntl(first, F_GETFD), -1);

	pass(first, 2, false, true); /* two addresses, two slots: both for both */
	assert_int_equal(master_listen_inherit(&l, first, 2, 2), 0);
	assert_true(l.shared);
	assert_int_equal(l.nper, 2);
	assert_int_equal(master_listen_slot(&l, 1)[0], first);
	assert_int_equal(master_listen_slot(&l, 1)[1], first + 1);
	assert_int_equal(l.port, port_of(first));
	assert_true(l.loopback);
	master_listen_release(&l);

	pass(first, 1, false, true);
	assert_int_equal(master_listen_inherit(&l, first, 1, 4), 0);
	assert_int_equal(master_listen_slot(&l, 3)[0], first);
	master_listen_release(&l);

	pass(first, 1, false, false);
	assert_int_equal(master_listen_inherit(&l, first, 1, 1), HALE_ECONF);
	assert_int_equal(master_listen_inherit(&l, first, 1, 1), HALE_ECONF); /* not even a socket any more */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_slot_has_its_own_socket_on_one_port),
		cmocka_unit_test(empty_slots_get_no_new_connections),
		cmocka_unit_test(an_address_in_use_is_refused),
		cmocka_unit_test(bad_hosts_are_refused),
		cmocka_unit_test(who_can_connect),
		cmocka_unit_test(sockets_from_systemd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

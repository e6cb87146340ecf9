/* Messages between processes: one datagram of fixed size each, over SOCK_SEQPACKET pairs.
 *
 * A packet socket keeps message borders and reports the end of the peer, so there is no framing and no partial
 * read to handle. Nobody waits here: a full queue is the caller's news.
 */
#include "hale/hale.h"

#include "hale/ipc.h"

#include <errno.h>
#include <sys/socket.h>

#include "hale/err.h"

int
ipc_pair(int fd[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == -1 ? HALE_ESYS : 0;
}

static int
ipc_error(int error)
{
	switch (error) {
	case EAGAIN:
	case ENOBUFS:
		return HALE_EBUSY;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return HALE_ENOENT;
	default:
		return HALE_ESYS;
	}
}

int
ipc_send(int fd, const struct ipc_msg *m)
{
	ssize_t n;

	do
		n = send(fd, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == -1 ? ipc_error(errno) : 0;
}

int
ipc_recv(int fd, struct ipc_msg *m)
{
	struct ipc_msg got;
	ssize_t n;

	do
		n = recv(fd, &got, sizeof(got), MSG_DONTWAIT | MSG_TRUNC);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return ipc_error(errno);
	if (n == 0)
		return HALE_ENOENT;
	if ((size_t)n != sizeof(got))
		return HALE_EINVAL;
	*m = got;
	return 0;
}

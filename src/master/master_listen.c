/* Listening sockets: resolve, bind, inherit, hand over.
 *
 * Each worker slot has one SO_REUSEPORT socket per address. The master keeps them open for as long as
 * it runs and every process of a slot gets the same ones: connections that wait in the queue of a
 * worker that died or drains are accepted by its successor. A shared socket with EPOLLEXCLUSIVE would
 * spread long-lived connections badly, and a socket per process would reset what is queued.
 *
 * SO_REUSEPORT would also let a second daemon of the same user take half of the connections without
 * anybody noticing. Therefore the first socket of an address is bound and set to listen without it,
 * which fails when anybody else is there, and joins the group afterwards.
 *
 * A slot that crashed repeatedly is empty for up to a minute. The kernel would still give it its share of
 * the connections, which would wait; therefore a filter spreads new ones over the other slots meanwhile.
 *
 * TCP_DEFER_ACCEPT is not used: connections without data would be invisible to the workers' timeouts
 * and are lost when a worker goes.
 */
#include "hale/hale.h"

#include "master_listen.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/err.h"
#include "hale/log.h"
#include "hale/proc.h"

/* With port 0 and several addresses: other ports, when the chosen one is taken on the next address. */
#define MASTER_LISTEN_TRIES 8

struct master_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage any;
	};
	socklen_t len;
};

static bool
master_listen_is_loopback(const struct master_addr *a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	switch (a->sa.sa_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		if (memcmp(&a->in6.sin6_addr, mapped, sizeof(mapped)) == 0)
			return a->in6.sin6_addr.s6_addr[12] == 127;
		return memcmp(&a->in6.sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
	default:
		return false;
	}
}

static uint16_t
master_listen_port(const struct master_addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return ntohs(a->in.sin_port);
	return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

static void
master_listen_set_port(struct master_addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else
		a->in6.sin6_port = htons(port);
}

static void
master_listen_text(const struct master_addr *a, char *buf, size_t size)
{
	if (a->sa.sa_family == AF_UNIX ||
	    getnameinfo(&a->sa, a->len, buf, (socklen_t)size, NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(buf, size, "%s", a->sa.sa_family == AF_UNIX ? "unix" : "?");
}

static int
master_listen_on(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on));
}

/* One listening socket; -1 with errno. first: nobody else may be on this address, see the top of the file. */
static int
master_listen_bind(const struct master_addr *a, bool first, bool v6only)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), v6 = v6only, saved;

	if (fd == -1)
		return -1;
	if (master_listen_on(fd, SOL_SOCKET, SO_REUSEADDR) == -1 ||
	    master_listen_on(fd, IPPROTO_TCP, TCP_NODELAY) == -1)
		goto fail;
	if (a->sa.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6, sizeof(v6)) == -1)
		goto fail;
	if (!first && master_listen_on(fd, SOL_SOCKET, SO_REUSEPORT) == -1)
		goto fail;
	if (bind(fd, &a->sa, a->len) == -1 || listen(fd, MASTER_LISTEN_BACKLOG) == -1)
		goto fail;
	if (first && master_listen_on(fd, SOL_SOCKET, SO_REUSEPORT) == -1)
		goto fail;
	return fd;
fail:
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* Where a bound socket is; false with errno when it is none. */
static bool
master_listen_name(int fd, struct master_addr *a)
{
	*a = (struct master_addr){.len = sizeof(a->any)};
	return getsockname(fd, &a->sa, &a->len) == 0;
}

/* All slots' sockets for address number n. On failure errno; what was opened is in l. */
static bool
master_listen_address(struct master_listen *l, struct master_addr *a, unsigned n)
{
	for (unsigned slot = 0; slot < l->nslot; slot++) {
		int fd = master_listen_bind(a, slot == 0, l->nper > 1);

		if (fd == -1)
			return false;
		l->fd[slot * l->nper + n] = fd;
		if (slot == 0 && master_listen_port(a) == 0) {
			struct master_addr bound;

			if (!master_listen_name(fd, &bound))
				return false;
			master_listen_set_port(a, master_listen_port(&bound));
		}
	}
	return true;
}

static void
master_listen_close(struct master_listen *l)
{
	unsigned n = (l->shared ? 1 : l->nslot) * l->nper;

	for (unsigned i = 0; l->fd && i < n; i++)
		if (l->fd[i] != -1)
			close(l->fd[i]);
	for (unsigned i = 0; l->fd && i < l->nslot * l->nper; i++)
		l->fd[i] = -1;
}

void
master_listen_release(struct master_listen *l)
{
	master_listen_close(l);
	free(l->fd);
	free(l->vacant);
	*l = (struct master_listen){0};
}

static void
master_listen_alloc(struct master_listen *l, unsigned nslot, unsigned nper)
{
	*l = (struct master_listen){.nslot = nslot, .nper = nper, .loopback = true};
	l->fd = xmalloc(sizeof(*l->fd) * nslot * nper);
	for (unsigned i = 0; i < nslot * nper; i++)
		l->fd[i] = -1;
}

/* The distinct stream addresses of host. Returns how many, 0 after an error line. */
static unsigned
master_listen_resolve(const char *host, uint16_t port, struct master_addr out[MASTER_LISTEN_MAX])
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	char service[8];
	unsigned n = 0;
	int rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0) {
		log_error("cannot listen on host=%s: %s; use an address of this machine", host,
		          rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
		return 0;
	}
	for (const struct addrinfo *ai = list; ai && n < MASTER_LISTEN_MAX; ai = ai->ai_next) {
		struct master_addr a = {.len = ai->ai_addrlen};
		bool known = false;

		if (ai->ai_addrlen > sizeof(a.any) || (ai->ai_family != AF_INET && ai->ai_family != AF_INET6))
			continue;
		memcpy(&a.any, ai->ai_addr, ai->ai_addrlen);
		for (unsigned i = 0; i < n; i++) /* /etc/hosts may name an address twice */
			known |= out[i].len == a.len && memcmp(&out[i].any, &a.any, a.len) == 0;
		if (!known)
			out[n++] = a;
	}
	freeaddrinfo(list);
	if (n == 0)
		log_error("cannot listen on host=%s: it has no IPv4 or IPv6 address", host);
	return n;
}

static void
master_listen_explain(const struct master_addr *a, const char *host, uint16_t port, int why)
{
	char text[INET6_ADDRSTRLEN + 16];

	master_listen_text(a, text, sizeof(text));
	if (why == EADDRINUSE)
		log_error("cannot listen on host=%s port=%u: address in use; stop the other program or "
		          "choose another --port",
		          text, port);
	else if (why == EACCES)
		log_error("cannot listen on host=%s port=%u: permission denied; ports below 1024 need "
		          "CAP_NET_BIND_SERVICE or a systemd socket unit", text, port);
	else if (why == EADDRNOTAVAIL)
		log_error("cannot listen on host=%s (%s) port=%u: no interface of this machine has "
		          "that address",
		          host, text, port);
	else
		log_error("cannot listen on host=%s port=%u: %s", text, port, strerror(why));
}

int
master_listen_open(struct master_listen *l, const char *host, uint16_t port, unsigned nslot)
{
	struct master_addr addr[MASTER_LISTEN_MAX];
	unsigned n = master_listen_resolve(host, port, addr), i = 0;
	int why = 0;

	*l = (struct master_listen){0};
	if (n == 0)
		return HALE_ECONF;
	for (unsigned tries = port == 0 && n > 1 ? MASTER_LISTEN_TRIES : 1; tries > 0; tries--) {
		uint16_t chosen = port;

		master_listen_release(l);
		master_listen_alloc(l, nslot, n);
		for (i = 0; i < n; i++) {
			master_listen_set_port(&addr[i], chosen);
			if (!master_listen_address(l, &addr[i], i))
				break;
			chosen = master_listen_port(&addr[i]);
			l->loopback &= master_listen_is_loopback(&addr[i]);
		}
		if (i == n) {
			l->port = chosen;
			l->vacant = xcalloc(nslot, sizeof(*l->vacant));
			return 0;
		}
		why = errno;
		if (why != EADDRINUSE)
			break;
	}
	master_listen_explain(&addr[i], host, master_listen_port(&addr[i]), why);
	master_listen_release(l);
	return HALE_ECONF;
}

/* Is fd a listening stream socket, and which address has it? An error line when it is not. */
static bool
master_listen_check(int fd, struct master_addr *a)
{
	int type = 0, listening = 0;
	socklen_t len = sizeof(type), len2 = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1 || !master_listen_name(fd, a) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len2) == -1) {
		log_error("socket %d from systemd cannot be used: %s", fd, strerror(errno));
		return false;
	}
	if (type != SOCK_STREAM || !listening) {
		log_error("socket %d from systemd is no listening stream socket; use "
		          "ListenStream= and Accept=no",
		          fd);
		return false;
	}
	if (proc_fd_setup(fd) != 0) {
		log_error("socket %d from systemd: %s", fd, strerror(errno));
		return false;
	}
	if (a->sa.sa_family != AF_UNIX && master_listen_on(fd, IPPROTO_TCP, TCP_NODELAY) == -1)
		log_warn("socket %d from systemd: TCP_NODELAY: %s", fd, strerror(errno));
	return true;
}

/* As many sockets as slots, all ReusePort and on one address: one for each slot. */
static bool
master_listen_is_set(int first_fd, unsigned nfd, unsigned nslot)
{
	struct master_addr one, other;

	if (nfd != nslot || !master_listen_name(first_fd, &one))
		return false;
	for (unsigned i = 0; i < nfd; i++) {
		int on = 0;
		socklen_t len = sizeof(on);

		if (getsockopt(first_fd + (int)i, SOL_SOCKET, SO_REUSEPORT, &on, &len) == -1 || !on)
			return false;
		if (!master_listen_name(first_fd + (int)i, &other) || other.len != one.len ||
		    memcmp(&other.any, &one.any, one.len) != 0)
			return false;
	}
	return true;
}

int
master_listen_inherit(struct master_listen *l, int first_fd, unsigned nfd, unsigned nslot)
{
	bool set = master_listen_is_set(first_fd, nfd, nslot);

	*l = (struct master_listen){0};
	if (!set && nfd > MASTER_LISTEN_MAX) {
		log_error("systemd passed %u sockets; at most %u can be shared by all workers", nfd,
		          MASTER_LISTEN_MAX);
		return HALE_ECONF;
	}
	master_listen_alloc(l, nslot, set ? 1 : nfd);
	l->shared = !set;
	for (unsigned slot = 0; slot < nslot; slot++)
		for (unsigned i = 0; i < l->nper; i++)
			l->fd[slot * l->nper + i] = first_fd + (int)(set ? slot : i);
	for (unsigned i = 0; i < nfd; i++) {
		struct master_addr a;

		if (!master_listen_check(first_fd + (int)i, &a)) {
			master_listen_release(l);
			return HALE_ECONF;
		}
		l->loopback &= master_listen_is_loopback(&a);
		if (l->port == 0)
			l->port = master_listen_port(&a);
	}
	return 0;
}

const int *
master_listen_slot(const struct master_listen *l, unsigned slot)
{
	HALE_ASSERT(slot < l->nslot);
	return l->fd + (size_t)slot * l->nper;
}

/* A classic BPF program: one of the given sockets at random. The kernel numbers the sockets of a group in the
 * order in which they joined, which is the order of slots. */
static int
master_listen_attach(int fd, const unsigned *slot, unsigned n)
{
	struct sock_filter *code = xcalloc(2 + 2 * n, sizeof(*code));
	struct sock_fprog prog = {.filter = code};
	unsigned at = 0;
	int rc;

	code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                                          (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
	code[at++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n);
	for (unsigned i = 0; i < n; i++) {
		if (i + 1 < n)
			code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0, 1);
		code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, slot[i]);
	}
	prog.len = (unsigned short)at;
	rc = setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog));
	free(code);
	return rc;
}

void
master_listen_avoid(struct master_listen *l, unsigned slot, bool vacant)
{
	unsigned *live, n = 0, none = 0;

	if (!l->vacant || l->vacant[slot] == vacant)
		return;
	l->vacant[slot] = vacant;
	live = xmalloc(l->nslot * sizeof(*live));
	for (unsigned i = 0; i < l->nslot; i++)
		if (!l->vacant[i])
			live[n++] = i;
	for (unsigned i = 0; i < l->nper; i++) {
		int rc;

		if (n == 0 || n == l->nslot) /* nobody to avoid, or nobody left: the kernel's own way */
			rc = setsockopt(l->fd[i], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof(none));
		else
			rc = master_listen_attach(l->fd[i], live, n);
		if (rc == -1 && errno != ENOENT) /* ENOENT: there was no filter */
			log_warn("cannot steer connections around an empty slot: %s", strerror(errno));
	}
	free(live);
}

void
master_listen_log(const struct master_listen *l)
{
	for (unsigned i = 0; i < l->nper; i++) {
		char text[INET6_ADDRSTRLEN + 16];
		struct master_addr a;

		if (!master_listen_name(l->fd[i], &a))
			continue;
		master_listen_text(&a, text, sizeof(text));
		log_info("listening host=%s port=%u", text, master_listen_port(&a));
	}
}

int
master_listen_permitted(bool loopback, bool have_key, bool insecure, const char *where)
{
	if (loopback || have_key || insecure)
		return 0;
	log_error("general_settings.master_key is not set, and everybody who reaches %s could use and see "
	          "every deployment: set master_key (or LITELLM_MASTER_KEY), or listen with --host 127.0.0.1, "
	          "or accept this with --insecure",
	          where);
	return HALE_ECONF;
}

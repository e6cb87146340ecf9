/* The listening sockets: made once at start, kept until the daemon ends, handed to every child of a slot. */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include "hale/hale.h"

#define MASTER_LISTEN_BACKLOG 4096 /* the kernel takes the smaller of this and net.core.somaxconn */
#define MASTER_LISTEN_MAX 16       /* addresses, or sockets that systemd passed and that all slots share */
#define MASTER_LISTEN_FIRST_FD 3   /* where systemd's sockets begin */

struct master_listen {
	unsigned nslot, nper; /* slots, sockets per slot */
	int *fd;              /* nslot * nper, by slot; slots may share descriptors (systemd) */
	bool shared;          /* every slot has the same descriptors */
	bool loopback;        /* nobody outside this host can connect */
	uint16_t port;        /* of the first TCP socket, 0: there is none */
	bool *vacant; /* own sockets: slots without a process for a while, see master_listen_avoid() */
};

/* Binds nslot sockets for each address that host resolves to. port 0: the first socket chooses. May block
 * (DNS). 0, or HALE_ECONF after an error line (address in use, no such host, no permission); *l is then
 * released. */
int master_listen_open(struct master_listen *l, const char *host, uint16_t port,
                       unsigned nslot) HALE_MUST_USE;
/* Takes nfd sockets from systemd: one per slot when they form such a set, else all of them for every slot. */
int master_listen_inherit(struct master_listen *l, int first_fd, unsigned nfd, unsigned nslot) HALE_MUST_USE;
/* The nper sockets of a slot; borrowed. */
const int *master_listen_slot(const struct master_listen *l, unsigned slot);
/* While a slot waits to be started again, new connections go to the other slots; what is queued in its
 * sockets stays there. vacant false: as before. Does nothing for sockets that systemd passed. */
void master_listen_avoid(struct master_listen *l, unsigned slot, bool vacant);
/* "listening host=... port=..." for each address. */
void master_listen_log(const struct master_listen *l);
void master_listen_release(struct master_listen *l);

/* Without a key only this host may connect, unless that was asked for. 0, or HALE_ECONF after an error line
 * that names the ways out. */
int master_listen_permitted(bool loopback, bool have_key, bool insecure, const char *where) HALE_MUST_USE;

#endif

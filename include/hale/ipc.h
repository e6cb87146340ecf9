/* Messages between processes: small, of fixed size, over SOCK_SEQPACKET socketpairs.
 *
 * Two kinds of socketpair exist. The control pair joins the master and one child. The round pair
 * joins one worker slot and the prober; the master makes it per generation and keeps both ends
 * open, so that a respawned process finds its end where its predecessor left it.
 */
#ifndef HALE_IPC_H
#define HALE_IPC_H

#include "hale/hale.h"

enum ipc_type {
	IPC_READY = 1,     /* child -> master: I serve */
	IPC_DRAIN = 2,     /* master -> child: take no new work, end when the running work is done */
	IPC_ROUND = 3,     /* worker -> prober: probe this scope now; a = id, b = enum ipc_scope, c = index */
	IPC_ROUND_DONE = 4 /* prober -> worker: every result of round a is in the table; b = 0 or hale_err */
};

/* What a round covers. index is a position in struct conf of the same generation. */
enum ipc_scope {
	IPC_SCOPE_ALL = 0,
	IPC_SCOPE_GROUP = 1,      /* index of a model group */
	IPC_SCOPE_MODEL = 2,      /* all deployments whose litellm_params.model equals that of deployment index */
	IPC_SCOPE_DEPLOYMENT = 3, /* one deployment */
};

struct ipc_msg {
	uint32_t type, reserved;
	uint64_t a, b, c;
};

/* fd[0] and fd[1] non-blocking, close-on-exec. 0 or HALE_ESYS. */
int ipc_pair(int fd[2]);
/* One message. 0, HALE_EBUSY (queue full or nothing there), HALE_ENOENT (peer gone), HALE_ESYS; receiving
 * also HALE_EINVAL (not a message of this size, dropped). Never blocks. */
int ipc_send(int fd, const struct ipc_msg *m) HALE_MUST_USE;
int ipc_recv(int fd, struct ipc_msg *m) HALE_MUST_USE;

#endif

/* What processes agree on: exit codes, titles, signals at birth. */
#ifndef HALE_PROC_H
#define HALE_PROC_H

#include "hale/hale.h"

/* Exit codes are a protocol between children and master, and between the master and systemd. */
enum proc_exit {
	PROC_EXIT_ASKED = 0,  /* ended because it was told to */
	PROC_EXIT_CRASH = 1,  /* respawn, with backoff */
	PROC_EXIT_CONFIG = 2, /* configuration or permission: respawning cannot help */
};

/* No core dump of this process and its children, to a file or to a handler: their memory holds keys. */
void proc_no_core(void);
/* First thing in a child: PDEATHSIG (and the check that the parent did not die before it),
 * default signal handlers, title "hale: <role>[<index>]". */
void proc_child_init(const char *role, int index, int parent_pid);
/* Sets the title ps shows. Never contains arguments, so no secret can be in it. */
void proc_title(const char *fmt, ...) HALE_PRINTF(1, 2);
/* Sets O_NONBLOCK and FD_CLOEXEC; 0 or HALE_ESYS. */
int proc_fd_setup(int fd);

#endif

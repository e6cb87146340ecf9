/* Everything a child inherits from the master, each field explained; and the children's entry points.
 *
 * main.c hands worker_main and prober_main to the master as function pointers, so that no room's
 * objects refer to another room's.
 */
#ifndef HALE_HERITAGE_H
#define HALE_HERITAGE_H

#include "hale/hale.h"

struct conf;
struct htable;

struct heritage {
	const struct conf *conf; /* this generation's configuration, copy-on-write memory of the master */
	struct htable *table;    /* this generation's segment; the child calls htable_protect() */
	int master_pid;          /* for proc_child_init() */
	int index;               /* worker slot 0..nworker-1; -1: prober */
	unsigned nworker;
	int control_fd;          /* to the master: send IPC_READY, receive IPC_DRAIN; EOF: the master is dead, exit */
	const int *listen_fd;    /* worker: the slot's own SO_REUSEPORT sockets, listening, non-blocking */
	unsigned nlisten;
	const int *round_fd;     /* worker: one, its end of the round pair; prober: nworker of them, by slot */
	bool debug;              /* --detailed_debug */
	bool insecure;           /* --insecure: serving other than loopback without a key was asked for */
};

/* Runs a child until it is told to end; returns an enum proc_exit for _exit(). Called after the fork. */
typedef int (*heritage_main_f)(const struct heritage *h);

int worker_main(const struct heritage *h); /* src/worker/worker.c */
int prober_main(const struct heritage *h); /* src/prober/prober.c */

struct master_options {
	const char *config;    /* NULL: the embedded default */
	const char *host;      /* "127.0.0.1" by default when no master_key is set, else "0.0.0.0" */
	uint16_t port;         /* 4000; 0: any, printed in the log as "listening host=... port=..." */
	unsigned num_workers;  /* 0: number of online cores */
	bool debug, insecure;
	heritage_main_f worker_main, prober_main;
};

/* The supervisor: returns the exit code of the daemon (enum proc_exit). */
int master_run(const struct master_options *o); /* src/master/master.c */

#endif

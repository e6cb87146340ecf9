/* State of the supervisor, shared by the files of src/master. Nothing here is visible to other rooms. */
#ifndef MASTER_H
#define MASTER_H

#include "hale/err.h"
#include "hale/hale.h"
#include "hale/heritage.h"
#include "master_backoff.h"
#include "master_listen.h"

#define MASTER_WORKERS_MAX 256
#define MASTER_GENERATIONS_MAX 8    /* alive at once; a further reload waits until an old one has drained */
#define MASTER_READY_TIMEOUT_S 30   /* fork to IPC_READY */
#define MASTER_HANGUP_TIMEOUT_S 5   /* end of the control pipe to end of the process */
#define MASTER_STOP_TWICE_MS 250    /* the same stop signal from the same process within this time is one */
#define MASTER_DRAIN_GRACE_MS 500   /* after drain_timeout_ms, for children that end by the same clock */

struct conf;
struct htable;

/* BOOT -> RUN -> RELOAD -> RUN ... -> DRAIN -> GONE */
enum master_state { MASTER_BOOT, MASTER_RUN, MASTER_RELOAD, MASTER_DRAIN, MASTER_GONE };

/* One process, or the place where one will be. */
struct master_child {
	int pid;             /* 0: none */
	int control_fd;      /* our end of the control pair; -1: none, or the child closed its end */
	bool ready, asked;   /* IPC_READY arrived; it was told to end */
	uint64_t started_ns;
	uint64_t due_ns;     /* no process: when to start one; 0: never */
	uint64_t kill_ns;    /* process: SIGKILL if it still lives then; 0: never */
	struct master_backoff backoff;
};

enum master_phase {
	MASTER_STARTING, /* not all children are ready */
	MASTER_SERVING,
	MASTER_LEAVING,  /* every child was told to end; none is started again */
};

/* One configuration and the processes that run on it. */
struct master_generation {
	struct master_generation *older;
	uint64_t number;
	enum master_phase phase;
	uint64_t begun_ns;
	struct conf *conf;
	struct htable *table;
	int *round_fd;    /* nworker worker ends, then nworker prober ends; -1 once the generation leaves */
	unsigned killed;  /* children that had to be killed while leaving */
	unsigned nchild;  /* nworker + 1 */
	struct master_child child[]; /* worker slots, then the prober */
};

struct master {
	const struct master_options *options;
	char *config;     /* absolute path, NULL: embedded default */
	const char *host; /* as configured or by default; "systemd" for inherited sockets */
	unsigned nworker;
	int pid;
	int signal_fd;
	struct master_listen listen;
	struct master_generation *newest; /* list over `older` */
	struct master_generation *current; /* serves; NULL only before the first one exists */
	struct master_generation *next;   /* being started by a reload, else NULL */
	struct pollfd *poll;              /* room for signal_fd and every child that can exist */
	struct master_child **polled;     /* whose control fd an entry of poll is */
	uint64_t last_number;
	enum master_state state;
	bool want_reload, want_reap, reload_waits;
	unsigned want_stop;  /* SIGTERM and SIGINT received and not yet acted on */
	int stop_signal;     /* the last of them, who sent it, when */
	uint32_t stop_sender;
	uint64_t stop_ns;
	uint64_t leave_ns;   /* the end is announced: drain then; 0: it is not */
	int exit_code;
};

/* master.c */
/* The current generation serves: says so in the log and to systemd. begun_ns: when its start began. */
void master_ready(struct master *m, uint64_t begun_ns);
/* Begins the end: DRAINING is published, all children are told to drain, the loop ends when they are gone. */
void master_stop(struct master *m, int exit_code);

/* master_child.c */
bool master_child_is_prober(const struct master_generation *g, unsigned index);
/* "worker[3]" or "prober"; buf of at least 24 bytes. */
const char *master_child_name(const struct master_generation *g, unsigned index, char *buf, size_t size);
/* Forks child `index` of g; runs its main function and never returns in the child. 0 or HALE_ESYS. */
int master_child_spawn(struct master *m, struct master_generation *g, unsigned index) HALE_MUST_USE;
/* Collects every dead child, writes the obituaries, plans successors. */
void master_child_reap(struct master *m);
/* Tells a child to end, and kills it if it lives at kill_ns. */
void master_child_drain(struct master_child *c, uint64_t kill_ns);
/* Messages and ends of control pipes, from the last poll. */
void master_child_receive(struct master *m, struct master_child *c, short events);
/* Whatever is due by now: successors, kills. */
void master_child_timers(struct master *m, uint64_t now_ns);
/* The earliest time at which master_child_timers() has work; UINT64_MAX: never. */
uint64_t master_child_deadline(const struct master *m);

/* master_generation.c */
/* Takes conf, also on failure. Maps the segment (filled from m->current's), makes the round pairs. NULL after
 * an error line. */
struct master_generation *master_generation_new(struct master *m, struct conf *take_conf);
/* Forks all children. 0, or HALE_ESYS after an error line. */
int master_generation_start(struct master *m, struct master_generation *g) HALE_MUST_USE;
bool master_generation_is_ready(const struct master_generation *g);
bool master_generation_is_empty(const struct master_generation *g); /* no processes */
/* Every child drains, and is killed drain_timeout_ms from now. */
void master_generation_leave(struct master_generation *g);
void master_generation_kill(struct master_generation *g);
/* Frees the generations that left and have no process any more. */
void master_generation_collect(struct master *m);
unsigned master_generation_count(const struct master *m);
/* In a child: gives back the memory of all generations but its own. */
void master_generation_forget_others(struct master *m, const struct master_generation *own);

/* master_reload.c */
/* Loads and checks the configuration; logs every message. NULL when it was refused. */
struct conf *master_reload_load(const struct master *m);
/* SIGHUP: builds the next generation, or says why the current one stays. */
void master_reload_begin(struct master *m);
/* The next generation's children are all ready: it becomes the current one, the old one drains. */
void master_reload_finish(struct master *m);
/* The next generation cannot serve: it is dropped, nothing else changes. */
void master_reload_abort(struct master *m, const char *why);

#endif

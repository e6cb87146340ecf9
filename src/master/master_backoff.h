/* When a child that crashed may start again. Pure: times in, verdict out. */
#ifndef MASTER_BACKOFF_H
#define MASTER_BACKOFF_H

#include "hale/hale.h"

#define MASTER_BACKOFF_MAX_S 60    /* longest delay, and the life that earns a fresh start */
#define MASTER_BACKOFF_CRASHES 10  /* this many ... */
#define MASTER_BACKOFF_WINDOW_S 300 /* ... within this time: give up */
#define MASTER_BACKOFF_GIVE_UP UINT64_MAX

/* One per child slot; all zero is a slot that never crashed. */
struct master_backoff {
	uint64_t crash_ns[MASTER_BACKOFF_CRASHES]; /* ring of the last crashes */
	unsigned crashes;                          /* recorded ever; the ring position is its remainder */
	uint32_t delay_s;                          /* of the next crash */
};

/* Records a crash at now_ns after life_ns of life. Returns the delay in ns before the next start (0, 1, 2, 4
 * ... 60 s; back to 0 after 60 s of life), or MASTER_BACKOFF_GIVE_UP. */
uint64_t master_backoff(struct master_backoff *b, uint64_t now_ns, uint64_t life_ns);

/* What the end of a child means. */
enum master_verdict {
	MASTER_VERDICT_GONE,    /* it was told to end */
	MASTER_VERDICT_RESPAWN, /* it crashed, or ended although nobody asked */
	MASTER_VERDICT_CONFIG,  /* it says that starting it again cannot help */
};

/* wait_status as of waitpid(); asked: it was told to drain. */
enum master_verdict master_backoff_verdict(int wait_status, bool asked);

#endif

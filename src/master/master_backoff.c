/* Restart policy: how long a crashed child waits, when the service gives up, what an exit code means.
 *
 * The first restart is immediate, because a killed worker leaves connections in its queue and only a
 * successor can serve them. A child that keeps crashing waits longer each time, so that it does not
 * turn into a fork storm; ten crashes within five minutes are beyond what a restart of one process
 * can cure, and systemd decides. The count is kept per slot: one fault that kills sixteen workers at
 * once is one crash for each of them.
 */
#include "hale/hale.h"

#include "master_backoff.h"

#include <sys/wait.h>

#include "hale/clock.h"
#include "hale/proc.h"

uint64_t
master_backoff(struct master_backoff *b, uint64_t now_ns, uint64_t life_ns)
{
	uint64_t oldest_ns;
	uint32_t delay_s;

	if (life_ns >= MASTER_BACKOFF_MAX_S * NS_PER_SEC)
		b->delay_s = 0;
	delay_s = b->delay_s;
	b->delay_s = delay_s == 0 ? 1 : delay_s * 2;
	if (b->delay_s > MASTER_BACKOFF_MAX_S)
		b->delay_s = MASTER_BACKOFF_MAX_S;

	b->crash_ns[b->crashes % MASTER_BACKOFF_CRASHES] = now_ns;
	b->crashes++;
	if (b->crashes >= MASTER_BACKOFF_CRASHES) {
		oldest_ns = b->crash_ns[b->crashes % MASTER_BACKOFF_CRASHES];
		if (now_ns - oldest_ns < MASTER_BACKOFF_WINDOW_S * NS_PER_SEC)
			return MASTER_BACKOFF_GIVE_UP;
	}
	return delay_s * NS_PER_SEC;
}

enum master_verdict
master_backoff_verdict(int wait_status, bool asked)
{
	if (asked)
		return MASTER_VERDICT_GONE;
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == PROC_EXIT_CONFIG)
		return MASTER_VERDICT_CONFIG;
	return MASTER_VERDICT_RESPAWN;
}

/* A generation: one configuration, one shared segment, one set of processes.
 *
 * Two generations never share a segment, so the probers of two generations never write the same one.
 * What they do share are the listening sockets. A generation that leaves is not repaired any more: the
 * master closes its ends of the round pairs, so that a worker learns at once that its prober is gone.
 */
#include "hale/hale.h"

#include "master.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/htable_master.h"
#include "hale/ipc.h"
#include "hale/log.h"

static void
master_generation_close_rounds(struct master_generation *g)
{
	unsigned nworker = g->nchild - 1;

	for (unsigned i = 0; i < 2 * nworker; i++) {
		if (g->round_fd[i] != -1)
			close(g->round_fd[i]);
		g->round_fd[i] = -1;
	}
}

static void
master_generation_free(struct master_generation *g)
{
	master_generation_close_rounds(g);
	for (unsigned i = 0; i < g->nchild; i++)
		if (g->child[i].control_fd != -1)
			close(g->child[i].control_fd);
	htable_freep(&g->table);
	conf_freep(&g->conf);
	free(g->round_fd);
	free(g);
}

struct master_generation *
master_generation_new(struct master *m, struct conf *take_conf)
{
	const struct master_generation *old = m->current;
	unsigned nchild = m->nworker + 1;
	struct master_generation *g = xcalloc(1, sizeof(*g) + nchild * sizeof(g->child[0]));

	g->number = take_conf->generation = ++m->last_number;
	g->conf = take_conf;
	g->nchild = nchild;
	g->begun_ns = clock_mono_ns();
	g->round_fd = xmalloc(2 * m->nworker * sizeof(*g->round_fd));
	for (unsigned i = 0; i < 2 * m->nworker; i++)
		g->round_fd[i] = -1;
	for (unsigned i = 0; i < nchild; i++)
		g->child[i].control_fd = -1;
	for (unsigned i = 0; i < m->nworker; i++) {
		int fd[2];

		if (ipc_pair(fd) != 0) {
			log_error("round pair: %s", strerror(errno));
			master_generation_free(g);
			return NULL;
		}
		g->round_fd[i] = fd[0];
		g->round_fd[m->nworker + i] = fd[1];
	}
	g->table = htable_create(take_conf, m->nworker, old ? old->table : NULL, old ? old->conf : NULL);
	if (!g->table) {
		log_error("cannot map the shared segment: %s", strerror(errno));
		master_generation_free(g);
		return NULL;
	}
	g->older = m->newest;
	m->newest = g;
	return g;
}

int
master_generation_start(struct master *m, struct master_generation *g)
{
	int rc = 0;

	for (unsigned i = 0; i < g->nchild && rc == 0; i++)
		rc = master_child_spawn(m, g, i);
	return rc;
}

bool
master_generation_is_ready(const struct master_generation *g)
{
	for (unsigned i = 0; i < g->nchild; i++)
		if (!g->child[i].ready)
			return false;
	return true;
}

bool
master_generation_is_empty(const struct master_generation *g)
{
	for (unsigned i = 0; i < g->nchild; i++)
		if (g->child[i].pid)
			return false;
	return true;
}

void
master_generation_leave(struct master_generation *g)
{
	uint64_t kill_ns =
		clock_mono_ns() + (g->conf->limits.drain_timeout_ms + MASTER_DRAIN_GRACE_MS) * NS_PER_MS;

	g->phase = MASTER_LEAVING;
	for (unsigned i = 0; i < g->nchild; i++)
		master_child_drain(&g->child[i], kill_ns);
	master_generation_close_rounds(g);
}

void
master_generation_kill(struct master_generation *g)
{
	for (unsigned i = 0; i < g->nchild; i++)
		if (g->child[i].pid) {
			kill(g->child[i].pid, SIGKILL);
			g->killed++;
		}
}

void
master_generation_collect(struct master *m)
{
	struct master_generation **link = &m->newest;

	while (*link) {
		struct master_generation *g = *link;

		if (g->phase != MASTER_LEAVING || !master_generation_is_empty(g)) {
			link = &g->older;
			continue;
		}
		log_debug("generation=%llu is gone killed=%u", (unsigned long long)g->number, g->killed);
		*link = g->older;
		if (g == m->current)
			m->current = NULL;
		master_generation_free(g);
	}
}

unsigned
master_generation_count(const struct master *m)
{
	unsigned n = 0;

	for (const struct master_generation *g = m->newest; g; g = g->older)
		n++;
	return n;
}

void
master_generation_forget_others(struct master *m, const struct master_generation *own)
{
	for (struct master_generation *g = m->newest; g; g = g->older)
		if (g != own)
			htable_freep(&g->table);
}

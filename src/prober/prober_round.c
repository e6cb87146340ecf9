/* On-demand rounds.
 *
 * Two kinds of single flight make a round cheap. Who asks for a scope that is being probed already joins
 * that round: there is at most one per scope. And rounds of different scopes share probes: a round only
 * says which deployments it waits for; the scheduler starts each of them once, and one result serves every
 * round that waits. A thousand simultaneous GET /health therefore cost one probe per deployment.
 *
 * A worker that dies leaves its socket to its successor (the master keeps both ends open), so nothing is
 * torn down here: the successor ignores answers to questions that it has not asked. Only when the master has
 * let go of the generation does the last worker's end show as end of file. A worker that does not
 * read its answers gets them later; past ROUND_ANSWERS_MAX they are dropped, and its own timeout ends its
 * wait.
 */
#include "hale/hale.h"

#include "prober_round.h"

#include <event2/event.h>
#include <sys/queue.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/ipc.h"
#include "hale/log.h"

#define ROUND_ANSWERS_MAX 4096  /* answers that wait for one worker to read */
#define ROUND_ASKERS_MAX 65536  /* questions that one round answers */
#define ROUND_READ_MAX 256      /* questions that are read from one worker per wakeup */
#define ROUND_SCOPES (IPC_SCOPE_DEPLOYMENT + 1)

struct round_asker {
	unsigned peer;
	uint64_t id;
};

/* One deployment that a round waits for. */
struct round_wait {
	struct round *round;
	SLIST_ENTRY(round_wait) link;
};
SLIST_HEAD(round_waits, round_wait);

struct round {
	struct round **place; /* where the scope's entry points at it */
	uint32_t left;        /* deployments without a result */
	struct round_wait *wait;
	struct round_asker *asker;
	uint32_t nasker, cap;
};

/* A worker. */
struct round_peer {
	struct prober_rounds *rounds;
	int fd;
	struct event *read, *write;
	struct ipc_msg *answer; /* not taken yet, oldest first */
	uint32_t nanswer, cap;
	bool gone;              /* every other end of the pair is closed */
};

struct prober_rounds {
	const struct conf *conf;
	const struct prober_round_ops *ops;
	void *arg;
	struct round_peer *peer;
	unsigned npeer, open;
	struct round_waits *waiting;         /* by deployment */
	struct round **scope[ROUND_SCOPES]; /* the open round of each scope, by index */
};

/* --- answers --- */

static void
prober_round_flush(struct round_peer *p)
{
	uint32_t n = 0;
	int rc = 0;

	while (n < p->nanswer && (rc = ipc_send(p->fd, &p->answer[n])) == 0)
		n++;
	if (rc != 0 && rc != HALE_EBUSY) /* nobody reads them */
		n = p->nanswer;
	p->nanswer -= n;
	memmove(p->answer, p->answer + n, p->nanswer * sizeof(*p->answer));
	if (p->nanswer)
		event_add(p->write, NULL);
}

static void
prober_round_answer(struct round_peer *p, uint64_t id, int code)
{
	if (p->gone)
		return;
	if (p->nanswer == ROUND_ANSWERS_MAX) {
		log_limited(log_warn, "a worker does not read its round answers, one is dropped worker=%u",
		            (unsigned)(p - p->rounds->peer));
		return;
	}
	if (p->nanswer == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->answer = xrealloc(p->answer, p->cap * sizeof(*p->answer));
	}
	p->answer[p->nanswer++] = (struct ipc_msg){.type = IPC_ROUND_DONE, .a = id, .b = (uint64_t)(int64_t)code};
	if (p->nanswer == 1)
		prober_round_flush(p);
}

static void
prober_round_write_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	prober_round_flush(arg);
}

/* --- rounds --- */

static void
prober_round_finish(struct prober_rounds *r, struct round *round)
{
	*round->place = NULL;
	r->open--;
	for (uint32_t k = 0; k < round->nasker; k++)
		prober_round_answer(&r->peer[round->asker[k].peer], round->asker[k].id, 0);
	free(round->wait);
	free(round->asker);
	free(round);
}

static void
prober_round_join(struct round *round, struct round_peer *p, uint64_t id)
{
	if (round->nasker == ROUND_ASKERS_MAX) {
		prober_round_answer(p, id, HALE_ELIMIT);
		return;
	}
	if (round->nasker == round->cap) {
		round->cap = round->cap ? round->cap * 2 : 8;
		round->asker = xrealloc(round->asker, round->cap * sizeof(*round->asker));
	}
	round->asker[round->nasker++] = (struct round_asker){.peer = (unsigned)(p - p->rounds->peer), .id = id};
}

/* Is deployment i probed by a round of this scope? */
static bool
prober_round_covers(const struct conf *c, enum ipc_scope scope, uint32_t index, uint32_t i)
{
	const struct deployment *d = &c->deployment[i];

	if (d->probe.disabled && c->general.health_check_skip_disabled_background_models)
		return false;
	switch (scope) {
	case IPC_SCOPE_ALL: return true;
	case IPC_SCOPE_GROUP: return d->group == index;
	case IPC_SCOPE_MODEL: return strcmp(d->model, c->deployment[index].model) == 0;
	case IPC_SCOPE_DEPLOYMENT: return i == index;
	}
	return false;
}

static struct round *
prober_round_start(struct prober_rounds *r, enum ipc_scope scope, uint32_t index, struct round **place)
{
	const struct conf *c = r->conf;
	struct round *round = xcalloc(1, sizeof(*round));
	uint32_t n = 0;

	round->place = place;
	for (uint32_t i = 0; i < c->ndeployment; i++)
		n += prober_round_covers(c, scope, index, i);
	round->wait = xcalloc(n ? n : 1, sizeof(*round->wait));
	for (uint32_t i = 0; i < c->ndeployment && round->left < n; i++) {
		if (!prober_round_covers(c, scope, index, i))
			continue;
		round->wait[round->left].round = round;
		SLIST_INSERT_HEAD(&r->waiting[i], &round->wait[round->left], link);
		round->left++;
		r->ops->ask(r->arg, i);
	}
	*place = round;
	r->open++;
	return round;
}

static void
prober_round_question(struct round_peer *p, const struct ipc_msg *m)
{
	struct prober_rounds *r = p->rounds;
	const struct conf *c = r->conf;
	uint64_t bound = m->b == IPC_SCOPE_ALL ? 1 : m->b == IPC_SCOPE_GROUP ? c->ngroup : c->ndeployment;
	uint64_t index = m->b == IPC_SCOPE_ALL ? 0 : m->c;
	struct round **place;

	if (m->b >= ROUND_SCOPES || index >= bound) {
		prober_round_answer(p, m->a, HALE_ENOENT);
		return;
	}
	if (m->b == IPC_SCOPE_MODEL) /* one round per model string: the first deployment stands for it */
		for (uint64_t i = 0; i < index; i++)
			if (strcmp(c->deployment[i].model, c->deployment[index].model) == 0)
				index = i;
	place = &r->scope[m->b][index];
	if (!*place)
		prober_round_start(r, (enum ipc_scope)m->b, (uint32_t)index, place);
	prober_round_join(*place, p, m->a);
	if ((*place)->left == 0) /* a scope without deployments */
		prober_round_finish(r, *place);
}

static void
prober_round_read_cb(evutil_socket_t fd, short what, void *arg)
{
	struct round_peer *p = arg;
	struct ipc_msg m;
	int rc = 0;

	(void)what;
	for (int n = 0; n < ROUND_READ_MAX && (rc == 0 || rc == HALE_EINVAL); n++) {
		rc = ipc_recv((int)fd, &m);
		if (rc == 0 && m.type == IPC_ROUND)
			prober_round_question(p, &m);
	}
	if (rc == HALE_ENOENT || rc == HALE_ESYS) { /* the generation is ending */
		p->gone = true;
		p->nanswer = 0;
		event_del(p->read);
		event_del(p->write);
		p->rounds->ops->gone(p->rounds->arg);
	}
}

/* --- what the prober calls --- */

struct prober_rounds *
prober_round_new(const struct conf *c, struct event_base *base, const int *fd, unsigned nfd,
                 const struct prober_round_ops *ops, void *arg)
{
	struct prober_rounds *r = xcalloc(1, sizeof(*r));

	r->conf = c;
	r->ops = ops;
	r->arg = arg;
	r->waiting = xcalloc(c->ndeployment + 1, sizeof(*r->waiting));
	r->scope[IPC_SCOPE_ALL] = xcalloc(1, sizeof(struct round *));
	r->scope[IPC_SCOPE_GROUP] = xcalloc(c->ngroup + 1, sizeof(struct round *));
	r->scope[IPC_SCOPE_MODEL] = xcalloc(c->ndeployment + 1, sizeof(struct round *));
	r->scope[IPC_SCOPE_DEPLOYMENT] = xcalloc(c->ndeployment + 1, sizeof(struct round *));
	r->peer = xcalloc(nfd ? nfd : 1, sizeof(*r->peer));
	r->npeer = nfd;
	for (unsigned k = 0; k < nfd; k++) {
		struct round_peer *p = &r->peer[k];

		p->rounds = r;
		p->fd = fd[k];
		p->read = event_new(base, fd[k], EV_READ | EV_PERSIST, prober_round_read_cb, p);
		p->write = event_new(base, fd[k], EV_WRITE, prober_round_write_cb, p);
		HALE_ASSERT(p->read && p->write);
		event_add(p->read, NULL);
	}
	return r;
}

static void
prober_round_drop(struct round **entry, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (entry[i]) {
			free(entry[i]->wait);
			free(entry[i]->asker);
			free(entry[i]);
		}
	free(entry);
}

void
prober_round_freep(struct prober_rounds **rp)
{
	struct prober_rounds *r = *rp;

	if (!r)
		return;
	prober_round_drop(r->scope[IPC_SCOPE_ALL], 1);
	prober_round_drop(r->scope[IPC_SCOPE_GROUP], r->conf->ngroup);
	prober_round_drop(r->scope[IPC_SCOPE_MODEL], r->conf->ndeployment);
	prober_round_drop(r->scope[IPC_SCOPE_DEPLOYMENT], r->conf->ndeployment);
	for (unsigned k = 0; k < r->npeer; k++) {
		event_free(r->peer[k].read);
		event_free(r->peer[k].write);
		free(r->peer[k].answer);
	}
	free(r->peer);
	free(r->waiting);
	xfreep(rp);
}

void
prober_round_result(struct prober_rounds *r, uint32_t i)
{
	struct round_waits *head = &r->waiting[i];

	while (!SLIST_EMPTY(head)) {
		struct round *round = SLIST_FIRST(head)->round;

		SLIST_REMOVE_HEAD(head, link);
		if (--round->left == 0)
			prober_round_finish(r, round);
	}
}

bool
prober_round_wants(const struct prober_rounds *r, uint32_t i)
{
	return !SLIST_EMPTY(&r->waiting[i]);
}

unsigned
prober_round_open(const struct prober_rounds *r)
{
	return r->open;
}

bool
prober_round_is_over(const struct prober_rounds *r)
{
	for (unsigned k = 0; k < r->npeer; k++)
		if (!r->peer[k].gone)
			return false;
	return r->open == 0;
}

/* Host names to addresses: a cache on the loop, getaddrinfo in threads.
 *
 * A thread owns its job until it hands it back through the list in `shared` and the eventfd; nothing else
 * is seen by two threads. `shared` is counted, because a thread that hangs in a resolver may outlive
 * everything here: it then finds the list closed and frees its job.
 *
 * An answer is fresh for a minute. For ten more it is still used while a new one is fetched, and when
 * the resolver fails, so that a DNS outage is not an outage of upstreams that did not move.
 */
#include "hale/hale.h"

#include "upstream_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/log.h"

#define UPSTREAM_NAMES_FRESH_NS (60 * NS_PER_SEC)
#define UPSTREAM_NAMES_OLD_NS (600 * NS_PER_SEC)
#define UPSTREAM_NAMES_ENTRIES_MAX 1024
#define UPSTREAM_NAMES_THREADS_MAX 8
#define UPSTREAM_NAMES_STACK_BYTES (512u << 10)

TAILQ_HEAD(upstream_names_waits, upstream_names_wait);

struct upstream_names_entry {
	TAILQ_ENTRY(upstream_names_entry) link; /* most recently used first */
	char *host;
	struct upstream_addresses a;
	uint64_t at_ns; /* when a was received; 0: never */
	bool asked;     /* a job for it exists */
	bool suspect;   /* none of a could be reached */
	struct upstream_names_waits waits;
};

struct upstream_names_shared;

struct upstream_names_job {
	TAILQ_ENTRY(upstream_names_job) link;
	struct upstream_names_shared *shared;
	struct upstream_names_entry *entry; /* the loop's; threads do not look at it */
	char *host;
	struct upstream_addresses a;
	int error; /* of getaddrinfo */
};

TAILQ_HEAD(upstream_names_jobs, upstream_names_job);

struct upstream_names_shared {
	pthread_mutex_t lock;
	unsigned users; /* threads, and the loop while it is there */
	bool closed;
	int wake;
	struct upstream_names_jobs done;
};

struct upstream_names {
	struct event_base *base;
	struct event wake;
	struct upstream_names_shared *shared;
	TAILQ_HEAD(upstream_names_entries, upstream_names_entry) entries;
	struct upstream_names_jobs queue;
	unsigned nentry, nthread;
};

static void
upstream_names_job_free(struct upstream_names_job *j)
{
	free(j->host);
	free(j);
}

/* Locked on entry, not on return. */
static void
upstream_names_shared_put(struct upstream_names_shared *s)
{
	bool last = --s->users == 0;

	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	close(s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void
upstream_names_hand_back(struct upstream_names_job *j)
{
	struct upstream_names_shared *s = j->shared;
	uint64_t one = 1;

	pthread_mutex_lock(&s->lock);
	if (s->closed) {
		upstream_names_job_free(j);
	} else {
		TAILQ_INSERT_TAIL(&s->done, j, link);
		if (write(s->wake, &one, sizeof(one)) == -1)
			HALE_ASSERT(errno == EAGAIN);
	}
	upstream_names_shared_put(s);
}

static void *
upstream_names_thread(void *arg)
{
	struct upstream_names_job *j = arg;
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;

	j->error = getaddrinfo(j->host, NULL, &hints, &list);
	for (struct addrinfo *a = j->error ? NULL : list; a && j->a.n < UPSTREAM_ADDRESSES_MAX; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(j->a.address[0]) || (a->ai_family != AF_INET && a->ai_family != AF_INET6))
			continue;
		memcpy(&j->a.address[j->a.n++], a->ai_addr, a->ai_addrlen);
	}
	if (list)
		freeaddrinfo(list);
	if (!j->error && j->a.n == 0)
		j->error = EAI_NONAME;
	upstream_names_hand_back(j);
	return NULL;
}

/* Threads never take the process's signals. */
static void
upstream_names_run(struct upstream_names *n, struct upstream_names_job *j)
{
	pthread_attr_t attr;
	pthread_t t;
	sigset_t all, old;
	int rc;

	n->nthread++;
	pthread_mutex_lock(&n->shared->lock);
	n->shared->users++;
	pthread_mutex_unlock(&n->shared->lock);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, UPSTREAM_NAMES_STACK_BYTES);
	rc = pthread_create(&t, &attr, upstream_names_thread, j);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		log_limited(log_warn, "upstream: no thread for a name lookup: error=%d", rc);
		j->error = EAI_AGAIN;
		upstream_names_hand_back(j);
	}
}

static void
upstream_names_pump(struct upstream_names *n)
{
	struct upstream_names_job *j;

	while (n->nthread < UPSTREAM_NAMES_THREADS_MAX && (j = TAILQ_FIRST(&n->queue))) {
		TAILQ_REMOVE(&n->queue, j, link);
		upstream_names_run(n, j);
	}
}

static void
upstream_names_lookup(struct upstream_names *n, struct upstream_names_entry *e)
{
	struct upstream_names_job *j;

	if (e->asked)
		return;
	e->asked = true;
	j = xcalloc(1, sizeof(*j));
	j->shared = n->shared;
	j->entry = e;
	j->host = xstrdup(e->host);
	TAILQ_INSERT_TAIL(&n->queue, j, link);
	upstream_names_pump(n);
}

/* One job came back: keep a good answer, tell everybody who waited. */
static void
upstream_names_finish(struct upstream_names *n, struct upstream_names_job *j)
{
	struct upstream_names_entry *e = j->entry;
	uint64_t now = clock_mono_ns();
	struct upstream_names_wait *w;
	unsigned waiting = 0;
	bool usable;

	if (!j->error) {
		e->a = j->a;
		e->at_ns = now;
	}
	e->suspect = false;
	usable = e->at_ns && now - e->at_ns < UPSTREAM_NAMES_OLD_NS;
	TAILQ_FOREACH(w, &e->waits, link)
		waiting++;
	while (waiting-- && (w = TAILQ_FIRST(&e->waits))) {
		upstream_names_leave(w);
		w->done(w, usable ? &e->a : NULL, usable ? NULL : gai_strerror(j->error));
	}
	/* `asked` until here: nobody may evict e under us. */
	e->asked = false;
	if (!TAILQ_EMPTY(&e->waits))
		upstream_names_lookup(n, e);
}

static void
upstream_names_wake_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_names *n = arg;
	struct upstream_names_jobs done = TAILQ_HEAD_INITIALIZER(done);
	struct upstream_names_job *j;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) == -1)
		return;
	pthread_mutex_lock(&n->shared->lock);
	TAILQ_CONCAT(&done, &n->shared->done, link);
	pthread_mutex_unlock(&n->shared->lock);
	while ((j = TAILQ_FIRST(&done))) {
		TAILQ_REMOVE(&done, j, link);
		n->nthread--;
		upstream_names_finish(n, j);
		upstream_names_job_free(j);
	}
	upstream_names_pump(n);
}

struct upstream_names *
upstream_names_new(struct event_base *base)
{
	struct upstream_names *n = xcalloc(1, sizeof(*n));
	struct upstream_names_shared *s = xcalloc(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	s->users = 1;
	s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->wake == -1)
		log_fatal(1, "upstream: no eventfd: error=%d", errno);
	TAILQ_INIT(&s->done);
	n->base = base;
	n->shared = s;
	TAILQ_INIT(&n->entries);
	TAILQ_INIT(&n->queue);
	event_assign(&n->wake, base, s->wake, EV_READ | EV_PERSIST, upstream_names_wake_cb, n);
	event_add(&n->wake, NULL);
	return n;
}

static void
upstream_names_entry_free(struct upstream_names *n, struct upstream_names_entry *e)
{
	HALE_ASSERT(TAILQ_EMPTY(&e->waits));
	TAILQ_REMOVE(&n->entries, e, link);
	n->nentry--;
	free(e->host);
	free(e);
}

static void
upstream_names_jobs_free(struct upstream_names_jobs *l)
{
	struct upstream_names_job *j;

	while ((j = TAILQ_FIRST(l))) {
		TAILQ_REMOVE(l, j, link);
		upstream_names_job_free(j);
	}
}

void
upstream_names_freep(struct upstream_names **np)
{
	struct upstream_names *n = *np;
	struct upstream_names_entry *e;

	if (!n)
		return;
	event_del(&n->wake);
	pthread_mutex_lock(&n->shared->lock);
	n->shared->closed = true;
	upstream_names_jobs_free(&n->shared->done);
	upstream_names_shared_put(n->shared);
	upstream_names_jobs_free(&n->queue);
	while ((e = TAILQ_FIRST(&n->entries)))
		upstream_names_entry_free(n, e);
	xfreep(np);
}

static struct upstream_names_entry *
upstream_names_get(struct upstream_names *n, const char *host)
{
	struct upstream_names_entry *e;

	TAILQ_FOREACH(e, &n->entries, link)
		if (strcasecmp(e->host, host) == 0)
			break;
	if (e && e != TAILQ_FIRST(&n->entries)) {
		TAILQ_REMOVE(&n->entries, e, link);
		TAILQ_INSERT_HEAD(&n->entries, e, link);
	}
	return e;
}

static void
upstream_names_evict(struct upstream_names *n)
{
	struct upstream_names_entry *e;

	TAILQ_FOREACH_REVERSE(e, &n->entries, upstream_names_entries, link)
		if (!e->asked && TAILQ_EMPTY(&e->waits))
			break;
	if (e)
		upstream_names_entry_free(n, e);
}

bool
upstream_names_find(struct upstream_names *n, const char *host, struct upstream_addresses *out)
{
	struct upstream_names_entry *e;
	uint64_t age;

	*out = (struct upstream_addresses){.n = 1};
	if (inet_pton(AF_INET, host, &out->address[0].four.sin_addr) == 1) {
		out->address[0].four.sin_family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, host, &out->address[0].six.sin6_addr) == 1) {
		out->address[0].six.sin6_family = AF_INET6;
		return true;
	}
	e = upstream_names_get(n, host);
	if (!e || !e->at_ns || e->suspect)
		return false;
	age = clock_mono_ns() - e->at_ns;
	if (age >= UPSTREAM_NAMES_OLD_NS)
		return false;
	if (age >= UPSTREAM_NAMES_FRESH_NS)
		upstream_names_lookup(n, e);
	*out = e->a;
	return true;
}

void
upstream_names_ask(struct upstream_names *n, const char *host, struct upstream_names_wait *w)
{
	struct upstream_names_entry *e = upstream_names_get(n, host);

	if (!e) {
		if (n->nentry >= UPSTREAM_NAMES_ENTRIES_MAX)
			upstream_names_evict(n);
		e = xcalloc(1, sizeof(*e));
		e->host = xstrdup(host);
		TAILQ_INIT(&e->waits);
		TAILQ_INSERT_HEAD(&n->entries, e, link);
		n->nentry++;
	}
	w->entry = e;
	TAILQ_INSERT_TAIL(&e->waits, w, link);
	upstream_names_lookup(n, e);
}

void
upstream_names_leave(struct upstream_names_wait *w)
{
	if (!w->entry)
		return;
	TAILQ_REMOVE(&w->entry->waits, w, link);
	w->entry = NULL;
}

void
upstream_names_report(struct upstream_names *n, const char *host, const union upstream_address *address, bool ok)
{
	struct upstream_names_entry *e = upstream_names_get(n, host);
	union upstream_address first;

	if (!e)
		return;
	e->suspect = !ok;
	for (unsigned i = 1; ok && i < e->a.n; i++) {
		if (memcmp(&e->a.address[i], address, sizeof(*address)) != 0)
			continue;
		first = e->a.address[i];
		e->a.address[i] = e->a.address[0];
		e->a.address[0] = first;
	}
}

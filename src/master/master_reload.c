/* Reload: build, check, start, swap, drain.
 *
 * SIGHUP reads the configuration again and starts a complete second set of processes on the same
 * listening sockets, with a segment of its own that is filled from the current one. Only when every new
 * process is ready do the old ones get IPC_DRAIN. Whatever fails before that moment drops the new
 * generation and changes nothing else; afterwards nothing can fail.
 *
 * Until the swap both generations accept connections from the same queues, so that none waits. New
 * processes that were dropped may hold requests already: they drain like old ones.
 */
#include "hale/hale.h"

#include "master.h"

#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/htable_master.h"
#include "hale/log.h"
#include "hale/sdnotify.h"

struct conf *
master_reload_load(const struct master *m)
{
	struct conf *c = NULL;
	struct errlist errs;
	char text[1024];
	int rc;

	errlist_init(&errs);
	rc = conf_load(m->config, &c, &errs);
	for (unsigned i = 0; i < errs.nwarning && i < ERRLIST_MAX; i++) {
		errlist_format(&errs.warning[i], text, sizeof(text));
		log_warn("%s", text);
	}
	for (unsigned i = 0; i < errs.nerror && i < ERRLIST_MAX; i++) {
		errlist_format(&errs.error[i], text, sizeof(text));
		log_error("%s", text);
	}
	if (errs.nerror > ERRLIST_MAX)
		log_error("%s: %u more errors", m->config, errs.nerror - ERRLIST_MAX);
	if (rc != 0 && errs.nerror == 0)
		log_error("%s: %s", m->config ? m->config : "(built-in)", err_text(rc));
	errlist_release(&errs);
	if (rc == 0)
		conf_log_summary(c);
	return rc == 0 ? c : NULL;
}

static void
master_reload_failed(struct master *m, const char *why)
{
	unsigned long long number = m->current->number;
	char status[160];

	log_error("reload failed, generation %llu stays: %s", number, why);
	htable_set_reload(m->current->table, clock_real_ns(), false);
	snprintf(status, sizeof(status), "reload failed, generation %llu stays: %s", number, why);
	sdnotify_ready(status);
}

void
master_reload_abort(struct master *m, const char *why)
{
	struct master_generation *g = m->next;

	m->next = NULL;
	m->state = MASTER_RUN;
	master_generation_leave(g);
	master_reload_failed(m, why);
}

void
master_reload_begin(struct master *m)
{
	struct conf *c;

	m->want_reload = m->reload_waits = false;
	log_info("reload begins config=%s", m->config ? m->config : "(built-in)");
	sdnotify_reloading();
	c = master_reload_load(m);
	if (!c) {
		master_reload_failed(m, "configuration refused");
		return;
	}
	if (master_listen_permitted(m->listen.loopback, c->general.master_key != NULL, m->options->insecure,
	                            m->host) != 0) {
		conf_freep(&c);
		master_reload_failed(m, "the new configuration has no master_key");
		return;
	}
	m->next = master_generation_new(m, c);
	if (!m->next) {
		master_reload_failed(m, "no resources for a new generation");
		return;
	}
	m->state = MASTER_RELOAD;
	/* Its workers answer requests as soon as they run, also readiness: the daemon is not starting. */
	htable_set_daemon_state(m->next->table, DAEMON_RUNNING);
	htable_set_reload(m->next->table, clock_real_ns(), true);
	if (master_generation_start(m, m->next) != 0)
		master_reload_abort(m, "its processes could not be started");
}

void
master_reload_finish(struct master *m)
{
	struct master_generation *old = m->current;

	m->current = m->next;
	m->next = NULL;
	m->state = MASTER_RUN;
	master_generation_leave(old);
	master_ready(m, m->current->begun_ns);
	log_info("reload done, generation %llu serves, generation %llu drains",
	         (unsigned long long)m->current->number, (unsigned long long)old->number);
}

/* The daemon's own state as text: readiness, liveness, backlog. */
#include "hale/hale.h"

#include "worker_render.h"

#include <inttypes.h>

#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/htable.h"
#include "hale/log.h"
#include "hale/outcome.h"
#include "hale/strbuf.h"
#include "worker_render_int.h"

#define RENDER_SHUTTING_DOWN "{\"status\":\"shutting_down\"}"

static const char *
render_db(const struct conf *c, const struct htable_daemon *d)
{
	if (c->general.database_url == NULL)
		return "Not connected";
	return d->db == DAEMON_DB_CONNECTED ? "connected" : "disconnected";
}

static void
render_callbacks(struct strbuf *out, const struct conf *c)
{
	worker_render_key(out, "success_callbacks");
	strbuf_putc(out, '[');
	for (const char *const *name = c->success_callbacks; name && *name; name++) {
		if (name != c->success_callbacks)
			strbuf_putc(out, ',');
		strbuf_json_string(out, *name);
	}
	strbuf_putc(out, ']');
}

/* When the prober last looked at the database: Python's isoformat, as LiteLLM prints it, without a zone. */
static void
render_last_updated(struct strbuf *out, const struct htable_daemon *d, const struct render_now *now)
{
	uint64_t at_ns = d->prober_heartbeat_ns ? d->prober_heartbeat_ns : d->started_ns;
	char text[32];

	clock_iso8601(now->real_ns + (at_ns - now->mono_ns), text, sizeof(text));
	text[strcspn(text, "Z")] = '\0';
	worker_render_member(out, "last_updated", text);
}

static void
render_details(struct strbuf *out, const struct htable *t, const struct htable_daemon *d, const struct render_now *now)
{
	bool debug = log_is_debug();

	worker_render_bool(out, "use_aiohttp_transport", false);
	worker_render_member(out, "log_level", debug ? "DEBUG" : "INFO");
	worker_render_bool(out, "is_detailed_debug", debug);
	worker_render_bool(out, "show_no_redis_warning", false);
	worker_render_bool(out, "show_env_credential_login_warning", false);
	strbuf_printf(out, ",\"uptime_seconds\":%" PRIu64, (uint64_t)((now->mono_ns - d->started_ns) / NS_PER_SEC));
	strbuf_printf(out, ",\"generation\":%" PRIu64 ",\"workers\":%u,\"deployments\":%u", d->generation, d->workers,
	              htable_count(t));
	strbuf_printf(out, ",\"health_check_cycles\":%" PRIu64, d->cycle);
}

int
worker_render_readiness(struct strbuf *out, const struct conf *c, const struct htable *t, bool draining,
                        bool details, const struct render_now *now)
{
	struct htable_daemon d;

	htable_read_daemon(t, &d);
	if (draining || d.state == DAEMON_DRAINING) {
		strbuf_puts(out, RENDER_SHUTTING_DOWN);
		return 503;
	}
	strbuf_putc(out, '{');
	worker_render_member(out, "status", "connected");
	worker_render_member(out, "db", render_db(c, &d));
	worker_render_member(out, "cache", c->cache_type);
	worker_render_member(out, "litellm_version", HALE_PRODUCT);
	render_callbacks(out, c);
	if (c->general.database_url)
		render_last_updated(out, &d, now);
	if (details || c->general.allow_public_health_readiness_details)
		render_details(out, t, &d, now);
	strbuf_putc(out, '}');
	return c->general.readiness_requires_db && c->general.database_url && d.db != DAEMON_DB_CONNECTED ? 503 : 200;
}

int
worker_render_liveness(struct strbuf *out, const struct htable *t, bool draining)
{
	struct htable_daemon d;

	htable_read_daemon(t, &d);
	if (draining || d.state == DAEMON_DRAINING) {
		strbuf_puts(out, RENDER_SHUTTING_DOWN);
		return 503;
	}
	strbuf_puts(out, "\"I'm alive!\"");
	return 200;
}

void
worker_render_backlog(struct strbuf *out, const struct htable *t)
{
	uint64_t open = counter_read(t, -1, COUNTER_REQUESTS_OPEN);
	uint64_t rejected = counter_read(t, -1, COUNTER_CONNECTIONS_REFUSED) + counter_read(t, -1, COUNTER_ROUNDS_REFUSED) +
	                    counter_read(t, -1, COUNTER_UPSTREAM_LIMIT);

	/* Nothing queues in front of a worker: what was admitted is what is in flight. */
	strbuf_printf(out, "{\"in_flight_requests\":%" PRIu64 ",\"admitted_requests\":%" PRIu64
	              ",\"queued_requests\":0,\"rejected_requests\":%" PRIu64 "}", open, open, rejected);
}

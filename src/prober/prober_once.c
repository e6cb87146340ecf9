/* hale probe: the prober's own check, run once and watched.
 *
 * It builds, sends, judges and adapts exactly as the daemon does, because it is the same code; only the
 * results go to a terminal instead of the shared table. Everything that is printed passes the masks, and
 * bytes that are no text are counted, not shown.
 */
#include "hale/hale.h"

#include "hale/once.h"

#include <event2/event.h>
#include <signal.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/cost.h"
#include "hale/deployment.h"
#include "hale/log.h"
#include "hale/probe.h"
#include "hale/redact.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"
#include "prober_check.h"

#define ONCE_BODY_BYTES 4096 /* of a body that are shown */

struct once {
	const struct once_options *o;
	struct event_base *base;
	struct prober_check_watch watch;
	struct prober_check_env env;
	unsigned bad;
};

/* --- what is printed --- */

/* One line behind a mark; what could command a terminal becomes '?'. */
static void
prober_once_line(const struct once *s, char mark, const char *text, size_t len)
{
	struct strbuf clean;

	strbuf_init(&clean, 0);
	redact_text(s->o->conf, text, len, &clean);
	for (size_t i = 0; i < clean.len; i++)
		if ((unsigned char)clean.data[i] < ' ' && clean.data[i] != '\t')
			clean.data[i] = '?';
	printf("%c %s\n", mark, strbuf_str(&clean));
	strbuf_release(&clean);
}

static void
prober_once_header(const struct once *s, char mark, const char *name, const char *value)
{
	struct strbuf line;

	strbuf_init(&line, 0);
	strbuf_printf(&line, "%s: ", name);
	if (redact_is_secret_name(name))
		redact_mask(value, &line);
	else
		strbuf_puts(&line, value);
	prober_once_line(s, mark, strbuf_str(&line), line.len);
	strbuf_release(&line);
}

static bool
prober_once_is_text(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)data[i] < ' ' && !strchr("\t\r\n", data[i]))
			return false;
	return true;
}

static void
prober_once_body(const struct once *s, char mark, const char *data, size_t len, bool cut)
{
	size_t shown = len < ONCE_BODY_BYTES ? len : ONCE_BODY_BYTES;
	const char *end = data + shown;

	printf("%c\n", mark);
	if (!prober_once_is_text(data, shown)) {
		printf("%c (%zu%s bytes that are no text)\n", mark, len, cut ? " or more" : "");
		return;
	}
	while (data < end) {
		const char *nl = memchr(data, '\n', (size_t)(end - data)), *stop = nl ? nl : end;
		size_t n = (size_t)(stop - data);

		prober_once_line(s, mark, data, n && data[n - 1] == '\r' ? n - 1 : n);
		data = nl ? nl + 1 : end;
	}
	if (shown < len || cut)
		printf("%c ... (%zu%s bytes in all)\n", mark, len, cut ? " or more" : "");
}

static void
prober_once_request(const struct once *s, const struct probe_request *q)
{
	struct strbuf line;

	strbuf_init(&line, 0);
	strbuf_printf(&line, "%s %s", q->endpoint.method, q->endpoint.url);
	prober_once_line(s, '>', strbuf_str(&line), line.len);
	strbuf_release(&line);
	if (q->content_type)
		prober_once_header(s, '>', "Content-Type", q->content_type);
	for (unsigned i = 0; i < q->endpoint.nheader; i++)
		prober_once_header(s, '>', q->endpoint.header[i].name, q->endpoint.header[i].value);
	if (q->shown)
		prober_once_body(s, '>', q->shown, strlen(q->shown), false);
}

static void
prober_once_title(const struct deployment *d)
{
	printf("%s: %s, mode %s, id %s\n", d->model_name, d->model,
	       d->probe.mode_text ? d->probe.mode_text : mode_name(deployment_resolve_mode(d)), d->id);
}

/* --- one deployment --- */

static void
prober_once_sent_cb(void *arg, const struct probe_request *q)
{
	prober_once_request(arg, q);
	fflush(stdout);
}

static void
prober_once_head_cb(void *arg, int status, const struct http_header *h, unsigned n)
{
	printf("< %d\n", status);
	for (unsigned i = 0; i < n; i++)
		prober_once_header(arg, '<', h[i].name, h[i].value);
}

static void
prober_once_answer_cb(void *arg, const char *body, size_t len, bool cut)
{
	if (len)
		prober_once_body(arg, '<', body, len, cut);
}

static void
prober_once_verdict(struct once *s, const struct prober_report *r)
{
	const struct prober_result *x = &r->result;

	s->bad += !x->ok;
	printf("%s: %s", x->ok ? "healthy" : x->neutral ? "unknown" : "unhealthy", health_reason_name(x->reason));
	if (*r->error)
		printf(", %s", r->error);
	if (r->requests)
		printf("; %u request%s, %u ms", r->requests, r->requests == 1 ? "" : "s",
		       x->latency_us / 1000);
	if (x->cost_tokens)
		printf(", %u tokens%s", x->cost_tokens, r->estimated ? " (estimated)" : "");
	printf("\n\n");
	fflush(stdout);
}

static void
prober_once_done_cb(void *arg, const struct deployment *d, const struct prober_report *r)
{
	struct once *s = arg;

	(void)d;
	prober_once_verdict(s, r);
	event_base_loopbreak(s->base);
}

static void
prober_once_check(struct once *s, const struct deployment *d)
{
	struct prober_report now;

	prober_once_title(d);
	if (prober_check_start(&s->env, d, PROBE_ADAPT_NONE, prober_once_done_cb, s, &now))
		event_base_dispatch(s->base);
	else
		prober_once_verdict(s, &now);
}

static void
prober_once_show(struct once *s, const struct deployment *d)
{
	struct arena *a = arena_new(4096);
	struct probe_request q;
	const char *why = "";

	prober_once_title(d);
	if (probe_request_build(a, s->o->conf, d, PROBE_ADAPT_NONE, 0, &q, &why) == 0) {
		prober_once_request(s, &q);
		printf("not sent: about %u tokens\n\n", cost_estimate(&q));
	} else {
		printf("no probe: %s\n\n", why);
		s->bad++;
	}
	arena_freep(&a);
}

unsigned
prober_once(const struct once_options *o)
{
	const struct upstream_limits limits = {.connections_max = 4, .host_connections_max = 4, .shards = 1};
	struct once s = {
		.o = o,
		.watch = {.sent = prober_once_sent_cb, .head = prober_once_head_cb, .answer = prober_once_answer_cb, .arg = &s},
	};

	for (uint32_t i = 0; i < o->count && o->dry_run; i++)
		prober_once_show(&s, &o->conf->deployment[o->deployment[i]]);
	if (o->dry_run)
		return s.bad;
	signal(SIGPIPE, SIG_IGN); /* as upstream_new() wants it */
	s.base = event_base_new();
	if (!s.base)
		log_fatal(1, "event loop: cannot be made");
	s.env = (struct prober_check_env){.upstream = upstream_new(s.base, &limits), .conf = o->conf, .watch = &s.watch};
	for (uint32_t i = 0; i < o->count; i++)
		prober_once_check(&s, &o->conf->deployment[o->deployment[i]]);
	upstream_freep(&s.env.upstream);
	event_base_free(s.base);
	return s.bad;
}

/* hale check: the same loader as the daemon's, and what it understood, without starting anything. */
#include "hale/hale.h"

#include "cli.h"

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/probe.h"
#include "hale/provider.h"
#include "hale/redact.h"
#include "hale/strbuf.h"

#define CLI_CHECK_DEPLOYMENTS 200 /* shown; more are only counted */

/* "chat (default)": what it is taken for, and what says so. */
static const char *
cli_check_mode(const struct deployment *d, char *buf, size_t size)
{
	static const char *const source[] = {
		[MODE_CONFIGURED] = "configured", [MODE_BY_NAME] = "by name", [MODE_BY_DEFAULT] = "default",
	};
	enum mode mode;
	enum mode_source from = deployment_mode_source(d, &mode);

	snprintf(buf, size, "%s (%s)",
	         mode == MODE_NONE && d->probe.mode_text ? d->probe.mode_text : mode_name(mode),
	         source[from]);
	return buf;
}

/* One line: what a deployment is and where its probe would go. */
static void
cli_check_deployment(const struct conf *c, const struct deployment *d, struct arena *a)
{
	struct probe_request q;
	struct strbuf line;
	const char *why = "no probe", *text;
	char mode[64];

	if (probe_request_build(a, c, d, PROBE_ADAPT_NONE, 0, &q, &why) == 0)
		text = arena_printf(a, "%s %s", q.endpoint.method, q.endpoint.url);
	else
		text = arena_printf(a, "no probe: %s", why);
	strbuf_init(&line, 0);
	redact_text(c, text, strlen(text), &line);
	printf("  %-24s %-12s %-32s %s\n", d->model_name, probe_cell_provider(d)->name,
	       cli_check_mode(d, mode, sizeof(mode)), strbuf_str(&line));
	strbuf_release(&line);
}

static void
cli_check_summary(const struct conf *c)
{
	struct arena *a;

	printf("%u deployment%s in %u group%s\n", c->ndeployment, c->ndeployment == 1 ? "" : "s", c->ngroup,
	       c->ngroup == 1 ? "" : "s");
	for (uint32_t i = 0; i < c->ndeployment && i < CLI_CHECK_DEPLOYMENTS; i++) {
		a = arena_new(4096);
		cli_check_deployment(c, &c->deployment[i], a);
		arena_freep(&a);
	}
	if (c->ndeployment > CLI_CHECK_DEPLOYMENTS)
		printf("  ... and %u more\n", c->ndeployment - CLI_CHECK_DEPLOYMENTS);
	printf("background health checks %s, interval %u s; health routing %s; master key %s\n",
	       c->general.background_health_checks ? "on" : "off", c->general.health_check_interval_s,
	       c->general.enable_health_check_routing ? "on" : "off", c->general.master_key ? "set" : "not set");
}

int
cli_check(const struct cli_options *o)
{
	struct errlist errs;
	struct conf *c;
	int code;

	errlist_init(&errs);
	c = cli_load(o, &errs, &code);
	if (c)
		cli_check_summary(c);
	printf("%s: %s, %u error%s, %u warning%s\n", o->config, code == CLI_EXIT_OK ? "valid" : "not valid", errs.nerror,
	       errs.nerror == 1 ? "" : "s", errs.nwarning, errs.nwarning == 1 ? "" : "s");
	conf_freep(&c);
	errlist_release(&errs);
	return code;
}

/* hale plan: what background health checks will send and what that is worth in tokens, before anyone switches
 * them on.
 *
 * The figures are those of a day on which nothing fails and nothing is skipped. Tokens are estimates where no
 * provider was asked: a quarter of the request's bytes and the limit of the answer.
 */
#include "hale/hale.h"

#include "cli.h"

#include "hale/conf.h"
#include "hale/cost.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/identity.h"
#include "hale/strbuf.h"

struct cli_plan_total {
	uint32_t senders;
	double probes, tokens;
	bool limited, skips;
};

/* Why a deployment sends nothing, or NULL. */
static const char *
cli_plan_idle(const struct conf *c, const struct identity *id, const struct cost_plan *p, uint32_t i,
              struct strbuf *text)
{
	const struct deployment *d = &c->deployment[i], *leader = &c->deployment[p->leader];

	if (p->probed)
		return NULL;
	if (!id->sends[i])
		return "no probe for this mode of this provider";
	if (d->probe.disabled)
		return "disable_background_health_check";
	if (p->leader == i)
		return "not in background_health_check_model_groups";
	strbuf_printf(text, "served by the probe of %s, id %.12s", leader->model_name, leader->id);
	return strbuf_str(text);
}

static void
cli_plan_row(const struct conf *c, const struct identity *id, uint32_t i, struct cli_plan_total *total)
{
	const struct deployment *d = &c->deployment[i];
	struct cost_plan p;
	struct strbuf text;
	const char *idle;

	strbuf_init(&text, 256);
	cost_plan(c, id, i, &p);
	idle = cli_plan_idle(c, id, &p, i, &text);
	if (idle) {
		printf("%-28s %-36s %s\n", d->model_name, d->model, idle);
	} else {
		printf("%-28s %-36s %12.0f %14u %14.0f", d->model_name, d->model, p.probes_per_day,
		       p.tokens_per_probe, p.tokens_per_day);
		if (p.daily_limit && p.tokens_per_day > (double)p.daily_limit)
			printf("  stops at %llu a day", (unsigned long long)p.daily_limit);
		putchar('\n');
		total->senders++;
		total->probes += p.probes_per_day;
		total->tokens += p.tokens_per_day;
		total->skips |= p.skips;
	}
	strbuf_release(&text);
}

static void
cli_plan_summary(const struct conf *c, bool on, const struct cli_plan_total *t)
{
	uint64_t limit = c->general.health_check_daily_token_limit;

	printf("%u deployment%s, every %u s: %.0f probes and about %.0f tokens a day\n", t->senders,
	       t->senders == 1 ? "" : "s", c->general.health_check_interval_s, t->probes, t->tokens);
	if (limit && t->tokens > (double)limit)
		printf("health_check_daily_token_limit ends the probes of a day at %llu tokens\n",
		       (unsigned long long)limit);
	if (t->skips)
		printf("health_check_skip_if_traffic saves the probes of deployments that serve real requests\n");
	if (!on)
		printf("background health checks are off (general_settings.background_health_checks): so far nothing is sent\n");
}

static void
cli_plan_print(const struct conf *c, const uint32_t *list, uint32_t n)
{
	struct cli_plan_total total = {0};
	struct conf planned = *c; /* as if they were on */
	struct identity id;

	planned.general.background_health_checks = true;
	identity_init(&id, &planned);
	printf("%-28s %-36s %12s %14s %14s\n", "model_name", "model", "probes/day", "tokens/probe",
	       "tokens/day");
	for (uint32_t i = 0; i < n; i++)
		cli_plan_row(&planned, &id, list[i], &total);
	cli_plan_summary(&planned, c->general.background_health_checks, &total);
	identity_release(&id);
}

int
cli_plan(const struct cli_options *o)
{
	struct errlist errs;
	struct conf *c;
	uint32_t *list = NULL, n;
	int code;

	errlist_init(&errs);
	c = cli_load(o, &errs, &code);
	if (c) {
		n = cli_select(o, c, &list);
		if (n)
			cli_plan_print(c, list, n);
		else
			code = CLI_EXIT_USAGE;
	}
	free(list);
	conf_freep(&c);
	errlist_release(&errs);
	return fflush(stdout) == 0 ? code : CLI_EXIT_USAGE;
}

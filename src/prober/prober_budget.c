/* Daily token limits.
 *
 * There are two accounts: of the daemon, and of a class of identical deployments. Both are words of the
 * shared table that the publication of a result adds to. Here they are compared with the limits, together
 * with what is in flight, so that sixty probes that start at once do not each take the last token.
 *
 * A limit holds background probes back until the next UTC day. It never touches a probe that somebody asks
 * for, nor what is known: that grows old, and stops to count by the staleness rule.
 */
#include "hale/hale.h"

#include "prober_budget.h"

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/cost.h"
#include "hale/deployment.h"
#include "hale/htable.h"
#include "hale/identity.h"
#include "hale/log.h"
#include "prober_publish.h"

#define BUDGET_SPREAD_NS (60 * NS_PER_SEC) /* the first probes of a day, over its first minute */

struct prober_budget {
	const struct conf *conf;
	struct htable *table;
	const struct identity *id;
	uint32_t *flying; /* by leader: what its probe in flight is taken to cost */
	uint64_t total;   /* of them all */
	uint32_t *logged; /* by leader: the day that its limit was last logged on */
	uint32_t logged_all;
};

struct prober_budget *
prober_budget_new(const struct conf *c, struct htable *t, const struct identity *id)
{
	struct prober_budget *b = xcalloc(1, sizeof(*b));

	b->conf = c;
	b->table = t;
	b->id = id;
	b->flying = xcalloc(id->count + 1, sizeof(*b->flying));
	b->logged = xcalloc(id->count + 1, sizeof(*b->logged));
	return b;
}

void
prober_budget_freep(struct prober_budget **b)
{
	if (!*b)
		return;
	free((*b)->flying);
	free((*b)->logged);
	xfreep(b);
}

static uint64_t
prober_budget_daemon(const struct prober_budget *b, uint32_t day)
{
	struct htable_daemon d;

	htable_read_daemon(b->table, &d);
	return d.tokens_day == day ? d.tokens_today : 0;
}

/* Smallest own limit in the class of leader i, 0: none, and what the class has spent. */
static uint64_t
prober_budget_class(const struct prober_budget *b, uint32_t i, uint32_t day, uint64_t *spent)
{
	struct htable_detail d;
	uint64_t limit = 0;
	uint32_t j = i;

	*spent = 0;
	do {
		uint64_t own = b->conf->deployment[j].probe.daily_token_limit;

		if (own && (!limit || own < limit))
			limit = own;
	} while ((j = b->id->same[j]) != i);
	if (!limit)
		return 0;
	do {
		htable_read_detail(b->table, j, &d);
		*spent += d.day == day ? d.tokens_today : 0;
	} while ((j = b->id->same[j]) != i);
	return limit;
}

enum policy_budget
prober_budget_ask(const struct prober_budget *b, uint32_t i)
{
	uint32_t day = cost_day(clock_real_ns());
	uint64_t limit = b->conf->general.health_check_daily_token_limit, spent;
	enum policy_budget all = POLICY_GO, own;

	if (limit)
		all = prober_policy_budget(limit, prober_budget_daemon(b, day), b->total);
	limit = prober_budget_class(b, i, day, &spent);
	own = prober_policy_budget(limit, spent, b->flying[i]);
	return own > all ? own : all;
}

void
prober_budget_begin(struct prober_budget *b, uint32_t i)
{
	b->flying[i] = b->id->tokens[i];
	b->total += b->flying[i];
}

void
prober_budget_end(struct prober_budget *b, uint32_t i)
{
	b->total -= b->flying[i];
	b->flying[i] = 0;
}

bool
prober_budget_is_reached(const struct prober_budget *b, uint32_t i, uint64_t more)
{
	uint32_t day = cost_day(clock_real_ns());
	uint64_t all = b->conf->general.health_check_daily_token_limit, spent, limit;

	limit = prober_budget_class(b, i, day, &spent);
	return (limit && spent + more >= limit) || (all && prober_budget_daemon(b, day) + more >= all);
}

uint64_t
prober_budget_withhold(struct prober_budget *b, uint32_t i, uint64_t now_ns)
{
	uint64_t real_ns = clock_real_ns(), limit = b->conf->general.health_check_daily_token_limit, spent;
	uint64_t next_ns = now_ns + cost_day_left_ns(real_ns) +
	                   arc4random_uniform(BUDGET_SPREAD_NS / NS_PER_MS) * NS_PER_MS;
	const struct deployment *d = &b->conf->deployment[i];
	uint32_t day = cost_day(real_ns), j = i;
	bool all = limit && prober_budget_daemon(b, day) >= limit;

	do
		prober_publish_withheld(b->table, j, day, next_ns);
	while ((j = b->id->same[j]) != i);
	if (all && b->logged_all != day) {
		b->logged_all = day;
		log_warn("health_check_daily_token_limit reached, no background probes until the next UTC day limit=%llu "
		         "spent=%llu", (unsigned long long)limit, (unsigned long long)prober_budget_daemon(b, day));
	} else if (!all && b->logged[i] != day) {
		b->logged[i] = day;
		limit = prober_budget_class(b, i, day, &spent);
		log_warn("health_check_daily_token_limit of a deployment reached, no background probes until the next UTC day "
		         "limit=%llu spent=%llu id=%s model=%s group=%s", (unsigned long long)limit,
		         (unsigned long long)spent, d->id, d->model, d->model_name);
	}
	return next_ns;
}

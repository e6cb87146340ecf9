/* The decisions around a probe, apart from what its answer means (prober_classify.c) and what a
 * result does to a state (prober_state.c).
 *
 * They share one idea: evidence about a deployment comes from probes and from real requests, and where the
 * two disagree the real ones are right, provided that they are newer. No clock, no I/O, no log.
 */
#include "hale/hale.h"

#include "prober_policy.h"

#include <ctype.h>

#include "hale/upstream.h"
#include "prober_check.h"

#define POLICY_WAVE_KEYS_MIN 3 /* two dead keys of two are two dead keys */

static bool
prober_policy_is_fresh(const struct policy_traffic *t, uint64_t window_ns, uint64_t now_ns)
{
	return t->last_ok_ns && t->last_ok_ns >= t->last_fail_ns && now_ns < t->last_ok_ns + window_ns;
}

bool
prober_policy_skips(const struct policy_traffic *t, uint64_t window_ns, uint64_t now_ns)
{
	return window_ns > 0 && prober_policy_is_fresh(t, window_ns, now_ns);
}

bool
prober_policy_stands_in(const struct prober_result *r, const struct policy_traffic *t, uint64_t window_ns,
                        uint64_t now_ns)
{
	return r->reason == REASON_NO_PROBE && prober_policy_is_fresh(t, window_ns, now_ns);
}

bool
prober_policy_vetoes(const struct prober_result *r, const struct policy_traffic *t, uint64_t window_ns,
                     uint64_t now_ns)
{
	if (r->ok || r->http_status < 400 || r->http_status >= 500)
		return false;
	switch (r->reason) {
	case REASON_UNAUTHORIZED:
	case REASON_OUT_OF_FUNDS:
	case REASON_RATE_LIMITED:
		return t->ok > t->inflight && t->last_ok_ns >= t->last_fail_ns;
	case REASON_NOT_FOUND:
	case REASON_BAD_PROBE:
	case REASON_SERVER_ERROR: /* the other 4xx */
		return prober_policy_is_fresh(t, window_ns, now_ns);
	default:
		return false;
	}
}

bool
prober_policy_is_credential(const struct prober_result *r)
{
	if (r->reason == REASON_OUT_OF_FUNDS)
		return true;
	return r->reason == REASON_UNAUTHORIZED && r->http_status != 403;
}

bool
prober_policy_is_account_limit(const struct prober_report *r)
{
	static const char *const words[] = {"account-wide", "across all models", "for all models", "account rate limit",
	                                    "account's rate limit", "account has exceeded", "global rate limit"};
	char text[HTABLE_ERROR_BYTES];
	size_t n = 0;

	if (r->result.reason != REASON_RATE_LIMITED || r->result.until_ns == 0)
		return false;
	for (; r->error[n] && n < sizeof(text) - 1; n++)
		text[n] = (char)tolower((unsigned char)r->error[n]);
	text[n] = '\0';
	for (size_t i = 0; i < HALE_COUNT(words); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

bool
prober_policy_is_wave(unsigned dead, unsigned keys)
{
	return keys >= POLICY_WAVE_KEYS_MIN && dead * 2 > keys;
}

bool
prober_policy_is_host(enum health_reason reason, unsigned phase)
{
	return phase <= UPSTREAM_TLS &&
	       (reason == REASON_TIMEOUT || reason == REASON_CONNECT_ERROR || reason == REASON_TLS_ERROR);
}

enum policy_budget
prober_policy_budget(uint64_t limit, uint64_t spent, uint64_t flying)
{
	if (limit == 0)
		return POLICY_GO;
	if (spent >= limit)
		return POLICY_SPENT;
	return flying > 0 && spent + flying >= limit ? POLICY_WAIT : POLICY_GO;
}

/* prober_check: one probe against an upstream and a request builder that this test plays. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fixture.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/probe.h"
#include "hale/tunnel.h"
#include "hale/upstream.h"
#include "prober_check.h"

/* --- the played parts --- */

struct upstream_call {
	const struct upstream_ops *ops;
	void *arg;
	uint32_t total_ms;
	unsigned nheader;
	bool insecure;
	char body[64];
};

static struct upstream_call call;      /* the one in flight: ops is NULL when there is none */
static enum upstream_error start_error; /* what upstream_start() refuses with */
static unsigned started, cancelled;
static enum probe_adapt built[8];       /* forms in the order they were asked for */
static unsigned nbuilt;
static enum probe_adapt build_forms;    /* this one and those after it are the same request */
static const char *build_why;           /* what probe_request_build() refuses with */

struct upstream_call *
upstream_start(struct upstream *u, const struct upstream_request *r, const struct upstream_ops *ops, void *arg,
               enum upstream_error *err)
{
	(void)u;
	if (start_error) {
		*err = start_error;
		return NULL;
	}
	assert_null(call.ops);
	call = (struct upstream_call){.ops = ops, .arg = arg, .total_ms = r->timers.total_ms, .nheader = r->nheader,
	                              .insecure = r->insecure_tls};
	memcpy(call.body, r->body[0].iov_base, r->body[0].iov_len);
	started++;
	return &call;
}

void
upstream_cancel(struct upstream_call *c)
{
	assert_non_null(c->ops);
	c->ops = NULL;
	cancelled++;
}

/* Sessions are for the scenarios: no tunnel is opened here. */
struct tunnel *
tunnel_start(struct upstream *u, const struct tunnel_request *r, tunnel_done_f f, void *arg, enum upstream_error *err)
{
	(void)u;
	(void)r;
	(void)f;
	(void)arg;
	(void)err;
	fail();
	return NULL;
}

void
tunnel_freep(struct tunnel **t)
{
	assert_null(*t);
}

const char *
upstream_phase_name(enum upstream_phase p)
{
	return p == UPSTREAM_CONNECT ? "connect" : "other";
}

static bool
essential(const char *body, size_t len, const char **why)
{
	(void)len;
	*why = "no choices";
	return strstr(body, "choices") != NULL;
}

int
probe_request_build(struct arena *a, const struct conf *c, const struct deployment *d, enum probe_adapt adapt,
                    uint32_t random, struct probe_request *out, const char **why)
{
	static const struct provider_op op = {.essential = essential};

	(void)c;
	(void)d;
	(void)random;
	if (build_why) {
		*why = build_why;
		return HALE_EUNSUPPORTED;
	}
	if (nbuilt == 0 || built[nbuilt - 1] != adapt)
		built[nbuilt++] = adapt;
	*out = (struct probe_request){.endpoint = {.method = "POST", .url = "http://x/"}, .content_type = "application/json",
	                              .mode = MODE_CHAT, .op = &op};
	out->body = arena_printf(a, "form %d", adapt < build_forms ? (int)adapt : (int)build_forms);
	out->body_len = strlen(out->body);
	return 0;
}

/* --- the frame --- */

static struct fixture fix;
static struct prober_report last;
static unsigned reports;

static void
done(void *arg, const struct deployment *d, const struct prober_report *r)
{
	assert_ptr_equal(arg, &fix);
	assert_ptr_equal(d, &fix.deployment[0]);
	last = *r;
	reports++;
}

static int
setup(void **state)
{
	(void)state;
	fixture_init(&fix, 1, "a");
	fix.conf.health_env.timeout_ms = 60000;
	fix.deployment[0].provider = provider_find("openai", 6);
	fix.deployment[0].api_key = "sk-verysecretkey0123456789";
	call = (struct upstream_call){0};
	start_error = UPSTREAM_OK;
	started = cancelled = nbuilt = reports = 0;
	build_why = NULL;
	build_forms = PROBE_ADAPT_COUNT;
	last = (struct prober_report){0};
	return 0;
}

static struct prober_check *
begin(uint8_t adapt)
{
	static const struct prober_check_env env = {.conf = &fix.conf};

	return prober_check_start(&env, &fix.deployment[0], adapt, done, &fix, &last);
}

static void
answer_with(int status, const char *body, const struct http_header *header, unsigned nheader)
{
	struct upstream_call c = call;
	struct upstream_result r = {.phase = UPSTREAM_DONE, .status = status, .total_us = 1500};

	c.ops->head(c.arg, status, header, nheader);
	assert_true(c.ops->body(c.arg, body, strlen(body)));
	call.ops = NULL;
	c.ops->end(c.arg, &r);
}

static void
answer(int status, const char *body)
{
	answer_with(status, body, NULL, 0);
}

static void
fail_transport(enum upstream_error e, enum upstream_phase phase, const char *text)
{
	struct upstream_call c = call;
	struct upstream_result r = {.error = e, .phase = phase, .text = text};

	call.ops = NULL;
	c.ops->end(c.arg, &r);
}

#define REFUSE_LIMIT "{\"error\":{\"message\":\"Could not finish the message because max_tokens was reached\"}}"
#define REFUSE_NAME "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.\"}}"
#define GOOD "{\"choices\":[{}],\"usage\":{\"total_tokens\":11}}"

/* --- tests --- */

static void
test_success(void **state)
{
	static const struct http_header h[] = {{"X-RateLimit-Remaining-Requests", "999"}, {"x-ms-region", "East US"},
	                                       {"x-ratelimit-remaining-tokens",
	                                        "0123456789012345678901234567890123456789012345678901234567890123456789"}};

	(void)state;
	assert_non_null(begin(0));
	assert_in_range(call.total_ms, 30000, 60000); /* less what has passed since the deadline was set */
	assert_int_equal(call.nheader, 1);
	assert_false(call.insecure);
	assert_string_equal(call.body, "form 0");
	answer_with(200, GOOD, h, HALE_COUNT(h));
	assert_int_equal(reports, 1);
	assert_true(last.result.ok);
	assert_false(last.result.neutral);
	assert_int_equal(last.result.http_status, 200);
	assert_int_equal(last.result.latency_us, 1500);
	assert_int_equal(last.result.cost_tokens, 11);
	assert_int_equal(last.requests, 1);
	assert_string_equal(last.error, "");
	assert_string_equal(last.ratelimit_requests, "999");
	assert_string_equal(last.ms_region, "East US");
	assert_int_equal(strlen(last.ratelimit_tokens), HTABLE_HEADER_BYTES - 1);
}

/* The form that is accepted is what the next check starts with. */
static void
test_adapts(void **state)
{
	(void)state;
	begin(0);
	answer(400, REFUSE_LIMIT);
	assert_int_equal(reports, 0);
	assert_string_equal(call.body, "form 1");
	answer(200, GOOD);
	assert_int_equal(reports, 1);
	assert_true(last.result.ok);
	assert_int_equal(last.result.adapt, PROBE_ADAPT_LARGER);
	assert_int_equal(last.requests, 2);
	begin(last.result.adapt);
	answer(200, GOOD);
	assert_int_equal(last.requests, 1);
	assert_int_equal(started, 3);
}

static void
test_ladder_is_bounded(void **state)
{
	(void)state;
	begin(0);
	answer(400, REFUSE_LIMIT);
	answer(400, REFUSE_NAME);
	answer(400, "{\"error\":\"nothing pleases me\"}");
	assert_int_equal(reports, 0);
	answer(400, "{\"error\":\"nothing pleases me\"}");
	assert_int_equal(reports, 1);
	assert_int_equal(started, 4);
	assert_int_equal(built[1], PROBE_ADAPT_LARGER);
	assert_int_equal(built[2], PROBE_ADAPT_COMPLETION);
	assert_int_equal(built[3], PROBE_ADAPT_NO_LIMIT);
	assert_int_equal(last.result.reason, REASON_BAD_PROBE);
	assert_true(last.result.neutral);
	assert_int_equal(last.result.adapt, PROBE_ADAPT_NO_LIMIT);
	assert_string_equal(last.error, "nothing pleases me");
}

/* A form that changes nothing is not sent: the upstream has said what it thinks of it. */
static void
test_equal_forms_are_skipped(void **state)
{
	(void)state;
	build_forms = PROBE_ADAPT_NONE;
	begin(0);
	answer(400, REFUSE_LIMIT);
	assert_int_equal(reports, 1);
	assert_int_equal(started, 1);
	assert_int_equal(last.result.reason, REASON_BAD_PROBE);
	assert_int_equal(last.result.adapt, PROBE_ADAPT_NONE);
	build_forms = PROBE_ADAPT_LARGER;
	begin(0);
	answer(400, REFUSE_LIMIT);
	answer(400, REFUSE_NAME);
	assert_int_equal(reports, 2);
	assert_int_equal(started, 3);
	assert_int_equal(last.result.adapt, PROBE_ADAPT_LARGER);
}

/* An upstream whose answers contradict each other does not keep us busy. */
static void
test_contradiction_is_bounded(void **state)
{
	(void)state;
	begin(0);
	while (reports == 0 && started < 20)
		answer(400, "{\"error\":\"max_tokens is required\"}");
	assert_true(started <= PROBE_ADAPT_COUNT);
}

/* A form that met another failure was not judged: the remembered one stays. */
static void
test_unjudged_form_is_not_kept(void **state)
{
	(void)state;
	begin(0);
	answer(400, REFUSE_LIMIT);
	answer(500, "");
	assert_int_equal(last.result.reason, REASON_SERVER_ERROR);
	assert_int_equal(last.result.adapt, PROBE_ADAPT_NONE);
	assert_string_equal(last.error, "server error (HTTP 500)");
}

static void
test_timeout(void **state)
{
	(void)state;
	fix.deployment[0].probe.timeout_ms = 1500;
	begin(0);
	assert_int_equal(call.total_ms, 1500);
	fail_transport(UPSTREAM_ETIMEOUT, UPSTREAM_HEAD, "timeout while waiting for the answer to begin");
	assert_int_equal(last.result.reason, REASON_TIMEOUT);
	assert_int_equal(last.result.phase, UPSTREAM_HEAD);
	assert_int_equal(last.result.http_status, 0);
	assert_string_equal(last.error, "Timeout exceeded");
	assert_false(last.result.neutral);
	fix.conf.general.health_check_ignore_transient_errors = true;
	begin(0);
	fail_transport(UPSTREAM_ETIMEOUT, UPSTREAM_HEAD, NULL);
	assert_true(last.result.neutral);
	begin(0);
	answer(429, "{}");
	assert_int_equal(last.result.reason, REASON_RATE_LIMITED);
	assert_true(last.result.neutral);
	begin(0);
	answer(500, "{}");
	assert_false(last.result.neutral);
}

static void
test_transport_text(void **state)
{
	(void)state;
	begin(0);
	fail_transport(UPSTREAM_ECONNECT, UPSTREAM_CONNECT, "Connection refused");
	assert_int_equal(last.result.reason, REASON_CONNECT_ERROR);
	assert_string_equal(last.error, "Connection refused (connect)");
	begin(0);
	fail_transport(UPSTREAM_ECONNECT, UPSTREAM_CONNECT, NULL);
	assert_string_equal(last.error, "connection failed (connect)");
}

static void
test_rate_limit(void **state)
{
	static const struct http_header retry[] = {{"Retry-After", "20"}};
	static const struct http_header reset[] = {{"x-ratelimit-reset-requests", "1s"}, {"x-ratelimit-reset-tokens", "6m0s"},
	                                           {"x-ratelimit-remaining-tokens", "0"}};
	uint64_t now = clock_mono_ns();

	(void)state;
	begin(0);
	answer_with(429, "{\"error\":{\"message\":\"slow down\"}}", retry, 1);
	assert_in_range(last.result.until_ns, now + 20 * NS_PER_SEC, now + 80 * NS_PER_SEC);
	assert_string_equal(last.error, "slow down");
	begin(0);
	answer_with(429, "", reset, HALE_COUNT(reset));
	assert_in_range(last.result.until_ns, now + 360 * NS_PER_SEC, now + 420 * NS_PER_SEC);
}

static void
test_secrets_are_masked(void **state)
{
	(void)state;
	begin(0);
	answer(401, "{\"error\":{\"message\":\"Incorrect API key provided: sk-verysecretkey0123456789. Find it at ...\"}}");
	assert_int_equal(last.result.reason, REASON_UNAUTHORIZED);
	assert_null(strstr(last.error, "verysecretkey"));
	assert_non_null(strstr(last.error, "Incorrect API key provided"));
}

static void
test_long_texts(void **state)
{
	static char body[5000];

	(void)state;
	snprintf(body, sizeof(body), "{\"error\":\"%04000d\"}", 7);
	begin(0);
	answer(500, body);
	assert_int_equal(strlen(last.error), HTABLE_ERROR_BYTES - 1);
}

static void
test_big_answer_is_fine(void **state)
{
	static char piece[64 << 10];
	struct upstream_call c;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	piece[0] = '{';
	begin(0);
	c = call;
	c.ops->head(c.arg, 200, NULL, 0);
	for (int i = 0; i < 100; i++)
		assert_true(c.ops->body(c.arg, piece, sizeof(piece)));
	call.ops = NULL;
	c.ops->end(c.arg, &(struct upstream_result){.phase = UPSTREAM_DONE, .status = 200});
	assert_true(last.result.ok);
}

static void
test_empty_answer(void **state)
{
	(void)state;
	begin(0);
	answer(200, "");
	assert_int_equal(last.result.reason, REASON_BAD_BODY);
	assert_string_equal(last.error, "no choices (HTTP 200)");
}

static void
test_unsent(void **state)
{
	(void)state;
	build_why = "provider x has no mode y";
	assert_null(begin(0));
	assert_int_equal(last.result.reason, REASON_NO_PROBE);
	assert_true(last.result.neutral);
	assert_false(last.result.ok);
	assert_string_equal(last.error, "provider x has no mode y");
	build_why = NULL;
	start_error = UPSTREAM_EPROTOCOL;
	assert_null(begin(0));
	assert_int_equal(last.result.reason, REASON_CONNECT_ERROR);
	assert_false(last.deferred);
	start_error = UPSTREAM_ELIMIT;
	assert_null(begin(0));
	assert_true(last.deferred);
	assert_int_equal(reports, 0);
}

static void
test_cancel(void **state)
{
	struct prober_check *c = begin(0);

	(void)state;
	prober_check_cancel(c);
	assert_int_equal(cancelled, 1);
	assert_int_equal(reports, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_success, setup),
		cmocka_unit_test_setup(test_adapts, setup),
		cmocka_unit_test_setup(test_ladder_is_bounded, setup),
		cmocka_unit_test_setup(test_equal_forms_are_skipped, setup),
		cmocka_unit_test_setup(test_contradiction_is_bounded, setup),
		cmocka_unit_test_setup(test_unjudged_form_is_not_kept, setup),
		cmocka_unit_test_setup(test_timeout, setup),
		cmocka_unit_test_setup(test_transport_text, setup),
		cmocka_unit_test_setup(test_rate_limit, setup),
		cmocka_unit_test_setup(test_secrets_are_masked, setup),
		cmocka_unit_test_setup(test_long_texts, setup),
		cmocka_unit_test_setup(test_big_answer_is_fine, setup),
		cmocka_unit_test_setup(test_empty_answer, setup),
		cmocka_unit_test_setup(test_unsent, setup),
		cmocka_unit_test_setup(test_cancel, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

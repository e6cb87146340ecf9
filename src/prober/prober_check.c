/* One probe: build the request, run it, judge the answer.
 *
 * A check is one upstream request. Only when the upstream refuses our own payload does it send another
 * form of it, and it goes on until a form is accepted or none is left (PROBE_ADAPT_COUNT at most, within
 * the one timeout of the check): such refusals are not billed, and stopping half way would show a
 * wrong state to whoever asked. The form that was accepted is remembered in the slot, so the next
 * check is one request again.
 *
 * This file moves bytes; what they mean is prober_classify.c. It knows nothing of schedules, slots
 * and rounds: those learn the report.
 */
#include "hale/hale.h"

#include "prober_check.h"

#include <strings.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/cost.h"
#include "hale/deployment.h"
#include "hale/log.h"
#include "hale/probe.h"
#include "hale/redact.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"
#include "prober_check_ws.h"
#include "prober_classify.h"
#include "prober_message.h"

#define CHECK_BODY_BYTES (256u << 10) /* of an answer that are kept */
#define CHECK_TEXT_BYTES 2048         /* of a message, before secrets are masked and it is cut */
#define CHECK_VALUE_BYTES 64

enum check_header {
	CHECK_RETRY_AFTER = 0,
	CHECK_RETRY_AFTER_MS,
	CHECK_RESET,
	CHECK_RESET_REQUESTS,
	CHECK_RESET_TOKENS,
	CHECK_LEFT_REQUESTS,
	CHECK_LEFT_TOKENS,
	CHECK_REGION,
	CHECK_HEADERS
};

static const char *const check_header_name[CHECK_HEADERS] = {
	[CHECK_RETRY_AFTER] = "retry-after",
	[CHECK_RETRY_AFTER_MS] = "retry-after-ms",
	[CHECK_RESET] = "x-ratelimit-reset",
	[CHECK_RESET_REQUESTS] = "x-ratelimit-reset-requests",
	[CHECK_RESET_TOKENS] = "x-ratelimit-reset-tokens",
	[CHECK_LEFT_REQUESTS] = "x-ratelimit-remaining-requests",
	[CHECK_LEFT_TOKENS] = "x-ratelimit-remaining-tokens",
	[CHECK_REGION] = "x-ms-region",
};

struct prober_check {
	const struct prober_check_env *env;
	const struct deployment *deployment;
	prober_check_f done;
	void *arg;
	uint64_t deadline_ns; /* of the whole check */
	unsigned requests;
	enum probe_adapt adapt, adapt_first;
	struct arena *arena; /* of the request in flight */
	struct probe_request request;
	struct upstream_call *call;
	struct prober_check_ws *session; /* in place of a call, for realtime */
	struct strbuf body;
	char header[CHECK_HEADERS][CHECK_VALUE_BYTES];
};

static void
prober_check_release(struct prober_check *c)
{
	arena_freep(&c->arena);
	strbuf_release(&c->body);
	free(c);
}

/* Cuts at a UTF-8 boundary. */
static void
prober_check_text(char *out, size_t size, const char *text)
{
	size_t n = strlen(text);

	if (n >= size)
		for (n = size - 1; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; )
			n--;
	memcpy(out, text, n);
	out[n] = '\0';
}

static const char *
prober_check_header(const struct prober_check *c, enum check_header h)
{
	return c->header[h][0] ? c->header[h] : NULL;
}

/* Which reset counts: the one without a kind, else that of the kind that is used up. */
static const char *
prober_check_reset(const struct prober_check *c)
{
	const char *left = prober_check_header(c, CHECK_LEFT_TOKENS);

	if (c->header[CHECK_RESET][0])
		return c->header[CHECK_RESET];
	if (left && strcmp(left, "0") == 0)
		return prober_check_header(c, CHECK_RESET_TOKENS);
	return prober_check_header(c, CHECK_RESET_REQUESTS);
}

/* The text that people read: the provider's own words if there are any. */
static void
prober_check_error(const struct prober_check *c, const struct classify_result *k, const struct upstream_result *u,
                   struct prober_report *out)
{
	char text[CHECK_TEXT_BYTES];
	struct strbuf clean;

	if (k->ok)
		return;
	if (u->error == UPSTREAM_ETIMEOUT && k->reason == REASON_TIMEOUT) {
		prober_check_text(out->error, sizeof(out->error), k->text);
		return;
	}
	if (k->status == 0)
		snprintf(text, sizeof(text), "%s (%s)", u->text && *u->text ? u->text : k->text,
		         upstream_phase_name(u->phase));
	else if (u->status < 400 && k->status == u->status) /* a success that is none: the body explains nothing */
		snprintf(text, sizeof(text), "%s (HTTP %d)", k->text, k->status);
	else if (!prober_message_text(strbuf_str(&c->body), c->body.len, text, sizeof(text)))
		snprintf(text, sizeof(text), "%s (HTTP %d)", k->text, k->status);
	strbuf_init(&clean, CHECK_TEXT_BYTES);
	redact_text(c->env->conf, text, strlen(text), &clean);
	prober_check_text(out->error, sizeof(out->error), strbuf_str(&clean));
	strbuf_release(&clean);
}

/* Tokens that the answer was billed for. A success that names none, and a timeout behind a request that
 * was sent, are estimated: a daily limit that only trusts what is reported would not hold. */
static uint32_t
prober_check_cost(const struct prober_check *c, const struct classify_result *k,
                  const struct upstream_result *u, bool *estimated)
{
	uint32_t n = k->ok ? prober_message_tokens(strbuf_str(&c->body), c->body.len) : 0;

	*estimated = n == 0 && (k->ok || (k->reason == REASON_TIMEOUT && u->phase >= UPSTREAM_HEAD));
	return *estimated ? cost_estimate(&c->request) : n;
}

static void
prober_check_report(const struct prober_check *c, const struct classify_result *k, const struct upstream_result *u,
                    struct prober_report *out)
{
	bool transient = k->reason == REASON_RATE_LIMITED || k->reason == REASON_TIMEOUT;
	/* a form is remembered when it was judged: by success or by another refusal */
	bool judged = k->ok || k->reason == REASON_BAD_PROBE;

	*out = (struct prober_report){
		.requests = c->requests,
		.result = {
			.reason = k->reason,
			.ok = k->ok,
			.neutral = k->reason == REASON_BAD_PROBE ||
			           (transient && c->env->conf->general.health_check_ignore_transient_errors),
			.phase = (uint8_t)u->phase,
			.adapt = (uint8_t)(judged ? c->adapt : c->adapt_first),
			.http_status = (uint16_t)k->status,
			.latency_us = u->total_us,
			.until_ns = k->until_ns,
		},
	};
	out->result.cost_tokens = prober_check_cost(c, k, u, &out->estimated);
	prober_check_text(out->ratelimit_requests, sizeof(out->ratelimit_requests), c->header[CHECK_LEFT_REQUESTS]);
	prober_check_text(out->ratelimit_tokens, sizeof(out->ratelimit_tokens), c->header[CHECK_LEFT_TOKENS]);
	prober_check_text(out->ms_region, sizeof(out->ms_region), c->header[CHECK_REGION]);
	prober_check_error(c, k, u, out);
}

static void
prober_check_head_cb(void *arg, int status, const struct http_header *header, unsigned nheader)
{
	struct prober_check *c = arg;

	if (c->env->watch)
		c->env->watch->head(c->env->watch->arg, status, header, nheader);
	for (unsigned i = 0; i < nheader; i++)
		for (int h = 0; h < CHECK_HEADERS; h++)
			if (strcasecmp(header[i].name, check_header_name[h]) == 0) {
				prober_check_text(c->header[h], CHECK_VALUE_BYTES, header[i].value);
				break;
			}
}

static bool
prober_check_body_cb(void *arg, const char *data, size_t len)
{
	struct prober_check *c = arg;

	strbuf_add(&c->body, data, len); /* past the bound it remembers that it overflowed */
	return true;
}

/* Is the form `adapt` another request than the one that was just refused? Not every mode has all forms. */
static bool
prober_check_differs(const struct prober_check *c, enum probe_adapt adapt)
{
	struct arena *a = arena_new(2048);
	struct probe_request q;
	const char *why;
	bool differs = true;

	if (probe_request_build(a, c->env->conf, c->deployment, adapt, 0, &q, &why) == 0)
		differs = q.body_len != c->request.body_len ||
		          (q.body_len && memcmp(q.body, c->request.body, q.body_len) != 0);
	arena_freep(&a);
	return differs;
}

static bool prober_check_send(struct prober_check *c, struct prober_report *failed);

static void
prober_check_end_cb(void *arg, const struct upstream_result *u)
{
	struct prober_check *c = arg;
	struct classify_input in = {
		.mode = c->request.mode,
		.op = c->request.op,
		.error = u->error,
		.phase = u->phase,
		.status = u->status,
		.retry_after = prober_check_header(c, CHECK_RETRY_AFTER),
		.retry_after_ms = prober_check_header(c, CHECK_RETRY_AFTER_MS),
		.ratelimit_reset = prober_check_reset(c),
		.body = strbuf_str(&c->body),
		.body_len = c->body.len,
		.body_cut = c->body.overflow,
		.now_ns = clock_mono_ns(),
		.now_real_ns = clock_real_ns(),
		.adapt = c->adapt,
	};
	struct classify_result k;
	struct prober_report r, failed;

	c->call = NULL;
	if (c->env->watch)
		c->env->watch->answer(c->env->watch->arg, in.body, in.body_len, in.body_cut);
	c->session = NULL;
	prober_classify(&in, &k);
	prober_check_report(c, &k, u, &r);
	while (k.reason == REASON_BAD_PROBE && k.next != c->adapt && !prober_check_differs(c, k.next))
		k.next = k.next + 1 < PROBE_ADAPT_COUNT ? k.next + 1 : c->adapt;
	if (k.reason == REASON_BAD_PROBE && k.next != c->adapt && c->requests < PROBE_ADAPT_COUNT &&
	    in.now_ns < c->deadline_ns) {
		c->adapt = k.next;
		if (prober_check_send(c, &failed)) /* else the refusal is what we know */
			return;
	}
	c->done(c->arg, c->deployment, &r);
	prober_check_release(c);
}

static const struct upstream_ops prober_check_ops = {
	.head = prober_check_head_cb,
	.body = prober_check_body_cb,
	.end = prober_check_end_cb,
};

/* What could not even be sent. */
static void
prober_check_unsent(const struct prober_check *c, enum health_reason reason, const char *text,
                    struct prober_report *out)
{
	*out = (struct prober_report){
		.requests = c->requests,
		.result = {.reason = reason, .neutral = reason == REASON_NO_PROBE, .adapt = (uint8_t)c->adapt},
	};
	prober_check_text(out->error, sizeof(out->error), text);
}

/* Adds the signature of providers that want one to header, which r uses. */
static bool
prober_check_sign(const struct prober_check *c, struct upstream_request *r, struct http_header *header)
{
	struct provider_sign s = {
		.d = c->request.as, .endpoint = r->endpoint, .body = r->body, .nbody = r->nbody, .now_real_ns = clock_real_ns(),
	};

	if (!c->request.op->sign)
		return true;
	if (c->request.op->sign(c->arena, &s) != 0)
		return false;
	memcpy(header + r->nheader, s.header, s.nheader * sizeof(*s.header));
	r->nheader += s.nheader;
	return true;
}

static bool
prober_check_begin(struct prober_check *c, const struct upstream_request *r, enum upstream_error *err)
{
	/* Servers that people run themselves may have nothing to say first. */
	bool quiet = probe_cell_provider(c->deployment)->local;

	if (c->request.op->form == OP_WEBSOCKET)
		c->session = prober_check_ws_start(c->env->upstream, r, quiet, &prober_check_ops, c, err);
	else
		c->call = upstream_start(c->env->upstream, r, &prober_check_ops, c, err);
	return c->call || c->session;
}

/* Sends the form c->adapt. false: *failed says why it was not sent. */
static bool
prober_check_send(struct prober_check *c, struct prober_report *failed)
{
	struct upstream_request r = {
		.endpoint = &c->request.endpoint,
		.proxy = c->deployment->proxy,
		.http2 = c->deployment->http2,
		.insecure_tls = c->deployment->insecure_tls,
	};
	struct http_header header[1 + PROVIDER_SIGN_HEADERS_MAX];
	uint64_t now_ns = clock_mono_ns();
	enum upstream_error err = UPSTREAM_OK;
	const char *why = NULL;

	arena_freep(&c->arena);
	c->arena = arena_new(2048);
	strbuf_clear(&c->body);
	memset(c->header, 0, sizeof(c->header));
	if (probe_request_build(c->arena, c->env->conf, c->deployment, c->adapt, arc4random(), &c->request,
	                        &why) != 0) {
		prober_check_unsent(c, REASON_NO_PROBE, why ? why : "no probe for this mode and provider", failed);
		return false;
	}
	r.header = header;
	if (c->request.content_type)
		header[r.nheader++] = (struct http_header){"Content-Type", c->request.content_type};
	if (c->request.body) {
		union { const char *from; void *to; } body = {.from = c->request.body}; /* iovec knows no const */

		r.body[0] = (struct iovec){.iov_base = body.to, .iov_len = c->request.body_len};
		r.nbody = 1;
	}
	if (!prober_check_sign(c, &r, header)) {
		prober_check_unsent(c, REASON_UNAUTHORIZED, "no credentials to sign the request with", failed);
		return false;
	}
	if (r.proxy && c->request.op->form == OP_WEBSOCKET) {
		prober_check_unsent(c, REASON_NO_PROBE, "realtime sessions do not go through a proxy",
		                    failed);
		return false;
	}
	r.timers.total_ms = (uint32_t)((c->deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
	if (prober_check_begin(c, &r, &err)) {
		c->requests++;
		if (c->env->watch)
			c->env->watch->sent(c->env->watch->arg, &c->request);
		return true;
	}
	prober_check_unsent(c, REASON_CONNECT_ERROR, "the address is not a valid URL", failed);
	failed->deferred = err == UPSTREAM_ELIMIT;
	return false;
}

struct prober_check *
prober_check_start(const struct prober_check_env *env, const struct deployment *d, uint8_t adapt, prober_check_f done,
                   void *arg, struct prober_report *now)
{
	struct prober_check *c = xcalloc(1, sizeof(*c));
	uint32_t timeout_ms = d->probe.timeout_ms ? d->probe.timeout_ms : env->conf->health_env.timeout_ms;

	c->env = env;
	c->deployment = d;
	c->done = done;
	c->arg = arg;
	c->deadline_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
	c->adapt = c->adapt_first = adapt < PROBE_ADAPT_COUNT ? (enum probe_adapt)adapt : PROBE_ADAPT_NONE;
	strbuf_init(&c->body, CHECK_BODY_BYTES);
	if (prober_check_send(c, now))
		return c;
	prober_check_release(c);
	return NULL;
}

void
prober_check_cancel(struct prober_check *c)
{
	if (c->session)
		prober_check_ws_cancel(c->session);
	else
		upstream_cancel(c->call);
	prober_check_release(c);
}

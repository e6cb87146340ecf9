/* From one probe's answer to a reason: the part of the health system that must never be wrong.
 *
 * Pure: no clock, no I/O, no log. The order of the questions is the design:
 *   1. Did an answer arrive at all? If not, the transport's error is the reason.
 *   2. 2xx: does the body have the mode's essential member? An empty or foreign 200 is a failure.
 *   3. Is money or the credential the cause? Providers report both under half a dozen status codes, so
 *      the words of the body come before the code.
 *   4. 400, 404 and 422: is the model unknown, or was our own payload refused? A refusal says nothing
 *      about the deployment; it names the next form to try (enum probe_adapt).
 *   5. What is left is decided by the status code.
 *
 * Words are looked for in a lower-cased prefix of the raw body: error envelopes differ in shape, and
 * messages move between "message", "detail", "code" and "type". What people read comes from
 * prober_message.c, which does parse the body.
 */
#include "hale/hale.h"

#include "prober_classify.h"

#include <ctype.h>

#include "prober_message.h"
#include "prober_until.h"

#define CLASSIFY_TEXT_BYTES 4096

/* What a refusal of our payload asks for. */
enum classify_fix { FIX_LARGER = PROBE_ADAPT_LARGER, FIX_COMPLETION, FIX_PLAIN, FIX_LIMIT, FIX_NONE };

/* All words of a rule must occur. */
struct classify_rule {
	const char *word[3];
	enum classify_fix fix;
};

/* An account without money, whatever the status. Not "exceeded your current quota": Gemini says that about
 * limits that pass within seconds. */
static const char *const prober_classify_funds[] = {
	"insufficient_quota", "credit balance", "subscription quota", "billing_hard_limit", "billing_not_active",
	"insufficient credit", "insufficient balance", "insufficient funds", "insufficient_balance",
	"payment required", "payment_required", "out of credits", "doesn't have any credits", "all available credits",
	"budget_exceeded", "budget has been exceeded", "exceeded_current_quota_error",
};

/* A credential that is not accepted, said with another code than 401 and 403. */
static const char *const prober_classify_auth[] = {
	"api_key_invalid", "api key not valid", "api key expired", "invalid_api_key", "incorrect api key",
	"invalid api key", "unrecognizedclientexception", "expiredtokenexception", "security token included in the request",
	"invalid_authentication", "invalid authentication", "user location is not supported",
};

/* 400 and 404 that mean: there is no such model here. */
static const char *const prober_classify_missing[] = {
	"model_not_found", "deploymentnotfound", "model not found", "model not exist", "invalid model", "invalid_model",
	"model_decommissioned", "model identifier is invalid", "is not found for api version", "no such model",
	"not a valid model id", "model is not available", "unknown model", "unable to access model",
	"with on-demand throughput isn", /* Bedrock: the apostrophe is a typographic one */
};

/* 400 that mean: the picture that was asked for is not painted. The
 * model has read the request to refuse it. */
static const char *const prober_classify_policy[] = {
	"content_policy", "content policy", "moderation_blocked", "content_filter", "content filter", "contentfilter",
	"content management policy", "safety system", "responsible ai", "responsibleai",
};

/* 400, 404 and 422 that mean: this kind of request does not fit this model; no other form of it will. */
static const struct classify_rule prober_classify_refusals[] = {
	{{"operationnotsupported"}, FIX_NONE},
	{{"operation not supported"}, FIX_NONE},
	{{"does not work with the specified model"}, FIX_NONE},
	{{"not a chat model"}, FIX_NONE},
	{{"does not support chat"}, FIX_NONE},
	{{"does not support embeddings"}, FIX_NONE},
	{{"does not support generate"}, FIX_NONE},
	{{"not supported in the v1/"}, FIX_NONE},
	{{"only supported in v1/"}, FIX_NONE},
	{{"no endpoints found that support"}, FIX_PLAIN},
	{{"content management policy"}, FIX_NONE},
	{{"content_filter"}, FIX_NONE},
	{{"content_policy"}, FIX_NONE},
	/* token limits: too low, under another name, or not wanted at all */
	{{"could not finish", "max_tokens"}, FIX_LARGER},
	{{"max_tokens", "use", "max_completion_tokens"}, FIX_COMPLETION},
	{{"integer_below_min_value", "tokens"}, FIX_LARGER},
	{{"below minimum", "tokens"}, FIX_LARGER},
	{{"minimum value", "tokens"}, FIX_LARGER},
	{{"greater than or equal", "tokens"}, FIX_LARGER},
	{{"at least", "tokens"}, FIX_LARGER},
	{{"max_tokens", "budget_tokens"}, FIX_PLAIN},
	{{"max_tokens", "required"}, FIX_LIMIT},
	{{"max_tokens", "missing"}, FIX_LIMIT},
};

static bool
prober_classify_any(const char *text, const char *const *word, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(text, word[i]))
			return true;
	return false;
}

static void
prober_classify_lower(const struct classify_input *in, char *out, size_t size)
{
	size_t n = in->body && in->body_len < size - 1 ? in->body_len : in->body ? size - 1 : 0;

	for (size_t i = 0; i < n; i++)
		out[i] = in->body[i] ? (char)tolower((unsigned char)in->body[i]) : ' ';
	out[n] = '\0';
}

/* Whose probes the forms between the first and the plainest make a difference to. */
static bool
prober_classify_counts_tokens(enum mode m)
{
	return m == MODE_CHAT || m == MODE_COMPLETION || m == MODE_RESPONSES || m == MODE_MESSAGES;
}

/* The next form after the one that was sent when the refusal asks for `fix`. Forms only
 * move forward, so that two refusals cannot send the probe round in circles; the one
 * exception is a limit that turns out to be required. */
static enum probe_adapt
prober_classify_next(const struct classify_input *in, enum classify_fix fix)
{
	enum probe_adapt sent = in->adapt;

	if (fix != FIX_NONE && !prober_classify_counts_tokens(in->mode))
		return PROBE_ADAPT_NO_LIMIT;
	if (fix == FIX_NONE || (sent == PROBE_ADAPT_NO_LIMIT && fix != FIX_LIMIT))
		return sent;
	if (fix == FIX_LIMIT)
		return sent == PROBE_ADAPT_NONE || sent == PROBE_ADAPT_NO_LIMIT ? PROBE_ADAPT_LARGER : sent;
	if ((int)fix > (int)sent)
		return (enum probe_adapt)fix;
	return PROBE_ADAPT_NO_LIMIT;
}

/* 400, 404, 422 and their like. An unexplained 400 is a refused payload as well: the plainest form is tried
 * before anything is concluded from it. */
static void
prober_classify_refused(const struct classify_input *in, const char *text, struct classify_result *out)
{
	const struct classify_rule *r;

	out->reason = REASON_BAD_PROBE;
	for (r = prober_classify_refusals; r < prober_classify_refusals + HALE_COUNT(prober_classify_refusals); r++) {
		if (!strstr(text, r->word[0]) || (r->word[1] && !strstr(text, r->word[1])) ||
		    (r->word[2] && !strstr(text, r->word[2])))
			continue;
		out->next = prober_classify_next(in, r->fix);
		out->text = "the probe's payload was refused";
		return;
	}
	if (out->status == 404) {
		out->reason = REASON_NOT_FOUND;
		out->text = "not found";
		return;
	}
	out->next = prober_classify_next(in, FIX_PLAIN);
	out->text = "the probe's payload was refused";
}

static void
prober_classify_limited(const struct classify_input *in, struct classify_result *out)
{
	char ms[32] = "", delay[32];
	const char *source[4];

	out->reason = REASON_RATE_LIMITED;
	out->text = "rate limited";
	if (in->retry_after_ms)
		snprintf(ms, sizeof(ms), "%.20sms", in->retry_after_ms);
	source[0] = ms;
	source[1] = in->retry_after;
	source[2] = in->ratelimit_reset;
	source[3] = prober_message_delay(in->body, in->body_len, delay, sizeof(delay));
	for (unsigned i = 0; i < HALE_COUNT(source) && out->until_ns == 0; i++)
		if (source[i])
			out->until_ns = prober_until_parse(source[i], in->now_ns, in->now_real_ns);
}

/* Any HTTP status that is no success. */
static void
prober_classify_status(const struct classify_input *in, struct classify_result *out)
{
	char text[CLASSIFY_TEXT_BYTES];
	int s = out->status;
	bool client = s >= 400 && s < 500, funds, auth, missing;
	bool image = in->mode == MODE_IMAGE_GENERATION || in->mode == MODE_IMAGE_EDIT;

	prober_classify_lower(in, text, sizeof(text));
	out->exception_status = s >= 400 ? s : 500;
	funds = client && prober_classify_any(text, prober_classify_funds, HALE_COUNT(prober_classify_funds));
	auth = s == 400 && prober_classify_any(text, prober_classify_auth, HALE_COUNT(prober_classify_auth));
	missing = (s == 400 || s == 404 || s == 422) &&
	          prober_classify_any(text, prober_classify_missing, HALE_COUNT(prober_classify_missing));
	if (image && s == 400 && prober_classify_any(text, prober_classify_policy, HALE_COUNT(prober_classify_policy))) {
		out->reason = REASON_OK;
		out->ok = true;
		out->exception_status = 0;
	} else if (s == 402 || funds) {
		out->reason = REASON_OUT_OF_FUNDS;
		out->text = "out of funds";
	} else if (s == 401 || s == 403 || auth) {
		out->reason = REASON_UNAUTHORIZED;
		out->text = "unauthorized";
	} else if (s == 429) {
		prober_classify_limited(in, out);
	} else if (s == 408) {
		out->reason = REASON_TIMEOUT;
		out->text = "the upstream reported a timeout";
	} else if (s == 405 || s == 410 || missing) {
		out->reason = REASON_NOT_FOUND;
		out->text = s == 405 ? "method not allowed: is this the right address?" : "not found";
	} else if (s == 400 || s == 404 || s == 413 || s == 415 || s == 422) {
		prober_classify_refused(in, text, out);
	} else if (client || s >= 500) {
		out->reason = REASON_SERVER_ERROR;
		out->text = s == 529 || s == 503 ? "overloaded or unavailable" : "server error";
	} else { /* 3xx: following it would send the key to another host */
		out->reason = REASON_BAD_BODY;
		out->text = "redirected: is this the right address?";
	}
}

/* The bytes that may begin an answer of which the rest was not kept: audio, or JSON. */
static bool
prober_classify_begins(const struct classify_input *in, const char **why)
{
	size_t i = 0;

	if (!in->op || in->op->binary)
		return !in->op || !in->op->essential || in->op->essential(in->body, in->body_len, why);
	while (i < in->body_len && isspace((unsigned char)in->body[i]))
		i++;
	*why = "the answer is not a JSON object";
	return i < in->body_len && in->body[i] == '{';
}

static bool
prober_classify_is_answer(const struct classify_input *in, const char **why)
{
	*why = "empty answer";
	if (in->body_cut)
		return prober_classify_begins(in, why);
	if (in->op && in->op->essential)
		return in->op->essential(in->body ? in->body : "", in->body_len, why);
	return in->body_len > 0;
}

/* 2xx: only the essential member makes it a success. Some gateways answer 200 and put the error inside. */
static void
prober_classify_success(const struct classify_input *in, struct classify_result *out)
{
	const char *why;
	int inner;

	if (prober_classify_is_answer(in, &why)) {
		out->reason = REASON_OK;
		out->ok = true;
		out->exception_status = 0;
		return;
	}
	inner = prober_message_status(in->body, in->body_len);
	if (inner) {
		out->status = inner;
		prober_classify_status(in, out);
		return;
	}
	out->reason = REASON_BAD_BODY;
	out->text = why ? why : "not the answer of this mode";
}

/* An open realtime session: prober_check_ws.c reports 101 only when the server did not say no in it. */
static void
prober_classify_session(struct classify_result *out)
{
	out->reason = REASON_OK;
	out->ok = true;
	out->exception_status = 0;
}

static void
prober_classify_transport(const struct classify_input *in, struct classify_result *out)
{
	switch (in->error) {
	case UPSTREAM_ETIMEOUT:
		out->reason = REASON_TIMEOUT;
		out->exception_status = 408;
		out->text = "Timeout exceeded";
		break;
	case UPSTREAM_ETLS:
		out->reason = REASON_TLS_ERROR;
		out->text = "TLS handshake failed";
		break;
	case UPSTREAM_EPROTOCOL:
		out->reason = REASON_BAD_BODY;
		out->text = "the answer is not valid HTTP";
		break;
	case UPSTREAM_ERESOLVE:
		out->reason = REASON_CONNECT_ERROR;
		out->text = "host name not found";
		break;
	case UPSTREAM_ERESET:
		out->reason = REASON_CONNECT_ERROR;
		out->text = "the connection ended before the answer was complete";
		break;
	default:
		out->reason = REASON_CONNECT_ERROR;
		out->text = "connection failed";
		break;
	}
}

void
prober_classify(const struct classify_input *in, struct classify_result *out)
{
	*out = (struct classify_result){.next = in->adapt, .status = in->status, .exception_status = 500, .text = ""};
	if (in->error != UPSTREAM_OK && in->status < 400) /* an error status counts even when its body broke off */
		prober_classify_transport(in, out);
	else if (in->status >= 200 && in->status < 300)
		prober_classify_success(in, out);
	else if (in->status == 101)
		prober_classify_session(out);
	else
		prober_classify_status(in, out);
	/* A handshake has no payload of ours that could be refused: no means no. */
	if (out->reason == REASON_BAD_PROBE && in->op && in->op->form == OP_WEBSOCKET) {
		out->reason = REASON_NOT_FOUND;
		out->next = in->adapt;
		out->text = "the realtime handshake was refused";
	}
}

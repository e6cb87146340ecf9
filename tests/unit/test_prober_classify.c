/* prober_classify: answers that real providers give, and what each of them means. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/clock.h"
#include "prober_classify.h"

#define NOW (5000 * NS_PER_SEC)
#define REAL (1700000000ULL * NS_PER_SEC)

static bool
essential_choices(const char *body, size_t len, const char **why)
{
	(void)len;
	*why = "no choices";
	return strstr(body, "\"choices\":[{") != NULL;
}

static const struct provider_op op_chat = {.essential = essential_choices};

struct answer {
	const char *who;
	int status;
	const char *body;
	enum probe_adapt sent;
	enum health_reason reason;
	enum probe_adapt next; /* compared for REASON_BAD_PROBE */
};

#define BAD REASON_BAD_PROBE
#define NONE PROBE_ADAPT_NONE
#define LARGER PROBE_ADAPT_LARGER
#define COMPLETION PROBE_ADAPT_COMPLETION
#define PLAIN PROBE_ADAPT_NO_LIMIT

static const struct answer answers[] = {
	/* successes, and 200s that are none */
	{"openai", 200, "{\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"H\"}}]}", NONE, REASON_OK, 0},
	{"empty", 200, "", NONE, REASON_BAD_BODY, 0},
	{"other", 200, "<html><title>Open WebUI</title></html>", NONE, REASON_BAD_BODY, 0},
	{"no choices", 200, "{\"choices\":[]}", NONE, REASON_BAD_BODY, 0},
	{"openrouter 200", 200, "{\"error\":{\"message\":\"Rate limit exceeded: free-models-per-day\",\"code\":429}}", NONE,
	 REASON_RATE_LIMITED, 0},
	{"openrouter 200", 200, "{\"error\":{\"message\":\"Provider returned error\",\"code\":502}}", NONE,
	 REASON_SERVER_ERROR, 0},
	/* credentials */
	{"openai 401", 401, "{\"error\":{\"message\":\"Incorrect API key provided: sk-abc. You can find your API key at "
	 "https://platform.openai.com/account/api-keys.\",\"type\":\"invalid_request_error\",\"param\":null,"
	 "\"code\":\"invalid_api_key\"}}", NONE, REASON_UNAUTHORIZED, 0},
	{"azure 401", 401, "{\"error\":{\"code\":\"401\",\"message\":\"Access denied due to invalid subscription key or "
	 "wrong API endpoint.\"}}", NONE, REASON_UNAUTHORIZED, 0},
	{"anthropic 403", 403, "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":\"Your API key does "
	 "not have permission to use the specified resource.\"}}", NONE, REASON_UNAUTHORIZED, 0},
	{"gemini 400", 400, "[{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API key.\","
	 "\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"reason\":\"API_KEY_INVALID\"}]}}]", NONE, REASON_UNAUTHORIZED, 0},
	{"vllm 401", 401, "{\"error\":\"Unauthorized\"}", NONE, REASON_UNAUTHORIZED, 0},
	/* money, under every code that is used for it */
	{"openai 429", 429, "{\"error\":{\"message\":\"You exceeded your current quota, please check your plan and billing "
	 "details.\",\"type\":\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"}}", NONE,
	 REASON_OUT_OF_FUNDS, 0},
	{"anthropic 400", 400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit "
	 "balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.\"}}",
	 NONE, REASON_OUT_OF_FUNDS, 0},
	{"openrouter 402", 402, "{\"error\":{\"message\":\"Insufficient credits. Add more using "
	 "https://openrouter.ai/credits\",\"code\":402}}", NONE, REASON_OUT_OF_FUNDS, 0},
	{"deepseek 402", 402, "{\"error\":{\"message\":\"Insufficient Balance\",\"type\":\"unknown_error\",\"param\":null,"
	 "\"code\":\"invalid_request_error\"}}", NONE, REASON_OUT_OF_FUNDS, 0},
	{"xai 403", 403, "{\"code\":\"The caller does not have permission to execute the specified operation\",\"error\":"
	 "\"Your newly created team doesn't have any credits yet.\"}", NONE, REASON_OUT_OF_FUNDS, 0},
	{"subscription 429", 429, "{\"error\":{\"message\":\"Subscription quota exceeded\"}}", NONE, REASON_OUT_OF_FUNDS, 0},
	{"bare 402", 402, "", NONE, REASON_OUT_OF_FUNDS, 0},
	/* not so fast */
	{"openai 429", 429, "{\"error\":{\"message\":\"Rate limit reached for gpt-4o in organization org-x on requests per "
	 "min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.\",\"type\":\"requests\",\"param\":null,\"code\":"
	 "\"rate_limit_exceeded\"}}", NONE, REASON_RATE_LIMITED, 0},
	{"azure 429", 429, "{\"error\":{\"code\":\"429\",\"message\":\"Requests to the ChatCompletions_Create Operation under "
	 "Azure OpenAI API version 2024-06-01 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please "
	 "retry after 6 seconds.\"}}", NONE, REASON_RATE_LIMITED, 0},
	{"gemini 429", 429, "{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota, please check your plan "
	 "and billing details.\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":"
	 "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"34s\"}]}}", NONE, REASON_RATE_LIMITED, 0},
	{"bare 429", 429, "", NONE, REASON_RATE_LIMITED, 0},
	/* no such model */
	{"openai 404", 404, "{\"error\":{\"message\":\"The model `gpt-9` does not exist or you do not have access to it.\","
	 "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}", NONE, REASON_NOT_FOUND, 0},
	{"azure 404", 404, "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"The API deployment for this resource "
	 "does not exist.\"}}", NONE, REASON_NOT_FOUND, 0},
	{"anthropic 404", 404, "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model: "
	 "claude-9\"}}", NONE, REASON_NOT_FOUND, 0},
	{"vllm 404", 404, "{\"object\":\"error\",\"message\":\"The model `llama` does not exist.\",\"type\":\"NotFoundError\","
	 "\"param\":null,\"code\":404}", NONE, REASON_NOT_FOUND, 0},
	{"ollama 404", 404, "{\"error\":{\"message\":\"model \\\"llama9\\\" not found, try pulling it first\",\"type\":"
	 "\"api_error\"}}", NONE, REASON_NOT_FOUND, 0},
	{"gemini 404", 404, "{\"error\":{\"code\":404,\"message\":\"models/gemini-9 is not found for API version v1beta, or "
	 "is not supported for generateContent.\",\"status\":\"NOT_FOUND\"}}", NONE, REASON_NOT_FOUND, 0},
	{"groq 400", 400, "{\"error\":{\"message\":\"The model `mixtral` has been decommissioned and is no longer supported.\","
	 "\"type\":\"invalid_request_error\",\"code\":\"model_decommissioned\"}}", NONE, REASON_NOT_FOUND, 0},
	{"mistral 400", 400, "{\"object\":\"error\",\"message\":\"Invalid model: mistral-9\",\"type\":\"invalid_model\","
	 "\"param\":null,\"code\":\"1500\"}", NONE, REASON_NOT_FOUND, 0},
	{"bedrock 400", 400, "{\"message\":\"The provided model identifier is invalid.\"}", NONE, REASON_NOT_FOUND, 0},
	{"bedrock profile", 400, "{\"message\":\"Invocation of model ID x with on-demand throughput isn\u2019t supported.\"}", NONE,
	 REASON_NOT_FOUND, 0},
	{"bedrock payload", 400, "{\"message\":\"Malformed input request: extraneous key [x] is not permitted\"}", NONE,
	 REASON_BAD_PROBE, PROBE_ADAPT_NO_LIMIT},
	{"nginx 404", 404, "<html><head><title>404 Not Found</title></head></html>", NONE, REASON_NOT_FOUND, 0},
	{"nginx 405", 405, "<html><head><title>405 Not Allowed</title></head></html>", NONE, REASON_NOT_FOUND, 0},
	/* our own payload: token limits */
	{"openai gpt-5 low", 400, "{\"error\":{\"message\":\"Could not finish the message because max_tokens or model output "
	 "limit was reached. Please try again with higher max_tokens.\",\"type\":\"invalid_request_error\",\"param\":null,"
	 "\"code\":null}}", NONE, BAD, LARGER},
	{"still too low", 400, "{\"error\":{\"message\":\"Could not finish the message because max_tokens or model output "
	 "limit was reached.\"}}", LARGER, BAD, PLAIN},
	{"still too low", 400, "{\"error\":{\"message\":\"Could not finish the message because max_tokens or model output "
	 "limit was reached.\"}}", COMPLETION, BAD, PLAIN},
	{"openai o1", 400, "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens' is not supported with this model. "
	 "Use 'max_completion_tokens' instead.\",\"type\":\"invalid_request_error\",\"param\":\"max_tokens\",\"code\":"
	 "\"unsupported_parameter\"}}", NONE, BAD, COMPLETION},
	{"azure o1", 400, "{\"error\":{\"message\":\"Unsupported parameter: \\u0027max_tokens\\u0027 is not supported with "
	 "this model. Use \\u0027max_completion_tokens\\u0027 instead.\",\"code\":\"unsupported_parameter\"}}", LARGER, BAD,
	 COMPLETION},
	{"openai responses", 400, "{\"error\":{\"message\":\"Invalid 'max_output_tokens': integer below minimum value. "
	 "Expected a value >= 16, but got 1 instead.\",\"code\":\"integer_below_min_value\"}}", NONE, BAD, LARGER},
	{"old server", 400, "{\"error\":{\"message\":\"Unrecognized request argument supplied: max_completion_tokens\"}}",
	 COMPLETION, BAD, PLAIN},
	{"anthropic thinking", 400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
	 "\"`max_tokens` must be greater than `thinking.budget_tokens`.\"}}", NONE, BAD, PLAIN},
	{"limit is required", 422, "{\"detail\":[{\"loc\":[\"body\",\"max_tokens\"],\"msg\":\"Field required\"}]}", PLAIN, BAD,
	 LARGER},
	/* our own payload: parameters and operations */
	{"image endpoint", 400, "{\"error\":{\"message\":\"Unknown parameter: 'max_tokens'.\",\"type\":"
	 "\"invalid_request_error\",\"param\":\"max_tokens\",\"code\":\"unknown_parameter\"}}", NONE, BAD, PLAIN},
	{"bedrock", 400, "{\"message\":\"Malformed input request: #: extraneous key [max_tokens] is not permitted, please "
	 "reformat your input and try again.\"}", NONE, BAD, PLAIN},
	{"anthropic", 400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"rpm: Extra inputs "
	 "are not permitted\"}}", NONE, BAD, PLAIN},
	{"groq", 400, "{\"error\":{\"message\":\"property 'supports_tools' is unsupported\",\"type\":"
	 "\"invalid_request_error\"}}", NONE, BAD, PLAIN},
	{"vllm 422", 422, "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"foo\"],\"msg\":\"Extra inputs are not "
	 "permitted\"}]}", NONE, BAD, PLAIN},
	{"azure embedding", 400, "{\"error\":{\"code\":\"OperationNotSupported\",\"message\":\"The chatCompletion operation "
	 "does not work with the specified model, text-embedding-3-small. Please choose different model and try again.\"}}",
	 NONE, BAD, NONE},
	{"openai completion", 404, "{\"error\":{\"message\":\"This is not a chat model and thus not supported in the "
	 "v1/chat/completions endpoint. Did you mean to use v1/completions?\",\"type\":\"invalid_request_error\",\"param\":"
	 "\"model\",\"code\":null}}", NONE, BAD, NONE},
	{"openrouter tools", 404, "{\"error\":{\"message\":\"No endpoints found that support tool use.\",\"code\":404}}", NONE,
	 BAD, PLAIN},
	{"azure filter", 400, "{\"error\":{\"message\":\"The response was filtered due to the prompt triggering Azure OpenAI's "
	 "content management policy.\",\"code\":\"content_filter\"}}", NONE, BAD, NONE},
	{"unexplained 400", 400, "Bad Request", NONE, BAD, PLAIN},
	{"plainest form refused", 400, "Bad Request", PLAIN, BAD, PLAIN},
	/* the upstream's own trouble */
	{"openai 500", 500, "{\"error\":{\"message\":\"The server had an error while processing your request. Sorry about "
	 "that!\",\"type\":\"server_error\"}}", NONE, REASON_SERVER_ERROR, 0},
	{"nginx 502", 502, "<html>\r\n<head><title>502 Bad Gateway</title></head>", NONE, REASON_SERVER_ERROR, 0},
	{"anthropic 529", 529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", NONE,
	 REASON_SERVER_ERROR, 0},
	{"a 500 about money is still a 500", 500, "{\"error\":\"credit balance service down\"}", NONE, REASON_SERVER_ERROR, 0},
	{"upstream's 408", 408, "", NONE, REASON_TIMEOUT, 0},
	{"conflict", 409, "{}", NONE, REASON_SERVER_ERROR, 0},
	{"redirect", 302, "", NONE, REASON_BAD_BODY, 0},
	{"login page", 307, "<html>", NONE, REASON_BAD_BODY, 0},
};

static struct classify_result
classify(const struct answer *a)
{
	struct classify_input in = {.mode = MODE_CHAT, .op = &op_chat, .phase = UPSTREAM_DONE, .status = a->status,
	                            .body = a->body, .body_len = strlen(a->body), .now_ns = NOW, .now_real_ns = REAL,
	                            .adapt = a->sent};
	struct classify_result out;

	prober_classify(&in, &out);
	return out;
}

static void
test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(answers); i++) {
		const struct answer *a = &answers[i];
		struct classify_result r = classify(a);

		if (r.reason != a->reason || (r.reason == BAD && r.next != a->next))
			fail_msg("answer %zu (%s %d): reason %d next %d", i, a->who, a->status, (int)r.reason, (int)r.next);
		assert_int_equal(r.ok, a->reason == REASON_OK);
		assert_non_null(r.text);
		assert_int_equal(r.text[0] == '\0', r.ok);
		if (a->status >= 400)
			assert_int_equal(r.exception_status, a->status);
	}
}

/* However long a provider goes on refusing, a check ends: forms only move forward. */
static void
test_ladder_ends(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(answers); i++) {
		struct answer a = answers[i];
		int steps = 0;

		a.sent = PROBE_ADAPT_NONE;
		for (struct classify_result r = classify(&a); r.reason == BAD && r.next != a.sent; r = classify(&a)) {
			if (strstr(a.body, "required")) /* the documented exception; prober_check bounds the steps */
				break;
			assert_true(r.next > a.sent);
			a.sent = r.next;
			assert_true(++steps < PROBE_ADAPT_COUNT);
		}
	}
}

static void
test_inner_status(void **state)
{
	struct answer a = {"openrouter", 200, "{\"error\":{\"code\":\"502\"}}", NONE, 0, 0};
	struct classify_result r = classify(&a);

	(void)state;
	assert_int_equal(r.status, 502);
	assert_int_equal(r.exception_status, 502);
	a.body = "{\"error\":{\"code\":200}}";
	r = classify(&a);
	assert_int_equal(r.reason, REASON_BAD_BODY);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.exception_status, 500);
	assert_string_equal(r.text, "no choices");
}

static void
test_transport(void **state)
{
	static const struct { enum upstream_error error; enum health_reason reason; int exception; } c[] = {
		{UPSTREAM_ERESOLVE, REASON_CONNECT_ERROR, 500}, {UPSTREAM_ECONNECT, REASON_CONNECT_ERROR, 500},
		{UPSTREAM_ETLS, REASON_TLS_ERROR, 500},         {UPSTREAM_ETIMEOUT, REASON_TIMEOUT, 408},
		{UPSTREAM_ERESET, REASON_CONNECT_ERROR, 500},   {UPSTREAM_EPROTOCOL, REASON_BAD_BODY, 500},
		{UPSTREAM_ELIMIT, REASON_CONNECT_ERROR, 500},
	};
	struct classify_result r;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		for (int phase = UPSTREAM_RESOLVE; phase <= UPSTREAM_BODY; phase++) {
			/* a 200 whose body broke off is no answer */
			struct classify_input in = {.op = &op_chat, .error = c[i].error, .phase = (enum upstream_phase)phase,
			                            .status = phase == UPSTREAM_BODY ? 200 : 0, .body = "{\"choices\":[{", .body_len = 13};

			prober_classify(&in, &r);
			assert_int_equal(r.reason, c[i].reason);
			assert_int_equal(r.exception_status, c[i].exception);
			assert_false(r.ok);
			if (c[i].error == UPSTREAM_ETIMEOUT)
				assert_string_equal(r.text, "Timeout exceeded");
		}
	}
}

/* An error status that arrived counts, even when its body did not arrive whole. */
static void
test_status_before_break(void **state)
{
	struct classify_input in = {.error = UPSTREAM_ERESET, .phase = UPSTREAM_BODY, .status = 401, .body = NULL};
	struct classify_result r;

	(void)state;
	prober_classify(&in, &r);
	assert_int_equal(r.reason, REASON_UNAUTHORIZED);
	assert_int_equal(r.exception_status, 401);
}

static void
test_long_answer(void **state)
{
	struct classify_input in = {.op = &op_chat, .status = 200, .body = "RIFF", .body_len = 4, .body_cut = true};
	struct classify_result r;

	(void)state;
	prober_classify(&in, &r);
	assert_int_equal(r.reason, REASON_BAD_BODY);
	in.body = " {\"choices\":[";
	in.body_len = strlen(in.body);
	prober_classify(&in, &r);
	assert_int_equal(r.reason, REASON_OK);
	in.body = "<html>";
	in.body_len = strlen(in.body);
	prober_classify(&in, &r);
	assert_int_equal(r.reason, REASON_BAD_BODY);
}

/* Modes whose payload has no token limit: one plainer form, and
 * what refuses a picture has read the request. */
static void
test_other_modes(void **state)
{
#define TOO_LOW "{\"error\":{\"message\":\"Could not finish the message because max_tokens was reached\"}}"
#define UNKNOWN "{\"error\":{\"message\":\"Unknown parameter: 'quality'.\",\"code\":\"unknown_parameter\"}}"
#define POLICY "{\"error\":{\"message\":\"Your request was rejected by the safety system.\",\"code\":\"moderation_blocked\"}}"
#define AZURE_POLICY "{\"error\":{\"code\":\"content_policy_violation\",\"inner_error\":{\"code\":" \
	"\"ResponsibleAIPolicyViolation\"}}}"
	static const struct {
		enum mode mode;
		int status;
		const char *body;
		enum probe_adapt sent;
		enum health_reason reason;
		enum probe_adapt next;
	} c[] = {
		{MODE_EMBEDDING, 400, TOO_LOW, NONE, BAD, PLAIN},
		{MODE_IMAGE_GENERATION, 400, UNKNOWN, NONE, BAD, PLAIN},
		{MODE_IMAGE_GENERATION, 400, UNKNOWN, PLAIN, BAD, PLAIN},
		{MODE_IMAGE_GENERATION, 400, POLICY, NONE, REASON_OK, NONE},
		{MODE_IMAGE_EDIT, 400, POLICY, NONE, REASON_OK, NONE},
		{MODE_IMAGE_EDIT, 400, AZURE_POLICY, PLAIN, REASON_OK, PLAIN},
		{MODE_IMAGE_EDIT, 401, POLICY, NONE, REASON_UNAUTHORIZED, NONE},
		{MODE_IMAGE_EDIT, 500, POLICY, NONE, REASON_SERVER_ERROR, NONE},
		{MODE_IMAGE_EDIT, 429, POLICY, NONE, REASON_RATE_LIMITED, NONE},
		{MODE_AUDIO_SPEECH, 400, POLICY, NONE, BAD, PLAIN},
		{MODE_CHAT, 400, AZURE_POLICY, NONE, BAD, NONE},
		{MODE_AUDIO_TRANSCRIPTION, 400, "{\"error\":{\"message\":\"response_format 'verbose_json' is not compatible\"}}",
		 NONE, BAD, PLAIN},
		{MODE_RESPONSES, 400, "{\"error\":{\"code\":\"integer_below_min_value\",\"param\":\"max_output_tokens\"}}", NONE, BAD,
		 LARGER},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		struct classify_input in = {.mode = c[i].mode, .op = &op_chat, .phase = UPSTREAM_DONE, .status = c[i].status,
		                            .body = c[i].body, .body_len = strlen(c[i].body), .now_ns = NOW, .now_real_ns = REAL,
		                            .adapt = c[i].sent};
		struct classify_result r;

		prober_classify(&in, &r);
		if (r.reason != c[i].reason || r.next != c[i].next)
			fail_msg("case %zu: reason %d next %d", i, (int)r.reason, (int)r.next);
		assert_int_equal(r.ok, c[i].reason == REASON_OK);
		assert_int_equal(r.exception_status, r.ok ? 0 : c[i].status);
	}
}

/* Of audio only the beginning is kept, and that is enough. */
static bool
essential_riff(const char *body, size_t len, const char **why)
{
	*why = "no audio";
	return len >= 4 && memcmp(body, "RIFF", 4) == 0;
}

static void
test_long_audio(void **state)
{
	static const struct provider_op op = {.binary = true, .essential = essential_riff};
	struct classify_input in = {.mode = MODE_AUDIO_SPEECH, .op = &op, .status = 200, .body = "RIFF", .body_len = 4,
	                            .body_cut = true};
	struct classify_result r;

	(void)state;
	prober_classify(&in, &r);
	assert_int_equal(r.reason, REASON_OK);
	in.body = "<html>";
	in.body_len = 6;
	prober_classify(&in, &r);
	assert_int_equal(r.reason, REASON_BAD_BODY);
	assert_string_equal(r.text, "no audio");
}

static void
test_rate_limit_sources(void **state)
{
	static const struct { const char *after, *after_ms, *reset, *body; uint64_t ms; } c[] = {
		{"20", NULL, NULL, "", 20000},
		{"20", "1500", NULL, "", 1500},
		{NULL, NULL, "6m0s", "", 360000},
		{"soon", NULL, "1s", "", 1000},
		{NULL, NULL, NULL, "{\"error\":{\"details\":[{\"a\":1},{\"retryDelay\":\"34s\"}]}}", 34000},
		{NULL, NULL, NULL, "[{\"error\":{\"details\":[{\"retryDelay\":\"0.5s\"}]}}]", 500},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		struct classify_input in = {.op = &op_chat, .status = 429, .retry_after = c[i].after, .retry_after_ms = c[i].after_ms,
		                            .ratelimit_reset = c[i].reset, .body = c[i].body, .body_len = strlen(c[i].body),
		                            .now_ns = NOW, .now_real_ns = REAL};
		struct classify_result r;

		prober_classify(&in, &r);
		assert_int_equal(r.until_ns, NOW + c[i].ms * NS_PER_MS);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_ladder_ends),
		cmocka_unit_test(test_inner_status),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_status_before_break),
		cmocka_unit_test(test_long_answer),
		cmocka_unit_test(test_other_modes),
		cmocka_unit_test(test_long_audio),
		cmocka_unit_test(test_rate_limit_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* bedrock: names of models, the address and its signature, OpenAI chat
 * to Converse and back, whole and streamed. */
#include "hale/hale.h"

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/strbuf.h"
#include "aws_eventstream.h"
#include "bedrock.h"
#include "provider_impl.h"
#include "xlate_fixture.h"

static const struct provider_op *
op(void)
{
	return provider_find("bedrock", 7)->op[MODE_CHAT];
}

static void
test_model_names(void **state)
{
	static const struct {
		const char *model, *id, *region;
	} cases[] = {
		{"anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", NULL},
		{"us-west-2/anthropic.x", "anthropic.x", "us-west-2"},
		{"us.anthropic.x", "us.anthropic.x", NULL},
		{"converse/us-west-2/eu.anthropic.x", "eu.anthropic.x", "us-west-2"},
		{"us-gov-west-1/1-month-commitment/cohere.command", "cohere.command", "us-gov-west-1"},
		{"invoke/ap-southeast-2/x", "x", "ap-southeast-2"},
		{"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.x", "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.x", "eu-central-1"},
		{"llama/arn:aws:bedrock:us-east-1:1:imported-model/r4", "arn:aws:bedrock:us-east-1:1:imported-model/r4", "us-east-1"},
		{"arn:aws:bedrock", "arn:aws:bedrock", NULL},
		{"us-west/x", "us-west/x", NULL},
		{"us-west-123/x", "us-west-123/x", NULL},
		{"us-west-x/x", "us-west-x/x", NULL},
		{"us-westward-1/x", "us-westward-1/x", NULL},
		{"some/other", "some/other", NULL},
		{"", "", NULL},
	};
	struct arena *a = arena_new(256);

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		struct bedrock_model m;

		bedrock_model_parse(a, cases[i].model, &m);
		assert_string_equal(m.id, cases[i].id);
		if (cases[i].region)
			assert_string_equal(m.region, cases[i].region);
		else
			assert_null(m.region);
	}
	assert_string_equal(bedrock_model_shown(a, "us-west-2/x"), "x");
	assert_string_equal(bedrock_model_shown(a, "converse/us-west-2/eu.x"), "converse/eu.x");
	assert_string_equal(bedrock_model_shown(a, "arn:aws:bedrock:us-east-1:1:imported-model/r"), "arn:aws:bedrock:us-east-1:1:imported-model/r");
	assert_string_equal(bedrock_model_base(a, "https://b.{"
	                                          "region}.amazonaws.com", "cn-north-1"), "https://b.cn-north-1.amazonaws.com.cn");
	assert_string_equal(bedrock_model_base(a, "https://b.{"
	                                          "region}.example/x", "cn-north-1"), "https://b.cn-north-1.example/x");
	assert_string_equal(bedrock_model_base(a, "https://b.example", "us-east-1"), "https://b.example");
	arena_freep(&a);
}

static struct conf *
load(const char *text, const char *warning)
{
	struct conf *c = NULL;
	struct errlist errs;
	char line[512] = "";

	errlist_init(&errs);
	assert_int_equal(conf_load_text("t.yaml", text, strlen(text), &c, &errs), 0);
	if (errs.nwarning)
		errlist_format(&errs.warning[0], line, sizeof(line));
	assert_int_equal(errs.nwarning, warning != NULL);
	assert_string_equal(line, warning ? warning : "");
	errlist_release(&errs);
	return c;
}

#define KEYS "aws_access_key_id: AKIDEXAMPLE, aws_secret_access_key: wJalrXUtnFEMI"

static void
check_load(const char *params, const char *key_id, const char *region, const char *base, const char *warning)
{
	struct strbuf text;
	struct conf *c;
	const struct deployment *d;

	strbuf_init(&text, 0);
	strbuf_printf(&text, "model_list:\n- {model_name: m, litellm_params: {%s}}\n", params);
	c = load(strbuf_str(&text), warning);
	d = &c->deployment[0];
	assert_string_equal(d->aws.key_id ? d->aws.key_id : d->api_key ? d->api_key : "", key_id);
	assert_true(!d->aws.key_id == !d->aws.secret && !(d->aws.key_id && d->api_key));
	assert_string_equal(d->aws.region ? d->aws.region : "", region);
	assert_string_equal(d->api_base, base);
	conf_freep(&c);
	strbuf_release(&text);
}

#define USUAL(region) "https://bedrock-runtime." region ".amazonaws.com"

static void
test_credentials(void **state)
{
	static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
	                                    "AWS_REGION_NAME", "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK",
	                                    "AWS_BEDROCK_RUNTIME_ENDPOINT"};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(names); i++)
		unsetenv(names[i]);
	check_load("model: bedrock/x, " KEYS ", aws_region_name: "
	                                     "eu-west-1", "AKIDEXAMPLE", "eu-west-1", USUAL("eu-west-1"), NULL);
	check_load("model: bedrock/us-west-2/x, " KEYS, "AKIDEXAMPLE", "us-west-2", USUAL("us-west-2"), NULL);
	check_load("model: bedrock/x, api_key: bearer, aws_region_name: "
	           "eu-west-1", "bearer", "eu-west-1", USUAL("eu-west-1"), NULL);
	check_load("model: bedrock/x, " KEYS ", aws_region_name: eu-west-1, aws_bedrock_runtime_endpoint: "
	                                     "'http://h:1/'",
	           "AKIDEXAMPLE", "eu-west-1", "http://h:1", NULL);
	check_load("model: bedrock/x, api_key: bearer, api_base: 'http://h'", "bearer", "", "http://h", NULL);
	check_load("model: 'bedrock/*', " KEYS, "AKIDEXAMPLE", "", USUAL("{region}"), NULL);
	check_load("model: bedrock/x, " KEYS ", model_id: "
	                                     "'arn:aws:bedrock:us-east-2:1:provisioned-model/p'", "AKIDEXAMPLE",
	           "us-east-2", USUAL("us-east-2"), NULL);
	check_load("model: bedrock/us-west-2/x, " KEYS ", aws_region_name: "
	                                               "us-east-1", "AKIDEXAMPLE", "us-west-2", USUAL("us-west-2"),
	           "t.yaml:2:151: aws_region_name: the model names region us-west-2, which is used instead");
	check_load("model: bedrock/x, " KEYS, "AKIDEXAMPLE", "", USUAL("{region}"),
	           "t.yaml:2:43: model: no region for bedrock: set aws_region_name or AWS_REGION");
	check_load("model: bedrock/us-west-2/x, " KEYS ", aws_region_name: "
	                                               "'us-west-2/'", "AKIDEXAMPLE", "us-west-2", USUAL("us-west-2"),
	           "t.yaml:2:151: aws_region_name: \"us-west-2/\" is no region of AWS, use one like us-east-1");
	check_load("model: bedrock/us-west-2/x", "", "us-west-2", USUAL("us-west-2"),
	           "t.yaml:2:43: model: no credentials for bedrock: set aws_access_key_id and aws_secret_access_key, "
	           "or api_key, or "
	           "their variables");
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret-env", 1);
	setenv("AWS_REGION", "us-east-1", 1);
	check_load("model: bedrock/x", "AKIDENV", "us-east-1", USUAL("us-east-1"), NULL);
	check_load("model: bedrock/x, aws_access_key_id: AKIDEXAMPLE", "AKIDENV", "us-east-1", USUAL("us-east-1"),
	           "t.yaml:2:73: aws_access_key_id: aws_access_key_id and aws_secret_access_key belong together, so "
	           "this one is "
	           "not used");
	setenv("AWS_BEARER_TOKEN_BEDROCK", "bearer-env", 1);
	check_load("model: bedrock/x", "bearer-env", "us-east-1", USUAL("us-east-1"), NULL);
	check_load("model: bedrock/x, " KEYS, "AKIDEXAMPLE", "us-east-1", USUAL("us-east-1"), NULL);
	for (size_t i = 0; i < HALE_COUNT(names); i++)
		unsetenv(names[i]);
}

static const char *
header(const struct http_header *h, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(h[i].name, name) == 0)
			return h[i].value;
	return NULL;
}

static void
check_endpoint(const char *params, const char *model, bool stream, const char *url, const char *signed_headers)
{
	static char text[1024];
	struct arena *a = arena_new(1024);
	struct provider_sign s = {.now_real_ns = UINT64_C(1440938160) * 1000000000};
	struct endpoint e;
	struct conf *c;
	const char *authorization;

	snprintf(text, sizeof(text), "model_list:\n- {model_name: m, litellm_params: {%s}}\n", params);
	c = load(text, NULL);
	s.d = &c->deployment[0];
	s.endpoint = &e;
	assert_int_equal(op()->endpoint(a, op(), s.d, model ? model : s.d->upstream_model, stream, &e), 0);
	assert_string_equal(e.method, "POST");
	assert_string_equal(e.url, url);
	assert_int_equal(op()->sign(a, &s), 0);
	authorization = header(s.header, s.nheader, "Authorization");
	if (signed_headers) {
		assert_non_null(strstr(authorization, signed_headers));
		assert_string_equal(header(s.header, s.nheader, "X-Amz-Date"), "20150830T123600Z");
	} else {
		assert_int_equal(s.nheader, 0);
		assert_string_equal(header(e.header, e.nheader, "Authorization"), "Bearer bearer");
	}
	conf_freep(&c);
	arena_freep(&a);
}

static void
test_endpoint(void **state)
{
	(void)state;
	check_endpoint("model: 'bedrock/us-west-2/anthropic.x-v1:0', " KEYS, NULL, false,
	               USUAL("us-west-2") "/model/anthropic.x-v1%3A0/converse",
	               "Credential=AKIDEXAMPLE/20150830/us-west-2/bedrock/aws4_request, "
	               "SignedHeaders=content-type;host;x-amz-date, Signature=");
	check_endpoint("model: 'bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x', aws_session_token: tok,"
	               " " KEYS, NULL, true,
	               USUAL("eu-west-1") "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x/converse-stream",
	               "/eu-west-1/bedrock/aws4_request, "
	               "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, ");
	check_endpoint("model: bedrock/x, aws_region_name: eu-west-1, api_key: bearer, api_base: "
	               "'http://h:8/p'", NULL, false,
	               "http://h:8/p/model/x/converse", NULL);
	/* a wildcard's region comes with the model, and with it the address */
	check_endpoint("model: 'bedrock/*', aws_region_name: eu-west-1,"
	               " " KEYS, "us-east-1/y", false, USUAL("us-east-1") "/model/y/converse",
	               "/us-east-1/bedrock/");
	check_endpoint("model: bedrock/x, model_id: 'arn:aws:bedrock:us-east-2:1:provisioned-model/p',"
	               " " KEYS, NULL, false,
	               USUAL("us-east-2") "/model/arn%3Aaws%3Abedrock%3Aus-east-2%3A1%3Aprovisioned-model%2Fp/converse",
	               "/us-east-2/bedrock/");
	check_endpoint("model: bedrock/x, aws_region_name: eu-west-1, extra_headers: {"
	               "X-Amzn-Bedrock-GuardrailIdentifier: g, x-other: o}, "
	               KEYS, NULL, false, USUAL("eu-west-1") "/model/x/converse",
	               "SignedHeaders=content-type;host;x-amz-date;x-amzn-bedrock-guardrailidentifier, ");
}

static void
test_nothing_to_sign_with(void **state)
{
	static const char text[] = "model_list:\n- {model_name: m, litellm_params: {model: bedrock/us-west-2/x}}\n";
	struct arena *a = arena_new(1024);
	struct provider_sign s = {0};
	struct errlist errs;
	struct endpoint e;
	struct conf *c = NULL;

	(void)state;
	errlist_init(&errs);
	assert_int_equal(conf_load_text("t.yaml", text, sizeof(text) - 1, &c, &errs), 0);
	s.d = &c->deployment[0];
	s.endpoint = &e;
	assert_int_equal(op()->endpoint(a, op(), s.d, "us-west-2/x", false, &e), 0);
	assert_int_equal(op()->sign(a, &s), HALE_EINVAL);
	assert_int_equal(op()->endpoint(a, op(), s.d, "x", false, &e), 0);
	assert_string_equal(e.region, "us-west-2");
	errlist_release(&errs);
	conf_freep(&c);
	arena_freep(&a);
}

static void
check_request_model(const char *model, const char *openai, const char *want)
{
	xlate_fixture_check(op()->xlate, model, openai, want);
}

static void
check_request(const char *openai, const char *want)
{
	check_request_model("m", openai, want);
}

static void
check_refused(const char *openai, const char *want)
{
	xlate_fixture_refused(op()->xlate, "m", openai, want);
}

#define ASK "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]"
#define TURN "\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"q\"}]}]"

static void
test_messages(void **state)
{
	(void)state;
	check_request("{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
	              "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	              "\"text\":\"b\","
	              "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\" \"}]},{"
	              "\"role\":\"assistant\",\"content\":\"c \\n\"}]}",
	              "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"a\"},{\"text\":\"b\"},{"
	              "\"cachePoint\":{\"type\":\"default\"}}]},"
	              "{\"role\":\"assistant\",\"content\":[{\"text\":\"c\"}]}],\"system\":[{\"text\":\"s\"}]}");
	check_request("{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\\u0000y\"}]}",
	              "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Please continue.\"}]},"
	              "{\"role\":\"assistant\",\"content\":[{\"text\":\"x\\u0000y\"}]}]}");
	check_request("{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"}]}",
	              "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Please continue.\"}]}],\"system\":[{"
	              "\"text\":\"s\"}]}");
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
	              "\"url\":\"data:image/jpg;base64,QUI=\"}},"
	              "{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/pdf;base64,QQ==\","
	              "\"filename\":\"x.pdf\"}}]}]}",
	              "{\"messages\":[{\"role\":\"user\",\"content\":[{\"image\":{\"format\":\"jpeg\",\"source\":{"
	              "\"bytes\":\"QUI=\"}}},"
	              "{\"document\":{\"format\":\"pdf\",\"source\":{\"bytes\":\"QQ==\"},"
	              "\"name\":\"document-1\"}}]}]}");
	check_refused("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
	              "\"url\":\"https://h/a.png\"}}]}]}",
	              "this provider fetches no images: image_url must be a base64 data URL");
	check_refused("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
	              "\"image_url\":\"data:image/tiff;base64,QQ==\"}]}]}",
	              "this provider takes images of type png, jpeg, gif and webp");
	check_refused("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{"
	              "\"file_id\":\"f\"}}]}]}",
	              "this provider stores no files: a file needs file_data as a base64 data URL");
	check_refused("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}",
	              "this provider takes content parts of type text, image_url and file");
	check_refused("{\"messages\":[]}", "messages have no content");
	check_refused("{\"messages\":{}}", "messages must be an array");
	check_refused("{\"messages\":[{\"content\":\"x\"}]}", "a message needs a role");
	check_refused("{\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]}",
	              "message roles are system, developer, user, assistant and tool");
	check_refused("{\"messages\":[{\"role\":\"user\",\"content\":5}]}", "message content must be a string or an "
	                                                                    "array of parts");
}

static void
test_tools(void **state)
{
	(void)state;
	check_request("{" ASK ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
	                      "\"strict\":true}}],"
	              "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}",
	              "{" TURN ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\",\"description\":\"d\","
	                       "\"inputSchema\":"
	              "{\"json\":{\"type\":\"object\",\"properties\":{}}}}}],\"toolChoice\":{\"tool\":{"
	              "\"name\":\"f\"}}}}");
	check_request("{" ASK ",\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
	                      "\"properties\":{\"a\":{}}}}}],"
	              "\"tool_choice\":\"required\"}",
	              "{" TURN ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\",\"inputSchema\":"
	              "{\"json\":{\"type\":\"object\",\"properties\":{\"a\":{}}}}}}],\"toolChoice\":{\"any\":{}}}}");
	check_request("{" ASK ",\"tools\":[{\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"none\"}", "{" TURN "}");
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":null,"
	              "\"tool_calls\":"
	              "[{\"id\":\"t:1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1}\"}},{\"id\":\"t2\","
	              "\"function\":{\"name\":\"g\"}}]},"
	              "{\"role\":\"tool\",\"tool_call_id\":\"t:1\",\"content\":\"r\"},{\"role\":\"tool\","
	              "\"tool_call_id\":\"t2\",\"content\":\"\"}],"
	              "\"tool_choice\":\"none\",\"tools\":[{\"function\":{\"name\":\"f\"}}]}",
	              "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"q\"}]},{\"role\":\"assistant\","
	              "\"content\":["
	              "{\"toolUse\":{\"toolUseId\":\"t_1\",\"name\":\"f\",\"input\":{\"a\":1}}},{\"toolUse\":{"
	              "\"toolUseId\":\"t2\",\"name\":\"g\",\"input\":{}}}]},"
	              "{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"t_1\",\"content\":[{"
	              "\"text\":\"r\"}]}},"
	              "{\"toolResult\":{\"toolUseId\":\"t2\",\"content\":[]}}]}],"
	              "\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\",\"inputSchema\":{\"json\":{"
	              "\"type\":\"object\",\"properties\":{}}}}}]}}");
	check_refused("{" ASK ",\"tools\":[{\"type\":\"web_search\"}]}", "a tool needs a function with a name");
	check_refused("{" ASK ",\"tools\":{}}", "tools must be an array");
	check_refused("{" ASK ",\"tools\":[{\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"perhaps\"}",
	              "tool_choice must be none, auto, required or name a function");
	check_refused("{\"messages\":[{\"role\":\"tool\",\"content\":\"r\"}]}", "a tool message needs a tool_call_id");
	check_refused("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"t\",\"function\":{"
	              "\"name\":\"f\",\"arguments\":\"[\"}}]}]}",
	              "the arguments of a tool call are not a JSON object");
}

static void
test_parameters(void **state)
{
	(void)state;
	/* capability flags and bookkeeping are not sent */
	check_request("{" ASK ",\"max_tokens\":5,\"temperature\":0.5,\"top_p\":1,\"stop\":\"E\",\"seed\":1,"
	                      "\"user\":\"u\",\"store\":true,\"n\":1,"
	              "\"supports_vision\":true,\"presence_penalty\":1,\"top_k\":4,\"stream_options\":{"
	              "\"include_usage\":true}}",
	              "{" TURN ",\"inferenceConfig\":{\"maxTokens\":5,\"temperature\":0.5,\"topP\":1,"
	                       "\"stopSequences\":[\"E\"]}}");
	check_request("{" ASK ",\"max_tokens\":5,\"max_completion_tokens\":7,\"stop\":[\"A\",\"B\"]}",
	              "{" TURN ",\"inferenceConfig\":{\"maxTokens\":7,\"stopSequences\":[\"A\",\"B\"]}}");
	check_request("{" ASK ",\"guardrailConfig\":{\"guardrailIdentifier\":\"g\"},\"additionalModelRequestFields\":{"
	                      "\"x\":1}}",
	              "{" TURN ",\"additionalModelRequestFields\":{\"x\":1},\"guardrailConfig\":{"
	                       "\"guardrailIdentifier\":\"g\"}}");
	check_request("{" ASK ",\"response_format\":{\"type\":\"json_object\"}}",
	              "{" TURN ",\"system\":[{\"text\":\"Answer with one JSON object and nothing else.\"}]}");
	check_request("{" ASK ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
	                      "\"schema\":{\"type\":\"object\"}}}}",
	              "{\"outputConfig\":{\"textFormat\":{\"structure\":{\"jsonSchema\":{\"schema\":\"{"
	              "\\\"type\\\":\\\"object\\\"}\",\"name\":\"n\"}},"
	              "\"type\":\"json_schema\"}}," TURN "}");
	check_request_model("us.anthropic.claude-sonnet-4-v1:0", "{" ASK ",\"reasoning_effort\":\"low\","
	                                                                 "\"max_tokens\":100,\"temperature\":1,"
	                                                                 "\"top_k\":3}",
	                    "{" TURN ",\"inferenceConfig\":{\"maxTokens\":1124},\"additionalModelRequestFields\":{"
	                             "\"thinking\":"
	                    "{\"type\":\"enabled\",\"budget_tokens\":1024}}}");
	check_request_model("anthropic.claude-v2", "{" ASK ",\"top_k\":3,\"reasoning_effort\":\"low\"}",
	                    "{" TURN ",\"additionalModelRequestFields\":{\"top_k\":3}}");
	check_request_model("openai.gpt-oss-20b-1:0", "{" ASK ",\"reasoning_effort\":\"low\"}",
	                    "{" TURN ",\"additionalModelRequestFields\":{\"reasoning_effort\":\"low\"}}");
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\","
	              "\"thinking_blocks\":["
	              "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"redacted_thinking\","
	              "\"data\":\"d\"}]},"
	              "{\"role\":\"user\",\"content\":\"r\"}]}",
	              "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"q\"}]},{\"role\":\"assistant\","
	              "\"content\":["
	              "{\"reasoningContent\":{\"reasoningText\":{\"text\":\"t\",\"signature\":\"s\"}}},{"
	              "\"reasoningContent\":{\"redactedContent\":\"d\"}},"
	              "{\"text\":\"a\"}]},{\"role\":\"user\",\"content\":[{\"text\":\"r\"}]}]}");
	check_refused("{" ASK ",\"n\":2}", "this provider gives one choice: n must be 1");
	check_refused("{" ASK ",\"max_tokens\":0}", "max_tokens must be a positive integer");
	check_refused("{" ASK ",\"stop\":5}", "stop must be a string or an array of strings");
	check_refused("{" ASK ",\"response_format\":{\"type\":\"xml\"}}",
	              "response_format must be text, json_object or json_schema with a schema");
}

#define BODY(content, stop) \
	"{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[" content "]}},\"stopReason\":\"" stop "\",\"usage\":" \
	"{\"inputTokens\":3,\"outputTokens\":4,\"totalTokens\":12,\"cacheReadInputTokens\":5}}"

/* The answer without what differs each time. */
static void
check_answer(const char *body, const char *want)
{
	struct strbuf out;
	const char *at;

	strbuf_init(&out, 0);
	assert_int_equal(op()->xlate->response("m", body, strlen(body), &out), 0);
	assert_memory_equal(strbuf_str(&out), "{\"id\":\"chatcmpl-", 16);
	at = strstr(strbuf_str(&out), "\"choices\"");
	assert_non_null(at);
	assert_string_equal(at, want);
	strbuf_release(&out);
}

#define USAGE "\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":4,\"total_tokens\":12,\"prompt_tokens_details\":{\"cached_tokens\":5}," \
	"\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":5}}"

static void
test_answers(void **state)
{
	static const char *const bad[] = {"", "{}", "[]", "{\"output\":{\"message\":{\"content\":{"
	                                                  "}}}}", "{\"message\":\"x\"}"};
	struct strbuf out;
	const char *why;

	(void)state;
	check_answer(BODY("{\"text\":\"a\"},{\"text\":\"b\"}", "end_turn"),
	             "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"ab\","
	             "\"refusal\":null},\"logprobs\":null,"
	             "\"finish_reason\":\"stop\"}]," USAGE);
	check_answer(BODY("{\"reasoningContent\":{\"reasoningText\":{\"text\":\"r\",\"signature\":\"s\"}}},"
	                  "{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\",\"input\":{\"a\":[1]}}}", "tool_use"),
	             "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":null,"
	             "\"reasoning_content\":\"r\","
	             "\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"r\",\"signature\":\"s\"}],"
	             "\"tool_calls\":[{\"id\":\"t\","
	             "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":[1]}\"}}]},"
	             "\"logprobs\":null,"
	             "\"finish_reason\":\"tool_calls\"}]," USAGE);
	assert_string_equal(bedrock_finish("max_tokens"), "length");
	assert_string_equal(bedrock_finish("guardrail_intervened"), "content_filter");
	assert_string_equal(bedrock_finish(NULL), "stop");
	assert_true(op()->essential(BODY("{\"text\":\"a\"}", "end_turn"), strlen(BODY("{\"text\":\"a\"}", "end_turn")), &why));
	assert_true(op()->essential(BODY("", "max_tokens"), strlen(BODY("", "max_tokens")), &why));
	strbuf_init(&out, 0);
	for (size_t i = 0; i < HALE_COUNT(bad); i++) {
		assert_int_equal(op()->xlate->response("m", bad[i], strlen(bad[i]), &out), HALE_EINVAL);
		assert_false(op()->essential(bad[i], strlen(bad[i]), &why));
	}
	strbuf_release(&out);
}

static void
check_error(int status, const char *body, const char *message, const char *type)
{
	const char *got = NULL;
	struct strbuf out;

	strbuf_init(&out, 0);
	assert_int_equal(op()->xlate->error(status, body, strlen(body), &out, &got), 0);
	assert_string_equal(strbuf_str(&out), message);
	assert_string_equal(got, type);
	strbuf_release(&out);
}

static void
test_errors(void **state)
{
	const char *type = NULL;
	struct strbuf out;

	(void)state;
	check_error(429, "{\"message\":\"Too many requests\"}", "Too many requests", "rate_limit_error");
	check_error(403, "{\"Message\":\"no\"}", "no", "permission_error");
	check_error(404, "{\"message\":\"no\"}", "no", "not_found_error");
	check_error(400, "{\"message\":\"no\"}", "no", "invalid_request_error");
	check_error(503, "{\"message\":\"no\"}", "no", "server_error");
	strbuf_init(&out, 0);
	assert_int_equal(op()->xlate->error(500, "<html>", 6, &out, &type), HALE_EINVAL);
	strbuf_release(&out);
}

static void
check_embed(const char *model, const char *openai, const char *want, const char *refused)
{
	const struct provider_xlate *x = provider_bedrock_op[MODE_EMBEDDING].xlate;
	struct json_object *o = json_tokener_parse(openai);
	const char *why = NULL;
	struct strbuf out;

	strbuf_init(&out, 0);
	assert_int_equal(x->request(NULL, model, o, &out, &why), want ? 0 : HALE_EINVAL);
	assert_string_equal(strbuf_str(&out), want ? want : "");
	if (refused)
		assert_string_equal(why, refused);
	json_object_put(o);
	strbuf_release(&out);
}

static void
test_embeddings(void **state)
{
	static const struct {
		const char *body, *want;
	} answers[] = {
		{"{\"embedding\":[0.5,-1],\"inputTextTokenCount\":3}",
		 "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.5,-1]}],"
		 "\"model\":\"m\","
		 "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}"},
		{"{\"embeddings\":[[1],[2]]}",
		 "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[1]},{"
		 "\"object\":\"embedding\","
		 "\"index\":1,\"embedding\":[2]}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":0,\"total_tokens\":0}}"},
		{"{\"embeddings\":{\"float\":[[1]]}}",
		 "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[1]}],\"model\":\"m\","
		 "\"usage\":{\"prompt_tokens\":0,\"total_tokens\":0}}"},
		{"{}", NULL}, {"{\"embeddings\":[]}", NULL}, {"{\"embedding\":[]}", NULL}, {"x", NULL},
	};
	const struct provider_op *embed = &provider_bedrock_op[MODE_EMBEDDING];
	const char *why;

	(void)state;
	check_embed("amazon.titan-embed-text-v2:0", "{\"input\":\"a\",\"dimensions\":256,\"user\":\"u\"}",
	            "{\"inputText\":\"a\",\"dimensions\":256}", NULL);
	check_embed("amazon.titan-embed-text-v1", "{\"input\":[\"a\"]}", "{\"inputText\":\"a\"}", NULL);
	check_embed("amazon.titan-embed-text-v1", "{\"input\":[\"a\",\"b\"]}", NULL,
	            "this model embeds one text for each request: input must be a text");
	check_embed("cohere.embed-english-v3", "{\"input\":[\"a\",\"b\"],\"input_type\":\"search_query\"}",
	            "{\"texts\":[\"a\",\"b\"],\"input_type\":\"search_query\"}", NULL);
	check_embed("cohere.embed-english-v3", "{\"input\":\"a\"}", "{\"texts\":[\"a\"],"
	                                                            "\"input_type\":\"search_document\"}", NULL);
	check_embed("cohere.embed-english-v3", "{\"input\":[1,2]}", NULL,
	            "input must be a text or a list of texts: this provider takes no token ids");
	check_embed("other.embed", "{\"input\":\"a\"}", NULL, "of Bedrock's embedding models those of Titan and Cohere "
	                                                      "are known");
	for (size_t i = 0; i < HALE_COUNT(answers); i++) {
		struct strbuf out;
		size_t len = strlen(answers[i].body);
		int rc;

		strbuf_init(&out, 0);
		rc = embed->xlate->response("m", answers[i].body, len, &out);
		assert_int_equal(rc, answers[i].want ? 0 : HALE_EINVAL);
		assert_int_equal(embed->essential(answers[i].body, len, &why), answers[i].want != NULL);
		if (answers[i].want)
			assert_string_equal(strbuf_str(&out), answers[i].want);
		strbuf_release(&out);
	}
}

static void
put(struct strbuf *b, uint32_t n, int bytes)
{
	for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
		strbuf_putc(b, (char)(n >> shift));
}

/* One message of the stream: its kind is an event's unless it ends in Exception. */
static void
message(struct strbuf *b, const char *kind, const char *payload)
{
	bool exception = strstr(kind, "Exception") != NULL;
	const char *header[2][2] = {{exception ? ":exception-type" : ":event-type", kind},
	                            {":message-type", exception ? "exception" : "event"}};
	size_t start = b->len;
	struct strbuf h;

	strbuf_init(&h, 0);
	for (int i = 0; i < 2; i++) {
		put(&h, (uint32_t)strlen(header[i][0]), 1);
		strbuf_puts(&h, header[i][0]);
		put(&h, 7, 1);
		put(&h, (uint32_t)strlen(header[i][1]), 2);
		strbuf_puts(&h, header[i][1]);
	}
	put(b, (uint32_t)(16 + h.len + strlen(payload)), 4);
	put(b, (uint32_t)h.len, 4);
	put(b, aws_eventstream_crc(0, b->data + start, 8), 4);
	strbuf_add(b, h.data, h.len);
	strbuf_puts(b, payload);
	put(b, aws_eventstream_crc(0, b->data + start, b->len - start), 4);
	strbuf_release(&h);
}

/* Feeds in pieces of `step`; what comes out, chunks without id, time and model. */
static int
play(const struct strbuf *in, size_t step, bool usage, bool *done, bool end, struct strbuf *out)
{
	struct xlate_stream *s = op()->xlate->stream_new("m", usage);
	struct strbuf raw;
	int rc = 0;

	*done = false;
	strbuf_init(&raw, 0);
	for (size_t at = 0; at < in->len && !rc; at += step)
		rc = op()->xlate->stream_feed(s, in->data + at, in->len - at < step ? in->len - at : step, &raw, done);
	if (!rc && end && !*done)
		rc = op()->xlate->stream_end(s, &raw);
	for (const char *p = strbuf_str(&raw), *next; *p; p = next) {
		const char *choices = strstr(p, "\"choices\"");

		next = strstr(p, "\n\n");
		assert_non_null(next);
		next += 2;
		if (choices && choices < next) {
			assert_memory_equal(p, "data: {\"id\":\"chatcmpl-", 22);
			p = choices;
		}
		strbuf_add(out, p, (size_t)(next - p - 1));
	}
	strbuf_release(&raw);
	op()->xlate->stream_free(s);
	return rc;
}

static void
check_stream(const struct strbuf *in, bool usage, bool end, int rc, bool want_done, const char *want)
{
	static const size_t steps[] = {1, 7, 1000000};

	for (size_t i = 0; i < HALE_COUNT(steps); i++) {
		struct strbuf out;
		bool done;

		strbuf_init(&out, 0);
		assert_int_equal(play(in, steps[i], usage, &done, end, &out), rc);
		assert_int_equal(done, want_done);
		assert_string_equal(strbuf_str(&out), want);
		strbuf_release(&out);
	}
}

#define DELTA(members) "\"choices\":[{\"index\":0,\"delta\":{" members "},\"logprobs\":null,\"finish_reason\":null}]}\n"
#define DELTA_USAGE(members) "\"choices\":[{\"index\":0,\"delta\":{" members "},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n"
#define FINISH(word) "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"" word "\"}]}\n"
#define ROLE "\"role\":\"assistant\",\"content\":\"\""
#define COUNTS "{\"usage\":{\"inputTokens\":3,\"outputTokens\":4,\"totalTokens\":7},\"metrics\":{\"latencyMs\":1}}"

static void
test_stream(void **state)
{
	struct strbuf in;

	(void)state;
	strbuf_init(&in, 0);
	message(&in, "messageStart", "{\"role\":\"assistant\"}");
	message(&in, "contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"h\\u00e4\"},\"p\":\"abc\"}");
	message(&in, "contentBlockStop", "{\"contentBlockIndex\":0}");
	message(&in, "somethingNew", "not even JSON");
	message(&in, "messageStop", "{\"stopReason\":\"max_tokens\"}");
	check_stream(&in, false, false, 0, false, DELTA(ROLE) DELTA("\"content\":\"h\xc3\xa4\"") FINISH("length"));
	/* an orderly end without the counts is one */
	check_stream(&in, false, true, 0, false, DELTA(ROLE) DELTA("\"content\":\"h\xc3\xa4\"") FINISH("length") "data: [DONE]\n");
	message(&in, "metadata", COUNTS);
	check_stream(&in, false, true, 0, true, DELTA(ROLE) DELTA("\"content\":\"h\xc3\xa4\"") FINISH("length") "data: [DONE]\n");
	check_stream(&in, true, true, 0, true,
	             DELTA_USAGE(ROLE) DELTA_USAGE("\"content\":\"h\xc3\xa4\"")
	             "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}],"
	             "\"usage\":null}\n"
	             "\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,"
	             "\"prompt_tokens_details\":"
	             "{\"cached_tokens\":0},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0}}\ndata: ["
	             "DONE]\n");
	strbuf_release(&in);
}

static void
test_stream_tools_and_reasoning(void **state)
{
	struct strbuf in;

	(void)state;
	strbuf_init(&in, 0);
	message(&in, "contentBlockDelta", "{\"delta\":{\"reasoningContent\":{\"text\":\"r\"}}}");
	message(&in, "contentBlockDelta", "{\"delta\":{\"reasoningContent\":{\"signature\":\"s\"}}}");
	message(&in, "contentBlockStart", "{\"contentBlockIndex\":1,\"start\":{\"toolUse\":{\"toolUseId\":\"t\","
	                                  "\"name\":\"f\"}}}");
	message(&in, "contentBlockDelta", "{\"contentBlockIndex\":1,\"delta\":{\"toolUse\":{\"input\":\"{}\"}}}");
	message(&in, "contentBlockStop", "{\"contentBlockIndex\":1}");
	message(&in, "contentBlockStart", "{\"contentBlockIndex\":2,\"start\":{\"toolUse\":{\"toolUseId\":\"u\","
	                                  "\"name\":\"g\"}}}");
	message(&in, "contentBlockStop", "{\"contentBlockIndex\":2}");
	message(&in, "messageStop", "{\"stopReason\":\"tool_use\"}");
	check_stream(&in, false, false, 0, false,
	             DELTA("\"reasoning_content\":\"r\"") DELTA("\"thinking_blocks\":[{\"type\":\"thinking\","
	                                                        "\"thinking\":\"\",\"signature\":\"s\"}]")
	             DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"type\":\"function\",\"function\":{"
	                   "\"name\":\"f\",\"arguments\":\"\"}}]")
	             DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]")
	             DELTA("\"tool_calls\":[{\"index\":1,\"id\":\"u\",\"type\":\"function\",\"function\":{"
	                   "\"name\":\"g\",\"arguments\":\"\"}}]")
	             DELTA("\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]") FINISH("tool_calls"));
	strbuf_release(&in);
}

static void
test_stream_failures(void **state)
{
	struct strbuf in;

	(void)state;
	strbuf_init(&in, 0);
	message(&in, "contentBlockDelta", "{\"delta\":{\"text\":\"x\"}}");
	check_stream(&in, false, true, HALE_EINVAL, false, DELTA("\"content\":\"x\"")); /* cut */
	message(&in, "throttlingException", "{\"message\":\"slow down\"}");
	message(&in, "messageStop", "{\"stopReason\":\"end_turn\"}");
	message(&in, "metadata", COUNTS);
	check_stream(&in, false, true, HALE_EINVAL, false,
	             DELTA("\"content\":\"x\"") "data: {\"error\":{\"message\":\"slow down\","
	                                        "\"type\":\"rate_limit_error\",\"param\":null,"
	             "\"code\":\"throttlingException\"}}\n");
	strbuf_clear(&in);
	message(&in, "messageStop", "{\"stopReason\":\"end_turn\"}");
	strbuf_puts(&in, "\x01\x02"); /* the beginning of more */
	check_stream(&in, false, true, HALE_EINVAL, false, FINISH("stop"));
	strbuf_clear(&in);
	message(&in, "contentBlockDelta", "{\"delta\":{\"text\":\"x\"}}");
	in.data[in.len - 1] = (char)(in.data[in.len - 1] ^ 1);
	check_stream(&in, false, false, HALE_EINVAL, false, "");
	strbuf_clear(&in);
	message(&in, "messageStop", "no JSON");
	check_stream(&in, false, false, HALE_EINVAL, false, "");
	strbuf_clear(&in);
	strbuf_puts(&in, "<html>not a stream at all</html>");
	check_stream(&in, false, false, HALE_EINVAL, false, "");
	strbuf_release(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model_names),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_endpoint),
		cmocka_unit_test(test_nothing_to_sign_with),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_tools),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_embeddings),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_tools_and_reasoning),
		cmocka_unit_test(test_stream_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

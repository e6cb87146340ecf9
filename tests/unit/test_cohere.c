/* cohere: OpenAI chat and embeddings to Cohere's v2 and back, whole and
 * streamed; rerank of Voyage and Fireworks. */
#include "hale/hale.h"

#include "hale/arena.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/strbuf.h"
#include "provider_impl.h"
#include "xlate_fixture.h"

static const struct provider_op *
cell(const char *provider, enum mode m)
{
	return provider_find(provider, strlen(provider))->op[m];
}

static void
check_request(const char *openai, const char *want)
{
	xlate_fixture_check(cell("cohere", MODE_CHAT)->xlate, "m", openai, want);
}

static void
check_refused(const char *openai, const char *want)
{
	xlate_fixture_refused(cell("cohere", MODE_CHAT)->xlate, "m", openai, want);
}

#define ASK "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]"
#define TURN "{\"model\":\"m\"," ASK

static void
test_messages(void **state)
{
	(void)state;
	check_request("{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a/\\u00e9\"},"
	              "{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"c\"},"
	              "{\"type\":\"image_url\",\"image_url\":\"https://x/y.png\"},"
	              "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\",\"detail\":\"low\"}}]}]}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a/\xc3\xa9\"},"
	              "{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"c\"},"
	              "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\"}},"
	              "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\",\"detail\":\"low\"}}]}]}");
}

static void
test_parameters(void **state)
{
	(void)state;
	check_request("{\"model\":\"x\"," ASK ",\"max_tokens\":1,\"max_completion_tokens\":7,\"temperature\":0.3,\"top_p\":0.9,"
	              "\"top_k\":5,\"seed\":1,\"stop\":\"E\",\"frequency_penalty\":0.1,\"presence_penalty\":0.2,\"n\":1,"
	              "\"logit_bias\":{},\"user\":\"u\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
	              "\"safety_mode\":\"OFF\",\"documents\":[\"d\"]}",
	              TURN ",\"max_tokens\":7,\"stop_sequences\":[\"E\"],\"temperature\":0.3,\"p\":0.9,\"k\":5,\"seed\":1,"
	              "\"frequency_penalty\":0.1,\"presence_penalty\":0.2,\"stream\":true,\"documents\":[\"d\"],"
	              "\"safety_mode\":\"OFF\"}");
	check_request("{" ASK ",\"stop\":[\"a\",\"b\"],\"response_format\":{\"type\":\"text\"}}",
	              TURN ",\"stop_sequences\":[\"a\",\"b\"]}");
	check_request("{" ASK ",\"response_format\":{\"type\":\"json_object\"}}",
	              TURN ",\"response_format\":{\"type\":\"json_object\"}}");
	check_request("{" ASK ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"a\":1}}}}",
	              TURN ",\"response_format\":{\"type\":\"json_object\",\"json_schema\":{\"a\":1}}}");
	check_request("{" ASK ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":500}}",
	              TURN ",\"thinking\":{\"type\":\"enabled\",\"token_budget\":500}}");
	check_request("{" ASK ",\"thinking\":{\"type\":\"disabled\"}}", TURN ",\"thinking\":{\"type\":\"disabled\"}}");
	/* "m" does not reason */
	check_request("{" ASK ",\"reasoning_effort\":\"low\"}", TURN "}");
}

#define F(n) "{\"type\":\"function\",\"function\":{\"name\":\"" n "\"}}"
#define G(n) "{\"type\":\"function\",\"function\":{\"name\":\"" n "\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}"

static void
test_tools(void **state)
{
	(void)state;
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"plan\",\"tool_calls\":["
	              "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},"
	              "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},"
	              "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r\"},"
	              "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},"
	              "{\"type\":\"document\",\"document\":{\"id\":\"1\",\"data\":{\"x\":\"y\"}}}]}],\"tools\":["
	              "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"strict\":true,\"parameters\":"
	              "{\"type\":\"object\",\"properties\":{\"a\":{}}}}}],\"tool_choice\":\"auto\",\"parallel_tool_calls\":false}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"tool_plan\":\"plan\","
	              "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},"
	              "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
	              "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r\"},"
	              "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},"
	              "{\"type\":\"document\",\"document\":{\"id\":\"1\",\"data\":{\"x\":\"y\"}}}]}],\"tools\":["
	              "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
	              "{\"type\":\"object\",\"properties\":{\"a\":{}}}}}]}");
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
	              "{\"type\":\"text\",\"text\":\"b\"}],\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\"}}]}]}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"tool_plan\":\"ab\","
	              "\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}]}");
	check_request("{" ASK ",\"tools\":[" F("f") "," F("g") "],\"tool_choice\":\"required\"}",
	              TURN ",\"tools\":[" G("f") "," G("g") "],\"tool_choice\":\"REQUIRED\"}");
	check_request("{" ASK ",\"tools\":[" F("f") "],\"tool_choice\":\"none\"}", TURN ",\"tools\":[" G("f") "],\"tool_choice\":\"NONE\"}");
	/* one function by name: required, and no other to choose */
	check_request("{" ASK ",\"tools\":[" F("f") "," F("g") "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}",
	              TURN ",\"tools\":[" G("g") "],\"tool_choice\":\"REQUIRED\"}");
	check_request("{" ASK ",\"tools\":[],\"tool_choice\":\"auto\"}", TURN "}");
}

static void
test_refused(void **state)
{
	static const struct {
		const char *openai, *why;
	} cases[] = {
		{"{}", "messages must be an array"},
		{"{\"messages\":[]}", "messages have no content"},
		{"{\"messages\":[1]}", "a message needs a role"},
		{"{\"messages\":[{\"role\":\"function\"}]}", "message roles are system, developer, user, assistant and tool"},
		{"{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "a tool message needs a tool_call_id"},
		{"{\"messages\":[{\"role\":\"user\",\"content\":1}]}", "message content must be a string or an array of parts"},
		{"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"input_audio\"}]}]}",
		 "this provider takes content parts of type text and image_url"},
		{"{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":[{\"type\":\"image_url\",\"image_url\":\"u\"}]}]}",
		 "this provider takes tool results of type text and document"},
		{"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", "a text part needs a text"},
		{"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}", "image_url needs a url"},
		{"{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[{\"id\":\"c\"}]}]}",
		 "a tool call needs an id and a function with a name"},
		{"{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"function_call\":{}}]}",
		 "function_call is not supported by this provider, use tool_calls"},
		{"{" ASK ",\"n\":2}", "this provider gives one choice: n must be 1"},
		{"{" ASK ",\"logprobs\":true}", "logprobs are not supported by this provider"},
		{"{" ASK ",\"max_tokens\":0}", "max_tokens must be a positive integer"},
		{"{" ASK ",\"stop\":1}", "stop must be a string or an array of strings"},
		{"{" ASK ",\"tools\":{}}", "tools must be an array"},
		{"{" ASK ",\"tools\":[{}]}", "a tool needs a function with a name"},
		{"{" ASK ",\"tools\":[" F("f") "],\"tool_choice\":\"maybe\"}",
		 "tool_choice must be none, auto, required or name a function"},
		{"{" ASK ",\"tools\":[" F("f") "],\"tool_choice\":{\"type\":\"function\"}}",
		 "tool_choice must be none, auto, required or name a function"},
		{"{" ASK ",\"tools\":[" F("f") "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}",
		 "tool_choice names a function that is not among the tools"},
		{"{" ASK ",\"response_format\":{\"type\":\"xml\"}}",
		 "response_format must be text, json_object or json_schema with a schema"},
	};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(cases); i++)
		check_refused(cases[i].openai, cases[i].why);
}

/* want NULL: not the provider's form. */
static void
check_answer(const struct provider_op *op, const char *body, const char *want)
{
	struct strbuf out;
	int rc;

	strbuf_init(&out, 0);
	rc = op->xlate->response("m", body, strlen(body), &out);
	xlate_fixture_blank_created(&out);
	assert_int_equal(rc, want ? 0 : HALE_EINVAL);
	assert_string_equal(strbuf_str(&out), want ? want : "");
	strbuf_release(&out);
}

#define HEAD "{\"id\":\"chatcmpl-x\",\"object\":\"chat.completion\",\"created\":0,\"model\":\"m\",\"choices\":[{\"index\":0," \
	     "\"message\":{\"role\":\"assistant\",\"content\":"
#define TAIL(finish, in, out, sum, cached) "},\"logprobs\":null,\"finish_reason\":\"" finish "\"}],\"usage\":{\"prompt_tokens\":" in \
	     ",\"completion_tokens\":" out ",\"total_tokens\":" sum ",\"prompt_tokens_details\":{\"cached_tokens\":" cached "}}}"

static void
test_answer(void **state)
{
	const struct provider_op *op = cell("cohere_chat", MODE_CHAT);

	(void)state;
	check_answer(op, "{\"id\":\"x\",\"finish_reason\":\"COMPLETE\",\"message\":{\"role\":\"assistant\",\"content\":["
	             "{\"type\":\"thinking\",\"thinking\":\"hm\"},{\"type\":\"text\",\"text\":\"a\\\"\"},{\"type\":\"text\",\"text\":\"b\"}]},"
	             "\"usage\":{\"billed_units\":{\"input_tokens\":1,\"output_tokens\":2},\"tokens\":{\"input_tokens\":30,"
	             "\"output_tokens\":4},\"cached_tokens\":5}}",
	             HEAD "\"a\\\"b\",\"refusal\":null,\"reasoning_content\":\"hm\"" TAIL("stop", "30", "4", "34", "5"));
	check_answer(op, "{\"id\":\"x\",\"finish_reason\":\"TOOL_CALL\",\"message\":{\"tool_plan\":\"p\",\"tool_calls\":[{\"id\":\"c\","
	             "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},"
	             "{\"id\":\"d\",\"function\":{\"name\":\"g\"}}]},\"usage\":{\"billed_units\":{\"input_tokens\":1,\"output_tokens\":2}}}",
	             HEAD "\"p\",\"refusal\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	             "\"arguments\":\"{\\\"a\\\":1}\"}},{\"id\":\"d\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]"
	             TAIL("tool_calls", "1", "2", "3", "0"));
	check_answer(op, "{\"id\":\"x\",\"finish_reason\":\"MAX_TOKENS\",\"message\":{\"content\":[]}}",
	             HEAD "null,\"refusal\":null" TAIL("length", "0", "0", "0", "0"));
	check_answer(op, "{\"id\":\"x\",\"finish_reason\":\"STOP_SEQUENCE\",\"message\":{\"content\":[]}}",
	             HEAD "null,\"refusal\":null" TAIL("stop", "0", "0", "0", "0"));
	check_answer(op, "{\"id\":\"x\",\"finish_reason\":\"ERROR\",\"message\":{\"content\":[]}}", NULL);
	check_answer(op, "{\"message\":\"no\"}", NULL);
	check_answer(op, "[]", NULL);
	check_answer(op, "", NULL);
}

static void
check_essential(const struct provider_op *op, const char *body, const char *want_why)
{
	const char *why = NULL;
	bool yes = op->essential(body, strlen(body), &why);

	if (yes != !want_why)
		fail_msg("%s: %s", body, yes ? "accepted" : why);
	if (want_why)
		assert_string_equal(why, want_why);
}

static void
test_essential(void **state)
{
	const struct provider_op *chat = cell("cohere", MODE_CHAT), *embed = cell("cohere", MODE_EMBEDDING);
	const struct provider_op *voyage = cell("voyage", MODE_RERANK);

	(void)state;
	check_essential(chat, "{\"message\":{\"content\":[]},\"finish_reason\":\"MAX_TOKENS\"}", NULL);
	check_essential(chat, "{\"message\":{}}", NULL);
	check_essential(chat, "{\"message\":{},\"finish_reason\":\"ERROR\"}", "the answer ended with an error");
	check_essential(chat, "{\"message\":{},\"finish_reason\":\"TIMEOUT\"}", "the answer ended with an error");
	check_essential(chat, "{\"message\":\"invalid api token\"}", "the answer has no message");
	check_essential(chat, "{\"choices\":[{\"message\":{}}]}", "the answer has no message");
	check_essential(chat, "<html>", "the answer is not a JSON object");
	check_essential(chat, "", "the answer is empty");
	check_essential(embed, "{\"embeddings\":{\"float\":[[0.5,1]]}}", NULL);
	check_essential(embed, "{\"embeddings\":{\"base64\":[\"AAAA\"]}}", NULL);
	check_essential(embed, "{\"embeddings\":{\"float\":[]}}", "the answer has no embeddings");
	check_essential(embed, "{\"embeddings\":{\"float\":[[]]}}", "the answer has no embeddings");
	check_essential(embed, "{\"embeddings\":{}}", "the answer has no embeddings");
	check_essential(embed, "{\"data\":[]}", "the answer has no embeddings");
	check_essential(cell("cohere", MODE_RERANK), "{\"results\":[{\"index\":0,\"relevance_score\":0.5}]}", NULL);
	check_essential(cell("cohere", MODE_RERANK), "{\"results\":[]}", "the answer has no results");
	check_essential(voyage, "{\"data\":[{\"index\":0,\"relevance_score\":0.5}]}", NULL);
	check_essential(voyage, "{\"results\":[{\"index\":0,\"relevance_score\":1}]}", NULL);
	check_essential(voyage, "{\"data\":[{\"index\":0}]}", "the first result has no relevance_score");
	check_essential(voyage, "{\"data\":[]}", "the answer has no results");
}

static void
test_errors(void **state)
{
	const struct provider_xlate *x = cell("cohere", MODE_RERANK)->xlate;
	static const char cohere[] = "{\"id\":\"1\",\"message\":\"invalid api token\"}", voyage[] = "{\"detail\":\"Provided API key\"}";
	const char *type = NULL;
	struct strbuf m;

	(void)state;
	strbuf_init(&m, 0);
	assert_int_equal(x->error(401, cohere, strlen(cohere), &m, &type), 0);
	assert_string_equal(strbuf_str(&m), "invalid api token");
	assert_string_equal(type, "authentication_error");
	strbuf_clear(&m);
	assert_int_equal(x->error(400, voyage, strlen(voyage), &m, &type), 0);
	assert_string_equal(strbuf_str(&m), "Provided API key");
	assert_string_equal(type, "invalid_request_error");
	strbuf_clear(&m);
	assert_int_equal(x->error(500, "<html>", 6, &m, &type), HALE_EINVAL);
	assert_int_equal(m.len, 0);
	strbuf_release(&m);
}

/* Feeds in pieces of each size; what comes out is the same. */
static void
check_stream(const char *in, bool usage, const char *want, bool want_done)
{
	static const size_t steps[] = {1, 7, 100000};
	const struct provider_xlate *x = cell("cohere", MODE_CHAT)->xlate;
	size_t len = strlen(in);

	for (unsigned k = 0; k < HALE_COUNT(steps); k++) {
		struct xlate_stream *s = x->stream_new("m", usage);
		struct strbuf out;
		bool done = false;

		strbuf_init(&out, 0);
		for (size_t at = 0; at < len; at += steps[k])
			assert_int_equal(x->stream_feed(s, in + at, len - at < steps[k] ? len - at : steps[k], &out, &done), 0);
		xlate_fixture_blank_created(&out);
		assert_string_equal(strbuf_str(&out), want);
		assert_int_equal(done, want_done);
		x->stream_free(s);
		strbuf_release(&out);
	}
}

#define EV(type, rest) "event: " type "\r\ndata: {\"type\":\"" type "\"" rest "}\r\n\r\n"
#define START EV("message-start", ",\"id\":\"x\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[]}}")
#define TEXT(t) EV("content-delta", ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"" t "\"}}}")
#define END(why) EV("message-end", ",\"delta\":{\"finish_reason\":\"" why "\",\"usage\":{\"tokens\":{\"input_tokens\":3,\"output_tokens\":2}}}")
#define CHUNK(delta, finish, usage) "data: {\"id\":\"chatcmpl-x\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"m\"," \
	"\"choices\":[{\"index\":0,\"delta\":{" delta "},\"logprobs\":null,\"finish_reason\":" finish "}]" usage "}\n\n"
#define ROLE(usage) CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null", usage)
#define DONE "data: [DONE]\n\n"

static void
test_stream(void **state)
{
	(void)state;
	check_stream(START EV("content-start", ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}")
	             TEXT("a") EV("citation-start", ",\"index\":0") TEXT("b\\n") EV("content-end", ",\"index\":0") END("COMPLETE")
	             "data: [DONE]\n\n",
	             true,
	             ROLE(",\"usage\":null") CHUNK("\"content\":\"a\"", "null", ",\"usage\":null")
	             CHUNK("\"content\":\"b\\n\"", "null", ",\"usage\":null") CHUNK("", "\"stop\"", ",\"usage\":null")
	             "data: {\"id\":\"chatcmpl-x\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"m\",\"choices\":[],"
	             "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"prompt_tokens_details\":"
	             "{\"cached_tokens\":0}}}\n\n" DONE,
	             true);
	check_stream(START EV("content-delta", ",\"delta\":{\"message\":{\"content\":{\"thinking\":\"hm\"}}}") END("MAX_TOKENS"), false,
	             ROLE("") CHUNK("\"reasoning_content\":\"hm\"", "null", "") CHUNK("", "\"length\"", "") DONE, true);
}

#define CALL(type, call) EV(type, ",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":" call "}}")

static void
test_stream_tools(void **state)
{
	(void)state;
	check_stream(START EV("tool-plan-delta", ",\"delta\":{\"message\":{\"tool_plan\":\"p\"}}")
	             CALL("tool-call-start", "{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}")
	             CALL("tool-call-delta", "{\"function\":{\"arguments\":\"{\\\"a\\\"\"}}")
	             CALL("tool-call-delta", "{\"function\":{\"arguments\":\":1}\"}}") EV("tool-call-end", ",\"index\":0")
	             CALL("tool-call-start", "[{\"id\":\"d\",\"function\":{\"name\":\"g\"}}]") EV("tool-call-end", ",\"index\":1")
	             END("TOOL_CALL"),
	             false,
	             ROLE("") CHUNK("\"content\":\"p\"", "null", "")
	             CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]", "null", "")
	             CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\"\"}}]", "null", "")
	             CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]", "null", "")
	             CHUNK("\"tool_calls\":[{\"index\":1,\"id\":\"d\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]", "null", "")
	             CHUNK("\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]", "null", "")
	             CHUNK("", "\"tool_calls\"", "") DONE,
	             true);
}

static void
test_stream_broken(void **state)
{
	const struct provider_xlate *x = cell("cohere", MODE_CHAT)->xlate;
	struct xlate_stream *s = x->stream_new("m", false);
	struct strbuf out;
	bool done;

	(void)state;
	/* no message-end: not done, whatever else says that it is the end */
	check_stream(START TEXT("a") EV("content-end", "") "data: [DONE]\n\n", false,
	             ROLE("") CHUNK("\"content\":\"a\"", "null", ""), false);
	check_stream(START TEXT("a") END("ERROR"), false,
	             ROLE("") CHUNK("\"content\":\"a\"", "null", "")
	             "data: {\"error\":{\"message\":\"the upstream reported an error\",\"type\":\"server_error\",\"param\":null,"
	             "\"code\":\"ERROR\"}}\n\n", false);
	check_stream(START "data: {\"message\":\"boom\"}\n\n", false,
	             ROLE("") "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n", false);
	strbuf_init(&out, 0);
	assert_int_equal(x->stream_feed(s, "data: {\n\n", 9, &out, &done), HALE_EINVAL);
	x->stream_free(s);
	x->stream_free(NULL);
	strbuf_release(&out);
}

static void
test_embed(void **state)
{
	const struct provider_op *op = cell("cohere", MODE_EMBEDDING);
	static const char want[] = "input must be a string or an array of strings for this provider";

	(void)state;
	xlate_fixture_check(op->xlate, "m", "{\"model\":\"x\",\"input\":\"a\"}",
	                   "{\"model\":\"m\",\"texts\":[\"a\"],\"input_type\":\"search_document\",\"embedding_types\":[\"float\"]}");
	xlate_fixture_check(op->xlate, "m", "{\"input\":[\"a\",\"b\"],\"encoding_format\":\"base64\",\"dimensions\":256,\"input_type\":\"search_query\","
	                   "\"user\":\"u\"}",
	                   "{\"model\":\"m\",\"texts\":[\"a\",\"b\"],\"input_type\":\"search_query\",\"embedding_types\":[\"base64\"],"
	                   "\"output_dimension\":256}");
	xlate_fixture_check(op->xlate, "m", "{\"input\":[\"data:image/png;base64,AA==\"],\"input_type\":\"image\"}",
	                   "{\"model\":\"m\",\"images\":[\"data:image/png;base64,AA==\"],\"input_type\":\"image\","
	                   "\"embedding_types\":[\"float\"]}");
	xlate_fixture_refused(op->xlate, "m", "{\"input\":[1,2]}", want);
	xlate_fixture_refused(op->xlate, "m", "{\"input\":[]}", want);
	xlate_fixture_refused(op->xlate, "m", "{}", want);
	check_answer(op, "{\"id\":\"1\",\"embeddings\":{\"float\":[[0.5,-1e-3],[2,3]]},\"meta\":{\"billed_units\":{\"input_tokens\":4}}}",
	             "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.5,-1e-3]},"
	             "{\"object\":\"embedding\",\"index\":1,\"embedding\":[2,3]}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":4,"
	             "\"total_tokens\":4}}");
	check_answer(op, "{\"embeddings\":{\"base64\":[\"AAAA/w==\"]}}",
	             "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":\"AAAA/w==\"}],\"model\":\"m\","
	             "\"usage\":{\"prompt_tokens\":0,\"total_tokens\":0}}");
	check_answer(op, "{\"embeddings\":{}}", NULL);
}

static void
test_rerank(void **state)
{
	const struct provider_op *voyage = cell("voyage", MODE_RERANK), *fireworks = cell("fireworks_ai", MODE_RERANK);
	static const char meta[] = "],\"meta\":{\"billed_units\":{\"total_tokens\":26},\"tokens\":{\"input_tokens\":26,\"output_tokens\":0}}}";
	struct strbuf want;

	(void)state;
	/* Cohere's own form is what clients speak */
	assert_null(cell("cohere", MODE_RERANK)->xlate->request);
	assert_null(cell("jina_ai", MODE_RERANK)->xlate);
	assert_null(fireworks->xlate->request);
	xlate_fixture_check(voyage->xlate, "m", "{\"model\":\"x\",\"query\":\"q\",\"documents\":[\"a\",{\"text\":\"b\"}],\"top_n\":1,"
	                   "\"return_documents\":true,\"max_tokens_per_doc\":5}",
	                   "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\",\"b\"],\"top_k\":1,\"return_documents\":true}");
	xlate_fixture_refused(voyage->xlate, "m", "{\"query\":\"q\",\"documents\":[{\"title\":\"b\"}]}",
	                   "documents must be an array of strings, or of objects with a text");
	xlate_fixture_refused(voyage->xlate, "m", "{\"query\":\"q\"}", "documents must be an array of strings, or of objects with a text");
	strbuf_init(&want, 0);
	strbuf_printf(&want, "{\"id\":\"m\",\"results\":[{\"index\":1,\"relevance_score\":0.43,\"document\":{\"text\":\"b\"}},"
	              "{\"index\":0,\"relevance_score\":0.1}%s", meta);
	check_answer(voyage, "{\"object\":\"list\",\"data\":[{\"index\":1,\"relevance_score\":0.43,\"document\":\"b\"},"
	             "{\"index\":0,\"relevance_score\":0.1}],\"model\":\"rerank-2\",\"usage\":{\"total_tokens\":26}}",
	             strbuf_str(&want));
	strbuf_clear(&want);
	strbuf_printf(&want, "{\"id\":\"r\",\"results\":[{\"index\":0,\"relevance_score\":1}%s", meta);
	check_answer(fireworks, "{\"id\":\"r\",\"results\":[{\"index\":0,\"relevance_score\":1}],\"usage\":{\"total_tokens\":26}}",
	             strbuf_str(&want));
	check_answer(fireworks, "{\"data\":[]}", NULL);
	strbuf_release(&want);
	xlate_fixture_check(cell("voyage", MODE_EMBEDDING)->xlate, "m", "{\"model\":\"x\",\"input\":[\"a\"],\"dimensions\":256,\"encoding_format\":\"float\"}",
	                   "{\"model\":\"m\",\"input\":[\"a\"],\"output_dimension\":256}");
	xlate_fixture_check(cell("voyage", MODE_EMBEDDING)->xlate, "m", "{\"input\":\"a\",\"encoding_format\":\"base64\"}",
	                   "{\"model\":\"m\",\"input\":\"a\",\"encoding_format\":\"base64\"}");
}

static void
check_url(const char *base, enum mode m, const char *want)
{
	struct arena *a = arena_new(512);
	struct deployment d = {.provider = provider_find("cohere", 6), .api_base = base, .api_key = "k"};
	const struct provider_op *op = d.provider->op[m];
	struct endpoint e;

	assert_int_equal(op->endpoint(a, op, &d, "m", false, &e), 0);
	assert_string_equal(e.url, want);
	assert_string_equal(e.method, "POST");
	assert_int_equal(e.nheader, 1);
	assert_string_equal(e.header[0].name, "Authorization");
	assert_string_equal(e.header[0].value, "Bearer k");
	arena_freep(&a);
}

static void
test_address(void **state)
{
	static const char *const bases[] = {"https://h.test", "https://h.test/", "https://h.test/v1", "https://h.test/v2",
	                                    "https://h.test/v2/chat", "https://h.test/v1/chat", "https://h.test/v2/embed",
	                                    "https://h.test/v2/rerank", "https://h.test/v1/rerank/"};

	(void)state;
	for (unsigned i = 0; i < HALE_COUNT(bases); i++) {
		check_url(bases[i], MODE_CHAT, "https://h.test/v2/chat");
		check_url(bases[i], MODE_EMBEDDING, "https://h.test/v2/embed");
		check_url(bases[i], MODE_RERANK, "https://h.test/v2/rerank");
	}
	check_url("https://h.test/gate/cohere/v2?x=1", MODE_CHAT, "https://h.test/gate/cohere/v2/chat?x=1");
	assert_string_equal(provider_find("cohere_chat", 11)->default_base, "https://api.cohere.com");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_tools),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_essential),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_tools),
		cmocka_unit_test(test_stream_broken),
		cmocka_unit_test(test_embed),
		cmocka_unit_test(test_rerank),
		cmocka_unit_test(test_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

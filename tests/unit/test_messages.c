/* messages: Anthropic requests as OpenAI chat, chat answers as Anthropic messages, whole and streamed. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/messages.h"
#include "hale/provider.h"
#include "hale/strbuf.h"

/* d with this provider; azure's version is the configured one. */
static struct deployment
deployment(const char *provider, const char *base)
{
	struct deployment d = {.provider = provider_find(provider, strlen(provider)), .api_base = base};

	assert_non_null(d.provider);
	return d;
}

static int
request(const struct deployment *d, const char *model, const char *in, char **text, const char **why)
{
	struct json_object *o = json_tokener_parse(in), *out;
	int rc;

	if (!o)
		fail_msg("the test's own JSON: %s", in);
	rc = messages_request(d, model, o, &out, why);
	*text = rc ? NULL
	           : strdup(json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(out);
	json_object_put(o);
	return rc;
}

static void
check_to(const struct deployment *d, const char *model, const char *in, const char *want)
{
	const char *why = NULL;
	char *text;

	if (request(d, model, in, &text, &why) != 0)
		fail_msg("%s: %s", in, why);
	assert_string_equal(text, want);
	free(text);
}

#define TURNS "\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CHAT "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":9"

/* Members beside a minimal request, and what they become. */
static void
check_members(const char *members, const char *want)
{
	struct deployment d = deployment("openai", "http://h/v1");
	struct strbuf in, out;

	strbuf_init(&in, 0);
	strbuf_init(&out, 0);
	strbuf_printf(&in, "{" TURNS "%s}", members);
	strbuf_printf(&out, CHAT "%s}", want);
	check_to(&d, "m", strbuf_str(&in), strbuf_str(&out));
	strbuf_release(&in);
	strbuf_release(&out);
}

static void
check_turns(const char *provider, const char *turns, const char *want)
{
	struct deployment d = deployment(provider, NULL);
	struct strbuf in, out;

	strbuf_init(&in, 0);
	strbuf_init(&out, 0);
	strbuf_printf(&in, "{\"max_tokens\":9,\"messages\":[%s]}", turns);
	strbuf_printf(&out, "{\"model\":\"m\",\"messages\":[%s],\"max_tokens\":9}", want);
	check_to(&d, "m", strbuf_str(&in), strbuf_str(&out));
	strbuf_release(&in);
	strbuf_release(&out);
}

static void
test_params(void **state)
{
	(void)state;
	check_members("", "");
	check_members(",\"temperature\":0.5,\"top_p\":0.1,\"top_k\":4,\"stop_sequences\":[\"a\"],\"metadata\":{\"user_id\":\"u\"},"
	              "\"service_tier\":\"auto\",\"context_management\":{}",
	              ",\"temperature\":0.5,\"top_p\":0.1,\"stop\":[\"a\"]");
	check_members(",\"stop_sequences\":[],\"tools\":[],\"tool_choice\":{\"type\":\"auto\"},\"mcp_servers\":[]", "");
	check_members(",\"stream\":true", ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
	check_members(",\"stream\":false", "");
	check_members(",\"tools\":[{\"type\":\"custom\",\"name\":\"f\"}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}",
	              ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
	              "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}");
	check_members(",\"tools\":[{\"name\":\"f\",\"input_schema\":{},\"cache_control\":{}}],\"tool_choice\":{\"type\":\"none\"}",
	              ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}],\"tool_choice\":\"none\"");
	check_members(",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}",
	              ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"strict\":true,"
	              "\"schema\":{\"type\":\"object\"}}}");
	/* not a model that reasons */
	check_members(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":20000}", "");
}

/* The name of the limit, and what reasoning models take. */
static void
test_models(void **state)
{
	struct deployment openai = deployment("openai", "https://api.openai.com/v1"), azure = deployment("azure", "https://r");
	struct deployment other = deployment("groq", "https://api.groq.com/openai/v1"), local = deployment("openai", "http://h");
	static const char want[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
	                           "\"max_completion_tokens\":9}";
	static const char thinks[] = "{" TURNS ",\"temperature\":1,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4000}}";

	(void)state;
	check_to(&openai, "m", "{" TURNS "}", want);
	check_to(&azure, "m", "{" TURNS "}", want);
	azure.api_version = "2024-06-01";
	check_to(&azure, "m", "{" TURNS "}", CHAT "}");
	azure.api_version = "preview";
	check_to(&azure, "m", "{" TURNS "}", want);
	check_to(&other, "m", "{" TURNS "}", CHAT "}");
	check_to(&local, "gpt-5", thinks,
	         "{\"model\":\"gpt-5\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
	         "\"max_completion_tokens\":9,\"reasoning_effort\":\"low\"}");
	check_to(&local, "gpt-5", "{" TURNS ",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"max\"}}",
	         "{\"model\":\"gpt-5\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
	         "\"max_completion_tokens\":9,\"reasoning_effort\":\"high\"}");
}

#define USER(x) "{\"role\":\"user\",\"content\":" x "}"
#define ASSISTANT(x) "{\"role\":\"assistant\",\"content\":" x "}"

static void
test_turns(void **state)
{
	(void)state;
	check_turns("groq", USER("[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]"), USER("\"a\\n\\nb\""));
	check_turns("groq", USER("\"a\"") "," ASSISTANT("\"b\"") "," USER("\"\""), USER("\"a\"") "," ASSISTANT("\"b\"") "," USER("\"\""));
	check_turns("groq", ASSISTANT("[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"x\":\"\\u0000/\"}}]"),
	            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t\",\"type\":\"function\",\"function\":"
	            "{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\\\"\\\\u0000/\\\"}\"}}]}");
	check_turns("groq", ASSISTANT("[{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"s\"}]"), ASSISTANT("\"\""));
	check_turns("groq", USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"is_error\":true}]"),
	            "{\"role\":\"tool\",\"content\":\"error\",\"tool_call_id\":\"t\"}");
	check_turns("groq", USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\"}]"),
	            "{\"role\":\"tool\",\"content\":\"\",\"tool_call_id\":\"t\"}");
	check_turns("groq", USER("[{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"d\"}}]"),
	            USER("\"d\""));
	check_turns("groq", USER("[{\"type\":\"document\",\"title\":\"n\",\"source\":{\"type\":\"base64\",\"media_type\":"
	                         "\"application/pdf\",\"data\":\"JVBE\"}}]"),
	            USER("[{\"type\":\"file\",\"file\":{\"filename\":\"n\",\"file_data\":\"data:application/pdf;base64,JVBE\"}}]"));
	check_turns("groq", "{\"role\":\"system\",\"content\":\"s\"}", "{\"role\":\"system\",\"content\":\"s\"}");
	/* a cell that translates reads more: cache marks, thinking */
	check_turns("anthropic", USER("[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}}]"),
	            USER("[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}}]"));
	check_turns("anthropic", ASSISTANT("[{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"s\"}]"),
	            "{\"role\":\"assistant\",\"content\":\"\",\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"x\","
	            "\"signature\":\"s\"}]}");
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"messages\":[]}",
		"{\"max_tokens\":9,\"messages\":\"x\"}",
		"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		"{\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		"{\"max_tokens\":\"9\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		"{\"max_tokens\":9,\"messages\":[{\"content\":\"hi\"}]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"tool\",\"content\":\"hi\"}]}",
		"{\"max_tokens\":9,\"messages\":[1]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"user\"}]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"audio\"}]}]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\"}]}]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"file\"}}]}]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"url\"}}]}]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\"}]}]}",
		"{\"max_tokens\":9,\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"server_tool_use\"}]}]}",
		"{" TURNS ",\"system\":[{\"type\":\"image\"}]}",
		"{" TURNS ",\"system\":5}",
		"{" TURNS ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]}",
		"{" TURNS ",\"tools\":[{}]}",
		"{" TURNS ",\"tools\":[{\"name\":\"f\"}],\"tool_choice\":{\"type\":\"tool\"}}",
		"{" TURNS ",\"mcp_servers\":[{\"url\":\"x\"}]}",
	};
	struct deployment d = deployment("groq", NULL);

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(bad); i++) {
		const char *why = NULL;
		char *text;

		if (request(&d, "m", bad[i], &text, &why) != HALE_EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_non_null(why);
	}
}

static void
check_answer(const char *in, bool thinking, const char *want)
{
	struct strbuf out;
	int rc;

	strbuf_init(&out, 0);
	rc = messages_answer("g", thinking, in, strlen(in), &out);
	if (want) {
		assert_int_equal(rc, 0);
		assert_string_equal(strbuf_str(&out), want);
	} else if (rc != HALE_EINVAL) {
		fail_msg("accepted: %s", in);
	}
	strbuf_release(&out);
}

#define ANSWER(content, reason, usage) \
	"{\"id\":\"msg_x\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"g\",\"content\":[" content "]," \
	"\"stop_reason\":\"" reason "\",\"stop_sequence\":null,\"usage\":" usage "}"
#define NO_USAGE \
	"{\"input_tokens\":0,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":0}"
#define CHOICE(message, finish) "{\"id\":\"x\",\"choices\":[{\"message\":" message ",\"finish_reason\":" finish "}]}"
#define CALL(arguments) "{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":" arguments "}}"

static void
test_answers(void **state)
{
	(void)state;
	check_answer(CHOICE("{\"content\":\"a\"}", "\"stop\""), false, ANSWER("{\"type\":\"text\",\"text\":\"a\"}", "end_turn", NO_USAGE));
	check_answer(CHOICE("{\"content\":\"\"}", "\"length\""), false, ANSWER("", "max_tokens", NO_USAGE));
	check_answer(CHOICE("{\"refusal\":\"no\"}", "\"content_filter\""), false,
	             ANSWER("{\"type\":\"text\",\"text\":\"no\"}", "refusal", NO_USAGE));
	check_answer(CHOICE("{\"content\":[{\"type\":\"thinking\"},{\"type\":\"text\",\"text\":\"a\"}]}", "null"), false,
	             ANSWER("{\"type\":\"text\",\"text\":\"a\"}", "end_turn", NO_USAGE));
	/* some servers end a call with "stop" */
	check_answer(CHOICE("{\"content\":null,\"tool_calls\":[" CALL("\"{\\\"a\\\":1}\"") "," CALL("\" \"") "]}", "\"stop\""), false,
	             ANSWER("{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":1}},"
	                    "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{}}", "tool_use", NO_USAGE));
	check_answer(CHOICE("{\"tool_calls\":[" CALL("\"{\\\"a\\\"\"") "]}", "\"length\""), false,
	             ANSWER("{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{}}", "max_tokens", NO_USAGE));
	check_answer(CHOICE("{\"content\":\"a\",\"reasoning\":\"r\"}", "\"stop\""), true,
	             ANSWER("{\"type\":\"thinking\",\"thinking\":\"r\",\"signature\":\"\"},{\"type\":\"text\",\"text\":\"a\"}", "end_turn",
	                    NO_USAGE));
	check_answer(CHOICE("{\"content\":\"a\",\"reasoning_content\":\"r\",\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"r\","
	                    "\"signature\":\"s\"}]}", "\"stop\""), true,
	             ANSWER("{\"type\":\"thinking\",\"thinking\":\"r\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"a\"}", "end_turn",
	                    NO_USAGE));
	check_answer("{\"id\":\"x\",\"choices\":[{\"message\":{}}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,"
	             "\"cache_creation_input_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":5}}}", false,
	             ANSWER("", "end_turn", "{\"input_tokens\":3,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":5,"
	                                    "\"output_tokens\":3}"));
	check_answer("", false, NULL);
	check_answer("{}", false, NULL);
	check_answer("{\"choices\":[]}", false, NULL);
	check_answer("{\"choices\":[{\"message\":\"x\"}]}", false, NULL);
	check_answer(CHOICE("{\"tool_calls\":[" CALL("\"{\\\"a\\\"\"") "]}", "\"tool_calls\""), false, NULL);
	check_answer(CHOICE("{\"tool_calls\":[" CALL("\"[1]\"") "]}", "\"tool_calls\""), false, NULL);
	check_answer(CHOICE("{\"tool_calls\":[{\"id\":\"c\"}]}", "\"tool_calls\""), false, NULL);
}

/* Fed in pieces of `step` bytes, then ended; the result is the caller's. */
static int
stream(const char *in, bool thinking, size_t step, struct strbuf *out)
{
	struct messages_stream *s = messages_stream_new("g", thinking);
	size_t len = strlen(in);
	int rc = 0;

	strbuf_init(out, 0);
	for (size_t at = 0; at < len && rc == 0; at += step)
		rc = messages_stream_feed(s, in + at, len - at < step ? len - at : step, out);
	if (rc == 0)
		messages_stream_end(s, out);
	messages_stream_free(s);
	return rc;
}

static void
check_stream(const char *in, bool thinking, const char *want)
{
	for (size_t step = 1; step < 64; step += step < 8 ? 1 : 13) {
		struct strbuf out;

		assert_int_equal(stream(in, thinking, step, &out), 0);
		assert_string_equal(strbuf_str(&out), want);
		strbuf_release(&out);
	}
}

#define CHUNK(delta, finish) \
	"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define EVENT(type, members) "event: " type "\ndata: {\"type\":\"" type "\"" members "}\n\n"
#define START \
	EVENT("message_start", ",\"message\":{\"id\":\"msg_x\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"g\"," \
	                       "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":" NO_USAGE "}") \
	EVENT("ping", "")
#define BLOCK(index, members) EVENT("content_block_start", ",\"index\":" index ",\"content_block\":{" members "}")
#define DELTA(index, members) EVENT("content_block_delta", ",\"index\":" index ",\"delta\":{" members "}")
#define STOP(index) EVENT("content_block_stop", ",\"index\":" index)
#define END(reason, usage) \
	EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null},\"usage\":" usage) \
	EVENT("message_stop", "")
#define TEXT(index, text) \
	BLOCK(index, "\"type\":\"text\",\"text\":\"\"") DELTA(index, "\"type\":\"text_delta\",\"text\":\"" text "\"")
#define TOOL(index, id, name) BLOCK(index, "\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"" name "\",\"input\":{}")
#define JSON(index, text) DELTA(index, "\"type\":\"input_json_delta\",\"partial_json\":\"" text "\"")
#define DONE "data: [DONE]\n\n"

static void
test_streams(void **state)
{
	(void)state;
	check_stream(CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null") CHUNK("{\"content\":\"a\"}", "null")
	             CHUNK("{}", "\"stop\"")
	             "data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":1}}\n\n" DONE, false,
	             START TEXT("0", "a") STOP("0")
	             END("end_turn", "{\"input_tokens\":2,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
	                             "\"output_tokens\":1}"));
	/* the end of the connection is enough once there is a reason; without one it was cut */
	check_stream(CHUNK("{\"content\":\"a\"}", "\"length\""), false, START TEXT("0", "a") STOP("0") END("max_tokens", NO_USAGE));
	check_stream(CHUNK("{\"content\":\"a\"}", "null"), false, START TEXT("0", "a"));
	check_stream("", false, "");
	check_stream(DONE, false,
	             EVENT("message_start", ",\"message\":{\"id\":\"msg_\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"g\","
	                                    "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":" NO_USAGE "}")
	             EVENT("ping", "") END("end_turn", NO_USAGE));
	/* Azure's first event has no choices */
	check_stream("data: {\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n" CHUNK("{\"content\":\"a\"}", "\"stop\"") DONE,
	             false, START TEXT("0", "a") STOP("0") END("end_turn", NO_USAGE));
	check_stream(CHUNK("{\"refusal\":\"no\"}", "\"content_filter\"") DONE, false,
	             START TEXT("0", "no") STOP("0") END("refusal", NO_USAGE));
	check_stream(CHUNK("{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}", "\"stop\"") DONE, false,
	             START TEXT("0", "a") STOP("0") END("end_turn", NO_USAGE));
	check_stream(CHUNK("{\"content\":\"a\"}", "null") "data: {\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\"}}\n\n", false,
	             START TEXT("0", "a") EVENT("error", ",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}"));
}

static void
test_stream_thinking(void **state)
{
	static const char in[] = CHUNK("{\"reasoning_content\":\"r\"}", "null")
	    CHUNK("{\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"s\"}]}", "null")
	    CHUNK("{\"content\":\"a\"}", "\"stop\"") DONE;

	(void)state;
	check_stream(in, true,
	             START BLOCK("0", "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"")
	             DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"r\"")
	             DELTA("0", "\"type\":\"signature_delta\",\"signature\":\"s\"") STOP("0") TEXT("1", "a") STOP("1")
	             END("end_turn", NO_USAGE));
	check_stream(in, false, START EVENT("ping", "") TEXT("0", "a") STOP("0") END("end_turn", NO_USAGE));
}

#define TOOLS(calls) "{\"tool_calls\":[" calls "]}"
#define ONE(index, id, name, arguments) \
	"{\"index\":" index ",\"id\":" id ",\"function\":{\"name\":" name ",\"arguments\":\"" arguments "\"}}"

static void
test_stream_tools(void **state)
{
	struct strbuf out;

	(void)state;
	check_stream(CHUNK("{\"content\":\"a\"}", "null") CHUNK(TOOLS(ONE("0", "\"c\"", "\"f\"", "")), "null")
	             CHUNK(TOOLS("{\"index\":0,\"function\":{\"arguments\":\"{}\"}}"), "null")
	             CHUNK(TOOLS(ONE("1", "\"d\"", "\"g\"", "{")), "null")
	             CHUNK(TOOLS("{\"index\":1,\"function\":{\"arguments\":\"}\"}}"), "null") CHUNK("{}", "\"tool_calls\"") DONE, false,
	             START TEXT("0", "a") STOP("0") TOOL("1", "c", "f") JSON("1", "{}") STOP("1") TOOL("2", "d", "g") JSON("2", "{")
	             JSON("2", "}") STOP("2") END("tool_use", NO_USAGE));
	/* all calls in one chunk under one index, as some servers send
	 * them; without an id; ended with "stop" */
	check_stream(CHUNK(TOOLS(ONE("0", "\"c\"", "\"f\"", "{}") "," ONE("0", "\"d\"", "\"g\"", "{}")), "\"stop\"") DONE, false,
	             START TOOL("0", "c", "f") JSON("0", "{}") STOP("0") TOOL("1", "d", "g") JSON("1", "{}") STOP("1")
	             END("tool_use", NO_USAGE));
	check_stream(CHUNK(TOOLS(ONE("0", "null", "\"f\"", "{}")), "\"stop\"") DONE, false,
	             START TOOL("0", "toolu_0", "f") JSON("0", "{}") STOP("0") END("tool_use", NO_USAGE));
	/* what no client could put together is an error and not a guess */
	assert_int_equal(stream(CHUNK(TOOLS("{\"index\":0,\"function\":{\"arguments\":\"{}\"}}"), "null"), false, 1000, &out), HALE_EINVAL);
	strbuf_release(&out);
	assert_int_equal(stream(CHUNK(TOOLS(ONE("0", "\"c\"", "\"f\"", "") "," ONE("1", "\"d\"", "\"g\"", "") ","
	                                    ONE("0", "\"c\"", "\"f\"", "{}")), "null"), false, 1000, &out), HALE_EINVAL);
	strbuf_release(&out);
	assert_int_equal(stream("data: {\"choices\":\n\n", false, 1000, &out), HALE_EINVAL);
	strbuf_release(&out);
}

static void
test_wants_thinking(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = {{"{}", false},
	             {"{\"thinking\":{\"type\":\"disabled\"}}", false},
	             {"{\"thinking\":{\"type\":\"adaptive\"}}", true},
	             {"{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}", true}};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		struct json_object *o = json_tokener_parse(cases[i].text);

		assert_int_equal(messages_wants_thinking(o), cases[i].want);
		json_object_put(o);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_stream_thinking),
		cmocka_unit_test(test_stream_tools),
		cmocka_unit_test(test_wants_thinking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* anthropic: OpenAI chat to Anthropic messages and back, whole and streamed. */
#include "hale/hale.h"

#include "hale/arena.h"
#include "hale/err.h"
#include "hale/strbuf.h"
#include "provider_impl.h"
#include "xlate_fixture.h"

static const struct provider_xlate *
xlate(void)
{
	return provider_find("anthropic", 9)->op[MODE_CHAT]->xlate;
}

static void
check_request_model(const char *model, const char *openai, const char *want)
{
	xlate_fixture_check(xlate(), model, openai, want);
}

static void
check_request(const char *openai, const char *want)
{
	check_request_model("m", openai, want);
}

static void
check_refused(const char *openai, const char *want)
{
	xlate_fixture_refused(xlate(), "m", openai, want);
}

/* A user turn, and what every request without limits has behind it. */
#define ASK "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]"
#define TURN "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"}]}]"

static void
test_messages(void **state)
{
	(void)state;
	check_request("{\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},{\"role\":\"user\",\"content\":\"hi\"},"
	              "{\"role\":\"assistant\",\"content\":\"ho\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
	              "{\"type\":\"text\",\"text\":\"b\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]},"
	              "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"ho\"}]},"
	              "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
	              "{\"type\":\"text\",\"cache_control\":{\"type\":\"ephemeral\"},\"text\":\"b\"}]}],"
	              "\"system\":[{\"type\":\"text\",\"text\":\"be brief\"}],\"max_tokens\":4096}");
	/* neighbours of one role are one turn; system messages anywhere; empty text is left out */
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"developer\",\"content\":\"s\"},"
	              "{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"user\",\"content\":\"\"},"
	              "{\"role\":\"assistant\",\"content\":null}]}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
	              "{\"type\":\"text\",\"text\":\"b\"}]}],\"system\":[{\"type\":\"text\",\"text\":\"s\"}],\"max_tokens\":4096}");
	/* a user turn comes first; the beginning of an answer does not end in white space */
	check_request("{\"messages\":[{\"role\":\"assistant\",\"content\":\"The \\n\"}]}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	              "\"Please continue.\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"The\"}]}],"
	              "\"max_tokens\":4096}");
	check_request("{\"messages\":[{\"role\":\"system\",\"content\":\"s\"}]}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	              "\"Please continue.\"}]}],\"system\":[{\"type\":\"text\",\"text\":\"s\"}],\"max_tokens\":4096}");
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":\"a/\\u00e9\\u0000\\\"\"}]}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	              "\"a/\xc3\xa9\\u0000\\\"\"}]}],\"max_tokens\":4096}");
}

static void
test_images(void **state)
{
	(void)state;
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":["
	              "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBOR+/=\",\"detail\":\"low\"}},"
	              "{\"type\":\"image_url\",\"image_url\":\"https://x.test/a.jpg\"},"
	              "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"data:application/pdf;base64,JVBE\"}},"
	              "{\"type\":\"file\",\"file\":{\"file_id\":\"file_1\"}}]}]}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
	              "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBOR+/=\"}},"
	              "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x.test/a.jpg\"}},"
	              "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}},"
	              "{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}}]}],\"max_tokens\":4096}");
}

#define BAD_IMAGE "image_url must be an http(s) URL or a base64 data URL"
#define IMAGE(url) "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}]}]}"

static void
test_refused(void **state)
{
	(void)state;
	check_refused("{}", "messages must be an array");
	check_refused("{\"messages\":{}}", "messages must be an array");
	check_refused("{\"messages\":[]}", "messages have no content");
	check_refused("{\"messages\":[1]}", "a message needs a role");
	check_refused("{\"messages\":[{\"role\":\"function\",\"content\":\"x\"}]}",
	              "message roles are system, developer, user, assistant and tool");
	check_refused("{\"messages\":[{\"role\":\"user\",\"content\":5}]}",
	              "message content must be a string or an array of parts");
	check_refused("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}",
	              "this provider takes content parts of type text, image_url and file");
	check_refused("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", "a text part needs a text");
	check_refused(IMAGE("ftp://x"), BAD_IMAGE);
	check_refused(IMAGE("data:image/png,abc"), BAD_IMAGE);
	check_refused(IMAGE("data:;base64,abc"), BAD_IMAGE);
	check_refused(IMAGE("data:,"), BAD_IMAGE);
	check_refused(IMAGE(""), BAD_IMAGE);
	check_refused("{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "a tool message needs a tool_call_id");
	check_refused("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\"}]}]}",
	              "a tool call needs an id and a function with a name");
	check_refused("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":"
	              "{\"name\":\"f\",\"arguments\":\"{\"}}]}]}", "the arguments of a tool call are not a JSON object");
	check_refused("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":"
	              "{\"name\":\"f\",\"arguments\":\"{} x\"}}]}]}", "the arguments of a tool call are not a JSON object");
	check_refused("{" ASK ",\"n\":2}", "this provider gives one choice: n must be 1");
	check_refused("{" ASK ",\"logprobs\":true}", "logprobs are not supported by this provider");
	check_refused("{" ASK ",\"functions\":[]}", "functions are not supported by this provider, use tools");
	check_refused("{" ASK ",\"max_tokens\":0}", "max_tokens must be a positive integer");
	check_refused("{" ASK ",\"max_tokens\":\"5\"}", "max_tokens must be a positive integer");
	check_refused("{" ASK ",\"stop\":5}", "stop must be a string or an array of strings");
	check_refused("{" ASK ",\"tools\":{}}", "tools must be an array");
	check_refused("{" ASK ",\"tools\":[{\"type\":\"function\"}]}", "a tool needs a function with a name");
	check_refused("{" ASK ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"maybe\"}",
	              "tool_choice must be none, auto, required or name a function");
	check_refused("{" ASK ",\"response_format\":{\"type\":\"json_schema\"}}",
	              "response_format must be text, json_object or json_schema with a schema");
}

static void
test_parameters(void **state)
{
	(void)state;
	check_request("{\"model\":\"public\"," ASK ",\"max_tokens\":1}", TURN ",\"max_tokens\":1}");
	check_request("{" ASK ",\"max_tokens\":7,\"max_completion_tokens\":9,\"temperature\":0.7,\"top_p\":0.9,\"top_k\":5,"
	              "\"stop\":[\"a\",\"b\"],\"stream\":true,\"stream_options\":{\"include_usage\":true},\"user\":\"u1\","
	              "\"seed\":5,\"presence_penalty\":0.5,\"logit_bias\":{},\"n\":1,\"logprobs\":false,\"store\":true}",
	              TURN ",\"max_tokens\":9,\"stop_sequences\":[\"a\",\"b\"],\"temperature\":0.7,\"top_p\":0.9,\"top_k\":5,"
	              "\"stream\":true,\"metadata\":{\"user_id\":\"u1\"}}");
	check_request("{" ASK ",\"stop\":\"x\",\"max_tokens\":null,\"temperature\":null}",
	              TURN ",\"max_tokens\":4096,\"stop_sequences\":[\"x\"]}");
	check_request("{" ASK ",\"response_format\":{\"type\":\"json_object\"}}",
	              TURN ",\"system\":[{\"type\":\"text\",\"text\":\"Answer with one JSON object and nothing else.\"}],"
	              "\"max_tokens\":4096}");
	check_request("{" ASK ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":"
	              "{\"type\":\"object\"}}}}",
	              "{\"model\":\"m\",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}},"
	              "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"}]}],\"max_tokens\":4096}");
}

static void
test_thinking(void **state)
{
	static const char turn[] = "{\"model\":\"claude-sonnet-4-5\",\"messages\":[{\"role\":\"user\",\"content\":"
	                           "[{\"type\":\"text\",\"text\":\"q\"}]}],";
	struct strbuf want;

	(void)state;
	strbuf_init(&want, 0);
	strbuf_printf(&want, "%s\"max_tokens\":1025,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}", turn);
	check_request_model("claude-sonnet-4-5", "{" ASK ",\"max_tokens\":1,\"reasoning_effort\":\"low\",\"temperature\":0}",
	                    strbuf_str(&want));
	strbuf_clear(&want);
	strbuf_printf(&want, "%s\"max_tokens\":9000,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":5000}}", turn);
	check_request_model("claude-sonnet-4-5", "{" ASK ",\"max_tokens\":9000,\"thinking\":{\"type\":\"enabled\","
	                    "\"budget_tokens\":5000}}", strbuf_str(&want));
	strbuf_release(&want);
	/* a model that does not think */
	check_request("{" ASK ",\"reasoning_effort\":\"low\"}", TURN ",\"max_tokens\":4096}");
}

static void
test_tools(void **state)
{
	(void)state;
	check_request("{\"messages\":[{\"role\":\"user\",\"content\":\"w?\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
	              "{\"id\":\"call.1\",\"type\":\"function\",\"function\":{\"name\":\"get\",\"arguments\":\"{\\\"c\\\":\\\"Paris\\\"}\"}},"
	              "{\"id\":\"call_2\",\"type\":\"function\",\"function\":{\"name\":\"now\",\"arguments\":\"\"}}]},"
	              "{\"role\":\"tool\",\"tool_call_id\":\"call.1\",\"content\":\"12\"},"
	              "{\"role\":\"tool\",\"tool_call_id\":\"call_2\",\"content\":[{\"type\":\"text\",\"text\":\"noon\"}]},"
	              "{\"role\":\"user\",\"content\":\"so?\"}],"
	              "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get\",\"description\":\"d\",\"strict\":true,"
	              "\"parameters\":{\"type\":\"object\",\"properties\":{\"c\":{\"type\":\"string\"}}}}},"
	              "{\"type\":\"function\",\"function\":{\"name\":\"now\"}},"
	              "{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],"
	              "\"tool_choice\":\"required\",\"parallel_tool_calls\":false}",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"w?\"}]},"
	              "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"get\",\"input\":{\"c\":\"Paris\"}},"
	              "{\"type\":\"tool_use\",\"id\":\"call_2\",\"name\":\"now\",\"input\":{}}]},"
	              "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"call_1\",\"content\":\"12\"},"
	              "{\"type\":\"tool_result\",\"tool_use_id\":\"call_2\",\"content\":[{\"type\":\"text\",\"text\":\"noon\"}]},"
	              "{\"type\":\"text\",\"text\":\"so?\"}]}],\"max_tokens\":4096,"
	              "\"tools\":[{\"name\":\"get\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\"properties\":"
	              "{\"c\":{\"type\":\"string\"}}}},{\"name\":\"now\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}},"
	              "{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],"
	              "\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true}}");
}

static void
check_choice(const char *choice, const char *want)
{
	static const char tool[] = "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";
	struct strbuf in, out;

	strbuf_init(&in, 0);
	strbuf_init(&out, 0);
	strbuf_printf(&in, "{" ASK ",%s%s}", tool, choice);
	strbuf_printf(&out, TURN ",\"max_tokens\":4096,\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\","
	              "\"properties\":{}}}]%s}", want);
	check_request(strbuf_str(&in), strbuf_str(&out));
	strbuf_release(&in);
	strbuf_release(&out);
}

static void
test_tool_choice(void **state)
{
	(void)state;
	check_choice("", "");
	check_choice(",\"tool_choice\":\"auto\"", ",\"tool_choice\":{\"type\":\"auto\"}");
	check_choice(",\"tool_choice\":\"none\",\"parallel_tool_calls\":false", ",\"tool_choice\":{\"type\":\"none\"}");
	check_choice(",\"parallel_tool_calls\":true", "");
	check_choice(",\"parallel_tool_calls\":false",
	             ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}");
	check_choice(",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
	             ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}");
	/* nothing to choose from */
	check_request("{" ASK ",\"tools\":[],\"tool_choice\":\"auto\"}", TURN ",\"max_tokens\":4096}");
}

static void
check_answer(const char *body, const char *want)
{
	struct strbuf out;
	const char *why = NULL;

	strbuf_init(&out, 0);
	assert_true(provider_anthropic_op[MODE_CHAT].essential(body, strlen(body), &why));
	assert_int_equal(xlate()->response("pub", body, strlen(body), &out), 0);
	xlate_fixture_blank_created(&out);
	assert_string_equal(strbuf_str(&out), want);
	assert_true(provider_essential_message(strbuf_str(&out), out.len, &why));
	strbuf_release(&out);
}

#define ANSWER_HEAD "{\"id\":\"chatcmpl-msg_01\",\"object\":\"chat.completion\",\"created\":0,\"model\":\"pub\",\"choices\":" \
	"[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"

static void
test_answers(void **state)
{
	(void)state;
	check_answer("{\"id\":\"msg_01\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\",\"content\":"
	             "[{\"type\":\"text\",\"text\":\"Hel\"},{\"type\":\"text\",\"text\":\"lo\\n\"}],\"stop_reason\":\"end_turn\","
	             "\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":2,"
	             "\"cache_read_input_tokens\":3,\"output_tokens\":5}}",
	             ANSWER_HEAD "\"Hello\\n\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
	             "{\"prompt_tokens\":15,\"completion_tokens\":5,\"total_tokens\":20,\"prompt_tokens_details\":"
	             "{\"cached_tokens\":3},\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":3}}");
	check_answer("{\"id\":\"msg_01\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},"
	             "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"get\",\"input\":{\"c\":\"a/b\"}},"
	             "{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"now\",\"input\":{}}],\"stop_reason\":\"tool_use\","
	             "\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}",
	             ANSWER_HEAD "null,\"refusal\":null,\"reasoning_content\":\"hm\",\"thinking_blocks\":[{\"type\":\"thinking\","
	             "\"thinking\":\"hm\",\"signature\":\"s\"}],\"tool_calls\":[{\"id\":\"toolu_1\",\"type\":\"function\",\"function\":"
	             "{\"name\":\"get\",\"arguments\":\"{\\\"c\\\":\\\"a/b\\\"}\"}},{\"id\":\"toolu_2\",\"type\":\"function\","
	             "\"function\":{\"name\":\"now\",\"arguments\":\"{}\"}}]},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],"
	             "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,\"prompt_tokens_details\":"
	             "{\"cached_tokens\":0},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0}}");
	/* hostile counts */
	check_answer("{\"id\":\"msg_01\",\"content\":[],\"stop_reason\":\"max_tokens\",\"usage\":{\"input_tokens\":"
	             "9223372036854775807,\"output_tokens\":-5}}",
	             ANSWER_HEAD "null,\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"length\"}],\"usage\":"
	             "{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0,\"prompt_tokens_details\":"
	             "{\"cached_tokens\":0},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0}}");
}

static void
test_bad_answers(void **state)
{
	static const char *const bad[] = {
		"", "null", "[]", "{", "{}", "{\"content\":null}", "{\"content\":\"x\"}", "{\"type\":\"error\"}", "<html>",
		"{\"content\":[]}", "{\"choices\":[{\"message\":{}}]}",
	};
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 0);
	for (size_t i = 0; i < HALE_COUNT(bad); i++) {
		const char *why = NULL;

		assert_false(provider_anthropic_op[MODE_CHAT].essential(bad[i], strlen(bad[i]), &why));
		assert_non_null(why);
		if (strcmp(bad[i], "{\"content\":[]}") != 0)
			assert_int_equal(xlate()->response("m", bad[i], strlen(bad[i]), &out), HALE_EINVAL);
	}
	strbuf_release(&out);
}

static void
check_error(const char *body, const char *message, const char *type)
{
	struct strbuf out;
	const char *got = NULL;
	int rc;

	strbuf_init(&out, 0);
	rc = xlate()->error(500, body, strlen(body), &out, &got);
	assert_int_equal(rc, message ? 0 : HALE_EINVAL);
	if (message) {
		assert_string_equal(strbuf_str(&out), message);
		assert_string_equal(got, type);
	}
	strbuf_release(&out);
}

static void
test_errors(void **state)
{
	(void)state;
	check_error("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},\"request_id\":\"r\"}",
	            "Overloaded", "server_error");
	check_error("{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}\n",
	            "invalid x-api-key", "authentication_error");
	check_error("{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":\"big\"}}", "big",
	            "invalid_request_error");
	check_error("{\"error\":\"text\"}", NULL, NULL);
	check_error("<html>502</html>", NULL, NULL);
	check_error("", NULL, NULL);
}

/* --- streams --- */

/* A recorded stream: text, a tool call in pieces, one without arguments, pings, a comment, CRLF lines. */
static const char stream_in[] =
	": comment\n\n"
	"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"type\":\"message\",\"role\":"
	"\"assistant\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n"
	"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
	"event: ping\r\ndata: {\"type\": \"ping\"}\r\n\r\n"
	"event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"H\xc3\xa9\"}}\r\n\r\n"
	"data:{\"type\":\"content_block_delta\",\"index\":0,\ndata: \"delta\":{\"type\":\"text_delta\",\"text\":\"llo\\n\"}}\n\n"
	"data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
	"data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"get\",\"input\":{}}}\n\n"
	"data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n"
	"data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"c\\\": \"}}\n\n"
	"data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}}\n\n"
	"data: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
	"data: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"now\",\"input\":{}}}\n\n"
	"data: {\"type\":\"content_block_stop\",\"index\":2}\n\n"
	"data: {\"type\":\"some_future_event\"}\n\n"
	"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":89}}\n\n"
	"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#define CHUNK "data: {\"id\":\"chatcmpl-msg_01\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"pub\",\"choices\":["
#define DELTA(d) CHUNK "{\"index\":0,\"delta\":{" d "},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"

static const char stream_out[] =
	DELTA("\"role\":\"assistant\",\"content\":\"\"")
	DELTA("\"content\":\"H\xc3\xa9\"")
	DELTA("\"content\":\"llo\\n\"")
	DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"toolu_1\",\"type\":\"function\",\"function\":{\"name\":\"get\",\"arguments\":\"\"}}]")
	DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"c\\\": \"}}]")
	DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]")
	DELTA("\"tool_calls\":[{\"index\":1,\"id\":\"toolu_2\",\"type\":\"function\",\"function\":{\"name\":\"now\",\"arguments\":\"\"}}]")
	DELTA("\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]")
	CHUNK "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],\"usage\":null}\n\n"
	CHUNK "],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":89,\"total_tokens\":114,\"prompt_tokens_details\":"
	"{\"cached_tokens\":0},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0}}\n\n"
	"data: [DONE]\n\n";

/* Feeds pieces of `step` bytes after a first one of `first`, each from a block of its exact size. */
static int
feed(bool usage, const char *in, size_t first, size_t step, struct strbuf *out, bool *done)
{
	struct xlate_stream *s = xlate()->stream_new("pub", usage);
	size_t len = strlen(in), at = 0;
	int rc = 0;

	*done = false;
	while (at < len && !rc) {
		size_t n = at == 0 ? first : step;
		char *piece;

		if (n > len - at)
			n = len - at;
		piece = xmalloc(n ? n : 1);
		memcpy(piece, in + at, n);
		rc = xlate()->stream_feed(s, piece, n, out, done);
		free(piece);
		at += n;
	}
	xlate()->stream_free(s);
	xlate_fixture_blank_created(out);
	return rc;
}

static void
test_stream_split(void **state)
{
	struct strbuf out;
	bool done;

	(void)state;
	for (size_t first = 1; first < sizeof(stream_in); first++) {
		strbuf_init(&out, 0);
		assert_int_equal(feed(true, stream_in, first, sizeof(stream_in), &out, &done), 0);
		assert_true(done);
		assert_string_equal(strbuf_str(&out), stream_out);
		strbuf_release(&out);
	}
	for (size_t step = 1; step < 40; step++) {
		strbuf_init(&out, 0);
		assert_int_equal(feed(true, stream_in, step, step, &out, &done), 0);
		assert_true(done);
		assert_string_equal(strbuf_str(&out), stream_out);
		strbuf_release(&out);
	}
}

static void
test_stream_forms(void **state)
{
	struct strbuf out;
	bool done;

	(void)state;
	/* no usage wanted: no usage member anywhere */
	strbuf_init(&out, 0);
	assert_int_equal(feed(false, stream_in, 50, 50, &out, &done), 0);
	assert_null(strstr(strbuf_str(&out), "usage"));
	assert_non_null(strstr(strbuf_str(&out), "\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"));
	strbuf_release(&out);
	/* thinking */
	strbuf_init(&out, 0);
	assert_int_equal(feed(false, "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n"
	                             "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"signature_delta\",\"signature\":\"x\"}}\n\n",
	                      9, 9, &out, &done), 0);
	assert_non_null(strstr(strbuf_str(&out), "{\"reasoning_content\":\"hm\"}"));
	assert_non_null(strstr(strbuf_str(&out), "{\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"x\"}]}"));
	assert_false(done);
	strbuf_release(&out);
	/* cut before message_stop: not done; an event without its empty line does not count */
	strbuf_init(&out, 0);
	assert_int_equal(feed(false, "data: {\"type\":\"message_stop\"}\n", 5, 5, &out, &done), 0);
	assert_false(done);
	assert_int_equal(out.len, 0);
	strbuf_release(&out);
	/* nothing after the end */
	strbuf_init(&out, 0);
	assert_int_equal(feed(false, "data: {\"type\":\"message_stop\"}\n\ndata: garbage\n\n", 99, 99, &out, &done), 0);
	assert_true(done);
	assert_null(strstr(strbuf_str(&out), "garbage"));
	strbuf_release(&out);
}

static void
test_stream_errors(void **state)
{
	static const char error[] = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Over\\\"loaded\"}}\n\n";
	struct xlate_stream *s;
	struct strbuf out;
	char *big;
	bool done;

	(void)state;
	strbuf_init(&out, 0);
	assert_int_equal(feed(false, error, 7, 7, &out, &done), 0);
	assert_false(done);
	assert_string_equal(strbuf_str(&out), "data: {\"error\":{\"message\":\"Over\\\"loaded\",\"type\":\"server_error\",\"param\":null,"
	                                      "\"code\":\"overloaded_error\"}}\n\n");
	strbuf_release(&out);
	strbuf_init(&out, 0);
	assert_int_equal(feed(false, "data: {oops\n\n", 3, 3, &out, &done), HALE_EINVAL);
	assert_int_equal(feed(false, "data: [1]\n\n", 3, 3, &out, &done), HALE_EINVAL);
	strbuf_release(&out);
	/* an endless line, and an endless event of short lines */
	big = xcalloc(1, (1u << 20) + 1);
	memset(big, 'x', 1u << 20);
	for (int lines = 0; lines < 2; lines++) {
		int rc = 0;

		memcpy(big, "data: ", 6);
		if (lines)
			big[(1u << 20) - 1] = '\n';
		s = xlate()->stream_new("m", false);
		strbuf_init(&out, 0);
		for (int i = 0; i < 8 && !rc; i++)
			rc = xlate()->stream_feed(s, big, 1u << 20, &out, &done);
		assert_int_equal(rc, HALE_ELIMIT);
		xlate()->stream_free(s);
		strbuf_release(&out);
	}
	free(big);
	xlate()->stream_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_thinking),
		cmocka_unit_test(test_tools),
		cmocka_unit_test(test_tool_choice),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_stream_split),
		cmocka_unit_test(test_stream_forms),
		cmocka_unit_test(test_stream_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

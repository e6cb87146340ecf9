/* gemini: OpenAI chat and embeddings to Gemini's form and back,
 * whole and streamed. JSON in here has ' for ". */
#include "hale/hale.h"

#include "hale/arena.h"
#include "hale/deployment.h"
#include "hale/embedding.h"
#include "hale/err.h"
#include "hale/strbuf.h"
#include "provider_impl.h"
#include "xlate_fixture.h"

static char *
json(const char *text)
{
	char *s = xstrdup(text);

	for (char *p = s; *p; p++)
		if (*p == '\'')
			*p = '"';
	return s;
}

static const struct provider_xlate *
xlate(enum mode mode)
{
	return provider_find("gemini", 6)->op[mode]->xlate;
}

static void
check(enum mode mode, const char *model, const char *openai, const char *want)
{
	char *in = json(openai), *text = json(want);

	xlate_fixture_check(xlate(mode), model, in, text);
	free(in);
	free(text);
}

static void
check_request(const char *openai, const char *want)
{
	check(MODE_CHAT, "gemini-2.5-flash", openai, want);
}

static void
check_refused(enum mode mode, const char *openai, const char *want)
{
	char *in = json(openai);

	xlate_fixture_refused(xlate(mode), "m", in, want);
	free(in);
}

#define ASK "'messages':[{'role':'user','content':'q'}]"
#define TURN "{'contents':[{'role':'user','parts':[{'text':'q'}]}]"

static void
test_messages(void **state)
{
	(void)state;
	check_request("{" ASK "}", TURN "}");
	/* neighbours of one role are one turn; system messages anywhere; empty text is left out */
	check_request("{'messages':[{'role':'system','content':'s'},{'role':'user','content':'a'},{'role':'developer',"
	              "'content':[{'type':'text','text':'t'}]},{'role':'user','content':[{'type':'text','text':'b'},{'type':"
	              "'text','text':''}]},{'role':'assistant','content':null},{'role':'assistant','content':[{'type':"
	              "'refusal','refusal':'no'}]}]}",
	              "{'contents':[{'role':'user','parts':[{'text':'a'},{'text':'b'}]},{'role':'model','parts':[{'text':"
	              "'no'}]}],'systemInstruction':{'parts':[{'text':'s'},{'text':'t'}]}}");
	/* a user turn comes first, and there must be one */
	check_request("{'messages':[{'role':'assistant','content':'x'}]}",
	              "{'contents':[{'role':'user','parts':[{'text':'Please continue.'}]},{'role':'model','parts':[{'text':"
	              "'x'}]}]}");
	check_request("{'messages':[{'role':'system','content':'s'}]}",
	              "{'contents':[{'role':'user','parts':[{'text':'Please continue.'}]}],'systemInstruction':{'parts':"
	              "[{'text':'s'}]}}");
	check_request("{'messages':[{'role':'user','content':'a/\\u00e9\\u0000b'}]}",
	              "{'contents':[{'role':'user','parts':[{'text':'a/\xc3\xa9\\u0000b'}]}]}");
}

static void
test_media(void **state)
{
	(void)state;
	check_request("{'messages':[{'role':'user','content':["
	              "{'type':'image_url','image_url':'data:image/png;base64,iVBO'},"
	              "{'type':'image_url','image_url':{'url':'http://h/a.b/c.WEBP#x'}},"
	              "{'type':'image_url','image_url':{'url':'https://h/a','format':'image/gif'}},"
	              "{'type':'file','file':{'file_data':'data:application/pdf;base64,JVBE'}},"
	              "{'type':'file','file':{'file_id':'https://h/v1beta/files/abc'}},"
	              "{'type':'input_audio','input_audio':{'data':'UklG','format':'wav'}}]}]}",
	              "{'contents':[{'role':'user','parts':["
	              "{'inlineData':{'mimeType':'image/png','data':'iVBO'}},"
	              "{'fileData':{'mimeType':'image/webp','fileUri':'http://h/a.b/c.WEBP#x'}},"
	              "{'fileData':{'mimeType':'image/gif','fileUri':'https://h/a'}},"
	              "{'inlineData':{'mimeType':'application/pdf','data':'JVBE'}},"
	              "{'fileData':{'fileUri':'https://h/v1beta/files/abc'}},"
	              "{'inlineData':{'mimeType':'audio/wav','data':'UklG'}}]}]}");
}

static void
test_calls(void **state)
{
	static const char turn[] =
		"{'messages':[{'role':'user','content':'w'},{'role':'assistant','tool_calls':["
		"{'id':'1','function':{'name':'f','arguments':'{\\'c\\':1}'},'provider_specific_fields':{'thought_signature':"
		"'s'}},{'id':'2','function':{'name':'g','arguments':' '}}]},{'role':'tool','tool_call_id':'2','content':[{'type':"
		"'text','text':'a'},{'type':'text','text':'b'}]},{'role':'tool','tool_call_id':'1','content':'[1]'}]}";
	static const char bare[] =
		"{'messages':[{'role':'user','content':'w'},{'role':'assistant','tool_calls':[{'id':'1','function':{'name':'f'}},"
		"{'id':'2','function':{'name':'g'}}]}]}";
	char text[sizeof(turn) + 8];

	(void)state;
	/* the quotes inside a string need a backslash, which json() leaves alone */
	snprintf(text, sizeof(text), "%s", turn);
	check_request(text,
	              "{'contents':[{'role':'user','parts':[{'text':'w'}]},{'role':'model','parts':[{'functionCall':{'name':"
	              "'f','args':{'c':1}},'thoughtSignature':'s'},{'functionCall':{'name':'g','args':{}}}]},{'role':'user',"
	              "'parts':[{'functionResponse':{'name':'g','response':{'output':'ab'}}},{'functionResponse':{'name':'f',"
	              "'response':{'output':'[1]'}}}]}]}");
	/* a call that another model made has no signature, and Gemini 3 wants one with the first */
	check(MODE_CHAT, "gemini-3-pro", bare,
	      "{'contents':[{'role':'user','parts':[{'text':'w'}]},{'role':'model','parts':[{'functionCall':{'name':'f',"
	      "'args':{}},'thoughtSignature':'skip_thought_signature_validator'},{'functionCall':{'name':'g','args':{}}}]}]}");
}

static void
check_schema(const char *schema, const char *want)
{
	struct strbuf in, out;

	strbuf_init(&in, 0);
	strbuf_init(&out, 0);
	strbuf_printf(&in, "{" ASK ",'response_format':{'type':'json_schema','json_schema':{'schema':%s}}}", schema);
	strbuf_printf(&out, TURN ",'generationConfig':{'responseMimeType':'application/json','responseSchema':%s}}", want);
	check_request(strbuf_str(&in), strbuf_str(&out));
	strbuf_release(&in);
	strbuf_release(&out);
}

static void
test_schema(void **state)
{
	(void)state;
	check_schema("{'type':'object','$schema':'x','additionalProperties':false,'title':'t','required':['a','no'],"
	             "'properties':{'a':{'type':'string','format':'email','minLength':1},'b':{'type':'string','format':"
	             "'date-time'},'c':{'type':'array'},'d':{'type':'integer','enum':[1,2],'exclusiveMinimum':0}}}",
	             "{'title':'t','type':'object','properties':{'a':{'minLength':1,'type':'string'},'b':{'format':"
	             "'date-time','type':'string'},'c':{'type':'array','items':{'type':'string'}},'d':{'type':'integer'}},"
	             "'required':['a']}");
	check_schema("{'enum':['x','',null]}", "{'nullable':true,'type':'string','enum':['x']}");
	check_schema("{'const':'x'}", "{'type':'string','enum':['x']}");
	check_schema("{'type':['null','integer']}", "{'nullable':true,'type':'integer'}");
	check_schema("{'type':['string','array','null']}",
	             "{'anyOf':[{'type':'string','nullable':true},{'type':'array','items':{'type':'string'},'nullable':true}]}");
	check_schema("{'description':'d','anyOf':[{'type':'null'},{'type':'string','maxLength':3}]}",
	             "{'description':'d','nullable':true,'maxLength':3,'type':'string'}");
	check_schema("{'description':'d','oneOf':[{'type':'integer'},{'type':'string'}]}",
	             "{'anyOf':[{'type':'integer'},{'type':'string'}]}");
	check_schema("{'allOf':[{'type':'object','properties':{'a':{'type':'string'}},'required':['a']},{'properties':{'b':"
	             "{'type':'string'}},'required':['b']}]}",
	             "{'type':'object','properties':{'a':{'type':'string'},'b':{'type':'string'}},'required':['a','b']}");
	check_schema("{'type':'array','prefixItems':[{'type':'number'}]}", "{'type':'array','items':{'type':'number'}}");
	/* a property may have any name */
	check_schema("{'type':'object','properties':{'required':{'type':'string'},'properties':{'type':'string'}}}",
	             "{'type':'object','properties':{'required':{'type':'string'},'properties':{'type':'string'}}}");
}

static void
test_schema_references(void **state)
{
	struct strbuf s;

	(void)state;
	check_schema("{'$ref':'#/$defs/T','$defs':{'T':{'type':'string','description':'of T'}},'description':'mine'}",
	             "{'description':'mine','type':'string'}");
	/* one that is inside itself ends */
	check_schema("{'type':'object','properties':{'l':{'type':'array','items':{'$ref':'#'}}}}",
	             "{'type':'object','properties':{'l':{'type':'array','items':{'type':'object','properties':{'l':{'type':"
	             "'array','items':{'type':'object','properties':{'l':{'type':'array','items':{'type':'object'}}}}}}}}}}");
	check_refused(MODE_CHAT, "{" ASK ",'response_format':{'type':'json_schema','json_schema':{'schema':{'$ref':'#/x'}}}}",
	              "a $ref of the schema points to nothing in it");
	/* thirty definitions, each twice in the one before: a thousand million nodes */
	strbuf_init(&s, 0);
	strbuf_puts(&s, "{" ASK ",'response_format':{'type':'json_schema','json_schema':{'schema':{'$ref':'#/d/t0','d':{");
	for (int i = 0; i < 30; i++)
		strbuf_printf(&s, "%s't%d':{'properties':{'a':{'$ref':'#/d/t%d'},'b':{'$ref':'#/d/t%d'}}}", i ? "," : "", i,
		              i + 1, i + 1);
	strbuf_puts(&s, ",'t30':{'type':'string'}}}}}}");
	check_refused(MODE_CHAT, strbuf_str(&s), "the schema is too large for this provider");
	strbuf_release(&s);
}

static void
check_config(const char *model, const char *members, const char *want)
{
	struct strbuf in, out;

	strbuf_init(&in, 0);
	strbuf_init(&out, 0);
	strbuf_printf(&in, "{" ASK "%s}", members);
	strbuf_printf(&out, TURN "%s}", want);
	check(MODE_CHAT, model, strbuf_str(&in), strbuf_str(&out));
	strbuf_release(&in);
	strbuf_release(&out);
}

static void
test_thinking(void **state)
{
	static const char *const cases[][3] = {
		{"gemini-2.5-flash", "'none'", "'thinkingBudget':0"},
		{"gemini-2.5-flash", "'minimal'", "'thinkingBudget':0"},
		{"gemini-2.5-flash", "{'effort':'medium'}", "'thinkingBudget':2048,'includeThoughts':true"},
		{"gemini-flash-latest", "'high'", "'thinkingBudget':4096,'includeThoughts':true"},
		{"gemini-2.5-pro", "'none'", "'thinkingBudget':128"},
		{"gemini-3-pro-preview", "'none'", "'thinkingLevel':'low'"},
		{"gemini-3-flash", "'high'", "'thinkingLevel':'high','includeThoughts':true"},
		{"gemini-2.0-flash", "'low'", NULL},
		{"gemini-2.5-flash", "'whatever'", NULL},
	};
	char in[128], want[160];

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		snprintf(in, sizeof(in), ",'reasoning_effort':%s", cases[i][1]);
		snprintf(want, sizeof(want), ",'generationConfig':{'thinkingConfig':{%s}}", cases[i][2]);
		check_config(cases[i][0], in, cases[i][2] ? want : "");
	}
	check_config("gemini-2.5-flash", ",'thinking':{'type':'enabled','budget_tokens':77}",
	             ",'generationConfig':{'thinkingConfig':{'thinkingBudget':77,'includeThoughts':true}}");
	check_config("gemini-2.5-flash", ",'thinking':{'type':'disabled'}",
	             ",'generationConfig':{'thinkingConfig':{'thinkingBudget':0}}");
}

static void
test_parameters(void **state)
{
	(void)state;
	check_config("m", ",'max_tokens':5,'max_completion_tokens':6,'stop':['a','b'],'n':2,'logit_bias':{},'user':'u'",
	             ",'generationConfig':{'maxOutputTokens':6,'stopSequences':['a','b'],'candidateCount':2}");
	check_config("m", ",'response_format':{'type':'json_object'},'safety_settings':[1],'cached_content':'c'",
	             ",'safetySettings':[1],'cachedContent':'c','generationConfig':{'responseMimeType':'application/json'}");
	check_config("m", ",'response_format':{'type':'text'},'modalities':['text'],'tools':[],'tool_choice':'auto'", "");
	check_config("m", ",'tools':[{'googleSearch':{}}],'tool_choice':'required'", ",'tools':[{'googleSearch':{}}]");
	/* a function without parameters; Gemini's own tools pass */
	check_config("m", ",'tools':[{'googleSearch':{}},{'type':'function','function':{'name':'f','parameters':{'type':"
	             "'object','properties':{}}}}],'tool_choice':{'type':'function','function':{'name':'f'}}",
	             ",'tools':[{'googleSearch':{}},{'functionDeclarations':[{'name':'f'}]}],'toolConfig':"
	             "{'functionCallingConfig':{'mode':'ANY','allowedFunctionNames':['f']}}");
}

#define PART(part) "{'messages':[{'role':'user','content':[" part "]}]}"

static void
test_refused(void **state)
{
	static const char *const cases[][2] = {
		{"{}", "messages must be an array"},
		{"{'messages':[]}", "messages have no content"},
		{"{'messages':[1]}", "a message needs a role"},
		{"{'messages':[{'role':'function','content':'x'}]}",
		 "message roles are system, developer, user, assistant and tool"},
		{"{'messages':[{'role':'user','content':5}]}", "message content must be a string or an array of parts"},
		{PART("{'type':'x'}"), "this provider takes content parts of type text, image_url, file and input_audio"},
		{PART("{'type':'text'}"), "a text part needs a text"},
		{PART("{'type':'image_url'}"), "image_url and file must be an http(s) or gs URL or a base64 data URL"},
		{PART("{'type':'image_url','image_url':'ftp://x/a.png'}"),
		 "image_url and file must be an http(s) or gs URL or a base64 data URL"},
		{PART("{'type':'image_url','image_url':'https://h.png/a'}"),
		 "the URL of an image or file does not show its type: add \"format\" with a media type"},
		{PART("{'type':'input_audio','input_audio':{}}"), "input_audio needs data and a format"},
		{"{'messages':[{'role':'tool','content':'x'}]}", "a tool message needs a tool_call_id"},
		{"{'messages':[{'role':'tool','tool_call_id':'x','content':'x'}]}",
		 "a tool message must answer a tool call of an earlier message"},
		{"{'messages':[{'role':'tool','tool_call_id':'x','name':'f','content':[{'type':'image_url'}]}]}",
		 "this provider takes tool results as text"},
		{"{'messages':[{'role':'assistant','tool_calls':[{'id':'a'}]}]}",
		 "a tool call needs an id and a function with a name"},
		{"{'messages':[{'role':'assistant','tool_calls':[{'id':'a','function':{'name':'f','arguments':'{'}}]}]}",
		 "the arguments of a tool call are not a JSON object"},
		{"{" ASK ",'n':0}", "this provider gives up to 8 choices: n must be 1 to 8"},
		{"{" ASK ",'logprobs':true}", "logprobs are not supported by this provider"},
		{"{" ASK ",'modalities':['text','image']}", "answers of this provider are text: modalities must be [\"text\"]"},
		{"{" ASK ",'functions':[]}", "functions are not supported by this provider, use tools"},
		{"{" ASK ",'max_tokens':0}", "max_tokens must be a positive integer"},
		{"{" ASK ",'stop':1}", "stop must be a string or an array of strings"},
		{"{" ASK ",'tools':{}}", "tools must be an array"},
		{"{" ASK ",'tools':[{'type':'function'}]}", "a tool needs a function with a name"},
		{"{" ASK ",'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':'x'}",
		 "tool_choice must be none, auto, required or name a function"},
		{"{" ASK ",'response_format':{'type':'json_schema'}}",
		 "response_format must be text, json_object or json_schema with a schema"},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++)
		check_refused(MODE_CHAT, cases[i][0], cases[i][1]);
	check_refused(MODE_EMBEDDING, "{'input':[1,2]}",
	              "input must be a text or a list of texts: this provider takes no token ids");
	check_refused(MODE_EMBEDDING, "{'input':[]}",
	              "input must be a text or a list of texts: this provider takes no token ids");
}

#define HEAD "{'id':'chatcmpl-r','object':'chat.completion','created':0,'model':'pub','choices':["
#define USAGE(p, c, t, r) \
	"'usage':{'prompt_tokens':" p ",'completion_tokens':" c ",'total_tokens':" t \
	",'prompt_tokens_details':{'cached_tokens':0},'completion_tokens_details':{'reasoning_tokens':" r "}}}"

static void
check_answer(const char *body, const char *want)
{
	char *in = json(body), *text = json(want);
	const char *why = NULL;
	struct strbuf out;

	strbuf_init(&out, 0);
	assert_true(provider_gemini_op[MODE_CHAT].essential(in, strlen(in), &why));
	assert_int_equal(xlate(MODE_CHAT)->response("pub", in, strlen(in), &out), 0);
	xlate_fixture_blank_created(&out);
	assert_string_equal(strbuf_str(&out), text);
	assert_true(provider_essential_message(strbuf_str(&out), out.len, &why));
	strbuf_release(&out);
	free(in);
	free(text);
}

static void
test_answers(void **state)
{
	(void)state;
	check_answer("{'candidates':[{'content':{'parts':[{'text':'t','thought':true},{'text':'a'},{'executableCode':{}},"
	             "{'text':'b'}]},'finishReason':'STOP'}],'usageMetadata':{'promptTokenCount':1,'candidatesTokenCount':2,"
	             "'thoughtsTokenCount':3,'totalTokenCount':6},'responseId':'r'}",
	             HEAD "{'index':0,'message':{'role':'assistant','content':'ab','refusal':null,'reasoning_content':'t'},"
	             "'logprobs':null,'finish_reason':'stop'}]," USAGE("1", "5", "6", "3"));
	check_answer("{'candidates':[{'content':{'parts':[{'functionCall':{'name':'f','args':{'a':'/'}},'thoughtSignature':'s'},"
	             "{'functionCall':{'name':'g','id':'own'}}]},'finishReason':'STOP'}],'responseId':'r'}",
	             HEAD "{'index':0,'message':{'role':'assistant','content':null,'refusal':null,'tool_calls':[{'id':"
	             "'call_r_0','type':'function','function':{'name':'f','arguments':'{\\'a\\':\\'/\\'}'},'extra_content':"
	             "{'google':{'thought_signature':'s'}},'provider_specific_fields':{'thought_signature':'s'}},{'id':'own',"
	             "'type':'function','function':{'name':'g','arguments':'{}'}}]},'logprobs':null,'finish_reason':"
	             "'tool_calls'}]," USAGE("0", "0", "0", "0"));
	/* hostile counts */
	check_answer("{'candidates':[{'finishReason':'MAX_TOKENS'}],'responseId':'r','usageMetadata':{'promptTokenCount':"
	             "9223372036854775807,'candidatesTokenCount':-5,'totalTokenCount':'x'}}",
	             HEAD "{'index':0,'message':{'role':'assistant','content':null,'refusal':null},'logprobs':null,"
	             "'finish_reason':'length'}]," USAGE("0", "0", "0", "0"));
	check_answer("{'promptFeedback':{'blockReason':'OTHER','blockReasonMessage':'no'},'responseId':'r'}",
	             HEAD "{'index':0,'message':{'role':'assistant','content':null,'refusal':'no'},'logprobs':null,"
	             "'finish_reason':'content_filter'}]," USAGE("0", "0", "0", "0"));
}

static void
test_finish(void **state)
{
	static const char *const words[][2] = {
		{"STOP", "stop"}, {"MAX_TOKENS", "length"}, {"SAFETY", "content_filter"}, {"RECITATION", "content_filter"},
		{"PROHIBITED_CONTENT", "content_filter"}, {"SPII", "content_filter"}, {"BLOCKLIST", "content_filter"},
		{"MALFORMED_FUNCTION_CALL", "stop"}, {"NEW_ONE", "stop"},
	};
	char in[128], want[64];

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(words); i++) {
		struct strbuf out;

		strbuf_init(&out, 0);
		snprintf(in, sizeof(in), "{\"candidates\":[{\"finishReason\":\"%s\"}]}", words[i][0]);
		snprintf(want, sizeof(want), "\"finish_reason\":\"%s\"", words[i][1]);
		assert_int_equal(xlate(MODE_CHAT)->response("m", in, strlen(in), &out), 0);
		assert_non_null(strstr(strbuf_str(&out), want));
		strbuf_release(&out);
	}
}

static void
test_bad_answers(void **state)
{
	static const char *const chat[] = {
		"", "null", "[]", "{", "{}", "{\"candidates\":[]}", "{\"candidates\":[{}]}", "<html>",
		"{\"candidates\":[{\"content\":{\"parts\":[]}}]}", "{\"choices\":[{\"message\":{}}]}", "{\"error\":{}}",
	};
	static const char *const embed[] = {"", "{}", "{\"embeddings\":[]}", "{\"embeddings\":[{\"values\":[]}]}",
	                                    "{\"embedding\":{\"values\":1}}"};
	struct strbuf out;
	const char *why;

	(void)state;
	strbuf_init(&out, 0);
	for (size_t i = 0; i < HALE_COUNT(chat); i++) {
		why = NULL;
		assert_false(provider_gemini_op[MODE_CHAT].essential(chat[i], strlen(chat[i]), &why));
		assert_non_null(why);
	}
	for (size_t i = 0; i < HALE_COUNT(embed); i++) {
		why = NULL;
		assert_false(provider_gemini_op[MODE_EMBEDDING].essential(embed[i], strlen(embed[i]), &why));
		assert_non_null(why);
		assert_int_equal(xlate(MODE_EMBEDDING)->response("m", embed[i], strlen(embed[i]), &out), HALE_EINVAL);
	}
	assert_int_equal(out.len, 0);
	strbuf_release(&out);
}

static void
test_errors(void **state)
{
	static const struct {
		int status;
		const char *body, *message, *type;
		int means;
	} cases[] = {
		{429, "{'error':{'code':429,'message':'slow','status':'RESOURCE_EXHAUSTED'}}", "slow", "rate_limit_error", 429},
		{503, "[{'error':{'code':503,'message':'busy'}}]", "busy", "server_error", 503},
		{400, "{'error':{'message':'bad'}}", "bad", "invalid_request_error", 400},
		{400, "{'error':{'message':'API key not valid. x'}}", "API key not valid. x", "authentication_error", 401},
		{400, "[{'error':{'message':'m','details':[{'reason':'x'},{'reason':'API_KEY_INVALID'}]}}]", "m",
		 "authentication_error", 401},
		{400, "not JSON", NULL, NULL, 400},
		{500, "{'error':'x'}", NULL, NULL, 500},
		{500, "[]", NULL, NULL, 500},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		char *body = json(cases[i].body);
		const char *type = NULL;
		struct strbuf out;
		int rc;

		strbuf_init(&out, 0);
		rc = xlate(MODE_CHAT)->error(cases[i].status, body, strlen(body), &out, &type);
		assert_int_equal(rc, cases[i].message ? 0 : HALE_EINVAL);
		assert_string_equal(strbuf_str(&out), cases[i].message ? cases[i].message : "");
		if (cases[i].type)
			assert_string_equal(type, cases[i].type);
		assert_int_equal(xlate(MODE_CHAT)->status(cases[i].status, body, strlen(body)), cases[i].means);
		strbuf_release(&out);
		free(body);
	}
}

/* Feeds in pieces of `step`; returns whether the end was a proper one. */
static bool
stream(const char *text, size_t step, bool usage, struct strbuf *out)
{
	const struct provider_xlate *x = xlate(MODE_CHAT);
	struct xlate_stream *s = x->stream_new("pub", usage);
	size_t len = strlen(text);
	bool done = false, ended = false;
	int rc = 0;

	for (size_t at = 0; at < len && !rc; at += step)
		rc = x->stream_feed(s, text + at, len - at < step ? len - at : step, out, &done);
	assert_false(done);
	ended = !rc && x->stream_end(s, out) == 0;
	x->stream_free(s);
	xlate_fixture_blank_created(out);
	return ended;
}

static void
check_stream(const char *events, bool usage, const char *want)
{
	char *in = json(events), *text = json(want);
	size_t steps[] = {1, 2, 7, 64, 100000};

	for (size_t i = 0; i < HALE_COUNT(steps); i++) {
		struct strbuf out;

		strbuf_init(&out, 0);
		assert_true(stream(in, steps[i], usage, &out));
		assert_string_equal(strbuf_str(&out), text);
		strbuf_release(&out);
	}
	free(in);
	free(text);
}

#define CHUNK(index, delta, finish) \
	"data: {'id':'chatcmpl-r','object':'chat.completion.chunk','created':0,'model':'pub','choices':[{'index':" index \
	",'delta':{" delta "},'logprobs':null,'finish_reason':" finish "}]}\n\n"
#define ROLE(index) CHUNK(index, "'role':'assistant','content':''", "null")

static void
test_streams(void **state)
{
	(void)state;
	check_stream("data: {'responseId':'r','candidates':[{'content':{'parts':[{'text':'h','thought':true},{'text':'a'}]}}]}"
	             "\r\n\r\n: comment\n\ndata: {'candidates':[{'content':{'parts':[{'text':''},{'functionCall':{'name':'f'}}]},"
	             "'finishReason':'STOP'}]}\n\n", false,
	             ROLE("0") CHUNK("0", "'reasoning_content':'h'", "null") CHUNK("0", "'content':'a'", "null")
	             CHUNK("0", "'tool_calls':[{'index':0,'id':'call_r_0','type':'function','function':{'name':'f',"
	                        "'arguments':'{}'}}]", "null")
	             CHUNK("0", "", "'tool_calls'") "data: [DONE]\n\n");
	/* two choices; the last event without its empty line */
	check_stream("data: {'responseId':'r','candidates':[{'content':{'parts':[{'text':'a'}]},'finishReason':'STOP'},"
	             "{'index':1,'content':{'parts':[{'text':'b'}]}}]}\n\ndata: {'candidates':[{'index':1,'finishReason':"
	             "'MAX_TOKENS'}]}", false,
	             ROLE("0") CHUNK("0", "'content':'a'", "null") ROLE("1") CHUNK("1", "'content':'b'", "null")
	             CHUNK("0", "", "'stop'") CHUNK("1", "", "'length'") "data: [DONE]\n\n");
	check_stream("data: {'responseId':'r','promptFeedback':{'blockReason':'SAFETY'},'usageMetadata':{'promptTokenCount':2}}"
	             "\n\n", true,
	             "data: {'id':'chatcmpl-r','object':'chat.completion.chunk','created':0,'model':'pub','choices':[{'index':0,"
	             "'delta':{'role':'assistant','content':''},'logprobs':null,'finish_reason':null}],'usage':null}\n\n"
	             "data: {'id':'chatcmpl-r','object':'chat.completion.chunk','created':0,'model':'pub','choices':[{'index':0,"
	             "'delta':{},'logprobs':null,'finish_reason':'content_filter'}],'usage':null}\n\n"
	             "data: {'id':'chatcmpl-r','object':'chat.completion.chunk','created':0,'model':'pub','choices':[],"
	             USAGE("2", "0", "2", "0") "\n\ndata: [DONE]\n\n");
}

static void
test_cut_streams(void **state)
{
	static const char *const cut[] = {
		"", "data: {}\n\n", "data: {'candidates':[]}\n\n", "data: {'candidates':[{'content':{'parts':[{'text':'a'}]}}]}\n\n",
		"data: {'candidates':[{'finishReason':'STOP'},{'index':1}]}\n\n", "data: {'candidates':[{'finishReason':'STOP'}",
		"data: {'candidates':[{'index':8,'finishReason':'STOP'}]}\n\n",
		"data: {'candidates':[{'index':-1,'finishReason':'STOP'}]}\n\n", "data: x\n\n", "data: [1]\n\n",
		"data: {'candidates':[{'finishReason':'STOP'}]}\n\ndata: {'error':{'code':503,'message':'m','status':'X'}}\n\n",
	};
	struct strbuf out;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cut); i++) {
		char *text = json(cut[i]);

		strbuf_init(&out, 0);
		assert_false(stream(text, 5, false, &out));
		assert_null(strstr(strbuf_str(&out), "[DONE]"));
		strbuf_release(&out);
		free(text);
	}
	strbuf_init(&out, 0);
	assert_false(stream("data: [{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}]\n\n", 9, false,
	                    &out));
	assert_string_equal(strbuf_str(&out), "data: {\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\",\"param\":null,"
	                                      "\"code\":\"RESOURCE_EXHAUSTED\"}}\n\n");
	strbuf_release(&out);
}

static void
test_embeddings(void **state)
{
	static const char answer[] = "{\"embeddings\":[{\"values\":[1,-0.5]},{\"values\":[2.5e-3]}]}";
	static const char want[] = "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[1,-0.5]},"
	                           "{\"object\":\"embedding\",\"index\":1,\"embedding\":[2.5e-3]}],\"model\":\"pub\",\"usage\":"
	                           "{\"prompt_tokens\":0,\"total_tokens\":0}}";
	struct strbuf out;

	(void)state;
	check(MODE_EMBEDDING, "e", "{'input':'a','encoding_format':'base64'}",
	      "{'requests':[{'model':'models/e','content':{'parts':[{'text':'a'}]}}]}");
	check(MODE_EMBEDDING, "tunedModels/e", "{'input':['a'],'dimensions':3,'input_type':'Search_Document','title':'t'}",
	      "{'requests':[{'model':'tunedModels/e','content':{'parts':[{'text':'a'}]},'taskType':'RETRIEVAL_DOCUMENT','title':"
	      "'t','outputDimensionality':3}]}");
	strbuf_init(&out, 0);
	assert_int_equal(xlate(MODE_EMBEDDING)->response("pub", answer, strlen(answer), &out), 0);
	assert_string_equal(strbuf_str(&out), want);
	/* 1.0f and -0.5f, least significant byte first */
	assert_int_equal(embedding_to_base64(&out), 0);
	assert_non_null(strstr(strbuf_str(&out), "\"embedding\":\"AACAPwAAAL8=\""));
	assert_int_equal(embedding_to_base64(&out), 0); /* again: as it was */
	assert_non_null(strstr(strbuf_str(&out), "\"embedding\":\"AACAPwAAAL8=\""));
	strbuf_clear(&out);
	strbuf_puts(&out, "{\"data\":[{\"embedding\":[1,\"x\"]}]}");
	assert_int_equal(embedding_to_base64(&out), HALE_EINVAL);
	strbuf_release(&out);
	assert_true(embedding_wants_base64("{\"encoding_format\": \"base64\"}", 29));
	assert_false(embedding_wants_base64("{\"encoding_format\":\"float\"}", 27));
	assert_false(embedding_wants_base64("{}", 2));
}

static void
test_addresses(void **state)
{
	static const char *const cases[][4] = {
		{"https://h", NULL, "m", "https://h/v1beta/models/m:generateContent"},
		{"https://h/", "v1alpha", "m", "https://h/v1alpha/models/m:generateContent"},
		{"https://h/v1", "v1alpha", "m", "https://h/v1/models/m:generateContent"},
		{"https://h/gw/v1beta/", NULL, "m", "https://h/gw/v1beta/models/m:generateContent"},
		{"https://h/v1beta/models", NULL, "m", "https://h/v1beta/models/m:generateContent"},
		{"https://h/v1beta/models/x:generateContent", NULL, "m", "https://h/v1beta/models/m:generateContent"},
		{"https://h/v1beta?a=b", NULL, "models/m", "https://h/v1beta/models/m:generateContent?a=b"},
		{"https://h", NULL, "tunedModels/a b", "https://h/v1beta/tunedModels/a%20b:generateContent"},
		{"https://h/voice", NULL, "m", "https://h/voice/v1beta/models/m:generateContent"},
	};
	const struct provider *p = provider_find("gemini", 6);
	struct deployment d = {.provider = p, .api_key = "k"};
	struct arena *a = arena_new(1024);
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		d.api_base = cases[i][0];
		d.api_version = cases[i][1];
		assert_int_equal(p->op[MODE_CHAT]->endpoint(a, p->op[MODE_CHAT], &d, cases[i][2], false, &e), 0);
		assert_string_equal(e.url, cases[i][3]);
		assert_string_equal(e.method, "POST");
		assert_int_equal(e.nheader, 1);
		assert_string_equal(e.header[0].name, "x-goog-api-key");
		assert_string_equal(e.header[0].value, "k");
	}
	d.api_base = "https://h?a=b";
	d.api_version = NULL;
	assert_int_equal(p->op[MODE_CHAT]->endpoint(a, p->op[MODE_CHAT], &d, "m", true, &e), 0);
	assert_string_equal(e.url, "https://h/v1beta/models/m:streamGenerateContent?a=b&alt=sse");
	assert_int_equal(p->op[MODE_EMBEDDING]->endpoint(a, p->op[MODE_EMBEDDING], &d, "m", false, &e), 0);
	assert_string_equal(e.url, "https://h/v1beta/models/m:batchEmbedContents?a=b");
	d.api_base = "https://h";
	p->op[MODE_IMAGE_GENERATION]->endpoint(a, p->op[MODE_IMAGE_GENERATION], &d, "imagen-4.0", false, &e);
	assert_string_equal(e.url, "https://h/v1beta/models/imagen-4.0:predict");
	p->op[MODE_IMAGE_GENERATION]->endpoint(a, p->op[MODE_IMAGE_GENERATION], &d, "gemini-2.5-flash-image", false, &e);
	assert_string_equal(e.url, "https://h/v1beta/models/gemini-2.5-flash-image:generateContent");
	arena_freep(&a);
}

static void
check_image(const char *model, const char *openai, const char *want)
{
	check(MODE_IMAGE_GENERATION, model, openai, want);
}

static void
test_images(void **state)
{
	static const char *const refused[][2] = {
		{"{}", "prompt must be a string"},
		{"{'prompt':'p','n':2}", "this model gives one image: n must be 1"},
		{"{'prompt':'p','size':'1x1'}",
		 "size must be auto, 1024x1024, 1792x1024, 1024x1792, 1536x1024, 1024x1536, 1280x896 or 896x1280"},
		{"{'prompt':'p','response_format':'url'}", "this provider gives images as b64_json, not as url"},
		{"{'prompt':'p','stream':true}", "this provider does not stream images"},
	};

	(void)state;
	check_image("imagen-4.0-generate-001", "{'prompt':'p'}", "{'instances':[{'prompt':'p'}],'parameters':{'sampleCount':1}}");
	check_image("imagen-4.0-generate-001", "{'prompt':'p','n':4,'size':'1024x1792','response_format':'b64_json'}",
	            "{'instances':[{'prompt':'p'}],'parameters':{'sampleCount':4,'aspectRatio':'9:16'}}");
	check_image("gemini-2.5-flash-image", "{'prompt':'p','size':'16:9'}",
	            "{'contents':[{'role':'user','parts':[{'text':'p'}]}],'generationConfig':{'responseModalities':['TEXT',"
	            "'IMAGE'],'imageConfig':{'aspectRatio':'16:9'}}}");
	for (size_t i = 0; i < HALE_COUNT(refused); i++)
		check_refused(MODE_IMAGE_GENERATION, refused[i][0], refused[i][1]);
	xlate_fixture_refused(xlate(MODE_IMAGE_GENERATION), "imagen-3", "{\"prompt\":\"p\",\"n\":5}",
	                      "this provider gives up to 4 images: n must be 1 to 4");
}

static void
test_image_answers(void **state)
{
	static const struct {
		const char *body, *data; /* NULL: none */
		bool alive;
		int status;
		const char *message;
	} cases[] = {
		{"{'predictions':[{'bytesBase64Encoded':'AA=='},{'raiFilteredReason':'x'},{'bytesBase64Encoded':'AQ=='}]}",
		 "{'b64_json':'AA=='},{'b64_json':'AQ=='}", true, 200, NULL},
		{"{'candidates':[{'content':{'parts':[{'text':'here'},{'inlineData':{'data':'AA=='}}]}}]}",
		 "{'b64_json':'AA=='}", true, 200, NULL},
		{"{'predictions':[{'raiFilteredReason':'too much'}]}", NULL, true, 400, "no image was made: too much"},
		{"{'candidates':[{'finishReason':'IMAGE_SAFETY'}]}", NULL, true, 400, "no image was made: IMAGE_SAFETY"},
		{"{'promptFeedback':{'blockReason':'OTHER'}}", NULL, true, 400, "no image was made: OTHER"},
		{"{'predictions':[]}", NULL, false, 200, NULL},
		{"{'predictions':[{'bytesBase64Encoded':''}]}", NULL, false, 200, NULL},
		{"{'data':[{'url':'x'}]}", NULL, false, 200, NULL},
		{"", NULL, false, 200, NULL},
	};
	const struct provider_op *op = &provider_gemini_op[MODE_IMAGE_GENERATION];

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		char *body = json(cases[i].body), *data = cases[i].data ? json(cases[i].data) : NULL;
		const char *why = NULL, *type = NULL;
		struct strbuf out;

		strbuf_init(&out, 0);
		assert_int_equal(op->essential(body, strlen(body), &why), cases[i].alive);
		assert_int_equal(op->xlate->status(200, body, strlen(body)), cases[i].status);
		assert_int_equal(op->xlate->response("m", body, strlen(body), &out), data ? 0 : HALE_EINVAL);
		if (data)
			assert_non_null(strstr(strbuf_str(&out), data));
		strbuf_clear(&out);
		if (cases[i].message) {
			assert_int_equal(op->xlate->error(400, body, strlen(body), &out, &type), 0);
			assert_string_equal(strbuf_str(&out), cases[i].message);
			assert_string_equal(type, "invalid_request_error");
		}
		strbuf_release(&out);
		free(data);
		free(body);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),    cmocka_unit_test(test_media),
		cmocka_unit_test(test_calls),       cmocka_unit_test(test_schema),
		cmocka_unit_test(test_schema_references), cmocka_unit_test(test_thinking),
		cmocka_unit_test(test_parameters),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_answers),     cmocka_unit_test(test_finish),
		cmocka_unit_test(test_bad_answers), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_streams),     cmocka_unit_test(test_cut_streams),
		cmocka_unit_test(test_embeddings),  cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_images),      cmocka_unit_test(test_image_answers),
	};

	return cmocka_run_group_tests_name("gemini", tests, NULL, NULL);
}

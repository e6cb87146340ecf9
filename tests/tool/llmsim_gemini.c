/* Gemini: /v1beta/models/<m>:generateContent, :streamGenerateContent?alt=sse,
 * :batchEmbedContents, :embedContent, and Imagen's :predict, which is the "completion"
 * here: a prompt, and one picture of one pixel.
 *
 * The model and what is done with it stand in the path, and so does the wish for a stream. Like Google it
 * refuses names that it does not know. A stream has no last event of its own: the one with the
 * finishReason is left out by no_terminator.
 */
#include "hale/hale.h"

#include "llmsim.h"

static bool
llmsim_gemini_skip(struct llmsim_span *s, const char *prefix)
{
	if (!llmsim_span_starts(*s, prefix))
		return false;
	s->p += strlen(prefix);
	s->len -= strlen(prefix);
	return true;
}

/* The value of key= in the query. */
static struct llmsim_span
llmsim_gemini_query_key(struct llmsim_span query)
{
	const char *p = query.p, *end = query.p + query.len, *stop;

	while (p && p < end) {
		stop = memchr(p, '&', (size_t)(end - p));
		if (!stop)
			stop = end;
		if (stop - p > 4 && memcmp(p, "key=", 4) == 0)
			return (struct llmsim_span){p + 4, (size_t)(stop - p) - 4};
		p = stop + 1;
	}
	return (struct llmsim_span){NULL, 0};
}

bool
llmsim_gemini_route(struct llmsim_request *r)
{
	struct llmsim_span rest = r->path, verb;
	const char *colon;

	if (!llmsim_gemini_skip(&rest, "/v1beta/") && !llmsim_gemini_skip(&rest, "/v1alpha/") &&
	    !llmsim_gemini_skip(&rest, "/v1/"))
		return false;
	colon = memchr(rest.p, ':', rest.len);
	if (!colon)
		return false;
	r->api = LLMSIM_GEMINI;
	r->op = LLMSIM_UNKNOWN;
	if (!r->key.p)
		r->key = llmsim_gemini_query_key(r->query);
	if (!llmsim_gemini_skip(&rest, "models/") && !llmsim_gemini_skip(&rest, "tunedModels/"))
		return true;
	r->deployment = (struct llmsim_span){rest.p, (size_t)(colon - rest.p)};
	if (r->deployment.len == 0 || memchr(r->deployment.p, '/', r->deployment.len))
		return true;
	verb = (struct llmsim_span){colon + 1, rest.len - r->deployment.len - 1};
	r->stream = llmsim_span_is(verb, "streamGenerateContent");
	if (llmsim_span_is(verb, "generateContent") ||
	    (r->stream && r->query.p && memmem(r->query.p, r->query.len, "alt=sse", 7)))
		r->op = LLMSIM_CHAT;
	else if (llmsim_span_is(verb, "batchEmbedContents") || llmsim_span_is(verb, "embedContent"))
		r->op = LLMSIM_EMBEDDING;
	else if (llmsim_span_is(verb, "predict"))
		r->op = LLMSIM_COMPLETION;
	return true;
}

/* The whole number behind a name; -1: none. */
static int64_t
llmsim_gemini_number(struct llmsim_span v, const char *quoted_name)
{
	const char *p = memmem(v.p, v.len, quoted_name, strlen(quoted_name)), *end = v.p + v.len;
	int64_t n = 0;

	if (!p)
		return -1;
	p += strlen(quoted_name);
	while (p < end && (*p == ' ' || *p == ':'))
		p++;
	if (p == end || *p < '0' || *p > '9')
		return -1;
	for (; p < end && *p >= '0' && *p <= '9' && n < INT32_MAX; p++)
		n = n * 10 + (*p - '0');
	return n;
}

bool
llmsim_gemini_member(struct llmsim_request *r, struct llmsim_span name, struct llmsim_span v)
{
	static const char *const known[] = {"systemInstruction", "tools", "toolConfig", "safetySettings", "cachedContent",
	                                    "model", "content", "taskType", "title", "outputDimensionality",
	                                    "parameters"};

	if (r->api != LLMSIM_GEMINI)
		return false;
	if (llmsim_span_is(name, "contents")) {
		r->messages = v;
	} else if (llmsim_span_is(name, "requests") || llmsim_span_is(name, "content")) {
		r->input = v;
		r->dimensions = llmsim_gemini_number(v, "\"outputDimensionality\"");
	} else if (llmsim_span_is(name, "instances")) {
		r->prompt = v;
	} else if (llmsim_span_is(name, "generationConfig")) {
		r->max_tokens = llmsim_gemini_number(v, "\"maxOutputTokens\"");
	} else {
		for (size_t i = 0; i < HALE_COUNT(known); i++)
			if (llmsim_span_is(name, known[i]))
				return true;
		r->unknown = name;
	}
	return true;
}

const char *
llmsim_gemini_check(const struct llmsim_request *r)
{
	static const char *const refused[] = {"\"additionalProperties\"", "\"$schema\"", "\"$ref\"",
	                                      "\"$defs\""};

	for (size_t i = 0; i < HALE_COUNT(refused); i++)
		if (memmem(r->body.p, r->body.len, refused[i], strlen(refused[i])))
			return "Invalid JSON payload received. Unknown name in a schema: Cannot find field.";
	if (r->unknown.p)
		return "Invalid JSON payload received. Unknown name: Cannot find field.";
	if (r->op == LLMSIM_EMBEDDING)
		return r->input.p ? NULL : "* BatchEmbedContentsRequest.requests: contents is not specified";
	if (r->op == LLMSIM_COMPLETION)
		return r->prompt.p ? NULL : "* PredictRequest.instances: instances is not specified";
	return r->messages.p ? NULL : "* GenerateContentRequest.contents: contents is not specified";
}

void
llmsim_gemini_error(int status, const char *message, struct strbuf *out)
{
	static const struct {
		int status;
		const char *word;
	} words[] = {
		{400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"}, {403, "PERMISSION_DENIED"}, {404, "NOT_FOUND"},
		{408, "DEADLINE_EXCEEDED"}, {429, "RESOURCE_EXHAUSTED"}, {500, "INTERNAL"}, {503, "UNAVAILABLE"},
		{504, "DEADLINE_EXCEEDED"},
	};
	const char *word = "UNKNOWN";

	for (size_t i = 0; i < HALE_COUNT(words); i++)
		if (words[i].status == status)
			word = words[i].word;
	strbuf_printf(out, "{\"error\":{\"code\":%d,\"message\":", status);
	strbuf_json_string(out, message);
	strbuf_printf(out, ",\"status\":\"%s\"", word);
	if (status == 429)
		strbuf_puts(out, ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
		                 "\"retryDelay\":\"34s\"}]");
	strbuf_puts(out, "}}");
}

static void
llmsim_gemini_tail(const struct llmsim_reply *rep, uint64_t tokens, struct strbuf *out)
{
	llmsim_text(out,
	            "],\"usageMetadata\":{\"promptTokenCount\":%u,\"candidatesTokenCount\":%u,\"totalTokenCount\":%u},"
	            "\"modelVersion\":\"%s\",\"responseId\":\"g%i\"}",
	            rep->prompt_tokens, tokens, rep->prompt_tokens + tokens, rep->model, rep->serial);
}

/* Pieces first .. first + n - 1 of the answer as one candidate. */
static void
llmsim_gemini_candidate(const struct llmsim_reply *rep, unsigned first, unsigned n, bool last,
                        struct strbuf *out)
{
	strbuf_puts(out, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"");
	llmsim_text_fill(first, n, rep->chunk_bytes, out);
	strbuf_puts(out, "\"}],\"role\":\"model\"}");
	if (last)
		llmsim_text(out, ",\"finishReason\":\"%s\"", rep->truncated ? "MAX_TOKENS" : "STOP");
	strbuf_puts(out, ",\"index\":0}");
	llmsim_gemini_tail(rep, first + n, out);
}

void
llmsim_gemini_whole(const struct llmsim_reply *rep, struct strbuf *out)
{
	if (rep->op == LLMSIM_CHAT) {
		llmsim_gemini_candidate(rep, 0, (unsigned)rep->tokens, true, out);
		return;
	}
	if (rep->op == LLMSIM_COMPLETION) {
		strbuf_puts(out, "{\"predictions\":[{\"mimeType\":\"image/gif\",\"bytesBase64Encoded\":"
		                 "\"R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=\"}]}");
		return;
	}
	strbuf_puts(out, "{\"embeddings\":[");
	for (unsigned i = 0; i < rep->inputs; i++) {
		strbuf_puts(out, i ? ",{\"values\":" : "{\"values\":");
		llmsim_reply_vector(rep, i, out);
		strbuf_putc(out, '}');
	}
	strbuf_puts(out, "]}");
}

unsigned
llmsim_gemini_events(const struct llmsim_reply *rep, bool terminator)
{
	return (unsigned)rep->tokens + terminator;
}

void
llmsim_gemini_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	bool last = n >= rep->tokens;

	strbuf_puts(out, "data: ");
	llmsim_gemini_candidate(rep, n, !last, last, out);
	strbuf_puts(out, "\r\n\r\n");
}

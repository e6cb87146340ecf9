/* What the upstream says: bodies, headers and errors in the words of OpenAI, Azure and Anthropic; Gemini and
 * Bedrock have files of their own. */
#include "hale/hale.h"

#include "llmsim.h"

#include <openssl/evp.h>

#define LLMSIM_TOKENS_DEFAULT 8
#define LLMSIM_DIMENSIONS_DEFAULT 256
#define LLMSIM_DIMENSIONS_MAX 4096
#define LLMSIM_INPUTS_MAX 2048

static const struct {
	int status;
	const char *openai_type, *openai_code, *anthropic_type, *message;
} llmsim_error[] = {
	{400, "invalid_request_error", NULL, "invalid_request_error", "The request is not valid."},
	{401, "invalid_request_error", "invalid_api_key", "authentication_error",
	 "Incorrect API key provided."},
	{402, "insufficient_quota", "insufficient_quota", "billing_error", "The account has no funds left."},
	{403, "invalid_request_error", "permission_denied", "permission_error",
	 "You may not use this resource."},
	{404, "invalid_request_error", "model_not_found", "not_found_error",
	 "The model does not exist or you do not have access to it."},
	{405, "invalid_request_error", "method_not_supported", "invalid_request_error",
	 "Not allowed with this method."},
	{408, "timeout", "timeout", "timeout_error", "The request took too long."},
	{413, "invalid_request_error", "request_too_large", "request_too_large", "The request is too large."},
	{429, "requests", "rate_limit_exceeded", "rate_limit_error", "Rate limit reached for requests."},
	{500, "server_error", NULL, "api_error", "The server had an error while processing your request."},
	{503, "server_error", "overloaded", "overloaded_error",
	 "The engine is currently overloaded, please try again later."},
	{529, "server_error", "overloaded", "overloaded_error", "Overloaded"},
};

void
llmsim_reply_error(const struct llmsim_reply *rep, int status, const char *message, const char *param,
                   const char *code, struct strbuf *out)
{
	size_t i, best = status >= 500 ? 9 : 0; /* 500 and 400 speak for their class */

	for (i = 0; i < HALE_COUNT(llmsim_error); i++)
		if (llmsim_error[i].status == status)
			best = i;
	if (!message)
		message = llmsim_error[best].message;
	if (rep->service && rep->service->error) {
		rep->service->error(rep, message, out);
		return;
	}
	if (rep->api == LLMSIM_GEMINI) {
		llmsim_gemini_error(status, message, out);
		return;
	}
	if (rep->api == LLMSIM_BEDROCK) {
		strbuf_puts(out, "{\"message\":");
		strbuf_json_string(out, message);
		strbuf_putc(out, '}');
		return;
	}
	if (rep->api == LLMSIM_ANTHROPIC) {
		llmsim_text(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
		            llmsim_error[best].anthropic_type);
		strbuf_json_string(out, message);
		llmsim_text(out, "},\"request_id\":\"req_%i\"}", rep->serial);
		return;
	}
	strbuf_puts(out, "{\"error\":{\"message\":");
	strbuf_json_string(out, message);
	if (rep->api == LLMSIM_AZURE && !param && !code) {
		strbuf_printf(out, ",\"code\":\"%d\"}}", status);
		return;
	}
	llmsim_text(out, ",\"type\":\"%s\",\"param\":", llmsim_error[best].openai_type);
	strbuf_json_string(out, param);
	strbuf_puts(out, ",\"code\":");
	strbuf_json_string(out, code ? code : llmsim_error[best].openai_code);
	strbuf_puts(out, "}}");
}

void
llmsim_reply_usage(const struct llmsim_reply *rep, struct strbuf *out)
{
	if (rep->api == LLMSIM_ANTHROPIC)
		llmsim_text(
		    out,
		    "{\"input_tokens\":%u,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
		    "\"output_tokens\":%u}",
		    rep->prompt_tokens, rep->tokens);
	else if (rep->op == LLMSIM_EMBEDDING)
		llmsim_text(out, "{\"prompt_tokens\":%u,\"total_tokens\":%u}", rep->prompt_tokens,
		            rep->prompt_tokens);
	else
		llmsim_text(
		    out,
		    "{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
		    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
		    "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
		    "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
		    rep->prompt_tokens, rep->tokens, rep->prompt_tokens + rep->tokens);
}

static void
llmsim_reply_chat(const struct llmsim_reply *rep, struct strbuf *out)
{
	if (rep->api == LLMSIM_ANTHROPIC) {
		llmsim_text(out,
		            "{\"id\":\"msg_%i\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%s\","
		            "\"content\":[{\"type\":\"text\",\"text\":\"",
		            rep->serial, rep->model);
		llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, out);
		llmsim_text(out, "\"}],\"stop_reason\":\"%s\",\"stop_sequence\":null,\"usage\":",
		            rep->truncated ? "max_tokens" : "end_turn");
		llmsim_reply_usage(rep, out);
		strbuf_putc(out, '}');
		return;
	}
	llmsim_text(out,
	            "{\"id\":\"chatcmpl-%i\",\"object\":\"chat.completion\",\"created\":%u,\"model\":\"%s\","
	            "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"",
	            rep->serial, rep->created, rep->model);
	llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, out);
	llmsim_text(out,
	            "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,%s\"finish_reason\":\"%s\"}],"
	            "\"usage\":",
	            rep->api == LLMSIM_AZURE
	                ? "\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}},"
	                : "",
	            rep->truncated ? "length" : "stop");
	llmsim_reply_usage(rep, out);
	strbuf_puts(out, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_llmsim\"}");
}

static void
llmsim_reply_completion(const struct llmsim_reply *rep, struct strbuf *out)
{
	llmsim_text(out,
	            "{\"id\":\"cmpl-%i\",\"object\":\"text_completion\",\"created\":%u,\"model\":\"%s\","
	            "\"choices\":[{\"text\":\"",
	            rep->serial, rep->created, rep->model);
	llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, out);
	llmsim_text(out, "\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":",
	            rep->truncated ? "length" : "stop");
	llmsim_reply_usage(rep, out);
	strbuf_putc(out, '}');
}

/* The vectors are fixed by the index of the input, so that a test can tell them apart. */
void
llmsim_reply_vector(const struct llmsim_reply *rep, unsigned index, struct strbuf *out)
{
	float v[LLMSIM_DIMENSIONS_MAX];
	unsigned char text[(sizeof(v) + 2) / 3 * 4 + 1];
	unsigned n = rep->dimensions;

	for (unsigned i = 0; i < n; i++)
		v[i] = (float)((int)((i * 37 + index * 11) % 201) - 100) / 1024;
	if (rep->base64) {
		int len = EVP_EncodeBlock(text, (const unsigned char *)v, (int)(n * sizeof(v[0])));

		strbuf_putc(out, '"');
		strbuf_add(out, text, (size_t)len);
		strbuf_putc(out, '"');
		return;
	}
	for (unsigned i = 0; i < n; i++)
		strbuf_printf(out, "%s%.9g", i ? "," : "[", (double)v[i]);
	strbuf_putc(out, ']');
}

static void
llmsim_reply_embedding(const struct llmsim_reply *rep, struct strbuf *out)
{
	strbuf_puts(out, "{\"object\":\"list\",\"data\":[");
	for (unsigned i = 0; i < rep->inputs; i++) {
		strbuf_printf(out, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":", i ? "," : "",
		              i);
		llmsim_reply_vector(rep, i, out);
		strbuf_putc(out, '}');
	}
	llmsim_text(out, "],\"model\":\"%s\",\"usage\":", rep->model);
	llmsim_reply_usage(rep, out);
	strbuf_putc(out, '}');
}

static void
llmsim_reply_models(const struct llmsim_reply *rep, struct strbuf *out)
{
	static const char *const openai[] = {"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"};

	if (rep->api == LLMSIM_ANTHROPIC) {
		strbuf_puts(out, "{\"data\":[{\"type\":\"model\",\"id\":\"claude-sim\","
		                 "\"display_name\":\"Claude Sim\",\"created_at\":\"2025-01-01T00:00:00Z\"}],"
		                 "\"has_more\":false,"
		                 "\"first_id\":\"claude-sim\","
		                 "\"last_id\":\"claude-sim\"}");
		return;
	}
	strbuf_puts(out, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < HALE_COUNT(openai); i++)
		strbuf_printf(
		    out,
		    "%s{\"id\":\"%s\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"llmsim\"}",
		    i ? "," : "", openai[i]);
	strbuf_puts(out, "]}");
}

/* Elements of the top level of a list; a list of numbers is one input (token ids), and so is a text. */
static unsigned
llmsim_reply_inputs(struct llmsim_span v)
{
	unsigned n = 1, depth = 0;
	bool text = false, scalars = true;

	if (v.len == 0 || v.p[0] != '[')
		return 1;
	for (size_t i = 1; i + 1 < v.len; i++) {
		char c = v.p[i];

		if (text) {
			if (c == '\\')
				i++;
			else if (c == '"')
				text = false;
			continue;
		}
		if (c == '"') {
			text = true;
			scalars = false;
		} else if (c == '[' || c == '{') {
			depth++;
			scalars = false;
		} else if (c == ']' || c == '}') {
			depth--;
		} else if (c == ',' && depth == 0) {
			n++;
		}
	}
	if (scalars)
		return 1;
	return n < LLMSIM_INPUTS_MAX ? n : LLMSIM_INPUTS_MAX;
}

/* What a real upstream checks first. NULL: fine; else the message, with *param set. */
static const char *
llmsim_reply_check(const struct llmsim_request *r, const char **param)
{
	*param = NULL;
	if (!r->valid)
		return "We could not parse the JSON body of your request. (HINT: This likely means you "
		       "aren't using your HTTP library correctly. The API expects a JSON payload, but what "
		       "was sent was not valid JSON.)";
	if (r->api == LLMSIM_GEMINI)
		return llmsim_gemini_check(r);
	if (r->api == LLMSIM_BEDROCK)
		return llmsim_bedrock_check(r);
	if (r->api == LLMSIM_ANTHROPIC) {
		if (!r->version.p)
			return "anthropic-version: header is required";
		if (!r->model.p)
			return "model: Field required";
		if (r->max_tokens < 0 && r->op == LLMSIM_CHAT)
			return "max_tokens: Field required";
		return r->messages.p ? NULL : "messages: Field required";
	}
	if (!r->model.p && r->api == LLMSIM_OPENAI)
		return "you must provide a model parameter";
	*param = r->op == LLMSIM_CHAT ? "messages" : r->op == LLMSIM_EMBEDDING ? "input" : "prompt";
	if (r->op == LLMSIM_CHAT)
		return r->messages.p ? NULL : "Missing required parameter: 'messages'.";
	if (r->op == LLMSIM_EMBEDDING)
		return r->input.p ? NULL : "Missing required parameter: 'input'.";
	return r->prompt.p ? NULL : "Missing required parameter: 'prompt'.";
}

/* Answers that do not depend on what was asked. true: done. */
static bool
llmsim_reply_fault(const struct llmsim_request *r, const struct llmsim_fault *f, struct llmsim_reply *rep,
                   struct strbuf *body)
{
	static const char garbage[] = "<html>\xff\xfe{{{ \"choices\": not JSON at all \x01\x02\n";

	if (!f)
		return false;
	if (f->min_tokens || f->require_completion_tokens)
		rep->status = f->status ? (uint64_t)f->status : 400;
	else if (f->status)
		rep->status = (uint64_t)f->status;
	if (f->body) {
		strbuf_puts(body, f->body);
	} else if (f->require_completion_tokens) {
		llmsim_reply_error(
		    rep, (int)rep->status,
		    "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
		    "'max_completion_tokens' instead.",
		    "max_tokens", "unsupported_parameter", body);
	} else if (f->min_tokens) {
		const char *param = r->service == llmsim_responses_service ? "max_output_tokens"
		                    : r->max_completion_tokens >= 0 ? "max_completion_tokens"
		                                                    : "max_tokens";
		char text[160];

		snprintf(
		    text, sizeof(text),
		    "Invalid '%s': integer below minimum value. Expected a value >= %lld, but got %lld "
		    "instead.",
		    param, (long long)f->min_tokens,
		    (long long)(r->max_completion_tokens >= 0 ? r->max_completion_tokens : r->max_tokens));
		llmsim_reply_error(rep, (int)rep->status, text, param, "integer_below_min_value", body);
	} else if (f->garbage) {
		strbuf_add(body, garbage, sizeof(garbage) - 1);
		rep->sse = r->stream;
	} else if (f->empty) {
		rep->sse = rep->stream = r->stream;
		rep->tokens = 0;
	} else if (rep->status >= 300) {
		llmsim_reply_error(rep, (int)rep->status, NULL, NULL, NULL, body);
	} else {
		return false;
	}
	return true;
}

/* How long the answer is: as the fault says, else a few words, never more than the client allows. */
static void
llmsim_reply_size(const struct llmsim_request *r, const struct llmsim_fault *f, struct llmsim_reply *rep)
{
	int64_t allowed = r->max_completion_tokens >= 0 ? r->max_completion_tokens : r->max_tokens;

	rep->tokens = f && f->chunks ? (uint64_t)f->chunks : LLMSIM_TOKENS_DEFAULT;
	rep->chunk_bytes = f ? (unsigned)f->chunk_bytes : 0;
	if (allowed >= 0 && allowed < (int64_t)rep->tokens) {
		rep->tokens = (uint64_t)allowed;
		rep->truncated = true;
	}
	rep->prompt_tokens = (r->messages.len + r->prompt.len + r->input.len) / 4 + 1;
	if (r->op == LLMSIM_EMBEDDING) {
		rep->inputs = llmsim_reply_inputs(r->input);
		rep->base64 = llmsim_span_is(r->encoding_format, "base64");
		rep->dimensions = r->dimensions > 0 && r->dimensions <= LLMSIM_DIMENSIONS_MAX
		                      ? (unsigned)r->dimensions
		                      : LLMSIM_DIMENSIONS_DEFAULT;
	}
}

void
llmsim_reply_make(struct llmsim *s, const struct llmsim_request *r, const struct llmsim_fault *f,
                  struct llmsim_reply *rep, struct strbuf *body)
{
	struct llmsim_span model = r->model.p ? r->model : r->deployment;
	const char *wrong, *param;

	memset(rep, 0, offsetof(struct llmsim_reply, prefix)); /* its memory is kept */
	rep->api = r->api;
	rep->op = r->op;
	rep->service = r->service;
	rep->serial = s->requests.total;
	rep->created = (uint64_t)time(NULL);
	rep->status = 200;
	rep->include_usage = r->include_usage;
	/* raw JSON text between the quotes: it goes back between quotes */
	snprintf(rep->model, sizeof(rep->model), "%.*s", model.len < sizeof(rep->model) ? (int)model.len : 0,
	         model.p ? model.p : "");
	strbuf_clear(body);
	llmsim_reply_size(r, f, rep);
	if (llmsim_reply_fault(r, f, rep, body))
		return;
	if (r->op == LLMSIM_UNKNOWN) {
		rep->status = 404;
		if (rep->api == LLMSIM_AZURE)
			llmsim_reply_error(rep, 404, "Resource not found", NULL, NULL, body);
		else
			llmsim_reply_error(rep, 404, "Unknown request URL. Please check the URL for typos.",
			                   NULL, "unknown_url", body);
	} else if (r->op == LLMSIM_SERVICE) {
		r->service->answer(s, r, rep, body);
	} else if (!llmsim_span_is(r->method, r->op == LLMSIM_MODELS ? "GET" : "POST")) {
		rep->status = 405;
		llmsim_reply_error(rep, 405, NULL, NULL, NULL, body);
	} else if (r->op == LLMSIM_MODELS) {
		llmsim_reply_models(rep, body);
	} else if (r->api == LLMSIM_BEDROCK && (wrong = llmsim_bedrock_forbidden(r))) {
		rep->status = 403;
		llmsim_reply_error(rep, 403, wrong, NULL, NULL, body);
	} else if ((wrong = llmsim_reply_check(r, &param))) {
		rep->status = 400;
		llmsim_reply_error(rep, 400, wrong, param, param ? "missing_required_parameter" : NULL, body);
	} else if (r->api == LLMSIM_GEMINI && !r->stream) {
		llmsim_gemini_whole(rep, body);
	} else if (r->api == LLMSIM_BEDROCK && !r->stream) {
		llmsim_bedrock_whole(rep, body);
	} else if (r->op == LLMSIM_EMBEDDING) {
		llmsim_reply_embedding(rep, body);
	} else if (r->op == LLMSIM_COUNT_TOKENS) {
		llmsim_text(body, "{\"input_tokens\":%u}", rep->prompt_tokens);
	} else if (r->stream) {
		rep->stream = rep->sse = true;
		llmsim_stream_begin(rep);
	} else if (r->op == LLMSIM_CHAT) {
		llmsim_reply_chat(rep, body);
	} else {
		llmsim_reply_completion(rep, body);
	}
}

void
llmsim_reply_head(const struct llmsim_reply *rep, const struct llmsim_fault *f, struct strbuf *out)
{
	const char *stream = rep->api == LLMSIM_BEDROCK ? "application/vnd.amazon.eventstream"
	                                                : "text/event-stream; charset=utf-8";
	const char *type = rep->sse            ? stream
	                   : rep->content_type ? rep->content_type
	                                       : "application/json";

	llmsim_text(out, "HTTP/1.1 %u %s\r\ncontent-type: %s\r\n", rep->status,
	            llmsim_http_reason((int)rep->status), f && f->content_type ? f->content_type : type);
	if (rep->api == LLMSIM_ANTHROPIC)
		llmsim_text(out,
		            "request-id: req_%i\r\nanthropic-ratelimit-requests-limit: 1000\r\n"
		            "anthropic-ratelimit-requests-remaining: 999\r\n"
		            "anthropic-organization-id: org-llmsim\r\n",
		            rep->serial);
	else if (rep->api == LLMSIM_BEDROCK)
		llmsim_text(out, "x-amzn-requestid: %i\r\n%s%s%s", rep->serial,
		            rep->status < 400 ? "" : "x-amzn-errortype: ",
		            rep->status < 400 ? "" : llmsim_bedrock_error_type((int)rep->status),
		            rep->status < 400 ? "" : "\r\n");
	else if (rep->api != LLMSIM_GEMINI)
		llmsim_text(out,
		            "%s: req_%i\r\nx-ratelimit-remaining-requests: 999\r\n"
		            "x-ratelimit-remaining-tokens: 99999\r\n%s",
		            rep->api == LLMSIM_AZURE ? "apim-request-id" : "x-request-id", rep->serial,
		            rep->api == LLMSIM_AZURE ? "x-ms-region: East US\r\n"
		                                     : "openai-processing-ms: 1\r\n");
	if (!f)
		return;
	if (f->retry_after)
		llmsim_text(out, "retry-after: %s\r\n", f->retry_after);
	if (f->headers)
		strbuf_puts(out, f->headers);
}

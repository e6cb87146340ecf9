/* Bedrock: /model/<id>/converse, /converse-stream and, for embeddings of Titan and Cohere, /invoke, with
 * AWS's signatures and its binary event stream.
 *
 * A signed request counts under its key id, and the secret of key id X is "secret-of-X": the signature is
 * worked out again from what arrived, so that one made over another path, body or header is refused as AWS
 * refuses it. A bearer key is taken as it is. Like AWS it refuses keys of the body that it does not know.
 *
 * Stream: messageStart, contentBlockDelta..., contentBlockStop, messageStop,
 * metadata; no_terminator leaves out the last two.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <strings.h>
#include <time.h>

#include "aws_eventstream.h"
#include "aws_sigv4.h"
#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/provider.h"

#define BEDROCK_SKEW_S 300

static const char bedrock_scheme[] = "AWS4-HMAC-SHA256 Credential=";

/* The text between the quotes behind a name like "SignedHeaders=", up to a comma or the end. */
static struct llmsim_span
llmsim_bedrock_field(struct llmsim_span v, const char *name)
{
	const char *p = v.p ? memmem(v.p, v.len, name, strlen(name)) : NULL, *end = v.p + v.len, *comma;

	if (!p)
		return (struct llmsim_span){NULL, 0};
	p += strlen(name);
	comma = memchr(p, ',', (size_t)(end - p));
	return (struct llmsim_span){p, (size_t)((comma ? comma : end) - p)};
}

bool
llmsim_bedrock_route(struct llmsim_request *r)
{
	static const char prefix[] = "/model/";
	struct llmsim_span rest = r->path, credential = llmsim_http_header(r, "authorization");
	const char *slash;

	if (!llmsim_span_starts(rest, prefix))
		return false;
	r->api = LLMSIM_BEDROCK;
	r->op = LLMSIM_UNKNOWN;
	rest.p += sizeof(prefix) - 1;
	rest.len -= sizeof(prefix) - 1;
	slash = memchr(rest.p, '/', rest.len);
	if (llmsim_span_starts(credential, bedrock_scheme)) {
		credential.p += sizeof(bedrock_scheme) - 1;
		credential.len -= sizeof(bedrock_scheme) - 1;
		r->key = (struct llmsim_span){credential.p, strcspn(credential.p, "/,\r\n")};
	}
	if (!slash || slash == rest.p)
		return true;
	r->deployment = (struct llmsim_span){rest.p, (size_t)(slash - rest.p)};
	rest.len -= (size_t)(slash - rest.p);
	rest.p = slash;
	r->stream = llmsim_span_is(rest, "/converse-stream");
	if (r->stream || llmsim_span_is(rest, "/converse"))
		r->op = LLMSIM_CHAT;
	else if (llmsim_span_is(rest, "/invoke"))
		r->op = LLMSIM_EMBEDDING;
	return true;
}

static bool
llmsim_bedrock_is_titan(struct llmsim_span id)
{
	return memmem(id.p, id.len, "titan", 5) != NULL;
}

static void
llmsim_bedrock_embed_member(struct llmsim_request *r, struct llmsim_span name, struct llmsim_span v)
{
	bool titan = llmsim_bedrock_is_titan(r->deployment);

	if (llmsim_span_is(name, titan ? "inputText" : "texts"))
		r->input = v;
	else if (titan && llmsim_span_is(name, "dimensions"))
		r->dimensions = (int64_t)strtoll(v.p, NULL, 10);
	else if (!llmsim_span_is(name, titan ? "normalize" : "input_type"))
		r->unknown = name;
}

bool
llmsim_bedrock_member(struct llmsim_request *r, struct llmsim_span name, struct llmsim_span v)
{
	static const char *const known[] = {"system", "toolConfig", "guardrailConfig", "additionalModelRequestFields",
	                                    "outputConfig", "performanceConfig", "requestMetadata"};

	if (r->api != LLMSIM_BEDROCK)
		return false;
	if (r->op == LLMSIM_EMBEDDING) {
		llmsim_bedrock_embed_member(r, name, v);
	} else if (llmsim_span_is(name, "messages")) {
		r->messages = v;
	} else if (llmsim_span_is(name, "inferenceConfig")) {
		const char *p = memmem(v.p, v.len, "\"maxTokens\":", 12);

		r->max_tokens = p ? (int64_t)strtoll(p + 12, NULL, 10) : -1;
	} else {
		for (size_t i = 0; i < HALE_COUNT(known); i++)
			if (llmsim_span_is(name, known[i]))
				return true;
		r->unknown = name;
	}
	return true;
}

/* Seconds of "20150830T123600Z"; 0: none. */
static uint64_t
llmsim_bedrock_time(struct llmsim_span v)
{
	struct tm tm = {0};
	char text[17];

	if (v.len != 16)
		return 0;
	memcpy(text, v.p, 16);
	text[16] = '\0';
	return strptime(text, "%Y%m%dT%H%M%SZ", &tm) ? (uint64_t)timegm(&tm) : 0;
}

/* Is name one of "host;x-amz-date"? */
static bool
llmsim_bedrock_listed(struct llmsim_span list, struct llmsim_span name)
{
	const char *p = list.p, *end = list.p + list.len;

	while (p < end) {
		const char *stop = memchr(p, ';', (size_t)(end - p));

		if (!stop)
			stop = end;
		if ((size_t)(stop - p) == name.len && strncasecmp(p, name.p, name.len) == 0)
			return true;
		p = stop + 1;
	}
	return false;
}

/* What was signed beside host, date and token. false: a header that must be signed is not. */
static bool
llmsim_bedrock_headers(struct arena *a, const struct llmsim_request *r, struct llmsim_span list,
                       struct aws_sigv4 *s, struct http_header *header)
{
	struct llmsim_span name, value;
	size_t at = 0;

	while (llmsim_http_next(r, &at, &name, &value)) {
		bool listed = llmsim_bedrock_listed(list, name);
		char *text = arena_strndup(a, name.p, name.len),
		     *content = arena_strndup(a, value.p, value.len);

		if (!listed && (strncasecmp(text, "x-amz", 5) == 0 || strcasecmp(text, "content-type") == 0))
			return false;
		if (strcasecmp(text, "x-amz-security-token") == 0)
			s->token = content;
		else if (strcasecmp(text, "host") == 0)
			s->url = arena_printf(a, "http://%s%.*s", content, (int)r->target.len, r->target.p);
		else if (listed && strcasecmp(text, "x-amz-date") != 0 && s->nheader < AWS_SIGV4_HEADERS_MAX)
			header[s->nheader++] = (struct http_header){text, content};
	}
	return s->url != NULL;
}

/* The header that a right request would have; NULL: it can have none. */
static const char *
llmsim_bedrock_expected(struct arena *a, const struct llmsim_request *r, struct llmsim_span authorization)
{
	struct llmsim_span scope = llmsim_bedrock_field(authorization, "Credential=");
	struct llmsim_span list = llmsim_bedrock_field(authorization, "SignedHeaders=");
	union { const char *from; char *to; } body = {.from = r->body.p}; /* iovec knows no const */
	struct iovec part = {body.to, r->body.len};
	struct http_header header[AWS_SIGV4_HEADERS_MAX];
	struct aws_sigv4 s = {.header = header, .body = &part, .nbody = 1, .service = "bedrock"};
	char *text = arena_strndup(a, scope.p ? scope.p : "", scope.len), *word[5] = {0}, *save = NULL;
	struct strbuf out;
	const char *expected = NULL;
	unsigned n = 0;

	for (char *w = strtok_r(text, "/", &save); w && n < HALE_COUNT(word); w = strtok_r(NULL, "/", &save))
		word[n++] = w;
	if (n != HALE_COUNT(word) || strcmp(word[3], "bedrock") != 0)
		return NULL;
	s.key_id = word[0];
	s.secret = arena_printf(a, "secret-of-%s", word[0]);
	s.region = word[2];
	s.method = arena_strndup(a, r->method.p, r->method.len);
	s.now_s = llmsim_bedrock_time(llmsim_http_header(r, "x-amz-date"));
	if (!llmsim_bedrock_headers(a, r, list, &s, header))
		return NULL;
	strbuf_init(&out, 0);
	if (aws_sigv4_authorization(&s, &out) == 0)
		expected = arena_strdup(a, strbuf_str(&out));
	strbuf_release(&out);
	return expected;
}

const char *
llmsim_bedrock_forbidden(const struct llmsim_request *r)
{
	struct llmsim_span authorization = llmsim_http_header(r, "authorization");
	uint64_t now_s = clock_real_ns() / NS_PER_SEC, then;
	const char *expected, *wrong = NULL;
	struct arena *a;

	if (!authorization.p)
		return "Missing Authentication Token";
	if (!llmsim_span_starts(authorization, bedrock_scheme))
		return r->key.p ? NULL : "Authorization header requires 'Credential' parameter.";
	then = llmsim_bedrock_time(llmsim_http_header(r, "x-amz-date"));
	if (then + BEDROCK_SKEW_S < now_s || then > now_s + BEDROCK_SKEW_S)
		return "Signature expired: the time of the request is not now.";
	a = arena_new(1024);
	expected = llmsim_bedrock_expected(a, r, authorization);
	if (!expected || !llmsim_span_is(authorization, expected))
		wrong = "The request signature we calculated does not match the signature you provided. Check your AWS "
		        "Secret "
		        "Access Key and signing method. Consult the service documentation for details.";
	arena_freep(&a);
	return wrong;
}

const char *
llmsim_bedrock_check(const struct llmsim_request *r)
{
	if (r->unknown.p)
		return "Malformed input request: extraneous key is not permitted, please reformat your input and try "
		       "again.";
	if (r->op == LLMSIM_EMBEDDING)
		return r->input.p ? NULL
		                  : "Malformed input request: #: required key [inputText] not found, please "
		                    "reformat your input "
		                    "and try again.";
	return r->messages.p ? NULL
	                     : "1 validation error detected: Value null at 'messages' failed to satisfy "
	                       "constraint: "
	                       "Member must not be null";
}

const char *
llmsim_bedrock_error_type(int status)
{
	switch (status) {
	case 400: return "ValidationException";
	case 403: return "AccessDeniedException";
	case 404: return "ResourceNotFoundException";
	case 408: return "ModelTimeoutException";
	case 424: return "ModelErrorException";
	case 429: return "ThrottlingException";
	case 503: return "ServiceUnavailableException";
	default: return "InternalServerException";
	}
}

static void
llmsim_bedrock_counts(const struct llmsim_reply *rep, struct strbuf *out)
{
	llmsim_text(out, "\"usage\":{\"inputTokens\":%u,\"outputTokens\":%u,\"totalTokens\":%u},\"metrics\":{"
	                 "\"latencyMs\":1}",
	            rep->prompt_tokens, rep->tokens, rep->prompt_tokens + rep->tokens);
}

static void
llmsim_bedrock_embeddings(const struct llmsim_reply *rep, struct strbuf *out)
{
	if (llmsim_bedrock_is_titan((struct llmsim_span){rep->model, strlen(rep->model)})) {
		strbuf_puts(out, "{\"embedding\":");
		llmsim_reply_vector(rep, 0, out);
		llmsim_text(out, ",\"inputTextTokenCount\":%u}", rep->prompt_tokens);
		return;
	}
	strbuf_puts(out, "{\"id\":\"e\",\"response_type\":\"embeddings_floats\",\"embeddings\":");
	for (unsigned i = 0; i < rep->inputs; i++) {
		strbuf_putc(out, i ? ',' : '[');
		llmsim_reply_vector(rep, i, out);
	}
	strbuf_puts(out, "]}");
}

void
llmsim_bedrock_whole(const struct llmsim_reply *rep, struct strbuf *out)
{
	if (rep->op == LLMSIM_EMBEDDING) {
		llmsim_bedrock_embeddings(rep, out);
		return;
	}
	strbuf_puts(out, "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":\"");
	llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, out);
	llmsim_text(out, "\"}]}},\"stopReason\":\"%s\",", rep->truncated ? "max_tokens" : "end_turn");
	llmsim_bedrock_counts(rep, out);
	strbuf_putc(out, '}');
}

static void
llmsim_bedrock_put(struct strbuf *b, uint32_t n, int bytes)
{
	for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
		strbuf_putc(b, (char)(n >> shift));
}

static void
llmsim_bedrock_header(const char *name, const char *value, struct strbuf *out)
{
	llmsim_bedrock_put(out, (uint32_t)strlen(name), 1);
	strbuf_puts(out, name);
	strbuf_putc(out, 7); /* text */
	llmsim_bedrock_put(out, (uint32_t)strlen(value), 2);
	strbuf_puts(out, value);
}

/* One message with its checksums. */
static void
llmsim_bedrock_message(bool exception, const char *kind, const struct strbuf *payload, struct strbuf *out)
{
	struct strbuf headers;
	size_t start = out->len;

	strbuf_init(&headers, 0);
	llmsim_bedrock_header(exception ? ":exception-type" : ":event-type", kind, &headers);
	llmsim_bedrock_header(":content-type", "application/json", &headers);
	llmsim_bedrock_header(":message-type", exception ? "exception" : "event", &headers);
	llmsim_bedrock_put(out, (uint32_t)(16 + headers.len + payload->len), 4);
	llmsim_bedrock_put(out, (uint32_t)headers.len, 4);
	llmsim_bedrock_put(out, aws_eventstream_crc(0, out->data + start, 8), 4);
	strbuf_add(out, headers.data, headers.len);
	strbuf_add(out, strbuf_str(payload), payload->len);
	llmsim_bedrock_put(out, aws_eventstream_crc(0, out->data + start, out->len - start), 4);
	strbuf_release(&headers);
}

unsigned
llmsim_bedrock_events(const struct llmsim_reply *rep, bool terminator)
{
	return 2 + (unsigned)rep->tokens + (terminator ? 2 : 0);
}

void
llmsim_bedrock_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	const char *kind = "contentBlockDelta";
	struct strbuf payload;

	strbuf_init(&payload, 0);
	if (n == 0) {
		kind = "messageStart";
		strbuf_puts(&payload, "{\"p\":\"abcdef\",\"role\":\"assistant\"}");
	} else if (n <= rep->tokens) {
		strbuf_puts(&payload, "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"");
		llmsim_text_fill(n - 1, 1, rep->chunk_bytes, &payload);
		strbuf_puts(&payload, "\"},\"p\":\"abcd\"}");
	} else if (n == rep->tokens + 1) {
		kind = "contentBlockStop";
		strbuf_puts(&payload, "{\"contentBlockIndex\":0}");
	} else if (n == rep->tokens + 2) {
		kind = "messageStop";
		llmsim_text(&payload, "{\"stopReason\":\"%s\"}", rep->truncated ? "max_tokens" : "end_turn");
	} else {
		kind = "metadata";
		strbuf_putc(&payload, '{');
		llmsim_bedrock_counts(rep, &payload);
		strbuf_putc(&payload, '}');
	}
	llmsim_bedrock_message(false, kind, &payload, out);
	strbuf_release(&payload);
}

void
llmsim_bedrock_exception(struct strbuf *out)
{
	struct strbuf payload;

	strbuf_init(&payload, 0);
	strbuf_puts(&payload,
	            "{\"message\":\"The system encountered an unexpected error during processing.\"}");
	llmsim_bedrock_message(true, "modelStreamErrorException", &payload, out);
	strbuf_release(&payload);
}

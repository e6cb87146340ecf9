/* probe: the exact request of every provider and mode, as written in a configuration. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "hale/arena.h"
#include "hale/catalogue.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/probe.h"
#include "hale/strbuf.h"

struct built {
	struct arena *arena;
	struct conf *conf;
	struct probe_request q;
	const char *why;
	int rc;
};

/* One deployment from the members of its two maps, in flow style. */
static void
build(struct built *b, const char *params, const char *info, enum probe_adapt adapt)
{
	struct errlist errs;
	struct strbuf yaml;

	strbuf_init(&yaml, 0);
	strbuf_printf(&yaml, "model_list:\n- model_name: g\n  litellm_params: {%s}\n  model_info: {%s}\n", params, info);
	errlist_init(&errs);
	*b = (struct built){.arena = arena_new(1024)};
	if (conf_load_text("test.yaml", strbuf_str(&yaml), yaml.len, &b->conf, &errs))
		fail_msg("%s", errs.nerror ? errs.error[0].text : "no configuration");
	assert_int_equal(b->conf->ndeployment, 1);
	b->rc = probe_request_build(b->arena, b->conf, &b->conf->deployment[0], adapt, 0, &b->q, &b->why);
	errlist_release(&errs);
	strbuf_release(&yaml);
}

static void
release(struct built *b)
{
	arena_freep(&b->arena);
	conf_freep(&b->conf);
}

static void
check_headers(const struct endpoint *e, const char *want)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	for (unsigned i = 0; i < e->nheader; i++)
		strbuf_printf(&b, "%s%s: %s", i ? "|" : "", e->header[i].name, e->header[i].value);
	assert_string_equal(strbuf_str(&b), want);
	strbuf_release(&b);
}

static void
check_request(const char *params, const char *info, const char *url, const char *headers, const char *body)
{
	struct built b;

	build(&b, params, info, PROBE_ADAPT_NONE);
	if (b.rc)
		fail_msg("%s: %s", params, b.why);
	assert_string_equal(b.q.endpoint.method, "POST");
	assert_string_equal(b.q.endpoint.url, url);
	check_headers(&b.q.endpoint, headers);
	assert_string_equal(b.q.body, body);
	assert_int_equal(b.q.body_len, strlen(body));
	assert_string_equal(b.q.content_type, "application/json");
	assert_non_null(b.q.op);
	release(&b);
}

static void
check_body(const char *params, const char *info, enum probe_adapt adapt, const char *body)
{
	struct built b;

	build(&b, params, info, adapt);
	if (b.rc)
		fail_msg("%s: %s", params, b.why);
	assert_string_equal(b.q.body, body);
	release(&b);
}

static void
check_refused(const char *params, const char *info, int rc, const char *why)
{
	struct built b;

	build(&b, params, info, PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, rc);
	assert_string_equal(b.why, why);
	release(&b);
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"test from litellm\"}]"

static void
test_modes_and_providers(void **state)
{
	(void)state;
	check_request("model: openai/gpt-4o, api_key: k1", "", "https://api.openai.com/v1/chat/completions",
	              "Authorization: Bearer k1", "{\"model\":\"gpt-4o\"," HI ",\"max_tokens\":1}");
	check_request("model: gpt-3.5-turbo-instruct, api_key: k1, organization: org-1", "mode: completion",
	              "https://api.openai.com/v1/completions", "Authorization: Bearer k1|OpenAI-Organization: org-1",
	              "{\"model\":\"gpt-3.5-turbo-instruct\",\"prompt\":\"test from litellm\",\"max_tokens\":1}");
	check_request("model: text-embedding-3-small, api_key: k1", "", "https://api.openai.com/v1/embeddings",
	              "Authorization: Bearer k1", "{\"model\":\"text-embedding-3-small\",\"input\":[\"test from litellm\"]}");
	check_request("model: azure/my dep/ü, api_key: k2, api_base: 'https://r.openai.azure.com/', api_version: 2024-06-01",
	              "", "https://r.openai.azure.com/openai/deployments/my%20dep%2F%C3%BC/chat/completions?api-version=2024-06-01",
	              "api-key: k2", "{\"model\":\"my dep/\xc3\xbc\"," HI ",\"max_tokens\":1}");
	check_request("model: azure/e, api_key: k2, api_base: 'https://r.openai.azure.com'", "mode: embedding",
	              "https://r.openai.azure.com/openai/deployments/e/embeddings?api-version=2025-02-01-preview",
	              "api-key: k2", "{\"model\":\"e\",\"input\":[\"test from litellm\"]}");
	check_request("model: azure/c, azure_ad_token: t, api_key: k2, api_base: 'https://r.openai.azure.com'",
	              "mode: completion",
	              "https://r.openai.azure.com/openai/deployments/c/completions?api-version=2025-02-01-preview",
	              "Authorization: Bearer t", "{\"model\":\"c\",\"prompt\":\"test from litellm\",\"max_tokens\":1}");
	check_request("model: anthropic/claude-3-5-haiku-latest, api_key: k3", "", "https://api.anthropic.com/v1/messages",
	              "x-api-key: k3|anthropic-version: 2023-06-01",
	              "{\"model\":\"claude-3-5-haiku-latest\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	              "\"text\":\"test from litellm\"}]}],\"max_tokens\":1}");
	check_request("model: groq/llama-3.1-8b, api_key: k", "", "https://api.groq.com/openai/v1/chat/completions",
	              "Authorization: Bearer k", "{\"model\":\"llama-3.1-8b\"," HI ",\"max_tokens\":1}");
	check_request("model: voyage/voyage-3, api_key: k", "", "https://api.voyageai.com/v1/embeddings",
	              "Authorization: Bearer k", "{\"model\":\"voyage-3\",\"input\":[\"test from litellm\"]}");
	check_request("model: ollama/llama3", "", "http://localhost:11434/v1/chat/completions", "",
	              "{\"model\":\"llama3\"," HI ",\"max_tokens\":1}");
	check_request("model: hosted_vllm/meta/x, api_base: 'http://127.0.0.1:8000/v1'", "",
	              "http://127.0.0.1:8000/v1/chat/completions", "", "{\"model\":\"meta/x\"," HI ",\"max_tokens\":1}");
}

/* The same deployment through Azure's address. */
#define AZURE "api_key: k2, api_base: 'https://r.openai.azure.com', api_version: '1'"
#define AZURE_URL(path) "https://r.openai.azure.com/openai/deployments/d" path "?api-version=1"

static void
test_json_modes(void **state)
{
	static const struct {
		const char *mode, *path, *question;
	} cases[] = {
		{"chat", "/chat/completions", HI ",\"max_tokens\":1"},
		{"completion", "/completions", "\"prompt\":\"test from litellm\",\"max_tokens\":1"},
		{"embedding", "/embeddings", "\"input\":[\"test from litellm\"]"},
		{"image_generation", "/images/generations", "\"prompt\":\"test from litellm\""},
		{"audio_speech", "/audio/speech", "\"input\":\"test from litellm\",\"voice\":\"alloy\""},
	};
	char info[64], url[128], body[256];

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		snprintf(info, sizeof(info), "mode: %s", cases[i].mode);
		snprintf(url, sizeof(url), "https://api.openai.com/v1%s", cases[i].path);
		snprintf(body, sizeof(body), "{\"model\":\"d\",%s}", cases[i].question);
		check_request("model: openai/d, api_key: k1", info, url, "Authorization: Bearer k1", body);
		snprintf(url, sizeof(url), AZURE_URL("%s"), cases[i].path);
		check_request("model: azure/d, " AZURE, info, url, "api-key: k2", body);
	}
	check_request("model: azure/d, " AZURE, "mode: responses",
	              "https://r.openai.azure.com/openai/responses?api-version=1", "api-key: k2",
	              "{\"model\":\"d\",\"input\":\"test from litellm\"}");
	check_request("model: openai/d, api_key: k1", "mode: responses", "https://api.openai.com/v1/responses",
	              "Authorization: Bearer k1", "{\"model\":\"d\",\"input\":\"test from litellm\"}");
	check_request("model: openai/d, api_key: k1", "mode: moderation", "https://api.openai.com/v1/moderations",
	              "Authorization: Bearer k1", "{\"model\":\"d\",\"input\":\"test from litellm\"}");
	check_request("model: jina_ai/d, api_key: k1", "mode: rerank", "https://api.jina.ai/v1/rerank",
	              "Authorization: Bearer k1",
	              "{\"model\":\"d\",\"query\":\"test from litellm\",\"documents\":[\"my sample text\"]}");
}

/* Anthropic's own form; a limit is never left out. */
static void
test_anthropic_messages(void **state)
{
#define ASKS "{\"model\":\"m\"," HI
	(void)state;
	check_request("model: anthropic/m, api_key: k3", "mode: anthropic_messages", "https://api.anthropic.com/v1/messages",
	              "x-api-key: k3|anthropic-version: 2023-06-01", ASKS ",\"stream\":false,\"max_tokens\":16}");
	check_body("model: anthropic/m, thinking: {type: disabled}, rpm: 5",
	           "mode: anthropic_messages, health_check_supports_max_tokens: false, health_check_reasoning_effort: low",
	           PROBE_ADAPT_NONE, ASKS ",\"stream\":false,\"thinking\":{\"type\":\"disabled\"},\"max_tokens\":16}");
	check_body("model: anthropic/m, system: s", "mode: anthropic_messages, health_check_max_tokens: 1", PROBE_ADAPT_NO_LIMIT,
	           ASKS ",\"max_tokens\":16}");
}

/* A list is asked for, or where there is none, the completion that batches consist of. */
static void
test_batch(void **state)
{
	struct built b;

	(void)state;
	build(&b, "model: azure/d, " AZURE, "mode: batch", PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.q.endpoint.method, "GET");
	assert_string_equal(b.q.endpoint.url, "https://r.openai.azure.com/openai/batches?api-version=1");
	check_headers(&b.q.endpoint, "api-key: k2");
	assert_null(b.q.body);
	assert_null(b.q.shown);
	assert_null(b.q.content_type);
	assert_int_equal(b.q.body_len, 0);
	assert_int_equal(b.q.mode, MODE_BATCH);
	release(&b);
	build(&b, "model: openrouter/m, api_key: k", "mode: batch", PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_int_equal(b.q.mode, MODE_CHAT);
	assert_string_equal(b.q.endpoint.url, "https://openrouter.ai/api/v1/chat/completions");
	release(&b);
}

static void
check_session(const char *params, const char *url, const char *headers)
{
	struct built b;

	build(&b, params, "mode: realtime", PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.q.endpoint.method, "GET");
	assert_string_equal(b.q.endpoint.url, url);
	check_headers(&b.q.endpoint, headers);
	assert_null(b.q.body);
	assert_null(b.q.content_type);
	assert_int_equal(b.q.op->form, OP_WEBSOCKET);
	release(&b);
}

#define AZURE_KEY "model: azure/o_series/d, api_key: k2, "

static void
test_realtime(void **state)
{
	(void)state;
	check_session("model: openai/gpt-realtime, api_key: k", "https://api.openai.com/v1/realtime?model=gpt-realtime",
	              "Authorization: Bearer k");
	check_session("model: xai/grok-voice, api_key: k", "https://api.x.ai/v1/realtime?model=grok-voice",
	              "Authorization: Bearer k");
	check_session("model: openai_like/a/b, api_base: 'wss://h:1/v1/realtime'", "https://h:1/v1/realtime?model=a%2Fb", "");
	check_session("model: hosted_vllm/m, api_base: 'ws://h:1/v1'", "http://h:1/v1/realtime?model=m", "");
	check_session("model: openai/m, api_key: k, api_base: 'https://h/v1/realtime?intent=transcription&model=x'",
	              "https://h/v1/realtime?intent=transcription&model=x", "Authorization: Bearer k");
	check_session(AZURE_KEY "api_base: 'https://r'",
	              "https://r/openai/realtime?api-version=2024-10-01-preview&deployment=d", "api-key: k2");
	check_session(AZURE_KEY "api_base: 'https://r/openai', api_version: 2025-04-01-preview",
	              "https://r/openai/realtime?api-version=2025-04-01-preview&deployment=d", "api-key: k2");
	check_session(AZURE_KEY "api_base: 'https://r/openai/deployments/x/chat/completions?api-version=1'",
	              "https://r/openai/realtime?api-version=1&deployment=d", "api-key: k2");
	check_session(AZURE_KEY "api_base: 'wss://r/openai/realtime?api-version=1&deployment=y'",
	              "https://r/openai/realtime?api-version=1&deployment=y", "api-key: k2");
	/* the released API takes the model, and no date */
	check_session(AZURE_KEY "api_base: 'https://r/openai/v1'", "https://r/openai/v1/realtime?model=d", "api-key: k2");
	check_session(AZURE_KEY "api_base: 'https://r', api_version: v1", "https://r/openai/v1/realtime?model=d", "api-key: k2");
	check_session(AZURE_KEY "api_base: 'https://r', api_version: preview",
	              "https://r/openai/v1/realtime?api-version=preview&model=d", "api-key: k2");
	check_session(AZURE_KEY "api_base: 'https://r', realtime_protocol: ga, api_version: 2025-04-01-preview",
	              "https://r/openai/v1/realtime?model=d", "api-key: k2");
	check_session("model: azure/d, azure_ad_token: t, api_base: 'https://r/openai/v1'",
	              "https://r/openai/v1/realtime?model=d", "Authorization: Bearer t");
	check_refused("model: anthropic/m", "mode: realtime", HALE_EUNSUPPORTED,
	              "Unsupported model: anthropic/m. Mode realtime not supported for provider anthropic. See modes here: "
	              "https://docs.litellm.ai/docs/proxy/health");
}

#define BOUNDARY "hale-probe-c5d8e1f20b7a4936"
#define PART(name) "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"" name "\""

/* The form up to the bytes of its file; *file is where they start, *len how many there are. */
static void
check_form(const struct built *b, const char *head, const char **file, size_t *len)
{
	static const char end[] = "\r\n--" BOUNDARY "--\r\n";

	if (b->rc)
		fail_msg("%s", b->why);
	assert_string_equal(b->q.endpoint.method, "POST");
	assert_string_equal(b->q.content_type, "multipart/form-data; boundary=" BOUNDARY);
	assert_true(b->q.body_len > strlen(head) + strlen(end));
	assert_memory_equal(b->q.body, head, strlen(head));
	assert_memory_equal(b->q.body + b->q.body_len - strlen(end), end, strlen(end));
	*file = b->q.body + strlen(head);
	*len = b->q.body_len - strlen(head) - strlen(end);
}

static uint32_t
little(const char *at, unsigned bytes)
{
	uint32_t n = 0;

	while (bytes--)
		n = n << 8 | (unsigned char)at[bytes];
	return n;
}

static void
test_transcription(void **state)
{
	static const char part[] = PART("file") "; filename=\"audio_health_check.wav\"\r\nContent-Type: audio/x-wav\r\n\r\n";
	static const char verbose[] = PART("response_format") "\r\n\r\nverbose_json\r\n";
	static const char model[] = PART("model") "\r\n\r\nwhisper-1\r\n";
	const char *wav;
	char head[1024];
	struct built b;
	size_t len;

	(void)state;
	snprintf(head, sizeof(head), "%s%s%s", model, verbose, part);
	build(&b, "model: openai/whisper-1, api_key: k", "", PROBE_ADAPT_NONE);
	check_form(&b, head, &wav, &len);
	assert_string_equal(b.q.endpoint.url, "https://api.openai.com/v1/audio/transcriptions");
	check_headers(&b.q.endpoint, "Authorization: Bearer k");
	assert_string_equal(b.q.shown, "{\"model\":\"whisper-1\",\"response_format\":\"verbose_json\","
	                               "\"file\":\"<16044 bytes of audio/x-wav>\"}");
	/* half a second of 16 bit mono sound, not all silence */
	assert_int_equal(len, 16044);
	assert_memory_equal(wav, "RIFF", 4);
	assert_int_equal(little(wav + 4, 4), len - 8);
	assert_memory_equal(wav + 8, "WAVEfmt \x10\0\0\0\1\0\1\0", 16);
	assert_int_equal(little(wav + 24, 4), 16000);
	assert_int_equal(little(wav + 28, 4), 32000);
	assert_memory_equal(wav + 32, "\2\0\x10\0data", 8);
	assert_int_equal(little(wav + 40, 4), len - 44);
	assert_int_equal((int16_t)little(wav + 44 + 2 * 8, 2), 2304);
	release(&b);
	/* the plain form leaves to the model what it answers in */
	snprintf(head, sizeof(head), "%s%s", model, part);
	build(&b, "model: openai/whisper-1, language: de", "", PROBE_ADAPT_NO_LIMIT);
	check_form(&b, head, &wav, &len);
	release(&b);
	/* a configured form of the answer */
	snprintf(head, sizeof(head), "%s%s", PART("model") "\r\n\r\nd\r\n" PART("response_format") "\r\n\r\njson\r\n",
	         part);
	build(&b, "model: azure/d, response_format: json, rpm: 5, " AZURE, "mode: audio_transcription", PROBE_ADAPT_NONE);
	check_form(&b, head, &wav, &len);
	assert_string_equal(b.q.endpoint.url, AZURE_URL("/audio/transcriptions"));
	release(&b);
}

static void
test_form_parameters(void **state)
{
	static const char tail[] =
		"\r\n" PART("temperature") "\r\n\r\n0.5\r\n" PART("timestamp_granularities[]") "\r\n\r\nword\r\n"
		PART("timestamp_granularities[]") "\r\n\r\nsegment\r\n" PART("a%22b") "\r\n\r\n{\"x\":1}\r\n"
		PART("vad") "\r\n\r\ntrue\r\n--" BOUNDARY "--\r\n";
	struct built b;

	(void)state;
	build(&b, "model: openai/whisper-1, temperature: 0.5, timestamp_granularities: [word, segment]",
	      "health_check_params: {'a\"b': {x: 1}, vad: true, file: no, model: no}", PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_true(b.q.body_len > strlen(tail));
	assert_memory_equal(b.q.body + b.q.body_len - strlen(tail), tail, strlen(tail));
	release(&b);
}

/* Chunks of a PNG carry a checksum: reading all of them shows that the bytes are whole. */
static void
test_image_edit(void **state)
{
	static const char parts[] = PART("model") "\r\n\r\ngpt-image-1\r\n" PART("prompt") "\r\n\r\nAdd a small yellow star.\r\n"
		PART("image") "; filename=\"image_health_check.png\"\r\nContent-Type: image/png\r\n\r\n";
	const char *png;
	struct built b;
	size_t len, at = 8;

	(void)state;
	build(&b, "model: openai/gpt-image-1, api_key: k", "mode: image_edit", PROBE_ADAPT_NONE);
	check_form(&b, parts, &png, &len);
	assert_string_equal(b.q.endpoint.url, "https://api.openai.com/v1/images/edits");
	assert_string_equal(b.q.shown, "{\"model\":\"gpt-image-1\",\"prompt\":\"Add a small yellow star.\","
	                               "\"image\":\"<764 bytes of image/png>\"}");
	assert_int_equal(len, 764);
	assert_memory_equal(png, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\1\0\0\0\1\0\x08\x06", 26);
	while (at < len)
		at += 12 + ((uint32_t)(unsigned char)png[at] << 24 | (unsigned)(unsigned char)png[at + 1] << 16 |
		            (unsigned)(unsigned char)png[at + 2] << 8 | (unsigned char)png[at + 3]);
	assert_int_equal(at, len);
	assert_memory_equal(png + len - 8, "IEND\xae\x42\x60\x82", 8);
	release(&b);
	build(&b, "model: azure/d, " AZURE, "mode: image_edit, health_check_prompt: p", PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.q.endpoint.url, AZURE_URL("/images/edits"));
	assert_non_null(strstr(b.q.body, PART("prompt") "\r\n\r\np\r\n"));
	release(&b);
}

/* The page that OCR reads: its table of objects must point at them. */
static void
test_ocr(void **state)
{
	static const char head[] = "{\"model\":\"mistral-ocr-latest\",\"document\":{\"type\":\"document_url\","
	                           "\"document_url\":\"data:application/pdf;base64,";
	unsigned char pdf[2048];
	const char *table, *row;
	struct built b;
	size_t n;
	int len;

	(void)state;
	build(&b, "model: mistral/mistral-ocr-latest, api_key: k", "", PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.q.endpoint.url, "https://api.mistral.ai/v1/ocr");
	assert_string_equal(b.q.content_type, "application/json");
	assert_memory_equal(b.q.body, head, strlen(head));
	n = strspn(b.q.body + strlen(head), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
	assert_string_equal(b.q.body + strlen(head) + n, "\"}}");
	assert_true(n < sizeof(pdf));
	len = EVP_DecodeBlock(pdf, (const unsigned char *)b.q.body + strlen(head), (int)n);
	assert_true(len > 0);
	pdf[len] = '\0';
	assert_memory_equal(pdf, "%PDF-1.4\n", 9);
	assert_non_null(strstr((char *)pdf, "/Length 34>>\nstream\nBT /F1 24 Tf 40 40 Td (test) Tj ET\nendstream"));
	table = (char *)pdf + strtoul(strstr((char *)pdf, "startxref\n") + 10, NULL, 10);
	assert_memory_equal(table, "xref\n0 6\n", 9);
	row = table + 9 + 20;
	for (int i = 1; i <= 5; i++, row += 20) {
		char want[16];

		snprintf(want, sizeof(want), "%d 0 obj\n", i);
		assert_memory_equal(pdf + strtoul(row, NULL, 10), want, strlen(want));
	}
	assert_true(strncmp(b.q.shown, "{\"model\":\"mistral-ocr-latest\",\"document\":{\"type\":\"document_url\","
	                               "\"document_url\":\"<", 80) == 0);
	assert_non_null(strstr(b.q.shown, " bytes of application/pdf>\"}}"));
	release(&b);
}

static void
check_url(const char *params, const char *url)
{
	struct built b;

	build(&b, params, "", PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.q.endpoint.url, url);
	release(&b);
}

static void
test_bases(void **state)
{
	(void)state;
	check_url("model: openai/m, api_base: 'http://h:1/v1/'", "http://h:1/v1/chat/completions");
	check_url("model: openai/m, api_base: 'http://h:1/v1/chat/completions'", "http://h:1/v1/chat/completions");
	check_url("model: openai/m, api_base: 'http://h:1/v1/chat/completions/?a=b'", "http://h:1/v1/chat/completions?a=b");
	check_url("model: openai/m, api_base: 'http://h:1/v1/embeddings'", "http://h:1/v1/chat/completions");
	check_url("model: openai/m, api_base: 'HTTP://h'", "HTTP://h/chat/completions");
	check_url("model: anthropic/m, api_base: 'http://h:1/'", "http://h:1/v1/messages");
	check_url("model: anthropic/m, api_base: 'http://h:1/v1'", "http://h:1/v1/messages");
	check_url("model: anthropic/m, api_base: 'http://h:1/v1/messages'", "http://h:1/v1/messages");
	check_url("model: ollama/m, api_base: 'http://h:1'", "http://h:1/v1/chat/completions");
	check_url("model: ollama/m, api_base: 'http://h:1/v1'", "http://h:1/v1/chat/completions");
	check_url("model: azure/d, api_base: 'https://r/openai'",
	          "https://r/openai/deployments/d/chat/completions?api-version=2025-02-01-preview");
	check_url("model: azure/d, api_base: 'https://r/openai/deployments/x/chat/completions?api-version=1'",
	          "https://r/openai/deployments/x/chat/completions?api-version=1");
	check_url("model: azure/o_series/d, api_base: 'https://r'",
	          "https://r/openai/deployments/d/chat/completions?api-version=2025-02-01-preview");
	check_url("model: azure/d, api_base: 'https://r/openai/v1'", "https://r/openai/v1/chat/completions");
	check_url("model: azure/d, api_version: preview, api_base: 'https://r'",
	          "https://r/openai/v1/chat/completions?api-version=preview");
	check_url("model: azure/d, api_version: v1, api_base: 'https://r'", "https://r/openai/v1/chat/completions");
	check_url("model: azure/d, api_version: 'a&b', api_base: 'https://r'",
	          "https://r/openai/deployments/d/chat/completions?api-version=a%26b");
}

static void
test_refused(void **state)
{
	static const char why[] = "api_base, api_key or extra_headers cannot be used in a request";

	(void)state;
	check_refused("model: openai/m, api_key: \"a\\r\\nX: y\"", "", HALE_EINVAL, why);
	check_refused("model: openai/m, api_base: 'ftp://h'", "", HALE_EINVAL, why);
	check_refused("model: openai/m, api_base: 'file:///etc/passwd'", "", HALE_EINVAL, why);
	check_refused("model: openai/m, api_base: 'http://h /x'", "", HALE_EINVAL, why);
	check_refused("model: openai/m, api_base: 'http://'", "", HALE_EINVAL, why);
	check_refused("model: openai/m, extra_headers: {Host: x}", "", HALE_EINVAL, why);
	check_refused("model: openai/m, extra_headers: {'a b': x}", "", HALE_EINVAL, why);
	check_refused("model: openai/m, extra_headers: {a: \"x\\ny\"}", "", HALE_EINVAL, why);
	check_refused("model: openai/m, extra_headers: {a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1, k: 1, l: 1, "
	              "m: 1}", "", HALE_ELIMIT, why);
	check_refused("model: azure/m", "", HALE_EINVAL, "the deployment has no api_base");
	check_refused("model: 'openai/*'", "", HALE_EUNSUPPORTED,
	              "Unable to health check wildcard model for provider openai. Set model_info.health_check_model to one "
	              "of its models.");
	check_refused("model: jina_ai/m", "mode: chat", HALE_EUNSUPPORTED,
	              "Mode chat not supported for provider jina_ai. See modes here: "
	              "https://docs.litellm.ai/docs/proxy/health");
}

/* What a translation cannot read is no probe, and no crash. */
static void
test_deep_parameters(void **state)
{
	char open[41], close[41], info[256];
	struct built b;

	(void)state;
	memset(open, '[', 40);
	memset(close, ']', 40);
	open[40] = close[40] = '\0';
	snprintf(info, sizeof(info), "health_check_params: {a: %s%s}", open, close);
	check_refused("model: anthropic/m", info, HALE_EINVAL, "the probe's parameters are nested too deeply");
	build(&b, "model: openai/m", info, PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	release(&b);
	build(&b, "model: anthropic/m", info, PROBE_ADAPT_NO_LIMIT);
	assert_int_equal(b.rc, 0);
	release(&b);
}

static void
test_extra_headers(void **state)
{
	(void)state;
	check_request("model: openai/m, api_key: k, extra_headers: {X-Team: a, X-N: 5}", "",
	              "https://api.openai.com/v1/chat/completions", "Authorization: Bearer k|X-Team: a|X-N: 5",
	              "{\"model\":\"m\"," HI ",\"max_tokens\":1}");
}

static void
test_extra_header_replaces(void **state)
{
	(void)state;
	check_request("model: anthropic/m, api_key: k, extra_headers: {Anthropic-Version: 2024-01-01, anthropic-beta: b}", "",
	              "https://api.anthropic.com/v1/messages", "x-api-key: k|Anthropic-Version: 2024-01-01|anthropic-beta: b",
	              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	              "\"text\":\"test from litellm\"}]}],\"max_tokens\":1}");
}

static void
test_parameters(void **state)
{
	(void)state;
	/* request parameters go along in file order, everything else stays */
	check_body("model: openai/m, rpm: 5, temperature: 0.7, supports_vision: true, top_p: 1, custom_flag: 3, seed: 7, "
	           "timeout: 3, api_key: k, drop_params: true, input_cost_per_token: 1.0e-06, stream: true", "",
	           PROBE_ADAPT_NONE, "{\"model\":\"m\"," HI ",\"temperature\":0.7,\"top_p\":1,\"seed\":7,\"max_tokens\":1}");
	check_body("model: text-embedding-3-small, temperature: 0.7, dimensions: 8", "", PROBE_ADAPT_NONE,
	           "{\"model\":\"text-embedding-3-small\",\"input\":[\"test from litellm\"],\"dimensions\":8}");
	/* health_check_params: merged later, any name, but nothing that the probe decides itself */
	check_body("model: openai/m, temperature: 0.7",
	           "health_check_params: {temperature: 0, provider: {order: [a, b]}, model: x, stream: true, api_key: s, "
	           "messages: [], extra_body: {k: null, z: 1}}", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\"," HI ",\"temperature\":0,\"provider\":{\"order\":[\"a\",\"b\"]},\"z\":1,\"max_tokens\":1}");
	check_body("model: openai/m, extra_body: {guided_choice: [x]}", "", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\"," HI ",\"guided_choice\":[\"x\"],\"max_tokens\":1}");
	check_body("model: openai/m", "health_check_reasoning_effort: low", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\"," HI ",\"max_tokens\":1,\"reasoning_effort\":\"low\"}");
	check_body("model: openai/m", "health_check_reasoning_effort: {effort: low, summary: auto}", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\"," HI ",\"max_tokens\":1,\"reasoning_effort\":{\"effort\":\"low\",\"summary\":\"auto\"}}");
	check_body("model: openai/m", "health_check_prompt: \"a \\\"b\\\"\"", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a \\\"b\\\"\"}],\"max_tokens\":1}");
}

static void
check_limit(const char *model, const char *info, enum probe_adapt adapt, const char *limit)
{
	struct built b;
	const char *comma;

	build(&b, model, info, adapt);
	assert_int_equal(b.rc, 0);
	comma = strstr(b.q.body, "litellm\"}]");
	assert_non_null(comma);
	assert_string_equal(comma + strlen("litellm\"}]"), limit);
	release(&b);
}

static void
test_max_tokens(void **state)
{
	(void)state;
	check_limit("model: openai/m", "", PROBE_ADAPT_NONE, ",\"max_tokens\":1}");
	check_limit("model: openai/m", "health_check_max_tokens: 7", PROBE_ADAPT_NONE, ",\"max_tokens\":7}");
	check_limit("model: openai/m", "health_check_max_tokens: 0", PROBE_ADAPT_NONE, ",\"max_tokens\":0}");
	check_limit("model: openai/m", "health_check_max_tokens: 0", PROBE_ADAPT_LARGER, ",\"max_tokens\":16}");
	check_limit("model: openai/m, max_tokens: 4096", "", PROBE_ADAPT_NONE, ",\"max_tokens\":1}");
	check_limit("model: openai/m", "health_check_max_tokens_non_reasoning: 3, health_check_max_tokens_reasoning: 4",
	            PROBE_ADAPT_NONE, ",\"max_tokens\":3}");
	check_limit("model: openai/o3-mini", "health_check_max_tokens_non_reasoning: 3, health_check_max_tokens_reasoning: 4",
	            PROBE_ADAPT_NONE, ",\"max_tokens\":4}");
	check_limit("model: openai/m", "health_check_max_tokens: 2, health_check_max_tokens_non_reasoning: 3",
	            PROBE_ADAPT_NONE, ",\"max_tokens\":2}");
	check_limit("model: openai/m", "health_check_supports_max_tokens: false", PROBE_ADAPT_NONE, "}");
	check_limit("model: openai/m", "health_check_params: {max_completion_tokens: 20}", PROBE_ADAPT_NONE,
	            ",\"max_completion_tokens\":20}");
	check_limit("model: openai/m", "health_check_params: {max_completion_tokens: 20}, health_check_max_tokens: 2",
	            PROBE_ADAPT_NONE, ",\"max_tokens\":2}");
	check_limit("model: 'openai/*'", "health_check_model: openai/gpt-4o-mini", PROBE_ADAPT_NONE, ",\"max_tokens\":10}");
	check_body("model: text-embedding-3-small", "health_check_supports_max_tokens: true", PROBE_ADAPT_NONE,
	           "{\"model\":\"text-embedding-3-small\",\"input\":[\"test from litellm\"],\"max_tokens\":1}");
	/* what an upstream that refuses the first form is sent next */
	check_limit("model: openai/gpt-5, temperature: 0.5", "", PROBE_ADAPT_LARGER, ",\"temperature\":0.5,\"max_tokens\":16}");
	check_limit("model: openai/gpt-5, temperature: 0.5", "", PROBE_ADAPT_COMPLETION,
	            ",\"temperature\":0.5,\"max_completion_tokens\":16}");
	check_limit("model: openai/gpt-5, temperature: 0.5", "health_check_params: {a: 1}", PROBE_ADAPT_NO_LIMIT, "}");
	check_limit("model: openai/gpt-5", "health_check_max_tokens: 50", PROBE_ADAPT_COMPLETION,
	            ",\"max_completion_tokens\":50}");
}

/* Modes whose limit has another name, or none. */
static void
test_limits_by_mode(void **state)
{
	static const char *const none[] = {"image_generation", "audio_speech", "rerank", "moderation"};
	struct built b;
	char info[128];

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(none); i++)
		for (int adapt = 0; adapt < PROBE_ADAPT_COUNT; adapt++) {
			snprintf(info, sizeof(info), "mode: %s, health_check_max_tokens: 50", none[i]);
			build(&b, "model: openai/m, max_tokens: 7", info, (enum probe_adapt)adapt);
			assert_int_equal(b.rc, 0);
			assert_null(strstr(b.q.body, "tokens"));
			release(&b);
		}
#define RESPONSE(rest) "{\"model\":\"m\",\"input\":\"test from litellm\"" rest "}"
	check_body("model: openai/m", "mode: responses", PROBE_ADAPT_NONE, RESPONSE(""));
	check_body("model: openai/m, max_tokens: 9", "mode: responses, health_check_max_tokens: 3", PROBE_ADAPT_NONE,
	           RESPONSE(",\"max_output_tokens\":16"));
	check_body("model: openai/m", "mode: responses, health_check_max_tokens: 20", PROBE_ADAPT_NONE,
	           RESPONSE(",\"max_output_tokens\":20"));
	check_body("model: openai/m, max_output_tokens: 30", "mode: responses", PROBE_ADAPT_NONE,
	           RESPONSE(",\"max_output_tokens\":30"));
	check_body("model: openai/m", "mode: responses, health_check_supports_max_tokens: true", PROBE_ADAPT_NONE,
	           RESPONSE(",\"max_output_tokens\":16"));
	check_body("model: openai/m", "mode: responses, health_check_reasoning_effort: low", PROBE_ADAPT_NONE,
	           RESPONSE(",\"reasoning\":{\"effort\":\"low\"}"));
	check_body("model: openai/m", "mode: responses, health_check_reasoning_effort: {summary: auto}", PROBE_ADAPT_NONE,
	           RESPONSE(",\"reasoning\":{\"summary\":\"auto\"}"));
	check_body("model: openai/m", "mode: responses, health_check_max_tokens: 20", PROBE_ADAPT_NO_LIMIT, RESPONSE(""));
	check_body("model: openai/m", "mode: completion", PROBE_ADAPT_COMPLETION,
	           "{\"model\":\"m\",\"prompt\":\"test from litellm\",\"max_tokens\":16}");
}

/* Voice: the probe's own setting, its parameters, the deployment's, then alloy. */
static void
test_voice(void **state)
{
#define SPEECH(rest) "{\"model\":\"tts-1\",\"input\":\"test from litellm\",\"voice\":" rest "}"
	static const char own[] = "health_check_voice: echo, health_check_params: {voice: nova}";

	(void)state;
	check_body("model: openai/tts-1", own, PROBE_ADAPT_NONE, SPEECH("\"echo\""));
	check_body("model: openai/tts-1", own, PROBE_ADAPT_NO_LIMIT, SPEECH("\"echo\""));
	check_body("model: openai/tts-1, voice: fable", "health_check_params: {voice: nova}", PROBE_ADAPT_NONE,
	           SPEECH("\"nova\""));
	check_body("model: openai/tts-1, voice: fable, speed: 2, size: x", "", PROBE_ADAPT_NONE,
	           SPEECH("\"fable\",\"speed\":2"));
	check_body("model: openai/tts-1, speed: 2", "", PROBE_ADAPT_NO_LIMIT, SPEECH("\"alloy\""));
	check_body("model: openai/m", "health_check_voice: echo", PROBE_ADAPT_NONE, "{\"model\":\"m\"," HI ",\"max_tokens\":1}");
}

static void
test_environment(void **state)
{
	(void)state;
	setenv("DEFAULT_HEALTH_CHECK_PROMPT", "ping", 1);
	setenv("BACKGROUND_HEALTH_CHECK_MAX_TOKENS", "5", 1);
	setenv("BACKGROUND_HEALTH_CHECK_MAX_TOKENS_REASONING", "6", 1);
	check_body("model: openai/m", "", PROBE_ADAPT_NONE,
	           "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_tokens\":5}");
	check_body("model: openai/o1", "", PROBE_ADAPT_NONE,
	           "{\"model\":\"o1\",\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_tokens\":6}");
	check_body("model: 'openai/*'", "health_check_model: openai/o1, health_check_prompt: p", PROBE_ADAPT_NONE,
	           "{\"model\":\"o1\",\"messages\":[{\"role\":\"user\",\"content\":\"p\"}],\"max_tokens\":5}");
	unsetenv("DEFAULT_HEALTH_CHECK_PROMPT");
	unsetenv("BACKGROUND_HEALTH_CHECK_MAX_TOKENS");
	unsetenv("BACKGROUND_HEALTH_CHECK_MAX_TOKENS_REASONING");
}

static void
test_health_check_model(void **state)
{
	struct built b;

	(void)state;
	build(&b, "model: 'openai/*', api_key: k, api_base: 'http://h/v1'", "health_check_model: openai/gpt-4o-mini",
	      PROBE_ADAPT_NONE);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.q.model, "openai/gpt-4o-mini");
	assert_string_equal(b.q.endpoint.url, "http://h/v1/chat/completions");
	check_headers(&b.q.endpoint, "Authorization: Bearer k");
	release(&b);
	/* a name of the upstream's own */
	check_body("model: 'openrouter/*', api_key: k", "health_check_model: meta/llama", PROBE_ADAPT_NONE,
	           "{\"model\":\"meta/llama\"," HI ",\"max_tokens\":10}");
	check_body("model: 'x/*', custom_llm_provider: openrouter, api_key: k", "health_check_model: openai/gpt-4o",
	           PROBE_ADAPT_NONE, "{\"model\":\"openai/gpt-4o\"," HI ",\"max_tokens\":10}");
	check_refused("model: 'openai/*'", "health_check_model: 'openai/gpt-*'", HALE_EUNSUPPORTED,
	              "Unable to health check wildcard model for provider openai. Set model_info.health_check_model to one "
	              "of its models.");
	/* another provider: neither our address nor our key from the environment go there */
	setenv("OPENAI_API_KEY", "env-key", 1);
	check_request("model: openai/gpt-4o", "health_check_model: groq/llama", "https://api.groq.com/openai/v1/chat/completions",
	              "", "{\"model\":\"llama\"," HI ",\"max_tokens\":1}");
	unsetenv("OPENAI_API_KEY");
}

static void
test_reasoning(void **state)
{
	static const char *const yes[] = {"o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5.1", "openai/o1-preview",
	                                  "deepseek-reasoner", "deepseek-ai/DeepSeek-R1", "claude-3-7-sonnet-latest",
	                                  "claude-sonnet-4-20250514", "grok-3-mini", "openai/gpt-oss-120b"};
	static const char *const no[] = {"gpt-4o", "gpt-5-chat-latest", "o1x", "claude-3-5-haiku", "llama-3", "gpt-50", ""};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(yes); i++)
		assert_true(catalogue_is_reasoning(yes[i]));
	for (size_t i = 0; i < HALE_COUNT(no); i++)
		assert_false(catalogue_is_reasoning(no[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes_and_providers),
		cmocka_unit_test(test_json_modes),
		cmocka_unit_test(test_anthropic_messages),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_realtime),
		cmocka_unit_test(test_transcription),
		cmocka_unit_test(test_form_parameters),
		cmocka_unit_test(test_image_edit),
		cmocka_unit_test(test_ocr),
		cmocka_unit_test(test_bases),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_deep_parameters),
		cmocka_unit_test(test_extra_headers),
		cmocka_unit_test(test_extra_header_replaces),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_max_tokens),
		cmocka_unit_test(test_limits_by_mode),
		cmocka_unit_test(test_voice),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_health_check_model),
		cmocka_unit_test(test_reasoning),
	};

	unsetenv("OPENAI_API_KEY");
	unsetenv("OPENAI_BASE_URL");
	unsetenv("OPENAI_API_BASE");
	unsetenv("AZURE_API_BASE");
	unsetenv("AZURE_API_VERSION");
	unsetenv("OLLAMA_API_KEY");
	unsetenv("OLLAMA_API_BASE");
	unsetenv("HOSTED_VLLM_API_KEY");
	unsetenv("GROQ_API_KEY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

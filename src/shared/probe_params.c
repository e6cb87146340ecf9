/* What the configuration adds to a probe's question: parameters, and the limit that keeps the answer small.
 *
 * Into the body go only names that are request parameters of the mode; the rest of litellm_params is about
 * hale or the price of tokens, and an upstream that is sent a capability flag answers 400 although it works.
 * health_check_params may name anything: somebody wrote it for the probe.
 *
 * Members stand in this order: model, the question, configured parameters, health_check_params, the voice,
 * the token limit, reasoning_effort; a later one replaces an earlier one of the same name in its place.
 */
#include "hale/hale.h"

#include "probe_impl.h"

#include "hale/arena.h"
#include "hale/catalogue.h"
#include "hale/conf.h"
#include "hale/redact.h"
#include "hale/strbuf.h"

#define PARAMS_LIMIT 1
#define PARAMS_LIMIT_WILDCARD 10
/* What OpenAI's newer models and the responses API take at least. */
#define PARAMS_LIMIT_LARGER 16

#define M(mode) (1u << MODE_##mode)
#define TEXT (M(CHAT) | M(COMPLETION))
#define TALK (M(CHAT) | M(RESPONSES) | M(MESSAGES))
#define IMAGE (M(IMAGE_GENERATION) | M(IMAGE_EDIT))
#define AUDIO (M(AUDIO_TRANSCRIPTION) | M(AUDIO_SPEECH))

/* litellm_params that are parameters of a request, by mode. */
static const struct {
	const char *name;
	unsigned modes;
} probe_params_known[] = {
	{"temperature", TEXT | TALK | M(AUDIO_TRANSCRIPTION)},
	{"top_p", TEXT | TALK},
	{"top_k", TEXT | M(MESSAGES)},
	{"min_p", TEXT},
	{"n", TEXT | IMAGE},
	{"seed", TEXT},
	{"stop", TEXT},
	{"stop_sequences", M(MESSAGES)},
	{"frequency_penalty", TEXT},
	{"presence_penalty", TEXT},
	{"repetition_penalty", TEXT},
	{"logit_bias", TEXT},
	{"logprobs", TEXT},
	{"top_logprobs", M(CHAT) | M(RESPONSES)},
	{"max_tokens", TEXT | M(MESSAGES)},
	{"max_completion_tokens", M(CHAT)},
	{"max_output_tokens", M(RESPONSES)},
	{"response_format", M(CHAT) | IMAGE | AUDIO},
	{"tools", TALK},
	{"tool_choice", TALK},
	{"parallel_tool_calls", M(CHAT) | M(RESPONSES)},
	{"reasoning_effort", M(CHAT)},
	{"reasoning", M(RESPONSES)},
	{"thinking", M(CHAT) | M(MESSAGES)},
	{"verbosity", M(CHAT)},
	{"modalities", M(CHAT)},
	{"audio", M(CHAT)},
	{"web_search_options", M(CHAT)},
	{"text", M(RESPONSES)},
	{"truncation", M(RESPONSES)},
	{"system", M(MESSAGES)},
	{"service_tier", TEXT | TALK},
	{"store", M(CHAT) | M(RESPONSES)},
	{"user", TEXT | M(EMBEDDING) | M(RESPONSES) | IMAGE},
	{"safety_identifier", M(CHAT) | M(RESPONSES)},
	{"dimensions", M(EMBEDDING)},
	{"encoding_format", M(EMBEDDING)},
	{"input_type", M(EMBEDDING)},
	{"task", M(EMBEDDING)},
	{"size", IMAGE},
	{"quality", IMAGE},
	{"background", IMAGE},
	{"output_format", IMAGE},
	{"style", M(IMAGE_GENERATION)},
	{"moderation", M(IMAGE_GENERATION)},
	{"voice", M(AUDIO_SPEECH)},
	{"instructions", M(AUDIO_SPEECH) | M(RESPONSES)},
	{"speed", M(AUDIO_SPEECH)},
	{"language", M(AUDIO_TRANSCRIPTION)},
	{"timestamp_granularities", M(AUDIO_TRANSCRIPTION)},
	{"chunking_strategy", M(AUDIO_TRANSCRIPTION)},
	{"top_n", M(RERANK)},
	{"return_documents", M(RERANK)},
	{"max_chunks_per_doc", M(RERANK)},
	{"pages", M(OCR)},
	{"include_image_base64", M(OCR)},
};

/* Never taken from health_check_params: what the probe decides itself, and where and as whom it connects. */
static const char *const probe_params_reserved[] = {
	"model", "messages", "prompt", "input", "query", "file", "image", "stream", "stream_options", "api_base",
	"base_url", "api_version", "custom_llm_provider", "timeout", "stream_timeout", "mode", "organization",
	"extra_headers", "cache",
};

static const char *const probe_params_limits[] = {"max_tokens", "max_completion_tokens", "max_output_tokens"};

static struct probe_param *
probe_params_find(struct probe_build *b, const char *name)
{
	for (unsigned i = 0; i < b->nparam; i++)
		if (strcmp(b->param[i].name, name) == 0)
			return &b->param[i];
	return NULL;
}

void
probe_params_set(struct probe_build *b, const struct probe_param *p)
{
	struct probe_param *place = probe_params_find(b, p->name);

	if (!place && b->nparam < PROBE_PARAMS_MAX)
		place = &b->param[b->nparam++];
	if (place)
		*place = *p;
}

static void
probe_params_drop(struct probe_build *b, const char *name)
{
	struct probe_param *p = probe_params_find(b, name);

	if (p) {
		memmove(p, p + 1, (size_t)(&b->param[b->nparam] - (p + 1)) * sizeof(*p));
		b->nparam--;
	}
}

static bool
probe_params_is_known(const char *name, enum mode mode)
{
	for (unsigned i = 0; i < HALE_COUNT(probe_params_known); i++)
		if (strcmp(probe_params_known[i].name, name) == 0)
			return probe_params_known[i].modes >> mode & 1;
	return false;
}

static bool
probe_params_is_reserved(const char *name)
{
	for (unsigned i = 0; i < HALE_COUNT(probe_params_reserved); i++)
		if (strcmp(probe_params_reserved[i], name) == 0)
			return true;
	return redact_is_secret_name(name);
}

static void
probe_params_set_node(struct probe_build *b, const struct conf_node *n)
{
	probe_params_set(b, &(struct probe_param){.name = n->key, .kind = PROBE_NODE, .node = n});
}

/* extra_body is the SDK's way to say "more members": they stand beside the others on the wire. */
static void
probe_params_merge(struct probe_build *b, const struct conf_node *map)
{
	for (const struct conf_node *n = map && map->kind == CONF_MAP ? map->child : NULL; n; n = n->next)
		if (n->kind != CONF_NULL && !probe_params_is_reserved(n->key) &&
		    strcmp(n->key, "extra_body") != 0)
			probe_params_set_node(b, n);
}

static void
probe_params_configured(struct probe_build *b)
{
	const struct conf_node *params = b->d->params;

	for (const struct conf_node *n = params && params->kind == CONF_MAP ? params->child : NULL; n;
	     n = n->next)
		if (n->kind != CONF_NULL && probe_params_is_known(n->key, b->out->mode))
			probe_params_set_node(b, n);
	probe_params_merge(b, conf_get(params, "extra_body"));
	probe_params_merge(b, b->d->probe.params);
	probe_params_merge(b, conf_get(b->d->probe.params, "extra_body"));
}

/* The configured limit (docs/probing.md "Token limits"); -1: nobody said one. */
static int32_t
probe_params_limit_set(const struct probe_build *b)
{
	const struct deployment_probe *p = &b->d->probe;
	const struct conf_health_env *env = &b->conf->health_env;
	bool wildcard = b->d->wildcard, reasoning = !wildcard && catalogue_is_reasoning(b->model);

	if (p->max_tokens >= 0)
		return p->max_tokens;
	if (reasoning && p->max_tokens_reasoning >= 0)
		return p->max_tokens_reasoning;
	if (!wildcard && !reasoning && p->max_tokens_non_reasoning >= 0)
		return p->max_tokens_non_reasoning;
	if (reasoning && env->max_tokens_reasoning > 0)
		return env->max_tokens_reasoning;
	return env->max_tokens > 0 ? env->max_tokens : -1;
}

/* The limit to send; -1: none. */
static int32_t
probe_params_limit(const struct probe_build *b)
{
	enum mode m = b->out->mode;
	bool text = m == MODE_CHAT || m == MODE_COMPLETION;
	int32_t limit = probe_params_limit_set(b);
	int8_t says = b->d->probe.supports_max_tokens;

	/* Anthropic's form has no default. */
	if (m != MODE_MESSAGES && (says == 0 || (says < 0 && !text && (m != MODE_RESPONSES || limit < 0))))
		return -1;
	if (limit < 0)
		limit = m == MODE_MESSAGES ? PARAMS_LIMIT_LARGER
		        : b->d->wildcard   ? PARAMS_LIMIT_WILDCARD
		                           : PARAMS_LIMIT;
	if ((b->adapt != PROBE_ADAPT_NONE || m == MODE_RESPONSES) && limit < PARAMS_LIMIT_LARGER)
		limit = PARAMS_LIMIT_LARGER;
	return limit;
}

static void
probe_params_set_limit(struct probe_build *b)
{
	int32_t limit = probe_params_limit(b);
	enum mode m = b->out->mode;
	bool written = false;

	if (limit < 0)
		return;
	for (unsigned i = 0; i < HALE_COUNT(probe_params_limits); i++)
		written = written || conf_get(b->d->probe.params, probe_params_limits[i]);
	/* A limit that somebody wrote for the probe beats a default. */
	if (b->adapt == PROBE_ADAPT_NONE && b->d->probe.max_tokens < 0 && written)
		return;
	for (unsigned i = 0; i < HALE_COUNT(probe_params_limits); i++)
		probe_params_drop(b, probe_params_limits[i]);
	probe_params_set(b, &(struct probe_param){
		.name = m == MODE_RESPONSES                                           ? "max_output_tokens"
		        : m == MODE_CHAT && b->adapt == PROBE_ADAPT_COMPLETION ? "max_completion_tokens"
		                                                               : "max_tokens",
		.kind = PROBE_NUMBER,
		.number = limit,
	});
}

static void
probe_params_set_effort(struct probe_build *b)
{
	const struct conf_node *effort = b->d->probe.reasoning_effort;
	struct strbuf json;

	if (!effort || effort->kind == CONF_NULL)
		return;
	if (b->out->mode == MODE_CHAT || b->out->mode == MODE_COMPLETION) {
		probe_params_set(b, &(struct probe_param){.name = "reasoning_effort", .node = effort});
	} else if (b->out->mode == MODE_RESPONSES) {
		strbuf_init(&json, 0);
		if (effort->kind == CONF_MAP) {
			conf_json(effort, &json);
		} else {
			strbuf_puts(&json, "{\"effort\":");
			conf_json(effort, &json);
			strbuf_putc(&json, '}');
		}
		probe_params_set(b, &(struct probe_param){
			.name = "reasoning", .kind = PROBE_JSON, .text = arena_strdup(b->arena, strbuf_str(&json)),
		});
		strbuf_release(&json);
	}
}

void
probe_params_collect(struct probe_build *b)
{
	bool plain = b->adapt == PROBE_ADAPT_NO_LIMIT;
	const char *voice = b->d->probe.voice;

	if (!plain)
		probe_params_configured(b);
	if (voice && b->out->mode == MODE_AUDIO_SPEECH)
		probe_params_set(b,
		                 &(struct probe_param){.name = "voice", .kind = PROBE_TEXT, .text = voice});
	if (!plain || b->out->mode == MODE_MESSAGES)
		probe_params_set_limit(b);
	if (!plain)
		probe_params_set_effort(b);
}

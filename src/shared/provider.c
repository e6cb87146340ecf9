/* The providers that hale speaks to, as one table.
 *
 * A row says where a provider lives by default, which environment variables LiteLLM reads for its
 * key and base, and which operation serves each mode. Most rows are OpenAI-compatible services and
 * share the operations of provider_openai.c; what differs is only the address. A provider whose
 * wire format is not implemented has no row on purpose: the configuration then names it as unknown
 * at load time, instead of a client finding out at request time.
 *
 * Order is that of the list in messages: the families first, then the rows that borrow from them.
 */
#include "hale/hale.h"

#include "provider_impl.h"

/* Cells of a row in OpenAI's form. */
#define OPENAI(mode) [MODE_##mode] = &provider_openai_op[MODE_##mode]
#define OPENAI_TEXT OPENAI(CHAT), OPENAI(COMPLETION), OPENAI(EMBEDDING)
#define OPENAI_AUDIO OPENAI(AUDIO_TRANSCRIPTION), OPENAI(AUDIO_TRANSLATION), OPENAI(AUDIO_SPEECH)
#define OPENAI_IMAGE OPENAI(IMAGE_GENERATION), OPENAI(IMAGE_EDIT), OPENAI(IMAGE_VARIATION)
/* A server that somebody named by address may offer any of them. */
#define OPENAI_ALL \
	{OPENAI_TEXT, OPENAI_AUDIO, OPENAI_IMAGE, OPENAI(RERANK), OPENAI(BATCH), OPENAI(REALTIME), OPENAI(RESPONSES), \
	 OPENAI(MODERATION)}
#define AZURE(mode) [MODE_##mode] = &provider_azure_op[MODE_##mode]
#define COHERE(mode) [MODE_##mode] = &provider_cohere_op[MODE_##mode]
#define ANTHROPIC(mode) [MODE_##mode] = &provider_anthropic_op[MODE_##mode]

static const struct provider provider_table[] = {
	{
		.name = "openai",
		.default_base = "https://api.openai.com/v1",
		.key_env = {"OPENAI_API_KEY"},
		.base_env = {"OPENAI_BASE_URL", "OPENAI_API_BASE"},
		.op = OPENAI_ALL,
	},
	{
		.name = "azure",
		.key_env = {"AZURE_API_KEY", "AZURE_OPENAI_API_KEY"},
		.base_env = {"AZURE_API_BASE"},
		.version_env = "AZURE_API_VERSION",
		.default_version = "2025-02-01-preview",
		.op = {AZURE(CHAT), AZURE(COMPLETION), AZURE(EMBEDDING), AZURE(IMAGE_GENERATION), AZURE(IMAGE_EDIT),
		       AZURE(AUDIO_TRANSCRIPTION), AZURE(AUDIO_TRANSLATION), AZURE(AUDIO_SPEECH), AZURE(BATCH), AZURE(RESPONSES),
		       AZURE(REALTIME)},
	},
	{
		.name = "anthropic",
		.default_base = "https://api.anthropic.com",
		.key_env = {"ANTHROPIC_API_KEY"},
		.base_env = {"ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"},
		.op = {ANTHROPIC(CHAT), ANTHROPIC(MESSAGES), ANTHROPIC(COUNT_TOKENS)},
	},
	{
		.name = "gemini",
		.default_base = "https://generativelanguage.googleapis.com",
		.key_env = {"GEMINI_API_KEY", "GOOGLE_API_KEY"},
		.base_env = {"GEMINI_API_BASE"},
		.default_version = "v1beta",
		.op = {[MODE_CHAT] = &provider_gemini_op[MODE_CHAT], [MODE_EMBEDDING] = &provider_gemini_op[MODE_EMBEDDING],
		       [MODE_IMAGE_GENERATION] = &provider_gemini_op[MODE_IMAGE_GENERATION]},
	},
	{
		.name = "bedrock",
		.default_base = "https://bedrock-runtime.{region}.amazonaws.com",
		.key_env = {"AWS_BEARER_TOKEN_BEDROCK"},
		.base_env = {"AWS_BEDROCK_RUNTIME_ENDPOINT"},
		.aws = true,
		.op = {[MODE_CHAT] = &provider_bedrock_op[MODE_CHAT],
		       [MODE_EMBEDDING] = &provider_bedrock_op[MODE_EMBEDDING]},
	},
	{
		.name = "cohere",
		.default_base = "https://api.cohere.com",
		.key_env = {"COHERE_API_KEY", "CO_API_KEY"},
		.base_env = {"COHERE_API_BASE"},
		.op = {COHERE(CHAT), COHERE(EMBEDDING), COHERE(RERANK)},
	},
	{
		.name = "cohere_chat",
		.default_base = "https://api.cohere.com",
		.key_env = {"COHERE_API_KEY", "CO_API_KEY"},
		.base_env = {"COHERE_API_BASE"},
		.op = {COHERE(CHAT), COHERE(EMBEDDING), COHERE(RERANK)},
	},
	{
		.name = "groq",
		.default_base = "https://api.groq.com/openai/v1",
		.key_env = {"GROQ_API_KEY"},
		.base_env = {"GROQ_API_BASE"},
		.op = {OPENAI_TEXT, OPENAI_AUDIO, OPENAI(RESPONSES), OPENAI(BATCH)},
	},
	{
		.name = "together_ai",
		.default_base = "https://api.together.xyz/v1",
		.key_env = {"TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_API_KEY"},
		.base_env = {"TOGETHERAI_API_BASE", "TOGETHER_AI_API_BASE"},
		.op = {OPENAI_TEXT, OPENAI_AUDIO, OPENAI(IMAGE_GENERATION), OPENAI(RERANK), OPENAI(BATCH)},
	},
	{
		.name = "deepseek",
		.default_base = "https://api.deepseek.com/v1",
		.key_env = {"DEEPSEEK_API_KEY"},
		.base_env = {"DEEPSEEK_API_BASE"},
		.op = {OPENAI(CHAT), OPENAI(COMPLETION)},
	},
	{
		.name = "openrouter",
		.default_base = "https://openrouter.ai/api/v1",
		.key_env = {"OPENROUTER_API_KEY", "OR_API_KEY"},
		.base_env = {"OPENROUTER_API_BASE"},
		.op = {OPENAI_TEXT, OPENAI(RESPONSES)},
	},
	{
		.name = "xai",
		.default_base = "https://api.x.ai/v1",
		.key_env = {"XAI_API_KEY"},
		.base_env = {"XAI_API_BASE"},
		.op = {OPENAI(CHAT), OPENAI(COMPLETION), OPENAI(IMAGE_GENERATION), OPENAI(REALTIME), OPENAI(RESPONSES),
		       OPENAI(BATCH)},
	},
	{
		.name = "fireworks_ai",
		.default_base = "https://api.fireworks.ai/inference/v1",
		.key_env = {"FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY"},
		.base_env = {"FIREWORKS_API_BASE"},
		.op = {OPENAI_TEXT, OPENAI(RESPONSES),
		       [MODE_RERANK] = &provider_fireworks_op[MODE_RERANK]},
	},
	{
		.name = "perplexity",
		.default_base = "https://api.perplexity.ai",
		.key_env = {"PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"},
		.base_env = {"PERPLEXITY_API_BASE"},
		.op = {OPENAI(CHAT)},
	},
	{
		.name = "mistral",
		.default_base = "https://api.mistral.ai/v1",
		.key_env = {"MISTRAL_API_KEY"},
		.base_env = {"MISTRAL_API_BASE"},
		.no_stream_options = true,
		.op = {OPENAI(CHAT), OPENAI(EMBEDDING), OPENAI(AUDIO_TRANSCRIPTION), OPENAI(MODERATION), OPENAI(OCR)},
	},
	{
		.name = "jina_ai",
		.default_base = "https://api.jina.ai/v1",
		.key_env = {"JINA_AI_API_KEY"},
		.base_env = {"JINA_AI_API_BASE"},
		.op = {OPENAI(EMBEDDING), OPENAI(RERANK)},
	},
	{
		.name = "voyage",
		.default_base = "https://api.voyageai.com/v1",
		.key_env = {"VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"},
		.base_env = {"VOYAGE_API_BASE"},
		.op = {[MODE_EMBEDDING] = &provider_voyage_op[MODE_EMBEDDING],
		       [MODE_RERANK] = &provider_voyage_op[MODE_RERANK]},
	},
	{
		.name = "hosted_vllm",
		.key_env = {"HOSTED_VLLM_API_KEY"},
		.base_env = {"HOSTED_VLLM_API_BASE"},
		.local = true,
		.op = OPENAI_ALL,
	},
	{
		.name = "vllm",
		.key_env = {"VLLM_API_KEY"},
		.base_env = {"VLLM_API_BASE"},
		.local = true,
		.op = OPENAI_ALL,
	},
	{
		.name = "ollama",
		.default_base = "http://localhost:11434",
		.key_env = {"OLLAMA_API_KEY"},
		.base_env = {"OLLAMA_API_BASE"},
		.local = true,
		.bare_path = "/v1",
		.op = {OPENAI_TEXT, OPENAI(RESPONSES)},
	},
	{
		.name = "ollama_chat",
		.default_base = "http://localhost:11434",
		.key_env = {"OLLAMA_API_KEY"},
		.base_env = {"OLLAMA_API_BASE"},
		.local = true,
		.bare_path = "/v1",
		.op = {OPENAI_TEXT, OPENAI(RESPONSES)},
	},
	{
		.name = "lm_studio",
		.default_base = "http://localhost:1234/v1",
		.key_env = {"LM_STUDIO_API_KEY"},
		.base_env = {"LM_STUDIO_API_BASE"},
		.local = true,
		.op = {OPENAI_TEXT, OPENAI(RESPONSES)},
	},
	{
		/* No key variable: a server that somebody named by address must not be sent OpenAI's key. */
		.name = "custom_openai",
		.local = true,
		.op = OPENAI_ALL,
	},
	{
		.name = "openai_like",
		.key_env = {"OPENAI_LIKE_API_KEY"},
		.base_env = {"OPENAI_LIKE_API_BASE"},
		.local = true,
		.op = OPENAI_ALL,
	},
};

/* Names that LiteLLM takes without a prefix. A pattern ends in '*' or must match as a whole. */
static const struct {
	const char *pattern, *provider;
} provider_bare[] = {
	{"gpt-*", "openai"},
	{"chatgpt-*", "openai"},
	{"ft:gpt-*", "openai"},
	{"o1", "openai"},
	{"o1-*", "openai"},
	{"o3", "openai"},
	{"o3-*", "openai"},
	{"o4-*", "openai"},
	{"text-embedding-*", "openai"},
	{"whisper-1", "openai"},
	{"tts-1", "openai"},
	{"tts-1-*", "openai"},
	{"dall-e-*", "openai"},
	{"omni-moderation-*", "openai"},
	{"text-moderation-*", "openai"},
	{"davinci-002", "openai"},
	{"babbage-002", "openai"},
	{"codex-*", "openai"},
	{"computer-use-preview*", "openai"},
	{"claude-*", "anthropic"},
	{"command-*", "cohere_chat"},
	{"embed-english-*", "cohere"},
	{"embed-multilingual-*", "cohere"},
	{"rerank-english-*", "cohere"},
	{"rerank-multilingual-*", "cohere"},
};

const struct provider *
provider_at(unsigned i)
{
	return i < HALE_COUNT(provider_table) ? &provider_table[i] : NULL;
}

bool
provider_op_has_body(const struct provider_op *op)
{
	return op->form != OP_LIST && op->form != OP_WEBSOCKET;
}

const struct provider *
provider_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < HALE_COUNT(provider_table); i++)
		if (strlen(provider_table[i].name) == len && memcmp(provider_table[i].name, name, len) == 0)
			return &provider_table[i];
	return NULL;
}

static const struct provider *
provider_of_bare(const char *model)
{
	for (unsigned i = 0; i < HALE_COUNT(provider_bare); i++) {
		const char *pattern = provider_bare[i].pattern, *name = provider_bare[i].provider;
		size_t n = strlen(pattern);

		if (pattern[n - 1] == '*' ? strncmp(model, pattern, n - 1) == 0 : strcmp(model, pattern) == 0)
			return provider_find(name, strlen(name));
	}
	return NULL;
}

const struct provider *
provider_of_model(const char *model, const char *custom, const char **rest)
{
	const char *slash = strchr(model, '/');
	const struct provider *prefix = slash ? provider_find(model, (size_t)(slash - model)) : NULL;
	const struct provider *p = custom ? provider_find(custom, strlen(custom)) : prefix;

	/* With custom_llm_provider, "meta-llama/x" or even "openai/x" is the upstream's own name. */
	*rest = p && p == prefix ? slash + 1 : model;
	return p || custom ? p : provider_of_bare(model);
}

const char *
provider_list(void)
{
	return "openai, azure, anthropic, gemini, bedrock, cohere, cohere_chat, groq, together_ai, deepseek, openrouter, "
	       "xai, fireworks_ai, perplexity, mistral, jina_ai, voyage, hosted_vllm, vllm, ollama, ollama_chat, "
	       "lm_studio, custom_openai, openai_like";
}

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

/* Modes of a row in OpenAI's form. */
#define PROVIDER_CHAT [MODE_CHAT] = &provider_openai_chat
#define PROVIDER_COMPLETION [MODE_COMPLETION] = &provider_openai_completion
#define PROVIDER_EMBEDDING [MODE_EMBEDDING] = &provider_openai_embedding
#define PROVIDER_OPENAI_OPS {PROVIDER_CHAT, PROVIDER_COMPLETION, PROVIDER_EMBEDDING}

static const struct provider provider_table[] = {
	{
		.name = "openai",
		.default_base = "https://api.openai.com/v1",
		.key_env = {"OPENAI_API_KEY"},
		.base_env = {"OPENAI_BASE_URL", "OPENAI_API_BASE"},
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "azure",
		.key_env = {"AZURE_API_KEY", "AZURE_OPENAI_API_KEY"},
		.base_env = {"AZURE_API_BASE"},
		.version_env = "AZURE_API_VERSION",
		.default_version = "2025-02-01-preview",
		.op = {[MODE_CHAT] = &provider_azure_chat,
		       [MODE_COMPLETION] = &provider_azure_completion,
		       [MODE_EMBEDDING] = &provider_azure_embedding},
	},
	{
		.name = "anthropic",
		.default_base = "https://api.anthropic.com",
		.key_env = {"ANTHROPIC_API_KEY"},
		.base_env = {"ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"},
		.op = {[MODE_CHAT] = &provider_anthropic_chat},
	},
	{
		.name = "groq",
		.default_base = "https://api.groq.com/openai/v1",
		.key_env = {"GROQ_API_KEY"},
		.base_env = {"GROQ_API_BASE"},
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "together_ai",
		.default_base = "https://api.together.xyz/v1",
		.key_env = {"TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_API_KEY"},
		.base_env = {"TOGETHERAI_API_BASE", "TOGETHER_AI_API_BASE"},
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "deepseek",
		.default_base = "https://api.deepseek.com/v1",
		.key_env = {"DEEPSEEK_API_KEY"},
		.base_env = {"DEEPSEEK_API_BASE"},
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "openrouter",
		.default_base = "https://openrouter.ai/api/v1",
		.key_env = {"OPENROUTER_API_KEY", "OR_API_KEY"},
		.base_env = {"OPENROUTER_API_BASE"},
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "xai",
		.default_base = "https://api.x.ai/v1",
		.key_env = {"XAI_API_KEY"},
		.base_env = {"XAI_API_BASE"},
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "fireworks_ai",
		.default_base = "https://api.fireworks.ai/inference/v1",
		.key_env = {"FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY"},
		.base_env = {"FIREWORKS_API_BASE"},
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "perplexity",
		.default_base = "https://api.perplexity.ai",
		.key_env = {"PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"},
		.base_env = {"PERPLEXITY_API_BASE"},
		.op = {PROVIDER_CHAT},
	},
	{
		.name = "mistral",
		.default_base = "https://api.mistral.ai/v1",
		.key_env = {"MISTRAL_API_KEY"},
		.base_env = {"MISTRAL_API_BASE"},
		.op = {PROVIDER_CHAT, PROVIDER_EMBEDDING},
	},
	{
		.name = "jina_ai",
		.default_base = "https://api.jina.ai/v1",
		.key_env = {"JINA_AI_API_KEY"},
		.base_env = {"JINA_AI_API_BASE"},
		.op = {PROVIDER_EMBEDDING},
	},
	{
		.name = "voyage",
		.default_base = "https://api.voyageai.com/v1",
		.key_env = {"VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"},
		.base_env = {"VOYAGE_API_BASE"},
		.op = {PROVIDER_EMBEDDING},
	},
	{
		.name = "hosted_vllm",
		.key_env = {"HOSTED_VLLM_API_KEY"},
		.base_env = {"HOSTED_VLLM_API_BASE"},
		.local = true,
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "vllm",
		.key_env = {"VLLM_API_KEY"},
		.base_env = {"VLLM_API_BASE"},
		.local = true,
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "ollama",
		.default_base = "http://localhost:11434",
		.key_env = {"OLLAMA_API_KEY"},
		.base_env = {"OLLAMA_API_BASE"},
		.local = true,
		.bare_path = "/v1",
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "ollama_chat",
		.default_base = "http://localhost:11434",
		.key_env = {"OLLAMA_API_KEY"},
		.base_env = {"OLLAMA_API_BASE"},
		.local = true,
		.bare_path = "/v1",
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "lm_studio",
		.default_base = "http://localhost:1234/v1",
		.key_env = {"LM_STUDIO_API_KEY"},
		.base_env = {"LM_STUDIO_API_BASE"},
		.local = true,
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		/* No key variable: a server that somebody named by address must not be sent OpenAI's key. */
		.name = "custom_openai",
		.local = true,
		.op = PROVIDER_OPENAI_OPS,
	},
	{
		.name = "openai_like",
		.key_env = {"OPENAI_LIKE_API_KEY"},
		.base_env = {"OPENAI_LIKE_API_BASE"},
		.local = true,
		.op = PROVIDER_OPENAI_OPS,
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
};

const struct provider *
provider_at(unsigned i)
{
	return i < HALE_COUNT(provider_table) ? &provider_table[i] : NULL;
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
	return "openai, azure, anthropic, groq, together_ai, deepseek, openrouter, xai, fireworks_ai, perplexity, "
	       "mistral, jina_ai, voyage, hosted_vllm, vllm, ollama, ollama_chat, lm_studio, custom_openai, "
	       "openai_like";
}

/* Model names to properties.
 *
 * A few patterns instead of a price list: names of one family stay alike when new members appear. A wrong
 * guess about reasoning only picks another token limit for a probe, which adapts when it is refused; `hale
 * check` shows the guess about the mode, and model_info.mode overrules it.
 */
#include "hale/hale.h"

#include "hale/catalogue.h"

#include <ctype.h>
#include <strings.h>

static const char *const catalogue_reasoning_part[] = {
	"reasoner", "reasoning", "thinking", "deepseek-r1", "qwq", "magistral", "gpt-oss", "grok-3-mini", "grok-4",
	"claude-3-7-", "claude-opus-4", "claude-sonnet-4", "claude-haiku-4", "gemini-2.5", "gemini-3",
};

/* A family name at the start, followed by its end or a separator: "o1-mini", not "o1x". */
static const char *const catalogue_reasoning_start[] = {"o1", "o3", "o4", "gpt-5", "codex"};

/* A word counts at the start of a name or behind a separator, and may end in the middle of
 * one: "embed" is in "nomic-embed-text" and in "text-embedding-3", not in "unembed". First
 * match wins, so special words come first. */
static const struct catalogue_word {
	const char *word;
	enum mode mode;
} catalogue_modes[] = {
	{"rerank", MODE_RERANK},
	{"realtime", MODE_REALTIME},
	{"moderation", MODE_MODERATION},
	/* to vectors */
	{"embed", MODE_EMBEDDING},
	{"bge-", MODE_EMBEDDING},
	{"e5-", MODE_EMBEDDING},
	{"gte-", MODE_EMBEDDING},
	{"all-minilm", MODE_EMBEDDING},
	{"all-mpnet", MODE_EMBEDDING},
	{"text-similarity-", MODE_EMBEDDING},
	{"jina-clip", MODE_EMBEDDING},
	{"voyage-", MODE_EMBEDDING},
	/* from and to sound */
	{"whisper", MODE_AUDIO_TRANSCRIPTION},
	{"transcribe", MODE_AUDIO_TRANSCRIPTION},
	{"parakeet", MODE_AUDIO_TRANSCRIPTION},
	{"tts", MODE_AUDIO_SPEECH},
	{"kokoro", MODE_AUDIO_SPEECH},
	{"orpheus", MODE_AUDIO_SPEECH},
	/* to pictures */
	{"qwen-image-edit", MODE_IMAGE_EDIT},
	{"dall-e", MODE_IMAGE_GENERATION},
	{"dalle", MODE_IMAGE_GENERATION},
	{"gpt-image", MODE_IMAGE_GENERATION},
	{"chatgpt-image", MODE_IMAGE_GENERATION},
	{"qwen-image", MODE_IMAGE_GENERATION},
	{"grok-2-image", MODE_IMAGE_GENERATION},
	{"grok-imagine-image", MODE_IMAGE_GENERATION},
	{"flux", MODE_IMAGE_GENERATION},
	{"imagen-", MODE_IMAGE_GENERATION},
	{"stable-diffusion", MODE_IMAGE_GENERATION},
	{"sdxl", MODE_IMAGE_GENERATION},
	{"seedream", MODE_IMAGE_GENERATION},
	{"recraft", MODE_IMAGE_GENERATION},
	/* Mistral's service; other models with "ocr" in their name are chat models that see. */
	{"mistral-ocr", MODE_OCR},
	/* plain completions */
	{"gpt-3.5-turbo-instruct", MODE_COMPLETION},
	{"davinci-", MODE_COMPLETION},
	{"babbage-", MODE_COMPLETION},
};

/* Only at OpenAI and Azure: others serve these as chat models. */
static const struct catalogue_word catalogue_openai_modes[] = {
	{"o1-pro", MODE_RESPONSES},
	{"o3-pro", MODE_RESPONSES},
	{"gpt-5-pro", MODE_RESPONSES},
	{"gpt-5-codex", MODE_RESPONSES},
	{"gpt-5.1-codex", MODE_RESPONSES},
	{"codex-mini", MODE_RESPONSES},
	{"o3-deep-research", MODE_RESPONSES},
	{"o4-mini-deep-research", MODE_RESPONSES},
	{"computer-use-preview", MODE_RESPONSES},
};

/* word in name, where a part of the name begins. */
static bool
catalogue_has(const char *name, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = name; *at; at++)
		if (tolower((unsigned char)*at) == word[0] &&
		    (at == name || !isalnum((unsigned char)at[-1])) && strncasecmp(at, word, n) == 0)
			return true;
	return false;
}

static enum mode
catalogue_find(const struct catalogue_word *list, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (catalogue_has(name, list[i].word))
			return list[i].mode;
	return MODE_NONE;
}

enum mode
catalogue_mode(const char *provider, const char *model)
{
	const char *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model;
	enum mode m = catalogue_find(catalogue_modes, HALE_COUNT(catalogue_modes), name);

	if (m == MODE_NONE && (strcmp(provider, "openai") == 0 || strcmp(provider, "azure") == 0))
		m = catalogue_find(catalogue_openai_modes, HALE_COUNT(catalogue_openai_modes), name);
	return m;
}

bool
catalogue_is_reasoning(const char *model)
{
	const char *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model;

	if (strncasecmp(name, "gpt-5", 5) == 0 && strcasestr(name, "chat"))
		return false;
	for (unsigned i = 0; i < HALE_COUNT(catalogue_reasoning_start); i++) {
		size_t n = strlen(catalogue_reasoning_start[i]);

		if (strncasecmp(name, catalogue_reasoning_start[i], n) == 0 && (!name[n] || strchr("-.:", name[n])))
			return true;
	}
	for (unsigned i = 0; i < HALE_COUNT(catalogue_reasoning_part); i++)
		if (strcasestr(name, catalogue_reasoning_part[i]))
			return true;
	return false;
}

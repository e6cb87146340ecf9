/* Names of modes, and the words that their answers are in. */
#include "hale/hale.h"

#include "hale/mode.h"

static const char *const mode_names[MODE_COUNT] = {
	[MODE_NONE] = "none",
	[MODE_CHAT] = "chat",
	[MODE_COMPLETION] = "completion",
	[MODE_EMBEDDING] = "embedding",
	[MODE_IMAGE_GENERATION] = "image_generation",
	[MODE_IMAGE_EDIT] = "image_edit",
	[MODE_AUDIO_TRANSCRIPTION] = "audio_transcription",
	[MODE_AUDIO_SPEECH] = "audio_speech",
	[MODE_RERANK] = "rerank",
	[MODE_BATCH] = "batch",
	[MODE_REALTIME] = "realtime",
	[MODE_OCR] = "ocr",
	[MODE_RESPONSES] = "responses",
	[MODE_MODERATION] = "moderation",
	[MODE_MESSAGES] = "anthropic_messages",
	[MODE_COUNT_TOKENS] = "count_tokens",
	[MODE_AUDIO_TRANSLATION] = "audio_translation",
	[MODE_IMAGE_VARIATION] = "image_variation",
};

static const char *const mode_foreign[] = {"video_generation", "evaluation", "search", "vector_store",
                                           "guardrail"};

const char *
mode_name(enum mode m)
{
	return mode_names[m < MODE_COUNT ? m : MODE_NONE];
}

enum mode
mode_parse(const char *word)
{
	for (int m = MODE_NONE + 1; m < MODE_COUNT_TOKENS; m++)
		if (strcmp(word, mode_names[m]) == 0)
			return (enum mode)m;
	return MODE_NONE;
}

const char *
mode_list(void)
{
	return "chat, completion, embedding, image_generation, image_edit, audio_transcription, audio_speech, "
	       "rerank, batch, realtime, ocr, responses, moderation, anthropic_messages";
}

enum dialect
mode_dialect(enum mode m)
{
	switch (m) {
	case MODE_RESPONSES:
		return DIALECT_RESPONSES;
	case MODE_IMAGE_GENERATION:
	case MODE_IMAGE_EDIT:
	case MODE_AUDIO_TRANSCRIPTION:
	case MODE_AUDIO_SPEECH:
		return DIALECT_MEDIA;
	case MODE_MESSAGES:
	case MODE_COUNT_TOKENS:
		return DIALECT_MESSAGES;
	default:
		return DIALECT_CHAT;
	}
}

enum dialect
mode_dialect_of_path(const char *path)
{
	static const char messages[] = "/messages";

	if (path && strncmp(path, "/v1/", 4) == 0)
		path += 3;
	if (path == NULL || strncmp(path, messages, sizeof(messages) - 1) != 0)
		return DIALECT_CHAT;
	path += sizeof(messages) - 1;
	return *path == '\0' || *path == '/' ? DIALECT_MESSAGES : DIALECT_CHAT;
}

bool
mode_is_foreign(const char *word)
{
	for (unsigned i = 0; i < HALE_COUNT(mode_foreign); i++)
		if (strcmp(word, mode_foreign[i]) == 0)
			return true;
	return false;
}

const char *
mode_foreign_list(void)
{
	return "video_generation, evaluation, search, vector_store, guardrail";
}

const char *
mode_word(unsigned i)
{
	if (i < MODE_COUNT_TOKENS - 1)
		return mode_names[i + 1];
	i -= MODE_COUNT_TOKENS - 1;
	return i < HALE_COUNT(mode_foreign) ? mode_foreign[i] : NULL;
}

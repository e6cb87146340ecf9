/* Names of modes. */
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
};

const char *
mode_name(enum mode m)
{
	return mode_names[m < MODE_COUNT ? m : MODE_NONE];
}

enum mode
mode_parse(const char *word)
{
	for (int m = MODE_NONE + 1; m < MODE_COUNT; m++)
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

/* The kinds of request that hale knows: what clients send, what deployments are for, what probes make. */
#ifndef HALE_MODE_H
#define HALE_MODE_H

#include "hale/hale.h"

enum mode {
	MODE_NONE = 0, /* not configured: resolved by deployment_resolve_mode() */
	MODE_CHAT,
	MODE_COMPLETION,
	MODE_EMBEDDING,
	MODE_IMAGE_GENERATION,
	MODE_IMAGE_EDIT,
	MODE_AUDIO_TRANSCRIPTION,
	MODE_AUDIO_SPEECH,
	MODE_RERANK,
	MODE_BATCH,
	MODE_REALTIME,
	MODE_OCR,
	MODE_RESPONSES,
	MODE_MODERATION,
	MODE_MESSAGES, /* Anthropic's own format; in config "anthropic_messages" */
	MODE_COUNT_TOKENS, /* the question beside it; no deployment is for that alone: no word in config */
	MODE_AUDIO_TRANSLATION, /* beside transcription, in the same way */
	MODE_IMAGE_VARIATION,   /* beside image_edit */
	MODE_COUNT
};

/* Whose words the streams and errors of a request are in. */
enum dialect {
	DIALECT_CHAT = 0,  /* OpenAI's chat chunks, and everything that has no stream */
	DIALECT_RESPONSES, /* OpenAI's typed events */
	DIALECT_MEDIA,     /* the same of images and sound, where some servers send chat chunks */
	DIALECT_MESSAGES,  /* Anthropic's */
	DIALECT_COUNT
};

/* The config's word ("chat"); "none" for MODE_NONE. Never NULL. */
const char *mode_name(enum mode m);
/* MODE_NONE when the word is unknown. */
enum mode mode_parse(const char *word);
/* "chat, completion, ...", for messages. */
const char *mode_list(void);
enum dialect mode_dialect(enum mode m);
/* Of a client's path, also of one that no endpoint has: what is asked below /v1/messages is answered in
 * Anthropic's words, "not found" included. NULL: DIALECT_CHAT. */
enum dialect mode_dialect_of_path(const char *path);
/* true for words that LiteLLM knows as modes and that hale does not probe (video_generation ...). */
bool mode_is_foreign(const char *word);
/* The same words as a list. */
const char *mode_foreign_list(void);
/* Word i of both kinds, NULL after the last. */
const char *mode_word(unsigned i);

#endif

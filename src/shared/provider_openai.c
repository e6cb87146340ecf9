/* OpenAI and everything that speaks its form: bodies pass as they are, only the address differs. */
#include "hale/hale.h"

#include "provider_impl.h"

#include "hale/arena.h"
#include "hale/deployment.h"

int
provider_openai_endpoint(struct arena *a, const struct provider_op *op, const struct deployment *d, const char *model,
                         bool stream, struct endpoint *out)
{
	struct provider_base base;
	const char *query = NULL;
	int rc = provider_endpoint_base(a, d, &base);

	(void)stream;
	if (rc)
		return rc;
	/* An upgrade has no body that could name the model. */
	if (op->form == OP_WEBSOCKET && !provider_endpoint_has(&base, "model"))
		query = arena_printf(a, "model=%s", provider_endpoint_encode(a, model));
	*out = (struct endpoint){
		.method = provider_op_has_body(op) ? "POST" : "GET",
		.url = provider_endpoint_url(a, &base, op->path, query),
	};
	if (d->api_key)
		rc = provider_endpoint_header(out, "Authorization", arena_printf(a, "Bearer %s", d->api_key));
	if (!rc)
		rc = provider_endpoint_header(out, "OpenAI-Organization", d->organization);
	return rc ? rc : provider_endpoint_extra(a, d, out);
}

#define CELL(p, ...) {.endpoint = provider_openai_endpoint, .path = p, __VA_ARGS__}

const struct provider_op provider_openai_op[MODE_COUNT] = {
	[MODE_CHAT] = CELL("/chat/completions", .essential = provider_essential_message),
	[MODE_COMPLETION] = CELL("/completions", .essential = provider_essential_text),
	[MODE_EMBEDDING] = CELL("/embeddings", .essential = provider_essential_embedding),
	[MODE_IMAGE_GENERATION] = CELL("/images/generations", .essential = provider_essential_image),
	[MODE_IMAGE_EDIT] = CELL("/images/edits", .form = OP_MULTIPART, .essential = provider_essential_image),
	[MODE_AUDIO_TRANSCRIPTION] = CELL("/audio/transcriptions", .form = OP_MULTIPART,
	                                  .essential = provider_essential_transcript),
	[MODE_AUDIO_TRANSLATION] = CELL("/audio/translations", .form = OP_MULTIPART,
	                                .essential = provider_essential_transcript),
	[MODE_IMAGE_VARIATION] = CELL("/images/variations", .form = OP_MULTIPART, .essential = provider_essential_image),
	[MODE_AUDIO_SPEECH] = CELL("/audio/speech", .binary = true, .essential = provider_essential_audio),
	[MODE_RERANK] = CELL("/rerank", .essential = provider_essential_ranking),
	[MODE_BATCH] = CELL("/batches", .form = OP_LIST, .essential = provider_essential_list),
	[MODE_REALTIME] = CELL("/realtime", .form = OP_WEBSOCKET),
	[MODE_OCR] = CELL("/ocr", .essential = provider_essential_pages),
	[MODE_RESPONSES] = CELL("/responses", .essential = provider_essential_output),
	[MODE_MODERATION] = CELL("/moderations", .essential = provider_essential_moderation),
};

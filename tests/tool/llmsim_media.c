/* Images and sound, whole and streamed, in OpenAI's words.
 *
 * The bytes are made up but of the right kind: a PNG of one pixel, audio that begins as its format does. A
 * fault's chunks x chunk_bytes says how much audio there is; chunks alone how many events a stream has.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <openssl/evp.h>

#define LLMSIM_AUDIO_BYTES 4096
#define LLMSIM_AUDIO_DELTA 96 /* bytes of audio in an event */

static const char llmsim_png[] =
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

static const char llmsim_image_usage[] =
	"\"usage\":{\"total_tokens\":100,\"input_tokens\":50,\"output_tokens\":50,"
	"\"input_tokens_details\":{\"text_tokens\":10,\"image_tokens\":40}}";

/* Number in a part or member, 1 .. max; fallback when it is absent or something else. */
static unsigned
llmsim_media_number(const struct llmsim_request *r, const char *name, unsigned fallback, unsigned max)
{
	char *text = llmsim_service_text(r, name);
	unsigned long n = text ? strtoul(text, NULL, 10) : 0;

	free(text);
	return n >= 1 && n <= max ? (unsigned)n : fallback;
}

static bool
llmsim_media_says(const struct llmsim_request *r, const char *name, const char *value)
{
	char *text = llmsim_service_text(r, name);
	bool same = text && strcmp(text, value) == 0;

	free(text);
	return same;
}

static void
llmsim_media_image(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                   struct strbuf *body)
{
	static const char *const generation[] = {"prompt", NULL}, *const edit[] = {"image", "prompt", NULL},
	                         *const edit_list[] = {"image[]", "prompt", NULL}, *const variation[] = {"image", NULL};
	const char *path = r->service->path;
	char *list = llmsim_service_text(r, "image[]");
	bool url = llmsim_media_says(r, "response_format", "url");
	unsigned n = llmsim_media_number(r, "n", 1, 10);

	(void)s;
	free(list);
	if (!llmsim_service_has(r, rep,
	                        strcmp(path, "/images/edits") == 0        ? (list ? edit_list : edit)
	                        : strcmp(path, "/images/variations") == 0 ? variation
	                                                                  : generation,
	                        body))
		return;
	if (r->stream) {
		rep->stream = rep->sse = true;
		rep->inputs = llmsim_media_number(r, "partial_images", 0, 3);
		return;
	}
	llmsim_text(body, "{\"created\":%u,\"data\":[", rep->created);
	for (unsigned i = 0; i < n; i++) {
		strbuf_puts(body, i ? ",{" : "{");
		if (url)
			strbuf_printf(body, "\"url\":\"https://images.example/%u.png\"}", i);
		else
			strbuf_printf(body, "\"b64_json\":\"%s\"}", llmsim_png);
	}
	strbuf_printf(body, "],\"output_format\":\"png\",\"quality\":\"high\",\"size\":\"1024x1024\",%s}",
	              llmsim_image_usage);
}

static unsigned
llmsim_media_image_events(const struct llmsim_reply *rep)
{
	return rep->inputs + 1;
}

static void
llmsim_media_image_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	const char *what = strcmp(rep->service->path, "/images/edits") == 0 ? "image_edit" : "image_generation";
	bool last = n == rep->inputs;

	strbuf_printf(out, "event: %s.%s\ndata: {\"type\":\"%s.%s\",\"b64_json\":\"%s\",", what,
	              last ? "completed" : "partial_image", what, last ? "completed" : "partial_image",
	              llmsim_png);
	llmsim_text(out,
	            "\"created_at\":%u,\"size\":\"1024x1024\",\"quality\":\"high\",\"background\":\"opaque\","
	            "\"output_format\":\"png\",",
	            rep->created);
	if (last)
		strbuf_puts(out, llmsim_image_usage);
	else
		strbuf_printf(out, "\"partial_image_index\":%u", n);
	strbuf_puts(out, "}\n\n");
}

/* What each format begins with; ogg is the container of opus. */
static const struct {
	const char *format, *type, *magic;
	size_t len;
} llmsim_audio[] = {
	{"mp3", "audio/mpeg", "ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb", 12},
	{"opus", "audio/ogg", "OggS\x00\x02", 6},
	{"aac", "audio/aac", "\xff\xf1\x50\x80", 4},
	{"flac", "audio/flac", "fLaC\x00\x00\x00\x22", 8},
	{"wav", "audio/wav", "RIFF\xff\xff\xff\xffWAVEfmt ", 16},
	{"pcm", "audio/pcm", "\x00\x00\x01\x00", 4},
};

static void
llmsim_media_speech(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                    struct strbuf *body)
{
	static const char *const need[] = {"model", "input", "voice", NULL};
	size_t want = rep->chunk_bytes ? (size_t)rep->tokens * rep->chunk_bytes : LLMSIM_AUDIO_BYTES;
	char *format;

	(void)s;
	if (!llmsim_service_has(r, rep, need, body))
		return;
	if (llmsim_media_says(r, "stream_format", "sse")) {
		rep->stream = rep->sse = true;
		return;
	}
	format = llmsim_service_text(r, "response_format");
	for (size_t i = 0; i < HALE_COUNT(llmsim_audio); i++)
		if (strcmp(format ? format : "mp3", llmsim_audio[i].format) == 0) {
			rep->content_type = llmsim_audio[i].type;
			strbuf_add(body, llmsim_audio[i].magic, llmsim_audio[i].len);
		}
	free(format);
	if (!rep->content_type) {
		llmsim_service_refuse(rep, 400, "Invalid value for 'response_format'.", "response_format",
		                      body);
		return;
	}
	while (body->len < want)
		strbuf_putc(body, (char)(body->len * 31 >> 3));
}

static unsigned
llmsim_media_speech_events(const struct llmsim_reply *rep)
{
	return (unsigned)rep->tokens + 1;
}

static void
llmsim_media_speech_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	unsigned char raw[LLMSIM_AUDIO_DELTA], text[LLMSIM_AUDIO_DELTA / 3 * 4 + 1];

	if (n == rep->tokens) {
		strbuf_puts(out, "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":5,"
		                 "\"output_tokens\":50,\"total_tokens\":55}}\n\n");
		return;
	}
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (unsigned char)(n + i * 7);
	(void)EVP_EncodeBlock(text, raw, sizeof(raw));
	strbuf_printf(out, "data: {\"type\":\"speech.audio.delta\",\"audio\":\"%s\"}\n\n",
	              (const char *)text);
}

static void
llmsim_media_captions(const char *format, struct strbuf *body)
{
	bool vtt = strcmp(format, "vtt") == 0;

	strbuf_puts(body,
	            vtt ? "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n" : "1\n00:00:00,000 --> 00:00:01,000\n");
	llmsim_text_fill(0, 8, 0, body);
	strbuf_puts(body, "\n\n");
}

static void
llmsim_media_transcript(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                        struct strbuf *body)
{
	static const char *const need[] = {"file", "model", NULL};
	bool translation = strcmp(r->service->path, "/audio/translations") == 0;
	char *format;

	(void)s;
	if (!llmsim_service_has(r, rep, need, body))
		return;
	if (r->stream && !translation) {
		rep->stream = rep->sse = true;
		return;
	}
	format = llmsim_service_text(r, "response_format");
	if (format && (strcmp(format, "srt") == 0 || strcmp(format, "vtt") == 0)) {
		rep->content_type = "text/plain; charset=utf-8";
		llmsim_media_captions(format, body);
	} else if (format && strcmp(format, "text") == 0) {
		rep->content_type = "text/plain; charset=utf-8";
		llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, body);
		strbuf_putc(body, '\n');
	} else {
		strbuf_puts(body, "{\"text\":\"");
		llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, body);
		strbuf_putc(body, '"');
		if (format && strcmp(format, "verbose_json") == 0)
			strbuf_printf(body,
			              ",\"task\":\"%s\",\"language\":\"english\",\"duration\":1.0,\"segments\":[{\"id\":0,"
			              "\"seek\":0,\"start\":0.0,\"end\":1.0,\"text\":\" Hello!\",\"tokens\":[50364],"
			              "\"temperature\":0.0,\"avg_logprob\":-0.2,\"compression_ratio\":0.8,"
			              "\"no_speech_prob\":0.01}]",
			              translation ? "translate" : "transcribe");
		strbuf_puts(body, ",\"usage\":{\"type\":\"duration\",\"seconds\":1}}");
	}
	free(format);
}

static void
llmsim_media_transcript_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	bool last = n == rep->tokens;

	strbuf_printf(out, "data: {\"type\":\"transcript.text.%s\",\"%s\":\"", last ? "done" : "delta",
	              last ? "text" : "delta");
	llmsim_text_fill(last ? 0 : n, last ? n : 1, rep->chunk_bytes, out);
	strbuf_puts(out, "\"}\n\n");
}

#define LLMSIM_IMAGE_STREAM .events = llmsim_media_image_events, .event = llmsim_media_image_event

const struct llmsim_service llmsim_media_service[] = {
	{.path = "/images/generations", .answer = llmsim_media_image, LLMSIM_IMAGE_STREAM},
	{.path = "/images/edits", .form = LLMSIM_MULTIPART, .answer = llmsim_media_image, LLMSIM_IMAGE_STREAM},
	{.path = "/images/variations", .form = LLMSIM_MULTIPART, .answer = llmsim_media_image, LLMSIM_IMAGE_STREAM},
	{.path = "/audio/speech", .answer = llmsim_media_speech, .events = llmsim_media_speech_events,
	 .event = llmsim_media_speech_event},
	{.path = "/audio/transcriptions", .form = LLMSIM_MULTIPART, .answer = llmsim_media_transcript,
	 .events = llmsim_media_speech_events, .event = llmsim_media_transcript_event},
	{.path = "/audio/translations", .form = LLMSIM_MULTIPART, .answer = llmsim_media_transcript,
	 .events = llmsim_media_speech_events, .event = llmsim_media_transcript_event},
	{0},
};

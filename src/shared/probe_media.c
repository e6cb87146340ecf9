/* The files that probes carry: a tone, a picture, a page.
 *
 * Each is as small as services still accept: speech recognition wants a tenth of a second at 16 kHz, image
 * editing a square picture with a transparent area to paint in, OCR a page with a word on it. They are made
 * here, so that a probe needs no file of the host.
 */
#include "hale/hale.h"

#include "probe_impl.h"

#include <openssl/evp.h>

#include "hale/arena.h"
#include "hale/strbuf.h"

#define MEDIA_RATE 16000 /* samples a second */
#define MEDIA_SAMPLES (MEDIA_RATE / 2)
#define MEDIA_TONE_PEAK 2304
#define MEDIA_TONE_STEP 256 /* 36 samples a wave: 444 Hz */

/* 256 x 256, RGBA: a blue block on white, the lower quarter transparent. */
static const char probe_media_picture[] =
	"iVBORw0KGgoAAAANSUhEUgAAAQAAAAEACAYAAABccqhmAAACw0lEQVR42u3UQQ0AQAgDQaQgCennCEzwuISZpAb62GjgrHAB"
	"CAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIA"
	"CAAgAIAAAAIAAgAIACAAgAAAAgAIACAAgAAAAgAIACAAgAAAAgAIACAAgAAAAgAIACAAgAAAAgAIACAAgAAAAgAIACAAa7Ke"
	"HZ4ACIAJgAAIgAmAAAiACYAACIAJgAAIgAmAAAiACYAACIAJgAAIgAmAAAiACYAACIAJgAAIgAmAAAiACYAACIAJgAAIgAmA"
	"AAiACYAACIAJgAAIgAmAAAiACYAACIAJgAAIgAmAAAiACYAACIAJgAAIgAmAAAiACYAACIAJgAAIgAmAAAiACYAACIAJgAAI"
	"gAmAAAiACYAACIAJgAAIgAmAAAiACYAACIAJgAAIgAmAAAiACYAACIAACIAAmAAIgACYAAiAAJgACIAAmAAIgACYAAiAAJgA"
	"CIAAmAAIgACYAAiAAJgACIAAmAAIgACYAAiAAJgACIAAmAAIgACYAAiAAJgACIAAmAAIgACYAAiAAJgACIAAmAAIgACYAAiA"
	"AJgACIAAmAAIgACYAAiAAJgACIAAmAAIgACYAAgAIACAAAACAAgAIACAAAACAAgAIACAAIAAAAIACAAgAIAAAAIACAAgAIAA"
	"AAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAAAIACAAgAIAAgAAAAgAIACAA"
	"gAAAAgAIACAAgAAAAgAIACAAgAAAAgAIACAAwF8BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAgAUD0TmJjCyCQnQAAAAASUVORK5CYII=";

/* One page with a word, each object at the place that the table at the end names. */
static const char *const probe_media_object[] = {
	"<</Type/Catalog/Pages 2 0 R>>",
	"<</Type/Pages/Kids[3 0 R]/Count 1>>",
	"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
	"<</Length 34>>\nstream\nBT /F1 24 Tf 40 40 Td (test) Tj ET\nendstream",
	"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
};

static void
probe_media_little(struct strbuf *b, uint32_t n, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		strbuf_putc(b, (char)(n >> 8 * i & 0xff));
}

/* Half a second of a triangle wave, 16 bits, one channel. */
static void
probe_media_wav(struct strbuf *b)
{
	const uint32_t bytes = MEDIA_SAMPLES * 2;
	int level = 0, step = MEDIA_TONE_STEP;

	strbuf_puts(b, "RIFF");
	probe_media_little(b, 36 + bytes, 4);
	strbuf_puts(b, "WAVEfmt ");
	probe_media_little(b, 16, 4);
	probe_media_little(b, 1, 2); /* linear PCM */
	probe_media_little(b, 1, 2);
	probe_media_little(b, MEDIA_RATE, 4);
	probe_media_little(b, MEDIA_RATE * 2, 4);
	probe_media_little(b, 2, 2);
	probe_media_little(b, 16, 2);
	strbuf_puts(b, "data");
	probe_media_little(b, bytes, 4);
	for (unsigned i = 0; i < MEDIA_SAMPLES; i++) {
		if (level == MEDIA_TONE_PEAK || level == -MEDIA_TONE_PEAK)
			step = level > 0 ? -MEDIA_TONE_STEP : MEDIA_TONE_STEP;
		level += step;
		probe_media_little(b, (uint16_t)(int16_t)level, 2);
	}
}

static void
probe_media_pdf(struct strbuf *b)
{
	size_t at[HALE_COUNT(probe_media_object)], table;

	strbuf_puts(b, "%PDF-1.4\n");
	for (unsigned i = 0; i < HALE_COUNT(probe_media_object); i++) {
		at[i] = b->len;
		strbuf_printf(b, "%u 0 obj\n%s\nendobj\n", i + 1, probe_media_object[i]);
	}
	table = b->len;
	strbuf_printf(b, "xref\n0 %zu\n0000000000 65535 f \n", HALE_COUNT(at) + 1);
	for (unsigned i = 0; i < HALE_COUNT(at); i++)
		strbuf_printf(b, "%010zu 00000 n \n", at[i]);
	strbuf_printf(b, "trailer\n<</Size %zu/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF\n", HALE_COUNT(at) + 1,
	              table);
}

static void
probe_media_png(struct strbuf *b)
{
	unsigned char bytes[sizeof(probe_media_picture)];
	int n = EVP_DecodeBlock(bytes, (const unsigned char *)probe_media_picture,
	                        sizeof(probe_media_picture) - 1);

	HALE_ASSERT(n > 1);
	strbuf_add(b, bytes, (size_t)n - 1); /* the last one is the padding's */
}

struct probe_media
probe_media_get(struct arena *a, enum probe_file f)
{
	struct probe_media m;
	struct strbuf b;

	strbuf_init(&b, 0);
	switch (f) {
	case PROBE_PNG:
		m = (struct probe_media){.name = "image_health_check.png", .type = "image/png"};
		probe_media_png(&b);
		break;
	case PROBE_PDF:
		m = (struct probe_media){.name = "health_check.pdf", .type = "application/pdf"};
		probe_media_pdf(&b);
		break;
	default:
		m = (struct probe_media){.name = "audio_health_check.wav", .type = "audio/x-wav"};
		probe_media_wav(&b);
		break;
	}
	m.data = arena_strndup(a, strbuf_str(&b), b.len);
	m.len = b.len;
	strbuf_release(&b);
	return m;
}

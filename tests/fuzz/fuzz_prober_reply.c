/* What upstreams answer to probes: any bytes under any status give one reason that makes sense, and a text that is
 * safe to show.
 *
 * Three bytes choose status, transport error and form; the text up to the first line end is Retry-After and
 * x-ratelimit-reset; the rest is the body, in a block of its exact size so that ASan sees a read beyond it.
 */
#include "hale/hale.h"

#include "hale/clock.h"
#include "hale/provider.h"
#include "prober_classify.h"
#include "prober_message.h"
#include "prober_until.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_NOW (1000 * NS_PER_SEC)
#define FUZZ_WEEK (7 * 86400 * NS_PER_SEC)

static void
check_text(const char *text, const char *buf, size_t size)
{
	if (!text)
		return;
	HALE_ASSERT(text == buf && strlen(text) > 0 && strlen(text) < size);
	for (const char *p = text; *p; p++)
		HALE_ASSERT((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void
check_result(const struct classify_input *in, const struct classify_result *k)
{
	HALE_ASSERT(k->text && k->reason > REASON_NONE && k->reason < REASON_NO_PROBE);
	HALE_ASSERT(k->ok == (k->reason == REASON_OK));
	HALE_ASSERT(!k->ok || (in->error == UPSTREAM_OK && in->status >= 200 && in->status < 300));
	HALE_ASSERT(k->ok ? k->exception_status == 0 : k->exception_status >= 400 && k->exception_status <= 599);
	HALE_ASSERT(k->until_ns == 0 || (k->reason == REASON_RATE_LIMITED && k->until_ns >= in->now_ns &&
	                                 k->until_ns <= in->now_ns + FUZZ_WEEK));
	HALE_ASSERT(k->next < PROBE_ADAPT_COUNT && (k->reason == REASON_BAD_PROBE || k->next == in->adapt));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int status[] = {200, 201, 204, 302, 400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 429, 500, 503, 529};
	struct classify_input in = {.mode = MODE_CHAT, .now_ns = FUZZ_NOW, .now_real_ns = 1700000000 * NS_PER_SEC};
	struct classify_result k;
	char header[128], small[16], buf[512], *body;
	size_t line;

	if (size < 3)
		return 0;
	in.op = provider_find("openai", 6)->op[MODE_CHAT];
	in.status = status[data[0] % HALE_COUNT(status)];
	in.error = data[1] % 16 < UPSTREAM_ELIMIT ? (enum upstream_error)(data[1] % 16) : UPSTREAM_OK;
	in.body_cut = data[1] & 0x80;
	in.adapt = (enum probe_adapt)(data[2] % PROBE_ADAPT_COUNT);
	data += 3;
	size -= 3;
	for (line = 0; line < size && data[line] != '\n';)
		line++;
	snprintf(header, sizeof(header), "%.*s", (int)(line < 100 ? line : 100), (const char *)data);
	in.retry_after = in.retry_after_ms = in.ratelimit_reset = header;
	if (line < size)
		line++;
	body = malloc(size - line ? size - line : 1);
	memcpy(body, data + line, size - line);
	in.body = body;
	in.body_len = size - line;
	prober_classify(&in, &k);
	check_result(&in, &k);
	check_text(prober_message_text(body, in.body_len, buf, sizeof(buf)), buf, sizeof(buf));
	check_text(prober_message_text(body, in.body_len, small, sizeof(small)), small, sizeof(small));
	check_text(prober_message_delay(body, in.body_len, small, sizeof(small)), small, sizeof(small));
	(void)prober_message_tokens(body, in.body_len);
	(void)prober_until_parse(header, FUZZ_NOW, 0);
	free(body);
	return 0;
}

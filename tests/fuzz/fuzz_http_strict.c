/* The head and chunk parsers: however the bytes are cut into reads, the verdict is the same; what passes obeys
 * the rules that the rest of the worker builds on.
 *
 * First byte: where the input is cut (0: nowhere). The rest is a head, or after a leading 0xff a chunked body.
 */
#include "hale/hale.h"

#include <strings.h>

#include "worker_http_strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_bounds bounds = {.head_bytes = 4096, .fields = 16, .uri_bytes = 512, .body_bytes = 1 << 20};

static enum http_fault
scan_cut(const char *p, size_t len, size_t step, size_t *head_len)
{
	struct http_scan scan = {0};
	enum http_fault f = HTTP_FINE;

	*head_len = 0;
	for (size_t have = step < len ? step : len;; have = have + step < len ? have + step : len) {
		f = http_strict_scan(&scan, p, have, &bounds, head_len);
		if (f != HTTP_FINE || *head_len || have == len)
			return f;
	}
}

static bool
check_head(const char *p, size_t len)
{
	struct http_field field[16];
	struct http_head h = {.field = field};
	char *text = malloc(len);
	bool fine;

	memcpy(text, p, len);
	fine = http_strict_parse(text, len, &bounds, &h) == HTTP_FINE;
	if (fine) {
		unsigned hosts = 0;

		HALE_ASSERT(h.path[0] == '/' || strcmp(h.path, "*") == 0);
		HALE_ASSERT(h.nfield <= 16 && h.minor <= 1 && h.length <= bounds.body_bytes);
		for (unsigned i = 0; i < h.nfield; i++) {
			const char *v = h.field[i].value;

			HALE_ASSERT(strlen(h.field[i].name) == h.field[i].name_len && h.field[i].name_len > 0);
			HALE_ASSERT(v[strcspn(v, "\r\n")] == '\0');
			hosts += strcasecmp(h.field[i].name, "host") == 0;
		}
		HALE_ASSERT(hosts == 1 || (hosts == 0 && h.minor == 0));
		HALE_ASSERT(h.framing != HTTP_CHUNKED || !http_strict_field(&h, "content-length"));
		HALE_ASSERT(h.framing == HTTP_CHUNKED || !http_strict_field(&h, "transfer-encoding"));
		if (h.query)
			http_strict_decode(h.query, true);
	}
	free(text);
	return fine;
}

/* Is there a whole head, and is it accepted? */
static bool
accept_cut(const char *p, size_t len, size_t step)
{
	size_t head_len;

	return scan_cut(p, len, step, &head_len) == HTTP_FINE && head_len && check_head(p, head_len);
}

struct decoded {
	enum http_fault fault;
	bool done;
	size_t consumed, len;
	uint32_t sum;
};

static struct decoded
decode_cut(const char *p, size_t len, size_t step)
{
	struct http_chunked c = {0};
	struct decoded d = {0};

	while (d.consumed < len && !d.done && d.fault == HTTP_FINE) {
		size_t n = len - d.consumed < step ? len - d.consumed : step;
		struct http_piece piece;

		d.fault = http_strict_chunked(&c, p + d.consumed, n, &piece);
		if (d.fault != HTTP_FINE)
			break;
		HALE_ASSERT(piece.consumed > 0 && piece.consumed <= n && piece.len <= piece.consumed);
		for (size_t i = 0; i < piece.len; i++)
			d.sum = d.sum * 31 + (uint8_t)piece.data[i];
		d.len += piece.len;
		d.consumed += piece.consumed;
		d.done = piece.done;
	}
	return d;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data + 1;
	size_t len = size - 1, step;

	if (size < 2)
		return 0;
	step = data[0] ? data[0] : len;
	if (data[1] == 0xff) {
		struct decoded a = decode_cut(p + 1, len - 1, SIZE_MAX), b = decode_cut(p + 1, len - 1, step);

		HALE_ASSERT(a.fault == b.fault && a.done == b.done && a.len == b.len && a.sum == b.sum);
		/* A failing step consumes nothing, so that only successes can be compared byte by byte. */
		HALE_ASSERT(a.fault != HTTP_FINE || a.consumed == b.consumed);
		return 0;
	}
	HALE_ASSERT(accept_cut(p, len, len) == accept_cut(p, len, step));
	return 0;
}

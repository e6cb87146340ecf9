/* WebSocket frames and handshake keys. Strict where we judge (probes), tolerant where we only look on (the
 * relay): there the two ends may have agreed on extensions that are none of our business.
 */
#include "hale/hale.h"

#include "hale/ws_frame.h"

/* SHA1() of OpenSSL 3 looks its algorithm up for every call; the functions below it are the same without that. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "hale/err.h"

#define WS_FRAME_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* ---- handshake ---- */

void
ws_frame_key(const unsigned char nonce[16], char out[WS_FRAME_KEY_BYTES])
{
	EVP_EncodeBlock((unsigned char *)out, nonce, 16);
}

bool
ws_frame_key_is_valid(const char *key)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return strlen(key) == 24 && strspn(key, base64) == 22 && strcmp(key + 22, "==") == 0;
}

void
ws_frame_accept(const char *key, char out[WS_FRAME_ACCEPT_BYTES])
{
	unsigned char digest[SHA_DIGEST_LENGTH];
	SHA_CTX c;

	SHA1_Init(&c);
	SHA1_Update(&c, key, strlen(key));
	SHA1_Update(&c, WS_FRAME_GUID, sizeof(WS_FRAME_GUID) - 1);
	SHA1_Final(digest, &c);
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

/* ---- frames ---- */

static uint64_t
ws_frame_number(const unsigned char *p, unsigned bytes)
{
	uint64_t n = 0;

	while (bytes--)
		n = n << 8 | *p++;
	return n;
}

int
ws_frame_head_parse(const unsigned char *p, size_t len, struct ws_frame_head *out)
{
	unsigned extra, size;

	if (len < 2)
		return 0;
	*out = (struct ws_frame_head){
		.opcode = (enum ws_frame_opcode)(p[0] & 0x0f),
		.fin = p[0] >> 7,
		.reserved = p[0] >> 4 & 7,
		.masked = p[1] >> 7,
		.payload_bytes = p[1] & 0x7f,
	};
	if ((out->opcode > WS_BINARY && out->opcode < WS_CLOSE) || out->opcode > WS_PONG)
		return HALE_EINVAL;
	if (out->opcode >= WS_CLOSE && (!out->fin || out->payload_bytes > WS_FRAME_CONTROL_MAX))
		return HALE_EINVAL;
	extra = out->payload_bytes == 126 ? 2 : out->payload_bytes == 127 ? 8 : 0;
	size = 2 + extra + (out->masked ? 4 : 0);
	if (len < size)
		return 0;
	if (extra)
		out->payload_bytes = ws_frame_number(p + 2, extra);
	if (out->payload_bytes >> 63)
		return HALE_EINVAL;
	if (out->masked)
		memcpy(out->mask, p + size - 4, 4);
	return (int)size;
}

size_t
ws_frame_close(unsigned code, const char *reason, const unsigned char *mask,
               unsigned char out[WS_FRAME_CLOSE_MAX])
{
	size_t n = strlen(reason), at = 2;

	if (n > WS_FRAME_CONTROL_MAX - 2)
		n = WS_FRAME_CONTROL_MAX - 2;
	out[0] = 0x80 | WS_CLOSE;
	out[1] = (unsigned char)(n + 2);
	if (mask) {
		out[1] |= 0x80;
		memcpy(out + at, mask, 4);
		at += 4;
	}
	out[at] = (unsigned char)(code >> 8);
	out[at + 1] = (unsigned char)code;
	memcpy(out + at + 2, reason, n);
	for (size_t i = 0; mask && i < n + 2; i++)
		out[at + i] ^= mask[i % 4];
	return at + 2 + n;
}

/* ---- messages of a server ---- */

void
ws_frame_reader_init(struct ws_frame_reader *r, size_t message_max)
{
	*r = (struct ws_frame_reader){0};
	strbuf_init(&r->message, message_max);
}

void
ws_frame_reader_release(struct ws_frame_reader *r)
{
	strbuf_release(&r->message);
}

static enum ws_frame_event
ws_frame_bad(struct ws_frame_reader *r, const char *text)
{
	r->text = text;
	return WS_FRAME_BAD;
}

/* NULL: the head is fine for a frame at this place. */
static const char *
ws_frame_objection(const struct ws_frame_reader *r, const struct ws_frame_head *h)
{
	if (h->masked)
		return "the server masks its frames";
	if (h->reserved)
		return "a frame uses an extension that was not agreed on";
	if (h->opcode < WS_CLOSE && r->within != (h->opcode == WS_CONTINUATION))
		return r->within ? "a message begins inside another one"
		                 : "a continuation without a beginning";
	if (h->opcode == WS_CLOSE && h->payload_bytes == 1)
		return "a close frame with half a code";
	if (h->opcode < WS_CLOSE && h->payload_bytes > r->message.max - r->message.len)
		return "a message is too large";
	return NULL;
}

/* One whole frame; WS_FRAME_MORE: nothing to hand out yet. */
static enum ws_frame_event
ws_frame_take(struct ws_frame_reader *r, const struct ws_frame_head *h, const unsigned char *payload)
{
	size_t n = (size_t)h->payload_bytes;

	if (h->opcode == WS_PING || h->opcode == WS_PONG)
		return WS_FRAME_MORE;
	if (h->opcode == WS_CLOSE) {
		strbuf_clear(&r->message);
		r->close_code = n ? (unsigned)ws_frame_number(payload, 2) : 0;
		if (n > 2)
			strbuf_add(&r->message, payload + 2, n - 2);
		r->done = true;
		return WS_FRAME_CLOSED;
	}
	if (n)
		strbuf_add(&r->message, payload, n);
	r->within = !h->fin;
	r->done = h->fin;
	return h->fin ? WS_FRAME_MESSAGE : WS_FRAME_MORE;
}

enum ws_frame_event
ws_frame_read(struct ws_frame_reader *r, const unsigned char *p, size_t len, size_t *used)
{
	enum ws_frame_event e = WS_FRAME_MORE;

	*used = 0;
	if (r->done)
		strbuf_clear(&r->message);
	r->done = false;
	while (e == WS_FRAME_MORE) {
		struct ws_frame_head h;
		const char *why;
		int n = ws_frame_head_parse(p + *used, len - *used, &h);

		if (n < 0)
			return ws_frame_bad(r, "not a WebSocket frame");
		if (n == 0)
			return WS_FRAME_MORE;
		why = ws_frame_objection(r, &h);
		if (why)
			return ws_frame_bad(r, why);
		if (h.payload_bytes > len - *used - (size_t)n)
			return WS_FRAME_MORE;
		e = ws_frame_take(r, &h, p + *used + n);
		*used += (size_t)n + (size_t)h.payload_bytes;
	}
	return e;
}

/* ---- boundaries of a stream that passes by ---- */

void
ws_frame_follow(struct ws_frame_track *t, const void *data, size_t len)
{
	const unsigned char *p = data, *end = p + len;

	while (p < end && !t->lost) {
		struct ws_frame_head h;
		int n;

		if (t->left) {
			size_t skip = t->left < (uint64_t)(end - p) ? (size_t)t->left : (size_t)(end - p);

			t->left -= skip;
			p += skip;
			continue;
		}
		t->head[t->head_len++] = *p++;
		n = ws_frame_head_parse(t->head, t->head_len, &h);
		if (n == 0)
			continue;
		t->lost = n < 0;
		t->closed |= n > 0 && h.opcode == WS_CLOSE;
		t->left = h.payload_bytes;
		t->head_len = 0;
	}
}

bool
ws_frame_is_boundary(const struct ws_frame_track *t)
{
	return !t->lost && t->left == 0 && t->head_len == 0;
}

/* WebSocket on the wire (RFC 6455): handshake keys, frame heads, whole messages, the place of frame
 * boundaries. Pure: bytes in, facts out. No I/O.
 *
 * Relayed sessions are spliced as they are; the only thing that is followed there is where frames end, so
 * that a close frame of ours can stand between two of them. Messages are put together for probes alone.
 */
#ifndef HALE_WS_FRAME_H
#define HALE_WS_FRAME_H

#include "hale/strbuf.h"

#define WS_FRAME_KEY_BYTES 25    /* Sec-WebSocket-Key as text */
#define WS_FRAME_ACCEPT_BYTES 29 /* Sec-WebSocket-Accept as text */
#define WS_FRAME_HEAD_MAX 14
#define WS_FRAME_CONTROL_MAX 125 /* payload of a control frame */
#define WS_FRAME_CLOSE_MAX (WS_FRAME_HEAD_MAX + WS_FRAME_CONTROL_MAX)

enum ws_frame_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

#define WS_CLOSE_NORMAL 1000
#define WS_CLOSE_GOING_AWAY 1001

/* ---- handshake ---- */

void ws_frame_key(const unsigned char nonce[16], char out[WS_FRAME_KEY_BYTES]);
/* Sixteen bytes in base64. */
bool ws_frame_key_is_valid(const char *key);
void ws_frame_accept(const char *key, char out[WS_FRAME_ACCEPT_BYTES]);

/* ---- frames ---- */

struct ws_frame_head {
	enum ws_frame_opcode opcode;
	bool fin, masked;
	unsigned reserved; /* bits that only an extension gives a meaning */
	unsigned char mask[4];
	uint64_t payload_bytes;
};

/* Bytes of the head at p, 0: not complete yet, HALE_EINVAL: no frame begins like that. */
int ws_frame_head_parse(const unsigned char *p, size_t len, struct ws_frame_head *out);
/* A whole close frame; mask NULL: none, as servers send it. Returns its size. */
size_t ws_frame_close(unsigned code, const char *reason, const unsigned char *mask,
                      unsigned char out[WS_FRAME_CLOSE_MAX]);

/* ---- messages of a server ---- */

enum ws_frame_event {
	WS_FRAME_MORE = 0, /* feed again with more bytes behind the unconsumed ones */
	WS_FRAME_MESSAGE,  /* a text or binary message is complete in `message` */
	WS_FRAME_CLOSED,   /* close frame: close_code (0: none given), its reason in `message` */
	WS_FRAME_BAD,      /* text says why; feed no more */
};

/* What a client that negotiated no extension may get. Pings and pongs are skipped. */
struct ws_frame_reader {
	struct strbuf message; /* bounded by the caller: WS_FRAME_BAD beyond */
	bool within;           /* a message is under way: continuations follow */
	bool done;             /* `message` was handed out */
	unsigned close_code;
	const char *text;
};

void ws_frame_reader_init(struct ws_frame_reader *r, size_t message_max);
void ws_frame_reader_release(struct ws_frame_reader *r);
enum ws_frame_event ws_frame_read(struct ws_frame_reader *r, const unsigned char *p, size_t len,
                                  size_t *used);

/* ---- boundaries of a stream that passes by ---- */

struct ws_frame_track {
	unsigned char head[WS_FRAME_HEAD_MAX];
	unsigned head_len;
	uint64_t left; /* of the payload */
	bool lost;     /* not frames: no boundary is known any more */
	bool closed;   /* a close frame went by */
};

/* Zero a track before the first byte. */
void ws_frame_follow(struct ws_frame_track *t, const void *data, size_t len);
bool ws_frame_is_boundary(const struct ws_frame_track *t);

#endif

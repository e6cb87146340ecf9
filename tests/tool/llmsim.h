/* llmsim: a simulated LLM upstream for tests, the demo and the benchmark. Its parts, see llmsim.c.
 *
 * One process is one struct llmsim and one event loop. A connection reads a request, turns it into a
 * struct llmsim_reply (what to say) under a struct llmsim_fault (how to say it badly), plays that, and
 * reads the next one.
 */
#ifndef LLMSIM_H
#define LLMSIM_H

#include "hale/hale.h"

#include <sys/types.h>

#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "hale/strbuf.h"

struct event_base;
struct json_object;
struct llmsim;
struct llmsim_conn;
struct llmsim_service;
struct llmsim_store;

/* Borrowed text; len 0 with p NULL: absent. */
struct llmsim_span {
	const char *p;
	size_t len;
};

#define LLMSIM_HEAD_MAX (64u << 10)
#define LLMSIM_BODY_MAX (64u << 20)
#define LLMSIM_HEADERS_MAX 100
#define LLMSIM_CHUNK_BYTES_MAX (16u << 10)
#define LLMSIM_KEYS_MAX 16384
#define LLMSIM_PATHS_MAX 16 /* per key; the rest is counted as "(other)" */
#define LLMSIM_MODEL_MAX 256

enum llmsim_api { LLMSIM_OPENAI, LLMSIM_AZURE, LLMSIM_ANTHROPIC, LLMSIM_GEMINI, LLMSIM_BEDROCK };
enum llmsim_op {
	LLMSIM_CHAT,
	LLMSIM_COMPLETION,
	LLMSIM_EMBEDDING,
	LLMSIM_COUNT_TOKENS, /* up to here: a JSON body is expected */
	LLMSIM_MODELS,
	LLMSIM_REALTIME,
	LLMSIM_SERVICE, /* an operation with a file of its own: r->service */
	LLMSIM_CONTROL,
	LLMSIM_UNKNOWN,
};

/* One parsed request. All spans point into the connection's input. */
struct llmsim_request {
	struct llmsim_span method, target, path, query, headers, key, version;
	struct llmsim_span body; /* without transfer coding */
	size_t head_bytes, total_bytes;
	int64_t content_length; /* -1: none was sent */
	bool chunked, keep_alive, http10, expect_continue;
	enum llmsim_api api;
	enum llmsim_op op;
	const struct llmsim_service *service;
	struct llmsim_span rest;       /* of the path behind the service's own, "/file-1/content" */
	struct llmsim_span deployment; /* Azure, Gemini, Bedrock: from the path */
	struct llmsim_span unknown;    /* Gemini, Bedrock: a name at the top level that they have not */
	/* top-level members of the body (llmsim_scan) */
	struct llmsim_span model, messages, input, prompt, encoding_format;
	bool valid; /* the body is one JSON object */
	bool stream, include_usage;
	int64_t max_tokens, max_completion_tokens, dimensions; /* -1: absent */
};

/* llmsim_http.c: bytes to a request. Pure. */
enum llmsim_parse { LLMSIM_MORE, LLMSIM_DONE, LLMSIM_BAD };
/* LLMSIM_BAD sets *status to the code to answer with before closing. The body of a chunked request is
 * collected in `store`. When MORE is returned and head_bytes is not 0, the head is complete. */
enum llmsim_parse llmsim_http_parse(const char *p, size_t len, struct strbuf *store, struct llmsim_request *r,
                                    int *status);
/* Value of a header by lower-case name; p NULL when absent. */
struct llmsim_span llmsim_http_header(const struct llmsim_request *r, const char *lower_name);
/* Steps through "Name: value" lines of r->headers; false at the end. *at starts with 0. */
bool llmsim_http_next(const struct llmsim_request *r, size_t *at, struct llmsim_span *name,
                      struct llmsim_span *value);
bool llmsim_span_is(struct llmsim_span s, const char *text);
bool llmsim_span_starts(struct llmsim_span s, const char *prefix);
const char *llmsim_http_reason(int status);

/* llmsim_scan.c: what is needed of a JSON body, without a tree. false: not one JSON object. Pure. */
bool llmsim_scan(struct llmsim_span body, struct llmsim_request *r);

/* llmsim_fault.c: which key is to be treated badly, and how. */
struct llmsim_fault {
	/* who */
	char *key; /* "*": everybody without an own fault */
	char *match_model, *match_path;
	int64_t match_max_tokens; /* only requests that allow at most so many; 0: all */
	int64_t times;            /* left; 0: for ever */
	int64_t every;            /* only each n-th matching request; 0: each */
	/* what */
	int64_t status, delay_ms, chunks, chunk_bytes, chunk_delay_ms, slow_body_ms, min_tokens;
	int64_t cut_after, stall_after, error_after; /* events of a stream or bytes of a body; -1: never */
	int64_t close_code; /* of a session */
	bool reset, garbage, empty, no_terminator, comments, chunked, close, require_completion_tokens;
	char *hang, *body, *content_type, *retry_after, *error_event;
	char *headers; /* rendered "Name: value\r\n" lines */
	/* bookkeeping */
	uint64_t seen;
	unsigned refs;
	struct llmsim_fault *next;
};
/* Adds or replaces (same key; member "add": true appends). NULL, or what is wrong: the caller frees it. */
char *llmsim_fault_add(struct llmsim *s, struct json_object *o);
/* "KEY:name=value,name=value" of the command line. Same result. */
char *llmsim_fault_add_text(struct llmsim *s, const char *text);
/* The fault for this request with one more reference and its `times` counted, or NULL. */
struct llmsim_fault *llmsim_fault_take(struct llmsim *s, const struct llmsim_request *r);
void llmsim_fault_put(struct llmsim_fault *f);
/* Removes the faults of a key, or all (NULL). Returns how many. */
unsigned llmsim_fault_clear(struct llmsim *s, const char *key);
void llmsim_fault_list(const struct llmsim *s, struct strbuf *out);

/* llmsim_count.c: what was seen. */
struct llmsim_count {
	uint64_t total, open, open_max;
};
struct llmsim_path {
	char *text;
	uint64_t count;
};
struct llmsim_key {
	char *text;
	struct llmsim_count requests;
	uint64_t faults, gone, status_class[6];
	struct llmsim_path path[LLMSIM_PATHS_MAX];
	unsigned npath;
	struct llmsim_key *next; /* of the same hash */
};
struct llmsim_record {
	struct strbuf head, body;
	struct strbuf parts; /* of a multipart body: what was in it, as JSON */
	uint64_t serial, at_ms, connection;
	size_t body_bytes, key_at, key_bytes; /* the key is a part of head */
	bool fault;
};
struct llmsim_key *llmsim_count_key(struct llmsim *s, struct llmsim_span key);
void llmsim_count_begin(struct llmsim *s, struct llmsim_key *k, struct llmsim_span path);
void llmsim_count_end(struct llmsim *s, struct llmsim_key *k, int status, bool gone);
void llmsim_count_up(struct llmsim_count *c);
/* Keeps a copy of the request in the ring of the last ones. */
void llmsim_count_record(struct llmsim *s, const struct llmsim_conn *c, const struct llmsim_request *r,
                         bool fault);
void llmsim_count_stats(const struct llmsim *s, struct strbuf *out);
/* Newest last; only those with this key (NULL: all), at most n. */
void llmsim_count_requests(const struct llmsim *s, const char *key, unsigned n, struct strbuf *out);
void llmsim_count_reset(struct llmsim *s);
void llmsim_count_release(struct llmsim *s);

/* llmsim_control.c: answers a request under /_sim/ into out and returns the status. */
int llmsim_control(struct llmsim *s, const struct llmsim_request *r, struct strbuf *out);

/* llmsim_reply.c: what to say. */
struct llmsim_reply {
	enum llmsim_api api;
	enum llmsim_op op;
	const struct llmsim_service *service;
	const char *content_type; /* static; NULL: JSON, or that of a stream */
	bool stream, sse, include_usage, truncated; /* sse: the content type of a stream */
	char model[LLMSIM_MODEL_MAX];
	uint64_t serial, created, prompt_tokens, tokens, status; /* all of one type for llmsim_text() */
	unsigned chunk_bytes, inputs, dimensions;
	bool base64;
	struct strbuf prefix; /* the part that all events of a stream share */
};
/* Decides the answer. Whole bodies (everything but streams) are rendered into `body`. */
void llmsim_reply_make(struct llmsim *s, const struct llmsim_request *r, const struct llmsim_fault *f,
                       struct llmsim_reply *rep, struct strbuf *body);
/* Status line and headers up to and without the framing ones. */
void llmsim_reply_head(const struct llmsim_reply *rep, const struct llmsim_fault *f, struct strbuf *out);
/* Error body in the words of the API. message NULL: the usual one of the status. */
void llmsim_reply_error(const struct llmsim_reply *rep, int status, const char *message, const char *param,
                        const char *code, struct strbuf *out);
void llmsim_reply_usage(const struct llmsim_reply *rep, struct strbuf *out);
/* The vector of one input, as numbers or base64. */
void llmsim_reply_vector(const struct llmsim_reply *rep, unsigned index, struct strbuf *out);

/* llmsim_gemini.c: the same steps in Gemini's form. */
/* false: not a path of Gemini. */
bool llmsim_gemini_route(struct llmsim_request *r);
/* Takes a member of the body; false: the request is another API's. */
bool llmsim_gemini_member(struct llmsim_request *r, struct llmsim_span name, struct llmsim_span v);
/* NULL: fine; else the message. */
const char *llmsim_gemini_check(const struct llmsim_request *r);
void llmsim_gemini_error(int status, const char *message, struct strbuf *out);
void llmsim_gemini_whole(const struct llmsim_reply *rep, struct strbuf *out);
unsigned llmsim_gemini_events(const struct llmsim_reply *rep, bool terminator);
void llmsim_gemini_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out);

/* llmsim_bedrock.c: the same in Bedrock's form. */
bool llmsim_bedrock_route(struct llmsim_request *r);
bool llmsim_bedrock_member(struct llmsim_request *r, struct llmsim_span name, struct llmsim_span v);
/* NULL: the signature is right, or there is a bearer key; else the message of a 403. */
const char *llmsim_bedrock_forbidden(const struct llmsim_request *r);
const char *llmsim_bedrock_check(const struct llmsim_request *r);
/* Value of x-amzn-errortype. */
const char *llmsim_bedrock_error_type(int status);
void llmsim_bedrock_whole(const struct llmsim_reply *rep, struct strbuf *out);
unsigned llmsim_bedrock_events(const struct llmsim_reply *rep, bool terminator);
void llmsim_bedrock_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out);
/* An exception in the middle of a stream. */
void llmsim_bedrock_exception(struct strbuf *out);

/* llmsim_service.c: operations beyond chat, one row each. A row that wants several paths is several rows. */
enum llmsim_form { LLMSIM_JSON, LLMSIM_MULTIPART, LLMSIM_ANY };
struct llmsim_service {
	const char *path; /* behind the prefix of the API; what follows after another '/' is r->rest */
	bool deep;        /* something may follow */
	bool account;     /* Azure: belongs to the resource, not to a deployment */
	bool exact;       /* the path is the whole one, without a prefix */
	enum llmsim_form form;
	/* Fills body, or sets rep->stream and rep->sse. Wrong requests: llmsim_service_refuse(). */
	void (*answer)(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep, struct strbuf *body);
	/* Errors in words of its own; NULL: those of the API. */
	void (*error)(const struct llmsim_reply *rep, const char *message, struct strbuf *out);
	/* of a stream: its last event is the one that says that it is finished */
	unsigned (*events)(const struct llmsim_reply *rep);
	void (*event)(const struct llmsim_reply *rep, unsigned n, struct strbuf *out);
};
/* false: no such operation. */
bool llmsim_service_find(struct llmsim_request *r, struct llmsim_span rest);
/* Reads model, stream and the like from the body, whatever its form. */
void llmsim_service_scan(struct llmsim_request *r);
/* message NULL: the usual one of the status. */
void llmsim_service_refuse(struct llmsim_reply *rep, int status, const char *message, const char *param,
                           struct strbuf *body);
/* Refuses a body that lacks a member or part of the list (NULL at its end). true: nothing is missing. */
bool llmsim_service_has(const struct llmsim_request *r, struct llmsim_reply *rep, const char *const *need,
                        struct strbuf *body);
/* The text of a part, or of a string, number or truth value of the JSON
 * body; the caller frees it. NULL: absent. */
char *llmsim_service_text(const struct llmsim_request *r, const char *name);

/* llmsim_media.c: images, speech, transcription. llmsim_judge.c: rerank, OCR, moderation. */
extern const struct llmsim_service llmsim_media_service[], llmsim_judge_service[]; /* up to one without a path */
/* llmsim_store.c: files and batches, each key's own, in memory. */
extern const struct llmsim_service llmsim_store_service[];
/* llmsim_cohere.c: chat and embeddings as Cohere speaks them. */
extern const struct llmsim_service llmsim_cohere_service[];
void llmsim_cohere_error(const struct llmsim_reply *rep, const char *message, struct strbuf *out);
/* llmsim_responses.c */
extern const struct llmsim_service llmsim_responses_service[];
void llmsim_store_clear(struct llmsim *s);

/* llmsim_multipart.c: multipart/form-data, strictly. */
#define LLMSIM_PARTS_MAX 64
struct llmsim_part {
	struct llmsim_span name, filename, type, data; /* p NULL: absent */
};
/* Number of parts; -1: not a proper form. */
int llmsim_multipart(const struct llmsim_request *r, struct llmsim_part part[LLMSIM_PARTS_MAX]);
/* Names, sizes, SHA-256 and short texts of the parts as a JSON list; "null" when it is no proper form. */
void llmsim_multipart_describe(const struct llmsim_request *r, struct strbuf *out);

/* llmsim_route.c: path to api and op. */
void llmsim_route(struct llmsim_request *r);

/* llmsim_text.c. Conversions: %s text; of uint64_t: %u decimal, %x hexadecimal, %i an id of 16 digits. */
void llmsim_text(struct strbuf *out, const char *format, ...);
/* Pieces first .. first + n - 1 of the filler, each `bytes` long (0: one word). */
void llmsim_text_fill(unsigned first, unsigned n, unsigned bytes, struct strbuf *out);

/* llmsim_stream.c: a stream is a sequence of numbered events. */
void llmsim_stream_begin(struct llmsim_reply *rep);
unsigned llmsim_stream_events(const struct llmsim_reply *rep, bool terminator);
void llmsim_stream_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out);
/* An error in the middle of a stream, as the API words it. */
void llmsim_stream_error(const struct llmsim_reply *rep, struct strbuf *out);

/* llmsim_conn.c: one connection and its I/O; llmsim_play.c: how an answer goes out. */
enum llmsim_play { PLAY_IDLE, PLAY_START, PLAY_HEAD, PLAY_BODY, PLAY_END, PLAY_HANG, PLAY_SESSION };
struct llmsim_conn {
	struct llmsim *sim;
	struct llmsim_conn *prev, *next;
	uint64_t number;
	int fd;
	SSL *ssl;
	bool ssl_ready, read_off, continued; /* continued: "100 Continue" is out */
	bool close_after, reset_after;       /* when out is empty */
	struct event read_ev, write_ev, timer;
	struct strbuf in, out, store;
	size_t out_at; /* bytes of out that are gone */
	size_t need;   /* bytes that `in` must have before it is worth parsing */
	/* the answer that is being played */
	enum llmsim_play play;
	struct llmsim_key *key;
	struct llmsim_fault *fault;
	struct llmsim_reply reply;
	struct strbuf body, scratch;
	size_t consumed;                    /* bytes of `in` that belong to it */
	unsigned event, events;             /* of a stream */
	size_t body_at, slice;              /* of a whole body */
	int64_t step_ms;                    /* between events or slices */
	bool keep_alive, framed, head_only; /* framed: chunked */
	unsigned session_events;            /* said so far, of a realtime session */
	bool session_open, session_delayed;
};
void llmsim_conn_accept_cb(int fd, short what, void *arg);
/* Writes what is in out; false: the connection is gone. */
bool llmsim_conn_flush(struct llmsim_conn *c);
void llmsim_conn_timer(struct llmsim_conn *c, int64_t ms);
/* Ends the connection; reset: with RST instead of FIN. */
void llmsim_conn_close(struct llmsim_conn *c, bool reset);
/* Starts the answer to r. */
void llmsim_play_start(struct llmsim_conn *c, const struct llmsim_request *r);
/* Goes on as far as possible. false: the connection is gone. PLAY_IDLE again: the answer is out. */
bool llmsim_play_run(struct llmsim_conn *c);

/* llmsim_realtime.c: a WebSocket session in place of an answer. */
/* A complete opening handshake, with a model? Sets r->model. */
bool llmsim_realtime_route(struct llmsim_request *r, bool azure);
/* Nothing is to happen before 101. */
bool llmsim_realtime_accepts(const struct llmsim_fault *f);
void llmsim_realtime_start(struct llmsim_conn *c, const struct llmsim_request *r);
/* As llmsim_play_run(). */
bool llmsim_realtime_run(struct llmsim_conn *c);

#define LLMSIM_HASH 4096
struct llmsim {
	struct event_base *base;
	SSL_CTX *tls;
	bool many; /* one of several workers: no control path */
	uint64_t start_ms, serial;
	struct llmsim_fault *fault;
	struct llmsim_key *key[LLMSIM_HASH];
	unsigned nkey;
	struct llmsim_count connections, requests;
	uint64_t bad_requests, gone;
	struct llmsim_store *store;
	struct llmsim_record *ring;
	unsigned ring_size;
	uint64_t ring_at; /* records written so far */
	struct llmsim_conn *conn;
	char input[64 << 10]; /* what recv() fills */
};

#endif

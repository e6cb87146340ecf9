/* The libcurl transport: the multis (upstream_curl.c) and one transfer (upstream_curl_call.c). */
#ifndef HALE_UPSTREAM_CURL_H
#define HALE_UPSTREAM_CURL_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "upstream_int.h"

struct upstream_curl_shard;

enum upstream_curl_state {
	UPSTREAM_CURL_IDLE = 0,
	UPSTREAM_CURL_NEW,    /* started, not yet given to the multi */
	UPSTREAM_CURL_ADDED,  /* libcurl's */
	UPSTREAM_CURL_DOOMED, /* over, but libcurl is on the stack: removed as soon as it returned */
};

/* One transfer; pooled with its easy handle and its buffers. */
struct upstream_curl_call {
	struct upstream_call base; /* first */
	CURL *easy;
	struct upstream_curl_shard *shard;
	TAILQ_ENTRY(upstream_curl_call) link; /* in the shard's queue or doomed list, or in the pool */
	enum upstream_curl_state state;
	bool queued, insecure;
	bool tls_begun; /* connected, the TLS handshake started */
	const char *fault; /* why a callback of ours made libcurl stop */
	/* The request: header list and text in one block; body joined in `body`, or read from part[]. */
	char *request;
	struct curl_slist *list;
	size_t request_cap;
	char *body;
	size_t body_cap;
	struct iovec part[UPSTREAM_BODY_PARTS];
	unsigned npart;
	size_t part_offset; /* next byte to send, over all parts */
	/* The head of the answer: "name\0value\0..." and where each of them begins. */
	char *head;
	size_t head_len, head_cap;
	uint32_t name_at[UPSTREAM_HEAD_COUNT_MAX], value_at[UPSTREAM_HEAD_COUNT_MAX];
	unsigned nheader;
	int head_status;
	char errbuf[CURL_ERROR_SIZE];
};

TAILQ_HEAD(upstream_curl_list, upstream_curl_call);

extern const struct upstream_transport upstream_curl_transport;

struct upstream_curl *upstream_curl_new(struct upstream *u);
void upstream_curl_freep(struct upstream_curl **uc);

/* A fresh call object with its easy handle, all constant options set. */
struct upstream_curl_call *upstream_curl_call_new(struct upstream *u);
void upstream_curl_call_free(struct upstream_curl_call *c);
/* Sets what differs from request to request. */
void upstream_curl_call_setup(struct upstream_curl_call *c, const struct upstream_request *r);
/* Forgets the borrowed body and gives large buffers back. */
void upstream_curl_call_reset(struct upstream_curl_call *c);
enum upstream_phase upstream_curl_call_phase(struct upstream_call *c);
bool upstream_curl_call_is_reused(struct upstream_call *c);
/* What libcurl's verdict means. text: static or c's. */
enum upstream_error upstream_curl_call_verdict(struct upstream_curl_call *c, CURLcode code, const char **text);

#endif

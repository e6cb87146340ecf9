/* Providers: one table of modes per provider family.
 *
 * A provider is a row: name, default base, default key variables, how the key is sent, and for
 * each mode how the address is formed and whether bodies are OpenAI's form (spliced as they are)
 * or need translation. The same row builds real requests and probes, so that a probe cannot be
 * wrong in its own way. Everything here is pure: no I/O, no globals but const tables; the
 * one use of the clock is `created` in translated answers.
 */
#ifndef HALE_PROVIDER_H
#define HALE_PROVIDER_H

#include <sys/uio.h>

#include "hale/hale.h"
#include "hale/mode.h"

struct arena;
struct deployment;
struct json_object;
struct strbuf;

struct http_header {
	const char *name, *value;
};

/* A header of the client's request that goes upstream. */
struct client_header {
	const char *name;
	bool is_list; /* what the endpoint has of it stays, too; else the client's takes its place */
};

#define ENDPOINT_HEADERS_MAX 12

/* Where one mode of one deployment is reached. Built once, reused for every request. */
struct endpoint {
	const char *method; /* "POST", "GET" */
	const char *url;
	struct http_header header[ENDPOINT_HEADERS_MAX]; /* static ones: credentials, versions */
	unsigned nheader;
	const char *region; /* where the model runs, for sign(); NULL: unknown, or of no interest */
};

/* State of one translated stream (provider events in, OpenAI SSE out). */
struct xlate_stream;

/* Translation between OpenAI's form and the provider's. All members may be NULL for "same form". */
struct provider_xlate {
	/* OpenAI request -> provider request text. HALE_EINVAL: *why
	 * (static text) says what cannot be said. */
	int (*request)(const struct deployment *d, const char *model, struct json_object *openai, struct strbuf *out,
	               const char **why);
	/* Whole 2xx answer -> OpenAI answer. HALE_EINVAL: not the provider's form. */
	int (*response)(const char *model, const char *body, size_t len, struct strbuf *out);
	const char *stream_type; /* content type of a streamed answer; NULL: text/event-stream */
	/* Error answer -> message and type for the OpenAI envelope. */
	int (*error)(int status, const char *body, size_t len, struct strbuf *message, const char **type);
	/* What the status of a whole answer stands for where the provider's own says less: some answer 400
	 * to a wrong key, and only 401 lets another deployment try; some say 200 to what they refuse. */
	int (*status)(int status, const char *body, size_t len);
	/* include_usage: the client asked for the last chunk with the
	 * token counts (json_scan.include_usage). */
	struct xlate_stream *(*stream_new)(const char *model, bool include_usage);
	/* Bytes in, zero or more complete "data: ...\n\n" events out; an error event of the provider becomes
	 * "data: {"error": ...}". *done: the provider said it is finished, "data: [DONE]" is out.
	 * HALE_EINVAL: not the provider's form; HALE_ELIMIT: an event is too large. */
	int (*stream_feed)(struct xlate_stream *s, const char *data, size_t len, struct strbuf *out, bool *done);
	/* The connection ended in order and *done was not set. For providers whose last event does
	 * not say that it is the last: writes what is left to say, "data: [DONE]" included.
	 * HALE_EINVAL: the stream was cut. NULL: it was. */
	int (*stream_end)(struct xlate_stream *s, struct strbuf *out);
	void (*stream_free)(struct xlate_stream *s);
};

/* How the request of a mode travels. */
enum op_form {
	OP_JSON = 0,  /* a JSON object with a top-level "model" */
	OP_MULTIPART, /* multipart/form-data with a part "model" */
	OP_LIST,      /* a GET without a body */
	OP_WEBSOCKET, /* an upgrade, then frames both ways: endpoint.url is still http(s) */
};

#define PROVIDER_SIGN_HEADERS_MAX 4

/* What a signature over one request needs, and the headers that it becomes. */
struct provider_sign {
	const struct deployment *d;
	const struct endpoint *endpoint;
	const struct iovec *body;
	unsigned nbody;
	uint64_t now_real_ns;
	struct http_header header[PROVIDER_SIGN_HEADERS_MAX]; /* out, allocated in the arena */
	unsigned nheader;
};

/* One cell of mode x provider. */
struct provider_op {
	/* Address and static headers for `model` (upstream name); allocated in a. op is
	 * this cell. HALE_EINVAL: no usable base, or a header value that would break the
	 * request head; HALE_ELIMIT: too many headers. */
	int (*endpoint)(struct arena *a, const struct provider_op *op, const struct deployment *d, const char *model,
	                bool stream, struct endpoint *out);
	const char *path; /* behind the provider's base, for endpoint(); NULL where the address has another form */
	enum op_form form;
	bool binary; /* the answer is bytes (audio): passed on as they come */
	const struct provider_xlate *xlate; /* NULL: OpenAI's form both ways */
	/* Does a 2xx body, as the provider sent it, have the mode's essential member? *why:
	 * static text when not. NULL: a 2xx is enough. */
	bool (*essential)(const char *body, size_t len, const char **why);
	const struct client_header *client_header; /* up to one without a name; NULL: none */
	/* Headers that depend on the body and the time, for each request.
	 * NULL: none. HALE_EINVAL: no credentials. */
	int (*sign)(struct arena *a, struct provider_sign *s);
};

struct provider {
	const char *name; /* prefix in litellm_params.model and custom_llm_provider */
	const char *default_base; /* NULL: api_base must be configured */
	const char *key_env[3], *base_env[3], *version_env; /* NULL-terminated where shorter */
	const char *default_version;
	bool no_stream_options;  /* counts the tokens of every stream, and refuses to be asked for it */
	const char *bare_path; /* goes after a base without a path ("/v1"), or NULL */
	bool local; /* self-hosted: no key is needed */
	bool aws; /* AWS credentials may take the place of the key; {region} in the base is the deployment's */
	const struct provider_op *op[MODE_COUNT]; /* NULL: this provider has no such mode */
};

/* The mode whose cell answers requests of mode m: messages are translated for chat where there is no cell
 * of their own (hale/messages.h). MODE_NONE: this provider has neither. */
static inline enum mode
provider_serves(const struct provider *p, enum mode m)
{
	if (p->op[m])
		return m;
	return m == MODE_MESSAGES && p->op[MODE_CHAT] ? MODE_CHAT : MODE_NONE;
}

/* Is there a body to send? Lists and upgrades are a GET without one. Pure. */
bool provider_op_has_body(const struct provider_op *op);
/* By prefix; NULL when unknown. */
const struct provider *provider_find(const char *name, size_t len);
/* Rows in table order, NULL after the last. */
const struct provider *provider_at(unsigned i);
/* Provider of "prefix/model" or of a bare well-known name; *rest points at the upstream model inside
 * `model` (and may be empty). custom (custom_llm_provider) wins when not NULL. NULL: unknown. */
const struct provider *provider_of_model(const char *model, const char *custom, const char **rest);
/* "openai, azure, ...", for messages. */
const char *provider_list(void);

#endif

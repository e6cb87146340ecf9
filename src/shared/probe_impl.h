/* What the probe files share: one request under construction.
 *
 * A body is a list of named members, whatever its mode and form: probe_body.c puts the question there, then
 * probe_params.c what is configured, then probe_body.c writes it as JSON or as multipart/form-data.
 */
#ifndef HALE_PROBE_IMPL_H
#define HALE_PROBE_IMPL_H

#include "hale/deployment.h"
#include "hale/probe.h"

struct strbuf;

#define PROBE_PARAMS_MAX 64

/* The files that questions carry. */
enum probe_file { PROBE_WAV, PROBE_PNG, PROBE_PDF };

struct probe_media {
	const char *name, *type; /* as a part of a form: file name and content type */
	const char *data;
	size_t len;
};

/* What stands in a member. */
enum probe_kind {
	PROBE_NODE = 0, /* a value of the configuration */
	PROBE_NUMBER,
	PROBE_TEXT,
	PROBE_TEXT_LIST, /* text as the only element of a list */
	PROBE_MESSAGES,  /* text as the one message of a user */
	PROBE_JSON,      /* text is JSON already */
	PROBE_FILE,
	PROBE_DOCUMENT,  /* file as {"type": "document_url", ...} */
};

struct probe_param {
	const char *name;
	enum probe_kind kind;
	const struct conf_node *node;
	const char *text;
	enum probe_file file;
	int32_t number;
};

struct probe_build {
	struct arena *arena;
	const struct conf *conf;
	const struct deployment *d;
	enum probe_adapt adapt;
	struct probe_request *out;
	struct deployment target; /* d, asked for what is probed */
	const char *model;        /* upstream's name of it */
	struct probe_param param[PROBE_PARAMS_MAX];
	unsigned nparam;
};

/* Adds a member, or replaces the one of that name in its place; past PROBE_PARAMS_MAX it is left out. */
void probe_params_set(struct probe_build *b, const struct probe_param *p);
/* Adds what the configuration says, as the form b->adapt wants it. */
void probe_params_collect(struct probe_build *b);

/* Adds the members that make up the mode's question. */
void probe_body_ask(struct probe_build *b);
/* Writes all members in the form of the cell, fills out's body, shown and content_type. HALE_EINVAL: *why
 * says what the provider's own form cannot carry. */
int probe_body_write(struct probe_build *b, const char **why) HALE_MUST_USE;

/* The bytes of a file, allocated in a or constant. */
struct probe_media probe_media_get(struct arena *a, enum probe_file f);

#endif

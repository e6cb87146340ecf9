/* Finds what routing needs in a JSON request without building a tree.
 *
 * One pass over the bytes, a complete check of RFC 8259's grammar and of UTF-8, so that what it accepts
 * has one meaning for every parser behind us. Refused beyond the grammar: a top level that is no object,
 * a duplicate of a member that is looked for (also when spelled with escapes), U+0000 in a top-level
 * name, a name that is "model" in other letter case (some parsers ignore case), nesting deeper than the
 * bound. Values that are passed on may hold lone surrogates (\ud800): the grammar allows them. Pure.
 */
#ifndef HALE_JSON_SCAN_H
#define HALE_JSON_SCAN_H

#include "hale/hale.h"

struct iovec;

/* Nesting that the scanner can follow at all; a larger depth_max means this. */
#define JSON_DEPTH_MAX 1024

struct json_span {
	size_t start, len; /* of the raw value, quotes included; len 0: absent */
};

struct json_scan {
	struct json_span model;  /* raw string token */
	bool model_escaped;      /* contains backslashes: unescape before comparing */
	bool stream;             /* "stream": true */
	struct json_span stream_options;
	bool include_usage;      /* "stream_options": {"include_usage": true} */
	struct json_span messages, input, prompt; /* presence and place */
	bool has_max_tokens; /* max_tokens or max_completion_tokens */
};

/* 0; HALE_EINVAL or HALE_ELIMIT (depth): *why is a static phrase, *at the byte offset. */
int json_scan(const char *text, size_t len, unsigned depth_max, struct json_scan *out, const char **why, size_t *at)
	HALE_MUST_USE;

/* The same pass for other members: fills want[].value (offsets into text; len 0: absent). */
struct json_want {
	const char *key;
	bool any_case; /* refuse names that differ from key only in letter case */
	/* Members that are wanted of the value, when it is an object, or of its first element, when that
	 * is one: inner[].value are offsets into text too. */
	struct json_want *inner;
	unsigned ninner;
	struct json_span value;
	struct json_span first; /* with inner: the array's first element; len 0: no array or an empty one */
};
int json_members(const char *text, size_t len, unsigned depth_max, struct json_want *want, unsigned nwant,
                 const char **why, size_t *at) HALE_MUST_USE;

/* Unescapes a string token (quotes included) into buf, NUL-terminated. HALE_ERANGE when it does not fit,
 * HALE_EINVAL for a bad escape, a lone surrogate or U+0000. */
int json_unescape(const char *token, size_t len, char *buf, size_t size) HALE_MUST_USE;

/* The request with another model, without copying it: iov[0] is what stands before the model's value,
 * iov[1] the new string token (quoted and escaped by the caller), iov[2] the rest. Borrows text and token.
 * HALE_ENOENT when the request has no model. */
int json_splice(const char *text, size_t len, const struct json_scan *scan, const char *token, size_t token_len,
                struct iovec *iov) HALE_MUST_USE;

#endif

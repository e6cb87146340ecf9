/* Finds what routing needs in a JSON request without building a tree.
 *
 * One pass over the bytes: top-level "model" and "stream", strict enough that what it accepts has one
 * meaning: duplicate top-level keys among those that it looks for, escapes in such keys, a top level
 * that is no object, unbalanced nesting, trailing text are errors. It does not check everything that
 * JSON forbids inside values that are only passed on; it does check UTF-8, depth and control characters
 * in strings. Pure.
 */
#ifndef HALE_JSON_SCAN_H
#define HALE_JSON_SCAN_H

#include "hale/hale.h"

struct json_span {
	size_t start, len; /* of the raw value, quotes included; len 0: absent */
};

struct json_scan {
	struct json_span model;  /* raw string token */
	bool model_escaped;      /* contains backslashes: unescape before comparing */
	bool stream;             /* "stream": true */
	struct json_span stream_options;
	struct json_span messages, input, prompt; /* presence and place */
	bool has_max_tokens;
};

/* 0; HALE_EINVAL or HALE_ELIMIT (depth): *why is a static phrase, *at the byte offset. */
int json_scan(const char *text, size_t len, unsigned depth_max, struct json_scan *out, const char **why, size_t *at)
	HALE_MUST_USE;
/* Unescapes a string token (quotes included) into buf, NUL-terminated. HALE_ERANGE when it does not fit,
 * HALE_EINVAL for a bad escape or U+0000. */
int json_unescape(const char *token, size_t len, char *buf, size_t size) HALE_MUST_USE;

#endif

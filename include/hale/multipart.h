/* Finds what routing needs in a multipart/form-data body without copying it.
 *
 * Strict, so that what it accepts has one meaning for every parser behind us: no preamble, no epilogue,
 * CRLF line ends, one Content-Disposition with one name in each part. Refused beyond that: a second
 * part of a name that is looked for, such a name in other letter case, names with escapes, folded
 * header lines, a transfer encoding that changes the bytes, more than MULTIPART_PARTS_MAX parts. The
 * bytes of parts are never looked at. Pure.
 */
#ifndef HALE_MULTIPART_H
#define HALE_MULTIPART_H

#include "hale/hale.h"

#define MULTIPART_PARTS_MAX 64
#define MULTIPART_HEAD_MAX 4096 /* bytes of the headers of one part */

struct multipart_want {
	const char *name;
	bool many; /* may come more than once: what is found is the first one */
	/* out; offsets into the body */
	unsigned count;               /* parts of that name; 0: absent */
	bool is_file;                 /* it has a file name */
	size_t start, len;            /* its bytes */
	size_t part_start, part_len;  /* the whole part with the delimiter line before it: a form without it is a form */
};

/* content_type is the value of that header; "" or NULL: none. 0; HALE_EINVAL or HALE_ELIMIT (too many
 * parts, too long a head): *why is a static phrase, *at the byte offset. */
int multipart_scan(const char *content_type, const char *body, size_t len, struct multipart_want *want,
                   unsigned nwant, const char **why, size_t *at) HALE_MUST_USE;
/* Is this the media type multipart/form-data, whatever follows? */
bool multipart_is(const char *content_type);

#endif

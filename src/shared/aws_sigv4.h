/* AWS Signature Version 4 over one request. Pure: the time is passed in.
 *
 * libcurl can sign too, but takes the path as it is; every service but S3 wants its segments encoded once
 * more than they are on the wire. Bedrock's model ids have ':' and '/', so there it matters.
 */
#ifndef HALE_AWS_SIGV4_H
#define HALE_AWS_SIGV4_H

#include <sys/uio.h>

#include "hale/hale.h"

struct http_header;
struct strbuf;

#define AWS_SIGV4_HEADERS_MAX 16 /* beside host, date and token */
#define AWS_SIGV4_QUERY_MAX 32   /* parameters */

struct aws_sigv4 {
	const char *key_id, *secret, *token; /* token NULL: none */
	const char *region, *service;
	const char *method, *url; /* http(s)://host[:port]/path?query, as it goes on the wire */
	const struct http_header *header; /* what is signed beside host, x-amz-date and x-amz-security-token */
	unsigned nheader;
	const struct iovec *body;
	unsigned nbody;
	uint64_t now_s; /* since 1970 */
};

/* Value of x-amz-date: "20150830T123600Z". HALE_ERANGE: no such year. */
int aws_sigv4_date(uint64_t now_s, char out[17]) HALE_MUST_USE;
/* Appends the value of Authorization. HALE_EINVAL: the URL has no host; HALE_ELIMIT: too many
 * headers or parameters; HALE_ERANGE: see above. */
int aws_sigv4_authorization(const struct aws_sigv4 *s, struct strbuf *out) HALE_MUST_USE;
/* The text whose hash is signed, for tests. Same results. */
int aws_sigv4_canonical(const struct aws_sigv4 *s, struct strbuf *out) HALE_MUST_USE;

#endif

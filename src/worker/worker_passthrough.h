/* Files and batches: requests that go to one account as they are. */
#ifndef HALE_WORKER_PASSTHROUGH_H
#define HALE_WORKER_PASSTHROUGH_H

#include "hale/hale.h"

struct http_req;
struct worker;

struct passthrough_target {
	char rest[320];   /* the path without its version: "/files/file-1/content" */
	unsigned methods; /* a bit for each enum http_method that it has */
	bool batch;       /* of /batches, not of /files */
};

/* Is that one of the paths? Pure. Ids are letters, digits, '-', '_', '.', '=',
 * at most 256 of them, and not dots alone. */
bool worker_passthrough_find(const char *path, struct passthrough_target *out);
/* Takes the request over and answers it. The method must be one of t's; t is copied. */
void worker_passthrough_start(struct worker *w, struct http_req *r, const struct passthrough_target *t);

#endif

/* Relaying one request to a deployment. */
#ifndef HALE_WORKER_PROXY_H
#define HALE_WORKER_PROXY_H

#include "hale/hale.h"
#include "hale/mode.h"

struct http_req;
struct worker;

/* Takes the request over and answers it, now or later. model, of len bytes, was named by the
 * path and is copied; NULL: the body names it. */
void worker_proxy_start(struct worker *w, struct http_req *r, enum mode m, const char *model, size_t len);

#endif

/* Relaying one request to a deployment. */
#ifndef HALE_WORKER_PROXY_H
#define HALE_WORKER_PROXY_H

#include "hale/hale.h"
#include "hale/mode.h"

struct http_req;
struct worker;

/* Takes the request over and answers it, now or later. */
void worker_proxy_start(struct worker *w, struct http_req *r, enum mode m);
/* Ends every running request with an error that says why: 503, or an error event in a stream that has begun. */
void worker_proxy_end_all(struct worker *w);

#endif

/* The table of paths. */
#ifndef HALE_WORKER_ROUTES_H
#define HALE_WORKER_ROUTES_H

#include "hale/hale.h"

struct http_req;

/* Handler of the HTTP server; arg is struct worker. Finds the path, checks method and key, calls the handler. */
void worker_routes_dispatch(struct http_req *r, void *arg);

#endif

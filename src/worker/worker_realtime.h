/* Realtime sessions: WebSocket from a client to a deployment. */
#ifndef HALE_WORKER_REALTIME_H
#define HALE_WORKER_REALTIME_H

#include "hale/hale.h"

struct http_req;
struct worker;

/* GET /v1/realtime: takes the request over and answers it, now or later, with 101 or an error. */
void worker_realtime_get(struct worker *w, struct http_req *r, bool admin);
/* The key of a browser, which can set no header: "openai-insecure-api-key.<key>" among the
 * subprotocols. false: none, or longer than size. Pure. */
bool worker_realtime_key(const char *protocols, char *key, size_t size);

#endif

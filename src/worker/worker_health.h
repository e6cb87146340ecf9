/* The health and model endpoints: who may ask, whether a probe round comes first, what status goes out. */
#ifndef HALE_WORKER_HEALTH_H
#define HALE_WORKER_HEALTH_H

#include "hale/hale.h"

struct http_req;
struct worker;

/* Handlers of the route table: each answers r, now or later. admin: the caller holds the master key, or none
 * is configured. */
void worker_health_get(struct worker *w, struct http_req *r, bool admin);        /* /health */
void worker_health_liveness(struct worker *w, struct http_req *r, bool admin);   /* /health/liveliness, /liveness */
void worker_health_readiness(struct worker *w, struct http_req *r, bool admin);  /* /health/readiness */
void worker_health_details(struct worker *w, struct http_req *r, bool admin);    /* /health/readiness/details */
void worker_health_backlog(struct worker *w, struct http_req *r, bool admin);    /* /health/backlog */
void worker_health_model_info(struct worker *w, struct http_req *r, bool admin); /* /v1/model/info */
void worker_health_models(struct worker *w, struct http_req *r, bool admin);     /* /v1/models */
void worker_health_test(struct worker *w, struct http_req *r, bool admin);       /* /test */

#endif

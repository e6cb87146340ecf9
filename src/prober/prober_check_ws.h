/* The probe of a realtime deployment, in the shape of any other upstream call. */
#ifndef HALE_PROBER_CHECK_WS_H
#define HALE_PROBER_CHECK_WS_H

#include "hale/upstream.h"

struct prober_check_ws;

/* Opens a session and waits for the first event of the server; nothing is sent but a close
 * frame. Reports like upstream_start(), with status 101 and that event as the body when the
 * session is fine, with the HTTP status that it amounts to when the server said no after 101.
 * quiet: a server that keeps silent is fine too. */
struct prober_check_ws *prober_check_ws_start(struct upstream *u, const struct upstream_request *r,
                                              bool quiet, const struct upstream_ops *ops, void *arg,
                                              enum upstream_error *err);
/* No callback follows. */
void prober_check_ws_cancel(struct prober_check_ws *w);

#endif

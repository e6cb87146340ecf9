/* Two connections as one: what the client says goes to the upstream,
 * and back, until both have said everything. */
#ifndef HALE_WORKER_SPLICE_H
#define HALE_WORKER_SPLICE_H

#include "hale/hale.h"

struct bufferevent;
struct splice;
struct tunnel;
struct worker;

enum splice_end {
	SPLICE_CLIENT,   /* the client ended it, or is gone */
	SPLICE_UPSTREAM, /* the upstream did */
	SPLICE_IDLE,
	SPLICE_TOLD,     /* worker_splice_close() */
};
const char *worker_splice_end_name(enum splice_end e);

/* Takes the callbacks of both bufferevents until worker_splice_freep(); what is in their
 * inputs already goes first. done is called once, from the loop: everything is said, or
 * nothing more can be. It may free the splice. */
struct splice *worker_splice_new(struct worker *w, struct bufferevent *client, struct tunnel *t,
                                 struct bufferevent *upstream, void (*done)(void *arg, enum splice_end e),
                                 void *arg);
void worker_splice_freep(struct splice **s);
/* Ends it with a close frame to the client, behind what is on its way:
 * where no frame is cut by that. Else at once. */
void worker_splice_close(struct splice *s, const char *reason);

#endif

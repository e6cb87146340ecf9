/* What the first word of a realtime server means. Pure. */
#ifndef HALE_PROBER_EVENT_H
#define HALE_PROBER_EVENT_H

#include "hale/hale.h"

struct strbuf;

/* One message: 0: an event that is no error; -1: not an event (JSON object with a "type"); else
 * the HTTP status that the error amounts to. */
int prober_event_status(const char *text, size_t len);
/* The server closed before it said anything: writes that as an error
 * event and returns its status. code 0: none. */
int prober_event_close(unsigned code, const char *reason, struct strbuf *event);

#endif

/* One probe of one deployment, from the request to a result. */
#ifndef HALE_PROBER_CHECK_H
#define HALE_PROBER_CHECK_H

#include "hale/htable.h"
#include "prober_state.h"

struct conf;
struct deployment;
struct http_header;
struct probe_request;
struct prober_check;
struct upstream;

/* Sees what goes over the wire, before it is judged. All borrowed; secrets are not masked. */
struct prober_check_watch {
	void (*sent)(void *arg, const struct probe_request *q);
	void (*head)(void *arg, int status, const struct http_header *h, unsigned n);
	void (*answer)(void *arg, const char *body, size_t len, bool cut); /* cut: body is a prefix */
	void *arg;
};

/* What a check needs of its process; outlives it. */
struct prober_check_env {
	struct upstream *upstream;
	const struct conf *conf;
	const struct prober_check_watch *watch; /* NULL: nobody looks */
};

struct prober_report {
	struct prober_result result;
	bool deferred;           /* our own connection bound stood in the way: nothing was learned, try later */
	bool vetoed;             /* real traffic shows that this verdict is wrong */
	bool estimated;          /* the provider reports no usage, result.cost_tokens is an estimate */
	bool skipped;            /* no probe was sent: real traffic made it unnecessary */
	bool limited;            /* a daily token limit is reached with this probe */
	enum health_source source;
	uint32_t day;            /* UTC day that the cost belongs to */
	unsigned requests;       /* sent to the upstream: more than one when the form had to be adapted */
	char error[HTABLE_ERROR_BYTES]; /* "" when ok; secrets are masked */
	char ratelimit_requests[HTABLE_HEADER_BYTES], ratelimit_tokens[HTABLE_HEADER_BYTES];
	char ms_region[HTABLE_HEADER_BYTES];
};

/* r is borrowed; the check is gone when it returns. */
typedef void (*prober_check_f)(void *arg, const struct deployment *d, const struct prober_report *r);

/* adapt: the form that worked last time. Returns NULL when the check ended at once: *now is filled and
 * done is not called. Otherwise done is called later, once, unless the check is cancelled. */
struct prober_check *prober_check_start(const struct prober_check_env *env, const struct deployment *d, uint8_t adapt,
                                        prober_check_f done, void *arg, struct prober_report *now);
void prober_check_cancel(struct prober_check *c);

#endif

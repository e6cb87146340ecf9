/* From what came back to what it means. Pure. */
#ifndef HALE_PROBER_CLASSIFY_H
#define HALE_PROBER_CLASSIFY_H

#include "hale/htable.h"
#include "hale/mode.h"
#include "hale/probe.h"
#include "hale/upstream.h"

struct classify_input {
	enum mode mode;
	const struct provider_op *op; /* for the essential member of a 2xx body */
	enum upstream_error error;
	enum upstream_phase phase;
	int status;
	const char *retry_after, *retry_after_ms; /* header values or NULL */
	const char *ratelimit_reset;              /* x-ratelimit-reset or its -requests / -tokens form, or NULL */
	const char *body;
	size_t body_len;
	bool body_cut; /* the answer was longer than what is kept: body is a prefix */
	uint64_t now_ns, now_real_ns;
	enum probe_adapt adapt; /* the form that was sent */
};

struct classify_result {
	enum health_reason reason;
	bool ok;                /* counts as a success */
	int status;             /* the input's, or the one that a 200 body reports inside; 0: none arrived */
	int exception_status;   /* what /health shows: 408 for timeouts, 500 when there was no status, 0 when ok */
	uint64_t until_ns;      /* rate limited until; 0: not said */
	enum probe_adapt next;  /* for REASON_BAD_PROBE: the form to try; equal to adapt when none is left */
	const char *text;       /* static summary, e.g. "Timeout exceeded", for a body without a message; "" when ok */
};

void prober_classify(const struct classify_input *in, struct classify_result *out);

#endif

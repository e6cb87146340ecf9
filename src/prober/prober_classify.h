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
	const char *retry_after; /* header value or NULL */
	const char *body;
	size_t body_len;
	uint64_t now_ns, now_real_ns;
	enum probe_adapt adapt; /* the form that was sent */
};

struct classify_result {
	enum health_reason reason;
	bool ok;                /* counts as a success */
	int exception_status;   /* what /health shows: 408 for timeouts, 500 when there was no status */
	uint64_t until_ns;      /* rate limited until; 0: not said */
	enum probe_adapt next;  /* for REASON_BAD_PROBE: the form to try; equal to adapt when none is left */
	const char *text;       /* static summary when the body has no message, e.g. "Timeout exceeded" */
};

void prober_classify(const struct classify_input *in, struct classify_result *out);
/* The provider's own words inside an error body ("error.message", "message", "detail" ...), or NULL; written
 * into buf. Pure. */
const char *prober_classify_message(const char *body, size_t len, char *buf, size_t size);

#endif

/* What a probe sends: pure construction, shared by the prober, `hale probe` and /health (which shows
 * the masked request of a failed probe).
 */
#ifndef HALE_PROBE_H
#define HALE_PROBE_H

#include "hale/hale.h"
#include "hale/provider.h"

struct arena;
struct conf;
struct deployment;

/* How this deployment's probe departs from the configured form because the upstream refused it. */
enum probe_adapt {
	PROBE_ADAPT_NONE = 0,
	PROBE_ADAPT_LARGER,       /* max_tokens 16 */
	PROBE_ADAPT_COMPLETION,   /* max_completion_tokens 16 instead of max_tokens */
	PROBE_ADAPT_NO_LIMIT,     /* no token limit, no extra parameters */
	PROBE_ADAPT_COUNT
};

struct probe_request {
	struct endpoint endpoint;
	const char *body; /* NULL for GET */
	size_t body_len;
	const char *shown; /* the body as JSON text for people, with notes instead of files; NULL for GET */
	const char *content_type; /* NULL for GET */
	enum mode mode; /* resolved, never MODE_NONE */
	const struct provider_op *op; /* the cell that built it: judges the answer (essential) */
	const struct deployment *as; /* whose address and credentials these are, for sign() */
	const char *model; /* as displayed in /health: health_check_model or the configured model */
};

/* Which mode is probed (a provider without a list of batches is asked for a chat completion instead) and
 * the cell that does it; NULL: there is no such probe. Pure. */
const struct provider_op *probe_cell(const struct deployment *d, enum mode *mode);
/* The provider that is asked. health_check_model may name another one, unless custom_llm_provider says
 * that its prefix is part of the upstream's own name. Pure. */
const struct provider *probe_cell_provider(const struct deployment *d);
/* Everything is allocated in a. random picks among equivalent prompts. HALE_EUNSUPPORTED: *why says which
 * mode of which provider has no probe. Pure. */
int probe_request_build(struct arena *a, const struct conf *c, const struct deployment *d, enum probe_adapt adapt,
                        uint32_t random, struct probe_request *out, const char **why) HALE_MUST_USE;

#endif

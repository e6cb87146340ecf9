/* Which API and operation a path means. Strict: a gateway that builds "/v1/v1/..." must get its 404. */
#include "hale/hale.h"

#include "llmsim.h"

static bool
llmsim_route_skip(struct llmsim_span *s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (!llmsim_span_starts(*s, prefix))
		return false;
	s->p += n;
	s->len -= n;
	return true;
}

static enum llmsim_op
llmsim_route_op(struct llmsim_span rest)
{
	if (llmsim_span_is(rest, "/chat/completions"))
		return LLMSIM_CHAT;
	if (llmsim_span_is(rest, "/completions"))
		return LLMSIM_COMPLETION;
	if (llmsim_span_is(rest, "/embeddings"))
		return LLMSIM_EMBEDDING;
	return LLMSIM_UNKNOWN;
}

void
llmsim_route(struct llmsim_request *r)
{
	struct llmsim_span rest = r->path;
	const char *slash;

	r->api = LLMSIM_OPENAI;
	if (llmsim_route_skip(&rest, "/_sim/")) {
		r->op = LLMSIM_CONTROL;
		return;
	}
	if (llmsim_gemini_route(r) || llmsim_bedrock_route(r))
		return;
	if (llmsim_route_skip(&rest, "/openai/deployments/")) {
		r->api = LLMSIM_AZURE;
		slash = memchr(rest.p, '/', rest.len);
		r->op = LLMSIM_UNKNOWN;
		if (!slash || slash == rest.p || !r->query.p ||
		    !memmem(r->query.p, r->query.len, "api-version=", 12))
			return;
		r->deployment = (struct llmsim_span){rest.p, (size_t)(slash - rest.p)};
		rest = (struct llmsim_span){slash, rest.len - r->deployment.len};
		r->op = llmsim_route_op(rest);
		if (r->op == LLMSIM_UNKNOWN && llmsim_service_find(r, rest))
			r->op = LLMSIM_SERVICE;
		return;
	}
	if (llmsim_route_skip(&rest, "/openai") && !llmsim_span_starts(rest, "/v1/")) {
		r->api = LLMSIM_AZURE;
		r->op = LLMSIM_UNKNOWN;
		if (llmsim_span_is(rest, "/realtime")) {
			r->op = llmsim_realtime_route(r, true) ? LLMSIM_REALTIME : LLMSIM_UNKNOWN;
			return;
		}
		if (r->query.p && memmem(r->query.p, r->query.len, "api-version=", 12) &&
		    llmsim_service_find(r, rest))
			r->op = LLMSIM_SERVICE;
		return;
	}
	rest = r->path;
	if (llmsim_service_find(r, (struct llmsim_span){NULL, 0})) {
		r->op = LLMSIM_SERVICE;
		return;
	}
	(void)(llmsim_route_skip(&rest, "/openai/v1") || llmsim_route_skip(&rest, "/v1"));
	if (llmsim_span_is(rest, "/messages")) {
		r->api = LLMSIM_ANTHROPIC;
		r->op = LLMSIM_CHAT;
	} else if (llmsim_span_is(rest, "/messages/count_tokens")) {
		r->api = LLMSIM_ANTHROPIC;
		r->op = LLMSIM_COUNT_TOKENS;
	} else if (llmsim_span_is(rest, "/models")) {
		r->api = r->version.p ? LLMSIM_ANTHROPIC : LLMSIM_OPENAI;
		r->op = LLMSIM_MODELS;
	} else if (llmsim_span_is(rest, "/realtime")) {
		r->op = llmsim_realtime_route(r, false) ? LLMSIM_REALTIME : LLMSIM_UNKNOWN;
	} else {
		r->op = llmsim_route_op(rest);
		if (r->op == LLMSIM_UNKNOWN && llmsim_service_find(r, rest))
			r->op = LLMSIM_SERVICE;
	}
}

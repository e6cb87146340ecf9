/* Probe requests: who is asked, for which model, in which mode.
 *
 * A probe is a real request of its mode: a body in OpenAI's form, handed to the same operation (address,
 * headers, translation) that serves clients. The body is made by probe_body.c and probe_params.c.
 */
#include "hale/hale.h"

#include "probe_impl.h"

#include "bedrock.h"
#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/err.h"
#include "hale/mode.h"

/* Whom to ask for which model. A key and an address that came from our provider's
 * defaults must not go along to another one. */
static int
probe_resolve_target(struct probe_build *b, const char **why)
{
	const struct deployment *d = b->d;
	const struct provider *p = probe_cell_provider(d);
	size_t prefix = strlen(p->name);

	b->out->as = d->probe.as ? d->probe.as : d;
	b->target = *b->out->as;
	b->target.organization = d->organization;
	b->model = d->upstream_model;
	b->out->model = d->model;
	if (d->probe.model) {
		b->out->model = b->model = d->probe.model;
		if (strncmp(b->model, p->name, prefix) == 0 && b->model[prefix] == '/')
			b->model += prefix + 1;
	} else if (p->aws) {
		b->out->model = bedrock_model_shown(b->arena, b->model);
	}
	b->target.upstream_model = b->model;
	if (!strchr(b->model, '*'))
		return 0;
	*why = arena_printf(b->arena,
	                    "Unable to health check wildcard model for provider %s. Set model_info.health_check_model "
	                    "to one of its models.", p->name);
	return HALE_EUNSUPPORTED;
}

static int
probe_resolve_op(struct probe_build *b, const char **why)
{
	const char *text = b->d->probe.mode_text;

	b->out->op = probe_cell(b->d, &b->out->mode);
	if (b->out->op)
		return 0;
	if (b->out->mode == MODE_NONE)
		*why = arena_printf(b->arena, "Mode %s not supported: known to LiteLLM, not probed by hale", text ? text : "");
	else
		*why = arena_printf(b->arena,
		                    "%s%s%sMode %s not supported for provider %s. See modes here: "
		                    "https://docs.litellm.ai/docs/proxy/health",
		                    b->out->mode == MODE_REALTIME ? "Unsupported model: " : "",
		                    b->out->mode == MODE_REALTIME ? b->out->model : "",
		                    b->out->mode == MODE_REALTIME ? ". " : "",
		                    mode_name(b->out->mode), b->target.provider->name);
	return HALE_EUNSUPPORTED;
}

int
probe_request_build(struct arena *a, const struct conf *c, const struct deployment *d, enum probe_adapt adapt,
                    uint32_t random, struct probe_request *out, const char **why)
{
	struct probe_build b = {.arena = a, .conf = c, .d = d, .adapt = adapt, .out = out};
	int rc;

	(void)random; /* one prompt for all: nothing to pick from */
	*out = (struct probe_request){0};
	rc = probe_resolve_target(&b, why);
	if (!rc)
		rc = probe_resolve_op(&b, why);
	if (rc)
		return rc;
	rc = out->op->endpoint(a, out->op, &b.target, b.model, false, &out->endpoint);
	if (rc) {
		*why = b.target.api_base ? "api_base, api_key or extra_headers cannot be used in a request"
		                         : "the deployment has no api_base";
		return rc;
	}
	probe_body_ask(&b);
	probe_params_collect(&b);
	return probe_body_write(&b, why);
}

/* Which cell of the provider table a deployment's probe uses. */
#include "hale/hale.h"

#include "hale/probe.h"

#include "hale/conf.h"
#include "hale/deployment.h"

const struct provider *
probe_cell_provider(const struct deployment *d)
{
	const char *slash = d->probe.model ? strchr(d->probe.model, '/') : NULL;
	const struct provider *named = slash ? provider_find(d->probe.model, (size_t)(slash - d->probe.model)) : NULL;

	return named && !conf_get_string(d->params, "custom_llm_provider") ? named : d->provider;
}

const struct provider_op *
probe_cell(const struct deployment *d, enum mode *mode)
{
	const struct provider *p = probe_cell_provider(d);
	enum mode m = deployment_resolve_mode(d);

	/* A provider without a list of batches is asked what its batches consist of, as in LiteLLM. */
	if (m == MODE_BATCH && !p->op[MODE_BATCH])
		m = MODE_CHAT;
	*mode = m;
	return m == MODE_NONE ? NULL : p->op[m];
}

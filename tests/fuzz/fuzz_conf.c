/* libFuzzer harness of the configuration loader and of the probes that it leads to: any bytes give a configuration
 * or messages, nothing else.
 *
 * `include` is left out of the input, because a fuzzer must not open files of the machine that it runs on.
 */
#include "hale/hale.h"

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/probe.h"

#define FUZZ_PROBES 4 /* deployments of one configuration */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a deployment says, its probe in each form is a request that can be sent and shown, or there is none. */
static void
fuzz_conf_probe(const struct conf *c, const struct deployment *d)
{
	for (int adapt = 0; adapt < PROBE_ADAPT_COUNT; adapt++) {
		struct arena *a = arena_new(4096);
		struct probe_request q;
		const char *why = NULL;

		if (probe_request_build(a, c, d, (enum probe_adapt)adapt, 0, &q, &why) == 0) {
			HALE_ASSERT(q.op && q.endpoint.url && q.model && q.mode > MODE_NONE && q.mode < MODE_COUNT);
			HALE_ASSERT(!q.body == !q.content_type && !q.body == !q.shown);
		} else {
			HALE_ASSERT(why && *why);
		}
		arena_freep(&a);
	}
}

/* What must hold for every configuration that was accepted. */
static void
fuzz_conf_check(const struct conf *c)
{
	for (uint32_t i = 0; i < c->ndeployment; i++) {
		const struct deployment *d = &c->deployment[i];

		HALE_ASSERT(d->index == i && d->group < c->ngroup && d->provider && d->upstream_model);
		HALE_ASSERT(conf_deployment_find(c, d->id) == d);
		HALE_ASSERT(conf_group_find(c, d->model_name) == &c->group[d->group]);
		HALE_ASSERT(deployment_resolve_mode(d) < MODE_COUNT);
		if (i < FUZZ_PROBES)
			fuzz_conf_probe(c, d);
	}
	HALE_ASSERT(c->general.health_check_interval_s >= 1 && c->general.health_check_staleness_s >= 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *c = NULL;
	struct errlist errs;
	char line[1024];
	int rc;

	if (memmem(data, size, "include", 7))
		return 0;
	errlist_init(&errs);
	rc = conf_load_text("fuzz.yaml", (const char *)data, size, &c, &errs);
	HALE_ASSERT(rc == 0 ? c != NULL && errs.nerror == 0 : rc == HALE_ECONF && c == NULL && errs.nerror > 0);
	for (unsigned i = 0; i < errs.nerror && i < ERRLIST_MAX; i++)
		errlist_format(&errs.error[i], line, sizeof(line));
	if (c)
		fuzz_conf_check(c);
	conf_freep(&c);
	errlist_release(&errs);
	return 0;
}

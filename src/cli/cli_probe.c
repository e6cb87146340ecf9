/* hale probe: the probe of a deployment, now, with what is sent and what comes back. */
#include "hale/hale.h"

#include "cli.h"

#include "hale/conf.h"
#include "hale/err.h"

int
cli_probe(const struct cli_options *o)
{
	struct once_options once = {.dry_run = o->dry_run};
	struct errlist errs;
	struct conf *c;
	uint32_t *list = NULL;
	int code;

	errlist_init(&errs);
	c = cli_load(o, &errs, &code);
	if (c) {
		once.conf = c;
		once.count = cli_select(o, c, &list);
		once.deployment = list;
		code = once.count == 0 ? CLI_EXIT_USAGE : o->once(&once) ? CLI_EXIT_BAD : CLI_EXIT_OK;
	}
	free(list);
	conf_freep(&c);
	errlist_release(&errs);
	return fflush(stdout) == 0 ? code : CLI_EXIT_USAGE;
}

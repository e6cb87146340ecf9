/* Entry point: reads the command line and becomes the supervisor or runs one of the small verbs.
 */
#include "hale/hale.h"

#include <unistd.h>

#include "cli/cli.h"

#include "hale/heritage.h"
#include "hale/log.h"
#include "hale/proc.h"

extern char **environ;

static const char *
main_getenv(const char *name)
{
	return getenv(name);
}

static int
main_daemon(const struct cli_options *o)
{
	const struct master_options m = {
		.config = o->config,
		.host = o->host,
		.port = o->port,
		.num_workers = o->num_workers,
		.debug = o->debug,
		.insecure = o->insecure,
		.worker_main = worker_main,
		.prober_main = prober_main,
	};

	proc_no_core();
	return master_run(&m);
}

int
main(int argc, char **argv)
{
	struct cli_options o;
	char error[512];

	setproctitle_init(argc, argv, environ);
	if (!cli_parse(argc, argv, main_getenv, &o, error, sizeof(error))) {
		fprintf(stderr, "hale: %s\nTry: hale --help\n", error);
		return CLI_EXIT_USAGE;
	}
	log_init("hale", -1, o.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	o.once = prober_once;
	if (o.verb != CLI_RUN)
		return cli_run(&o);
	return main_daemon(&o);
}

/* Entry point: reads the command line and becomes the supervisor or runs one of the small verbs.
 */
#include "hale/hale.h"

#include <unistd.h>

#include "cli/cli.h"

#include "hale/log.h"

extern char **environ;

static const char *
main_getenv(const char *name)
{
	return getenv(name);
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
	if (o.verb != CLI_RUN)
		return cli_run(&o);
	fputs("hale: this build has no daemon yet\n", stderr);
	return CLI_EXIT_USAGE;
}

/* The command line: one table of options, and the verbs that are not the daemon. */
#ifndef HALE_CLI_H
#define HALE_CLI_H

#include "hale/hale.h"
#include "hale/once.h"

struct conf;
struct errlist;
struct strbuf;

enum cli_verb {
	CLI_RUN = 0, CLI_CHECK, CLI_REFERENCE, CLI_HEALTH, CLI_PROBE, CLI_PLAN, CLI_VERSION, CLI_HELP,
};

/* Exit codes of the verbs. */
enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_BAD = 1,   /* check, plan: errors found; --health, probe: something is unhealthy */
	CLI_EXIT_USAGE = 2, /* usage, unreadable file, gateway out of reach */
};

struct cli_options {
	enum cli_verb verb;
	const char *config, *host, *api_key; /* NULL: not given */
	const char *model, *id;              /* probe, plan: which deployments; NULL: all */
	uint16_t port;
	unsigned num_workers;
	bool debug, insecure, strict, dry_run;
	once_f once; /* filled in by main.c */
};

/* Looks up an environment variable; NULL when unset. */
typedef const char *(*cli_getenv_f)(const char *name);

/* argv (with the program's name) and variables into *out; false: *error (static or in buf)
 * says what is wrong. Pure but for getenv_f. */
bool cli_parse(int argc, char *const *argv, cli_getenv_f getenv_f, struct cli_options *out, char *error, size_t size);
/* Runs every verb but CLI_RUN. May block on disk and network. Returns the exit code. */
int cli_run(const struct cli_options *o);
/* The text of --help. */
void cli_help(struct strbuf *out);

/* cli_check.c: validates o->config and prints what it found and what it means. */
int cli_check(const struct cli_options *o);
/* cli_load.c */
/* Loads o->config; what is wrong with it goes to stderr, in the order of the file. NULL:
 * it cannot be used, *code is the exit code. strict: warnings are errors. errs,
 * initialised by the caller, holds the counts. */
struct conf *cli_load(const struct cli_options *o, struct errlist *errs, int *code);
/* Positions of the deployments that --model (a group, else litellm_params.model) and --id name, all
 * without them; allocated, the caller frees. 0 with a message on stderr when there is none. */
uint32_t cli_select(const struct cli_options *o, const struct conf *c, uint32_t **out);
/* cli_probe.c: probes and shows it. */
int cli_probe(const struct cli_options *o);
/* cli_plan.c: what background probes will cost. */
int cli_plan(const struct cli_options *o);
/* cli_reference.c: docs/config.md from the schema. */
void cli_reference(struct strbuf *out);
/* cli_health.c: asks the running gateway. */
int cli_health(const struct cli_options *o);
/* Body of GET /health as a table for people; false: it is not such a body. *unhealthy: how many are. Pure. */
bool cli_health_table(const char *body, struct strbuf *out, unsigned *unhealthy);

#endif

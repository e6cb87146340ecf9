/* Options: one table says names, arguments, variables and help.
 *
 * LiteLLM's spelling is kept, with what people write by mistake accepted too: the configuration as a plain
 * argument, -health with one dash. The command line is stronger than the environment.
 */
#include "hale/hale.h"

#include "cli.h"

#include <errno.h>
#include <stdarg.h>

#include "hale/near.h"
#include "hale/strbuf.h"

#define CLI_NEAR 3 /* how wrong a misspelt option may be */

enum cli_target {
	CLI_OPT_CONFIG, CLI_OPT_HOST, CLI_OPT_PORT, CLI_OPT_WORKERS, CLI_OPT_KEY, CLI_OPT_MODEL, CLI_OPT_ID, /* with a value */
	CLI_OPT_DEBUG, CLI_OPT_INSECURE, CLI_OPT_STRICT, CLI_OPT_CHECK, CLI_OPT_REFERENCE, CLI_OPT_HEALTH, CLI_OPT_DRY_RUN,
	CLI_OPT_VERSION, CLI_OPT_HELP,
};

static const struct cli_option {
	const char *name, *brief, *value, *env;
	enum cli_target target;
	const char *help;
} cli_table[] = {
	{"--config", "-c", "FILE", "CONFIG_FILE_PATH", CLI_OPT_CONFIG, "configuration; may also be given without --config"},
	{"--host", NULL, "HOST", "HOST", CLI_OPT_HOST,
	 "address to listen on (0.0.0.0 with a master key, else 127.0.0.1)"},
	{"--port", NULL, "PORT", "PORT", CLI_OPT_PORT, "port to listen on (4000); 0: any, see the log"},
	{"--num_workers", NULL, "N", "NUM_WORKERS", CLI_OPT_WORKERS, "worker processes (one for each core)"},
	{"--insecure", NULL, NULL, NULL, CLI_OPT_INSECURE, "serve other hosts without a master key"},
	{"--detailed_debug", NULL, NULL, NULL, CLI_OPT_DEBUG, "log decisions and requests"},
	{"--check", "-t", NULL, NULL, CLI_OPT_CHECK, "same as hale check"},
	{"--strict", NULL, NULL, NULL, CLI_OPT_STRICT, "check: warnings are errors"},
	{"--print-reference", NULL, NULL, NULL, CLI_OPT_REFERENCE, "check: print docs/config.md"},
	{"--health", "-health", NULL, NULL, CLI_OPT_HEALTH, "ask the gateway at --host and --port how its models are"},
	{"--api_key", NULL, "KEY", "LITELLM_MASTER_KEY", CLI_OPT_KEY, "key for --health"},
	{"--model", "-m", "NAME", NULL, CLI_OPT_MODEL, "probe, plan: only this model_name (or litellm_params.model)"},
	{"--id", NULL, "ID", NULL, CLI_OPT_ID, "probe, plan: only the deployment with this id"},
	{"--dry-run", NULL, NULL, NULL, CLI_OPT_DRY_RUN, "probe: show the requests, send nothing"},
	{"--version", "-v", NULL, NULL, CLI_OPT_VERSION, "print the version"},
	{"--help", "-h", NULL, NULL, CLI_OPT_HELP, "print this"},
};

struct cli_parser {
	struct cli_options *out;
	char *error;
	size_t size;
};

static bool HALE_PRINTF(2, 3)
cli_fail(const struct cli_parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->error, p->size, fmt, ap);
	va_end(ap);
	return false;
}

static const char *
cli_next_name(void *arg, unsigned i)
{
	(void)arg;
	return i < HALE_COUNT(cli_table) ? cli_table[i].name : NULL;
}

static bool
cli_number(const struct cli_parser *p, const char *name, const char *text, long max, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	if (end == text || *end || errno || *out < 0 || *out > max)
		return cli_fail(p, "%s: \"%s\" is not a number from 0 to %ld", name, text, max);
	return true;
}

static bool
cli_store(const struct cli_parser *p, enum cli_target target, const char *name, const char *value)
{
	struct cli_options *o = p->out;
	long n;

	switch (target) {
	case CLI_OPT_CONFIG: o->config = value; break;
	case CLI_OPT_HOST: o->host = value; break;
	case CLI_OPT_KEY: o->api_key = value; break;
	case CLI_OPT_MODEL: o->model = value; break;
	case CLI_OPT_ID: o->id = value; break;
	case CLI_OPT_PORT:
		if (!cli_number(p, name, value, UINT16_MAX, &n))
			return false;
		o->port = (uint16_t)n;
		break;
	case CLI_OPT_WORKERS:
		if (!cli_number(p, name, value, 1024, &n))
			return false;
		o->num_workers = (unsigned)n;
		break;
	case CLI_OPT_DEBUG: o->debug = true; break;
	case CLI_OPT_INSECURE: o->insecure = true; break;
	case CLI_OPT_STRICT: o->strict = true; break;
	case CLI_OPT_CHECK: o->verb = CLI_CHECK; break;
	case CLI_OPT_REFERENCE: o->verb = CLI_REFERENCE; break;
	case CLI_OPT_HEALTH: o->verb = CLI_HEALTH; break;
	case CLI_OPT_DRY_RUN: o->dry_run = true; break;
	case CLI_OPT_VERSION: o->verb = CLI_VERSION; break;
	case CLI_OPT_HELP: o->verb = CLI_HELP; break;
	}
	return true;
}

/* "--name" or "--name=value" (then *value is set); NULL: no such option. */
static const struct cli_option *
cli_find(const char *arg, const char **value)
{
	const char *equals = strncmp(arg, "--", 2) == 0 ? strchr(arg, '=') : NULL;
	size_t len = equals ? (size_t)(equals - arg) : strlen(arg);

	*value = equals ? equals + 1 : NULL;
	for (unsigned i = 0; i < HALE_COUNT(cli_table); i++) {
		const struct cli_option *t = &cli_table[i];

		if ((strlen(t->name) == len && memcmp(t->name, arg, len) == 0) || (t->brief && strcmp(t->brief, arg) == 0))
			return t;
	}
	return NULL;
}

static bool
cli_option(const struct cli_parser *p, int argc, char *const *argv, int *at)
{
	const char *arg = argv[*at], *value, *near;
	const struct cli_option *t = cli_find(arg, &value);

	if (t == NULL) {
		near = near_find(arg, CLI_NEAR, cli_next_name, NULL);
		return cli_fail(p, near ? "unknown option %s, did you mean %s?" : "unknown option %s", arg, near);
	}
	if (t->value == NULL && value)
		return cli_fail(p, "%s takes no value", t->name);
	if (t->value && value == NULL) {
		if (*at + 1 >= argc)
			return cli_fail(p, "%s needs a value: %s %s", t->name, t->name, t->value);
		value = argv[++*at];
	}
	return cli_store(p, t->target, t->name, value);
}

/* The first plain argument may be a verb, the next one is the configuration. */
static bool
cli_plain(const struct cli_parser *p, const char *arg, unsigned n)
{
	static const struct { const char *word; enum cli_verb verb; } verbs[] = {
		{"check", CLI_CHECK}, {"probe", CLI_PROBE}, {"plan", CLI_PLAN}};

	for (unsigned i = 0; i < HALE_COUNT(verbs) && n == 0; i++)
		if (strcmp(arg, verbs[i].word) == 0) {
			p->out->verb = verbs[i].verb;
			return true;
		}
	if (p->out->config && strcmp(p->out->config, arg) != 0)
		return cli_fail(p, "unexpected argument \"%s\": the configuration is %s", arg, p->out->config);
	p->out->config = arg;
	return true;
}

static bool
cli_environment(const struct cli_parser *p, cli_getenv_f getenv_f)
{
	const char *level = getenv_f("LITELLM_LOG");

	for (unsigned i = 0; i < HALE_COUNT(cli_table); i++) {
		const struct cli_option *t = &cli_table[i];
		const char *value = t->env && t->target != CLI_OPT_CONFIG ? getenv_f(t->env) : NULL;

		if (value && *value && !cli_store(p, t->target, t->env, value))
			return false;
	}
	p->out->debug = level && strcasecmp(level, "DEBUG") == 0;
	return true;
}

/* What belongs to a verb stands with it, and what it needs is there. */
static bool
cli_is_complete(const struct cli_parser *p)
{
	const struct cli_options *o = p->out;
	bool selects = o->verb == CLI_PROBE || o->verb == CLI_PLAN;
	const char *verb = o->verb == CLI_PROBE ? "probe" : o->verb == CLI_PLAN ? "plan" : "check";

	if ((selects || o->verb == CLI_CHECK) && o->config == NULL)
		return cli_fail(p, "%s needs a file: hale %s FILE", verb, verb);
	if ((o->model || o->id) && !selects)
		return cli_fail(p, "--model and --id belong to hale probe and hale plan");
	if (o->model && o->id)
		return cli_fail(p, "--model or --id, not both");
	if (o->dry_run && o->verb != CLI_PROBE)
		return cli_fail(p, "--dry-run belongs to hale probe");
	return true;
}

bool
cli_parse(int argc, char *const *argv, cli_getenv_f getenv_f, struct cli_options *out, char *error, size_t size)
{
	struct cli_parser p = {out, error, size};
	bool options = true;
	unsigned plain = 0;
	const char *config;

	*out = (struct cli_options){.port = 4000};
	if (!cli_environment(&p, getenv_f))
		return false;
	for (int i = 1; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && argv[i][0] == '-' && argv[i][1]) {
			if (!cli_option(&p, argc, argv, &i))
				return false;
		} else if (!cli_plain(&p, argv[i], plain++))
			return false;
	}
	config = getenv_f("CONFIG_FILE_PATH");
	if (out->config == NULL && config && *config)
		out->config = config;
	if (!cli_is_complete(&p))
		return false;
	if (out->config && *out->config == '\0')
		return cli_fail(&p, "--config: the name of the file is empty");
	return true;
}

void
cli_help(struct strbuf *out)
{
	strbuf_puts(out, "hale: an LLM gateway that probes its upstreams and routes around the sick ones\n\n"
	                 "usage: hale [--config FILE] [options]     serve\n"
	                 "       hale check FILE [--strict]         validate a configuration\n"
	                 "       hale probe FILE [--model NAME|--id ID] [--dry-run]\n"
	                 "                                         probe now and show request and answer\n"
	                 "       hale plan FILE [--model NAME|--id ID]\n"
	                 "                                         what background probes will cost\n"
	                 "       hale --health [--host H] [--port P] show the health of a running gateway\n\noptions:\n");
	for (unsigned i = 0; i < HALE_COUNT(cli_table); i++) {
		const struct cli_option *t = &cli_table[i];
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s%s%s", t->brief ? t->brief : "", t->brief ? ", " : "", t->name,
		         t->value ? " " : "", t->value ? t->value : "");
		strbuf_printf(out, "  %-24s %s", left, t->help);
		if (t->env)
			strbuf_printf(out, " [%s]", t->env);
		strbuf_putc(out, '\n');
	}
}

int
cli_run(const struct cli_options *o)
{
	struct strbuf text;

	if (o->verb == CLI_CHECK)
		return cli_check(o);
	if (o->verb == CLI_HEALTH)
		return cli_health(o);
	if (o->verb == CLI_PROBE)
		return cli_probe(o);
	if (o->verb == CLI_PLAN)
		return cli_plan(o);
	strbuf_init(&text, 0);
	if (o->verb == CLI_REFERENCE)
		cli_reference(&text);
	else if (o->verb == CLI_HELP)
		cli_help(&text);
	else
		strbuf_puts(&text, HALE_PRODUCT "\n");
	fputs(strbuf_str(&text), stdout);
	strbuf_release(&text);
	return fflush(stdout) == 0 ? CLI_EXIT_OK : CLI_EXIT_BAD;
}

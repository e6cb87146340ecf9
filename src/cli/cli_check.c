/* hale check: the same loader as the daemon's, and what it understood, without starting anything. */
#include "hale/hale.h"

#include "cli.h"

#include <sys/stat.h>
#include <unistd.h>

#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/provider.h"

#define CLI_CHECK_GROUPS 50 /* shown; more are only counted */

static int
cli_check_order(const void *a, const void *b)
{
	const struct err_entry *x = a, *y = b;
	int c = strcmp(x->file ? x->file : "", y->file ? y->file : "");

	if (c == 0)
		c = (x->line > y->line) - (x->line < y->line);
	return c ? c : (x->column > y->column) - (x->column < y->column);
}

/* In the order of the file: the loader works section by section. */
static void
cli_check_list(struct err_entry *list, unsigned seen, const char *kind, const char *plural)
{
	unsigned n = seen < ERRLIST_MAX ? seen : ERRLIST_MAX;
	char text[1024];

	qsort(list, n, sizeof(*list), cli_check_order);
	for (unsigned i = 0; i < n; i++) {
		errlist_format(&list[i], text, sizeof(text));
		fprintf(stderr, "%s%s\n", text, kind);
	}
	if (seen > n)
		fprintf(stderr, "... and %u more %s\n", seen - n, plural);
}

/* "chat 3, embedding 1" of a group. */
static void
cli_check_modes(const struct conf *c, const struct conf_group *g, char *buf, size_t size)
{
	unsigned count[MODE_COUNT] = {0};
	size_t at = 0;

	for (uint32_t i = 0; i < g->nmember; i++)
		count[deployment_resolve_mode(&c->deployment[g->member[i]])]++;
	buf[0] = '\0';
	for (int m = 0; m < MODE_COUNT && at < size; m++)
		if (count[m])
			at += (size_t)snprintf(buf + at, size - at, "%s%s %u", at ? ", " : "",
			                       m == MODE_NONE ? "unsupported mode" : mode_name((enum mode)m), count[m]);
}

static void
cli_check_summary(const struct conf *c)
{
	char modes[256];

	printf("%u deployment%s in %u group%s\n", c->ndeployment, c->ndeployment == 1 ? "" : "s", c->ngroup,
	       c->ngroup == 1 ? "" : "s");
	for (uint32_t i = 0; i < c->ngroup && i < CLI_CHECK_GROUPS; i++) {
		const struct conf_group *g = &c->group[i];
		const struct deployment *first = &c->deployment[g->member[0]];

		cli_check_modes(c, g, modes, sizeof(modes));
		printf("  %-32s %s: %s%s\n", g->name, modes, first->model, g->nmember > 1 ? ", ..." : "");
	}
	if (c->ngroup > CLI_CHECK_GROUPS)
		printf("  ... and %u more\n", c->ngroup - CLI_CHECK_GROUPS);
	printf("background health checks %s, interval %u s; health routing %s; master key %s\n",
	       c->general.background_health_checks ? "on" : "off", c->general.health_check_interval_s,
	       c->general.enable_health_check_routing ? "on" : "off", c->general.master_key ? "set" : "not set");
}

int
cli_check(const struct cli_options *o)
{
	struct stat st;
	bool unreadable = access(o->config, R_OK) == -1 || (stat(o->config, &st) == 0 && S_ISDIR(st.st_mode));
	struct conf *c = NULL;
	struct errlist errs;
	int rc, code;

	errlist_init(&errs);
	rc = conf_load(o->config, &c, &errs);
	cli_check_list(errs.error, errs.nerror, "", "errors");
	cli_check_list(errs.warning, errs.nwarning, o->strict ? "" : " (warning)", "warnings");
	code = rc == 0 && !(o->strict && errs.nwarning) ? CLI_EXIT_OK : CLI_EXIT_BAD;
	if (code == CLI_EXIT_BAD && unreadable)
		code = CLI_EXIT_USAGE;
	if (rc != 0 && errs.nerror == 0)
		fprintf(stderr, "%s: %s\n", o->config, err_text(rc));
	if (code == CLI_EXIT_OK)
		cli_check_summary(c);
	printf("%s: %s, %u error%s, %u warning%s\n", o->config, code == CLI_EXIT_OK ? "valid" : "not valid", errs.nerror,
	       errs.nerror == 1 ? "" : "s", errs.nwarning, errs.nwarning == 1 ? "" : "s");
	conf_freep(&c);
	errlist_release(&errs);
	return code;
}

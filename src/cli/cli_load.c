/* What the verbs that read a configuration share: loading it with its messages, and picking deployments. */
#include "hale/hale.h"

#include "cli.h"

#include <sys/stat.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"

static int
cli_load_order(const void *a, const void *b)
{
	const struct err_entry *x = a, *y = b;
	int c = strcmp(x->file ? x->file : "", y->file ? y->file : "");

	if (c == 0)
		c = (x->line > y->line) - (x->line < y->line);
	return c ? c : (x->column > y->column) - (x->column < y->column);
}

/* In the order of the file: the loader works section by section. */
static void
cli_load_list(struct err_entry *list, unsigned seen, const char *kind, const char *plural)
{
	unsigned n = seen < ERRLIST_MAX ? seen : ERRLIST_MAX;
	char text[1024];

	qsort(list, n, sizeof(*list), cli_load_order);
	for (unsigned i = 0; i < n; i++) {
		errlist_format(&list[i], text, sizeof(text));
		fprintf(stderr, "%s%s\n", text, kind);
	}
	if (seen > n)
		fprintf(stderr, "... and %u more %s\n", seen - n, plural);
}

struct conf *
cli_load(const struct cli_options *o, struct errlist *errs, int *code)
{
	struct stat st;
	bool unreadable = access(o->config, R_OK) == -1 || (stat(o->config, &st) == 0 && S_ISDIR(st.st_mode));
	struct conf *c = NULL;
	int rc = conf_load(o->config, &c, errs);

	cli_load_list(errs->error, errs->nerror, "", "errors");
	cli_load_list(errs->warning, errs->nwarning, o->strict ? "" : " (warning)", "warnings");
	if (rc != 0 && errs->nerror == 0)
		fprintf(stderr, "%s: %s\n", o->config, err_text(rc));
	if (rc == 0 && !(o->strict && errs->nwarning)) {
		*code = CLI_EXIT_OK;
		return c;
	}
	*code = unreadable ? CLI_EXIT_USAGE : CLI_EXIT_BAD;
	conf_freep(&c);
	return NULL;
}

uint32_t
cli_select(const struct cli_options *o, const struct conf *c, uint32_t **out)
{
	const char *alias = o->model ? conf_alias_find(c, o->model) : NULL, *model = alias ? alias : o->model;
	const struct conf_group *g = model ? conf_group_find(c, model) : NULL;
	uint32_t n = 0;

	*out = xcalloc(c->ndeployment + 1, sizeof(**out));
	for (uint32_t i = 0; i < c->ndeployment; i++) {
		const struct deployment *d = &c->deployment[i];

		if (o->id ? strcmp(d->id, o->id) == 0
		    : g   ? &c->group[d->group] == g
		          : !model || strcmp(d->model, model) == 0)
			(*out)[n++] = i;
	}
	if (n == 0 && (o->model || o->id))
		fprintf(stderr, "%s: no deployment has the %s \"%s\"\n", o->config, o->id ? "id" : "model",
		        o->id ? o->id : o->model);
	else if (n == 0)
		fprintf(stderr, "%s: model_list is empty\n", o->config);
	return n;
}

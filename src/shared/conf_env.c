/* os.environ/NAME references.
 *
 * Only whole values are references. The words true and false become booleans, anything else stays text, an
 * unset variable is null: for a key that means the provider's own variable is tried next. The file's
 * environment_variables come before the process environment, which is never changed.
 */
#include "hale/hale.h"

#include "conf_impl.h"

#include "hale/arena.h"

#define CONF_ENV_PREFIX "os.environ/"

const char *
conf_env_get(const struct conf_node *variables, const char *name)
{
	const struct conf_node *n = conf_get(variables, name);

	if (n == NULL || n->kind == CONF_NULL || n->kind == CONF_LIST || n->kind == CONF_MAP)
		return getenv(name);
	if (n->kind == CONF_STRING)
		return n->v.string;
	if (n->kind == CONF_BOOL)
		return n->v.boolean ? "True" : "False"; /* as os.environ holds it in LiteLLM */
	return n->text;
}

/* value is `word` in any case, blanks around it aside. */
static bool
conf_env_is(const char *value, const char *word)
{
	size_t len = strlen(word);

	value += strspn(value, " \t\r\n");
	return strncasecmp(value, word, len) == 0 && value[len + strspn(value + len, " \t\r\n")] == '\0';
}

static void
conf_env_replace(struct conf_build *b, struct conf_node *n, const struct conf_node *variables)
{
	const char *value = conf_env_get(variables, n->v.string + strlen(CONF_ENV_PREFIX));

	n->from_env = true;
	if (value == NULL) {
		n->kind = CONF_NULL;
	} else if (conf_env_is(value, "true") || conf_env_is(value, "false")) {
		n->kind = CONF_BOOL;
		n->v.boolean = conf_env_is(value, "true");
	} else {
		n->v.string = arena_strdup(b->arena, value);
	}
}

void
conf_env_resolve(struct conf_build *b, struct conf_node *n, const struct conf_node *variables)
{
	if (n->kind == CONF_STRING && !n->from_env && strncmp(n->v.string, CONF_ENV_PREFIX, strlen(CONF_ENV_PREFIX)) == 0)
		conf_env_replace(b, n, variables);
	if (n->kind != CONF_LIST && n->kind != CONF_MAP)
		return;
	for (struct conf_node *c = n->child; c; c = c->next)
		conf_env_resolve(b, c, variables);
}

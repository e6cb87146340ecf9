/* Life of a configuration: built as a whole, read by everybody, freed as a whole.
 *
 * All of it is in one arena that the struct itself lives in. Nothing here changes after conf_load(): a reload
 * builds the next one beside it.
 */
#include "hale/hale.h"

#include "conf_impl.h"

#include "hale/arena.h"
#include "hale/deployment.h"
#include "hale/log.h"
#include "hale/redact.h"
#include "hale/strbuf.h"

/* What runs when no file is named: no models, everything at its default. */
static const char conf_builtin[] =
	"model_list: []\n"
	"general_settings:\n"
	"  background_health_checks: true\n"
	"  enable_health_check_routing: true\n";

const struct conf_node *
conf_get(const struct conf_node *n, const char *key)
{
	if (n == NULL || n->kind != CONF_MAP)
		return NULL;
	for (const struct conf_node *c = n->child; c; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

const char *
conf_get_string(const struct conf_node *n, const char *key)
{
	const struct conf_node *c = conf_get(n, key);

	return c && c->kind == CONF_STRING ? c->v.string : NULL;
}

const char *
conf_env(const struct conf *c, const char *name)
{
	return conf_env_get(c->index->variables, name);
}

bool
conf_is_background_group(const struct conf *c, const char *name)
{
	const char *const *g = c->general.background_groups;

	if (!g)
		return true;
	for (; *g; g++)
		if (strcmp(*g, name) == 0)
			return true;
	return false;
}

bool
conf_is_background(const struct conf *c, const struct deployment *d)
{
	return c->general.background_health_checks && !d->probe.disabled && conf_is_background_group(c, d->model_name);
}

const struct conf_group *
conf_group_find(const struct conf *c, const char *name)
{
	const uint32_t *at = strmap_get(&c->index->groups, name);

	return at ? &c->group[*at] : NULL;
}

const char *
conf_alias_find(const struct conf *c, const char *name)
{
	const uint32_t *at = strmap_get(&c->index->aliases, name);

	return at ? c->index->alias[*at] : NULL;
}

const struct deployment *
conf_deployment_find(const struct conf *c, const char *id)
{
	const uint32_t *at = strmap_get(&c->index->ids, id);

	return at ? &c->deployment[*at] : NULL;
}

static void
conf_build_init(struct conf_build *b, struct errlist *errs)
{
	*b = (struct conf_build){.arena = arena_new(1u << 16), .errs = errs};
	strmap_init(&b->options, b->arena, conf_schema_count);
	for (unsigned i = 0; i < conf_schema_count; i++) {
		const char *name = arena_printf(b->arena, "%c%s", 'a' + conf_schema[i].section, conf_schema[i].key);

		*strmap_put(&b->options, name, i) = i;
	}
}

/* environment_variables: resolved before everything else, so that everything else can refer to them. */
static const struct conf_node *
conf_variables(struct conf_build *b, struct conf_node *root)
{
	for (struct conf_node *n = root->kind == CONF_MAP ? root->child : NULL; n; n = n->next) {
		if (strcmp(n->key, "environment_variables") != 0)
			continue;
		conf_env_resolve(b, n, NULL);
		for (const struct conf_node *v = n->kind == CONF_MAP ? n->child : NULL; v; v = v->next)
			if (v->kind == CONF_LIST || v->kind == CONF_MAP)
				conf_check_error(b, v, "%s where text is expected", conf_check_kind(v));
		return n;
	}
	return NULL;
}

static bool
conf_is_set(const struct conf_node *section, const char *key)
{
	const struct conf_node *n = conf_get(section, key);

	return n && n->kind != CONF_NULL;
}

static bool
conf_is_true(const struct conf_node *section, const char *key)
{
	const struct conf_node *n = conf_get(section, key);
	bool x = false;

	if (n && n->kind == CONF_STRING)
		return conf_scalar_bool(n->v.string, &x) && x;
	return n && n->kind == CONF_BOOL && n->v.boolean;
}

/* Values that follow from others. */
static void
conf_derive(struct conf_build *b, struct conf *c)
{
	const struct conf_node *litellm = conf_get(c->root, "litellm_settings");
	const char *fails = conf_env(c, "DEFAULT_ALLOWED_FAILS");

	if (c->general.health_check_staleness_s == 0)
		c->general.health_check_staleness_s = c->general.health_check_interval_s * 2;
	if (c->general.health_check_skip_if_traffic_s == UINT32_MAX) /* true */
		c->general.health_check_skip_if_traffic_s = c->general.health_check_interval_s;
	c->router.allowed_fails_set = conf_is_set(conf_get(c->root, "router_settings"), "allowed_fails") ||
	                              conf_is_set(litellm, "allowed_fails") || (fails && *fails);
	if (!conf_is_true(litellm, "cache"))
		c->cache_type = NULL;
	else if (c->cache_type == NULL)
		c->cache_type = "redis";
	if (c->success_callbacks == NULL)
		c->success_callbacks = arena_alloc(b->arena, sizeof(*c->success_callbacks));
	if (c->general.master_key && *c->general.master_key == '\0')
		c->general.master_key = NULL;
}

/* Groups that background_health_check_model_groups names and model_list does not. */
static void
conf_check_group_names(struct conf_build *b, const struct conf *c)
{
	static const char key[] = "background_health_check_model_groups";
	const struct conf_node *n = conf_get(conf_get(c->root, "router_settings"), key);

	if (n == NULL || n->kind == CONF_NULL)
		n = conf_get(conf_get(c->root, "general_settings"), key);
	if (c->general.background_groups == NULL || n == NULL)
		return;
	if (c->general.background_groups[0] == NULL)
		conf_check_warn(b, n, "the list is empty: no deployment is probed in the background");
	for (const char *const *name = c->general.background_groups; *name; name++)
		if (conf_group_find(c, *name) == NULL)
			conf_check_warn(b, n, "there is no model group \"%.60s\" in model_list", *name);
}

static bool
conf_has_wildcard(const struct conf *c)
{
	for (uint32_t i = 0; i < c->ngroup; i++)
		if (c->group[i].wildcard)
			return true;
	return false;
}

/* Makes the further names of groups known. What an alias stands for is text, or a map with it. */
static void
conf_aliases(struct conf_build *b, const struct conf *c, struct conf_index *index)
{
	const struct conf_node *map = c->router.model_group_alias, *n;
	uint32_t count = 0;

	for (n = map ? map->child : NULL; n; n = n->next)
		count++;
	strmap_init(&index->aliases, b->arena, count);
	index->alias = arena_alloc(b->arena, (count + 1) * sizeof(*index->alias));
	count = 0;
	for (n = map ? map->child : NULL; n; n = n->next) {
		const char *target = n->kind == CONF_STRING ? n->v.string : conf_get_string(n, "model");

		if (n->kind == CONF_NULL)
			continue;
		if (target == NULL || *target == '\0') {
			conf_check_error(b, n, "must be the name of a group, or a map with it as model");
			continue;
		}
		if (!conf_group_find(c, target) && !conf_deployment_find(c, target) && !conf_has_wildcard(c))
			conf_check_warn(b, n, "there is no model group \"%.60s\" in model_list", target);
		index->alias[count] = target;
		*strmap_put(&index->aliases, n->key, 0) = count++;
	}
}

/* From the tree to *out, which the arena owns. */
static int
conf_build(struct conf_build *b, struct conf_node *root, const char *path, struct conf **out)
{
	struct conf *c = arena_alloc(b->arena, sizeof(*c));
	struct conf_index *index = arena_alloc(b->arena, sizeof(*index));

	*c = (struct conf){.arena = b->arena, .path = arena_strdup(b->arena, path), .root = root, .index = index};
	index->variables = conf_variables(b, root);
	conf_env_resolve(b, root, index->variables);
	c->health_env.max_tokens = c->health_env.max_tokens_reasoning = -1;
	for (int s = CONF_SEC_ENV; s <= CONF_SEC_HALE; s++)
		conf_check_defaults(b, (enum conf_section)s, c);
	conf_check_env(b, index->variables, c);
	conf_check_map(b, CONF_SEC_TOP, root, c);
	for (int s = CONF_SEC_LITELLM; s <= CONF_SEC_HALE; s++)
		conf_check_map(b, (enum conf_section)s, conf_get(root, conf_schema_section((enum conf_section)s)), c);
	conf_check_map(b, CONF_SEC_CACHE, conf_get(conf_get(root, "litellm_settings"), "cache_params"), c);
	conf_derive(b, c);
	conf_model_load(b, c, index);
	conf_check_group_names(b, c);
	conf_aliases(b, c, index);
	conf_check_finish(b);
	if (b->errs->nerror)
		return HALE_ECONF;
	c->secrets = redact_set_build(b->arena, c);
	*out = c;
	return 0;
}

int
conf_load_text(const char *name, const char *text, size_t len, struct conf **out, struct errlist *errs)
{
	struct conf_node *root = NULL;
	struct conf_build b;
	int rc;

	conf_build_init(&b, errs);
	name = arena_strdup(b.arena, name);
	rc = conf_yaml_parse(&b, name, text, len, &root);
	if (rc == 0) {
		conf_file_include(&b, root, name);
		rc = conf_build(&b, root, NULL, out);
	}
	if (rc)
		arena_freep(&b.arena);
	return rc;
}

int
conf_load(const char *path, struct conf **out, struct errlist *errs)
{
	struct conf_node *root = NULL;
	struct conf_build b;
	int rc;

	if (path == NULL)
		return conf_load_text("(built-in)", conf_builtin, sizeof(conf_builtin) - 1, out, errs);
	conf_build_init(&b, errs);
	rc = conf_file_load(&b, path, &root);
	if (rc == 0)
		rc = conf_build(&b, root, path, out);
	if (rc)
		arena_freep(&b.arena);
	return rc;
}

void
conf_freep(struct conf **c)
{
	if (*c) {
		struct arena *a = (*c)->arena;

		*c = NULL;
		arena_freep(&a);
	}
}

void
conf_log_summary(const struct conf *c)
{
	const struct conf_general *g = &c->general;
	struct strbuf groups, concurrency;

	strbuf_init(&groups, 2000);
	strbuf_init(&concurrency, 0);
	for (const char *const *name = g->background_groups; name && *name; name++)
		strbuf_printf(&groups, "%s'%s'", groups.len ? ", " : "", *name);
	if (g->health_check_concurrency)
		strbuf_printf(&concurrency, "%u", g->health_check_concurrency);
	log_info("config loaded deployments=%u groups=%u file=%s", c->ndeployment, c->ngroup,
	         c->path ? c->path : "(built-in)");
	log_info("background_health_check_config enabled=%s shared=False interval_seconds=%u max_concurrency=%s details=%s "
	         "health_check_routing=%s model_groups=%s%s%s",
	         g->background_health_checks ? "True" : "False", g->health_check_interval_s,
	         concurrency.len ? strbuf_str(&concurrency) : "None", g->health_check_details ? "True" : "False",
	         g->enable_health_check_routing ? "True" : "False", g->background_groups ? "[" : "None", strbuf_str(&groups),
	         g->background_groups ? "]" : "");
	strbuf_release(&concurrency);
	strbuf_release(&groups);
}

/* model_list into deployments and groups.
 *
 * An entry that cannot be used (unknown provider, another environment) is left out with a warning and
 * never stops the daemon, as in LiteLLM; an entry that is written wrongly is an error like any other.
 * Everything that a request or a probe needs is resolved here once: provider, address, key, id. What is
 * not interpreted stays in the entry's nodes.
 */
#include "hale/hale.h"

#include "conf_impl.h"

#include <strings.h>

#include "hale/arena.h"
#include "hale/deployment.h"
#include "hale/probe.h"
#include "hale/provider.h"

struct conf_model {
	struct conf_build *build;
	struct conf *conf;
	struct conf_index *index;
	struct strmap suffix;       /* id to the last index appended to it */
	struct deployment template; /* what an entry that sets nothing has */
	struct deployment *list;
	uint32_t count;
};

static const char *
conf_model_nonempty(const char *s)
{
	return s && *s ? s : NULL;
}

/* First of up to n variables that is set and not empty. */
static const char *
conf_model_variable(const struct conf_model *m, const char *const *name, unsigned n)
{
	for (unsigned i = 0; i < n && name[i]; i++) {
		const char *value = conf_model_nonempty(conf_env_get(m->index->variables, name[i]));

		if (value)
			return value;
	}
	return NULL;
}

/* A copy of the map with member `key` set to value; the map's other nodes are shared or copied. */
static const struct conf_node *
conf_model_with(const struct conf_model *m, const struct conf_node *map, const char *key,
                const struct conf_node *value)
{
	struct conf_node *copy = arena_alloc(m->build->arena, sizeof(*copy)), **end = &copy->child;
	bool found = false;

	*copy = *map;
	copy->child = NULL;
	for (const struct conf_node *n = map->child; n || !found; n = n ? n->next : NULL) {
		bool same = n && strcmp(n->key, key) == 0;

		*end = arena_alloc(m->build->arena, sizeof(**end));
		**end = n && !same ? *n : *value;
		(*end)->key = n ? n->key : key;
		(*end)->next = NULL;
		end = &(*end)->next;
		found = found || same || n == NULL;
		if (n == NULL)
			break;
	}
	return copy;
}

/* rpm and tpm beside litellm_params belong into it when it does not set them. */
static void
conf_model_copy_rates(const struct conf_model *m, const struct conf_node *entry, struct deployment *d)
{
	static const char *const names[] = {"rpm", "tpm"};

	for (unsigned i = 0; i < HALE_COUNT(names); i++) {
		const struct conf_node *top = conf_get(entry, names[i]), *own = conf_get(d->params, names[i]);

		if (top && top->kind != CONF_NULL && (own == NULL || own->kind == CONF_NULL))
			d->params = conf_model_with(m, d->params, names[i], top);
	}
}

/* false: the entry is for another environment. */
static bool
conf_model_environment(const struct conf_model *m, const struct deployment *d)
{
	const struct conf_node *list = conf_get(d->info, "supported_environments");
	const char *here = conf_env_get(m->index->variables, "LITELLM_ENVIRONMENT");

	if (list == NULL || list->kind == CONF_NULL)
		return true;
	if (here == NULL) {
		conf_check_warn(m->build, list, "LITELLM_ENVIRONMENT is not set, so the entry is left out");
		return false;
	}
	if (list->kind == CONF_STRING)
		return strcmp(list->v.string, here) == 0;
	for (const struct conf_node *n = list->child; n; n = n->next)
		if (n->kind == CONF_STRING && strcmp(n->v.string, here) == 0)
			return true;
	return false;
}

static const char *
conf_model_trim_slashes(const struct conf_model *m, const char *base)
{
	size_t len = strlen(base);

	if (len == 0 || base[len - 1] != '/')
		return base;
	while (len && base[len - 1] == '/')
		len--;
	return arena_strndup(m->build->arena, base, len);
}

/* Address, key and version at provider d->provider: those of the file,
 * else that provider's variables and defaults. */
static void
conf_model_access(const struct conf_model *m, struct deployment *d)
{
	const struct provider *p = d->provider;
	const char *base = conf_model_nonempty(d->api_base);

	if (base == NULL)
		base = conf_model_nonempty(conf_get_string(d->params, "base_url"));
	if (base == NULL && p->aws)
		base = conf_model_nonempty(conf_get_string(d->params, "aws_bedrock_runtime_endpoint"));
	d->api_base_set = base != NULL;
	if (base == NULL)
		base = conf_model_variable(m, p->base_env, HALE_COUNT(p->base_env));
	if (base == NULL)
		base = p->default_base;
	if (base == NULL)
		conf_check_warn(m->build, conf_get(d->params, "model"), "provider %s has no address of its own, set api_base",
		                p->name);
	d->api_base = base ? conf_model_trim_slashes(m, base) : NULL;
	d->api_key = conf_model_nonempty(d->api_key);
	if (d->api_key == NULL)
		d->api_key = conf_model_variable(m, p->key_env, HALE_COUNT(p->key_env));
	d->api_version = conf_model_nonempty(d->api_version);
	if (d->api_version == NULL && p->version_env)
		d->api_version = conf_model_variable(m, &p->version_env, 1);
	if (d->api_version == NULL)
		d->api_version = p->default_version;
	if (p->aws)
		conf_aws_resolve(m->build, m->index->variables, d);
}

/* A health_check_model of another provider is asked as that provider is: what was resolved for ours must
 * not go there. An api_version is ours alone. */
static void
conf_model_probed_as(const struct conf_model *m, struct deployment *d)
{
	const struct provider *p = probe_cell_provider(d);
	struct deployment *as;

	if (p == d->provider)
		return;
	as = arena_alloc(m->build->arena, sizeof(*as));
	*as = *d;
	as->provider = p;
	as->upstream_model = strchr(d->probe.model, '/') + 1;
	as->api_version = NULL;
	conf_model_access(m, as);
	d->probe.as = as;
}

/* Provider, address, key and version; false: unknown provider or no model, entry left out. */
static bool
conf_model_provider(const struct conf_model *m, struct deployment *d)
{
	const char *custom = conf_model_nonempty(conf_get_string(d->params, "custom_llm_provider"));
	const struct provider *p = provider_of_model(d->model, custom, &d->upstream_model);
	char shown[64];

	if (p == NULL) {
		const struct conf_node *at = conf_get(d->params, custom ? "custom_llm_provider" : "model");

		conf_check_warn(m->build, at,
		                "no provider is known for %s, so the entry is left out; known are %s",
		                conf_check_show(at, shown, sizeof(shown)), provider_list());
		return false;
	}
	if (*d->upstream_model == '\0') {
		conf_check_error(m->build, conf_get(d->params, "model"),
		                 "%s names no model, use provider/model",
		                 conf_check_show(conf_get(d->params, "model"), shown, sizeof(shown)));
		return false;
	}
	d->provider = p;
	conf_model_probed_as(m, d);
	conf_model_access(m, d);
	return true;
}

static bool
conf_model_is_proxy(const char *url)
{
	static const char *const schemes[] = {"http://", "socks5://", "socks5h://"};

	for (unsigned i = 0; i < HALE_COUNT(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (strncasecmp(url, schemes[i], n) == 0)
			return url[n] != '\0' && url[strcspn(url, " \t\r\n")] == '\0';
	}
	return false;
}

/* The deployment's own proxy, else everybody's; "none" means none. The
 * address is not shown: it may hold a password. */
static void
conf_model_proxy(const struct conf_model *m, struct deployment *d)
{
	static const char *const allowed = "use http://host:port, socks5://host:port, socks5h://host:port or none";
	const struct conf_node *at = conf_get(d->info, "proxy");

	if (!conf_model_nonempty(d->proxy)) {
		d->proxy = conf_model_nonempty(m->conf->limits.upstream_proxy);
		at = conf_get(conf_get(m->conf->root, "hale_settings"), "upstream_proxy");
	}
	if (d->proxy && strcasecmp(d->proxy, "none") == 0)
		d->proxy = NULL;
	if (d->proxy && !conf_model_is_proxy(d->proxy))
		conf_check_error(m->build, at, "this is no proxy, %s", allowed);
}

/* Without TLS nothing can be offered, and libcurl 7.88 fails on the
 * second request of a connection that began so. */
static void
conf_model_http2(const struct conf_model *m, struct deployment *d)
{
	if (!d->http2 || !d->api_base || strncasecmp(d->api_base, "https://", 8) == 0)
		return;
	d->http2 = false;
	conf_check_warn(m->build, conf_get(d->info, "http2"),
	                "HTTP/2 needs an https:// address, so HTTP/1.1 is spoken");
}

/* Gives d its id: the configured one or the formula's; an id that is taken gets "-1", "-2" ... appended. */
static void
conf_model_id(struct conf_model *m, struct deployment *d, const char *formula)
{
	bool configured = conf_model_nonempty(d->id) != NULL;
	const char *base = configured ? d->id : arena_strdup(m->build->arena, formula);
	const struct conf_node *at = conf_get(d->info, "id");

	d->id = base;
	while (strmap_get(&m->index->ids, d->id))
		d->id = arena_printf(m->build->arena, "%s-%u", base, ++*strmap_put(&m->suffix, base, 0));
	if (configured && d->id != base)
		conf_check_warn(m->build, at, "an entry above has this id, so this one gets \"%.80s\"", d->id);
	*strmap_put(&m->index->ids, d->id, 0) = m->count;
	d->id_hash = deployment_id_hash(d->id);
}

static void
conf_model_add(struct conf_model *m, struct deployment d, const char *formula)
{
	d.index = m->count;
	conf_model_id(m, &d, formula);
	m->list[m->count++] = d;
}

/* The entry as one deployment, or as one for each organization. */
static void
conf_model_expand(struct conf_model *m, const struct conf_node *entry, struct deployment *d)
{
	const struct conf_node *org = conf_get(d->params, "organization"), *params;
	char formula[65] = "";

	if (conf_model_nonempty(d->id) == NULL)
		deployment_id(d->model_name, d->params, formula);
	conf_model_copy_rates(m, entry, d);
	params = d->params;
	if (org == NULL || org->kind != CONF_LIST || org->child == NULL) {
		if (org && (org->kind == CONF_STRING || org->kind == CONF_INT))
			d->organization = org->kind == CONF_STRING ? org->v.string : org->text;
		conf_model_add(m, *d, formula);
		return;
	}
	for (const struct conf_node *n = org->child; n; n = n->next) {
		d->organization = n->kind == CONF_STRING ? n->v.string : NULL;
		d->params = conf_model_with(m, params, "organization", n);
		conf_model_add(m, *d, formula);
	}
}

/* Members that an entry cannot do without. */
static bool
conf_model_complete(const struct conf_model *m, const struct conf_node *entry, const struct deployment *d)
{
	if (conf_model_nonempty(d->model_name) == NULL)
		conf_check_error(m->build, entry, "an entry of model_list needs a model_name");
	if (d->params == NULL)
		conf_check_error(m->build, entry, "an entry of model_list needs litellm_params");
	else if (conf_model_nonempty(d->model) == NULL)
		conf_check_error(m->build, d->params, "model is missing, use provider/model");
	return conf_model_nonempty(d->model_name) && d->params && conf_model_nonempty(d->model);
}

/* A deployment that cannot be probed is worth a word: its state will stay unknown. */
static void
conf_model_mode(const struct conf_model *m, const struct deployment *d)
{
	const struct conf_node *at = conf_get(d->info, "mode");
	enum mode mode, wanted;

	if (deployment_mode_source(d, &wanted) != MODE_CONFIGURED || at == NULL)
		at = conf_get(d->params, "model");
	if (probe_cell(d, &mode) == NULL && wanted != MODE_NONE)
		conf_check_warn(m->build, at,
		                "no probe for mode %s of provider %s: the state will stay unknown",
		                mode_name(wanted), probe_cell_provider(d)->name);
	if (wanted == MODE_REALTIME && d->proxy)
		conf_check_warn(m->build, at, "realtime sessions do not go through a proxy, and this deployment has one: they are "
		                              "refused, and it is not probed");
}

static void
conf_model_entry(struct conf_model *m, const struct conf_node *entry)
{
	unsigned errors = m->build->errs->nerror;
	struct deployment d = m->template;
	const struct conf_node *ssl;

	if (entry->kind != CONF_MAP) {
		conf_check_error(m->build, entry, "%s where an entry of model_list (a map) is expected", conf_check_kind(entry));
		return;
	}
	conf_check_map(m->build, CONF_SEC_ENTRY, entry, &d);
	conf_check_map(m->build, CONF_SEC_PARAMS, d.params, &d);
	conf_check_map(m->build, CONF_SEC_INFO, d.info, &d);
	if (m->build->errs->nerror != errors || !conf_model_complete(m, entry, &d))
		return;
	if (!conf_model_environment(m, &d) || !conf_model_provider(m, &d))
		return;
	d.wildcard = strchr(d.model, '*') != NULL;
	ssl = conf_get(d.params, "ssl_verify");
	d.insecure_tls = ssl && ssl->kind == CONF_BOOL && !ssl->v.boolean;
	conf_model_proxy(m, &d);
	conf_model_http2(m, &d);
	d.probe.mode_text = conf_get_string(d.info, "mode");
	if (d.probe.timeout_ms == 0)
		d.probe.timeout_ms = m->conf->health_env.timeout_ms;
	conf_model_mode(m, &d);
	conf_model_expand(m, entry, &d);
}

static void
conf_model_groups(struct conf_model *m)
{
	struct conf_group *group = arena_alloc(m->build->arena, m->count * sizeof(*group));
	uint32_t *member = arena_alloc(m->build->arena, m->count * sizeof(*member));
	uint32_t *next = arena_alloc(m->build->arena, m->count * sizeof(*next)), n = 0, start = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		const char *name = m->list[i].model_name;
		uint32_t *at = strmap_put(&m->index->groups, name, n);

		if (*at == n)
			group[n++] = (struct conf_group){.name = name, .wildcard = strchr(name, '*') != NULL};
		m->list[i].group = *at;
		group[*at].nmember++;
	}
	for (uint32_t g = 0; g < n; g++) {
		group[g].member = member + start;
		next[g] = start;
		start += group[g].nmember;
	}
	for (uint32_t i = 0; i < m->count; i++)
		member[next[m->list[i].group]++] = i;
	m->conf->group = group;
	m->conf->ngroup = n;
}

/* How many deployments the list can make. */
static uint64_t
conf_model_bound(const struct conf_node *list)
{
	uint64_t n = 0;

	for (const struct conf_node *e = list->child; e; e = e->next) {
		const struct conf_node *org = conf_get(conf_get(e, "litellm_params"), "organization");

		n++;
		if (org && org->kind == CONF_LIST && org->child)
			for (const struct conf_node *o = org->child->next; o; o = o->next)
				n++;
	}
	return n;
}

void
conf_model_load(struct conf_build *b, struct conf *c, struct conf_index *index)
{
	const struct conf_node *list = conf_get(c->root, "model_list");
	struct conf_model m = {.build = b, .conf = c, .index = index};
	uint64_t bound;

	if (list == NULL || list->kind != CONF_LIST)
		return;
	bound = conf_model_bound(list);
	if (bound > c->limits.deployments_max) {
		conf_check_error(b, list, "%llu deployments, the limit is %u (hale_settings.deployments_max)",
		                 (unsigned long long)bound, c->limits.deployments_max);
		return;
	}
	m.template.order = INT32_MAX;
	m.template.num_retries = -1;
	m.template.probe.max_tokens = m.template.probe.max_tokens_reasoning = -1;
	m.template.probe.max_tokens_non_reasoning = -1;
	m.template.probe.supports_max_tokens = -1;
	for (int s = CONF_SEC_ENTRY; s <= CONF_SEC_INFO; s++)
		conf_check_defaults(b, (enum conf_section)s, &m.template);
	m.list = arena_alloc(b->arena, bound * sizeof(*m.list));
	strmap_init(&m.suffix, b->arena, 0);
	strmap_init(&index->ids, b->arena, (uint32_t)bound);
	strmap_init(&index->groups, b->arena, 0);
	for (const struct conf_node *e = list->child; e; e = e->next)
		conf_model_entry(&m, e);
	c->deployment = m.list;
	c->ndeployment = m.count;
	conf_model_groups(&m);
}

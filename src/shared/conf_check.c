/* Compares the tree with the schema: stores what has a place, reports what is wrong and what is unknown.
 *
 * LiteLLM tests many flags by truthiness, so that a quoted "false" means true there and a quoted "300"
 * silently stops the background loop. Here text is taken for what it says, or it is an error with the place
 * and the values that are allowed. null always means "not set".
 *
 * A key that the schema does not know is a warning, in litellm_params and model_info only when it looks like
 * a misspelling: those two maps may carry anything.
 */
#include "hale/hale.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>

#include "conf_impl.h"

#include "hale/arena.h"
#include "hale/mode.h"
#include "hale/near.h"

#define CONF_CHECK_SHOWN 60 /* bytes of a value that a message shows */

/* One value on its way to its place. */
struct conf_check {
	struct conf_build *build;
	const struct conf_option *option;
	const struct conf_node *node;
	bool warn; /* report problems as warnings: the value comes from the environment */
	void *place; /* NULL: only check */
};

static const char *const conf_check_strategies[] = {
	"simple-shuffle",        "least-busy",         "usage-based-routing", "usage-based-routing-v2",
	"latency-based-routing", "cost-based-routing",
};

const char *
conf_check_kind(const struct conf_node *n)
{
	switch (n->kind) {
	case CONF_NULL: return "nothing";
	case CONF_BOOL: return "a boolean";
	case CONF_INT:
	case CONF_FLOAT: return "a number";
	case CONF_STRING: return "text";
	case CONF_LIST: return "a list";
	case CONF_MAP: return "a map";
	}
	return "a value";
}

const char *
conf_check_show(const struct conf_node *n, char *buf, size_t size)
{
	const char *quote = n->kind == CONF_STRING && !n->from_env ? "\"" : "";
	size_t len = n->text ? strlen(n->text) : 0, shown = len < size - 6 ? len : size - 6;

	if (n->text == NULL || n->kind == CONF_LIST || n->kind == CONF_MAP) {
		snprintf(buf, size, "%s", conf_check_kind(n));
		return buf;
	}
	while (shown < len && shown && ((unsigned char)n->text[shown] & 0xc0) == 0x80)
		shown--; /* not in the middle of a character */
	snprintf(buf, size, "%s%.*s%s%s", quote, (int)shown, n->text, shown < len ? "..." : "", quote);
	for (char *p = buf; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	return buf;
}

static void HALE_PRINTF(5, 0)
conf_check_message(struct conf_build *b, bool warn, const struct conf_node *n, const char *key, const char *fmt,
                   va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	errlist_add(b->errs, warn, n->file, n->line, n->column, key, "%s", text);
}

void
conf_check_error(struct conf_build *b, const struct conf_node *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_check_message(b, false, n, n->key, fmt, ap);
	va_end(ap);
}

void
conf_check_warn(struct conf_build *b, const struct conf_node *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_check_message(b, true, n, n->key, fmt, ap);
	va_end(ap);
}

/* A problem with the value, at the value, under the option's name. */
static void HALE_PRINTF(3, 4)
conf_check_bad(const struct conf_check *v, const struct conf_node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_check_message(v->build, v->warn, at, v->option->key, fmt, ap);
	va_end(ap);
}

static const char *
conf_check_value(const struct conf_check *v, char *buf, size_t size)
{
	if ((v->option->flags & CONF_OPT_SECRET) && v->node->text)
		snprintf(buf, size, "the value");
	else
		conf_check_show(v->node, buf, size);
	return buf;
}

static void
conf_check_expected(const struct conf_check *v, const char *expected)
{
	char shown[CONF_CHECK_SHOWN];

	conf_check_bad(v, v->node, "%s is not allowed, use %s", conf_check_value(v, shown, sizeof(shown)), expected);
}

/* "1..86400 (seconds)" */
static const char *
conf_check_range(const struct conf_option *o, char *buf, size_t size)
{
	bool whole = o->type != CONF_TYPE_SECONDS && o->type != CONF_TYPE_NUMBER;

	if (o->max > o->min)
		snprintf(buf, size, "%s%.15g..%.15g%s%s%s", whole ? "" : "a number ", o->min, o->max, o->unit ? " (" : "",
		         o->unit ? o->unit : "", o->unit ? ")" : "");
	else
		snprintf(buf, size, "a number");
	return buf;
}

/* The node as a number that the option allows. */
static bool
conf_check_number(const struct conf_check *v, double *out)
{
	const struct conf_option *o = v->option;
	const struct conf_node *n = v->node;
	bool whole = o->type != CONF_TYPE_SECONDS && o->type != CONF_TYPE_NUMBER;
	char shown[CONF_CHECK_SHOWN], range[80];
	bool ok = true;

	if (n->kind == CONF_INT)
		*out = (double)n->v.integer;
	else if (n->kind == CONF_FLOAT)
		*out = n->v.number;
	else if (n->kind == CONF_STRING)
		ok = conf_scalar_double(n->v.string, out);
	else
		ok = false;
	if (!ok || !isfinite(*out) || (whole && *out != floor(*out))) {
		conf_check_bad(v, n, "%s is not %s, use %s", conf_check_value(v, shown, sizeof(shown)),
		               o->type == CONF_TYPE_SECONDS_OR_TRUE ? "true, false or a whole number of seconds"
		               : whole                              ? "a whole number"
		                                                    : "a number",
		               conf_check_range(o, range, sizeof(range)));
		return false;
	}
	if (o->max > o->min && (*out < o->min || *out > o->max)) {
		conf_check_bad(v, n, "%s is out of range, use %s", conf_check_value(v, shown, sizeof(shown)),
		               conf_check_range(o, range, sizeof(range)));
		return false;
	}
	return true;
}

static void
conf_check_store_number(const struct conf_check *v)
{
	double x;

	if (!conf_check_number(v, &x) || v->place == NULL)
		return;
	switch (v->option->type) {
	case CONF_TYPE_U64:
		*(uint64_t *)v->place = (uint64_t)x;
		break;
	case CONF_TYPE_I32:
		*(int32_t *)v->place = (int32_t)x;
		break;
	case CONF_TYPE_NUMBER:
		*(double *)v->place = x;
		break;
	case CONF_TYPE_SECONDS: /* a fraction below a millisecond is not nothing */
		*(uint32_t *)v->place = (uint32_t)ceil(x * 1000);
		break;
	default:
		*(uint32_t *)v->place = x > 0 ? (uint32_t)x : 0;
		break;
	}
}

/* A time, or a switch: true stands for a time that conf.c knows. */
static void
conf_check_store_seconds(const struct conf_check *v)
{
	const struct conf_node *n = v->node;
	bool x;

	if (n->kind == CONF_BOOL)
		x = n->v.boolean;
	else if (n->kind != CONF_STRING || !conf_scalar_bool(n->v.string, &x)) {
		conf_check_store_number(v);
		return;
	}
	if (v->place)
		*(uint32_t *)v->place = x ? UINT32_MAX : 0;
}

static void
conf_check_store_bool(const struct conf_check *v)
{
	const struct conf_node *n = v->node;
	char shown[CONF_CHECK_SHOWN];
	bool x = false, ok = n->kind == CONF_BOOL;

	if (ok) {
		x = n->v.boolean;
	} else if (n->kind == CONF_STRING && conf_scalar_bool(n->v.string, &x)) {
		ok = true;
		if (!n->from_env)
			conf_check_warn(v->build, n, "%s is text, taken as %s", conf_check_show(n, shown, sizeof(shown)),
			                x ? "true" : "false");
	} else if (n->kind == CONF_INT && (n->v.integer == 0 || n->v.integer == 1)) {
		ok = true;
		x = n->v.integer == 1;
	}
	if (!ok)
		conf_check_expected(v, "true or false");
	else if (v->place && v->option->type == CONF_TYPE_TRI)
		*(int8_t *)v->place = x;
	else if (v->place)
		*(bool *)v->place = x;
}

/* The node's text when it is text or a number. */
static const char *
conf_check_text(const struct conf_node *n)
{
	if (n->kind == CONF_STRING)
		return n->v.string;
	return n->kind == CONF_INT || n->kind == CONF_FLOAT ? n->text : NULL;
}

static void
conf_check_store_string(const struct conf_check *v)
{
	const char *text = conf_check_text(v->node);

	if (text == NULL)
		conf_check_expected(v, "text");
	else if (v->place)
		*(const char **)v->place = text;
}

static void
conf_check_store_strings(const struct conf_check *v)
{
	const struct conf_node *n = v->node;
	bool groups = v->option->type == CONF_TYPE_GROUPS;
	const char **list, *single = groups ? NULL : conf_check_text(n);
	uint32_t count = 1, i = 0;

	if (n->kind != CONF_LIST && single == NULL) {
		conf_check_bad(v, n, groups ? "must be a list of model group names" : "must be text or a list of texts");
		return;
	}
	for (const struct conf_node *c = n->kind == CONF_LIST ? n->child : NULL; c; c = c->next) {
		if (c->kind != CONF_STRING) {
			conf_check_bad(v, c, groups ? "must be a list of model group names" : "must be a list of texts");
			return;
		}
		count++;
	}
	list = arena_alloc(v->build->arena, (count + 1) * sizeof(*list));
	if (single)
		list[i++] = single;
	for (const struct conf_node *c = n->kind == CONF_LIST ? n->child : NULL; c; c = c->next)
		list[i++] = c->v.string;
	if (v->place)
		*(const char *const **)v->place = list;
}

static void
conf_check_store_strategy(const struct conf_check *v)
{
	enum conf_strategy s = CONF_OTHER_STRATEGY;

	for (unsigned i = 0; v->node->kind == CONF_STRING && i < HALE_COUNT(conf_check_strategies); i++) {
		if (strcmp(v->node->v.string, conf_check_strategies[i]) != 0)
			continue;
		if (i <= CONF_LEAST_BUSY)
			s = (enum conf_strategy)i;
		if (s != CONF_SIMPLE_SHUFFLE)
			conf_check_warn(v->build, v->node, "%s acts as simple-shuffle so far", v->node->v.string);
		*(enum conf_strategy *)v->place = s;
		return;
	}
	conf_check_expected(v, "simple-shuffle, least-busy, usage-based-routing, usage-based-routing-v2, "
	                       "latency-based-routing or cost-based-routing");
}

/* Words for near_find. */
static const char *
conf_check_next_mode(void *arg, unsigned i)
{
	(void)arg;
	return mode_word(i);
}

/* A mode that nobody knows would be a deployment that nobody probes, so it is an error;
 * LiteLLM's newer words are not ours to refuse. */
static void
conf_check_store_mode(const struct conf_check *v)
{
	const char *word = v->node->kind == CONF_STRING ? v->node->v.string : NULL, *near = NULL;
	enum mode m = word ? mode_parse(word) : MODE_NONE;
	char shown[CONF_CHECK_SHOWN];

	if (word && m == MODE_NONE && mode_is_foreign(word)) {
		conf_check_warn(v->build, v->node, "%s is known to LiteLLM, not probed by hale", word);
	} else if (m == MODE_NONE) {
		if (word)
			near = near_find(word, strlen(word) < 8 ? 2 : 3, conf_check_next_mode, NULL);
		conf_check_bad(v, v->node, "%s is no mode%s%s%s; use one of %s (or, without a probe, %s)",
		               conf_check_show(v->node, shown, sizeof(shown)), near ? ", did you mean \"" : "",
		               near ? near : "", near ? "\"?" : "", mode_list(), mode_foreign_list());
	}
	*(enum mode *)v->place = m;
}

static void
conf_check_store_node(const struct conf_check *v)
{
	enum conf_type t = v->option->type;
	const struct conf_node *n = v->node;

	if ((t == CONF_TYPE_MAP && n->kind != CONF_MAP) || (t == CONF_TYPE_LIST && n->kind != CONF_LIST))
		conf_check_bad(v, n, "%s where %s is expected", conf_check_kind(n), t == CONF_TYPE_MAP ? "a map" : "a list");
	else if (v->place)
		*(const struct conf_node **)v->place = n;
}

static void
conf_check_store(const struct conf_check *v)
{
	if (v->option->type == CONF_TYPE_MOVED) {
		conf_check_bad(v, v->node, "'%s' is NOT a valid %s parameter. Please move it to 'general_settings'.",
		               v->option->key, conf_schema_section(v->option->section));
		return;
	}
	if (v->node->kind == CONF_NULL)
		return;
	switch (v->option->type) {
	case CONF_TYPE_BOOL:
	case CONF_TYPE_TRI:
		conf_check_store_bool(v);
		break;
	case CONF_TYPE_U32:
	case CONF_TYPE_U64:
	case CONF_TYPE_I32:
	case CONF_TYPE_SECONDS:
	case CONF_TYPE_WHOLE_SECONDS:
	case CONF_TYPE_NUMBER:
		conf_check_store_number(v);
		break;
	case CONF_TYPE_SECONDS_OR_TRUE:
		conf_check_store_seconds(v);
		break;
	case CONF_TYPE_STRING:
		conf_check_store_string(v);
		break;
	case CONF_TYPE_STRINGS:
	case CONF_TYPE_GROUPS:
		conf_check_store_strings(v);
		break;
	case CONF_TYPE_STRATEGY:
		conf_check_store_strategy(v);
		break;
	case CONF_TYPE_MODE:
		conf_check_store_mode(v);
		break;
	case CONF_TYPE_MAP:
	case CONF_TYPE_LIST:
	case CONF_TYPE_ANY:
	case CONF_TYPE_MOVED:
		conf_check_store_node(v);
		break;
	}
}

static void *
conf_check_place(const struct conf_option *o, void *base)
{
	return o->place == CONF_NO_PLACE || base == NULL ? NULL : (char *)base + o->place;
}

void
conf_check_defaults(struct conf_build *b, enum conf_section section, void *base)
{
	for (unsigned i = 0; i < conf_schema_count; i++) {
		const struct conf_option *o = &conf_schema[i];
		struct conf_node n = {.kind = CONF_STRING, .from_env = true, .file = "(default)", .text = o->fallback};

		if (o->section != section || o->fallback == NULL || o->place == CONF_NO_PLACE)
			continue;
		n.v.string = o->fallback;
		conf_check_store(&(struct conf_check){b, o, &n, false, conf_check_place(o, base)});
	}
}

void
conf_check_env(struct conf_build *b, const struct conf_node *variables, void *base)
{
	for (unsigned i = 0; i < conf_schema_count; i++) {
		const struct conf_option *o = &conf_schema[i];
		const char *value = o->section == CONF_SEC_ENV ? conf_env_get(variables, o->key) : NULL;
		struct conf_node n = {.kind = CONF_STRING, .file = "environment", .text = value};

		if (value == NULL || *value == '\0' || o->place == CONF_NO_PLACE)
			continue;
		n.v.string = arena_strdup(b->arena, value);
		conf_check_store(&(struct conf_check){b, o, &n, true, conf_check_place(o, base)});
	}
}

/* Adds a known setting without effect to the one warning about them. */
static void
conf_check_unused(struct conf_build *b, const struct conf_node *n)
{
	size_t used = strlen(b->unused);

	if (b->unused_first == NULL)
		b->unused_first = n;
	for (const char *at = strstr(b->unused, n->key); at; at = strstr(at + 1, n->key)) {
		const char *end = at + strlen(n->key);

		if ((at == b->unused || at[-1] == ' ') && (*end == ',' || *end == '\0'))
			return; /* thousands of entries may set it */
	}
	if (used + strlen(n->key) + 8 < sizeof(b->unused))
		snprintf(b->unused + used, sizeof(b->unused) - used, "%s%s", used ? ", " : "", n->key);
	else if (used < 3 || strcmp(b->unused + used - 3, "...") != 0)
		snprintf(b->unused + used, sizeof(b->unused) - used, ", ...");
}

void
conf_check_finish(struct conf_build *b)
{
	const struct conf_node *n = b->unused_first;

	if (n)
		errlist_add(b->errs, true, n->file, n->key_line, n->key_column, NULL,
		            "known from LiteLLM, but without effect in hale so far: %s", b->unused);
}

/* Keys of one section, for near_find. */
static const char *
conf_check_next_key(void *arg, unsigned i)
{
	enum conf_section section = *(enum conf_section *)arg;
	unsigned at = 0;

	while (at < conf_schema_count && conf_schema[at].section != section)
		at++;
	at += i;
	return at < conf_schema_count && conf_schema[at].section == section ? conf_schema[at].key : NULL;
}

static void
conf_check_unknown(struct conf_build *b, enum conf_section section, const struct conf_node *n)
{
	bool open = section == CONF_SEC_PARAMS || section == CONF_SEC_INFO;
	size_t len = strlen(n->key);
	unsigned limit = open ? (len < 5 ? 0 : len < 9 ? 1 : 2) : (len < 4 ? 1 : len < 8 ? 2 : 3);
	const char *near = NULL;

	if (b->errs->nwarning >= ERRLIST_MAX) { /* nobody will read it: only count, the search is not free */
		b->errs->nwarning += !open;
		return;
	}
	if (limit)
		near = near_find(n->key, limit, conf_check_next_key, &section);
	if (near)
		errlist_add(b->errs, true, n->file, n->key_line, n->key_column, n->key, "unknown key, did you mean \"%s\"?",
		            near);
	else if (!open)
		errlist_add(b->errs, true, n->file, n->key_line, n->key_column, n->key, "unknown key%s%s, it has no effect",
		            section == CONF_SEC_TOP ? "" : " in ", conf_schema_section(section));
}

static const struct conf_option *
conf_check_option(const struct conf_build *b, enum conf_section section, const char *key)
{
	char name[96] = {(char)('a' + section)};
	size_t len = strlen(key);
	const uint32_t *at;

	if (len + 2 > sizeof(name))
		return NULL;
	memcpy(name + 1, key, len + 1);
	at = strmap_get(&b->options, name);
	return at ? &conf_schema[*at] : NULL;
}

void
conf_check_map(struct conf_build *b, enum conf_section section, const struct conf_node *map, void *base)
{
	if (map == NULL || map->kind != CONF_MAP)
		return;
	for (const struct conf_node *n = map->child; n; n = n->next) {
		const struct conf_option *o = conf_check_option(b, section, n->key);

		if (o == NULL)
			conf_check_unknown(b, section, n);
		else
			conf_check_store(&(struct conf_check){b, o, n, o->flags & CONF_OPT_FORGIVE, conf_check_place(o, base)});
		if (o && (o->flags & CONF_OPT_UNUSED))
			conf_check_unused(b, n);
	}
}

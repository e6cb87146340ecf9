/* libyaml events into the tree of conf_node.
 *
 * libyaml's own document loader is not used: it would expand nothing but also check nothing. Here every
 * bound is kept while reading: depth, number of values (an alias counts as all that it stands for and long
 * text as several, so a "billion laughs" file is refused at the alias that goes too far), anchors, one
 * document, text keys, no key twice, no NUL. An alias costs one node: it shares the children of what it refers to.
 *
 * `<<` merges as Python's yaml does, including the order of the result, because deployment ids depend on it.
 */
#include "hale/hale.h"

#include <yaml.h>

#include "conf_impl.h"

#include "hale/arena.h"

struct conf_yaml_anchor {
	struct conf_node *node; /* NULL while it is being read */
	uint32_t weight;        /* values that it stands for */
};

struct conf_yaml {
	struct conf_build *build;
	yaml_parser_t parser;
	const char *file, *text;
	size_t len;
	struct strmap anchors;
	struct conf_yaml_anchor *anchor;
	uint32_t nanchor;
	bool failed; /* cannot go on */
};

struct conf_yaml_list {
	struct conf_node *first, **end;
	uint32_t count;
};

#define CONF_YAML_ERROR(y, mark, key, ...) \
	errlist_add((y)->build->errs, false, (y)->file, (uint32_t)(mark).line + 1, (uint32_t)(mark).column + 1, key, \
	            __VA_ARGS__)

static struct conf_node *conf_yaml_value(struct conf_yaml *y, const yaml_event_t *ev, unsigned depth);

static void
conf_yaml_list_init(struct conf_yaml_list *l)
{
	l->first = NULL;
	l->end = &l->first;
	l->count = 0;
}

static void
conf_yaml_list_add(struct conf_yaml_list *l, struct conf_node *n)
{
	*l->end = n;
	l->end = &n->next;
	l->count++;
}

/* libyaml gives a byte offset for what it cannot decode, and no line. */
static void
conf_yaml_offset_error(struct conf_yaml *y, size_t offset, const char *problem)
{
	yaml_mark_t mark = {0};

	for (size_t i = 0; i < offset && i < y->len; i++) {
		mark.column++;
		if (y->text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		}
	}
	if (offset < y->len && y->text[offset] == '\0')
		problem = "a NUL byte is not allowed";
	CONF_YAML_ERROR(y, mark, NULL, "%s", problem);
}

/* true when the line (from 0) is indented with a tab: the commonest cause of YAML errors, worth its own text. */
static bool
conf_yaml_tab_indent(const struct conf_yaml *y, size_t line)
{
	const char *p = y->text, *end = y->text + y->len;

	for (; line && p < end; line--) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		p = nl ? nl + 1 : end;
	}
	while (p < end && *p == ' ')
		p++;
	return p < end && *p == '\t';
}

static void
conf_yaml_syntax_error(struct conf_yaml *y)
{
	const yaml_parser_t *p = &y->parser;
	const char *problem = p->problem ? p->problem : "not valid YAML";

	if (p->error == YAML_READER_ERROR)
		conf_yaml_offset_error(y, p->problem_offset, problem);
	else if (conf_yaml_tab_indent(y, p->problem_mark.line))
		CONF_YAML_ERROR(y, p->problem_mark, NULL, "a tab in the indentation, YAML allows only spaces there");
	else if (p->context)
		CONF_YAML_ERROR(y, p->problem_mark, NULL, "not valid YAML: %s, %s (from line %u)", problem, p->context,
		                (unsigned)p->context_mark.line + 1);
	else
		CONF_YAML_ERROR(y, p->problem_mark, NULL, "not valid YAML: %s", problem);
	y->failed = true;
}

/* The next event, to be released with yaml_event_delete; false after a syntax error. */
static bool
conf_yaml_next(struct conf_yaml *y, yaml_event_t *ev)
{
	if (yaml_parser_parse(&y->parser, ev))
		return true;
	conf_yaml_syntax_error(y);
	return false;
}

/* Counts `weight` more values. */
static bool
conf_yaml_count(struct conf_yaml *y, uint32_t weight, yaml_mark_t mark)
{
	struct conf_build *b = y->build;

	if (weight <= CONF_NODES_MAX - b->nodes) {
		b->nodes += weight;
		return true;
	}
	CONF_YAML_ERROR(y, mark, NULL, "too many values: the limit is %u, aliases counted as what they stand for",
	                CONF_NODES_MAX);
	y->failed = true;
	return false;
}

static struct conf_node *
conf_yaml_new(struct conf_yaml *y, yaml_mark_t mark)
{
	struct conf_node *n;

	if (!conf_yaml_count(y, 1, mark))
		return NULL;
	n = arena_alloc(y->build->arena, sizeof(*n));
	n->file = y->file;
	n->line = (uint32_t)mark.line + 1;
	n->column = (uint32_t)mark.column + 1;
	return n;
}

/* Registers an anchor as open. Returns its number, or -1 when there is none or a limit was reached. */
static int64_t
conf_yaml_anchor_open(struct conf_yaml *y, const yaml_char_t *name, yaml_mark_t mark)
{
	char *key;

	if (name == NULL)
		return -1;
	if (y->nanchor == CONF_ANCHORS_MAX) {
		CONF_YAML_ERROR(y, mark, NULL, "too many anchors: the limit is %d", CONF_ANCHORS_MAX);
		y->failed = true;
		return -1;
	}
	if (y->anchor == NULL)
		y->anchor = arena_alloc(y->build->arena, CONF_ANCHORS_MAX * sizeof(*y->anchor));
	key = arena_strdup(y->build->arena, (const char *)name);
	*strmap_put(&y->anchors, key, 0) = y->nanchor;
	return y->nanchor++;
}

static struct conf_node *
conf_yaml_alias(struct conf_yaml *y, const yaml_event_t *ev)
{
	const char *name = (const char *)ev->data.alias.anchor;
	const uint32_t *at = strmap_get(&y->anchors, name);
	const struct conf_yaml_anchor *a = at ? &y->anchor[*at] : NULL;
	struct conf_node *n;

	if (a == NULL || a->node == NULL) {
		CONF_YAML_ERROR(y, ev->start_mark, NULL,
		                a ? "alias *%.40s refers to the value that it is part of" : "alias *%.40s has no anchor above it",
		                name);
		y->failed = true;
		return NULL;
	}
	if (!conf_yaml_count(y, a->weight, ev->start_mark))
		return NULL;
	n = arena_alloc(y->build->arena, sizeof(*n));
	*n = *a->node;
	n->key = NULL;
	n->next = NULL;
	return n;
}

static struct conf_node *
conf_yaml_scalar(struct conf_yaml *y, const yaml_event_t *ev)
{
	const char *value = (const char *)ev->data.scalar.value, *tag = (const char *)ev->data.scalar.tag;
	size_t len = ev->data.scalar.length;
	struct conf_node *n = conf_yaml_new(y, ev->start_mark);

	if (n == NULL || !conf_yaml_count(y, (uint32_t)(len / CONF_TEXT_PER_NODE), ev->start_mark))
		return NULL;
	if (memchr(value, '\0', len)) {
		CONF_YAML_ERROR(y, ev->start_mark, NULL, "text with a NUL character is not allowed");
		len = strlen(value);
	}
	n->text = arena_strndup(y->build->arena, value, len);
	n->kind = CONF_STRING;
	n->v.string = n->text;
	if (tag && !conf_scalar_tagged(n, tag))
		CONF_YAML_ERROR(y, ev->start_mark, NULL, "tag %.60s is not supported or does not fit the value", tag);
	else if (tag == NULL && ev->data.scalar.plain_implicit)
		conf_scalar_resolve(n);
	return n;
}

static struct conf_node *
conf_yaml_sequence(struct conf_yaml *y, const yaml_event_t *start, unsigned depth)
{
	struct conf_node *n = conf_yaml_new(y, start->start_mark);
	struct conf_yaml_list items;

	if (n == NULL)
		return NULL;
	n->kind = CONF_LIST;
	conf_yaml_list_init(&items);
	for (;;) {
		struct conf_node *item;
		yaml_event_t ev;

		if (!conf_yaml_next(y, &ev))
			return NULL;
		if (ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			break;
		}
		item = conf_yaml_value(y, &ev, depth + 1);
		yaml_event_delete(&ev);
		if (item == NULL)
			return NULL;
		conf_yaml_list_add(&items, item);
	}
	n->child = items.first;
	return n;
}

static int
conf_yaml_by_key(const void *a, const void *b)
{
	const struct conf_node *x = *(const struct conf_node *const *)a, *z = *(const struct conf_node *const *)b;
	int c = strcmp(x->key, z->key);

	if (c)
		return c;
	if (x->key_line != z->key_line)
		return x->key_line < z->key_line ? -1 : 1;
	return x->key_column < z->key_column ? -1 : x->key_column > z->key_column;
}

/* A key that is there twice is an error at the second place, naming the first. */
static void
conf_yaml_check_twice(struct conf_yaml *y, const struct conf_yaml_list *members)
{
	const struct conf_node **sorted;
	uint32_t i = 0;

	if (members->count < 2)
		return;
	sorted = xmalloc(members->count * sizeof(*sorted));
	for (const struct conf_node *n = members->first; n; n = n->next)
		sorted[i++] = n;
	qsort(sorted, members->count, sizeof(*sorted), conf_yaml_by_key);
	for (i = 1; i < members->count; i++)
		if (strcmp(sorted[i]->key, sorted[i - 1]->key) == 0)
			errlist_add(y->build->errs, false, y->file, sorted[i]->key_line, sorted[i]->key_column, sorted[i]->key,
			            "given twice, first at line %u", sorted[i - 1]->key_line);
	free(sorted);
}

/* Puts shallow copies of the members of map into members, replacing values of equal keys in place. */
static void
conf_yaml_merge_map(struct conf_yaml *y, const struct conf_node *map, struct strmap *seen, struct conf_node **node,
                    uint32_t *count)
{
	for (const struct conf_node *m = map->child; m; m = m->next) {
		uint32_t *at = strmap_put(seen, m->key, *count);
		struct conf_node *copy;

		if (*at < *count) {
			struct conf_node *old = node[*at];
			struct conf_node *next = old->next;

			*old = *m;
			old->next = next;
			continue;
		}
		copy = arena_alloc(y->build->arena, sizeof(*copy));
		*copy = *m;
		copy->next = NULL;
		node[(*count)++] = copy;
	}
}

static uint32_t
conf_yaml_length(const struct conf_node *n)
{
	uint32_t count = 0;

	for (const struct conf_node *c = n->child; c; c = c->next)
		count++;
	return count;
}

/* `<<`: the merged maps first (of a list the first map wins), then the map's own members over them. */
static void
conf_yaml_merge(struct conf_yaml *y, struct conf_node *map, const struct conf_node *merge)
{
	uint32_t nmap = merge->kind == CONF_LIST ? conf_yaml_length(merge) : 1, total = conf_yaml_length(map), count = 0;
	const struct conf_node **source = xmalloc((nmap + 1) * sizeof(*source));
	struct conf_node **node;
	struct strmap seen;
	uint32_t i = nmap;

	if (merge->kind == CONF_LIST)
		for (const struct conf_node *m = merge->child; m; m = m->next)
			source[--i] = m;
	else
		source[0] = merge;
	source[nmap] = map;
	for (i = 0; i < nmap; i++) {
		if (source[i]->kind != CONF_MAP) {
			errlist_add(y->build->errs, false, y->file, merge->line, merge->column, "<<",
			            "only a map or a list of maps can be merged");
			free(source);
			return;
		}
		total += conf_yaml_length(source[i]);
	}
	node = xmalloc((total + 1) * sizeof(struct conf_node *));
	strmap_init(&seen, y->build->arena, total);
	for (i = 0; i <= nmap; i++)
		conf_yaml_merge_map(y, source[i], &seen, node, &count);
	for (i = 0; i < count; i++)
		node[i]->next = i + 1 < count ? node[i + 1] : NULL;
	map->child = count ? node[0] : NULL;
	free(node);
	free(source);
}

/* One "key: value"; *merge is set instead when the key is a bare <<. NULL: cannot go on. */
static struct conf_node *
conf_yaml_member(struct conf_yaml *y, const yaml_event_t *key, unsigned depth, bool *merge)
{
	const char *name = (const char *)key->data.scalar.value;
	struct conf_node *n;
	yaml_event_t ev;

	if (key->type != YAML_SCALAR_EVENT) {
		CONF_YAML_ERROR(y, key->start_mark, NULL, "a key must be plain text");
		y->failed = true;
		return NULL;
	}
	if (memchr(name, '\0', key->data.scalar.length) || *name == '\0')
		CONF_YAML_ERROR(y, key->start_mark, NULL, "a key must not be empty or contain a NUL character");
	*merge = strcmp(name, "<<") == 0 && key->data.scalar.plain_implicit;
	if (!conf_yaml_next(y, &ev))
		return NULL;
	n = conf_yaml_value(y, &ev, depth + 1);
	yaml_event_delete(&ev);
	if (n == NULL)
		return NULL;
	n->key = arena_strdup(y->build->arena, name);
	n->key_line = (uint32_t)key->start_mark.line + 1;
	n->key_column = (uint32_t)key->start_mark.column + 1;
	return n;
}

static struct conf_node *
conf_yaml_mapping(struct conf_yaml *y, const yaml_event_t *start, unsigned depth)
{
	struct conf_node *n = conf_yaml_new(y, start->start_mark), *merge = NULL;
	struct conf_yaml_list members;

	if (n == NULL)
		return NULL;
	n->kind = CONF_MAP;
	conf_yaml_list_init(&members);
	for (;;) {
		struct conf_node *member;
		bool is_merge = false;
		yaml_event_t ev;

		if (!conf_yaml_next(y, &ev))
			return NULL;
		if (ev.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&ev);
			break;
		}
		member = conf_yaml_member(y, &ev, depth, &is_merge);
		yaml_event_delete(&ev);
		if (member == NULL)
			return NULL;
		if (!is_merge)
			conf_yaml_list_add(&members, member);
		else if (merge == NULL)
			merge = member;
		else
			errlist_add(y->build->errs, false, y->file, member->key_line, member->key_column, "<<",
			            "given twice, first at line %u: use one list of maps", merge->key_line);
	}
	conf_yaml_check_twice(y, &members);
	n->child = members.first;
	if (merge)
		conf_yaml_merge(y, n, merge);
	return n;
}

/* The value that starts with ev. NULL: an error was noted and reading cannot go on. */
static struct conf_node *
conf_yaml_value(struct conf_yaml *y, const yaml_event_t *ev, unsigned depth)
{
	struct conf_node *n = NULL;
	uint32_t before = y->build->nodes;
	int64_t anchor = -1;

	if (depth > CONF_DEPTH_MAX) {
		CONF_YAML_ERROR(y, ev->start_mark, NULL, "nested too deeply: the limit is %d levels", CONF_DEPTH_MAX);
		y->failed = true;
		return NULL;
	}
	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		n = conf_yaml_alias(y, ev);
		break;
	case YAML_SCALAR_EVENT:
		anchor = conf_yaml_anchor_open(y, ev->data.scalar.anchor, ev->start_mark);
		n = conf_yaml_scalar(y, ev);
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = conf_yaml_anchor_open(y, ev->data.sequence_start.anchor, ev->start_mark);
		n = conf_yaml_sequence(y, ev, depth);
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = conf_yaml_anchor_open(y, ev->data.mapping_start.anchor, ev->start_mark);
		n = conf_yaml_mapping(y, ev, depth);
		break;
	default:
		CONF_YAML_ERROR(y, ev->start_mark, NULL, "not valid YAML: a value is expected");
		break;
	}
	if (n == NULL || y->failed) {
		y->failed = true;
		return NULL;
	}
	if (anchor >= 0)
		y->anchor[anchor] = (struct conf_yaml_anchor){.node = n, .weight = y->build->nodes - before};
	return n;
}

/* Stream start, document start, value, document end, stream end; an empty stream gives no value. */
static struct conf_node *
conf_yaml_stream(struct conf_yaml *y)
{
	struct conf_node *root = NULL;

	for (;;) {
		yaml_event_t ev;
		yaml_event_type_t type;

		if (!conf_yaml_next(y, &ev))
			return NULL;
		type = ev.type;
		if (type == YAML_DOCUMENT_START_EVENT && root) {
			CONF_YAML_ERROR(y, ev.start_mark, NULL, "a second document starts here, one is allowed");
			y->failed = true;
		} else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
		           type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT) {
			root = conf_yaml_value(y, &ev, 1);
		}
		yaml_event_delete(&ev);
		if (y->failed)
			return NULL;
		if (type == YAML_STREAM_END_EVENT)
			return root;
	}
}

int
conf_yaml_parse(struct conf_build *b, const char *file, const char *text, size_t len, struct conf_node **out)
{
	struct conf_yaml y = {.build = b, .file = file, .text = text, .len = len};
	unsigned errors = b->errs->nerror;
	struct conf_node *root;

	if (!yaml_parser_initialize(&y.parser))
		return HALE_ENOMEM;
	strmap_init(&y.anchors, b->arena, 0);
	yaml_parser_set_input_string(&y.parser, (const unsigned char *)text, len);
	root = conf_yaml_stream(&y);
	yaml_parser_delete(&y.parser);
	if (root == NULL && !y.failed) { /* empty or nothing but comments: no settings */
		root = arena_alloc(b->arena, sizeof(*root));
		*root = (struct conf_node){.kind = CONF_NULL, .file = file, .line = 1, .column = 1, .text = ""};
	}
	if (b->errs->nerror != errors)
		return HALE_ECONF;
	if (root->kind != CONF_MAP && root->kind != CONF_NULL) {
		errlist_add(b->errs, false, file, root->line, root->column, NULL,
		            "%s where settings (\"key: value\" lines) are expected", conf_check_kind(root));
		return HALE_ECONF;
	}
	*out = root;
	return 0;
}

/* JSON schema to the subset of it that Gemini's "parameters" and "responseSchema" take.
 *
 * Gemini refuses a request for one name that it does not know, so what is known is picked out
 * instead of what is unknown being removed. References are replaced by what they stand for, because
 * there are none in the subset; one that is inside itself becomes a plain object. A few of them can
 * stand for a huge schema: SCHEMA_NODES_MAX.
 *
 * null, which OpenAI's strict mode writes as one of several types, is "nullable" here.
 */
#include "hale/hale.h"

#include "gemini.h"

#define SCHEMA_DEPTH_MAX 24
#define SCHEMA_NODES_MAX 4000

struct gemini_schema_walk {
	struct json_object *root;
	struct json_object *open[SCHEMA_DEPTH_MAX]; /* what references are being followed to, outermost first */
	unsigned nopen;
	unsigned left; /* nodes that may still be written */
	const char *why;
};

static struct json_object *gemini_schema_node(struct gemini_schema_walk *w, struct json_object *in,
                                              unsigned depth);

/* "#/$defs/Name"; NULL: it points nowhere. */
static struct json_object *
gemini_schema_resolve(struct json_object *root, const char *ref)
{
	struct json_object *o = root;
	char name[256];

	if (*ref++ != '#')
		return NULL;
	while (o && *ref == '/') {
		size_t n = strcspn(++ref, "/");

		if (n >= sizeof(name))
			return NULL;
		memcpy(name, ref, n);
		name[n] = '\0';
		o = xlate_get(o, name);
		ref += n;
	}
	return *ref ? NULL : o;
}

/* Members that mean the same and need no look inside. */
static void
gemini_schema_plain(struct json_object *in, struct json_object *out)
{
	static const char *const same[] = {"title",     "description", "default",   "nullable", "example",
	                                   "minItems",  "maxItems",    "minLength", "maxLength", "minProperties",
	                                   "maxProperties", "pattern", "minimum",   "maximum",  "propertyOrdering"};
	static const char *const formats[] = {"date-time", "enum", "float", "double", "int32", "int64"};
	struct json_object *format = xlate_get(in, "format");

	for (size_t i = 0; i < HALE_COUNT(same); i++) {
		struct json_object *v = xlate_get(in, same[i]);

		if (v)
			json_object_object_add(out, same[i], json_object_get(v));
	}
	for (size_t i = 0; i < HALE_COUNT(formats); i++)
		if (xlate_is(in, "format", formats[i]))
			json_object_object_add(out, "format", json_object_get(format));
}

/* "type", also as a list. One that holds several types beside null becomes alternatives. */
static void
gemini_schema_type(struct json_object *in, struct json_object *out)
{
	struct json_object *type = xlate_get(in, "type"), *any = NULL;
	size_t n = xlate_count(type), kinds = 0;

	if (json_object_is_type(type, json_type_string)) {
		json_object_object_add(out, "type", json_object_get(type));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const char *word = xlate_word(json_object_array_get_idx(type, i), "");

		if (word && strcmp(word, "null") == 0)
			json_object_object_add(out, "nullable", json_object_new_boolean(true));
		else if (word)
			kinds++;
	}
	if (kinds > 1)
		any = json_object_new_array();
	for (size_t i = 0; i < n; i++) {
		const char *word = xlate_word(json_object_array_get_idx(type, i), "");
		struct json_object *one = out;

		if (!word || strcmp(word, "null") == 0)
			continue;
		if (any) {
			one = json_object_new_object();
			json_object_array_add(any, one);
		}
		xlate_put_text(one, "type", word);
		if (any && strcmp(word, "array") == 0)
			json_object_object_add(one, "items", json_tokener_parse("{\"type\":\"string\"}"));
	}
	if (any)
		json_object_object_add(out, "anyOf", any);
}

/* "enum" and "const": Gemini knows them for text only. */
static void
gemini_schema_enum(struct json_object *in, struct json_object *out)
{
	struct json_object *values = xlate_get(in, "enum"), *one = xlate_get(in, "const");
	struct json_object *list = json_object_new_array();
	bool other = one && !json_object_is_type(one, json_type_string);

	if (one && !other)
		json_object_array_add(list, json_object_get(one));
	for (size_t i = 0; i < xlate_count(values); i++) {
		struct json_object *v = json_object_array_get_idx(values, i);

		if (!v)
			json_object_object_add(out, "nullable", json_object_new_boolean(true));
		else if (!json_object_is_type(v, json_type_string))
			other = true;
		else if (json_object_get_string_len(v))
			json_object_array_add(list, json_object_get(v));
	}
	if (other || json_object_array_length(list) == 0) {
		json_object_put(list);
		return;
	}
	if (!xlate_get(out, "type"))
		xlate_put_text(out, "type", "string");
	json_object_object_add(out, "enum", list);
}

static bool
gemini_schema_properties(struct gemini_schema_walk *w, struct json_object *in, struct json_object *out,
                         unsigned depth)
{
	struct json_object *from = xlate_get(in, "properties"), *to, *required = xlate_get(in, "required"), *list;

	if (!json_object_is_type(from, json_type_object))
		return true;
	to = json_object_new_object();
	json_object_object_add(out, "properties", to);
	json_object_object_foreach(from, name, value) {
		struct json_object *node = gemini_schema_node(w, value, depth + 1);

		if (!node)
			return false;
		json_object_object_add(to, name, node);
	}
	list = json_object_new_array();
	for (size_t i = 0; i < xlate_count(required); i++) {
		struct json_object *one = json_object_array_get_idx(required, i);

		if (xlate_get(to, xlate_word(one, "") ? xlate_word(one, "") : "")) /* Gemini refuses others */
			json_object_array_add(list, json_object_get(one));
	}
	if (json_object_array_length(list))
		json_object_object_add(out, "required", list);
	else
		json_object_put(list);
	return true;
}

/* Every array needs to say what is in it. */
static bool
gemini_schema_items(struct gemini_schema_walk *w, struct json_object *in, struct json_object *out,
                    unsigned depth)
{
	struct json_object *items = xlate_get(in, "items"), *node;

	if (!items)
		items = xlate_get(in, "prefixItems");
	if (xlate_count(items))
		items = json_object_array_get_idx(items, 0);
	if (!items && !xlate_is(out, "type", "array"))
		return true;
	if (json_object_is_type(items, json_type_object))
		node = gemini_schema_node(w, items, depth + 1);
	else
		node = json_tokener_parse("{\"type\":\"string\"}");
	if (node)
		json_object_object_add(out, "items", node);
	return node;
}

/* Adds what out does not have yet; properties and required are joined. */
static void
gemini_schema_merge(struct json_object *out, struct json_object *from)
{
	json_object_object_foreach(from, key, value) {
		struct json_object *old = xlate_get(out, key);

		if (!old) {
			json_object_object_add(out, key, json_object_get(value));
		} else if (strcmp(key, "properties") == 0) {
			gemini_schema_merge(old, value);
		} else if (strcmp(key, "required") == 0) {
			for (size_t i = 0; i < xlate_count(value); i++)
				json_object_array_add(old,
				                      json_object_get(json_object_array_get_idx(value, i)));
		}
	}
}

/* anyOf and oneOf. Null among them is "nullable"; a single other one takes the node's own place. */
static bool
gemini_schema_any(struct gemini_schema_walk *w, struct json_object *in, struct json_object *out,
                  unsigned depth)
{
	struct json_object *from = xlate_get(in, "anyOf"), *list;
	bool null = false;

	if (!from)
		from = xlate_get(in, "oneOf");
	if (xlate_count(from) == 0)
		return true;
	list = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(from); i++) {
		struct json_object *one = json_object_array_get_idx(from, i), *node;

		if (xlate_is(one, "type", "null")) {
			null = true;
			continue;
		}
		node = gemini_schema_node(w, one, depth + 1);
		if (!node) {
			json_object_put(list);
			return false;
		}
		json_object_array_add(list, node);
	}
	if (null)
		json_object_object_add(out, "nullable", json_object_new_boolean(true));
	if (json_object_array_length(list) > 1) {
		json_object_object_add(out, "anyOf", list);
		return true;
	}
	if (json_object_array_length(list) == 1)
		gemini_schema_merge(out, json_object_array_get_idx(list, 0));
	json_object_put(list);
	return true;
}

/* What a reference stands for; a plain object when it is inside itself for the second time. */
static struct json_object *
gemini_schema_ref(struct gemini_schema_walk *w, const char *ref, unsigned depth)
{
	struct json_object *target = gemini_schema_resolve(w->root, ref), *node;
	unsigned inside = 0;

	if (!target) {
		w->why = "a $ref of the schema points to nothing in it";
		return NULL;
	}
	for (unsigned i = 0; i < w->nopen; i++)
		inside += w->open[i] == target;
	if (inside > 1 || w->nopen == SCHEMA_DEPTH_MAX)
		return json_tokener_parse("{\"type\":\"object\"}");
	w->open[w->nopen++] = target;
	node = gemini_schema_node(w, target, depth + 1);
	w->nopen--;
	return node;
}

/* Adds the nodes that this one is made of as well: what it refers to, and allOf. */
static bool
gemini_schema_parts(struct gemini_schema_walk *w, struct json_object *in, struct json_object *out,
                    unsigned depth)
{
	struct json_object *all = xlate_get(in, "allOf"), *node;
	const char *ref = xlate_text(in, "$ref");
	size_t n = xlate_count(all);

	for (size_t i = ref ? 0 : 1; i <= n; i++) {
		node = i ? gemini_schema_node(w, json_object_array_get_idx(all, i - 1), depth + 1)
		         : gemini_schema_ref(w, ref, depth);
		if (!node)
			return false;
		gemini_schema_merge(out, node);
		json_object_put(node);
	}
	return true;
}

static struct json_object *
gemini_schema_node(struct gemini_schema_walk *w, struct json_object *in, unsigned depth)
{
	struct json_object *out = json_object_new_object(), *any, *nullable;

	if (w->left == 0) {
		w->why = "the schema is too large for this provider";
		json_object_put(out);
		return NULL;
	}
	w->left--;
	if (depth >= SCHEMA_DEPTH_MAX) {
		xlate_put_text(out, "type", "object");
		return out;
	}
	gemini_schema_plain(in, out);
	gemini_schema_type(in, out);
	gemini_schema_enum(in, out);
	if (!gemini_schema_properties(w, in, out, depth) || !gemini_schema_items(w, in, out, depth) ||
	    !gemini_schema_any(w, in, out, depth) || !gemini_schema_parts(w, in, out, depth)) {
		json_object_put(out);
		return NULL;
	}
	any = xlate_get(out, "anyOf");
	if (!any)
		return out;
	/* Gemini takes alternatives only where nothing else stands beside them. */
	nullable = xlate_get(out, "nullable");
	for (size_t i = 0; nullable && i < json_object_array_length(any); i++)
		json_object_object_add(json_object_array_get_idx(any, i), "nullable",
		                       json_object_get(nullable));
	json_object_get(any);
	json_object_put(out);
	out = json_object_new_object();
	json_object_object_add(out, "anyOf", any);
	return out;
}

struct json_object *
gemini_schema(struct json_object *in, const char **why)
{
	struct gemini_schema_walk w = {.root = in, .left = SCHEMA_NODES_MAX};
	struct json_object *out = gemini_schema_node(&w, in, 0);

	if (!out)
		*why = w.why;
	return out;
}

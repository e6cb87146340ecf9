/* Files: reading one with bounds, and merging what `include` names.
 *
 * Lists of an included file are appended to those of the including one, maps are merged key by key, and a
 * key that both set keeps the value of the including file, with a warning. Loops and depth are errors. The
 * merge copies nodes, never children, because an alias may share them.
 */
#include "hale/hale.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_impl.h"

#include "hale/arena.h"
#include "hale/strbuf.h"

/* Where a message about a file belongs: at the include entry, or at the file as a whole. */
static void HALE_PRINTF(4, 5)
conf_file_error(struct conf_build *b, const struct conf_node *at, const char *path, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (at)
		errlist_add(b->errs, false, at->file, at->line, at->column, "include", "%.100s: %s", path, text);
	else
		errlist_add(b->errs, false, path, 0, 0, NULL, "%s", text);
}

/* Whole content of fd into text; HALE_ESYS or HALE_ELIMIT. */
static int
conf_file_read_all(int fd, struct strbuf *text)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return HALE_ESYS;
		strbuf_add(text, buf, (size_t)n);
		if (text->overflow)
			return HALE_ELIMIT;
	}
	return 0;
}

static int
conf_file_read(struct conf_build *b, const struct conf_node *at, const char *path, struct strbuf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = HALE_ECONF;
	struct stat st;

	if (fd == -1) {
		conf_file_error(b, at, path, "cannot be read: %s", strerror(errno));
		return rc;
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		conf_file_error(b, at, path, "is a directory, a file is expected");
		goto out;
	}
	rc = conf_file_read_all(fd, text);
	if (rc == HALE_ESYS)
		conf_file_error(b, at, path, "cannot be read: %s", strerror(errno));
	else if (rc)
		conf_file_error(b, at, path, "is too large, the limit is %u MiB", CONF_FILE_BYTES_MAX >> 20);
out:
	close(fd);
	return rc ? HALE_ECONF : 0;
}

static int
conf_file_parse(struct conf_build *b, const struct conf_node *at, const char *path, struct conf_node **out)
{
	const char *name = arena_strdup(b->arena, path);
	struct strbuf text;
	int rc;

	strbuf_init(&text, CONF_FILE_BYTES_MAX);
	rc = conf_file_read(b, at, name, &text);
	if (rc == 0)
		rc = conf_yaml_parse(b, name, strbuf_str(&text), text.len, out);
	strbuf_release(&text);
	return rc;
}

/* A new chain of a's members and then b's. */
static struct conf_node *
conf_file_chain(struct conf_build *b, const struct conf_node *first, const struct conf_node *second)
{
	const struct conf_node *part[] = {first, second};
	struct conf_node *head = NULL, **end = &head;

	for (unsigned i = 0; i < HALE_COUNT(part); i++) {
		for (const struct conf_node *n = part[i]; n; n = n->next) {
			*end = arena_alloc(b->arena, sizeof(**end));
			**end = *n;
			(*end)->next = NULL;
			end = &(*end)->next;
		}
	}
	return head;
}

/* Members of `from` that `into` lacks are added; depth: how many levels of maps are merged. */
static void
conf_file_merge(struct conf_build *b, struct conf_node *into, const struct conf_node *from, unsigned depth)
{
	struct conf_node **member, *n;
	uint32_t count = 0, i = 0;
	struct strmap at;

	into->child = conf_file_chain(b, into->child, NULL);
	for (n = into->child; n; n = n->next)
		count++;
	for (n = from->child; n; n = n->next)
		count++;
	member = xmalloc((count + 1) * sizeof(struct conf_node *));
	strmap_init(&at, b->arena, count);
	for (n = into->child; n; n = n->next) {
		*strmap_put(&at, n->key, 0) = i;
		member[i++] = n;
	}
	for (n = from->child; n; n = n->next) {
		uint32_t *found = strmap_put(&at, n->key, i);
		struct conf_node *own = *found < i ? member[*found] : NULL;

		if (strcmp(n->key, "include") == 0 && depth == 2)
			continue;
		if (own == NULL) {
			*found = i;
			member[i++] = conf_file_chain(b, &(struct conf_node){0}, NULL);
			*member[i - 1] = *n;
		} else if (own->kind == CONF_LIST && n->kind == CONF_LIST && depth == 2) {
			own->child = conf_file_chain(b, own->child, n->child);
		} else if (own->kind == CONF_MAP && n->kind == CONF_MAP && depth == 2) {
			conf_file_merge(b, own, n, depth - 1);
		} else {
			errlist_add(b->errs, true, n->file, n->key_line, n->key_column, n->key,
			            "also set in the including file (%.80s:%u), whose value is used", own->file, own->key_line);
		}
	}
	for (uint32_t k = 0; k < i; k++)
		member[k]->next = k + 1 < i ? member[k + 1] : NULL;
	into->child = i ? member[0] : NULL;
	free(member);
}

/* One entry of include: its tree is merged into root. */
static void
conf_file_include_one(struct conf_build *b, struct conf_node *root, const struct conf_node *at, const char *dir_of)
{
	const char *slash = strrchr(dir_of, '/');
	char path[PATH_MAX], real[PATH_MAX];
	struct conf_node *sub = NULL;
	int n;

	if (at->v.string[0] == '/' || slash == NULL)
		n = snprintf(path, sizeof(path), "%s", at->v.string);
	else
		n = snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - dir_of), dir_of, at->v.string);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		conf_file_error(b, at, at->v.string, "the path is too long");
		return;
	}
	if (realpath(path, real) == NULL) {
		conf_file_error(b, at, path, "cannot be read: %s", strerror(errno));
		return;
	}
	for (unsigned i = 0; i < b->depth; i++) {
		if (strcmp(b->stack[i], real) == 0) {
			conf_file_error(b, at, path, "includes itself");
			return;
		}
	}
	if (b->depth == CONF_INCLUDE_DEPTH_MAX || b->nfile == CONF_INCLUDE_FILES_MAX) {
		errlist_add(b->errs, false, at->file, at->line, at->column, "include",
		            "too many files: the limit is %d levels and %d files", CONF_INCLUDE_DEPTH_MAX, CONF_INCLUDE_FILES_MAX);
		return;
	}
	b->stack[b->depth++] = arena_strdup(b->arena, real);
	b->nfile++;
	if (conf_file_parse(b, at, path, &sub) == 0 && sub->kind == CONF_MAP) {
		conf_file_include(b, sub, path);
		conf_file_merge(b, root, sub, 2);
	}
	b->depth--;
}

void
conf_file_include(struct conf_build *b, struct conf_node *root, const char *dir_of)
{
	const struct conf_node *list = conf_get(root, "include");

	if (list && list->kind == CONF_STRING)
		conf_file_include_one(b, root, list, dir_of);
	if (list == NULL || list->kind != CONF_LIST)
		return; /* the schema says what is wrong with another kind */
	for (const struct conf_node *n = list->child; n; n = n->next)
		if (n->kind == CONF_STRING)
			conf_file_include_one(b, root, n, dir_of);
}

int
conf_file_load(struct conf_build *b, const char *path, struct conf_node **out)
{
	char real[PATH_MAX];
	int rc = conf_file_parse(b, NULL, path, out);

	if (rc || (*out)->kind != CONF_MAP)
		return rc;
	b->stack[0] = arena_strdup(b->arena, realpath(path, real) ? real : path);
	b->depth = 1;
	conf_file_include(b, *out, path);
	return 0;
}

/* What the conf_*.c files share while one configuration is being built. Nobody else includes it.
 *
 * The way of a file: conf_file reads it, conf_yaml makes the tree (conf_scalar gives scalars their
 * kind), conf_file merges what `include` names, conf_env resolves os.environ/, conf_check compares
 * every map with its section of the schema and stores values, conf_model turns model_list into
 * deployments. All messages go to one errlist; building goes on after an error, to find the others.
 */
#ifndef HALE_CONF_IMPL_H
#define HALE_CONF_IMPL_H

#include "hale/conf.h"
#include "hale/conf_schema.h"

#include "strmap.h"

#define CONF_FILE_BYTES_MAX (32u << 20)
#define CONF_NODES_MAX 2000000u /* an alias counts as all that it stands for */
#define CONF_TEXT_PER_NODE 256   /* so much text counts as one more value */
#define CONF_DEPTH_MAX 64
#define CONF_ANCHORS_MAX 10000
#define CONF_INCLUDE_DEPTH_MAX 8
#define CONF_INCLUDE_FILES_MAX 200

struct deployment;

/* Fast access to a finished configuration. */
struct conf_index {
	struct strmap ids, groups;        /* to positions */
	struct strmap aliases;            /* to positions in alias, the groups that they stand for */
	const char **alias;
	const struct conf_node *variables; /* environment_variables */
};

struct conf_build {
	struct arena *arena;
	struct errlist *errs;
	struct strmap options; /* a letter for the section and the key, to the position in the schema */
	uint32_t nodes;                           /* so far, towards CONF_NODES_MAX */
	const char *stack[CONF_INCLUDE_DEPTH_MAX]; /* real paths of the files being included */
	unsigned depth, nfile;
	const struct conf_node *unused_first;     /* the first known setting without effect */
	char unused[400];                         /* their names */
};

/* conf_yaml.c: HALE_ECONF: refused (messages are in b->errs), *out untouched. file is kept. */
int conf_yaml_parse(struct conf_build *b, const char *file, const char *text, size_t len, struct conf_node **out)
	HALE_MUST_USE;

/* conf_scalar.c: the value of an unquoted word by YAML 1.1, as Python's yaml reads it. n->text is set. */
void conf_scalar_resolve(struct conf_node *n);
/* Value of an explicit tag ("tag:yaml.org,2002:int"); false: unknown tag or the text does not fit. */
bool conf_scalar_tagged(struct conf_node *n, const char *tag);
/* Whole text as a number or boolean word; false when it is none. */
bool conf_scalar_int(const char *text, int64_t *out);
bool conf_scalar_double(const char *text, double *out);
bool conf_scalar_bool(const char *text, bool *out);

/* conf_file.c: the file and what it includes, as one tree. */
int conf_file_load(struct conf_build *b, const char *path, struct conf_node **out) HALE_MUST_USE;
/* Merges what the `include` member of root names. dir_of: the file that relative paths start at. */
void conf_file_include(struct conf_build *b, struct conf_node *root, const char *dir_of);

/* conf_env.c: replaces every os.environ/NAME below n. variables: environment_variables or NULL. */
void conf_env_resolve(struct conf_build *b, struct conf_node *n, const struct conf_node *variables);
/* NAME in variables, then in the process environment; NULL when unset. */
const char *conf_env_get(const struct conf_node *variables, const char *name);

/* conf_check.c: section defaults into base (struct conf or struct deployment). */
void conf_check_defaults(struct conf_build *b, enum conf_section section, void *base);
/* Values from environment variables; a malformed one is a warning and changes nothing. */
void conf_check_env(struct conf_build *b, const struct conf_node *variables, void *base);
/* Checks each member of map (may be NULL) and stores what the schema
 * gives a place. where: name for messages. */
void conf_check_map(struct conf_build *b, enum conf_section section, const struct conf_node *map, void *base);
/* The one warning that lists known settings without effect. */
void conf_check_finish(struct conf_build *b);
/* Adds an error or warning at n, with n's key. */
void conf_check_error(struct conf_build *b, const struct conf_node *n, const char *fmt, ...) HALE_PRINTF(3, 4);
void conf_check_warn(struct conf_build *b, const struct conf_node *n, const char *fmt, ...) HALE_PRINTF(3, 4);
/* Writes a value for a message: quoted text, bounded, without control characters. */
const char *conf_check_show(const struct conf_node *n, char *buf, size_t size);
/* "a map", "a list", "text" ... */
const char *conf_check_kind(const struct conf_node *n);

/* conf_aws.c: completes d->aws, d->api_key and d->api_base of a deployment
 * on AWS; warns where something is missing. */
void conf_aws_resolve(struct conf_build *b, const struct conf_node *variables, struct deployment *d);

/* conf_model.c: model_list into c->deployment and c->group. */
void conf_model_load(struct conf_build *b, struct conf *c, struct conf_index *index);

#endif

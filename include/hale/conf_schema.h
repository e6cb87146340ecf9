/* The schema: every key that a configuration may have, as one table.
 *
 * Validation, defaults, the typed structs, `hale check` and docs/config.md all come from it, so that none of
 * them can disagree. A new setting is a member in conf.h and one row in conf_schema.c.
 */
#ifndef HALE_CONF_SCHEMA_H
#define HALE_CONF_SCHEMA_H

#include "hale/hale.h"

/* Order is the order in which values are stored: a later section overrides an earlier one. */
enum conf_section {
	CONF_SEC_ENV = 0,  /* variables; place in struct conf */
	CONF_SEC_TOP,      /* keys of the file */
	CONF_SEC_LITELLM,  /* litellm_settings; struct conf, like the next three */
	CONF_SEC_GENERAL,
	CONF_SEC_ROUTER,
	CONF_SEC_HALE,
	CONF_SEC_CACHE,    /* litellm_settings.cache_params */
	CONF_SEC_ENTRY,    /* one entry of model_list; struct deployment, like the next two */
	CONF_SEC_PARAMS,   /* litellm_params */
	CONF_SEC_INFO,     /* model_info */
	CONF_SEC_COUNT
};

/* What a value must be, and the C type of its place. */
enum conf_type {
	CONF_TYPE_BOOL,    /* bool */
	CONF_TYPE_TRI,     /* int8_t: -1 not set, 0, 1 */
	CONF_TYPE_U32,     /* uint32_t; a negative value that the range allows is stored as 0 */
	CONF_TYPE_U64,     /* uint64_t */
	CONF_TYPE_I32,     /* int32_t */
	CONF_TYPE_SECONDS, /* seconds, fractions allowed; uint32_t milliseconds */
	CONF_TYPE_WHOLE_SECONDS, /* uint32_t seconds */
	CONF_TYPE_SECONDS_OR_TRUE, /* the same; true is stored as UINT32_MAX, for conf.c to resolve */
	CONF_TYPE_NUMBER,  /* double */
	CONF_TYPE_STRING,  /* const char *; numbers are taken as they are written */
	CONF_TYPE_STRINGS, /* const char *const *, NULL-terminated; one text or a list of texts */
	CONF_TYPE_GROUPS,  /* the same, but only a list */
	CONF_TYPE_STRATEGY, /* enum conf_strategy */
	CONF_TYPE_MODE,    /* enum mode */
	CONF_TYPE_MAP,     /* const struct conf_node *, like the next two */
	CONF_TYPE_LIST,
	CONF_TYPE_ANY,
	CONF_TYPE_MOVED,   /* not allowed here; help says where it belongs */
};

enum conf_reload {
	CONF_RELOAD = 0, /* SIGHUP: new processes get the new value, old ones finish with theirs */
	CONF_RESTART,    /* read once, when the daemon starts */
};

#define CONF_OPT_SECRET 1u /* the value never appears in a message */
#define CONF_OPT_UNUSED 2u /* known from LiteLLM, no effect in hale so far: reported once; checked when it has a type */
#define CONF_OPT_PASS 4u   /* a request parameter, passed to the provider as it is */
#define CONF_OPT_OURS 8u   /* not in LiteLLM */
#define CONF_OPT_FORGIVE 16u /* a value that is wrong is a warning and not used, as in LiteLLM */

#define CONF_NO_PLACE UINT16_MAX

struct conf_option {
	const char *key;
	enum conf_section section;
	enum conf_type type;
	double min, max;       /* of numbers; both 0: any */
	const char *unit;      /* or NULL */
	const char *fallback;  /* default as it would be written, NULL: none (or see help) */
	uint16_t place;        /* offset in struct conf or struct deployment */
	uint8_t flags;
	enum conf_reload reload;
	const char *help;      /* one sentence without a full stop; NULL for UNUSED and PASS */
};

/* The table, ordered by section. */
extern const struct conf_option conf_schema[];
extern const unsigned conf_schema_count;

/* "general_settings", "litellm_params" ...; "" for the top level. */
const char *conf_schema_section(enum conf_section s);
/* What a type's values look like, for people: "true or false". */
const char *conf_schema_type(enum conf_type t);

#endif

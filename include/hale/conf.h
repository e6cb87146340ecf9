/* The configuration of one generation: plain data, immutable after load, freed as a whole.
 *
 * conf_load() reads LiteLLM's config.yaml grammar through libyaml into a tree of conf_node, checks
 * it against one schema table (conf_schema.c) and fills the typed structs below. The tree stays:
 * /model/info, deployment ids and parameters that hale does not interpret come from it.
 */
#ifndef HALE_CONF_H
#define HALE_CONF_H

#include "hale/err.h"
#include "hale/hale.h"

struct arena;
struct conf_index;
struct deployment;
struct strbuf;
struct redact_set;

enum conf_kind { CONF_NULL, CONF_BOOL, CONF_INT, CONF_FLOAT, CONF_STRING, CONF_LIST, CONF_MAP };

/* One value of the file, after os.environ/ references and aliases were resolved. */
struct conf_node {
	enum conf_kind kind;
	bool from_env; /* the value came from os.environ/NAME */
	uint32_t line, column; /* from 1 */
	const char *file;
	const char *key; /* name inside the parent map, else NULL */
	uint32_t key_line, key_column; /* where the name is, from 1 */
	union {
		bool boolean;
		int64_t integer;
		double number;
		const char *string; /* NUL-terminated, no NUL inside */
	} v;
	const char *text;              /* scalars: as written in the file */
	struct conf_node *child, *next; /* lists and maps, in file order */
};

/* Member of a map; NULL when absent or when n is NULL or no map. Last
 * duplicate cannot exist: refused at load. */
const struct conf_node *conf_get(const struct conf_node *n, const char *key);
/* Text of a string member, else NULL. */
const char *conf_get_string(const struct conf_node *n, const char *key);
/* The value as JSON text, compact, in file order; NULL gives null. Secrets are not masked. */
void conf_json(const struct conf_node *n, struct strbuf *out);

enum conf_strategy { CONF_SIMPLE_SHUFFLE = 0, CONF_LEAST_BUSY, CONF_OTHER_STRATEGY };

/* general_settings */
struct conf_general {
	const char *master_key; /* NULL: open */
	const char *key_header; /* litellm_key_header_name or NULL */
	const char *database_url;
	bool background_health_checks, health_check_details, enable_health_check_routing;
	bool health_check_ignore_transient_errors, health_check_skip_disabled_background_models;
	bool model_list_healthy_only, allow_public_health_readiness_details, readiness_requires_db;
	uint32_t health_check_interval_s;    /* 1..86400 */
	uint32_t health_check_staleness_s;   /* resolved: explicit or interval * 2 */
	uint32_t health_check_concurrency;   /* 0: unbounded, i.e. hale_settings.probe_connections_max */
	uint32_t health_check_rise, health_check_fall; /* ours, default 1 and 1 */
	uint32_t health_check_fast_interval_s, health_check_down_interval_s; /* ours, 0: the normal interval */
	uint32_t health_check_skip_if_traffic_s; /* ours, resolved: 0 off; true is the interval */
	uint64_t health_check_daily_token_limit; /* ours, all deployments together; 0: none */
	const char *const *background_groups; /* NULL: all; else NULL-terminated */
};

/* router_settings (with litellm_settings where LiteLLM looks there too) */
struct conf_router {
	enum conf_strategy strategy;
	uint32_t num_retries;       /* default 2 */
	uint32_t timeout_ms;        /* whole request; 6000 s by default */
	uint32_t stream_timeout_ms; /* first byte of a stream; 0: timeout_ms */
	uint32_t cooldown_time_ms, allowed_fails, retry_after_ms;
	bool allowed_fails_set, disable_cooldowns;
	const struct conf_node *allowed_fails_policy, *fallbacks; /* as written, or NULL */
	const struct conf_node *model_group_alias; /* as written: conf_alias_find() resolves; or NULL */
};

/* hale_settings: every bound of the daemon. Bytes, counts and milliseconds as the names say. */
struct conf_limits {
	uint32_t header_bytes_max, header_count_max, uri_bytes_max;
	uint64_t body_bytes_max;
	uint32_t json_depth_max;
	uint32_t client_header_timeout_ms, client_body_timeout_ms, client_idle_timeout_ms, client_write_timeout_ms;
	uint32_t client_connections_max;   /* per worker */
	uint32_t client_buffer_bytes_max;  /* per connection towards a slow client, then the upstream is paused */
	uint32_t upstream_connections_max; /* per worker */
	uint32_t upstream_host_connections_max;
	uint32_t upstream_idle_timeout_ms;
	const char *upstream_proxy; /* for every deployment that has none of its own; NULL: none */
	uint32_t connect_timeout_ms, first_byte_timeout_ms, first_token_timeout_ms, stream_idle_timeout_ms;
	uint32_t realtime_sessions_max;    /* per worker */
	uint32_t realtime_idle_timeout_ms; /* without a byte in either direction; 0: no limit */
	uint64_t response_bytes_max;       /* answers that must be held whole (translated providers) */
	uint32_t probe_connections_max;
	uint32_t health_round_timeout_ms;  /* how long GET /health waits for an on-demand round */
	uint64_t health_cache_bytes_max;   /* rendered entries of /health that a worker keeps */
	uint32_t health_waiters_max;       /* GET /health requests that may wait at once, per worker */
	uint32_t drain_announce_ms;        /* readiness says 503 for this long before the daemon stops to accept */
	uint32_t drain_timeout_ms;         /* GRACEFUL_SHUTDOWN_TIMEOUT, 30 s */
	uint32_t deployments_max;
};

/* What the health system reads from the environment (section "environment" of docs/config.md). */
struct conf_health_env {
	const char *prompt;          /* DEFAULT_HEALTH_CHECK_PROMPT, "test from litellm" */
	uint32_t timeout_ms;         /* HEALTH_CHECK_TIMEOUT_SECONDS, 60 s */
	int32_t max_tokens;          /* BACKGROUND_HEALTH_CHECK_MAX_TOKENS, -1: unset */
	int32_t max_tokens_reasoning;
};

struct conf_group {
	const char *name; /* model_name; may contain * */
	bool wildcard;
	const uint32_t *member; /* positions in conf.deployment, ascending */
	uint32_t nmember;
};

struct conf {
	struct arena *arena;
	const char *path;    /* NULL: embedded default */
	uint64_t generation; /* set by the master: 1, 2 ... */
	const struct conf_node *root;
	struct conf_general general;
	struct conf_router router;
	struct conf_limits limits;
	struct conf_health_env health_env;
	const char *const *success_callbacks; /* NULL-terminated */
	const char *cache_type;               /* "redis" when litellm_settings.cache is on, else NULL */
	const struct deployment *deployment;
	uint32_t ndeployment;
	const struct conf_group *group; /* in order of first appearance */
	uint32_t ngroup;
	const struct redact_set *secrets; /* redact_set_build(), the last step of loading */
	const struct conf_index *index; /* private to conf.c: what the find functions use */
};

/* Reads, checks and resolves `path` (NULL: the embedded default). On success *out is the caller's
 * (conf_freep) and errs may hold warnings; on failure HALE_ECONF, *out untouched, errs says why.
 * Blocks on disk: master and command line only. Never exits, whatever the file contains. */
int conf_load(const char *path, struct conf **out, struct errlist *errs) HALE_MUST_USE;
/* The same for a text in memory; name is what messages call it, relative includes start at its directory. */
int conf_load_text(const char *name, const char *text, size_t len, struct conf **out, struct errlist *errs)
	HALE_MUST_USE;
void conf_freep(struct conf **c);
/* Two INFO lines: how much was loaded, and the background health check settings in force. */
void conf_log_summary(const struct conf *c);

/* environment_variables of the file first, then the process environment. NULL when unset. Pure. */
const char *conf_env(const struct conf *c, const char *name);
/* Is this model group one of background_health_check_model_groups, or is there no such list? Pure. */
bool conf_is_background_group(const struct conf *c, const char *name);
/* Is d probed in the background: switched on, not disabled, in a group that is? Pure. */
bool conf_is_background(const struct conf *c, const struct deployment *d);
/* Exact group name, NULL when there is none. */
const struct conf_group *conf_group_find(const struct conf *c, const char *name);
/* What a further name of router_settings.model_group_alias stands for, NULL when it is none. One step: the
 * result is a name like any other, and no alias again. */
const char *conf_alias_find(const struct conf *c, const char *name);
/* First deployment with that id, NULL when there is none. O(1). */
const struct deployment *conf_deployment_find(const struct conf *c, const char *id);

#endif

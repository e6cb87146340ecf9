/* One entry of model_list, resolved: which provider, which address, which key, how to probe it.
 *
 * Part of struct conf, so immutable and shared by all processes of a generation; what changes at
 * run time (health, outcomes) is in the shared segment at the same index.
 */
#ifndef HALE_DEPLOYMENT_H
#define HALE_DEPLOYMENT_H

#include "hale/hale.h"
#include "hale/mode.h"

struct conf_node;
struct provider;

/* model_info.health_check_*; -1 and NULL mean "not set". */
struct deployment_probe {
	enum mode mode; /* MODE_NONE: not configured, or a word without a probe */
	bool disabled; /* disable_background_health_check */
	uint32_t timeout_ms;
	int32_t max_tokens, max_tokens_reasoning, max_tokens_non_reasoning;
	int8_t supports_max_tokens; /* -1 unset, 0, 1 */
	uint64_t daily_token_limit; /* ours; 0: none */
	const char *mode_text;      /* model_info.mode as written, also when it names no mode that we know */
	const char *model;          /* health_check_model, provider prefix included */
	const struct deployment *as; /* where and as whom, when that names another provider; NULL: as itself */
	const char *prompt;         /* health_check_prompt */
	const char *voice;
	const struct conf_node *params, *reasoning_effort;
};

/* Credentials and region of providers on AWS (provider.aws); NULL: not known. Either key_id and secret are
 * set or neither; a deployment with an api_key has none of them. */
struct deployment_aws {
	const char *key_id, *secret, *token, *region;
};

struct deployment {
	uint32_t index; /* position in conf.deployment and in every table of the segment */
	uint32_t group; /* position in conf.group */
	const char *id; /* LiteLLM's formula, see deployment_id() */
	uint64_t id_hash;
	const char *model_name; /* public name */
	const char *model;      /* litellm_params.model as configured */
	const char *upstream_model; /* without the provider prefix: what the provider is asked for */
	const struct provider *provider; /* never NULL: entries with an unknown provider are not loaded */
	const char *api_base;   /* configured, or the provider's default; no trailing slash; NULL if none */
	bool api_base_set;      /* configured (shown in /health) */
	const char *api_key;    /* NULL: no Authorization header */
	const char *api_version, *organization;
	struct deployment_aws aws;
	bool wildcard;          /* model contains '*' */
	bool blocked;
	bool insecure_tls;      /* litellm_params.ssl_verify: false */
	bool http2;             /* model_info.http2; false without TLS */
	const char *proxy;      /* model_info.proxy or hale_settings.upstream_proxy; NULL: none */
	double weight, rpm, tpm; /* 0: not set */
	int32_t order;           /* INT32_MAX: not set */
	uint32_t timeout_ms, stream_timeout_ms; /* 0: router's */
	int32_t num_retries;     /* -1: router's */
	struct deployment_probe probe;
	const struct conf_node *params, *info; /* litellm_params, model_info (NULL when absent) */
};

/* LiteLLM's id: lower-case hex SHA-256 over model_name and every key and value of litellm_params in
 * file order, values as Python prints them (docs/config.md "Deployment ids"). out: 65 bytes. Pure. */
void deployment_id(const char *model_name, const struct conf_node *params, char out[65]);
/* How to probe it: the configured mode, else what the model's name says (hale/catalogue.h), else chat.
 * MODE_NONE only for a configured word of LiteLLM's that hale does not probe (probe.mode_text). Pure. */
enum mode deployment_resolve_mode(const struct deployment *d);
enum mode_source { MODE_CONFIGURED, MODE_BY_NAME, MODE_BY_DEFAULT };
/* The same, and where it comes from. Pure. */
enum mode_source deployment_mode_source(const struct deployment *d, enum mode *mode);
/* 64-bit hash of an id, for the shared table. Pure. */
uint64_t deployment_id_hash(const char *id);

#endif

/* The health endpoints' answers, byte for byte. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/err.h"
#include "hale/htable_master.h"
#include "hale/htable_writer.h"
#include "hale/outcome.h"
#include "hale/probe.h"
#include "hale/strbuf.h"
#include "hale/upstream.h"
#include "worker_render.h"
#include "worker_render_cache.h"

#define SEC NS_PER_SEC

/* 2026-11-22T00:00:00Z, an hour after boot. */
static const struct render_now now = {.mono_ns = 3600 * SEC, .real_ns = 1795305600 * SEC};
static const struct render_scope everything = {.scope = IPC_SCOPE_ALL};

/* In the place of probe.c: a request whose bytes this test knows. */
int
probe_request_build(struct arena *a, const struct conf *c, const struct deployment *d, enum probe_adapt adapt,
                    uint32_t random, struct probe_request *out, const char **why)
{
	(void)a, (void)c, (void)adapt, (void)random, (void)why;
	*out = (struct probe_request){
		.endpoint = {.method = "POST", .url = "http://default.test/x", .nheader = 2},
		.body = "not for people",
		.body_len = strlen("not for people"),
		.shown = "{\"model\":\"gpt-4\",\"user\":\"team-a-key-1\"}",
		.content_type = "application/json",
		.as = d,
		.model = d->wildcard ? "openai/cheap" : d->model,
	};
	out->endpoint.header[0] = (struct http_header){"Authorization", "Bearer team-a-key-1"};
	out->endpoint.header[1] = (struct http_header){"X-Version", "2"};
	return 0;
}

struct world {
	struct render_cache *cache;
	struct conf *conf;
	struct htable *table;
	struct strbuf out;
};

static void
world_init(struct world *w, const char *yaml)
{
	struct errlist errs;

	errlist_init(&errs);
	strbuf_init(&w->out, 0);
	if (conf_load_text("test.yaml", yaml, strlen(yaml), &w->conf, &errs) != 0)
		fail_msg("%s", errs.error[0].text);
	errlist_release(&errs);
	w->table = htable_create(w->conf, 2, NULL, NULL);
	assert_non_null(w->table);
	w->cache = worker_render_cache_new(w->conf->ndeployment, 1u << 20);
}

static void
world_release(struct world *w)
{
	worker_render_cache_freep(&w->cache);
	htable_freep(&w->table);
	conf_freep(&w->conf);
	strbuf_release(&w->out);
}

/* Deployment i was checked 10 s ago. */
static void
probed(struct world *w, uint32_t i, enum health_state s, enum health_reason r, int status, const char *error)
{
	struct htable_detail d = {0};
	struct htable_view v = {
		.id_hash = w->conf->deployment[i].id_hash,
		.checked_ns = 3590 * SEC,
		.changed_ns = 3000 * SEC,
		.next_ns = 3890 * SEC,
		.state = (uint8_t)s,
		.reason = (uint8_t)r,
		.phase = r == REASON_CONNECT_ERROR ? UPSTREAM_CONNECT : UPSTREAM_HEAD,
		.http_status = (uint16_t)status,
		.latency_us = 12345,
	};

	htable_publish(w->table, i, &v);
	snprintf(d.error, sizeof(d.error), "%s", error ? error : "");
	htable_publish_detail(w->table, i, &d);
}

static const char *
health(struct world *w, const struct render_scope *scope, bool admin, int want)
{
	struct render_source from = {.conf = w->conf, .table = w->table};
	struct strbuf kept;

	strbuf_clear(&w->out);
	assert_int_equal(worker_render_health(&w->out, &from, scope, admin, &now), want);
	/* every answer is the same with entries that were kept, and with those that are now */
	from.cache = w->cache;
	for (int i = 0; i < 2; i++) {
		strbuf_init(&kept, 0);
		assert_int_equal(worker_render_health(&kept, &from, scope, admin, &now), want);
		assert_string_equal(strbuf_str(&kept), strbuf_str(&w->out));
		strbuf_release(&kept);
	}
	return strbuf_str(&w->out);
}

#define CHECKED "\"latency_ms\":12.345,\"checked_at\":\"2026-11-21T23:59:50.000000Z\",\"since\":" \
	"\"2026-11-21T23:50:00.000000Z\",\"next_check_at\":\"2026-11-22T00:04:50.000000Z\",\"probe_tokens\":0," \
	"\"probe_tokens_today\":0}"
#define UP_STATE ",\"state\":\"healthy\",\"reason\":\"ok\",\"source\":\"probe\",\"phase\":\"head\"," CHECKED
#define DOWN_STATE(reason, phase) \
	",\"state\":\"unhealthy\",\"reason\":\"" reason "\",\"source\":\"probe\",\"phase\":\"" phase "\"," CHECKED

static const char two[] =
	"model_list:\n"
	"  - model_name: g\n"
	"    litellm_params: {model: openai/gpt-4, api_key: team-a-key-1, api_base: 'http://a.test/v1', rpm: 5, timeout: 9}\n"
	"    model_info: {id: one}\n"
	"  - model_name: g\n"
	"    litellm_params: {model: openai/gpt-4, api_key: team-b-key-2, max_tokens: 3}\n"
	"    model_info: {id: two}\n"
	"  - model_name: h\n"
	"    litellm_params: {model: openai/gpt-5, api_key: team-c-key-3}\n"
	"    model_info: {id: three, health_check_model: openai/gpt-5-mini, disable_background_health_check: true}\n";

static void
test_healthy_entry(void **state)
{
	struct world w;
	struct htable_detail d = {.ratelimit_requests = "999", .ratelimit_tokens = "42", .ms_region = "East US"};

	(void)state;
	world_init(&w, two);
	for (uint32_t i = 0; i < 3; i++)
		probed(&w, i, HEALTH_UP, REASON_OK, 200, NULL);
	htable_publish_detail(w.table, 1, &d);
	assert_string_equal(
		health(&w, &everything, true, 200),
		"{\"healthy_endpoints\":["
		"{\"model\":\"openai/gpt-4\",\"api_base\":\"http://a.test/v1\",\"rpm\":5,\"model_id\":\"one\"" UP_STATE ","
		"{\"model\":\"openai/gpt-4\",\"x-ratelimit-remaining-requests\":\"999\","
		"\"x-ratelimit-remaining-tokens\":\"42\",\"x-ms-region\":\"East US\",\"model_id\":\"two\"" UP_STATE ","
		"{\"model\":\"openai/gpt-5-mini\",\"model_id\":\"three\",\"configured_model\":\"openai/gpt-5\","
		"\"probe_model\":\"openai/gpt-5-mini\"" UP_STATE
		"],\"unhealthy_endpoints\":[],\"healthy_count\":3,\"unhealthy_count\":0}");
	assert_string_equal(
		health(&w, &(struct render_scope){.scope = IPC_SCOPE_DEPLOYMENT, .index = 0}, false, 200),
		"{\"healthy_endpoints\":[{\"model\":\"openai/gpt-4\",\"rpm\":5,\"model_id\":\"one\"" UP_STATE
		"],\"unhealthy_endpoints\":[],\"healthy_count\":1,\"unhealthy_count\":0}");
	world_release(&w);
}

static void
test_unhealthy_entry(void **state)
{
	static const struct render_scope first = {.scope = IPC_SCOPE_DEPLOYMENT, .index = 0, .targeted = true};
	struct world w;
	const char *got;

	(void)state;
	world_init(&w, two);
	probed(&w, 0, HEALTH_DOWN, REASON_SERVER_ERROR, 503, "the server said \"no\"");
	assert_string_equal(
		health(&w, &first, false, 503),
		"{\"healthy_endpoints\":[],\"unhealthy_endpoints\":["
		"{\"model\":\"openai/gpt-4\",\"rpm\":5,\"error\":\"the server said \\\"no\\\"\",\"model_id\":\"one\","
		"\"exception_status\":503" DOWN_STATE("server_error", "head")
		"],\"healthy_count\":0,\"unhealthy_count\":1}");
	got = health(&w, &first, true, 503);
	assert_string_equal(
		got,
		"{\"healthy_endpoints\":[],\"unhealthy_endpoints\":["
		"{\"model\":\"openai/gpt-4\",\"api_base\":\"http://a.test/v1\",\"rpm\":5,"
		"\"error\":\"the server said \\\"no\\\"\","
		"\"raw_request_typed_dict\":{\"raw_request_api_base\":\"http://a.test/v1/\","
		"\"raw_request_body\":{\"model\":\"gpt-4\",\"user\":\"te****-1\",\"extra_body\":{}},"
		"\"raw_request_headers\":{\"Content-Type\":\"application/json\",\"Authorization\":\"Be****-1\","
		"\"X-Version\":\"2\"},\"error\":null},\"model_id\":\"one\",\"exception_status\":503"
		DOWN_STATE("server_error", "head") "],\"healthy_count\":0,\"unhealthy_count\":1}");

	probed(&w, 0, HEALTH_DOWN, REASON_TIMEOUT, 0, NULL);
	got = health(&w, &first, false, 503);
	assert_non_null(strstr(got, "\"error\":\"Timeout exceeded\",\"model_id\":\"one\",\"exception_status\":408,"));
	probed(&w, 0, HEALTH_DOWN, REASON_CONNECT_ERROR, 0, NULL);
	got = health(&w, &first, false, 503);
	assert_non_null(strstr(got, "\"error\":\"connect_error\",\"model_id\":\"one\",\"exception_status\":500,"));
	assert_non_null(strstr(got, "\"phase\":\"connect\""));
	probed(&w, 0, HEALTH_DOWN, REASON_BAD_BODY, 200, NULL);
	assert_non_null(strstr(health(&w, &first, false, 503), "\"exception_status\":500,"));
	world_release(&w);
}

/* The body's JSON is what a client parses: quotes, control bytes and
 * broken UTF-8 of an upstream's error stay data. */
static void
test_hostile_error_text(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, two);
	probed(&w, 0, HEALTH_DOWN, REASON_SERVER_ERROR, 500, "\"}],\"healthy_count\":7\x01\xff\n</script>");
	assert_non_null(strstr(health(&w, &everything, false, 200),
	                       "\"error\":\"\\\"}],\\\"healthy_count\\\":7\\u0001\xef\xbf\xbd\\n</script>\""));
	world_release(&w);
}

static void
test_details_off(void **state)
{
	struct world w;
	struct strbuf yaml;

	(void)state;
	strbuf_init(&yaml, 0);
	strbuf_printf(&yaml, "%sgeneral_settings: {health_check_details: false}\n", two);
	world_init(&w, strbuf_str(&yaml));
	probed(&w, 0, HEALTH_UP, REASON_OK, 200, NULL);
	probed(&w, 1, HEALTH_DOWN, REASON_UNAUTHORIZED, 401, "no");
	assert_string_equal(health(&w, &(struct render_scope){.scope = IPC_SCOPE_GROUP, .index = 0}, true, 200),
	                    "{\"healthy_endpoints\":[{\"model\":\"openai/gpt-4\",\"model_id\":\"one\"}],"
	                    "\"unhealthy_endpoints\":[{\"model\":\"openai/gpt-4\",\"model_id\":\"two\","
	                    "\"exception_status\":401}],\"healthy_count\":1,\"unhealthy_count\":1}");
	world_release(&w);
	strbuf_release(&yaml);
}

static void
test_scope(void **state)
{
	struct render_scope s;
	struct world w;

	(void)state;
	world_init(&w, two);
	for (uint32_t i = 0; i < 3; i++)
		probed(&w, i, i == 1 ? HEALTH_DOWN : HEALTH_UP, i == 1 ? REASON_NOT_FOUND : REASON_OK, 404, NULL);
	assert_int_equal(worker_render_scope(w.conf, NULL, NULL, &s), 0);
	assert_true(s.scope == IPC_SCOPE_ALL && !s.targeted && !s.empty);
	assert_int_equal(worker_render_scope(w.conf, "g", NULL, &s), 0);
	assert_true(s.scope == IPC_SCOPE_GROUP && s.index == 0 && s.targeted && !s.empty);
	assert_non_null(strstr(health(&w, &s, true, 200), "\"healthy_count\":1,\"unhealthy_count\":1}"));
	assert_int_equal(worker_render_scope(w.conf, "openai/gpt-5", NULL, &s), 0);
	assert_true(s.scope == IPC_SCOPE_MODEL && s.index == 2);
	assert_non_null(strstr(health(&w, &s, true, 200), "\"model_id\":\"three\""));
	assert_int_equal(worker_render_scope(w.conf, "g", "two", &s), 0); /* the id wins */
	assert_true(s.scope == IPC_SCOPE_DEPLOYMENT && s.index == 1);
	health(&w, &s, true, 503);
	assert_int_equal(worker_render_scope(w.conf, "g", "nope", &s), HALE_ENOENT);
	assert_int_equal(worker_render_scope(w.conf, "nope", NULL, &s), 0);
	assert_true(s.empty);
	assert_string_equal(health(&w, &s, true, 503), "{\"healthy_endpoints\":[],\"unhealthy_endpoints\":[],"
	                                               "\"healthy_count\":0,\"unhealthy_count\":0}");
	strbuf_clear(&w.out);
	worker_render_no_model_id(&w.out, "no\"pe");
	assert_string_equal(strbuf_str(&w.out), "{\"detail\":{\"error\":\"Model with ID no\\\"pe not found\"}}");
	world_release(&w);
}

/* In background mode what was not checked yet is in neither list, and disabled deployments do not exist. */
static void
test_background(void **state)
{
	struct world w;
	struct strbuf yaml;

	(void)state;
	strbuf_init(&yaml, 0);
	strbuf_printf(&yaml, "%sgeneral_settings: {background_health_checks: true}\n", two);
	world_init(&w, strbuf_str(&yaml));
	assert_string_equal(health(&w, &everything, true, 200), "{\"healthy_endpoints\":[],\"unhealthy_endpoints\":[],"
	                                                        "\"healthy_count\":0,\"unhealthy_count\":0}");
	for (uint32_t i = 0; i < 3; i++)
		probed(&w, i, HEALTH_UP, REASON_OK, 200, NULL);
	assert_non_null(strstr(health(&w, &everything, true, 200), "\"healthy_count\":2,\"unhealthy_count\":0}"));
	assert_null(strstr(strbuf_str(&w.out), "three"));
	health(&w, &(struct render_scope){.scope = IPC_SCOPE_DEPLOYMENT, .index = 2, .targeted = true}, true, 503);
	world_release(&w);

	strbuf_clear(&yaml);
	strbuf_printf(&yaml, "%sgeneral_settings: {background_health_checks: true, "
	                     "background_health_check_model_groups: [h]}\n", two);
	world_init(&w, strbuf_str(&yaml));
	for (uint32_t i = 0; i < 3; i++)
		probed(&w, i, HEALTH_UP, REASON_OK, 200, NULL);
	assert_non_null(strstr(health(&w, &everything, true, 200), "\"healthy_count\":0,\"unhealthy_count\":0}"));
	world_release(&w);
	strbuf_release(&yaml);
}

static void
test_on_demand(void **state)
{
	struct world w;
	struct strbuf yaml;
	const char *got;

	(void)state;
	world_init(&w, two); /* no background loop: the caller had asked for a round */
	probed(&w, 0, HEALTH_UP, REASON_OK, 200, NULL);
	probed(&w, 1, HEALTH_UNKNOWN, REASON_BAD_PROBE, 400, "max_tokens is not supported");
	got = health(&w, &everything, false, 200);
	assert_non_null(strstr(got, "\"healthy_count\":1,\"unhealthy_count\":2}"));
	assert_non_null(strstr(got, "\"error\":\"max_tokens is not supported\",\"model_id\":\"two\",\"exception_status\":400,"
	                            "\"state\":\"unknown\",\"reason\":\"bad_probe\""));
	assert_non_null(strstr(got, "\"error\":\"No probe result yet\",\"model_id\":\"three\",\"configured_model\":"
	                            "\"openai/gpt-5\",\"probe_model\":\"openai/gpt-5-mini\",\"exception_status\":500,"
	                            "\"state\":\"unknown\",\"reason\":\"never_checked\"}"));
	probed(&w, 1, HEALTH_UNKNOWN, REASON_OK, 200, NULL); /* on its way up */
	assert_non_null(strstr(health(&w, &everything, false, 200), "\"healthy_count\":2,\"unhealthy_count\":1}"));
	world_release(&w);

	strbuf_init(&yaml, 0);
	strbuf_printf(&yaml, "%sgeneral_settings: {health_check_skip_disabled_background_models: true}\n", two);
	world_init(&w, strbuf_str(&yaml));
	assert_non_null(strstr(health(&w, &everything, false, 200), "\"healthy_count\":0,\"unhealthy_count\":2}"));
	world_release(&w);
	strbuf_release(&yaml);
}

/* What probes cost, and what is known without one. */
static void
test_cost(void **state)
{
	struct htable_detail d = {.tokens_today = 40, .day = 20779, .source = SOURCE_TRAFFIC, .skipped = 3, .withheld = 1,
	                          .flags = HTABLE_ESTIMATED | HTABLE_LIMITED, .error = "vetoed by real traffic: no"};
	struct htable_view v = {.checked_ns = 3590 * SEC, .state = HEALTH_UP, .reason = REASON_BAD_PROBE, .cost_tokens = 8};
	struct world w;
	const char *got;

	(void)state;
	world_init(&w, two);
	v.id_hash = w.conf->deployment[0].id_hash;
	htable_publish(w.table, 0, &v);
	htable_publish_detail(w.table, 0, &d);
	got = health(&w, &everything, false, 200);
	assert_non_null(strstr(got, "\"state\":\"healthy\",\"reason\":\"bad_probe\",\"source\":\"traffic\",\"probe_error\":"
	                            "\"vetoed by real traffic: no\""));
	assert_non_null(strstr(got, "\"probe_tokens\":8,\"probe_tokens_today\":40,\"probe_tokens_estimated\":true,"
	                            "\"probe_limit_reached\":true,\"probes_skipped\":3,\"probes_withheld\":1}"));
	d.day--; /* yesterday's account */
	htable_publish_detail(w.table, 0, &d);
	got = health(&w, &everything, false, 200);
	assert_non_null(strstr(got, "\"probe_tokens_today\":0,\"probe_tokens_estimated\":true,\"probes_skipped\":3"));
	world_release(&w);
}

static const char *
readiness(struct world *w, bool draining, bool details, int want)
{
	strbuf_clear(&w->out);
	assert_int_equal(worker_render_readiness(&w->out, w->conf, w->table, draining, details, &now), want);
	return strbuf_str(&w->out);
}

static void
test_readiness(void **state)
{
	struct world w;
	const char *got;

	(void)state;
	world_init(&w, two);
	assert_string_equal(readiness(&w, false, false, 200),
	                    "{\"status\":\"connected\",\"db\":\"Not connected\",\"cache\":null,\"litellm_version\":\"" HALE_PRODUCT
	                    "\",\"success_callbacks\":[]}");
	got = readiness(&w, false, true, 200);
	assert_non_null(strstr(got, "\"is_detailed_debug\":false"));
	assert_non_null(strstr(got, "\"workers\":2,\"deployments\":3"));
	assert_string_equal(readiness(&w, true, false, 503), "{\"status\":\"shutting_down\"}");
	htable_set_daemon_state(w.table, DAEMON_DRAINING);
	assert_string_equal(readiness(&w, false, true, 503), "{\"status\":\"shutting_down\"}");
	strbuf_clear(&w.out);
	assert_int_equal(worker_render_liveness(&w.out, w.table, false), 503);
	htable_set_daemon_state(w.table, DAEMON_RUNNING);
	strbuf_clear(&w.out);
	assert_int_equal(worker_render_liveness(&w.out, w.table, true), 503);
	assert_string_equal(strbuf_str(&w.out), "{\"status\":\"shutting_down\"}");
	strbuf_clear(&w.out);
	assert_int_equal(worker_render_liveness(&w.out, w.table, false), 200);
	assert_string_equal(strbuf_str(&w.out), "\"I'm alive!\"");
	world_release(&w);
}

static void
test_readiness_database(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "general_settings: {database_url: 'postgresql://u:p@h/d', readiness_requires_db: true}\n"
	               "litellm_settings: {success_callback: [langfuse, otel]}\n");
	htable_attach(w.table, 3599 * SEC);
	assert_string_equal(readiness(&w, false, false, 503),
	                    "{\"status\":\"connected\",\"db\":\"disconnected\",\"cache\":null,\"litellm_version\":\"" HALE_PRODUCT
	                    "\",\"success_callbacks\":[\"langfuse\",\"otel\"],\"last_updated\":\"2026-11-21T23:59:59.000000\"}");
	htable_set_db(w.table, DAEMON_DB_CONNECTED);
	assert_non_null(strstr(readiness(&w, false, false, 200), "\"db\":\"connected\""));
	world_release(&w);
}

static void
test_backlog(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, two);
	counter_add(w.table, 0, COUNTER_REQUESTS_OPEN, 2);
	counter_add(w.table, 1, COUNTER_REQUESTS_OPEN, 1);
	counter_add(w.table, 1, COUNTER_CONNECTIONS_REFUSED, 4);
	worker_render_backlog(&w.out, w.table);
	assert_string_equal(strbuf_str(&w.out), "{\"in_flight_requests\":3,\"admitted_requests\":3,\"queued_requests\":0,"
	                                        "\"rejected_requests\":4}");
	world_release(&w);
}

static const char *
model_info(struct world *w, const char *id, bool healthy_only, int want)
{
	strbuf_clear(&w->out);
	assert_int_equal(worker_render_model_info(&w->out, w->conf, w->table, id, healthy_only, &now), want);
	return strbuf_str(&w->out);
}

static void
test_model_info(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "model_list:\n"
	               "  - model_name: g\n"
	               "    litellm_params:\n"
	               "      model: openai/gpt-4\n"
	               "      api_key: team-a-key-1\n"
	               "      api_base: http://user:pass1@a.test/v1\n"
	               "      aws_secret_access_key: aws-secret-1\n"
	               "      aws_session_token: session-token-1\n"
	               "      temperature: 0.5\n"
	               "      extra_headers: {X-Api-Key: header-key-1, X-Team: [red, null, true]}\n"
	               "    model_info: {id: one, mode: chat, key: gpt-4, max_tokens: 8192, input_cost_per_token: 1.0e-06}\n"
	               "  - model_name: h\n"
	               "    litellm_params: {model: anthropic/claude, api_key: team-b-key-2}\n"
	               "    model_info: {id: two}\n");
	assert_string_equal(
		model_info(&w, NULL, false, 200),
		"{\"data\":[{\"model_name\":\"g\",\"litellm_params\":{\"model\":\"openai/gpt-4\","
		"\"api_base\":\"http://us****s1@a.test/v1\",\"aws_session_token\":\"se****-1\",\"temperature\":0.5,"
		"\"extra_headers\":{\"X-Api-Key\":\"he****-1\",\"X-Team\":[\"red\",null,true]}},"
		"\"model_info\":{\"id\":\"one\",\"db_model\":false,\"mode\":\"chat\",\"key\":\"gpt-4\",\"max_tokens\":8192,"
		"\"input_cost_per_token\":1e-06,\"litellm_provider\":\"openai\"}},"
		"{\"model_name\":\"h\",\"litellm_params\":{\"model\":\"anthropic/claude\"},"
		"\"model_info\":{\"id\":\"two\",\"db_model\":false,\"litellm_provider\":\"anthropic\"}}]}");
	assert_non_null(strstr(model_info(&w, "two", false, 200), "{\"data\":[{\"model_name\":\"h\""));
	assert_null(strstr(strbuf_str(&w.out), "\"g\""));
	assert_string_equal(model_info(&w, "x", false, 400),
	                    "{\"detail\":{\"error\":\"Model id = x not found on litellm proxy\"}}");
	probed(&w, 0, HEALTH_DOWN, REASON_SERVER_ERROR, 500, NULL);
	assert_null(strstr(model_info(&w, NULL, true, 200), "\"one\""));
	assert_non_null(strstr(strbuf_str(&w.out), "\"two\""));
	world_release(&w);

	world_init(&w, "model_list: []\n");
	assert_non_null(strstr(model_info(&w, NULL, false, 500), "{\"detail\":{\"error\":\"LLM Model List not loaded in."));
	world_release(&w);
}

static const char *
models(struct world *w, bool healthy_only, bool wildcards)
{
	strbuf_clear(&w->out);
	worker_render_models(&w->out, w->conf, w->table, healthy_only, wildcards, &now);
	return strbuf_str(&w->out);
}

#define MODEL(name) "{\"id\":\"" name "\",\"object\":\"model\",\"created\":1677610602,\"owned_by\":\"openai\"}"

static void
test_models(void **state)
{
	struct htable_view v;
	struct world w;

	(void)state;
	world_init(&w, "model_list:\n"
	               "  - {model_name: a, litellm_params: {model: openai/x, api_key: k-1}, model_info: {id: '1'}}\n"
	               "  - {model_name: b, litellm_params: {model: openai/x, api_key: k-1}, model_info: {id: '2'}}\n"
	               "  - {model_name: a, litellm_params: {model: openai/y, api_key: k-1}, model_info: {id: '3'}}\n"
	               "  - {model_name: 'openai/*', litellm_params: {model: 'openai/*', api_key: k-1}}\n"
	               "router_settings:\n"
	               "  model_group_alias: {fast: b, secretly: {model: a, hidden: true}, shown: {model: a}, nowhere: zz}\n");
	assert_string_equal(models(&w, false, false),
	                    "{\"data\":[" MODEL("a") "," MODEL("b") "," MODEL("fast") "," MODEL("shown") "],\"object\":\"list\"}");
	assert_non_null(strstr(models(&w, false, true), MODEL("openai/*")));
	probed(&w, 0, HEALTH_DOWN, REASON_SERVER_ERROR, 500, NULL);
	assert_non_null(strstr(models(&w, true, false), MODEL("a"))); /* one of two */
	probed(&w, 2, HEALTH_DOWN, REASON_SERVER_ERROR, 500, NULL);
	assert_string_equal(models(&w, true, false), "{\"data\":[" MODEL("b") "," MODEL("fast") "],\"object\":\"list\"}");
	assert_non_null(strstr(models(&w, false, false), MODEL("a")));
	assert_true(htable_read(w.table, 2, &v)); /* an old verdict does not hide a model */
	v.checked_ns = now.mono_ns - w.conf->general.health_check_staleness_s * SEC;
	htable_publish(w.table, 2, &v);
	assert_non_null(strstr(models(&w, true, false), MODEL("a")));
	world_release(&w);
}

static void
test_cache(void **state)
{
	struct render_stamp old = {.version = 4, .day = 9}, later = {.version = 6, .day = 9}, tomorrow = {.version = 4, .day = 10};
	struct render_cache *c = worker_render_cache_new(2, 10);
	const char *text;
	size_t len;

	(void)state;
	assert_null(worker_render_cache_get(c, 0, false, &old, &len));
	worker_render_cache_put(c, 0, false, &old, "{abc}", 5);
	text = worker_render_cache_get(c, 0, false, &old, &len);
	assert_int_equal(len, 5);
	assert_memory_equal(text, "{abc}", 5);
	assert_null(worker_render_cache_get(c, 0, true, &old, &len));
	assert_null(worker_render_cache_get(c, 1, false, &old, &len));
	assert_null(worker_render_cache_get(c, 0, false, &later, &len));
	assert_null(worker_render_cache_get(c, 0, false, &tomorrow, &len));
	worker_render_cache_put(c, 1, true, &old, "{abcd}", 6); /* 11 bytes would be kept */
	assert_null(worker_render_cache_get(c, 1, true, &old, &len));
	assert_non_null(worker_render_cache_get(c, 0, false, &old, &len));
	worker_render_cache_put(c, 0, false, &later, "{}", 2); /* replaced: room again */
	assert_null(worker_render_cache_get(c, 0, false, &old, &len));
	worker_render_cache_put(c, 1, true, &old, "{abcd}", 6);
	assert_non_null(worker_render_cache_get(c, 1, true, &old, &len));
	worker_render_cache_freep(&c);
	assert_null(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_healthy_entry),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_unhealthy_entry),
		cmocka_unit_test(test_hostile_error_text),
		cmocka_unit_test(test_details_off),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_on_demand),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_readiness),
		cmocka_unit_test(test_readiness_database),
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_model_info),
		cmocka_unit_test(test_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The command line: options, environment, mistakes; and the table of hale --health. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../src/cli/cli.h"

#include "hale/strbuf.h"

static const char *
test_no_env(const char *name)
{
	(void)name;
	return NULL;
}

static const char *
test_env(const char *name)
{
	static const char *const pairs[][2] = {
		{"HOST", "10.0.0.1"}, {"PORT", "4100"},       {"NUM_WORKERS", "3"}, {"CONFIG_FILE_PATH", "/etc/env.yaml"},
		{"LITELLM_LOG", "debug"}, {"LITELLM_MASTER_KEY", "sk-env"},
	};

	for (unsigned i = 0; i < HALE_COUNT(pairs); i++)
		if (strcmp(name, pairs[i][0]) == 0)
			return pairs[i][1];
	return NULL;
}

static const char *
test_bad_env(const char *name)
{
	return strcmp(name, "PORT") == 0 ? "http" : NULL;
}

#define PARSE(getenv_f, o, error, ...) \
	cli_parse((int)HALE_COUNT(((const char *[]){"hale", __VA_ARGS__})), \
	          (char *const *)(uintptr_t)((const char *[]){"hale", __VA_ARGS__, NULL}), getenv_f, o, error, sizeof(error))

static void
test_run_options(void **state)
{
	struct cli_options o;
	char error[256];

	(void)state;
	assert_true(PARSE(test_no_env, &o, error, "--config", "a.yaml", "--host", "::1", "--port=4001", "--num_workers", "2",
	                  "--detailed_debug", "--insecure"));
	assert_int_equal(o.verb, CLI_RUN);
	assert_string_equal(o.config, "a.yaml");
	assert_string_equal(o.host, "::1");
	assert_int_equal(o.port, 4001);
	assert_int_equal(o.num_workers, 2);
	assert_true(o.debug && o.insecure);
	assert_true(PARSE(test_no_env, &o, error, "b.yaml"));
	assert_string_equal(o.config, "b.yaml");
	assert_int_equal(o.port, 4000);
	assert_null(o.host);
	assert_false(o.debug || o.insecure);
	assert_true(PARSE(test_no_env, &o, error, "-c", "c.yaml"));
	assert_string_equal(o.config, "c.yaml");
	assert_true(PARSE(test_no_env, &o, error, "--", "-odd.yaml"));
	assert_string_equal(o.config, "-odd.yaml");
}

static void
test_environment(void **state)
{
	struct cli_options o;
	char error[256];

	(void)state;
	assert_true(PARSE(test_env, &o, error, "--port", "1"));
	assert_string_equal(o.config, "/etc/env.yaml");
	assert_string_equal(o.host, "10.0.0.1");
	assert_int_equal(o.port, 1);
	assert_int_equal(o.num_workers, 3);
	assert_string_equal(o.api_key, "sk-env");
	assert_true(o.debug);
	assert_true(PARSE(test_env, &o, error, "mine.yaml"));
	assert_string_equal(o.config, "mine.yaml");
	assert_false(PARSE(test_bad_env, &o, error, "mine.yaml"));
	assert_string_equal(error, "PORT: \"http\" is not a number from 0 to 65535");
}

static void
test_verbs(void **state)
{
	struct cli_options o;
	char error[256];

	(void)state;
	assert_true(PARSE(test_no_env, &o, error, "check", "a.yaml", "--strict"));
	assert_int_equal(o.verb, CLI_CHECK);
	assert_true(o.strict);
	assert_string_equal(o.config, "a.yaml");
	assert_true(PARSE(test_no_env, &o, error, "-t", "a.yaml"));
	assert_int_equal(o.verb, CLI_CHECK);
	assert_true(PARSE(test_no_env, &o, error, "-health", "--api_key", "k"));
	assert_int_equal(o.verb, CLI_HEALTH);
	assert_string_equal(o.api_key, "k");
	assert_true(PARSE(test_no_env, &o, error, "-v"));
	assert_int_equal(o.verb, CLI_VERSION);
	assert_true(PARSE(test_no_env, &o, error, "check", "--print-reference"));
	assert_int_equal(o.verb, CLI_REFERENCE);
}

static void
test_mistakes(void **state)
{
	struct cli_options o;
	char error[256];

	(void)state;
	assert_false(PARSE(test_no_env, &o, error, "--prot", "1"));
	assert_string_equal(error, "unknown option --prot, did you mean --port?");
	assert_false(PARSE(test_no_env, &o, error, "--frobnicate"));
	assert_string_equal(error, "unknown option --frobnicate");
	assert_false(PARSE(test_no_env, &o, error, "--port", "65536"));
	assert_string_equal(error, "--port: \"65536\" is not a number from 0 to 65535");
	assert_false(PARSE(test_no_env, &o, error, "--port"));
	assert_string_equal(error, "--port needs a value: --port PORT");
	assert_false(PARSE(test_no_env, &o, error, "--insecure=yes"));
	assert_string_equal(error, "--insecure takes no value");
	assert_false(PARSE(test_no_env, &o, error, "a.yaml", "b.yaml"));
	assert_string_equal(error, "unexpected argument \"b.yaml\": the configuration is a.yaml");
	assert_false(PARSE(test_no_env, &o, error, "check"));
	assert_string_equal(error, "check needs a file: hale check FILE");
	assert_false(PARSE(test_no_env, &o, error, "--config", ""));
	assert_string_equal(error, "--config: the name of the file is empty");
}

static void
test_health_table(void **state)
{
	static const char body[] =
		"{\"healthy_endpoints\":[{\"model\":\"openai/a\",\"api_base\":\"http://x/v1\"}],"
		"\"unhealthy_endpoints\":[{\"model\":\"azure/b\",\"error\":\"no\\u001b[2Jway\\n\"},17],"
		"\"healthy_count\":1,\"unhealthy_count\":2}";
	unsigned unhealthy = 0;
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 0);
	assert_true(cli_health_table(body, &out, &unhealthy));
	assert_int_equal(unhealthy, 2);
	assert_non_null(strstr(strbuf_str(&out), "healthy    openai/a "));
	assert_non_null(strstr(strbuf_str(&out), "no [2Jway"));
	assert_null(strchr(strbuf_str(&out), '\x1b'));
	assert_non_null(strstr(strbuf_str(&out), "1 healthy, 2 unhealthy\n"));
	assert_false(cli_health_table("{\"healthy_endpoints\":1,\"unhealthy_endpoints\":[]}", &out, &unhealthy));
	assert_false(cli_health_table("<html>", &out, &unhealthy));
	assert_false(cli_health_table("{}", &out, &unhealthy));
	assert_false(cli_health_table("", &out, &unhealthy));
	strbuf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_options), cmocka_unit_test(test_environment),  cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_mistakes),    cmocka_unit_test(test_health_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

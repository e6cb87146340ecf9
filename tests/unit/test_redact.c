/* redact: masks, names, known values and shapes of keys. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/redact.h"
#include "hale/strbuf.h"

static void
assert_redacted(const struct conf *c, const char *text, const char *want)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	redact_text(c, text, strlen(text), &b);
	assert_string_equal(strbuf_str(&b), want);
	strbuf_release(&b);
}

static void
test_mask(void **state)
{
	static const char *const row[][2] = {
		{"Bearer team-a-key", "Be****ey"}, {"abcde", "ab****de"}, {"abcd", "****"}, {"", "****"},
	};
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	for (size_t i = 0; i < HALE_COUNT(row); i++) {
		strbuf_clear(&b);
		redact_mask(row[i][0], &b);
		assert_string_equal(strbuf_str(&b), row[i][1]);
	}
	strbuf_release(&b);
}

static void
test_names(void **state)
{
	static const char *const secret[] = {
		"api_key", "x-api-key", "Api-Key", "apiKey", "apikey", "Authorization", "proxy-authorization",
		"aws_secret_access_key", "aws_access_key_id", "aws_session_token", "client_secret", "vertex_credentials",
		"Ocp-Apim-Subscription-Key", "x-goog-api-key", "password", "redis_password", "Set-Cookie", "database_url",
		"azure_ad_token", "master_key", "SLACK_WEBHOOK_URL",
		"a_name_that_is_much_longer_than_any_parameter_of_any_provider_in_the_world",
	};
	static const char *const open[] = {
		"model", "api_base", "max_tokens", "max_completion_tokens", "input_cost_per_token", "rpm", "tpm",
		"x-ratelimit-remaining-tokens", "litellm_key_header_name", "content-type", "monkey", "author",
		"tokenizer", "key_management_system", "token_counter", "auth_strategy", "health_check_max_tokens", "api_version", "",
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(secret); i++)
		if (!redact_is_secret_name(secret[i]))
			fail_msg("%s should be secret", secret[i]);
	for (size_t i = 0; i < HALE_COUNT(open); i++)
		if (redact_is_secret_name(open[i]))
			fail_msg("%s should not be secret", open[i]);
}

static void
test_shapes(void **state)
{
	(void)state;
	assert_redacted(NULL, "", "");
	assert_redacted(NULL, "Incorrect API key provided: sk-proj-abcdefgh1234. You can", "Incorrect API key provided: sk****34. You can");
	assert_redacted(NULL, "Authorization: Bearer team-a-key1, next", "Authorization: Bearer te****y1, next");
	assert_redacted(NULL, "Bearer authentication required", "Bearer authentication required");
	assert_redacted(NULL, "task-12345678 risk-averse sk-short", "task-12345678 risk-averse sk-short");
	assert_redacted(NULL, "?key=AIzaSyA1234567890123456789012345678901&alt=sse", "?key=AI****01&alt=sse");
	assert_redacted(NULL, "postgresql://hale:s3cret@db:5432/x a@b", "postgresql://ha****et@db:5432/x a@b");
	assert_redacted(NULL, "https://host/path@2 x://", "https://host/path@2 x://");
	assert_redacted(NULL, "AKIAIOSFODNN7EXAMPLE", "AK****LE");
}

/* general_settings: {master_key}, model_list: [{litellm_params: {api_key,
 * vertex_credentials: {id, blob}, model}}] */
static void
make_conf(struct conf *c, struct deployment *d)
{
	static struct conf_node blob = {.kind = CONF_STRING, .key = "blob", .v.string = "inner-blob"};
	static struct conf_node credentials = {.kind = CONF_MAP, .key = "vertex_credentials", .child = &blob};
	static struct conf_node longer = {
		.kind = CONF_STRING, .key = "client_secret", .v.string = "team-a-key-longer", .next = &credentials,
	};
	static struct conf_node cost = {
		.kind = CONF_FLOAT, .key = "input_cost_per_token", .v.number = 0.5, .next = &longer,
	};
	static struct conf_node key = {.kind = CONF_STRING, .key = "api_key", .v.string = "team-a-key", .next = &cost};
	static struct conf_node model = {.kind = CONF_STRING, .key = "model", .v.string = "gpt-model", .next = &key};
	static struct conf_node params = {.kind = CONF_MAP, .key = "litellm_params", .child = &model};
	static struct conf_node entry = {.kind = CONF_MAP, .child = &params};
	static struct conf_node list = {.kind = CONF_LIST, .key = "model_list", .child = &entry};
	static struct conf_node root = {.kind = CONF_MAP, .child = &list};

	*d = (struct deployment){
		.api_key = "from-the-environment", .api_base = "http://u:base-pass@h/v1:x@y", .proxy = "socks5h://u:proxy:pa@ss@h:1",
		.aws = {.token = "Bearer shut-away-1"},
	};
	*c = (struct conf){.root = &root, .deployment = d, .ndeployment = 1};
	c->general.master_key = "none"; /* too short to be worth hiding */
}

static void
test_known_values(void **state)
{
	struct arena *a = arena_new(0);
	struct deployment d;
	struct conf c;

	(void)state;
	for (int built = 0; built < 2; built++) {
		make_conf(&c, &d);
		if (built)
			c.secrets = redact_set_build(a, &c);
		assert_redacted(&c, "key team-a-key, none of gpt-model", "key te****ey, none of gpt-model");
		assert_redacted(&c, "team-a-key-longer", "te****er");
		assert_redacted(&c, "team-a-key-long", "te****ey-long");
		assert_redacted(&c, "team-a-ke", "team-a-ke");
		assert_redacted(&c, "{\"x\":\"inner-blob\"}", "{\"x\":\"in****ob\"}");
		assert_redacted(&c, "xfrom-the-environmentfrom-the-environment", "xfr****ntfr****nt");
		assert_redacted(&c, "Bearer team-a-key", "Bearer te****ey");
		assert_redacted(&c, "base-pass, not u or h/v1", "ba****ss, not u or h/v1"); /* without its address */
		assert_redacted(&c, "proxy:pa@ss", "pr****ss");
		assert_redacted(&c, "shut-away-1", "sh****-1"); /* without its scheme */
	}
	arena_freep(&a);
}

/* Many values, some beginnings of others, against the obvious search. */
static void
test_many_values(void **state)
{
	static struct deployment d[400];
	static char key[400][16];
	struct conf c = {.deployment = d, .ndeployment = 400};
	struct arena *a = arena_new(0);
	struct strbuf got, want;
	uint64_t random = 1;

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		unsigned len = 5 + i % 8;

		for (unsigned k = 0; k < len; k++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			key[i][k] = (char)('0' + (random >> 33) % 2);
		}
		d[i].api_key = key[i];
	}
	c.secrets = redact_set_build(a, &c);
	strbuf_init(&got, 0);
	strbuf_init(&want, 0);
	for (unsigned round = 0; round < 200; round++) {
		char text[40] = "";

		for (unsigned k = 0; k < 39; k++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			text[k] = (char)('0' + (random >> 33) % 3);
		}
		strbuf_clear(&got);
		strbuf_clear(&want);
		redact_text(&c, text, 39, &got);
		for (unsigned at = 0; at < 39;) {
			size_t longest = 0;

			for (unsigned i = 0; i < 400; i++)
				if (strncmp(text + at, key[i], strlen(key[i])) == 0 && strlen(key[i]) > longest)
					longest = strlen(key[i]);
			if (longest) {
				strbuf_printf(&want, "%.2s****%.2s", text + at, text + at + longest - 2);
				at += (unsigned)longest;
			} else {
				strbuf_putc(&want, text[at++]);
			}
		}
		assert_string_equal(strbuf_str(&got), strbuf_str(&want));
	}
	strbuf_release(&got);
	strbuf_release(&want);
	arena_freep(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_known_values),
		cmocka_unit_test(test_many_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* auth: where keys may stand, and what each kind of wrong request is called. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/auth.h"
#include "hale/conf.h"

struct header {
	const char *name, *value;
};

static const char *
get(void *arg, const char *lower_name)
{
	for (const struct header *h = arg; h->name; h++)
		if (strcmp(h->name, lower_name) == 0)
			return h->value;
	return NULL;
}

static enum auth_verdict
ask(const char *master, const char *key_header, const char *n1, const char *v1, const char *n2, const char *v2)
{
	struct conf c = {.general = {.master_key = master, .key_header = key_header}};
	struct header h[] = {{n1, v1}, {n1 ? n2 : NULL, v2}, {NULL, NULL}};

	return auth_check(&c, get, h);
}

static void
test_places(void **state)
{
	static const char *const bare[] = {"x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key"};

	(void)state;
	assert_int_equal(ask("sk-1234", NULL, "authorization", "Bearer sk-1234", NULL, NULL), AUTH_ADMIN);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "bearer   sk-1234 ", NULL, NULL), AUTH_ADMIN);
	for (size_t i = 0; i < HALE_COUNT(bare); i++) {
		assert_int_equal(ask("sk-1234", NULL, bare[i], "sk-1234", NULL, NULL), AUTH_ADMIN);
		assert_int_equal(ask("sk-1234", NULL, bare[i], "sk-1235", NULL, NULL), AUTH_WRONG);
		assert_int_equal(ask("sk-1234", NULL, bare[i], "", NULL, NULL), AUTH_MISSING);
	}
	assert_int_equal(ask("sk-1234", "X-My-Key", "x-my-key", "sk-1234", NULL, NULL), AUTH_ADMIN);
	assert_int_equal(ask("sk-1234", "X-My-Key", "x-my-key", "Bearer sk-1234", NULL, NULL), AUTH_ADMIN);
	assert_int_equal(ask("sk-1234", "X-My-Key", "x-your-key", "sk-1234", NULL, NULL), AUTH_MISSING);
}

static void
test_verdicts(void **state)
{
	(void)state;
	assert_int_equal(ask(NULL, NULL, NULL, NULL, NULL, NULL), AUTH_OPEN);
	assert_int_equal(ask(NULL, NULL, "authorization", "nonsense", NULL, NULL), AUTH_OPEN);
	assert_int_equal(ask("sk-1234", NULL, NULL, NULL, NULL, NULL), AUTH_MISSING);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "Bearer", NULL, NULL), AUTH_MALFORMED);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "Bearer ", NULL, NULL), AUTH_MALFORMED);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "", NULL, NULL), AUTH_MALFORMED);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "Basic c2stMTIzNA==", NULL, NULL), AUTH_MALFORMED);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "sk-1234", NULL, NULL), AUTH_MALFORMED);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "Bearersk-1234", NULL, NULL), AUTH_MALFORMED);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "Bearer sk-12345", NULL, NULL), AUTH_WRONG);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "Bearer sk-123", NULL, NULL), AUTH_WRONG);
	assert_int_equal(ask("sk-1234", NULL, "authorization", "Bearer SK-1234", NULL, NULL), AUTH_WRONG);
}

static void
test_several_headers(void **state)
{
	(void)state;
	assert_int_equal(ask("k-12", NULL, "authorization", "Basic x", "x-api-key", "k-12"), AUTH_ADMIN);
	assert_int_equal(ask("k-12", NULL, "authorization", "Bearer no", "x-api-key", "k-12"), AUTH_ADMIN);
	assert_int_equal(ask("k-12", NULL, "authorization", "Basic x", "x-api-key", "no"), AUTH_WRONG);
}

/* A master key that resolved to nothing lets nobody in. */
static void
test_empty_master_key(void **state)
{
	(void)state;
	assert_int_equal(ask("", NULL, "authorization", "Bearer ", NULL, NULL), AUTH_MALFORMED);
	assert_int_equal(ask("", NULL, "x-api-key", "", NULL, NULL), AUTH_MISSING);
	assert_int_equal(ask("", NULL, "x-api-key", "a", NULL, NULL), AUTH_WRONG);
}

static void
test_equal(void **state)
{
	(void)state;
	assert_true(auth_equal("", ""));
	assert_true(auth_equal("token", "token"));
	assert_false(auth_equal("token", "token "));
	assert_false(auth_equal("token", ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_several_headers),
		cmocka_unit_test(test_empty_master_key),
		cmocka_unit_test(test_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

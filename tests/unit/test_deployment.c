/* Deployment ids: LiteLLM's formula with values as Python prints them; expected hashes were made with Python. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/conf.h"
#include "hale/deployment.h"

static void
test_id_of(const char *yaml, const char *expected)
{
	struct conf *c = NULL;
	struct errlist errs;

	errlist_init(&errs);
	assert_int_equal(conf_load_text("t.yaml", yaml, strlen(yaml), &c, &errs), 0);
	assert_int_equal(c->ndeployment, 1);
	assert_string_equal(c->deployment[0].id, expected);
	assert_ptr_equal(conf_deployment_find(c, expected), &c->deployment[0]);
	assert_int_equal(c->deployment[0].id_hash, deployment_id_hash(expected));
	conf_freep(&c);
	errlist_release(&errs);
}

static void
test_id_vector(void **state)
{
	(void)state;
	test_id_of("model_list:\n- model_name: gpt-4\n  litellm_params: {model: openai/gpt-4, api_key: sk-1}\n",
	           "4e2a4f42d5d56214dcb1e641bf40fe93fc7516c80550f480d48fa15d8a3e1d3d");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id_vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

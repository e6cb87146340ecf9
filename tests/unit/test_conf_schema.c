/* The schema table itself: order, no key twice, defaults that its own rules allow, help for everything shown. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/conf.h"
#include "hale/conf_schema.h"
#include "hale/deployment.h"

static void
test_order_and_uniqueness(void **state)
{
	(void)state;
	for (unsigned i = 0; i < conf_schema_count; i++) {
		const struct conf_option *o = &conf_schema[i];

		assert_in_range(o->section, i ? conf_schema[i - 1].section : 0, CONF_SEC_COUNT - 1);
		for (unsigned k = i + 1; k < conf_schema_count; k++)
			if (conf_schema[k].section == o->section && strcmp(conf_schema[k].key, o->key) == 0)
				fail_msg("%s is there twice in %s", o->key, conf_schema_section(o->section));
	}
}

static void
test_rows_are_complete(void **state)
{
	(void)state;
	for (unsigned i = 0; i < conf_schema_count; i++) {
		const struct conf_option *o = &conf_schema[i];
		size_t size = o->section < CONF_SEC_ENTRY ? sizeof(struct conf) : sizeof(struct deployment);

		assert_true(o->help || o->flags & (CONF_OPT_UNUSED | CONF_OPT_PASS));
		if (o->help)
			assert_int_not_equal(o->help[strlen(o->help) - 1], '.');
		if (o->place != CONF_NO_PLACE)
			assert_true(o->place < size);
		assert_true(o->max >= o->min);
	}
}

/* No two rows of one section may write to one place: the later would win by accident. */
static void
test_places_are_distinct(void **state)
{
	(void)state;
	for (unsigned i = 0; i < conf_schema_count; i++)
		for (unsigned k = i + 1; k < conf_schema_count; k++)
			if (conf_schema[i].place != CONF_NO_PLACE && conf_schema[i].section == conf_schema[k].section &&
			    conf_schema[i].place == conf_schema[k].place)
				fail_msg("%s and %s share a place", conf_schema[i].key, conf_schema[k].key);
}

/* Every default is a value that a file may hold. */
static void
test_defaults_are_valid(void **state)
{
	(void)state;
	for (unsigned i = 0; i < conf_schema_count; i++) {
		const struct conf_option *o = &conf_schema[i];
		struct conf *c = NULL;
		struct errlist errs;
		char text[256];

		if (o->fallback == NULL || o->section < CONF_SEC_LITELLM || o->section > CONF_SEC_HALE)
			continue;
		snprintf(text, sizeof(text), "%s: {%s: %s}\n", conf_schema_section(o->section), o->key, o->fallback);
		errlist_init(&errs);
		if (conf_load_text("t.yaml", text, strlen(text), &c, &errs) != 0 || (errs.nwarning && !(o->flags & CONF_OPT_UNUSED)))
			fail_msg("the default of %s is refused", o->key);
		conf_freep(&c);
		errlist_release(&errs);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_uniqueness),
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_places_are_distinct),
		cmocka_unit_test(test_defaults_are_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

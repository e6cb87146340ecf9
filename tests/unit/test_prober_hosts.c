/* prober_hosts: who shares a host. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fixture.h"
#include "hale/provider.h"
#include "prober_hosts.h"

static void
test_hosts(void **state)
{
	static const struct { const char *provider, *base; } c[] = {
		{"openai", "http://a:8000/v1"}, {"openai", "http://a:8000/v2"}, {"openai", "http://a:8001/v1"},
		{"openai", "https://a:8000"},   {"openai", NULL},               {"openai", "https://api.openai.com/v1"},
		{"azure", NULL},                {"anthropic", "http://a:8000"},
	};
	static const struct provider local = {.name = "local", .local = true};
	struct fixture f;
	struct prober_hosts h;

	(void)state;
	fixture_init(&f, 1, "0 1 2 3 4 5 6 7 8");
	for (size_t i = 0; i < HALE_COUNT(c); i++) {
		f.deployment[i].provider = provider_find(c[i].provider, strlen(c[i].provider));
		f.deployment[i].api_base = c[i].base;
		assert_non_null(f.deployment[i].provider);
	}
	f.deployment[8].provider = &local;
	f.deployment[8].api_base = "http://localhost:11434";
	prober_hosts_init(&h, &f.conf, 5);
	assert_int_equal(h.host[0], h.host[1]);
	assert_int_equal(h.host[0], h.host[7]); /* the host counts, not the provider */
	assert_int_not_equal(h.host[0], h.host[2]);
	assert_int_not_equal(h.host[0], h.host[3]);
	assert_int_equal(h.host[4], h.host[5]); /* the default base is an address as well */
	assert_int_not_equal(h.host[6], h.host[0]);
	assert_int_equal(h.nhost, 6);
	assert_int_equal(h.max[h.host[0]], 5);
	assert_true(h.next[0] == 1 && h.next[1] == 7 && h.next[7] == 0); /* rings */
	assert_true(h.next[4] == 5 && h.next[5] == 4);
	assert_int_equal(h.next[2], 2);
	assert_int_equal(h.max[h.host[8]], 1);
	for (int i = 0; i < 9; i++)
		assert_true(h.host[i] < h.nhost);
	prober_hosts_release(&h);
}

static void
test_none(void **state)
{
	struct fixture f;
	struct prober_hosts h;

	(void)state;
	fixture_init(&f, 1, "");
	prober_hosts_init(&h, &f.conf, 5);
	assert_int_equal(h.nhost, 0);
	prober_hosts_release(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

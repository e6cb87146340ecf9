/* clock: the calendar against libc's. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/clock.h"

static void
assert_iso(uint64_t s, unsigned us)
{
	time_t t = (time_t)s;
	char got[32], day[32], want[48];
	struct tm tm;

	clock_iso8601(s * NS_PER_SEC + us * 1000ULL, got, sizeof(got));
	assert_non_null(gmtime_r(&t, &tm));
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(want, sizeof(want), "%s.%06uZ", day, us);
	assert_string_equal(got, want);
}

static void
test_iso8601(void **state)
{
	uint64_t random = 1;

	(void)state;
	assert_iso(0, 0);
	assert_iso(951782399, 1);  /* before the leap day of 2000 */
	assert_iso(951868799, 2);
	assert_iso(4107542400, 3); /* 2100 has none */
	for (uint64_t day = 0; day < 366 * 150; day++)
		assert_iso(day * 86400 + 86399, 999999);
	for (int i = 0; i < 20000; i++) {
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		assert_iso((random >> 20) % 18446744073ULL, (unsigned)(random >> 40) % 1000000);
	}
}

static void
test_iso8601_truncates(void **state)
{
	char buf[5];

	(void)state;
	clock_iso8601(0, buf, sizeof(buf));
	assert_string_equal(buf, "1970");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iso8601),
		cmocka_unit_test(test_iso8601_truncates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

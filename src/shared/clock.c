/* The two clocks. */
#include "hale/hale.h"

#include "hale/clock.h"

#include <time.h>

static uint64_t
clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t
clock_mono_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t
clock_real_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}

/* n decimal digits of v, right to left, ending before `end`. */
static void
clock_digits(char *end, unsigned n, uint32_t v)
{
	while (n--) {
		*--end = (char)('0' + v % 10);
		v /= 10;
	}
}

/* By hand, because strftime() costs more than all the rest of an entry of GET /health. The calendar is counted
 * from 1 March of year 0 in eras of 400 years, so that the leap day is the last day of its year. */
void
clock_iso8601(uint64_t real_ns, char *buf, size_t size)
{
	uint64_t s = real_ns / NS_PER_SEC, days = s / 86400 + 719468;
	uint32_t sec = (uint32_t)(s % 86400), doe = (uint32_t)(days % 146097);
	uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	uint32_t month = mp < 10 ? mp + 3 : mp - 9;
	uint32_t year = (uint32_t)(days / 146097) * 400 + yoe + (month <= 2);
	char text[] = "0000-00-00T00:00:00.000000Z";

	clock_digits(text + 4, 4, year);
	clock_digits(text + 7, 2, month);
	clock_digits(text + 10, 2, doy - (153 * mp + 2) / 5 + 1);
	clock_digits(text + 13, 2, sec / 3600);
	clock_digits(text + 16, 2, sec / 60 % 60);
	clock_digits(text + 19, 2, sec % 60);
	clock_digits(text + 26, 6, (uint32_t)(real_ns % NS_PER_SEC / 1000));
	if (size == 0)
		return;
	if (size > sizeof(text))
		size = sizeof(text);
	memcpy(buf, text, size - 1);
	buf[size - 1] = '\0';
}

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

void
clock_iso8601(uint64_t real_ns, char *buf, size_t size)
{
	time_t s = (time_t)(real_ns / NS_PER_SEC);
	struct tm tm;
	char date[24];

	gmtime_r(&s, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, size, "%s.%06uZ", date, (unsigned)(real_ns % NS_PER_SEC / 1000));
}

/* Retry-After and its many relatives, turned into a deadline of our own clock. */
#include "hale/hale.h"

#include "prober_until.h"

#include <ctype.h>
#include <math.h>
#include <time.h>

#include "hale/clock.h"

#define UNTIL_SECONDS_MAX (7.0 * 86400)
#define UNTIL_EPOCH_SECONDS 1e9 /* larger numbers are points in time, not distances */
#define UNTIL_EPOCH_MS 1e12

/* "1h2m3.5s", "6m0s", "250ms", "20", "7.66": seconds, or -1. Not strtod: it takes hexadecimal, "inf" and the
 * locale's comma. */
static double
prober_until_duration(const char *s)
{
	double total = 0;
	bool unit = true;

	for (; isdigit((unsigned char)*s); ) {
		double v = 0, scale = 1;

		if (!unit)
			return -1; /* only the last number may stand without a unit */
		for (; isdigit((unsigned char)*s); s++)
			v = v * 10 + (*s - '0');
		if (*s == '.')
			for (s++; isdigit((unsigned char)*s); s++)
				v += (*s - '0') * (scale /= 10);
		if (s[0] == 'm' && s[1] == 's') {
			v /= 1000;
			s += 2;
		} else if (*s == 'd' || *s == 'h' || *s == 'm' || *s == 's') {
			v *= *s == 'd' ? 86400 : *s == 'h' ? 3600 : *s == 'm' ? 60 : 1;
			s++;
		} else {
			unit = false;
		}
		total += v;
	}
	while (*s == ' ')
		s++;
	return *s ? -1 : total;
}

/* An HTTP date (the one form that RFC 9110 lets servers send) or RFC 3339: seconds since 1970, or -1. */
static double
prober_until_date(const char *s)
{
	struct tm tm = {0};
	const char *end;
	long east = 0;

	end = strptime(s, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (end)
		return *end ? -1 : (double)timegm(&tm);
	end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end)
		return -1;
	if (*end == '.')
		for (end++; isdigit((unsigned char)*end); )
			end++;
	if ((*end == '+' || *end == '-') && isdigit((unsigned char)end[1]) && isdigit((unsigned char)end[2]) &&
	    end[3] == ':' && isdigit((unsigned char)end[4]) && isdigit((unsigned char)end[5])) {
		east = (end[1] - '0') * 36000 + (end[2] - '0') * 3600 + (end[4] - '0') * 600 + (end[5] - '0') * 60;
		east = *end == '-' ? -east : east;
		end += 6;
	} else if (*end == 'Z' || *end == 'z') {
		end++;
	}
	return *end ? -1 : (double)timegm(&tm) - (double)east;
}

uint64_t
prober_until_parse(const char *text, uint64_t now_ns, uint64_t now_real_ns)
{
	double now_s = (double)now_real_ns / 1e9, s;

	while (*text == ' ')
		text++;
	if (!*text)
		return 0;
	s = isdigit((unsigned char)*text) ? prober_until_duration(text) : -1;
	if (s >= UNTIL_EPOCH_SECONDS)
		s = (s >= UNTIL_EPOCH_MS ? s / 1000 : s) - now_s;
	else if (s < 0) {
		s = prober_until_date(text);
		if (s < 0)
			return 0;
		s -= now_s;
	}
	if (isnan(s) || s < 0)
		s = 0;
	return now_ns + (uint64_t)(fmin(s, UNTIL_SECONDS_MAX) * (double)NS_PER_SEC);
}

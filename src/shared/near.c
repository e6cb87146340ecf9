/* The nearest known word, for "did you mean": Damerau-Levenshtein distance (optimal string alignment). */
#include "hale/hale.h"

#include "hale/near.h"

#define NEAR_MAX 64 /* longer words have no neighbours */

/* Distance of a and b, or limit + 1 as soon as it is known to exceed limit. */
static unsigned
near_distance(const char *a, const char *b, unsigned limit)
{
	unsigned row[3][NEAR_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > NEAR_MAX || nb > NEAR_MAX || (na > nb ? na - nb : nb - na) > limit)
		return limit + 1;
	for (size_t j = 0; j <= nb; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = row[i % 3], *up = row[(i - 1) % 3], *up2 = row[(i + 1) % 3], best;

		best = now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned d = up[j - 1] + (a[i - 1] != b[j - 1]);

			if (up[j] + 1 < d)
				d = up[j] + 1;
			if (now[j - 1] + 1 < d)
				d = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < d)
				d = up2[j - 2] + 1;
			now[j] = d;
			if (d < best)
				best = d;
		}
		if (best > limit + 1) /* a transposition may still save one */
			return limit + 1;
	}
	return row[na % 3][nb];
}

const char *
near_find(const char *word, unsigned limit, near_next_f next, void *arg)
{
	const char *best = NULL, *candidate;

	for (unsigned i = 0; (candidate = next(arg, i)) != NULL; i++) {
		unsigned d = near_distance(word, candidate, limit);

		if (d > limit)
			continue;
		best = candidate;
		if (d == 0)
			break;
		limit = d - 1;
	}
	return best;
}

/* The nearest known word, for "did you mean". Pure. */
#ifndef HALE_NEAR_H
#define HALE_NEAR_H

#include "hale/hale.h"

/* Candidate i, NULL after the last. */
typedef const char *(*near_next_f)(void *arg, unsigned i);

/* The candidate with the smallest Damerau-Levenshtein distance to word, at most limit; else NULL. */
const char *near_find(const char *word, unsigned limit, near_next_f next, void *arg);

#endif

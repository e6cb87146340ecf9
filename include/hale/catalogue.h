/* What is known about models by their names. */
#ifndef HALE_CATALOGUE_H
#define HALE_CATALOGUE_H

#include "hale/hale.h"

/* Does the upstream model think before it answers, so that a probe's token limit may be spent on that? Pure. */
bool catalogue_is_reasoning(const char *model);

#endif

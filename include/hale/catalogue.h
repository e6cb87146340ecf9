/* What is known about models by their names. */
#ifndef HALE_CATALOGUE_H
#define HALE_CATALOGUE_H

#include "hale/hale.h"
#include "hale/mode.h"

/* What a model is for, by its name at the provider of that name; MODE_NONE: the name does not say. Pure. */
enum mode catalogue_mode(const char *provider, const char *model);
/* Does the upstream model think before it answers, so that a
 * probe's token limit may be spent on that? Pure. */
bool catalogue_is_reasoning(const char *model);

#endif

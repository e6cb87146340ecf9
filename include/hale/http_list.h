/* Comma-separated lists in header fields. */
#ifndef HALE_HTTP_LIST_H
#define HALE_HTTP_LIST_H

#include "hale/hale.h"

/* Is token one of the members of list, in any case? Pure. */
bool http_list_has(const char *list, const char *token);

#endif

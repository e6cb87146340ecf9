/* Comma-separated lists in header fields, as Connection, Transfer-Encoding and Upgrade have them. */
#include "hale/hale.h"

#include "hale/http_list.h"

#include <strings.h>

bool
http_list_has(const char *list, const char *token)
{
	size_t n = strlen(token);

	while (*list) {
		size_t len;

		list += strspn(list, " \t,");
		len = strcspn(list, " \t,");
		if (len == n && strncasecmp(list, token, n) == 0)
			return true;
		list += len;
	}
	return false;
}

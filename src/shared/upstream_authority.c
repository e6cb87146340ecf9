/* Whom a URL names: host and port, taken apart once for everybody who opens connections himself. Pure. */
#include "hale/hale.h"

#include "upstream_int.h"

#include <arpa/inet.h>

#include "hale/arena.h"

bool
upstream_authority_parse(struct upstream_authority *a, const char *text, size_t len, bool tls)
{
	const char *end = text + len, *colon = NULL, *name = text, *name_end = end;
	unsigned long port = tls ? 443 : 80;
	char raw[16];

	if (memchr(text, '@', len) || memchr(text, '%', len))
		return false;
	if (*text == '[') {
		name++;
		name_end = memchr(text, ']', len);
		if (!name_end || (name_end + 1 < end && name_end[1] != ':'))
			return false;
		colon = name_end + 1 < end ? name_end + 1 : NULL;
	} else if ((colon = memchr(text, ':', len))) {
		name_end = colon;
	}
	if (colon) {
		size_t digits = strspn(colon + 1, "0123456789");

		port = strtoul(colon + 1, NULL, 10);
		if (digits == 0 || colon + 1 + digits != end || port == 0 || port > 65535)
			return false;
		if (port == (tls ? 443 : 80))
			end = colon;
	}
	if (name == name_end)
		return false;
	a->port = (uint16_t)port;
	a->name = xstrndup(name, (size_t)(name_end - name));
	a->text = xstrndup(text, (size_t)(end - text));
	a->numeric = inet_pton(AF_INET, a->name, raw) == 1 || inet_pton(AF_INET6, a->name, raw) == 1;
	return true;
}

void
upstream_authority_release(struct upstream_authority *a)
{
	xfreep(&a->name);
	xfreep(&a->text);
}

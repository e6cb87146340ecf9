/* Who is asking. Pure: header values in, verdict out. */
#ifndef HALE_AUTH_H
#define HALE_AUTH_H

#include "hale/hale.h"

struct conf;

enum auth_verdict {
	AUTH_ADMIN,     /* the master key */
	AUTH_OPEN,      /* no master key is configured: everybody may, admin-only fields included on loopback */
	AUTH_MISSING,   /* no key in the request */
	AUTH_MALFORMED, /* an Authorization header that is not "Bearer <key>" */
	AUTH_WRONG,
};

/* Looks up a header by lower-case name; NULL when absent. */
typedef const char *(*auth_header_f)(void *arg, const char *lower_name);

/* Key from Authorization: Bearer, x-api-key, api-key, x-goog-api-key, Ocp-Apim-Subscription-Key
 * or the configured header, which may carry "Bearer " or not; one match is enough. The time
 * does not tell how much of a key is right. */
enum auth_verdict auth_check(const struct conf *c, auth_header_f get, void *arg);
/* true when both texts are equal; the time depends on the lengths, not on the position of a difference. */
bool auth_equal(const char *got, const char *want);

#endif

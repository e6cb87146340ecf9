/* Who is asking: the key out of the places where clients put it, compared with the master key.
 *
 * SDKs of different vendors send their key in different headers, so every well-formed one is a candidate and
 * one match is enough. All of them are compared, each as a whole: the time depends on the length of what was
 * sent, not on how much of it is right, nor on which header matched.
 */
#include "hale/hale.h"

#include "hale/auth.h"

#include <strings.h>

#include "hale/conf.h"

#define AUTH_NAME_MAX 128

struct auth_state {
	const char *want;
	size_t want_len;
	unsigned seen; /* well-formed keys */
	int match;     /* 1 once one was equal */
	bool malformed;
};

/* Goes through all of got whatever it finds; volatile, so that no compiler ends the loop early. */
static bool
auth_same(const char *got, size_t len, const char *want, size_t want_len)
{
	volatile unsigned char difference = len != want_len;
	size_t at = 0;

	if (want_len == 0)
		return len == 0;
	for (size_t i = 0; i < len; i++) {
		difference = difference | (unsigned char)(got[i] ^ want[at]);
		at++;
		at &= (size_t)0 - (size_t)(at != want_len); /* from the start again, without a branch */
	}
	return difference == 0;
}

bool
auth_equal(const char *got, const char *want)
{
	return auth_same(got, strlen(got), want, strlen(want));
}

static const char *
auth_trim(const char *s, size_t *len)
{
	while (*s == ' ' || *s == '\t')
		s++;
	*len = strlen(s);
	while (*len && (s[*len - 1] == ' ' || s[*len - 1] == '\t'))
		(*len)--;
	return s;
}

static void
auth_candidate(struct auth_state *a, const char *key, size_t len)
{
	a->seen++;
	a->match |= auth_same(key, len, a->want, a->want_len);
}

/* "Bearer <key>", the scheme in any case. */
static bool
auth_bearer(const char **s, size_t *len)
{
	if (*len < 7 || strncasecmp(*s, "bearer", 6) != 0 || ((*s)[6] != ' ' && (*s)[6] != '\t'))
		return false;
	*s = auth_trim(*s + 6, len);
	return true;
}

/* bare: a key without a scheme is fine here. */
static void
auth_header(struct auth_state *a, const char *value, bool bare)
{
	const char *key;
	size_t len;

	if (value == NULL)
		return;
	key = auth_trim(value, &len);
	if (bare && len == 0)
		return;
	if ((!auth_bearer(&key, &len) && !bare) || len == 0) {
		a->malformed = true;
		return;
	}
	auth_candidate(a, key, len);
}

/* The configured header in the lower case that the lookup wants. */
static const char *
auth_lower(const char *name, char buf[AUTH_NAME_MAX])
{
	size_t len = strnlen(name, AUTH_NAME_MAX);

	if (len == AUTH_NAME_MAX)
		return NULL;
	for (size_t i = 0; i <= len; i++)
		buf[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
	return buf;
}

enum auth_verdict
auth_check(const struct conf *c, auth_header_f get, void *arg)
{
	static const char *const bare[] = {"x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key"};
	const char *master = c->general.master_key, *name;
	struct auth_state a = {0};
	char buf[AUTH_NAME_MAX];

	if (master == NULL)
		return AUTH_OPEN;
	a.want = master; /* an empty master key matches nothing: empty keys are not seen */
	a.want_len = strlen(master);
	auth_header(&a, get(arg, "authorization"), false);
	for (size_t i = 0; i < HALE_COUNT(bare); i++)
		auth_header(&a, get(arg, bare[i]), true);
	name = c->general.key_header ? auth_lower(c->general.key_header, buf) : NULL;
	if (name && strcmp(name, "authorization") != 0)
		auth_header(&a, get(arg, name), true);
	if (a.match)
		return AUTH_ADMIN;
	if (a.seen)
		return AUTH_WRONG;
	return a.malformed ? AUTH_MALFORMED : AUTH_MISSING;
}

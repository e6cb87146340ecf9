/* Who is asking: the key out of the places where clients put it, compared with the master key.
 *
 * SDKs of different vendors send their key in different headers, so every well-formed one is a candidate and one
 * match is enough. All of them are compared, each through its SHA-256 in constant time: neither the length of a
 * common prefix nor the header that matched shows in the time.
 */
#include "hale/hale.h"

#include "hale/auth.h"

/* SHA256() of OpenSSL 3 looks its algorithm up again for every call, which takes four times as long as the hashing
 * of a key; the functions below it are the same code without that. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <strings.h>

#include "hale/conf.h"

#define AUTH_NAME_MAX 128

struct auth_state {
	unsigned char want[SHA256_DIGEST_LENGTH];
	unsigned seen; /* well-formed keys */
	int match;     /* 1 once one was equal */
	bool malformed;
};

static void
auth_digest(const char *s, size_t len, unsigned char out[SHA256_DIGEST_LENGTH])
{
	SHA256_CTX c;

	SHA256_Init(&c);
	SHA256_Update(&c, s, len);
	SHA256_Final(out, &c);
}

bool
auth_equal(const char *a, const char *b)
{
	unsigned char da[SHA256_DIGEST_LENGTH], db[SHA256_DIGEST_LENGTH];

	auth_digest(a, strlen(a), da);
	auth_digest(b, strlen(b), db);
	return CRYPTO_memcmp(da, db, sizeof(da)) == 0;
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
	unsigned char got[SHA256_DIGEST_LENGTH];

	auth_digest(key, len, got);
	a->seen++;
	a->match |= CRYPTO_memcmp(got, a->want, sizeof(got)) == 0;
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
	auth_digest(master, strlen(master), a.want); /* an empty master key matches nothing: empty keys are not seen */
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

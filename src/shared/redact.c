/* Keeps secrets out of what people read.
 *
 * Two nets, because an upstream may echo our key in an error and a client may send us one that we never saw:
 * the exact values of the configuration, and shapes that providers give their keys. The known values are
 * sorted, each knowing the longest other one that it begins with; so at any place of a text one binary search
 * finds the longest known value that starts there, however many there are. A bitmap over the first two bytes
 * of everything that is looked for passes over nearly all places without a search.
 */
#include "hale/hale.h"

#include "hale/redact.h"

#include <ctype.h>
#include <strings.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/strbuf.h"

/* What is shorter, or a short word without a digit, is a placeholder
 * that people need to read: "none", "openai". */
#define REDACT_SHORTEST 5
#define REDACT_SHORTEST_WORD 8
#define REDACT_NAME_MAX 64
#define REDACT_PREFIX(s) ((unsigned char)(s)[0] << 8 | (unsigned char)(s)[1])

struct redact_secret {
	const char *text;
	size_t len;
	int32_t parent; /* position of the longest other secret that this one begins with, or -1 */
};

struct redact_set {
	struct redact_secret *secret;
	uint32_t count, cap;
	uint8_t first[65536 / 8]; /* bit per first two bytes of anything that is replaced */
};

/* Shapes of provider keys: prefix and the least number of key characters after it. */
static const struct {
	const char *prefix;
	size_t least;
} redact_shapes[] = {
	{"sk-", 8}, {"AIza", 30}, {"AKIA", 16}, {"ASIA", 16}, {"eyJ", 30}, {"gsk_", 16},
	{"hf_", 16}, {"xai-", 16}, {"pplx-", 16}, {"ghp_", 20}, {"xoxb-", 16},
};

static void
redact_maskn(const char *secret, size_t len, struct strbuf *out)
{
	if (len < 5) {
		strbuf_puts(out, "****");
		return;
	}
	strbuf_add(out, secret, 2);
	strbuf_puts(out, "****");
	strbuf_add(out, secret + len - 2, 2);
}

void
redact_mask(const char *secret, struct strbuf *out)
{
	redact_maskn(secret, strlen(secret), out);
}

/* Words of a name, lower case, between '_', '-' and changes from small to capital; each ends with one '_'.
 * False when the name is longer than any that we know. */
static bool
redact_words(const char *name, char buf[REDACT_NAME_MAX * 2])
{
	size_t n = 0;

	buf[n++] = '_';
	for (const char *p = name; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (p - name >= REDACT_NAME_MAX - 2)
			return false;
		if (!isalnum(c)) {
			if (buf[n - 1] != '_')
				buf[n++] = '_';
			continue;
		}
		if (isupper(c) && p > name && islower((unsigned char)p[-1]))
			buf[n++] = '_';
		buf[n++] = (char)tolower(c);
	}
	if (buf[n - 1] != '_')
		buf[n++] = '_';
	buf[n] = '\0';
	return true;
}

bool
redact_is_secret_name(const char *name)
{
	static const char *const anywhere[] = {
		"_secret_", "_password_", "_passwd_", "_passphrase_", "_credential_", "_credentials_", "_authorization_",
		"_cookie_", "_api_key_", "_access_key_", "_access_token_", "_session_token_", "_secretkey_", "_accesskey_",
		"_sessiontoken_", "_accesstoken_",
	};
	static const char *const last[] = {
		"_key_", "_apikey_", "_token_", "_auth_", "_dsn_", "_database_url_", "_redis_url_", "_webhook_url_",
	};
	char words[REDACT_NAME_MAX * 2];

	if (!redact_words(name, words))
		return true; /* nobody needs to see the value of a name like this */
	if (strstr(words, "_per_token_"))
		return false;
	for (size_t i = 0; i < HALE_COUNT(anywhere); i++)
		if (strstr(words, anywhere[i]))
			return true;
	for (size_t i = 0, len = strlen(words); i < HALE_COUNT(last); i++)
		if (len >= strlen(last[i]) && strcmp(words + len - strlen(last[i]), last[i]) == 0)
			return true;
	return false;
}

static void
redact_set_addn(struct redact_set *s, const char *text, size_t len)
{
	size_t digit = strcspn(text, "0123456789");

	if (len < REDACT_SHORTEST || (len < REDACT_SHORTEST_WORD && digit >= len))
		return;
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 32;
		s->secret = xrealloc(s->secret, s->cap * sizeof(*s->secret));
	}
	s->secret[s->count++] = (struct redact_secret){.text = text, .len = len, .parent = -1};
}

/* What follows the scheme of an Authorization header counts by itself, too. */
static void
redact_set_add(struct redact_set *s, const char *text)
{
	static const char *const schemes[] = {"Bearer ", "Basic ", "Token "};

	if (text == NULL)
		return;
	redact_set_addn(s, text, strlen(text));
	for (size_t i = 0; i < HALE_COUNT(schemes); i++)
		if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
			redact_set_addn(s, text + strlen(schemes[i]), strlen(text) - strlen(schemes[i]));
}

/* The password of scheme://user:password@host, which may be named without its address. */
static void
redact_set_add_url(struct redact_set *s, const char *url)
{
	const char *p = url ? strstr(url, "://") : NULL, *end, *colon;

	if (p == NULL)
		return;
	p += 3;
	for (end = p + strcspn(p, "/?#"); end > p && *end != '@'; end--)
		;
	colon = memchr(p, ':', (size_t)(end - p));
	if (colon)
		redact_set_addn(s, colon + 1, (size_t)(end - colon) - 1);
}

/* Strings at and below a node that is secret itself or has a secret name. The loader bounds the depth. */
static void
redact_set_walk(struct redact_set *s, const struct conf_node *n, bool secret)
{
	for (; n; n = n->next) {
		bool nested = n->kind == CONF_LIST || n->kind == CONF_MAP, mine;

		if (n->kind != CONF_STRING && !nested)
			continue;
		mine = secret || (n->key && redact_is_secret_name(n->key));
		if (nested)
			redact_set_walk(s, n->child, mine);
		else if (mine)
			redact_set_add(s, n->v.string);
	}
}

static int
redact_compare(const void *a, const void *b)
{
	const struct redact_secret *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int c = memcmp(x->text, y->text, len);

	return c ? c : (x->len > y->len) - (x->len < y->len);
}

static bool
redact_begins(const char *text, size_t len, const struct redact_secret *s)
{
	return len >= s->len && memcmp(text, s->text, s->len) == 0;
}

static void
redact_set_mark(struct redact_set *s, const char *two)
{
	unsigned p = REDACT_PREFIX(two);

	s->first[p / 8] |= (uint8_t)(1u << p % 8);
}

/* Sorts, drops doubles, links prefixes, fills the bitmap. */
static void
redact_set_finish(struct redact_set *s)
{
	static const char *const other[] = {"Be", "be", "BE", "bE", "//"};
	uint32_t n = 0;

	for (size_t i = 0; i < HALE_COUNT(other); i++)
		redact_set_mark(s, other[i]);
	for (size_t i = 0; i < HALE_COUNT(redact_shapes); i++)
		redact_set_mark(s, redact_shapes[i].prefix);
	if (s->count)
		qsort(s->secret, s->count, sizeof(*s->secret), redact_compare);
	for (uint32_t i = 0; i < s->count; i++)
		if (n == 0 || redact_compare(&s->secret[n - 1], &s->secret[i]) != 0)
			s->secret[n++] = s->secret[i];
	s->count = n;
	for (uint32_t i = 0; i < n; i++) {
		struct redact_secret *x = &s->secret[i];

		redact_set_mark(s, x->text);
		x->parent = (int32_t)i - 1;
		while (x->parent >= 0 && !redact_begins(x->text, x->len, &s->secret[x->parent]))
			x->parent = s->secret[x->parent].parent;
	}
}

static void
redact_set_access(struct redact_set *s, const struct deployment *d)
{
	redact_set_add(s, d->api_key);
	redact_set_add(s, d->aws.key_id);
	redact_set_add(s, d->aws.secret);
	redact_set_add(s, d->aws.token);
	redact_set_add_url(s, d->api_base);
	redact_set_add_url(s, d->proxy);
}

static void
redact_set_collect(struct redact_set *s, const struct conf *c)
{
	redact_set_walk(s, c->root, false);
	redact_set_add(s, c->general.master_key);
	redact_set_add(s, c->general.database_url);
	redact_set_add_url(s, c->general.database_url);
	for (uint32_t i = 0; i < c->ndeployment; i++) {
		redact_set_access(s, &c->deployment[i]);
		if (c->deployment[i].probe.as)
			redact_set_access(s, c->deployment[i].probe.as);
	}
}

const struct redact_set *
redact_set_build(struct arena *a, const struct conf *c)
{
	struct redact_set *s = arena_alloc(a, sizeof(*s));
	struct redact_secret *heap;

	redact_set_collect(s, c);
	redact_set_finish(s);
	heap = s->secret;
	s->secret = arena_alloc(a, s->count * sizeof(*heap));
	if (s->count)
		memcpy(s->secret, heap, s->count * sizeof(*heap));
	s->cap = s->count;
	free(heap);
	return s;
}

/* Length of the longest known secret that text begins with, or 0. */
static size_t
redact_known(const struct redact_set *s, const char *text, size_t len)
{
	uint32_t lo = 0, hi = s->count;
	int32_t at;

	while (lo < hi) { /* the last one that is not greater than the text */
		uint32_t mid = lo + (hi - lo) / 2;

		if (redact_compare(&s->secret[mid], &(struct redact_secret){.text = text, .len = len}) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (at = (int32_t)lo - 1; at >= 0; at = s->secret[at].parent)
		if (redact_begins(text, len, &s->secret[at]))
			return s->secret[at].len;
	return 0;
}

static size_t
redact_key_chars(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && (isalnum((unsigned char)text[n]) || strchr("-_.~+/=", text[n])) && text[n])
		n++;
	while (n && text[n - 1] == '.') /* the end of a sentence, not of a key */
		n--;
	return n;
}

/* The token after "Bearer ", unless it is a word ("Bearer authentication required"). */
static size_t
redact_bearer(const char *text, size_t len)
{
	size_t n;
	bool digit = false;

	if (len < 8 || (text[0] | 0x20) != 'b' || strncasecmp(text, "bearer ", 7) != 0)
		return 0;
	n = redact_key_chars(text + 7, len - 7);
	for (size_t i = 0; i < n; i++)
		digit |= isdigit((unsigned char)text[7 + i]) != 0;
	return n >= 20 || (n >= 5 && digit) ? 7 + n : 0;
}

static size_t
redact_shape(const char *text, size_t len)
{
	for (size_t i = 0; i < HALE_COUNT(redact_shapes); i++) {
		size_t plen = strlen(redact_shapes[i].prefix);

		if (text[0] != redact_shapes[i].prefix[0] || len < plen + redact_shapes[i].least ||
		    memcmp(text, redact_shapes[i].prefix, plen) != 0)
			continue;
		if (redact_key_chars(text + plen, len - plen) >= redact_shapes[i].least)
			return plen + redact_key_chars(text + plen, len - plen);
	}
	return 0;
}

/* "//user:password@" after a colon: the length up to the @, or 0. */
static size_t
redact_userinfo(const char *text, size_t len)
{
	if (len < 2 || text[0] != '/' || text[1] != '/')
		return 0;
	for (size_t i = 2; i < len && !isspace((unsigned char)text[i]); i++) {
		if (text[i] == '@')
			return i > 2 ? i : 0;
		if (strchr("/?#\"'<>", text[i]))
			return 0;
	}
	return 0;
}

/* What at text[i] is secret: its length; *keep bytes at its beginning are not. */
static size_t
redact_at(const struct redact_set *s, const char *text, size_t len, size_t i, size_t *keep)
{
	bool word_start = i == 0 || !isalnum((unsigned char)text[i - 1]);
	size_t n = redact_known(s, text + i, len - i);

	*keep = 0;
	if (n == 0 && word_start && (n = redact_bearer(text + i, len - i)) != 0)
		*keep = 7;
	if (n == 0 && word_start)
		n = redact_shape(text + i, len - i);
	if (n == 0 && i > 0 && text[i - 1] == ':' && (n = redact_userinfo(text + i, len - i)) != 0)
		*keep = 2;
	return n;
}

static void
redact_with(const struct redact_set *s, const char *text, size_t len, struct strbuf *out)
{
	size_t run = 0, i = 0, keep, n;

	while (i + 1 < len) {
		unsigned p = REDACT_PREFIX(text + i);

		if (!(s->first[p / 8] & 1u << p % 8) || (n = redact_at(s, text, len, i, &keep)) == 0) {
			i++;
			continue;
		}
		strbuf_add(out, text + run, i + keep - run);
		redact_maskn(text + i + keep, n - keep, out);
		i += n;
		run = i;
	}
	strbuf_add(out, text + run, len - run);
}

void
redact_text(const struct conf *c, const char *text, size_t len, struct strbuf *out)
{
	struct redact_set *temporary;

	if (c && c->secrets) {
		redact_with(c->secrets, text, len, out);
		return;
	}
	temporary = xcalloc(1, sizeof(*temporary));
	if (c)
		redact_set_collect(temporary, c);
	redact_set_finish(temporary);
	redact_with(temporary, text, len, out);
	free(temporary->secret);
	free(temporary);
}

/* Scalars: from the text of a YAML word to a value, by the rules of Python's yaml module.
 *
 * LiteLLM's files are read by Python, so `yes` is a boolean, `0o17` is text and `1_000` a number. The same
 * rules matter twice: for meaning, and for deployment ids, which hash values as Python prints them. Two
 * kinds are left as text on purpose: dates (Python prints them as they were written) and whole numbers
 * beyond 64 bits (their digits are what an id needs, and no setting can use them).
 */
#include "hale/hale.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "conf_impl.h"

#define CONF_SCALAR_DIGITS_MAX 80 /* longer numbers are text */

static bool
conf_scalar_word(const char *text, const char *const *words, unsigned nwords)
{
	for (unsigned i = 0; i < nwords; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

static bool
conf_scalar_is_null(const char *text)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	return conf_scalar_word(text, words, HALE_COUNT(words));
}

static bool
conf_scalar_yaml_bool(const char *text, bool *out)
{
	static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"};
	static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"};

	*out = conf_scalar_word(text, yes, HALE_COUNT(yes));
	return *out || conf_scalar_word(text, no, HALE_COUNT(no));
}

/* Copies digits without '_' and checks them against base; false when there is none or another character. */
static bool
conf_scalar_digits(const char *s, int base, char *out, size_t size)
{
	size_t n = 0;

	for (; *s; s++) {
		int v = isdigit((unsigned char)*s) ? *s - '0' : isxdigit((unsigned char)*s) ? (tolower(*s) - 'a') + 10 : 99;

		if (*s == '_')
			continue;
		if (v >= base || n + 1 >= size)
			return false;
		out[n++] = *s;
	}
	out[n] = '\0';
	return n > 0;
}

/* "1:30" is ninety: base 60, every part after the first below 60. */
static bool
conf_scalar_sexagesimal(const char *s, int64_t *out)
{
	int64_t total = 0;
	unsigned parts = 0;

	if (*s < '1' || *s > '9')
		return false;
	for (;; s++) {
		char *end;
		unsigned long part;

		if (!isdigit((unsigned char)*s))
			return false;
		errno = 0;
		part = strtoul(s, &end, 10);
		if (errno || (parts && (part > 59 || end - s > 2)) || total > INT64_MAX / 60 / 2 || part > INT32_MAX)
			return false;
		total = total * 60 + (int64_t)part;
		parts++;
		s = end;
		if (*s != ':')
			break;
	}
	*out = total;
	return *s == '\0' && parts > 1;
}

static bool
conf_scalar_yaml_int(const char *text, int64_t *out)
{
	const char *s = text + (*text == '-' || *text == '+');
	bool negative = *text == '-';
	char digits[CONF_SCALAR_DIGITS_MAX];
	unsigned long long v;
	int base = 10;

	if (*s == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	} else if (*s == '0' && s[1] == 'b') {
		base = 2;
		s += 2;
	} else if (*s == '0' && s[1]) {
		base = 8;
	} else if (strchr(s, ':')) {
		if (!conf_scalar_sexagesimal(s, out))
			return false;
		*out = negative ? -*out : *out;
		return true;
	} else if (*s == '_') {
		return false;
	}
	if (!conf_scalar_digits(s, base, digits, sizeof(digits)))
		return false;
	errno = 0;
	v = strtoull(digits, NULL, base);
	if (errno || v > (unsigned long long)INT64_MAX + negative)
		return false;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

/* [-+]?digits.digits?(e[-+]digits)? or .digits(...)?, with '_' among digits: the point and the exponent's sign are
 * required, a sign needs a digit after it. */
static bool
conf_scalar_float_form(const char *s, char *out, size_t size)
{
	size_t n = 0;
	bool point = false;

	if (*s == '-' || *s == '+')
		out[n++] = *s++;
	if (!isdigit((unsigned char)s[0]) && (n || s[0] != '.' || !isdigit((unsigned char)s[1])))
		return false;
	for (; *s && n + 1 < size; s++) {
		if (*s == '_')
			continue;
		if (*s == '.' && !point)
			point = true;
		else if (!isdigit((unsigned char)*s))
			break;
		out[n++] = *s;
	}
	if (!point)
		return false;
	if ((*s == 'e' || *s == 'E') && (s[1] == '-' || s[1] == '+') && isdigit((unsigned char)s[2]) && n + 3 < size) {
		out[n++] = 'e';
		out[n++] = s[1];
		for (s += 2; isdigit((unsigned char)*s) && n + 1 < size; s++)
			out[n++] = *s;
	}
	out[n] = '\0';
	return *s == '\0';
}

/* "1:30.5" is 90.5: base 60, the last part with a point and without an exponent. */
static bool
conf_scalar_sexagesimal_float(const char *text, double *out)
{
	const char *s = text + (*text == '-' || *text == '+'), *last = strrchr(s, ':'), *point = strchr(s, '.');
	char head[CONF_SCALAR_DIGITS_MAX], tail[CONF_SCALAR_DIGITS_MAX];
	int64_t whole;
	double x;

	if (last == NULL || point == NULL || point < last + 2 || point > last + 3 || last - s >= CONF_SCALAR_DIGITS_MAX - 3)
		return false;
	snprintf(head, sizeof(head), "%.*s:0", (int)(last - s), s); /* :0 makes one part a valid number too */
	if (!isdigit((unsigned char)last[1]) || strpbrk(last, "eE") || !conf_scalar_sexagesimal(head, &whole) ||
	    !conf_scalar_float_form(last + 1, tail, sizeof(tail)))
		return false;
	x = strtod(tail, NULL);
	*out = (double)whole + x;
	if (*text == '-')
		*out = -*out;
	return x < 60;
}

static bool
conf_scalar_yaml_float(const char *text, double *out)
{
	static const char *const inf[] = {".inf", ".Inf", ".INF"};
	static const char *const nans[] = {".nan", ".NaN", ".NAN"};
	const char *s = text + (*text == '-' || *text == '+');
	char plain[CONF_SCALAR_DIGITS_MAX];

	if (conf_scalar_word(s, inf, HALE_COUNT(inf))) {
		*out = *text == '-' ? -INFINITY : INFINITY;
		return true;
	}
	if (conf_scalar_word(text, nans, HALE_COUNT(nans))) {
		*out = NAN;
		return true;
	}
	if (strchr(text, ':'))
		return conf_scalar_sexagesimal_float(text, out);
	if (!conf_scalar_float_form(text, plain, sizeof(plain)))
		return false;
	*out = strtod(plain, NULL);
	return true;
}

void
conf_scalar_resolve(struct conf_node *n)
{
	bool word = strlen(n->text) <= strlen("false"); /* most values are longer than any of the words */

	n->kind = CONF_STRING;
	if (word && conf_scalar_is_null(n->text))
		n->kind = CONF_NULL;
	else if (word && conf_scalar_yaml_bool(n->text, &n->v.boolean))
		n->kind = CONF_BOOL;
	else if (conf_scalar_yaml_int(n->text, &n->v.integer))
		n->kind = CONF_INT;
	else if (conf_scalar_yaml_float(n->text, &n->v.number))
		n->kind = CONF_FLOAT;
	else
		n->v.string = n->text;
}

bool
conf_scalar_tagged(struct conf_node *n, const char *tag)
{
	static const char prefix[] = "tag:yaml.org,2002:";
	static const struct {
		const char *name;
		enum conf_kind kind;
	} kinds[] = {{"null", CONF_NULL}, {"bool", CONF_BOOL}, {"int", CONF_INT}, {"float", CONF_FLOAT}};

	if (strcmp(tag, "!") == 0 || strcmp(tag, "tag:yaml.org,2002:str") == 0) {
		n->kind = CONF_STRING;
		n->v.string = n->text;
		return true;
	}
	if (strncmp(tag, prefix, sizeof(prefix) - 1) != 0)
		return false;
	conf_scalar_resolve(n);
	if (n->kind == CONF_INT && strcmp(tag + sizeof(prefix) - 1, "float") == 0) {
		n->kind = CONF_FLOAT;
		n->v.number = (double)n->v.integer;
	}
	for (unsigned i = 0; i < HALE_COUNT(kinds); i++)
		if (strcmp(tag + sizeof(prefix) - 1, kinds[i].name) == 0)
			return n->kind == kinds[i].kind;
	return false;
}

bool
conf_scalar_int(const char *text, int64_t *out)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || errno)
		return false;
	while (isspace((unsigned char)*end))
		end++;
	*out = v;
	return *end == '\0';
}

bool
conf_scalar_double(const char *text, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || !isfinite(v))
		return false;
	while (isspace((unsigned char)*end))
		end++;
	*out = v;
	return *end == '\0';
}

bool
conf_scalar_bool(const char *text, bool *out)
{
	char word[8];
	size_t n = 0;

	while (isspace((unsigned char)*text))
		text++;
	for (; *text && !isspace((unsigned char)*text); text++) {
		if (n + 1 >= sizeof(word))
			return false;
		word[n++] = (char)tolower((unsigned char)*text);
	}
	word[n] = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return *text == '\0' && conf_scalar_yaml_bool(word, out);
}

/* JSON scanner for the request path: validates, finds top-level members, builds nothing.
 *
 * Requests are mostly long strings, so the one hot loop is json_scan_plain(): it runs over string bytes
 * that need no look (no quote, no backslash, no control character, ASCII), 64 at a time with SSE2, 8 at
 * a time elsewhere. Everything else is a plain recursive-descent grammar without the recursion: the kinds
 * of open brackets are bits of a stack of fixed size, so hostile nesting costs nothing.
 *
 * The text needs no terminating NUL; every read is checked against the end.
 */
#include "hale/hale.h"

#include "hale/json_scan.h"

#include <strings.h>

#include "hale/err.h"
#include "json_hex.h"

#if defined(__SSE2__) && !defined(HALE_JSON_PORTABLE)
#define JSON_SCAN_SSE2
#include <emmintrin.h>
#endif

/* Longest name that is looked for, unescaped, with its NUL. */
#define JSON_KEY_BYTES 64

struct json_cursor {
	const unsigned char *p, *end, *base; /* base: what spans count from */
	const char *why;
	int error;
};

static bool
json_scan_fail(struct json_cursor *c, const char *why)
{
	c->why = why;
	c->error = HALE_EINVAL;
	return false;
}

#ifdef JSON_SCAN_SSE2
/* Signed compare: control characters and, being negative, everything outside ASCII are "less than space". */
static inline __m128i
json_scan_special(const unsigned char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));

	return _mm_or_si128(_mm_or_si128(quote, slash), _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)));
}
#else
/* Not zero when one of 8 bytes is special (the classic word tricks; a borrow can only add false alarms). */
static inline uint64_t
json_scan_special(const unsigned char *p)
{
	const uint64_t one = UINT64_C(0x0101010101010101), high = one << 7;
	uint64_t v, quote, slash;

	memcpy(&v, p, sizeof(v));
	quote = v ^ one * '"';
	slash = v ^ one * '\\';
	return ((v - one * 0x20) | v | ((quote - one) & ~quote) | ((slash - one) & ~slash)) & high;
}
#endif

static inline bool
json_scan_is_plain(unsigned char ch)
{
	return ch >= 0x20 && ch < 0x80 && ch != '"' && ch != '\\';
}

/* First byte at or after p that is not plain; end when there is none. */
static inline const unsigned char *
json_scan_plain(const unsigned char *p, const unsigned char *end)
{
#ifdef JSON_SCAN_SSE2
	/* Names and words end in the first block; only long text gets to the wide loop. */
	for (; end - p >= 16; p += 16) {
		int mask = _mm_movemask_epi8(json_scan_special(p));

		if (mask)
			return p + __builtin_ctz((unsigned)mask);
		while (end - p >= 80) {
			__m128i one = _mm_or_si128(json_scan_special(p + 16), json_scan_special(p + 32));
			__m128i two = _mm_or_si128(json_scan_special(p + 48), json_scan_special(p + 64));

			if (_mm_movemask_epi8(_mm_or_si128(one, two)))
				break;
			p += 64;
		}
	}
#else
	while (end - p >= 8 && !json_scan_special(p))
		p += 8;
#endif
	while (p < end && json_scan_is_plain(*p))
		p++;
	return p;
}

/* Length of the UTF-8 sequence at p: no overlong forms, no surrogates, up to U+10FFFF. 0: invalid. */
static inline size_t
json_scan_utf8(const unsigned char *p, const unsigned char *end)
{
	size_t left = (size_t)(end - p);

	if (p[0] >= 0xc2 && p[0] < 0xe0)
		return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((p[0] & 0xf0) == 0xe0) {
		if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return 0;
		return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ? 0 : 3;
	}
	if (p[0] < 0xf0 || p[0] > 0xf4 || left < 4)
		return 0;
	if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
		return 0;
	return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

/* At the backslash. */
static bool
json_scan_escape(struct json_cursor *c)
{
	if (c->end - c->p < 2)
		return json_scan_fail(c, "unterminated string");
	switch (c->p[1]) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		c->p += 2;
		return true;
	case 'u':
		if (json_hex4(c->p + 2, c->end) < 0)
			return json_scan_fail(c, "bad \\u escape in a string");
		c->p += 6;
		return true;
	default:
		return json_scan_fail(c, "bad escape in a string");
	}
}

/* At the opening quote; leaves the cursor behind the closing one. */
static bool
json_scan_string(struct json_cursor *c, bool *escaped)
{
	size_t n;

	c->p++;
	for (;;) {
		c->p = json_scan_plain(c->p, c->end);
		if (c->p == c->end)
			return json_scan_fail(c, "unterminated string");
		if (*c->p == '"') {
			c->p++;
			return true;
		}
		if (*c->p == '\\') {
			*escaped = true;
			if (!json_scan_escape(c))
				return false;
			continue;
		}
		if (*c->p < 0x20)
			return json_scan_fail(c, "control character in a string");
		/* Text outside ASCII comes in runs. */
		while (c->p < c->end && *c->p >= 0x80) {
			n = json_scan_utf8(c->p, c->end);
			if (n == 0)
				return json_scan_fail(c, "invalid UTF-8");
			c->p += n;
		}
	}
}

static inline void
json_scan_space(struct json_cursor *c)
{
	while (c->p < c->end && *c->p <= ' ' && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r'))
		c->p++;
}

static bool
json_scan_digits(struct json_cursor *c)
{
	const unsigned char *from = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return c->p > from || json_scan_fail(c, "bad number");
}

static bool
json_scan_number(struct json_cursor *c)
{
	const unsigned char *digits;

	if (*c->p == '-')
		c->p++;
	digits = c->p;
	if (!json_scan_digits(c))
		return false;
	if (*digits == '0' && c->p - digits > 1)
		return json_scan_fail(c, "bad number");
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		if (!json_scan_digits(c))
			return false;
	}
	if (c->p < c->end && (*c->p | 0x20) == 'e') {
		c->p++;
		if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
			c->p++;
		return json_scan_digits(c);
	}
	return true;
}

static bool
json_scan_word(struct json_cursor *c, const char *word, size_t len)
{
	if ((size_t)(c->end - c->p) < len || memcmp(c->p, word, len) != 0)
		return json_scan_fail(c, "unexpected text where a value must be");
	c->p += len;
	return true;
}

/* A value that is no array or object. */
static bool
json_scan_scalar(struct json_cursor *c)
{
	bool escaped;

	switch (*c->p) {
	case '"':
		return json_scan_string(c, &escaped);
	case 't':
		return json_scan_word(c, "true", 4);
	case 'f':
		return json_scan_word(c, "false", 5);
	case 'n':
		return json_scan_word(c, "null", 4);
	case '-':
	case '0' ... '9':
		return json_scan_number(c);
	default:
		return json_scan_fail(c, "unexpected text where a value must be");
	}
}

/* `"name" :` and the space around it. */
static bool
json_scan_name(struct json_cursor *c, bool *escaped)
{
	if (c->p == c->end || *c->p != '"')
		return json_scan_fail(c, "a member name in quotes is missing");
	if (!json_scan_string(c, escaped))
		return false;
	json_scan_space(c);
	if (c->p == c->end || *c->p != ':')
		return json_scan_fail(c, "':' is missing after a member name");
	c->p++;
	json_scan_space(c);
	return true;
}

/* Kinds of the open brackets: bit set for an object. */
struct json_stack {
	uint64_t bit[JSON_DEPTH_MAX / 64];
	unsigned depth, max;
};

static inline bool
json_stack_is_object(const struct json_stack *s)
{
	return s->bit[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1;
}

static bool
json_stack_push(struct json_stack *s, struct json_cursor *c, bool object)
{
	uint64_t mask = UINT64_C(1) << s->depth % 64;

	if (s->depth >= s->max) {
		c->why = "nested too deeply";
		c->error = HALE_ELIMIT;
		return false;
	}
	if (object)
		s->bit[s->depth / 64] |= mask;
	else
		s->bit[s->depth / 64] &= ~mask;
	s->depth++;
	c->p++;
	json_scan_space(c);
	return true;
}

/* After a value inside the innermost bracket: closes brackets as long as they end here, then stands before
 * the next value. *more is false when the outermost one was closed. */
static bool
json_scan_next(struct json_cursor *c, struct json_stack *s, bool *more)
{
	bool escaped;

	while (s->depth) {
		bool object = json_stack_is_object(s);

		json_scan_space(c);
		if (c->p == c->end)
			return json_scan_fail(c, "the text ends inside an array or object");
		if (*c->p == ',') {
			c->p++;
			json_scan_space(c);
			*more = true;
			return !object || json_scan_name(c, &escaped);
		}
		if (*c->p != (object ? '}' : ']'))
			return json_scan_fail(c, object ? "',' or '}' is missing" : "',' or ']' is missing");
		c->p++;
		s->depth--;
	}
	*more = false;
	return true;
}

/* Values until all open brackets are closed; the cursor is before a value unless more is false. */
static bool
json_scan_rest(struct json_cursor *c, struct json_stack *s, bool more)
{
	bool escaped;

	while (more) {
		bool object;

		if (c->p == c->end)
			return json_scan_fail(c, "the text ends where a value must be");
		if (*c->p != '{' && *c->p != '[') {
			if (!json_scan_scalar(c))
				return false;
		} else {
			object = *c->p == '{';
			if (!json_stack_push(s, c, object))
				return false;
			if (c->p < c->end && *c->p == (object ? '}' : ']')) {
				c->p++;
				s->depth--;
			} else {
				if (object && !json_scan_name(c, &escaped))
					return false;
				continue;
			}
		}
		if (!json_scan_next(c, s, &more))
			return false;
	}
	return true;
}

/* One value of any kind; the cursor ends directly behind it. */
static bool
json_scan_value(struct json_cursor *c, unsigned depth_max)
{
	struct json_stack s;

	s.depth = 0;
	s.max = depth_max;
	return json_scan_rest(c, &s, true);
}

/* Does the name token say one of the wanted names? Sets *found or leaves it NULL. */
static bool
json_scan_match(struct json_cursor *c, const char *token, size_t len, bool escaped, struct json_want *want,
                unsigned nwant, struct json_want **found)
{
	char buf[JSON_KEY_BYTES];
	const char *name = token + 1;
	size_t n = len - 2;

	*found = NULL;
	if (escaped) {
		int rc = json_unescape(token, len, buf, sizeof(buf));

		if (rc == HALE_ERANGE)
			return true; /* longer than every name that is looked for */
		if (rc)
			return json_scan_fail(c, "U+0000 or a lone surrogate in a member name");
		name = buf;
		n = strlen(buf);
	}
	for (unsigned i = 0; i < nwant; i++) {
		/* The first letter tells nearly all of them apart. */
		if ((want[i].key[0] | 0x20) != (name[0] | 0x20) || strlen(want[i].key) != n)
			continue;
		if (memcmp(want[i].key, name, n) == 0) {
			*found = &want[i];
			return !want[i].value.len || json_scan_fail(c, "duplicate member");
		}
		if (want[i].any_case && strncasecmp(want[i].key, name, n) == 0)
			return json_scan_fail(c, "a member name differs from the expected one only in letter case");
	}
	return true;
}

static bool json_scan_object(struct json_cursor *c, unsigned depth_max, struct json_want *want,
                             unsigned nwant);

static struct json_span
json_scan_span(const struct json_cursor *c, const unsigned char *from)
{
	return (struct json_span){(size_t)(from - c->base), (size_t)(c->p - from)};
}

/* A value of which members are wanted too. */
static bool
json_scan_inner(struct json_cursor *c, unsigned depth_max, struct json_want *w)
{
	const unsigned char *from;
	struct json_stack s = {.max = depth_max};
	bool more;

	if (c->p < c->end && *c->p == '{')
		return json_scan_object(c, depth_max, w->inner, w->ninner);
	if (c->p == c->end || *c->p != '[')
		return json_scan_value(c, depth_max);
	if (!json_stack_push(&s, c, false))
		return false;
	if (c->p < c->end && *c->p == ']') {
		c->p++;
		return true;
	}
	from = c->p;
	if (c->p < c->end && *c->p == '{') {
		if (!json_scan_object(c, depth_max - 1, w->inner, w->ninner))
			return false;
	} else if (!json_scan_value(c, depth_max - 1)) {
		return false;
	}
	w->first = json_scan_span(c, from);
	return json_scan_next(c, &s, &more) && json_scan_rest(c, &s, more);
}

/* The members of an object, cursor at its first byte or the space before it. */
static bool
json_scan_object(struct json_cursor *c, unsigned depth_max, struct json_want *want, unsigned nwant)
{
	if (depth_max == 0) {
		c->why = "nested too deeply";
		c->error = HALE_ELIMIT;
		return false;
	}
	json_scan_space(c);
	if (c->p == c->end || *c->p != '{')
		return json_scan_fail(c, c->p == c->end ? "empty text" : "the top level is not an object");
	c->p++;
	json_scan_space(c);
	if (c->p < c->end && *c->p == '}') {
		c->p++;
		return true;
	}
	for (;;) {
		const unsigned char *name = c->p, *value;
		struct json_want *found;
		bool escaped = false;

		if (c->p == c->end || *c->p != '"')
			return json_scan_fail(c, "a member name in quotes is missing");
		if (!json_scan_string(c, &escaped) ||
		    !json_scan_match(c, (const char *)name, (size_t)(c->p - name), escaped, want, nwant, &found))
			return false;
		json_scan_space(c);
		if (c->p == c->end || *c->p != ':')
			return json_scan_fail(c, "':' is missing after a member name");
		c->p++;
		json_scan_space(c);
		value = c->p;
		if (found && found->inner ? !json_scan_inner(c, depth_max - 1, found)
		                          : !json_scan_value(c, depth_max - 1))
			return false;
		if (found)
			found->value = json_scan_span(c, value);
		json_scan_space(c);
		if (c->p < c->end && *c->p == '}') {
			c->p++;
			return true;
		}
		if (c->p == c->end || *c->p != ',')
			return json_scan_fail(c, c->p == c->end ? "the text ends inside an array or object"
			                                        : "',' or '}' is missing");
		c->p++;
		json_scan_space(c);
	}
}

static void
json_want_clear(struct json_want *want, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		want[i].value = want[i].first = (struct json_span){0, 0};
		json_want_clear(want[i].inner, want[i].ninner);
	}
}

int
json_members(const char *text, size_t len, unsigned depth_max, struct json_want *want, unsigned nwant,
             const char **why, size_t *at)
{
	const unsigned char *base = (const unsigned char *)text;
	struct json_cursor c = {.p = base, .end = base + len, .base = base};

	json_want_clear(want, nwant);
	if (depth_max > JSON_DEPTH_MAX)
		depth_max = JSON_DEPTH_MAX;
	if (depth_max == 0)
		depth_max = 1;
	if (json_scan_object(&c, depth_max, want, nwant)) {
		json_scan_space(&c);
		if (c.p == c.end)
			return 0;
		json_scan_fail(&c, "text after the end of the object");
	}
	*why = c.why;
	*at = (size_t)(c.p - base);
	return c.error;
}

enum { SCAN_MODEL, SCAN_STREAM, SCAN_STREAM_OPTIONS, SCAN_MESSAGES, SCAN_INPUT, SCAN_PROMPT, SCAN_MAX_TOKENS,
       SCAN_MAX_COMPLETION_TOKENS, SCAN_COUNT };

static bool
json_scan_usage(const char *text, struct json_span options)
{
	struct json_want usage = {.key = "include_usage"};
	const char *why;
	size_t at;

	text += options.start;
	return options.len && json_members(text, options.len, JSON_DEPTH_MAX, &usage, 1, &why, &at) == 0 &&
	       usage.value.len && text[usage.value.start] == 't';
}

int
json_scan(const char *text, size_t len, unsigned depth_max, struct json_scan *out, const char **why, size_t *at)
{
	/* A parser that ignores case, behind us, would take "Model" for the model that we did not see. */
	struct json_want want[SCAN_COUNT] = {
		[SCAN_MODEL] = {.key = "model", .any_case = true},
		[SCAN_STREAM] = {.key = "stream"},
		[SCAN_STREAM_OPTIONS] = {.key = "stream_options"},
		[SCAN_MESSAGES] = {.key = "messages"},
		[SCAN_INPUT] = {.key = "input"},
		[SCAN_PROMPT] = {.key = "prompt"},
		[SCAN_MAX_TOKENS] = {.key = "max_tokens"},
		[SCAN_MAX_COMPLETION_TOKENS] = {.key = "max_completion_tokens"},
	};
	const struct json_span *model = &want[SCAN_MODEL].value, *stream = &want[SCAN_STREAM].value;
	int rc = json_members(text, len, depth_max, want, SCAN_COUNT, why, at);

	*out = (struct json_scan){0};
	if (rc)
		return rc;
	if (model->len && text[model->start] != '"') {
		*why = "model must be a string";
		*at = model->start;
		return HALE_EINVAL;
	}
	/* Peers disagree on what 1 or "true" mean here, so they are not let through. */
	if (stream->len && !strchr("tfn", text[stream->start])) {
		*why = "stream must be true or false";
		*at = stream->start;
		return HALE_EINVAL;
	}
	*out = (struct json_scan){
		.model = *model,
		.model_escaped = model->len && memchr(text + model->start, '\\', model->len),
		.stream = stream->len && text[stream->start] == 't',
		.stream_options = want[SCAN_STREAM_OPTIONS].value,
		.include_usage = json_scan_usage(text, want[SCAN_STREAM_OPTIONS].value),
		.messages = want[SCAN_MESSAGES].value,
		.input = want[SCAN_INPUT].value,
		.prompt = want[SCAN_PROMPT].value,
		.has_max_tokens = want[SCAN_MAX_TOKENS].value.len || want[SCAN_MAX_COMPLETION_TOKENS].value.len,
	};
	return 0;
}

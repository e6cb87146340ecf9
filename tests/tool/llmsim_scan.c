/* Finds the few top-level members of a JSON body that the simulator looks at, without building a tree.
 *
 * Quick rather than complete: nesting and strings must balance and the whole must be one object, but numbers
 * and words inside values are not checked. The simulator is not the judge of JSON, and it must not be the
 * slowest part of a benchmark: long strings are crossed with memchr.
 */
#include "hale/hale.h"

#include "llmsim.h"

#define LLMSIM_DEPTH_MAX 512

static const char *
llmsim_scan_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* p at the opening quote; returns behind the closing one, NULL when there is none. */
static const char *
llmsim_scan_string(const char *p, const char *end)
{
	for (p++; p < end;) {
		const char *q = memchr(p, '"', (size_t)(end - p)), *b;

		if (!q)
			return NULL;
		b = memchr(p, '\\', (size_t)(q - p));
		if (!b)
			return q + 1;
		p = b + 2;
	}
	return NULL;
}

static const char *
llmsim_scan_value(const char *p, const char *end)
{
	char open[LLMSIM_DEPTH_MAX];
	unsigned depth = 0;

	if (p >= end)
		return NULL;
	while (p < end) {
		if (*p == '"') {
			p = llmsim_scan_string(p, end);
			if (!p)
				return NULL;
		} else if (*p == '{' || *p == '[') {
			if (depth == LLMSIM_DEPTH_MAX)
				return NULL;
			open[depth++] = *p++;
		} else if (*p == '}' || *p == ']') {
			if (depth == 0)
				return p;
			if ((open[--depth] == '{') != (*p == '}'))
				return NULL;
			p++;
		} else if (*p == ',' && depth == 0) {
			return p;
		} else {
			p++;
			continue; /* inside a number, a word or space: the value may go on */
		}
		if (depth == 0)
			return p;
	}
	return NULL;
}

/* -1 when it is no whole number. */
static int64_t
llmsim_scan_number(struct llmsim_span v)
{
	int64_t n = 0;

	if (v.len == 0 || v.len > 15)
		return -1;
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return -1;
		n = n * 10 + (v.p[i] - '0');
	}
	return n;
}

static struct llmsim_span
llmsim_scan_unquote(struct llmsim_span v)
{
	if (v.len >= 2 && v.p[0] == '"')
		return (struct llmsim_span){v.p + 1, v.len - 2};
	return (struct llmsim_span){NULL, 0};
}

static void
llmsim_scan_member(struct llmsim_request *r, struct llmsim_span name, struct llmsim_span v)
{
	if (llmsim_gemini_member(r, name, v) || llmsim_bedrock_member(r, name, v))
		return;
	if (llmsim_span_is(name, "model"))
		r->model = llmsim_scan_unquote(v);
	else if (llmsim_span_is(name, "stream"))
		r->stream = llmsim_span_is(v, "true");
	else if (llmsim_span_is(name, "stream_options"))
		/* its only member that matters; other spellings of true do not exist in JSON */
		r->include_usage =
		    memmem(v.p, v.len, "\"include_usage\"", 15) && memmem(v.p, v.len, "true", 4);
	else if (llmsim_span_is(name, "messages"))
		r->messages = v;
	else if (llmsim_span_is(name, "input"))
		r->input = v;
	else if (llmsim_span_is(name, "prompt"))
		r->prompt = v;
	else if (llmsim_span_is(name, "max_tokens") || llmsim_span_is(name, "max_output_tokens"))
		r->max_tokens = llmsim_scan_number(v);
	else if (llmsim_span_is(name, "max_completion_tokens"))
		r->max_completion_tokens = llmsim_scan_number(v);
	else if (llmsim_span_is(name, "dimensions"))
		r->dimensions = llmsim_scan_number(v);
	else if (llmsim_span_is(name, "encoding_format"))
		r->encoding_format = llmsim_scan_unquote(v);
}

bool
llmsim_scan(struct llmsim_span body, struct llmsim_request *r)
{
	const char *p = body.p, *end = body.p + body.len;

	p = llmsim_scan_space(p, end);
	if (p >= end || *p != '{')
		return false;
	p = llmsim_scan_space(p + 1, end);
	if (p < end && *p == '}')
		return llmsim_scan_space(p + 1, end) == end;
	for (;;) {
		struct llmsim_span name, value;
		const char *q;

		if (p >= end || *p != '"')
			return false;
		q = llmsim_scan_string(p, end);
		if (!q)
			return false;
		name = (struct llmsim_span){p + 1, (size_t)(q - p) - 2};
		p = llmsim_scan_space(q, end);
		if (p >= end || *p != ':')
			return false;
		p = llmsim_scan_space(p + 1, end);
		q = llmsim_scan_value(p, end);
		if (!q || q == p)
			return false;
		value = (struct llmsim_span){p, (size_t)(q - p)};
		while (value.len && strchr(" \r\n\t", value.p[value.len - 1]))
			value.len--;
		llmsim_scan_member(r, name, value);
		p = llmsim_scan_space(q, end);
		if (p >= end)
			return false;
		if (*p == '}')
			return llmsim_scan_space(p + 1, end) == end;
		if (*p != ',')
			return false;
		p = llmsim_scan_space(p + 1, end);
	}
}

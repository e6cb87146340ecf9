/* Scanner of multipart/form-data (RFC 7578) for the request path: validates
 * the framing, finds parts, copies nothing.
 *
 * Files are most of the bytes, so they are crossed with memmem() for the next delimiter and otherwise left
 * alone. Only what stands between a delimiter and the empty line behind it is parsed.
 */
#include "hale/hale.h"

#include "hale/multipart.h"

#include <strings.h>

#include "hale/err.h"

#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 */

/* Text that is being parsed: the value of one header. */
struct multipart_text {
	const char *p, *end;
};

struct multipart_scanner {
	const char *body, *p, *end;
	char mark[MULTIPART_BOUNDARY_MAX + 5]; /* CR LF "--" boundary */
	size_t mark_len;
	struct multipart_want *want;
	unsigned nwant;
	const char *why;
	int error;
};

/* What the headers of one part say. */
struct multipart_head {
	const char *name; /* NULL: none so far */
	size_t name_len;
	bool is_file;
};

static bool
multipart_fail(struct multipart_scanner *s, const char *why)
{
	s->why = why;
	s->error = HALE_EINVAL;
	return false;
}

static bool
multipart_limit(struct multipart_scanner *s, const char *why)
{
	s->why = why;
	s->error = HALE_ELIMIT;
	return false;
}

static void
multipart_space(struct multipart_text *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\t'))
		t->p++;
}

/* Length of the token (RFC 9110) at p. */
static size_t
multipart_token(const struct multipart_text *t)
{
	static const char extra[] = "!#$%&'*+-.^_`|~";
	const char *p = t->p;

	while (p < t->end && ((*p >= '0' && *p <= '9') || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') ||
	                      (*p && strchr(extra, *p))))
		p++;
	return (size_t)(p - t->p);
}

/* `; name=value` at t: the parts as they are written, quotes taken
 * off. 1: one, 0: the text ends, -1: neither. */
static int
multipart_param(struct multipart_text *t, struct multipart_text *name, struct multipart_text *value)
{
	size_t n;

	multipart_space(t);
	if (t->p == t->end)
		return 0;
	if (*t->p++ != ';')
		return -1;
	multipart_space(t);
	n = multipart_token(t);
	*name = (struct multipart_text){t->p, t->p + n};
	t->p += n;
	if (n == 0 || t->p == t->end || *t->p++ != '=')
		return -1;
	if (t->p < t->end && *t->p == '"') {
		const char *from = ++t->p;

		while (t->p < t->end && *t->p != '"')
			t->p += *t->p == '\\' && t->end - t->p > 1 ? 2 : 1;
		if (t->p == t->end)
			return -1;
		*value = (struct multipart_text){from, t->p++};
		return 1;
	}
	n = multipart_token(t);
	*value = (struct multipart_text){t->p, t->p + n};
	t->p += n;
	return n ? 1 : -1;
}

static bool
multipart_says(struct multipart_text t, const char *word)
{
	size_t n = (size_t)(t.end - t.p);

	return strlen(word) == n && strncasecmp(t.p, word, n) == 0;
}

/* The media type in front of the parameters; false: not ours. */
static bool
multipart_type(struct multipart_text *t)
{
	static const char type[] = "multipart/form-data";

	multipart_space(t);
	if ((size_t)(t->end - t->p) < sizeof(type) - 1 || strncasecmp(t->p, type, sizeof(type) - 1) != 0)
		return false;
	t->p += sizeof(type) - 1;
	return t->p == t->end || *t->p == ';' || *t->p == ' ' || *t->p == '\t';
}

bool
multipart_is(const char *content_type)
{
	struct multipart_text t = {content_type, content_type ? content_type + strlen(content_type) : NULL};

	return content_type && multipart_type(&t);
}

/* The boundary's characters, so that a delimiter cannot be taken for something else. */
static bool
multipart_is_boundary(struct multipart_text b)
{
	static const char extra[] = "'()+_,-./:=? ";
	size_t n = (size_t)(b.end - b.p);

	if (n == 0 || n > MULTIPART_BOUNDARY_MAX || b.end[-1] == ' ')
		return false;
	for (; b.p < b.end; b.p++)
		if (!((*b.p >= '0' && *b.p <= '9') || ((*b.p | 0x20) >= 'a' && (*b.p | 0x20) <= 'z') ||
		      (*b.p && strchr(extra, *b.p))))
			return false;
	return true;
}

static bool
multipart_boundary(struct multipart_scanner *s, const char *content_type)
{
	struct multipart_text t = {content_type, content_type + strlen(content_type)}, name, value;
	int rc;

	if (!multipart_type(&t))
		return multipart_fail(s, "the content type is not multipart/form-data");
	while ((rc = multipart_param(&t, &name, &value)) > 0) {
		if (!multipart_says(name, "boundary"))
			continue;
		if (s->mark_len)
			return multipart_fail(s, "the content type has two boundaries");
		if (!multipart_is_boundary(value))
			return multipart_fail(s, "the boundary of the content type is not valid");
		s->mark_len = (size_t)snprintf(s->mark, sizeof(s->mark), "\r\n--%.*s",
		                               (int)(value.end - value.p), value.p);
	}
	if (rc < 0)
		return multipart_fail(s, "the content type is not valid");
	return s->mark_len || multipart_fail(s, "the content type has no boundary");
}

static bool
multipart_disposition(struct multipart_scanner *s, struct multipart_text t, struct multipart_head *out)
{
	struct multipart_text name, value;
	bool file = false;
	size_t n = multipart_token(&t);
	int rc;

	if (!multipart_says((struct multipart_text){t.p, t.p + n}, "form-data"))
		return multipart_fail(s, "a part's disposition is not form-data");
	if (out->name)
		return multipart_fail(s, "a part has two dispositions");
	t.p += n;
	while ((rc = multipart_param(&t, &name, &value)) > 0) {
		if (multipart_says(name, "filename*"))
			file = true;
		if (multipart_says(name, "name*") || (multipart_says(name, "name") && out->name) ||
		    (multipart_says(name, "filename") && out->is_file))
			return multipart_fail(s, "a part has two names");
		if (multipart_says(name, "filename"))
			out->is_file = true;
		if (!multipart_says(name, "name"))
			continue;
		if (memchr(value.p, '\\', (size_t)(value.end - value.p)))
			return multipart_fail(s, "a part's name has an escape");
		out->name = value.p;
		out->name_len = (size_t)(value.end - value.p);
	}
	if (rc < 0)
		return multipart_fail(s, "a part's disposition is not valid");
	out->is_file = out->is_file || file;
	return out->name || multipart_fail(s, "a part has no name");
}

/* One header line without its end. */
static bool
multipart_line(struct multipart_scanner *s, struct multipart_text t, struct multipart_head *out)
{
	struct multipart_text name = {t.p, t.p + multipart_token(&t)};

	for (const char *p = t.p; p < t.end; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return multipart_fail(s, "a control character in the headers of a part");
	if (name.p == name.end || name.end == t.end || *name.end != ':')
		return multipart_fail(s, "a header of a part is not valid");
	t.p = name.end + 1;
	multipart_space(&t);
	while (t.end > t.p && (t.end[-1] == ' ' || t.end[-1] == '\t'))
		t.end--;
	if (multipart_says(name, "content-disposition"))
		return multipart_disposition(s, t, out);
	if (multipart_says(name, "content-transfer-encoding") && !multipart_says(t, "binary") &&
	    !multipart_says(t, "8bit") && !multipart_says(t, "7bit"))
		return multipart_fail(s, "a part has a transfer encoding");
	return true;
}

/* The headers of a part; leaves s->p at its first byte. */
static bool
multipart_headers(struct multipart_scanner *s, struct multipart_head *out)
{
	const char *from = s->p;

	for (;;) {
		const char *eol = memmem(s->p, (size_t)(s->end - s->p), "\r\n", 2);
		struct multipart_text line = {s->p, eol};

		if (eol == NULL)
			return multipart_fail(s, "the body ends in the headers of a part");
		if (eol - from > MULTIPART_HEAD_MAX)
			return multipart_limit(s, "the headers of a part are too long");
		if (eol != s->p && !multipart_line(s, line, out))
			return false;
		s->p = eol + 2;
		if (eol == line.p)
			return out->name || multipart_fail(s, "a part has no name");
	}
}

/* Is that one of the parts that are looked for? from: its delimiter line; s->p: where it ends. */
static bool
multipart_note(struct multipart_scanner *s, const struct multipart_head *h, const char *from,
               const char *data)
{
	for (unsigned i = 0; i < s->nwant; i++) {
		struct multipart_want *w = &s->want[i];

		if (strlen(w->name) != h->name_len || strncasecmp(w->name, h->name, h->name_len) != 0)
			continue;
		if (memcmp(w->name, h->name, h->name_len) != 0)
			return multipart_fail(s, "a part's name differs from the expected one only in letter case");
		if (w->count++) {
			if (!w->many)
				return multipart_fail(s, "two parts have the same name");
			continue;
		}
		w->is_file = h->is_file;
		w->start = (size_t)(data - s->body);
		w->len = (size_t)(s->p - data);
		w->part_start = (size_t)(from - s->body);
		w->part_len = (size_t)(s->p + 2 - from); /* up to the next "--boundary" */
	}
	return true;
}

/* All parts; s->p stands behind the first delimiter. */
static bool
multipart_parts(struct multipart_scanner *s)
{
	for (unsigned n = 0;; n++) {
		struct multipart_head h = {0};
		const char *from = s->p - (s->mark_len - 2), *data, *next;
		size_t left = (size_t)(s->end - s->p);

		if ((left == 2 && memcmp(s->p, "--", 2) == 0) ||
		    (left == 4 && memcmp(s->p, "--\r\n", 4) == 0))
			return true;
		if (left >= 2 && memcmp(s->p, "--", 2) == 0)
			return multipart_fail(s, "bytes behind the last boundary");
		if (left < 2 || memcmp(s->p, "\r\n", 2) != 0)
			return multipart_fail(s, "the line of a boundary does not end");
		if (n == MULTIPART_PARTS_MAX)
			return multipart_limit(s, "too many parts");
		s->p += 2;
		if (!multipart_headers(s, &h))
			return false;
		data = s->p;
		/* An empty part may share the line break before its delimiter
		 * with the one behind its headers. */
		next = memmem(data - 2, (size_t)(s->end - data + 2), s->mark, s->mark_len);
		if (next == NULL)
			return multipart_fail(s, "the last boundary is missing");
		if (next < data)
			return multipart_fail(s, "a part has no empty line behind its headers");
		s->p = next;
		if (!multipart_note(s, &h, from, data))
			return false;
		s->p = next + s->mark_len;
	}
}

int
multipart_scan(const char *content_type, const char *body, size_t len, struct multipart_want *want,
               unsigned nwant, const char **why, size_t *at)
{
	struct multipart_scanner s = {.body = body, .p = body, .end = body + len, .want = want, .nwant = nwant};

	for (unsigned i = 0; i < nwant; i++)
		want[i] = (struct multipart_want){.name = want[i].name, .many = want[i].many};
	if (multipart_boundary(&s, content_type ? content_type : "")) {
		if (len < s.mark_len - 2 || memcmp(body, s.mark + 2, s.mark_len - 2) != 0) {
			multipart_fail(&s, "the body does not begin with the boundary");
		} else {
			s.p = body + s.mark_len - 2;
			if (multipart_parts(&s))
				return 0;
		}
	}
	*why = s.why;
	*at = (size_t)(s.p - body);
	return s.error;
}

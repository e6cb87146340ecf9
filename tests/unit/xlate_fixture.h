/* What the tests of translations share: OpenAI's request in, the provider's text or the refusal out. */
#ifndef HALE_TESTS_XLATE_FIXTURE_H
#define HALE_TESTS_XLATE_FIXTURE_H

#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "hale/err.h"
#include "hale/provider.h"
#include "hale/strbuf.h"

static inline int
xlate_fixture_request(const struct provider_xlate *x, const char *model, const char *openai, struct strbuf *out,
                      const char **why)
{
	struct json_object *o = json_tokener_parse(openai);
	int rc;

	if (!o)
		fail_msg("the test's own JSON: %s", openai);
	strbuf_init(out, 0);
	rc = x->request(NULL, model, o, out, why);
	json_object_put(o);
	return rc;
}

static inline void
xlate_fixture_check(const struct provider_xlate *x, const char *model, const char *openai, const char *want)
{
	struct strbuf out;
	const char *why = NULL;

	if (xlate_fixture_request(x, model, openai, &out, &why))
		fail_msg("%s: %s", openai, why);
	assert_string_equal(strbuf_str(&out), want);
	strbuf_release(&out);
}

static inline void
xlate_fixture_refused(const struct provider_xlate *x, const char *model, const char *openai, const char *want)
{
	struct strbuf out;
	const char *why = NULL;

	assert_int_equal(xlate_fixture_request(x, model, openai, &out, &why), HALE_EINVAL);
	assert_string_equal(why, want);
	assert_int_equal(out.len, 0);
	strbuf_release(&out);
}

/* Digits behind "created": become 0. */
static inline void
xlate_fixture_blank_created(struct strbuf *b)
{
	static const char key[] = "\"created\":";
	struct strbuf out;
	const char *p = strbuf_str(b), *hit;

	strbuf_init(&out, 0);
	while ((hit = strstr(p, key))) {
		hit += sizeof(key) - 1;
		strbuf_add(&out, p, (size_t)(hit - p));
		assert_true(strspn(hit, "0123456789") >= 10);
		strbuf_putc(&out, '0');
		p = hit + strspn(hit, "0123456789");
	}
	strbuf_puts(&out, p);
	strbuf_release(b);
	*b = out;
}

#endif

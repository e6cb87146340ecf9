/* multipart_scan: what it finds, what it refuses.
 *
 * The body is always handed over in a heap block of its exact size, so that valgrind and ASan see a read past
 * the end. tests/fuzz/fuzz_multipart.c cuts and splices without end.
 */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/arena.h"
#include "hale/err.h"
#include "hale/multipart.h"
#include "hale/strbuf.h"

#define TYPE "multipart/form-data; boundary=b"
#define PART(disposition, data) "--b\r\nContent-Disposition: form-data; " disposition "\r\n\r\n" data "\r\n"
#define END "--b--\r\n"

enum { MODEL, FILE_PART, IMAGE, WANTS };

static struct multipart_want want[WANTS];
static const char *why;
static size_t at;

static int
scan_n(const char *type, const char *body, size_t len)
{
	char *copy = xmalloc(len ? len : 1);
	int rc;

	memcpy(copy, body, len);
	want[MODEL] = (struct multipart_want){.name = "model"};
	want[FILE_PART] = (struct multipart_want){.name = "file"};
	want[IMAGE] = (struct multipart_want){.name = "image", .many = true};
	why = NULL;
	rc = multipart_scan(type, copy, len, want, WANTS, &why, &at);
	free(copy);
	assert_true(rc == 0 || (why && at <= len));
	return rc;
}

static int
scan(const char *body)
{
	return scan_n(TYPE, body, strlen(body));
}

static void
check_value(const char *body, const struct multipart_want *w, const char *value)
{
	assert_int_equal(w->count, 1);
	assert_int_equal(w->len, strlen(value));
	assert_memory_equal(body + w->start, value, w->len);
}

static void
test_finds(void **state)
{
	static const char body[] = PART("name=\"response_format\"", "text")
		"--b\r\nContent-Type: audio/wav\r\ncontent-disposition:form-data ;filename=\"a \\\" b.wav\"; name=\"file\"\r\n"
		"Content-Transfer-Encoding: binary\r\nContent-Length: 9\r\n\r\nRIFF\r\n--x\r\n\r\n" PART("name=model", "whisper-1") END;

	(void)state;
	assert_int_equal(scan(body), 0);
	check_value(body, &want[MODEL], "whisper-1");
	check_value(body, &want[FILE_PART], "RIFF\r\n--x\r\n");
	assert_true(want[FILE_PART].is_file && !want[MODEL].is_file);
	assert_int_equal(want[IMAGE].count, 0);
	assert_memory_equal(body + want[MODEL].part_start, "--b\r\nContent-Disposition: form-data; name=model", 46);
	assert_memory_equal(body + want[MODEL].part_start + want[MODEL].part_len, END, sizeof(END) - 1);
}

static void
test_empty_values_and_forms(void **state)
{
	static const char body[] = PART("name=\"model\"", "") END;

	(void)state;
	assert_int_equal(scan(body), 0);
	check_value(body, &want[MODEL], "");
	assert_int_equal(scan("--b--\r\n"), 0);
	assert_int_equal(scan("--b--"), 0); /* some clients leave the last line break out */
	assert_int_equal(want[MODEL].count, 0);
}

static void
test_repeated_parts(void **state)
{
	static const char body[] = PART("name=\"image\"; filename=\"1\"", "one") PART("name=\"image\"; filename=\"2\"", "two") END;

	(void)state;
	assert_int_equal(scan(body), 0);
	assert_int_equal(want[IMAGE].count, 2);
	assert_memory_equal(body + want[IMAGE].start, "one", 3);
	assert_int_equal(scan(PART("name=\"model\"", "a") PART("name=\"model\"", "b") END), HALE_EINVAL);
	assert_string_equal(why, "two parts have the same name");
	assert_int_equal(scan(PART("name=\"other\"", "a") PART("name=\"other\"", "b") END), 0);
}

static void
test_content_types(void **state)
{
	static const struct {
		const char *type;
		bool fine;
	} cases[] = {
		{"multipart/form-data; boundary=b", true},
		{"Multipart/Form-Data;charset=utf-8 ; Boundary=\"b\"", true},
		{"multipart/form-data", false},
		{"multipart/form-data; boundary=", false},
		{"multipart/form-data; boundary=\"\"", false},
		{"multipart/form-data; boundary=b; boundary=b", false},
		{"multipart/form-data; boundary=b;", false},
		{"multipart/form-data; boundary=\"b", false},
		{"multipart/form-data; boundary=\"b\\\"\"", false},
		{"multipart/form-data; boundary=c", false},
		{"multipart/form-datax; boundary=b", false},
		{"multipart/mixed; boundary=b", false},
		{"application/json", false},
		{"", false},
	};
	static const char body[] = PART("name=\"model\"", "m") END;

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++)
		assert_int_equal(scan_n(cases[i].type, body, strlen(body)) == 0, cases[i].fine);
	assert_int_equal(scan_n(NULL, body, strlen(body)), HALE_EINVAL);
	assert_true(multipart_is("multipart/FORM-DATA"));
	assert_false(multipart_is("multipart/form-data-x"));
	assert_false(multipart_is(NULL));
}

static void
test_long_boundaries(void **state)
{
	char type[160], body[256], b[72];

	(void)state;
	for (int n = 70; n <= 71; n++) {
		memset(b, 'x', sizeof(b));
		b[n] = '\0';
		snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", b);
		snprintf(body, sizeof(body), "--%s\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--%s--\r\n", b, b);
		assert_int_equal(scan_n(type, body, strlen(body)), n == 70 ? 0 : HALE_EINVAL);
	}
}

static void
test_refuses(void **state)
{
	static const struct {
		const char *body, *why;
	} cases[] = {
		{"", "the body does not begin with the boundary"},
		{"\r\n" PART("name=\"model\"", "m") END, "the body does not begin with the boundary"},
		{"preamble\r\n" PART("name=\"model\"", "m") END, "the body does not begin with the boundary"},
		{PART("name=\"model\"", "m"), "the last boundary is missing"},
		{PART("name=\"model\"", "m") "--b", "the line of a boundary does not end"},
		{PART("name=\"model\"", "m") "--b-", "the line of a boundary does not end"},
		{PART("name=\"model\"", "m") "--b--\r\nepilogue", "bytes behind the last boundary"},
		{PART("name=\"model\"", "m") "--b--\n", "bytes behind the last boundary"},
		{"--b \r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n" END, "the line of a boundary does not end"},
		{"--b\nContent-Disposition: form-data; name=\"model\"\n\nm\n--b--\n", "the line of a boundary does not end"},
		{"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n", "the body ends in the headers of a part"},
		{"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n--b--\r\n",
		 "a part has no empty line behind its headers"},
		{"--b\r\n\r\nm\r\n" END, "a part has no name"},
		{"--b\r\nContent-Type: text/plain\r\n\r\nm\r\n" END, "a part has no name"},
		{"--b\r\nContent-Disposition: form-data\r\n\r\nm\r\n" END, "a part has no name"},
		{"--b\r\nContent-Disposition: attachment; name=\"model\"\r\n\r\nm\r\n" END, "a part's disposition is not form-data"},
		{PART("name=\"model\"; name=\"x\"", "m") END, "a part has two names"},
		{PART("name*=UTF-8''model", "m") END, "a part has two names"},
		{PART("name=\"x\"; filename=\"a\"; filename=\"b\"", "m") END, "a part has two names"},
		{PART("name=\"model\"\r\nContent-Disposition: form-data; name=\"x\"", "m") END, "a part has two dispositions"},
		{PART("name=\"mod\\el\"", "m") END, "a part's name has an escape"},
		{PART("name=\"Model\"", "m") END, "a part's name differs from the expected one only in letter case"},
		{PART("name=\"model", "m") END, "a part's disposition is not valid"},
		{PART("name=\"model\" x", "m") END, "a part's disposition is not valid"},
		{PART("name=\"model\"\r\n folded", "m") END, "a header of a part is not valid"},
		{PART("name=\"model\"\r\nno colon", "m") END, "a header of a part is not valid"},
		{PART("name=\"model\"\r\nX: a\rb", "m") END, "a control character in the headers of a part"},
		{PART("name=\"model\"\r\nContent-Transfer-Encoding: base64", "bQ==") END, "a part has a transfer encoding"},
	};

	(void)state;
	for (size_t i = 0; i < HALE_COUNT(cases); i++) {
		assert_int_equal(scan(cases[i].body), HALE_EINVAL);
		assert_string_equal(why, cases[i].why);
	}
}

static void
test_bounds(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 0);
	for (int i = 0; i <= MULTIPART_PARTS_MAX; i++) {
		strbuf_puts(&b, PART("name=\"x\"", "1"));
		if (i + 1 < MULTIPART_PARTS_MAX)
			continue;
		strbuf_puts(&b, END);
		assert_int_equal(scan(strbuf_str(&b)), i < MULTIPART_PARTS_MAX ? 0 : HALE_ELIMIT);
		b.len -= sizeof(END) - 1;
	}
	strbuf_clear(&b);
	strbuf_puts(&b, "--b\r\nX: ");
	for (int i = 0; i < MULTIPART_HEAD_MAX; i++)
		strbuf_putc(&b, 'x');
	strbuf_puts(&b, "\r\n\r\n\r\n" END);
	assert_int_equal(scan(strbuf_str(&b)), HALE_ELIMIT);
	strbuf_release(&b);
}

/* Bytes of files are nobody's business, NUL and half delimiters included. */
static void
test_binary(void **state)
{
	static const char body[] = PART("name=\"file\"; filename=\"x\"", "\0\r\n--\r\n--\0b\r\n-\r\n-b") PART("name=\"model\"", "m") END;

	(void)state;
	assert_int_equal(scan_n(TYPE, body, sizeof(body) - 1), 0);
	assert_int_equal(want[FILE_PART].len, 18);
	check_value(body, &want[MODEL], "m");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds),          cmocka_unit_test(test_empty_values_and_forms),
		cmocka_unit_test(test_repeated_parts), cmocka_unit_test(test_content_types),
		cmocka_unit_test(test_long_boundaries), cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_bounds),         cmocka_unit_test(test_binary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

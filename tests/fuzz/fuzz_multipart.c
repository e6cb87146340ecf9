/* The form scanner: what it finds lies inside the body; a form with another model, or without that part, is a form
 * that says so. The first line of the input is the content type.
 */
#include "hale/hale.h"

#include "hale/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODEL, FILE_PART, IMAGE, WANTS };

static const struct multipart_want wants[WANTS] = {
	[MODEL] = {.name = "model"}, [FILE_PART] = {.name = "file"}, [IMAGE] = {.name = "image", .many = true}};

/* text with `len` bytes at `start` replaced. */
static char *
replace(const char *text, size_t size, size_t start, size_t len, const char *with, size_t with_len)
{
	char *out = malloc(size - len + with_len + 1);

	memcpy(out, text, start);
	memcpy(out + start, with, with_len);
	memcpy(out + start + with_len, text + start + len, size - start - len);
	return out;
}

static void
check_accepted(const char *type, const char *body, size_t len, const struct multipart_want *w)
{
	struct multipart_want again[WANTS];
	const char *why;
	char *other;
	size_t at;

	for (int i = 0; i < WANTS; i++) {
		if (w[i].count == 0)
			continue;
		HALE_ASSERT(w[i].part_start < w[i].start && w[i].start + w[i].len + 2 == w[i].part_start + w[i].part_len);
		HALE_ASSERT(w[i].part_start + w[i].part_len <= len && memcmp(body + w[i].part_start, "--", 2) == 0);
	}
	if (w[MODEL].count == 0)
		return;
	memcpy(again, wants, sizeof(again));
	other = replace(body, len, w[MODEL].start, w[MODEL].len, "new", 3);
	HALE_ASSERT(multipart_scan(type, other, len - w[MODEL].len + 3, again, WANTS, &why, &at) == 0);
	HALE_ASSERT(again[MODEL].len == 3 && memcmp(other + again[MODEL].start, "new", 3) == 0);
	HALE_ASSERT(again[FILE_PART].len == w[FILE_PART].len && again[IMAGE].count == w[IMAGE].count);
	free(other);
	memcpy(again, wants, sizeof(again));
	other = replace(body, len, w[MODEL].part_start, w[MODEL].part_len, "", 0);
	HALE_ASSERT(multipart_scan(type, other, len - w[MODEL].part_len, again, WANTS, &why, &at) == 0);
	HALE_ASSERT(again[MODEL].count == 0 && again[FILE_PART].len == w[FILE_PART].len);
	free(other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nl = size ? memchr(data, '\n', size) : NULL;
	size_t line = nl ? (size_t)(nl - data) : 0, len = nl ? size - line - 1 : size;
	struct multipart_want w[WANTS];
	const char *why = NULL;
	char *type = malloc(line + 1), *body = malloc(len ? len : 1); /* exact sizes: a read past the end is a crash */
	size_t at = 0;
	int rc;

	if (line)
		memcpy(type, data, line);
	type[line] = '\0';
	if (len)
		memcpy(body, data + size - len, len);
	memcpy(w, wants, sizeof(w));
	rc = multipart_scan(type, body, len, w, WANTS, &why, &at);
	if (rc == 0)
		check_accepted(type, body, len, w);
	else
		HALE_ASSERT(why && at <= len);
	(void)multipart_is(type);
	free(type);
	free(body);
	return 0;
}

/* Runs a libFuzzer target without libFuzzer: every file of its corpus, and mutations of them from a fixed seed, so
 * that `make check` covers the targets with any compiler. `make fuzz` does it properly.
 */
#include "hale/hale.h"

#include <dirent.h>
#include <limits.h>

#define DRIVER_MUTATIONS 300
#define DRIVER_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t
driver_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* A few bytes changed, removed or repeated. */
static size_t
driver_mutate(uint8_t *p, size_t size, uint32_t *seed)
{
	static const char hot[] = "\r\n\0 :,;+0x%\t\xff";

	for (unsigned n = driver_random(seed) % 4 + 1; n && size > 2; n--) {
		size_t at = driver_random(seed) % size, len = driver_random(seed) % 8 % (size - at) + 1;

		switch (driver_random(seed) % 4) {
		case 0:
			p[at] = (uint8_t)driver_random(seed);
			break;
		case 1:
			p[at] = (uint8_t)hot[driver_random(seed) % (sizeof(hot) - 1)];
			break;
		case 2:
			if (at + len > size)
				len = size - at;
			memmove(p + at, p + at + len, size - at - len);
			size -= len;
			break;
		default:
			if (at + len > size || size + len > DRIVER_BYTES_MAX)
				break;
			memmove(p + at + len, p + at, size - at);
			size += len;
			break;
		}
	}
	return size;
}

static int
driver_file(const char *path)
{
	static uint8_t text[DRIVER_BYTES_MAX], copy[DRIVER_BYTES_MAX];
	uint32_t seed = 2463534242u;
	size_t size;
	FILE *f = fopen(path, "rb");

	if (!f) {
		perror(path);
		return 1;
	}
	size = fread(text, 1, sizeof(text), f);
	fclose(f);
	LLVMFuzzerTestOneInput(text, size);
	for (int i = 0; i < DRIVER_MUTATIONS; i++) {
		memcpy(copy, text, size);
		LLVMFuzzerTestOneInput(copy, driver_mutate(copy, size, &seed));
	}
	return 0;
}

/* usage: fuzz_<name> [FILE...]; without files: the corpus of that name below $srcdir. */
int
main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/'), *srcdir = getenv("srcdir");
	char path[PATH_MAX];
	struct dirent *e;
	int bad = 0, files = 0;
	DIR *d;

	for (int i = 1; i < argc; i++)
		bad |= driver_file(argv[i]);
	if (argc > 1)
		return bad;
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name ? name + 1 : argv[0]);
	d = opendir(path);
	if (!d) {
		perror(path);
		return 1;
	}
	while ((e = readdir(d)) != NULL) {
		char file[PATH_MAX + 256];

		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		bad |= driver_file(file);
		files++;
	}
	closedir(d);
	return bad || files == 0;
}

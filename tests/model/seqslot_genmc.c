/* Model for GenMC: one writer, two publications, one reader, over the seqslot.h that the daemon uses.
 * Must hold as it is; must fail with any one of the four orders weakened (run-model.sh). */
#define SEQSLOT_WORDS 2
#define SEQSLOT_ALIGN 8
#include <assert.h>
#include <pthread.h>

#include "hale/seqslot.h"

static struct seqslot slot;

static void *
writer(void *arg)
{
	for (uint64_t k = 1; k <= 2; k++) {
		uint64_t v[2] = {k, k};

		seqslot_write(&slot, v);
	}
	return arg;
}

static void *
reader(void *arg)
{
	uint64_t v[2];

	if (seqslot_try_read(&slot, v))
		assert(v[0] == v[1]);
	return arg;
}

int
main(void)
{
	pthread_t a, b;

	pthread_create(&a, 0, writer, 0);
	pthread_create(&b, 0, reader, 0);
	return 0;
}

/* Model for GenMC: a writer dies after DIE of its words, the master reaps it, a successor publishes; a reader
 * runs throughout and must never accept a half-written publication. Reaping is a flag here, because GenMC gives
 * the creation of a thread more order than a fork has. */
#define SEQSLOT_WORDS 2
#define SEQSLOT_ALIGN 8
#include <assert.h>
#include <pthread.h>

#include "hale/seqslot.h"

#ifndef DIE
#define DIE 1
#endif

static struct seqslot slot;
static _Atomic int reaped;

static void *
dying(void *arg)
{
	atomic_store_explicit(&slot.seq, 1, memory_order_relaxed);
	for (int i = 0; i < DIE; i++)
		atomic_store_explicit(&slot.w[i], 1, MO_DATA_ST);
	atomic_store_explicit(&reaped, 1, memory_order_release);
	return arg;
}

static void *
successor(void *arg)
{
	uint64_t v[2] = {7, 7};

	if (atomic_load_explicit(&reaped, memory_order_acquire))
		seqslot_write(&slot, v);
	return arg;
}

static void *
reader(void *arg)
{
	uint64_t v[2];

	if (seqslot_try_read(&slot, v)) {
		assert(v[0] == v[1]);
		assert(v[0] == 0 || v[0] == 7);
	}
	return arg;
}

int
main(void)
{
	pthread_t a, b, c;

	pthread_create(&c, 0, reader, 0);
	pthread_create(&a, 0, dying, 0);
	pthread_create(&b, 0, successor, 0);
	return 0;
}

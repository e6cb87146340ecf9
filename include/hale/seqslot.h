/* Single-writer sequence slot for shared memory; one 64-byte line.
 *
 * Writer: at most one process at a time (the master reaps the old one first). Readers: any process, the
 * mapping may be PROT_READ. No fences: every ordering is carried by an acquire load or a release store, so
 * that TSan models all of it. tests/model checks that each of the four orders is needed; the MO_* macros exist
 * only so that a model run can weaken one. docs/health-table.md has the argument.
 */
#ifndef HALE_SEQSLOT_H
#define HALE_SEQSLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#ifndef SEQSLOT_WORDS
#define SEQSLOT_WORDS 7
#endif
#ifndef SEQSLOT_ALIGN
#define SEQSLOT_ALIGN 64
#endif
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "u64 atomics must be lock-free to be address-free");
struct seqslot {
	_Alignas(SEQSLOT_ALIGN) _Atomic uint64_t seq;	/* even: stable, odd: write in progress */
	_Atomic uint64_t w[SEQSLOT_WORDS];
};
#ifndef MO_DATA_ST
#define MO_DATA_ST memory_order_release
#endif
#ifndef MO_DATA_LD
#define MO_DATA_LD memory_order_acquire
#endif
#ifndef MO_SEQ_END
#define MO_SEQ_END memory_order_release
#endif
#ifndef MO_SEQ_BEGIN_LD
#define MO_SEQ_BEGIN_LD memory_order_acquire
#endif
/* The primitive over n words. Also adopts the odd value left by a writer that died: it only has to become even
 * again. */
static inline void
seqslot_write_words(_Atomic uint64_t *seq, _Atomic uint64_t *w, const uint64_t *v, unsigned n)
{
	uint64_t q = atomic_load_explicit(seq, memory_order_relaxed) | 1; /* odd; adopt if already odd */

	atomic_store_explicit(seq, q, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++)
		atomic_store_explicit(&w[i], v[i], MO_DATA_ST);
	atomic_store_explicit(seq, q + 1, MO_SEQ_END);
}
/* One attempt. True: v[] is one publication. False: writer active; v[] is rubbish that must not be looked at; the
 * caller retries or keeps its last copy. */
static inline bool
seqslot_try_read_words(const _Atomic uint64_t *seq, const _Atomic uint64_t *w, uint64_t *v, unsigned n)
{
	uint64_t q = atomic_load_explicit(seq, MO_SEQ_BEGIN_LD);

	if (q & 1)
		return false;
	for (unsigned i = 0; i < n; i++)
		v[i] = atomic_load_explicit(&w[i], MO_DATA_LD);
	return atomic_load_explicit(seq, memory_order_relaxed) == q;
}
static inline void
seqslot_write(struct seqslot *s, const uint64_t v[SEQSLOT_WORDS])
{
	seqslot_write_words(&s->seq, s->w, v, SEQSLOT_WORDS);
}
static inline bool
seqslot_try_read(const struct seqslot *s, uint64_t v[SEQSLOT_WORDS])
{
	return seqslot_try_read_words(&s->seq, s->w, v, SEQSLOT_WORDS);
}

#endif

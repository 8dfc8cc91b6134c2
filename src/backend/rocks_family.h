/*
 * rocks_family.h - a namespace's column family, and what is known of its records without reading; rocks*.c only.
 */
#ifndef BACKEND_ROCKS_FAMILY_H
#define BACKEND_ROCKS_FAMILY_H

#include <stdatomic.h>

#include "backend/rocks_key.h"

#define ROCKS_PUTS	1024u
#define ROCKS_NEWESTS	1024u
#define ROCKS_MAY	3

/* Namespaces in which a batch has markers that leave rows. */
struct rocks_unswept {
	struct rocks_unswept *next;
	struct rocks_family *family;
};

struct rocks_db;
struct rocksdb_column_family_handle_t;
struct rocksdb_compactionfilter_t;
struct rocksdb_options_t;

/* Never gone before its database is closed. */
struct rocks_family {
	_Atomic(struct rocks_family *) next;	/* any thread */
	struct rocks_db	*db;
	char		*name;
	struct rocksdb_column_family_handle_t *cf;
	struct rocksdb_options_t *options;
	struct rocksdb_compactionfilter_t *filter;
	/* Milliseconds for which what is expired keeps its version; 0: not known before its first write. */
	_Atomic uint32_t keep;
	_Atomic bool	 ready;		/* its database is open */
	/*
	 * Rows are left that a marker covers, unless both are the same: how often it came to that, and was seen to. And
	 * a marker that is about to be written will leave some.
	 */
	_Atomic uint32_t unswept, swept;
	_Atomic bool	 unswept_soon;
	uint64_t	 sweep_at;	/* the keeper's: not before, since it could not be done */
	_Atomic uint64_t newest;	/* version in it; only the writer changes it */
	unsigned	 ranges;	/* the same: deleted since they were last written to a file */
	bool		 moved;		/* the same: newest is not written yet */
	/*
	 * The same: the newest version of records, by the hash in their keys; at the opening all have that of the
	 * namespace. What is newer need not look for what it replaces.
	 */
	uint64_t	 newest_of[ROCKS_NEWESTS];
	/*
	 * Which records may have markers, marks of deletes, pieces of values, by the same hash: most have none, and
	 * need not be asked for them. Bits come before the row is written and stay. What was there at the opening is
	 * known once the keeper has seen it.
	 */
	_Atomic bool	 may_known[ROCKS_MAY];
	_Atomic uint64_t may[ROCKS_MAY][ROCKS_HASHES / 64];
	/*
	 * Whether iterators meet deleted ranges: of those that were deleted since the opening it is set before they are
	 * written; of what was there before it is known once the keeper has looked.
	 */
	_Atomic bool	 ranged, was_ranged;
	_Atomic uint32_t puts[ROCKS_PUTS];	/* items that were written, by the same hash: rocks_gaps.c */
};

static inline unsigned
rocks_may_index(char kind)
{
	return (kind == ROCKS_RECORD ? 0 : kind == ROCKS_DEAD ? 1 : 2);
}

static inline bool
rocks_may_known(struct rocks_family *f, char kind)
{
	return (atomic_load_explicit(&f->may_known[rocks_may_index(kind)], memory_order_acquire));
}

/*
 * kind: ROCKS_RECORD, ROCKS_DEAD or ROCKS_CHUNK; the hash is the record's. False: it has no such row. Any thread; an
 * item that its markers are to judge is read before it is asked.
 */
static inline bool
rocks_may_have(struct rocks_family *f, char kind, unsigned hash)
{
	unsigned i = rocks_may_index(kind);

	return (!rocks_may_known(f, kind) ||
	    (atomic_load_explicit(&f->may[i][hash / 64], memory_order_acquire) & 1ull << hash % 64) != 0);
}

/* It has one, or is about to. */
static inline void
rocks_will_have(struct rocks_family *f, char kind, unsigned hash)
{
	_Atomic uint64_t *word = &f->may[rocks_may_index(kind)][hash / 64];

	if ((atomic_load_explicit(word, memory_order_relaxed) & 1ull << hash % 64) == 0)
		atomic_fetch_or_explicit(word, 1ull << hash % 64, memory_order_acq_rel);
}

/* All records that have such a row have their bit. */
static inline void
rocks_may_all(struct rocks_family *f, char kind)
{
	atomic_store_explicit(&f->may_known[rocks_may_index(kind)], true, memory_order_release);
}

/*
 * Before 8.5.2, an iterator that has skipped a deleted range has forgotten that it could not read a file, be it for
 * damage or because it may not ask the disk, and goes on without that file's rows.
 */
static inline bool
rocks_forgets(const struct rocks_family *f)
{
#ifdef ROCKS_FORGETS
	return (atomic_load_explicit(&f->ranged, memory_order_acquire) ||
	    atomic_load_explicit(&f->was_ranged, memory_order_acquire));
#else
	(void)f;
	return (false);
#endif
}

static inline bool
rocks_is_swept(struct rocks_family *f)
{
	return (!atomic_load_explicit(&f->unswept_soon, memory_order_acquire) &&
	    atomic_load_explicit(&f->swept, memory_order_acquire) ==
	    atomic_load_explicit(&f->unswept, memory_order_acquire));
}

#endif

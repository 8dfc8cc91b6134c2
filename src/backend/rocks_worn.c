/*
 * rocks_worn.c - ranges whose reads have to pass very many rows that are gone: how that is known, and what is done.
 *
 * What was deleted stays in memory, and in files until they are compacted, as a note that it is gone; who reads its
 * neighbours passes each. A read that has passed many tells the keeper. So that no read has to be slow first, the
 * writer counts what it deletes, record by record, and tells, too. The keeper looks before it has a range compacted:
 * it may be done by then.
 */
#include "config.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <xxhash.h>

#include "backend/rocks.h"
#include "base/check.h"

#define COUNTS		64u		/* records whose deletes are counted */
#define DELETED_MANY	1024u		/* of one record: time to look */
#define PASSED_MANY	1000u		/* by one read, and more than it has found: time to have them gone */
#define BOTTOM_STAYS	0		/* of files without newer ones above them there is nothing to be had */

struct worn_count {
	struct rocks_tally tally;
	struct rocks_key from, until;	/* of what was deleted */
};

struct rocks_worn {
	bool		 due;		/* one is at DELETED_MANY */
	struct worn_count counts[COUNTS];
};

/* ---- the writer counts ---- */

struct rocks_worn *
rocks_worn_new(void)
{
	return (calloc(1, sizeof(struct rocks_worn)));
}

void
rocks_worn_free(struct rocks_worn **wp)
{
	free(*wp);
	*wp = NULL;
}

bool
rocks_tally(struct rocks_tally *t, struct rocks_family *f, uint64_t record, uint32_t n)
{
	if (t->family == f && t->record == record)
		return (true);
	if (t->n > n) {
		t->n -= n;
		return (false);
	}
	*t = (struct rocks_tally){ .family = f, .record = record };
	return (true);
}

uint64_t
rocks_tally_record(struct slice id)
{
	return (XXH3_64bits(id.len > 0 ? id.p : "", id.len));
}

static void
count_rows(struct rocks_worn *w, struct rocks_family *f, const struct rocks_key *from, const struct rocks_key *until,
    uint32_t rows)
{
	struct rocks_row_name name;
	struct worn_count *c;
	uint64_t record;

	if (!rocks_key_parse(rocks_key_slice(from), &name) || name.kind != ROCKS_ITEM)
		return;
	record = rocks_tally_record(name.id);
	c = &w->counts[record % COUNTS];
	if (!rocks_tally(&c->tally, f, record, rows))
		return;
	if (c->tally.n == 0 || rocks_key_before(from, &c->from))
		c->from = *from;
	if (c->tally.n == 0 || rocks_key_before(&c->until, until))
		c->until = *until;
	c->tally.n += rows;
	w->due = w->due || c->tally.n >= DELETED_MANY;
}

void
rocks_worn_row(struct rocks_worn *w, struct rocks_family *f, const struct rocks_key *key)
{
	struct rocks_key until;

	until.len = key->len;
	memcpy(until.bytes, key->bytes, key->len);
	until.bytes[until.len++] = '\0';
	count_rows(w, f, key, &until, 1);
}

void
rocks_worn_range(struct rocks_worn *w, struct rocks_family *f, const struct rocks_key *from,
    const struct rocks_key *until)
{
	/* How many they are nobody knows; that costs the keeper a look. */
	count_rows(w, f, from, until, DELETED_MANY);
}

void
rocks_worn_tell(struct rocks_worn *w, struct rocks_db *db)
{
	if (!w->due)
		return;
	w->due = false;
	for (unsigned i = 0; i < COUNTS; i++) {
		struct worn_count *c = &w->counts[i];

		if (c->tally.n < DELETED_MANY)
			continue;
		rocks_keeper_compact(db, c->tally.family, &c->from, &c->until);
		c->tally.family = NULL;
		c->tally.n = 0;
	}
}

/* ---- reads ---- */

void
rocks_passed_none(void)
{
	rocksdb_perfcontext_t *perf = rocksdb_perfcontext_create();

	rocksdb_set_perf_level(rocksdb_enable_count);
	rocksdb_perfcontext_reset(perf);
	rocksdb_perfcontext_destroy(perf);
}

/*
 * What a deleted range hides in memory was stepped over, but is not among what was skipped. What was overwritten is in
 * both, and does not count: it would come again at once.
 */
bool
rocks_passed_many(uint64_t found, uint64_t dead)
{
	rocksdb_perfcontext_t *perf = rocksdb_perfcontext_create();
	uint64_t deleted = rocksdb_perfcontext_metric(perf, rocksdb_internal_delete_skipped_count);
	uint64_t skipped = deleted + rocksdb_perfcontext_metric(perf, rocksdb_internal_key_skipped_count);
	uint64_t stepped = rocksdb_perfcontext_metric(perf, rocksdb_next_on_memtable_count) +
	    rocksdb_perfcontext_metric(perf, rocksdb_prev_on_memtable_count);
	uint64_t gone = dead + deleted + (stepped > skipped ? stepped - skipped : 0);

	rocksdb_perfcontext_destroy(perf);
	rocks_count_less();
	return (gone > PASSED_MANY && gone > found);
}

uint64_t
rocks_passed(void)
{
	rocksdb_perfcontext_t *perf = rocksdb_perfcontext_create();
	uint64_t skipped = rocksdb_perfcontext_metric(perf, rocksdb_internal_delete_skipped_count) +
	    rocksdb_perfcontext_metric(perf, rocksdb_internal_key_skipped_count);
	uint64_t stepped = rocksdb_perfcontext_metric(perf, rocksdb_next_on_memtable_count);

	rocksdb_perfcontext_destroy(perf);
	return (skipped > stepped ? skipped : stepped);
}

/* ---- the keeper ---- */

/*
 * Deletions pass away at the bottom only, and what is still in memory has to be written first: this does both. Other
 * compactions go on beside it, so that no writes have to wait for them.
 */
void
rocks_compact(struct rocks_db *db, struct rocks_family *f, const struct rocks_key *from, const struct rocks_key *until)
{
	rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();

	rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
	rocksdb_compactoptions_set_bottommost_level_compaction(options, BOTTOM_STAYS);
	rocksdb_compact_range_cf_opt(db->db, f->cf, options, from->bytes, from->len, until->bytes, until->len);
	rocksdb_compactoptions_destroy(options);
	atomic_fetch_add_explicit(&db->counts.compactions, 1, memory_order_relaxed);
}

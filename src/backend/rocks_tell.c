/*
 * rocks_tell.c - the numbers of a database, ours and its own.
 */
#include "config.h"

#include <rocksdb/c.h>
#include <stdlib.h>

#include "backend/rocks.h"
#include "base/check.h"
#include "base/num.h"

/* Of each namespace, summed. */
static const struct {
	const char	*name;
	const char	*property;
} sums[] = {
	{ "memtable_bytes", "rocksdb.cur-size-all-mem-tables" },
	{ "file_bytes", "rocksdb.total-sst-files-size" },
	{ "live_bytes", "rocksdb.estimate-live-data-size" },
	{ "rows_estimated", "rocksdb.estimate-num-keys" },
	{ "compactions_pending", "rocksdb.compaction-pending" },
	{ "compaction_bytes_pending", "rocksdb.estimate-pending-compaction-bytes" },
};

/* Of the whole. */
static const struct {
	const char	*name;
	const char	*property;
} wholes[] = {
	{ "block_cache_bytes", "rocksdb.block-cache-usage" },
	{ "compactions_running", "rocksdb.num-running-compactions" },
	{ "background_errors", "rocksdb.background-errors" },
	{ "write_stopped", "rocksdb.is-write-stopped" },
};

/* In the text of its statistics. */
static const struct {
	const char	*name;
	const char	*ticker;
} tickers[] = {
	{ "block_cache_hits", "rocksdb.block.cache.hit COUNT : " },
	{ "block_cache_misses", "rocksdb.block.cache.miss COUNT : " },
	{ "bloom_useful", "rocksdb.bloom.filter.useful COUNT : " },
	{ "wal_bytes", "rocksdb.wal.bytes COUNT : " },
	{ "compaction_bytes_written", "rocksdb.compact.write.bytes COUNT : " },
	{ "flush_bytes_written", "rocksdb.flush.write.bytes COUNT : " },
	{ "stall_us", "rocksdb.stall.micros COUNT : " },
};

static void
tell_counts(const struct rocks_counts *c, be_tell_f *f, void *arg)
{
	const struct {
		const char	*name;
		const _Atomic uint64_t *value;
	} all[] = {
		{ "batches", &c->batches }, { "batched_writes", &c->written }, { "blind_writes", &c->blind },
		{ "syncs", &c->syncs },
		{ "loop_reads", &c->loop_reads }, { "io_reads", &c->io_reads }, { "covered_removed", &c->swept },
		{ "marks_removed", &c->forgotten }, { "ranges_compacted", &c->compactions },
		{ "gaps_closed", &c->gaps },
		{ "orphans", &c->orphans }, { "expired_moved", &c->buried },
	};

	for (size_t i = 0; i < NITEMS(all); i++)
		f(arg, all[i].name, atomic_load_explicit(all[i].value, memory_order_relaxed));
}

static void
tell_sum(struct rocks_db *db, size_t i, be_tell_f *f, void *arg)
{
	struct rocks_family *fam = atomic_load_explicit(&db->families, memory_order_acquire);
	uint64_t sum = 0, one;

	for (; fam != NULL; fam = atomic_load_explicit(&fam->next, memory_order_acquire))
		if (rocksdb_property_int_cf(db->db, fam->cf, sums[i].property, &one) == 0)
			sum += one;
	f(arg, sums[i].name, sum);
}

void
rocks_db_tell(struct rocks_db *db, be_tell_f *f, void *arg)
{
	char *text;
	uint64_t one;

	tell_counts(&db->counts, f, arg);
	for (size_t i = 0; i < NITEMS(sums); i++)
		tell_sum(db, i, f, arg);
	for (size_t i = 0; i < NITEMS(wholes); i++)
		if (rocksdb_property_int(db->db, wholes[i].property, &one) == 0)
			f(arg, wholes[i].name, one);
	text = rocksdb_options_statistics_get_string(db->options);
	for (size_t i = 0; text != NULL && i < NITEMS(tickers); i++) {
		const char *at = strstr(text, tickers[i].ticker);

		if (at == NULL)
			continue;
		at += strlen(tickers[i].ticker);
		if (num_get_u64(slice_of(at, strspn(at, "0123456789")), &one))
			f(arg, tickers[i].name, one);
	}
	free(text);
}

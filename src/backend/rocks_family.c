/*
 * rocks_family.c - a namespace's column family: how it is made, and what compactions leave out of it.
 */
#include "config.h"

#include <rocksdb/c.h>
#include <stdlib.h>

#include "backend/rocks.h"
#include "base/check.h"
#include "base/num.h"
#include "obs/log.h"

#define BLOCK_SIZE	(16 * 1024)
#define BLOOM_BITS	10
#define WRITE_BUFFER	(32ull << 20)
#define WRITE_BUFFERS_EACH 4		/* one may be put away while others are being written */
/* Files in which so many of so many rows one after the other are deletions are compacted. */
#define DELETED_WINDOW	4096
#define DELETED_MANY	2048
#define LOOK_MAX	500000u		/* microseconds: what takes longer to know is not worth it */

struct rocks_family *
rocks_family_find(const struct rocks_db *db, const char *name)
{
	struct rocks_family *f;

	f = atomic_load_explicit(&((struct rocks_db *)(uintptr_t)db)->families, memory_order_acquire);
	while (f != NULL && strcmp(f->name, name) != 0)
		f = atomic_load_explicit(&f->next, memory_order_acquire);
	return (f);
}

/* Whether the item of which this is a piece still has it. */
static bool
is_named(struct rocks_family *f, struct slice piece)
{
	rocksdb_pinnableslice_t *pin;
	struct rocks_row_name n;
	struct rocks_key key;
	struct envelope e;
	struct slice row;
	char *text = NULL;
	bool is = true;

	/* It may be that the database is just being opened. */
	if (!atomic_load_explicit(&f->ready, memory_order_acquire) || !rocks_key_parse(piece, &n))
		return (true);
	rocks_key_item(&key, ROCKS_ITEM, n.id, n.item);
	pin = rocksdb_get_pinned_cf(f->db->db, f->db->usual, f->cf, key.bytes, key.len, &text);
	if (text == NULL && pin == NULL)
		is = false;
	if (text == NULL && pin != NULL) {
		row.p = rocksdb_pinnableslice_value(pin, &row.len);
		is = envelope_get(row, &e, &row) && rocks_key_names(&n, &e);
	}
	if (pin != NULL)
		rocksdb_pinnableslice_destroy(pin);
	free(text);
	return (is);
}

static unsigned char
filter_row(void *arg, int level, const char *key, size_t klen, const char *old, size_t olen, char **new, size_t *nlen,
    unsigned char *changed)
{
	static _Thread_local char buf[ROCKS_FILTER_BUF];
	struct rocks_family *f = arg;
	struct slice value = slice_of(old, olen);
	bool swept = rocks_is_swept(f);
	uint32_t keep = atomic_load_explicit(&f->keep, memory_order_relaxed);
	enum rocks_fate fate = rocks_filter(slice_of(key, klen), &value, rocks_time(), keep, swept, buf);

	(void)level;
	/* What the keeper has just removed may be counted here once more: that it is gone is written elsewhere. */
	if (fate == ROCKS_GOES && key[0] == ROCKS_DEAD)
		atomic_fetch_add_explicit(&f->db->counts.forgotten, 1, memory_order_relaxed);
	if (fate == ROCKS_CHANGES) {
		*new = (char *)(uintptr_t)value.p;
		*nlen = value.len;
		*changed = 1;
	}
	if (fate == ROCKS_IF_NAMED && !is_named(f, slice_of(key, klen))) {
		atomic_fetch_add_explicit(&f->db->counts.orphans, 1, memory_order_relaxed);
		return (1);
	}
	return (fate == ROCKS_GOES);
}

static const char *
filter_name(void *arg)
{
	(void)arg;
	return ("kvgate");
}

static void
filter_free(void *arg)
{
	(void)arg;
}

struct rocks_family *
rocks_family_new(struct rocks_db *db, const char *name)
{
	struct rocks_family *f = calloc(1, sizeof *f);
	rocksdb_block_based_table_options_t *table;

	if (f == NULL || (f->name = strdup(name)) == NULL) {
		free(f);
		return (NULL);
	}
	f->db = db;
	f->options = rocksdb_options_create();
	table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_cache(table, db->cache);
	rocksdb_block_based_options_set_block_size(table, BLOCK_SIZE);
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_block_based_options_set_format_version(table, 5);
	rocksdb_options_set_block_based_table_factory(f->options, table);
	rocksdb_block_based_options_destroy(table);
	/* What is written over soon need not be small, but cheap; nine tenths lie at the bottom. */
	rocksdb_options_set_compression(f->options, rocksdb_lz4_compression);
	rocksdb_options_set_bottommost_compression(f->options, rocksdb_zstd_compression);
	rocksdb_options_set_write_buffer_size(f->options, WRITE_BUFFER);
	rocksdb_options_set_max_write_buffer_number(f->options, WRITE_BUFFERS_EACH);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(f->options, 1);
	rocksdb_options_set_memtable_whole_key_filtering(f->options, 1);
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(f->options, 0.02);
	rocksdb_options_add_compact_on_deletion_collector_factory(f->options, DELETED_WINDOW, DELETED_MANY);
	f->filter = rocksdb_compactionfilter_create(f, filter_free, filter_row, filter_name);
	rocksdb_options_set_compaction_filter(f->options, f->filter);
	return (f);
}

void
rocks_family_free(struct rocks_family *f)
{
	rocksdb_options_destroy(f->options);
	rocksdb_compactionfilter_destroy(f->filter);
	free(f->name);
	free(f);
}

/* What was newest may be deleted and forgotten: so its version is a row. */
bool
rocks_family_begin(struct rocks_family *f, char **why)
{
	rocksdb_pinnableslice_t *pin;
	struct rocks_key key;
	uint64_t newest = 0;
	size_t len;

	rocks_key_newest(&key);
	pin = rocksdb_get_pinned_cf(f->db->db, f->db->usual, f->cf, key.bytes, key.len, why);
	if (*why != NULL)
		return (false);
	if (pin != NULL) {
		const char *p = rocksdb_pinnableslice_value(pin, &len);

		for (size_t i = 0; i < len && i < 8; i++)
			newest = newest << 8 | (unsigned char)p[i];
		atomic_store(&f->newest, newest);
		for (unsigned i = 0; i < ROCKS_NEWESTS; i++)
			f->newest_of[i] = newest;
		rocksdb_pinnableslice_destroy(pin);
	}
	return (true);
}

void
rocks_family_publish(struct rocks_db *db, struct rocks_family *f)
{
	atomic_store_explicit(&f->ready, true, memory_order_release);
	atomic_store_explicit(&f->next, atomic_load_explicit(&db->families, memory_order_relaxed),
	    memory_order_relaxed);
	atomic_store_explicit(&db->families, f, memory_order_release);
}

struct rocks_family *
rocks_family_make(struct rocks_db *db, const char *name, char **why)
{
	struct rocks_family *f = rocks_family_find(db, name);

	*why = NULL;
	if (f != NULL)
		return (f);
	f = rocks_family_new(db, name);
	if (f == NULL)
		return (NULL);
	f->cf = rocksdb_create_column_family(db->db, f->options, name, why);
	if (*why != NULL || f->cf == NULL) {
		rocks_family_free(f);
		return (NULL);
	}
	rocks_may_all(f, ROCKS_RECORD);
	rocks_may_all(f, ROCKS_DEAD);
	rocks_may_all(f, ROCKS_CHUNK);
	rocks_family_publish(db, f);
	return (f);
}

/* Of each hash the first row; ranges that were deleted are passed through, since behind them errors may be lost. */
static void
see_kind(struct rocks_family *f, char kind, struct rocks_keeper *keeper)
{
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	uint64_t until = rocks_usec() + LOOK_MAX;
	rocksdb_iterator_t *at;
	struct rocks_key from, end;
	char *text = NULL;
	unsigned hash = 0;
	bool all = false;

	rocksdb_readoptions_set_fill_cache(options, 0);
	rocksdb_readoptions_set_ignore_range_deletions(options, 1);
	rocks_key_hashed(&end, kind, ROCKS_HASHES);
	rocksdb_readoptions_set_iterate_upper_bound(options, end.bytes, end.len);
	at = rocksdb_create_iterator_cf(f->db->db, options, f->cf);
	for (; !all && rocks_usec() < until && !rocks_keeper_stops(keeper); hash++) {
		struct slice key = SLICE_NULL;

		rocks_key_hashed(&from, kind, hash);
		rocksdb_iter_seek(at, from.bytes, from.len);
		if (rocksdb_iter_valid(at))
			key.p = rocksdb_iter_key(at, &key.len);
		all = key.len < 3;
		if (!all) {
			hash = rocks_key_hash_in(key);
			rocks_will_have(f, kind, hash);
			all = hash + 1 == ROCKS_HASHES;
		}
	}
	rocksdb_iter_get_error(at, &text);
	rocksdb_iter_destroy(at);
	rocksdb_readoptions_destroy(options);
	if (text != NULL)
		log_error("store \"%s\": %s", f->db->name, text);
	else if (all)
		rocks_may_all(f, kind);
	free(text);
}

void
rocks_family_look(struct rocks_family *f, struct rocks_keeper *keeper)
{
	see_kind(f, ROCKS_DEAD, keeper);
	see_kind(f, ROCKS_CHUNK, keeper);
}

/* ---- all of them ---- */

void
rocks_families_newest(struct rocks_db *db, rocksdb_writebatch_t *batch)
{
	struct rocks_family *f = atomic_load_explicit(&db->families, memory_order_acquire);
	struct rocks_key key;

	rocks_key_newest(&key);
	for (; f != NULL; f = atomic_load_explicit(&f->next, memory_order_acquire)) {
		char value[8];

		if (!f->moved)
			continue;
		num_put_be(value, atomic_load_explicit(&f->newest, memory_order_relaxed), sizeof value);
		rocksdb_writebatch_put_cf(batch, f->cf, key.bytes, key.len, value, sizeof value);
		f->moved = false;
	}
}

void
rocks_families_unwritten(struct rocks_db *db)
{
	struct rocks_family *f = atomic_load_explicit(&db->families, memory_order_acquire);

	for (; f != NULL; f = atomic_load_explicit(&f->next, memory_order_acquire))
		f->moved = true;
}

void
rocks_families_unswept(const struct rocks_unswept *l, bool written)
{
	for (; l != NULL; l = l->next) {
		if (written)
			atomic_fetch_add_explicit(&l->family->unswept, 1, memory_order_release);
		atomic_store_explicit(&l->family->unswept_soon, !written, memory_order_release);
		if (written)
			rocks_keeper_wake(l->family->db);
	}
}

uint64_t
rocks_shortest_keep(struct rocks_db *db)
{
	struct rocks_family *f = atomic_load_explicit(&db->families, memory_order_acquire);
	uint32_t shortest = 0;

	for (; f != NULL; f = atomic_load_explicit(&f->next, memory_order_acquire)) {
		uint32_t keep = atomic_load_explicit(&f->keep, memory_order_relaxed);

		if (keep != 0 && (shortest == 0 || keep < shortest))
			shortest = keep;
	}
	return (shortest);
}

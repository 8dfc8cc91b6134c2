/*
 * rocks_gaps.c - long stretches of a record in which nothing lives are deleted as ranges: reads step over them.
 *
 * A row that was deleted by itself leaves a note, and who reads its neighbours passes note by note until a compaction
 * has met them all; a deleted range hides rows one by one that lie in the same memtable or file. One that is newer than
 * all of that is stepped over at once. So what is in memory is put away first, then the stretch is deleted (once more).
 *
 * The keeper looks for such stretches, the writer deletes them, unless anything was put into the record since the look
 * began: rocks_family.puts counts what has been written. So no row goes that the look has not missed.
 */
#include "config.h"

#include <rocksdb/c.h>
#include <stdlib.h>

#include "backend/rocks.h"
#include "backend/rocks_act.h"
#include "base/check.h"
#include "base/num.h"

#define RANGES_MAX	256u		/* deleted ranges of a namespace that may be in memory */
#define AGAIN_MAX	16u		/* ranges of one batch that are deleted once more, */
#define AGAIN_PAUSE	100000u		/* one in so many microseconds: each makes a file; */
#define AGAIN_BURST	16u		/* but at first so many in a row */
#define FILES_MANY	8u		/* in level 0: no more are made for this; writes are slowed down from 20 on */
#define LIVE_FEW	64u		/* rows between which all stretches are taken, */
#define GONE_MANY	64u		/* else those that have so many rows that are gone */
#define GONE_FEW	4u		/* what is gone, but need not be a stretch that nobody has closed */
#define STAYS_MANY	1000u		/* rows that are gone, and in no stretch that is taken */
#define LIVE_MAX	100000u		/* a look goes no further */
#define GAPS_MAX	1024u		/* of one look: each costs the reads of its record a step, */
#define GAPS_MANY	256u		/* and that is felt */

struct gap {
	struct rocks_key from, until;
	uint64_t	 gone;
};

/* A look. */
struct gaps {
	struct rocks_key from;		/* where the present one begins */
	uint64_t	 passed;	/* what had been passed there */
	uint64_t	 taken;		/* of all that was passed, what is in those below */
	unsigned	 n;
	struct gap	 gap[GAPS_MAX];
};

static _Atomic uint32_t *
puts_of(struct rocks_family *f, struct slice key)
{
	return (&f->puts[rocks_key_hash_in(key) % ROCKS_PUTS]);
}

void
rocks_gaps_put(struct rocks_family *f, struct slice key)
{
	if (key.p[0] == ROCKS_ITEM)
		atomic_fetch_add_explicit(puts_of(f, key), 1, memory_order_release);
}

/* Puts of another one are no matter to a look. */
static bool
one_record(const struct rocks_key *from, const struct rocks_key *until)
{
	struct rocks_row_name name;
	struct rocks_key end;

	if (!rocks_key_parse(rocks_key_slice(from), &name) || name.kind != ROCKS_ITEM)
		return (false);
	rocks_key_item(&end, ROCKS_ITEM, name.id, SLICE_NULL);
	rocks_key_behind(&end);
	return (!rocks_key_before(&end, until));
}

void
rocks_put_away(struct rocks_db *db, struct rocks_family *f)
{
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	char *text = NULL;

	rocksdb_flushoptions_set_wait(options, 0);
	rocksdb_flush_cf(db->db, options, f->cf, &text);
	rocksdb_flushoptions_destroy(options);
	free(text);	/* a later one may do */
}

void
rocks_ranges_delete(struct rocks_family *f, struct rocksdb_writebatch_t *batch, const struct rocks_key *from,
    const struct rocks_key *until)
{
	atomic_store_explicit(&f->ranged, true, memory_order_release);
	rocksdb_writebatch_delete_range_cf(batch, f->cf, from->bytes, from->len, until->bytes, until->len);
}

void
rocks_ranges_put_away(struct rocks_db *db)
{
	struct rocks_family *f = atomic_load_explicit(&db->families, memory_order_acquire);

	for (; f != NULL; f = atomic_load_explicit(&f->next, memory_order_acquire)) {
		if (f->ranges < RANGES_MAX)
			continue;
		f->ranges = 0;
		rocks_put_away(db, f);
	}
}

void
rocks_ranges_look(struct rocks_family *f)
{
	char *text = rocksdb_property_value_cf(f->db->db, f->cf, "rocksdb.aggregated-table-properties");

	if (text != NULL && strstr(text, "# range deletions=0;") != NULL)
		atomic_store_explicit(&f->was_ranged, false, memory_order_release);
	free(text);
}

static bool
is_crowded(struct rocks_db *db, struct rocks_family *f)
{
	char *text = rocksdb_property_value_cf(db->db, f->cf, "rocksdb.num-files-at-level0");
	uint32_t n = 0;

	if (text != NULL)
		(void)num_get_u32(slice_of(text, strlen(text)), &n);
	free(text);
	return (n >= FILES_MANY);
}

/* ---- the keeper ---- */

/* A row that is there, or the end: what lies before it is a gap. */
static void
gap_until(struct gaps *g, struct slice row)
{
	uint64_t passed = rocks_passed();
	struct gap *gap = &g->gap[g->n];

	gap->from = g->from;
	gap->until.len = row.len;
	memcpy(gap->until.bytes, row.p, row.len);
	gap->gone = passed - g->passed;
	g->n += rocks_key_before(&gap->from, &gap->until);
	g->from = gap->until;
	g->from.bytes[g->from.len++] = '\0';
	g->passed = passed;
}

/* Those that are worth it. */
static void
choose(struct gaps *g, unsigned live)
{
	unsigned kept = 0;

	g->taken = 0;
	for (unsigned i = 0; i < g->n; i++)
		if (live <= LIVE_FEW || g->gap[i].gone >= GONE_MANY) {
			g->taken += g->gap[i].gone;
			g->gap[kept++] = g->gap[i];
		}
	g->n = kept;
}

/* False: not all rows were seen, for what reason ever. */
static bool
look(struct rocks_db *db, struct rocks_family *f, const struct rocks_key *from, const struct rocks_key *until,
    struct gaps *g)
{
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	rocksdb_iterator_t *at;
	unsigned live = 0;
	char *text = NULL;

	g->n = 0;
	g->from = *from;
	g->passed = 0;
	rocksdb_readoptions_set_fill_cache(options, 0);
	rocksdb_readoptions_set_iterate_upper_bound(options, until->bytes, until->len);
	rocks_passed_none();
	at = rocksdb_create_iterator_cf(db->db, options, f->cf);
	rocksdb_iter_seek(at, from->bytes, from->len);
	for (; rocksdb_iter_valid(at) && live < LIVE_MAX && g->n + 1 < GAPS_MAX; rocksdb_iter_next(at), live++) {
		struct slice key;

		key.p = rocksdb_iter_key(at, &key.len);
		if (key.len >= ROCKS_KEY_MAX)
			break;
		if (live == LIVE_FEW)
			choose(g, live + 1);
		gap_until(g, key);
		if (live > LIVE_FEW && g->n > 0 && g->gap[g->n - 1].gone < GONE_MANY)
			g->n--;
	}
	if (!rocksdb_iter_valid(at))
		gap_until(g, rocks_key_slice(until));
	rocksdb_iter_get_error(at, &text);
	rocksdb_iter_destroy(at);
	rocksdb_readoptions_destroy(options);
	rocks_count_less();
	choose(g, live);
	if (text == NULL)
		return (true);
	free(text);
	return (false);
}

static bool
add_key(struct rocks_result **rp, const struct rocks_key *key)
{
	uint16_t len = (uint16_t)key->len;
	char *p = rocks_result_add(rp, sizeof len + key->len);

	if (p == NULL)
		return (false);
	memcpy(p, &len, sizeof len);
	memcpy(p + sizeof len, key->bytes, key->len);
	return (true);
}

struct rocks_result *
rocks_gaps_look(struct rocks_db *db, struct rocks_family *f, const struct rocks_key *from,
    const struct rocks_key *until, uint32_t *puts, bool *more, unsigned *steps)
{
	struct rocks_result *found = NULL;
	struct gaps *g;

	*more = true;
	*steps = 0;
	if (!one_record(from, until) || is_crowded(db, f) || (g = malloc(sizeof *g)) == NULL)
		return (NULL);
	/* Before the look: what is put from now on may be missed by it. */
	*puts = atomic_load_explicit(puts_of(f, rocks_key_slice(from)), memory_order_acquire);
	rocks_put_away(db, f);
	if (!look(db, f, from, until, g))
		g->n = 0;
	*more = g->n == 0 || g->passed - g->taken > STAYS_MANY;
	for (unsigned i = 0; i < g->n; i++)
		if (add_key(&found, &g->gap[i].from) && add_key(&found, &g->gap[i].until)) {
			found->nitems++;
			/* Between few rows all are closed, most of them not for the first time. */
			*steps += g->gap[i].gone > GONE_FEW;
		} else
			break;
	free(g);
	return (found);
}

bool
rocks_closed_many(struct rocks_tally *closed, struct rocks_family *f, struct rocks_key *from, struct rocks_key *until,
    unsigned n)
{
	struct rocks_row_name name;
	struct rocks_tally *t;
	uint64_t record;

	if (!rocks_key_parse(rocks_key_slice(from), &name))
		return (false);
	record = rocks_tally_record(name.id);
	t = &closed[record % ROCKS_CLOSED];
	if (!rocks_tally(t, f, record, n))
		return (false);
	t->n += n;
	if (t->n < GAPS_MANY)
		return (false);
	rocks_key_item(until, ROCKS_ITEM, name.id, SLICE_NULL);
	*from = *until;
	rocks_key_behind(until);
	return (true);
}

void
rocks_closed_none(struct rocks_tally *closed, struct rocks_family *f, const struct rocks_key *from)
{
	struct rocks_row_name name;
	struct rocks_tally *t;
	uint64_t record;

	if (!rocks_key_parse(rocks_key_slice(from), &name))
		return;
	record = rocks_tally_record(name.id);
	t = &closed[record % ROCKS_CLOSED];
	if (t->family == f && t->record == record)
		t->n = 0;
}

/* ---- the writer ---- */

static const char *
get_key(const char *p, struct rocks_key *key)
{
	uint16_t len;

	memcpy(&len, p, sizeof len);
	key->len = len;
	memcpy(key->bytes, p + sizeof len, len);
	return (p + sizeof len + len);
}

/* Nothing else is in the batch. */
bool
act_gaps(struct act *a)
{
	const struct rocks_result *x = a->j->result;
	const char *p = x->bytes;

	for (uint32_t i = 0; i < x->nitems; i++) {
		struct rocks_key from, until;

		p = get_key(p, &from);
		p = get_key(p, &until);
		if (atomic_load_explicit(puts_of(a->f, rocks_key_slice(&from)), memory_order_relaxed) != a->j->puts)
			break;
		rocks_batch_delete_gap(a->b, a->f, &from, &until);
	}
	return (true);
}

/* ---- ranges that clients delete ---- */

struct rocks_again {
	rocksdb_writeoptions_t *options;
	uint64_t	 at;		/* when the next one may be */
	unsigned	 n, kept;	/* kept: of jobs that were carried out */
	struct {
		struct rocks_family *family;
		struct rocks_key from, until;
	} range[AGAIN_MAX];
};

struct rocks_again *
rocks_again_new(void)
{
	struct rocks_again *a = calloc(1, sizeof *a);

	if (a != NULL)
		a->options = rocksdb_writeoptions_create();
	return (a);
}

void
rocks_again_free(struct rocks_again **ap)
{
	struct rocks_again *a = *ap;

	*ap = NULL;
	if (a != NULL)
		rocksdb_writeoptions_destroy(a->options);
	free(a);
}

void
rocks_again_none(struct rocks_again *a)
{
	a->n = a->kept = 0;
}

void
rocks_again_job(struct rocks_again *a, bool good)
{
	if (good)
		a->kept = a->n;
	else
		a->n = a->kept;
}

void
rocks_again_note(struct rocks_again *a, struct rocks_family *f, const struct rocks_key *from,
    const struct rocks_key *until)
{
	if (from->bytes[0] != ROCKS_ITEM || a->n == AGAIN_MAX)
		return;
	a->range[a->n].family = f;
	a->range[a->n].from = *from;
	a->range[a->n++].until = *until;
}

static bool
may_again(struct rocks_again *a)
{
	uint64_t now = rocks_usec();

	if (now < a->at)
		return (false);
	if (a->at + AGAIN_BURST * AGAIN_PAUSE < now)
		a->at = now - AGAIN_BURST * AGAIN_PAUSE;
	a->at += AGAIN_PAUSE;
	return (true);
}

/*
 * From above what is in memory. Nothing can have come since but what is in the batch itself; what is left out here the
 * keeper will see.
 */
void
rocks_again_delete(struct rocks_again *a, struct rocks_batch *b, struct rocks_db *db)
{
	rocksdb_writebatch_t *more;
	char *text = NULL;

	if (a->n == 0)
		return;
	more = rocksdb_writebatch_create();
	for (unsigned i = 0; i < a->n; i++) {
		struct rocks_family *f = a->range[i].family;
		const struct rocks_key *from = &a->range[i].from, *until = &a->range[i].until;

		if (rocks_batch_puts(b, f, from, until) || is_crowded(db, f) || !may_again(a))
			continue;
		rocks_put_away(db, f);
		rocks_ranges_delete(f, more, from, until);
		atomic_fetch_add_explicit(&db->counts.gaps, 1, memory_order_relaxed);
	}
	if (rocksdb_writebatch_count(more) > 0)
		rocksdb_write(db->db, a->options, more, &text);
	rocksdb_writebatch_destroy(more);
	free(text);	/* it is deleted; this only makes it faster */
}

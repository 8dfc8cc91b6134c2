/*
 * rocks_write.c - the writer: jobs become batches, one after the other, each with one write and one fsync.
 *
 * While a batch is written the next one gathers behind it, so the more clients there are, the more share an fsync. Ops
 * of one batch see what those before them in it have changed: an overlay has its rows. An op that fails takes back what
 * it has done; a batch that fails, fails for all of its ops, and nothing of it was written.
 */
#include "config.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <xxhash.h>

#include "backend/rocks.h"
#include "base/check.h"
#include "conf/model.h"
#include "obs/log.h"

#define BATCH_BYTES	(4ull << 20)	/* a batch that has more is written */
#define BATCH_JOBS	4096u
#define OVERLAY_ROWS	4096u		/* a power of two */
#define SAY_EVERY	10000u		/* milliseconds */
#define ARENA_BLOCK	(64 * 1024)
#define PINS_MAX	8		/* rows that are held at one time */
#define PAUSE		100u		/* microseconds in which somebody must have come */
#define TOUCHED		8192u		/* bits: records that are in the batch; a power of two */

/* A row as it will be. */
struct over {
	struct over	*next;		/* of the same bucket */
	struct over	*older;		/* put before it, of all */
	struct over	*was;		/* what this one hides; NULL: what is written */
	struct rocks_family *family;
	struct slice	 key, value;
	bool		 deleted;
};

struct arena {
	struct arena	*next;
	size_t		 used, cap;
	char		 bytes[];
};

struct rocks_batch {
	struct rocks_db	*db;
	rocksdb_writebatch_t *batch;
	struct rocks_jobs jobs;		/* carried out, to be answered */
	unsigned	 njobs;
	size_t		 bytes;
	struct arena	*arena;
	struct over	*rows[OVERLAY_ROWS];
	struct over	*newest;	/* put last */
	struct over	*job_from;	/* newest when the present job began */
	struct rocks_unswept *unswept, *job_unswept;	/* the same */
	uint8_t		 touched[TOUCHED / 8];
	rocksdb_pinnableslice_t *pins[PINS_MAX];
	unsigned	 npins;
	struct rocks_worn *worn;
	struct rocks_again *again;
	struct rocks_left *left;
	struct rocks_job *job;		/* the present one */
};

struct rocks_writer {
	struct rocks_db	*db;
	pthread_t	 thread;
	struct rocks_queue queue;
	rocksdb_writeoptions_t *sync, *lazy;
	unsigned	 last;		/* jobs that the last batch had */
	uint64_t	 slept;		/* microseconds until that was on disk, without its work */
	uint64_t	 say_at;	/* when a failure may be told again */
	struct rocks_job own;		/* of what it does by itself */
	struct rocks_batch b;
};

/* ---- memory of a batch ---- */

static void *
arena_get(struct rocks_batch *b, size_t len)
{
	struct arena *a = b->arena;
	size_t cap;

	len = (len + 15) & ~(size_t)15;
	if (a == NULL || a->cap - a->used < len) {
		cap = len > ARENA_BLOCK ? len : ARENA_BLOCK;
		a = malloc(sizeof *a + cap);
		if (a == NULL)
			return (NULL);
		a->next = b->arena;
		a->used = 0;
		a->cap = cap;
		b->arena = a;
	}
	a->used += len;
	return (a->bytes + a->used - len);
}

static void
arena_clear(struct rocks_batch *b)
{
	struct arena *a;

	while ((a = b->arena) != NULL) {
		b->arena = a->next;
		free(a);
	}
}

static struct over **
over_bucket(struct rocks_batch *b, const struct rocks_family *f, struct slice key)
{
	return (&b->rows[XXH3_64bits_withSeed(key.p, key.len, (uintptr_t)f) & (OVERLAY_ROWS - 1)]);
}

static struct over *
over_find(struct rocks_batch *b, const struct rocks_family *f, struct slice key)
{
	struct over *o = *over_bucket(b, f, key);

	while (o != NULL && (o->family != f || !slice_eq(o->key, key)))
		o = o->next;
	return (o);
}

static uint32_t
touch_bit(struct slice key)
{
	/* By the record, whatever the row. */
	return (rocks_key_hash_in(key) & (TOUCHED - 1));
}

static bool
over_put(struct rocks_batch *b, struct rocks_family *f, struct slice key, struct slice value, bool deleted)
{
	struct over **at = over_bucket(b, f, key), *o = arena_get(b, sizeof *o + key.len);
	uint32_t bit = touch_bit(key);

	if (o == NULL)
		return (false);
	*o = (struct over){ .family = f, .value = value, .deleted = deleted, .was = over_find(b, f, key) };
	memcpy(o + 1, key.p, key.len);
	o->key = slice_of((char *)(o + 1), key.len);
	o->older = b->newest;
	b->newest = o;
	o->next = *at;
	*at = o;
	b->touched[bit / 8] |= (uint8_t)(1u << bit % 8);
	return (true);
}

/* What the present job has put. */
static void
over_take_back(struct rocks_batch *b)
{
	while (b->newest != b->job_from) {
		struct over *o = b->newest;

		*over_bucket(b, o->family, o->key) = o->next;
		b->newest = o->older;
	}
	b->unswept = b->job_unswept;
}

static void
batch_clear(struct rocks_batch *b)
{
	rocksdb_writebatch_clear(b->batch);
	if (b->newest != NULL)
		memset(b->rows, 0, sizeof b->rows);
	memset(b->touched, 0, sizeof b->touched);
	b->newest = b->job_from = NULL;
	b->unswept = b->job_unswept = NULL;
	arena_clear(b);
	b->njobs = 0;
	rocks_again_none(b->again);
	b->bytes = 0;
	STAILQ_INIT(&b->jobs);
}

/* ---- what rocks_item.c uses ---- */

static bool
batch_failed(struct rocks_batch *b, char *text)
{
	rocks_fail(b->job, b->db, rocks_error_kind(text), text);
	free(text);
	return (false);
}

bool
rocks_batch_get(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *key, struct slice *value,
    bool *there)
{
	const struct over *o = over_find(b, f, rocks_key_slice(key));
	rocksdb_pinnableslice_t *pin;
	char *text = NULL;

	*value = SLICE_NULL;
	if (o != NULL) {
		*there = !o->deleted;
		*value = o->value;
		return (true);
	}
	pin = rocksdb_get_pinned_cf(b->db->db, b->db->usual, f->cf, key->bytes, key->len, &text);
	if (text != NULL)
		return (batch_failed(b, text));
	*there = pin != NULL;
	if (pin == NULL)
		return (true);
	MUST(b->npins < PINS_MAX);
	b->pins[b->npins++] = pin;
	value->p = rocksdb_pinnableslice_value(pin, &value->len);
	return (true);
}

void
rocks_batch_let_go(struct rocks_batch *b)
{
	while (b->npins > 0)
		rocksdb_pinnableslice_destroy(b->pins[--b->npins]);
}

char *
rocks_batch_room(struct rocks_batch *b, size_t len)
{
	return (arena_get(b, len));
}

bool
rocks_batch_put(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *key, struct slice value)
{
	char kind = key->bytes[0];

	if (!over_put(b, f, rocks_key_slice(key), value, false))
		return (false);
	if (kind == ROCKS_DEAD || kind == ROCKS_RECORD || kind == ROCKS_CHUNK)
		rocks_will_have(f, kind, rocks_key_hash_in(rocks_key_slice(key)));
	rocksdb_writebatch_put_cf(b->batch, f->cf, key->bytes, key->len, value.p, value.len);
	b->bytes += key->len + value.len;
	return (true);
}

bool
rocks_batch_delete(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *key)
{
	if (!over_put(b, f, rocks_key_slice(key), SLICE_NULL, true))
		return (false);
	rocksdb_writebatch_delete_cf(b->batch, f->cf, key->bytes, key->len);
	b->bytes += key->len;
	rocks_worn_row(b->worn, f, key);
	return (true);
}

void
rocks_batch_delete_range(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *from,
    const struct rocks_key *to)
{
	rocks_ranges_delete(f, b->batch, from, to);
	b->bytes += from->len + to->len;
	f->ranges++;
	rocks_worn_range(b->worn, f, from, to);
	rocks_again_note(b->again, f, from, to);
}

void
rocks_batch_delete_gap(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *from,
    const struct rocks_key *to)
{
	rocks_ranges_delete(f, b->batch, from, to);
	b->bytes += from->len + to->len;
	f->ranges++;
	atomic_fetch_add_explicit(&b->db->counts.gaps, 1, memory_order_relaxed);
}

bool
rocks_batch_puts(const struct rocks_batch *b, const struct rocks_family *f, const struct rocks_key *from,
    const struct rocks_key *to)
{
	for (const struct over *o = b->newest; o != NULL; o = o->older)
		if (!o->deleted && o->family == f && slice_cmp(o->key, rocks_key_slice(from)) >= 0 &&
		    slice_cmp(o->key, rocks_key_slice(to)) < 0)
			return (true);
	return (false);
}

bool
rocks_batch_leave(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *key, uint32_t chunks)
{
	return (rocks_left_add(b->left, f, key, chunks));
}

bool
rocks_batch_unswept(struct rocks_batch *b, struct rocks_family *f)
{
	struct rocks_unswept *l = b->unswept;

	while (l != NULL && l->family != f)
		l = l->next;
	if (l != NULL)
		return (true);
	l = arena_get(b, sizeof *l);
	if (l == NULL)
		return (false);
	*l = (struct rocks_unswept){ .next = b->unswept, .family = f };
	b->unswept = l;
	return (true);
}

/* What the batch has put can be read from now on. */
static void
count_puts(const struct rocks_batch *b)
{
	for (const struct over *o = b->newest; o != NULL; o = o->older)
		if (!o->deleted)
			rocks_gaps_put(o->family, o->key);
}

static bool
touched(const struct rocks_batch *b, const struct rocks_key *from)
{
	uint32_t bit = touch_bit(rocks_key_slice(from));

	return ((b->touched[bit / 8] & 1u << bit % 8) != 0);
}

bool
rocks_batch_look(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *from,
    const struct rocks_key *to, unsigned max, rocks_row_f *fn, void *arg, bool *all)
{
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	rocksdb_iterator_t *at;
	char *text = NULL;
	bool good = true;

	rocksdb_readoptions_set_iterate_upper_bound(options, to->bytes, to->len);
	at = rocksdb_create_iterator_cf(b->db->db, options, f->cf);
	rocksdb_iter_seek(at, from->bytes, from->len);
	for (; good && max > 0 && rocksdb_iter_valid(at); max--, rocksdb_iter_next(at)) {
		struct slice key, value;

		key.p = rocksdb_iter_key(at, &key.len);
		value.p = rocksdb_iter_value(at, &value.len);
		/* What the batch has changed is another row by now. */
		if (over_find(b, f, key) == NULL)
			good = fn(arg, key, value);
	}
	rocksdb_iter_get_error(at, &text);
	*all = text == NULL && !rocksdb_iter_valid(at) && !touched(b, from);
	rocksdb_iter_destroy(at);
	rocksdb_readoptions_destroy(options);
	return (text != NULL ? batch_failed(b, text) : good);
}

bool
rocks_batch_own(struct rocks_batch *b, struct rocks_family *f, rocks_row_f *fn, void *arg)
{
	for (const struct over *o = b->newest; o != b->job_from; o = o->older)
		if (o->family == f && !o->deleted && over_find(b, f, o->key) == o && !fn(arg, o->key, o->value))
			return (false);
	return (true);
}

/* ---- writing ---- */

/* A line now and then. Rocksdb looks for space by itself, for a memtable; anything else keeps it closed. */
static void
say_failed(struct rocks_writer *w, const char *text)
{
	uint64_t now = rocks_time();

	if (now < w->say_at)
		return;
	w->say_at = now + SAY_EVERY;
	log_error("store \"%s\": writes fail: %s; they go on when a disk that was full has 32 MB, else when kvgate is started "
	    "again", w->db->name, text);
}

static void
commit(struct rocks_writer *w)
{
	struct rocks_batch *b = &w->b;
	bool always = atomic_load_explicit(&w->db->durability, memory_order_relaxed) == DURABLE_ALWAYS;
	struct rocks_job *j;
	char *text = NULL;

	if (rocksdb_writebatch_count(b->batch) > 0) {
		uint64_t began = rocks_usec() - rocks_worked(), slept;

		rocks_families_newest(b->db, b->batch);
		rocks_families_unswept(b->unswept, false);
		rocksdb_write(w->db->db, always ? w->sync : w->lazy, b->batch, &text);
		slept = always ? rocks_usec() - rocks_worked() - began : 0;
		/* Now and then somebody else has the processor: the least counts, and is forgotten slowly. */
		w->slept += w->slept / 16 + 1;
		if (slept < w->slept)
			w->slept = slept;
		atomic_fetch_add_explicit(&w->db->counts.batches, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&w->db->counts.written, b->njobs, memory_order_relaxed);
		if (always && text == NULL)
			atomic_fetch_add_explicit(&w->db->counts.syncs, 1, memory_order_relaxed);
		count_puts(b);
		rocks_ranges_put_away(b->db);
		rocks_worn_tell(b->worn, w->db);
	}
	if (text != NULL) {
		rocks_families_unwritten(w->db);
		say_failed(w, text);
	}
	rocks_families_unswept(b->unswept, true);
	while ((j = STAILQ_FIRST(&b->jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->jobs, next);
		if (text != NULL)
			rocks_fail(j, w->db, rocks_error_kind(text), text);
		rocks_job_back(j);
	}
	if (text == NULL)
		rocks_again_delete(b->again, b, w->db);
	free(text);
	batch_clear(b);
}

static void
run(struct rocks_writer *w, struct rocks_job *j)
{
	struct rocks_batch *b = &w->b;
	bool good, flush = j->flush;

	if (j->kind == ROCKS_READ_BEHIND && (int)j->subs[0].op->op.verb >= OP_ITEMS_READ) {
		/* What comes behind it must not be seen. */
		commit(w);
		j->kind = ROCKS_READ;
		j->snapshot = rocks_snapshot(w->db);
		rocks_queue_put(&w->db->io, j);
		return;
	}
	if (j->kind == ROCKS_COPY) {
		commit(w);
		rocks_keeper_checkpoint(w->db, j);
		return;
	}
	/* What it takes away, the overlay would still have; what is not written yet, its look has not seen. */
	if (j->flush || j->kind == ROCKS_GAPS)
		commit(w);
	b->job = j;
	b->job_from = b->newest;
	b->job_unswept = b->unswept;
	j->err = ERR_NONE;
	rocksdb_writebatch_set_save_point(b->batch);
	good = rocks_item_run(b, w->db, j);
	rocks_batch_let_go(b);
	rocks_again_job(b->again, good);
	if (good) {
		char *text = NULL;

		rocksdb_writebatch_pop_save_point(b->batch, &text);
		free(text);
		STAILQ_INSERT_TAIL(&b->jobs, j, next);
		b->njobs++;
	} else {
		char *text = NULL;

		rocksdb_writebatch_rollback_to_save_point(b->batch, &text);
		free(text);
		over_take_back(b);
		if (j->err == ERR_NONE && !j->undone)
			rocks_fail(j, w->db, ERR_NOMEM, err_text(ERR_NOMEM));
		rocks_job_back(j);
	}
	if (flush || b->bytes > BATCH_BYTES || b->njobs >= BATCH_JOBS)
		commit(w);
}

/* Carries out all of them; how many there were. */
static unsigned
run_all(struct rocks_writer *w, struct rocks_jobs *jobs)
{
	struct rocks_job *j;
	unsigned n = 0;

	while ((j = STAILQ_FIRST(jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(jobs, next);
		run(w, j);
		n++;
	}
	return (n);
}

/*
 * Those whom the last batch answered write again a moment later. If the others did not wait for them, each half would
 * have every second fsync; so they do, while more keep coming, for no longer than that fsync would be waited for.
 */
static void
gather(struct rocks_writer *w, unsigned n)
{
	uint64_t now = rocks_usec(), until = now + w->slept;
	unsigned all = w->last + n, came = 1;
	struct rocks_jobs jobs;

	for (; w->last > 1 && n < all && came > 0 && w->b.njobs > 0 && now + PAUSE < until; now = rocks_usec()) {
		(void)rocks_queue_take(&w->queue, &jobs, all - n, now + PAUSE);
		came = run_all(w, &jobs);
		n += came;
	}
	w->last = n;
}

static void *
writer_main(void *arg)
{
	struct rocks_writer *w = arg;
	struct rocks_jobs jobs;

	prctl(PR_SET_TIMERSLACK, 1);	/* a pause is a pause, and not twice as long */
	rocks_count_less();
	while (rocks_queue_take(&w->queue, &jobs, 1, rocks_left_due(w->b.left))) {
		gather(w, run_all(w, &jobs));
		w->b.job = &w->own;
		rocks_left_drop(w->b.left, &w->b);
		commit(w);
	}
	return (NULL);
}

static void
writer_fini(struct rocks_writer *w)
{
	rocksdb_writeoptions_destroy(w->sync);
	rocksdb_writeoptions_destroy(w->lazy);
	rocksdb_writebatch_destroy(w->b.batch);
	rocks_worn_free(&w->b.worn);
	rocks_again_free(&w->b.again);
	rocks_left_free(&w->b.left);
	free(w->own.result);
	rocks_queue_fini(&w->queue);
	free(w);
}

struct rocks_writer *
rocks_writer_new(struct rocks_db *db)
{
	struct rocks_writer *w = calloc(1, sizeof *w);

	if (w == NULL)
		return (NULL);
	w->db = w->b.db = db;
	rocks_queue_init(&w->queue);
	w->b.worn = rocks_worn_new();
	w->b.again = rocks_again_new();
	w->b.left = rocks_left_new();
	w->b.batch = rocksdb_writebatch_create();
	w->sync = rocksdb_writeoptions_create();
	w->lazy = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(w->sync, 1);
	STAILQ_INIT(&w->b.jobs);
	if (w->b.worn != NULL && w->b.again != NULL && w->b.left != NULL && rocks_thread(&w->thread, "rocks:write", writer_main, w))
		return (w);
	writer_fini(w);
	return (NULL);
}

void
rocks_writer_free(struct rocks_writer **wp)
{
	struct rocks_writer *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	rocks_queue_stop(&w->queue);
	pthread_join(w->thread, NULL);
	writer_fini(w);
}

void
rocks_writer_put(struct rocks_writer *w, struct rocks_job *j)
{
	rocks_queue_put(&w->queue, j);
}

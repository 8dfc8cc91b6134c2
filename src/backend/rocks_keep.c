/*
 * rocks_keep.c - the keeper: what has to be done now and then, behind everybody's back.
 *
 *	durability = interval: the log goes to disk
 *	flush_all with a delay: handed to the writer when it is due
 *	what markers cover, but could not be removed when they came: it is hidden, until it is gone
 *	marks of deletes whose time is over
 *	checkpoints
 *	ranges in which reads have to pass very much that is gone: made to step over it (rocks_gaps.c), or compacted
 *	(rocks_worn.c)
 *
 * What rows are to go it finds itself; the writer decides of each again, so that nothing newer goes.
 */
#include "config.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <time.h>

#include "backend/rocks.h"
#include "base/check.h"
#include "conf/model.h"
#include "obs/log.h"

#define NEVER		UINT64_MAX
#define SECOND		1000000u
#define ROUND_MAX	(60ull * SECOND)	/* between two looks for marks whose time is over */
#define ROUND_PARTS	32		/* looks in the time that marks stay */
#define SWEEP_PAUSE	(10 * SECOND)	/* behind one that could not be done */
#define SWEEP_ROWS	128		/* of one job: what clients write waits behind it */
#define RANGES		8		/* that wait for a compaction */
#define REST_MIN	(SECOND / 4)	/* behind a compaction, or as long as it took, */
#define REST_MAX	(2 * SECOND)	/* but not longer */
#define LOOK_PAUSE	(SECOND / 100)	/* between looks, if there was nothing to be done, */
#define CLOSE_PAUSE	(SECOND / 10)	/* or if there was: each makes a file */
#define LOOK_ROWS	100000u		/* of a range */

struct keeper_range {
	struct rocks_family *family;
	struct rocks_key from, until;
	bool		 closed;	/* so often that only a compaction is left */
};

struct rocks_keeper {
	struct rocks_db	*db;
	pthread_t	 thread, clock;
	pthread_mutex_t	 lock;		/* of all below */
	pthread_cond_t	 more;
	bool		 stop;
	bool		 wake;
	struct rocks_job *later;	/* flush_all; NULL: none is to come */
	uint64_t	 later_at;
	struct rocks_jobs checkpoints;
	unsigned	 nranges;
	struct keeper_range ranges[RANGES];
	bool		 out, done;	/* a job is with the writer; it has been carried out */
	uint64_t	 synced;	/* the clock's: batches when the log was last written to disk */
	/* the keeper's own */
	uint64_t	 looked_at;	/* when marks were looked at */
	uint64_t	 range_at;	/* when ranges are looked at again, */
	uint64_t	 compact_at;	/* and compacted */
	struct rocks_tally closed[ROCKS_CLOSED];
	struct rocks_result *rows;	/* to go */
	struct rocks_family *family;	/* they are of this one */
};

/* One of its flags, and whoever waits for it. Any thread. */
static void
tell(struct rocks_keeper *k, bool *flag, bool value)
{
	pthread_mutex_lock(&k->lock);
	*flag = value;
	pthread_cond_broadcast(&k->more);
	pthread_mutex_unlock(&k->lock);
}

bool
rocks_keeper_stops(struct rocks_keeper *k)
{
	bool stops;

	pthread_mutex_lock(&k->lock);
	stops = k->stop;
	pthread_mutex_unlock(&k->lock);
	return (stops);
}

/* ---- rows that are to go ---- */

/* Hands it to the writer and waits, so that there is never more than one. False: it was not done, or all is over. */
static bool
give(struct rocks_keeper *k, enum rocks_job_kind kind, struct rocks_family *f, struct rocks_result *x, uint32_t puts)
{
	struct rocks_job *j = calloc(1, sizeof *j + sizeof(struct rocks_sub));
	bool done;

	if (j == NULL) {
		free(x);
		return (false);
	}
	j->kind = kind;
	j->subs = (struct rocks_sub *)(j + 1);
	j->subs[0].family = f;
	j->nsubs = 1;
	j->result = x;
	j->puts = puts;
	pthread_mutex_lock(&k->lock);
	k->out = true;
	pthread_mutex_unlock(&k->lock);
	rocks_writer_put(k->db->writer, j);
	pthread_mutex_lock(&k->lock);
	while (k->out)
		pthread_cond_wait(&k->more, &k->lock);
	done = k->done && !k->stop;
	pthread_mutex_unlock(&k->lock);
	return (done);
}

static bool
rows_give(struct rocks_keeper *k)
{
	struct rocks_result *rows = k->rows;

	if (rows == NULL || rows->nitems == 0)
		return (true);
	k->rows = NULL;
	return (give(k, ROCKS_SWEEP, k->family, rows, 0));
}

void
rocks_keeper_back(struct rocks_db *db, bool done)
{
	db->keeper->done = done;	/* it waits for what follows */
	tell(db->keeper, &db->keeper->out, false);
}

static bool
rows_add(struct rocks_keeper *k, struct rocks_family *f, struct slice key)
{
	uint16_t len = (uint16_t)key.len;
	char *p;

	k->family = f;
	p = rocks_result_add(&k->rows, sizeof len + key.len);
	if (p == NULL)
		return (false);
	memcpy(p, &len, sizeof len);
	memcpy(p + sizeof len, key.p, key.len);
	return (++k->rows->nitems < SWEEP_ROWS || rows_give(k));
}

typedef bool	 keeper_row_f(struct rocks_keeper *, struct rocks_family *, struct slice key, struct slice value,
		    void *arg);

/* all: rows of deleted ranges, too, where errors may be lost behind those. False: not all were seen, and seen to. */
static bool
walk(struct rocks_keeper *k, struct rocks_family *f, const struct rocks_key *from, const struct rocks_key *until,
    bool all, keeper_row_f *fn, void *arg)
{
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	rocksdb_iterator_t *at;
	char *text = NULL;
	bool good = true;

	rocksdb_readoptions_set_fill_cache(options, 0);
	rocksdb_readoptions_set_ignore_range_deletions(options, all);
	rocksdb_readoptions_set_iterate_upper_bound(options, until->bytes, until->len);
	at = rocksdb_create_iterator_cf(k->db->db, options, f->cf);
	for (rocksdb_iter_seek(at, from->bytes, from->len); good && rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
		struct slice key, value;

		key.p = rocksdb_iter_key(at, &key.len);
		value.p = rocksdb_iter_value(at, &value.len);
		good = fn(k, f, key, value, arg);
	}
	rocksdb_iter_get_error(at, &text);
	rocksdb_iter_destroy(at);
	rocksdb_readoptions_destroy(options);
	if (text != NULL)
		log_error("store \"%s\": %s", k->db->name, text);
	good = good && text == NULL && rows_give(k);
	free(text);
	return (good);
}

/* ---- what markers cover ---- */

static bool
sweep_item(struct rocks_keeper *k, struct rocks_family *f, struct slice key, struct slice value, void *arg)
{
	struct markers_at *markers = arg;
	struct rocks_row_name n;
	const struct stamp *cover;
	struct envelope e;
	struct stamp stamp;

	if (!rocks_key_parse(key, &n) || !envelope_get(value, &e, &value) ||
	    (cover = markers_at(markers, n.item)) == NULL)
		return (true);
	stamp = stamp_of(e.version, e.nonce);
	return (stamp_cmp(&stamp, cover) >= 0 || rows_add(k, f, key));
}

static bool
sweep_record(struct rocks_keeper *k, struct rocks_family *f, struct slice key, struct slice list, void *arg)
{
	struct rocks_key from, until;
	struct markers_at markers;
	struct rocks_row_name n;

	(void)arg;
	if (!rocks_key_parse(key, &n))
		return (true);
	rocks_key_item(&from, ROCKS_ITEM, n.id, SLICE_NULL);
	rocks_will_have(f, ROCKS_RECORD, rocks_key_hash(n.id));
	if (!markers_valid(list))
		return (true);
	markers_begin(&markers, list);
	until = from;
	rocks_key_behind(&until);
	return (walk(k, f, &from, &until, false, sweep_item, &markers));
}

static void
sweep_family(struct rocks_keeper *k, struct rocks_family *f)
{
	uint32_t count = atomic_load_explicit(&f->unswept, memory_order_acquire);
	struct rocks_key from, until;

	if (count == atomic_load_explicit(&f->swept, memory_order_relaxed) || rocks_usec() < f->sweep_at)
		return;
	rocks_key_part(&from, ROCKS_RECORD, 1, 1);
	rocks_key_part(&until, ROCKS_RECORD, 2, 1);
	if (!walk(k, f, &from, &until, true, sweep_record, NULL)) {
		f->sweep_at = rocks_usec() + SWEEP_PAUSE;
		return;
	}
	atomic_store_explicit(&f->swept, count, memory_order_release);
	if (rocks_may_known(f, ROCKS_RECORD))
		return;
	rocks_ranges_look(f);
	rocks_may_all(f, ROCKS_RECORD);
	rocks_family_look(f, k);
}

/* ---- marks whose time is over ---- */

static bool
dead_row(struct rocks_keeper *k, struct rocks_family *f, struct slice key, struct slice value, void *arg)
{
	uint64_t now = *(uint64_t *)arg;
	struct envelope e;

	if (!envelope_get(value, &e, &value) || !row_spent(&e, NULL, now, UINT32_MAX))
		return (true);
	/* Those that cannot go are not in the way of others. */
	return (rows_add(k, f, key) || !rocks_keeper_stops(k));
}

static uint64_t
round_time(struct rocks_db *db)
{
	uint64_t time = rocks_shortest_keep(db) * 1000 / ROUND_PARTS;

	return (time == 0 || time > ROUND_MAX ? ROUND_MAX : time > SECOND ? time : SECOND);
}

static void
look_at_rows(struct rocks_keeper *k)
{
	struct rocks_family *f = atomic_load_explicit(&k->db->families, memory_order_acquire);
	bool round = rocks_usec() >= k->looked_at + round_time(k->db);
	struct rocks_key from, until;
	uint64_t now = rocks_time();

	rocks_key_part(&from, ROCKS_DEAD, 1, 1);
	rocks_key_part(&until, ROCKS_DEAD, 2, 1);
	for (; f != NULL; f = atomic_load_explicit(&f->next, memory_order_acquire)) {
		sweep_family(k, f);
		if (round && !walk(k, f, &from, &until, false, dead_row, &now) && rocks_keeper_stops(k))
			break;
	}
	if (round)
		k->looked_at = rocks_usec();
}

/* ---- compactions ---- */

/* Whether one begins before the other ends, and the other way round. */
static bool
meet(const struct keeper_range *a, const struct keeper_range *b)
{
	return (a->family == b->family && rocks_key_before(&a->from, &b->until) &&
	    rocks_key_before(&b->from, &a->until));
}

static void
range_put(struct rocks_keeper *k, const struct keeper_range *r)
{
	struct keeper_range *have;
	unsigned i;

	pthread_mutex_lock(&k->lock);
	for (i = 0; i < k->nranges && (k->ranges[i].closed != r->closed || !meet(&k->ranges[i], r));)
		i++;
	have = &k->ranges[i];
	if (i < k->nranges) {
		if (rocks_key_before(&r->from, &have->from))
			have->from = r->from;
		if (rocks_key_before(&have->until, &r->until))
			have->until = r->until;
	} else if (i < RANGES) {
		*have = *r;
		k->nranges++;
		pthread_cond_broadcast(&k->more);
	}
	pthread_mutex_unlock(&k->lock);
}

void
rocks_keeper_compact(struct rocks_db *db, struct rocks_family *f, const struct rocks_key *from,
    const struct rocks_key *until)
{
	struct keeper_range r = { .family = f, .from = *from, .until = *until };

	range_put(db->keeper, &r);
}

struct look {
	uint64_t	 now;
	unsigned	 rows;
};

/* What has expired goes where marks of deletes are. */
static bool
look_row(struct rocks_keeper *k, struct rocks_family *f, struct slice key, struct slice value, void *arg)
{
	struct look *l = arg;
	struct envelope e;

	if (++l->rows > LOOK_ROWS)
		return (false);
	if (!envelope_get(value, &e, &value) || e.expiry == 0 || e.expiry > l->now)
		return (true);
	return (rows_add(k, f, key));
}

/* Whether reads pass much that is deleted there. */
static bool
is_worn(struct rocks_keeper *k, const struct keeper_range *r)
{
	struct look l = { .now = rocks_time() };
	bool worn;

	rocks_passed_none();
	walk(k, r->family, &r->from, &r->until, false, look_row, &l);
	worn = rocks_passed_many(l.rows, 0);
	rows_give(k);
	return (worn);
}

/* Reads are to step over what is gone at once. False: that was not all of it. */
static bool
close_gaps(struct rocks_keeper *k, struct keeper_range *r)
{
	struct rocks_result *gaps;
	unsigned steps;
	uint32_t puts;
	bool more;

	gaps = rocks_gaps_look(k->db, r->family, &r->from, &r->until, &puts, &more, &steps);
	if (gaps == NULL || !give(k, ROCKS_GAPS, r->family, gaps, puts))
		return (false);
	r->closed = steps > 0 && rocks_closed_many(k->closed, r->family, &r->from, &r->until, steps);
	return (!more);
}

/* The files of a range may be much more than what is gone from it: others have half of the time. */
static void
compact(struct rocks_keeper *k, const struct keeper_range *r)
{
	uint64_t began = rocks_usec(), took;

	rocks_compact(k->db, r->family, &r->from, &r->until);
	if (r->closed)
		rocks_closed_none(k->closed, r->family, &r->from);
	took = rocks_usec() - began;
	k->compact_at = rocks_usec() + (took < REST_MIN ? REST_MIN : took > REST_MAX ? REST_MAX : took);
}

static void
look_at_range(struct rocks_keeper *k, struct keeper_range *r)
{
	uint64_t pause = LOOK_PAUSE;

	if (!r->closed && close_gaps(k, r)) {
		pause = CLOSE_PAUSE;
		if (r->closed)
			range_put(k, r);
	} else if (!rocks_keeper_stops(k) && (r->closed || is_worn(k, r))) {
		pause = CLOSE_PAUSE;
		if (rocks_usec() < k->compact_at)
			range_put(k, r);
		else if (!rocks_keeper_stops(k))
			compact(k, r);
	}
	k->range_at = rocks_usec() + pause;
}

/* ---- the threads ---- */

/* Lock held: waits for a call, at most until then. */
static void
wait_until(struct rocks_keeper *k, uint64_t at)
{
	struct timespec ts = { (time_t)(at / SECOND), (long)(at % SECOND) * 1000 };

	if (at == NEVER)
		pthread_cond_wait(&k->more, &k->lock);
	else
		pthread_cond_timedwait(&k->more, &k->lock, &ts);
}

/* What must not wait for anything. */
static void *
clock_main(void *arg)
{
	struct rocks_keeper *k = arg;
	uint64_t sync_at = NEVER;

	pthread_mutex_lock(&k->lock);
	while (!k->stop) {
		uint64_t now = rocks_usec(), interval = rocks_sync_interval(k->db);
		struct rocks_job *due = k->later;

		if (interval == 0)
			sync_at = NEVER;
		else if (sync_at == NEVER || sync_at > now + interval)
			sync_at = now + interval;
		if ((due == NULL || k->later_at > now) && sync_at > now) {
			wait_until(k, due != NULL && k->later_at < sync_at ? k->later_at : sync_at);
			continue;
		}
		if (due != NULL && k->later_at <= now)
			k->later = NULL;
		else
			due = NULL;
		pthread_mutex_unlock(&k->lock);
		if (due != NULL)
			rocks_writer_put(k->db->writer, due);
		if (sync_at <= now) {
			rocks_sync_log(k->db, &k->synced);
			sync_at = NEVER;
		}
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return (NULL);
}

static void *
keeper_main(void *arg)
{
	struct rocks_keeper *k = arg;
	struct keeper_range range;
	struct rocks_job *j;

	pthread_mutex_lock(&k->lock);
	while (!k->stop || !STAILQ_EMPTY(&k->checkpoints)) {
		uint64_t now = rocks_usec(), next = k->looked_at + round_time(k->db);
		bool ranges = k->nranges > 0 && k->range_at <= now;

		if (k->nranges > 0 && k->range_at < next)
			next = k->range_at;
		if (!k->wake && !ranges && STAILQ_EMPTY(&k->checkpoints) && now < next) {
			wait_until(k, next);
			continue;
		}
		k->wake = false;
		if (ranges) {
			range = k->ranges[0];
			memmove(&k->ranges[0], &k->ranges[1], --k->nranges * sizeof range);
		}
		j = STAILQ_FIRST(&k->checkpoints);
		if (j != NULL)
			STAILQ_REMOVE_HEAD(&k->checkpoints, next);
		pthread_mutex_unlock(&k->lock);
		if (j != NULL)
			rocks_db_copy(k->db, j);
		if (ranges)
			look_at_range(k, &range);
		look_at_rows(k);
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return (NULL);
}

void
rocks_keeper_checkpoint(struct rocks_db *db, struct rocks_job *j)
{
	struct rocks_keeper *k = db->keeper;

	pthread_mutex_lock(&k->lock);
	STAILQ_INSERT_TAIL(&k->checkpoints, j, next);
	pthread_cond_broadcast(&k->more);
	pthread_mutex_unlock(&k->lock);
}

void
rocks_keeper_wake(struct rocks_db *db)
{
	tell(db->keeper, &db->keeper->wake, true);
}

void
rocks_keeper_later(struct rocks_db *db, struct rocks_job *j, uint64_t usec)
{
	struct rocks_keeper *k = db->keeper;
	struct rocks_job *was;

	pthread_mutex_lock(&k->lock);
	was = k->later;
	k->later = j;
	k->later_at = rocks_usec() + usec;
	pthread_cond_broadcast(&k->more);
	pthread_mutex_unlock(&k->lock);
	free(was);
}

bool
rocks_keeper_start(struct rocks_db *db)
{
	struct rocks_keeper *k = calloc(1, sizeof *k);

	if (k == NULL)
		return (false);
	k->db = db;
	STAILQ_INIT(&k->checkpoints);
	pthread_mutex_init(&k->lock, NULL);
	rocks_cond_init(&k->more);
	db->keeper = k;
	if (rocks_thread(&k->clock, "rocks:clock", clock_main, k)) {
		if (rocks_thread(&k->thread, "rocks:keep", keeper_main, k))
			return (true);
		tell(k, &k->stop, true);
		pthread_join(k->clock, NULL);
	}
	db->keeper = NULL;
	pthread_cond_destroy(&k->more);
	pthread_mutex_destroy(&k->lock);
	free(k);
	return (false);
}

void
rocks_keeper_stop(struct rocks_keeper *k)
{
	if (k == NULL)
		return;
	tell(k, &k->stop, true);
	pthread_join(k->thread, NULL);
	pthread_join(k->clock, NULL);
}

void
rocks_keeper_free(struct rocks_keeper **kp)
{
	struct rocks_keeper *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	/* Nothing that was acknowledged is left to the system. */
	if (rocks_sync_interval(k->db) != 0)
		rocks_sync_log(k->db, &k->synced);
	free(k->later);
	free(k->rows);
	pthread_cond_destroy(&k->more);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

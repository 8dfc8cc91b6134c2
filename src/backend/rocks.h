/*
 * rocks.h - the inside of the rocksdb store, shared by rocks*.c only.
 *
 *	loop: submit --> what is in memory is read at once, done() at the end of the turn
 *	          |  \
 *	          |   +-> io threads: what has to be read from disk, large pages, scans  --+
 *	          |                                                                        +--> the loop: done()
 *	          +-> the writer: all that changes something, in one order                --+
 *
 * A database is opened once, however many loops use it. The writer takes what has come, decides for each op in its turn
 * what it makes of the rows (item_verb.h), and writes all of it as one batch with one fsync; what comes meanwhile is
 * the next batch. A read of a record of which this loop has writes under way is placed among them by the writer, so
 * that no client sees its own pipeline out of order.
 */
#ifndef BACKEND_ROCKS_H
#define BACKEND_ROCKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "backend/be_loop.h"
#include "backend/item_verb.h"
#include "backend/markers.h"
#include "backend/record.h"
#include "backend/rocks_family.h"
#include "backend/rocks_key.h"

/* In front of a piece of a value: the moment (milliseconds since 1970, 0: none) until which it need not be named. */
#define ROCKS_PIECE_HEAD	8
#define ROCKS_BUCKETS	1024u		/* of records with writes under way */
#define ROCKS_WHY_MAX	400

struct rocks;
struct rocks_db;
struct rocks_keeper;
struct rocks_writer;
struct rocksdb_cache_t;
struct rocksdb_options_t;
struct rocksdb_readoptions_t;
struct rocksdb_snapshot_t;
struct rocksdb_t;
struct rocksdb_writebatch_t;

/* Of the piece that an op is about; id and item may be copies of its own. */
static inline void
rocks_op_chunk(struct rocks_key *key, const struct be_op *op, struct slice id, struct slice item)
{
	struct envelope head = { .version = op->version, .dictionary = op->chunk_try };

	memcpy(head.nonce, op->nonce, NONCE_LEN);
	rocks_key_chunk(key, id, item, &head, op->chunk);
}

/* What an op is about: its own, or one of a chain. */
struct rocks_sub {
	struct be_op	*op;
	struct rocks_family *family;	/* NULL: there is none yet */
	struct slice	 id, item;
};

/* What becomes of an op; one piece of the heap, be_op.priv in the end. */
struct rocks_result {
	size_t		 len, cap;	/* of bytes */
	size_t		 value, value_len;	/* of an OP_GET: where it is */
	bool		 has_value;
	uint32_t	 nitems;	/* of a record op: struct rocks_found, each with its bytes behind it */
	size_t		 next;		/* where next_id, next are; id first */
	uint16_t	 next_id_len, next_len;
	char		 why[ROCKS_WHY_MAX];
	char		 bytes[];
};

struct rocks_found {
	struct envelope	 head;
	uint32_t	 id_len, key_len, value_len;
	bool		 has_value;
};

enum rocks_job_kind {
	ROCKS_READ,		/* io threads */
	ROCKS_READ_BEHIND,	/* the writer: a read behind writes of the same record */
	ROCKS_WRITE,
	ROCKS_COPY,		/* OP_CHECKPOINT: of what was written before it; the keeper's then */
	ROCKS_SWEEP,		/* the keeper's: rows that may be no more needed, their keys are the result */
	ROCKS_GAPS,		/* the same: stretches without rows, pairs of keys are the result */
};

/* An op on its way through the threads. One piece of the heap, owned by who has it at the time. */
struct rocks_job {
	STAILQ_ENTRY(rocks_job) next;
	enum rocks_job_kind kind;
	struct rocks	*r;		/* NULL: nobody waits for it */
	struct be_op	*op;
	bool		 changes;	/* it is counted as a write under way */
	bool		 flush;		/* flush_all of the subs' families */
	bool		 undone;	/* nothing of it is to be, res says why */
	const struct rocksdb_snapshot_t *snapshot;	/* ROCKS_READ: what it is to see; NULL: what is there by then */
	struct rocks_result *result;
	uint32_t	 puts;		/* ROCKS_GAPS: rocks_family.puts when the look began */
	enum err	 err;
	struct op_result res;
	struct envelope	 found_head;
	enum rec_end	 end;
	bool		 more;
	struct iovec	 body;		/* of a body that was copied */
	unsigned	 nsubs;
	struct rocks_sub *subs;
};
STAILQ_HEAD(rocks_jobs, rocks_job);

/* A queue of jobs with threads behind it. */
struct rocks_queue {
	pthread_mutex_t	 lock;		/* of all below */
	pthread_cond_t	 more;
	struct rocks_jobs jobs;
	unsigned	 njobs;
	unsigned	 want;		/* how many are waited for */
	bool		 stop;
};

/* What `stats` shows of it; any thread adds. */
struct rocks_counts {
	_Atomic uint64_t batches, written, syncs, io_reads, loop_reads, swept, forgotten, compactions, orphans;
	_Atomic uint64_t blind;		/* writes that did not have to read what they replaced */
	_Atomic uint64_t gaps;		/* stretches without rows that were deleted as ranges */
	_Atomic uint64_t buried;	/* expired, moved to where the deleted are */
};

struct rocks_db {
	unsigned	 magic;
#define ROCKS_DB_MAGIC	0x726f636bu
	struct rocks_db	*next;		/* registry's lock */
	unsigned	 refs;		/* the same */
	char		*path;
	dev_t		 dev;		/* of path: it may have other names */
	ino_t		 ino;
	char		*name;		/* the store's, for messages */
	_Atomic unsigned durability;	/* enum conf_durability */
	_Atomic uint64_t sync_interval;	/* microseconds */
	struct rocksdb_t *db;
	struct rocksdb_options_t *options;
	struct rocksdb_cache_t *cache;
	struct rocksdb_readoptions_t *cached;	/* reads nothing from disk */
	struct rocksdb_readoptions_t *usual;
	_Atomic(struct rocks_family *) families;
	struct rocks_counts counts;
	struct rocks_queue io;
	pthread_t	*threads;
	unsigned	 nthreads;
	unsigned	 open_files;
	struct rocks_writer *writer;
	struct rocks_keeper *keeper;
};

/* One loop's use of a database. */
struct rocks {
	struct backend	 be;		/* first */
	const struct conf_store *store;
	struct rocks_db	*db;
	struct io	 io;
	int		 fd;		/* eventfd: something has come back */
	unsigned	 out;		/* ops that are with the threads */
	uint32_t	 nwrites;	/* records that they write to, and those about all */
	uint32_t	 writes;	/* of them about all records */
	uint32_t	 pending[ROCKS_BUCKETS];	/* writes under way, by record */
	pthread_mutex_t	 lock;		/* of back */
	pthread_cond_t	 came;
	struct rocks_jobs back;
	char		 busy[150];
};
#define ROCKS_MAGIC	0x726f6363u

/* ---- rocks.c ---- */

/* Any thread: the job is over, its outcome is set. */
void		 rocks_job_back(struct rocks_job *);
/* Milliseconds since 1970. */
uint64_t	 rocks_time(void);
/* Microseconds of a clock that only goes on. */
uint64_t	 rocks_usec(void);
/* Microseconds for which this thread has had a processor. */
uint64_t	 rocks_worked(void);

/* ---- rocks_result.c ---- */

/* NULL: out of memory. */
struct rocks_result *rocks_result_new(size_t cap);
/* Room for len bytes more, which it counts as used; NULL: out of memory, *rp is as it was. */
char		*rocks_result_add(struct rocks_result **rp, size_t len);
/* An item that was found. False: out of memory. */
bool		 rocks_result_item(struct rocks_result **rp, const struct rec_item *, bool with_id);
/* Where a page ends. */
bool		 rocks_result_next(struct rocks_result **rp, struct slice id, struct slice key);
/* Calls found() of the op for each. */
void		 rocks_result_replay(const struct rocks_result *, struct be_op *);
/* Makes it an error of the store that says why; text may be what rocksdb says. */
void		 rocks_fail(struct rocks_job *, const struct rocks_db *, enum err, const char *text);
enum err	 rocks_error_kind(const char *text);
/* The value of an OP_GET into it, and the rest of the outcome. */
bool		 rocks_result_value(struct rocks_result **rp, struct slice value);

/* ---- rocks_db.c ---- */

/* The database of this store, opened if it is not yet. NULL with *why, which lives until the thread's next call. */
struct rocks_db	*rocks_db_pin(const struct conf_store *, const char **why);
void		 rocks_db_unpin(struct rocks_db **);
/* Its numbers, for people. */
void		 rocks_db_tell(struct rocks_db *, be_tell_f *f, void *arg);
/* With all signals blocked. name: what top -H and gdb show, of at most 15 bytes. */
bool		 rocks_thread(pthread_t *, const char *name, void *(*fn)(void *), void *arg);
/* Copies it into the directory that is the job's id, and gives the job back. The keeper's thread. */
void		 rocks_db_copy(struct rocks_db *, struct rocks_job *);
/* This thread's reads and writes: what rocksdb counts of each, in its time, is needed for pages alone. */
void		 rocks_count_less(void);
/* durability = interval: microseconds; else 0. */
uint64_t	 rocks_sync_interval(const struct rocks_db *);
/* The log goes to disk, unless it has been there since *synced, of its own count. */
void		 rocks_sync_log(struct rocks_db *, uint64_t *synced);
/* What a read is to see from now on. Any thread. */
const struct rocksdb_snapshot_t *rocks_snapshot(struct rocks_db *);

/* ---- rocks_family.c ---- */

/* NULL: no such namespace has ever been written to. Any thread. */
struct rocks_family *rocks_family_find(const struct rocks_db *, const char *name);
/* Makes it if need be. The writer's thread. NULL with *why (free it). */
struct rocks_family *rocks_family_make(struct rocks_db *, const char *name, char **why);
/* One without its handle. NULL: out of memory. */
struct rocks_family *rocks_family_new(struct rocks_db *, const char *name);
/* With its handle gone, and the database. */
void		 rocks_family_free(struct rocks_family *);
/* It has its handle: what the database knows of it. False: *why (free it). */
bool		 rocks_family_begin(struct rocks_family *, char **why);
/* It can be found from now on. */
void		 rocks_family_publish(struct rocks_db *, struct rocks_family *);
/*
 * What was there at the opening, for rocks_may_have(), but for markers. It may be that it is not known then, either.
 * The keeper's thread.
 */
void		 rocks_family_look(struct rocks_family *, struct rocks_keeper *);
/* The writer's: the newest versions go with what has them; or they were not written after all. */
void		 rocks_families_newest(struct rocks_db *, struct rocksdb_writebatch_t *);
void		 rocks_families_unwritten(struct rocks_db *);
/*
 * The writer's, around the writing of a batch. The keeper gets to know where markers leave rows behind it only: a walk
 * that began before has not seen them.
 */
void		 rocks_families_unswept(const struct rocks_unswept *, bool written);
/* Milliseconds that some namespace's marks stay, the shortest; 0: it is not known. */
uint64_t	 rocks_shortest_keep(struct rocks_db *);

/* ---- rocks_queue.c ---- */

/* Its timed waits are by rocks_usec(). */
void		 rocks_cond_init(pthread_cond_t *);
/* Any thread. */
void		 rocks_queue_init(struct rocks_queue *);
void		 rocks_queue_fini(struct rocks_queue *);
void		 rocks_queue_put(struct rocks_queue *, struct rocks_job *);
void		 rocks_queue_stop(struct rocks_queue *);
/* NULL: it is stopped and empty. */
struct rocks_job *rocks_queue_get(struct rocks_queue *);
/*
 * All that has come; waits for so many, until then (as of rocks_usec()). One thread at most does so. False: it is
 * stopped and empty.
 */
bool		 rocks_queue_take(struct rocks_queue *, struct rocks_jobs *, unsigned want, uint64_t until);

/* ---- rocks_read.c ---- */

enum rocks_rc { ROCKS_DONE, ROCKS_NOT_CACHED, ROCKS_NOT_PURE /* it would change something */, ROCKS_FAILED };

/* Reads for a job with one sub. On the loop with in_memory: looks at nothing but memory, and not for long. */
enum rocks_rc	 rocks_read(struct rocks_db *, struct rocks_job *, bool in_memory);
/* Whether the op is one that may be given to rocks_read(). */
bool		 rocks_is_read(const struct be_op *);
/* The io threads. */
void		*rocks_io_main(void *db);

/* ---- rocks_write.c ---- */

struct rocks_writer *rocks_writer_new(struct rocks_db *);
/* What is queued is carried out before. NULL is fine. */
void		 rocks_writer_free(struct rocks_writer **);
void		 rocks_writer_put(struct rocks_writer *, struct rocks_job *);
/* A batch that is being made; rocks_item.c sees it as rows that can be read and changed. */
struct rocks_batch;

/* What is there, this batch's own changes included. The slice lives until rocks_batch_let_go(). False: *why is set. */
bool		 rocks_batch_get(struct rocks_batch *, struct rocks_family *, const struct rocks_key *,
		    struct slice *value, bool *there);
void		 rocks_batch_let_go(struct rocks_batch *);
/* Room for a row of len bytes at most, to be filled and then put with its true length. NULL: out of memory. */
char		*rocks_batch_room(struct rocks_batch *, size_t len);
bool		 rocks_batch_put(struct rocks_batch *, struct rocks_family *, const struct rocks_key *,
		    struct slice value);
bool		 rocks_batch_delete(struct rocks_batch *, struct rocks_family *, const struct rocks_key *);
/* From inclusive to exclusive. */
void		 rocks_batch_delete_range(struct rocks_batch *, struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *to);
/* Whether it puts a row there. */
bool		 rocks_batch_puts(const struct rocks_batch *, const struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *to);
/* Of which nothing is left that can be read. */
void		 rocks_batch_delete_gap(struct rocks_batch *, struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *to);
/*
 * Of the rows from..to that are written already, calls f for at most max. *all: there were no more, and none in the
 * batch. False: reading failed.
 */
typedef bool	 rocks_row_f(void *arg, struct slice key, struct slice value);
bool		 rocks_batch_look(struct rocks_batch *, struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *to, unsigned max, rocks_row_f *f, void *arg, bool *all);
/* Calls f for each row that this job has put so far. */
bool		 rocks_batch_own(struct rocks_batch *, struct rocks_family *, rocks_row_f *f, void *arg);

/* Nothing names these pieces any more, once the batch is written. False: they have to go with it. */
bool		 rocks_batch_leave(struct rocks_batch *, struct rocks_family *, const struct rocks_key *,
		    uint32_t chunks);

/* A marker of the batch leaves rows there. False: out of memory. */
bool		 rocks_batch_unswept(struct rocks_batch *, struct rocks_family *);

/* ---- rocks_item.c ---- */

/* Deletes a value's pieces; the key is theirs, without a number. False: out of memory. */
bool		 rocks_item_drop(struct rocks_batch *, struct rocks_family *, const struct rocks_key *,
		    uint32_t chunks);

/* Does what a job's ops say. False: it has failed, nothing of it may be written; job->err and result say why. */
bool		 rocks_item_run(struct rocks_batch *, struct rocks_db *, struct rocks_job *);

/* ---- rocks_keep.c ---- */

/* Its threads. False: out of memory. */
bool		 rocks_keeper_start(struct rocks_db *);
/* Ends its threads, which need the writer; the writer's calls go on. NULL is fine, here and there. */
void		 rocks_keeper_stop(struct rocks_keeper *);
void		 rocks_keeper_free(struct rocks_keeper **);
/* There are rows that a marker covers. Any thread. */
void		 rocks_keeper_wake(struct rocks_db *);
/* Whether it is to end. */
bool		 rocks_keeper_stops(struct rocks_keeper *);
/* Reads have to pass very many deletions there, it seems: they are to go. Any thread. */
void		 rocks_keeper_compact(struct rocks_db *, struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *until);
/* Copies the database into the directory that is the job's id. */
void		 rocks_keeper_checkpoint(struct rocks_db *, struct rocks_job *);
/* A job of its own is over, and done or not. The writer's thread. */
void		 rocks_keeper_back(struct rocks_db *, bool done);
/* Gives the writer this job after so many microseconds, and drops the one that was to come; NULL: just that. */
void		 rocks_keeper_later(struct rocks_db *, struct rocks_job *, uint64_t usec);

/* ---- rocks_left.c ---- */

/* The writer's: pieces that are to go. NULL: out of memory. */
struct rocks_left;
struct rocks_left *rocks_left_new(void);
void		 rocks_left_free(struct rocks_left **);
/* The key is theirs, without a number. False: there are too many, or there is no memory. */
bool		 rocks_left_add(struct rocks_left *, struct rocks_family *, const struct rocks_key *, uint32_t chunks);
/* When the next ones are due, as of rocks_usec(); UINT64_MAX: there are none. */
uint64_t	 rocks_left_due(const struct rocks_left *);
/* Puts the deletion of those that are due into the batch. */
void		 rocks_left_drop(struct rocks_left *, struct rocks_batch *);

/* ---- rocks_worn.c ---- */

/* One of a table's places, of records by a hash of their ids, each for whichever record has most. Zero: it is free. */
struct rocks_tally {
	struct rocks_family *family;
	uint64_t	 record;
	uint32_t	 n;
};
uint64_t	 rocks_tally_record(struct slice id);
/* It is the record's, or becomes so. False: another one keeps it, and has n less for that. */
bool		 rocks_tally(struct rocks_tally *, struct rocks_family *, uint64_t record, uint32_t n);

/* The writer's: what it deletes, by record. NULL: out of memory. */
struct rocks_worn;
struct rocks_worn *rocks_worn_new(void);
void		 rocks_worn_free(struct rocks_worn **);
void		 rocks_worn_row(struct rocks_worn *, struct rocks_family *, const struct rocks_key *);
void		 rocks_worn_range(struct rocks_worn *, struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *until);
/* All of it is written: the keeper gets to know where it is much. */
void		 rocks_worn_tell(struct rocks_worn *, struct rocks_db *);
/* Around reads of this thread: whether they have passed many rows that are gone; dead: of those that they have seen. */
void		 rocks_passed_none(void);
bool		 rocks_passed_many(uint64_t found, uint64_t dead);
/* The keeper's; takes its time. */
void		 rocks_compact(struct rocks_db *, struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *until);

/* How many rows that are gone this thread has passed since then; those of a range in a file are not seen. */
uint64_t	 rocks_passed(void);

/* ---- rocks_gaps.c ---- */

/* What is in memory goes to a file, to which nothing newer comes. May wait if that is asked often. */
void		 rocks_put_away(struct rocks_db *, struct rocks_family *);
/* From inclusive to exclusive, with no bookkeeping but of rocks_family.ranged. */
void		 rocks_ranges_delete(struct rocks_family *, struct rocksdb_writebatch_t *, const struct rocks_key *from,
		    const struct rocks_key *until);
/*
 * Reads sort the deleted ranges that are still in memory anew after each that comes; those in files are sorted. The
 * writer's thread.
 */
void		 rocks_ranges_put_away(struct rocks_db *);
/* Whether the files that the opening found or made have deleted ranges. May take its time. */
void		 rocks_ranges_look(struct rocks_family *);
/* This row has been put, and can be read. The writer's thread. */
void		 rocks_gaps_put(struct rocks_family *, struct slice key);
/*
 * Looks for stretches of a record without rows: the result and puts of a ROCKS_GAPS; NULL: none. more: that is not all
 * that reads pass there. *steps: those that were not closed before. The keeper's thread.
 */
struct rocks_result *rocks_gaps_look(struct rocks_db *, struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *until, uint32_t *puts, bool *more, unsigned *steps);
#define ROCKS_CLOSED	64u
/*
 * The keeper's: n more stretches of a record were closed. True: reads step over so many by now that it is to be
 * compacted; from and until become its own.
 */
bool		 rocks_closed_many(struct rocks_tally *, struct rocks_family *, struct rocks_key *from,
		    struct rocks_key *until, unsigned n);
/* It is. */
void		 rocks_closed_none(struct rocks_tally *, struct rocks_family *, const struct rocks_key *from);
/* The writer's: ranges that a batch deletes. NULL: out of memory. */
struct rocks_again;
struct rocks_again *rocks_again_new(void);
void		 rocks_again_free(struct rocks_again **);
void		 rocks_again_note(struct rocks_again *, struct rocks_family *, const struct rocks_key *from,
		    const struct rocks_key *until);
/* What was noted since the last job is the batch's, or nothing of it is. */
void		 rocks_again_job(struct rocks_again *, bool good);
/* The batch is written, and still what it was. */
void		 rocks_again_delete(struct rocks_again *, struct rocks_batch *, struct rocks_db *);
/* No batch has any. */
void		 rocks_again_none(struct rocks_again *);

/* ---- rocks_filter.c ---- */

enum rocks_fate {
	ROCKS_STAYS,
	ROCKS_GOES,
	ROCKS_CHANGES,
	ROCKS_IF_NAMED,			/* a piece of a value stays if its item is of the same version and nonce */
};
/*
 * What a compaction makes of a row. ROCKS_CHANGES: *value is what it becomes, in buf. keep, swept: rocks_family's.
 * Pure.
 */
#define ROCKS_FILTER_BUF	(64 * 1024)
enum rocks_fate	 rocks_filter(struct slice key, struct slice *value, uint64_t now, uint32_t keep, bool swept,
		    char *buf);

#endif

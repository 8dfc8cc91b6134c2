/*
 * rocks_keep.c - the keeper: what has to be done now and then, behind everybody's back.
 *
 *	durability = interval: the log goes to disk
 *	flush_all with a delay: handed to the writer when it is due
 *	record and range deletes that could not remove what they cover at once: their markers hide it, until it is gone
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

struct rocks_keeper {
	struct rocks_db	*db;
	pthread_t	 thread;
	pthread_mutex_t	 lock;		/* of all below */
	pthread_cond_t	 more;
	bool		 stop;
	bool		 wake;
	struct rocks_job *later;	/* flush_all; NULL: none is to come */
	uint64_t	 later_at;
	uint64_t	 sync_at;
	uint64_t	 synced;	/* batches when the log was last written to disk */
};

static uint64_t
monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

/* ---- the log ---- */

static uint64_t
sync_interval(const struct rocks_db *db)
{
	return (atomic_load_explicit(&db->durability, memory_order_relaxed) == DURABLE_INTERVAL ?
	    atomic_load_explicit(&db->sync_interval, memory_order_relaxed) : 0);
}

static void
sync_log(struct rocks_keeper *k)
{
	uint64_t batches = atomic_load_explicit(&k->db->counts.batches, memory_order_relaxed);
	char *text = NULL;

	if (batches == k->synced)
		return;
	k->synced = batches;
	rocksdb_flush_wal(k->db->db, 1, &text);
	if (text != NULL)
		log_error("store \"%s\": the log cannot be synced: %s", k->db->name, text);
	else
		atomic_fetch_add_explicit(&k->db->counts.syncs, 1, memory_order_relaxed);
	free(text);
}

/* ---- the thread ---- */

/* Lock held: waits until there is something to do. False: it is over. */
static bool
wait_for_work(struct rocks_keeper *k)
{
	while (!k->stop && !k->wake) {
		uint64_t now = monotonic(), at = k->later != NULL ? k->later_at : NEVER;
		uint64_t interval = sync_interval(k->db);
		struct timespec ts;

		if (interval != 0 && k->sync_at > now + interval)
			k->sync_at = now + interval;
		if (interval != 0 && k->sync_at < at)
			at = k->sync_at;
		if (at <= now)
			break;
		if (at == NEVER) {
			pthread_cond_wait(&k->more, &k->lock);
			continue;
		}
		ts.tv_sec = (time_t)(at / 1000000);
		ts.tv_nsec = (long)(at % 1000000) * 1000;
		pthread_cond_timedwait(&k->more, &k->lock, &ts);
	}
	return (!k->stop);
}

static void *
keeper_main(void *arg)
{
	struct rocks_keeper *k = arg;

	pthread_mutex_lock(&k->lock);
	while (wait_for_work(k)) {
		struct rocks_job *due = NULL;
		uint64_t now = monotonic();

		k->wake = false;
		if (k->later != NULL && k->later_at <= now) {
			due = k->later;
			k->later = NULL;
		}
		k->sync_at = sync_interval(k->db) != 0 && k->sync_at > now ? k->sync_at : NEVER;
		pthread_mutex_unlock(&k->lock);
		if (due != NULL)
			rocks_writer_put(k->db->writer, due);
		if (sync_interval(k->db) != 0 && k->sync_at == NEVER)
			sync_log(k);
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return (NULL);
}

void
rocks_keeper_wake(struct rocks_db *db)
{
	struct rocks_keeper *k = db->keeper;

	pthread_mutex_lock(&k->lock);
	k->wake = true;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
}

void
rocks_keeper_later(struct rocks_db *db, struct rocks_job *j, uint64_t usec)
{
	struct rocks_keeper *k = db->keeper;
	struct rocks_job *was;

	pthread_mutex_lock(&k->lock);
	was = k->later;
	k->later = j;
	k->later_at = monotonic() + usec;
	k->wake = true;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
	free(was);
}

struct rocks_keeper *
rocks_keeper_new(struct rocks_db *db)
{
	struct rocks_keeper *k = calloc(1, sizeof *k);
	pthread_condattr_t attr;

	if (k == NULL)
		return (NULL);
	k->db = db;
	k->sync_at = NEVER;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->more, &attr);
	pthread_condattr_destroy(&attr);
	if (rocks_thread(&k->thread, keeper_main, k))
		return (k);
	pthread_cond_destroy(&k->more);
	pthread_mutex_destroy(&k->lock);
	free(k);
	return (NULL);
}

void
rocks_keeper_free(struct rocks_keeper **kp)
{
	struct rocks_keeper *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	/* Nothing that was acknowledged is left to the system. */
	if (sync_interval(k->db) != 0)
		sync_log(k);
	free(k->later);
	pthread_cond_destroy(&k->more);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

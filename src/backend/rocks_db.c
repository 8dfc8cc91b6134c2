/*
 * rocks_db.c - opening a database, once for all loops; the queue before its threads.
 *
 * The registry is what loops of one process find each other by: the files are locked against all other processes, and
 * against a second opening here. A reload pins what is open before the old configuration lets go of it.
 */
#include "config.h"

#include <dirent.h>
#include <rocksdb/c.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "backend/rocks.h"
#include "base/check.h"
#include "conf/model.h"
#include "obs/log.h"

#define WRITE_BUFFERS	(96ull << 20)	/* of all namespaces */
#define WAL_MAX		(512ull << 20)
#define LOG_MAX		(1u << 20)	/* rocksdb's own log */
#define LOGS		4
#define PARALLEL	2
/* Values of rocksdb's WALRecoveryMode. */
#define RECOVER_WHOLE	0	/* all but a torn end */
#define RECOVER_PREFIX	2	/* what is in front of the first damage */

static struct {
	pthread_mutex_t	 lock;
	struct rocks_db	*first;		/* lock */
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local char open_why[800];

/* ---- threads ---- */

bool
rocks_thread(pthread_t *t, const char *name, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int rc;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(t, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		pthread_setname_np(*t, name);
	return (rc == 0);
}

void
rocks_count_less(void)
{
	rocksdb_set_perf_level(rocksdb_disable);
}

const struct rocksdb_snapshot_t *
rocks_snapshot(struct rocks_db *db)
{
	return (rocksdb_create_snapshot(db->db));
}

uint64_t
rocks_sync_interval(const struct rocks_db *db)
{
	return (atomic_load_explicit(&db->durability, memory_order_relaxed) == DURABLE_INTERVAL ?
	    atomic_load_explicit(&db->sync_interval, memory_order_relaxed) : 0);
}

void
rocks_sync_log(struct rocks_db *db, uint64_t *synced)
{
	uint64_t batches = atomic_load_explicit(&db->counts.batches, memory_order_relaxed);
	char *text = NULL;

	if (batches == *synced)
		return;
	*synced = batches;
	rocksdb_flush_wal(db->db, 1, &text);
	if (text != NULL)
		log_error("store \"%s\": the log cannot be synced: %s", db->name, text);
	else
		atomic_fetch_add_explicit(&db->counts.syncs, 1, memory_order_relaxed);
	free(text);
}

/* The job's id is the directory. Files are linked where they can be, so it takes little time and space. */
void
rocks_db_copy(struct rocks_db *db, struct rocks_job *j)
{
	rocksdb_checkpoint_t *maker;
	char *text = NULL, *path = strndup(j->subs[0].id.p, j->subs[0].id.len);

	if (path == NULL) {
		rocks_fail(j, db, ERR_NOMEM, err_text(ERR_NOMEM));
		rocks_job_back(j);
		return;
	}
	maker = rocksdb_checkpoint_object_create(db->db, &text);
	if (text == NULL)
		rocksdb_checkpoint_create(maker, path, 0, &text);
	if (text != NULL)
		rocks_fail(j, db, ERR_DISK, text);
	if (maker != NULL)
		rocksdb_checkpoint_object_destroy(maker);
	free(text);
	free(path);
	rocks_job_back(j);
}

/* ---- opening ---- */

static const char *
open_failed(const struct conf_store *st, const char *text)
{
	bool held = strstr(text, "lock file") != NULL || strstr(text, "lock hold") != NULL;

	snprintf(open_why, sizeof open_why, "store \"%.100s\": path \"%.200s\": %s%.300s", st->name, st->path,
	    held ? "another process has it open: " : "", text);
	return (open_why);
}

/* Whether a database has written here: one that lost its CURRENT must not become a new one, which removes the rest. */
static bool
has_files(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	bool has = false;

	while (dir != NULL && !has && (e = readdir(dir)) != NULL) {
		size_t digits = strspn(e->d_name, "0123456789");

		has = digits > 0 && (strcmp(e->d_name + digits, ".sst") == 0 || strcmp(e->d_name + digits, ".log") == 0);
	}
	if (dir != NULL)
		closedir(dir);
	return (has);
}

static void
db_options(struct rocks_db *db, const struct conf_store *st)
{
	db->options = rocksdb_options_create();
	db->open_files = st->open_files;
	rocksdb_options_set_create_if_missing(db->options, !has_files(st->path));
	rocksdb_options_set_db_write_buffer_size(db->options, WRITE_BUFFERS);
	rocksdb_options_set_max_total_wal_size(db->options, WAL_MAX);
	rocksdb_options_set_max_log_file_size(db->options, LOG_MAX);
	rocksdb_options_set_keep_log_file_num(db->options, LOGS);
	rocksdb_options_set_max_open_files(db->options, (int)st->open_files);	/* main.c makes room */
	rocksdb_options_set_max_background_jobs(db->options, PARALLEL);
	rocksdb_options_enable_statistics(db->options);
	rocksdb_options_set_stats_dump_period_sec(db->options, 0);
	rocksdb_options_set_bytes_per_sync(db->options, 1 << 20);
	db->cache = rocksdb_cache_create_lru(st->block_cache);
	db->usual = rocksdb_readoptions_create();
	db->cached = rocksdb_readoptions_create();
	rocksdb_readoptions_set_read_tier(db->cached, 1);	/* kBlockCacheTier */
}

/*
 * A log that is damaged is used as far as it goes, which rocksdb would do in silence; a record at its end that is not
 * whole was never acknowledged.
 */
static bool
db_open_families(struct rocks_db *db, size_t n, const char *const *names, const rocksdb_options_t *const *options,
    rocksdb_column_family_handle_t **handles, char **why)
{
	char *damage;

	rocksdb_options_set_wal_recovery_mode(db->options, RECOVER_WHOLE);
	db->db = rocksdb_open_column_families(db->options, db->path, (int)n, names, options, handles, why);
	if (*why == NULL || strncmp(*why, "Corruption", strlen("Corruption")) != 0)
		return (*why == NULL);
	damage = *why;
	*why = NULL;
	rocksdb_options_set_wal_recovery_mode(db->options, RECOVER_PREFIX);
	db->db = rocksdb_open_column_families(db->options, db->path, (int)n, names, options, handles, why);
	if (*why == NULL)
		log_error("store \"%s\": path \"%s\": what was written last may be lost: %s", db->name, db->path, damage);
	free(damage);
	return (*why == NULL);
}

/* Opens all that is there, whether the configuration names it or not: rocksdb wants it so. */
static bool
db_open(struct rocks_db *db, char **why)
{
	rocksdb_column_family_handle_t **handles;
	const rocksdb_options_t **options;
	const char **names;
	struct rocks_family **families;
	char *ignored = NULL, **listed;
	size_t n = 0;
	bool good = false;

	listed = rocksdb_list_column_families(db->options, db->path, &n, &ignored);
	if (ignored != NULL || n == 0) {
		free(ignored);		/* there is none yet, or opening says it better */
		if (listed != NULL)	/* an empty list is one, too */
			rocksdb_list_column_families_destroy(listed, n);
		listed = NULL;
		n = 1;
	}
	handles = calloc(n, sizeof(*handles));
	options = calloc(n, sizeof(*options));
	names = calloc(n, sizeof(*names));
	families = calloc(n, sizeof(*families));
	if (handles == NULL || options == NULL || names == NULL || families == NULL)
		goto end;
	for (size_t i = 0; i < n; i++) {
		families[i] = rocks_family_new(db, listed != NULL ? listed[i] : "default");
		if (families[i] == NULL)
			goto end;
		names[i] = families[i]->name;
		options[i] = families[i]->options;
		/* Compactions begin with the opening. */
		atomic_store(&families[i]->unswept, 1);
		atomic_store(&families[i]->was_ranged, true);
	}
	if (!db_open_families(db, n, names, options, handles, why))
		goto end;
	good = true;
	for (size_t i = 0; i < n; i++) {
		families[i]->cf = handles[i];
		rocks_family_publish(db, families[i]);
		good = good && rocks_family_begin(families[i], why);
	}
end:
	for (size_t i = 0; families != NULL && i < n; i++)
		if (families[i] != NULL && families[i]->cf == NULL)
			rocks_family_free(families[i]);
	free(families);
	free(names);
	free(options);
	free(handles);
	if (listed != NULL)
		rocksdb_list_column_families_destroy(listed, n);
	return (good);
}

static bool
db_start(struct rocks_db *db, unsigned threads)
{
	db->threads = calloc(threads, sizeof *db->threads);
	if (db->threads == NULL)
		return (false);
	while (db->nthreads < threads) {
		if (!rocks_thread(&db->threads[db->nthreads], "rocks:read", rocks_io_main, db))
			return (false);
		db->nthreads++;
	}
	db->writer = rocks_writer_new(db);
	if (db->writer == NULL)
		return (false);
	return (rocks_keeper_start(db));
}

static void
db_free(struct rocks_db **dbp)
{
	struct rocks_family *f, *next;
	struct rocks_db *db;

	TAKE_OBJ_NOTNULL(db, dbp, ROCKS_DB_MAGIC);
	/* Each asks the other for something until its end. */
	rocks_keeper_stop(db->keeper);
	rocks_writer_free(&db->writer);
	rocks_keeper_free(&db->keeper);
	rocks_queue_stop(&db->io);
	for (unsigned i = 0; i < db->nthreads; i++)
		pthread_join(db->threads[i], NULL);
	free(db->threads);
	rocks_queue_fini(&db->io);
	for (f = atomic_load(&db->families); f != NULL; f = atomic_load(&f->next))
		rocksdb_column_family_handle_destroy(f->cf);
	if (db->db != NULL)
		rocksdb_close(db->db);
	for (f = atomic_load(&db->families); f != NULL; f = next) {
		next = atomic_load(&f->next);
		rocks_family_free(f);
	}
	if (db->options != NULL) {
		rocksdb_readoptions_destroy(db->usual);
		rocksdb_readoptions_destroy(db->cached);
		rocksdb_cache_destroy(db->cache);
		rocksdb_options_destroy(db->options);
	}
	free(db->path);
	free(db->name);
	db->magic = 0;
	free(db);
}

static struct rocks_db *
db_new(const struct conf_store *st, const char **why)
{
	struct rocks_db *db = calloc(1, sizeof *db);
	struct stat place;
	char *text = NULL;

	*why = "out of memory";
	if (db == NULL)
		return (NULL);
	db->magic = ROCKS_DB_MAGIC;
	db->refs = 1;
	rocks_queue_init(&db->io);
	db->path = strdup(st->path);
	db->name = strdup(st->name);
	atomic_init(&db->durability, st->durability);
	atomic_init(&db->sync_interval, st->sync_interval);
	if (db->path != NULL && db->name != NULL) {
		db_options(db, st);
		if (db_open(db, &text)) {
			if (stat(db->path, &place) == 0) {
				db->dev = place.st_dev;
				db->ino = place.st_ino;
			}
			if (db_start(db, st->io_threads))
				return (db);
			*why = "cannot start a thread";
		}
	}
	if (text != NULL)
		*why = open_failed(st, text);
	free(text);
	db_free(&db);
	return (NULL);
}

/* A reload has other words for what is open already. */
static void
db_adjust(struct rocks_db *db, const struct conf_store *st)
{
	atomic_store(&db->durability, st->durability);
	atomic_store(&db->sync_interval, st->sync_interval);
	rocksdb_cache_set_capacity(db->cache, st->block_cache);
	if (st->io_threads != db->nthreads)
		log_warn("store \"%s\": io_threads counts at a start only; there are %u", st->name, db->nthreads);
	if (st->open_files != db->open_files)
		log_warn("store \"%s\": open_files counts at a start only; it is %u", st->name, db->open_files);
}

/* The files are locked against other processes only, so that a second name must not open them again. */
static bool
db_is_at(const struct rocks_db *db, const char *path)
{
	struct stat st;

	return (strcmp(db->path, path) == 0 || (stat(path, &st) == 0 && st.st_dev == db->dev && st.st_ino == db->ino));
}

struct rocks_db *
rocks_db_pin(const struct conf_store *st, const char **why)
{
	struct rocks_db *db;

	pthread_mutex_lock(&registry.lock);
	for (db = registry.first; db != NULL && !db_is_at(db, st->path);)
		db = db->next;
	if (db != NULL) {
		db->refs++;
		db_adjust(db, st);
	} else if ((db = db_new(st, why)) != NULL) {
		db->next = registry.first;
		registry.first = db;
	}
	pthread_mutex_unlock(&registry.lock);
	return (db);
}

void
rocks_db_unpin(struct rocks_db **dbp)
{
	struct rocks_db *db, **at;

	TAKE_OBJ_NOTNULL(db, dbp, ROCKS_DB_MAGIC);
	pthread_mutex_lock(&registry.lock);
	if (--db->refs == 0) {
		for (at = &registry.first; *at != db;)
			at = &(*at)->next;
		*at = db->next;
		/* Within the lock: who opens it anew waits until the files are free. */
		db_free(&db);
	}
	pthread_mutex_unlock(&registry.lock);
}

/*
 * store_disk.c - what a store section says of an embedded database: where it is, what memory, threads and files it has,
 * when a write is on disk.
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>

#include "conf/file.h"

#define MB		(1024ull * 1024)
#define BLOCK_CACHE	(64 * MB)
#define IO_THREADS	4
#define OPEN_FILES	900
#define SYNC_INTERVAL	(FILE_SECOND / 10)

/* However they are written; of a directory that is not there yet it shows when it is opened. */
static bool
is_same_place(const char *a, const char *b)
{
	struct stat x, y;

	return (strcmp(a, b) == 0 ||
	    (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino));
}

static bool
read_path(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	const struct conf_value *v = file_value(sec, "path");

	if (v == NULL || v->text[0] == '\0')
		return (conf_fail_at(x, v != NULL ? v->line : s->line, "store \"%s\" has no path; path = \"DIRECTORY\"",
		    s->name));
	if (!file_get_str(x, sec, "path", &s->path) || !conf_keep_path(x, &s->path))
		return (false);
	for (const struct conf_store *o = x->conf->stores; o < s; o++)
		if (o->path != NULL && is_same_place(o->path, s->path))
			return (conf_fail_at(x, v->line, "store \"%s\" has path = \"%.200s\", too; one store for each "
			    "database, which many namespaces may share", o->name, v->text));
	return (true);
}

static bool
read_durability(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	static const char *const words[] = {
		[DURABLE_ALWAYS] = "always", [DURABLE_INTERVAL] = "interval", [DURABLE_NONE] = "none", NULL
	};
	const struct conf_value *interval = file_value(sec, "sync_interval");
	int word = DURABLE_ALWAYS;

	if (!file_get_word(x, sec, "durability", words, &word))
		return (false);
	s->durability = (enum conf_durability)word;
	if (s->durability != DURABLE_INTERVAL)
		return (interval == NULL || conf_fail_at(x, interval->line, "sync_interval without durability = interval; add "
		    "it, or leave this out"));
	s->sync_interval = SYNC_INTERVAL;
	return (file_get_time(x, sec, "sync_interval", FILE_SECOND / 1000, 3600 * FILE_SECOND, &s->sync_interval));
}

bool
file_read_store_disk(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	if (s->kind != STORE_ROCKSDB)
		return (true);
	s->block_cache = BLOCK_CACHE;
	s->io_threads = IO_THREADS;
	s->open_files = OPEN_FILES;
	return (read_path(x, sec, s) && file_get_size(x, sec, "block_cache", MB, 1ull << 44, &s->block_cache) &&
	    file_get_uint(x, sec, "io_threads", 1, 256, &s->io_threads) &&
	    file_get_uint(x, sec, "open_files", 20, 1000000, &s->open_files) && read_durability(x, sec, s));
}

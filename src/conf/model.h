/*
 * model.h - the configuration, as the program uses it.
 *
 * Built by conf_load() from memcached's option letters and the configuration file, or again by conf_reread(), then
 * read-only: any thread.
 * Sizes in bytes, times in microseconds unless a name says otherwise.
 */
#ifndef CONF_MODEL_H
#define CONF_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_listen {
	char		*host;		/* NULL: all addresses */
	uint16_t	 port;		/* 0: any free one */
	char		*path;		/* unix socket, host and port unused */
	unsigned	 mode;		/* of the unix socket */
};

enum conf_dist { DIST_KETAMA, DIST_JUMP, DIST_MODULA, DIST_RANDOM, DIST_TWEMPROXY_KETAMA,
	DIST_TWEMPROXY_MODULA, DIST_LIBMEMCACHED, DIST_LIBMEMCACHED_KETAMA, DIST_LIBMEMCACHED_KETAMA_WEIGHTED };

/* Most replicas of a key. */
#define CONF_REPLICAS_MAX	16u

/* What the weights of a store's servers may come to: its ring has memory for each of them, in every worker. */
#define CONF_WEIGHTS_KETAMA	16384u
#define CONF_WEIGHTS_BUCKETS	(1u << 20)	/* jump, modula, random */

enum conf_type { STORE_MEMCACHED, STORE_REDIS, STORE_REDIS_CLUSTER, STORE_ROCKSDB };

/* rocksdb: when a write is on disk: before it is acknowledged, within a time, when the system likes. */
enum conf_durability { DURABLE_ALWAYS, DURABLE_INTERVAL, DURABLE_NONE };

/* How values of an item namespace are encoded: numbered as enum codec of proto/envelope.h. */
enum conf_codec { CONF_CODEC_NONE, CONF_CODEC_ZSTD };

/* How a namespace's values lie in its store: as any client would put them, or in an envelope (proto/envelope.h). */
enum conf_format { FORMAT_RAW, FORMAT_ITEM };

/* Which of a key's replicas is read: the first healthy one of the ring's order, or each in its turn. */
enum conf_read_from { READ_FIRST, READ_ANY };

/* What becomes of the keys of a server that is down; of a request that has failed. */
enum conf_on_down { ON_DOWN_ERROR, ON_DOWN_MISS, ON_DOWN_FAILOVER };
enum conf_on_error { ON_ERROR_ERROR, ON_ERROR_MISS, ON_ERROR_STALE };

/* When a read is sent a second time: never, at a time after the first, at the 95th percentile of late. */
enum conf_hedge { HEDGE_OFF, HEDGE_AFTER, HEDGE_AUTO };

/* Microseconds; 0: none. */
struct conf_slo {
	uint64_t	 target;	/* where hedging begins */
	uint64_t	 max;		/* where the request ends */
};

struct conf_server {
	char		*name;		/* "host:port", "[v6]:port" or "/path" */
	char		*host;
	uint16_t	 port;
	char		*path;		/* unix socket */
	unsigned	 weight;	/* >= 1 */
	char		*alias;		/* NULL: none; twemproxy's distributions hash it instead of the name */
	char		*zone;		/* NULL: none; replicas of a key go to different ones where they can */
	const char	*file;		/* where it was written */
	int		 line;
};

struct conf_store {
	char		*name;
	char		*type;		/* "memcached", "redis" ... */
	enum conf_type	 kind;		/* the same */
	struct conf_server *servers;
	unsigned	 nservers;
	enum conf_dist	 dist;
	char		*hash;		/* name, see route/hash.h; NULL: the distribution's usual one */
	char		 hash_tag[2];	/* opening and closing byte; 0: none */
	unsigned	 connections;	/* per worker and server */
	uint64_t	 connect_timeout;
	uint64_t	 timeout;	/* of one response */
	uint64_t	 retry_min, retry_max;	/* back-off between connection attempts, jittered */
	unsigned	 max_inflight;	/* per connection */
	int		 protocol;	/* memcached: 0 ask the server, 1 classic, 2 meta */
	char		*user;		/* redis: AUTH; NULL: the default user */
	char		*password;	/* NULL: no AUTH */
	unsigned	 database;	/* redis: SELECT */
	uint64_t	 map_refresh;	/* redis-cluster: the slot map is asked for this often, beside when told */
	unsigned	 replicas;	/* servers that have each key; >= 1 */
	unsigned	 write_quorum;	/* of them have a write when it is acknowledged; 1..replicas */
	enum conf_read_from read_from;
	unsigned	 failures;	/* requests that fail in a row until a server is down; >= 1 */
	enum conf_on_down on_down;
	uint64_t	 failover_ttl;	/* most that a key written to a stand-in lives; 0: as long as it says */
	const struct conf_store *failover_store;	/* the stand-ins; NULL: the next servers of the ring */
	bool		 flush_on_return;	/* memcached: flush_all before a server that was down is used again */
	char		*path;		/* rocksdb: its directory */
	size_t		 block_cache;	/* rocksdb */
	unsigned	 io_threads;	/* rocksdb: threads that read what is not in memory */
	unsigned	 open_files;	/* rocksdb: files that are open at one time, at most */
	enum conf_durability durability;
	uint64_t	 sync_interval;	/* DURABLE_INTERVAL */
	const char	*file;
	int		 line;
};

struct conf_ns {
	char		*name;
	char		*prefix;
	size_t		 prefix_len;
	const struct conf_store *primary;	/* NULL: the local cache is all there is */
	uint64_t	 local_ttl;	/* microseconds a local copy may live; 0: no local copies, or no primary */
	bool		 local;		/* false: local { ttl = 0 }; without primary true: the cache is the store */
	bool		 flush;		/* flush_all reaches it; the default namespace always */
	enum conf_format format;
	struct conf_slo	 slo_read, slo_write;
	enum conf_hedge	 hedge;
	uint64_t	 hedge_after;	/* HEDGE_AFTER; microseconds */
	unsigned	 hedge_budget;	/* extra reads per 1000 */
	enum conf_on_error on_error;	/* of reads; writes that fail always say so */
	uint64_t	 stale_for;	/* ON_ERROR_STALE: how long after its end a local copy may still answer */
	bool		 coalesce;	/* misses on one key at one time are one read of the store */
	uint64_t	 refresh_ahead;	/* copies asked for in this time before their end are read again; 0: none */
	uint64_t	 negative_ttl;	/* how long it is remembered that a key is not there; 0: not */
	unsigned	 ttl_jitter;	/* percent by which a copy's life is cut at random, at most */
	uint64_t	 delete_ttl, delete_jitter;	/* FORMAT_ITEM: how long the mark of a delete stays, +- */
	/* FORMAT_ITEM, all of these. */
	char		*separator;	/* between id and item key; NULL: flat, all of a key is its id */
	size_t		 separator_len;
	const struct conf_store *cache;	/* the tier before the primary; NULL: none */
	uint64_t	 cache_ttl;	/* most that an item stays there */
	enum conf_codec	 codec;
	size_t		 codec_min;	/* smaller values are not encoded */
	int		 codec_level;
	char		*dictionary;	/* file; NULL: none */
	int		 dictionary_line;
	size_t		 chunk_size;	/* larger values are stored in pieces of this size */
	size_t		 item_size_max;
	size_t		 page_bytes, page_bytes_max;	/* of one answer to kg, ks: usual, most */
	uint64_t	 drift_ahead, drift_behind;	/* how far a token may be from our clock */
	const char	*file;
	int		 line;
};

struct conf {
	/* memcached's letters */
	struct conf_listen *listens;
	unsigned	 nlistens;
	char		*sock_path;	/* -s, for `stats settings`; it is in listens too */
	unsigned	 sock_mode;	/* -a */
	char		*inter;		/* -l as given, NULL: none; for `stats settings` */
	bool		 core_dumps;	/* -r */
	char		*user;		/* -u */
	char		*pidfile;	/* -P */
	bool		 daemonize;	/* -d */
	bool		 lock_memory;	/* -k */
	bool		 no_evict;	/* -M */
	bool		 no_cas;	/* -C */
	bool		 large_pages;	/* -L */
	bool		 shutdown_command;	/* -A */
	bool		 no_flush;	/* -F */
	bool		 no_dump;	/* -X */
	bool		 no_watch;	/* -W */
	unsigned	 verbose;
	unsigned	 threads;	/* -t */
	unsigned	 maxconns;	/* -c */
	unsigned	 backlog;	/* -b */
	unsigned	 reqs_per_event;	/* -R */
	char		 stat_prefix;	/* -D, ':' */
	bool		 stat_detail;
	uint64_t	 idle_timeout;	/* -o idle_timeout, 0 none */
	size_t		 memory;	/* -m */
	size_t		 item_max;	/* -I */

	/* the file */
	char		*file;		/* NULL: none */
	struct conf_store *stores;
	unsigned	 nstores;
	struct conf_ns	*spaces;	/* at least one: the default, prefix "" */
	unsigned	 nspaces;
	size_t		 client_buffer_max;	/* unsent bytes per client before it is no longer read */
	size_t		 buffer_max;	/* of all clients together */

	/* for conf_reread() and what came out of it */
	int		 argc;
	char		**argv;		/* main()'s own */
	char		*cwd;		/* at the start; NULL: still the same */
	char		*notes;		/* lines; NULL: none */
};

/* Looks at files that a configuration names. False: why says what is wrong, in a line. */
typedef bool	 conf_look_f(const struct conf *, char *why, size_t size);
/*
 * Parses argv and the file it names; main thread only (libconfuse is not re-entrant). NULL: one line has gone to
 * stderr, exit with *exit_code (0 after -h, -V, --check of a good file; else 2). Warnings go to stderr too,
 * one line each, but only when there is no error. --check asks look (NULL: nobody) about what is good so far.
 */
struct conf	*conf_load(int argc, char **argv, conf_look_f *look, int *exit_code);
/*
 * The same command line and the file as it is now; main thread only. NULL: it is no good, err holds one line without
 * its end. What cannot change while running has the values of `old`, which is in effect, and is told as a note.
 */
struct conf	*conf_reread(const struct conf *old, char *err, size_t size);
/* Calls say() for each line that came out of conf_reread(): what counts at a start only, what looks wrong. */
typedef void	 conf_say_f(void *arg, const char *line);
void		 conf_each_note(const struct conf *, conf_say_f *say, void *arg);
/*
 * Whether nothing is different but the place in the file: then a pool goes on after a reload, with its connections and
 * all it knows of its servers. A store whose stand-ins have changed has changed, too.
 */
bool		 conf_store_same(const struct conf_store *, const struct conf_store *);
/* Frees and sets to NULL; NULL is fine. */
void		 conf_free(struct conf **);

/* The word for it in the configuration file. */
const char	*conf_dist_name(enum conf_dist);

/*
 * Calls emit() for every line of `stats settings`, in memcached's spelling. What changes while running (maxbytes after
 * cache_memlimit, verbosity, detail_enabled) comes with its value at the start: the caller knows better. Any thread.
 */
typedef void	 conf_setting_f(void *arg, const char *name, const char *value);
void		 conf_each_setting(const struct conf *, conf_setting_f *emit, void *arg);

#endif

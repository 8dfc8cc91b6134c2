/*
 * ctx.h - what a worker's requests need: configuration, cache, routes, counters, memory.
 *
 * One per worker, that worker's thread only, but for the counters (metric.h's rule) and for `shared`, which
 * is common to all workers.
 */
#ifndef REQ_CTX_H
#define REQ_CTX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "base/outq.h"
#include "base/slice.h"
#include "cache/cache.h"
#include "conf/model.h"
#include "ev/loop.h"
#include "obs/metric.h"
#include "req/view.h"

struct client;
struct codec_ctx;
struct flight;
struct hold;
struct command;
struct ctx;
struct listeners;
struct req;
struct prefixes;
struct token_top;
struct tier_ask;
struct totals_base;
struct watch;
struct worker;

/* A connection, or a socket that listens, as `stats conns` shows it. */
struct conn_info {
	int		 fd;
	const struct client *cl;	/* NULL: it listens */
	const char	*addr;
	const char	*listen_addr;	/* NULL: it listens itself */
	const char	*state;
	unsigned	 waiting;	/* requests under way */
	uint32_t	 idle;		/* seconds since it sent something */
};
typedef void	 conn_f(void *arg, const struct conn_info *);

/* What upper layers install: calls that go up. */
struct shared;

struct ctx_ops {
	/*
	 * The whole answer to `stats <word>...` into the client's queue, at once or later. False: no such word,
	 * the caller answers ERROR.
	 */
	bool	(*stats)(struct client *, unsigned nwords, const struct slice *words);
	/* Every connection of a worker, on its thread; ctx NULL: the sockets that listen, on the main thread. */
	void	(*conns)(struct shared *, struct ctx *, conn_f *emit, void *arg);
	/* Ends the process as SIGINT would (graceful: as SIGUSR1). */
	void	(*shutdown)(struct ctx *, bool graceful);
	/* Makes a connection a watcher; the error text, or NULL when it worked. */
	const char *(*watch)(struct ctx *, struct client *, unsigned nwords, const struct slice *words);
};

#define NFENCES		4096	/* keys share them by hash; a power of two */
#define NCUTS	4096	/* records share them by the hash of their ids; a power of two */
#define NUNSETTLED	1024	/* a power of two */
#define NLEADS		1024	/* a power of two */

LIST_HEAD(lead_list, req);

/* Common to all workers. */
struct shared {
	struct cache		*cache;
	/* Of all workers' ctx.view, which change under it: whoever reads another worker's holds it. */
	pthread_mutex_t		 catalog;
	struct ctx_ops		 ops;
	struct loop		*main_loop;
	struct listeners	*listeners;	/* main thread only; net's */
	struct totals_base	*base;		/* what counters were at the last `stats reset`; admin's */
	struct ctx		**workers;	/* nworkers; their counters are summed for statistics */
	unsigned		 nworkers;
	_Atomic unsigned	 observe;	/* OBSERVE_*: what somebody wants to see of single commands */
	struct prefixes		*prefixes;	/* `stats detail` */
	struct watch		*watch;		/* `watch` */
	/* route.c's: fences between writes, reads and flushes. */
	_Atomic uint32_t	 flushes;	/* moves every fence */
	_Atomic unsigned	 flushing;	/* requests of flush_all under way; parts.c's */
	_Atomic uint32_t	 flush_from, flush_to;	/* when servers carry out a delayed flush; the cache's clock */
	_Atomic uint64_t	 fences[NFENCES];
	_Atomic bool		 cut;	/* cut.c's: there was one */
	_Atomic uint64_t	 cuts[NCUTS];
	_Atomic uint32_t	 doubts[NCUTS];	/* tier.c's: until when the cache store may have what is old */
	_Atomic uint64_t	 version;	/* the last one given out; see shared_version() */
	struct token_top	*tops;		/* version.c's; lock: catalog */
	time_t			 started;	/* unix time at which the cache's clock was 0 */
	/* Connections: main thread writes, all read. */
	_Atomic uint64_t	 curr_conns, total_conns, rejected_conns, listen_disabled;
	_Atomic bool		 accepting;
	_Atomic uint64_t	 conn_structs;
};

struct ctx {
	unsigned	 magic;
#define CTX_MAGIC	0x63747821u
	unsigned	 id;
	struct shared	*shared;
	struct view	*view;		/* lock: shared.catalog for changing it, and for other threads */
	SLIST_HEAD(, view) old_views;	/* with requests under way, or none any more */
	const struct conf *conf;	/* the view's */
	struct cache	*cache;
	struct loop	*loop;
	struct worker	*worker;	/* what the loop belongs to; net's */
	struct outpool	*outpool;
	struct metrics	 metrics;
	SLIST_HEAD(, req) free_reqs;
	unsigned	 nfree_reqs;
	TAILQ_HEAD(, flight) free_flights;	/* flight.c's */
	unsigned	 nfree_flights;
	uint32_t	 unsettled[NUNSETTLED];	/* flight.c's: writes that a read could overtake, by hash */
	unsigned	 rotate;	/* whose turn it is among replicas */
	bool		 closing;	/* servers are being closed: nothing is tried again */
	uint32_t	 random;	/* of ctx_random() */
	struct lead_list leads[NLEADS];	/* coalesce.c's, by hash: reads under way that others may follow */
	LIST_HEAD(, tier_ask) tier_asks[NLEADS];	/* tier.c's, by hash of the id: reads that wait there */
	int		 cfd;		/* descriptor of the client whose input is being carried out, for watchers */
	LIST_HEAD(, hold) holds;	/* hold.c's */
	struct leavings	*leavings;	/* leavings.c's; NULL: none yet */
	struct codec_ctx *codec;	/* encode.c's; NULL: not needed yet */
	char		*scratch;	/* the same */
	size_t		 held;		/* bytes of bodies and large values that requests hold outside the cache */
};

/* Opens the pools. NULL with *why set: a server or ring cannot be set up. */
struct ctx	*ctx_new(struct shared *, struct snapshot *, unsigned id, struct loop *, const char **why);
/*
 * Goes on with another snapshot: what did not change keeps its connections, what is gone ends with its last request.
 * False with *why set: everything stays as it was.
 */
bool		 ctx_adopt(struct ctx *, struct snapshot *, const char **why);
/* Frees views that no request uses any more; now and then, never within be_op.done(). */
void		 ctx_reap(struct ctx *);
/* Whether n more bytes of bodies and values may be held outside the cache. */
bool		 ctx_may_hold(const struct ctx *, size_t n);
/* All requests must have ended. */
void		 ctx_free(struct ctx **);
/* A version: microseconds since the epoch, above all that this process has given out. Any thread. See version.h. */
uint64_t	 shared_version(struct shared *);
/* Uniform enough, 0..n-1; n > 0. */
uint32_t	 ctx_random(struct ctx *, uint32_t n);
/* Sum of one counter over all workers; any thread. */
uint64_t	 shared_metric(const struct shared *, enum metric_id);

#endif

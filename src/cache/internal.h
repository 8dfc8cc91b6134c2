/*
 * internal.h - what the files of the cache share: cache, shard, slab, bucket. Nobody else includes it.
 *
 * Memory: one arena of equal slabs, reserved as address space and touched as used, and per shard an index that
 * grows in place. The pool (leaf lock) hands out slabs and keeps slabs + index within -m. An address is a byte's
 * offset into the arena.
 *
 * A slab's life: pool -> spare of a shard -> open (being filled) -> in a queue (small or main) -> victim (being
 * emptied) -> spare or pool. `big` slabs are filled by one value alone. When nothing in a slab can be found
 * any more but somebody still pins it, it is retired: the last unpin gives it to the pool.
 * An item is alive if, and only if, a slot of the index holds its address.
 */
#ifndef CACHE_INTERNAL_H
#define CACHE_INTERNAL_H

#include <stdatomic.h>

#include "base/check.h"
#include "cache/cache.h"
#include "cache/lock.h"

#define CACHE_MAGIC	0x6b766361u
#define SHARD_MAGIC	0x6b767368u
#define SLAB_NONE	UINT32_MAX
#define CACHE_LINE	64
#define DUELLISTS	3u

/* Internal state that is not as it must be: stop when debugging, else count it and lose one item. */
#ifdef KVGATE_DEBUG
#define CACHE_SANE(s, e)	({ MUST(e); true; })
#else
#define CACHE_SANE(s, e)	(LIKELY(e) ? true : cache_insane((s), #e))
#endif

#define BUCKET_SLOTS	8
struct bucket {			/* refs: address << 4 | credit; see index.c. tag 0: free slot */
	uint8_t		 ref[BUCKET_SLOTS][6];
	uint16_t	 tag[BUCKET_SLOTS];
} __attribute__((aligned(CACHE_LINE)));

struct slot {
	struct bucket	*b;		/* NULL: none */
	unsigned	 lane;
};
#define CREDIT_MAX	7u

enum slab_state { SLAB_POOL, SLAB_SPARE, SLAB_OPEN, SLAB_QUEUED, SLAB_VICTIM, SLAB_BIG, SLAB_RETIRED };
enum queue { Q_SMALL, Q_MAIN, NQUEUES };
/*
 * Where records are appended: one open slab for the main queue, and for the small one four by the magnitude of the
 * TTL, so that what is written together expires together and whole slabs fall free.
 */
enum stream { ST_SMALL, ST_DAY, ST_QUARTER, ST_MINUTE, ST_MAIN, NSTREAMS };

#define PIN_RETIRED	(1u << 31)
#define SLAB_DUES	13
struct slab {			/* lock: the shard's, but pins */
	_Atomic uint32_t pins;		/* readers and reservations, and PIN_RETIRED */
	uint32_t	 used;		/* bytes filled */
	uint32_t	 live;		/* bytes of linked records */
	uint32_t	 nlive;		/* linked records */
	uint32_t	 next, prev;
	uint32_t	 born;		/* when it was opened */
	uint32_t	 max_exp;	/* latest expiry in it; UINT32_MAX: something never expires */
	uint16_t	 shard;
	uint8_t		 state;		/* enum slab_state */
	uint8_t		 queue;		/* enum queue */
	uint8_t		 stream;	/* enum stream that it was filled from */
	uint16_t	 due[SLAB_DUES];	/* how much of `live` expires within each step of its time; see due.c */
} __attribute__((aligned(CACHE_LINE)));

struct slab_list {
	uint32_t	 head, tail, n;
};

struct shard_stats {
	uint64_t	 items, total_items, bytes, value_bytes, evictions, expired_unfetched, evicted_unfetched,
			 reclaimed, reserved_failed, moved, displaced, corrupt,
			 fresh,	/* linked under a key that had nothing */
			 evicted_small, ghost_hits;
};

struct cache_shard {		/* lock: lock */
	_Atomic uint32_t lock;
	_Atomic uint32_t nbuckets;	/* read without the lock by prefetches */
	struct bucket	*index;		/* never moves */
	char		*arena;		/* the cache's */
	struct cache	*c;
	uint32_t	 now;		/* as of the last cache_lock() */
	uint32_t	 gen;		/* flushes seen */
	struct item	*found;		/* what cache_find() found last, and where */
	struct slot	 found_at;
	uint64_t	 missed;	/* the hash that cache_find() found nothing for, until something is linked */
	bool		 was_expired;	/* what cache_find() last did not find was there, but expired */
	uint64_t	*ghosts;	/* one word of 4 tags per bucket, newest lowest; never moves */
	uint32_t	 nitems;
	uint32_t	 index_cap;	/* buckets paid for */
	uint32_t	 index_max;	/* buckets of address space */
	uint32_t	 open[NSTREAMS];	/* slabs or SLAB_NONE */
	struct slab_list queue[NQUEUES], big, spare;
	uint32_t	 victim;	/* or SLAB_NONE */
	uint32_t	 cursor;	/* in it: next record */
	bool		 compacting;	/* the victim's items are kept */
	bool		 merciless;	/* the victim's items are not */
	bool		 has_reserve;	/* took its slab of the pool's reserve */
	bool		 index_hungry;	/* it could not grow: the next slab gained is for it */
	_Atomic uint32_t nslabs;	/* held, retired ones included */
	_Atomic uint32_t nretired;
	unsigned	 magic;
	struct shard_stats st;
} __attribute__((aligned(CACHE_LINE)));

struct pool {			/* lock: lock; taken last */
	_Atomic uint32_t lock;
	uint32_t	 warm, cold;	/* stacks of slabs: with memory, without */
	uint32_t	 fresh;		/* slabs from here on were never used */
	uint32_t	 nslabs;	/* of address space */
	_Atomic uint32_t nwarm;
	_Atomic uint32_t nout;		/* slabs that shards hold */
	_Atomic uint32_t reserve;	/* slabs kept for shards that never had a spare one for moving items */
	_Atomic uint64_t used;		/* bytes: slabs with memory, index, tables */
	_Atomic uint64_t limit;
};

struct cache {
	unsigned	 magic;
	unsigned	 nshards;	/* a power of two */
	struct cache_shard *shards;
	char		*arena;
	struct slab	*slabs;
	_Atomic uint32_t now;
	_Atomic uint32_t gen;		/* bumped by an immediate flush */
	unsigned	 slab_shift;
	uint32_t	 slab_size;
	uint32_t	 split_min;	/* records above it may be split over two slabs */
	struct cache_conf conf;
	int64_t		 start;		/* unix time at clock 0 */
	_Atomic uint32_t flush_at;	/* pending flush, 0: none */
	_Atomic uint32_t small_percent;	/* what shards that follow do; duel.c */
	uint64_t	 duel_from[DUELLISTS];	/* clock thread only */
	struct bucket	*index_base;
	uint64_t	*ghost_base;
	size_t		 arena_len, slabs_len, index_len, ghost_len;
	struct pool	 pool __attribute__((aligned(CACHE_LINE)));
	_Atomic uint64_t next_cas __attribute__((aligned(CACHE_LINE)));
};

static inline struct cache_shard *
shard_of(const struct cache *c, uint64_t hash)
{
	return (&c->shards[hash >> 48 & (c->nshards - 1)]);
}

static inline uint64_t
addr_of(const struct cache *c, const void *p)
{
	return ((uint64_t)((const char *)p - c->arena));
}

static inline struct item *
item_at(const struct cache_shard *s, uint64_t addr)
{
	return ((struct item *)(void *)(s->arena + addr));
}

static inline struct slab *
slab_of(const struct cache *c, const void *p)
{
	return (&c->slabs[addr_of(c, p) >> c->slab_shift]);
}

static inline void
slab_pin(struct slab *sl)
{
	atomic_fetch_add_explicit(&sl->pins, 1, memory_order_relaxed);
}

static inline char *
slab_mem(const struct cache *c, uint32_t no)
{
	return (c->arena + ((uint64_t)no << c->slab_shift));
}

static inline uint32_t
slab_no(const struct cache *c, const struct slab *sl)
{
	return ((uint32_t)(sl - c->slabs));
}

static inline struct item *
item_piece(const struct cache *c, const struct item_chain *ch)
{
	return ((struct item *)(void *)(c->arena + ch->piece));
}

/* Calls fn for each slab that the item has bytes in. */
static inline __attribute__((always_inline)) void
each_slab(struct cache *c, const struct item *it, void (*fn)(struct cache *, struct slab *))
{
	const struct item_chain *ch;

	if (LIKELY(!(it->shape & ITEM_L_CHAIN))) {
		fn(c, slab_of(c, it));
		return;
	}
	/* The head last: its slab is what keeps the chain readable. */
	ch = item_chain(it);
	for (uint32_t i = 0; i < ch->nslabs; i++)
		fn(c, &c->slabs[ch->slab[i]]);
	if (ch->tail != 0)
		fn(c, slab_of(c, item_piece(c, ch)));
	fn(c, slab_of(c, it));
}

static inline void
pin_one(struct cache *c, struct slab *sl)
{
	(void)c;
	slab_pin(sl);
}

/* index.c. All under the shard's lock. */
struct slot	 index_find_addr(struct cache_shard *, uint64_t hash, uint64_t addr);
/* Never fails: may push out (drop) another item. */
void		 index_insert(struct cache_shard *, uint64_t hash, uint64_t addr, unsigned credit);
void		 index_remove(struct cache_shard *, struct slot);
void		 index_clear(struct cache_shard *);
/* Memory for more buckets, of the pool; false: there is none (index_hungry), or enough. */
bool		 index_feed(struct cache_shard *);
bool		 ghost_has(const struct cache_shard *, uint64_t hash);
void		 ghost_add(struct cache_shard *, uint64_t hash);

/* cache.c: lock held. */
uint64_t	 cache_link_hash(struct cache_shard *, struct item *, uint64_t cas, uint64_t hash);
/* An access that is not a fetch. */
void		 cache_bump(struct cache_shard *, struct item *);
/* Whether its value may be changed in place: nobody may be reading it. */
bool		 cache_writable(const struct cache_shard *, const struct item *);
void		 cache_abandon_locked(struct cache_shard *, struct item *);

/* duel.c */
/* How much of the shard's slabs the small queue may have. Lock held. */
unsigned	 duel_percent(const struct cache_shard *);
/* What the shards that follow do; false: there are too few for a duel. */
bool		 duel_winner(const struct cache *, unsigned *percent);
/* Now and then, by the thread that has the clock. */
void		 duel_judge(struct cache *);

/* walk.c: counts and logs; false. */
bool		 cache_insane(struct cache_shard *, const char *what);

/* slab.c */
void		 list_push(struct cache *, struct slab_list *, uint32_t no);
void		 list_remove(struct cache *, struct slab_list *, uint32_t no);
/* SLAB_NONE: -m is used up. for_moves: the shard may have its part of the reserve. */
uint32_t	 pool_take(struct cache *, struct cache_shard *, bool for_moves);
/* Whether there is more in it than the reserve and so many. No lock needed. */
bool		 pool_has(const struct cache *, uint32_t more);
/* No lock needed. */
void		 pool_give(struct cache *, uint32_t no);
/* Memory for the index, by the byte; false: -m is used up. */
bool		 pool_charge(struct cache *, size_t bytes);
bool		 pool_over(const struct cache *);
/* Lock held, slab on no list: nothing in it can be found any more. True: it is in the pool; false: once unpinned. */
bool		 slab_retire(struct cache_shard *, uint32_t no);
/* The last pin of a retired slab went, or one that was never taken. */
void		 slab_unpinned(struct cache *, struct slab *, uint32_t was);
/* Lock held: a reservation in a retired slab is linked after all. */
void		 slab_revive(struct cache_shard *, struct slab *);

/*
 * log.c: room for a record at the end of a stream. Uses spare slabs only, evicts nothing; NULL: there are not
 * enough. shape says layout and key length; the chain is filled in, key and value are not.
 */
struct item	*log_alloc(struct cache_shard *, enum stream, uint32_t shape, uint32_t vlen, uint32_t nbig);
/* The same where it fits into the open slab as it is; NULL: it does not. */
struct item	*log_alloc_here(struct cache_shard *, enum stream, uint32_t shape, uint32_t vlen);
/* Spare slabs that log_alloc() might need. */
unsigned	 log_wants(const struct cache_shard *, enum stream, uint32_t shape, uint32_t vlen, uint32_t nbig);
/* Of an item for that queue that expires then. */
enum stream	 log_stream(const struct cache_shard *, enum queue, uint32_t exptime);
void		 log_copy_value(const struct cache *, struct item *to, const struct item *from);
/* The expiry of an item that is findable is changed in place. */
void		 log_set_exptime(struct cache_shard *, struct item *, uint32_t exptime);
/* Accounting of a record that became findable, or no longer is. */
void		 log_account(struct cache_shard *, const struct item *, bool alive);

/* due.c: how much of a slab has expired without anybody having noticed. Lock held. */
void		 due_add(const struct cache *, struct slab *, uint32_t exptime, uint32_t bytes);
void		 due_remove(const struct cache *, struct slab *, uint32_t exptime, uint32_t bytes);
/* Bytes of `live` that are not, at least. */
uint32_t	 due_by(const struct cache *, const struct slab *, uint32_t now);

/* evict.c. Lock held. */
/* Some work on the victim; GAINED: a slab, for spare or pool. NOTHING: there is no victim to be had. */
enum step { STEP_NOTHING, STEP_ON, STEP_GAINED };
enum step	 evict_step(struct cache_shard *, uint32_t bytes);
/* Whether a store should do part of the work for the next slab: memory is full, half of the open one too. */
bool		 evict_due(const struct cache_shard *, enum stream);
/* Gains one slab; false: there is nothing to evict, or all is pinned. */
bool		 evict_slab(struct cache_shard *);
/* share.c. Lock held. */
/* Whether it holds more slabs than it would if all held the same. */
bool		 share_exceeded(const struct cache_shard *);
/* Whether it holds clearly fewer. */
bool		 share_missed(const struct cache_shard *);
/* A slab for s: of the pool, its own or another shard's. reserved: how many it holds that it cannot give. */
uint32_t	 slab_gain(struct cache_shard *, uint32_t reserved);
bool		 spare_ensure(struct cache_shard *, unsigned n);
/* The item's bytes are dead; its slot is the caller's to empty or to use again. */
void		 item_forget(struct cache_shard *, struct item *);
/* Unlinks and forgets the item; evicted says why, for the counters. */
enum drop { DROP_UNLINKED, DROP_EVICTED, DROP_EXPIRED };
void		 item_drop(struct cache_shard *, struct slot, struct item *, enum drop);

/* flush.c: everything that was linked is gone. Lock held. */
void		 shard_flush(struct cache_shard *);

static inline void
slab_unpin(struct cache *c, struct slab *sl)
{
	uint32_t was = atomic_fetch_sub_explicit(&sl->pins, 1, memory_order_acq_rel);

	if (UNLIKELY(was == (PIN_RETIRED | 1) || (was & ~PIN_RETIRED) == 0))
		slab_unpinned(c, sl, was);
}

#endif

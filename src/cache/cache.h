/*
 * cache.h - the local slab cache: a bounded, shared map from key to item.
 *
 * Packed items are appended to slabs of one size; cache-line buckets index them; shards each have a short
 * lock. It knows nothing of sockets, commands or stores. Sizes are bytes, times are seconds of the clock that
 * cache_tick() sets (never 0 after that).
 *
 * Use, under a shard's lock:
 *	struct cache_shard *s = cache_lock(c, hash);
 *	struct item *it = cache_find(s, hash, key);	live items only: expired and flushed ones are not found
 *	... item_*() accessors; cache_hit(s, it) for a counted access ...
 *	cache_unlock(s);
 * New values are written in place, without the lock, then linked:
 *	struct item *it = cache_reserve(c, hash, key, vlen, exptime, flags, &why);
 *	cache_value_iov() ... fill ...
 *	s = cache_lock(c, hash); cache_link(s, it, cas); cache_unlock(s);	or cache_abandon(c, it)
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/slice.h"
#include "cache/item.h"

struct cache;
struct cache_shard;
struct item;

struct cache_conf {
	size_t		 mem;		/* -m: items, index and all */
	size_t		 item_max;	/* -I: key + value + header */
	unsigned	 threads;	/* for the number of shards */
	bool		 evict;		/* false: -M, stores fail instead */
	bool		 large_pages;	/* -L */
	bool		 use_cas;	/* false: -C, CAS is 0 */
	/* Called for each item that is evicted, with its lock held; NULL: nobody wants to know. */
	void		(*evicted)(void *arg, const struct cache_shard *, const struct item *);
	void		*arg;
};

enum cache_err { CACHE_OK, CACHE_TOO_LARGE, CACHE_NO_MEMORY };

/* NULL with *why set: does not fit (-m too small for -I ...), or no memory. Any thread. */
struct cache	*cache_new(const struct cache_conf *, const char **why);
void		 cache_free(struct cache **);

/* The clock, seconds, monotonic; starts at 2 so that now - 1 is not 0. Called about once a second by one thread. */
void		 cache_tick(struct cache *, uint32_t now);
uint32_t	 cache_now(const struct cache *);

/* The hash that all of kvgate uses for a key (XXH3-64). */
uint64_t	 cache_hash(struct slice key);

/* Where a lookup will most likely find its item. Good at any time, wrong at worst; 0: no idea. */
typedef uintptr_t cache_hint;

/* Brings what the lookups of these keys will touch into the CPU's cache: all buckets, then the items that they name. */
void		 cache_prefetch(const struct cache *, const uint64_t *hash, cache_hint *, unsigned n);

struct cache_shard *cache_lock(struct cache *, uint64_t hash);
void		 cache_unlock(struct cache_shard *);

/* Lock held. NULL: not there, expired or flushed. Valid until unlock, unless pinned. */
struct item	*cache_find(struct cache_shard *, uint64_t hash, struct slice key);
/*
 * The same and cache_hit() at once, for readers who want a whole value of at most vlen_max bytes without marks (stale,
 * won) that is not due by its note: with the lock held in *s. NULL: it is not so, nothing has changed or is held.
 */
struct item	*cache_hit_plain(struct cache *, uint64_t hash, cache_hint, struct slice key, uint32_t vlen_max,
		    struct cache_shard **s);
/* Lock held, and cache_find() has just found nothing: whether that was an item that had expired. */
bool		 cache_was_expired(const struct cache_shard *);
/* Lock held. Counts an access for eviction, sets last access and fetched. */
void		 cache_hit(struct cache_shard *, struct item *);
/* Lock held. Removes; the bytes stay valid while pinned. */
void		 cache_unlink(struct cache_shard *, struct item *);
/*
 * Lock held; takes ownership of a reserved item. Replaces what the key had. cas 0: a new unique one. The
 * item is findable from here on. Returns the CAS.
 */
uint64_t	 cache_link(struct cache_shard *, struct item *, uint64_t cas);

/*
 * Memory for a value of vlen bytes, not findable yet, to be filled by this caller alone; NULL with *why.
 * exptime is absolute in the cache's clock, 0 never. Takes and drops the shard's lock itself, so it must not
 * be held; evicts to make room.
 */
struct item	*cache_reserve(struct cache *, uint64_t hash, struct slice key, uint32_t vlen,
		    uint32_t exptime, uint32_t client_flags, enum cache_err *why);
/*
 * The same with the lock held (append, incr that grows, vivify). Items found before may have
 * been evicted or moved: pin what is still needed (its bytes stay), or find again. */
struct item	*cache_reserve_locked(struct cache_shard *, uint64_t hash, struct slice key, uint32_t vlen,
		    uint32_t exptime, uint32_t client_flags, enum cache_err *why);
void		 cache_abandon(struct cache *, struct item *);
/* Longest value under a key of this length; longer ones are CACHE_TOO_LARGE. Any thread. */
uint32_t	 cache_value_max(const struct cache *, size_t klen, uint32_t client_flags);

/* Lock held: keeps the item's bytes in place and unchanged after unlock, until cache_unpin() (any thread, no lock). */
void		 cache_pin(struct cache_shard *, struct item *);
void		 cache_unpin(struct cache *, struct item *);

/*
 * The value from offset off on as at most max pieces (most items are one); returns how many. For reading:
 * lock held or pinned. For writing: reserved.
 */
int		 cache_value_iov(const struct cache *, const struct item *, uint32_t off, struct iovec *, int max);

/*
 * Reading fields: item_key, _vlen, _value, _cas, _exptime, _client_flags, _size, _fetched, _stale, _won, _binkey,
 * _noted, _due, _note in cache/item.h. Lock held; key, value and length also when pinned.
 */
/* Lock held: seconds since the last access (modulo 194 days). */
uint32_t	 item_idle(const struct cache_shard *, const struct item *);
/* 1..63, four to each doubling from 64 bytes on: what stands for memcached's slab classes in output. */
unsigned	 cache_size_class(size_t size);

void		 item_set_cas(struct cache_shard *, struct item *, uint64_t cas);	/* 0: a new unique one */
/* False: the item has no room for an expiry and there is no memory to move it; nothing changed. *itp may move. */
bool		 item_set_exptime(struct cache_shard *, struct item **itp, uint32_t exptime);

/* A fresh CAS unique; any thread. */
uint64_t	 cache_next_cas(struct cache *);

/* All items linked before `when` (clock of the cache; now or later) are dead from then on. Constant time. */
void		 cache_flush(struct cache *, uint32_t when);

/* cache_memlimit; false: out of bounds. May take effect bit by bit. */
bool		 cache_set_mem(struct cache *, size_t mem);

/* Sums over the shards, each under its lock in turn. Rows for `stats`, `stats items|slabs|sizes|cache`. */
struct cache_stats {
	uint64_t	 items, total_items, bytes, value_bytes, dead_bytes, evictions, expired_unfetched,
			 evicted_unfetched, reclaimed, reserved_failed, slabs, slabs_free, slab_size, index_bytes,
			 index_slots, mem_limit, mem_used, oldest_age;
	uint64_t	 evicted_small;	/* of evictions: by the queue of new items */
	uint64_t	 moved;		/* items copied: for a credit, or to gather what lives */
	uint64_t	 ghost_hits;	/* stored again soon after they were evicted */
	uint64_t	 corrupt;	/* internal state that was not as it must be; items were lost */
	unsigned	 small_percent;	/* of the slabs, that the small queue may have now */
	bool		 alone;		/* too few shards to try what it should be */
};
void		 cache_stats(struct cache *, struct cache_stats *);

/*
 * Walks all live items, a bounded number of them per call, taking one lock at a time. visit() sees each with its
 * lock held and returns false when it has no room for more (that item comes again). *cursor starts at 0; returns
 * false at the end.
 * Items that move or change during a walk may be seen twice or, if linked after its start, not at all.
 */
bool		 cache_walk(struct cache *, uint64_t *cursor, unsigned max_items,
		    bool (*visit)(void *arg, const struct item *), void *arg);

#endif

/* walk.c - all items in turn, by bucket, and the shards' counters summed. */
#include "config.h"

#include <inttypes.h>

#include "cache/bucket.h"
#include "obs/log.h"

#define LANE_BITS	3
#define BUCKET_BITS	32

static void
stats_shard(struct cache_shard *s, struct cache_stats *st)
{
	const struct cache *c = s->c;
	uint64_t room = 0, held, age;

	for (unsigned i = 0; i < NSTREAMS; i++)
		if (s->open[i] != SLAB_NONE)
			room += c->slab_size - c->slabs[s->open[i]].used;
	for (unsigned q = 0; q < NQUEUES; q++) {
		uint32_t no = s->queue[q].head;

		age = no == SLAB_NONE ? 0 : s->now - c->slabs[no].born;
		if (age > st->oldest_age)
			st->oldest_age = age;
	}
	held = (uint64_t)(atomic_load(&s->nslabs) - s->spare.n) << c->slab_shift;
	st->dead_bytes += held > s->st.bytes + room ? held - s->st.bytes - room : 0;
	st->items += s->st.items;
	st->total_items += s->st.total_items;
	st->bytes += s->st.bytes;
	st->value_bytes += s->st.value_bytes;
	st->evictions += s->st.evictions;
	st->expired_unfetched += s->st.expired_unfetched;
	st->evicted_unfetched += s->st.evicted_unfetched;
	st->reclaimed += s->st.reclaimed;
	st->reserved_failed += s->st.reserved_failed;
	st->evicted_small += s->st.evicted_small;
	st->moved += s->st.moved;
	st->ghost_hits += s->st.ghost_hits;
	st->corrupt += s->st.corrupt;
	st->slabs += atomic_load(&s->nslabs);
	st->slabs_free += s->spare.n;
	st->index_bytes += s->index_cap * (sizeof(struct bucket) + sizeof(uint64_t));
	st->index_slots += (uint64_t)atomic_load(&s->nbuckets) * BUCKET_SLOTS;
}

/* The hash with which cache_lock() comes to shard i. */
static inline uint64_t
hash_of_shard(unsigned i)
{
	return ((uint64_t)i << 48);
}

void
cache_stats(struct cache *c, struct cache_stats *st)
{
	*st = (struct cache_stats){ .slab_size = c->slab_size };
	for (unsigned i = 0; i < c->nshards; i++) {
		struct cache_shard *s = cache_lock(c, hash_of_shard(i));

		stats_shard(s, st);
		cache_unlock(s);
	}
	st->slabs_free += atomic_load(&c->pool.nwarm);
	st->slabs += atomic_load(&c->pool.nwarm);
	st->alone = !duel_winner(c, &st->small_percent);
	st->mem_limit = atomic_load(&c->pool.limit);
	st->mem_used = atomic_load(&c->pool.used);
}

bool
cache_insane(struct cache_shard *s, const char *what)
{
	uint64_t n = ++s->st.corrupt;

	/* Once is worth a line, a thousand times are not worth a thousand. */
	if ((n & (n - 1)) == 0)
		log_error("the cache's state is not as it must be (%s): something was dropped; %" PRIu64 " times so far",
		    what, n);
	return (false);
}

/* One bucket from the given lane on; false: visit() wants no more. */
static bool
walk_bucket(struct cache_shard *s, struct bucket *b, unsigned *lane, unsigned *seen,
    bool (*visit)(void *, const struct item *), void *arg)
{
	for (; *lane < BUCKET_SLOTS; ++*lane) {
		struct item *it;
		uint32_t exp;

		if (b->tag[*lane] == 0)
			continue;
		it = item_at(s, slot_addr((struct slot){ b, *lane }));
		exp = item_exptime(it);
		if (exp != 0 && exp <= s->now)
			continue;
		if (!visit(arg, it))
			return (false);
		++*seen;
	}
	*lane = 0;
	return (true);
}

/* Cursor: shard, bucket, lane. */
bool
cache_walk(struct cache *c, uint64_t *cursor, unsigned max_items, bool (*visit)(void *, const struct item *),
    void *arg)
{
	unsigned shard = (unsigned)(*cursor >> (BUCKET_BITS + LANE_BITS)), lane = *cursor & (BUCKET_SLOTS - 1);
	uint32_t bucket = (uint32_t)(*cursor >> LANE_BITS);
	unsigned seen = 0, work = 0;
	bool more = true;

	for (; shard < c->nshards && more; shard++, bucket = 0) {
		struct cache_shard *s = cache_lock(c, hash_of_shard(shard));

		for (; more && bucket < s->nbuckets && seen < max_items && work++ < max_items * 2; bucket++)
			if (!walk_bucket(s, &s->index[bucket], &lane, &seen, visit, arg)) {
				more = false;
				break;
			}
		more = more && bucket >= s->nbuckets;
		cache_unlock(s);
		if (!more)
			break;
	}
	*cursor = (uint64_t)shard << (BUCKET_BITS + LANE_BITS) | (uint64_t)bucket << LANE_BITS | lane;
	return (shard < c->nshards);
}

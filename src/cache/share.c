/*
 * share.c - how the shards share the memory: who takes from the pool, gives to it, or makes another give.
 *
 * While there is memory, first come, first served; then each lives off what it evicts itself, and only one that has
 * clearly less than the richest, or needs very much at once, takes from others. Another shard's lock is only ever
 * tried, never waited for, while one's own is held.
 */
#include "config.h"

#include "cache/bucket.h"

static uint64_t
slabs_of_all(const struct pool *p)
{
	return ((uint64_t)atomic_load_explicit(&p->nout, memory_order_relaxed) +
	    atomic_load_explicit(&p->nwarm, memory_order_relaxed));
}

/* What goes to the pool is anybody's: who gave more than others, or took less, would slowly starve. */
bool
share_exceeded(const struct cache_shard *s)
{
	uint64_t mine = atomic_load_explicit(&s->nslabs, memory_order_relaxed);

	return (mine * s->c->nshards > slabs_of_all(&s->c->pool));
}

bool
share_missed(const struct cache_shard *s)
{
	uint64_t mine = atomic_load_explicit(&s->nslabs, memory_order_relaxed);

	return (mine * s->c->nshards * 16 < slabs_of_all(&s->c->pool) * 15);
}

/* Makes the shard with the most slabs give one up for s. */
static bool
steal(struct cache_shard *s, struct cache_shard *rich)
{
	bool ok;
	uint32_t no;

	/* Not waited for: the other may be doing the same. */
	if (rich == s || !lock_try(&rich->lock))
		return (false);
	rich->now = s->now;
	/* Its last spare slab stays its own. */
	while ((ok = rich->spare.n > 1 || pool_has(s->c, 0)) == false && evict_slab(rich))
		;
	if (ok && !pool_has(s->c, 0)) {
		no = rich->spare.head;
		list_remove(s->c, &rich->spare, no);
		pool_give(s->c, no);
	}
	lock_drop(&rich->lock);
	return (ok);
}

/* Somebody's slab goes to the pool or to the spares of s. mine: how many of its slabs s could give. */
static bool
gain(struct cache_shard *s, uint32_t mine)
{
	struct cache *c = s->c;
	struct cache_shard *rich = s;
	uint32_t most = mine;

	for (unsigned i = 0; i < c->nshards; i++) {
		uint32_t n = atomic_load_explicit(&c->shards[i].nslabs, memory_order_relaxed);

		if (&c->shards[i] != s && n > most) {
			most = n;
			rich = &c->shards[i];
		}
	}
	if (mine * 16ull < most * 15ull && steal(s, rich))
		return (true);
	if (evict_slab(s) || steal(s, rich))
		return (true);
	for (unsigned i = 0; i < c->nshards; i++)
		if (steal(s, &c->shards[i]))
			return (true);
	return (false);
}

uint32_t
slab_gain(struct cache_shard *s, uint32_t reserved)
{
	uint32_t no = SLAB_NONE, tries = 0;

	/* While there is memory it is first come, first served. */
	while (((s->has_reserve && reserved == 0 && tries == 0 && share_exceeded(s)) ||
	    (no = pool_take(s->c, s, false)) == SLAB_NONE) && tries++ < 16) {
		uint32_t held = atomic_load_explicit(&s->nslabs, memory_order_relaxed);

		if (!gain(s, held > reserved ? held - reserved : 0))
			return (pool_take(s->c, s, true));
		if (s->spare.n > 1) {
			no = s->spare.head;
			list_remove(s->c, &s->spare, no);
			return (no);
		}
	}
	return (no);
}

bool
spare_ensure(struct cache_shard *s, unsigned n)
{
	uint32_t no;

	if (UNLIKELY(pool_over(s->c)))
		(void)evict_slab(s);
	/* Once memory is full, one more: what is kept of the next victim needs a place. */
	for (unsigned tries = 0; s->spare.n < n + s->has_reserve && tries < 16; tries++) {
		if ((no = slab_gain(s, 0)) == SLAB_NONE)
			break;
		list_push(s->c, &s->spare, no);
	}
	return (s->spare.n >= n + (s->has_reserve && !s->c->conf.evict));
}

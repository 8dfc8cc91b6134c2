/*
 * index.c - hash -> address, in cache-line buckets of eight slots, and the tags of what was evicted.
 *
 * A key may be in either of two buckets, x and x ^ f(tag), so an item can be displaced without reading it. The table
 * grows by one bucket at a time in place (linear hashing): no pause, no second table, and always as full as GROW_AT.
 * The bucket with the highest numbers not yet split hold twice as much as the others; the choice of two
 * evens that out. Invariant: an item is in one of its two buckets, once.
 */
#include "config.h"

#include <string.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache/bucket.h"

#define GROW_AT		66u		/* items per ten buckets of 8 */
#define LOW15		0x7fff7fff7fff7fffull
#define ONES16		0x0001000100010001ull
#define CAP_STEP	256u		/* buckets paid for at once */

uint64_t
cache_hash(struct slice key)
{
	return (XXH3_64bits(key.p, key.len));
}

/* The high bit of each 16-bit lane that is zero. */
static inline uint64_t
zero_lanes(uint64_t v)
{
	return (~(((v & LOW15) + LOW15) | v | LOW15));
}

/* The free slot of the bucket with the lowest number; it has one. */
static struct slot
free_slot(struct bucket *b)
{
	uint32_t m = lanes_equal(b->tag, 0);

	return ((struct slot){ b, lanes_next(&m) });
}

static void
slot_fill(struct slot sl, uint16_t tag, uint64_t ref)
{
	ref_set(sl.b, sl.lane, ref);
	tag_set(sl.b, sl.lane, tag);
}

void
index_remove(struct cache_shard *s, struct slot sl)
{
	tag_set(sl.b, sl.lane, 0);
	s->nitems--;
}

static struct slot
bucket_find_addr(struct bucket *b, uint16_t tag, uint64_t addr)
{
	for (uint32_t hits = lanes_equal(b->tag, tag); hits != 0;) {
		unsigned lane = lanes_next(&hits);

		if (ref_get(b, lane) >> 4 == addr)
			return ((struct slot){ b, lane });
	}
	return ((struct slot){ NULL, 0 });
}

struct slot
index_find_addr(struct cache_shard *s, uint64_t hash, uint64_t addr)
{
	uint32_t n = atomic_load_explicit(&s->nbuckets, memory_order_relaxed);
	uint16_t tag = tag_of(hash);
	uint32_t x = (uint32_t)hash;
	struct slot sl;

	sl = bucket_find_addr(&s->index[bucket_no(x, n)], tag, addr);
	if (sl.b == NULL)
		sl = bucket_find_addr(&s->index[bucket_no(x ^ spread(tag), n)], tag, addr);
	return (sl);
}

static uint64_t
hash_at(const struct cache_shard *s, uint64_t addr)
{
	return (cache_hash(item_key(item_at(s, addr))));
}

/*
 * Splits the oldest unsplit bucket of this round into itself and a new last one. Its items are read for their
 * hash; those of the next bucket are asked for already.
 */
static void
split_one(struct cache_shard *s)
{
	uint32_t n = s->nbuckets, from = n - (1u << (31 - __builtin_clz(n))), next = from + 1;
	struct bucket *old = &s->index[from], *new = &s->index[n];

	for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
		uint16_t tag = old->tag[i];
		uint64_t ref = ref_get(old, i);
		uint32_t x;

		if (tag == 0)
			continue;
		x = (uint32_t)hash_at(s, ref >> 4);
		if (bucket_no(x, n) != from)
			x ^= spread(tag);
		if (bucket_no(x, n + 1) != n)
			continue;
		slot_fill(free_slot(new), tag, ref);
		tag_set(old, i, 0);
	}
	s->ghosts[n] = s->ghosts[from];
	atomic_store_explicit(&s->nbuckets, n + 1, memory_order_relaxed);
	for (unsigned i = 0; i < BUCKET_SLOTS; i++)
		if (s->index[next].tag[i] != 0)
			__builtin_prefetch(item_at(s, ref_get(&s->index[next], i) >> 4));
}

bool
index_feed(struct cache_shard *s)
{
	const size_t cost = CAP_STEP * (sizeof(struct bucket) + sizeof(uint64_t));

	if (s->index_cap + CAP_STEP > s->index_max)
		return (false);
	s->index_hungry = !pool_charge(s->c, cost);
	if (!s->index_hungry)
		s->index_cap += CAP_STEP;
	return (!s->index_hungry);
}

static void
grow(struct cache_shard *s)
{
	if (s->nbuckets < s->index_cap || index_feed(s))
		split_one(s);
}

/*
 * The other bucket of what lies in b. Where b was not split yet and the other one was, only the item itself
 * can tell which half is meant: it is read if either has room.
 */
static bool
other_bucket(const struct cache_shard *s, uint32_t b, unsigned lane, uint32_t *other)
{
	uint32_t n = s->nbuckets, m = mask_of(n), half = m >> 1, o, x;
	uint16_t tag = s->index[b].tag[lane];

	if (b > half || b + half + 1 < n) {	/* all bits of m are known */
		*other = bucket_no(b ^ spread(tag), n);
		return (true);
	}
	*other = o = (b ^ spread(tag)) & half;
	if (o + half + 1 >= n)
		return (true);
	if (free_slots(&s->index[o]) == 0 && free_slots(&s->index[o + half + 1]) == 0)
		return (false);
	x = (uint32_t)hash_at(s, ref_get(&s->index[b], lane) >> 4);
	*other = bucket_no(x, n) == b ? bucket_no(x ^ spread(tag), n) : bucket_no(x, n);
	return (true);
}

/* Moves one item of the full bucket b to where else it may be; its slot is free then. deep: having made room there. */
static bool
displace(struct cache_shard *s, uint32_t b, bool deep, struct slot *freed)
{
	struct bucket *from = &s->index[b];
	uint32_t other;
	struct slot to;

	for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
		if (!other_bucket(s, b, i, &other) || other == b)
			continue;
		if (free_slots(&s->index[other]) != 0)
			to = free_slot(&s->index[other]);
		else if (!deep || !displace(s, other, false, &to))
			continue;
		slot_fill(to, from->tag[i], ref_get(from, i));
		s->st.displaced++;
		*freed = (struct slot){ from, i };
		return (true);
	}
	return (false);
}

/* The slot of the least used item of the two full buckets, emptied. */
static struct slot
push_out(struct cache_shard *s, uint32_t b1, uint32_t b2)
{
	struct slot sl = { &s->index[b1], 0 };

	for (unsigned i = 1; i < 2 * BUCKET_SLOTS; i++) {
		struct slot o = { &s->index[i < BUCKET_SLOTS ? b1 : b2], i % BUCKET_SLOTS };

		if (slot_credit(o) < slot_credit(sl))
			sl = o;
	}
	item_drop(s, sl, item_at(s, slot_addr(sl)), DROP_EVICTED);
	return (sl);
}

void
index_insert(struct cache_shard *s, uint64_t hash, uint64_t addr, unsigned credit)
{
	uint32_t x = (uint32_t)hash, n, b1, b2;
	uint16_t tag = tag_of(hash);
	unsigned f1, f2;
	struct slot sl;

	s->found = NULL;		/* it may be displaced */
	s->missed = 0;
	if (s->nitems * 10ull >= s->nbuckets * (uint64_t)GROW_AT)
		grow(s);
	n = s->nbuckets;
	b1 = bucket_no(x, n);
	b2 = bucket_no(x ^ spread(tag), n);
	f1 = free_slots(&s->index[b1]);
	f2 = free_slots(&s->index[b2]);
	if (f1 != 0 || f2 != 0)
		sl = free_slot(&s->index[f1 >= f2 ? b1 : b2]);
	else if (!displace(s, b1, false, &sl) && !displace(s, b2, false, &sl) &&
	    !displace(s, b1, true, &sl) && !displace(s, b2, true, &sl))
		sl = push_out(s, b1, b2);
	slot_fill(sl, tag, addr << 4 | credit);
	s->nitems++;
}

/* Empties it and gives its memory back, but not its size: it will be needed again. */
void
index_clear(struct cache_shard *s)
{
	size_t len = s->index_cap * sizeof(struct bucket);

	if (madvise(s->index, len, MADV_DONTNEED) != 0)
		memset(s->index, 0, len);
	s->nitems = 0;
}

bool
ghost_has(const struct cache_shard *s, uint64_t hash)
{
	uint64_t w = s->ghosts[bucket_no((uint32_t)hash, s->nbuckets)];

	return (zero_lanes(w ^ tag_of(hash) * ONES16) != 0);
}

void
ghost_add(struct cache_shard *s, uint64_t hash)
{
	uint64_t *w = &s->ghosts[bucket_no((uint32_t)hash, s->nbuckets)];

	*w = *w << 16 | tag_of(hash);
}

static inline void
prefetch_buckets(const struct cache *c, uint64_t hash)
{
	const struct cache_shard *s = shard_of(c, hash);
	uint32_t n = index_size(s), mask = mask_of(n), x = (uint32_t)hash;

	__builtin_prefetch(s, 1);
	__builtin_prefetch(&s->index[bucket_cut(x, n, mask)], 1);
	__builtin_prefetch(&s->index[bucket_cut(x ^ spread(tag_of(hash)), n, mask)], 1);
}

/* Asks for the first item of the bucket that has the tag. An address torn by a writer is only a wrong guess. */
static inline cache_hint
prefetch_from(const struct cache_shard *s, struct bucket *b, uint16_t tag)
{
	uint32_t hits = lanes_equal_racing(b->tag, tag);
	const uint16_t *h;
	const char *p;
	unsigned lane;

	if (hits == 0)
		return (0);
	lane = lanes_next(&hits);
	h = (const uint16_t *)(const void *)b->ref[lane];
	p = s->arena + (((uint64_t)__atomic_load_n(h, __ATOMIC_RELAXED) |
	    (uint64_t)__atomic_load_n(h + 1, __ATOMIC_RELAXED) << 16 |
	    (uint64_t)__atomic_load_n(h + 2, __ATOMIC_RELAXED) << 32) >> 4);
	__builtin_prefetch(p, 1);
	__builtin_prefetch(p + CACHE_LINE, 0);
	return (hint_of((struct slot){ b, lane }));
}

static inline cache_hint
prefetch_item(const struct cache *c, uint64_t hash)
{
	const struct cache_shard *s = shard_of(c, hash);
	uint32_t n = index_size(s), mask = mask_of(n), x = (uint32_t)hash;
	uint16_t tag = tag_of(hash);
	cache_hint hint = prefetch_from(s, &s->index[bucket_cut(x, n, mask)], tag);

	return (hint != 0 ? hint : prefetch_from(s, &s->index[bucket_cut(x ^ spread(tag), n, mask)], tag));
}

void
cache_prefetch(const struct cache *c, const uint64_t *hash, cache_hint *hint, unsigned n)
{
	/* One alone would only wait for its bucket. */
	if (n == 1) {
		prefetch_buckets(c, hash[0]);
		hint[0] = 0;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		prefetch_buckets(c, hash[i]);
	for (unsigned i = 0; i < n; i++)
		hint[i] = prefetch_item(c, hash[i]);
}

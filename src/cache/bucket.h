/*
 * bucket.h - the index's arithmetic and its buckets, inline because every request does it.
 *
 * A key may be in either of two buckets, x and x ^ spread(tag), under linear hashing: with n buckets a number is
 * cut to the bits of n - 1, and to one bit fewer where that bucket does not exist yet. Slots are written with
 * relaxed atomic stores because prefetches read them without the lock.
 */
#ifndef CACHE_BUCKET_H
#define CACHE_BUCKET_H

#include <string.h>

#include "base/lanes.h"
#include "cache/internal.h"

static inline uint16_t
tag_of(uint64_t hash)
{
	uint16_t t = (uint16_t)(hash >> 32);

	return (t != 0 ? t : 1);
}

/* Both candidates differ by this; from the tag alone, so that either leads to the other. */
static inline uint32_t
spread(uint16_t tag)
{
	return ((uint32_t)tag * 0x9e3779b1u | 1);
}

/* All ones up to the highest bit that a bucket's number can have. */
static inline uint32_t
mask_of(uint32_t n)
{
	return (UINT32_MAX >> __builtin_clz((n - 1) | 1));
}

static inline uint32_t
bucket_cut(uint32_t x, uint32_t n, uint32_t mask)
{
	uint32_t b = x & mask;

	return (b < n ? b : b & mask >> 1);
}

static inline uint32_t
bucket_no(uint32_t x, uint32_t n)
{
	return (bucket_cut(x, n, mask_of(n)));
}

static inline uint32_t
index_size(const struct cache_shard *s)
{
	return (atomic_load_explicit(&s->nbuckets, memory_order_relaxed));
}

static inline unsigned
free_slots(const struct bucket *b)
{
	uint32_t m = lanes_equal(b->tag, 0) & 0x5555;

	m = (m & 0x3333) + (m >> 2 & 0x3333);
	return ((m * 0x1111 >> 12) & 15);
}

static inline uint64_t
ref_get(const struct bucket *b, unsigned lane)
{
	uint64_t v;

	/* The last one's two surplus bytes are the first tag's. */
	memcpy(&v, (const char *)b + lane * sizeof b->ref[0], sizeof v);
	return (v & 0xffffffffffffull);
}

static inline void
ref_set(struct bucket *b, unsigned lane, uint64_t ref)
{
	uint16_t *h = (uint16_t *)(void *)b->ref[lane];

	__atomic_store_n(h, (uint16_t)ref, __ATOMIC_RELAXED);
	__atomic_store_n(h + 1, (uint16_t)(ref >> 16), __ATOMIC_RELAXED);
	__atomic_store_n(h + 2, (uint16_t)(ref >> 32), __ATOMIC_RELAXED);
}

static inline void
tag_set(struct bucket *b, unsigned lane, uint16_t tag)
{
	__atomic_store_n(&b->tag[lane], tag, __ATOMIC_RELAXED);
}

static inline uint64_t
slot_addr(struct slot sl)
{
	return (ref_get(sl.b, sl.lane) >> 4);
}

static inline unsigned
slot_credit(struct slot sl)
{
	return (sl.b->ref[sl.lane][0] & CREDIT_MAX);
}

static inline void
slot_credit_set(struct slot sl, unsigned credit)
{
	uint16_t *h = (uint16_t *)(void *)sl.b->ref[sl.lane];

	__atomic_store_n(h, (uint16_t)((*h & ~CREDIT_MAX) | credit), __ATOMIC_RELAXED);
}

static inline void
slot_set(struct slot sl, uint64_t addr, unsigned credit)
{
	ref_set(sl.b, sl.lane, addr << 4 | credit);
}

/* Whether two runs of n bytes are the same; n is a key's length. */
static inline bool
same_bytes(const char *a, const char *b, size_t n)
{
	uint64_t x, y;
	uint32_t v, w;

	if (n >= 8) {
		for (size_t i = 0; i < n - 8; i += 8) {
			memcpy(&x, a + i, 8);
			memcpy(&y, b + i, 8);
			if (x != y)
				return (false);
		}
		memcpy(&x, a + n - 8, 8);
		memcpy(&y, b + n - 8, 8);
		return (x == y);
	}
	if (n >= 4) {
		memcpy(&v, a, 4);
		memcpy(&w, b, 4);
		if (v != w)
			return (false);
		memcpy(&v, a + n - 4, 4);
		memcpy(&w, b + n - 4, 4);
		return (v == w);
	}
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i])
			return (false);
	return (true);
}

static inline __attribute__((always_inline)) struct slot
bucket_find(const struct cache_shard *s, struct bucket *b, uint16_t tag, struct slice key)
{
	for (uint32_t hits = lanes_equal(b->tag, tag); hits != 0;) {
		unsigned lane = lanes_next(&hits);
		const struct item *it = item_at(s, ref_get(b, lane) >> 4);

		if (LIKELY(item_klen(it) == key.len && same_bytes(item_key_ptr(it), key.p, key.len)))
			return ((struct slot){ b, lane });
	}
	return ((struct slot){ NULL, 0 });
}

static inline struct slot
index_find(const struct cache_shard *s, uint64_t hash, struct slice key)
{
	uint32_t n = index_size(s), mask = mask_of(n), x = (uint32_t)hash;
	uint16_t tag = tag_of(hash);
	struct slot sl;

	sl = bucket_find(s, &s->index[bucket_cut(x, n, mask)], tag, key);
	if (sl.b == NULL)
		sl = bucket_find(s, &s->index[bucket_cut(x ^ spread(tag), n, mask)], tag, key);
	return (sl);
}

/* A slot in a word: buckets are cache lines, so that the low bits of their addresses are free for the lane. */
static inline cache_hint
hint_of(struct slot at)
{
	return ((uintptr_t)at.b | at.lane);
}

/* Whether the hinted slot is the key's: then it is the only one. The lock of the hash's shard is held. */
static inline bool
hint_holds(const struct cache_shard *s, cache_hint hint, uint64_t hash, struct slice key, struct slot *at)
{
	const struct item *it;

	at->b = (struct bucket *)(hint & ~(uintptr_t)(BUCKET_SLOTS - 1));
	at->lane = (unsigned)(hint & (BUCKET_SLOTS - 1));
	if (at->b == NULL || at->b->tag[at->lane] != tag_of(hash))
		return (false);
	it = item_at(s, slot_addr(*at));
	return (item_klen(it) == key.len && same_bytes(item_key_ptr(it), key.p, key.len));
}

#endif

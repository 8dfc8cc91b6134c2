/*
 * Hit ratios of the cache itself: the streams of contrib/bench/replay at half their size, without sockets, with the
 * streams' clock. Beside each runs an exact LRU of the same bytes that pays 24 bytes for an item; what the cache
 * may lose against it, or must gain, is said per stream.
 */
#include "config.h"

#include "contrib/bench/replay/stream.h"
#include "kit.h"
#include "tap.h"

#define MIB		32u	/* half of 64, as the streams are half; enough for the shards that try policies */
#define SCALE		0.5
#define REQUESTS	1000000u
#define LRU_OVERHEAD	24u

struct node {
	uint32_t prev, next;	/* 0: none; the first key has number 1 here */
	uint32_t size;		/* 0: not there */
	uint32_t expires;
};

struct lru {
	struct node *node;
	size_t	 nodes;
	uint32_t head, tail;
	size_t	 bytes, limit;
};

struct tally {
	uint64_t gets, hits, lru_hits, wrong, refused;
};

static void
lru_remove(struct lru *l, uint32_t k)
{
	struct node *n = &l->node[k];

	*(n->prev != 0 ? &l->node[n->prev].next : &l->head) = n->next;
	*(n->next != 0 ? &l->node[n->next].prev : &l->tail) = n->prev;
	l->bytes -= n->size;
	n->size = 0;
}

static void
lru_push(struct lru *l, uint32_t k, uint32_t size)
{
	struct node *n = &l->node[k];

	n->size = size;
	n->prev = 0;
	n->next = l->head;
	*(l->head != 0 ? &l->node[l->head].prev : &l->tail) = k;
	l->head = k;
	l->bytes += size;
}

static bool
lru_room_for(struct lru *l, uint32_t k)
{
	size_t more = l->nodes == 0 ? 1u << 20 : l->nodes;
	struct node *bigger;

	while (more <= k)
		more *= 2;
	if (more == l->nodes)
		return (true);
	if ((bigger = realloc(l->node, more * sizeof *bigger)) == NULL)
		return (false);
	memset(bigger + l->nodes, 0, (more - l->nodes) * sizeof *bigger);
	l->node = bigger;
	l->nodes = more;
	return (true);
}

/* The request; true: a get that hit. */
static bool
lru_run(struct lru *l, const struct stream_req *r, uint32_t now)
{
	uint32_t k = r->key + 1, size = r->size + r->name_len + LRU_OVERHEAD;
	struct node *n;
	bool hit;

	if (!lru_room_for(l, k))
		abort();
	n = &l->node[k];
	hit = r->op == STREAM_GET && n->size != 0 && (n->expires == 0 || n->expires > now);
	if (hit)
		size = n->size;
	else
		n->expires = r->ttl == 0 ? 0 : now + r->ttl;
	if (n->size != 0)
		lru_remove(l, k);
	lru_push(l, k, size);
	while (l->bytes > l->limit)
		lru_remove(l, l->tail);
	return (hit);
}

static bool
cache_get(struct cache *c, const struct stream_req *r, const struct gen *g, uint64_t hash, struct tally *t)
{
	static char value[65536];
	struct cache_shard *s = cache_lock(c, hash);
	struct item *it = cache_find(s, hash, slice_of(r->name, r->name_len));
	struct gen_seen seen;
	struct iovec v;
	uint32_t len;

	if (it == NULL) {
		cache_unlock(s);
		return (false);
	}
	cache_hit(s, it);
	len = item_vlen(it);
	for (uint32_t off = 0; off < len && len <= sizeof value; off += (uint32_t)v.iov_len) {
		if (cache_value_iov(c, it, off, &v, 1) != 1)
			abort();
		memcpy(value + off, v.iov_base, v.iov_len);
	}
	cache_unlock(s);
	t->wrong += len != r->size || gen_verify(g, r->key, value, len, &seen) != GEN_OK ||
	    (len >= GEN_HEAD && seen.version != r->version);
	return (true);
}

static bool
cache_set(struct cache *c, const struct stream_req *r, const struct gen *g, uint64_t hash)
{
	static char value[65536];
	enum cache_err why;
	struct cache_shard *s;
	struct item *it;

	if (r->size > sizeof value || (it = cache_reserve(c, hash, slice_of(r->name, r->name_len), r->size,
	    r->ttl == 0 ? 0 : cache_now(c) + r->ttl, 0, &why)) == NULL)
		return (false);
	gen_value(g, r->key, r->version, value, r->size);
	kit_copy(c, it, value, r->size);
	s = cache_lock(c, hash);
	(void)cache_link(s, it, 0);
	cache_unlock(s);
	return (true);
}

static struct tally
replay(const char *name, uint64_t requests, bool with_lru)
{
	struct lru lru = { .limit = (size_t)MIB << 20 };
	struct cache *c = kit_new(MIB, 1 << 20);
	struct tally t = { 0 };
	struct stream_req r;
	const char *why;
	struct stream *st = stream_open(name, 1, SCALE, requests, &why);
	uint64_t half, i = 0;

	if (st == NULL) {
		printf("# %s: %s\n", name, why);
		exit(1);
	}
	half = stream_info(st).requests / 2;
	for (; stream_next(st, &r); i++) {
		uint32_t now = 2 + (uint32_t)(r.at_us / 1000000);
		uint64_t hash = cache_hash(slice_of(r.name, r.name_len));
		bool hit, lru_hit;

		if (now != cache_now(c))
			cache_tick(c, now);
		lru_hit = with_lru && lru_run(&lru, &r, now);
		hit = r.op == STREAM_GET && cache_get(c, &r, stream_gen(st), hash, &t);
		if (!hit)
			t.refused += !cache_set(c, &r, stream_gen(st), hash);
		if (i < half || r.op != STREAM_GET)
			continue;
		t.gets++;
		t.hits += hit;
		t.lru_hits += lru_hit;
	}
	free(lru.node);
	stream_close(&st);
	cache_free(&c);
	return (t);
}

/* KVT_REQUESTS asks for fewer, for the sake of slow builds; ratios are not judged then, values are. */
static uint64_t
requests(void)
{
	const char *s = getenv("KVT_REQUESTS");
	uint64_t n = s == NULL ? REQUESTS : strtoull(s, NULL, 10);

	return (n > 0 && n < REQUESTS ? n : REQUESTS);
}

/* gain: how much more than LRU it must hit, in points of a hundred; below 0: how much less it may. */
static void
hits_enough(const char *name, double gain)
{
	struct tally t = replay(name, requests(), true);
	double ours = 100.0 * (double)t.hits / (double)t.gets, lru = 100.0 * (double)t.lru_hits / (double)t.gets;

	ok(requests() < REQUESTS || ours >= lru + gain, "%s: %.2f %%, LRU %.2f %%: %+.2f points, at least %+.2f", name,
	    ours, lru, ours - lru, gain);
	is_u(t.wrong + t.refused, 0, "%s: no value wrong or refused", name);
}

static void
the_same_every_time(void)
{
	uint64_t n = requests() * 3 / 10;
	struct tally a = replay("scan", n, false), b = replay("scan", n, false);

	is_u(a.hits, b.hits, "the same stream hits the same number of times");
}

int
main(void)
{
	hits_enough("zipf0.8", -0.2);
	hits_enough("zipf0.99", -0.2);
	hits_enough("zipf1.2", -0.2);
	hits_enough("scan", 0.5);
	hits_enough("shift", -0.5);
	hits_enough("ttl", -0.2);
	/* LRU is best where nothing comes back, and frees at once what is overwritten. Guards against more. */
	hits_enough("drift-fast", -7.5);
	hits_enough("overwrite", -1.0);
	the_same_every_time();
	return (done_testing());
}

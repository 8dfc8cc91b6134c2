/*
 * Many threads on one small cache: every value tells which key it belongs to, readers hold pins across evictions,
 * one thread flushes and moves the clock. Any torn, mixed or reused value is a failure.
 */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "kit.h"
#include "tap.h"

#define THREADS	4
#define KEYS	4000
#define PINS	8

struct worker {
	pthread_t	 thread;
	struct cache	*c;
	uint64_t	 rnd;
	unsigned	 ops, hits, wrong, failed;
	struct item	*pin[PINS];
	uint32_t	 seed[PINS];
};

static uint64_t
next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return (*x);
}

/* A value is 4 bytes of seed, then bytes of that seed. */
static bool
self_verifies(struct cache *c, struct item *it, uint32_t key)
{
	struct iovec v;
	uint32_t seed;

	if (item_vlen(it) < 4 || cache_value_iov(c, it, 0, &v, 1) != 1 || v.iov_len < 4)
		return (false);
	memcpy(&seed, v.iov_base, 4);
	if (seed % KEYS != key)
		return (false);
	for (uint32_t off = 4, len = item_vlen(it); off < len; off += (uint32_t)v.iov_len) {
		if (cache_value_iov(c, it, off, &v, 1) != 1 || !kit_is_of(seed, off, &v))
			return (false);
	}
	return (true);
}

static uint32_t
size_for(uint64_t r)
{
	switch (r >> 20 & 31) {
	case 0:
		return (4 + r % 150000);
	case 1:
	case 2:
		return (100 + r % 20000);
	default:
		return (64 + r % 400);
	}
}

static struct slice
key_of(char *buf, uint32_t k)
{
	return (slice_of(buf, (size_t)snprintf(buf, 32, "key:%u", k)));
}

static void
put(struct worker *w, uint32_t k, uint64_t r)
{
	char buf[32];
	struct op op = { .verb = OP_STORE, .key = key_of(buf, k), .opts = OPF_TTL };
	uint32_t seed = (uint32_t)(r >> 46) * KEYS + k, vlen = size_for(r);
	struct op_result res;
	enum cache_err why;
	struct item *it;
	struct iovec v;

	op.hash = cache_hash(op.key);
	it = cache_reserve(w->c, op.hash, op.key, vlen, r & 1 ? cache_now(w->c) + (r >> 3) % 20 : 0, 0, &why);
	if (it == NULL) {
		w->failed++;
		return;
	}
	kit_fill(w->c, it, seed);
	if (cache_value_iov(w->c, it, 0, &v, 1) != 1 || v.iov_len < 4) {
		cache_abandon(w->c, it);
		return;
	}
	memcpy(v.iov_base, &seed, 4);
	if ((r >> 10) % 50 == 0)
		cache_abandon(w->c, it);
	else
		verb_store(w->c, &op, it, &res);
}

static void
get(struct worker *w, uint32_t k, uint64_t r)
{
	char buf[32];
	struct op op = { .verb = OP_GET, .key = key_of(buf, k) };
	unsigned i = r >> 30 & (PINS - 1);
	struct op_result res;
	struct cache_shard *s;
	struct item *it;

	op.hash = cache_hash(op.key);
	if ((r >> 50) % 16 == 0) {
		op.opts = OPF_TTL;
		op.order = OPO_TTL;
		op.ttl = (int32_t)(r >> 8) % 30;
	}
	cache_prefetch(w->c, (uint64_t[]){ op.hash, op.hash }, (cache_hint[2]){ 0 }, 2);
	if ((s = verb_get(w->c, &op, &res, &it)) == NULL)
		return;
	w->hits++;
	cache_pin(s, it);
	cache_unlock(s);
	if (w->pin[i] != NULL) {
		w->wrong += !self_verifies(w->c, w->pin[i], w->seed[i]);
		cache_unpin(w->c, w->pin[i]);
	}
	w->pin[i] = it;
	w->seed[i] = k;
}

/* Counters live beside the values: every reading must be the sum of increments since its last reset. */
static void
count(struct worker *w, uint64_t r)
{
	struct op op = { .verb = OP_ARITH, .mode = OP_INCR, .opts = OPF_VIVIFY, .order = OPO_VIVIFY,
	    .delta = 1, .key = SLICE_LIT("count0") };
	struct op_result res;
	char key[] = "count0";

	key[5] = (char)('0' + r % 8);
	op.key = slice_of(key, 6);
	op.hash = cache_hash(op.key);
	verb_arith(w->c, &op, &res);
	w->wrong += res.status != OP_OK && res.status != OP_ERROR;
}

static void *
work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->ops; i++) {
		uint64_t r = next(&w->rnd);
		uint32_t k = (uint32_t)((r >> 33) % KEYS);

		if (k > 64 && (r & 3))
			k %= 512;
		switch (r % 10) {
		case 0:
		case 1:
		case 2:
			put(w, k, next(&w->rnd));
			break;
		case 3:
			count(w, r >> 8);
			break;
		case 4: {
			char buf[32];
			struct op op = { .verb = OP_DELETE, .key = key_of(buf, k) };
			struct op_result res;

			op.hash = cache_hash(op.key);
			if (r >> 60 == 0)
				verb_delete(w->c, &op, &res);
			break;
		}
		default:
			get(w, k, r);
		}
	}
	for (unsigned i = 0; i < PINS; i++)
		if (w->pin[i] != NULL) {
			w->wrong += !self_verifies(w->c, w->pin[i], w->seed[i]);
			cache_unpin(w->c, w->pin[i]);
		}
	return (NULL);
}

static bool
see(void *arg, const struct item *it)
{
	(void)it;
	++*(unsigned *)arg;
	return (true);
}

static void
stress(size_t mb, unsigned ops)
{
	struct cache *c = kit_new(mb, 256 * 1024);
	struct worker w[THREADS];
	unsigned wrong = 0, hits = 0, failed = 0, done = 0, seen = 0;
	uint64_t cursor = 0, over = 0;
	struct cache_stats st;

	memset(w, 0, sizeof w);
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].c = c;
		w[i].ops = ops;
		w[i].rnd = 88172645463325252ull + i * 7919;
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	/* The clock and the administrator, while they work. */
	for (unsigned i = 0; i < 300; i++) {
		cache_tick(c, 10 + i / 10);
		st = kit_stats(c);
		over += st.mem_used > st.mem_limit;
		if (i % 50 == 49)
			cache_flush(c, i % 100 == 99 ? 10 + i / 10 : 11 + i / 10);
		(void)cache_walk(c, &cursor, 100, see, &seen);
		if (cursor == 0)
			done++;
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		wrong += w[i].wrong;
		hits += w[i].hits;
		failed += w[i].failed;
	}
	st = kit_stats(c);
	is_u(wrong, 0, "%zu MB: no wrong value", mb);
	is_u(over, 0, "never above -m");
	ok(hits > ops / 10, "with %u hits, %u failed stores, %llu evictions", hits, failed,
	    (unsigned long long)st.evictions);
	cache_flush(c, 2);
	is_u(kit_stats(c).items, 0, "flushed at the end");
	st = kit_stats(c);
	is_u(st.slabs, st.slabs_free, "every slab came back");
	cache_free(&c);
}

int
main(void)
{
	stress(2, 30000);
	stress(8, 20000);
	return (done_testing());
}

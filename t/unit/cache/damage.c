/* What a cache does whose memory was damaged: it tells, drops what it cannot read, and goes on. */
#include "config.h"

#include "cache/internal.h"
#include "kit.h"
#include "obs/log.h"
#include "tap.h"

static unsigned nseen;

static bool
count(void *arg, const struct item *it)
{
	(void)arg;
	(void)it;
	nseen++;
	return (true);
}

static void
put(struct cache *c, unsigned from, unsigned n)
{
	char key[32], body[1000] = { 0 };

	for (unsigned i = from; i < from + n; i++) {
		struct op op;

		snprintf(key, sizeof key, "key%u", i);
		memcpy(body, key, sizeof key);
		op = kit_op(OP_STORE, key);
		(void)kit_store(c, &op, body, sizeof body);
	}
}

/* How many of them are there; a wrong value is none. */
static unsigned
right(struct cache *c, unsigned from, unsigned n, unsigned *wrong)
{
	unsigned found = 0;
	char key[32];

	for (unsigned i = from; i < from + n; i++) {
		struct cache_shard *s;
		struct item *it;
		struct op op;

		snprintf(key, sizeof key, "key%u", i);
		op = kit_op(OP_GET, key);
		s = cache_lock(c, op.hash);
		it = cache_find(s, op.hash, op.key);
		if (it != NULL && item_value(it) != NULL && strcmp(item_value(it), key) == 0)
			found++;
		else if (it != NULL)
			++*wrong;
		cache_unlock(s);
	}
	return (found);
}

int
main(void)
{
#ifndef KVGATE_DEBUG
	struct cache *c = kit_new(4, 64 << 10);
	struct op op = kit_op(OP_GET, "key7");
	struct cache_shard *s;
	struct cache_stats st;
	unsigned wrong = 0;
	uint64_t cursor = 0;

	put(c, 0, 200);
	s = cache_lock(c, op.hash);
	/* As long as it can be said: the record seems to go on beyond its slab. */
	cache_find(s, op.hash, op.key)->shape |= ITEM_VLEN_MASK;
	cache_unlock(s);
	put(c, 1000, 20000);
	cache_stats(c, &st);
	is_u(st.corrupt, 1, "damage is counted");
	ok(st.evictions > 0 && st.items > 500, "and the cache goes on");
	put(c, 50000, 200);
	is_u(right(c, 50000, 200, &wrong), 200, "what is stored now is found");
	ok(right(c, 1000, 20000, &wrong) > 500, "and much of what was before");
	is_u(wrong, 0, "no wrong value");
	cache_stats(c, &st);
	while (cache_walk(c, &cursor, 1000, count, NULL))
		;
	is_u(nseen, st.items, "the numbers agree");
	cache_free(&c);
#else
	ok(true, "a debugging build stops instead");
#endif
	return (done_testing());
}

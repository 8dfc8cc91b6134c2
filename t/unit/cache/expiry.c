/* Memory of what has expired comes back before anything alive has to go, whatever TTLs stand side by side. */
#include "config.h"

#include "base/check.h"
#include "cache/cache.h"
#include "kit.h"
#include "tap.h"

#define ITEMS	240000u		/* half of what 64 MB hold */

static bool
put(struct cache *c, const char *prefix, unsigned i, int32_t ttl)
{
	char key[32], body[100] = { 0 };
	struct op op;

	snprintf(key, sizeof key, "%s%u", prefix, i);
	memcpy(body, key, sizeof key);
	op = kit_op(OP_STORE, key);
	if (ttl != 0) {
		op.opts |= OPF_TTL;
		op.ttl = ttl;
	}
	return (kit_store(c, &op, body, sizeof body).status == OP_OK);
}

static bool
is_there(struct cache *c, unsigned i)
{
	struct cache_shard *s;
	char key[32];
	struct op op;
	bool found;

	snprintf(key, sizeof key, "k%u", i);
	op = kit_op(OP_GET, key);
	s = cache_lock(c, op.hash);
	found = cache_find(s, op.hash, op.key) != NULL;
	cache_unlock(s);
	return (found);
}

static uint64_t
evictions(struct cache *c)
{
	struct cache_stats st;

	cache_stats(c, &st);
	return (st.evictions);
}

/* Stores ITEMS with these TTLs in turn, fills the rest of the memory, and lets `later` seconds pass. */
static void
dead_go_first(const char *name, const int32_t *ttl, unsigned nttl, unsigned spread, uint32_t later)
{
	struct cache *c = kit_new(64, 1 << 20);
	unsigned dead = 0, lost = 0, n = 0;
	uint64_t before;
	uint32_t now = 100;

	cache_tick(c, now);
	for (unsigned i = 0; i < ITEMS; i++) {
		int32_t t = ttl[i % nttl];

		if (i % (ITEMS / 8) == 0)
			cache_tick(c, ++now);
		if (t != 0)
			t += (int32_t)(i / nttl % (spread + 1));
		dead += t != 0 && (uint32_t)t <= later;
		put(c, "k", i, t);
	}
	while (evictions(c) == 0)
		for (unsigned i = 0; i < 500; i++)
			put(c, "filler", n++, 0);
	cache_tick(c, now + later);
	/* Each shard first ends the victim that it had chosen before. */
	for (n = 0; n < dead / 10; n++)
		put(c, "new", n, 0);
	before = evictions(c);
	for (; n < dead * 8 / 10; n++)
		put(c, "new", n, 0);
	is_u(evictions(c) - before, 0, "%s: nothing alive goes while four fifths of the dead are replaced (%u)", name, n);
	for (unsigned i = 0; i < ITEMS; i++) {
		int32_t t = ttl[i % nttl];

		if (t != 0)
			t += (int32_t)(i / nttl % (spread + 1));
		lost += (t == 0 || (uint32_t)t > later + 8) && !is_there(c, i);
	}
	ok(lost <= before, "%s: all that lives is there (%u lost, %u before)", name, lost, (unsigned)before);
	cache_free(&c);
}

/* What is given another TTL is counted by that. */
static void
touched_live_on(void)
{
	static const int32_t minute = 60;
	struct cache *c = kit_new(64, 1 << 20);
	struct cache_stats st;
	unsigned lost = 0;

	cache_tick(c, 100);
	for (unsigned i = 0; i < ITEMS; i++)
		put(c, "k", i, minute);
	for (unsigned i = 0; i < ITEMS; i += 2) {
		struct op_result res;
		struct cache_shard *s;
		struct item *it;
		char key[32];
		struct op op;

		snprintf(key, sizeof key, "k%u", i);
		op = kit_op(OP_GET, key);
		op.opts = OPF_TTL;
		op.order = OPO_TTL;
		op.ttl = 3000;
		s = verb_get(c, &op, &res, &it);
		if (s != NULL)
			cache_unlock(s);
	}
	cache_tick(c, 100 + 200);
	for (unsigned i = 0; i < ITEMS; i++)
		put(c, "new", i, 0);
	cache_stats(c, &st);
	is_u(st.evictions, 0, "half of them had room made by the other half");
	for (unsigned i = 0; i < ITEMS; i += 2)
		lost += !is_there(c, i);
	is_u(lost, 0, "what was touched is there");
	cache_free(&c);
}

int
main(void)
{
	static const int32_t mixed[] = { 5, 30, 60, 600, 3600, 0 };
	static const int32_t one[] = { 30 };
	static const int32_t short_[] = { 1 };
	static const int32_t days[] = { 60 * 60, 20 * 60 * 60, 0 };

	dead_go_first("5 s to an hour and none", mixed, NITEMS(mixed), 6, 90);
	dead_go_first("all 30 s", one, 1, 0, 40);
	dead_go_first("1 to 60 s", short_, 1, 59, 40);
	dead_go_first("an hour, 20 hours and none", days, NITEMS(days), 0, 3 * 60 * 60);
	touched_live_on();
	return (done_testing());
}

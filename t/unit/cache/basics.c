/* Unit tests of src/cache/: items in and out, expiry, flush, pins, values over many slabs, -m held. */
#include "config.h"

#include <stdlib.h>

#include "kit.h"
#include "tap.h"

static void
stores_and_finds(void)
{
	struct cache *c = kit_new(64, 1);
	struct op_result r;

	ok(!kit_has(c, "a"), "an empty cache has nothing");
	r = kit_set(c, "a", "one", 0, 7);
	is_u(r.status, OP_OK, "set");
	ok(kit_is(c, "a", "one"), "found with its value");
	r = kit_get(c, "a");
	is_u(r.client_flags, 7, "client flags");
	ok(r.ttl == OP_TTL_NONE, "no expiry");
	kit_set(c, "a", "second", 0, 0);
	ok(kit_is(c, "a", "second"), "replaced");
	is_u(kit_stats(c).items, 1, "one item");
	is_u(kit_get(c, "a").client_flags, 0, "flags replaced");
	is_u(kit_delete(c, "a").status, OP_OK, "deleted");
	ok(!kit_has(c, "a"), "gone");
	is_u(kit_stats(c).items, 0, "no items");
	is_u(kit_stats(c).bytes, 0, "no bytes");
	kit_set(c, "empty", "", 0, 0);
	ok(kit_is(c, "empty", ""), "an empty value");
	cache_free(&c);
	ok(c == NULL, "freed");
}

static void
expires_to_the_second(void)
{
	struct cache *c = kit_new(64, 1);

	cache_tick(c, 100);
	kit_set(c, "a", "x", 10, 0);
	kit_set(c, "b", "x", -1, 0);
	kit_set(c, "c", "x", 0, 0);
	ok(!kit_has(c, "b"), "a negative TTL is over at once");
	cache_tick(c, 109);
	is_u((unsigned)kit_get(c, "a").ttl, 1, "one second left");
	cache_tick(c, 110);
	ok(!kit_has(c, "a"), "expired when its second comes");
	ok(kit_has(c, "c"), "never expires");
	is_u(kit_stats(c).items, 1, "the expired ones are not counted");
	verb_set_start(c, 1700000000);
	kit_set(c, "d", "x", 1700000200, 0);
	is_u((unsigned)kit_get(c, "d").ttl, 90, "an absolute time");
	kit_set(c, "e", "x", 1600000000, 0);
	ok(!kit_has(c, "e"), "an absolute time before the start");
	cache_free(&c);
}

static void
flushes(void)
{
	struct cache *c = kit_new(64, 1);
	enum cache_err why;
	struct slice k = SLICE_LIT("pending"), kb = SLICE_LIT("big");
	struct item *it, *big;
	struct cache_shard *s;
	char key[32];

	cache_tick(c, 50);
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		kit_set(c, key, "value", 0, 0);
	}
	it = cache_reserve(c, cache_hash(k), k, 3, 0, 0, &why);
	memcpy((char *)(uintptr_t)item_value(it), "abc", 3);
	big = cache_reserve(c, cache_hash(kb), kb, 300000, 0, 0, &why);
	kit_fill(c, big, 9);
	cache_flush(c, 50);
	ok(!kit_has(c, "k1") && !kit_has(c, "k4999"), "an immediate flush empties the cache");
	is_u(kit_stats(c).items, 0, "and its count");
	kit_set(c, "k1", "again", 0, 0);
	ok(kit_is(c, "k1", "again"), "set after it in the same second lives");
	s = cache_lock(c, cache_hash(k));
	cache_link(s, it, 0);
	cache_unlock(s);
	ok(kit_is(c, "pending", "abc"), "reserved before, linked after: lives");
	s = cache_lock(c, cache_hash(kb));
	cache_link(s, big, 0);
	cache_unlock(s);
	ok(kit_check(c, kb, 9), "the same with a large value");
	cache_flush(c, 60);
	cache_tick(c, 59);
	ok(kit_has(c, "k1"), "a delayed flush waits");
	kit_set(c, "k2", "x", 0, 0);
	cache_tick(c, 60);
	ok(!kit_has(c, "k1") && !kit_has(c, "k2") && !kit_has(c, "big"), "and then takes all before it");
	kit_set(c, "k3", "x", 0, 0);
	ok(kit_has(c, "k3"), "and nothing after it");
	cache_flush(c, 100);
	cache_flush(c, 60);
	kit_set(c, "k4", "x", 0, 0);
	cache_tick(c, 100);
	ok(kit_has(c, "k4"), "a later flush replaces the pending one");
	cache_free(&c);
}

static void
holds_memory(size_t mb, uint32_t vlen, unsigned n)
{
	struct cache *c = kit_new(mb, mb * 1048576 / 4);
	struct cache_stats st;
	uint64_t worst = 0;
	unsigned wrong = 0, failed = 0, found = 0;
	char key[32];

	for (unsigned i = 0; i < n; i++) {
		struct slice k = slice_of(key, (size_t)snprintf(key, sizeof key, "key%u", i));

		failed += !kit_put(c, k, vlen, 0, i);
		if (i % 64 == 0) {
			st = kit_stats(c);
			worst = st.mem_used > worst ? st.mem_used : worst;
		}
	}
	for (unsigned i = 0; i < n; i++) {
		struct slice k = slice_of(key, (size_t)snprintf(key, sizeof key, "key%u", i));

		if (kit_has(c, key)) {
			found++;
			wrong += !kit_check(c, k, i);
		}
	}
	st = kit_stats(c);
	ok(worst <= mb << 20, "-m %zu, values of %u: never above it (%llu)", mb, vlen, (unsigned long long)worst);
	is_u(failed, 0, "no store failed");
	is_u(wrong, 0, "no wrong value");
	is_u(found, st.items, "found what is counted");
	is_u(st.items + st.evictions, st.total_items, "every item is there or evicted");
	ok(vlen < 100 || st.value_bytes > (mb << 20) * 4 / 5, "four fifths are values (%.1f %%)",
	    100.0 * (double)st.value_bytes / (double)(mb << 20));
	cache_free(&c);
}

static void
keeps_what_is_hit(void)
{
	struct cache *c = kit_new(8, 1 << 20);
	unsigned hot = 0;
	char key[32];

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "hot%u", i);
		kit_set(c, key, "value", 0, 0);
	}
	for (unsigned i = 0; i < 400000; i++) {
		snprintf(key, sizeof key, "cold%u", i);
		kit_set(c, key, "some value or other", 0, 0);
		snprintf(key, sizeof key, "hot%u", i % 1000);
		kit_has(c, key);
	}
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "hot%u", i);
		hot += kit_has(c, key);
	}
	is_u(hot, 1000, "what is asked for stays while 400,000 others pass");
	ok(kit_stats(c).evictions > 100000, "and they did pass");
	cache_free(&c);
}

static void
expired_before_alive(void)
{
	struct cache *c = kit_new(8, 1 << 20);
	unsigned lost = 0, now = 100, n = 0;
	struct cache_stats st;
	char key[32];

	cache_tick(c, now);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(key, sizeof key, "forever%u", i);
		kit_set(c, key, "a value that is to stay where it is, whatever else may come and go", 0, 0);
		snprintf(key, sizeof key, "brief%u", n++);
		kit_set(c, key, "a value that is to stay for a moment only, and then go away again", 20, 0);
	}
	for (unsigned round = 0; round < 40; round++) {
		cache_tick(c, now += 21);
		for (unsigned i = 0; i < 20000; i++) {
			snprintf(key, sizeof key, "brief%u", n++);
			kit_set(c, key, "a value that is to stay for a moment only, and then go away again", 20, 0);
		}
	}
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(key, sizeof key, "forever%u", i);
		lost += !kit_has(c, key);
	}
	st = kit_stats(c);
	is_u(lost, 0, "while 800,000 items expire, those without expiry stay");
	is_u(st.evictions, 0, "nothing alive was evicted");
	ok(st.reclaimed > 700000, "the memory of expired ones was used again (%llu)",
	    (unsigned long long)st.reclaimed);
	cache_free(&c);
}

static void
pins(void)
{
	struct cache *c = kit_new(4, 1 << 20);
	struct slice k = SLICE_LIT("pinned"), kb = SLICE_LIT("pinnedbig");
	struct cache_shard *s;
	struct item *it, *big;
	char key[32];

	kit_put(c, k, 500, 0, 1);
	kit_put(c, kb, 500000, 0, 2);
	s = cache_lock(c, cache_hash(k));
	it = cache_find(s, cache_hash(k), k);
	cache_pin(s, it);
	cache_unlock(s);
	s = cache_lock(c, cache_hash(kb));
	big = cache_find(s, cache_hash(kb), kb);
	cache_pin(s, big);
	cache_unlock(s);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "other%u", i);
		kit_set(c, key, "some value or other, long enough to fill it", 0, 0);
	}
	ok(kit_check_item(c, it, 1) && kit_check_item(c, big, 2), "pinned bytes stay while everything passes");
	ok(kit_stats(c).mem_used <= 4 << 20, "within -m");
	cache_unpin(c, it);
	cache_unpin(c, big);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "more%u", i);
		kit_set(c, key, "some value or other, long enough to fill it", 0, 0);
	}
	ok(kit_stats(c).items > 20000, "their memory is used again");
	cache_free(&c);
}

static void
refuses(void)
{
	struct cache_conf cf = { .mem = 8 << 20, .item_max = 5 << 20, .threads = 4, .evict = true, .use_cas = true };
	const char *why = NULL;
	struct cache *c = cache_new(&cf, &why);
	struct slice k = SLICE_LIT("k");
	enum cache_err err;

	ok(c == NULL && strstr(why, "half") != NULL, "-I over half of -m: %s", why);
	cf.item_max = 1 << 20;
	cf.mem = 1 << 19;
	c = cache_new(&cf, &why);
	ok(c == NULL && strstr(why, "-m 1") != NULL, "too small: %s", why);
	c = kit_new(64, 1 << 20);
	ok(cache_reserve(c, cache_hash(k), k, 1 << 20, 0, 0, &err) == NULL && err == CACHE_TOO_LARGE,
	    "a value of -I with its key and header is too large");
	ok(kit_put(c, k, (1 << 20) - 512, 0, 3), "a little less is not");
	ok(kit_check(c, k, 3), "and comes back");
	cache_free(&c);
}

/* Whether a hurried reader takes what a has. */
static bool
plain(struct cache *c)
{
	struct slice k = SLICE_LIT("a");
	struct cache_shard *s;

	if (cache_hit_plain(c, cache_hash(k), 0, k, 100, &s) == NULL)
		return (false);
	cache_unlock(s);
	return (true);
}

static void
notes(void)
{
	struct cache *c = kit_new(64, 1);
	struct slice k = SLICE_LIT("a");
	struct cache_shard *s;
	struct item *it;

	cache_tick(c, 100);
	kit_set(c, "a", "x", 50, 0);
	s = cache_lock(c, cache_hash(k));
	it = cache_find(s, cache_hash(k), k);
	ok(!item_noted(it), "an item has no note");
	item_set_note(it, 110, 77);
	ok(item_noted(it) && item_due(it) == 110 && item_note(it) == 77 && item_exptime(it) == 150, "until it gets one");
	cache_unlock(s);
	ok(plain(c), "not due: a hit like any other");
	cache_tick(c, 109);
	ok(plain(c), "nor a second before");
	cache_tick(c, 110);
	ok(!plain(c), "due: not for who is in a hurry");
	ok(kit_is(c, "a", "x"), "but still there");
	s = cache_lock(c, cache_hash(k));
	it = cache_find(s, cache_hash(k), k);
	item_set_stale(it, true);
	item_set_note(it, 1000, 0);
	cache_unlock(s);
	ok(!plain(c), "stale, if not due");
	kit_set(c, "a", "y", 0, 0);
	s = cache_lock(c, cache_hash(k));
	ok(!item_noted(cache_find(s, cache_hash(k), k)), "a note is not its successor's");
	cache_unlock(s);
	ok(plain(c), "which is plain");
	cache_free(&c);
}

int
main(void)
{
	stores_and_finds();
	expires_to_the_second();
	flushes();
	keeps_what_is_hit();
	expired_before_alive();
	pins();
	notes();
	refuses();
	holds_memory(8, 10, 300000);
	holds_memory(8, 1000, 30000);
	holds_memory(8, 20000, 3000);
	holds_memory(8, 100000, 800);
	holds_memory(64, 1000000, 300);
	holds_memory(64, 12000000, 30);
	return (done_testing());
}

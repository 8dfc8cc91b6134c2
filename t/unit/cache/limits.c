/* The cache at its bounds: small and large -m, -I up to half of it, -m changed while it runs, slow readers everywhere. */
#include "config.h"

#include "base/num.h"
#include "kit.h"
#include "tap.h"

static double
resident_mb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long all = 0, rss = 0;

	if (f != NULL) {
		if (fscanf(f, "%ld %ld", &all, &rss) != 2)
			rss = 0;
		fclose(f);
	}
	return ((double)rss * 4096 / 1048576);
}

/* Bounds of resident memory grow by this: a sanitizer's shadow counts as ours. See KVT_MEMORY in t/lib/kvt.py. */
static double
memory_factor(void)
{
	const char *s = getenv("KVT_MEMORY");

	return (s != NULL && atof(s) > 1 ? atof(s) : 1);
}

static struct slice
key_of(char *buf, const char *word, unsigned i)
{
	return (slice_of(buf, (size_t)snprintf(buf, 32, "%s%u", word, i)));
}

/* The largest values there may be, among small ones, again and again. */
static void
largest(size_t mb, size_t item_max, unsigned rounds)
{
	double before = resident_mb();
	struct cache *c = kit_new(mb, item_max);
	unsigned failed = 0, wrong = 0;
	struct cache_stats st;
	char buf[32];

	for (unsigned i = 0; i < rounds; i++) {
		struct slice k = key_of(buf, "large", i);

		if (!kit_put(c, k, (uint32_t)item_max - 100, 0, i))
			failed++;
		else
			wrong += !kit_check(c, k, i);
		for (unsigned j = 0; j < 200; j++)
			failed += !kit_put(c, key_of(buf, "small", i * 200 + j), 100 + j, 0, j);
	}
	st = kit_stats(c);
	is_u(failed, 0, "-m %zu -I %zu: every store has room", mb, item_max);
	is_u(wrong, 0, "and comes back");
	ok(st.mem_used <= mb << 20, "within -m");
	ok(resident_mb() - before < ((double)mb + 4) * memory_factor(), "resident, too (%.1f)", resident_mb() - before);
	cache_free(&c);
}

static void
empty_is_small(void)
{
	double before = resident_mb();
	struct cache *c = kit_new(4096, 0);

	kit_set(c, "a", "x", 0, 0);
	ok(resident_mb() - before < 4 * memory_factor(), "-m 4096 with one item takes little (%.1f MB)", resident_mb() - before);
	cache_free(&c);
}

static void
other_memory(void)
{
	struct cache *c = kit_new(64, 0);
	struct cache_stats full, st;
	unsigned wrong = 0;
	char buf[32];

	for (unsigned i = 0; i < 100000; i++)
		kit_put(c, key_of(buf, "k", i), 1000, 0, i);
	full = kit_stats(c);
	ok(cache_set_mem(c, 16 << 20), "-m 64 becomes 16");
	for (unsigned i = 100000; i < 200000; i++)
		kit_put(c, key_of(buf, "k", i), 1000, 0, i);
	st = kit_stats(c);
	ok(st.mem_used <= 16 << 20 && st.items < full.items / 3, "and is that after a while (%llu items of %llu)",
	    (unsigned long long)st.items, (unsigned long long)full.items);
	ok(cache_set_mem(c, 128 << 20), "and 128");
	for (unsigned i = 200000; i < 400000; i++)
		kit_put(c, key_of(buf, "k", i), 1000, 0, i);
	st = kit_stats(c);
	ok(st.items > full.items * 3 / 2 && st.mem_used <= 128 << 20, "which is used (%llu items)",
	    (unsigned long long)st.items);
	for (unsigned i = 399000; i < 400000; i++)
		wrong += !kit_check(c, key_of(buf, "k", i), i);
	is_u(wrong, 0, "with the right values");
	ok(!cache_set_mem(c, 1 << 20), "1 is too little for -I");
	ok(!cache_set_mem(c, (size_t)1 << 50), "2^50 too much");
	cache_free(&c);
}

/* Readers that never finish hold most of the memory: stores go on in the rest or fail, nothing breaks. */
static void
readers_everywhere(void)
{
	enum { N = 4000 };
	static struct item *pinned[N];
	struct cache *c = kit_new(4, 0);
	unsigned npinned = 0, wrong = 0, stored = 0;
	struct cache_stats st;
	char buf[32];

	for (unsigned i = 0; i < N; i++) {
		struct slice k = key_of(buf, "k", i);
		uint64_t hash = cache_hash(k);
		struct cache_shard *s;
		struct item *it;

		if (!kit_put(c, k, 2000, 0, i))
			continue;
		s = cache_lock(c, hash);
		if ((it = cache_find(s, hash, k)) != NULL) {
			cache_pin(s, it);
			pinned[npinned++] = it;
		}
		cache_unlock(s);
	}
	ok(npinned > 500 && npinned < N, "stores fail when every slab is being read (%u)", npinned);
	for (unsigned i = 0; i < npinned; i++) {
		struct slice k = item_key(pinned[i]);
		uint64_t seed = UINT64_MAX;

		wrong += !num_get_u64(slice_of(k.p + 1, k.len - 1), &seed) ||
		    !kit_check_item(c, pinned[i], (uint32_t)seed);
		cache_unpin(c, pinned[i]);
	}
	is_u(wrong, 0, "the readers' bytes are theirs");
	for (unsigned i = 0; i < N; i++)
		stored += kit_put(c, key_of(buf, "n", i), 2000, 0, i);
	is_u(stored, N, "and when they are done all is well again");
	st = kit_stats(c);
	ok(st.mem_used <= st.mem_limit && st.items > 1000, "%llu items", (unsigned long long)st.items);
	cache_free(&c);
}

int
main(void)
{
	largest(1, 1024, 300);
	largest(2, 1 << 20, 10);
	largest(8, 4 << 20, 10);
	largest(64, 1 << 20, 200);
	largest(64, 32 << 20, 6);
	largest(256, 128 << 20, 3);
	empty_is_small();
	other_memory();
	readers_everywhere();
	return (done_testing());
}

/* Unit tests of src/req/cut.c and the notes of src/req/copy.c: which copies of a record are believed after a write. */
#include "req/cut.c"

#include <stdlib.h>

#include "base/check.h"
#include "tap.h"

static char slash[] = "/", none[] = "", prefix[] = "r:", names[] = "r";
static struct conf_ns conf_spaces[2] = {
	{ .name = none, .prefix = none, .local = true, .local_ttl = 60000000 },
	{ .name = names, .prefix = prefix, .prefix_len = 2, .separator = slash, .separator_len = 1, .local = true,
	    .local_ttl = 60000000 },
};
static struct conf conf = { .spaces = conf_spaces, .nspaces = 2 };
static struct shared shared;
static struct ctx ctx = { .shared = &shared };
static struct pool pool;
static struct view *view;
static const struct space *flat, *records;

static void
setup(void)
{
	struct cache_conf cc = { .mem = 8 << 20, .item_max = 1 << 20, .threads = 1, .evict = true, .use_cas = true };
	const char *why;

	ctx.cache = shared.cache = cache_new(&cc, &why);
	cache_tick(ctx.cache, 100);
	view = calloc(1, sizeof *view + 2 * sizeof view->spaces[0]);
	view->keymap = keymap_new(&conf);
	for (unsigned i = 0; i < 2; i++)
		view->spaces[i] = (struct space){ .conf = &conf_spaces[i], .pool = &pool, .view = view,
		    .splits = conf_spaces[i].separator_len > 0 };
	flat = &view->spaces[0];
	records = &view->spaces[1];
}

static void
teardown(void)
{
	struct keymap *m = (struct keymap *)(uintptr_t)view->keymap;

	keymap_free(&m);
	free(view);
	cache_free(&ctx.cache);
}

/* A copy as a read that was sent now would make it. */
static void
fill(const struct space *sp, const char *text)
{
	struct slice key = slice_str(text), id, item;
	uint64_t hash = cache_hash(key), cut = 0;
	struct cache_shard *s;
	enum cache_err why;
	struct item *it;

	keymap_split(sp->conf, key, &id, &item);
	if (sp->splits)
		cut = cut_word(&ctx, cache_hash(id));
	it = cache_reserve(ctx.cache, hash, key, 0, 160, 0, &why);
	s = cache_lock(ctx.cache, hash);
	copy_link(&ctx, s, it, sp, cut);
	cache_unlock(s);
}

/* Whether the hot way would answer from it. */
static bool
answers(const struct space *sp, const char *text)
{
	struct slice key = slice_str(text);
	struct cache_shard *s;
	struct item *it = cache_hit_plain(ctx.cache, cache_hash(key), 0, key, 100, &s);
	bool good;

	if (it == NULL)
		return (false);
	good = !sp->splits || !copy_is_cut(&ctx, sp, it, key);
	cache_unlock(s);
	return (good);
}

#define ID(s)	SLICE_LIT(s)

static void
records_are_cut(void)
{
	fill(records, "r:one/a");
	fill(records, "r:one");
	fill(records, "r:two/a");
	ok(answers(records, "r:one/a") && answers(records, "r:one") && answers(records, "r:two/a"), "copies answer");
	cut_record_begin(&ctx, records, ID("r:one"));
	ok(!answers(records, "r:one/a") && !answers(records, "r:one"), "not while their record is being cut");
	ok(answers(records, "r:two/a"), "others do");
	fill(records, "r:one/a");
	ok(!answers(records, "r:one/a"), "nor one that was asked for meanwhile");
	cut_record_begin(&ctx, records, ID("r:one"));
	cut_record_end(&ctx, records, ID("r:one"), true);
	fill(records, "r:one/b");
	ok(!answers(records, "r:one/b"), "two at one time: when the first has ended the other is under way");
	cut_record_end(&ctx, records, ID("r:one"), true);
	ok(!answers(records, "r:one/a") && !answers(records, "r:one") && !answers(records, "r:one/b"), "nor afterwards");
	fill(records, "r:one/a");
	ok(answers(records, "r:one/a") && !answers(records, "r:one"), "one that was asked for then does");
}

static void
items_go_by_their_keys(void)
{
	uint64_t before = route_fence(&ctx, cache_hash(SLICE_LIT("r:x/a")));

	fill(records, "r:x/a");
	fill(records, "r:x/b");
	fill(records, "r:x");
	cut_item_begin(&ctx, records, ID("r:x"), SLICE_LIT("a"));
	ok(!answers(records, "r:x/a") && answers(records, "r:x/b") && answers(records, "r:x"), "an item is written");
	is_u(route_fence_writes(route_fence(&ctx, cache_hash(SLICE_LIT("r:x/a")))), 1, "and under way");
	cut_item_end(&ctx, records, ID("r:x"), SLICE_LIT("a"), true);
	ok(route_fence(&ctx, cache_hash(SLICE_LIT("r:x/a"))) == before + ROUTE_FENCE_MOVE, "then its fence has moved");
	cut_item_begin(&ctx, records, ID("r:x"), SLICE_LIT(""));
	ok(!answers(records, "r:x"), "the item without a key");
	cut_item_end(&ctx, records, ID("r:x"), SLICE_LIT(""), true);
}

static void
long_keys(void)
{
	static char item[300];

	memset(item, 'i', sizeof item);
	cut_item_begin(&ctx, records, ID("r:x"), slice_of(item, sizeof item));
	cut_item_end(&ctx, records, ID("r:x"), slice_of(item, sizeof item), true);
	ok(true, "a key that classic commands cannot have");
	cut_item_begin(&ctx, records, ID("r:x"), slice_of(item, 246));
	is_u(route_fence_writes(route_fence(&ctx, cache_hash(SLICE_LIT("nothing of it")))), 0, "the longest that they can");
	cut_item_end(&ctx, records, ID("r:x"), slice_of(item, 246), true);
}

static void
flat_records(void)
{
	fill(flat, "key/x");
	ok(answers(flat, "key/x"), "flat");
	cut_record_begin(&ctx, flat, ID("key/x"));
	ok(!answers(flat, "key/x"), "a record is its only item");
	cut_record_end(&ctx, flat, ID("key/x"), true);
	fill(flat, "key/x");
	ok(answers(flat, "key/x"), "and there again");
}

static void
what_is_seen(void)
{
	is_u(cut_seen(0), 0, "nothing");
	is_u(cut_seen(5 * ROUTE_FENCE_MOVE + 3), 5, "moves, not what is under way");
	is_u(cut_seen((((uint64_t)1 << 30) + 2) * ROUTE_FENCE_MOVE), 2, "30 bits of them");
}

int
main(void)
{
	setup();
	ok(!atomic_load(&shared.cut), "nothing was cut");
	records_are_cut();
	items_go_by_their_keys();
	long_keys();
	flat_records();
	what_is_seen();
	teardown();
	return (done_testing());
}

/*
 * stats_cache.c - `stats items`, `slabs`, `sizes`, `cachedump`: the local cache in memcached's terms.
 *
 * Items of all sizes share the slabs here, so there is one class, number 1, whose sums are the whole
 * cache's. Its chunk is the average item: tools multiply chunks by their size and must come to the memory in use.
 */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "admin/internal.h"
#include "admin/totals.h"
#include "base/check.h"
#include "base/num.h"
#include "req/copy.h"

#define SIZE_STEP	32		/* bytes per row of `stats sizes` */
#define WALK_STEP	256		/* items per turn of the lock */
#define SIZES_ITEMS_MAX	2000000		/* `stats sizes` looks at no more */
#define CACHEDUMP_MAX	(2 * 1024 * 1024)	/* bytes */
#define CLASSES_MAX	64		/* class numbers are below */

/* Rows of `stats items`; a field of struct cache_stats, or 0. */
static const struct {
	const char	*name;
	int		 at;		/* offset, -1: always 0 */
} item_rows[] = {
#define FIELD(name, f)	{ #name, (int)offsetof(struct cache_stats, f) }
#define ZERO(name)	{ #name, -1 }
	FIELD(number, items),
	ZERO(number_hot),
	ZERO(number_warm),
	FIELD(number_cold, items),
	ZERO(age_hot),
	ZERO(age_warm),
	FIELD(age, oldest_age),
	FIELD(mem_requested, bytes),
	FIELD(evicted, evictions),
	ZERO(evicted_nonzero),
	ZERO(evicted_time),
	FIELD(outofmemory, reserved_failed),
	ZERO(tailrepairs),
	FIELD(reclaimed, reclaimed),
	FIELD(expired_unfetched, expired_unfetched),
	FIELD(evicted_unfetched, evicted_unfetched),
	ZERO(evicted_active),
	ZERO(crawler_reclaimed),
	ZERO(crawler_items_checked),
	ZERO(lrutail_reflocked),
	ZERO(moves_to_cold),
	ZERO(moves_to_warm),
	ZERO(moves_within_lru),
	ZERO(direct_reclaims),
	ZERO(hits_to_hot),
	ZERO(hits_to_warm),
	ZERO(hits_to_cold),
	ZERO(hits_to_temp),
#undef FIELD
#undef ZERO
};

void
stats_items(struct stats_out *o, const struct stats_args *a)
{
	struct totals t;
	const char *base = (const char *)&t.cache;

	totals_get(a->cl->ctx->shared, &t);
	for (size_t i = 0; t.cache.items > 0 && i < NITEMS(item_rows); i++)
		stats_line(o, "STAT items:1:%s %" PRIu64, item_rows[i].name,
		    item_rows[i].at < 0 ? 0 : *(const uint64_t *)(const void *)
		    (base + item_rows[i].at));
	stats_end(o);
}

/* "STAT <name> 0.123": n of so many; without any 0.000. */
static void
ratio_line(struct stats_out *o, const char *name, uint64_t n, uint64_t of)
{
	stats_line(o, "STAT %s %.3f", name, of > 0 ? (double)n / (double)of : 0.0);
}

/* Hits of the local cache among what it was asked for, and of the stores among what was left for them. */
static void
tier_lines(struct stats_out *o, const struct totals *t, const struct ctx *ctx)
{
	uint64_t gets = 0, hits = 0, here = 0, asked = t->metric[METRIC_local_hits] + t->metric[METRIC_local_misses];
	struct ns_totals ns;

	for (unsigned i = 0; i < ctx->conf->nspaces; i++) {
		totals_get_ns(ctx->shared, ctx->conf->spaces[i].name, &ns);
		gets += ns.gets;
		hits += ns.hits;
		here += ns.local_hits;
		if (ctx->conf->spaces[i].primary == NULL)
			asked += ns.gets;
	}
	ratio_line(o, "local_hit_ratio", here, asked);
	ratio_line(o, "store_hit_ratio", hits - here, gets - here);
	ratio_line(o, "hit_ratio", hits, gets);
}

void
stats_cache(struct stats_out *o, const struct stats_args *a)
{
	struct shared *sh = a->cl->ctx->shared;
	const struct cache_stats *st;
	struct totals t;

	totals_get(sh, &t);
	st = &t.cache;
	tier_lines(o, &t, a->cl->ctx);
	stats_u64(o, "limit_maxbytes", st->mem_limit);
	stats_u64(o, "used_bytes", st->mem_used);
	stats_u64(o, "items", st->items);
	stats_u64(o, "item_bytes", st->bytes);
	stats_u64(o, "value_bytes", st->value_bytes);
	stats_u64(o, "dead_bytes", st->dead_bytes);
	stats_line(o, "STAT bytes_per_item %.1f", st->items > 0 ? (double)st->mem_used / (double)st->items : 0.0);
	stats_u64(o, "slabs", st->slabs);
	stats_u64(o, "slabs_free", st->slabs_free);
	stats_u64(o, "slab_size", st->slab_size);
	stats_u64(o, "index_bytes", st->index_bytes);
	ratio_line(o, "index_load", st->items, st->index_slots);
	stats_u64(o, "stored", st->total_items);
	stats_u64(o, "evicted_small", st->evicted_small);
	stats_u64(o, "evicted_main", st->evictions - st->evicted_small);
	stats_u64(o, "expired", st->reclaimed);
	stats_u64(o, "ghost_hits", st->ghost_hits);
	stats_u64(o, "copied", st->moved);
	ratio_line(o, "copied_per_stored", st->moved, st->total_items);
	stats_u64(o, "small_percent", st->small_percent);
	stats_str(o, "small_percent_by", st->alone ? "default" : "duel");
	stats_u64(o, "corrupt", st->corrupt);
	stats_end(o);
}

struct chunks {
	uint64_t	 size, per_page, pages, total, used;
};

/* As many average items as fit into the slabs. */
static void
count_chunks(const struct cache_stats *st, struct chunks *c)
{
	c->pages = st->slabs;
	c->used = st->items;
	c->size = st->items > 0 ? (st->bytes + st->items - 1) / st->items : 1;
	if (c->size == 0)
		c->size = 1;
	c->per_page = st->slab_size / c->size;
	if (c->per_page == 0)
		c->per_page = 1;
	c->total = c->pages * c->per_page;
	if (c->total < c->used)
		c->total = c->used;
}

/*
 * No name that memcached's lacks: mem_requested, which old ones have here, is in `stats items`, and the Prometheus
 * exporter fails where it is in both.
 */
void
stats_slabs(struct stats_out *o, const struct stats_args *a)
{
	struct totals t;
	struct chunks c;
	bool any;

	totals_get(a->cl->ctx->shared, &t);
	any = t.cache.items > 0;
#define ROW(name, v)	stats_u64(o, "1:" name, (v))
	if (any) {
		count_chunks(&t.cache, &c);
		ROW("chunk_size", c.size);
		ROW("chunks_per_page", c.per_page);
		ROW("total_pages", c.pages);
		ROW("total_chunks", c.total);
		ROW("used_chunks", c.used);
		ROW("free_chunks", c.total - c.used);
		ROW("free_chunks_end", 0);
		ROW("get_hits", t.metric[METRIC_get_hits]);
		ROW("cmd_set", t.metric[METRIC_cmd_set]);
		ROW("delete_hits", t.metric[METRIC_delete_hits]);
		ROW("incr_hits", t.metric[METRIC_incr_hits]);
		ROW("decr_hits", t.metric[METRIC_decr_hits]);
		ROW("cas_hits", t.metric[METRIC_cas_hits]);
		ROW("cas_badval", t.metric[METRIC_cas_badval]);
		ROW("touch_hits", t.metric[METRIC_touch_hits]);
	}
#undef ROW
	stats_u64(o, "active_slabs", any);
	stats_u64(o, "total_malloced", t.cache.slabs * t.cache.slab_size);
	stats_end(o);
}

struct sizes {
	uint64_t	*count;
	size_t		 n;
	uint64_t	 seen;
};

static bool
sizes_visit(void *arg, const struct item *it)
{
	struct sizes *s = arg;
	size_t row = (item_size(it) + SIZE_STEP - 1) / SIZE_STEP;

	s->count[row < s->n ? row : s->n - 1]++;
	s->seen++;
	return (true);
}

void
stats_sizes(struct stats_out *o, const struct stats_args *a)
{
	struct ctx *ctx = a->cl->ctx;
	struct sizes s = { .n = ctx->conf->item_max / SIZE_STEP + 2 };
	uint64_t cursor = 0;

	s.count = calloc(s.n, sizeof *s.count);
	if (s.count == NULL) {
		stats_line(o, "SERVER_ERROR out of memory writing stats");
		return;
	}
	while (s.seen < SIZES_ITEMS_MAX && cache_walk(ctx->cache, &cursor,
	    WALK_STEP, sizes_visit, &s))
		;
	for (size_t i = 0; i < s.n; i++)
		if (s.count[i] > 0)
			stats_line(o, "STAT %zu %" PRIu64, i * SIZE_STEP,
			    s.count[i]);
	free(s.count);
	stats_end(o);
}

struct cachedump {
	struct stats_out *o;
	const struct shared *sh;
	uint32_t	 left;		/* items to show */
	size_t		 room;		/* bytes of answer left */
	bool		 full;
};

static bool
cachedump_visit(void *arg, const struct item *it)
{
	struct cachedump *d = arg;
	struct slice key = item_key(it);
	uint32_t exp = item_exptime(it);
	size_t before = outq_len(d->o->out);

	if (item_binkey(it) || copy_is_negative(it))
		return (true);
	if (d->left == 0 || d->room == 0 || d->o->lost) {
		d->full = true;
		return (false);
	}
	stats_line(d->o, "ITEM %.*s [%" PRIu32 " b; %" PRIu64 " s]",
	    (int)key.len, key.p, item_vlen(it),
	    exp == 0 ? 0 : (uint64_t)d->sh->started + exp);
	before = outq_len(d->o->out) - before;
	d->room -= before < d->room ? before : d->room;
	d->left--;
	return (true);
}

/* Class 1 has all items; the others that memcached could have are empty. */
void
stats_cachedump(struct stats_out *o, const struct stats_args *a)
{
	struct ctx *ctx = a->cl->ctx;
	struct cachedump d = {
		.o = o, .sh = ctx->shared, .room = CACHEDUMP_MAX,
	};
	uint64_t cursor = 0;
	uint32_t class;

	if (ctx->conf->no_dump) {
		stats_line(o, "CLIENT_ERROR stats cachedump not allowed");
		return;
	}
	if (a->nwords < 3) {
		stats_line(o, "CLIENT_ERROR bad command line");
		return;
	}
	if (!num_get_u32(a->words[1], &class) ||
	    !num_get_u32(a->words[2], &d.left)) {
		stats_line(o, "CLIENT_ERROR bad command line format");
		return;
	}
	if (class >= CLASSES_MAX) {
		stats_line(o, "CLIENT_ERROR Illegal slab id");
		return;
	}
	if (d.left == 0)
		d.left = UINT32_MAX;
	while (class == 1 && !d.full && cache_walk(ctx->cache, &cursor,
	    WALK_STEP, cachedump_visit, &d))
		;
	stats_end(o);
}

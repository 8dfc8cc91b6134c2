/*
 * cut.c - which local copies of a record are not to be believed any more.
 *
 * A place of the table is shared by the ids with its hash: a cut costs the others their copies, and no more. It would
 * take 2^30 cuts in one place within a copy's life to make an old one look good.
 */
#include "config.h"

#include "cache/cache.h"
#include "proto/op.h"
#include "req/copy.h"
#include "req/cut.h"
#include "req/route.h"
#include "req/tier.h"

static inline _Atomic uint64_t *
place_of(const struct ctx *ctx, uint64_t id_hash)
{
	return (&ctx->shared->cuts[id_hash & (NCUTS - 1)]);
}

uint64_t
cut_word(const struct ctx *ctx, uint64_t id_hash)
{
	return (atomic_load_explicit(place_of(ctx, id_hash), memory_order_acquire));
}

uint32_t
cut_seen(uint64_t word)
{
	return ((uint32_t)(word / ROUTE_FENCE_MOVE) & ((1u << CUT_BITS) - 1));
}

bool
cut_allows(const struct ctx *ctx, const struct conf_ns *ns, struct slice key, uint32_t seen)
{
	struct slice id, item;
	uint64_t word;

	/* Mostly nobody has cut anything. */
	if (!atomic_load_explicit(&ctx->shared->cut, memory_order_acquire))
		return (true);
	keymap_split(ns, key, &id, &item);
	word = cut_word(ctx, cache_hash(id));
	return (route_fence_writes(word) == 0 && cut_seen(word) == seen);
}

void
cut_enter(struct ctx *ctx, uint64_t id_hash)
{
	atomic_store_explicit(&ctx->shared->cut, true, memory_order_release);
	atomic_fetch_add_explicit(place_of(ctx, id_hash), 1, memory_order_acq_rel);
}

void
cut_leave(struct ctx *ctx, uint64_t id_hash)
{
	atomic_fetch_add_explicit(place_of(ctx, id_hash), ROUTE_FENCE_MOVE - 1, memory_order_acq_rel);
}

/* The cache store has what keys name by themselves. */
static bool
has_tier(const struct space *sp, struct slice key)
{
	return (sp->tier != NULL && view_find(sp->view, key) == sp);
}

/* ---- records ---- */

void
cut_record_begin(struct ctx *ctx, const struct space *sp, struct slice id)
{
	if (sp->conf->separator_len == 0) {
		cut_item_begin(ctx, sp, id, SLICE_NULL);
		return;
	}
	if (has_tier(sp, id))
		tier_hurry(ctx, cache_hash(id));
	cut_enter(ctx, cache_hash(id));
}

void
cut_record_end(struct ctx *ctx, const struct space *sp, struct slice id, bool known)
{
	if (sp->conf->separator_len == 0) {
		cut_item_end(ctx, sp, id, SLICE_NULL, known);
		return;
	}
	if (has_tier(sp, id))
		tier_cut(ctx, sp, id, known);
	cut_leave(ctx, cache_hash(id));
}

/* ---- items ---- */

/* The key that classic commands have for it. False: none. */
static bool
whole_key(const struct space *sp, struct slice id, struct slice item, char buf[OP_KEY_MAX], struct slice *key)
{
	size_t sep = item.len > 0 ? sp->conf->separator_len : 0;

	if (id.len + sep + item.len > OP_KEY_MAX)
		return (false);
	memcpy(buf, id.p, id.len);
	if (item.len > 0) {
		memcpy(buf + id.len, sp->conf->separator, sep);
		memcpy(buf + id.len + sep, item.p, item.len);
	}
	*key = slice_of(buf, id.len + sep + item.len);
	return (true);
}

/* Lock held. */
static void
let_go(const struct space *sp, struct cache_shard *s, uint64_t hash, struct slice key)
{
	struct item *it = cache_find(s, hash, key);

	if (it != NULL)
		copy_invalidate(s, it, sp->conf);
}

/* The local cache may be the store itself of the key's namespace, where L named this one. */
static bool
has_copy(const struct space *sp, struct slice key)
{
	const struct space *by_key = view_find(sp->view, key);

	return (by_key->pool != NULL && by_key->conf->local);
}

void
cut_item_begin(struct ctx *ctx, const struct space *sp, struct slice id, struct slice item)
{
	char buf[OP_KEY_MAX];
	struct cache_shard *s;
	struct slice key;
	uint64_t hash;

	if (!whole_key(sp, id, item, buf, &key))
		return;
	hash = cache_hash(key);
	if (has_tier(sp, key))
		tier_hurry(ctx, cache_hash(id));
	if (!has_copy(sp, key)) {
		(void)route_fence_enter(ctx, hash);
		return;
	}
	s = cache_lock(ctx->cache, hash);
	let_go(sp, s, hash, key);
	(void)route_fence_enter(ctx, hash);
	cache_unlock(s);
}

void
cut_item_end(struct ctx *ctx, const struct space *sp, struct slice id, struct slice item, bool known)
{
	char buf[OP_KEY_MAX];
	struct cache_shard *s;
	struct slice key;
	uint64_t hash;

	if (!whole_key(sp, id, item, buf, &key))
		return;
	hash = cache_hash(key);
	if (has_tier(sp, key))
		tier_wrote(ctx, sp, key, 0, known);
	if (!has_copy(sp, key)) {
		route_fence_leave(ctx, hash);
		return;
	}
	s = cache_lock(ctx->cache, hash);
	let_go(sp, s, hash, key);
	route_fence_leave(ctx, hash);
	cache_unlock(s);
}

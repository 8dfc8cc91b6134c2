/* route.c - where keys go. */
#include "config.h"

#include "backend/backend.h"
#include "base/check.h"
#include "cache/verb.h"
#include "req/route.h"
#include "route/ring.h"

struct backend *
route_pick(struct pool *p, struct slice id, uint64_t hash)
{
	if (p->nservers == 1)
		return (p->servers[0]);
	return (p->servers[ring_pick(p->ring, id, hash)]);
}

void
route_split_item(struct be_op *op)
{
	keymap_split(op->ns, op->op.key, &op->id, &op->item);
	/* The order of a record's ops hangs on it, and they are about many keys. */
	op->op.hash = cache_hash(op->id);
}

/* Servers flush by clocks of whole seconds, and memcached a second early. */
#define FLUSH_EARLY	2
#define FLUSH_LATE	1

static inline _Atomic uint64_t *
fence_of(const struct ctx *ctx, uint64_t hash)
{
	return (&ctx->shared->fences[hash & (NFENCES - 1)]);
}

static inline uint64_t
with_flushes(const struct ctx *ctx, uint64_t fence)
{
	return (fence + ROUTE_FENCE_MOVE *
	    atomic_load_explicit(&ctx->shared->flushes, memory_order_acquire));
}

uint64_t
route_fence(const struct ctx *ctx, uint64_t hash)
{
	return (with_flushes(ctx, atomic_load_explicit(fence_of(ctx, hash),
	    memory_order_acquire)));
}

uint64_t
route_fence_enter(struct ctx *ctx, uint64_t hash)
{
	return (with_flushes(ctx, 1 + atomic_fetch_add_explicit(
	    fence_of(ctx, hash), 1, memory_order_acq_rel)));
}

void
route_fence_leave(struct ctx *ctx, uint64_t hash)
{
	atomic_fetch_add_explicit(fence_of(ctx, hash), ROUTE_FENCE_MOVE - 1,
	    memory_order_acq_rel);
}

unsigned
route_fence_writes(uint64_t fence)
{
	return ((unsigned)(fence & (ROUTE_FENCE_MOVE - 1)));
}

static bool
has_copies(const struct ctx *ctx)
{
	for (unsigned i = 0; i < ctx->conf->nspaces; i++)
		if (ctx->conf->spaces[i].local &&
		    ctx->conf->spaces[i].primary != NULL)
			return (true);
	return (false);
}

void
route_flush_begin(struct ctx *ctx, int32_t delay)
{
	struct shared *sh = ctx->shared;
	uint32_t now = cache_now(ctx->cache), when = now, from;

	if (delay > 0)
		when = verb_exptime(ctx->cache, delay);
	if (when > now && has_copies(ctx)) {
		from = when > now + FLUSH_EARLY ? when - FLUSH_EARLY : now;
		atomic_store_explicit(&sh->flush_from, from,
		    memory_order_relaxed);
		atomic_store_explicit(&sh->flush_to, when + FLUSH_LATE,
		    memory_order_release);
		when = from;
	}
	atomic_fetch_add_explicit(&sh->flushes, 1, memory_order_acq_rel);
	cache_flush(ctx->cache, when);
}

void
route_flush_end(struct ctx *ctx, int32_t delay)
{
	struct shared *sh = ctx->shared;
	uint32_t to;

	if (delay <= 0) {
		/* A value read before the flush may have entered the cache while it was under way. */
		route_flush_begin(ctx, 0);
		return;
	}
	to = verb_exptime(ctx->cache, delay) + FLUSH_LATE;
	if (to > atomic_load_explicit(&sh->flush_to, memory_order_relaxed))
		atomic_store_explicit(&sh->flush_to, to, memory_order_release);
}

bool
route_flush_crossed(const struct ctx *ctx, uint32_t asked_at, uint32_t exptime)
{
	const struct shared *sh = ctx->shared;

	return (asked_at <= atomic_load_explicit(&sh->flush_to,
	    memory_order_acquire) && exptime >
	    atomic_load_explicit(&sh->flush_from, memory_order_relaxed));
}

bool
route_flush_takes_all(const struct ctx *ctx, const struct pool *p)
{
	for (unsigned i = 0; i < ctx->conf->nspaces; i++) {
		const struct space *sp = &ctx->view->spaces[i];

		if (sp->pool == p && !sp->conf->flush)
			return (false);
	}
	return (true);
}

bool
route_flush_reaches(const struct ctx *ctx, const struct pool *p)
{
	for (unsigned i = 0; i < ctx->conf->nspaces; i++) {
		const struct space *sp = &ctx->view->spaces[i];

		if ((sp->pool == p || sp->tier == p) && sp->conf->flush)
			return (true);
	}
	return (false);
}

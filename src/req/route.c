/* route.c - where keys go. */
#include "config.h"

#include "backend/backend.h"
#include "cache/verb.h"
#include "req/route.h"
#include "route/ring.h"

struct pool *
route_pool(struct ctx *ctx, unsigned space)
{
	const struct conf_store *st = ctx->conf->spaces[space].primary;

	return (st == NULL ? NULL : &ctx->pools[st - ctx->conf->stores]);
}

struct backend *
route_pick(struct pool *p, struct slice key, uint64_t hash)
{
	if (p->conf->nservers == 1)
		return (p->servers[0]);
	return (p->servers[ring_pick(p->ring, key, hash)]);
}

uint32_t
route_fence(const struct ctx *ctx, uint64_t hash)
{
	return (cache_fence(ctx->cache, hash) + (uint32_t)
	    atomic_load_explicit(&ctx->shared->flushes, memory_order_acquire));
}

void
route_flush_local(struct ctx *ctx, int32_t delay)
{
	uint32_t when = delay > 0 ? verb_exptime(ctx->cache, delay) : 0;

	atomic_fetch_add_explicit(&ctx->shared->flushes, 1,
	    memory_order_acq_rel);
	cache_flush(ctx->cache, when != 0 ? when : cache_now(ctx->cache));
}

bool
route_flush_reaches(const struct ctx *ctx, const struct pool *p)
{
	for (unsigned i = 0; i < ctx->conf->nspaces; i++) {
		const struct conf_ns *ns = &ctx->conf->spaces[i];

		if (ns->primary == p->conf &&
		    (ns->flush || ns->prefix_len == 0))
			return (true);
	}
	return (false);
}

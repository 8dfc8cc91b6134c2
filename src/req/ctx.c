/*
 * ctx.c - a worker's context: its pools opened, its memory.
 */
#include "config.h"

#include <stdlib.h>

#include "backend/backend.h"
#include "base/check.h"
#include "req/ctx.h"
#include "req/req.h"
#include "route/ring.h"

/* Output blocks a worker keeps for reuse; more are given back to the system. */
#define OUT_KEEP	(4 * 1024 * 1024)

static bool
pool_open(struct ctx *ctx, struct pool *p, const struct conf_store *st,
    const char **why)
{
	p->conf = st;
	p->ops = backend_find(st->type);
	if (p->ops == NULL) {
		*why = "this build has no such type of store";
		return (false);
	}
	p->ring = ring_new(st, why);
	if (p->ring == NULL)
		return (false);
	p->servers = calloc(st->nservers, sizeof *p->servers);
	if (p->servers == NULL) {
		*why = "out of memory";
		return (false);
	}
	for (unsigned i = 0; i < st->nservers; i++) {
		p->servers[i] = p->ops->open(ctx->loop, st, &st->servers[i],
		    why);
		if (p->servers[i] == NULL)
			return (false);
	}
	return (true);
}

static void
pool_close(struct pool *p)
{
	if (p->servers != NULL)
		for (unsigned i = 0; i < p->conf->nservers; i++)
			if (p->servers[i] != NULL)
				p->ops->close(&p->servers[i]);
	free(p->servers);
	ring_free(&p->ring);
}

struct ctx *
ctx_new(struct shared *sh, unsigned id, struct loop *loop, const char **why)
{
	const struct conf *conf = sh->conf;
	struct ctx *ctx = calloc(1, sizeof *ctx);

	*why = "out of memory";
	if (ctx == NULL)
		return (NULL);
	ctx->magic = CTX_MAGIC;
	ctx->id = id;
	ctx->shared = sh;
	ctx->conf = conf;
	ctx->cache = sh->cache;
	ctx->loop = loop;
	SLIST_INIT(&ctx->free_reqs);
	ctx->outpool = outpool_new(OUT_KEEP);
	ctx->ns = calloc(conf->nspaces, sizeof *ctx->ns);
	ctx->pools = calloc(conf->nstores + 1, sizeof *ctx->pools);
	if (ctx->outpool == NULL || ctx->ns == NULL || ctx->pools == NULL)
		goto fail;
	for (unsigned i = 0; i < conf->nspaces; i++)
		ctx->looks_up |= conf->spaces[i].primary == NULL ||
		    conf->spaces[i].local;
	for (unsigned i = 0; i < conf->nstores; i++)
		if (!pool_open(ctx, &ctx->pools[i], &conf->stores[i], why))
			goto fail;
	return (ctx);
fail:
	ctx_free(&ctx);
	return (NULL);
}

bool
ctx_may_hold(const struct ctx *ctx, size_t n)
{
	return (ctx->held + n <=
	    ctx->conf->buffer_max / ctx->shared->nworkers);
}

void
ctx_free(struct ctx **ctxp)
{
	struct ctx *ctx;
	struct req *r;

	if (*ctxp == NULL)
		return;
	TAKE_OBJ_NOTNULL(ctx, ctxp, CTX_MAGIC);
	if (ctx->pools != NULL)
		for (unsigned i = 0; i < ctx->conf->nstores; i++)
			if (ctx->pools[i].conf != NULL)
				pool_close(&ctx->pools[i]);
	while ((r = SLIST_FIRST(&ctx->free_reqs)) != NULL) {
		SLIST_REMOVE_HEAD(&ctx->free_reqs, next_free);
		free(r);
	}
	outpool_free(&ctx->outpool);
	free(ctx->pools);
	free(ctx->ns);
	ctx->magic = 0;
	free(ctx);
}

uint64_t
shared_metric(const struct shared *sh, enum metric_id id)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < sh->nworkers; i++)
		sum += atomic_load_explicit(&sh->workers[i]->metrics.v[id],
		    memory_order_relaxed);
	return (sum);
}

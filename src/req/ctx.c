/*
 * ctx.c - a worker's context: its pools opened, its memory.
 */
#include "config.h"

#include <stdlib.h>

#include "backend/backend.h"
#include "base/check.h"
#include "kv/codec.h"
#include "req/ctx.h"
#include "req/leavings.h"
#include "req/req.h"
#include "req/send.h"
#include "req/version.h"
#include "route/ring.h"

/* Output blocks a worker keeps for reuse; more are given back to the system. */
#define OUT_KEEP	(4 * 1024 * 1024)

struct ctx *
ctx_new(struct shared *sh, struct snapshot *snap, unsigned id,
    struct loop *loop, const char **why)
{
	struct ctx *ctx = calloc(1, sizeof *ctx);

	*why = "out of memory";
	if (ctx == NULL)
		return (NULL);
	ctx->magic = CTX_MAGIC;
	ctx->id = id;
	ctx->shared = sh;
	ctx->cache = sh->cache;
	ctx->loop = loop;
	ctx->random = (uint32_t)loop_now(loop) ^ (uint32_t)(uintptr_t)ctx ^ 0x9e3779b9u;
	if (ctx->random == 0)
		ctx->random = 1;
	SLIST_INIT(&ctx->free_reqs);
	SLIST_INIT(&ctx->old_views);
	LIST_INIT(&ctx->holds);
	TAILQ_INIT(&ctx->free_flights);
	ctx->outpool = outpool_new(OUT_KEEP);
	if (ctx->outpool != NULL)
		ctx->view = view_new(snap, NULL, loop, why);
	if (ctx->view == NULL || !version_attach(sh, ctx->view) || !leavings_listen(ctx)) {
		ctx_free(&ctx);
		return (NULL);
	}
	ctx->conf = ctx->view->conf;
	return (ctx);
}

bool
ctx_adopt(struct ctx *ctx, struct snapshot *snap, const char **why)
{
	struct view *old = ctx->view, *v;

	v = view_new(snap, old, ctx->loop, why);
	if (v == NULL)
		return (false);
	if (!version_attach(ctx->shared, v)) {
		*why = "out of memory";
		view_unpin(v);
		view_free(&v);
		return (false);
	}
	pthread_mutex_lock(&ctx->shared->catalog);
	ctx->view = v;
	ctx->conf = v->conf;
	pthread_mutex_unlock(&ctx->shared->catalog);
	(void)leavings_listen(ctx);
	view_unpin(old);
	SLIST_INSERT_HEAD(&ctx->old_views, old, next_old);
	return (true);
}

void
ctx_reap(struct ctx *ctx)
{
	struct view *v, *next;

	for (v = SLIST_FIRST(&ctx->old_views); v != NULL; v = next) {
		next = SLIST_NEXT(v, next_old);
		if (v->refs > 0)
			continue;
		SLIST_REMOVE(&ctx->old_views, v, view, next_old);
		view_free(&v);
	}
}

bool
ctx_may_hold(const struct ctx *ctx, size_t n)
{
	/* One value may be as large as it likes. */
	return (ctx->held == 0 || ctx->held + n <=
	    ctx->conf->buffer_max / ctx->shared->nworkers);
}

/* Requests end when their backends are closed, and need their views until then. */
static void
ctx_close_views(struct ctx *ctx)
{
	struct view *v;

	ctx->closing = true;
	if (ctx->view != NULL) {
		view_unpin(ctx->view);
		SLIST_INSERT_HEAD(&ctx->old_views, ctx->view, next_old);
		ctx->view = NULL;
	}
	SLIST_FOREACH(v, &ctx->old_views, next_old)
		view_close(v);
	ctx_reap(ctx);
	MUST(SLIST_EMPTY(&ctx->old_views));
}

void
ctx_free(struct ctx **ctxp)
{
	struct ctx *ctx;
	struct req *r;

	if (*ctxp == NULL)
		return;
	TAKE_OBJ_NOTNULL(ctx, ctxp, CTX_MAGIC);
	ctx_close_views(ctx);
	send_drain(ctx);
	leavings_free(ctx);
	while ((r = SLIST_FIRST(&ctx->free_reqs)) != NULL) {
		SLIST_REMOVE_HEAD(&ctx->free_reqs, next_free);
		free(r);
	}
	outpool_free(&ctx->outpool);
	codec_free(&ctx->codec);
	free(ctx->scratch);
	ctx->magic = 0;
	free(ctx);
}

/* xorshift */
uint32_t
ctx_random(struct ctx *ctx, uint32_t n)
{
	ctx->random ^= ctx->random << 13;
	ctx->random ^= ctx->random >> 17;
	ctx->random ^= ctx->random << 5;
	return ((uint32_t)(((uint64_t)ctx->random * n) >> 32));
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

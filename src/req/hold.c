/*
 * hold.c - a list of held keys; it is as long as large writes are many.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "req/hold.h"

struct hold {
	unsigned	 magic;
#define HOLD_MAGIC	0x686f6c64u
	LIST_ENTRY(hold) next;
	struct ctx	*ctx;
	uint64_t	 hash;
	const struct req *owner;	/* NULL: it has ended, and those that wait are being sent */
	STAILQ_HEAD(, req) waiting;	/* by req.follow: they follow nobody */
	size_t		 len;
	char		 key[OP_KEY_MAX];
};

static struct hold *
hold_find(const struct ctx *ctx, struct slice key, uint64_t hash)
{
	struct hold *h;

	LIST_FOREACH(h, &ctx->holds, next)
		if (h->hash == hash && slice_eq(slice_of(h->key, h->len), key))
			return (h);
	return (NULL);
}

bool
hold_has(const struct ctx *ctx, struct slice key, uint64_t hash)
{
	return (UNLIKELY(!LIST_EMPTY(&ctx->holds)) && hold_find(ctx, key, hash) != NULL);
}

bool
hold_waits(struct req *r)
{
	struct hold *h;

	if (LIKELY(LIST_EMPTY(&r->ctx->holds)))
		return (false);
	h = hold_find(r->ctx, r->cmd.op.key, r->cmd.op.hash);
	if (h == NULL || h->owner == r)
		return (false);
	STAILQ_INSERT_TAIL(&h->waiting, r, follow);
	return (true);
}

struct hold *
hold_take(struct req *r)
{
	struct hold *h = hold_find(r->ctx, r->cmd.op.key, r->cmd.op.hash);

	/* What the client says of the whole record is of another key, so nothing more of it is looked at. */
	if (r->space->splits && r->q != NULL && r->weight == 1)
		req_weigh(r, UINT16_MAX);
	if (h != NULL) {
		MUST(h->owner == NULL);
		h->owner = r;
		return (h);
	}
	h = malloc(sizeof *h);
	if (h == NULL)
		return (NULL);
	h->magic = HOLD_MAGIC;
	h->ctx = r->ctx;
	h->hash = r->cmd.op.hash;
	h->owner = r;
	h->len = r->cmd.op.key.len;
	memcpy(h->key, r->cmd.op.key.p, h->len);
	STAILQ_INIT(&h->waiting);
	LIST_INSERT_HEAD(&r->ctx->holds, h, next);
	return (h);
}

void
hold_drop(struct hold **hp, void (*resume)(struct req *))
{
	struct hold *h;
	struct req *r;

	if (*hp == NULL)
		return;
	TAKE_OBJ_NOTNULL(h, hp, HOLD_MAGIC);
	h->owner = NULL;
	while ((r = STAILQ_FIRST(&h->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&h->waiting, follow);
		resume(r);
		if (h->owner != NULL)
			return;
	}
	LIST_REMOVE(h, next);
	h->magic = 0;
	free(h);
}

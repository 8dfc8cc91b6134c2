/*
 * coalesce.c - who may follow whom, and what followers are told.
 *
 * What is shared must be what the follower would have been told had it asked by itself. So no write of the key may
 * have begun in this process since the leader was sent (the fence tells, see route.h): whoever has been told that a key
 * is stored never reads an older value, and neither does a client behind its own set in one pipeline. And both must
 * come to the same request: what a store may refuse to tell (CAS, TTL) fails for those alone who want it.
 *
 * A table by hash with the reqs themselves as links: nothing is allocated, and it holds what is under way.
 */
#include "config.h"

#include "base/check.h"
#include "req/coalesce.h"
#include "req/fill.h"
#include "req/outcome.h"
#include "req/route.h"

/* Chains are as long as clients make them, a look is not. */
#define LOOK_MAX	64

#define PLAIN_OPTS	(OPF_BINKEY | OPF_CLASSIC)
#define PLAIN_WANTS	(OPW_VALUE | OPW_FLAGS | OPW_SIZE | OPW_TTL | OPW_CAS)

static inline bool
is_plain(const struct op *op)
{
	return (op->verb == OP_GET && (op->opts & ~PLAIN_OPTS) == 0 && (op->want & ~PLAIN_WANTS) == 0);
}

/* Of one namespace and key: whether what leader asked for answers this op, and would have failed for it as well. */
static bool
covers(const struct op *leader, const struct op *op)
{
	unsigned has = leader->want;

	/* The size comes with the value. */
	if ((has & OPW_VALUE) != 0)
		has |= OPW_SIZE;
	/* Where the store knows what a classic read is, such a one hears of no marks. */
	if ((leader->opts & ~op->opts & OPF_CLASSIC) != 0)
		return (false);
	return ((op->want & ~has) == 0 && op->order == leader->order && ((op->want ^ has) & OPW_CAS) == 0);
}

bool
coalesce_join(struct req *r)
{
	const struct op *op = &r->cmd.op;
	struct lead_list *l = &r->ctx->leads[op->hash & (NLEADS - 1)];
	unsigned looks = 0;
	struct req *lead;

	if (!is_plain(op) || route_fence_writes(r->fence) != 0)
		return (false);
	LIST_FOREACH(lead, l, lead) {
		if (++looks > LOOK_MAX)
			break;
		if (lead->cmd.op.hash != op->hash || lead->fence != r->fence || lead->space != r->space ||
		    !covers(&lead->be.op, op) || !slice_eq(lead->cmd.op.key, op->key))
			continue;
		STAILQ_INSERT_TAIL(&lead->followers, r, follow);
		METRIC_ADD(&r->ctx->metrics, coalesced, 1);
		NS_ADD(r->space->stats, coalesced);
		return (true);
	}
	/* The newest is found first. */
	LIST_INSERT_HEAD(l, r, lead);
	STAILQ_INIT(&r->followers);
	r->leads = true;
	return (false);
}

void
coalesce_end(struct req *r)
{
	MUST(r->leads);
	if (r->lead.le_prev == NULL)
		return;
	LIST_REMOVE(r, lead);
	r->lead.le_prev = NULL;
}

const struct req *
coalesce_winner(const struct req *r)
{
	bool knows = (r->cmd.op.opts & OPF_CLASSIC) == 0;
	const struct req *f;

	if (knows && r->q != NULL)
		return (r);
	if (r->leads)
		STAILQ_FOREACH(f, &r->followers, follow)
			if ((f->cmd.op.opts & OPF_CLASSIC) == 0 && f->q != NULL)
				return (f);
	return (knows ? r : NULL);
}

/* What many want is sent from one place in memory. */
static void
spread(struct req *r)
{
	struct slice data = r->be.data;

	if (r->value != NULL || data.p == NULL || data.len <= VALUE_COPY_MAX)
		return;
	r->value = value_heap(r->ctx, (uint32_t)data.len);
	if (r->value != NULL)
		fill_copy_in(r->value, data);
}

void
coalesce_tell(struct req *r, const struct req *winner)
{
	struct op_result lost = r->be.res;
	struct req *f;

	if ((lost.bits & OPR_WON) != 0)
		lost.bits ^= OPR_WON | OPR_SENT;
	spread(r);
	outcome_tell(r, &r->be, r == winner ? &r->be.res : &lost, r->value);
	STAILQ_FOREACH(f, &r->followers, follow) {
		f->hold = r->hold;
		outcome_tell(f, &r->be, f == winner ? &r->be.res : &lost, r->value);
	}
}

/*
 * route.h - from a namespace and a key to a backend, and the fences between writes, reads and flushes.
 */
#ifndef REQ_ROUTE_H
#define REQ_ROUTE_H

#include "req/ctx.h"

/* The server of a record; hash is that of its id. */
struct backend	*route_pick(struct pool *, struct slice id, uint64_t hash);
/* What places an op on the ring. */
static inline struct slice
route_place(const struct be_op *op)
{
	return (op->chunk != 0 ? op->place : op->id);
}

/*
 * route_split() sets ns, id, item and op.hash of an op of which op.key is there: what places it is the id alone. The
 * local cache goes by the hash of the whole key, which is the command's.
 */
void		 route_split_item(struct be_op *);

static inline void
route_split(struct be_op *op, const struct conf_ns *ns)
{
	op->ns = ns;
	op->id = op->op.key;
	op->item = SLICE_NULL;
	if (ns->separator_len > 0)
		route_split_item(op);
}

/*
 * What keeps an old value read from a store out of the cache, and from those who ask after a write: coarse (by hash),
 * lock-free, any thread. A fence tells how many writes are under way, and moves with each write's start and end and
 * with every flush.
 */
uint64_t	 route_fence(const struct ctx *, uint64_t hash);
/* A write starts, with the shard's lock held where copies are kept; the fence as it is then. */
uint64_t	 route_fence_enter(struct ctx *, uint64_t hash);
/* It ends, with the lock held likewise if it sets a copy then. */
void		 route_fence_leave(struct ctx *, uint64_t hash);
/* How many writes were under way. */
unsigned	 route_fence_writes(uint64_t fence);
/* One move of a fence. */
#define ROUTE_FENCE_MOVE	((uint64_t)1 << 24)

/*
 * flush_all starts: empties the local cache, at once or after delay seconds (its argument). Local copies go a
 * little earlier than any server's items, whose clocks may be that much ahead.
 */
void		 route_flush_begin(struct ctx *, int32_t delay);
/* A server has answered it. */
void		 route_flush_end(struct ctx *, int32_t delay);
/* Whether a copy of what was asked for at asked_at could outlive a delayed flush. */
bool		 route_flush_crossed(const struct ctx *, uint32_t asked_at, uint32_t exptime);
/* Whether flush_all is to be sent to the pool's servers; whether all namespaces on it are to go. */
bool		 route_flush_reaches(const struct ctx *, const struct pool *);
bool		 route_flush_takes_all(const struct ctx *, const struct pool *);

#endif

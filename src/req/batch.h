/*
 * batch.h - keys of one multi-key read that are asked for together, each server once.
 *
 * A batch is a part of its parent (see parts.h). Loop thread only.
 */
#ifndef REQ_BATCH_H
#define REQ_BATCH_H

#include "req/req.h"

#define BATCH_MAX	64		/* keys */

/* What is to become a batch: on the caller's stack, its keys borrowed. */
struct batch_plan {
	unsigned	 n;
	bool		 plain;		/* no key of the command has a byte that a request line cannot have */
	struct slice	 keys[BATCH_MAX];
	uint64_t	 hash[BATCH_MAX];
	const struct space *space[BATCH_MAX];
};

/* Nothing is planned yet of the command whose keys, all or the rest of them, these are. */
void	batch_begin(struct batch_plan *, struct slice keys);
/*
 * Whether cmd's key (op.key) may be asked for in a batch: the store can do it, and no copy is kept here that would need
 * the item's TTL.
 */
bool	batch_takes(const struct ctx *, const struct batch_plan *, const struct space *, const struct command *);
/* Adds cmd's key; the plan has room. */
void	batch_add(struct batch_plan *, const struct space *, const struct command *);
/* Asks for what is planned, if anything, and empties the plan. False: out of memory. */
bool	batch_ask(struct req *parent, struct batch_plan *);

#endif

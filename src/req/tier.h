/*
 * tier.h - the cache store of a namespace: asked before the primary, told after it.
 *
 *	local cache -> cache store (this) -> primary
 *
 * A read that misses there is sent to the primary, and what that says is put there. A write is known there when the
 * primary has it: until then, and until the cache store has been told, this process does not ask it for the key.
 * Whatever the cache store does not answer well or soon, the primary does. Loop thread only.
 */
#ifndef REQ_TIER_H
#define REQ_TIER_H

#include "req/req.h"

/* Takes a read that is to be sent, if the cache store may answer it; be.done comes as if the primary had. */
bool		 tier_read(struct req *);
/* Before an op of the record is sent to the primary: reads that still wait for the cache store go there first. */
void		 tier_hurry(struct ctx *, uint64_t id_hash);
/*
 * The primary has, or may have, a write of an item, or of any number of items of a record: the cache store is told. key
 * is the item's whole one; known: the outcome is.
 */
void		 tier_wrote(struct ctx *, const struct space *, struct slice key, uint64_t version, bool known);
void		 tier_cut(struct ctx *, const struct space *, struct slice id, bool known);

#endif

/* verb_internal.h - what the verbs share. Lock held throughout. */
#ifndef CACHE_VERB_INTERNAL_H
#define CACHE_VERB_INTERNAL_H

#include "cache/verb.h"

/* Fills res from the item as it is; status OK. */
void	 verb_describe(const struct cache_shard *, const struct item *, struct op_result *);
/* Sets the expiry; *itp may move. False: no memory for it, the item is gone. */
bool	 verb_set_ttl(struct cache_shard *, struct item **itp, uint32_t exp);
/*
 * Walks op->order. it: NULL for one that is being made. Returns the expiry that is to be; *ttl is what t tells, *won is
 * set when N or R wins.
 */
uint32_t verb_walk_order(const struct cache_shard *, const struct op *, const struct item *it, int32_t *ttl, bool *won);
/* E: the client's own CAS for an item just linked. */
void	 verb_relink_cas(struct cache_shard *, struct item *, const struct op *);

#endif

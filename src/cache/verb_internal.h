/* verb_internal.h - what the verbs share. Lock held throughout. */
#ifndef CACHE_VERB_INTERNAL_H
#define CACHE_VERB_INTERNAL_H

#include "cache/verb.h"

/* Fills res from the item as it is; status OK. */
void	 verb_describe(const struct cache_shard *, const struct item *, struct op_result *);
/* Sets the expiry and res->ttl; *itp may move. False: no memory for it, the item is gone. */
bool	 verb_set_ttl(struct cache_shard *, struct item **itp, uint32_t exp, struct op_result *);
/* E: the client's own CAS for an item just linked. */
void	 verb_relink_cas(struct cache_shard *, struct item *, const struct op *);

#endif

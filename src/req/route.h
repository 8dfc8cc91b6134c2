/*
 * route.h - from a namespace and a key to a backend, and the fences between writes, reads and flushes.
 */
#ifndef REQ_ROUTE_H
#define REQ_ROUTE_H

#include "req/ctx.h"

/* The pool of a namespace's primary store, NULL: the local cache is all there is. */
struct pool	*route_pool(struct ctx *, unsigned space);
struct backend	*route_pick(struct pool *, struct slice key, uint64_t hash);

/* cache_fence(), which a flush moves too. */
uint32_t	 route_fence(const struct ctx *, uint64_t hash);

/* Empties the local cache, at once or after delay seconds (as flush_all's argument). */
void		 route_flush_local(struct ctx *, int32_t delay);
/* Whether flush_all is to be sent to the pool's servers. */
bool		 route_flush_reaches(const struct ctx *, const struct pool *);

#endif

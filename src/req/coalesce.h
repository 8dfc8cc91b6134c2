/*
 * coalesce.h - reads of stores that are under way, for others of the same key to follow.
 *
 * A plain read that goes to a store leads; one that comes while it is under way, and wants no more than it asked for,
 * follows: it is answered with the leader's outcome and the store is asked once. Each worker has its own. Loop thread
 * only.
 */
#ifndef REQ_COALESCE_H
#define REQ_COALESCE_H

#include "req/req.h"

/* A read that has its fence, in a namespace that coalesces. True: it follows another; false: it is to be sent. */
bool		 coalesce_join(struct req *);
/*
 * A leader's outcome is there (this may come twice): nobody joins it any more. Its followers, in the order in which
 * they came, stay.
 */
void		 coalesce_end(struct req *);
static inline bool
coalesce_followed(const struct req *r)
{
	return (r->leads && !STAILQ_EMPTY(&r->followers));
}

/* Whose client is to hear of the win that a read took: the first that knows of wins. NULL: nobody. */
const struct req *coalesce_winner(const struct req *);
/* Tells r and its followers of r->be's outcome; winner: only its client has the win. */
void		 coalesce_tell(struct req *, const struct req *winner);

#endif

/*
 * copy.h - local copies of what a store holds: what they know, how long they are true, what reads they answer.
 *
 * A copy's life, where the namespace asks for more than a copy that is there or not:
 *
 *	linked ------ fresh ------> due ---- fresh ----> end of it ---- stale ----> expires
 *	         answers reads       one read of         a miss; answers only       (stale_for)
 *	                             the store renews it   when the store fails
 *	                             (refresh_ahead)
 *
 * A write makes a copy stale at once, a flush removes it. All but the expiry is in the item's note (cache.h). Loop
 * thread only.
 */
#ifndef REQ_COPY_H
#define REQ_COPY_H

#include "req/req.h"

/* What a copy cannot tell makes a read go to the server; so does anything that changes the item. */
#define COPY_WANTS	(OPW_VALUE | OPW_FLAGS | OPW_SIZE)
#define COPY_OPTS	(OPF_BINKEY | OPF_NO_BUMP | OPF_CLASSIC)

/*
 * Answers a read from the local copy if everything it asks for is known there. *out is where the answer went, NULL:
 * it is not known here. False: the client's stream is lost (no memory).
 */
bool	copy_answer(struct ctx *, const struct space *, struct replyq *, struct command *, struct outq **out);
/* The store has failed this read: the copy answers, fresh or not. False: there is none that may. */
bool	copy_answer_stale(struct req *);

/* Seconds that a copy stays after it has ceased to be fresh. */
uint32_t copy_stale_for(const struct conf_ns *);
/*
 * Lock held. As cache_link(), of an item that expires copy_stale_for() after its fresh time. cut: its record's word
 * when it was asked for (cut.h).
 */
void	copy_link(struct ctx *, struct cache_shard *, struct item *, const struct space *, uint64_t cut);
/* Lock held. The same of an empty item: the key is not in the store. */
void	copy_link_negative(struct cache_shard *, struct item *, const struct space *, uint64_t cut);
/* Lock held. It may no longer be true: gone, or, if the namespace has a use for it, stale. */
void	copy_invalidate(struct cache_shard *, struct item *, const struct conf_ns *);
/* Lock held, nothing came of renewing this copy: another read may try. */
void	copy_renew_again(struct ctx *, const struct space *, struct item *);
/* Lock held, of a namespace that splits keys: whether its record was cut since it was asked for. */
bool	copy_is_cut(const struct ctx *, const struct space *, const struct item *, struct slice key);
/* Whether it only says that the key is not there; any lock. */
bool	copy_is_negative(const struct item *);

#endif

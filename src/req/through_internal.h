/*
 * through_internal.h - a request to a store, for through.c, coded.c and oversize.c only.
 */
#ifndef REQ_THROUGH_INTERNAL_H
#define REQ_THROUGH_INTERNAL_H

#include "req/req.h"

/* A req for what the command says, its be_op filled in; a write's fence is entered. NULL: out of memory. */
struct req *through_begin(struct ctx *, const struct space *, struct replyq *, const struct command *);
void	 through_submit(struct req *);
/* Its outcome, in be, is what the client is told and the local cache gets. */
void	 through_done(struct be_op *);
/* All pieces of a value at once (heap): a chain of extents has as many as it has. NULL: out of memory. */
struct iovec *through_pieces(const struct value *, int *n);
/* Gives back what the req and its followers hold, and them. */
void	 through_end(struct req *);

#endif

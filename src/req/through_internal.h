/*
 * through_internal.h - a request to a store, for through.c and oversize.c only.
 */
#ifndef REQ_THROUGH_INTERNAL_H
#define REQ_THROUGH_INTERNAL_H

#include "req/req.h"

/* A req for what the command says, its be_op filled in; a write's fence is entered. NULL: out of memory. */
struct req *through_begin(struct ctx *, const struct space *, struct replyq *, const struct command *);
void	 through_submit(struct req *);
/* Gives back what the req and its followers hold, and them. */
void	 through_end(struct req *);

#endif

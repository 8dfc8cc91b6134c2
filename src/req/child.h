/*
 * child.h - ops that a request sends for itself: reqs without a client, which go to servers as any other. Loop thread
 * only.
 */
#ifndef REQ_CHILD_H
#define REQ_CHILD_H

#include "req/req.h"

/*
 * A req for this op, op.key (longer than OP_KEY_MAX: it outlives the child) and op.hash included, with its be_op filled
 * in but for what a write or a piece has; place (up to COMMAND_OPAQUE_MAX bytes) is kept with it as cmd.opaque.
 * send_op() it, or child_end() it. NULL: out of memory.
 */
struct req	*child_new(struct ctx *, const struct space *, const struct op *, struct slice place, void *owner,
		    void (*done)(struct be_op *));
/* Frees it and its value; from within done(), too. */
void		 child_end(struct req *);

#endif

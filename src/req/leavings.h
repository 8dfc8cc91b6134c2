/*
 * leavings.h - pieces of values that were replaced or deleted, or never came to be named: they get an end.
 *
 * They may be on any server of the store, and nobody waits for it; so they are kept here until it is done, however many
 * they are and whatever fails meanwhile. What is lost is what a process that dies had not done yet. Loop thread only.
 */
#ifndef REQ_LEAVINGS_H
#define REQ_LEAVINGS_H

#include "base/slice.h"
#include "proto/envelope.h"
#include "req/ctx.h"

struct leavings;

/* key: the whole one of the item that had them. */
void		 leavings_add(struct ctx *, const struct conf_ns *, struct slice key, const struct envelope *head);
/* Has the stores of the view tell what they find. False: out of memory. */
bool		 leavings_listen(struct ctx *);
/* When all requests have ended. */
void		 leavings_free(struct ctx *);

#endif

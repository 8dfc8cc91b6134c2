/*
 * local.h - namespaces that live in the local cache alone: ops are carried out at once.
 *
 * What kvgate is without a store behind it. All return false when the client's stream is lost (no memory).
 */
#ifndef REQ_LOCAL_H
#define REQ_LOCAL_H

#include "proto/command.h"
#include "req/ctx.h"

/* Any op but OP_STORE. */
bool	local_run(struct ctx *, struct ns_stats *, struct outq *, struct command *);
/* OP_STORE with its body at hand. */
bool	local_store(struct ctx *, struct ns_stats *, struct outq *, struct command *, struct slice body);
/* An item for the body of an OP_STORE, to be filled and given to local_store_item(). NULL with *why. */
struct item *local_reserve(struct ctx *, const struct command *, enum cache_err *why);
/* OP_STORE whose body was read into a reserved item; takes the item. */
bool	local_store_item(struct ctx *, struct ns_stats *, struct outq *, struct command *, struct item *);
/* OP_STORE for which there is no room: answers and does what memcached does to the old value. */
bool	local_store_refused(struct ctx *, struct outq *, struct command *, enum cache_err);

#endif

/*
 * through.h - namespaces with a store behind them: route, ask, fill, answer.
 *
 * Loop thread only. All return false when the client's stream is lost (no memory).
 */
#ifndef REQ_THROUGH_H
#define REQ_THROUGH_H

#include "req/req.h"

/* Any op without a body. parent: the multi-key read whose part this is, else NULL. */
bool	through_run(struct ctx *, const struct space *, struct replyq *, struct command *, struct req *parent);
/* Reads the key of this read again for its local copy alone; nobody waits. */
void	through_renew(struct ctx *, const struct space *, const struct command *);
/* OP_STORE; body is copied before this returns. */
bool	through_store(struct ctx *, const struct space *, struct replyq *, struct command *, struct slice body);
/* OP_STORE whose large body was read into v; takes the caller's reference. */
bool	through_store_value(struct ctx *, const struct space *, struct replyq *, struct command *, struct value *v);
/* Memory for a body of op.vlen: a reserved item where a local copy may stay, else heap. NULL: none to be had. */
struct value	*through_body(struct ctx *, const struct space *, const struct command *);
/*
 * Whether the value of an OP_STORE is too large: of an item, or, where the store would not say so itself, for a
 * memcached. Then through_refuse() answers, and does what memcached does to the old value.
 */
bool	through_too_large(const struct ctx *, const struct space *, const struct command *);
bool	through_refuse(struct ctx *, const struct space *, struct replyq *, struct command *);
/* Milliseconds that the mark of a delete stays: delete_ttl, more or less. */
uint32_t through_keep_dead(struct ctx *, const struct conf_ns *);
/* Whether any namespace has a store: multi-key reads need a parent then. */
bool	through_any(const struct ctx *);

#endif

/*
 * version.h - versions and tokens of writes to item namespaces.
 *
 * A write's version is made here, or is the time of the client's token (E, with the nonce P), where the namespace takes
 * tokens: struct space.tokens. Tokens are judged by the wall clock, once, before anything is done.
 */
#ifndef REQ_VERSION_H
#define REQ_VERSION_H

#include "proto/command.h"
#include "req/ctx.h"

/* Microseconds since the epoch. */
uint64_t	 version_clock(void);
/*
 * Makes E and P of ms, md and ma the command's token: OPF_TOKEN instead of OPF_NEWCAS, op.newcas its time, token_nonce.
 * Only where the namespace takes tokens and while the parse is valid. NULL: good; else what to answer.
 */
const char	*version_token(const struct space *, struct command *);
/* A token of this time is to be used. NULL: good; else what to answer. */
const char	*space_token_accept(const struct space *, uint64_t time);
/* The store has given a write a version of its own, above what it replaced: deletes of many are above that, too. */
void		 space_version_seen(const struct space *, uint64_t version);
/* A version above every one that was made here or came as a token to this namespace, for what deletes many items. */
uint64_t	 space_version_above(struct ctx *, const struct space *);

/*
 * A view's stores and namespaces are about to be used: what is made from now on is above what the stores have, and
 * tokens are remembered over reloads. False: out of memory.
 */
bool		 version_attach(struct shared *, struct view *);
/* At the end of all. */
void		 version_detach(struct shared *);

#endif

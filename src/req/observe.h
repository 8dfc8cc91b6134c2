/*
 * observe.h - what somebody wants to know about commands one by one: `stats detail`, `watch`.
 *
 * shared.observe says what is wanted; while it is 0 a command pays one load and one branch that is never taken.
 */
#ifndef REQ_OBSERVE_H
#define REQ_OBSERVE_H

#include "base/check.h"
#include "proto/command.h"
#include "req/ctx.h"

#define OBSERVE_DETAIL		(1u << 0)
#define OBSERVE_FETCHERS	(1u << 1)
#define OBSERVE_MUTATIONS	(1u << 2)
#define OBSERVE_DELETIONS	(1u << 3)
#define OBSERVE_CONNEVENTS	(1u << 4)
#define OBSERVE_EVICTIONS	(1u << 5)
#define OBSERVE_RAWCMDS		(1u << 6)
#define OBSERVE_SYSEVENTS	(1u << 7)
#define OBSERVE_WATCHED		(~OBSERVE_DETAIL)

static inline unsigned
observed(const struct ctx *ctx)
{
	return (atomic_load_explicit(&ctx->shared->observe,
	    memory_order_relaxed));
}

/* Out of line, for when observed() is not 0. fd is the client's; any lock may be held. */
void	observe_get(struct ctx *, int fd, const struct command *, bool hit, const struct op_result *);
void	observe_store(struct ctx *, int fd, const struct command *, enum op_status);
/*
 * What a write finds before it changes it, which memcached tells fetchers too; returns the value's size for
 * observe_delete(). No lock is held.
 */
uint32_t observe_lookup(struct ctx *, int fd, const struct command *);
/* A store that was refused for want of room. */
void	observe_refused(struct ctx *, int fd, const struct command *, bool too_large);
void	observe_delete(struct ctx *, int fd, const struct command *, bool hit, uint32_t size);
/* cache_conf.evicted, arg is the struct shared. */
void	observe_evicted(void *arg, const struct cache_shard *, const struct item *);

#endif

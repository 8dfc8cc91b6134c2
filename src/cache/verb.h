/*
 * verb.h - memcached's verbs on the local cache: each one atomic under its shard's lock.
 *
 * This is what kvgate is when nothing stands behind it; semantics are memcached 1.6.45's, stale and win flags,
 * CAS rules and all. Any thread.
 */
#ifndef CACHE_VERB_H
#define CACHE_VERB_H

#include "cache/cache.h"
#include "proto/op.h"

/* Seconds of a client (0 never, negative expired, relative up to 30 days, else unix time) to the cache's clock. */
uint32_t	 verb_exptime(const struct cache *, int32_t ttl);
void		 verb_set_start(struct cache *, int64_t unix_time_at_clock_zero);

/*
 * OP_GET with all of mg's options. On a hit the shard stays LOCKED and is returned with *itp set, so that the
 * caller copies or pins the value and then calls cache_unlock(). NULL: a miss (res->status OP_MISS) or an error.
 */
struct cache_shard *verb_get(struct cache *, const struct op *, struct op_result *, struct item **itp);

/*
 * OP_STORE: it was reserved with the op's key and filled; ownership passes, whatever the outcome. res->cas and
 * res->size are those of what is stored.
 */
void		 verb_store(struct cache *, const struct op *, struct item *it, struct op_result *);
/* What memcached does when a body was too large or memory is short: set and ms lose the old value. */
void		 verb_store_failed(struct cache *, const struct op *);

void		 verb_delete(struct cache *, const struct op *, struct op_result *);
/* res->number is the new value; res->ttl and res->cas too. OP_ERROR for what is not a number. */
void		 verb_arith(struct cache *, const struct op *, struct op_result *);
/* res->error is the text after "ME <key> " written into buf. */
void		 verb_debug(struct cache *, const struct op *, struct op_result *, char *buf, size_t len);

#endif

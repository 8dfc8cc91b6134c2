/*
 * ring.h - which server has a key: all distributions behind one function.
 *
 * Build once, then read-only: any thread may call ring_pick() on a built ring, unless ring_shared() says
 * otherwise (libmemcached's placement is computed by libmemcached, one object per thread; random keeps its
 * state).
 */
#ifndef ROUTE_RING_H
#define ROUTE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct conf_store;
struct ring;

/* Most servers of one store. */
#define RING_SERVERS_MAX	4096

/*
 * Copies what it needs. NULL with *why set (a static string): out of memory, unknown hash, too many servers
 * or too large weights, libmemcached refused.
 */
struct ring	*ring_new(const struct conf_store *, const char **why);
/* Frees and sets *ringp to NULL; a NULL ring is fine. */
void		 ring_free(struct ring **ringp);
/*
 * Index into the store's servers. Never fails. hash is XXH3-64 of the whole key (hash_xxh3(), what the
 * local cache uses too): the distributions with hash = xxh3 and no tag in the key use it as it is, others
 * hash the key themselves.
 */
size_t		 ring_pick(struct ring *, struct slice key, uint64_t hash);
/*
 * The n-th choice for the key among distinct servers (0: ring_pick()); what failover and replicas walk.
 * Keys of healthy servers never move. Returns the number of servers when there are no more. With random,
 * the choices are distinct from the latest ring_pick()'s.
 */
size_t		 ring_pick_nth(struct ring *, struct slice key, uint64_t hash, size_t n);
/* Whether one ring may serve several threads. */
bool		 ring_shared(const struct ring *);

#endif

/*
 * ring_impl.h - what ring.c and the families of distributions share; nobody else includes it.
 *
 * A family is one file: ring_points.c (points on a circle), ring_buckets.c (a number modulo something),
 * ring_libmemcached.c (what libmemcached says). Each allocates a struct that begins with struct ring.
 */
#ifndef ROUTE_RING_IMPL_H
#define ROUTE_RING_IMPL_H

#include "conf/model.h"
#include "route/hash.h"
#include "route/ring.h"

/*
 * The key is without what lies outside its hash tag; the hash is the store's hash of that. At least two
 * servers.
 */
struct ring_ops {
	size_t	(*pick)(struct ring *, struct slice key, uint64_t hash);
	/* n > 0; the number of servers: no more. */
	size_t	(*nth)(struct ring *, struct slice key, uint64_t hash, size_t n);
	void	(*free)(struct ring *);
	bool	 shared;
};

struct ring {
	unsigned	 magic;
#define RING_MAGIC	0x71a9c0de
	unsigned	 nservers;
	const struct ring_ops *ops;
	hash_f		*hash;		/* NULL: xxh3 */
	char		 tag[2];	/* 0: none */
};

/* Each NULL with *why set when it fails. ring->hash and ring->tag are set by the caller afterwards. */
struct ring	*ring_new_ketama(const struct conf_store *, bool xxh3, const char **why);
struct ring	*ring_new_twemproxy(const struct conf_store *, const char **why);
struct ring	*ring_new_buckets(const struct conf_store *, const char **why);
struct ring	*ring_new_libmemcached(const struct conf_store *, const char **why);

/* Longest name of a server, with what comes behind it. */
#define RING_NAME_MAXLEN	512
/*
 * The name by which twemproxy knows a server (its alias; a path; the host, and its port unless that is
 * 11211 and hide_port is set), NUL-terminated; its length, 0: too long.
 */
size_t	ring_put_name(char dst[RING_NAME_MAXLEN], const struct conf_server *, bool hide_port);
/*
 * twemproxy sorts its servers by name, shorter names first. Fills order[] with the indices of the store's
 * servers in that order; false with *why set.
 */
bool	ring_sort_twemproxy(const struct conf_store *, uint16_t *order, const char **why);

/* Which servers a walk has met. */
struct ring_seen {
	uint64_t	 bits[RING_SERVERS_MAX / 64];
};

static inline bool
ring_seen_add(struct ring_seen *seen, size_t server)
{
	uint64_t bit = (uint64_t)1 << (server & 63);
	bool fresh = !(seen->bits[server >> 6] & bit);

	seen->bits[server >> 6] |= bit;
	return (fresh);
}

/* One step of splitmix64: spreads every bit of x over all 64. */
static inline uint64_t
ring_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (x ^ (x >> 31));
}

/*
 * The n-th distinct server for families without an order of their own: hashes the hash again and asks
 * probe, until n others than first have come up.
 */
size_t	ring_nth_by_rehash(struct ring *, size_t first, uint64_t hash, size_t n,
	    size_t (*probe)(struct ring *, uint64_t hash));

#endif

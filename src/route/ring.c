/*
 * ring.c - the part of placement that all distributions share: hash tags, the store's hash, the choice of
 * the family.
 *
 * A ring never changes: a server that is down keeps its place, and its keys walk on by ring_pick_nth(), so
 * that no key of a healthy server moves.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "route/ring_impl.h"

static bool
is_xxh3(const struct conf_store *store)
{
	if (store->hash != NULL)
		return (strcmp(store->hash, "xxh3") == 0);
	return (store->dist != DIST_TWEMPROXY_KETAMA && store->dist != DIST_TWEMPROXY_MODULA);
}

static struct ring *
new_by_dist(const struct conf_store *store, const char **why)
{
	switch (store->dist) {
	case DIST_KETAMA:
		return (ring_new_ketama(store, is_xxh3(store), why));
	case DIST_TWEMPROXY_KETAMA:
		return (ring_new_twemproxy(store, why));
	case DIST_JUMP:
	case DIST_MODULA:
	case DIST_TWEMPROXY_MODULA:
	case DIST_RANDOM:
		return (ring_new_buckets(store, why));
	case DIST_LIBMEMCACHED:
	case DIST_LIBMEMCACHED_KETAMA:
	case DIST_LIBMEMCACHED_KETAMA_WEIGHTED:
		return (ring_new_libmemcached(store, why));
	}
	*why = "unknown distribution";
	return (NULL);
}

/* libmemcached hashes inside; what it calls by a name is its business. */
static hash_f *
hash_outside(const struct conf_store *store)
{
	switch (store->dist) {
	case DIST_LIBMEMCACHED:
	case DIST_LIBMEMCACHED_KETAMA:
	case DIST_LIBMEMCACHED_KETAMA_WEIGHTED:
		return (NULL);
	default:
		if (is_xxh3(store))
			return (NULL);
		return (hash_find(store->hash == NULL ? "fnv1a_64" : store->hash));
	}
}

struct ring *
ring_new(const struct conf_store *store, const char **why)
{
	struct ring *r;

	if (store->nservers == 0 || store->nservers > RING_SERVERS_MAX) {
		*why = store->nservers == 0 ? "a store needs a server" : "too many servers";
		return (NULL);
	}
	if (store->hash != NULL && hash_find(store->hash) == NULL) {
		*why = "unknown hash";
		return (NULL);
	}
	r = new_by_dist(store, why);
	if (r == NULL)
		return (NULL);
	r->magic = RING_MAGIC;
	r->nservers = store->nservers;
	r->hash = hash_outside(store);
	memcpy(r->tag, store->hash_tag, sizeof(r->tag));
	return (r);
}

void
ring_free(struct ring **ringp)
{
	struct ring *r;

	if (*ringp == NULL)
		return;
	TAKE_OBJ_NOTNULL(r, ringp, RING_MAGIC);
	r->magic = 0;
	r->ops->free(r);
}

/*
 * What is between the first opening byte and the next closing one, if there is something; else the whole
 * key.
 */
static struct slice
cut_tag(const struct ring *r, struct slice key)
{
	const char *end = key.p + key.len;
	const char *open = memchr(key.p, r->tag[0], key.len);
	const char *close = open == NULL ? NULL : memchr(open + 1, r->tag[1], (size_t)(end - open - 1));

	if (close == NULL || close == open + 1)
		return (key);
	return (slice_of(open + 1, (size_t)(close - open - 1)));
}

static inline struct slice
key_part(const struct ring *r, struct slice key, uint64_t *hash)
{
	struct slice part = key;

	if (UNLIKELY(r->tag[0] != 0))
		part = cut_tag(r, key);
	if (r->hash != NULL)
		*hash = r->hash(part);
	else if (UNLIKELY(part.len != key.len))
		*hash = hash_xxh3(part);
	return (part);
}

size_t
ring_pick(struct ring *r, struct slice key, uint64_t hash)
{
	if (r->nservers == 1)
		return (0);
	key = key_part(r, key, &hash);
	return (r->ops->pick(r, key, hash));
}

size_t
ring_pick_nth(struct ring *r, struct slice key, uint64_t hash, size_t n)
{
	if (n >= r->nservers)
		return (r->nservers);
	if (n == 0)
		return (ring_pick(r, key, hash));
	key = key_part(r, key, &hash);
	return (r->ops->nth(r, key, hash, n));
}

bool
ring_shared(const struct ring *r)
{
	return (r->ops->shared || r->nservers == 1);
}

size_t
ring_nth_by_rehash(struct ring *r, size_t first, uint64_t hash, size_t n,
    size_t (*probe)(struct ring *, uint64_t hash))
{
	struct ring_seen seen = { 0 };
	size_t server;

	ring_seen_add(&seen, first);
	for (size_t i = 0; i < (size_t)r->nservers * 8; i++) {
		hash = ring_mix(hash);
		server = probe(r, hash);
		if (ring_seen_add(&seen, server) && --n == 0)
			return (server);
	}
	/* The rest are so light that chance does not find them: in order, beginning somewhere. */
	for (size_t i = 0; i < r->nservers; i++) {
		server = (hash % r->nservers + i) % r->nservers;
		if (ring_seen_add(&seen, server) && --n == 0)
			return (server);
	}
	return (r->nservers);
}

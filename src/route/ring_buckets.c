/*
 * ring_buckets.c - jump, modula and random: the servers in a row, each as often as it weighs, and a number
 * that says which.
 *
 * Growth: with jump, a server added at the end of the list (or more weight for the last one) takes its
 * share from all others and moves no other key; a change anywhere before the end shifts the row and moves
 * most. With modula every change moves most keys; twemproxy-modula is the same with the row in twemproxy's
 * order, by name. random chooses anew for each request, by weight.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "route/ring_impl.h"

#define BUCKETS_MAX	CONF_WEIGHTS_BUCKETS

struct buckets {
	struct ring	 ring;
	uint32_t	 n;
	uint64_t	 state;		/* random's generator */
	size_t		 latest;	/* random's choice */
	uint16_t	 servers[];	/* bucket -> server */
};

/*
 * Lamping and Veach, "A fast, minimal memory, consistent hash algorithm": the bucket of a key is where its
 * last jump before n landed; jumps are drawn from a generator seeded with the key.
 */
static inline uint32_t
jump(uint64_t key, uint32_t n)
{
	int64_t landed = -1, next = 0;

	while (next < n) {
		landed = next;
		key = key * 2862933555777941757u + 1;
		next = (int64_t)((double)(landed + 1) *
		    ((double)((int64_t)1 << 31) / (double)((key >> 33) + 1)));
	}
	return ((uint32_t)landed);
}

static size_t
probe_jump(struct ring *r, uint64_t hash)
{
	const struct buckets *b = CONTAINER_OF(r, struct buckets, ring);

	return (b->servers[jump(hash, b->n)]);
}

static size_t
pick_jump(struct ring *r, struct slice key, uint64_t hash)
{
	(void)key;
	return (probe_jump(r, hash));
}

static size_t
nth_jump(struct ring *r, struct slice key, uint64_t hash, size_t n)
{
	(void)key;
	return (ring_nth_by_rehash(r, probe_jump(r, hash), hash, n, probe_jump));
}

static size_t
probe_modula(struct ring *r, uint64_t hash)
{
	const struct buckets *b = CONTAINER_OF(r, struct buckets, ring);

	return (b->servers[hash % b->n]);
}

static size_t
pick_modula(struct ring *r, struct slice key, uint64_t hash)
{
	(void)key;
	return (probe_modula(r, hash));
}

static size_t
nth_modula(struct ring *r, struct slice key, uint64_t hash, size_t n)
{
	(void)key;
	return (ring_nth_by_rehash(r, probe_modula(r, hash), hash, n, probe_modula));
}

static size_t
pick_random(struct ring *r, struct slice key, uint64_t hash)
{
	struct buckets *b = CONTAINER_OF(r, struct buckets, ring);

	(void)key;
	/* the request's own hash goes in, so that rings of several threads do not march in step */
	b->state = ring_mix(b->state ^ hash);
	b->latest = probe_modula(r, b->state);
	return (b->latest);
}

static size_t
nth_random(struct ring *r, struct slice key, uint64_t hash, size_t n)
{
	const struct buckets *b = CONTAINER_OF(r, struct buckets, ring);

	(void)key;
	return (ring_nth_by_rehash(r, b->latest, hash, n, probe_modula));
}

static void
buckets_free(struct ring *r)
{
	free(CONTAINER_OF(r, struct buckets, ring));
}

static const struct ring_ops ops_jump = { pick_jump, nth_jump, buckets_free, true };
static const struct ring_ops ops_modula = { pick_modula, nth_modula, buckets_free, true };
static const struct ring_ops ops_random = { pick_random, nth_random, buckets_free, false };

/* The servers in the order of the row. */
static bool
put_in_order(const struct conf_store *store, uint16_t *order, const char **why)
{
	if (store->dist == DIST_TWEMPROXY_MODULA)
		return (ring_sort_twemproxy(store, order, why));
	for (unsigned i = 0; i < store->nservers; i++)
		order[i] = (uint16_t)i;
	return (true);
}

struct ring *
ring_new_buckets(const struct conf_store *store, const char **why)
{
	uint16_t order[RING_SERVERS_MAX];
	struct buckets *b;
	uint64_t n = 0;

	if (!put_in_order(store, order, why))
		return (NULL);
	for (unsigned i = 0; i < store->nservers; i++)
		n += store->servers[i].weight;
	if (n > BUCKETS_MAX) {
		*why = "the weights of all servers are more than 1048576 together";
		return (NULL);
	}
	b = calloc(1, sizeof(*b) + n * sizeof(b->servers[0]));
	if (b == NULL) {
		*why = "out of memory";
		return (NULL);
	}
	b->ring.ops = store->dist == DIST_JUMP ? &ops_jump :
	    store->dist == DIST_RANDOM ? &ops_random : &ops_modula;
	b->state = (uintptr_t)b;
	for (unsigned i = 0; i < store->nservers; i++)
		for (unsigned w = 0; w < store->servers[order[i]].weight; w++)
			b->servers[b->n++] = order[i];
	return (&b->ring);
}

/*
 * ring_libmemcached.c - placement computed by libmemcached itself, so that a fleet filled by its clients
 * stays warm.
 *
 * The only file that knows memcached_st. It is never connected: servers are added and
 * memcached_generate_hash() is asked. Not shared between threads, since the library does not promise that
 * the call leaves the object alone.
 */
#include "config.h"

#include <stdlib.h>

#include <libmemcached/memcached.h>

#include "base/check.h"
#include "route/ring_impl.h"

struct lm {
	struct ring	 ring;
	memcached_st	*mc;
};

static const struct {
	const char	*name;
	memcached_hash_t id;
} lm_hashes[] = {
	{ "md5",		MEMCACHED_HASH_MD5 },
	{ "crc32",		MEMCACHED_HASH_CRC },
	{ "fnv1_64",		MEMCACHED_HASH_FNV1_64 },
	{ "fnv1a_64",		MEMCACHED_HASH_FNV1A_64 },
	{ "fnv1_32",		MEMCACHED_HASH_FNV1_32 },
	{ "fnv1a_32",		MEMCACHED_HASH_FNV1A_32 },
	{ "hsieh",		MEMCACHED_HASH_HSIEH },
	{ "murmur",		MEMCACHED_HASH_MURMUR },
	{ "murmur3",		MEMCACHED_HASH_MURMUR3 },
	{ "jenkins",		MEMCACHED_HASH_JENKINS },
	{ "one_at_a_time",	MEMCACHED_HASH_DEFAULT },
};

static size_t
lm_pick(struct ring *r, struct slice key, uint64_t hash)
{
	struct lm *lm = CONTAINER_OF(r, struct lm, ring);
	uint32_t at = memcached_generate_hash(lm->mc, key.p, key.len);

	(void)hash;
	return (LIKELY(at < r->nservers) ? at : 0);
}

/* The library tells only the first choice: the others are those of keys made of the hash. */
static size_t
lm_probe(struct ring *r, uint64_t hash)
{
	return (lm_pick(r, slice_of((const char *)&hash, sizeof(hash)), hash));
}

static size_t
lm_nth(struct ring *r, struct slice key, uint64_t hash, size_t n)
{
	return (ring_nth_by_rehash(r, lm_pick(r, key, hash), hash, n, lm_probe));
}

static void
lm_free(struct ring *r)
{
	struct lm *lm = CONTAINER_OF(r, struct lm, ring);

	if (lm->mc != NULL)
		memcached_free(lm->mc);
	free(lm);
}

static const struct ring_ops lm_ops = { lm_pick, lm_nth, lm_free, false };

static bool
set_hash(memcached_st *mc, const char *name)
{
	for (size_t i = 0; i < NITEMS(lm_hashes); i++)
		if (strcmp(lm_hashes[i].name, name) == 0)
			return (memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_HASH, lm_hashes[i].id) ==
			    MEMCACHED_SUCCESS);
	return (false);
}

static bool
add_server(memcached_st *mc, const struct conf_server *s)
{
	if (s->path != NULL)
		return (memcached_server_add_unix_socket_with_weight(mc, s->path, s->weight) ==
		    MEMCACHED_SUCCESS);
	return (memcached_server_add_with_weight(mc, s->host, s->port, s->weight) == MEMCACHED_SUCCESS);
}

static const char *
set_up(memcached_st *mc, const struct conf_store *store)
{
	memcached_return_t rc = MEMCACHED_SUCCESS;

	if (store->dist == DIST_LIBMEMCACHED_KETAMA)
		rc = memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_KETAMA, 1);
	else if (store->dist == DIST_LIBMEMCACHED_KETAMA_WEIGHTED)
		rc = memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
	if (rc != MEMCACHED_SUCCESS)
		return ("libmemcached refused the distribution");
	/* after the distribution, which sets md5 */
	if (store->hash != NULL && !set_hash(mc, store->hash))
		return ("libmemcached does not have that hash");
	for (unsigned i = 0; i < store->nservers; i++)
		if (!add_server(mc, &store->servers[i]))
			return ("libmemcached refused a server");
	return (NULL);
}

struct ring *
ring_new_libmemcached(const struct conf_store *store, const char **why)
{
	struct lm *lm = calloc(1, sizeof(*lm));

	if (lm != NULL)
		lm->mc = memcached_create(NULL);
	if (lm == NULL || lm->mc == NULL) {
		*why = "out of memory";
		free(lm);
		return (NULL);
	}
	lm->ring.ops = &lm_ops;
	*why = set_up(lm->mc, store);
	if (*why != NULL) {
		lm_free(&lm->ring);
		return (NULL);
	}
	return (&lm->ring);
}

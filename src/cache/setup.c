/*
 * setup.c - a cache's memory laid out: how many shards and slabs of which size, and address space for more.
 *
 * Nothing is touched before it is used, so an empty cache is small; address space is taken for GROWTH times -m so that
 * cache_memlimit can raise it.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cache/internal.h"

#define MIB		(1024u * 1024u)
#define SLAB_MIN	(64u * 1024u)
#define SLAB_MAX	MIB
#define SLABS_PER_SHARD	256u
#define SHARD_MIN	(4u * MIB)
#define MEM_MIN		MIB
#define SHARDS_MAX	256u
#define GROWTH		8u
#define INDEX_FIRST	256u		/* buckets; what index.c takes at once */

static void *
reserve_space(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (p == MAP_FAILED ? NULL : p);
}

static void
choose_sizes(struct cache *c)
{
	const struct cache_conf *cf = &c->conf;
	unsigned want = cf->threads * 4 > 16 ? cf->threads * 4 : 16;

	for (c->nshards = 1; c->nshards < want && c->nshards < SHARDS_MAX && cf->mem / (c->nshards * 2) >= SHARD_MIN;)
		c->nshards *= 2;
	for (c->slab_size = SLAB_MIN; c->slab_size < SLAB_MAX &&
	    cf->mem / c->nshards / (c->slab_size * 2) >= SLABS_PER_SHARD;)
		c->slab_size *= 2;
	c->slab_shift = (unsigned)__builtin_ctz(c->slab_size);
	c->split_min = c->slab_size / 32;
}

static void
spaces_free(struct cache *c)
{
	if (c->arena != NULL)
		(void)munmap(c->arena, c->arena_len);
	if (c->slabs != NULL)
		(void)munmap(c->slabs, c->slabs_len);
	if (c->index_base != NULL)
		(void)munmap(c->index_base, c->index_len);
	if (c->ghost_base != NULL)
		(void)munmap(c->ghost_base, c->ghost_len);
	c->arena = NULL;
	c->slabs = NULL;
	c->index_base = NULL;
	c->ghost_base = NULL;
}

static bool
spaces_take(struct cache *c, size_t times)
{
	size_t per_shard = c->slab_size;

	c->arena_len = (c->conf.mem * times / c->slab_size + 1) * c->slab_size;
	c->pool.nslabs = (uint32_t)(c->arena_len / c->slab_size);
	c->slabs_len = c->pool.nslabs * sizeof(struct slab);
	while (per_shard < c->arena_len / c->nshards / 4)
		per_shard *= 2;
	c->index_len = per_shard * c->nshards;
	c->ghost_len = c->index_len / BUCKET_SLOTS;
	c->arena = reserve_space(c->arena_len);
	c->slabs = reserve_space(c->slabs_len);
	c->index_base = reserve_space(c->index_len);
	c->ghost_base = reserve_space(c->ghost_len);
	if (c->arena != NULL && c->slabs != NULL && c->index_base != NULL && c->ghost_base != NULL)
		return (true);
	spaces_free(c);
	return (false);
}

static void
shard_init(struct cache *c, unsigned i)
{
	struct cache_shard *s = &c->shards[i];
	size_t buckets = c->index_len / sizeof(struct bucket) / c->nshards;

	s->magic = SHARD_MAGIC;
	s->c = c;
	s->arena = c->arena;
	s->index = c->index_base + i * buckets;
	s->ghosts = c->ghost_base + i * buckets;
	s->index_max = (uint32_t)(buckets < UINT32_MAX / 2 ? buckets : UINT32_MAX / 2);
	s->index_cap = INDEX_FIRST;
	atomic_init(&s->nbuckets, 64);
	s->now = 2;
	for (unsigned st = 0; st < NSTREAMS; st++)
		s->open[st] = SLAB_NONE;
	for (unsigned q = 0; q < NQUEUES; q++)
		s->queue[q].head = s->queue[q].tail = SLAB_NONE;
	s->big.head = s->big.tail = s->spare.head = s->spare.tail = SLAB_NONE;
	s->victim = SLAB_NONE;
}

static const char *
refusal(const struct cache_conf *cf)
{
	if (cf->mem < MEM_MIN)
		return ("the cache needs at least 1 megabyte (-m 1)");
	if (cf->item_max > cf->mem / 2)
		return ("the largest item (-I) may take at most half of the memory (-m)");
	if (cf->item_max > 1u << 30)
		return ("the largest item (-I) may be at most 1 gigabyte (-I 1024m)");
	if (cf->item_max < 1024)
		return ("the largest item (-I) must be at least 1 kilobyte (-I 1k)");
	return (NULL);
}

struct cache *
cache_new(const struct cache_conf *cf, const char **why)
{
	struct cache *c;

	if ((*why = refusal(cf)) != NULL)
		return (NULL);
	*why = "not enough memory for the cache";
	if ((c = aligned_alloc(CACHE_LINE, sizeof *c)) == NULL)
		return (NULL);
	memset(c, 0, sizeof *c);
	c->magic = CACHE_MAGIC;
	c->conf = *cf;
	choose_sizes(c);
	c->shards = aligned_alloc(CACHE_LINE, c->nshards * sizeof *c->shards);
	if (c->shards == NULL || (!spaces_take(c, GROWTH) && !spaces_take(c, 1))) {
		free(c->shards);
		free(c);
		return (NULL);
	}
	if (cf->large_pages)
		(void)madvise(c->arena, c->arena_len, MADV_HUGEPAGE);
	memset(c->shards, 0, c->nshards * sizeof *c->shards);
	for (unsigned i = 0; i < c->nshards; i++)
		shard_init(c, i);
	c->pool.warm = c->pool.cold = SLAB_NONE;
	atomic_init(&c->pool.reserve, c->nshards);
	atomic_init(&c->pool.limit, cf->mem);
	atomic_init(&c->pool.used, cf->mem / c->slab_size * sizeof(struct slab) +
	    c->nshards * (size_t)INDEX_FIRST * (sizeof(struct bucket) + sizeof(uint64_t)));
	atomic_init(&c->small_percent, 10);
	atomic_init(&c->now, 2);
	atomic_init(&c->next_cas, 1);
	*why = NULL;
	return (c);
}

void
cache_free(struct cache **cp)
{
	struct cache *c;

	if (*cp == NULL)
		return;
	TAKE_OBJ_NOTNULL(c, cp, CACHE_MAGIC);
	c->magic = 0;
	spaces_free(c);
	free(c->shards);
	free(c);
}

bool
cache_set_mem(struct cache *c, size_t mem)
{
	if (mem < MEM_MIN || mem > c->arena_len || c->conf.item_max > mem / 2 ||
	    mem / c->nshards < 8 * (size_t)c->slab_size)
		return (false);
	atomic_store_explicit(&c->pool.limit, mem, memory_order_relaxed);
	return (true);
}

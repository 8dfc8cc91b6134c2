/*
 * slab.c - who holds which slab: the pool, lists, pins and retirement.
 *
 * The pool counts every byte that has memory behind it against -m: slabs, index, tables. A slab that comes back while
 * more is in use than -m allows, or while the index wants memory, goes back to the system.
 */
#include "config.h"

#include <string.h>
#include <sys/mman.h>

#include "cache/internal.h"

void
list_push(struct cache *c, struct slab_list *l, uint32_t no)
{
	struct slab *sl = &c->slabs[no];

	sl->next = SLAB_NONE;
	sl->prev = l->tail;
	if (l->tail != SLAB_NONE)
		c->slabs[l->tail].next = no;
	else
		l->head = no;
	l->tail = no;
	l->n++;
}

void
list_remove(struct cache *c, struct slab_list *l, uint32_t no)
{
	struct slab *sl = &c->slabs[no];

	if (sl->prev != SLAB_NONE)
		c->slabs[sl->prev].next = sl->next;
	else
		l->head = sl->next;
	if (sl->next != SLAB_NONE)
		c->slabs[sl->next].prev = sl->prev;
	else
		l->tail = sl->prev;
	l->n--;
}

static uint64_t
pool_used(const struct pool *p)
{
	return (atomic_load_explicit(&p->used, memory_order_relaxed));
}

static uint64_t
pool_limit(const struct pool *p)
{
	return (atomic_load_explicit(&p->limit, memory_order_relaxed));
}

bool
pool_over(const struct cache *c)
{
	return (pool_used(&c->pool) > pool_limit(&c->pool));
}

static uint32_t
pop(struct cache *c, uint32_t *stack)
{
	uint32_t no = *stack;

	if (no != SLAB_NONE)
		*stack = c->slabs[no].next;
	return (no);
}

static void
push(struct cache *c, uint32_t *stack, uint32_t no)
{
	c->slabs[no].next = *stack;
	*stack = no;
}

static uint32_t
take_locked(struct cache *c, bool last)
{
	struct pool *p = &c->pool;
	uint64_t room = pool_limit(p) > pool_used(p) ? pool_limit(p) - pool_used(p) : 0;
	uint32_t no;

	if (p->nwarm + (room >> c->slab_shift) <= (last ? 0 : p->reserve))
		return (SLAB_NONE);
	if ((no = pop(c, &p->warm)) != SLAB_NONE) {
		p->nwarm--;
		return (no);
	}
	if ((no = pop(c, &p->cold)) == SLAB_NONE) {
		if (p->fresh == p->nslabs)
			return (SLAB_NONE);
		no = p->fresh++;
	}
	p->used += c->slab_size;
	return (no);
}

bool
pool_has(const struct cache *c, uint32_t more)
{
	const struct pool *p = &c->pool;
	uint64_t used = pool_used(p), limit = pool_limit(p);
	uint64_t room = limit > used ? (limit - used) >> c->slab_shift : 0;

	return (atomic_load_explicit(&p->nwarm, memory_order_relaxed) + room >
	    atomic_load_explicit(&p->reserve, memory_order_relaxed) + (uint64_t)more);
}

uint32_t
pool_take(struct cache *c, struct cache_shard *s, bool for_moves)
{
	bool last = for_moves && !s->has_reserve;
	struct slab *sl;
	uint32_t no;

	/* Keeps the pool's lock out of the way when memory is full. */
	if (!pool_has(c, 0) && !last)
		return (SLAB_NONE);
	lock_take(&c->pool.lock);
	no = take_locked(c, last);
	if (no != SLAB_NONE && last && !pool_has(c, 0)) {
		s->has_reserve = true;
		c->pool.reserve--;
	}
	lock_drop(&c->pool.lock);
	if (no == SLAB_NONE)
		return (no);
	atomic_fetch_add_explicit(&c->pool.nout, 1, memory_order_relaxed);
	sl = &c->slabs[no];
	sl->shard = (uint16_t)(s - c->shards);
	sl->state = SLAB_SPARE;
	sl->used = sl->live = sl->nlive = sl->max_exp = 0;
	atomic_store_explicit(&sl->pins, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->nslabs, 1, memory_order_relaxed);
	return (no);
}

void
pool_give(struct cache *c, uint32_t no)
{
	struct pool *p = &c->pool;
	struct slab *sl = &c->slabs[no];

	atomic_fetch_sub_explicit(&c->shards[sl->shard].nslabs, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&p->nout, 1, memory_order_relaxed);
	lock_take(&p->lock);
	sl->state = SLAB_POOL;
	if (pool_over(c)) {
		(void)madvise(slab_mem(c, no), c->slab_size, MADV_DONTNEED);
		p->used -= c->slab_size;
		push(c, &p->cold, no);
	} else {
		push(c, &p->warm, no);
		p->nwarm++;
	}
	lock_drop(&p->lock);
}

bool
pool_charge(struct cache *c, size_t bytes)
{
	struct pool *p = &c->pool;
	bool ok;
	uint32_t no;

	lock_take(&p->lock);
	ok = pool_used(p) + bytes + ((uint64_t)p->reserve << c->slab_shift) <=
	    pool_limit(p) + ((uint64_t)p->nwarm << c->slab_shift);
	while (ok && pool_used(p) + bytes > pool_limit(p) && (no = pop(c, &p->warm)) != SLAB_NONE) {
		p->nwarm--;
		(void)madvise(slab_mem(c, no), c->slab_size, MADV_DONTNEED);
		p->used -= c->slab_size;
		push(c, &p->cold, no);
	}
	if (ok)
		p->used += bytes;
	lock_drop(&p->lock);
	return (ok);
}

static void
retired_free(struct cache *c, struct slab *sl)
{
	atomic_fetch_sub_explicit(&c->shards[sl->shard].nretired, 1, memory_order_relaxed);
	pool_give(c, slab_no(c, sl));
}

void
slab_unpinned(struct cache *c, struct slab *sl, uint32_t was)
{
	MUST((was & ~PIN_RETIRED) != 0);
	retired_free(c, sl);
}

bool
slab_retire(struct cache_shard *s, uint32_t no)
{
	struct slab *sl = &s->c->slabs[no];

	sl->state = SLAB_RETIRED;
	sl->live = sl->nlive = 0;
	memset(sl->due, 0, sizeof sl->due);
	atomic_fetch_add_explicit(&s->nretired, 1, memory_order_relaxed);
	if (atomic_fetch_or_explicit(&sl->pins, PIN_RETIRED, memory_order_acq_rel) != 0)
		return (false);
	retired_free(s->c, sl);
	return (true);
}

void
slab_revive(struct cache_shard *s, struct slab *sl)
{
	if (sl->state != SLAB_RETIRED)
		return;
	/* The reservation's own pin keeps it from being freed meanwhile. */
	atomic_fetch_and_explicit(&sl->pins, ~PIN_RETIRED, memory_order_relaxed);
	atomic_fetch_sub_explicit(&s->nretired, 1, memory_order_relaxed);
	if (sl->used == 0) {
		sl->state = SLAB_BIG;
		list_push(s->c, &s->big, slab_no(s->c, sl));
	} else {
		sl->state = SLAB_QUEUED;
		list_push(s->c, &s->queue[sl->queue], slab_no(s->c, sl));
	}
}

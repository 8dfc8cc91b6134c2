/*
 * evict.c - making room: two queues of slabs, items kept by credits, expired and half-dead slabs first.
 *
 * New items are logged to the small queue, those seen before and those that were hit there to the main one. How large
 * the small queue may be is decided in duel.c. An item is kept for a credit, a large one for more, as it takes the
 * place of many.
 * The victim is walked record by record, a few per store, so that no store pays for a whole slab: each item is dropped,
 * or copied to the end of the main queue for a credit. Copies only ever use the shard's spare slab; where
 * that does not suffice the item is dropped, so the walk always ends and always gains its slab.
 */
#include "config.h"

#include <string.h>

#include "cache/bucket.h"

#define SPARES		2u	/* spare slabs to have at hand once memory is full */
#define MERCIFUL	4u	/* victims in a row that may keep items, for one slab wanted */

void
item_forget(struct cache_shard *s, struct item *it)
{
	const struct item_chain *ch;

	s->st.items--;
	s->st.bytes -= item_size(it);
	s->st.value_bytes -= item_vlen(it);
	s->found = NULL;
	log_account(s, it, false);
	if (LIKELY(!(it->shape & ITEM_L_CHAIN)))
		return;
	ch = item_chain(it);
	for (uint32_t i = 0; i < ch->nslabs; i++) {
		list_remove(s->c, &s->big, ch->slab[i]);
		(void)slab_retire(s, ch->slab[i]);
	}
}

void
item_drop(struct cache_shard *s, struct slot at, struct item *it, enum drop why)
{
	if (why == DROP_EVICTED) {
		s->st.evictions++;
		s->st.evicted_unfetched += !item_fetched(it);
		if (s->c->conf.evicted != NULL)
			s->c->conf.evicted(s->c->conf.arg, s, it);
	} else if (why == DROP_EXPIRED) {
		s->st.reclaimed++;
		s->st.expired_unfetched += !item_fetched(it);
	}
	index_remove(s, at);
	item_forget(s, it);
}

/* Copies the item to the end of a queue; false: no room there. */
static bool
item_move(struct cache_shard *s, struct slot at, struct item *it, enum queue q, unsigned credit)
{
	uint32_t shape = it->shape & ~(ITEM_VLEN_MASK | ITEM_L_CHAIN), vlen = item_vlen(it), nbig = 0, exp, cf;
	size_t size = item_size(it);
	struct item *to;

	if (it->shape & ITEM_L_CHAIN)
		nbig = item_chain(it)->nslabs;
	exp = item_exptime(it);
	if ((to = log_alloc(s, log_stream(s, q, exp), shape, vlen, nbig)) == NULL)
		return (false);
	to->cas = it->cas;
	to->state = it->state;
	if (to->shape & ITEM_L_EXP)
		memcpy(to->data, &exp, sizeof exp);
	cf = item_client_flags(it);
	if (to->shape & ITEM_L_FLAGS)
		memcpy(to->data + (to->shape >> 18 & 4), &cf, sizeof cf);
	if (nbig != 0)
		memcpy((char *)(uintptr_t)item_chain(to) + sizeof(struct item_chain), item_chain(it)->slab,
		    4 * (size_t)nbig);
	memcpy((char *)(uintptr_t)item_key_ptr(to), item_key_ptr(it), item_klen(it));
	log_copy_value(s->c, to, it);
	log_account(s, it, false);
	log_account(s, to, true);
	s->st.bytes += item_size(to) - size;
	s->st.moved++;
	slot_set(at, addr_of(s->c, to), credit);
	if (s->found == it)
		s->found = NULL;
	return (true);
}

/* Credits for which an item is kept: by its size, against the average. */
static unsigned
price_of(const struct cache_shard *s, const struct item *it, enum queue q)
{
	size_t average = s->st.bytes / s->st.items, size = item_size(it);

	if (size <= average)
		return (1);
	if (size <= 2 * average)
		return (q == Q_SMALL ? 1 : 2);
	if (q == Q_SMALL)
		return (2);
	return (size <= 4 * average ? 3 : 4);
}

/* One live item of the victim: dropped, or moved. */
static void
consider(struct cache_shard *s, struct item *it, uint64_t hash, struct slot at, enum queue q)
{
	uint32_t exp = item_exptime(it);
	unsigned credit = slot_credit(at);

	if (exp != 0 && exp <= s->now) {
		item_drop(s, at, it, DROP_EXPIRED);
		return;
	}
	if (s->compacting) {
		if (item_move(s, at, it, q, credit))
			return;
		if (!s->c->conf.evict) {	/* it stays, and so does its slab */
			s->cursor = UINT32_MAX;
			return;
		}
	} else if (!s->merciless) {
		unsigned price = price_of(s, it, q);

		if (credit >= price && item_move(s, at, it, Q_MAIN, credit - price))
			return;
	}
	ghost_add(s, hash);
	s->st.evicted_small += q == Q_SMALL;
	item_drop(s, at, it, DROP_EVICTED);
}

/* The record at the cursor; false: what lies there makes no sense. */
static bool
walk_one(struct cache_shard *s, struct slab *sl)
{
	struct item *rec = (struct item *)(void *)(slab_mem(s->c, s->victim) + s->cursor), *it = rec;
	uint32_t n = item_record_size(rec);
	struct slot at;
	uint64_t hash;

	if (!CACHE_SANE(s, n >= sizeof *rec && n <= sl->used - s->cursor))
		return (false);
	s->cursor += n;
	if (rec->shape & ITEM_L_PIECE) {
		if (rec->state & ITEM_DEAD)
			return (true);
		it = item_at(s, rec->cas);
	}
	hash = cache_hash(item_key(it));
	at = index_find_addr(s, hash, addr_of(s->c, it));
	if (at.b != NULL)
		consider(s, it, hash, at, (enum queue)sl->queue);
	return (true);
}

/* Bytes of the slab that are in use, as far as is known without a look at its items. */
static inline uint32_t
living(const struct cache_shard *s, const struct slab *sl)
{
	return (sl->live - due_by(s->c, sl, s->now));
}

/* The slab with the fewest live bytes, or one whose items have all expired. */
static uint32_t
emptiest(const struct cache_shard *s)
{
	const struct cache *c = s->c;
	uint32_t best = SLAB_NONE, least = UINT32_MAX;

	for (unsigned q = 0; q < NQUEUES; q++)
		for (uint32_t no = s->queue[q].head; no != SLAB_NONE; no = c->slabs[no].next) {
			const struct slab *sl = &c->slabs[no];
			uint32_t n;

			if (sl->max_exp <= s->now)
				return (no);
			n = living(s, sl);
			if (n < least) {
				least = n;
				best = no;
			}
		}
	return (best);
}

static uint32_t
oldest(struct cache_shard *s)
{
	struct slab_list *small = &s->queue[Q_SMALL], *main_ = &s->queue[Q_MAIN];
	uint32_t total = small->n + main_->n;

	if (main_->n == 0 || (small->n != 0 && small->n * 100 > total * duel_percent(s)))
		return (small->head);
	return (main_->head);
}

/* What is being filled becomes a victim when all in it has expired, or there is nothing else: few, large values. */
static void
seal_open(struct cache_shard *s, bool all)
{
	for (unsigned st = 0; st < NSTREAMS; st++) {
		uint32_t no = s->open[st];
		struct slab *sl = &s->c->slabs[no];

		if (no == SLAB_NONE || sl->used == 0 || (!all && (sl->nlive == 0 || sl->max_exp > s->now)))
			continue;
		s->open[st] = SLAB_NONE;
		sl->state = SLAB_QUEUED;
		list_push(s->c, &s->queue[sl->queue], no);
	}
}

/* With too many slabs held by slow readers, those that are free of readers are looked for, but not far. */
static uint32_t
unpinned(struct cache_shard *s, uint32_t no)
{
	for (int i = 0; i < 8; i++) {
		struct slab *sl = &s->c->slabs[no];

		if (atomic_load_explicit(&sl->pins, memory_order_relaxed) == 0)
			return (no);
		list_remove(s->c, &s->queue[sl->queue], no);
		list_push(s->c, &s->queue[sl->queue], no);
		no = oldest(s);
	}
	return (SLAB_NONE);
}

static bool
victim_pick(struct cache_shard *s)
{
	struct cache *c = s->c;
	uint32_t no, size = c->slab_size, held = atomic_load_explicit(&s->nretired, memory_order_relaxed);
	struct slab *sl;

	seal_open(s, s->queue[Q_SMALL].n + s->queue[Q_MAIN].n == 0);
	if ((no = emptiest(s)) == SLAB_NONE)
		return (false);
	sl = &c->slabs[no];
	s->compacting = sl->nlive != 0 && sl->max_exp > s->now && !s->merciless &&
	    living(s, sl) <= (c->conf.evict ? size / 4 * 3 : size - size / 16);
	if (!s->compacting && sl->nlive != 0 && sl->max_exp > s->now) {
		if (!c->conf.evict)
			return (false);
		no = oldest(s);
	}
	if (held * 4 > atomic_load_explicit(&s->nslabs, memory_order_relaxed) &&
	    (no = unpinned(s, no)) == SLAB_NONE)
		return (false);
	sl = &c->slabs[no];
	list_remove(c, &s->queue[sl->queue], no);
	sl->state = SLAB_VICTIM;
	s->victim = no;
	s->cursor = 0;
	return (true);
}

/* True: a slab was gained. */
static bool
victim_done(struct cache_shard *s)
{
	struct cache *c = s->c;
	uint32_t no = s->victim;
	struct slab *sl = &c->slabs[no];
	bool gained;

	s->victim = SLAB_NONE;
	s->compacting = false;
	if (sl->nlive != 0) {		/* linked during the walk, or could not be moved */
		sl->state = SLAB_QUEUED;
		list_push(c, &s->queue[sl->queue], no);
		return (false);
	}
	if (s->index_hungry && !share_missed(s)) {
		gained = slab_retire(s, no);
		return (index_feed(s) ? s->spare.n > 1 : gained);
	}
	if ((s->spare.n < SPARES || !share_exceeded(s)) && !pool_over(c) &&
	    atomic_load_explicit(&sl->pins, memory_order_acquire) == 0) {
		sl->state = SLAB_SPARE;
		sl->used = sl->live = sl->max_exp = 0;
		list_push(c, &s->spare, no);
		return (true);
	}
	return (slab_retire(s, no));
}

/* Room for the items that are kept. */
static void
take_reserve(struct cache_shard *s)
{
	uint32_t no;

	if (s->spare.n == 0 && (no = pool_take(s->c, s, true)) != SLAB_NONE)
		list_push(s->c, &s->spare, no);
}

enum step
evict_step(struct cache_shard *s, uint32_t bytes)
{
	struct slab *sl;

	if (s->victim == SLAB_NONE) {
		take_reserve(s);
		if (!victim_pick(s))
			return (STEP_NOTHING);
	}
	sl = &s->c->slabs[s->victim];
	for (uint32_t from = s->cursor; sl->nlive != 0 && s->cursor < sl->used && s->cursor - from < bytes;)
		if (!walk_one(s, sl)) {
			shard_flush(s);	/* the slab cannot be read: nothing of this shard can be trusted */
			return (STEP_GAINED);
		}
	if (sl->nlive != 0 && s->cursor < sl->used)
		return (STEP_ON);
	return (victim_done(s) ? STEP_GAINED : STEP_ON);
}

bool
evict_due(const struct cache_shard *s, enum stream st)
{
	const struct cache *c = s->c;
	uint32_t no = s->open[st];

	if (s->spare.n >= SPARES || no == SLAB_NONE || !c->conf.evict || share_missed(s))
		return (false);
	return ((s->spare.n == 0 || c->slabs[no].used > c->slab_size / 2) &&
	    !pool_has(c, c->nshards));
}

bool
evict_slab(struct cache_shard *s)
{
	uint32_t spares, left = s->queue[Q_SMALL].n + s->queue[Q_MAIN].n + 4;

	take_reserve(s);
	spares = s->spare.n;
	for (unsigned victims = 0; victims <= left;) {
		s->merciless = victims >= MERCIFUL && s->c->conf.evict;
		if (evict_step(s, 1) == STEP_NOTHING)
			break;
		if (s->spare.n > spares || pool_has(s->c, 0)) {
			s->merciless = false;
			return (true);
		}
		victims += s->victim == SLAB_NONE;
	}
	s->merciless = false;
	return (false);
}

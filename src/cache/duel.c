/*
 * duel.c - how large the small queue is: three shards try three sizes, the rest do what lost the fewest items.
 *
 * A small queue that is short keeps what was asked for once from pushing out what is asked for often; when the working
 * set moves, everything is new and it must be long. No setting is right for both. Keys spread over the shards by their
 * hash, so what counts against a setting is how many keys it had to be given anew. Only the clock's
 * thread judges, from counters, so a request pays nothing.
 */
#include "config.h"

#include "cache/internal.h"

#define FEWEST_SHARDS	8u	/* below, three shards are too many to try things on */
#define ALONE		35u	/* percent, then: what loses least when the working set moves */
#define EVIDENCE	2000u	/* items that each must have been given */
#define MARGIN		50u	/* a winner must be better by one in so many */

static const unsigned sizes[DUELLISTS] = { 10, 35, 70 };

unsigned
duel_percent(const struct cache_shard *s)
{
	const struct cache *c = s->c;
	size_t i = (size_t)(s - c->shards);

	if (c->nshards < FEWEST_SHARDS)
		return (ALONE);
	return (i < DUELLISTS ? sizes[i] : atomic_load_explicit(&c->small_percent, memory_order_relaxed));
}

bool
duel_winner(const struct cache *c, unsigned *percent)
{
	bool any = c->nshards >= FEWEST_SHARDS;

	*percent = any ? atomic_load_explicit(&c->small_percent, memory_order_relaxed) : ALONE;
	return (any);
}

static uint64_t
fresh_of(struct cache_shard *s, uint64_t *evictions)
{
	uint64_t n;

	lock_take(&s->lock);
	n = s->st.fresh;
	*evictions = s->st.evictions;
	lock_drop(&s->lock);
	return (n);
}

void
duel_judge(struct cache *c)
{
	uint64_t n[DUELLISTS], evictions, now_at = 0;
	unsigned best = 0, current = atomic_load_explicit(&c->small_percent, memory_order_relaxed);

	if (c->nshards < FEWEST_SHARDS)
		return;
	for (unsigned i = 0; i < DUELLISTS; i++) {
		n[i] = fresh_of(&c->shards[i], &evictions) - c->duel_from[i];
		if (evictions == 0) {		/* still filling: they cannot differ */
			c->duel_from[i] += n[i];
			return;
		}
		if (n[i] < EVIDENCE)
			return;
		if (n[i] < n[best])
			best = i;
		if (sizes[i] == current)
			now_at = n[i];
	}
	if (n[best] + n[best] / MARGIN < now_at)
		atomic_store_explicit(&c->small_percent, sizes[best], memory_order_relaxed);
	/* Half of what was seen goes on counting. */
	for (unsigned i = 0; i < DUELLISTS; i++)
		c->duel_from[i] += n[i] / 2;
}

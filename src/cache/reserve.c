/*
 * reserve.c - memory for a value that is still to come: in the open slab nearly always, else by making room.
 *
 * What is reserved is not in the index; it pins its slabs, so nothing moves or reuses them before it is linked or
 * abandoned.
 */
#include "config.h"

#include <string.h>

#include "cache/bucket.h"

#define RECORD_MAX	(sizeof(struct item) + sizeof(struct item_chain) + 8 + 255)	/* but value and slab numbers */
#define STEP_TIMES	4u	/* of a store's own bytes walked, once memory is full */

/* The size that memcached would find for it, so that both call the same values too large. */
uint32_t
cache_value_max(const struct cache *c, size_t klen, uint32_t client_flags)
{
	size_t head = 48 + klen + 1 + 2 + (client_flags != 0 ? 4 : 0) + (c->conf.use_cas ? 8 : 0);

	return (c->conf.item_max > head ? (uint32_t)(c->conf.item_max - head) : 0);
}

static uint32_t
shape_for(size_t klen, uint32_t exptime, uint32_t client_flags)
{
	return ((uint32_t)klen << ITEM_KLEN_SHIFT | (exptime != 0 ? ITEM_L_EXP : 0) |
	    (client_flags != 0 ? ITEM_L_FLAGS : 0));
}

static void
bigs_undo(struct cache_shard *s, uint32_t n)
{
	while (n-- > 0) {
		uint32_t no = s->big.tail;

		list_remove(s->c, &s->big, no);
		(void)slab_retire(s, no);
	}
}

/* Slabs for one value alone, at the end of the list of big ones. */
static bool
bigs_take(struct cache_shard *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t no = slab_gain(s, i);

		if (no == SLAB_NONE) {
			bigs_undo(s, i);
			return (false);
		}
		s->c->slabs[no].state = SLAB_BIG;
		list_push(s->c, &s->big, no);
	}
	return (true);
}

/* Everything that log_alloc() may need is at hand; room is made on the way. */
static bool
make_room(struct cache_shard *s, enum stream st, uint32_t shape, uint32_t vlen, uint32_t nbig)
{
	unsigned wants = log_wants(s, st, shape, vlen, nbig);

	return ((nbig == 0 || bigs_take(s, nbig)) && (spare_ensure(s, wants) || (bigs_undo(s, nbig), false)));
}

/* A record that does not fit into what is open: whole slabs where it is larger than one, and then the log. */
static struct item *
reserve_slowly(struct cache_shard *s, enum stream st, uint32_t shape, uint32_t vlen)
{
	struct cache *c = s->c;
	uint32_t no, nbig = vlen + RECORD_MAX > c->slab_size ? vlen >> c->slab_shift : 0;
	struct item_chain *ch;
	struct item *it = NULL;

	if (make_room(s, st, shape, vlen, nbig) && (it = log_alloc(s, st, shape, vlen, nbig)) == NULL)
		bigs_undo(s, nbig);
	if (it == NULL) {
		s->st.reserved_failed++;
		return (NULL);
	}
	if (nbig != 0) {
		ch = (struct item_chain *)(uintptr_t)item_chain(it);
		no = s->big.tail;
		for (uint32_t i = nbig; i-- > 0; no = c->slabs[no].prev)
			ch->slab[i] = no;
	}
	return (it);
}

/* So much larger than the average that in the main queue it would take the place of several that are worth more. */
static inline bool
is_bulky(const struct cache_shard *s, uint32_t vlen)
{
	return (s->st.items * vlen > 2 * s->st.bytes);
}

struct item *
cache_reserve_locked(struct cache_shard *s, uint64_t hash, struct slice key, uint32_t vlen, uint32_t exptime,
    uint32_t client_flags, enum cache_err *why)
{
	struct cache *c = s->c;
	uint32_t shape = shape_for(key.len, exptime, client_flags);
	enum stream st;
	struct item *it;
	bool known;

	MUST(key.len <= 255);
	if (vlen > cache_value_max(c, key.len, client_flags)) {
		*why = CACHE_TOO_LARGE;
		return (NULL);
	}
	known = ghost_has(s, hash);
	s->st.ghost_hits += known;
	st = log_stream(s, known && !is_bulky(s, vlen) ? Q_MAIN : Q_SMALL, exptime);
	it = log_alloc_here(s, st, shape, vlen);
	if (UNLIKELY(it == NULL) && (it = reserve_slowly(s, st, shape, vlen)) == NULL) {
		*why = CACHE_NO_MEMORY;
		return (NULL);
	}
	if (it->shape & ITEM_L_EXP)
		memcpy(it->data, &exptime, sizeof exptime);
	if (it->shape & ITEM_L_FLAGS)
		memcpy(it->data + (it->shape >> 18 & 4), &client_flags, sizeof client_flags);
	memcpy((char *)(uintptr_t)item_key_ptr(it), key.p, key.len);
	each_slab(c, it, pin_one);
	if (UNLIKELY(evict_due(s, st)))
		(void)evict_step(s, STEP_TIMES * item_record_size(it));
	*why = CACHE_OK;
	return (it);
}

struct item *
cache_reserve(struct cache *c, uint64_t hash, struct slice key, uint32_t vlen, uint32_t exptime,
    uint32_t client_flags, enum cache_err *why)
{
	struct cache_shard *s = cache_lock(c, hash);
	struct item *it = cache_reserve_locked(s, hash, key, vlen, exptime, client_flags, why);

	cache_unlock(s);
	return (it);
}

void
cache_abandon_locked(struct cache_shard *s, struct item *it)
{
	const struct item_chain *ch = it->shape & ITEM_L_CHAIN ? item_chain(it) : NULL;

	if (ch != NULL) {
		if (ch->tail != 0)
			item_piece(s->c, ch)->state |= ITEM_DEAD;
		for (uint32_t i = 0; i < ch->nslabs; i++)
			if (s->c->slabs[ch->slab[i]].state == SLAB_BIG) {
				list_remove(s->c, &s->big, ch->slab[i]);
				(void)slab_retire(s, ch->slab[i]);
			}
	}
	cache_unpin(s->c, it);
}

void
cache_abandon(struct cache *c, struct item *it)
{
	struct cache_shard *s;

	if (LIKELY(!(it->shape & ITEM_L_CHAIN))) {
		cache_unpin(c, it);
		return;
	}
	s = cache_lock(c, cache_hash(item_key(it)));
	cache_abandon_locked(s, it);
	cache_unlock(s);
}

/*
 * cache.c - the cache's interface on items: find, hit, reserve, link, pin; the rules are in cache.h.
 *
 * A reserved item is pinned by its reservation, so its slab can be emptied around it but not reused; whether it
 * is alive is only ever asked of the index.
 */
#include "config.h"

#include <string.h>

#include "cache/bucket.h"

#define RECORD_MAX	(sizeof(struct item) + sizeof(struct item_chain) + 8 + 255)	/* but value and slab numbers */
#define STEP_TIMES	4u	/* of a store's own bytes walked, once memory is full */
#define LINK_CREDIT	0u
#define CREDIT_TOP	4u	/* the dearest item's price, see evict.c */

void
cache_tick(struct cache *c, uint32_t now)
{
	uint32_t at = atomic_load_explicit(&c->flush_at, memory_order_relaxed);

	CHECK_OBJ_NOTNULL(c, CACHE_MAGIC);
	atomic_store_explicit(&c->now, now, memory_order_relaxed);
	if (at != 0 && at <= now &&
	    atomic_compare_exchange_strong_explicit(&c->flush_at, &at, 0, memory_order_relaxed,
	    memory_order_relaxed))
		atomic_fetch_add_explicit(&c->gen, 1, memory_order_release);
	duel_judge(c);
}

uint32_t
cache_now(const struct cache *c)
{
	return (atomic_load_explicit(&c->now, memory_order_relaxed));
}

void
cache_flush(struct cache *c, uint32_t when)
{
	if (when > cache_now(c)) {
		atomic_store_explicit(&c->flush_at, when, memory_order_relaxed);
		return;
	}
	atomic_store_explicit(&c->flush_at, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->gen, 1, memory_order_release);
}

struct cache_shard *
cache_lock(struct cache *c, uint64_t hash)
{
	struct cache_shard *s = shard_of(c, hash);
	uint32_t gen;

	lock_take(&s->lock);
	s->now = atomic_load_explicit(&c->now, memory_order_relaxed);
	gen = atomic_load_explicit(&c->gen, memory_order_acquire);
	if (UNLIKELY(s->gen != gen)) {
		shard_flush(s);
		s->gen = gen;
	}
	s->found = NULL;
	s->missed = 0;
	return (s);
}

void
cache_unlock(struct cache_shard *s)
{
	lock_drop(&s->lock);
}

static struct item *
find(struct cache_shard *s, uint64_t hash, struct slice key)
{
	struct slot at = index_find(s, hash, key);
	struct item *it;
	uint32_t exp;

	if (at.b == NULL) {
		s->was_expired = false;
		s->missed = hash;
		return (NULL);
	}
	it = item_at(s, slot_addr(at));
	exp = item_exptime(it);
	if (UNLIKELY(exp != 0 && exp <= s->now)) {
		item_drop(s, at, it, DROP_EXPIRED);
		s->was_expired = true;
		return (NULL);
	}
	s->found = it;
	s->found_at = at;
	return (it);
}

struct item *
cache_find(struct cache_shard *s, uint64_t hash, struct slice key)
{
	return (find(s, hash, key));
}

bool
cache_was_expired(const struct cache_shard *s)
{
	return (s->was_expired);
}

static struct slot
where(struct cache_shard *s, const struct item *it)
{
	if (LIKELY(s->found == it))
		return (s->found_at);
	return (index_find_addr(s, cache_hash(item_key(it)), addr_of(s->c, it)));
}

static inline void
hit(struct cache_shard *s, struct item *it, uint32_t bits)
{
	struct slot at = where(s, it);
	unsigned credit;
	uint32_t state = (it->state & ~ITEM_LA_MASK) | bits | (s->now & ITEM_LA_MASK);

	if (!CACHE_SANE(s, at.b != NULL))
		return;
	credit = slot_credit(at);
	if (credit < CREDIT_TOP)
		slot_credit_set(at, credit + 1);
	if (it->state != state)
		it->state = state;
}

void
cache_hit(struct cache_shard *s, struct item *it)
{
	hit(s, it, ITEM_FETCHED);
}

void
cache_bump(struct cache_shard *s, struct item *it)
{
	hit(s, it, 0);
}

bool
cache_writable(const struct cache_shard *s, const struct item *it)
{
	return (!(it->shape & ITEM_L_CHAIN) &&
	    atomic_load_explicit(&slab_of(s->c, it)->pins, memory_order_acquire) == 0);
}

unsigned
cache_size_class(size_t size)
{
	size_t n = size < 64 ? 64 : size;
	unsigned log2 = 63 - (unsigned)__builtin_clzll(n);
	unsigned cls = (log2 - 6) * 4 + (unsigned)(n >> (log2 - 2) & 3) + 1;

	return (cls < 63 ? cls : 63);
}

uint32_t
item_idle(const struct cache_shard *s, const struct item *it)
{
	return ((s->now - it->state) & ITEM_LA_MASK);
}

void
cache_unlink(struct cache_shard *s, struct item *it)
{
	struct slot at = where(s, it);

	if (CACHE_SANE(s, at.b != NULL))
		item_drop(s, at, it, DROP_UNLINKED);
}

/* Calls fn for each slab that the item has bytes in. */
static inline __attribute__((always_inline)) void
each_slab(struct cache *c, const struct item *it, void (*fn)(struct cache *, struct slab *))
{
	const struct item_chain *ch;

	if (LIKELY(!(it->shape & ITEM_L_CHAIN))) {
		fn(c, slab_of(c, it));
		return;
	}
	/* The head last: its slab is what keeps the chain readable. */
	ch = item_chain(it);
	for (uint32_t i = 0; i < ch->nslabs; i++)
		fn(c, &c->slabs[ch->slab[i]]);
	if (ch->tail != 0)
		fn(c, slab_of(c, item_piece(c, ch)));
	fn(c, slab_of(c, it));
}

static inline void
pin_one(struct cache *c, struct slab *sl)
{
	(void)c;
	slab_pin(sl);
}

static inline void
revive_one(struct cache *c, struct slab *sl)
{
	if (UNLIKELY(sl->state == SLAB_RETIRED))
		slab_revive(&c->shards[sl->shard], sl);
}

void
cache_pin(struct cache_shard *s, struct item *it)
{
	each_slab(s->c, it, pin_one);
}

void
cache_unpin(struct cache *c, struct item *it)
{
	each_slab(c, it, slab_unpin);
}

uint64_t
cache_next_cas(struct cache *c)
{
	if (!c->conf.use_cas)
		return (0);
	return (atomic_fetch_add_explicit(&c->next_cas, 1, memory_order_relaxed));
}

void
item_set_cas(struct cache_shard *s, struct item *it, uint64_t cas)
{
	if (cas == 0 || !s->c->conf.use_cas)
		cas = cache_next_cas(s->c);
	it->cas = cas;
}

/* The slot that has the item's key already. Mostly the last cache_find() has just looked. */
static inline struct slot
slot_of_key(struct cache_shard *s, uint64_t hash, const struct item *it)
{
	struct slice key = item_key(it);

	if (s->found != NULL && item_klen(s->found) == key.len &&
	    same_bytes(item_key_ptr(s->found), key.p, key.len))
		return (s->found_at);
	if (s->missed == hash && hash != 0)
		return ((struct slot){ NULL, 0 });
	return (index_find(s, hash, key));
}

uint64_t
cache_link_hash(struct cache_shard *s, struct item *it, uint64_t cas, uint64_t hash)
{
	struct slot at = slot_of_key(s, hash, it);

	each_slab(s->c, it, revive_one);
	if (at.b != NULL) {
		item_forget(s, item_at(s, slot_addr(at)));
		slot_set(at, addr_of(s->c, it), slot_credit(at));
	} else {
		index_insert(s, hash, addr_of(s->c, it), LINK_CREDIT);
		s->st.fresh++;
	}
	log_account(s, it, true);
	item_set_cas(s, it, cas);
	it->state = (it->state & ~ITEM_LA_MASK) | (s->now & ITEM_LA_MASK);
	s->st.items++;
	s->st.total_items++;
	s->st.bytes += item_size(it);
	s->st.value_bytes += item_vlen(it);
	cache_unpin(s->c, it);
	return (it->cas);
}

uint64_t
cache_link(struct cache_shard *s, struct item *it, uint64_t cas)
{
	return (cache_link_hash(s, it, cas, cache_hash(item_key(it))));
}

/* The size that memcached would find for it, so that both call the same values too large. */
static bool
too_large(const struct cache *c, size_t klen, uint64_t vlen, uint32_t client_flags)
{
	return (48 + klen + 1 + vlen + 2 + (client_flags != 0 ? 4 : 0) + (c->conf.use_cas ? 8 : 0) >
	    c->conf.item_max);
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

struct item *
cache_reserve_locked(struct cache_shard *s, uint64_t hash, struct slice key, uint32_t vlen, uint32_t exptime,
    uint32_t client_flags, enum cache_err *why)
{
	struct cache *c = s->c;
	uint32_t shape = shape_for(key.len, exptime, client_flags);
	enum stream st;
	struct item *it;

	MUST(key.len <= 255);
	if (too_large(c, key.len, vlen, client_flags)) {
		*why = CACHE_TOO_LARGE;
		return (NULL);
	}
	st = log_stream(s, ghost_has(s, hash) ? Q_MAIN : Q_SMALL, exptime);
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

int
cache_value_iov(const struct cache *c, const struct item *it, uint32_t off, struct iovec *iov, int max)
{
	const struct item_chain *ch;
	const char *p;
	uint32_t i, n, left;
	int k = 0;

	if (LIKELY(!(it->shape & ITEM_L_CHAIN))) {
		n = item_vlen(it);
		if (max < 1 || off >= n)
			return (0);
		iov[0] = (struct iovec){ (char *)(uintptr_t)item_value(it) + off, n - off };
		return (1);
	}
	ch = item_chain(it);
	p = item_key_ptr(it) + item_klen(it);
	if (off < ch->head && k < max)
		iov[k++] = (struct iovec){ (char *)(uintptr_t)p + off, ch->head - off };
	off = off > ch->head ? off - ch->head : 0;
	if (off < ch->tail && k < max)
		iov[k++] = (struct iovec){ item_piece(c, ch)->data + off, ch->tail - off };
	off = off > ch->tail ? off - ch->tail : 0;
	left = ch->vlen - ch->head - ch->tail;
	for (i = off >> c->slab_shift; i < ch->nslabs && k < max; i++) {
		uint32_t o = off & (c->slab_size - 1);

		n = left - (i << c->slab_shift);
		n = n < c->slab_size ? n : c->slab_size;
		iov[k++] = (struct iovec){ slab_mem(c, ch->slab[i]) + o, n - o };
		off = 0;
	}
	return (k);
}

bool
item_set_exptime(struct cache_shard *s, struct item **itp, uint32_t exptime)
{
	struct item *it = *itp, *to;
	struct slab *sl = slab_of(s->c, it);
	enum cache_err why;
	struct slice key;

	if (it->shape & ITEM_L_EXP) {
		memcpy(it->data, &exptime, sizeof exptime);
		if (exptime == 0)
			sl->max_exp = UINT32_MAX;
		else if (exptime > sl->max_exp)
			sl->max_exp = exptime;
		return (true);
	}
	if (exptime == 0)
		return (true);
	cache_pin(s, it);
	key = item_key(it);
	to = cache_reserve_locked(s, cache_hash(key), key, item_vlen(it), exptime, item_client_flags(it), &why);
	if (to != NULL) {
		uint32_t la = it->state & ITEM_LA_MASK;

		to->state = it->state;
		log_copy_value(s->c, to, it);
		(void)cache_link(s, to, it->cas);
		to->cas = it->cas;
		to->state = (to->state & ~ITEM_LA_MASK) | la;
		s->st.total_items--;
		s->found = NULL;
		*itp = to;
	}
	cache_unpin(s->c, it);
	return (to != NULL);
}

uint32_t
cache_fence(const struct cache *c, uint64_t hash)
{
	return (atomic_load_explicit(&c->fences[hash & (NFENCES - 1)], memory_order_acquire));
}

uint32_t
cache_fence_bump(struct cache *c, uint64_t hash)
{
	return (atomic_fetch_add_explicit(&c->fences[hash & (NFENCES - 1)], 1, memory_order_acq_rel) + 1);
}

/*
 * cache.c - the cache's interface on items: find, hit, reserve, link, pin; the rules are in cache.h.
 *
 * A reserved item is pinned by its reservation, so its slab can be emptied around it but not reused; whether it
 * is alive is only ever asked of the index.
 */
#include "config.h"

#include <string.h>

#include "cache/bucket.h"

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

static inline struct cache_shard *
shard_take(struct cache *c, uint64_t hash)
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

struct cache_shard *
cache_lock(struct cache *c, uint64_t hash)
{
	return (shard_take(c, hash));
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
hit_at(const struct cache_shard *s, struct item *it, struct slot at, uint32_t bits)
{
	uint32_t state = (it->state & ~ITEM_LA_MASK) | bits | (s->now & ITEM_LA_MASK);
	unsigned credit = slot_credit(at);

	if (credit < CREDIT_TOP)
		slot_credit_set(at, credit + 1);
	if (it->state != state)
		it->state = state;
}

static inline void
hit(struct cache_shard *s, struct item *it, uint32_t bits)
{
	struct slot at = where(s, it);

	if (CACHE_SANE(s, at.b != NULL))
		hit_at(s, it, at, bits);
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

static inline bool
is_plain(const struct cache_shard *s, const struct item *it)
{
	uint32_t marks = it->state & (ITEM_STALE | ITEM_WON | ITEM_NOTED);

	return (LIKELY(marks == 0) || (marks == ITEM_NOTED && item_due(it) > s->now));
}

struct item *
cache_hit_plain(struct cache *c, uint64_t hash, cache_hint hint, struct slice key, uint32_t vlen_max,
    struct cache_shard **sp)
{
	struct cache_shard *s = shard_take(c, hash);
	struct slot at;
	struct item *it;
	uint32_t exp;

	if (!hint_holds(s, hint, hash, key, &at) && (at = index_find(s, hash, key)).b == NULL)
		goto other;
	it = item_at(s, slot_addr(at));
	exp = item_exptime(it);
	if (UNLIKELY((exp != 0 && exp <= s->now) || (it->shape & ITEM_L_CHAIN) != 0 ||
	    (it->shape & ITEM_VLEN_MASK) > vlen_max || !is_plain(s, it)))
		goto other;
	hit_at(s, it, at, ITEM_FETCHED);
	*sp = s;
	return (it);

other:
	cache_unlock(s);
	return (NULL);
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
	enum cache_err why;
	struct slice key;

	if (it->shape & ITEM_L_EXP) {
		log_set_exptime(s, it, exptime);
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

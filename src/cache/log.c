/*
 * log.c - records at the end of the open slabs, values cut over slabs, and the accounting of what lives where.
 *
 * A record is placed whole if it fits into the open slab or is small; else its value fills the rest of the slab
 * and goes on in the next one, so that a slab's tail is lost to small records only. Of a value larger than a
 * slab, whole slabs hold all but a remainder: keeping such an item alive copies that remainder, not the value.
 */
#include "config.h"

#include <string.h>

#include "cache/internal.h"

#define SORT_SLABS	32u	/* slabs of a shard from which on TTLs are kept apart */
#define HEAD_MIN	64u	/* of a split value's bytes in the first slab */

static inline uint32_t
base_len(uint32_t shape, uint32_t nbig)
{
	uint32_t n = (uint32_t)sizeof(struct item) + item_opt_len(shape) + (shape >> ITEM_KLEN_SHIFT);

	if (shape & ITEM_L_CHAIN)
		n += (uint32_t)sizeof(struct item_chain) + 4 * nbig;
	return (n);
}

static inline uint32_t
open_room(const struct cache_shard *s, enum stream st)
{
	return (s->open[st] == SLAB_NONE ? 0 : s->c->slab_size - s->c->slabs[s->open[st]].used);
}

static inline enum queue
queue_of(enum stream st)
{
	return (st == ST_MAIN ? Q_MAIN : Q_SMALL);
}

/* Slabs that a shard will have when all memory is used. */
static inline uint64_t
room_of_shard(const struct cache *c)
{
	return ((atomic_load_explicit(&c->pool.limit, memory_order_relaxed) >> c->slab_shift) / c->nshards);
}

enum stream
log_stream(const struct cache_shard *s, enum queue q, uint32_t exptime)
{
	uint32_t ttl = exptime - s->now;

	if (q == Q_MAIN)
		return (ST_MAIN);
	/* Few slabs are better full than sorted. */
	if (exptime == 0 || room_of_shard(s->c) < SORT_SLABS)
		return (ST_SMALL);
	return (ttl <= 60 ? ST_MINUTE : ttl <= 900 ? ST_QUARTER : ttl <= 86400 ? ST_DAY : ST_SMALL);
}

/* A spare slab becomes the open one; what was open joins its queue. */
static bool
open_next(struct cache_shard *s, enum stream st)
{
	struct cache *c = s->c;
	uint32_t no = s->spare.head;
	struct slab *sl;

	if (no == SLAB_NONE)
		return (false);
	list_remove(c, &s->spare, no);
	if (s->open[st] != SLAB_NONE) {
		c->slabs[s->open[st]].state = SLAB_QUEUED;
		list_push(c, &s->queue[queue_of(st)], s->open[st]);
	}
	sl = &c->slabs[no];
	sl->state = SLAB_OPEN;
	sl->queue = (uint8_t)queue_of(st);
	sl->born = s->now;
	sl->stream = (uint8_t)st;
	memset(sl->due, 0, sizeof sl->due);
	s->open[st] = no;
	return (true);
}

static struct item *
bump(struct cache_shard *s, enum stream st, uint32_t shape, uint32_t base, uint32_t vlen)
{
	struct slab *sl = &s->c->slabs[s->open[st]];
	struct item *it = (struct item *)(void *)(slab_mem(s->c, s->open[st]) + sl->used);

	sl->used += base + vlen;
	it->cas = 0;
	it->shape = shape | vlen;
	it->state = 0;
	return (it);
}

struct item *
log_alloc_here(struct cache_shard *s, enum stream st, uint32_t shape, uint32_t vlen)
{
	uint32_t base = base_len(shape, 0);

	if (vlen > ITEM_VLEN_MASK || base + vlen > open_room(s, st))
		return (NULL);
	return (bump(s, st, shape, base, vlen));
}

unsigned
log_wants(const struct cache_shard *s, enum stream st, uint32_t shape, uint32_t vlen, uint32_t nbig)
{
	uint32_t room = open_room(s, st), need = base_len(shape, 0) + vlen;

	if (nbig == 0 && need <= room)
		return (0);
	if (nbig == 0 && need <= s->c->split_min)
		return (1);
	return (2);
}

static struct item *
alloc_chain(struct cache_shard *s, enum stream st, uint32_t shape, uint32_t vlen, uint32_t nbig)
{
	uint32_t lv = vlen - nbig * s->c->slab_size, base, head;
	struct item_chain *ch;
	struct item *it, *piece;

	shape |= ITEM_L_CHAIN;
	base = base_len(shape, nbig);
	if (open_room(s, st) < base + (lv < HEAD_MIN ? lv : HEAD_MIN) && !open_next(s, st))
		return (NULL);
	head = open_room(s, st) - base < lv ? open_room(s, st) - base : lv;
	if (head > ITEM_VLEN_MASK)
		head = ITEM_VLEN_MASK;
	if (head < lv && s->spare.n == 0)
		return (NULL);
	it = bump(s, st, shape, base, head);
	ch = (struct item_chain *)(void *)(it->data + item_opt_len(shape));
	*ch = (struct item_chain){ .vlen = vlen, .head = head, .tail = lv - head, .nslabs = nbig };
	if (head < lv) {
		(void)open_next(s, st);
		piece = bump(s, st, ITEM_L_PIECE, sizeof *piece, lv - head);
		piece->cas = addr_of(s->c, it);
		ch->piece = addr_of(s->c, piece);
	}
	return (it);
}

struct item *
log_alloc(struct cache_shard *s, enum stream st, uint32_t shape, uint32_t vlen, uint32_t nbig)
{
	uint32_t base = base_len(shape, 0);

	if (LIKELY(nbig == 0)) {
		if (LIKELY(base + vlen <= open_room(s, st)))
			return (bump(s, st, shape, base, vlen));
		if (base + vlen <= s->c->split_min)
			return (open_next(s, st) ? bump(s, st, shape, base, vlen) : NULL);
	}
	/* A chain always has room for an expiry: to move it for want of one would copy a large value. */
	return (alloc_chain(s, st, shape | ITEM_L_EXP, vlen, nbig));
}

/* Up to vlen - whole slabs bytes in at most two pieces. */
static int
log_iov(const struct cache *c, const struct item *it, struct iovec iov[2])
{
	const struct item_chain *ch;
	char *v;

	if (!(it->shape & ITEM_L_CHAIN)) {
		iov[0] = (struct iovec){ (char *)(uintptr_t)item_value(it), item_vlen(it) };
		return (1);
	}
	ch = item_chain(it);
	v = (char *)(uintptr_t)item_key_ptr(it) + item_klen(it);
	iov[0] = (struct iovec){ v, ch->head };
	if (ch->tail == 0)
		return (1);
	iov[1] = (struct iovec){ item_piece(c, ch)->data, ch->tail };
	return (2);
}

void
log_copy_value(const struct cache *c, struct item *to, const struct item *from)
{
	struct iovec d[2], f[2];
	int nd = log_iov(c, to, d), nf = log_iov(c, from, f);

	for (int i = 0, j = 0; i < nd && j < nf;) {
		size_t n = d[i].iov_len < f[j].iov_len ? d[i].iov_len : f[j].iov_len;

		memcpy(d[i].iov_base, f[j].iov_base, n);
		d[i].iov_base = (char *)d[i].iov_base + n;
		f[j].iov_base = (char *)f[j].iov_base + n;
		d[i].iov_len -= n;
		f[j].iov_len -= n;
		i += d[i].iov_len == 0;
		j += f[j].iov_len == 0;
	}
}

static inline void
note_expiry(const struct cache *c, struct slab *sl, uint32_t exp, uint32_t n)
{
	if (exp == 0) {
		sl->max_exp = UINT32_MAX;
		return;
	}
	if (exp > sl->max_exp)
		sl->max_exp = exp;
	due_add(c, sl, exp, n);
}

static void
account_record(struct cache_shard *s, const struct item *rec, uint32_t exp, bool alive)
{
	struct slab *sl = slab_of(s->c, rec);
	uint32_t n = item_record_size(rec);

	if (alive) {
		sl->live += n;
		sl->nlive++;
		note_expiry(s->c, sl, exp, n);
	} else if (CACHE_SANE(s, sl->nlive != 0 && sl->live >= n)) {
		sl->live -= n;
		sl->nlive--;
		if (exp != 0)
			due_remove(s->c, sl, exp, n);
	}
}

static void
retime_record(struct cache *c, const struct item *rec, uint32_t was, uint32_t exp)
{
	struct slab *sl = slab_of(c, rec);
	uint32_t n = item_record_size(rec);

	if (was != 0)
		due_remove(c, sl, was, n);
	note_expiry(c, sl, exp, n);
}

void
log_set_exptime(struct cache_shard *s, struct item *it, uint32_t exptime)
{
	uint32_t was = item_exptime(it);

	MUST((it->shape & ITEM_L_EXP) != 0);
	memcpy(it->data, &exptime, sizeof exptime);
	retime_record(s->c, it, was, exptime);
	if ((it->shape & ITEM_L_CHAIN) != 0 && item_chain(it)->tail != 0)
		retime_record(s->c, item_piece(s->c, item_chain(it)), was, exptime);
}

void
log_account(struct cache_shard *s, const struct item *it, bool alive)
{
	uint32_t exp = item_exptime(it);
	const struct item_chain *ch;
	struct item *piece;

	account_record(s, it, exp, alive);
	if (LIKELY(!(it->shape & ITEM_L_CHAIN)))
		return;
	ch = item_chain(it);
	if (ch->tail == 0)
		return;
	piece = item_piece(s->c, ch);
	account_record(s, piece, exp, alive);
	if (!alive)
		piece->state |= ITEM_DEAD;
}

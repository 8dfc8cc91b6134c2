/*
 * item.h - how an item lies in its slab, byte-packed, and how to read it.
 *
 *	cas 8 | shape 4: value length 20, layout 4, key length 8 | state 4: last access 24, bits 8
 *	[expiry 4] [client flags 4] [struct item_chain, slab numbers] key value
 *
 * `shape` and the chain never change once reserved, so that a pinned reader needs no lock; everything else
 * is under the shard's lock. A value that did not fit into the rest of a slab goes on in a piece (a record with
 * the layout bit ITEM_L_PIECE, whose `cas` is the address of its head) and then in whole slabs.
 */
#ifndef CACHE_ITEM_H
#define CACHE_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct item {
	uint64_t	 cas;
	uint32_t	 shape;
	uint32_t	 state;
	char		 data[];
} __attribute__((packed));

struct item_chain {
	uint32_t	 vlen;		/* of the whole value */
	uint32_t	 head;		/* bytes of it in the head record */
	uint32_t	 tail;		/* bytes of it in the piece; 0: there is none */
	uint32_t	 nslabs;	/* slabs wholly filled by the rest */
	uint64_t	 piece;		/* address of the piece's record */
	uint32_t	 slab[];
} __attribute__((packed));

#define ITEM_VLEN_BITS	20
#define ITEM_VLEN_MASK	((1u << ITEM_VLEN_BITS) - 1)
#define ITEM_L_EXP	(1u << 20)	/* has an expiry */
#define ITEM_L_FLAGS	(1u << 21)	/* has client flags */
#define ITEM_L_CHAIN	(1u << 22)	/* value in several places */
#define ITEM_L_PIECE	(1u << 23)	/* not an item: the second part of one's value */
#define ITEM_KLEN_SHIFT	24

#define ITEM_LA_MASK	0xffffffu
#define ITEM_FETCHED	(1u << 24)
#define ITEM_STALE	(1u << 25)
#define ITEM_WON	(1u << 26)
#define ITEM_BINKEY	(1u << 27)
#define ITEM_DEAD	(1u << 28)	/* pieces only: the head was unlinked */
#define ITEM_NOTED	(1u << 29)	/* cas is no CAS unique but a note: due above, 32 bits of its user's below */

static inline unsigned
item_klen(const struct item *it)
{
	return (it->shape >> ITEM_KLEN_SHIFT);
}

/* Bytes of the optional expiry and client flags. */
static inline unsigned
item_opt_len(uint32_t shape)
{
	return ((shape >> 18 & 4) + (shape >> 19 & 4));
}

static inline const struct item_chain *
item_chain(const struct item *it)
{
	return ((const struct item_chain *)(const void *)(it->data + item_opt_len(it->shape)));
}

static inline const char *
item_key_ptr(const struct item *it)
{
	const char *p;

	if (__builtin_expect((it->shape & (ITEM_L_EXP | ITEM_L_FLAGS | ITEM_L_CHAIN)) == 0, 1))
		return (it->data);
	p = it->data + item_opt_len(it->shape);
	if (__builtin_expect(it->shape & ITEM_L_CHAIN, 0))
		p += sizeof(struct item_chain) + 4 * (size_t)item_chain(it)->nslabs;
	return (p);
}

/* Lock held or pinned. */
static inline struct slice
item_key(const struct item *it)
{
	return (slice_of(item_key_ptr(it), item_klen(it)));
}

static inline uint32_t
item_vlen(const struct item *it)
{
	if (__builtin_expect(it->shape & ITEM_L_CHAIN, 0))
		return (item_chain(it)->vlen);
	return (it->shape & ITEM_VLEN_MASK);
}

/* NULL when it is in several pieces. Lock held or pinned. */
static inline const char *
item_value(const struct item *it)
{
	if (__builtin_expect(it->shape & ITEM_L_CHAIN, 0))
		return (NULL);
	return (it->data + item_opt_len(it->shape) + item_klen(it));
}

/* Without a note. */
static inline uint64_t
item_cas(const struct item *it)
{
	return (it->cas);
}

/* Absolute, 0 never. */
static inline uint32_t
item_exptime(const struct item *it)
{
	uint32_t v = 0;

	if (it->shape & ITEM_L_EXP)
		memcpy(&v, it->data, sizeof v);
	return (v);
}

static inline uint32_t
item_client_flags(const struct item *it)
{
	uint32_t v = 0;

	if (it->shape & ITEM_L_FLAGS)
		memcpy(&v, it->data + (it->shape >> 18 & 4), sizeof v);
	return (v);
}

static inline bool
item_fetched(const struct item *it)
{
	return ((it->state & ITEM_FETCHED) != 0);
}

static inline bool
item_stale(const struct item *it)
{
	return ((it->state & ITEM_STALE) != 0);
}

/* Somebody was told to recache it. */
static inline bool
item_won(const struct item *it)
{
	return ((it->state & ITEM_WON) != 0);
}

/* Its key is base64 on the wire. */
static inline bool
item_binkey(const struct item *it)
{
	return ((it->state & ITEM_BINKEY) != 0);
}

/* Has a note, which stands in the place of its CAS unique: for items whose uniques nobody sees. */
static inline bool
item_noted(const struct item *it)
{
	return ((it->state & ITEM_NOTED) != 0);
}

/* From then on cache_hit_plain() does not take it. */
static inline uint32_t
item_due(const struct item *it)
{
	return ((uint32_t)(it->cas >> 32));
}

static inline uint32_t
item_note(const struct item *it)
{
	return ((uint32_t)it->cas);
}

/* Of the clock when it was last accessed, the lower 24 bits; see item_idle(). */
static inline uint32_t
item_last_access(const struct item *it)
{
	return (it->state & ITEM_LA_MASK);
}

static inline void
item_set_bit(struct item *it, uint32_t bit, bool on)
{
	it->state = on ? it->state | bit : it->state & ~bit;
}

/* Lock held. An item that is linked has one until it is replaced. */
static inline void
item_set_note(struct item *it, uint32_t due, uint32_t note)
{
	it->cas = (uint64_t)due << 32 | note;
	it->state |= ITEM_NOTED;
}

static inline void
item_set_stale(struct item *it, bool on)
{
	item_set_bit(it, ITEM_STALE, on);
}

static inline void
item_set_won(struct item *it, bool on)
{
	item_set_bit(it, ITEM_WON, on);
}

static inline void
item_set_binkey(struct item *it, bool on)
{
	item_set_bit(it, ITEM_BINKEY, on);
}

/* Bytes of this record alone: what a walk over a slab skips. */
static inline uint32_t
item_record_size(const struct item *it)
{
	return ((uint32_t)(item_key_ptr(it) - (const char *)it) + item_klen(it) + (it->shape & ITEM_VLEN_MASK));
}

/* All bytes that it takes. */
static inline size_t
item_size(const struct item *it)
{
	const struct item_chain *ch;
	size_t n = item_record_size(it);

	if (__builtin_expect(it->shape & ITEM_L_CHAIN, 0)) {
		ch = item_chain(it);
		n += ch->vlen - ch->head + (ch->tail != 0 ? sizeof(struct item) : 0);
	}
	return (n);
}

#endif

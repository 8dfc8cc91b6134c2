/*
 * rocks_key.h - the rows of a namespace in a rocksdb: their keys. Pure; any thread.
 *
 *	kind 1 | hash 2 | length of the id 1 | id | rest
 *
 * The hash is of the id and comes first, so that parts of a scan are ranges; the items of a record lie together, in the
 * order of their keys. What is dead lies apart from what lives: a record is read fast however much of it was deleted.
 */
#ifndef BACKEND_ROCKS_KEY_H
#define BACKEND_ROCKS_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/record.h"
#include "base/slice.h"
#include "proto/envelope.h"

/* The first byte; rest is the item's key, but for ... */
#define ROCKS_ANSWER	'A'	/* length of the item key 2 | item key | version 8 | nonce 16 */
#define ROCKS_CHUNK	'C'	/* the same | envelope.dictionary 4 | number of the piece 4 */
#define ROCKS_DEAD	'D'	/* marks of deleted items */
#define ROCKS_ITEM	'I'
#define ROCKS_RECORD	'R'	/* rest is empty: the list of markers (backend/markers.h) */
#define ROCKS_NEWEST	'V'	/* the namespace's only row without hash and id: the newest version in it */

#define ROCKS_HASHES	65536u
#define ROCKS_ID_MAX	255
#define ROCKS_KEY_MAX	(4 + ROCKS_ID_MAX + 2 + REC_KEY_MAX + 8 + NONCE_LEN + 8)

struct rocks_key {
	size_t		 len;
	char		 bytes[ROCKS_KEY_MAX + 1];
};

/* The hash of an id; that in the key of any row but ROCKS_NEWEST. */
unsigned	 rocks_key_hash(struct slice id);
static inline unsigned
rocks_key_hash_in(struct slice key)
{
	return ((unsigned)(unsigned char)key.p[1] << 8 | (unsigned char)key.p[2]);
}

/* Of an item, a dead one, a record (item empty). */
void		 rocks_key_item(struct rocks_key *, char kind, struct slice id, struct slice item);
/* Of a first answer. */
void		 rocks_key_answer(struct rocks_key *, struct slice id, struct slice item, uint64_t version,
		    const uint8_t nonce[NONCE_LEN]);
/* Of a piece of the value of such an item; chunk UINT32_MAX: where the piece's number would be. */
void		 rocks_key_chunk(struct rocks_key *, struct slice id, struct slice item, const struct envelope *,
		    uint32_t chunk);
/* Behind all keys that begin with this one. */
void		 rocks_key_behind(struct rocks_key *);
/* Where the rows of one kind, of ids of this hash, begin. */
void		 rocks_key_hashed(struct rocks_key *, char kind, unsigned hash);
/* Where the rows of one kind in the i-th of n parts begin, 1 <= i <= n + 1; n + 1: where they all end. */
void		 rocks_key_part(struct rocks_key *, char kind, uint32_t i, uint32_t n);
void		 rocks_key_newest(struct rocks_key *);

/* What a key says; the slices borrow from it. */
struct rocks_row_name {
	char		 kind;
	struct slice	 id, item;
	uint64_t	 version;	/* ROCKS_ANSWER, ROCKS_CHUNK */
	uint8_t		 nonce[NONCE_LEN];
	uint32_t	 chunk_try, chunk;	/* ROCKS_CHUNK */
};

/* False: this is no key of ours. */
bool		 rocks_key_parse(struct slice key, struct rocks_row_name *);

/* Whether an item of this head names the pieces of which n is one. */
bool		 rocks_key_names(const struct rocks_row_name *n, const struct envelope *head);

/* Whether a comes before b. */
bool		 rocks_key_before(const struct rocks_key *a, const struct rocks_key *b);

static inline struct slice
rocks_key_slice(const struct rocks_key *k)
{
	return (slice_of(k->bytes, k->len));
}

#endif

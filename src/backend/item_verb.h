/*
 * item_verb.h - what an op makes of one item in item format, for stores that keep envelopes themselves.
 *
 * Pure: no I/O, no clock, no memory of their own; any thread. redis.lua does the same within Redis, cache/verb*.c in
 * the local cache: the three must not differ. The store reads the row (and what is kept of the op's token), asks, and
 * does what the effect says, all of it in one atomic write.
 *
 * Order is by (version, nonce). A row is dead when it is marked so, when its time is over, or when a marker (of a
 * record or range delete) that covers it is newer; one of the marker's own token lives. Whatever is dead keeps its
 * version: a blind write that is older changes nothing and is answered as a success.
 */
#ifndef BACKEND_ITEM_VERB_H
#define BACKEND_ITEM_VERB_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "backend/markers.h"
#include "backend/record.h"
#include "base/num.h"
#include "proto/envelope.h"

/* An item as it lies in the store: dead ones too. */
struct row {
	struct envelope	 head;
	struct slice	 value;		/* what is behind the head */
};

struct row_ask {
	const struct be_op *be;
	const struct row *row;		/* NULL: there is none */
	const struct stamp *cover;	/* of the newest marker that covers the item; NULL: none does */
	const struct op_result *first;	/* row_keeps_answer(): what was answered to this token; NULL: nothing yet */
	uint64_t	 now;		/* milliseconds since 1970 */
};

enum row_do {
	ROW_KEEP,		/* nothing changes */
	ROW_PUT,		/* head and value replace the row, be it dead or alive */
	ROW_REMOVE,		/* nothing is left */
	/*
	 * Nothing was done, res is OP_ERROR with OPR_ENCODED and res.cas the version there: the value must be decoded
	 * first. append, prepend, incr, decr of what is encoded or in chunks; md I of what is in chunks. Whoever has
	 * decoded it can ask row_verb() with that as the row, and store what comes of it by a cas with the same token;
	 * op.delta of such a store is res.number, which is kept as the first answer.
	 */
	ROW_DECODE,
	/*
	 * Nothing was done, res is the same: the body is in chunks, which are named by the op's version, and that would
	 * have to be above res.cas.
	 */
	ROW_HIGHER,
};

/* Its slices borrow from the op, the row and the effect itself: it must not be moved. */
struct row_effect {
	enum row_do	 what;
	bool		 remember;	/* res is to be given again to this token: keep row_answer_put() of it */
	bool		 orphans;	/* PUT, REMOVE: the row's chunks are nobody's any more */
	struct envelope	 head;		/* PUT */
	/* PUT: the value is front, the body, back, and spaces. */
	struct slice	 front, back;
	const struct iovec *body;
	int		 nbody;
	uint32_t	 body_len;
	uint32_t	 spaces;
	uint32_t	 len;		/* of all of that */
	char		 number[NUM_U64_MAXLEN];
};

/*
 * OP_GET, OP_STORE, OP_DELETE, OP_ARITH, OP_DEBUG, and OP_ITEMS_DELETE as to one of its keys. Sets all of *res; an
 * OP_DEBUG's text is row_debug()'s. After an OP_GET that hits, the row has the value, and the head if OPR_ENCODED:
 * res.size is of the bytes that lie there.
 */
void		 row_verb(const struct row_ask *, struct op_result *res, struct row_effect *);
/* One item of an OP_ITEMS_PUT, of the op's version: without a token that is the highest row_version() of all items. */
void		 row_put(const struct row_ask *, const struct rec_put *, struct row_effect *);
/* What a plain write (neither OPF_TOKEN nor OPF_LWW) must have for a version, at least the op's. */
uint64_t	 row_version(const struct row_ask *);

/* Whether its value cannot be read where it lies. */
static inline bool
row_encoded(const struct envelope *head)
{
	return (head->codec != CODEC_NONE || head->chunks != 0);
}

/* Whether it is there for readers. */
bool		 row_lives(const struct envelope *, const struct stamp *cover, uint64_t now);
/*
 * Whether the row may be forgotten, for compactions: its mark has been there long enough, or it has been expired for
 * keep milliseconds. What a marker covers goes at once, as long as the marker is kept.
 */
bool		 row_spent(const struct envelope *, const struct stamp *cover, uint64_t now, uint32_t keep);

/* Bytes of an effect's row, and they; returns the end. */
#define row_effect_len(e)	(ENVELOPE_LEN_MAX + (size_t)(e)->len)	/* at most */
char		*row_effect_put(char *dst, const struct row_effect *);
/* me: the text after the key, into buf and res->error. */
void		 row_debug(struct op_result *res, char *buf, size_t len);

/* Whether the op's first answer is kept: it has a token and depends on what is there. */
bool		 row_keeps_answer(const struct op *);
/* A first answer as bytes, with the moment (milliseconds since 1970) when it may be forgotten. */
#define ROW_ANSWER_LEN	40
char		*row_answer_put(char dst[ROW_ANSWER_LEN], const struct op_result *, uint64_t until);
bool		 row_answer_get(struct slice, struct op_result *, uint64_t *until);

#endif

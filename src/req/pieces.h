/*
 * pieces.h - values over chunk_size: their pieces stored, read, given another expiry, deleted.
 *
 * A value lies in pieces 1..n under the version and nonce that wrote it, and a number of this try to write it, spread
 * over the store by names of their own; the item, which is written last, says how many there are. So whoever has the
 * item knows which pieces are the value's, and pieces of two values never meet, even where a client uses a token twice.
 *
 *	store: PIECES_STORE (they expire soon) -> the item -> PIECES_TOUCH (they live as long as the item) -> the client
 *	read:  the item -> PIECES_FETCH; one that is not there: the item again, which may be another by now
 *	gone:  the item -> PIECES_LEAVE: whoever has begun to read them may go on
 *
 * A few pieces of a value are under way at a time: beside the value itself a request needs PIECES_WINDOW of them,
 * twice where they are encoded. Loop thread only.
 */
#ifndef REQ_PIECES_H
#define REQ_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/record.h"
#include "base/err.h"
#include "proto/envelope.h"
#include "proto/op.h"
#include "req/ctx.h"
#include "req/value.h"

#define PIECES_WINDOW	4
#define PIECES_KEY_MAX	(OP_KEY_MAX + 16 + REC_KEY_MAX)	/* id, separator, item */
/* Seconds that pieces live before the item is there that they are of; and longer than it. */
#define PIECES_STAGED	3600
#define PIECES_LONGER	60
/* And after it has been replaced or deleted. */
#define PIECES_LEFT	60

enum pieces_do { PIECES_STORE, PIECES_FETCH, PIECES_TOUCH, PIECES_LEAVE, PIECES_DROP };

/* What became of it; why is valid only during done(). */
struct pieces_end {
	enum err	 err;		/* ERR_NONE: all was done, or a piece is lost */
	bool		 lost;		/* FETCH, TOUCH: a piece is not there, or is no such piece */
	const char	*why;
};

typedef void	 pieces_done_f(void *arg, const struct pieces_end *);

struct pieces_ask {
	enum pieces_do	 what;
	struct slice	 key;		/* of the item; copied */
	struct envelope	 head;		/* version, nonce, size, chunk, chunks */
	struct value	*value;		/* STORE: all of it; FETCH: one outside of the cache, of head.size bytes */
	int32_t		 ttl;		/* STORE, TOUCH: as clients give it */
	uint64_t	 timeout;	/* microseconds for all of it; 0: the store's own for each */
	pieces_done_f	*done;		/* NULL: nobody minds */
	void		*arg;
};

/* Into how many pieces a value goes; 0: it is whole. Sets head's size, chunk, chunks; if there are any, dictionary. */
uint32_t	 pieces_plan(struct ctx *, const struct space *, uint64_t size, struct envelope *head);
/* How long pieces are to live whose item has this expiry, as clients give it. */
int32_t		 pieces_ttl(int32_t ttl);
/* Whether this may be the head of a value in pieces. */
bool		 pieces_sane(const struct envelope *head);
/* done() comes once, later. False: out of memory, it does not come. The value is referenced meanwhile. */
bool		 pieces_run(struct ctx *, const struct space *, const struct pieces_ask *);

#endif

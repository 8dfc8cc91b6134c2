/* item_look.h - what item_verb.c and item_verb_store.c share: an ask, judged. */
#ifndef BACKEND_ITEM_LOOK_H
#define BACKEND_ITEM_LOOK_H

#include "backend/item_verb.h"

struct look {
	const struct row_ask *a;
	const struct op	*op;
	const struct row *row;		/* alive; NULL: there is none for readers */
	struct stamp	 own;		/* the op's */
	struct stamp	 last;		/* was: the newest of what is there, dead or alive */
	bool		 was;
	bool		 expired;	/* there is a row whose time is over */
	struct op_result *res;
	struct row_effect *e;
};

/* The op's bits; of a token's op, with the write it is of. */
static inline bool
look_opt(const struct look *l, uint16_t opts)
{
	return ((l->op->opts & opts) != 0);
}

/* Whether what is there is as new as the op: it is the op, or it has happened after it. */
bool		 look_outdone(const struct look *);
/* The stamp of a write: what the client says, else the op's own, but with a version above what is there. */
struct stamp	 look_stamp(const struct look *);
/* A client's seconds as a moment, 0 never; what is over is in the past. */
uint64_t	 look_moment(const struct look *, int32_t ttl);
/* T, N, R and t in the order of the line: the expiry that comes of it; *shown, in seconds; *takes: the win. */
uint64_t	 look_walk(const struct look *, int32_t *shown, bool *takes);
/* The item as it is, into res. */
void		 look_describe(struct look *);
void		 look_fail(struct look *, struct slice line);
/* Nothing can be done here. */
void		 look_refuse(struct look *, enum row_do);
/* A row of this head is to be written, its value being in the effect. What is over by then keeps but its version. */
void		 look_put(struct look *, const struct envelope *);
/* The op's body as the value. */
void		 look_body(struct look *);

void		 look_store(struct look *);
void		 look_arith(struct look *);

#endif

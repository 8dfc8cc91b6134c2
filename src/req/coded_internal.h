/*
 * coded_internal.h - a request whose value is encoded or in pieces, for coded*.c only. Loop thread only.
 */
#ifndef REQ_CODED_INTERNAL_H
#define REQ_CODED_INTERNAL_H

#include "proto/envelope.h"
#include "req/coded.h"
#include "req/req.h"
#include "req/value.h"

#define CODED_TRIES_MAX	16
#define CODED_WHY_MAX	256

struct hold;

enum coded_stage {
	CODED_ASKED,		/* the client's op, as it came */
	CODED_JOINED,		/* the value with the body joined to it */
	CODED_PLAIN,		/* the value as it was, plain */
	CODED_KEPT,		/* md I that keeps the version */
};

struct coded {
	struct envelope	 head;		/* a write: be.head; a read: what was found */
	struct value	*sent;		/* the encoded body */
	struct value	*joined;	/* CODED_JOINED, CODED_PLAIN: the new value */
	struct value	*whole;		/* a read: what is put together */
	void		(*then)(struct req *);
	struct op	 asked;		/* be.op and version at first */
	uint64_t	 version;
	struct hold	*hold;		/* several steps: what comes behind waits */
	enum coded_stage stage;
	unsigned	 tries, rereads;
	char		 why[CODED_WHY_MAX];
};

static inline bool
coded_joins(const struct op *op)
{
	return (op->mode == OP_APPEND || op->mode == OP_PREPEND);
}

/* coded.c */
/* Makes it; NULL: out of memory. */
struct coded	*coded_of(struct req *);
void		 coded_drop_value(struct value **);
/* The op's outcome is this error, with text that lives for ever, or the req's. */
void		 coded_error(struct req *, enum err, const char *why);
/* The same, and the client hears of it. */
void		 coded_fail(struct req *, enum err, const char *why);
/* What is wrong with a value that the store has. */
void		 coded_bad(struct req *, const char *why);
/* The text of an error, which is valid only until the end of done(). */
void		 coded_keep_why(struct req *, const char *why);
void		 coded_outcome(struct req *, enum op_status);
/* The op as it goes out next. */
void		 coded_send(struct req *);

/* coded_read.c */
/* Reads the item that r is about, as it lies there, with a child. False: out of memory. */
bool		 coded_look(struct req *, void (*done)(struct be_op *));

/* coded_write.c */
/* This is the op's body. False: out of memory. */
bool		 coded_body(struct req *, const struct value *);
/* Sends a body that is the value: encoded, or in pieces. r->coded is there. */
void		 coded_write(struct req *);
/* The outcome of the item that names pieces. False: it is no success, and they are gone. */
bool		 coded_named(struct req *);
/* The item is written: its pieces are to live as long; then the client hears. */
void		 coded_settle(struct req *);
/* Nothing was written: our pieces are nobody's; those of the same write before it are to live as long as its item. */
void		 coded_kept(struct req *);
/* Something newer is there than what the pieces are named by. */
void		 coded_higher(struct req *);
/* What was replaced or deleted was in pieces: who has begun to read them may go on. */
void		 coded_leave_pieces(struct req *, const struct envelope *);

/* coded_relative.c */
/* The store has done nothing: the value there is encoded. */
void		 coded_relative(struct req *);
/* The client's op, once more. */
void		 coded_again(struct req *);

#endif

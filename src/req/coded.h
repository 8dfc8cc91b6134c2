/*
 * coded.h - requests on item namespaces whose values are encoded, or in pieces: between through.c and the store.
 *
 *	a write		the body is encoded, or stored in pieces first; then the item goes out
 *	a read		what the store has is decoded, or put together, before through.c hears of it
 *	append, incr	the store cannot do that with what is encoded: the value is read, and written back if it is
 *			still the same
 *
 * Above here all values are plain: clients' answers and the local cache. Loop thread only.
 */
#ifndef REQ_CODED_H
#define REQ_CODED_H

#include "req/req.h"

/* A req on an item namespace that was just filled in: its outcome goes through here on its way to be.done(). */
void	 coded_begin(struct req *);
/* Sends an OP_STORE with its body, whose pieces are be.body, and, where it is large, r->value. */
void	 coded_store(struct req *);
/* Whether the body of such an OP_STORE has to be a struct value: it is needed later, or in parts. */
bool	 coded_needs_value(const struct space *, const struct op *);
/* At its end. */
void	 coded_free(struct req *);

/*
 * The value of an item that a read found, as be.res, be.found_head and be.data or r->value say: decoded or put
 * together, r and its be_op are as if it had always been plain, and then() is called: at once or later.
 */
void	 coded_read(struct req *, void (*then)(struct req *));
/* What goes to the store instead of r->value; NULL: that does. */
struct value *coded_sent(const struct req *);

#endif

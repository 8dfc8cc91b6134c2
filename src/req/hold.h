/*
 * hold.h - keys with a write under way that takes several steps: what comes behind it waits for its end.
 *
 * One op after the other goes out on a connection, so a client's pipeline is in order. A write in pieces, or an append
 * to what is encoded, is several ops: what the client (or another one of this worker) asks of that key meanwhile is
 * sent when it is over. There is hardly ever one, so nobody else pays. Loop thread only.
 */
#ifndef REQ_HOLD_H
#define REQ_HOLD_H

#include "req/req.h"

struct hold;

/* Whether r's key is held: then r waits, and is sent in its turn. False: it is to be sent. */
bool		 hold_waits(struct req *);
/* Whether the key is held. */
bool		 hold_has(const struct ctx *, struct slice key, uint64_t hash);
/* r holds its key from now on; it is not held. NULL: out of memory, nobody waits. */
struct hold	*hold_take(struct req *);
/* r's end: sends what waits, with resume(), until one of them holds the key again. NULL is fine. */
void		 hold_drop(struct hold **, void (*resume)(struct req *));

#endif

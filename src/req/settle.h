/*
 * settle.h - the pieces of a value that is there already, written by an earlier try of the same write: it may have
 * ended before it had told them to live as long as their item. Loop thread only.
 */
#ifndef REQ_SETTLE_H
#define REQ_SETTLE_H

#include "req/pieces.h"

/*
 * As pieces_run() with PIECES_TOUCH, for the pieces that the item names by now, if it is of the version and nonce of
 * ask->head; with the item's own expiry. Nothing to be done is success.
 */
bool		 settle_run(struct ctx *, const struct space *, const struct pieces_ask *);

#endif

/*
 * send.h - an op's way to servers: which ones, how often, until what is decided.
 *
 * In most namespaces an op goes to the one server that the ring names, and its end is the end (space.plain). Where
 * there are replicas, stand-ins for servers that are down, or bounds of latency, it becomes a flight of legs:
 *
 *	req --> flight --> leg --> server a        a leg each: a replica, a hedge, a second try, a stand-in
 *	                   leg --> server b        the first good one of a read decides; of a write, the quorum
 *
 * The req hears once, of the outcome; legs that end later are the flight's business. Loop thread only.
 */
#ifndef REQ_SEND_H
#define REQ_SEND_H

#include "req/req.h"

/*
 * Sends r->be, of which all that the caller sets is set; the body, if any, outlives the call unless the namespace is
 * plain (a struct value does). r->be.done() comes once, later.
 */
void		 send_op(struct req *);
/* Frees what is kept for reuse. */
void		 send_drain(struct ctx *);

#endif

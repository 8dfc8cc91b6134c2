/*
 * hedge.h - when a read is sent a second time, and how often that may be.
 *
 * One hedger per namespace and worker, where hedging is on. Flights wait in it in the order in which they were sent,
 * each for the same delay: the SLO's target, or the 95th percentile of late. The budget is a bucket that every op
 * fills a little and every hedge takes one from. Loop thread only.
 *
 * The method: Dean and Barroso, The Tail at Scale (2013), "hedged requests".
 */
#ifndef REQ_HEDGE_H
#define REQ_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

struct conf_ns;
struct flight;
struct hedger;
struct loop;

/*
 * was: of the same namespace before a reload, NULL: none; what that one has learned and spent counts on. NULL: out of
 * memory or descriptors.
 */
struct hedger	*hedger_new(struct loop *, const struct conf_ns *, const struct hedger *was);
/* Nothing waits in it any more. NULL is fine. */
void		 hedger_free(struct hedger **);

/* Microseconds after which a read counts as late now. */
uint64_t	 hedger_delay(const struct hedger *);
/* An op was sent: its flight waits from now on, and the budget has a little more. */
void		 hedger_wait(struct hedger *, struct flight *, uint64_t now);
void		 hedger_leave(struct hedger *, struct flight *);
/* A read took so long, or longer, at the server that it was sent to first. */
void		 hedger_learn(struct hedger *, uint64_t usec);
/*
 * Takes one hedge's worth from the budget, and from that of the server if it would be asked twice; again: for a flight
 * that was denied one.
 */
bool		 hedger_spend(struct hedger *, const struct flight *, bool again);

#endif

/*
 * health.h - whether a server gets requests: it is up, down, or on trial with one request.
 *
 *	        `limit` failures in a row, or no connection can be had
 *	   UP ----------------------------------------------------------> DOWN <----+
 *	    ^                                                               |       | the request fails, or
 *	    |  the request is answered                  a probe is answered |       | the connection does
 *	    +--------------------------- TRIAL <----------------------------+       |
 *	                                   +----------------------------------------+
 *
 * A probe is what the store does to connect: its own greeting, never a client's request. After it one real
 * request goes out and all others are still refused, so a server that greets but cannot work hurts one.
 * Answers to what was sent before the server was down tell nothing about it: only a probe ends DOWN, and the pauses
 * between probes grow until a request is answered, however many probes are.
 * Loop thread only; embedded in its owner's struct.
 */
#ifndef BACKEND_HEALTH_H
#define BACKEND_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

enum health_state { HEALTH_UP, HEALTH_DOWN, HEALTH_TRIAL };

struct health {
	uint8_t		 state;		/* enum health_state */
	bool		 trying;	/* TRIAL: its request is out */
	unsigned	 limit;
	unsigned	 failures;	/* of requests, in a row */
	unsigned	 attempts;	/* probes since a request was answered */
	uint32_t	 random;
};

/* Up. limit: failures in a row that take it out; 0 is 1. */
void	 health_init(struct health *, unsigned limit, uint32_t seed);
/* Whether a request may go out now. */
bool	 health_may(const struct health *);
/* The same, and it does: the place of a trial is taken. *trial tells whether this one is it. */
bool	 health_admit(struct health *, bool *trial);
/* The trial's request ended without telling anything (cancelled before it was sent): the next one is it. */
void	 health_no_verdict(struct health *);
/* A request was answered. True: the server is up, and was not before. */
bool	 health_good(struct health *);
/* A request failed by the server's fault (timeout, lost connection, nonsense). True: it is down, and was not before. */
bool	 health_bad(struct health *);
/* It cannot be reached at all. True: it was not down before. */
bool	 health_gone(struct health *);
/* A probe was answered: from down to trial. */
void	 health_answered(struct health *);
/* Microseconds until the next probe: doubles from min to max with each, less up to a quarter by chance. */
uint64_t health_delay(struct health *, uint64_t min, uint64_t max);
/* The same for what else has failed so many times in a row (>= 0): one connection of several. */
uint64_t health_backoff(struct health *, unsigned failed, uint64_t min, uint64_t max);

/* Whether health_good() would change nothing, for callers with many answers. */
static inline bool
health_calm(const struct health *h)
{
	return ((h->failures | h->state) == 0);
}

#endif

/*
 * flight.h - the inside of a flight, shared by send.c, flight*.c and hedge.c only. Loop thread only.
 */
#ifndef REQ_FLIGHT_H
#define REQ_FLIGHT_H

#include <sys/queue.h>

#include "backend/backend.h"
#include "req/req.h"

#define FLIGHT_REPLICAS_MAX	CONF_REPLICAS_MAX
/* Replicas, and as many that stand in for them. */
#define FLIGHT_TARGETS_MAX	(2 * FLIGHT_REPLICAS_MAX)
#define FLIGHT_WHY_MAX		256

struct flight;
struct value;

/* A server, and the way to it. */
struct target {
	const struct be_ops *ops;
	struct backend	*be;
	uint8_t		 way;		/* be_op.way */
	bool		 stand_in;	/* has the key only while its own servers are down */
};

/* One op at one server. */
struct leg {
	SLIST_ENTRY(leg) next;
	struct be_op	 be;
	struct flight	*flight;
	const struct target *target;
	struct value	*value;		/* a large one that arrives */
	bool		 out;		/* done() has not come yet */
	bool		 hedge;
};
SLIST_HEAD(leg_list, leg);

struct flight {
	unsigned	 magic;
#define FLIGHT_MAGIC	0x666c6967u
	TAILQ_ENTRY(flight) next;	/* in the hedger, or free */
	struct ctx	*ctx;
	struct req	*r;		/* NULL: decided */
	const struct space *space;	/* its view is pinned */
	struct value	*body;		/* of a write: its legs may outlive the req */
	struct iovec	*pieces;
	struct rec_op	*held;		/* of an op on records: what its legs need */
	struct leg	*teller;	/* of a page: the leg that found something first, whose page it is */
	uint64_t	 hash;		/* lingers: of the key */
	uint64_t	 started;
	uint64_t	 due;		/* waits: when the hedger looks at it */
	bool		 waits;		/* in the hedger */
	bool		 write;
	bool		 serial;	/* one server decides, the others follow it */
	bool		 unsettled;	/* a write: counted in ctx.unsettled */
	bool		 lingers;	/* a write: decided, and its fence is left when the last leg has ended */
	bool		 behind;	/* a read that goes where writes go, while that can be had */
	bool		 denied;	/* a hedge was, for want of budget */
	uint8_t		 nstand_ins;	/* chosen so far */
	uint8_t		 nleft_out;	/* servers of the key that are no targets because they are down */
	uint8_t		 ntargets;
	uint8_t		 tried;		/* targets that have had a leg */
	uint8_t		 nout;		/* legs out */
	uint8_t		 need;		/* answers that decide */
	uint8_t		 acks;
	struct envelope	 head;		/* what be.head of the legs is, if it is anything */
	struct leg_list	 legs;
	struct target	 targets[FLIGHT_TARGETS_MAX];
	/* The first answer of a write that waits for more; the first failure. */
	struct op_result res;
	struct envelope	 found_head;	/* with OPR_ENCODED */
	enum err	 err;		/* ERR_NONE with why: a server's own error line */
	bool		 failed;
	char		 why[FLIGHT_WHY_MAX];
};
TAILQ_HEAD(flight_list, flight);

/* flight_plan.c */
/* Fills targets: of a read those to try in turn, of a write those that are to have it. At least one. */
void		 flight_plan(struct flight *);
/* Whether the server that would be asked next takes long, too, as far as is known. */
bool		 flight_next_is_slow(const struct flight *);
/* Adds servers that stand in for those that are down and have none yet. False: there are none. */
bool		 flight_stand_in(struct flight *);

/* flight.c */
/* NULL: out of memory. */
struct flight	*flight_new(struct req *);
/* Sends the op to a target. False: out of memory. */
bool		 flight_leg(struct flight *, const struct target *, bool hedge);
/* The outcome is that of a leg, from within its done(); others of a read are called off. */
void		 flight_decide(struct flight *, struct leg *);
/* The outcome is res, or the first failure. */
void		 flight_end(struct flight *, const struct op_result *res);
/*
 * A write begins: until it is decided, reads of its key do not go where they could overtake it. One of a single server
 * takes one way; one that all replicas get at once is before any later read on each.
 */
void		 flight_unsettle(struct flight *);
/* Whether there is such a write of the key. */
bool		 flight_is_behind(const struct flight *);
/* Keeps the first failure. */
void		 flight_note(struct flight *, const struct be_op *);
/* Whether another server may be asked after this failure of a read. */
bool		 flight_may_retry(const struct flight *, const struct be_op *);

/* send.c */
void		 flight_read_done(struct flight *, struct leg *);
/* Its time has come: sends the hedge. False: not now. */
bool		 flight_late(struct flight *);

/* flight_write.c */
void		 flight_write(struct flight *);
void		 flight_write_done(struct flight *, struct leg *);

/* Out of memory for the first leg: the op goes out as if there were no flight, which is freed. */
void		 flight_drop(struct flight *);

static inline bool
flight_leg_good(const struct leg *leg)
{
	return (leg->be.err == ERR_NONE && leg->be.res.status != OP_ERROR);
}

/* A write that was not done, because what is there is encoded, or newer: whoever made it goes on from there. */
static inline bool
flight_leg_undone(const struct leg *leg)
{
	return (leg->be.err == ERR_NONE && leg->be.res.status != OP_OK && (leg->be.res.bits & OPR_ENCODED) != 0);
}

/* Whether an op takes part in nothing but reading. */
bool		 flight_is_read(const struct op *);

#endif

/*
 * memcached.h - the inside of the memcached store, shared by memcached*.c only.
 *
 *	submit --> admit --> [ no connection yet: waiting ] --> put: line into conn.out, slot into conn.ring
 *	hook   --> flush: one writev per connection
 *	read   --> reply for the slot at the ring's head --> done()
 *
 * What is in flight is a ring of small slots, apart from the be_ops: an op that was cancelled or timed out is gone
 * while its slot waits for the reply that nobody wants any more.
 */
#ifndef BACKEND_MEMCACHED_H
#define BACKEND_MEMCACHED_H

#include "backend/be_loop.h"
#include "backend/health.h"
#include "backend/outage.h"
#include "backend/resolve.h"
#include "conf/model.h"
#include "proto/upstream.h"

/* Incomplete replies up to here wait whole, larger values go to the sink. */
#define MC_HOLD		(16 * 1024)
#define MC_REPLAY	4096		/* bytes of requests remembered for one more try */
#define MC_RING_MIN	64
#define MC_LINE_FLAGS	256		/* a request line without its key is shorter */

struct mc_slot {
	struct upstream_expect expect;
	struct be_op	*op;		/* NULL: the reply is to be dropped */
	uint64_t	 deadline;	/* of the connection, when this slot is at the head */
	uint64_t	 own;		/* of the op alone; UINT64_MAX: none, 0: passed, counted as a failure */
};

enum mc_state {
	MC_OFF,				/* no descriptor; the timer starts the next attempt */
	MC_CONNECTING,
	MC_HELLO,			/* `version` sent */
	MC_FLUSH,			/* `flush_all` sent: the server comes back from an outage */
	MC_READY,
};

#define MC_MOVE_MIN	(16 * 1024)	/* bytes in one timeout: a connection that is slower is as good as silent */

struct mc_conn {
	struct mc	*mc;
	unsigned	 index;
	struct mc_conn	*stand_in;	/* carries out what came while this one was away; NULL: none */
	uint32_t	 stand_in_until;	/* to the slot before this number */
	uint8_t		 state;		/* enum mc_state */
	uint8_t		 dialect;	/* enum upstream_dialect; MC_READY */
	bool		 broken;	/* memory ran out in the middle of a request */
	bool		 burst;		/* all in flight are plain reads in `replay`, no byte of reply yet */
	bool		 replaying;	/* reconnecting for what is in the ring */
	int		 fd;
	struct io	 io;
	struct timer	 timer;
	uint64_t	 timer_at;	/* when it fires */
	uint64_t	 moved_at;	/* when MC_MOVE_MIN bytes of large values had come or gone again; 0: never */
	size_t		 moved;		/* bytes since */
	uint64_t	 late_at;	/* when a deadline was first found passed with bytes unread; 0: not now */

	struct be_dirty	 dirty;
	struct outq	 out;

	struct mc_slot	*ring;
	uint32_t	 cap;		/* power of two */
	uint32_t	 head;		/* number of the oldest slot */
	uint32_t	 n;
	uint32_t	 first;		/* number of the first slot of this connection */

	/* Deadlines of ops, see mc_check_own(). */
	bool		 own_any;	/* there may be some */
	bool		 own_mixed;	/* they are not in the ring's order */
	uint32_t	 own_at;	/* no slot before this number has one still to pass */
	uint64_t	 own_last;	/* of the last one put into the ring */
	uint64_t	 own_from;	/* not looked at before */

	char		*hold;		/* MC_HOLD bytes: the beginning of a reply */
	size_t		 hold_len;
	uint32_t	 value_left;	/* of the value that goes to the sink of the head's op */
	uint8_t		 value_tail;	/* bytes that follow it; 0: no such value */

	char		*replay;	/* MC_REPLAY bytes */
	size_t		 replay_len;
	uint64_t	 quick_at;	/* when it last reconnected without delay */
	unsigned	 failures;	/* attempts in a row, while another connection stands */
	unsigned	 addr;		/* next one to try */
	unsigned	 tried;		/* in this round */
};

/* A be_op that waits for a connection; be_op.priv. */
struct mc_wait {
	TAILQ_ENTRY(mc_wait) next;
	struct be_op	*op;
	struct iovec	 piece;		/* a short body's copy */
	size_t		 key_len;
	char		 key[OP_KEY_MAX];
	char		 body[];
};
TAILQ_HEAD(mc_wait_list, mc_wait);

/* A body sent from the caller's memory: done() waits until the last piece has left; be_op.priv. */
struct mc_body {
	struct be_op	*op;
	unsigned	 refs;
	bool		 over;		/* op->err and res are the outcome */
	char		 text[UPSTREAM_REPLY_MAX];	/* res.error */
};

struct mc {
	struct backend	 be;		/* first */
	struct loop	*loop;
	const struct conf_store *store;
	const struct conf_server *server;
	struct health	 health;
	struct outage	*outage;	/* store->flush_on_return, else NULL */
	bool		 owes;		/* a flush, and after it the end of the trial */
	bool		 said_down;	/* in the log */
	struct timer	 grace;		/* for a trial that no request comes for */
	bool		 by_name;
	uint32_t	 max_inflight;
	unsigned	 replay_credit;	/* requests that may go out once more */
	uint64_t	 replay_mark;	/* be.stats.requests when that was counted */
	uint64_t	 log_next;	/* no line about rubbish before */
	struct resolve_list addrs;
	struct resolve_job *job;
	struct mc_wait_list waiting;
	uint32_t	 nwaiting;
	struct timer	 wait_timer;	/* for those with a deadline of their own */
	uint64_t	 wait_at;
	uint64_t	 wait_from;	/* deadlines of those are not looked at before */
	char		 why[256];	/* "<server> is down: ..." */
	char		 why_owed[256];
	char		 why_busy[256];
	char		 why_old[256];
	char		 why_slow[256];
	unsigned	 nconns;
	struct mc_conn	 conns[];
};
#define MC_MAGIC	0x6d656d63u

/* enum of be_op.state */
enum mc_op_state { MC_OP_ENDING, MC_OP_WAITING, MC_OP_SLOT };

/* Deadlines of ops are looked at this often at most, however many there are. */
#define MC_OWN_EVERY	1000		/* microseconds */

/* memcached.c */
/* Puts the op into the ring of a connection that is ready; o, body: copies that live now. */
void	 mc_put(struct mc_conn *, struct be_op *, const struct op *o, const struct iovec *body, int nbody);
/* The connection for the op; NULL: none is ready. */
struct mc_conn *mc_pick(struct mc *, const struct be_op *);
/* Ends an op that has not gone out, from the hook. */
void	 mc_refuse(struct mc *, struct be_op *, enum err, const char *why);
/* Takes the op out of its slot and ends it from the hook. */
void	 mc_detach(struct mc_slot *, enum err, const char *why);

/* memcached_wait.c */
/* The op stays until there is a connection. */
void	 mc_wait(struct mc *, struct be_op *);
/* Takes one that waits away. */
void	 mc_wait_cancel(struct mc *, struct be_op *);
/* All that waited goes to the connections, which at least one is ready. */
void	 mc_waiting_put(struct mc *);
void	 mc_waiting_fail(struct mc *, enum err, const char *why);
/* Timer. */
void	 mc_waiting_time(void *mc);

/* memcached_health.c */
bool	 mc_health_init(struct mc *);
void	 mc_health_fini(struct mc *);
/* Whether the op may go out now, where that is not plain to see; the place of a trial is taken. */
bool	 mc_admit(struct mc *);
bool	 mc_any_ready(const struct mc *);
void	 mc_state_show(struct mc *);
/* One or more requests failed by the server's fault. True: that took it out, mc_down() is to follow. */
bool	 mc_failed(struct mc *, unsigned n);
/* health.c says that it is down, and why; ends what waits. done() of what was to be repeated is called in it. */
void	 mc_down(struct mc *, enum err, const char *detail);
/* It still is: the reason of today. */
void	 mc_still_down(struct mc *, const char *detail);
/* Nothing goes on that would find out whether it is still down: in a while it does. */
void	 mc_probe(struct mc *);
/* Connections that are off are tried at once. */
void	 mc_start_all(struct mc *);
/* A connection is ready: that was the probe, if one was needed. */
void	 mc_greeted(struct mc *);
/* The slot's reply has come, or was told to be of no use. */
void	 mc_answered(struct mc *, const struct mc_slot *);
/* The op that was on trial has not gone out. */
void	 mc_no_verdict(struct mc *);
/* Whether n requests may go out a second time: now and then they may. */
bool	 mc_replay_granted(struct mc *, unsigned n);

/* memcached_conn.c */
bool	 mc_conn_init(struct mc *, struct mc_conn *, unsigned index);
void	 mc_conn_fini(struct mc_conn *);
void	 mc_conn_start(struct mc_conn *);
/* The descriptor, the output and what was half read go; the ring stays. */
void	 mc_conn_shut(struct mc_conn *);
/* Closes, decides what next, then ends what was in flight. detail NULL: the text of err. */
void	 mc_conn_lost(struct mc_conn *, enum err, const char *detail);
/* Ends what is in flight, in order. */
void	 mc_conn_fail_ring(struct mc_conn *, enum err, const char *why);
/* `version` was answered. */
void	 mc_conn_greeted(struct mc_conn *, enum upstream_dialect);
/* So was all that stands before the first request. */
void	 mc_conn_ready(struct mc_conn *);
/* Makes sure that the timer fires at this time or before. */
void	 mc_conn_timer(struct mc_conn *, uint64_t at);
/* n bytes of a large value came or went. */
void	 mc_moved(struct mc_conn *, size_t n);

/* memcached_reply.c */
io_f	 mc_conn_read;

/* Reads that change nothing: asking twice does no harm. */
static inline bool
mc_is_plain_read(const struct op *o)
{
	return (o->verb == OP_GET && (o->opts &
	    ~(unsigned)(OPF_BINKEY | OPF_NO_BUMP)) == 0);
}

/* Whether no other worker has still to empty the server. */
static inline bool
mc_undebted(const struct mc *mc)
{
	return (mc->outage == NULL || outage_owed(mc->outage) == mc->owes);
}

static inline struct mc_slot *
mc_slot(struct mc_conn *c, uint32_t number)
{
	return (&c->ring[number & (c->cap - 1)]);
}

#endif

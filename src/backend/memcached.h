/*
 * memcached.h - the inside of the memcached store, shared by memcached*.c only.
 *
 *	submit --> [ no connection yet: waiting ] --> put: line into conn.out, slot into conn.ring
 *	hook   --> flush: one writev per connection
 *	read   --> reply for the slot at the ring's head --> done()
 *
 * What is in flight is a ring of small slots, apart from the be_ops: an op that was cancelled or timed out is gone
 * while its slot waits for the reply that nobody wants any more.
 */
#ifndef BACKEND_MEMCACHED_H
#define BACKEND_MEMCACHED_H

#include "backend/be_loop.h"
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
};

enum mc_state {
	MC_OFF,				/* no descriptor; the timer starts the next attempt */
	MC_CONNECTING,
	MC_HELLO,			/* `version` sent */
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
	uint32_t	 nshort;	/* some ops have deadlines of their own */

	char		*hold;		/* MC_HOLD bytes: the beginning of a reply */
	size_t		 hold_len;
	uint32_t	 value_left;	/* of the value that goes to the sink of the head's op */
	uint8_t		 value_tail;	/* bytes that follow it; 0: no such value */

	char		*replay;	/* MC_REPLAY bytes */
	size_t		 replay_len;
	uint64_t	 quick_at;	/* when it last reconnected without delay */
	unsigned	 failures;	/* attempts in a row */
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
	bool		 by_name;
	bool		 down;
	uint32_t	 max_inflight;
	uint32_t	 random;
	uint64_t	 log_next;	/* no line about rubbish before */
	struct resolve_list addrs;
	struct resolve_job *job;
	struct mc_wait_list waiting;
	uint32_t	 nwaiting;
	struct timer	 wait_timer;	/* for those with a deadline of their own */
	uint64_t	 wait_at;
	char		 why[256];	/* "<server> is down: ..." */
	char		 why_busy[256];
	char		 why_old[256];
	char		 why_slow[256];
	unsigned	 nconns;
	struct mc_conn	 conns[];
};
#define MC_MAGIC	0x6d656d63u

/* enum of be_op.state */
enum mc_op_state { MC_OP_ENDING, MC_OP_WAITING, MC_OP_SLOT };

/* memcached.c */
/* All that waited goes to the connections, which at least one is ready. */
void	 mc_waiting_put(struct mc *);
void	 mc_waiting_fail(struct mc *, enum err, const char *why);
/* Takes the op out of its slot and ends it from the hook. */
void	 mc_detach(struct mc_slot *, enum err, const char *why);

/* memcached_conn.c */
bool	 mc_conn_init(struct mc *, struct mc_conn *, unsigned index);
void	 mc_conn_fini(struct mc_conn *);
void	 mc_conn_start(struct mc_conn *);
/* Closes, decides what next, then ends what was in flight. detail NULL: the text of err. */
void	 mc_conn_lost(struct mc_conn *, enum err, const char *detail);
/* A reply came although the server was thought to be down. */
void	 mc_mark_up(struct mc *);
/* Ends what is in flight, in order. */
void	 mc_conn_fail_ring(struct mc_conn *, enum err, const char *why);
/* `version` was answered. */
void	 mc_conn_ready(struct mc_conn *, enum upstream_dialect);
/* Makes sure that the timer fires at this time or before. */
void	 mc_conn_timer(struct mc_conn *, uint64_t at);

/* n bytes of a large value came or went. */
void	 mc_moved(struct mc_conn *, size_t n);

/* memcached_reply.c */
io_f	 mc_conn_read;

static inline struct mc_slot *
mc_slot(struct mc_conn *c, uint32_t number)
{
	return (&c->ring[number & (c->cap - 1)]);
}

#endif

/*
 * be_loop.h - what the stores of one loop share: receive buffer, block pool, the end of the turn.
 *
 * Made by the first backend opened on a loop, gone with the last. At the end of a turn its hook first calls done()
 * of the ops that ended without a reply (never before their submit() has returned), then flushes every
 * connection with output, so that the requests of many clients leave in one write. Loop thread only.
 */
#ifndef BACKEND_BE_LOOP_H
#define BACKEND_BE_LOOP_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "base/outq.h"

#define BE_RBUF		(64 * 1024)

/* Something with output to send; inside its owner's struct. flush() may destroy nothing but its own output. */
struct be_dirty {
	TAILQ_ENTRY(be_dirty) next;
	bool		 queued;
	void		(*flush)(struct be_dirty *);
};
TAILQ_HEAD(be_dirty_list, be_dirty);
STAILQ_HEAD(be_op_list, be_op);

struct be_loop {
	unsigned	 magic;
#define BE_LOOP_MAGIC	0x62656c70u
	unsigned	 refs;
	struct loop	*loop;
	char		*rbuf;		/* BE_RBUF bytes; nothing stays in it between two callbacks */
	struct outpool	*pool;
	struct be_op_list over;		/* ended, done() to be called by the hook */
	struct be_dirty_list dirty;
};

/* The head of every store's own struct. */
struct backend {
	unsigned	 magic;		/* the store's own */
	struct be_loop	*bl;
	/* Sees every op before its done(); NULL: need not. */
	void		(*over)(struct be_op *);
	struct be_stats	 stats;
};

/* NULL: out of memory. */
struct be_loop	*be_loop_pin(struct loop *);
/* Nothing of the caller may be queued any more. */
void		 be_loop_unpin(struct be_loop **);

void		 be_loop_dirty(struct be_loop *, struct be_dirty *);
void		 be_loop_clean(struct be_loop *, struct be_dirty *);

/* An op that comes: counted, its outcome empty. */
void		 be_op_begin(struct backend *, struct be_op *);
/* Counts what came of the op and calls done(); op->priv is free()d afterwards. Not from within submit(). */
void		 be_op_end(struct be_op *);
/* The same from the hook: err and why are set here. why must live until then. */
void		 be_op_end_later(struct be_op *, enum err, const char *why);
/* Ends the queued ops of this backend now. */
void		 be_loop_drain(struct backend *);

/*
 * A line about bytes that make no sense, the first of them in it; a line a second: *next is when the next one may come.
 */
void		 be_log_rubbish(struct loop *, uint64_t *next, const char *server, const char *what, const char *p,
		    size_t len);

/* Which of n connections the ops on a key share. */
static inline unsigned
be_group(uint64_t hash, unsigned n)
{
	if (n == 1)
		return (0);
	return ((unsigned)(((hash * 0x9e3779b97f4a7c15u >> 32) * n) >> 32));
}

/* One writer, any reader. */
static inline void
be_stat_add(_Atomic uint64_t *p, uint64_t n)
{
	atomic_store_explicit(p,
	    atomic_load_explicit(p, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

static inline void
be_stat_inflight(struct be_stats *s, int n)
{
	atomic_store_explicit(&s->inflight,
	    atomic_load_explicit(&s->inflight, memory_order_relaxed) + (uint32_t)n,
	    memory_order_relaxed);
}

#endif

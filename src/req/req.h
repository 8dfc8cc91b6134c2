/*
 * req.h - a request that waits for a store, and the queues that keep answers in order.
 *
 * Most commands never become a req: what the local cache can answer goes straight into the client's output. A
 * req is made when a store has to be asked; from then on whatever the same client is answered waits behind it.
 *
 *	client.q.out <- [req, waiting] <- [req, done, bytes] <- [filler, done, bytes of later hits] ...
 *
 * A multi-key read is a req with a queue of its own, whose answers become its bytes when the last one is in.
 * Loop thread only.
 */
#ifndef REQ_REQ_H
#define REQ_REQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backend/backend.h"
#include "base/outq.h"
#include "proto/command.h"
#include "req/ctx.h"

struct coded;
struct tier_ask;
struct value;

TAILQ_HEAD(req_list, req);

/* Answers in the order in which they were asked for. */
struct replyq {
	struct outq	*out;		/* takes bytes whose turn it is */
	struct req_list	 waiting;	/* the head is never done */
	unsigned	 nwaiting;	/* reqs by their weights, fillers not counted */
	size_t		 held;		/* bytes of bodies that they hold */
	size_t		 parked;	/* bytes of answers that wait for their turn; see replyq_parked() */
	uint32_t	 window;	/* so many reqs may be under way: fewer when answers are large */
	uint32_t	 answer;	/* bytes of a value, on the average of the last few answers */
	bool		 broken;	/* an answer is missing: nothing after it may be sent */
	/* out grew or the queue became shorter, outside of the call that added to it. */
	void		(*advanced)(struct replyq *);
};

/* A connection as requests see it; net/conn.h's struct conn begins with one. */
struct client {
	struct replyq	 q;
	struct outq	 out;
	struct ctx	*ctx;
	const struct view *view;	/* what is under way began with it; to be compared only */
	uint64_t	 id;		/* for logs and watchers */
	bool		 close;		/* after what is queued has been sent */
	bool		 watching;	/* takes no more commands: what it sends is thrown away */
	uint32_t	 codecs;	/* 1 << enum codec of those that it reads itself, as its handshake said */
	/*
	 * A command that answers more than fits in memory (metadump, watch) installs this: called whenever out is
	 * empty until it returns false; no further command is looked at before. When it has nothing to add it is
	 * called again after q.advanced(). With cl NULL it frees its state.
	 */
	bool		(*produce)(struct client *, void *state);
	void		*produce_state;
};

struct req {
	unsigned	 magic;
#define REQ_MAGIC	0x72657121u
	TAILQ_ENTRY(req) next;
	SLIST_ENTRY(req) next_free;
	struct ctx	*ctx;
	struct replyq	*q;		/* NULL: nobody waits any more */
	struct outq	 out;		/* the answer until it is its turn */
	bool		 done;
	bool		 filler;	/* only bytes of answers that were ready at once */
	bool		 write;		/* changes the key: its end is fenced */
	bool		 renews;	/* a read that nobody waits for but the local copy */
	bool		 kept;		/* a write: there may be a local copy of the key */
	bool		 lingers;	/* a write that is not over at all replicas: its fence is not left yet */
	bool		 fills;		/* what is read or written may enter the local cache */
	bool		 lags;		/* a read that was answered by one who may be behind: it enters nowhere */
	bool		 hold;		/* the answer must not leave yet, although it is written */
	bool		 asking;	/* parts are still being added */
	bool		 failed;
	bool		 flush;
	bool		 leads;		/* a read that others may follow: followers is valid */
	uint16_t	 weight;	/* how much of q.nwaiting it is */
	bool		 alias;		/* "id/", another spelling of "id": it has no copy of its own */
	uint64_t	 fence;
	struct tier_ask	*tier;		/* a read that the cache store was asked for */
	uint64_t	 cut;		/* of the fence: of the record, see cut.h */
	uint32_t	 held;		/* bytes of its body, counted in q and ctx */
	size_t		 parked;	/* bytes of out, counted in q */
	uint32_t	 asked_at;	/* the cache's clock */
	int		 cfd;		/* the client's descriptor, for watchers */
	const struct space *space;	/* its view is pinned; NULL: none yet */
	struct req	*parent;	/* command that this is a part of */
	LIST_ENTRY(req)	 lead;		/* leads, and has no outcome yet: in ctx.leads */
	STAILQ_HEAD(, req) followers;	/* they wait for its outcome; q is NULL if the client has gone */
	STAILQ_ENTRY(req) follow;
	struct item	*item;		/* reserved: a small body that enters the local cache if the store takes it */
	struct value	*value;		/* a large value that arrives, or a large body that leaves */
	struct iovec	*body;		/* pieces of a large body; heap */
	struct iovec	 body_one;
	struct coded	*coded;		/* coded.c's; NULL: mostly */
	void		*owner;		/* without a client: whose it is */

	struct be_op	 be;
	union {
		struct command	 cmd;	/* up to nonce; key and opaque point into buf */
		struct {
			char	 cmd_head[offsetof(struct command, nonce)];
			/* In the place of what is for the parse alone: the fewer cache lines, the cheaper the reply. */
			char	 buf[OP_KEY_MAX + COMMAND_OPAQUE_MAX + 2];
		};
	};

	/* A command made of several: multi-key read, flush_all. Its answer is parts', or the error in buf. */
	struct replyq	 parts;
	char		*rest;		/* keys not asked for yet; heap */
	struct slice	 rest_keys;
};

void		 replyq_init(struct replyq *, struct outq *, void (*advanced)(struct replyq *));
/* A store's answer had a value of n bytes; of such ones no more than max shall be under way. */
void		 replyq_learn(struct replyq *, uint32_t n, size_t max);
/* Nobody wants the answers any more: reqs under way finish on their own. */
void		 replyq_abandon(struct replyq *);
/* Where the bytes of an answer that is ready now go. NULL: out of memory. */
struct outq	*replyq_out(struct ctx *, struct replyq *);
/* It stands for that many in replyq.nwaiting. */
void		 req_weigh(struct req *, unsigned n);
/* Counts what a req's answer has become so far; out of its turn only. */
void		 req_park(struct req *);

/*
 * A req at the end of the queue (q may be NULL). Copies what outlives the parse buffer from cmd, if given. NULL: out
 * of memory.
 */
struct req	*req_new(struct ctx *, struct replyq *q, const struct command *cmd);
/* The namespace it is about, from here to its end. */
void		 req_set_space(struct req *, const struct space *);
/* The answer is written, to req_out(). Frees the req; whatever became due moves on. */
void		 req_done(struct req *);
/* The answer could not be written: the client is dropped. */
void		 req_broken(struct req *);
/* Where this req's answer is best written: straight to the queue's output when it is its turn. NULL: nobody waits. */
struct outq	*req_out(struct req *);

/* Bytes of answers that are ready and wait behind one that is not. */
static inline size_t
replyq_parked(const struct replyq *q)
{
	const struct req *last;

	if (TAILQ_EMPTY(&q->waiting))
		return (0);
	last = TAILQ_LAST(&q->waiting, req_list);
	/* The last filler may still grow. */
	return (q->parked + (last->filler ? outq_len(&last->out) - last->parked : 0));
}

#endif

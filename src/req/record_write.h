/*
 * record_write.h - a kp, kd or km while it is carried out, for record_write.c and record_check.c only.
 * Loop thread only.
 */
#ifndef REQ_RECORD_WRITE_H
#define REQ_RECORD_WRITE_H

#include <sys/uio.h>

#include "backend/record.h"
#include "proto/command.h"
#include "proto/record.h"
#include "req/record_internal.h"
#include "req/record_plan.h"

#define RECORD_NO_MEM	"SERVER_ERROR out of memory storing object"

/* A put whose value is stored in pieces. */
struct put_source {
	struct slice	 plain;		/* p NULL: it is not */
	int32_t		 ttl;
	bool		 kept;		/* nothing was written: what was there is newer, or the same write */
};

struct mutation {
	struct writing	*w;
	struct plan_op	*op;		/* at the same place in writing.ops */
	struct record_task task;
	struct be_op	 be;		/* of one that follows in a chain */
	uint64_t	 version;
	bool		 over;		/* it is written, or has failed */
	bool		 written;
};

struct writing {
	unsigned	 refs;		/* the command's own, and one for each flight that is not over */
	struct ctx	*ctx;
	struct req	*r;		/* in the client's queue */
	const struct record_cmd *cmd;
	struct record_body *body;	/* NULL: a kd, which is sub */
	struct record_sub sub;
	const struct record_sub *subs;
	size_t		 n;
	struct plan	 plan;
	struct plan_op	*ops;		/* n */
	struct mutation	*mutations;	/* n */
	struct rec_put	*puts;		/* of all of them */
	struct iovec	*bodies;
	struct put_source *sources;
	void		**made;		/* what encoding made, one for each put */
	size_t		 nmade;
	bool		 in_pieces;	/* some value is */
	struct slice	*keys;		/* that are deleted */
	size_t		 next;		/* the next op to go out begins here or later */
	unsigned	 nout;		/* ops under way */
	bool		 chains;	/* what is to be done on a record is one op */
	size_t		 at, put;	/* of the mutation and its put whose pieces are under way */
	enum pieces_do	 pieces;	/* what is done with them */
	uint64_t	 higher;	/* a version that some have to be above; 0: none */
	unsigned	 rounds;
	uint64_t	 version;
	uint64_t	 cas;		/* what clients are told */
	uint32_t	 nfailed;	/* sub-commands */
	char		 why[RECORD_WHY_MAX];
};

static inline bool
plan_is_put(const struct plan_op *op)
{
	return (op->sub->cmd.id == CMD_KP);
}

static inline bool
plan_is_range(const struct plan_op *op)
{
	return (!plan_is_put(op) && op->sub->cmd.nkeys == 0);
}

/* record_store.c; rec_op.kept. */
void		 writing_kept(struct rec_op *, struct slice key);
/* All pieces before the puts, and after them; writing_go() and writing_end() come once, later. */
void		 writing_store(struct writing *);
void		 writing_settle(struct writing *);
/* record_write.c */
void		 writing_go(struct writing *);
void		 writing_bar(struct writing *);
void		 writing_end(struct writing *);
/* With what goes with it, behind it. */
void		 mutation_failed(struct mutation *, const char *why);
/* The one that it goes with; itself, if it is the first of its op. */
struct mutation	*mutation_lead(struct mutation *);
/* The namespaces' say, before anything is done. False: why is the answer. */
bool		 writing_check(struct writing *, char why[RECORD_WHY_MAX]);
/* Makes mutations, as ops, of what the plan has left. NULL: good; else what the client is to hear. */
const char	*writing_mutations(struct writing *);

#endif

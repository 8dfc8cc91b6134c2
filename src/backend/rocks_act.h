/*
 * rocks_act.h - an op of the writer's while it is carried out, shared by rocks_item.c and rocks_range.c.
 */
#ifndef BACKEND_ROCKS_ACT_H
#define BACKEND_ROCKS_ACT_H

#include "backend/rocks.h"

/* An op being carried out. */
struct act {
	struct rocks_batch *b;
	struct rocks_job *j;
	struct rocks_family *f;
	struct be_op	 be;		/* its own copy, with what it is about */
	uint64_t	 now;		/* milliseconds since 1970 */
	struct slice	 list;		/* of markers; the batch's memory */
	struct markers_at markers;
	/* the row that is looked at */
	struct row	 row;
	bool		 alive, dead;	/* it lies here, or there */
	bool		 blind;		/* it is not looked at */
};

/* It is of a client without a token: it is put above what is there. */
static inline bool
act_is_plain(const struct act *a)
{
	return ((a->be.op.opts & (OPF_TOKEN | OPF_LWW)) == 0);
}

/* Those of be.id, which rows are then judged by. All of these: false, it has failed and the job says why. */
bool		 act_load_markers(struct act *);
bool		 act_drop_chunks(struct act *, struct slice item, const struct envelope *head);
/* There is something of this version now. */
void		 act_newest(struct act *, uint64_t version);
/* The row is not one of ours: false. */
bool		 act_bad(struct act *);

/* OP_ITEMS_DELETE of bounds or a head; ROCKS_SWEEP; ROCKS_GAPS. */
bool		 act_delete_range(struct act *);
bool		 act_sweep(struct act *);
bool		 act_gaps(struct act *);

#endif

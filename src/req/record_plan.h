/*
 * record_plan.h - what is left of the sub-commands of one write, once those that come later have had their say.
 *
 * All of a kp or km has one version, and of two writes with one version the second changes nothing. So what a later one
 * would override is not written at all: of a key's lines in kp the last one is, of a put and a later delete the delete,
 * of a delete of a key and a later put the put. A delete of a range stays, as a put of its own version beats it. Pure.
 */
#ifndef REQ_RECORD_PLAN_H
#define REQ_RECORD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct record_sub;
struct space;

/* A sub-command. */
struct plan_op {
	/* Given. */
	const struct record_sub *sub;
	const struct space *space;
	uint64_t	 hash;		/* of its id */
	/* Found. */
	struct plan_op	*next;		/* the one on the same record that comes behind it; NULL: none */
	bool		 first;		/* on its record */
	bool		*dropped;	/* kp: of each item, whether it is not written; kd with keys: of each key */
	uint32_t	 left;		/* items, keys that are not dropped; a range is one */
};

struct plan {
	void		*mem;		/* plan_end() frees it */
};

/* False: out of memory. */
bool		 plan_make(struct plan *, struct plan_op *ops, size_t n);
void		 plan_end(struct plan *);

#endif

/*
 * redis_sweep.h - what removes what is dead in records; each redis store has one. Loop thread only.
 */
#ifndef BACKEND_REDIS_SWEEP_H
#define BACKEND_REDIS_SWEEP_H

#include "backend/redis.h"

/* What is dead in records is removed behind the ops that have seen it, one record at a time. */
#define REDIS_SWEEPS		16	/* records that wait; more are seen again some day */
struct redis_sweep {
	uint8_t		 id_len;
	uint16_t	 key_len;
	uint8_t		 prefix_len;
	char		 id[REDIS_ID_MAX], prefix[REDIS_ID_MAX + 1];
	char		 key[REC_KEY_MAX];
};
struct redis_sweeper {
	struct backend	*be;
	void		(*submit)(struct backend *, struct be_op *);
	struct be_op	 op;
	struct rec_op	 rec;
	struct conf_ns	 ns;		/* as much of it as names need */
	be_orphan_f	*orphan;	/* NULL: nobody minds */
	void		*arg;		/* its own */
	bool		 out, closing;
	unsigned	 n;		/* todo[0] is under way */
	struct redis_sweep todo[REDIS_SWEEPS];
};
void	 redis_sweeper_init(struct redis_sweeper *, struct backend *, void (*submit)(struct backend *, struct be_op *));
void	 redis_sweeper_fini(struct redis_sweeper *);
/*
 * The pieces that redis.lua has noted for an op: those of values that are no more, told to whom they are to be told,
 * and those that its own puts had, which changed nothing. base: "{id}" or, of a flat item, its key. Returns how many those
 * are of what was there.
 */
uint64_t redis_sweep_pieces(struct redis_sweeper *, const struct be_op *, struct slice base, struct slice list);
/* base: "{id}"; key: what may have expired is looked for from there on. */
void	 redis_sweep_want(struct redis_sweeper *, const struct conf_ns *, struct slice base, struct slice key);

#endif

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
#define REDIS_ORPHANS		32	/* values in pieces that nobody needs */
struct redis_orphan {
	uint8_t		 id_len;
	uint16_t	 key_len;
	uint32_t	 left;		/* pieces that are still to be told */
	uint64_t	 version;
	uint8_t		 nonce[NONCE_LEN];
	char		 id[REDIS_ID_MAX];
	char		 key[REC_KEY_MAX];
};
struct redis_sweeper {
	struct backend	*be;
	void		(*submit)(struct backend *, struct be_op *);
	struct be_op	 op;
	struct rec_op	 rec;
	struct conf_ns	 ns;		/* as much of it as names need */
	bool		 out, closing;
	unsigned	 n;		/* todo[0] is under way, if none of the orphans is */
	unsigned	 norphans;	/* the last is under way, if there are any */
	struct redis_sweep todo[REDIS_SWEEPS];
	struct redis_orphan orphans[REDIS_ORPHANS];
};
void	 redis_sweeper_init(struct redis_sweeper *, struct backend *, void (*submit)(struct backend *, struct be_op *));
void	 redis_sweeper_fini(struct redis_sweeper *);
/* base: "{id}" or, of a flat item, its key. list: what redis.lua's orphan() has noted. Returns how many pieces that is. */
uint64_t redis_sweep_pieces(struct redis_sweeper *, struct slice base, bool record, struct slice list);
/* base: "{id}"; key: what may have expired is looked for from there on. */
void	 redis_sweep_want(struct redis_sweeper *, const struct conf_ns *, struct slice base, struct slice key);

#endif

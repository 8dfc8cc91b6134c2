/*
 * tier_internal.h - what tier.c (reads) and tier_put.c (what the cache store is told) share. Loop thread only.
 */
#ifndef REQ_TIER_INTERNAL_H
#define REQ_TIER_INTERNAL_H

#include "backend/backend.h"
#include "req/req.h"
#include "req/route.h"

#define TIER_GENERATION	16
#define TIER_CHECKED	(TIER_GENERATION + ENVELOPE_LEN_MAX)
#define TIER_HEAD	(TIER_CHECKED + 8)

/* A read. It goes when both the req and its own ops are done with it. */
struct tier_ask {
	unsigned	 magic;
#define TIER_ASK_MAGIC	0x74696572u
	struct be_op	 be;		/* at the cache store */
	LIST_ENTRY(tier_ask) next;	/* ctx.tier_asks */
	struct ctx	*ctx;
	const struct space *space;	/* its view is pinned */
	struct req	*r;		/* NULL: it has gone */
	void		(*done)(struct be_op *);	/* the req's */
	uint64_t	 started;
	unsigned	 refs;
	bool		 asking;	/* in the list: the req waits for the cache store */
	bool		 answered;	/* the cache store has */
	bool		 there;		/* there is something at the key: it has this unique */
	bool		 known;		/* generation is the record's */
	uint64_t	 unique;
	char		 generation[TIER_GENERATION];
	struct value	*value;		/* a large one that arrives, without its head */
	char		 head[TIER_HEAD];
	struct slice	 keys[2];	/* the record's, if keys split; the item's */
	unsigned	 nkeys;
	char		 text[2 * OP_KEY_MAX];
};

/* One user less; the last one frees. */
void		 tier_ask_unref(struct tier_ask *);
/* The record's own key, into buf; false: it has none. */
bool		 tier_record_key(const struct space *, struct slice id, char buf[OP_KEY_MAX], struct slice *key);
/* Whether the cache store may have the item. */
bool		 tier_has_name(const struct space *, struct slice key, struct slice id, struct slice item);
/* Whether it may have something old of the record. */
bool		 tier_is_doubtful(const struct ctx *, uint64_t id_hash);
/* The record is unknown there: from now on it has a new generation, if nobody else gives it one first. */
void		 tier_begin_generation(struct tier_ask *);
/* What stands at the end of the head: of what is before it, the value behind it and the item's key. */
uint64_t	 tier_check(const char *head, struct slice value, struct slice key);
/* The primary has told the req something: it is put there if it may. */
void		 tier_fill(struct tier_ask *, struct req *);

static inline struct backend *
tier_server(const struct space *sp, struct slice id, uint64_t id_hash)
{
	return (route_pick(sp->tier, id, id_hash));
}

#endif

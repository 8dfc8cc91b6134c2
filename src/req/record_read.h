/*
 * record_read.h - a page of kg or ks while it is made, for record_read.c and record_item.c only. Loop thread only, but
 * for reading_cost().
 */
#ifndef REQ_RECORD_READ_H
#define REQ_RECORD_READ_H

#include "backend/record.h"
#include "kv/page.h"
#include "proto/record.h"
#include "req/record_internal.h"

/* An item's place, with bytes of its own. */
struct place {
	bool		 known;
	uint8_t		 idlen;
	uint16_t	 keylen;
	char		 id[OP_KEY_MAX + 5];
	char		 key[REC_KEY_MAX];
};

/* An item whose value is in pieces, while they are read. */
struct fetch {
	struct place	 item;
	struct envelope	 head;
	struct value	*value;
	unsigned	 tries;		/* since the place last moved */
};

struct reading {
	struct record_task task;
	unsigned	 refs;		/* the command's own, and one for each flight that is not over */
	struct req	*r;
	struct record_cmd cmd;
	struct rec_which which;		/* all of it; rec.which of K is what is still to be looked for */
	struct page_ask	 ask;
	struct place	 place;		/* what is behind it is still to come */
	struct place	 from;		/* the op's; the store reads it while found() moves the other */
	uint32_t	 ndone;		/* K: keys that are done; ks: servers */
	uint64_t	 left;		/* M: items that may still be given; 0: any number */
	uint64_t	 page;		/* B */
	uint64_t	 bytes;		/* of it that are taken */
	uint32_t	 items;
	uint32_t	 size;		/* of an item, by the token; 0: unknown */
	unsigned	 barren;
	uint32_t	 op_items;	/* found by the op that is out */
	bool		 skipped;	/* some of them were not this page's */
	uint64_t	 deadline;	/* what there is goes out then; loop_now(), 0: none */
	uint64_t	 end;		/* and this is the last moment for an op to have ended; 0: the store's own */
	const char	*full;		/* the reason for which nothing more is taken */
	struct fetch	*fetch;		/* NULL: no value was in pieces yet */
	bool		 fetches;	/* an item waits for its pieces; nothing more is taken, either */
	const char	*bad;		/* what is wrong with the item behind the place */
};

/* rec_op.cost: an item's line and data. Any thread: nothing that it looks at changes while an op is out. */
uint32_t	 reading_cost(const struct rec_op *, const struct rec_item *);
/* Writes an item whose value is that, not encoded, if it fits; it has one in its head. */
void		 reading_add_value(struct reading *, const struct rec_item *, struct value *);
/* record_fetch.c: reads the pieces of the item that waits; reading_go_on() comes once, at once or later. */
void		 reading_fetch(struct reading *);
/* record_read.c: nothing is under way: another op, or the end. more: there may be something behind the place. */
void		 reading_go_on(struct reading *, bool more);
/* record_read.c: the page ends, or fails if there is nothing in it. */
void		 reading_failed(struct reading *, enum err, const char *why);
/* be_op.found */
void		 reading_found(struct be_op *);
void		 place_set(struct place *, struct slice id, struct slice key);
/* The place is behind this item now. */
void		 reading_reached(struct reading *, struct slice id, struct slice key);

static inline bool
reading_is_scan(const struct reading *rd)
{
	return (rd->ask.verb == OP_SCAN);
}

static inline bool
reading_is_list(const struct reading *rd)
{
	return (rd->cmd.nkeys > 0);
}

/* Whether the key of the list that was found last is meant, and not another of the same name. */
static inline bool
reading_is_at(const struct reading *rd, struct slice key)
{
	return (reading_is_list(rd) && rd->op_items > 0 && slice_eq(rd->cmd.keys[rd->ndone - 1], key));
}

static inline struct slice
place_id(const struct place *p)
{
	return (p->known ? slice_of(p->id, p->idlen) : SLICE_NULL);
}

static inline struct slice
place_key(const struct place *p)
{
	return (p->known ? slice_of(p->key, p->keylen) : SLICE_NULL);
}

#endif

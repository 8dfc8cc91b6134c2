/*
 * record.h - ops on the items of a record: what a be_op with such a verb carries beside itself.
 *
 *	OP_ITEMS_READ	be.id, which: found() for each item in order, then done() with more and next
 *	OP_ITEMS_PUT	be.id, puts: all or nothing; res.cas is their version
 *	OP_ITEMS_DELETE	be.id, which: items (keys), a range, the whole record
 *	OP_SCAN		part of parts: found() with id and key; the items of a record together, in key order
 *
 * Such ops are for BE_CAP_RECORDS and FORMAT_ITEM. The caller owns the rec_op and all that it points to, until done().
 * Loop thread only but for cost(), which a store may call from a thread of its own.
 */
#ifndef BACKEND_RECORD_H
#define BACKEND_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/slice.h"
#include "proto/envelope.h"

/* op.verb of such an op. They are not of enum op_verb, because they are about more than one key. */
enum rec_verb {
	OP_ITEMS_READ = 32,
	OP_ITEMS_PUT,
	OP_ITEMS_DELETE,
	OP_SCAN,
	OP_CHECKPOINT,		/* BE_CAP_CHECKPOINT: a copy of the whole store, be.id being its name */
};

#define REC_KEY_MAX	1024	/* bytes of an item key */
#define REC_PUTS_MAX	10000	/* items of one put */
#define REC_KEYS_MAX	1000	/* item keys of one predicate */
#define REC_PARTS_MAX	1024	/* of a scan */

/* Which items of a record. Bounds are item keys; those with p NULL bind nothing. */
struct rec_which {
	const struct slice *keys;	/* just these, in this order, nkeys > 0; bounds say nothing */
	uint32_t	 nkeys;
	struct slice	 from;		/* inclusive */
	struct slice	 until;		/* exclusive */
	struct slice	 head;		/* they begin with it */
	bool		 reverse;	/* last key first */
};

/* One item of OP_ITEMS_PUT. head.version and nonce are the op's, set by the store. */
struct rec_put {
	struct slice	 key;
	struct envelope	 head;		/* client flags, expiry, codec, sizes */
	const struct iovec *body;	/* what lies behind the head */
	int		 nbody;
	uint32_t	 len;		/* of body */
};

/* One item that was found; valid during found(). */
struct rec_item {
	struct slice	 id;		/* OP_SCAN; else the op's own */
	struct slice	 key;
	struct envelope	 head;
	struct slice	 value;		/* as it lies there (codec, chunks: head); p NULL: not asked for, or left out */
};

struct rec_op {
	struct rec_which which;		/* READ, DELETE */
	uint32_t	 part, parts;	/* SCAN: 1 <= part <= parts */
	/* Where to begin: behind this item (in the direction of reading); after_id is SCAN's. p NULL: at the start. */
	struct slice	 after_id, after;
	bool		 values;	/* READ, SCAN: values are wanted, not just heads */
	uint32_t	 value_max;	/* larger values (head.size) are left out; 0: none are */
	/*
	 * Bounds of one op; the first item always goes. Counted are items that live; work counts rows that had to be
	 * looked at, dead ones too.
	 */
	uint32_t	 items_max;	/* 0: any */
	uint64_t	 bytes_max;	/* of the sum of cost(); 0: any */
	uint32_t	 work_max;	/* 0: the store's own */
	uint64_t	 deadline;	/* loop_now(); 0: none. The first row is looked at anyway. */
	uint32_t	 guess;		/* so many items may fit, for stores that ask by count */
	/* Bytes of an answer that an item makes. Any thread, pure. */
	uint32_t	(*cost)(const struct rec_op *, const struct rec_item *);
	/* PUT */
	const struct rec_put *puts;
	uint32_t	 nputs;
	/* NULL, or told, before done(), of puts in chunks that changed nothing: nothing names their chunks. */
	void		(*kept)(struct rec_op *, struct slice key);

	/* found() */
	struct rec_item	 item;
	/* done(): READ, SCAN. There may be more behind (next_id,) next, looked at last; valid during done(). */
	bool		 more;
	struct slice	 next_id, next;
	enum rec_end { REC_END, REC_BYTES, REC_ITEMS, REC_WORK, REC_DEADLINE } end;	/* why there may be more */
};

#endif

/*
 * backend.h - what a store is to the rest of kvgate: somewhere that carries out ops.
 *
 * One struct backend per server (or per embedded database) and loop; routing picks which one, hedging and
 * quorums only ever see be_ops. Loop thread only. The caller owns the be_op and keeps it alive until done().
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "base/err.h"
#include "ev/loop.h"
#include "obs/hist.h"
#include "proto/envelope.h"
#include "proto/op.h"

struct backend;
struct be_op;
struct conf_ns;
struct conf_server;
struct conf_store;
struct rec_op;

/*
 * Where a value goes while it arrives. One that fits in the receive buffer comes whole as be_value.data; for a
 * larger one `sink` is asked for memory of its size first, so that no second copy is made.
 */
struct be_sink {
	/*
	 * Pieces to write res->size bytes to, from offset off on; returns how many pieces, 0: nowhere (the value
	 * is read and dropped, the op ends with ERR_NOMEM).
	 */
	int		(*iov)(struct be_op *, const struct op_result *, uint32_t off, struct iovec *, int max);
};

struct be_op {
	/* Set by the caller, unchanged by the backend. */
	struct op	 op;		/* op.key must stay valid until submit() returns, the body until done() */
	const struct iovec *body;	/* OP_STORE: op.vlen bytes in nbody pieces */
	int		 nbody;
	const struct be_sink *sink;	/* OP_GET with OPW_VALUE */
	uint64_t	 timeout;	/* microseconds; 0: the store's own */
	bool		 rest;		/* timeout is what other tries have left: not the server's fault */
	uint8_t		 format;	/* enum conf_format: how the value lies in the store */
	/*
	 * Which of the be_ops.ways() the op takes: 0 the usual one, else another replica's or another connection. Reads
	 * (and idempotent writes) only: nothing holds it in order with the key's other ops.
	 */
	uint8_t		 way;
	/* FORMAT_ITEM: what keeps namespaces apart. It outlives the op. */
	const struct conf_ns *ns;
	/* FORMAT_ITEM: the two parts of op.key, valid as long as it; in a flat namespace item is empty. */
	struct slice	 id, item;
	/* FORMAT_ITEM, what writes: microseconds, unlike any other's; the new CAS unique where op does not name one. */
	uint64_t	 version;
	uint8_t		 nonce[NONCE_LEN];	/* OPF_TOKEN: the rest of the client's token */
	struct rec_op	*rec;		/* OP_ITEMS_*, OP_SCAN; see backend/record.h */
	/*
	 * BE_CAP_BATCH, OP_ITEMS_PUT and OP_ITEMS_DELETE: the next op of a chain that is carried out in its order, all
	 * of it or nothing, whatever the records and namespaces. Only the first is submitted, and only it has an
	 * outcome. NULL: alone.
	 */
	struct be_op	*also;
	/*
	 * FORMAT_ITEM, OP_STORE: what the envelope says of the body (codec, size, dictionary, chunks); NULL: plain.
	 * OP_GET, OP_STORE, OP_DELETE of one chunk of a value: its number from 1 on, of the value that `version` and
	 * nonce name; 0: the item itself.
	 */
	const struct envelope *head;
	uint32_t	 chunk;
	uint32_t	 chunk_try;	/* envelope.dictionary of the item that names it */
	struct slice	 place;		/* chunk: what places it on the ring, instead of id; valid as long as id */
	uint32_t	 keep_dead;	/* FORMAT_ITEM, OP_DELETE: milliseconds that its mark stays; 0: none is left */
	uint32_t	 value_max;	/* OP_STORE: largest value that append and prepend may make; 0: any */
	/* OP_FLUSH: whether this key goes; NULL: all do. */
	bool		(*flushes)(const struct be_op *, struct slice key);
	/* OP_FLUSH, of stores that keep namespaces apart: whether all keys of the one of this name go; NULL: all do. */
	bool		(*flushes_space)(const struct be_op *, const char *name);
	/*
	 * BE_CAP_KEYS: an OP_GET of many keys, classic and without options; op.key says nothing, op.hash is that of one
	 * of them. They stay valid until done(). NULL: of op.key alone.
	 */
	const struct slice *keys;
	uint32_t	 nkeys;
	/*
	 * Called before done() for each key that is there, in their order, res and data being that one's. done() comes
	 * with OP_OK, or with what became of the rest.
	 */
	void		(*found)(struct be_op *);
	/* Exactly once, on this loop's thread, never before submit() has returned. The be_op may be freed in it. */
	void		(*done)(struct be_op *);

	/* The outcome; res, data and why are valid only during done(). */
	enum err	 err;		/* ERR_NONE: res holds */
	struct op_result res;
	struct envelope	 found_head;	/* FORMAT_ITEM, OP_GET that hits with OPR_ENCODED: the value is not plain */
	uint32_t	 at;		/* found(), sink: which of the keys */
	struct slice	 data;		/* the value when it came whole; p NULL when it went to the sink */
	struct slice	 text;		/* found(): line, value and ends, as classic servers have it; p NULL: unknown */
	const char	*why;		/* err != ERR_NONE: what follows SERVER_ERROR; names the server */

	/* The backend's own. */
	struct backend	*be;
	STAILQ_ENTRY(be_op) next;
	void		*priv;
	uint64_t	 sent_at;
	uint64_t	 deadline;
	void		*where;
	uint32_t	 seq;
	uint32_t	 order;
	uint16_t	 conn;
	uint16_t	 slot;
	uint8_t		 hops;
	uint8_t		 state;
};

/* A body of one piece up to this long is copied by submit(); any other must stay valid until done(). */
#define BE_BODY_COPY_MAX	(16 * 1024)

/* Keys of one op, with a space before each: what no server finds too long a line. */
#define BE_KEYS_LINE_MAX	2000

#define BE_CAP_TTL	(1u << 0)	/* tells the remaining TTL */
#define BE_CAP_COUNTERS	(1u << 1)
#define BE_CAP_ORDERED	(1u << 2)
#define BE_CAP_LWW	(1u << 3)
#define BE_CAP_BATCH	(1u << 4)	/* atomic batches */
#define BE_CAP_NOTIFY	(1u << 5)
#define BE_CAP_KEYS	(1u << 6)	/* reads of many keys in one op */
#define BE_CAP_RAW	(1u << 7)	/* FORMAT_RAW */
#define BE_CAP_ITEM	(1u << 8)	/* FORMAT_ITEM */
#define BE_CAP_CAS	(1u << 9)	/* FORMAT_RAW has CAS uniques, client flags, stale marks */
#define BE_CAP_CLASSIC	(1u << 11)	/* knows what OPF_CLASSIC means: such a read takes no win */
#define BE_CAP_RECORDS	(1u << 12)	/* OP_ITEMS_*, OP_SCAN; tokens; chunks */
#define BE_CAP_CHECKPOINT (1u << 13)	/* OP_CHECKPOINT */
#define BE_CAP_WHOLE	(1u << 10)	/* one backend for the whole store: it finds its servers itself */

enum be_state { BE_CONNECTING, BE_UP, BE_DOWN, BE_TRIAL /* answers, and has one request to show that it works */ };

/* Counters of one backend; written by its loop only, read by any thread (see obs/metric.h for how). */
struct be_stats {
	_Atomic uint64_t requests;	/* submitted */
	_Atomic uint64_t errors[ERR_COUNT];	/* by kind, ERR_NONE unused */
	_Atomic uint64_t connects;
	_Atomic uint64_t disconnects;
	_Atomic uint64_t bytes_out, bytes_in;
	/* redis-cluster: how often it was said that a key is elsewhere, or to come again; maps that were read. */
	_Atomic uint64_t moved, asked, retried, maps;
	_Atomic uint64_t orphans;	/* redis: pieces of values that were replaced or deleted, which go now */
	_Atomic uint32_t inflight;
	_Atomic uint32_t state;		/* enum be_state */
	struct hist	 latency;	/* microseconds, submit to done */
	void		*was;		/* admin's: what they were at the last `stats reset`; heap, the backend's end */
};

typedef void	 be_tell_f(void *arg, const char *name, uint64_t value);
typedef void	 be_each_f(void *arg, const char *name, struct be_stats *);
/*
 * The pieces of the value that this item had are nobody's any more: head has version, nonce, dictionary and chunks, and
 * a size that makes sense. ns has its prefix; all are valid during the call.
 */
typedef void	 be_orphan_f(void *arg, const struct conf_ns *ns, struct slice id, struct slice item,
		    const struct envelope *head);

struct be_ops {
	const char	*name;		/* `type` in the configuration */
	unsigned	 caps;		/* BE_CAP_* */
	/*
	 * One per server and loop; BE_CAP_WHOLE: one per loop, with server NULL. Connects in the background. NULL
	 * with *why set: refuse to start. Keeps the conf pointers: they outlive it.
	 */
	struct backend	*(*open)(struct loop *, const struct conf_store *, const struct conf_server *,
			    const char **why);
	/* Ends what is in flight with ERR_CANCELLED (done() is called), then frees. Not from within done(). */
	void		 (*close)(struct backend **);
	/* Never blocks. Copies what it needs of the op's line; output leaves at the end of the turn. */
	void		 (*submit)(struct backend *, struct be_op *);
	/* BE_CAP_KEYS: keys (by their hashes) of one group may share an op. */
	unsigned	 (*group)(const struct backend *, uint64_t hash);
	/* A hint: done() still comes, with ERR_CANCELLED or the result. */
	void		 (*cancel)(struct backend *, struct be_op *);
	/* Whether an op submitted now goes out: false, it ends with ERR_DOWN. */
	bool		 (*healthy)(const struct backend *);
	/* How many ways there are to what this op is about, be_op.way being below; NULL: one. */
	unsigned	 (*ways)(const struct backend *, const struct be_op *);
	/*
	 * Microseconds for which the oldest request on the op's way has been without an answer, 0: none is; very many
	 * where the op would have to wait for a connection. Of the op, key, hash and way count. NULL: not known.
	 */
	uint64_t	 (*late)(const struct backend *, const struct be_op *);
	/*
	 * BE_CAP_RECORDS: the highest version that it has, from open() on. NULL: not known, but plain writes are put
	 * above what they replace.
	 */
	uint64_t	 (*version)(const struct backend *);
	/*
	 * BE_CAP_WHOLE: calls f for each server that it has known. Any thread, until close(): so they are never taken
	 * off the list before.
	 */
	void		 (*each)(struct backend *, be_each_f *f, void *arg);
	/* What else there is to tell, of the store as a whole. The loop's thread. NULL: nothing. */
	void		 (*tell)(struct backend *, be_tell_f *f, void *arg);
	/* Lives as long as the backend. */
	struct be_stats	*(*stats)(struct backend *);
	/* Who is to be told of pieces that are nobody's; NULL: the store removes them by itself. */
	void		 (*orphans)(struct backend *, be_orphan_f *, void *arg);
	/* "host:port", for people. */
	const char	*(*server_name)(const struct backend *);
};

/* The ops for a store type, NULL: no such type in this build. */
const struct be_ops *backend_find(const char *type);

#endif

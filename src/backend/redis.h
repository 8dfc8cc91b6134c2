/*
 * redis.h - the inside of the redis stores, shared by redis*.c only.
 *
 *	submit --> redis_put.c: op into a command --> redis_ring.c: bytes to hiredis, slot into the ring
 *	hook   --> redisAsyncHandleWrite(): one write per connection
 *	read   --> hiredis' reader --> redis_reply.c: each reply, as it lies in the reader's buffer --> done()
 *
 * What is in flight is a ring of small slots, apart from the be_ops: an op that was cancelled or timed out is gone
 * while its slot waits for the reply that nobody wants any more. The bytes of each command are kept until it is
 * answered, so that it can go out once more: after NOSCRIPT, on a new connection, or on another node
 * (redis_node_ops.refused).
 *
 * A node is one Redis server with its connections; the store `redis` has one, `redis-cluster` one for each that it
 * knows. Loop thread only, all of it.
 */
#ifndef BACKEND_REDIS_H
#define BACKEND_REDIS_H

#include "backend/be_loop.h"
#include "backend/health.h"
#include "backend/markers.h"
#include "backend/record.h"
#include "backend/resolve.h"
#include "conf/model.h"

struct redisAsyncContext;
struct redisReply;
struct redis_conn;
struct redis_node;
struct redis_sweeper;

/* Values up to here are given out of the reader's buffer, larger ones go to the op's sink. */
#define REDIS_HOLD		(16 * 1024)
/* Largest string taken from a server, and longest line; past that the connection is given up. */
#define REDIS_VALUE_MAX		(128u << 20)
#define REDIS_LINE_MAX		(64 * 1024)
/* Elements of all arrays of one reply. */
#define REDIS_ELEMENTS_MAX	(1u << 17)
/* Unanswered commands' bytes, and unsent ones, of one connection. */
#define REDIS_SENT_MAX		(64u << 20)
#define REDIS_UNSENT_MAX	(256u << 20)
#define REDIS_RING_MIN		64
#define REDIS_BUCKETS		4096
#define REDIS_WHY_MAX		256
#define REDIS_SHA		40	/* hexadecimal digits */
#define REDIS_NAME_MAX		2048	/* longest key that is made */
#define REDIS_ID_MAX		255	/* of a record */
#define REDIS_BASE_MAX		(3 * REDIS_ID_MAX + 2)
#define REDIS_TAG_MAX		8

/* The scripts of redis.lua, in its order. */
enum redis_script {
	RS_GET,
	RS_STORE,
	RS_DELETE,
	RS_ARITH,
	/* The same of items of records, in the same order. */
	RS_ITEM_GET,
	RS_ITEM_STORE,
	RS_ITEM_DELETE,
	RS_ITEM_ARITH,
	RS_READ,
	RS_SCAN,
	RS_PUT,
	RS_ERASE,
	RS_SWEEP,
	RS_RAW_GET,
	RS_RAW_STORE,
	RS_RAW_ARITH,
	RS_COUNT,
	RS_NONE = RS_COUNT
};

struct redis_script_row {
	struct slice	 text;
	char		 sha[REDIS_SHA + 1];
};

/* How a reply is to be read. */
enum redis_want {
	RW_DROP,		/* not at all, unless it is an error: ASKING */
	RW_ITEM,		/* a string with an envelope, or nil */
	RW_RAW,			/* the value, or nil */
	RW_KEYS,		/* an array of these, as op->format says */
	RW_COVERED,		/* the same of an item of a record: its marks, then RW_ITEM */
	RW_ITEMS,		/* READ's: for each item its key, what is left out, itself; where the page ends */
	RW_SCANNED,		/* SCAN's: the same with the record before each */
	RW_RESULT,		/* what the scripts return */
	RW_STORED,		/* +OK; nil: the condition did not hold */
	RW_COUNT,		/* a number, 0 is a miss */
	RW_FLUSHED,		/* whatever is no error */
	/* From here on a tree of hiredis' own. */
	RW_SCAN,		/* op->flushes: a cursor and keys */
	RW_UNLINK,		/* those that went */
	RW_TREE,		/* node->ops->tree() */
	RW_CONTROL,		/* none of an op: slot.control */
};

/*
 * A command as it goes out and how its reply is read; the bytes themselves stand elsewhere. Those of a body too long to
 * be kept follow from op->body.
 */
struct redis_cmd {
	uint32_t	 len;
	uint32_t	 rest;		/* bytes of op->body that follow, and CRLF; OP_ITEMS_PUT: items; 0: no more */
	uint32_t	 key_at;	/* where in the bytes the key stands */
	uint16_t	 key_len;
	uint16_t	 item_len;	/* of the key, at its end: the item key of a record; RW_COVERED */
	uint8_t		 want;		/* enum redis_want */
	uint8_t		 script;	/* enum redis_script */
	bool		 read;		/* changes nothing: asking twice does no harm */
	bool		 asking;	/* ASKING went before it */
	bool		 looks;		/* a read that takes the win by a second command, if it finds one to take */
	uint8_t		 tries;		/* it was answered NOSCRIPT before */
};

/* Whether a mark covers an item. */
enum redis_cover { COVER_NONE, COVER_FOUND, COVER_BAD /* these are no marks */ };

/* An item of RW_ITEMS that is being read, and what there was before it. */
struct redis_row {
	uint32_t	 count;		/* elements of the reply */
	uint32_t	 items;		/* that were found */
	uint64_t	 bytes;		/* they cost */
	bool		 full;		/* no more are wanted, though some come */
	bool		 bad;		/* one is no item */
	long long	 left;		/* bytes of its value that stayed there; -1: none, it comes whole */
	uint16_t	 id_len, key_len, last_id_len, last_key_len;
	char		 id[REDIS_ID_MAX], last_id[REDIS_ID_MAX];
	char		 key[REC_KEY_MAX], last_key[REC_KEY_MAX];
};

typedef void	 redis_control_f(struct redis_conn *, const struct redisReply *, uint64_t sent_at);

struct redis_slot {
	struct be_op	*op;		/* NULL: the reply is to be dropped, unless there is control */
	redis_control_f	*control;
	uint64_t	 deadline;	/* of the connection, when this slot is at the head */
	uint64_t	 sent_at;
	uint64_t	 own;		/* deadline of the op alone; UINT64_MAX: none, 0: passed, a failure */
	uint64_t	 at;		/* place of its bytes in what was sent */
	struct redis_cmd cmd;
	uint32_t	 nkeys;
	uint16_t	 bucket;	/* cmd.looks */
	bool		 request;	/* it was put in for an op */
};

/* Bytes of commands that are not answered yet, by their place in all that was ever sent. */
struct redis_sent {
	char		*buf;
	size_t		 cap;
	uint64_t	 base;		/* place of buf[0] */
	uint64_t	 head, tail;
};

enum redis_state {
	RC_OFF,				/* no context; the timer starts the next attempt */
	RC_CONNECTING,
	RC_HELLO,			/* logging in, scripts, clock */
	RC_READY,
};

struct redis_conn {
	struct redis_node *node;
	unsigned	 index;
	struct redis_conn *stand_in;	/* see redis_pick() */
	uint32_t	 stand_in_until;
	uint8_t		 state;		/* enum redis_state */
	bool		 in_hiredis;	/* it may free the context before it returns */
	bool		 tree;		/* the reply that is being read is built by hiredis */
	uint8_t		 doom;		/* enum err: given up as soon as hiredis returns; ERR_NONE: not */
	char		 doom_text[160];

	struct redisAsyncContext *ac;	/* NULL: none, or hiredis has freed it */
	const void	*fn;		/* hiredis' own functions that make trees */
	struct io	 io;
	short		 io_what;	/* what hiredis wants of the descriptor */
	struct be_dirty	 dirty;
	struct timer	 timer;
	uint64_t	 timer_at;
	uint64_t	 moved_at;	/* when REDIS_MOVE_MIN bytes had come or gone again; 0: never */
	size_t		 moved;
	uint64_t	 late_at;	/* when a deadline was first found passed with bytes unread; 0: not now */
	uint64_t	 taken;		/* bytes of the replies that were read */
	uint32_t	 elements;	/* of the reply that is being read */
	struct stamp	 cover;		/* RW_COVERED: of the newest mark on the item */
	uint8_t		 covered;	/* enum redis_cover */
	struct redis_row *row;		/* NULL: none was read yet */
	uint64_t	 clock_at;	/* when the server was last asked for its time */
	bool		 refused;	/* the greeting was answered with an error, doom_text */

	struct redis_slot *ring;
	uint32_t	 cap;		/* power of two */
	uint32_t	 head;		/* number of the oldest slot */
	uint32_t	 n;
	uint32_t	 nops;		/* of them with an op */
	uint32_t	 first;		/* number of the first slot of this connection */
	uint64_t	 own_from;	/* deadlines of ops are not looked at before; UINT64_MAX: there are none */
	uint32_t	 known;		/* scripts that it has been given, a bit each */
	bool		 redo;		/* it has lost them; what is to be repeated waits */
	uint32_t	 redo_from;	/* until all that was sent before this slot has been answered */
	struct redis_sent sent;
	uint16_t	*looking;	/* REDIS_BUCKETS: reads with cmd.looks in flight, by their keys' hashes */

	uint64_t	 quick_at;	/* when it last reconnected without delay */
	unsigned	 failures;	/* attempts in a row */
	unsigned	 addr;		/* next one to try */
	unsigned	 tried;		/* in this round */
};

/* An op that waits for a connection; be_op.priv. */
struct redis_wait {
	TAILQ_ENTRY(redis_wait) next;
	struct be_op	*op;
	struct redis_cmd cmd;
	bool		 asking;
	bool		 behind;	/* a look, or what waits behind one */
	struct redis_conn *redo;	/* it lost the op's script; NULL: not this */
	char		 bytes[];
};
TAILQ_HEAD(redis_wait_list, redis_wait);

struct redis_node_ops {
	/*
	 * Before an op ends with an error: what the server said (text without the dash, err ERR_NONE), or the loss of
	 * the connection (err, text names server and cause). True: the owner has taken the op and will end it, or has
	 * given it to redis_node_send(); bytes are valid during the call. NULL: never.
	 */
	bool		(*refused)(struct redis_node *, struct be_op *, const struct redis_cmd *, const char *bytes,
			    enum err, struct slice text);
	/* Up, down or on trial: node->health has changed. NULL: nobody minds. */
	void		(*turned)(struct redis_node *);
	/* Keys of one command must share a slot: they are not put together. */
	bool		 apart;
	/* What a command of the owner's own was answered; not errors. The op ends behind it. */
	void		(*tree)(struct redis_node *, struct be_op *, const struct redisReply *);
};

struct redis_node {
	unsigned	 magic;
#define REDIS_NODE_MAGIC 0x72646e6fu
	const struct redis_node_ops *ops;
	void		*owner;
	struct be_loop	*bl;
	struct loop	*loop;
	const struct conf_store *store;
	struct be_stats	*stats;		/* the owner's; be_op_end() keeps what is about ops in op->be's */
	char		*name;		/* "host:port", for people */
	char		*host;
	char		*path;		/* unix socket; host and port unused */
	uint16_t	 port;
	uint16_t	 number;	/* op.conn - number is the connection's index */
	bool		 by_name;
	bool		 readonly;	/* READONLY: a cluster's replica that is to be read */
	bool		 closing;
	bool		 said_down;	/* in the log */
	struct health	 health;
	unsigned	 replay_credit;	/* requests that may go out once more */
	uint64_t	 replay_mark;	/* stats->requests when that was counted */
	uint32_t	 max_inflight;
	uint64_t	 log_next;	/* no line about rubbish before */
	int64_t		 clock;		/* microseconds from loop_now() to the server's time, never too few */
	uint64_t	 clock_rtt;	/* of the measurement that clock is from; UINT64_MAX: none */
	struct resolve_list addrs;
	struct resolve_job *job;
	struct redis_wait_list waiting;
	uint32_t	 nwaiting;
	uint32_t	 nbehind;	/* of them behind looks */
	uint32_t	 strays;	/* errors that belong to no op: keys of a flush that have moved */
	struct timer	 wait_timer;	/* for those with a deadline of their own */
	uint64_t	 wait_at;
	struct redis_script_row *scripts;	/* RS_COUNT */
	struct redis_sweeper *sweeper;	/* the store's */
	char		 why[REDIS_WHY_MAX];	/* "<server> is down: ..." */
	char		 why_busy[REDIS_WHY_MAX];
	char		 why_slow[REDIS_WHY_MAX];
	unsigned	 nconns;
	struct redis_conn conns[];
};

/* Verbs of ops of our own. */
enum { REDIS_OP_STEP = 64 /* SCAN of id's slot */, REDIS_OP_PROBE /* whether there is any */, REDIS_OP_SWEEP };

/* enum of be_op.state */
enum redis_op_state { REDIS_OP_ENDING, REDIS_OP_WAITING, REDIS_OP_SLOT, REDIS_OP_TAKEN /* by the owner */,
	REDIS_OP_SCAN };

/* redis_node.c */
/* Where it is. */
struct redis_addr {
	const char	*name;
	const char	*host;		/* NULL: path */
	uint16_t	 port;
	const char	*path;
};
/*
 * Connects in the background. Everything but store, stats and owner is copied. NULL with *why set: it can never be had,
 * or no memory.
 */
struct redis_node *redis_node_new(struct be_loop *, const struct conf_store *, const struct redis_addr *, bool readonly,
		    uint16_t number, struct be_stats *, const struct redis_node_ops *, void *owner, const char **why);
/* Ends what is in flight with ERR_CANCELLED, some of it later. Not from within done(). */
void	 redis_node_close(struct redis_node *);
/* The same, then frees; ops still to end lose the server's name. */
void	 redis_node_free(struct redis_node **);
/* be_ops.submit once the op is prepared by redis_op_begin(); it goes out, waits for a connection or ends later. */
void	 redis_node_submit(struct redis_node *, struct be_op *);
/* The same for a command that another node has refused, or this one; ASKING goes before it where asked. */
void	 redis_node_send(struct redis_node *, struct be_op *, const struct redis_cmd *, const char *bytes, bool asking);
/* As be_ops.cancel, for an op that this node has. */
void	 redis_node_cancel(struct redis_node *, struct be_op *);
/* Whether an op submitted now goes out. */
bool	 redis_node_healthy(const struct redis_node *);
/* See be_ops.ways and late. */
unsigned redis_node_ways(const struct redis_node *);
uint64_t redis_node_late(const struct redis_node *, uint64_t hash, unsigned way);
/* Counts the op and sets the members that belong to the backend. */
void	 redis_op_begin(struct backend *, struct be_op *);
/* Microseconds since 1970 by the server's clock. */
uint64_t redis_node_time(const struct redis_node *);
/* The key of one connection's ops; see be_ops.group. */
unsigned redis_node_group(const struct redis_node *, uint64_t hash);

/* The connection that takes an op on this key now; NULL: it has to wait. */
struct redis_conn *redis_pick(struct redis_node *, uint64_t hash, unsigned way);
/* Behind ASKING. False: no memory, or too much is unsent. */
bool	 redis_put_asking(struct redis_conn *, struct be_op *, const struct redis_cmd *, const char *bytes);
/* With ASKING before it where asked; the op ends later if that cannot be. */
void	 redis_put_or_end(struct redis_node *, struct redis_conn *, struct be_op *, const struct redis_cmd *,
	    const char *bytes, bool asking);
/* Whether the owner takes the op that is about to end. */
bool	 redis_node_offer(struct redis_node *, struct be_op *, const struct redis_cmd *, const char *bytes, enum err,
	    struct slice text);
/* A line about bytes that make no sense, now and then. */
void	 redis_node_say(struct redis_node *, const char *what, const char *p, size_t len);

/* redis_health.c */
/* Whether it may go out; if not it ends later. */
bool	 redis_admit(struct redis_node *, struct be_op *);
/* It was admitted, but never went out: ends later. The next one is the trial's request, if there is a trial. */
void	 redis_unsent(struct redis_node *, struct be_op *, enum err, const char *why);
/* Whether so many requests may go out once more. */
bool	 redis_replay_granted(struct redis_node *, unsigned n);
bool	 redis_any_ready(const struct redis_node *);
/* The state in the counters. */
void	 redis_node_show(struct redis_node *);
/* n requests have failed by its fault. True: it is down by that, which the caller has to say. */
bool	 redis_failed(struct redis_node *, unsigned n);
/* It is down, health says so already; a probe found that it still is. */
void	 redis_node_down(struct redis_node *, enum err, const char *detail);
void	 redis_still_down(struct redis_node *, const char *detail);
/* Down, and a connection less: lets one connect after a while, if it was the last. */
void	 redis_probe(struct redis_node *);
/* A connection is ready. */
void	 redis_greeted(struct redis_node *);
/* What was in this slot was answered. */
void	 redis_answered(struct redis_node *, const struct redis_slot *);

/* redis_wait.c */
/* Memory for a command of this length; false: the op ends later. */
bool	 redis_may_wait(struct redis_node *, struct be_op *, struct redis_wait **, size_t len);
/* Its cmd and bytes are set. */
void	 redis_wait(struct redis_node *, struct redis_wait *);
/* A read that a lost connection left unanswered waits for the next one, before all others. */
void	 redis_node_again(struct redis_node *, struct be_op *, const struct redis_cmd *, const char *bytes);
/* An op that is to go out once more because the connection has lost its script: behind those that wait so already. */
void	 redis_wait_redo(struct redis_conn *, struct be_op *, const struct redis_cmd *, const char *bytes);
/* Whether a write on the op's key is among those; an op has been carried out before those on its key. */
bool	 redis_redo_meets(const struct redis_conn *, const struct be_op *);
void	 redis_redo_passed(struct redis_conn *, const struct be_op *);
/* Whether an op that could go out has to wait for a look at its key. */
bool	 redis_is_behind(const struct redis_node *, const struct redis_conn *, const struct be_op *,
	    const struct redis_cmd *);
/* It waits no more. Its redis_wait stays op->priv, which be_op_end() frees. */
struct be_op *redis_waiting_take(struct redis_node *, struct redis_wait *);
/* All that may goes out; all that waited fails; those fail whose own deadline has passed. */
void	 redis_waiting_put(struct redis_node *);
void	 redis_waiting_fail(struct redis_node *, enum err, const char *why);
void	 redis_waiting_time(void *node);

/* redis_conn.c */
bool	 redis_conn_init(struct redis_node *, struct redis_conn *, unsigned index);
void	 redis_conn_fini(struct redis_conn *);
void	 redis_conn_start(struct redis_conn *);
/* The greeting was answered. */
void	 redis_conn_ready(struct redis_conn *);
/* Off without a word; what ops are in flight are the caller's to end. */
void	 redis_conn_drop(struct redis_conn *);
/* The context, the output and what was half read go; the ring stays. */
void	 redis_conn_shut(struct redis_conn *);
/* It has ended, or is to: doom says why. Decides what next, then ends what was in flight. */
void	 redis_conn_lost(struct redis_conn *);
/* The descriptor has become writable. */
void	 redis_connected(struct redis_conn *);

/* redis_io.c */
/* Takes over a context that is connecting. False: no memory. */
bool	 redis_adopt(struct redis_conn *, struct redisAsyncContext *);
/* be_dirty.flush */
void	 redis_flush(struct be_dirty *);
/* Gives up the connection: at once, or as soon as hiredis returns. detail NULL: the text of err. */
void	 redis_conn_doom(struct redis_conn *, enum err, const char *detail);

/* redis_ring.c */
bool	 redis_ring_grow(struct redis_conn *);
/* Room for a command of this length, to be given to redis_conn_put(); NULL: no memory, or too much. */
char	*redis_conn_room(struct redis_conn *, size_t len);
/*
 * Sends the command of an op, or (op NULL) one whose reply goes to control or is dropped. False: no memory, or too much
 * is unsent.
 */
bool	 redis_conn_put(struct redis_conn *, struct be_op *, const struct redis_cmd *, const char *bytes,
	    redis_control_f *control);
/* Makes sure that the server has been given a script. False: no memory. */
bool	 redis_know(struct redis_conn *, enum redis_script);
/* The oldest slot leaves the ring; *s is a copy whose bytes stay until redis_popped(). */
void	 redis_pop(struct redis_conn *, struct redis_slot *s);
void	 redis_popped(struct redis_conn *, const struct redis_slot *s);
/* Takes the op out of its slot and ends it from the hook. */
void	 redis_detach(struct redis_conn *, struct redis_slot *, enum err, const char *why);
/* Makes sure that the timer fires at this time or before. */
void	 redis_timer(struct redis_conn *, uint64_t at);
/* Of a connection that is off: ends all that is in flight; leaves it to the next connection, if it may be. */
void	 redis_ring_fail(struct redis_conn *, enum err, const char *why);
bool	 redis_may_replay(const struct redis_conn *, enum err);
void	 redis_ring_wait(struct redis_conn *);
/* Ends those whose own deadline has passed; when to look again. */
uint64_t redis_check_own(struct redis_conn *, uint64_t now);

/* redis_hello.c */
/* The greeting: everything at once. False: no memory. */
bool	 redis_hello(struct redis_conn *);
/* A script, before what is put next. False: no memory. */
bool	 redis_load_script(struct redis_conn *, enum redis_script);
/* Asks for the time if it was long ago. */
void	 redis_clock(struct redis_conn *);

/* redis_put.c */
/* The most bytes that redis_put() writes for the op. */
size_t	 redis_put_max(const struct be_op *);
/* Writes the command; NULL, or what it is that plain strings have not, for REDIS_CANNOT. */
#define REDIS_CANNOT	"has plain strings, without %s (format = raw)"
const char *redis_put(char *dst, const struct be_op *, const struct redis_script_row *, struct redis_cmd *);
/* "*n\r\n$..." from words; for commands of our own. */
size_t	 redis_put_words(char *dst, unsigned n, const struct slice *words);
size_t	 redis_put_words_max(unsigned n, const struct slice *words);
/* SCAN from a cursor on; the end. */
char	*redis_put_scan(char *dst, struct slice cursor);
/* What takes the win of the stale item that a plain read has found. key: of that read. */
void	 redis_put_win(char *dst, const struct be_op *, struct slice key, size_t item_len,
	    const struct redis_script_row *, struct redis_cmd *);

/* redis_put_record.c */
/* The same as redis_put_max() and redis_put() for ops that have a rec. */
size_t	 redis_put_record_max(const struct be_op *);
char	*redis_put_record(char *dst, const struct be_op *, const struct redis_script_row *, struct redis_cmd *);
/* The words that follow the command for an item of OP_ITEMS_PUT, up to the bytes of its body. */
#define REDIS_PUT_MAX		(REC_KEY_MAX + 256)
char	*redis_put_item_head(char dst[REDIS_PUT_MAX], const struct be_op *, const struct rec_put *);

/* redis_words.c */
char	*redis_put_bytes(char *dst, const char *p, size_t len);
char	*redis_put_number(char *dst, uint64_t);
char	*redis_put_word(char *dst, struct slice);
char	*redis_put_head(char *dst, char type, uint64_t n);
char	*redis_put_name(char *dst, struct slice base, char kind, struct slice item);
/* "EVALSHA" with its digest, n words following the number of keys. */
char	*redis_put_evalsha(char *dst, unsigned n, unsigned keys, const struct redis_script_row *);

/* redis_name.c */
/* Where the first answer to a relative write of this key is kept: in its slot. */
struct slice redis_name_answer(char name[REDIS_NAME_MAX], struct slice key, const struct be_op *);
/* Where a piece of a value is: anywhere. */
struct slice redis_name_chunk(char name[REDIS_NAME_MAX], const struct be_op *);
/* Whether the op is about a record, or an item of one: then these are its names. */
bool	 redis_is_record(const struct be_op *);
/* "{id}" */
struct slice redis_name_base(char base[REDIS_BASE_MAX], struct slice id);
/* What is in the braces as an id again. False: it is none. */
bool	 redis_name_id(char id[REDIS_ID_MAX], struct slice name, size_t *len);
/* What stands in braces for the slot itself. */
struct slice redis_name_tag(char tag[REDIS_TAG_MAX], unsigned slot);
/* The list of those records of the namespace that are in the slot of this one. */
struct slice redis_name_list(char name[REDIS_NAME_MAX], struct slice base, const struct conf_ns *);
/* The slot of what the op is about. */
unsigned redis_slot_of(const struct be_op *);
/* Whose namespace says what becomes of a key: the part of it that clients know. */
struct slice redis_name_owner(char buf[REDIS_ID_MAX], struct slice name);

/* redis_reply.c */
/* Makes hiredis' reader hand its objects to us; after each connect. */
void	 redis_reply_attach(struct redis_conn *);
/* Gives a reply that hiredis has built to whom it belongs. */
void	 redis_reply_tree(struct redis_conn *, const struct redisReply *);

/* redis_outcome.c */
struct redis_obj {
	int		 type;		/* REDIS_REPLY_* */
	long long	 number;
	struct slice	 text;		/* in the reader's buffer */
};
/* Ends the slot's op, if there is one, as the reply says. False: the reply does not fit, the op is still there. */
bool	 redis_outcome(struct redis_conn *, const struct redis_slot *, const struct redis_obj *);
/* The same for the item of RW_COVERED. */
bool	 redis_outcome_item(struct redis_conn *, const struct redis_slot *, const struct redis_obj *);
/* The same for each value of RW_KEYS, and the end of them. */
void	 redis_outcome_key(struct redis_conn *, struct be_op *, uint32_t at, const struct redis_obj *);
void	 redis_outcome_keys_end(struct redis_conn *, struct be_op *);
/* Which row of errors a server's error belongs to. */
enum err redis_error_kind(struct slice text);
/* Ends the op: what is there is none of ours. */
void	 redis_bad_value(struct redis_conn *, struct be_op *);
/* Ends the op with an error that begins with the node's name: now, or from the hook. */
void	 redis_op_fail(const char *name, struct be_op *, enum err, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
void	 redis_op_fail_later(const char *name, struct be_op *, enum err, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));

/* redis_items.c */
/* An array of n has begun. False: it does not fit. */
bool	 redis_items_begin(struct redis_conn *, const struct redis_slot *, size_t n);
/* Its ith element; the last ends the op. False: it does not fit. */
bool	 redis_items_next(struct redis_conn *, struct be_op *, const struct redis_slot *, size_t i,
	    const struct redis_obj *);
/* The newest of a record's marks that covers the item. */
enum redis_cover redis_marks_find(struct slice marks, struct slice key, struct stamp *);

/* redis_scan.c */
/* Of any op that has begun: true if it is an OP_SCAN, which goes on by ops of its own. */
bool	 redis_scan_takes(struct backend *, struct be_op *, void (*submit)(struct backend *, struct be_op *),
	    const char *name);
/* be_ops.cancel of such an op; false: it is none. */
bool	 redis_scan_cancel(struct be_op *);

/* redis_flush.c */
/* A step of an OP_FLUSH with flushes was answered. */
void	 redis_flush_step(struct redis_conn *, const struct redis_slot *, const struct redisReply *);
/* flush_all with a delay: it is answered at once and carried out then, if the store is still there. */
struct redis_later {
	struct timer	 timer;
	struct backend	*be;
	void		(*submit)(struct backend *, struct be_op *);
	struct be_op	 op;
	bool		 out;
};
void	 redis_later_init(struct redis_later *, struct backend *, void (*submit)(struct backend *, struct be_op *));
void	 redis_later_fini(struct redis_later *);
/* Of any op that has begun: true if it is such a one, which then ends later. */
bool	 redis_later_takes(struct redis_later *, struct be_op *, const char *name);

/* redis_script.c */
/* Their texts and digests, RS_COUNT of them, in one piece of the heap. NULL: no memory. */
struct redis_script_row *redis_scripts_new(void);

static inline struct redis_slot *
redis_slot(struct redis_conn *c, uint32_t number)
{
	return (&c->ring[number & (c->cap - 1)]);
}

static inline uint16_t
redis_bucket(uint64_t hash)
{
	return ((uint16_t)(hash % REDIS_BUCKETS));
}

static inline char *
redis_sent_at(struct redis_conn *c, uint64_t at)
{
	return (c->sent.buf + (at - c->sent.base));
}

/* "{id}" of a command on a record, which has one byte behind that in its first key. */
static inline struct slice
redis_sent_base(struct redis_conn *c, const struct redis_slot *s)
{
	return (slice_of(redis_sent_at(c, s->at + s->cmd.key_at), s->cmd.key_len - (s->cmd.key_len > 0)));
}

#endif

/*
 * redis_cluster.h - the inside of the redis-cluster store, shared by redis_cluster*.c only.
 *
 *	submit --> slot --> lane --> node of the slot's master --> done()
 *	                     ^  |            |
 *	                     |  +-- MOVED ---+--> the node that it names
 *	                     +----- down, TRYAGAIN ...: held, and sent again later
 *
 * A lane exists for each slot that has ops under way. It keeps them in order while their slot moves: ops that were sent
 * to one node are refused by it one after the other and follow each other to the next; those that come later wait until
 * all are back, if the way to go has changed meanwhile. So no set is overtaken by the get behind it.
 *
 * Nodes are never forgotten, because their counters are read by other threads; their connections come and go.
 */
#ifndef BACKEND_REDIS_CLUSTER_H
#define BACKEND_REDIS_CLUSTER_H

#include "backend/redis_sweep.h"
#include "backend/slots.h"

#define CLUSTER_HOPS_MAX	5	/* times that one op is sent elsewhere or again */
/* In be_op.hops beside their number: its timeout is ours, the caller had none; so is that it is the rest of one. */
#define CLUSTER_TIMED		0x80
#define CLUSTER_RESTED		0x40
#define CLUSTER_HOPS		0x3f
#define CLUSTER_NODES_MAX	8192	/* that are remembered: a cluster that names more is none */

struct cluster;
struct cluster_node;

/* The connections to a node; as a master's, or as a replica's that is to be read. */
struct cluster_link {
	struct cluster_node *node;
	struct redis_node *conn;	/* NULL: not needed now */
	bool		 readonly;
	_Atomic bool	 known;		/* it was there once: its counters mean something */
	uint64_t	 used_at;	/* when it was last given something */
	struct be_stats	 stats;
};

struct cluster_node {
	_Atomic(struct cluster_node *) next;	/* any thread */
	struct cluster	*cluster;
	struct slots_addr addr;		/* of a seed with a path: where it is, port 0 */
	const struct conf_server *seed;	/* NULL: none */
	struct cluster_link link;
	struct cluster_link reads;
	bool		 master;	/* of the map: some shard's master, */
	bool		 replica;	/* ... or replica */
	struct be_op	 ask;		/* for the map */
	bool		 asking;	/* the answer is still to come */
	bool		 mapped;	/* it had a map */
	uint32_t	 asked_round;	/* the last in which it was asked */
	char		 name[SLOTS_NAME_MAX];	/* "host:port", for people */
};

/* An op that waits; be_op.priv. */
struct cluster_held {
	TAILQ_ENTRY(cluster_held) next;
	struct be_op	*op;
	enum err	 err;		/* what becomes of it when it has waited too long */
	uint32_t	 need;		/* the round of map reading after which the state of its node counts */
	struct redis_cmd cmd;
	char		 why[REDIS_WHY_MAX];	/* "": nothing in particular */
	char		 bytes[];
};
TAILQ_HEAD(cluster_held_list, cluster_held);

struct cluster_lane {
	TAILQ_ENTRY(cluster_lane) next;	/* of cluster.blocked, if `blocked`; else of free ones */
	bool		 blocked;
	bool		 turned;	/* some that are out were sent elsewhere: later ones wait for all */
	uint16_t	 slot;
	uint32_t	 out;		/* ops at nodes */
	uint32_t	 order;		/* of the next op */
	unsigned	 tries;		/* times it has waited because a node had said so, in a row */
	uint64_t	 retry_at;	/* nothing goes out before; 0: at once */
	struct cluster_node *via;	/* where those that are out went first */
	struct cluster_held_list held;	/* in the order in which they came */
};
TAILQ_HEAD(cluster_lane_list, cluster_lane);

/* A flush_all on its way to all masters; be_op.priv. */
struct cluster_flush {
	TAILQ_ENTRY(cluster_flush) next;	/* of cluster.flushes while it waits */
	struct be_op	*op;
	bool		 waiting;
	uint32_t	 need;
	uint32_t	 layout;	/* the cluster's when it was sent */
	bool		 strayed;	/* keys have moved from one master to another meanwhile */
	unsigned	 tries;
	enum err	 err;		/* of the first part that failed */
	unsigned	 left;		/* parts that are out */
	unsigned	 nparts;
	struct cluster_flush_part *parts;
	char		 why[REDIS_WHY_MAX];
};
TAILQ_HEAD(cluster_flush_list, cluster_flush);

struct cluster_flush_part {
	struct be_op	 op;
	struct cluster_flush *flush;
	struct redis_node *conn;	/* NULL: it cannot be had */
	uint32_t	 strays;	/* the connection's, when it was sent */
};

enum cluster_urge { URGE_SOON /* a slot has moved */, URGE_NOW /* ops wait for it */ };

struct cluster {
	struct backend	 be;		/* first */
	struct backend	 asker;		/* of ops that ask for the map: they do not count */
	struct loop	*loop;
	const struct conf_store *store;
	struct redis_script_row *scripts;
	uint32_t	 random;
	bool		 down;
	bool		 closing;
	_Atomic(struct cluster_node *) nodes;
	struct cluster_node *last;
	unsigned	 nnodes;

	struct redis_later later;	/* flush_all with a delay */
	struct redis_sweeper sweeper;

	/* the map: redis_cluster_map.c */
	struct slots_map *map;		/* NULL: none yet */
	struct cluster_node **node_of;	/* map->nservers: the map's servers */
	uint32_t	 layout;	/* changes whenever a slot gets another master */
	uint32_t	 round;		/* rounds of asking begun */
	uint32_t	 rounds_over;	/* the last that is over, well or not */
	bool		 in_round;
	unsigned	 nasking;	/* nodes that were asked and have not answered */
	bool		 urged;		/* ops wait for the next round */
	unsigned	 failures;	/* rounds in a row without a map */
	unsigned	 urgent;	/* rounds in a row that were urged */
	uint64_t	 over_at;	/* when the last one was over */
	struct timer	 map_timer;	/* the next round; in one: the next node is asked as well */
	uint64_t	 map_at;
	char		 why[REDIS_WHY_MAX];	/* "<store> is down: ..." */
	char		 said[REDIS_WHY_MAX];	/* the last reason why a node had no map */
	char		 why_busy[REDIS_WHY_MAX];
	char		 why_slow[REDIS_WHY_MAX];
	char		 why_hops[REDIS_WHY_MAX];
	char		 why_none[REDIS_WHY_MAX];

	/* what waits: redis_cluster_lane.c */
	struct cluster_lane *lanes[SLOTS];
	struct cluster_lane_list blocked;
	struct cluster_lane_list idle;
	unsigned	 nidle;
	struct cluster_flush_list flushes;
	unsigned	 nheld;		/* ops, at most max_held */
	unsigned	 max_held;
	struct timer	 tick;
};
#define CLUSTER_MAGIC	0x72636c75u

/* be_op.state beyond enum redis_op_state. */
#define CLUSTER_OP_HELD		16

/* be_op.slot of what belongs to no lane. */
#define CLUSTER_ANY	SLOTS

#define CLUSTER_EACH_NODE(cl, n)						\
	for ((n) = atomic_load_explicit(&(cl)->nodes, memory_order_acquire); (n) != NULL;	\
	    (n) = atomic_load_explicit(&(n)->next, memory_order_acquire))

/* redis_cluster.c */
uint32_t cluster_random(struct cluster *);
/* Changes nothing, so that a replica can answer it too. */
bool	 cluster_is_read(const struct op *);
/* When the op ends, come what may. */
uint64_t cluster_limit(const struct cluster *, const struct be_op *);
/* The op goes to this link: counts it there. */
void	 cluster_at(struct cluster *, struct be_op *, struct cluster_link *);
/* It has left it again, with or without an answer. */
struct cluster_link *cluster_left(struct be_op *);
/* Flushes that wait go on if they can. True: some still wait. */
bool	 cluster_flushes_kick(struct cluster *);

/* redis_cluster_lane.c */
/* Sends the op or holds it. */
void	 cluster_lane_submit(struct cluster *, struct be_op *);
/* The op has ended; it was at a node. */
void	 cluster_lane_over(struct cluster *, struct be_op *);
/* Ends one that is held. */
void	 cluster_held_cancel(struct cluster *, struct be_op *);
/* Ends all that are held. */
void	 cluster_held_fail(struct cluster *, enum err, const char *why);
/* The map or a node has changed: soon, whatever can go on does. */
void	 cluster_kick(struct cluster *);
void	 cluster_tick(void *);
/* redis_node_ops.refused */
bool	 cluster_refused(struct redis_node *, struct be_op *, const struct redis_cmd *, const char *bytes, enum err,
	    struct slice text);
void	 cluster_lanes_free(struct cluster *);

/* redis_cluster_node.c */
/* Found or made. NULL: no memory, or too many. */
struct cluster_node *cluster_node_at(struct cluster *, const struct slots_addr *);
bool	 cluster_seeds_open(struct cluster *);
/* Its connections, which are made if there are none. NULL with *why set: they cannot be. */
struct redis_node *cluster_connect(struct cluster_link *, const char **why);
/* False: ops would fail at once. */
bool	 cluster_usable(const struct cluster_link *);
/* Closes connections that nobody needs any more. */
void	 cluster_nodes_tidy(struct cluster *);
/* Ends what is at nodes with ERR_CANCELLED. */
void	 cluster_nodes_close(struct cluster *);
void	 cluster_nodes_free(struct cluster *);
/* Who has the slot; NULL: nobody, or there is no map. */
struct cluster_node *cluster_master(const struct cluster *, unsigned slot);
/* How many replicas of the slot can be read; the nth of them (from 0) for keys of this hash. */
unsigned cluster_replicas(const struct cluster *, unsigned slot);
struct cluster_node *cluster_replica(const struct cluster *, unsigned slot, uint64_t hash, unsigned nth);

/* redis_cluster_map.c */
void	 cluster_map_time(void *);
/* Asks for a map: not at once, and not too often. */
void	 cluster_map_want(struct cluster *, enum cluster_urge);
/* A MOVED has told. */
void	 cluster_moved(struct cluster *, unsigned slot, struct cluster_node *);
/* redis_node_ops.turned, .tree */
void	 cluster_turned(struct redis_node *);
void	 cluster_tree(struct redis_node *, struct be_op *, const struct redisReply *);
void	 cluster_map_free(struct cluster *);

#endif

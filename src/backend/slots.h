/*
 * slots.h - Redis Cluster's slots: which one a key is in, which servers have it, what a refusal says about it.
 *
 * A map is made of one reply to CLUSTER SLOTS. Its servers stand in a list without duplicates; its shards are a master
 * and its replicas, and each slot names a shard or none. Pure: no I/O, no clock; any thread that owns the map.
 */
#ifndef BACKEND_SLOTS_H
#define BACKEND_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define SLOTS			16384
#define SLOTS_NONE		UINT16_MAX	/* no such shard */
#define SLOTS_HOST_MAX		255		/* bytes of a host's name */
#define SLOTS_SERVERS_MAX	4096		/* of one cluster; Redis itself stops far below */
#define SLOTS_REPLICAS_MAX	16		/* of one shard that are used */

struct redisReply;

struct slots_addr {
	uint16_t	 port;
	uint16_t	 len;
	/* A name or an address without brackets; "": the server that said so. */
	char		 host[SLOTS_HOST_MAX + 1];
};

struct slots_shard {
	uint16_t	 master;	/* index of a server */
	uint16_t	 nreplicas;
	uint16_t	 replicas[SLOTS_REPLICAS_MAX];
};

struct slots_map {
	struct slots_addr *servers;
	unsigned	 nservers;
	struct slots_shard *shards;
	unsigned	 nshards;
	unsigned	 nslots;	/* that have a shard */
	uint16_t	 shard_of[SLOTS];
	uint16_t	 by_addr[2 * SLOTS_SERVERS_MAX];	/* where in servers an address is; slots.c's */
};

/* Of the part in braces where there is one, else of the whole key. */
unsigned	 slots_of(struct slice key);

/*
 * Of a reply to CLUSTER SLOTS, from whatever version of Redis; asked is where it came from and stands in for hosts that
 * the reply leaves empty. NULL with *why set (a literal): it is not such a reply, it names no slot, or memory is short.
 */
struct slots_map *slots_map_new(const struct redisReply *, const struct slots_addr *asked, const char **why);
/* NULL is fine. */
void		 slots_map_free(struct slots_map **);
/* The shard of a slot, NULL: nobody has it. */
const struct slots_shard *slots_shard(const struct slots_map *, unsigned slot);
/* The slot is this server's from now on, which joins the list if it is new. False: no room, nothing changed. */
bool		 slots_move(struct slots_map *, unsigned slot, const struct slots_addr *);

/* What a server that does not carry out a command says instead. */
enum slots_refusal {
	REFUSED_NOT,		/* another error, or none */
	REFUSED_MOVED,		/* the slot is another server's */
	REFUSED_ASK,		/* the slot is on its way, and this key already there */
	REFUSED_TRYAGAIN,	/* the keys are half here, half there */
	/* From here on the map may have changed. */
	REFUSED_CLUSTERDOWN,	/* some slots have no server, or this one has lost sight of the others */
	REFUSED_MASTERDOWN,	/* a replica that has lost its master */
	REFUSED_LOADING,	/* it has just been started */
	REFUSED_READONLY,	/* it has become a replica */
};

/*
 * text is an error without its '-'. slot and addr are set for MOVED and ASK. A MOVED or ASK that cannot be read is
 * REFUSED_NOT: there is nowhere to go.
 */
enum slots_refusal slots_refusal(struct slice text, unsigned *slot, struct slots_addr *);
/* "ERR This instance has cluster support disabled" */
bool		 slots_no_cluster(struct slice text);

/* False: too long, or holds what no host has. */
bool		 slots_addr_set(struct slots_addr *, struct slice host, unsigned port);
bool		 slots_addr_eq(const struct slots_addr *, const struct slots_addr *);
/* "host:port" or "[v6]:port". */
#define SLOTS_NAME_MAX	(SLOTS_HOST_MAX + sizeof "[]:65535")
void		 slots_addr_name(const struct slots_addr *, char name[SLOTS_NAME_MAX]);

#endif

/*
 * worker.h - a thread with its own loop, clients, upstream connections and requests.
 *
 * Nothing of it is shared but the counters and the messages posted to its loop.
 */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "cmd/cmd.h"
#include "ev/loop.h"
#include "req/ctx.h"

struct conn;

#define WORKER_BUF	(64 * 1024)	/* one read from a client */
#define WORKER_JOBS	CMD_JOBS_MAX	/* commands prepared together */

struct worker {
	unsigned	 magic;
#define WORKER_MAGIC	0x776f726bu
	pthread_t	 thread;
	bool		 started;
	struct loop	*loop;
	struct ctx	*ctx;
	char		*buf;		/* WORKER_BUF; commands are parsed in place here */
	struct job	*jobs;		/* WORKER_JOBS */
	TAILQ_HEAD(, conn) conns;
	TAILQ_HEAD(, conn) dirty;	/* have output to send, or input to go on with, at the end of the turn */
	unsigned	 ndirty;
	struct timer	 second;
	uint32_t	 now;		/* seconds, for idle clients */
	uint32_t	 drain_left;	/* seconds that draining may still take */
	bool		 draining;
	uint64_t	 next_id;
	_Atomic unsigned nconns;	/* the listener reads it */
};

/* NULL with *why set. Main thread. */
struct worker	*worker_new(struct shared *, struct snapshot *, unsigned id, const char **why);
/* False: no thread could be had. */
bool		 worker_start(struct worker *);
/* Hands over a connected socket; false: it was not taken (no memory). Any thread. */
bool		 worker_give(struct worker *, int fd, bool is_unix);
/* Finishes what is in flight, closes the clients and ends the thread. Any thread; returns at once. */
void		 worker_drain(struct worker *);
/* Waits for the thread. All are waited for before the first is freed: they post to and read counters of each other. */
void		 worker_wait(struct worker *);
/* Waits for the thread if need be, and frees. */
void		 worker_join(struct worker **);

#endif

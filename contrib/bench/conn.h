/*
 * conn.h - one client connection of the generator, and the thread it lives on.
 *
 * A connection holds a ring of requests on the wire, oldest first; replies are
 * matched to them in order. Everything here belongs to one thread, but for
 * struct tracks, whose cells are atomic.
 */
#ifndef BENCH_CONN_H
#define BENCH_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "kvload.h"

/* Per key, for --check-stale: versions start at 1, 0 is "never written". */
struct tracks {
	_Atomic uint32_t	*issued;
	_Atomic uint32_t	*acked;
	_Atomic uint8_t		*busy;		/* a write is on the wire */
};

struct want {
	uint32_t	key;
	uint32_t	floor;		/* reads: the oldest version allowed */
	bool		seen;
};

struct request {
	uint64_t	at;		/* when it was to be sent */
	enum op		op;
	unsigned	nkeys;
	uint32_t	version;	/* writes */
	/* reads of several keys */
	bool		array;		/* RESP: the array has begun */
	unsigned	came;		/* which value is likely to be the next */
};

enum conn_state { CONN_UP, CONN_CONNECTING, CONN_DOWN, CONN_DEAD };

struct conn {
	int		 fd;
	enum conn_state	 state;
	bool		 want_out;	/* EPOLLOUT is asked for */
	struct request	*ring;		/* ring_size of them */
	struct want	*wants;		/* ring_size * multi */
	unsigned	 head;
	unsigned	 count;
	struct bytes	 in;		/* the begin of a reply still to come */
	size_t		 need;		/* in is of no use before it is so long */
	struct bytes	 out;		/* what the socket did not take */
	uint64_t	 last;		/* last time something moved */
	uint64_t	 retry_at;	/* CONN_DOWN */
};

struct load;

struct thread {
	struct load	*load;
	const struct opts *opts;
	struct stats	*stats;		/* of the phase that runs */
	struct stats	*phase_stats;	/* [2] */
	unsigned	 index;
	int		 epfd;
	struct conn	*conns;
	unsigned	 nconns;
	unsigned	 live;		/* conns that are not CONN_DEAD */
	unsigned	 ring_size;
	unsigned	 next_conn;	/* open loop: whose turn it is */
	uint64_t	 now;
	uint64_t	 heard;		/* when the server last sent anything */
	uint64_t	 random;
	struct bytes	 rbuf;		/* shared by the conns: cache-warm */
	struct bytes	 wbuf;
	uint32_t	 next_version;
	/* the phase */
	bool		 prefilling;
	uint32_t	 next_key;	/* prefill */
	uint64_t	 left;		/* requests still to be sent */
	uint64_t	 in_flight;
	uint64_t	 deadline;	/* nothing new is due from here on */
	double		 due;		/* open loop: when the next one is */
};

struct load {
	const struct opts *opts;
	struct tracks	 tracks;
	atomic_uint	 examples;	/* wrong replies printed so far */
};

uint64_t	clock_ns(void);

/* Blocking; false with errno set. */
bool		conn_open(struct thread *, struct conn *);
/* Begins to open it again; ends in CONN_UP, or CONN_DOWN and another try. */
void		conn_reopen(struct thread *, struct conn *);
/* What epoll said of it. */
void		conn_event(struct thread *, struct conn *, uint32_t events);
/* Sends n new requests in one write, due at at. The ring has room for them. */
void		conn_send(struct thread *, struct conn *, unsigned n,
		    uint64_t at);
/* Gives up the connection and what is on it. */
void		conn_lost(struct thread *, struct conn *);
void		conn_free(struct conn *);

/* Takes a reply; false if the connection cannot be trusted any more. */
struct reply;
bool		check_reply(struct thread *, struct conn *,
		    const struct reply *);
/* The write of request r is over: acknowledged, or nobody knows. */
void		check_write_over(struct thread *, const struct conn *,
		    unsigned slot, bool acked);

/* Appends the next request and its bytes to ring and wbuf; false: no memory. */
bool		request_make(struct thread *, struct conn *, uint64_t at);

#endif

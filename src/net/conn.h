/*
 * conn.h - a client's connection.
 *
 *	socket -> worker.buf -> proto_parse -> jobs -> cmd_run -> client.q -> client.out -> socket
 *	              |                                  ^
 *	   conn.rbuf (a command cut off)         body: straight into its item
 *
 * Loop thread only. An idle connection owns no buffers.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdint.h>
#include <sys/queue.h>

#include "ev/loop.h"
#include "req/req.h"

struct worker;

struct conn {
	struct client	 cl;		/* first: replyq's owner is found through it */
	unsigned	 magic;
#define CONN_MAGIC	0x636f6e6eu
	int		 fd;
	struct io	 io;
	struct worker	*worker;
	TAILQ_ENTRY(conn) next;
	TAILQ_ENTRY(conn) next_dirty;
	bool		 is_dirty;
	bool		 is_unix;
	bool		 idled;		/* closed for sending nothing */
	bool		 refused;	/* closed for what it sent */
	bool		 eof;		/* the client will send no more */
	bool		 draining;	/* closes as soon as all it sent is answered */
	bool		 stalled;	/* its answers pile up, or are of an old configuration: not read from */
	bool		 held;		/* rbuf has commands that could be taken if it were their turn */
	bool		 yielded;	/* because others come first */
	char		*rbuf;		/* input not yet parsed */
	uint32_t	 rlen, rcap;
	uint32_t	 last_active;
	uint64_t	 swallow;	/* input bytes to throw away */
	struct req	*body;		/* store command whose body is being read */
	uint32_t	 body_off;	/* bytes of body and CRLF read */
	char		 body_crlf[2];
	struct record_body *record;	/* kp or km whose body is being read */
};

/* Takes the descriptor. NULL: out of memory, the descriptor is closed. */
struct conn	*conn_new(struct worker *, int fd, bool is_unix);
/* Closes and frees; requests under way finish without it. */
void		 conn_close(struct conn **);
/* End of the turn: sends what piled up, goes on with input that had to wait. May free it. */
void		 conn_turn_end(struct conn *);
/*
 * The server stops: the connection closes when all that was sent is answered. Called again every second, so that a
 * command of which no more comes is waited for no longer. May free it.
 */
void		 conn_drain(struct conn *);

#endif

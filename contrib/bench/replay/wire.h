/*
 * wire.h - one connection that many requests are sent on before the first reply is read.
 */
#ifndef REPLAY_WIRE_H
#define REPLAY_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../bytes.h"
#include "../reply.h"

struct wire {
	int		 fd;
	const char	*target;
	struct bytes	 out;		/* to be filled by the user after wire_begin() */
	size_t		 sent;		/* of out */
	struct bytes	 in;
	size_t		 used;		/* of in */
};

/* All of them say on stderr what went wrong. */
bool		wire_open(struct wire *, const char *target, const struct sockaddr *, socklen_t);
void		wire_close(struct wire *);
/* What was to be sent is forgotten. */
void		wire_begin(struct wire *);
/* The next reply; what it points at is good until the next call. Sends meanwhile what is not sent yet. */
bool		wire_reply(struct wire *, struct reply *);
bool		wire_flush(struct wire *);
/* False: it does not tell these three. */
bool		wire_stats(struct wire *, uint64_t *items, uint64_t *evictions, uint64_t *limit);

#endif

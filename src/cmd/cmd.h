/*
 * cmd.h - carrying out parsed commands.
 *
 * A batch is prepared (keys hashed, the cache's lines brought in) and then run command by command; answers go into
 * the client's queue in order. Loop thread only.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "proto/command.h"
#include "proto/hot.h"
#include "req/ctx.h"
#include "req/req.h"

struct record_body;

struct job {
	/* Parsed, or, with hot set, only op.key, op.hash (by cmd_prepare) and id are valid. */
	struct command	 cmd;
	/* cmd.has_body and all of it was in the buffer; without its CRLF. With hot set: the line, with its end. */
	struct slice	 body;
	enum hot	 hot;
	cache_hint	 hint;		/* by cmd_prepare; with hot set */
	bool		 bad_chunk;	/* no CRLF behind it */
};

#define CMD_JOBS_MAX	64		/* prepared at once */

/* Hashes keys and prefetches what their lookups will touch. */
void		 cmd_prepare(struct ctx *, struct job *, unsigned njobs);
/* Answers, or asks a store and answers later. May set client->close, client->q.broken, client->produce. */
void		 cmd_run(struct client *, struct job *);

/*
 * A body that was not wholly in the buffer: memory for op.vlen bytes. NULL: refused, the answer is queued, and the
 * body and its CRLF are to be swallowed.
 */
struct req	*cmd_body_begin(struct client *, struct command *);
/* Where the body goes, from offset off on. */
int		 cmd_body_iov(const struct req *, uint32_t off, struct iovec *, int max);
/* The body is complete; crlf: it was followed by CRLF. Takes the req. */
void		 cmd_body_end(struct client *, struct req *, bool crlf);
/* The connection was lost within the body. Takes the req. */
void		 cmd_body_drop(struct req *);

/* A kp or km, whose body follows. NULL: none does; the answer is queued. */
struct record_body *cmd_record_begin(struct client *, const struct command *);
/* Takes what is of the body and returns the bytes used. When it is over, *body is NULL and the command carried out. */
size_t		 cmd_record_feed(struct client *, struct record_body **body, const char *buf, size_t len);
/* The connection was lost within the body. Sets it to NULL. */
void		 cmd_record_drop(struct client *, struct record_body **body);

#endif

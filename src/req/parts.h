/*
 * parts.h - commands made of several requests: multi-key reads and flush_all.
 *
 * The parent takes one place in the client's queue and has a queue of its own for its parts. A part that fails makes
 * the whole answer one SERVER_ERROR line: values followed by an error and END would leave a client out of step.
 * Loop thread only; false: no memory, the client's stream is lost.
 */
#ifndef REQ_PARTS_H
#define REQ_PARTS_H

#include "req/req.h"

/* get, gets, gat, gats of several keys, some of which may be in stores. */
bool	parts_get(struct ctx *, struct replyq *, struct command *);
/* flush_all: the servers of the namespaces that it reaches, and the local cache. */
bool	parts_flush(struct ctx *, struct replyq *, struct command *);
/* A backup of a store (words: its name, the copy's). NULL: under way; else what to answer at once. */
const char *parts_checkpoint(struct ctx *, struct replyq *, struct command *, bool *good);
/* A part failed; the first text is told, behind one SERVER_ERROR. */
void	parts_fail(struct req *parent, const char *text, size_t len);

#endif

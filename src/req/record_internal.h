/*
 * record_internal.h - what record*.c share and nobody else sees. Loop thread only.
 */
#ifndef REQ_RECORD_INTERNAL_H
#define REQ_RECORD_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/record.h"
#include "base/slice.h"
#include "req/pieces.h"
#include "req/record.h"
#include "req/req.h"

struct record_cmd;

/* Whose be_op.rec any op of record*.c is. */
struct record_task {
	struct rec_op	 rec;
	void		(*hold)(struct record_task *, int by);	/* so many more, or less, need it */
};

/*
 * The namespace of that name, of a key where the name is NULL; it keeps records. NULL: it cannot be, why is the answer.
 */
const struct space *record_space(const struct ctx *, struct slice name, struct slice key, char why[RECORD_WHY_MAX]);
/* Whether an id is one there. False: why is the answer. */
bool		 record_id(const struct space *, struct slice id, char why[RECORD_WHY_MAX]);
/* An answer at once. False: the client's stream is lost. */
bool		 record_say(struct client *, const char *text);
/* A place in the client's queue (NULL: in none) for something in a namespace. NULL: out of memory. */
struct req	*record_req(struct ctx *, struct replyq *, const struct space *);
/* Sets all of an op on a record that it has in common with others. */
void		 record_op(struct be_op *, const struct space *, uint8_t verb, struct slice id, struct rec_op *);
/* Ends it. */
void		 record_end(struct req *);
/* What became of an op, as the rest of a line behind SERVER_ERROR; NULL: it went well. */
const char	*record_failure(const struct be_op *, char why[RECORD_WHY_MAX]);
/* A flight has legs that may outlive the req: what this op needs stays until it is released. */
void		 record_hold(struct rec_op *);
void		 record_release(struct rec_op *);
/* The whole key of an item, whatever its length, in buf. */
struct slice	 record_key(const struct space *, struct slice id, struct slice item, char buf[PIECES_KEY_MAX]);
/* Milliseconds since 1970. */
uint64_t	 record_now(void);

#endif

/*
 * outcome.h - what a store has told, towards the client: its answer, and the counters of commands.
 *
 * Loop thread only.
 */
#ifndef REQ_OUTCOME_H
#define REQ_OUTCOME_H

#include "req/req.h"
#include "req/value.h"

/*
 * Counts r's command and writes its answer. be is r's own op, or that of the read which r followed; res is what r is
 * told of it, and value a large value, else NULL.
 */
void	outcome_tell(struct req *, const struct be_op *be, const struct op_result *res, struct value *value);
/* An error line; noreply hides it, a meta command's q does not. Of a part, its parent fails. */
void	outcome_fail(struct req *, const char *prefix, const char *text, size_t len);

#endif

/*
 * answer.h - outcomes of ops into a client's output, in the dialect of its command.
 *
 * All return false when memory ran out: the client's stream is lost and it must be dropped. Loop thread only.
 */
#ifndef REQ_ANSWER_H
#define REQ_ANSWER_H

#include <stdbool.h>

#include "base/outq.h"
#include "proto/command.h"
#include "req/ctx.h"
#include "req/value.h"

/* The line alone: outcomes without a value. A classic read's miss is nothing at all, its error is the line. */
bool	answer_line(struct outq *, const struct command *, const struct op_result *);
/* Line and value of a found item; unlocks the shard. Large values are pinned and referenced. */
bool	answer_item(struct ctx *, struct outq *, const struct command *, const struct op_result *,
	    struct cache_shard *, struct item *);
/* Line and value from a receive buffer. */
bool	answer_data(struct outq *, const struct command *, const struct op_result *, struct slice value);
/* Line and large value. */
bool	answer_value(struct outq *, const struct command *, const struct op_result *, struct value *);
/* text, CRLF. */
bool	answer_text(struct outq *, const char *text);
/* "SERVER_ERROR <text>", CRLF. */
bool	answer_server_error(struct outq *, const char *text);

#endif

/*
 * fill.h - values on their way into the local cache: from stores (reads) and from clients (writes).
 *
 * See through.c for the rules. Loop thread only.
 */
#ifndef REQ_FILL_H
#define REQ_FILL_H

#include "req/req.h"
#include "req/value.h"

/* Memory for large values from stores: a reserved item where one may be kept, else heap. */
extern const struct be_sink fill_sink;

/* Whether a large value may be held for this req's client, which has so much more waiting than its queue tells. */
bool		 fill_may_hold(const struct req *, size_t more, uint32_t len);
/* What be_sink.iov does, for a value that is not the req's own yet: *vp is made by the first call. */
int		 fill_value_iov(struct req *, struct value **vp, const struct op_result *, uint32_t off,
		    struct iovec *, int max);
/* Whether success of this OP_STORE means that its body is the key's value. */
bool		 fill_may_store(const struct command *);
/* An item for the body of such a write; NULL: it cannot or need not be kept. */
struct item	*fill_reserve_write(struct ctx *, const struct conf_ns *, const struct command *);
void		 fill_copy_item(struct ctx *, struct item *, struct slice);
void		 fill_copy_in(struct value *, struct slice);

/* A read is sent: remembers the fence. */
void		 fill_read_begin(struct req *);
/* A read that fills, and found something or nothing: r->be.data, r->value or that enters the cache if it may. */
void		 fill_read(struct req *);
/* Whether what was read is not older than what may be there now. */
bool		 fill_is_last(const struct req *);
/* A write starts: remembers the fence, and the local copy, if there may be one, is fresh no longer. */
void		 fill_write_begin(struct req *);
/* A write ended; known: the store said how. Sets, removes or leaves the local copy. */
void		 fill_write_end(struct req *, bool known);

#endif

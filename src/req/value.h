/*
 * value.h - a value too large to copy: a pinned or reserved cache item, or heap memory, with a count of users.
 *
 * Made when a store announces a large value, when a client announces a large body, or when a large item is
 * sent; each piece queued for a socket holds one reference. Loop thread only.
 */
#ifndef REQ_VALUE_H
#define REQ_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/outq.h"
#include "req/ctx.h"

struct value;

/* Values up to this are copied instead: cheaper than another iovec and a pin. */
#define VALUE_COPY_MAX	4096

/* Of an item pinned by the caller: unpinned at the end. NULL: out of memory, still pinned. */
struct value	*value_of_pinned(struct ctx *, struct item *);
/* Room for vlen bytes and CRLF, outside the cache; counted in ctx->held. NULL: out of memory or over buffer_max. */
struct value	*value_heap(struct ctx *, uint32_t vlen);
/* The same, as working memory of one who holds a value already: counted, but not refused for buffer_max. */
struct value	*value_work(struct ctx *, uint32_t vlen);
/* Of a reserved item, which it owns until value_take_item(). NULL: out of memory, still the caller's. */
struct value	*value_of_reserved(struct ctx *, struct item *);
struct value	*value_ref(struct value *);
/* Drops a reference; the last one unpins, abandons or frees. */
void		 value_unref(struct value *);

/* A reserved item becomes the caller's to link; pins says the caller pinned it for this value. */
struct item	*value_item(const struct value *);
void		 value_linked(struct value *);

/* Pieces from offset off on. */
int		 value_iov(const struct value *, uint32_t off, struct iovec *, int max);
uint32_t	 value_len(const struct value *);
/* All of one outside the cache, which is one piece; p NULL: it is in the cache. */
struct slice	 value_bytes(const struct value *);
/* One outside the cache is shorter than was thought; before anybody else has it. */
void		 value_trim(struct value *, uint32_t vlen);
/* Queues all of it by reference. False: out of memory, the stream is lost. */
bool		 value_send(struct value *, struct outq *);

#endif

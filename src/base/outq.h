/*
 * outq.h - bytes on their way to a socket: copied small pieces and referenced large ones, in order.
 *
 * Bytes are copied into blocks from a per-thread pool; values that live elsewhere (pinned cache items, bodies)
 * are referenced and released when they have been sent. An empty queue holds no memory but itself. One thread.
 */
#ifndef BASE_OUTQ_H
#define BASE_OUTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/check.h"

struct outpool;
struct outchunk;

/* Called once when the referenced bytes are sent or dropped, on the queue's thread. */
typedef void outq_release_f(void *arg);

struct outq {
	struct outchunk	*head, *tail;
	size_t		 len;		/* bytes queued, referenced ones included */
	struct outpool	*pool;
	bool		 small;		/* first block is a small one: for queues that hold one short answer */
};

#define OUTQ_RESERVE_MAX	8192

/* Keeps up to keep_bytes of free blocks for reuse. NULL: out of memory. */
struct outpool	*outpool_new(size_t keep_bytes);
/* All its queues are empty. */
void		 outpool_free(struct outpool **);
/* Bytes of blocks now in use by queues, for bounds and statistics. */
size_t		 outpool_used(const struct outpool *);

void		 outq_init(struct outq *, struct outpool *, bool small);
/* Drops what is queued, releasing references. */
void		 outq_clear(struct outq *);

/* What outq_reserve() and outq_commit() look at; all else about them is outq.c's. */
struct outblk {
	struct outblk	*next_free;
	uint32_t	 refs;
	uint32_t	 used;
	uint32_t	 cap;
	bool		 large;
	char		 data[];
};

struct outchunk {
	struct outchunk	*next;
	const char	*p;
	size_t		 len;
	struct outblk	*blk;		/* NULL: foreign bytes */
	outq_release_f	*release;
	void		*arg;
};

/* Whether n more bytes fit right behind the chunk's own. */
static inline bool
outchunk_fits(const struct outchunk *c, size_t n)
{
	return (c != NULL && c->blk != NULL && c->blk->cap - c->blk->used >= n &&
	    c->p + c->len == c->blk->data + c->blk->used);
}

/* outq_reserve() where that is not so. */
char		*outq_reserve_more(struct outq *, size_t n);

/* Room for n <= OUTQ_RESERVE_MAX contiguous bytes; commit says how many were used. NULL: out of memory. */
static inline char *
outq_reserve(struct outq *q, size_t n)
{
	if (LIKELY(outchunk_fits(q->tail, n)))
		return (q->tail->blk->data + q->tail->blk->used);
	return (outq_reserve_more(q, n));
}

static inline void
outq_commit(struct outq *q, size_t n)
{
	q->tail->len += n;
	q->tail->blk->used += (uint32_t)n;
	q->len += n;
}

/* Copies. False: out of memory; some of it may have been added, so the stream is lost. */
bool		 outq_append(struct outq *, const void *p, size_t n);
/* References n bytes until release(arg). False: out of memory, release was not and will not be called. */
bool		 outq_ref(struct outq *, const void *p, size_t n, outq_release_f *, void *arg);
/* Moves all of src behind dst (same pool); src is empty afterwards. Short runs are copied, so that iovecs stay few. */
void		 outq_splice(struct outq *dst, struct outq *src);

/* Moves the first n bytes; a referenced run must be moved whole. False: out of memory, the stream is lost. */
bool		 outq_move(struct outq *dst, struct outq *src, size_t n);

/* The first pieces as iovecs; returns how many. */
int		 outq_iov(const struct outq *, struct iovec *, int max);
/* n bytes have been sent. */
void		 outq_consume(struct outq *, size_t n);

enum outq_rc { OUTQ_EMPTY, OUTQ_BLOCKED, OUTQ_FAILED };
/*
 * fd is a socket. Sends until empty or the socket is full; errno is set on OUTQ_FAILED. *sent grows by the bytes
 * that left.
 */
enum outq_rc	 outq_write(struct outq *, int fd, uint64_t *sent);

static inline size_t
outq_len(const struct outq *q)
{
	return (q->len);
}

#endif

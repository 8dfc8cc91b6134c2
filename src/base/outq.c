/*
 * outq.c - a chain of chunks; a chunk is a view into a refcounted block or a reference to foreign bytes.
 *
 * Blocks come in two sizes: 16 KiB, where a whole pipeline's answers fit, and 1 KiB for queues that hold one
 * answer while it waits its turn. The free lists are LIFO, so that a busy thread writes into memory that is
 * still in the CPU's cache.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/outq.h"

#define BLOCK_LARGE	(16 * 1024)
#define BLOCK_SMALL	1024
#define WRITE_IOVS	64
#define SPLICE_COPY_MAX	2048
#define CHUNKS_KEPT	4096

struct outpool {
	unsigned	 magic;
#define OUTPOOL_MAGIC	0x6f757470u
	struct outblk	*free_large, *free_small;
	struct outchunk	*free_chunks;
	size_t		 nfree_chunks;
	size_t		 kept, keep_max;
	size_t		 used;
};

struct outpool *
outpool_new(size_t keep_bytes)
{
	struct outpool *op = calloc(1, sizeof *op);

	if (op == NULL)
		return (NULL);
	op->magic = OUTPOOL_MAGIC;
	op->keep_max = keep_bytes;
	return (op);
}

static void
blocks_free(struct outblk *b)
{
	struct outblk *next;

	for (; b != NULL; b = next) {
		next = b->next_free;
		free(b);
	}
}

void
outpool_free(struct outpool **opp)
{
	struct outpool *op;
	struct outchunk *c;

	if (*opp == NULL)
		return;
	TAKE_OBJ_NOTNULL(op, opp, OUTPOOL_MAGIC);
	MUST(op->used == 0);
	blocks_free(op->free_large);
	blocks_free(op->free_small);
	while ((c = op->free_chunks) != NULL) {
		op->free_chunks = c->next;
		free(c);
	}
	op->magic = 0;
	free(op);
}

size_t
outpool_used(const struct outpool *op)
{
	return (op->used);
}

static struct outblk *
block_get(struct outpool *op, bool large)
{
	struct outblk **list = large ? &op->free_large : &op->free_small;
	size_t size = large ? BLOCK_LARGE : BLOCK_SMALL;
	struct outblk *b = *list;

	if (b != NULL) {
		*list = b->next_free;
		op->kept -= size;
	} else {
		b = malloc(size);
		if (b == NULL)
			return (NULL);
		b->large = large;
		b->cap = (uint32_t)(size - sizeof *b);
	}
	b->refs = 0;
	b->used = 0;
	op->used += size;
	return (b);
}

static void
block_unref(struct outpool *op, struct outblk *b)
{
	struct outblk **list = b->large ? &op->free_large : &op->free_small;
	size_t size = b->large ? BLOCK_LARGE : BLOCK_SMALL;

	if (--b->refs > 0)
		return;
	op->used -= size;
	if (op->kept + size > op->keep_max) {
		free(b);
		return;
	}
	op->kept += size;
	b->next_free = *list;
	*list = b;
}

static struct outchunk *
chunk_get(struct outpool *op)
{
	struct outchunk *c = op->free_chunks;

	if (c == NULL)
		return (malloc(sizeof *c));
	op->free_chunks = c->next;
	op->nfree_chunks--;
	return (c);
}

static void
chunk_put(struct outpool *op, struct outchunk *c)
{
	if (op->nfree_chunks >= CHUNKS_KEPT) {
		free(c);
		return;
	}
	c->next = op->free_chunks;
	op->free_chunks = c;
	op->nfree_chunks++;
}

static void
chunk_drop(struct outpool *op, struct outchunk *c)
{
	if (c->blk != NULL)
		block_unref(op, c->blk);
	else
		c->release(c->arg);
	chunk_put(op, c);
}

static void
chunk_add(struct outq *q, struct outchunk *c)
{
	c->next = NULL;
	if (q->tail == NULL)
		q->head = c;
	else
		q->tail->next = c;
	q->tail = c;
}

void
outq_init(struct outq *q, struct outpool *op, bool small)
{
	q->head = q->tail = NULL;
	q->len = 0;
	q->pool = op;
	q->small = small;
}

void
outq_clear(struct outq *q)
{
	struct outchunk *c;

	while ((c = q->head) != NULL) {
		q->head = c->next;
		chunk_drop(q->pool, c);
	}
	q->tail = NULL;
	q->len = 0;
}

/* A chunk at the tail whose block has n free bytes right behind its own. */
static struct outchunk *
tail_with_room(struct outq *q, size_t n)
{
	struct outchunk *c = q->tail;
	struct outblk *b;

	if (LIKELY(outchunk_fits(c, n)))
		return (c);
	c = chunk_get(q->pool);
	if (c == NULL)
		return (NULL);
	b = block_get(q->pool, !q->small || q->head != NULL ||
	    n > BLOCK_SMALL - sizeof *b);
	if (b == NULL) {
		chunk_put(q->pool, c);
		return (NULL);
	}
	b->refs = 1;
	c->blk = b;
	c->p = b->data;
	c->len = 0;
	chunk_add(q, c);
	return (c);
}

char *
outq_reserve_more(struct outq *q, size_t n)
{
	struct outchunk *c;

	MUST(n <= OUTQ_RESERVE_MAX);
	c = tail_with_room(q, n);
	return (c == NULL ? NULL : c->blk->data + c->blk->used);
}

bool
outq_append(struct outq *q, const void *p, size_t n)
{
	const char *src = p;
	size_t done = 0;

	while (done < n) {
		struct outchunk *c = tail_with_room(q,
		    n - done < BLOCK_SMALL / 4 ? n - done : 1);
		size_t m;

		if (c == NULL)
			return (false);
		m = c->blk->cap - c->blk->used;
		if (m > n - done)
			m = n - done;
		memcpy(c->blk->data + c->blk->used, src + done, m);
		outq_commit(q, m);
		done += m;
	}
	return (true);
}

bool
outq_ref(struct outq *q, const void *p, size_t n, outq_release_f *release,
    void *arg)
{
	struct outchunk *c = chunk_get(q->pool);

	if (c == NULL)
		return (false);
	c->blk = NULL;
	c->p = p;
	c->len = n;
	c->release = release;
	c->arg = arg;
	chunk_add(q, c);
	q->len += n;
	return (true);
}

void
outq_splice(struct outq *dst, struct outq *src)
{
	struct outchunk *c;

	while ((c = src->head) != NULL && c->blk != NULL &&
	    c->len <= SPLICE_COPY_MAX && outq_append(dst, c->p, c->len)) {
		src->head = c->next;
		chunk_drop(src->pool, c);
	}
	if (src->head != NULL) {
		if (dst->tail == NULL)
			dst->head = src->head;
		else
			dst->tail->next = src->head;
		dst->tail = src->tail;
		for (c = src->head; c != NULL; c = c->next)
			dst->len += c->len;
	}
	src->head = src->tail = NULL;
	src->len = 0;
}

bool
outq_move(struct outq *dst, struct outq *src, size_t n)
{
	MUST(n <= src->len);
	src->len -= n;
	while (n > 0) {
		struct outchunk *c = src->head;
		size_t m = c->len < n ? c->len : n;

		if (c->blk == NULL)
			MUST(m == c->len);
		else if (!outq_append(dst, c->p, m))
			return (false);
		n -= m;
		if (m < c->len) {
			c->p += m;
			c->len -= m;
			break;
		}
		src->head = c->next;
		if (src->head == NULL)
			src->tail = NULL;
		if (c->blk != NULL)
			chunk_drop(src->pool, c);
		else {
			chunk_add(dst, c);
			dst->len += m;
		}
	}
	return (true);
}

int
outq_iov(const struct outq *q, struct iovec *iov, int max)
{
	int n = 0;

	for (const struct outchunk *c = q->head; c != NULL && n < max;
	    c = c->next) {
		if (c->len == 0)
			continue;
		iov[n].iov_base = (void *)(uintptr_t)c->p;
		iov[n++].iov_len = c->len;
	}
	return (n);
}

void
outq_consume(struct outq *q, size_t n)
{
	struct outchunk *c;

	MUST(n <= q->len);
	q->len -= n;
	while ((c = q->head) != NULL && n >= c->len) {
		n -= c->len;
		q->head = c->next;
		chunk_drop(q->pool, c);
	}
	if (c == NULL)
		q->tail = NULL;
	else if (n > 0) {
		c->p += n;
		c->len -= n;
	}
}

enum outq_rc
outq_write(struct outq *q, int fd, uint64_t *sent)
{
	struct iovec iov[WRITE_IOVS];

	while (q->len > 0) {
		int niov = outq_iov(q, iov, WRITE_IOVS);
		size_t want = 0;
		ssize_t n;

		for (int i = 0; i < niov; i++)
			want += iov[i].iov_len;
		/* send() takes a shorter way through the kernel than write(). */
		n = niov == 1 ? send(fd, iov[0].iov_base, iov[0].iov_len,
		    MSG_NOSIGNAL) : writev(fd, iov, niov);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return (OUTQ_BLOCKED);
			return (OUTQ_FAILED);
		}
		*sent += (uint64_t)n;
		outq_consume(q, (size_t)n);
		if ((size_t)n < want)
			return (OUTQ_BLOCKED);
	}
	outq_clear(q);
	return (OUTQ_EMPTY);
}

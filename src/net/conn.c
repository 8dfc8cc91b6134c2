/*
 * conn.c - reading a client's commands, keeping its answers in order, sending them.
 *
 * All commands of one read are answered by one writev: at once when every answer was ready, so that the
 * output block is reused while it is hot; else at the end of the turn, when whatever stores answered in the
 * same turn goes with it. A client that does not read its answers is not read from (backpressure), and one
 * that sends a long pipeline gives way after conf.reqs_per_event commands (fairness).
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/conn.h"
#include "net/describe.h"
#include "net/input.h"
#include "net/worker.h"
#include "obs/log.h"
#include "req/observe.h"

#define BODY_IOVS	8
#define FAIR_SHARE	(64 * 1024)	/* output that a client may hold however short memory is */

static void
conn_dirty(struct conn *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&c->worker->dirty, c, next_dirty);
	c->worker->ndirty++;
	if (!loop_before_hooks(c->worker->loop))
		loop_again(c->worker->loop);
}

/* replyq.advanced of the client's queue. */
static void
conn_advanced(struct replyq *q)
{
	conn_dirty(CONTAINER_OF(q, struct conn, cl.q));
}

static void conn_readable(int fd, void *arg);
static void conn_writable(int fd, void *arg);

struct conn *
conn_new(struct worker *w, int fd, bool is_unix)
{
	struct conn *c = calloc(1, sizeof *c);
	struct ctx *ctx = w->ctx;

	if (c == NULL) {
		close(fd);
		return (NULL);
	}
	c->magic = CONN_MAGIC;
	c->fd = fd;
	c->is_unix = is_unix;
	c->worker = w;
	c->last_active = w->now;
	c->cl.ctx = ctx;
	c->cl.view = ctx->view;
	c->cl.id = ++w->next_id;
	outq_init(&c->cl.out, ctx->outpool, false);
	replyq_init(&c->cl.q, &c->cl.out, conn_advanced);
	io_init(w->loop, &c->io, fd, conn_readable, conn_writable, c);
	if (!io_want(&c->io, EV_READ)) {
		close(fd);
		free(c);
		return (NULL);
	}
	TAILQ_INSERT_TAIL(&w->conns, c, next);
	METRIC_ADD(&ctx->metrics, curr_connections, 1);
	METRIC_ADD(&ctx->metrics, total_connections, 1);
	log_debug("<%d new client connection", fd);
	if (UNLIKELY((observed(ctx) & OBSERVE_CONNEVENTS) != 0))
		describe_opened(c);
	return (c);
}

/*
 * What will not be looked at is taken from the socket all the same: the kernel would answer it with a reset, which may
 * overtake the last answer.
 */
static void
conn_discard(struct conn *c)
{
	for (int i = 0; i < 16; i++)
		if (recv(c->fd, c->worker->buf, WORKER_BUF, MSG_DONTWAIT) <= 0)
			return;
}

void
conn_close(struct conn **cp)
{
	struct conn *c;

	TAKE_OBJ_NOTNULL(c, cp, CONN_MAGIC);
	log_debug("<%d connection closed", c->fd);
	if (UNLIKELY((observed(c->cl.ctx) & OBSERVE_CONNEVENTS) != 0))
		describe_closed(c);
	io_clear(&c->io);
	if (c->cl.close && !c->cl.q.broken)
		conn_discard(c);
	close(c->fd);
	if (c->is_dirty) {
		TAILQ_REMOVE(&c->worker->dirty, c, next_dirty);
		c->worker->ndirty--;
	}
	TAILQ_REMOVE(&c->worker->conns, c, next);
	replyq_abandon(&c->cl.q);
	outq_clear(&c->cl.out);
	if (c->body != NULL)
		cmd_body_drop(c->body);
	if (c->record != NULL)
		cmd_record_drop(&c->cl, &c->record);
	if (c->cl.produce != NULL)
		(void)c->cl.produce(NULL, c->cl.produce_state);
	METRIC_SUB(&c->cl.ctx->metrics, curr_connections, 1);
	atomic_fetch_sub_explicit(&c->worker->nconns, 1, memory_order_relaxed);
	free(c->rbuf);
	c->magic = 0;
	free(c);
}

/* Whether this client's answers pile up so that no more commands may be taken. */
static bool
conn_is_full(const struct conn *c)
{
	const struct ctx *ctx = c->cl.ctx;
	size_t len = outq_len(&c->cl.out) + replyq_parked(&c->cl.q);

	/*
	 * When memory is short in all, whoever holds much of it waits; who holds little goes on. Bodies and large
	 * values count twice: those that were asked for already need room too.
	 */
	return (len + c->cl.q.held > ctx->conf->client_buffer_max ||
	    c->cl.q.nwaiting >= c->cl.q.window || (len > FAIR_SHARE &&
	    outpool_used(ctx->outpool) + 2 * ctx->held >
	    ctx->conf->buffer_max / ctx->shared->nworkers));
}

/*
 * Whether requests are under way that began with an older configuration. Those that follow may go over other
 * connections, where they could overtake them; so they wait, which no client can tell: answers are in order anyway.
 */
static bool
conn_is_between(struct conn *c)
{
	const struct view *now = c->cl.ctx->view;

	if (LIKELY(c->cl.view == now))
		return (false);
	if (!TAILQ_EMPTY(&c->cl.q.waiting))
		return (true);
	c->cl.view = now;
	return (false);
}

/* Notes whether that is so. */
void
conn_mind_full(struct conn *c)
{
	bool full = conn_is_between(c) || conn_is_full(c);

	if (full && !c->stalled)
		METRIC_ADD(&c->cl.ctx->metrics, clients_stalled, 1);
	c->stalled = full;
}

/* Sends; false: the connection is lost. */
bool
conn_flush(struct conn *c)
{
	uint64_t sent = 0;
	enum outq_rc rc;

	if (outq_len(&c->cl.out) == 0)
		return (true);
	rc = outq_write(&c->cl.out, c->fd, &sent);
	METRIC_ADD(&c->cl.ctx->metrics, bytes_written, sent);
	/* Who takes a long answer slowly is not idle. */
	if (sent > 0)
		c->last_active = c->worker->now;
	return (rc != OUTQ_FAILED);
}

/* A command was begun, or bytes came that nobody has looked at. */
static bool
conn_has_more(const struct conn *c)
{
	int n = 0;

	return (c->rlen > 0 || c->body != NULL || c->record != NULL || c->swallow > 0 ||
	    (ioctl(c->fd, FIONREAD, &n) == 0 && n > 0));
}

/* Nothing is left to be done for a client that is to be closed. */
static bool
conn_is_over(const struct conn *c)
{
	if (c->cl.q.broken)
		return (true);
	if (!TAILQ_EMPTY(&c->cl.q.waiting) || outq_len(&c->cl.out) > 0)
		return (false);
	return (c->cl.close || ((c->eof || (c->draining && !conn_has_more(c))) &&
	    !c->held && (c->cl.produce == NULL || c->cl.watching)));
}

/* Runs a dump as far as there is room. False: there is nothing to send now. */
static bool
conn_produce(struct conn *c)
{
	if (c->cl.produce != NULL && TAILQ_EMPTY(&c->cl.q.waiting) &&
	    outq_len(&c->cl.out) == 0 &&
	    !c->cl.produce(&c->cl, c->cl.produce_state)) {
		c->cl.produce = NULL;
		c->cl.produce_state = NULL;
	}
	return (outq_len(&c->cl.out) > 0);
}

/* What the connection waits for from here on. False: it could not be had. */
static bool
conn_watch(struct conn *c)
{
	short want = 0;

	if (outq_len(&c->cl.out) > 0)
		want |= EV_WRITE;
	if (!c->eof && (c->cl.watching || (!c->stalled && !c->held &&
	    !c->cl.close && c->cl.produce == NULL)))
		want |= EV_READ;
	return (io_want(&c->io, want));
}

/* Sends, goes on with input that had to wait, decides what to wait for. May free c. */
static void
conn_settle(struct conn *c)
{
	for (;;) {
		bool more = conn_produce(c);

		if (!conn_flush(c) || conn_is_over(c)) {
			conn_close(&c);
			return;
		}
		if (c->cl.produce != NULL) {
			/* However fast the client reads, the others of this turn come first. */
			if ((more || !c->cl.watching) &&
			    outq_len(&c->cl.out) == 0 &&
			    TAILQ_EMPTY(&c->cl.q.waiting))
				conn_dirty(c);
			break;
		}
		conn_mind_full(c);
		if (c->stalled || !c->held || c->cl.close)
			break;
		if (c->yielded) {
			/* The others of this turn first. */
			c->yielded = false;
			conn_dirty(c);
			break;
		}
		input_resume(c);
	}
	if (!conn_watch(c))
		conn_close(&c);
}

void
conn_turn_end(struct conn *c)
{
	CHECK_OBJ_NOTNULL(c, CONN_MAGIC);
	MUST(c->is_dirty);
	TAILQ_REMOVE(&c->worker->dirty, c, next_dirty);
	c->worker->ndirty--;
	c->is_dirty = false;
	conn_settle(c);
}

static void
conn_writable(int fd, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	CHECK_OBJ_NOTNULL(c, CONN_MAGIC);
	conn_settle(c);
}

/* Reads the rest of a body straight into its item, and what follows it into the worker's buffer. */
static ssize_t
conn_read_body(struct conn *c, size_t *extra)
{
	struct iovec iov[BODY_IOVS + 1];
	size_t body = 0;
	ssize_t n;
	int niov;

	niov = input_body_iov(c, iov, BODY_IOVS);
	for (int i = 0; i < niov; i++)
		body += iov[i].iov_len;
	iov[niov].iov_base = c->worker->buf;
	iov[niov].iov_len = WORKER_BUF;
	/* What comes after the last piece of the body only: others would be written out of order. */
	n = readv(c->fd, iov, input_body_left(c) == body ? niov + 1 : niov);
	*extra = n > 0 && (size_t)n > body ? (size_t)n - body : 0;
	return (n);
}

static void
conn_readable(int fd, void *arg)
{
	struct conn *c = arg;
	struct worker *w = c->worker;
	size_t extra = 0, room;
	ssize_t n;
	char *at;

	CHECK_OBJ_NOTNULL(c, CONN_MAGIC);
	(void)fd;
	if (UNLIKELY(c->cl.view != w->ctx->view)) {
		conn_mind_full(c);
		if (c->stalled) {
			conn_settle(c);
			return;
		}
	}
	if (c->body != NULL && c->rlen == 0)
		n = conn_read_body(c, &extra);
	else {
		at = input_space(c, &room);
		if (at == NULL) {
			conn_close(&c);
			return;
		}
		n = recv(c->fd, at, room, 0);
	}
	if (n < 0) {
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			conn_close(&c);
		return;
	}
	if (n == 0) {
		c->eof = true;
		conn_settle(c);
		return;
	}
	c->last_active = w->now;
	METRIC_ADD(&c->cl.ctx->metrics, bytes_read, (uint64_t)n);
	if (c->body != NULL && c->rlen == 0)
		input_body_read(c, (size_t)n - extra, extra);
	else
		input_read(c, (size_t)n);
	if (!TAILQ_EMPTY(&c->cl.q.waiting) && !c->cl.q.broken && !c->held) {
		/* Stores are being asked: what they answer this turn goes out with what is ready. */
		conn_dirty(c);
		return;
	}
	conn_settle(c);
}

void
conn_drain(struct conn *c)
{
	/* Being read from and silent: the rest of a command will not come. */
	if (c->draining && c->worker->now - c->last_active > 1 &&
	    !c->stalled && !c->held && c->cl.produce == NULL)
		c->eof = true;
	c->draining = true;
	conn_settle(c);
}

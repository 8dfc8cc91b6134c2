/*
 * redis_io.c - hiredis' context and the loop: what it wants of the descriptor, when it reads and writes.
 *
 * hiredis may free its context in any call that reads or writes, and must not be asked to free it from within. So it is
 * entered in two places only, redis_flush() and redis_read(); what happens inside is written down (ac is NULL, doom is
 * set) and acted upon when it has returned. What hiredis' adapter for libevent does is done here: the adapter arms an
 * event that fires once, which is two system calls more for each wake-up, and waits a turn before it writes.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/redis.h"
#include "base/check.h"

#define MOVE_MIN	(16 * 1024)	/* bytes in one timeout: what is slower is as good as silent */
#define READ_SIZE	(16 * 1024)	/* hiredis reads so much at a time */
#define READS_MAX	8		/* per wake; others want their turn */

/* ---- hiredis' hooks ---- */

static void
redis_add_read(void *arg)
{
	struct redis_conn *c = arg;

	c->io_what |= EV_READ;
}

static void
redis_del_read(void *arg)
{
	struct redis_conn *c = arg;

	c->io_what &= (short)~EV_READ;
}

/* Outside of a write: there is output, the hook at the end of the turn sends it. */
static void
redis_add_write(void *arg)
{
	struct redis_conn *c = arg;

	if (c->in_hiredis)
		c->io_what |= EV_WRITE;
	be_loop_dirty(c->node->bl, &c->dirty);
}

static void
redis_del_write(void *arg)
{
	struct redis_conn *c = arg;

	c->io_what &= (short)~EV_WRITE;
}

/* The context is about to be freed by hiredis itself. */
static void
redis_cleanup(void *arg)
{
	struct redis_conn *c = arg;
	redisAsyncContext *ac = c->ac;

	if (ac == NULL)
		return;
	if (c->doom == ERR_NONE) {
		const char *text = ac->c.errstr;

		switch (ac->c.err) {
		case REDIS_ERR_EOF:
			redis_conn_doom(c, ERR_CLOSED, NULL);
			break;
		case REDIS_ERR_OOM:
			redis_conn_doom(c, ERR_NOMEM, NULL);
			break;
		case REDIS_ERR_IO:
			redis_conn_doom(c, ERR_RESET, strcmp(text, strerror(ECONNRESET)) == 0 ||
			    strcmp(text, strerror(EPIPE)) == 0 ? NULL : text);
			break;
		default:
			redis_node_say(c->node, text, ac->c.reader->buf, ac->c.reader->len);
			redis_conn_doom(c, ERR_PROTOCOL, NULL);
			break;
		}
	}
	io_clear(&c->io);
	ac->data = NULL;
	c->ac = NULL;
}

void
redis_conn_doom(struct redis_conn *c, enum err err, const char *detail)
{
	if (c->doom != ERR_NONE)
		return;
	c->doom = (uint8_t)err;
	snprintf(c->doom_text, sizeof c->doom_text, "%s", detail != NULL ? detail : err_text(err));
	be_loop_dirty(c->node->bl, &c->dirty);
}

/* ---- reading and writing ---- */

static bool
redis_watch(struct redis_conn *c)
{
	if (io_want(&c->io, c->io_what))
		return (true);
	redis_conn_doom(c, ERR_NOMEM, NULL);
	return (false);
}

static void
redis_moved(struct redis_conn *c, size_t n)
{
	c->moved += n;
	if (c->moved < MOVE_MIN)
		return;
	c->moved = 0;
	c->moved_at = loop_now(c->node->loop);
}

void
redis_flush(struct be_dirty *d)
{
	struct redis_conn *c = CONTAINER_OF(d, struct redis_conn, dirty);
	size_t before, left;

	if (c->doom == ERR_NONE && c->ac != NULL && c->state >= RC_HELLO) {
		if (c->state == RC_READY && !c->redo && c->node->nwaiting > 0)
			redis_waiting_put(c->node);
		before = sdslen(c->ac->c.obuf);
		c->in_hiredis = true;
		redisAsyncHandleWrite(c->ac);
		c->in_hiredis = false;
		be_loop_clean(c->node->bl, d);
		if (c->ac != NULL) {
			left = sdslen(c->ac->c.obuf);
			be_stat_add(&c->node->stats->bytes_out, before - left);
			if (left > 0)
				redis_moved(c, before - left);
			(void)redis_watch(c);
		}
	}
	if (UNLIKELY(c->doom != ERR_NONE))
		redis_conn_lost(c);
}

/*
 * What is not whole yet: the rest of a line, or of a string that has been announced. A server that announces more than
 * it may, or never ends its line, is not waited for. hiredis has taken the byte of the type.
 */
static bool
redis_unread_sane(struct redis_conn *c)
{
	const redisReader *r = c->ac->c.reader;
	const char *p = r->buf + r->pos;
	size_t len = r->len - r->pos, i = 0;
	uint64_t announced = 0;

	if (len < 2)
		return (true);
	while (i < len && i < 20 && p[i] >= '0' && p[i] <= '9')
		announced = announced * 10 + (uint64_t)(p[i++] - '0');
	if (i > 0 && i < len && p[i] == '\r')
		return (announced <= REDIS_VALUE_MAX);
	return (len <= REDIS_LINE_MAX);
}

static size_t
redis_unread(const struct redis_conn *c)
{
	return (c->ac == NULL ? 0 : c->ac->c.reader->len - c->ac->c.reader->pos);
}

static void
redis_read(int fd, void *arg)
{
	struct redis_conn *c = arg;
	uint64_t got = READ_SIZE;

	(void)fd;
	for (int round = 0; round < READS_MAX && got >= READ_SIZE && c->doom == ERR_NONE; round++) {
		uint64_t taken = c->taken;
		size_t before = redis_unread(c);

		c->in_hiredis = true;
		redisAsyncHandleRead(c->ac);
		c->in_hiredis = false;
		if (c->ac == NULL)
			break;
		got = c->taken - taken + redis_unread(c) - before;
		be_stat_add(&c->node->stats->bytes_in, got);
		redis_moved(c, got);
		if (UNLIKELY(!redis_unread_sane(c))) {
			redis_node_say(c->node, "a reply that does not end",
			    c->ac->c.reader->buf + c->ac->c.reader->pos, redis_unread(c));
			redis_conn_doom(c, ERR_PROTOCOL, NULL);
		}
	}
	if (UNLIKELY(c->doom != ERR_NONE)) {
		be_loop_clean(c->node->bl, &c->dirty);
		redis_conn_lost(c);
	} else if (UNLIKELY(c->node->health.state == HEALTH_DOWN) && c->state == RC_READY && c->n == 0) {
		/* The last answer of a server that gets no more requests for now. */
		redis_conn_shut(c);
		redis_probe(c->node);
	}
}

static void
redis_write(int fd, void *arg)
{
	struct redis_conn *c = arg;

	(void)fd;
	if (c->state == RC_CONNECTING)
		redis_connected(c);
	if (c->state != RC_OFF)
		redis_flush(&c->dirty);
}

bool
redis_adopt(struct redis_conn *c, redisAsyncContext *ac)
{
	int one = 1, fd = ac->c.fd;

	c->ac = ac;
	ac->data = c;
	ac->ev.data = c;
	ac->ev.addRead = redis_add_read;
	ac->ev.delRead = redis_del_read;
	ac->ev.addWrite = redis_add_write;
	ac->ev.delWrite = redis_del_write;
	ac->ev.cleanup = redis_cleanup;
	redis_reply_attach(c);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (c->node->path == NULL)
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	io_init(c->node->loop, &c->io, fd, redis_read, redis_write, c);
	c->io_what = EV_WRITE;
	return (io_want(&c->io, EV_WRITE));
}

/*
 * redis_conn.c - the life of one connection to a Redis.
 *
 *	OFF --timer--> CONNECTING --> HELLO (redis_hello.c) --> READY
 *	 ^                 |             |                        |
 *	 +--- back-off ----+-------------+------- timeout --------+
 *	                       (closed, reset or talking rubbish: connects again at once, but once per retry_min)
 *
 * hiredis may free its context in any call that reads or writes, and must not be asked to free it from within. So it is
 * entered in two places only, redis_flush() and redis_read(); what happens inside is written down (ac is NULL, doom is
 * set) and acted upon when it has returned. What hiredis' adapter for libevent does is done here: the adapter arms an
 * event that fires once, which is two system calls more for each wake-up, and waits a turn before it writes.
 *
 * All that decides is done before the first done() is called, because done() may submit again.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/redis.h"
#include "base/check.h"
#include "obs/log.h"

#define CONNECT_TIMEOUT_MIN	1000	/* microseconds */
#define RESOLVE_PAUSE		10000	/* microseconds */
#define FAILURES_MAX		30	/* doublings */
#define UNREAD_PAUSE		1000	/* microseconds */
#define MOVE_MIN		(16 * 1024)	/* bytes in one timeout: what is slower is as good as silent */
#define READ_SIZE		(16 * 1024)	/* hiredis reads so much at a time */
#define READS_MAX		8	/* per wake; others want their turn */

static void redis_conn_try(struct redis_conn *);
static void redis_conn_lost(struct redis_conn *);

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

static void
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
	}
}

/* ---- connecting ---- */

/* The context, the output and what was half read go; the ring stays. */
static void
redis_conn_shut(struct redis_conn *c)
{
	redisAsyncContext *ac = c->ac;

	MUST(!c->in_hiredis);
	c->ac = NULL;
	if (ac != NULL) {
		io_clear(&c->io);
		ac->data = NULL;
		memset(&ac->ev, 0, sizeof ac->ev);
		redisAsyncFree(ac);
	}
	timer_clear(&c->timer);
	be_loop_clean(c->node->bl, &c->dirty);
	c->state = RC_OFF;
	c->doom = ERR_NONE;
	c->tree = false;
	c->redo = false;
	memset(c->looking, 0, REDIS_BUCKETS * sizeof c->looking[0]);
	c->moved_at = 0;
	c->moved = 0;
	c->late_at = 0;
	c->refused = false;
}

static void
redis_conn_backoff(struct redis_conn *c, enum err err, const char *detail, bool gone)
{
	struct redis_node *node = c->node;
	const struct conf_store *st = node->store;
	uint64_t delay;

	delay = gone || node->health.state != HEALTH_UP ? health_delay(&node->health, st->retry_min, st->retry_max) :
	    health_backoff(&node->health, c->failures, st->retry_min, st->retry_max);
	if (c->failures < FAILURES_MAX)
		c->failures++;
	if (node->by_name && node->job == NULL)
		node->job = resolve_start(node->host, node->port);
	timer_set(&c->timer, delay);
	if (gone) {
		(void)health_gone(&node->health);
		redis_node_down(node, err, detail);
	}
	redis_node_show(node);
}

/* Whether no other connection stands. */
static bool
redis_conn_last(const struct redis_conn *c)
{
	const struct redis_node *node = c->node;

	for (unsigned i = 0; i < node->nconns; i++)
		if (&node->conns[i] != c && node->conns[i].state == RC_READY)
			return (false);
	return (true);
}

static void
redis_attempt_failed(struct redis_conn *c, const char *detail)
{
	char text[200];

	redis_conn_shut(c);
	redis_ring_fail(c, ERR_NONE, NULL);	/* the greeting's */
	c->addr++;
	if (++c->tried < c->node->addrs.n) {
		redis_conn_try(c);
		return;
	}
	snprintf(text, sizeof text, "connect failed: %s", detail);
	redis_conn_backoff(c, ERR_CONNECT, text, redis_conn_last(c));
}

static void
redis_write(int fd, void *arg)
{
	struct redis_conn *c = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	if (c->state == RC_CONNECTING) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
			error = errno;
		if (error != 0) {
			redis_attempt_failed(c, strerror(error));
			return;
		}
		c->state = RC_HELLO;
		c->io_what = EV_READ;
		if (!redis_hello(c))
			redis_conn_doom(c, ERR_NOMEM, NULL);
	}
	redis_flush(&c->dirty);
}

static redisAsyncContext *
redis_connect(struct redis_conn *c)
{
	struct redis_node *node = c->node;
	const struct resolve_addr *a = &node->addrs.a[c->addr % node->addrs.n];
	char host[NI_MAXHOST];

	if (node->path != NULL)
		return (redisAsyncConnectUnix(node->path));
	if (getnameinfo((const struct sockaddr *)&a->ss, a->len, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0)
		return (NULL);
	return (redisAsyncConnect(host, node->port));
}

static void
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
}

/* Starts one attempt on the next address. */
static void
redis_conn_try(struct redis_conn *c)
{
	struct redis_node *node = c->node;
	redisAsyncContext *ac;
	char text[160];

	if (node->job != NULL)
		(void)resolve_poll(&node->job, &node->addrs);
	if (node->addrs.n == 0) {
		redis_attempt_failed(c, "the name cannot be resolved");
		return;
	}
	ac = redis_connect(c);
	if (ac == NULL || ac->err != 0) {
		snprintf(text, sizeof text, "%s", ac == NULL ? err_text(ERR_NOMEM) : ac->errstr);
		if (ac != NULL)
			redisAsyncFree(ac);
		redis_attempt_failed(c, text);
		return;
	}
	redis_adopt(c, ac);
	c->state = RC_CONNECTING;
	c->io_what = EV_WRITE;
	if (!io_want(&c->io, EV_WRITE)) {
		redis_attempt_failed(c, err_text(ERR_NOMEM));
		return;
	}
	timer_set(&c->timer, node->store->connect_timeout < CONNECT_TIMEOUT_MIN ? CONNECT_TIMEOUT_MIN :
	    node->store->connect_timeout);
}

void
redis_conn_start(struct redis_conn *c)
{
	if (c->node->addrs.n == 0 && c->node->job != NULL && !resolve_poll(&c->node->job, &c->node->addrs)) {
		timer_set(&c->timer, RESOLVE_PAUSE);
		return;
	}
	c->tried = 0;
	redis_conn_try(c);
}

/* ---- losing it, and coming back ---- */

/* A connection that ends before it was of any use. */
static const char *
redis_attempt_text(const struct redis_conn *c)
{
	switch (c->doom) {
	case ERR_CLOSED:
		return ("closed at once");
	case ERR_RESET:
		return ("reset at once");
	case ERR_PROTOCOL:
		return ("no Redis answers there");
	default:
		return (c->doom_text);
	}
}

/* As many failures as requests were lost; an idle connection that ends is none. True: the node is down by them. */
static bool
redis_conn_blame(struct redis_conn *c, uint32_t n)
{
	struct health *h = &c->node->health;
	bool down = h->state == HEALTH_TRIAL && health_gone(h);

	while (n-- > 0 && h->state == HEALTH_UP)
		down |= health_bad(h);
	return (down);
}

/* doom says why. */
static void
redis_conn_lost(struct redis_conn *c)
{
	struct redis_node *node = c->node;
	uint64_t now = loop_now(node->loop);
	enum err err = c->doom;
	bool quick, replay, down;
	char detail[sizeof c->doom_text], text[REDIS_WHY_MAX];

	snprintf(detail, sizeof detail, "%s", c->doom_text);
	if (c->state != RC_READY && c->refused) {
		/* Another address of the same server would say the same. */
		redis_conn_shut(c);
		redis_ring_fail(c, err, detail);
		redis_conn_backoff(c, err, detail, redis_conn_last(c));
		return;
	}
	if (c->state != RC_READY) {
		snprintf(detail, sizeof detail, "%s", redis_attempt_text(c));
		redis_attempt_failed(c, detail);
		return;
	}
	quick = err != ERR_TIMEOUT && (c->quick_at == 0 || now - c->quick_at >= node->store->retry_min);
	replay = quick && redis_may_replay(c, err);
	snprintf(text, sizeof text, "%s %s", node->name, detail);
	be_stat_add(&node->stats->disconnects, 1);
	log_info("%s", text);
	redis_conn_shut(c);
	down = !replay && redis_conn_blame(c, c->nops);
	if (down)
		redis_node_down(node, err, detail);
	if (!quick) {
		redis_conn_backoff(c, err, detail, false);
		redis_ring_fail(c, err, text);
		return;
	}
	c->quick_at = now;
	redis_node_show(node);
	if (replay) {
		redis_ring_wait(c);
		redis_waiting_put(node);
	} else
		redis_ring_fail(c, err, text);
	redis_conn_start(c);
}

void
redis_conn_ready(struct redis_conn *c)
{
	struct redis_node *node = c->node;

	timer_clear(&c->timer);
	c->state = RC_READY;
	be_stat_add(&node->stats->connects, 1);
	log_info("%s: connected", node->name);
	if (node->health.state == HEALTH_DOWN) {
		health_answered(&node->health);
		redis_node_turned(node);
	}
	redis_node_show(node);
	snprintf(node->why, sizeof node->why, "%s %s", node->name, err_text(ERR_CLOSED));
	be_loop_dirty(node->bl, &c->dirty);
	for (unsigned i = 0; i < node->nconns; i++)
		if (node->conns[i].state == RC_OFF) {
			timer_clear(&node->conns[i].timer);
			redis_conn_start(&node->conns[i]);
		}
}

/* ---- time ---- */

/* Whether we are late, not the server: what it sent has not been read yet. */
static bool
redis_conn_unread(const struct redis_conn *c)
{
	char byte;

	return (recv(c->ac->c.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

static void
redis_conn_time(void *arg)
{
	struct redis_conn *c = arg;
	uint64_t timeout = c->node->store->timeout, now = loop_now(c->node->loop), next, own;

	if (c->state == RC_OFF) {
		redis_conn_start(c);
		return;
	}
	if (c->state != RC_READY) {
		redis_attempt_failed(c, err_text(ERR_TIMEOUT));
		return;
	}
	if (c->n == 0)
		return;
	next = redis_slot(c, c->head)->deadline;
	/* What is large may take its time, and what waited behind it too, as long as it moves. */
	if (c->moved_at != 0 && c->moved_at + timeout > next)
		next = c->moved_at + timeout;
	if (next > now)
		c->late_at = 0;
	else if (c->late_at == 0)
		c->late_at = now;
	/* We may be late to read, but not for ever: a server that drips always has a byte for us. */
	if (next <= now && (c->late_at + timeout < now || !redis_conn_unread(c))) {
		redis_conn_doom(c, ERR_TIMEOUT, NULL);
		redis_conn_lost(c);
		return;
	}
	if (next <= now)
		next = now + UNREAD_PAUSE;
	if (c->nshort > 0 && (own = redis_check_short(c, now)) < next)
		next = own;
	redis_timer(c, next);
}

/* ---- */

bool
redis_conn_init(struct redis_node *node, struct redis_conn *c, unsigned index)
{
	c->node = node;
	c->index = index;
	c->state = RC_OFF;
	c->dirty.flush = redis_flush;
	timer_init(node->loop, &c->timer, redis_conn_time, c);
	c->looking = calloc(REDIS_BUCKETS, sizeof c->looking[0]);
	if (c->looking != NULL && redis_ring_grow(c))
		return (true);
	free(c->looking);
	return (false);
}

void
redis_conn_fini(struct redis_conn *c)
{
	redis_conn_shut(c);
	redis_ring_fail(c, ERR_CANCELLED, err_text(ERR_CANCELLED));
	free(c->ring);
	free(c->sent.buf);
	free(c->looking);
	c->ring = NULL;
	c->sent = (struct redis_sent){ 0 };
}

/*
 * memcached_conn.c - the life of one connection to a memcached.
 *
 *	OFF --timer--> CONNECTING --> HELLO (`version`) --> READY
 *	 ^                 |             |                    |
 *	 +--- back-off ----+-------------+---- timeout -------+
 *	                       (closed, reset or talking rubbish: connects again at once, but once per retry_min)
 *
 * A server is down when an attempt to connect failed and no other connection stands, or when it let a request time out;
 * it is up again with the first answered `version`. All that decides is done before the first done() is called, because
 * done() may submit again.
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/memcached.h"
#include "base/check.h"
#include "obs/log.h"

#define CONNECT_TIMEOUT_MIN	1000	/* microseconds */
#define FAILURES_MAX		30	/* doublings */
#define UNREAD_PAUSE		1000	/* microseconds */

static void mc_conn_try(struct mc_conn *);
static void mc_conn_backoff(struct mc_conn *, enum err, const char *detail);

static void
mc_state_show(struct mc *mc)
{
	enum be_state st = BE_CONNECTING;

	for (unsigned i = 0; i < mc->nconns; i++)
		if (mc->conns[i].state == MC_READY)
			st = BE_UP;
	if (mc->down)
		st = BE_DOWN;
	atomic_store_explicit(&mc->be.stats.state, st, memory_order_relaxed);
}

static bool
mc_any_ready(const struct mc *mc)
{
	for (unsigned i = 0; i < mc->nconns; i++)
		if (mc->conns[i].state == MC_READY)
			return (true);
	return (false);
}

static void
mc_mark_down(struct mc *mc, enum err err, const char *detail)
{
	snprintf(mc->why, sizeof mc->why, "%s is down: %s", mc->server->name,
	    detail);
	if (!mc->down)
		log_warn("%s", mc->why);
	mc->down = true;
	mc_waiting_fail(mc, err, mc->why);
}

void
mc_mark_up(struct mc *mc)
{
	if (mc->down)
		log_warn("%s is up again", mc->server->name);
	mc->down = false;
	mc_state_show(mc);
}

/* The descriptor, the output and what was half read go; the ring stays. */
static void
mc_conn_shut(struct mc_conn *c)
{
	if (c->fd >= 0) {
		io_clear(&c->io);
		close(c->fd);
		c->fd = -1;
	}
	timer_clear(&c->timer);
	be_loop_clean(c->mc->be.bl, &c->dirty);
	outq_clear(&c->out);
	c->hold_len = 0;
	c->value_left = 0;
	c->value_tail = 0;
	c->broken = false;
	c->moved_at = 0;
	c->moved = 0;
	c->late_at = 0;
	c->state = MC_OFF;
}

void
mc_conn_fail_ring(struct mc_conn *c, enum err err, const char *why)
{
	while (c->n > 0) {
		struct be_op *op = mc_slot(c, c->head)->op;

		/* Popped first: done() may cancel those behind. */
		c->head++;
		c->n--;
		if (op == NULL)
			continue;
		op->state = MC_OP_ENDING;
		op->err = err;
		op->why = why;
		be_op_end(op);
	}
	c->nshort = 0;
}

/* What is in the output joins what was sent before, for one more try. False: too much. */
static bool
mc_replay_add(struct mc_conn *c)
{
	struct iovec iov[4];
	int n = outq_iov(&c->out, iov, (int)NITEMS(iov));

	if (c->replay_len + outq_len(&c->out) > MC_REPLAY)
		return (false);
	for (int i = 0; i < n; i++) {
		if (c->replay_len + iov[i].iov_len > MC_REPLAY)
			return (false);
		memcpy(c->replay + c->replay_len, iov[i].iov_base,
		    iov[i].iov_len);
		c->replay_len += iov[i].iov_len;
	}
	return (n < (int)NITEMS(iov));
}

static void
mc_flush(struct be_dirty *d)
{
	struct mc_conn *c = CONTAINER_OF(d, struct mc_conn, dirty);
	uint64_t sent = 0;
	enum outq_rc rc;

	if (UNLIKELY(c->broken)) {
		mc_conn_lost(c, ERR_NOMEM, NULL);
		return;
	}
	if (c->burst)
		c->burst = mc_replay_add(c);
	rc = outq_write(&c->out, c->fd, &sent);
	be_stat_add(&c->mc->be.stats.bytes_out, sent);
	if (rc == OUTQ_FAILED) {
		mc_conn_lost(c, ERR_RESET, errno == EPIPE ||
		    errno == ECONNRESET ? NULL : strerror(errno));
		return;
	}
	if (rc == OUTQ_BLOCKED) {
		c->burst = false;
		mc_moved(c, (size_t)sent);
	}
	if (!io_want(&c->io, rc == OUTQ_BLOCKED ? EV_READ | EV_WRITE : EV_READ))
		mc_conn_lost(c, ERR_NOMEM, NULL);
}

/* ---- connecting ---- */

/* A connection that ends before it was of any use. */
static const char *
mc_attempt_text(enum err err)
{
	switch (err) {
	case ERR_CLOSED:
		return ("closed at once");
	case ERR_RESET:
		return ("reset at once");
	case ERR_PROTOCOL:
		return ("no memcached answers there");
	default:
		return (err_text(err));
	}
}

static void
mc_conn_attempt_failed(struct mc_conn *c, const char *detail)
{
	char text[160];

	mc_conn_shut(c);
	c->addr++;
	if (++c->tried < c->mc->addrs.n) {
		mc_conn_try(c);
		return;
	}
	snprintf(text, sizeof text, "connect failed: %s", detail);
	mc_conn_backoff(c, ERR_CONNECT, text);
}

static void
mc_conn_write(int fd, void *arg)
{
	struct mc_conn *c = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	if (c->state == MC_CONNECTING) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
			error = errno;
		if (error != 0) {
			mc_conn_attempt_failed(c, strerror(error));
			return;
		}
		c->state = MC_HELLO;
		if (!outq_append(&c->out, "version\r\n", 9))
			c->broken = true;
	}
	mc_flush(&c->dirty);
}

/* Starts one attempt on the next address. */
static void
mc_conn_try(struct mc_conn *c)
{
	struct mc *mc = c->mc;
	const struct resolve_addr *a;
	int one = 1;

	if (mc->job != NULL)
		(void)resolve_poll(&mc->job, &mc->addrs);
	if (mc->addrs.n == 0) {
		mc_conn_attempt_failed(c, "the name cannot be resolved");
		return;
	}
	a = &mc->addrs.a[c->addr % mc->addrs.n];
	c->fd = socket(a->ss.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		mc_conn_attempt_failed(c, strerror(errno));
		return;
	}
	io_init(mc->loop, &c->io, c->fd, mc_conn_read, mc_conn_write, c);
	if (a->ss.ss_family != AF_UNIX) {
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		(void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	}
	if (connect(c->fd, (const struct sockaddr *)&a->ss, a->len) != 0 &&
	    errno != EINPROGRESS) {
		mc_conn_attempt_failed(c, strerror(errno));
		return;
	}
	c->state = MC_CONNECTING;
	if (!io_want(&c->io, EV_WRITE)) {
		mc_conn_attempt_failed(c, err_text(ERR_NOMEM));
		return;
	}
	timer_set(&c->timer, mc->store->connect_timeout < CONNECT_TIMEOUT_MIN ?
	    CONNECT_TIMEOUT_MIN : mc->store->connect_timeout);
}

void
mc_conn_start(struct mc_conn *c)
{
	c->tried = 0;
	mc_conn_try(c);
}

/* ---- failing and coming back ---- */

static uint32_t
mc_random(struct mc *mc)
{
	mc->random ^= mc->random << 13;
	mc->random ^= mc->random >> 17;
	mc->random ^= mc->random << 5;
	return (mc->random);
}

/* Doubles from retry_min to retry_max, less up to a quarter by chance. */
static uint64_t
mc_retry_delay(struct mc *mc, unsigned failures)
{
	uint64_t d = mc->store->retry_min < 1000 ? 1000 : mc->store->retry_min;
	uint64_t max = mc->store->retry_max < d ? d : mc->store->retry_max;

	while (--failures > 0 && d < max)
		d *= 2;
	if (d > max)
		d = max;
	return (d - mc_random(mc) % (d / 4 + 1));
}

static void
mc_conn_backoff(struct mc_conn *c, enum err err, const char *detail)
{
	struct mc *mc = c->mc;

	if (c->failures < FAILURES_MAX)
		c->failures++;
	if (mc->by_name && mc->job == NULL)
		mc->job = resolve_start(mc->server->host, mc->server->port);
	timer_set(&c->timer, mc_retry_delay(mc, c->failures));
	if (err == ERR_TIMEOUT || !mc_any_ready(mc))
		mc_mark_down(mc, err, detail);
	mc_state_show(mc);
	if (c->replaying) {
		c->replaying = false;
		mc_conn_fail_ring(c, err, mc->why);
	}
}

/* Whether what is in flight may go out once more on a new connection. */
static bool
mc_may_replay(struct mc_conn *c, enum err err)
{
	return ((err == ERR_CLOSED || err == ERR_RESET) && c->n > 0 &&
	    c->burst && mc_replay_add(c));
}

void
mc_conn_lost(struct mc_conn *c, enum err err, const char *detail)
{
	struct mc *mc = c->mc;
	uint64_t now = loop_now(mc->loop);
	bool quick, replay;
	char text[256];

	if (c->state != MC_READY) {
		mc_conn_attempt_failed(c, detail != NULL ? detail :
		    mc_attempt_text(err));
		return;
	}
	if (detail == NULL)
		detail = err_text(err);
	quick = err != ERR_TIMEOUT && (c->quick_at == 0 ||
	    now - c->quick_at >= mc->store->retry_min);
	replay = quick && mc_may_replay(c, err);
	be_stat_add(&mc->be.stats.disconnects, 1);
	mc_conn_shut(c);
	c->burst = false;
	snprintf(text, sizeof text, "%s %s", mc->server->name, detail);
	log_info("%s", text);
	if (!quick) {
		mc_conn_backoff(c, err, detail);
		mc_conn_fail_ring(c, err, text);
		return;
	}
	c->quick_at = now;
	c->replaying = replay;
	mc_state_show(mc);
	if (!replay)
		mc_conn_fail_ring(c, err, text);
	mc_conn_start(c);
}

static void
mc_replay(struct mc_conn *c, enum upstream_dialect was)
{
	uint64_t now = loop_now(c->mc->loop);

	c->replaying = false;
	if (c->dialect != was) {
		mc_conn_fail_ring(c, ERR_CLOSED, c->mc->why);
		return;
	}
	if (!outq_append(&c->out, c->replay, c->replay_len))
		c->broken = true;
	for (uint32_t i = 0; i < c->n; i++)
		mc_slot(c, c->head + i)->deadline = now + c->mc->store->timeout;
	mc_conn_timer(c, now + c->mc->store->timeout);
	be_loop_dirty(c->mc->be.bl, &c->dirty);
}

void
mc_conn_ready(struct mc_conn *c, enum upstream_dialect dialect)
{
	struct mc *mc = c->mc;
	enum upstream_dialect was = c->dialect;

	timer_clear(&c->timer);
	c->state = MC_READY;
	c->dialect = dialect;
	c->burst = false;
	be_stat_add(&mc->be.stats.connects, 1);
	log_info("%s: connected, %s protocol", mc->server->name,
	    dialect == UPSTREAM_META ? "meta" : "classic");
	mc_mark_up(mc);
	snprintf(mc->why, sizeof mc->why, "%s %s", mc->server->name,
	    err_text(ERR_CLOSED));
	if (c->replaying)
		mc_replay(c, was);
	mc_waiting_put(mc);
	for (unsigned i = 0; i < mc->nconns; i++)
		if (mc->conns[i].state == MC_OFF) {
			timer_clear(&mc->conns[i].timer);
			mc_conn_start(&mc->conns[i]);
		}
}

/* ---- time ---- */

void
mc_conn_timer(struct mc_conn *c, uint64_t at)
{
	uint64_t now;

	if (LIKELY(c->timer.pending && c->timer_at <= at))
		return;
	now = loop_now(c->mc->loop);
	c->timer_at = at;
	timer_set(&c->timer, at > now ? at - now : 0);
}

/* Ops with a deadline of their own give up alone; the reply is dropped when it comes. */
static uint64_t
mc_check_short(struct mc_conn *c, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	c->nshort = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		struct mc_slot *s = mc_slot(c, c->head + i);

		if (s->op == NULL || s->op->deadline == UINT64_MAX)
			continue;
		if (s->op->deadline <= now) {
			mc_detach(s, ERR_TIMEOUT, c->mc->why_slow);
			continue;
		}
		c->nshort++;
		if (s->op->deadline < next)
			next = s->op->deadline;
	}
	return (next);
}

/* Whether we are late, not the server: what it sent has not been read yet. */
static bool
mc_conn_unread(const struct mc_conn *c)
{
	char byte;

	return (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

void
mc_moved(struct mc_conn *c, size_t n)
{
	c->moved += n;
	if (c->moved < MC_MOVE_MIN)
		return;
	c->moved = 0;
	c->moved_at = loop_now(c->mc->loop);
}

static void
mc_conn_time(void *arg)
{
	struct mc_conn *c = arg;
	uint64_t now = loop_now(c->mc->loop), next, own;

	if (c->state == MC_OFF) {
		mc_conn_start(c);
		return;
	}
	if (c->state != MC_READY) {
		mc_conn_attempt_failed(c, err_text(ERR_TIMEOUT));
		return;
	}
	if (c->n == 0)
		return;
	next = mc_slot(c, c->head)->deadline;
	/* What is large may take its time, and what waited behind it too, as long as it moves. */
	if (c->moved_at != 0 && c->moved_at + c->mc->store->timeout > next)
		next = c->moved_at + c->mc->store->timeout;
	if (next > now)
		c->late_at = 0;
	else if (c->late_at == 0)
		c->late_at = now;
	/* We may be late to read, but not for ever: a server that drips always has a byte for us. */
	if (next <= now && (c->late_at + c->mc->store->timeout < now ||
	    !mc_conn_unread(c))) {
		mc_conn_lost(c, ERR_TIMEOUT, NULL);
		return;
	}
	if (next <= now)
		next = now + UNREAD_PAUSE;
	if (c->nshort > 0 && (own = mc_check_short(c, now)) < next)
		next = own;
	mc_conn_timer(c, next);
}

/* ---- */

bool
mc_conn_init(struct mc *mc, struct mc_conn *c, unsigned index)
{
	c->mc = mc;
	c->index = index;
	c->state = MC_OFF;
	c->fd = -1;
	c->dirty.flush = mc_flush;
	outq_init(&c->out, mc->be.bl->pool, false);
	timer_init(mc->loop, &c->timer, mc_conn_time, c);
	c->hold = malloc(MC_HOLD);
	c->replay = malloc(MC_REPLAY);
	if (c->hold != NULL && c->replay != NULL)
		return (true);
	free(c->hold);
	free(c->replay);
	return (false);
}

void
mc_conn_fini(struct mc_conn *c)
{
	mc_conn_shut(c);
	mc_conn_fail_ring(c, ERR_CANCELLED, err_text(ERR_CANCELLED));
	free(c->ring);
	free(c->hold);
	free(c->replay);
	c->ring = NULL;
	c->hold = c->replay = NULL;
}

/*
 * memcached_conn.c - the life of one connection to a memcached.
 *
 *	OFF --timer--> CONNECTING --> HELLO (`version`) --> [ FLUSH ] --> READY
 *	 ^                 |             |                     |            |
 *	 +--- back-off ----+-------------+---------------------+------------+
 *	                   (one that was READY is connected again at once, but once per retry_min)
 *
 * A server is down when an attempt to connect failed and no other connection stands, or when too many requests failed
 * in a row (memcached_health.c). All that decides is done before the first done() is called, because done() may submit
 * again.
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
#define UNREAD_PAUSE		1000	/* microseconds */

static void mc_conn_try(struct mc_conn *);
static void mc_conn_backoff(struct mc_conn *, enum err, const char *detail);

void
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
	c->own_any = false;
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
	const char *what = c->state == MC_FLUSH ? "flush_all" : "connect";
	char text[160];

	mc_conn_shut(c);
	c->addr++;
	if (++c->tried < c->mc->addrs.n) {
		mc_conn_try(c);
		return;
	}
	snprintf(text, sizeof text, "%s failed: %s", what, detail);
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

static void
mc_conn_patience(struct mc_conn *c)
{
	uint64_t t = c->mc->store->connect_timeout;

	timer_set(&c->timer, t < CONNECT_TIMEOUT_MIN ? CONNECT_TIMEOUT_MIN : t);
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
	mc_conn_patience(c);
}

void
mc_conn_start(struct mc_conn *c)
{
	c->tried = 0;
	mc_conn_try(c);
}

/* ---- failing and coming back ---- */

/* No connection for now; if that was the last one, the server is down. */
static void
mc_conn_backoff(struct mc_conn *c, enum err err, const char *detail)
{
	struct mc *mc = c->mc;

	if (mc->by_name && mc->job == NULL)
		mc->job = resolve_start(mc->server->host, mc->server->port);
	if (mc->health.state == HEALTH_DOWN) {
		mc_still_down(mc, detail);
		return;
	}
	if (!mc_any_ready(mc)) {
		(void)health_gone(&mc->health);
		mc_down(mc, err, detail);
		return;
	}
	timer_set(&c->timer, health_backoff(&mc->health, c->failures,
	    mc->store->retry_min, mc->store->retry_max));
	if (c->failures < UINT32_MAX)
		c->failures++;
	mc_state_show(mc);
	if (c->replaying) {
		c->replaying = false;
		mc_conn_fail_ring(c, err, detail);
	}
}

/* Whether what is in flight may go out once more on a new connection. */
static bool
mc_may_replay(struct mc_conn *c, enum err err)
{
	return ((err == ERR_CLOSED || err == ERR_RESET) && c->n > 0 &&
	    c->burst && c->mc->health.state == HEALTH_UP && mc_replay_add(c) &&
	    mc_replay_granted(c->mc, c->n));
}

/*
 * How many failures of the server a lost connection is: silence is one for each request that it leaves unanswered, but
 * for those that have failed before; anything else is one thing that went wrong, and none if nobody was waiting.
 */
static unsigned
mc_conn_blame(struct mc_conn *c, enum err err)
{
	unsigned n = 0;

	switch (err) {
	case ERR_TIMEOUT:
		for (uint32_t i = 0; i < c->n; i++)
			n += mc_slot(c, c->head + i)->own != 0;
		return (n);
	case ERR_PROTOCOL:
		return (1);
	case ERR_NOMEM:
		/* Ours; but a trial has to end. */
		return (c->mc->health.state == HEALTH_TRIAL);
	default:
		return (c->n > 0);
	}
}

/* What was given up for a silent server must not leave later, when it wakes up. */
static void
mc_conn_abort(struct mc_conn *c)
{
	struct linger none = { .l_onoff = 1 };

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

/* Again at once, but a server that keeps hanging up must not have all its time taken by that. */
static bool
mc_conn_hurry(struct mc_conn *c)
{
	uint64_t now = loop_now(c->mc->loop);

	if (c->quick_at != 0 && now - c->quick_at < c->mc->store->retry_min)
		return (false);
	c->quick_at = now;
	return (true);
}

void
mc_conn_lost(struct mc_conn *c, enum err err, const char *detail)
{
	struct mc *mc = c->mc;
	bool quick, down;
	char text[256];

	if (c->state != MC_READY) {
		mc_conn_attempt_failed(c, detail != NULL ? detail :
		    mc_attempt_text(err));
		return;
	}
	if (detail == NULL)
		detail = err_text(err);
	if (err == ERR_TIMEOUT)
		mc_conn_abort(c);
	if (c->head != c->first)
		c->failures = 0;
	be_stat_add(&mc->be.stats.disconnects, 1);
	snprintf(text, sizeof text, "%s %s", mc->server->name, detail);
	log_info("%s", text);
	quick = mc->health.state != HEALTH_DOWN && mc_conn_hurry(c);
	c->replaying = quick && mc_may_replay(c, err);
	down = !c->replaying && mc_failed(mc, mc_conn_blame(c, err));
	mc_conn_shut(c);
	c->burst = false;
	if (down)
		mc_down(mc, err, detail);
	else if (mc->health.state == HEALTH_DOWN)
		mc_probe(mc);
	else if (!quick)
		mc_conn_backoff(c, err, detail);
	else
		mc_state_show(mc);
	if (!c->replaying)
		mc_conn_fail_ring(c, err, text);
	if (quick && mc->health.state != HEALTH_DOWN)
		mc_conn_start(c);
}

static void
mc_replay(struct mc_conn *c)
{
	uint64_t now = loop_now(c->mc->loop);

	c->replaying = false;
	if (!outq_append(&c->out, c->replay, c->replay_len))
		c->broken = true;
	for (uint32_t i = 0; i < c->n; i++)
		mc_slot(c, c->head + i)->deadline = now + c->mc->store->timeout;
	mc_conn_timer(c, c->own_any ? now : now + c->mc->store->timeout);
	be_loop_dirty(c->mc->be.bl, &c->dirty);
}

/* What was said in the one language is no use in the other. */
static void
mc_replay_lost(struct mc_conn *c)
{
	char text[256];

	snprintf(text, sizeof text, "%s %s", c->mc->server->name,
	    err_text(ERR_CLOSED));
	c->replaying = false;
	mc_conn_fail_ring(c, ERR_CLOSED, text);
}

void
mc_conn_greeted(struct mc_conn *c, enum upstream_dialect dialect)
{
	if (c->replaying && c->dialect != dialect)
		mc_replay_lost(c);
	c->dialect = dialect;
	if (!c->mc->owes || c->mc->health.state != HEALTH_DOWN) {
		mc_conn_ready(c);
		return;
	}
	c->state = MC_FLUSH;
	if (!outq_append(&c->out, "flush_all\r\n", 11))
		c->broken = true;
	mc_conn_patience(c);
	be_loop_dirty(c->mc->be.bl, &c->dirty);
}

void
mc_conn_ready(struct mc_conn *c)
{
	struct mc *mc = c->mc;

	timer_clear(&c->timer);
	c->state = MC_READY;
	c->burst = false;
	c->first = c->head;
	be_stat_add(&mc->be.stats.connects, 1);
	log_info("%s: connected, %s protocol", mc->server->name,
	    c->dialect == UPSTREAM_META ? "meta" : "classic");
	mc_greeted(mc);
	if (c->replaying)
		mc_replay(c);
	mc_waiting_put(mc);
	if (mc->health.state == HEALTH_UP)
		mc_start_all(mc);
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

/*
 * Ops with a deadline of their own give up alone; the reply is dropped when it comes. Returns when to look again. As
 * long as deadlines pass in the ring's order, as they do where all ops have as much time, each slot is looked at
 * once; else all are, but not more often than MC_OWN_EVERY.
 */
static uint64_t
mc_check_own(struct mc_conn *c, uint64_t now)
{
	uint32_t i = c->own_mixed ? 0 : c->own_at - c->head;
	uint64_t next = UINT64_MAX;
	unsigned late = 0;

	if (i > c->n)
		i = 0;		/* those have been answered, and more */
	for (; i < c->n && (c->own_mixed || next == UINT64_MAX); i++) {
		struct mc_slot *s = mc_slot(c, c->head + i);

		if (s->op == NULL || s->own > now) {
			if (s->op != NULL && s->own < next)
				next = s->own;
			continue;
		}
		s->own = s->op->rest;
		late += !s->op->rest;
		mc_detach(s, ERR_TIMEOUT, c->mc->why_slow);
	}
	c->own_at = c->head + (next == UINT64_MAX ? i : i - 1);
	c->own_any = next != UINT64_MAX;
	c->own_from = now + MC_OWN_EVERY;
	if (mc_failed(c->mc, late))
		mc_down(c->mc, ERR_TIMEOUT, err_text(ERR_TIMEOUT));
	return (next == UINT64_MAX || next > c->own_from ? next : c->own_from);
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
	if (c->own_any) {
		own = c->own_from <= now ? mc_check_own(c, now) : c->own_from;
		if (own < next)
			next = own;
	}
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

/*
 * redis_conn.c - the life of one connection to a Redis.
 *
 *	OFF --timer--> CONNECTING --> HELLO (redis_hello.c) --> READY
 *	 ^                 |             |                        |
 *	 +--- back-off ----+-------------+------- timeout --------+
 *	                       (closed, reset or talking rubbish: connects again at once, but once per retry_min)
 *
 * All that decides is done before the first done() is called, because done() may submit again.
 */
#include "config.h"

#include <errno.h>
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
#define UNREAD_PAUSE		1000	/* microseconds */

static void redis_conn_try(struct redis_conn *);

/* ---- connecting ---- */

/* The context, the output and what was half read go; the ring stays. */
void
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
	c->known = 0;
	memset(c->looking, 0, REDIS_BUCKETS * sizeof c->looking[0]);
	c->moved_at = 0;
	c->moved = 0;
	c->late_at = 0;
	c->refused = false;
}

/* No connection for now; if that was the last one, the server is down. */
static void
redis_conn_backoff(struct redis_conn *c, enum err err, const char *detail)
{
	struct redis_node *node = c->node;
	const struct conf_store *st = node->store;

	if (node->by_name && node->job == NULL)
		node->job = resolve_start(node->host, node->port);
	if (node->health.state == HEALTH_DOWN) {
		redis_still_down(node, detail);
		return;
	}
	if (!redis_any_ready(node)) {
		(void)health_gone(&node->health);
		redis_node_down(node, err, detail);
		return;
	}
	timer_set(&c->timer, health_backoff(&node->health, c->failures, st->retry_min, st->retry_max));
	if (c->failures < UINT32_MAX)
		c->failures++;
	redis_node_show(node);
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
	redis_conn_backoff(c, ERR_CONNECT, text);
}

void
redis_connected(struct redis_conn *c)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(c->ac->c.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
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
	c->state = RC_CONNECTING;
	if (!redis_adopt(c, ac)) {
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

void
redis_conn_drop(struct redis_conn *c)
{
	redis_conn_shut(c);
	if (c->nops == 0)
		redis_ring_fail(c, ERR_NONE, NULL);
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

/*
 * How many failures of the server a lost connection is: silence is one for each request that it leaves unanswered, but
 * for those that have failed before; anything else is one thing that went wrong, and none if nobody was waiting.
 */
static unsigned
redis_conn_blame(struct redis_conn *c, enum err err)
{
	unsigned n = 0;

	switch (err) {
	case ERR_TIMEOUT:
		for (uint32_t i = 0; i < c->n; i++) {
			const struct redis_slot *s = redis_slot(c, c->head + i);

			n += s->request && s->own != 0;
		}
		return (n);
	case ERR_PROTOCOL:
		return (1);
	case ERR_NOMEM:
		/* Ours; but a trial has to end. */
		return (c->node->health.state == HEALTH_TRIAL);
	default:
		return (c->n > 0);
	}
}

/* What was given up for a silent server must not leave later, when it wakes up. */
static void
redis_conn_abort(struct redis_conn *c)
{
	struct linger none = { .l_onoff = 1 };

	if (c->ac != NULL)
		(void)setsockopt(c->ac->c.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

/* Again at once, but a server that keeps hanging up must not have all its time taken by that. */
static bool
redis_conn_hurry(struct redis_conn *c)
{
	uint64_t now = loop_now(c->node->loop);

	if (c->quick_at != 0 && now - c->quick_at < c->node->store->retry_min)
		return (false);
	c->quick_at = now;
	return (true);
}

/* It never was of use. */
static void
redis_greeting_failed(struct redis_conn *c)
{
	enum err err = c->doom;
	char detail[sizeof c->doom_text];

	snprintf(detail, sizeof detail, "%s", c->refused ? c->doom_text : redis_attempt_text(c));
	if (!c->refused) {
		redis_attempt_failed(c, detail);
		return;
	}
	/* Another address of the same server would say the same. */
	redis_conn_shut(c);
	redis_ring_fail(c, err, detail);
	redis_conn_backoff(c, err, detail);
}

void
redis_conn_lost(struct redis_conn *c)
{
	struct redis_node *node = c->node;
	enum err err = c->doom;
	bool quick, replay, down;
	char detail[sizeof c->doom_text], text[REDIS_WHY_MAX];

	if (c->state != RC_READY) {
		redis_greeting_failed(c);
		return;
	}
	snprintf(detail, sizeof detail, "%s", c->doom_text);
	snprintf(text, sizeof text, "%s %s", node->name, detail);
	if (err == ERR_TIMEOUT)
		redis_conn_abort(c);
	if (c->head != c->first)
		c->failures = 0;
	be_stat_add(&node->stats->disconnects, 1);
	log_info("%s", text);
	quick = node->health.state != HEALTH_DOWN && redis_conn_hurry(c);
	replay = quick && redis_may_replay(c, err);
	down = !replay && redis_failed(node, redis_conn_blame(c, err));
	redis_conn_shut(c);
	if (replay)
		redis_ring_wait(c);
	if (down)
		redis_node_down(node, err, detail);
	else if (node->health.state == HEALTH_DOWN)
		redis_probe(node);
	else if (!quick)
		redis_conn_backoff(c, err, detail);
	else
		redis_node_show(node);
	redis_ring_fail(c, err, text);
	if (quick && node->health.state != HEALTH_DOWN)
		redis_conn_start(c);
	if (node->nwaiting > 0)
		redis_waiting_put(node);
}

void
redis_conn_ready(struct redis_conn *c)
{
	struct redis_node *node = c->node;

	timer_clear(&c->timer);
	c->state = RC_READY;
	c->first = c->head;
	be_stat_add(&node->stats->connects, 1);
	log_info("%s: connected", node->name);
	redis_greeted(node);
	be_loop_dirty(node->bl, &c->dirty);
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
	if (c->own_from != UINT64_MAX) {
		own = c->own_from <= now ? redis_check_own(c, now) : c->own_from;
		if (own < next)
			next = own;
	}
	/* It may be off by now. */
	if (c->state == RC_READY && c->n > 0)
		redis_timer(c, next);
}

/* ---- */

bool
redis_conn_init(struct redis_node *node, struct redis_conn *c, unsigned index)
{
	c->node = node;
	c->index = index;
	c->state = RC_OFF;
	c->own_from = UINT64_MAX;
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
	free(c->row);
	c->row = NULL;
	c->ring = NULL;
	c->sent = (struct redis_sent){ 0 };
}

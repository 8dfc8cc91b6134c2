/*
 * redis_health.c - a Redis that fails, is probed, tried and used again.
 *
 *	UP --redis_node_down()--> DOWN: connections close as soon as nothing is in flight on them; when none is left,
 *	                           |    redis_probe() lets one connect, after pauses that grow
 *	              connected and greeted
 *	                           |
 *	                         TRIAL: one request goes out, the only one in flight
 *	                           |
 *	                      answered: UP, the other connections come back; else DOWN
 */
#include "config.h"

#include <stdio.h>

#include "backend/redis.h"
#include "base/check.h"
#include "obs/log.h"

/* One more try for this part of all requests, and so many at once: what keeps alive must not be what kills a server. */
#define REPLAY_EVERY	20
#define REPLAY_MOST	32

/* ---- what may go out ---- */

bool
redis_admit(struct redis_node *node, struct be_op *op)
{
	bool trial;

	if (LIKELY(node->health.state == HEALTH_UP) || health_admit(&node->health, &trial))
		return (true);
	be_op_end_later(op, ERR_DOWN, node->why);
	return (false);
}

void
redis_unsent(struct redis_node *node, struct be_op *op, enum err err, const char *why)
{
	if (UNLIKELY(node->health.state == HEALTH_TRIAL))
		health_no_verdict(&node->health);
	be_op_end_later(op, err, why);
}

bool
redis_node_healthy(const struct redis_node *node)
{
	return (health_may(&node->health));
}

bool
redis_replay_granted(struct redis_node *node, unsigned n)
{
	uint64_t all = atomic_load_explicit(&node->stats->requests, memory_order_relaxed);
	uint64_t credit = node->replay_credit + (all - node->replay_mark) / REPLAY_EVERY;

	node->replay_credit = credit < REPLAY_MOST ? (unsigned)credit : REPLAY_MOST;
	node->replay_mark = all;
	if (n > node->replay_credit)
		return (false);
	node->replay_credit -= n;
	return (true);
}

/* ---- states ---- */

bool
redis_any_ready(const struct redis_node *node)
{
	for (unsigned i = 0; i < node->nconns; i++)
		if (node->conns[i].state == RC_READY)
			return (true);
	return (false);
}

void
redis_node_show(struct redis_node *node)
{
	enum be_state st = BE_DOWN;

	if (node->health.state == HEALTH_TRIAL)
		st = BE_TRIAL;
	else if (node->health.state == HEALTH_UP)
		st = redis_any_ready(node) ? BE_UP : BE_CONNECTING;
	atomic_store_explicit(&node->stats->state, st, memory_order_relaxed);
}

static void
redis_turned(struct redis_node *node)
{
	redis_node_show(node);
	if (node->ops->turned != NULL && !node->closing)
		node->ops->turned(node);
}

/* ---- down ---- */

static void
redis_say_down(struct redis_node *node, const char *detail)
{
	snprintf(node->why, sizeof node->why, "%s is down: %s", node->name, detail);
	if (node->said_down)
		log_info("%s", node->why);
	else
		log_warn("%s", node->why);
	node->said_down = true;
}

bool
redis_failed(struct redis_node *node, unsigned n)
{
	bool down = false;

	while (n-- > 0)
		down = health_bad(&node->health) || down;
	return (down);
}

void
redis_node_down(struct redis_node *node, enum err err, const char *detail)
{
	redis_say_down(node, detail);
	/* What is in flight may still be answered; everything else goes. */
	for (unsigned i = 0; i < node->nconns; i++) {
		struct redis_conn *c = &node->conns[i];

		if (c->state != RC_READY || c->n == 0)
			redis_conn_drop(c);
	}
	redis_waiting_fail(node, err, node->why);
	redis_probe(node);
	redis_turned(node);
}

void
redis_still_down(struct redis_node *node, const char *detail)
{
	redis_say_down(node, detail);
	redis_probe(node);
}

void
redis_probe(struct redis_node *node)
{
	const struct conf_store *st = node->store;

	if (node->health.state != HEALTH_DOWN || node->closing)
		return;
	for (unsigned i = 0; i < node->nconns; i++)
		if (node->conns[i].state != RC_OFF || node->conns[i].timer.pending)
			return;
	timer_set(&node->conns[0].timer, health_delay(&node->health, st->retry_min, st->retry_max));
}

/* ---- on trial, up ---- */

static void
redis_start_all(struct redis_node *node)
{
	for (unsigned i = 0; i < node->nconns; i++)
		if (node->conns[i].state == RC_OFF) {
			timer_clear(&node->conns[i].timer);
			redis_conn_start(&node->conns[i]);
		}
}

void
redis_greeted(struct redis_node *node)
{
	if (node->health.state == HEALTH_DOWN) {
		health_answered(&node->health);
		redis_turned(node);
		return;
	}
	redis_node_show(node);
	if (node->health.state == HEALTH_UP)
		redis_start_all(node);
}

void
redis_answered(struct redis_node *node, const struct redis_slot *s)
{
	if (!s->request)
		return;
	/* Nobody waits any more and its time is over: as a request it has failed, as a server it has not. */
	if (s->op == NULL && s->own <= loop_now(node->loop)) {
		if (node->health.state == HEALTH_TRIAL)
			health_no_verdict(&node->health);
		return;
	}
	if (!health_good(&node->health))
		return;
	if (node->said_down)
		log_warn("%s is up again", node->name);
	node->said_down = false;
	redis_turned(node);
	redis_start_all(node);
}

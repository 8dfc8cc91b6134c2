/*
 * memcached_health.c - a memcached that fails, is probed, tried and used again.
 *
 *	UP --mc_down()--> DOWN: connections close as soon as nothing is in flight on them; when none is left, mc_probe()
 *	                   |    lets one connect, after pauses that grow
 *	  connected, `version` and, if owed, `flush_all` answered
 *	                   |
 *	              TRIAL: one request goes out, the only one in flight
 *	                   |
 *	              answered: UP, the other connections come back; else DOWN
 *
 * store->flush_on_return: what a server holds when it returns may be what others were told to be deleted or changed. It
 * is emptied before anything else by each worker that could not reach it, and no worker uses it while another still
 * refuses requests for it: that one's deletes would be missed again. So the debt stands until the trial is over, and
 * the trial is the last debtor's; one that no request comes to, or that has to wait for others, does without after a
 * while.
 */
#include "config.h"

#include <stdio.h>

#include "backend/memcached.h"
#include "base/check.h"
#include "obs/log.h"

/* One more try for this part of all requests, and so many at once: what keeps alive must not be what kills a server. */
#define REPLAY_EVERY	20
#define REPLAY_MOST	32

/* ---- what may go out ---- */

bool
mc_admit(struct mc *mc)
{
	bool trial;

	return (mc_undebted(mc) && health_admit(&mc->health, &trial));
}

bool
mc_replay_granted(struct mc *mc, unsigned n)
{
	uint64_t all = atomic_load_explicit(&mc->be.stats.requests, memory_order_relaxed);
	uint64_t credit = mc->replay_credit + (all - mc->replay_mark) / REPLAY_EVERY;

	mc->replay_credit = credit < REPLAY_MOST ? (unsigned)credit : REPLAY_MOST;
	mc->replay_mark = all;
	if (n > mc->replay_credit)
		return (false);
	mc->replay_credit -= n;
	return (true);
}

/* ---- states ---- */

bool
mc_any_ready(const struct mc *mc)
{
	for (unsigned i = 0; i < mc->nconns; i++)
		if (mc->conns[i].state == MC_READY)
			return (true);
	return (false);
}

void
mc_state_show(struct mc *mc)
{
	enum be_state st = BE_DOWN;

	if (mc->health.state == HEALTH_TRIAL)
		st = BE_TRIAL;
	else if (mc->health.state == HEALTH_UP)
		st = mc_any_ready(mc) ? BE_UP : BE_CONNECTING;
	atomic_store_explicit(&mc->be.stats.state, st, memory_order_relaxed);
}

/* ---- down ---- */

static void
mc_say_down(struct mc *mc, const char *detail)
{
	snprintf(mc->why, sizeof mc->why, "%s is down: %s", mc->server->name,
	    detail);
	if (mc->said_down)
		log_info("%s", mc->why);
	else
		log_warn("%s", mc->why);
	mc->said_down = true;
}

static void
mc_owe(struct mc *mc)
{
	timer_clear(&mc->grace);
	if (mc->outage == NULL || mc->owes)
		return;
	mc->owes = true;
	outage_owe(mc->outage);
}

static void
mc_settle(struct mc *mc)
{
	timer_clear(&mc->grace);
	if (!mc->owes)
		return;
	mc->owes = false;
	outage_settle(mc->outage);
}

/* What is in flight may still be answered; everything else goes. */
static void
mc_shut_idle(struct mc *mc)
{
	for (unsigned i = 0; i < mc->nconns; i++) {
		struct mc_conn *c = &mc->conns[i];

		if (c->state != MC_READY || c->n == 0)
			mc_conn_shut(c);
	}
}

void
mc_down(struct mc *mc, enum err err, const char *detail)
{
	mc_say_down(mc, detail);
	mc_owe(mc);
	mc_waiting_fail(mc, err, mc->why);
	mc_shut_idle(mc);
	mc_state_show(mc);
	mc_probe(mc);
	for (unsigned i = 0; i < mc->nconns; i++) {
		struct mc_conn *c = &mc->conns[i];

		if (!c->replaying)
			continue;
		c->replaying = false;
		mc_conn_fail_ring(c, err, mc->why);
	}
}

void
mc_still_down(struct mc *mc, const char *detail)
{
	mc_say_down(mc, detail);
	mc_probe(mc);
}

bool
mc_failed(struct mc *mc, unsigned n)
{
	bool down = false;

	while (n-- > 0)
		down = health_bad(&mc->health) || down;
	return (down);
}

void
mc_probe(struct mc *mc)
{
	if (mc->health.state != HEALTH_DOWN)
		return;
	for (unsigned i = 0; i < mc->nconns; i++)
		if (mc->conns[i].state != MC_OFF ||
		    mc->conns[i].timer.pending)
			return;
	timer_set(&mc->conns[0].timer, health_delay(&mc->health,
	    mc->store->retry_min, mc->store->retry_max));
}

/* ---- on trial, up ---- */

void
mc_start_all(struct mc *mc)
{
	for (unsigned i = 0; i < mc->nconns; i++)
		if (mc->conns[i].state == MC_OFF) {
			timer_clear(&mc->conns[i].timer);
			mc_conn_start(&mc->conns[i]);
		}
}

static void
mc_up(struct mc *mc)
{
	if (mc->said_down)
		log_warn("%s is up again", mc->server->name);
	mc->said_down = false;
	mc_settle(mc);
	mc_state_show(mc);
	mc_start_all(mc);
}

static void
mc_grace_begin(struct mc *mc)
{
	if (mc->owes)
		timer_set(&mc->grace, mc->store->retry_min);
}

/* Nothing came to try it with. */
static void
mc_grace_over(void *arg)
{
	struct mc *mc = arg;
	bool trial;

	if (mc->health.state == HEALTH_TRIAL &&
	    health_admit(&mc->health, &trial) && health_good(&mc->health))
		mc_up(mc);
}

void
mc_greeted(struct mc *mc)
{
	if (mc->health.state == HEALTH_DOWN) {
		health_answered(&mc->health);
		mc_grace_begin(mc);
	}
	mc_state_show(mc);
}

void
mc_no_verdict(struct mc *mc)
{
	health_no_verdict(&mc->health);
	mc_grace_begin(mc);
}

void
mc_answered(struct mc *mc, const struct mc_slot *s)
{
	/* Nobody waits any more and its time is over: as a request it has failed, as a server it has not. */
	if (s->op == NULL && s->own <= loop_now(mc->loop)) {
		if (mc->health.state == HEALTH_TRIAL)
			mc_no_verdict(mc);
		return;
	}
	if (health_good(&mc->health))
		mc_up(mc);
}

/* ---- */

bool
mc_health_init(struct mc *mc)
{
	uint32_t seed = (uint32_t)loop_now(mc->loop) ^ (uint32_t)(uintptr_t)mc;

	health_init(&mc->health, mc->store->failures, seed ^ 0x9e3779b9u);
	timer_init(mc->loop, &mc->grace, mc_grace_over, mc);
	mc->replay_credit = REPLAY_MOST;
	if (!mc->store->flush_on_return)
		return (true);
	mc->outage = outage_pin(mc->store->name, mc->server->name);
	return (mc->outage != NULL);
}

void
mc_health_fini(struct mc *mc)
{
	mc_settle(mc);
	outage_unpin(&mc->outage);
}

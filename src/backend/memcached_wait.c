/*
 * memcached_wait.c - ops that wait for a connection: the server has just been opened, or has just closed the last one.
 *
 * The outcome of the attempt to connect bounds the wait; ops with a deadline of their own may end before.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "backend/memcached.h"
#include "base/check.h"

/* Key and short body are copied: the caller's are good until submit() returns. */
static struct mc_wait *
mc_wait_new(struct be_op *op)
{
	bool copy = op->op.verb == OP_STORE && op->op.vlen <= BE_BODY_COPY_MAX;
	struct mc_wait *w;
	size_t len = 0;

	if (op->op.key.len > sizeof w->key)
		return (NULL);
	w = malloc(sizeof *w + (copy ? op->op.vlen : 0));
	if (w == NULL)
		return (NULL);
	w->op = op;
	w->key_len = op->op.key.len;
	if (w->key_len > 0)
		memcpy(w->key, op->op.key.p, w->key_len);
	for (int i = 0; copy && i < op->nbody; i++) {
		MUST(len + op->body[i].iov_len <= op->op.vlen);
		memcpy(w->body + len, op->body[i].iov_base, op->body[i].iov_len);
		len += op->body[i].iov_len;
	}
	w->piece = (struct iovec){ copy ? w->body : NULL, len };
	return (w);
}

static void
mc_wait_until(struct mc *mc, uint64_t at)
{
	uint64_t now = loop_now(mc->loop);

	if (at < mc->wait_from)
		at = mc->wait_from;
	if (at == UINT64_MAX || (mc->wait_timer.pending && mc->wait_at <= at))
		return;
	mc->wait_at = at;
	timer_set(&mc->wait_timer, at > now ? at - now : 0);
}

void
mc_wait(struct mc *mc, struct be_op *op)
{
	struct mc_wait *w;

	if (mc->nwaiting >= mc->max_inflight) {
		mc_refuse(mc, op, ERR_BUSY, mc->why_busy);
		return;
	}
	w = mc_wait_new(op);
	if (w == NULL) {
		mc_refuse(mc, op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	op->priv = w;
	op->state = MC_OP_WAITING;
	op->deadline = op->timeout == 0 ? UINT64_MAX : op->sent_at + op->timeout;
	TAILQ_INSERT_TAIL(&mc->waiting, w, next);
	mc->nwaiting++;
	mc_wait_until(mc, op->deadline);
}

static struct be_op *
mc_waiting_take(struct mc *mc, struct mc_wait *w)
{
	TAILQ_REMOVE(&mc->waiting, w, next);
	mc->nwaiting--;
	w->op->state = MC_OP_ENDING;
	return (w->op);
}

void
mc_wait_cancel(struct mc *mc, struct be_op *op)
{
	mc_refuse(mc, mc_waiting_take(mc, op->priv), ERR_CANCELLED,
	    err_text(ERR_CANCELLED));
}

void
mc_waiting_put(struct mc *mc)
{
	struct mc_wait *w;

	while ((w = TAILQ_FIRST(&mc->waiting)) != NULL) {
		struct be_op *op = mc_waiting_take(mc, w);
		struct mc_conn *c = mc_pick(mc, op);
		struct op o = op->op;

		o.key = slice_of(w->key, w->key_len);
		op->priv = NULL;
		if (c->n >= mc->max_inflight)
			mc_refuse(mc, op, ERR_BUSY, mc->why_busy);
		else if (w->piece.iov_base != NULL)
			mc_put(c, op, &o, &w->piece, 1);
		else
			mc_put(c, op, &o, op->body, op->nbody);
		free(w);
	}
}

void
mc_waiting_fail(struct mc *mc, enum err err, const char *why)
{
	struct mc_wait *w;

	while ((w = TAILQ_FIRST(&mc->waiting)) != NULL)
		be_op_end_later(mc_waiting_take(mc, w), err, why);
}

void
mc_waiting_time(void *arg)
{
	struct mc *mc = arg;
	uint64_t now = loop_now(mc->loop), next = UINT64_MAX;
	struct mc_wait *w = TAILQ_FIRST(&mc->waiting), *after;
	unsigned late = 0;

	for (; w != NULL; w = after) {
		after = TAILQ_NEXT(w, next);
		if (w->op->deadline <= now) {
			late += !w->op->rest;
			be_op_end_later(mc_waiting_take(mc, w), ERR_TIMEOUT,
			    mc->why_slow);
		} else if (w->op->deadline < next)
			next = w->op->deadline;
	}
	mc->wait_from = now + MC_OWN_EVERY;
	mc_wait_until(mc, next);
	if (mc_failed(mc, late))
		mc_down(mc, ERR_TIMEOUT, err_text(ERR_TIMEOUT));
}

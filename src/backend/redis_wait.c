/*
 * redis_wait.c - ops that wait: for a connection, or for a look at their key to be over.
 *
 * A read that looks whether there is a win to take (cmd.looks) takes it by a second command. What changes the same key
 * may not come between the two, so it waits until the read was answered, and all on that key behind it. The others in
 * the list do not mind: the list is in order for each key, and is looked through as a whole.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "backend/redis.h"
#include "base/check.h"

bool
redis_may_wait(struct redis_node *node, struct be_op *op, struct redis_wait **wp, size_t len)
{
	*wp = NULL;
	if (node->nwaiting >= node->max_inflight) {
		redis_unsent(node, op, ERR_BUSY, node->why_busy);
		return (false);
	}
	*wp = malloc(sizeof **wp + len);
	if (*wp == NULL) {
		redis_unsent(node, op, ERR_NOMEM, err_text(ERR_NOMEM));
		return (false);
	}
	(*wp)->op = op;
	(*wp)->asking = false;
	(*wp)->behind = false;
	(*wp)->redo = NULL;
	return (true);
}

static void
redis_wait_until(struct redis_node *node, uint64_t at)
{
	uint64_t now = loop_now(node->loop);

	if (at == UINT64_MAX || (node->wait_timer.pending && node->wait_at <= at))
		return;
	node->wait_at = at;
	timer_set(&node->wait_timer, at > now ? at - now : 0);
}

static struct slice
redis_wait_key(const struct redis_wait *w)
{
	return (slice_of(w->bytes + w->cmd.key_at, w->cmd.key_len));
}

static bool
redis_has_key(const struct be_op *op, struct slice key)
{
	for (uint32_t i = 0; i < op->nkeys; i++)
		if (slice_eq(op->keys[i], key))
			return (true);
	return (false);
}

/* Whether the op, on this key or those that it has, is about what w is about. */
static bool
redis_meets(const struct redis_wait *w, const struct be_op *op, struct slice key)
{
	if (w->op->keys != NULL)
		return (op->keys == NULL && redis_has_key(w->op, key));
	if (op->keys != NULL)
		return (redis_has_key(op, redis_wait_key(w)));
	return (w->op->op.hash == op->op.hash);
}

static bool
redis_looked_at(const struct redis_conn *c, const struct redis_cmd *cmd, uint64_t hash)
{
	return (!cmd->read && c->looking[redis_bucket(hash)] > 0);
}

bool
redis_is_behind(const struct redis_node *node, const struct redis_conn *c, const struct be_op *op,
    const struct redis_cmd *cmd)
{
	const struct redis_wait *w;

	if (UNLIKELY(redis_looked_at(c, cmd, op->op.hash)))
		return (true);
	if (LIKELY(node->nbehind == 0))
		return (false);
	TAILQ_FOREACH(w, &node->waiting, next)
		if (w->behind && redis_meets(w, op, op->op.key))
			return (true);
	return (false);
}

/* The same for one that waits already. */
static bool
redis_stays_behind(const struct redis_conn *c, const struct redis_wait *w)
{
	const struct redis_wait *e = w;

	if (redis_looked_at(c, &w->cmd, w->op->op.hash))
		return (true);
	while ((e = TAILQ_PREV(e, redis_wait_list, next)) != NULL)
		if (redis_meets(e, w->op, redis_wait_key(w)))
			return (true);
	return (false);
}

/* The wait's op, cmd and bytes are set. */
void
redis_wait(struct redis_node *node, struct redis_wait *w)
{
	struct be_op *op = w->op;

	free(op->priv);
	op->priv = w;
	op->state = REDIS_OP_WAITING;
	op->conn = node->number;
	op->deadline = op->timeout == 0 ? UINT64_MAX : op->sent_at + op->timeout;
	TAILQ_INSERT_TAIL(&node->waiting, w, next);
	node->nwaiting++;
	redis_wait_until(node, op->deadline);
}

/* It stays op->priv, which be_op_end() frees. */
struct be_op *
redis_waiting_take(struct redis_node *node, struct redis_wait *w)
{
	TAILQ_REMOVE(&node->waiting, w, next);
	node->nwaiting--;
	node->nbehind -= w->behind;
	w->behind = false;
	w->op->state = REDIS_OP_ENDING;
	return (w->op);
}

void
redis_waiting_put(struct redis_node *node)
{
	struct redis_wait *w, *next;

	for (w = TAILQ_FIRST(&node->waiting); w != NULL; w = next) {
		struct redis_conn *c = redis_pick(node, w->op->op.hash, w->op->way);
		struct be_op *op;

		next = TAILQ_NEXT(w, next);
		if (c == NULL)
			return;
		if (UNLIKELY(redis_stays_behind(c, w))) {
			node->nbehind += !w->behind;
			w->behind = true;
			continue;
		}
		op = redis_waiting_take(node, w);
		op->priv = NULL;
		redis_put_or_end(node, c, op, &w->cmd, w->bytes, w->asking);
		free(w);
	}
}

/* Ends it from the hook, unless the owner takes it. */
static void
redis_wait_fail(struct redis_node *node, struct redis_wait *w, enum err err, const char *why)
{
	struct be_op *op = redis_waiting_take(node, w);

	op->priv = NULL;
	if (!redis_node_offer(node, op, &w->cmd, w->bytes, err, slice_str(why)))
		be_op_end_later(op, err, why);
	free(w);
}

void
redis_waiting_fail(struct redis_node *node, enum err err, const char *why)
{
	struct redis_wait_list all = TAILQ_HEAD_INITIALIZER(all);
	struct redis_wait *w;

	/* What an owner gives back meanwhile waits for the next time. */
	TAILQ_CONCAT(&all, &node->waiting, next);
	while ((w = TAILQ_FIRST(&all)) != NULL) {
		TAILQ_REMOVE(&all, w, next);
		TAILQ_INSERT_HEAD(&node->waiting, w, next);
		redis_wait_fail(node, w, err, why);
	}
}

/* The connection attempt bounds the wait of most; these cannot wait for it. */
void
redis_waiting_time(void *arg)
{
	struct redis_node *node = arg;
	uint64_t now = loop_now(node->loop), next = UINT64_MAX;
	struct redis_wait *w = TAILQ_FIRST(&node->waiting), *after;
	unsigned late = 0;

	for (; w != NULL; w = after) {
		after = TAILQ_NEXT(w, next);
		if (w->op->deadline <= now) {
			late += !w->op->rest;
			redis_unsent(node, redis_waiting_take(node, w), ERR_TIMEOUT, node->why_slow);
		} else if (w->op->deadline < next)
			next = w->op->deadline;
	}
	redis_wait_until(node, next);
	if (redis_failed(node, late))
		redis_node_down(node, ERR_TIMEOUT, err_text(ERR_TIMEOUT));
}

/* ---- once more ---- */

/* Before all that waits, but for what has lost its script. */
static void
redis_wait_first(struct redis_node *node, struct be_op *op, const struct redis_cmd *cmd, const char *bytes,
    struct redis_conn *redo)
{
	struct redis_wait *w = malloc(sizeof *w + cmd->len), *e;

	op->state = REDIS_OP_ENDING;
	if (w == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	w->op = op;
	w->cmd = *cmd;
	w->asking = cmd->asking;
	w->behind = false;
	w->redo = NULL;
	memcpy(w->bytes, bytes, cmd->len);
	redis_wait(node, w);
	TAILQ_REMOVE(&node->waiting, w, next);
	w->redo = redo;
	TAILQ_FOREACH(e, &node->waiting, next)
		if (e->redo == NULL)
			break;
	if (e != NULL)
		TAILQ_INSERT_BEFORE(e, w, next);
	else
		TAILQ_INSERT_TAIL(&node->waiting, w, next);
}

void
redis_node_again(struct redis_node *node, struct be_op *op, const struct redis_cmd *cmd, const char *bytes)
{
	redis_wait_first(node, op, cmd, bytes, NULL);
}

void
redis_wait_redo(struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd, const char *bytes)
{
	redis_wait_first(c->node, op, cmd, bytes, c);
}

bool
redis_redo_meets(const struct redis_conn *c, const struct be_op *op)
{
	const struct redis_wait *w;

	TAILQ_FOREACH(w, &c->node->waiting, next) {
		if (w->redo == NULL)
			break;
		if (w->redo == c && !w->cmd.read && redis_meets(w, op, op->op.key))
			return (true);
	}
	return (false);
}

void
redis_redo_passed(struct redis_conn *c, const struct be_op *by)
{
	struct redis_node *node = c->node;
	struct redis_wait *w = TAILQ_FIRST(&node->waiting), *after;

	for (; w != NULL && w->redo != NULL; w = after) {
		after = TAILQ_NEXT(w, next);
		if (w->redo == c && redis_meets(w, by, by->op.key))
			redis_op_fail_later(node->name, redis_waiting_take(node, w), ERR_REFUSED,
			    "says NOSCRIPT No matching script");
	}
}

/*
 * redis_cluster_lane.c - the order of a slot's ops: who goes out, who waits, who is sent again.
 *
 * Redis answers one connection in order, so ops of one key keep theirs as long as they all go the same way. The way
 * changes with a MOVED and with a new map. Then what is out comes back, refused, and is sent on in that order; what is
 * new waits until nothing is out any more. An ASK changes no way: all go by the old node as long as it has the slot.
 *
 * What waits does so up to its own deadline, and is judged again with every tick, map and change of a node.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/redis_cluster.h"
#include "base/check.h"

#define TICK		5000		/* microseconds; up to as much again by chance */
#define PAUSE_MIN	10000		/* before an op is sent again; up to as much again by chance */
#define PAUSE_DOUBLINGS	4
#define LANES_KEEP	256

/* ---- lanes ---- */

static struct cluster_lane *
lane_get(struct cluster *cl, unsigned slot)
{
	struct cluster_lane *lane = cl->lanes[slot];

	if (lane != NULL)
		return (lane);
	lane = TAILQ_FIRST(&cl->idle);
	if (lane != NULL) {
		TAILQ_REMOVE(&cl->idle, lane, next);
		cl->nidle--;
	} else {
		lane = malloc(sizeof *lane);
		if (lane == NULL)
			return (NULL);
	}
	*lane = (struct cluster_lane){ .slot = (uint16_t)slot };
	TAILQ_INIT(&lane->held);
	cl->lanes[slot] = lane;
	return (lane);
}

/* Blocked or not, and gone when nothing is under way. */
static void
lane_settle(struct cluster *cl, struct cluster_lane *lane)
{
	bool holds = !TAILQ_EMPTY(&lane->held);

	if (holds && !lane->blocked)
		TAILQ_INSERT_TAIL(&cl->blocked, lane, next);
	else if (!holds && lane->blocked)
		TAILQ_REMOVE(&cl->blocked, lane, next);
	lane->blocked = holds;
	if (holds || lane->out > 0)
		return;
	cl->lanes[lane->slot] = NULL;
	if (cl->nidle >= LANES_KEEP) {
		free(lane);
		return;
	}
	TAILQ_INSERT_HEAD(&cl->idle, lane, next);
	cl->nidle++;
}

void
cluster_lanes_free(struct cluster *cl)
{
	struct cluster_lane *lane;

	while ((lane = TAILQ_FIRST(&cl->idle)) != NULL) {
		TAILQ_REMOVE(&cl->idle, lane, next);
		free(lane);
	}
}

/* ---- holding ---- */

void
cluster_kick(struct cluster *cl)
{
	if (!cl->closing)
		timer_set(&cl->tick, 0);
}

static void
tick_soon(struct cluster *cl)
{
	if (!cl->tick.pending && !cl->closing)
		timer_set(&cl->tick, TICK + cluster_random(cl) % TICK);
}

/* In its place among those that were refused before and after it. */
static void
held_add(struct cluster *cl, struct cluster_lane *lane, struct cluster_held *h)
{
	struct be_op *op = h->op;
	struct cluster_held *behind = TAILQ_LAST(&lane->held, cluster_held_list);

	op->priv = h;
	op->state = CLUSTER_OP_HELD;
	h->need = cl->round + 1;
	while (behind != NULL && (int32_t)(behind->op->order - op->order) > 0)
		behind = TAILQ_PREV(behind, cluster_held_list, next);
	if (behind == NULL)
		TAILQ_INSERT_HEAD(&lane->held, h, next);
	else
		TAILQ_INSERT_AFTER(&lane->held, behind, h, next);
	cl->nheld++;
	lane_settle(cl, lane);
	tick_soon(cl);
}

static void
held_remove(struct cluster *cl, struct cluster_lane *lane, struct cluster_held *h)
{
	TAILQ_REMOVE(&lane->held, h, next);
	cl->nheld--;
	h->op->state = REDIS_OP_ENDING;
}

static struct cluster_held *
held_new(struct cluster *cl, struct be_op *op, size_t len)
{
	struct cluster_held *h;

	if (cl->nheld >= cl->max_held) {
		be_op_end_later(op, ERR_BUSY, cl->why_busy);
		return (NULL);
	}
	h = malloc(sizeof *h + len);
	if (h == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return (NULL);
	}
	h->op = op;
	h->err = ERR_TIMEOUT;
	h->why[0] = '\0';
	return (h);
}

/* One that has never gone out. */
static void
hold_new(struct cluster *cl, struct cluster_lane *lane, struct be_op *op)
{
	struct cluster_held *h = held_new(cl, op, redis_put_max(op));
	const char *why;

	if (h == NULL)
		return;
	why = redis_put(h->bytes, op, cl->scripts, &h->cmd);
	if (why != NULL) {
		free(h);
		redis_op_fail_later(cl->store->name, op, ERR_UNSUPPORTED, REDIS_CANNOT, why);
		return;
	}
	held_add(cl, lane, h);
}

/* One that came back. text: what is told when it never gets further. */
static void
hold_again(struct cluster *cl, struct cluster_lane *lane, struct be_op *op, const struct redis_cmd *cmd,
    const char *bytes, enum err err, struct slice text)
{
	struct cluster_held *h = held_new(cl, op, cmd->len);

	if (h == NULL)
		return;
	h->cmd = *cmd;
	memcpy(h->bytes, bytes, cmd->len);
	h->err = err;
	snprintf(h->why, sizeof h->why, "%.*s", (int)text.len, text.p);
	lane->turned = true;
	held_add(cl, lane, h);
}

static void
held_end(struct cluster *cl, struct cluster_lane *lane, struct cluster_held *h, enum err err, const char *why)
{
	held_remove(cl, lane, h);
	be_op_end_later(h->op, err, why);
}

void
cluster_held_cancel(struct cluster *cl, struct be_op *op)
{
	struct cluster_lane *lane = cl->lanes[op->slot];

	held_end(cl, lane, op->priv, ERR_CANCELLED, err_text(ERR_CANCELLED));
	lane_settle(cl, lane);
}

void
cluster_held_fail(struct cluster *cl, enum err err, const char *why)
{
	struct cluster_lane *lane;
	struct cluster_held *h;

	while ((lane = TAILQ_FIRST(&cl->blocked)) != NULL) {
		while ((h = TAILQ_FIRST(&lane->held)) != NULL)
			held_end(cl, lane, h, err, why);
		lane_settle(cl, lane);
	}
}

static void
held_expire(struct cluster *cl, struct cluster_lane *lane, uint64_t now)
{
	const struct cluster_node *node = cluster_master(cl, lane->slot);
	struct cluster_held *h, *after;

	for (h = TAILQ_FIRST(&lane->held); h != NULL; h = after) {
		after = TAILQ_NEXT(h, next);
		if (cluster_limit(cl, h->op) > now)
			continue;
		if (h->why[0] == '\0')
			snprintf(h->why, sizeof h->why, "%.90s %s", node != NULL ? node->name : cl->store->name,
			    err_text(ERR_TIMEOUT));
		held_end(cl, lane, h, h->err, h->why);
	}
}

/* ---- going out ---- */

/*
 * Whether what is out, if anything, goes the way that leads to this node. Where some were told to come again later, one
 * has to succeed before the others are sent.
 */
static bool
lane_leads(const struct cluster_lane *lane, const struct cluster_node *node)
{
	return (lane->out == 0 || (!lane->turned && lane->via == node && lane->tries == 0));
}

static void
lane_out(struct cluster *cl, struct cluster_lane *lane, struct be_op *op, struct cluster_link *link)
{
	lane->out++;
	cluster_at(cl, op, link);
}

/* What is left of its time is all that it gets from now on. */
static void
op_bound(struct cluster *cl, struct be_op *op)
{
	if (op->timeout == 0) {
		op->timeout = cl->store->timeout;
		op->hops |= CLUSTER_TIMED;
	}
	if (!op->rest) {
		op->rest = true;
		op->hops |= CLUSTER_RESTED;
	}
}

/* To this node, whose way it is. */
static void
lane_send(struct cluster *cl, struct cluster_lane *lane, struct cluster_node *node, struct cluster_held *h)
{
	struct be_op *op = h->op;
	const char *why;
	struct redis_node *conn = cluster_connect(&node->link, &why);

	if (conn == NULL) {
		held_end(cl, lane, h, ERR_DOWN, why);
		return;
	}
	held_remove(cl, lane, h);
	op->priv = NULL;
	if (lane->out == 0)
		lane->turned = false;
	lane->via = node;
	lane_out(cl, lane, op, &node->link);
	op_bound(cl, op);
	redis_node_send(conn, op, &h->cmd, h->bytes, false);
	free(h);
}

/* There is nowhere to go. True: a look at the map since has not helped, and the op has ended. */
static bool
held_lost(struct cluster *cl, struct cluster_lane *lane, struct cluster_held *h, const struct cluster_node *node)
{
	if ((int32_t)(cl->rounds_over - h->need) < 0)
		return (false);
	if (node != NULL)
		snprintf(h->why, sizeof h->why, "%s", node->link.conn->why);
	else if (cl->map == NULL && cl->down)
		snprintf(h->why, sizeof h->why, "%s", cl->why);
	else {
		/* A slot without a server may soon have one. */
		h->err = ERR_DOWN;
		snprintf(h->why, sizeof h->why, "%s: no server has slot %u", cl->store->name, lane->slot);
		return (false);
	}
	held_end(cl, lane, h, ERR_DOWN, h->why);
	return (true);
}

/* Whatever may go out does, in order. */
static void
lane_kick(struct cluster *cl, struct cluster_lane *lane)
{
	uint64_t now = loop_now(cl->loop);
	struct cluster_held *h;

	while ((h = TAILQ_FIRST(&lane->held)) != NULL && lane->retry_at <= now) {
		struct cluster_node *node = cluster_master(cl, lane->slot);

		if (!lane_leads(lane, node))
			break;
		if (node != NULL && cluster_usable(&node->link))
			lane_send(cl, lane, node, h);
		else if (!held_lost(cl, lane, h, node)) {
			cluster_map_want(cl, URGE_NOW);
			break;
		}
	}
	lane_settle(cl, lane);
}

void
cluster_tick(void *arg)
{
	struct cluster *cl = arg;
	uint64_t now = loop_now(cl->loop);
	struct cluster_lane *lane, *after;
	bool more;

	for (lane = TAILQ_FIRST(&cl->blocked); lane != NULL; lane = after) {
		after = TAILQ_NEXT(lane, next);
		held_expire(cl, lane, now);
		lane_kick(cl, lane);
	}
	more = cluster_flushes_kick(cl);
	if (more || !TAILQ_EMPTY(&cl->blocked))
		tick_soon(cl);
}

void
cluster_lane_submit(struct cluster *cl, struct be_op *op)
{
	struct cluster_node *node = cluster_master(cl, op->slot);
	struct cluster_lane *lane = lane_get(cl, op->slot);
	struct redis_node *conn = NULL;
	const char *why;

	if (lane == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	op->order = lane->order++;
	if (LIKELY(node != NULL && !lane->blocked && lane_leads(lane, node) && cluster_usable(&node->link)))
		conn = cluster_connect(&node->link, &why);
	if (LIKELY(conn != NULL)) {
		if (lane->out == 0)
			lane->turned = false;
		lane->via = node;
		lane_out(cl, lane, op, &node->link);
		redis_node_submit(conn, op);
		return;
	}
	if (node == NULL || !cluster_usable(&node->link))
		cluster_map_want(cl, URGE_NOW);
	hold_new(cl, lane, op);
	lane_settle(cl, lane);
}

/* Whether the op was, or may have been, carried out in a way that those before it could notice. */
static bool
has_passed(const struct be_op *op)
{
	switch (op->err) {
	case ERR_NONE:
		return (true);
	case ERR_TIMEOUT:
	case ERR_CLOSED:
	case ERR_RESET:
	case ERR_PROTOCOL:
	case ERR_CANCELLED:
		return (!cluster_is_read(&op->op));
	default:
		return (false);
	}
}

/*
 * A node refused an op for the moment, or its answer was lost; the one behind it was carried out, or a write that may
 * have been. To send the first one again would turn their order around; that it has failed is the truth.
 */
static void
held_passed(struct cluster *cl, struct cluster_lane *lane, const struct be_op *by)
{
	struct cluster_held *h, *after;

	for (h = TAILQ_FIRST(&lane->held); h != NULL && (int32_t)(h->op->order - by->order) < 0; h = after) {
		after = TAILQ_NEXT(h, next);
		if (h->op->op.hash == by->op.hash)
			held_end(cl, lane, h, h->err, h->why[0] != '\0' ? h->why : cl->why_slow);
	}
}

void
cluster_lane_over(struct cluster *cl, struct be_op *op)
{
	struct cluster_lane *lane = cl->lanes[op->slot];

	lane->out--;
	if (op->err == ERR_NONE || !err_retryable(op->err))
		lane->tries = 0;	/* it was answered */
	if (has_passed(op))
		held_passed(cl, lane, op);
	if (UNLIKELY(lane->blocked) && !cl->closing)
		lane_kick(cl, lane);
	else
		lane_settle(cl, lane);
}

/* ---- refusals ---- */

static bool
op_has_lane(const struct be_op *op)
{
	return (op->slot < SLOTS && op->way == 0);
}

/* The op, which is nowhere, goes to the node that it was sent to. */
static void
redirect(struct cluster *cl, struct be_op *op, struct cluster_link *link, const struct redis_cmd *cmd,
    const char *bytes, bool asking)
{
	struct cluster_lane *lane = op_has_lane(op) ? cl->lanes[op->slot] : NULL;
	struct redis_node *conn;
	const char *why;

	op->state = REDIS_OP_ENDING;
	if (lane != NULL && !cluster_usable(link)) {
		cluster_map_want(cl, URGE_NOW);
		hold_again(cl, lane, op, cmd, bytes, ERR_DOWN, slice_str(link->conn->why));
		return;
	}
	conn = cluster_connect(link, &why);
	if (conn == NULL) {
		be_op_end_later(op, ERR_DOWN, why);
		return;
	}
	if (lane != NULL)
		lane_out(cl, lane, op, link);
	else
		cluster_at(cl, op, link);
	op_bound(cl, op);
	redis_node_send(conn, op, cmd, bytes, asking);
}

/* MOVED and ASK. */
static void
refused_elsewhere(struct cluster *cl, struct be_op *op, struct cluster_link *from, const struct redis_cmd *cmd,
    const char *bytes, bool asking, unsigned slot, struct slots_addr *addr)
{
	struct cluster_node *to;

	if (addr->len == 0)
		(void)slots_addr_set(addr, slice_of(from->node->addr.host, from->node->addr.len), addr->port);
	to = cluster_node_at(cl, addr);
	op->hops++;
	if (to == NULL || (op->hops & CLUSTER_HOPS) > CLUSTER_HOPS_MAX) {
		op->state = REDIS_OP_ENDING;
		if (to == NULL)
			be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		else
			be_op_end_later(op, ERR_PROTOCOL, cl->why_hops);
		return;
	}
	be_stat_add(asking ? &cl->be.stats.asked : &cl->be.stats.moved, 1);
	be_stat_add(asking ? &from->stats.asked : &from->stats.moved, 1);
	if (!asking) {
		/* Only who was thought to have the slot can know; a replica may be behind. */
		if (slot == op->slot && cluster_master(cl, slot) == from->node && !from->readonly)
			cluster_moved(cl, slot, to);
		cluster_map_want(cl, URGE_SOON);
		if (op_has_lane(op))
			cl->lanes[op->slot]->turned = true;
	}
	redirect(cl, op, &to->link, cmd, bytes, asking);
}

static enum err
refusal_err(enum slots_refusal what)
{
	switch (what) {
	case REFUSED_LOADING:
		return (ERR_LOADING);
	case REFUSED_READONLY:
		return (ERR_READONLY);
	case REFUSED_TRYAGAIN:
		return (ERR_BUSY);
	default:
		return (ERR_DOWN);
	}
}

/* The node cannot carry it out now. */
static void
refused_now(struct cluster *cl, struct be_op *op, struct cluster_link *from, const struct redis_cmd *cmd,
    const char *bytes, enum slots_refusal what, struct slice text)
{
	struct cluster_lane *lane = cl->lanes[op->slot];
	uint64_t now = loop_now(cl->loop);
	char why[REDIS_WHY_MAX];

	be_stat_add(&cl->be.stats.retried, 1);
	be_stat_add(&from->stats.retried, 1);
	if (lane->retry_at <= now) {
		uint64_t pause = PAUSE_MIN << (lane->tries < PAUSE_DOUBLINGS ? lane->tries : PAUSE_DOUBLINGS);

		lane->tries++;
		lane->retry_at = now + pause + cluster_random(cl) % pause;
	}
	snprintf(why, sizeof why, "%.90s says %.*s", from->node->name, (int)(text.len < 150 ? text.len : 150), text.p);
	op->state = REDIS_OP_ENDING;
	hold_again(cl, lane, op, cmd, bytes, refusal_err(what), slice_str(why));
}

/* The connection is gone. */
static void
refused_lost(struct cluster *cl, struct be_op *op, const struct redis_cmd *cmd, const char *bytes, enum err err,
    struct slice text)
{
	op->hops++;
	cluster_map_want(cl, URGE_NOW);
	op->state = REDIS_OP_ENDING;
	hold_again(cl, cl->lanes[op->slot], op, cmd, bytes, err, text);
}

/* With its connection gone, what never left has another try, and reads; of writes nobody knows what they did. */
static bool
may_go_again(const struct be_op *op, const struct redis_cmd *cmd, enum err err)
{
	if (!op_has_lane(op) || (op->hops & CLUSTER_HOPS) >= CLUSTER_HOPS_MAX)
		return (false);
	return (err == ERR_DOWN || err == ERR_CONNECT || (cmd->read && (err == ERR_CLOSED || err == ERR_RESET)));
}

/* Whether the op goes on, here or elsewhere. False: it ends with what was said. */
static bool
goes_on(const struct be_op *op, const struct redis_cmd *cmd, enum err err, enum slots_refusal what)
{
	if (op->slot == CLUSTER_ANY)
		return (false);
	if (err != ERR_NONE)
		return (may_go_again(op, cmd, err));
	if (what == REFUSED_MOVED || what == REFUSED_ASK)
		return (true);
	return (what != REFUSED_NOT && op_has_lane(op));
}

/* The op leaves the node here: it is given to another one, or held. */
bool
cluster_refused(struct redis_node *conn, struct be_op *op, const struct redis_cmd *cmd, const char *bytes, enum err err,
    struct slice text)
{
	struct cluster_link *from = conn->owner;
	struct cluster *cl = from->node->cluster;
	enum slots_refusal what = REFUSED_NOT;
	const struct cluster_node *master;
	struct slots_addr addr;
	unsigned slot = 0;

	if (cl->closing)
		return (false);
	if (err == ERR_NONE)
		what = slots_refusal(text, &slot, &addr);
	if (what >= REFUSED_CLUSTERDOWN)
		cluster_map_want(cl, URGE_NOW);
	if (what == REFUSED_READONLY && from->readonly && (master = cluster_master(cl, op->slot)) != NULL) {
		/* A read that finds a win to take: replicas give none away. */
		what = REFUSED_MOVED;
		slot = op->slot;
		addr = master->addr;
	}
	if (!goes_on(op, cmd, err, what))
		return (false);
	(void)cluster_left(op);
	if (op_has_lane(op))
		cl->lanes[op->slot]->out--;
	if (what == REFUSED_MOVED || what == REFUSED_ASK)
		refused_elsewhere(cl, op, from, cmd, bytes, what == REFUSED_ASK, slot, &addr);
	else if (err == ERR_NONE)
		refused_now(cl, op, from, cmd, bytes, what, text);
	else
		refused_lost(cl, op, cmd, bytes, err, text);
	if (op_has_lane(op))
		lane_kick(cl, cl->lanes[op->slot]);
	return (true);
}

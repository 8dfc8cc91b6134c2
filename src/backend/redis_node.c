/*
 * redis_node.c - one Redis server: which of its connections an op takes, what waits for one, whether it is up.
 *
 * submit only appends to a connection's output and ring, or to what waits: all I/O is in the loop's callbacks and
 * in the hook at the end of the turn, so done() can never come before submit() has returned.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/redis.h"
#include "base/check.h"
#include "obs/log.h"


/* A line about bytes that make no sense, now and then. */
void
redis_node_say(struct redis_node *node, const char *what, const char *p, size_t len)
{
	be_log_rubbish(node->loop, &node->log_next, node->name, what, p, len);
}

/* ---- which connection ---- */

unsigned
redis_node_group(const struct redis_node *node, uint64_t hash)
{
	return (be_group(hash, node->nconns));
}

static bool
redis_takes(const struct redis_conn *c)
{
	return (c->state == RC_READY && !c->redo && c->doom == ERR_NONE);
}

static struct redis_conn *
redis_stand_in(struct redis_conn *home, struct redis_conn *c)
{
	home->stand_in = c;
	home->stand_in_until = c->head + c->n + 1;
	return (c);
}

/* Of those that are ready, counted from home on. */
static struct redis_conn *
redis_nth_ready(struct redis_node *node, unsigned home, unsigned nth)
{
	for (unsigned i = 0; i < node->nconns; i++) {
		struct redis_conn *c = &node->conns[(home + i) % node->nconns];

		if (redis_takes(c) && nth-- == 0)
			return (c);
	}
	return (NULL);
}

/*
 * Ops on one key share a connection, or a client's get could overtake its set. When that one is not ready the next
 * takes over: what was sent on it has failed by then. When it is back it waits until the other is done. While scripts
 * are being loaded nothing goes out, because what is to be repeated came before it.
 */
struct redis_conn *
redis_pick(struct redis_node *node, uint64_t hash, unsigned way)
{
	struct redis_conn *home, *c;
	unsigned i;

	if (LIKELY(node->nconns == 1))
		return (redis_takes(&node->conns[0]) ? &node->conns[0] : NULL);
	i = redis_node_group(node, hash);
	if (UNLIKELY(way > 0) && (c = redis_nth_ready(node, i, way)) != NULL)
		return (c);
	home = &node->conns[i];
	c = home->stand_in;
	if (UNLIKELY(c != NULL) && redis_takes(c) && c->n > 0 && (int32_t)(c->head - home->stand_in_until) < 0)
		return (redis_stand_in(home, c));
	home->stand_in = NULL;
	if (LIKELY(redis_takes(home)))
		return (home);
	if (home->state == RC_READY)
		return (NULL);
	c = redis_nth_ready(node, i, 0);
	return (c == NULL ? NULL : redis_stand_in(home, c));
}

unsigned
redis_node_ways(const struct redis_node *node)
{
	unsigned n = 0;

	if (node->nconns == 1 || node->health.state != HEALTH_UP)
		return (1);
	for (unsigned i = 0; i < node->nconns; i++)
		n += node->conns[i].state == RC_READY;
	return (n == 0 ? 1 : n);
}

uint64_t
redis_node_late(const struct redis_node *node, uint64_t hash, unsigned way)
{
	struct redis_conn *c = redis_nth_ready((struct redis_node *)(uintptr_t)node, redis_node_group(node, hash), way);
	uint64_t sent, now;

	if (c == NULL)
		return (UINT64_MAX);
	if (c->n == 0)
		return (0);
	/* With a large value on its way it moves, however old the request is. */
	now = loop_now(node->loop);
	sent = redis_slot(c, c->head)->sent_at;
	if (c->moved_at > sent)
		sent = c->moved_at;
	return (now > sent ? now - sent : 0);
}

/* ---- submitting ---- */

/* ASKING is for the very next command, so a script that is new to the server goes before both. */
bool
redis_put_asking(struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd, const char *bytes)
{
	static const struct slice words[] = { { "ASKING", 6 } };
	struct redis_cmd ask = { .want = RW_DROP, .script = RS_NONE }, asked = *cmd;
	char *copy = malloc(cmd->len), buf[32];
	bool good = copy != NULL;

	asked.asking = true;
	if (good) {
		memcpy(copy, bytes, cmd->len);
		ask.len = (uint32_t)redis_put_words(buf, 1, words);
		good = redis_know(c, cmd->script) && redis_conn_put(c, NULL, &ask, buf, NULL) &&
		    redis_conn_put(c, op, &asked, copy, NULL);
	}
	free(copy);
	return (good);
}

/* With room in the ring; else, or when it cannot be, the op ends later. */
void
redis_put_or_end(struct redis_node *node, struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd,
    const char *bytes, bool asking)
{
	if (c->n >= node->max_inflight)
		redis_unsent(node, op, ERR_BUSY, node->why_busy);
	else if (!(asking ? redis_put_asking(c, op, cmd, bytes) : redis_conn_put(c, op, cmd, bytes, NULL)))
		redis_unsent(node, op, ERR_NOMEM, err_text(ERR_NOMEM));
}

bool
redis_node_offer(struct redis_node *node, struct be_op *op, const struct redis_cmd *cmd, const char *bytes,
    enum err err, struct slice text)
{
	if (node->ops->refused == NULL || node->closing)
		return (false);
	op->state = REDIS_OP_TAKEN;
	if (node->ops->refused(node, op, cmd, bytes, err, text))
		return (true);
	op->state = REDIS_OP_ENDING;
	return (false);
}

void
redis_op_begin(struct backend *be, struct be_op *op)
{
	be_op_begin(be, op);
	op->state = REDIS_OP_ENDING;
}

/* NULL: it waits. Who waits for a connection was here before, also in the turn in which there is one again. */
static struct redis_conn *
redis_pick_now(struct redis_node *node, const struct be_op *op)
{
	if (UNLIKELY(node->nwaiting > node->nbehind))
		return (NULL);
	return (redis_pick(node, op->op.hash, op->way));
}

/* Its command stands in the connection's room; it goes out, or waits after all. */
static void
redis_submit_put(struct redis_node *node, struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd,
    const char *room)
{
	struct redis_wait *w;

	if (LIKELY(!redis_is_behind(node, c, op, cmd))) {
		if (UNLIKELY(!redis_conn_put(c, op, cmd, room, NULL)))
			redis_unsent(node, op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	if (!redis_may_wait(node, op, &w, cmd->len))
		return;
	w->cmd = *cmd;
	w->behind = true;
	node->nbehind++;
	memcpy(w->bytes, room, cmd->len);
	redis_wait(node, w);
}

void
redis_node_submit(struct redis_node *node, struct be_op *op)
{
	struct redis_wait *w = NULL;
	struct redis_cmd cmd;
	struct redis_conn *c;
	const char *why;
	char *room = NULL;

	if (!redis_admit(node, op))
		return;
	c = redis_pick_now(node, op);
	if (UNLIKELY(c == NULL)) {
		if (!redis_may_wait(node, op, &w, redis_put_max(op)))
			return;
		room = w->bytes;
	} else if (LIKELY(c->n < node->max_inflight)) {
		redis_clock(c);
		room = redis_conn_room(c, redis_put_max(op));
	}
	if (UNLIKELY(room == NULL)) {
		redis_unsent(node, op, ERR_BUSY, node->why_busy);
		return;
	}
	why = redis_put(room, op, node->scripts, &cmd);
	if (UNLIKELY(why != NULL)) {
		free(w);
		health_no_verdict(&node->health);
		redis_op_fail_later(node->name, op, ERR_UNSUPPORTED, REDIS_CANNOT, why);
	} else if (UNLIKELY(w != NULL)) {
		w->cmd = cmd;
		redis_wait(node, w);
	} else
		redis_submit_put(node, c, op, &cmd, room);
}

void
redis_node_send(struct redis_node *node, struct be_op *op, const struct redis_cmd *cmd, const char *bytes, bool asking)
{
	struct redis_conn *c;
	struct redis_wait *w;
	bool behind;

	op->state = REDIS_OP_ENDING;
	if (!redis_admit(node, op))
		return;
	c = redis_pick_now(node, op);
	behind = c != NULL && redis_is_behind(node, c, op, cmd);
	if (LIKELY(c != NULL && !behind)) {
		redis_put_or_end(node, c, op, cmd, bytes, asking);
		return;
	}
	if (!redis_may_wait(node, op, &w, cmd->len))
		return;
	w->cmd = *cmd;
	w->asking = asking;
	w->behind = behind;
	node->nbehind += behind;
	memcpy(w->bytes, bytes, cmd->len);
	redis_wait(node, w);
}

void
redis_node_cancel(struct redis_node *node, struct be_op *op)
{
	struct redis_conn *c;

	switch (op->state) {
	case REDIS_OP_WAITING:
		health_no_verdict(&node->health);
		be_op_end_later(redis_waiting_take(node, op->priv), ERR_CANCELLED, err_text(ERR_CANCELLED));
		break;
	case REDIS_OP_SLOT:
		c = &node->conns[op->conn - node->number];
		redis_detach(c, redis_slot(c, op->seq), ERR_CANCELLED, err_text(ERR_CANCELLED));
		break;
	default:
		break;		/* done() is on its way */
	}
}

uint64_t
redis_node_time(const struct redis_node *node)
{
	return ((uint64_t)((int64_t)loop_now(node->loop) + node->clock));
}

/* ---- a node's life ---- */

static bool
redis_find_addrs(struct redis_node *node, const char **why)
{
	const char *wrong;

	if (node->path != NULL) {
		if (resolve_unix(node->path, &node->addrs))
			return (true);
		*why = "the path of the unix socket is too long";
		return (false);
	}
	node->by_name = !resolve_is_numeric(node->host);
	if (node->by_name && node->number != 0) {
		/* Found while running: the loop may not wait. */
		node->job = resolve_start(node->host, node->port);
		return (true);
	}
	wrong = resolve_now(node->host, node->port, &node->addrs);
	/* One name that cannot be found today must not keep the others from being served. */
	if (wrong != NULL)
		log_warn("%s: cannot resolve: %s", node->name, wrong);
	return (true);
}

/* Ops that are still to end may have been told why by texts of this node's. */
static void
redis_node_unsay(const struct redis_node *node)
{
	const char *from = (const char *)node, *to = (const char *)&node->conns[0];
	struct be_op *op;

	STAILQ_FOREACH(op, &node->bl->over, next)
		if (op->why >= from && op->why < to)
			op->why = err_text(op->err);
}

static void
redis_node_destroy(struct redis_node *node)
{
	redis_node_unsay(node);
	resolve_drop(&node->job);
	free(node->name);
	free(node->host);
	free(node->path);
	free(node->scripts);
	node->magic = 0;
	free(node);
}

static bool
redis_node_fill(struct redis_node *node, const struct redis_addr *a)
{
	node->name = strdup(a->name);
	node->host = a->host == NULL ? NULL : strdup(a->host);
	node->path = a->path == NULL ? NULL : strdup(a->path);
	node->port = a->port;
	node->scripts = redis_scripts_new();
	if (node->name == NULL || (node->host == NULL && node->path == NULL) || node->scripts == NULL)
		return (false);
	snprintf(node->why_busy, sizeof node->why_busy, "%s %s", node->name, err_text(ERR_BUSY));
	snprintf(node->why_slow, sizeof node->why_slow, "%s %s", node->name, err_text(ERR_TIMEOUT));
	return (true);
}

struct redis_node *
redis_node_new(struct be_loop *bl, const struct conf_store *store, const struct redis_addr *a, bool readonly,
    uint16_t number, struct be_stats *stats, const struct redis_node_ops *ops, void *owner, const char **why)
{
	unsigned n = store->connections == 0 ? 1 : store->connections;
	struct redis_node *node = calloc(1, sizeof *node + n * sizeof node->conns[0]);

	*why = "out of memory";
	if (node == NULL)
		return (NULL);
	node->magic = REDIS_NODE_MAGIC;
	node->ops = ops;
	node->owner = owner;
	node->bl = bl;
	node->loop = bl->loop;
	node->store = store;
	node->stats = stats;
	node->readonly = readonly;
	node->number = number;
	node->clock_rtt = UINT64_MAX;
	node->replay_credit = UINT16_MAX;
	node->max_inflight = store->max_inflight == 0 ? UINT16_MAX : store->max_inflight;
	health_init(&node->health, store->failures, (uint32_t)loop_now(node->loop) ^ (uint32_t)(uintptr_t)node);
	TAILQ_INIT(&node->waiting);
	timer_init(node->loop, &node->wait_timer, redis_waiting_time, node);
	if (!redis_node_fill(node, a) || !redis_find_addrs(node, why))
		goto fail;
	for (; node->nconns < n; node->nconns++)
		if (!redis_conn_init(node, &node->conns[node->nconns], node->nconns))
			goto fail;
	for (unsigned i = 0; i < n; i++)
		redis_conn_start(&node->conns[i]);
	*why = NULL;
	return (node);

fail:
	while (node->nconns > 0)
		redis_conn_fini(&node->conns[--node->nconns]);
	redis_node_destroy(node);
	return (NULL);
}

void
redis_node_close(struct redis_node *node)
{
	CHECK_OBJ_NOTNULL(node, REDIS_NODE_MAGIC);
	if (node->closing)
		return;
	node->closing = true;
	(void)health_gone(&node->health);
	snprintf(node->why, sizeof node->why, "%s is being closed", node->name);
	redis_waiting_fail(node, ERR_CANCELLED, err_text(ERR_CANCELLED));
	timer_clear(&node->wait_timer);
	for (unsigned i = 0; i < node->nconns; i++)
		redis_conn_fini(&node->conns[i]);
}

void
redis_node_free(struct redis_node **nodep)
{
	struct redis_node *node;

	TAKE_OBJ_NOTNULL(node, nodep, REDIS_NODE_MAGIC);
	redis_node_close(node);
	redis_node_destroy(node);
}

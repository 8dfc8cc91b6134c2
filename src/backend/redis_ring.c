/*
 * redis_ring.c - what is in flight on a connection: the slots of the ring, and the bytes of each command until it has
 * been answered.
 */
#include "config.h"

#include <hiredis/async.h>
#include <stdlib.h>
#include <string.h>

#include "backend/redis.h"
#include "base/check.h"

#define SENT_MIN		(16 * 1024)
#define OWN_EVERY		1000	/* microseconds between looks at all deadlines */

/* ---- bytes kept until they are answered ---- */

static void
redis_sent_trim(struct redis_sent *s)
{
	if (s->head != s->tail)
		return;
	s->base = s->tail;
	if (s->cap > 64 * SENT_MIN) {
		free(s->buf);
		s->buf = NULL;
		s->cap = 0;
	}
}

/* len bytes at the tail. */
static char *
redis_sent_room(struct redis_sent *s, size_t len)
{
	size_t live = (size_t)(s->tail - s->head), from = (size_t)(s->head - s->base), cap = s->cap;
	char *buf;

	if (LIKELY(from + live + len <= cap))
		return (s->buf + from + live);
	if (live + len > REDIS_SENT_MAX)
		return (NULL);
	if (live + len <= cap / 2) {
		memmove(s->buf, s->buf + from, live);
		s->base = s->head;
		return (s->buf + live);
	}
	for (cap = cap == 0 ? SENT_MIN : cap * 2; cap < live + len;)
		cap *= 2;
	buf = malloc(cap);
	if (buf == NULL)
		return (NULL);
	if (live > 0)
		memcpy(buf, s->buf + from, live);
	free(s->buf);
	s->buf = buf;
	s->cap = cap;
	s->base = s->head;
	return (buf + live);
}

char *
redis_conn_room(struct redis_conn *c, size_t len)
{
	/* hiredis looks at the byte behind a command without arguments. */
	return (redis_sent_room(&c->sent, len + 1));
}

/* ---- the ring ---- */

bool
redis_ring_grow(struct redis_conn *c)
{
	uint32_t cap = c->cap == 0 ? REDIS_RING_MIN : c->cap * 2;
	struct redis_slot *ring = malloc(cap * sizeof *ring);

	if (ring == NULL)
		return (false);
	for (uint32_t i = 0; i < c->n; i++)
		ring[(c->head + i) & (cap - 1)] = *redis_slot(c, c->head + i);
	free(c->ring);
	c->ring = ring;
	c->cap = cap;
	return (true);
}

void
redis_timer(struct redis_conn *c, uint64_t at)
{
	uint64_t now;

	if (LIKELY(c->timer.pending && c->timer_at <= at))
		return;
	now = loop_now(c->node->loop);
	c->timer_at = at;
	timer_set(&c->timer, at > now ? at - now : 0);
}

static void
redis_slot_fill(struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd, redis_control_f *control)
{
	struct redis_slot *s = redis_slot(c, c->head + c->n);
	uint64_t now = loop_now(c->node->loop), timeout = c->node->store->timeout;

	*s = (struct redis_slot){ .op = op, .control = control, .sent_at = now, .own = UINT64_MAX, .at = c->sent.tail,
	    .cmd = *cmd, .request = op != NULL };
	c->sent.tail += cmd->len;
	if (op != NULL) {
		op->seq = c->head + c->n;
		op->conn = (uint16_t)(c->node->number + c->index);
		op->state = REDIS_OP_SLOT;
		op->deadline = UINT64_MAX;
		s->nkeys = op->keys != NULL ? op->nkeys : 0;
		c->nops++;
		if (cmd->looks) {
			s->bucket = redis_bucket(op->op.hash);
			c->looking[s->bucket]++;
		}
		if (op->timeout != 0) {
			op->deadline = s->own = op->sent_at + op->timeout;
			if (op->timeout > timeout)
				timeout = op->timeout;
			if (s->own < c->own_from) {
				/* Sooner than all others, but not more often than that. */
				c->own_from = s->own > now + OWN_EVERY ? s->own : now + OWN_EVERY;
				redis_timer(c, c->own_from);
			}
		}
	}
	s->deadline = now + timeout;
	c->n++;
	redis_timer(c, s->deadline);
}

/* hiredis' reply list is of no use to us beyond keeping count: replies are handled as they are read. */
static void
redis_replied(struct redisAsyncContext *ac, void *reply, void *arg)
{
	struct redis_conn *c = ac->data;

	(void)arg;
	if (reply != NULL && c != NULL && c->tree) {
		c->tree = false;
		redis_reply_tree(c, reply);
	}
}

/* The items of a put, which lie where they are until it is over. */
static bool
redis_hand_puts(redisAsyncContext *ac, const struct be_op *op)
{
	const struct rec_op *rec = op->rec;
	char head[REDIS_PUT_MAX];

	for (uint32_t i = 0; i < rec->nputs && ac->c.err == 0; i++) {
		const struct rec_put *put = &rec->puts[i];

		(void)redisAppendFormattedCommand(&ac->c, head, (size_t)(redis_put_item_head(head, op, put) - head));
		for (int k = 0; k < put->nbody; k++)
			(void)redisAppendFormattedCommand(&ac->c, put->body[k].iov_base, put->body[k].iov_len);
		(void)redisAppendFormattedCommand(&ac->c, "\r\n", 2);
	}
	return (ac->c.err == 0);
}

static bool
redis_hand_over(struct redis_conn *c, const struct be_op *op, const struct redis_cmd *cmd, const char *bytes)
{
	redisAsyncContext *ac = c->ac;
	const void *last = ac->replies.tail;

	if (redisAsyncFormattedCommand(ac, redis_replied, NULL, bytes, cmd->len) != REDIS_OK ||
	    ac->replies.tail == last)
		return (false);
	if (cmd->rest == 0)
		return (ac->c.err == 0);
	if (op->op.verb == OP_ITEMS_PUT)
		return (redis_hand_puts(ac, op));
	for (int i = 0; i < op->nbody; i++)
		(void)redisAppendFormattedCommand(&ac->c, op->body[i].iov_base, op->body[i].iov_len);
	(void)redisAppendFormattedCommand(&ac->c, "\r\n", 2);
	return (ac->c.err == 0);
}

bool
redis_know(struct redis_conn *c, enum redis_script rs)
{
	if (rs == RS_NONE || (c->known & 1u << rs) != 0)
		return (true);
	c->known |= 1u << rs;
	return (redis_load_script(c, rs));
}

/* A script's first use on this connection: its text goes before. What is put may lie where that text will. */
static bool
redis_put_first(struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd, const char *bytes)
{
	char *copy = malloc(cmd->len);
	bool good = copy != NULL;

	if (good) {
		memcpy(copy, bytes, cmd->len);
		good = redis_know(c, cmd->script) && redis_conn_put(c, op, cmd, copy, NULL);
	}
	free(copy);
	return (good);
}

bool
redis_conn_put(struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd, const char *bytes,
    redis_control_f *control)
{
	struct redis_sent *s = &c->sent;
	bool inside = bytes >= s->buf && bytes < s->buf + s->cap;
	uint64_t at = inside ? s->base + (uint64_t)(bytes - s->buf) : 0;
	char *room;

	MUST(c->ac != NULL);
	if (UNLIKELY(cmd->script != RS_NONE && (c->known & 1u << cmd->script) == 0))
		return (redis_put_first(c, op, cmd, bytes));
	if ((c->n == c->cap && !redis_ring_grow(c)) || (op != NULL && sdslen(c->ac->c.obuf) > REDIS_UNSENT_MAX))
		return (false);
	room = redis_conn_room(c, cmd->len);
	if (room == NULL)
		return (false);
	if (inside)
		bytes = redis_sent_at(c, at);
	if (bytes != room)
		memcpy(room, bytes, cmd->len);
	room[cmd->len] = '\0';
	redis_slot_fill(c, op, cmd, control);
	/* From here on a command may be half in the output. */
	if (UNLIKELY(!redis_hand_over(c, op, cmd, room)))
		redis_conn_doom(c, ERR_NOMEM, NULL);
	return (true);
}

void
redis_pop(struct redis_conn *c, struct redis_slot *s)
{
	*s = *redis_slot(c, c->head);
	c->head++;
	c->n--;
	if (s->op != NULL) {
		s->op->state = REDIS_OP_ENDING;
		c->nops--;
	}
	if (UNLIKELY(c->redo) && (int32_t)(c->head - c->redo_from) >= 0) {
		c->redo = false;
		be_loop_dirty(c->node->bl, &c->dirty);
	}
	if (s->cmd.looks && --c->looking[s->bucket] == 0 && c->node->nbehind > 0)
		be_loop_dirty(c->node->bl, &c->dirty);
	if (UNLIKELY(!health_calm(&c->node->health)))
		redis_answered(c->node, s);
}

void
redis_popped(struct redis_conn *c, const struct redis_slot *s)
{
	/* Gone with the connection, or passed by a later one. */
	if (s->at + s->cmd.len <= c->sent.head)
		return;
	c->sent.head = s->at + s->cmd.len;
	redis_sent_trim(&c->sent);
}

void
redis_detach(struct redis_conn *c, struct redis_slot *s, enum err err, const char *why)
{
	struct be_op *op = s->op;

	s->op = NULL;
	c->nops--;
	op->state = REDIS_OP_ENDING;
	be_op_end_later(op, err, why);
}

/* ---- ends ---- */

/* Of what is in flight only the ops stay, for what comes next. */
void
redis_ring_fail(struct redis_conn *c, enum err err, const char *why)
{
	uint32_t n = c->n;

	/* Done() may cancel those behind, and submit: to other connections, this one is off. */
	while (n-- > 0) {
		struct redis_slot s = *redis_slot(c, c->head);

		c->head++;
		c->n--;
		if (s.op != NULL) {
			c->nops--;
			if (s.op->at > 0)
				s.cmd.read = false;	/* of some the caller knows already */
			if (redis_node_offer(c->node, s.op, &s.cmd, redis_sent_at(c, s.at), err, slice_str(why)))
				continue;
			s.op->err = err;
			s.op->why = why;
			be_op_end(s.op);
		}
	}
	c->sent.head = c->sent.tail;
	redis_sent_trim(&c->sent);
	c->own_from = UINT64_MAX;
}

/* Whether what is in flight may go out once more on a new connection: reads alone, and not for the second time. */
bool
redis_may_replay(const struct redis_conn *c, enum err err)
{
	if ((err != ERR_CLOSED && err != ERR_RESET) || c->nops == 0 || c->node->ops->refused != NULL ||
	    c->node->health.state != HEALTH_UP)
		return (false);
	for (uint32_t i = 0; i < c->n; i++) {
		const struct redis_slot *s = &c->ring[(c->head + i) & (c->cap - 1)];

		if (s->control != NULL || (s->op != NULL && (!s->cmd.read || s->op->at > 0)))
			return (false);
	}
	return (redis_replay_granted(c->node, c->nops));
}

/* What was not answered waits for the next connection, before all that waits. */
void
redis_ring_wait(struct redis_conn *c)
{
	while (c->n > 0) {
		struct redis_slot s = *redis_slot(c, c->head + --c->n);

		if (s.op == NULL)
			continue;
		c->nops--;
		redis_node_again(c->node, s.op, &s.cmd, redis_sent_at(c, s.at));
	}
	redis_ring_fail(c, ERR_NONE, NULL);
}

/* Ops with a deadline of their own give up alone; the reply is dropped when it comes. */
uint64_t
redis_check_own(struct redis_conn *c, uint64_t now)
{
	struct redis_node *node = c->node;
	uint64_t next = UINT64_MAX;
	unsigned late = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		struct redis_slot *s = redis_slot(c, c->head + i);

		if (s->op == NULL)
			continue;
		if (s->own > now) {
			if (s->own < next)
				next = s->own;
			continue;
		}
		s->own = s->op->rest;
		late += !s->op->rest;
		redis_detach(c, s, ERR_TIMEOUT, node->why_slow);
	}
	if (next < now + OWN_EVERY)
		next = now + OWN_EVERY;
	c->own_from = next;
	if (redis_failed(node, late))
		redis_node_down(node, ERR_TIMEOUT, err_text(ERR_TIMEOUT));
	return (next);
}

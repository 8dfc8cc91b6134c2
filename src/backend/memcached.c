/*
 * memcached.c - the memcached store: ops into request lines, one pipeline per connection.
 *
 * submit() only appends to a connection's output and ring; all I/O is in the loop's callbacks and in the hook at
 * the end of the turn, so done() can never come before submit() has returned.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/memcached.h"
#include "base/check.h"
#include "obs/log.h"

/* Enough to notice that replies have slipped, and short to send and to read. */
#define OPAQUES		1000

static void
mc_body_sent(void *arg)
{
	struct mc_body *b = arg;
	struct be_op *op = b->op;

	if (--b->refs > 0)
		return;
	if (b->over) {
		be_op_end_later(op, op->err, op->why);
		return;
	}
	op->priv = NULL;
	free(b);
}

/* True: the body has not left yet, the op ends with its last piece. */
static bool
mc_body_holds(struct be_op *op)
{
	struct mc_body *b = op->priv;

	if (LIKELY(b == NULL))
		return (false);
	b->over = true;
	return (true);
}

static bool
mc_body_ref(struct mc_conn *c, struct be_op *op, const struct iovec *body,
    int nbody)
{
	struct mc_body *b = malloc(sizeof *b);

	if (b == NULL)
		return (false);
	b->op = op;
	b->refs = 1;		/* ours, so that it lives through the loop */
	b->over = false;
	op->priv = b;
	for (int i = 0; i < nbody; i++) {
		if (body[i].iov_len == 0)
			continue;
		b->refs++;
		if (!outq_ref(&c->out, body[i].iov_base, body[i].iov_len,
		    mc_body_sent, b)) {
			b->refs--;
			c->broken = true;
			break;
		}
	}
	mc_body_sent(b);
	return (true);
}

static bool
mc_body_put(struct mc_conn *c, struct be_op *op, const struct iovec *body,
    int nbody)
{
	if (op->op.vlen > BE_BODY_COPY_MAX) {
		if (!mc_body_ref(c, op, body, nbody))
			return (false);
	} else {
		for (int i = 0; i < nbody; i++)
			if (!outq_append(&c->out, body[i].iov_base,
			    body[i].iov_len))
				return (false);
	}
	return (outq_append(&c->out, "\r\n", 2));
}

static bool
mc_ring_grow(struct mc_conn *c)
{
	uint32_t cap = c->cap == 0 ? MC_RING_MIN : c->cap * 2;
	struct mc_slot *ring = malloc(cap * sizeof *ring);

	if (ring == NULL)
		return (false);
	for (uint32_t i = 0; i < c->n; i++)
		ring[(c->head + i) & (cap - 1)] = *mc_slot(c, c->head + i);
	free(c->ring);
	c->ring = ring;
	c->cap = cap;
	return (true);
}

/* An op that may end before its connection's patience does. */
static void
mc_slot_own(struct mc_conn *c, struct mc_slot *s, const struct be_op *op)
{
	s->own = op->sent_at + op->timeout;
	if (!c->own_any) {
		c->own_any = true;
		c->own_mixed = false;
		c->own_last = 0;
		c->own_at = op->seq;
	}
	c->own_mixed = c->own_mixed || s->own < c->own_last;
	c->own_last = s->own;
	mc_conn_timer(c, s->own > c->own_from ? s->own : c->own_from);
}

static void
mc_slot_fill(struct mc_conn *c, struct be_op *op, const struct op *o)
{
	struct mc_slot *s = mc_slot(c, c->head + c->n);
	uint64_t now = loop_now(c->mc->loop);
	uint64_t timeout = c->mc->store->timeout;

	op->seq = c->head + c->n;
	op->conn = (uint16_t)c->index;
	op->state = MC_OP_SLOT;
	s->own = UINT64_MAX;
	if (UNLIKELY(op->timeout != 0)) {
		mc_slot_own(c, s, op);
		if (op->timeout > timeout)
			timeout = op->timeout;
	}
	s->op = op;
	s->deadline = now + timeout;
	c->n++;
	c->burst = c->burst && mc_is_plain_read(o);
	mc_conn_timer(c, s->deadline);
}

/* The end of the request line; NULL: this server cannot be told. */
static char *
mc_put_line(struct mc_conn *c, const struct be_op *op, const struct op *o,
    char *line)
{
	struct upstream_expect *expect = &mc_slot(c, c->head + c->n)->expect;

	if (op->keys != NULL)
		return (upstream_put_keys(line, op->keys, op->nkeys,
		    (o->want & OPW_CAS) != 0, expect));
	return (upstream_put(line, c->dialect, o, (c->head + c->n) % OPAQUES,
	    expect));
}

static size_t
mc_line_max(const struct be_op *op, const struct op *o)
{
	if (op->keys != NULL)
		return (BE_KEYS_LINE_MAX + UPSTREAM_KEYS_ROOM);
	return (MC_LINE_FLAGS + o->key.len * 4 / 3 + 4);
}

void
mc_refuse(struct mc *mc, struct be_op *op, enum err err, const char *why)
{
	if (UNLIKELY(mc->health.state == HEALTH_TRIAL))
		mc_no_verdict(mc);
	be_op_end_later(op, err, why);
}

/* Serialises into the connection's output; the op ends later if that cannot be. */
void
mc_put(struct mc_conn *c, struct be_op *op, const struct op *o,
    const struct iovec *body, int nbody)
{
	char *line, *end;

	if (c->n == 0) {
		c->burst = outq_len(&c->out) == 0;
		c->replay_len = 0;
	}
	if (UNLIKELY(c->n == c->cap) && !mc_ring_grow(c)) {
		mc_refuse(c->mc, op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	line = outq_reserve(&c->out, mc_line_max(op, o));
	if (UNLIKELY(line == NULL)) {
		mc_refuse(c->mc, op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	end = mc_put_line(c, op, o, line);
	if (UNLIKELY(end == NULL)) {
		mc_refuse(c->mc, op, ERR_UNSUPPORTED, c->mc->why_old);
		return;
	}
	outq_commit(&c->out, (size_t)(end - line));
	mc_slot_fill(c, op, o);
	if (o->verb == OP_STORE && !mc_body_put(c, op, body, nbody))
		c->broken = true;
	be_loop_dirty(c->mc->be.bl, &c->dirty);
}

static unsigned
mc_group(const struct backend *be, uint64_t hash)
{
	const struct mc *mc = (const struct mc *)be;

	return (be_group(hash, mc->nconns));
}

static struct mc_conn *
mc_stand_in(struct mc_conn *home, struct mc_conn *c)
{
	home->stand_in = c;
	home->stand_in_until = c->head + c->n + 1;
	return (c);
}

/* The nth connection that is ready, from home on; NULL: there are fewer. */
static struct mc_conn *
mc_nth_ready(struct mc *mc, unsigned home, unsigned nth)
{
	for (unsigned i = 0; i < mc->nconns; i++) {
		struct mc_conn *c = &mc->conns[(home + i) % mc->nconns];

		if (c->state == MC_READY && nth-- == 0)
			return (c);
	}
	return (NULL);
}

/*
 * Ops on one key share a connection, or a client's get could overtake its set. When that one is not ready the next
 * takes over: what was sent on it has failed by then. When it is back it waits until the other is done. An op that
 * goes another way is nobody's first: it must not wait behind what that one waits for.
 */
struct mc_conn *
mc_pick(struct mc *mc, const struct be_op *op)
{
	struct mc_conn *home, *c;
	unsigned i;

	if (LIKELY(mc->nconns == 1))
		return (mc->conns[0].state == MC_READY ? &mc->conns[0] : NULL);
	i = mc_group(&mc->be, op->op.hash);
	if (UNLIKELY(op->way > 0) && (c = mc_nth_ready(mc, i, op->way)) != NULL)
		return (c);
	home = &mc->conns[i];
	c = home->stand_in;
	if (UNLIKELY(c != NULL) && c->state == MC_READY && c->n > 0 &&
	    (int32_t)(c->head - home->stand_in_until) < 0)
		return (mc_stand_in(home, c));
	home->stand_in = NULL;
	if (LIKELY(home->state == MC_READY))
		return (home);
	c = mc_nth_ready(mc, i, 0);
	return (c == NULL ? NULL : mc_stand_in(home, c));
}

static void
mc_submit(struct backend *be, struct be_op *op)
{
	struct mc *mc = (struct mc *)be;
	struct mc_conn *c;

	be_stat_add(&be->stats.requests, 1);
	be_stat_inflight(&be->stats, 1);
	op->be = be;
	op->priv = NULL;
	op->state = MC_OP_ENDING;
	op->sent_at = loop_now(mc->loop);
	op->err = ERR_NONE;
	op->at = 0;
	op->data = SLICE_NULL;
	op->why = NULL;
	if (UNLIKELY(mc->health.state != HEALTH_UP || mc->outage != NULL) &&
	    !mc_admit(mc)) {
		be_op_end_later(op, ERR_DOWN,
		    mc->health.state == HEALTH_UP ? mc->why_owed : mc->why);
		return;
	}
	c = mc_pick(mc, op);
	if (UNLIKELY(c == NULL))
		mc_wait(mc, op);
	else if (UNLIKELY(c->n >= mc->max_inflight))
		mc_refuse(mc, op, ERR_BUSY, mc->why_busy);
	else
		mc_put(c, op, &op->op, op->body, op->nbody);
}

void
mc_detach(struct mc_slot *s, enum err err, const char *why)
{
	struct be_op *op = s->op;

	s->op = NULL;
	op->state = MC_OP_ENDING;
	op->err = err;
	op->why = why;
	if (!mc_body_holds(op))
		be_op_end_later(op, err, why);
}

static void
mc_cancel(struct backend *be, struct be_op *op)
{
	struct mc *mc = (struct mc *)be;

	switch (op->state) {
	case MC_OP_WAITING:
		mc_wait_cancel(mc, op);
		break;
	case MC_OP_SLOT:
		mc_detach(mc_slot(&mc->conns[op->conn], op->seq),
		    ERR_CANCELLED, err_text(ERR_CANCELLED));
		break;
	default:
		break;		/* done() is on its way */
	}
}

static void
mc_close(struct backend **bep)
{
	struct backend *be;
	struct mc *mc;

	TAKE_OBJ_NOTNULL(be, bep, MC_MAGIC);
	mc = (struct mc *)be;
	(void)health_gone(&mc->health);
	snprintf(mc->why, sizeof mc->why, "%s is being closed", mc->server->name);
	mc_waiting_fail(mc, ERR_CANCELLED, err_text(ERR_CANCELLED));
	timer_clear(&mc->wait_timer);
	for (unsigned i = 0; i < mc->nconns; i++)
		mc_conn_fini(&mc->conns[i]);
	while (atomic_load_explicit(&be->stats.inflight, memory_order_relaxed) > 0)
		be_loop_drain(be);
	mc_health_fini(mc);
	resolve_drop(&mc->job);
	be_loop_unpin(&be->bl);
	free(be->stats.was);
	be->magic = 0;
	free(mc);
}

static bool
mc_find_addrs(struct mc *mc, const char **why)
{
	const struct conf_server *sv = mc->server;
	const char *wrong;

	if (sv->path != NULL) {
		if (resolve_unix(sv->path, &mc->addrs))
			return (true);
		*why = "the path of the unix socket is too long";
		return (false);
	}
	mc->by_name = !resolve_is_numeric(sv->host);
	wrong = resolve_now(sv->host, sv->port, &mc->addrs);
	/* One name that cannot be found today must not keep the others from being served. */
	if (wrong != NULL)
		log_warn("%s: cannot resolve: %s", sv->name, wrong);
	return (true);
}

/* Made once, so that be_op.why can outlive the moment. */
static void
mc_name_errors(struct mc *mc)
{
	const char *name = mc->server->name;

	snprintf(mc->why_busy, sizeof mc->why_busy, "%s %s", name, err_text(ERR_BUSY));
	snprintf(mc->why_old, sizeof mc->why_old, "%s speaks the classic protocol, which cannot say this", name);
	snprintf(mc->why_owed, sizeof mc->why_owed, "%s is down: it has still to be flushed", name);
	snprintf(mc->why_slow, sizeof mc->why_slow, "%s %s", name, err_text(ERR_TIMEOUT));
}

static struct backend *
mc_open(struct loop *l, const struct conf_store *store,
    const struct conf_server *server, const char **why)
{
	unsigned n = store->connections == 0 ? 1 : store->connections;
	struct mc *mc = calloc(1, sizeof *mc + n * sizeof mc->conns[0]);

	*why = "out of memory";
	if (mc == NULL)
		return (NULL);
	mc->be.magic = MC_MAGIC;
	mc->loop = l;
	mc->store = store;
	mc->server = server;
	mc->max_inflight = store->max_inflight == 0 ? UINT16_MAX : store->max_inflight;
	TAILQ_INIT(&mc->waiting);
	timer_init(l, &mc->wait_timer, mc_waiting_time, mc);
	mc_name_errors(mc);
	if (!mc_health_init(mc) || !mc_find_addrs(mc, why))
		goto fail;
	mc->be.bl = be_loop_pin(l);
	if (mc->be.bl == NULL)
		goto fail;
	for (; mc->nconns < n; mc->nconns++)
		if (!mc_conn_init(mc, &mc->conns[mc->nconns], mc->nconns))
			goto fail_conns;
	for (unsigned i = 0; i < n; i++)
		mc_conn_start(&mc->conns[i]);
	*why = NULL;
	return (&mc->be);

fail_conns:
	while (mc->nconns > 0)
		mc_conn_fini(&mc->conns[--mc->nconns]);
	be_loop_unpin(&mc->be.bl);
fail:
	mc_health_fini(mc);
	free(mc);
	return (NULL);
}

static bool
mc_healthy(const struct backend *be)
{
	const struct mc *mc = (const struct mc *)be;

	return (mc_undebted(mc) && health_may(&mc->health));
}

/* A server on trial has one request and no second way. */
static unsigned
mc_ways(const struct backend *be, const struct be_op *op)
{
	const struct mc *mc = (const struct mc *)be;
	unsigned n = 0;

	(void)op;
	if (mc->nconns == 1 || mc->health.state != HEALTH_UP)
		return (1);
	for (unsigned i = 0; i < mc->nconns; i++)
		n += mc->conns[i].state == MC_READY;
	return (n == 0 ? 1 : n);
}

static uint64_t
mc_late(const struct backend *be, const struct be_op *op)
{
	struct mc *mc = (struct mc *)(uintptr_t)be;
	unsigned home = mc_group(be, op->op.hash);
	struct mc_conn *c = mc_nth_ready(mc, home, op->way);
	uint64_t sent, now;

	if (c == NULL)
		return (UINT64_MAX);
	if (c->n == 0)
		return (0);
	/* With a large value on its way it moves, however old the request is. */
	now = loop_now(mc->loop);
	sent = mc_slot(c, c->head)->deadline - mc->store->timeout;
	if (c->moved_at > sent)
		sent = c->moved_at;
	return (now > sent ? now - sent : 0);
}

static struct be_stats *
mc_stats(struct backend *be)
{
	return (&be->stats);
}

static const char *
mc_server_name(const struct backend *be)
{
	return (((const struct mc *)be)->server->name);
}

const struct be_ops memcached_ops = {
	.name = "memcached",
	.caps = BE_CAP_TTL | BE_CAP_COUNTERS | BE_CAP_KEYS | BE_CAP_RAW |
	    BE_CAP_CAS,
	.open = mc_open,
	.close = mc_close,
	.submit = mc_submit,
	.group = mc_group,
	.cancel = mc_cancel,
	.healthy = mc_healthy,
	.ways = mc_ways,
	.late = mc_late,
	.stats = mc_stats,
	.server_name = mc_server_name,
};

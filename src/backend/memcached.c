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

/* Reads that change nothing: asking twice does no harm. */
static bool
mc_is_plain_read(const struct op *o)
{
	return (o->verb == OP_GET && (o->opts &
	    ~(unsigned)(OPF_BINKEY | OPF_NO_BUMP)) == 0);
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
	op->deadline = UINT64_MAX;
	if (op->timeout != 0) {
		op->deadline = op->sent_at + op->timeout;
		if (op->timeout > timeout)
			timeout = op->timeout;
		c->nshort++;
		mc_conn_timer(c, op->deadline);
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

/* Serialises into the connection's output; the op ends later if that cannot be. */
static void
mc_put(struct mc_conn *c, struct be_op *op, const struct op *o,
    const struct iovec *body, int nbody)
{
	char *line, *end;

	if (c->n == 0) {
		c->burst = outq_len(&c->out) == 0;
		c->replay_len = 0;
	}
	if (UNLIKELY(c->n == c->cap) && !mc_ring_grow(c)) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	line = outq_reserve(&c->out, mc_line_max(op, o));
	if (UNLIKELY(line == NULL)) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	end = mc_put_line(c, op, o, line);
	if (UNLIKELY(end == NULL)) {
		be_op_end_later(op, ERR_UNSUPPORTED, c->mc->why_old);
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

	if (LIKELY(mc->nconns == 1))
		return (0);
	return ((unsigned)(((hash * 0x9e3779b97f4a7c15u >> 32) * mc->nconns) >> 32));
}

static struct mc_conn *
mc_stand_in(struct mc_conn *home, struct mc_conn *c)
{
	home->stand_in = c;
	home->stand_in_until = c->head + c->n + 1;
	return (c);
}

/*
 * Ops on one key share a connection, or a client's get could overtake its set. When that one is not ready the next
 * takes over: what was sent on it has failed by then. When it is back it waits until the other is done.
 */
static struct mc_conn *
mc_pick(struct mc *mc, uint64_t hash)
{
	struct mc_conn *home, *c;
	unsigned i;

	if (LIKELY(mc->nconns == 1))
		return (mc->conns[0].state == MC_READY ? &mc->conns[0] : NULL);
	i = mc_group(&mc->be, hash);
	home = &mc->conns[i];
	c = home->stand_in;
	if (UNLIKELY(c != NULL) && c->state == MC_READY && c->n > 0 &&
	    (int32_t)(c->head - home->stand_in_until) < 0)
		return (mc_stand_in(home, c));
	home->stand_in = NULL;
	if (LIKELY(home->state == MC_READY))
		return (home);
	for (unsigned n = 1; n < mc->nconns; n++) {
		c = &mc->conns[(i + n) % mc->nconns];
		if (c->state == MC_READY)
			return (mc_stand_in(home, c));
	}
	return (NULL);
}

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

	if (at == UINT64_MAX || (mc->wait_timer.pending && mc->wait_at <= at))
		return;
	mc->wait_at = at;
	timer_set(&mc->wait_timer, at > now ? at - now : 0);
}

static void
mc_wait(struct mc *mc, struct be_op *op)
{
	struct mc_wait *w;

	if (mc->nwaiting >= mc->max_inflight) {
		be_op_end_later(op, ERR_BUSY, mc->why_busy);
		return;
	}
	w = mc_wait_new(op);
	if (w == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
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
mc_waiting_put(struct mc *mc)
{
	struct mc_wait *w;

	while ((w = TAILQ_FIRST(&mc->waiting)) != NULL) {
		struct be_op *op = mc_waiting_take(mc, w);
		struct mc_conn *c = mc_pick(mc, op->op.hash);
		struct op o = op->op;

		o.key = slice_of(w->key, w->key_len);
		op->priv = NULL;
		if (c->n >= mc->max_inflight)
			be_op_end_later(op, ERR_BUSY, mc->why_busy);
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

/* The connection attempt bounds the wait of most; these cannot wait for it. */
static void
mc_waiting_time(void *arg)
{
	struct mc *mc = arg;
	uint64_t now = loop_now(mc->loop), next = UINT64_MAX;
	struct mc_wait *w = TAILQ_FIRST(&mc->waiting), *after;

	for (; w != NULL; w = after) {
		after = TAILQ_NEXT(w, next);
		if (w->op->deadline <= now)
			be_op_end_later(mc_waiting_take(mc, w), ERR_TIMEOUT,
			    mc->why_slow);
		else if (w->op->deadline < next)
			next = w->op->deadline;
	}
	mc_wait_until(mc, next);
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
	if (UNLIKELY(mc->down)) {
		be_op_end_later(op, ERR_DOWN, mc->why);
		return;
	}
	c = mc_pick(mc, op->op.hash);
	if (UNLIKELY(c == NULL))
		mc_wait(mc, op);
	else if (UNLIKELY(c->n >= mc->max_inflight))
		be_op_end_later(op, ERR_BUSY, mc->why_busy);
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
		be_op_end_later(mc_waiting_take(mc, op->priv), ERR_CANCELLED,
		    err_text(ERR_CANCELLED));
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
	mc->down = true;
	snprintf(mc->why, sizeof mc->why, "%s is being closed", mc->server->name);
	mc_waiting_fail(mc, ERR_CANCELLED, err_text(ERR_CANCELLED));
	timer_clear(&mc->wait_timer);
	for (unsigned i = 0; i < mc->nconns; i++)
		mc_conn_fini(&mc->conns[i]);
	while (atomic_load_explicit(&be->stats.inflight, memory_order_relaxed) > 0)
		be_loop_drain(be);
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
	mc->random = (uint32_t)loop_now(l) ^ (uint32_t)(uintptr_t)mc ^ 0x9e3779b9u;
	TAILQ_INIT(&mc->waiting);
	timer_init(l, &mc->wait_timer, mc_waiting_time, mc);
	mc_name_errors(mc);
	if (!mc_find_addrs(mc, why))
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
	free(mc);
	return (NULL);
}

static bool
mc_healthy(const struct backend *be)
{
	return (!((const struct mc *)be)->down);
}

static uint64_t
mc_late(const struct backend *be, const struct be_op *op)
{
	const struct mc *mc = (const struct mc *)be;
	const struct mc_conn *c = &mc->conns[mc_group(be, op->op.hash)];
	uint64_t sent, now;

	if (c->state != MC_READY)
		return (UINT64_MAX);
	if (c->n == 0)
		return (0);
	/* With a large value on its way it moves, however old the request is. */
	now = loop_now(mc->loop);
	sent = mc_slot((struct mc_conn *)(uintptr_t)c, c->head)->deadline -
	    mc->store->timeout;
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
	.late = mc_late,
	.stats = mc_stats,
	.server_name = mc_server_name,
};

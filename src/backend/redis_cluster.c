/*
 * redis_cluster.c - the redis-cluster store: one backend for all servers of a Redis Cluster.
 *
 * An op of one key goes by its slot's lane (redis_cluster_lane.c), one that is hedged to a replica past it, and a flush
 * to all masters at once. Everything else about servers is redis_node's.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/redis_cluster.h"
#include "base/check.h"

uint32_t
cluster_random(struct cluster *cl)
{
	cl->random ^= cl->random << 13;
	cl->random ^= cl->random >> 17;
	cl->random ^= cl->random << 5;
	return (cl->random);
}

uint64_t
cluster_limit(const struct cluster *cl, const struct be_op *op)
{
	return (op->sent_at + (op->timeout != 0 ? op->timeout : cl->store->timeout));
}

/* ---- where an op is ---- */

void
cluster_at(struct cluster *cl, struct be_op *op, struct cluster_link *link)
{
	(void)cl;
	op->where = link;
	be_stat_add(&link->stats.requests, 1);
	be_stat_inflight(&link->stats, 1);
}

struct cluster_link *
cluster_left(struct be_op *op)
{
	struct cluster_link *link = op->where;

	op->where = NULL;
	be_stat_inflight(&link->stats, -1);
	return (link);
}

/* be_op_end()'s. */
static void
cluster_over(struct be_op *op)
{
	struct cluster *cl = (struct cluster *)op->be;
	uint64_t now = loop_now(cl->loop);
	struct cluster_link *link;

	if (op->where != NULL) {
		link = cluster_left(op);
		if (op->err == ERR_NONE)
			hist_add(&link->stats.latency, now > op->sent_at ? now - op->sent_at : 0);
		else
			be_stat_add(&link->stats.errors[op->err], 1);
		if (op->slot < SLOTS && op->way == 0)
			cluster_lane_over(cl, op);
	}
	if ((op->hops & CLUSTER_TIMED) != 0)
		op->timeout = 0;
	if ((op->hops & CLUSTER_RESTED) != 0)
		op->rest = false;
}

/* ---- flushes ---- */

static void flush_send(struct cluster *, struct cluster_flush *);

/* The masters that have slots; returns how many. */
static unsigned
masters(const struct cluster *cl, struct cluster_node **list)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cl->map->nservers; i++)
		if (cl->node_of[i]->master)
			list[n++] = cl->node_of[i];
	return (n);
}

static void
flush_end(struct cluster_flush *f)
{
	free(f->parts);
	f->parts = NULL;
	be_op_end_later(f->op, f->err, f->err == ERR_NONE ? NULL : f->why);
}

static void
flush_wait(struct cluster *cl, struct cluster_flush *f)
{
	f->waiting = true;
	f->need = cl->round + 1;
	TAILQ_INSERT_TAIL(&cl->flushes, f, next);
	cluster_map_want(cl, URGE_NOW);
	cluster_kick(cl);
}

/* All parts are back. Repeating a flush does no harm: it is good when no key can have moved past it. */
static void
flush_over(struct cluster *cl, struct cluster_flush *f)
{
	bool again = f->err != ERR_NONE && err_retryable(f->err);

	if (f->err == ERR_NONE && (f->strayed || f->layout != cl->layout) && f->tries < CLUSTER_HOPS_MAX)
		again = true;
	if (again && !cl->closing && loop_now(cl->loop) < cluster_limit(cl, f->op))
		flush_wait(cl, f);
	else
		flush_end(f);
}

static void
part_done(struct be_op *op)
{
	struct cluster_flush_part *p = CONTAINER_OF(op, struct cluster_flush_part, op);
	struct cluster_flush *f = p->flush;
	struct cluster *cl = (struct cluster *)op->be;

	if (op->err != ERR_NONE && f->err == ERR_NONE) {
		f->err = op->err;
		snprintf(f->why, sizeof f->why, "%s", op->why);
	}
	if (op->err == ERR_NONE && (op->res.status != OP_OK || f->left == f->nparts))
		f->op->res = op->res;
	if (op->err == ERR_NONE && p->strays != p->conn->strays)
		f->strayed = true;
	if (--f->left == 0)
		flush_over(cl, f);
}

static bool
part_flushes(const struct be_op *op, struct slice key)
{
	const struct be_op *whole = CONTAINER_OF(op, const struct cluster_flush_part, op)->flush->op;

	return (whole->flushes(whole, key));
}

static void
part_send(struct cluster *cl, struct cluster_flush_part *p, struct cluster_node *n)
{
	struct be_op *op = &p->op;
	const char *why;
	struct redis_node *conn = cluster_connect(&n->link, &why);

	redis_op_begin(&cl->be, op);
	p->conn = conn;
	if (conn == NULL) {
		be_op_end_later(op, ERR_DOWN, why);
		return;
	}
	p->strays = conn->strays;
	cluster_at(cl, op, &n->link);
	redis_node_submit(conn, op);
}

static void
flush_send(struct cluster *cl, struct cluster_flush *f)
{
	struct cluster_node **list = calloc(cl->map->nservers, sizeof *list);
	unsigned n = list == NULL ? 0 : masters(cl, list);

	free(f->parts);
	f->parts = calloc(n == 0 ? 1 : n, sizeof *f->parts);
	f->err = ERR_NONE;
	f->strayed = false;
	f->layout = cl->layout;
	f->tries++;
	f->left = f->nparts = n;
	if (f->parts == NULL || n == 0) {
		f->err = ERR_NOMEM;
		snprintf(f->why, sizeof f->why, "%s", err_text(ERR_NOMEM));
		flush_end(f);
	} else {
		for (unsigned i = 0; i < n; i++) {
			struct cluster_flush_part *p = &f->parts[i];

			p->flush = f;
			p->op.op = f->op->op;
			p->op.timeout = f->op->timeout;
			p->op.format = f->op->format;
			p->op.flushes = f->op->flushes != NULL ? part_flushes : NULL;
			p->op.done = part_done;
			p->op.slot = CLUSTER_ANY;
			part_send(cl, p, list[i]);
		}
	}
	free(list);
}

static void
flush_submit(struct cluster *cl, struct be_op *op)
{
	struct cluster_flush *f = calloc(1, sizeof *f);

	if (f == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	f->op = op;
	f->err = ERR_TIMEOUT;
	snprintf(f->why, sizeof f->why, "%s", cl->why_slow);
	op->priv = f;
	if (cl->map == NULL)
		flush_wait(cl, f);
	else
		flush_send(cl, f);
}

static void
flush_unwait(struct cluster *cl, struct cluster_flush *f)
{
	TAILQ_REMOVE(&cl->flushes, f, next);
	f->waiting = false;
}

bool
cluster_flushes_kick(struct cluster *cl)
{
	uint64_t now = loop_now(cl->loop);
	struct cluster_flush *f, *after;

	for (f = TAILQ_FIRST(&cl->flushes); f != NULL; f = after) {
		after = TAILQ_NEXT(f, next);
		if (cluster_limit(cl, f->op) <= now) {
			flush_unwait(cl, f);
			flush_end(f);
		} else if ((int32_t)(cl->rounds_over - f->need) < 0)
			cluster_map_want(cl, URGE_NOW);
		else if (cl->map != NULL) {
			flush_unwait(cl, f);
			flush_send(cl, f);
		} else {
			flush_unwait(cl, f);
			f->err = ERR_DOWN;
			snprintf(f->why, sizeof f->why, "%s", cl->why);
			flush_end(f);
		}
	}
	return (!TAILQ_EMPTY(&cl->flushes));
}

/* ---- be_ops ---- */

bool
cluster_is_read(const struct op *op)
{
	switch (op->verb) {
	case OP_GET:
		return ((op->opts & (OPF_NEWCAS | OPF_TTL | OPF_VIVIFY | OPF_RECACHE)) == 0);
	case OP_ITEMS_READ:
	case REDIS_OP_STEP:
	case REDIS_OP_PROBE:
		return (true);
	default:
		return (false);
	}
}

/* Where an op goes that is not to be held in order; NULL: nowhere. */
static struct cluster_link *
link_of(const struct cluster *cl, const struct be_op *op, unsigned slot)
{
	struct cluster_node *n = NULL;

	if (op->way > 0 && cluster_is_read(&op->op))
		n = cluster_replica(cl, slot, op->op.hash, op->way - 1u);
	if (n != NULL)
		return (&n->reads);
	n = cluster_master(cl, slot);
	return (n == NULL ? NULL : &n->link);
}

/* Past the lane: nothing holds it in order with others. */
static void
submit_way(struct cluster *cl, struct be_op *op)
{
	struct cluster_link *link = link_of(cl, op, op->slot);
	struct redis_node *conn;
	const char *why = cl->why_none;

	conn = link == NULL ? NULL : cluster_connect(link, &why);
	if (conn == NULL) {
		be_op_end_later(op, ERR_DOWN, why);
		return;
	}
	cluster_at(cl, op, link);
	redis_node_submit(conn, op);
}

static void
cluster_submit(struct backend *be, struct be_op *op)
{
	struct cluster *cl = (struct cluster *)be;

	redis_op_begin(be, op);
	op->where = NULL;
	op->hops = 0;
	op->slot = CLUSTER_ANY;
	if (UNLIKELY(redis_later_takes(&cl->later, op, cl->store->name) ||
	    redis_scan_takes(be, op, cluster_submit, cl->store->name)))
		return;
	if (UNLIKELY(cl->down))
		be_op_end_later(op, ERR_DOWN, cl->why);
	else if (UNLIKELY(op->op.verb == OP_FLUSH))
		flush_submit(cl, op);
	else {
		op->slot = (uint16_t)redis_slot_of(op);
		if (UNLIKELY(op->way > 0))
			submit_way(cl, op);
		else
			cluster_lane_submit(cl, op);
	}
}

static void
cluster_cancel(struct backend *be, struct be_op *op)
{
	struct cluster *cl = (struct cluster *)be;
	struct cluster_link *link = op->where;

	if (redis_scan_cancel(op))
		return;
	if (op->state == CLUSTER_OP_HELD)
		cluster_held_cancel(cl, op);
	else if (link != NULL)
		redis_node_cancel(link->conn, op);
}

static unsigned
cluster_ways(const struct backend *be, const struct be_op *op)
{
	const struct cluster *cl = (const struct cluster *)be;
	unsigned n = cluster_is_read(&op->op) ? cluster_replicas(cl, redis_slot_of(op)) : 0;

	if (n > 0)
		return (1 + n);
	return (cl->store->connections > 1 ? 2 : 1);
}

static uint64_t
cluster_late(const struct backend *be, const struct be_op *op)
{
	const struct cluster *cl = (const struct cluster *)be;
	unsigned slot = redis_slot_of(op);
	const struct cluster_lane *lane = cl->lanes[slot];
	const struct cluster_link *link = link_of(cl, op, slot);

	if (link == NULL || (op->way == 0 && lane != NULL && lane->blocked))
		return (UINT64_MAX);
	/* The first op will connect; if it went elsewhere for that, all would. */
	if (link->conn == NULL)
		return (0);
	return (redis_node_late(link->conn, op->op.hash, op->way));
}

static void
name_errors(struct cluster *cl)
{
	const char *name = cl->store->name;

	snprintf(cl->why, sizeof cl->why, "%s is down: none of its servers has answered yet", name);
	snprintf(cl->why_busy, sizeof cl->why_busy, "%s %s", name, err_text(ERR_BUSY));
	snprintf(cl->why_slow, sizeof cl->why_slow, "%s %s", name, err_text(ERR_TIMEOUT));
	snprintf(cl->why_hops, sizeof cl->why_hops, "%s: its servers send each other the same request", name);
	snprintf(cl->why_none, sizeof cl->why_none, "%s: no server has this key's slot", name);
}

static void
cluster_destroy(struct cluster *cl)
{
	cluster_map_free(cl);
	cluster_nodes_free(cl);
	cluster_lanes_free(cl);
	free(cl->scripts);
	if (cl->be.bl != NULL)
		be_loop_unpin(&cl->be.bl);
	free(cl->be.stats.was);
	cl->be.magic = 0;
	free(cl);
}

static struct backend *
cluster_open(struct loop *l, const struct conf_store *store, const struct conf_server *none, const char **why)
{
	struct cluster *cl = calloc(1, sizeof *cl);

	(void)none;
	*why = "out of memory";
	if (cl == NULL)
		return (NULL);
	cl->be.magic = CLUSTER_MAGIC;
	cl->be.over = cluster_over;
	cl->asker.magic = CLUSTER_MAGIC;
	cl->loop = l;
	cl->store = store;
	cl->max_held = store->max_inflight == 0 ? UINT16_MAX : store->max_inflight;
	cl->random = ((uint32_t)loop_now(l) ^ (uint32_t)(uintptr_t)cl) | 1;
	TAILQ_INIT(&cl->blocked);
	TAILQ_INIT(&cl->idle);
	TAILQ_INIT(&cl->flushes);
	timer_init(l, &cl->tick, cluster_tick, cl);
	timer_init(l, &cl->map_timer, cluster_map_time, cl);
	name_errors(cl);
	cl->scripts = redis_scripts_new();
	cl->asker.bl = cl->be.bl = be_loop_pin(l);
	if (cl->scripts == NULL || cl->be.bl == NULL || !cluster_seeds_open(cl)) {
		cluster_destroy(cl);
		return (NULL);
	}
	redis_later_init(&cl->later, &cl->be, cluster_submit);
	redis_sweeper_init(&cl->sweeper, &cl->be, cluster_submit);
	timer_set(&cl->map_timer, 0);
	*why = NULL;
	return (&cl->be);
}

static void
cluster_close(struct backend **bep)
{
	struct backend *be;
	struct cluster *cl;
	struct cluster_flush *f;

	TAKE_OBJ_NOTNULL(be, bep, CLUSTER_MAGIC);
	cl = (struct cluster *)be;
	cl->closing = true;
	cl->down = true;
	timer_clear(&cl->tick);
	timer_clear(&cl->map_timer);
	redis_later_fini(&cl->later);
	redis_sweeper_fini(&cl->sweeper);
	cluster_held_fail(cl, ERR_CANCELLED, err_text(ERR_CANCELLED));
	while ((f = TAILQ_FIRST(&cl->flushes)) != NULL) {
		flush_unwait(cl, f);
		f->err = ERR_CANCELLED;
		snprintf(f->why, sizeof f->why, "%s", err_text(ERR_CANCELLED));
		flush_end(f);
	}
	cluster_nodes_close(cl);
	while (atomic_load_explicit(&be->stats.inflight, memory_order_relaxed) > 0)
		be_loop_drain(be);
	while (atomic_load_explicit(&cl->asker.stats.inflight, memory_order_relaxed) > 0)
		be_loop_drain(&cl->asker);
	cluster_destroy(cl);
}

static bool
cluster_healthy(const struct backend *be)
{
	return (!((const struct cluster *)be)->down);
}

static void
cluster_each(struct backend *be, be_each_f *f, void *arg)
{
	struct cluster *cl = (struct cluster *)be;
	struct cluster_node *n;

	/* What no single server is to blame for. */
	f(arg, "cluster", &be->stats);
	CLUSTER_EACH_NODE(cl, n) {
		if (atomic_load_explicit(&n->link.known, memory_order_acquire))
			f(arg, n->name, &n->link.stats);
		if (atomic_load_explicit(&n->reads.known, memory_order_acquire))
			f(arg, n->name, &n->reads.stats);
	}
}

static void
cluster_orphans(struct backend *be, be_orphan_f *f, void *arg)
{
	struct cluster *cl = (struct cluster *)be;

	cl->sweeper.orphan = f;
	cl->sweeper.arg = arg;
}

static struct be_stats *
cluster_stats(struct backend *be)
{
	return (&be->stats);
}

static const char *
cluster_server_name(const struct backend *be)
{
	return (((const struct cluster *)be)->store->name);
}

extern const struct be_ops redis_cluster_ops;

const struct be_ops redis_cluster_ops = {
	.name = "redis-cluster",
	.caps = BE_CAP_TTL | BE_CAP_COUNTERS | BE_CAP_RAW | BE_CAP_ITEM | BE_CAP_WHOLE | BE_CAP_CLASSIC |
	    BE_CAP_ORDERED | BE_CAP_LWW | BE_CAP_RECORDS,
	.open = cluster_open,
	.close = cluster_close,
	.submit = cluster_submit,
	.cancel = cluster_cancel,
	.healthy = cluster_healthy,
	.ways = cluster_ways,
	.late = cluster_late,
	.each = cluster_each,
	.stats = cluster_stats,
	.orphans = cluster_orphans,
	.server_name = cluster_server_name,
};

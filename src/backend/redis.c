/*
 * redis.c - the store `redis`: one server as a backend.
 */
#include "config.h"

#include <stdlib.h>

#include "backend/redis_sweep.h"
#include "base/check.h"

struct redis {
	struct backend	 be;		/* first */
	const struct conf_server *server;
	struct redis_node *node;
	struct redis_later later;
	struct redis_sweeper sweeper;
};
#define REDIS_MAGIC	0x72656469u

static const struct redis_node_ops node_ops = { .refused = NULL };

static void
redis_submit(struct backend *be, struct be_op *op)
{
	struct redis *r = (struct redis *)be;

	redis_op_begin(be, op);
	if (LIKELY(!redis_later_takes(&r->later, op, r->server->name) &&
	    !redis_scan_takes(be, op, redis_submit, r->server->name)))
		redis_node_submit(r->node, op);
}

static struct backend *
redis_open(struct loop *l, const struct conf_store *store, const struct conf_server *server, const char **why)
{
	struct redis_addr a = { server->name, server->host, server->port, server->path };
	struct redis *r = calloc(1, sizeof *r);

	*why = "out of memory";
	if (r == NULL)
		return (NULL);
	r->be.magic = REDIS_MAGIC;
	r->server = server;
	r->be.bl = be_loop_pin(l);
	if (r->be.bl != NULL)
		r->node = redis_node_new(r->be.bl, store, &a, false, 0, &r->be.stats, &node_ops, r, why);
	if (r->node != NULL) {
		redis_later_init(&r->later, &r->be, redis_submit);
		redis_sweeper_init(&r->sweeper, &r->be, redis_submit);
		r->node->sweeper = &r->sweeper;
		return (&r->be);
	}
	if (r->be.bl != NULL)
		be_loop_unpin(&r->be.bl);
	free(r);
	return (NULL);
}

static void
redis_close(struct backend **bep)
{
	struct backend *be;
	struct redis *r;

	TAKE_OBJ_NOTNULL(be, bep, REDIS_MAGIC);
	r = (struct redis *)be;
	redis_later_fini(&r->later);
	redis_sweeper_fini(&r->sweeper);
	redis_node_close(r->node);
	while (atomic_load_explicit(&be->stats.inflight, memory_order_relaxed) > 0)
		be_loop_drain(be);
	redis_node_free(&r->node);
	be_loop_unpin(&be->bl);
	free(be->stats.was);
	be->magic = 0;
	free(r);
}

static unsigned
redis_group(const struct backend *be, uint64_t hash)
{
	return (redis_node_group(((const struct redis *)be)->node, hash));
}

static void
redis_cancel(struct backend *be, struct be_op *op)
{
	if (!redis_scan_cancel(op))
		redis_node_cancel(((struct redis *)be)->node, op);
}

static bool
redis_healthy(const struct backend *be)
{
	return (redis_node_healthy(((const struct redis *)be)->node));
}

static unsigned
redis_ways(const struct backend *be, const struct be_op *op)
{
	(void)op;
	return (redis_node_ways(((const struct redis *)be)->node));
}

static uint64_t
redis_late(const struct backend *be, const struct be_op *op)
{
	return (redis_node_late(((const struct redis *)be)->node, op->op.hash, op->way));
}

static void
redis_orphans(struct backend *be, be_orphan_f *f, void *arg)
{
	struct redis *r = (struct redis *)be;

	r->sweeper.orphan = f;
	r->sweeper.arg = arg;
}

static struct be_stats *
redis_stats(struct backend *be)
{
	return (&be->stats);
}

static const char *
redis_server_name(const struct backend *be)
{
	return (((const struct redis *)be)->server->name);
}

const struct be_ops redis_ops = {
	.name = "redis",
	.caps = BE_CAP_TTL | BE_CAP_COUNTERS | BE_CAP_KEYS | BE_CAP_RAW | BE_CAP_ITEM | BE_CAP_CLASSIC |
	    BE_CAP_ORDERED | BE_CAP_LWW | BE_CAP_RECORDS,
	.open = redis_open,
	.close = redis_close,
	.submit = redis_submit,
	.group = redis_group,
	.cancel = redis_cancel,
	.healthy = redis_healthy,
	.ways = redis_ways,
	.late = redis_late,
	.stats = redis_stats,
	.orphans = redis_orphans,
	.server_name = redis_server_name,
};

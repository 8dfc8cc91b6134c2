/*
 * redis_cluster_node.c - the nodes that a cluster has had, and the connections to those that it needs.
 *
 * A node may be a master or a replica, and becomes the other without notice. Its connections as a master do not say
 * READONLY, so that a node that has lost its slots says so instead of answering from an old copy.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "backend/redis_cluster.h"
#include "base/check.h"

#define IDLE		10000000	/* microseconds until connections that nobody needs are closed */

static const struct redis_node_ops node_ops = {
	.refused = cluster_refused,
	.turned = cluster_turned,
	.apart = true,
	.tree = cluster_tree,
};

/* ---- making them ---- */

static struct cluster_node *
node_new(struct cluster *cl, const struct slots_addr *a, const struct conf_server *seed)
{
	struct cluster_node *n = cl->nnodes == CLUSTER_NODES_MAX ? NULL : calloc(1, sizeof *n);

	if (n == NULL)
		return (NULL);
	cl->nnodes++;
	n->cluster = cl;
	n->addr = *a;
	n->seed = seed;
	n->link.node = n->reads.node = n;
	n->reads.readonly = true;
	atomic_init(&n->link.stats.state, BE_CONNECTING);
	atomic_init(&n->reads.stats.state, BE_CONNECTING);
	slots_addr_name(a, n->name);
	/* In the order in which they came, and whole before anybody sees them. */
	if (cl->last == NULL)
		atomic_store_explicit(&cl->nodes, n, memory_order_release);
	else
		atomic_store_explicit(&cl->last->next, n, memory_order_release);
	cl->last = n;
	return (n);
}

struct cluster_node *
cluster_node_at(struct cluster *cl, const struct slots_addr *a)
{
	struct cluster_node *n;

	CLUSTER_EACH_NODE(cl, n)
		if (slots_addr_eq(&n->addr, a))
			return (n);
	return (node_new(cl, a, NULL));
}

static struct cluster_node *
seed_new(struct cluster *cl, const struct conf_server *sv)
{
	struct slots_addr a = { .port = 0 };
	struct slice host = sv->path != NULL ? SLICE_LIT("127.0.0.1") : slice_str(sv->host);

	if (!slots_addr_set(&a, host, sv->path != NULL ? 1 : sv->port))
		return (NULL);
	if (sv->path != NULL)
		a.port = 0;
	return (node_new(cl, &a, sv));
}

bool
cluster_seeds_open(struct cluster *cl)
{
	for (unsigned i = 0; i < cl->store->nservers; i++)
		if (seed_new(cl, &cl->store->servers[i]) == NULL)
			return (false);
	return (true);
}

void
cluster_nodes_free(struct cluster *cl)
{
	struct cluster_node *n, *next;

	for (n = atomic_load_explicit(&cl->nodes, memory_order_relaxed); n != NULL; n = next) {
		next = atomic_load_explicit(&n->next, memory_order_relaxed);
		free(n->link.stats.was);
		free(n->reads.stats.was);
		free(n);
	}
	atomic_store_explicit(&cl->nodes, NULL, memory_order_relaxed);
}

/* ---- connections ---- */

struct redis_node *
cluster_connect(struct cluster_link *link, const char **why)
{
	struct cluster_node *n = link->node;
	const struct conf_server *sv = n->seed;
	struct redis_addr a = { .name = n->name, .host = n->addr.host, .port = n->addr.port };

	link->used_at = loop_now(n->cluster->loop);
	if (LIKELY(link->conn != NULL))
		return (link->conn);
	if (sv != NULL && sv->path != NULL)
		a = (struct redis_addr){ .name = sv->name, .path = sv->path };
	/* Numbered, so that names are never looked up in place. */
	link->conn = redis_node_new(n->cluster->be.bl, n->cluster->store, &a, link->readonly, 1, &link->stats,
	    &node_ops, link, why);
	if (link->conn != NULL)
		link->conn->sweeper = &n->cluster->sweeper;
	atomic_store_explicit(&link->known, true, memory_order_release);
	return (link->conn);
}

bool
cluster_usable(const struct cluster_link *link)
{
	return (link->conn == NULL || redis_node_healthy(link->conn));
}

static void
link_close(struct cluster_link *link)
{
	if (link->conn != NULL)
		redis_node_free(&link->conn);
	atomic_store_explicit(&link->stats.state, BE_CONNECTING, memory_order_relaxed);
}

static void
link_tidy(struct cluster_link *link, uint64_t now)
{
	if (link->conn != NULL && link->used_at + IDLE <= now &&
	    atomic_load_explicit(&link->stats.inflight, memory_order_relaxed) == 0)
		link_close(link);
}

void
cluster_nodes_tidy(struct cluster *cl)
{
	uint64_t now = loop_now(cl->loop);
	struct cluster_node *n;

	if (cl->map == NULL)
		return;
	CLUSTER_EACH_NODE(cl, n) {
		if (n->asking)
			continue;
		if (!n->master)
			link_tidy(&n->link, now);
		if (!n->replica)
			link_tidy(&n->reads, now);
	}
}

void
cluster_nodes_close(struct cluster *cl)
{
	struct cluster_node *n;

	CLUSTER_EACH_NODE(cl, n) {
		link_close(&n->link);
		link_close(&n->reads);
	}
}

/* ---- who has what ---- */

struct cluster_node *
cluster_master(const struct cluster *cl, unsigned slot)
{
	const struct slots_shard *s = cl->map == NULL ? NULL : slots_shard(cl->map, slot);

	return (s == NULL ? NULL : cl->node_of[s->master]);
}

unsigned
cluster_replicas(const struct cluster *cl, unsigned slot)
{
	const struct slots_shard *s = cl->map == NULL ? NULL : slots_shard(cl->map, slot);
	unsigned n = 0;

	for (unsigned i = 0; s != NULL && i < s->nreplicas; i++)
		n += cluster_usable(&cl->node_of[s->replicas[i]]->reads);
	return (n);
}

struct cluster_node *
cluster_replica(const struct cluster *cl, unsigned slot, uint64_t hash, unsigned nth)
{
	unsigned n = cluster_replicas(cl, slot), skip;
	const struct slots_shard *s;

	if (n == 0)
		return (NULL);
	/* Different keys begin with different ones. */
	skip = (unsigned)((hash >> 32) + nth) % n;
	s = slots_shard(cl->map, slot);
	for (unsigned i = 0; i < s->nreplicas; i++) {
		struct cluster_node *r = cl->node_of[s->replicas[i]];

		if (cluster_usable(&r->reads) && skip-- == 0)
			return (r);
	}
	return (NULL);
}

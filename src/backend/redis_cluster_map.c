/*
 * redis_cluster_map.c - who has which slot, asked of whoever answers.
 *
 * A round asks one node after the other until one has a map: masters that are up first, then other nodes of the last
 * map, then seeds, and those that are down at the end. Who does not answer soon is not waited for. Rounds come every
 * map_refresh, soon after a MOVED, and quickly one after the other while ops wait for a master to be replaced.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/redis_cluster.h"
#include "base/check.h"
#include "obs/log.h"

#define GAP_NOW		50000		/* microseconds between rounds that ops wait for; doubles */
#define GAP_DOUBLINGS	2
#define GAP_SOON	1000000		/* between those after a MOVED */
#define STAGGER		150000		/* until a second node is asked */
#define REFRESH_DEFAULT	30000000

/* ---- when ---- */

static void
map_at(struct cluster *cl, uint64_t at)
{
	uint64_t now = loop_now(cl->loop);

	if (cl->closing || (cl->map_timer.pending && cl->map_at <= at))
		return;
	cl->map_at = at;
	timer_set(&cl->map_timer, at > now ? at - now : 0);
}

void
cluster_map_want(struct cluster *cl, enum cluster_urge urge)
{
	uint64_t now = loop_now(cl->loop), gap = GAP_SOON, at;

	if (cl->in_round)
		return;		/* who needs another will say so again */
	if (urge == URGE_NOW) {
		if (cl->down)
			return;		/* the next round is on its way, and nobody waits */
		gap = GAP_NOW << (cl->urgent < GAP_DOUBLINGS ? cl->urgent : GAP_DOUBLINGS);
	}
	at = cl->over_at + gap;
	if (at < now)
		at = now;
	map_at(cl, at + cluster_random(cl) % (gap / 4));
	cl->urged |= urge == URGE_NOW;
}

/* Some other time than the other workers. */
static uint64_t
map_refresh(struct cluster *cl)
{
	uint64_t t = cl->store->map_refresh == 0 ? REFRESH_DEFAULT : cl->store->map_refresh;

	return (t - cluster_random(cl) % (t / 4 + 1));
}

/* Doubles from retry_min to retry_max, less up to a quarter by chance. */
static uint64_t
map_backoff(struct cluster *cl)
{
	uint64_t d = cl->store->retry_min < 1000 ? 1000 : cl->store->retry_min;
	uint64_t max = cl->store->retry_max < d ? d : cl->store->retry_max;

	for (unsigned i = 1; i < cl->failures && d < max; i++)
		d *= 2;
	if (d > max)
		d = max;
	return (d - cluster_random(cl) % (d / 4 + 1));
}

/* ---- up and down ---- */

static void
state_show(struct cluster *cl)
{
	enum be_state st = cl->map == NULL ? BE_CONNECTING : BE_UP;

	atomic_store_explicit(&cl->be.stats.state, cl->down ? BE_DOWN : st, memory_order_relaxed);
}

static bool
any_master_up(const struct cluster *cl)
{
	const struct cluster_node *n;

	CLUSTER_EACH_NODE(cl, n)
		if (n->master && n->link.conn != NULL && redis_node_healthy(n->link.conn) &&
		    atomic_load_explicit(&n->link.stats.state, memory_order_relaxed) == BE_UP)
			return (true);
	return (false);
}

static void
map_set_down(struct cluster *cl)
{
	snprintf(cl->why, sizeof cl->why, "%.90s is down: %.150s", cl->store->name,
	    cl->said[0] != '\0' ? cl->said : "none of its servers answers");
	if (!cl->down)
		log_warn("%s", cl->why);
	cl->down = true;
}

static void
round_over(struct cluster *cl, bool good)
{
	cl->in_round = false;
	cl->rounds_over = cl->round;
	cl->over_at = loop_now(cl->loop);
	cl->urgent = cl->urged ? cl->urgent + 1 : 0;
	cl->urged = false;
	timer_clear(&cl->map_timer);
	if (good) {
		if (cl->down)
			log_warn("%s is up again", cl->store->name);
		cl->down = false;
		cl->failures = 0;
		map_at(cl, cl->over_at + map_refresh(cl));
	} else {
		cl->failures++;
		if (!any_master_up(cl))
			map_set_down(cl);
		map_at(cl, cl->over_at + map_backoff(cl));
	}
	state_show(cl);
	cluster_kick(cl);
}

void
cluster_turned(struct redis_node *conn)
{
	struct cluster_link *link = conn->owner;
	struct cluster *cl = link->node->cluster;

	if (cl->closing)
		return;
	if (redis_node_healthy(conn)) {
		/* The next round may be long in coming. */
		if (cl->down && !cl->in_round)
			map_at(cl, loop_now(cl->loop));
	} else if (link->node->master && !link->readonly)
		cluster_map_want(cl, URGE_NOW);
	cluster_kick(cl);
}

/* ---- the map ---- */

static bool
find_nodes(struct cluster *cl, const struct slots_map *m, struct cluster_node ***nodesp)
{
	struct cluster_node **nodes = calloc(m->nservers, sizeof *nodes);

	if (nodes == NULL)
		return (false);
	for (unsigned i = 0; i < m->nservers; i++) {
		nodes[i] = cluster_node_at(cl, &m->servers[i]);
		if (nodes[i] == NULL) {
			free(nodes);
			return (false);
		}
	}
	*nodesp = nodes;
	return (true);
}

static void
mark_nodes(struct cluster *cl)
{
	const struct slots_map *m = cl->map;
	struct cluster_node *n;

	CLUSTER_EACH_NODE(cl, n)
		n->master = n->replica = false;
	for (unsigned i = 0; i < m->nshards; i++) {
		cl->node_of[m->shards[i].master]->master = true;
		for (unsigned r = 0; r < m->shards[i].nreplicas; r++)
			cl->node_of[m->shards[i].replicas[r]]->replica = true;
	}
}

static bool
has_moved(const struct cluster *cl, const struct slots_map *m, struct cluster_node *const *nodes)
{
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		const struct slots_shard *s = slots_shard(m, slot);

		if (cluster_master(cl, slot) != (s == NULL ? NULL : nodes[s->master]))
			return (true);
	}
	return (false);
}

/* False: no memory, the old one stays. */
static bool
map_install(struct cluster *cl, struct slots_map *m)
{
	struct cluster_node **nodes;

	if (!find_nodes(cl, m, &nodes))
		return (false);
	cl->layout += has_moved(cl, m, nodes);
	cluster_map_free(cl);
	cl->map = m;
	cl->node_of = nodes;
	mark_nodes(cl);
	be_stat_add(&cl->be.stats.maps, 1);
	log_debug("%s: %u slots, %u servers, %u shards", cl->store->name, m->nslots, m->nservers, m->nshards);
	return (true);
}

void
cluster_map_free(struct cluster *cl)
{
	slots_map_free(&cl->map);
	free(cl->node_of);
	cl->node_of = NULL;
}

void
cluster_moved(struct cluster *cl, unsigned slot, struct cluster_node *to)
{
	unsigned was = cl->map->nservers;
	struct cluster_node **more;

	/* Room first: a server of the map without a node would be nobody. */
	more = realloc(cl->node_of, (was + 1) * sizeof *more);
	if (more == NULL)
		return;
	cl->node_of = more;
	if (!slots_move(cl->map, slot, &to->addr))
		return;
	if (cl->map->nservers > was)
		cl->node_of[was] = to;
	to->master = true;
	cl->layout++;
}

/* ---- asking ---- */

enum { CLASS_UP, CLASS_NEW, CLASS_SEED, CLASS_REST, CLASS_DOWN, CLASSES };

static unsigned
node_class(const struct cluster *cl, const struct cluster_node *n)
{
	if (!cluster_usable(&n->link))
		return (CLASS_DOWN);
	if (cl->map == NULL)
		return (n->seed != NULL ? CLASS_SEED : CLASS_REST);
	if (n->master && n->link.conn != NULL)
		return (CLASS_UP);
	if (n->master || n->replica)
		return (CLASS_NEW);
	return (n->seed != NULL ? CLASS_SEED : CLASS_REST);
}

/* Any one of the best that this round has not asked yet; NULL: all were asked. */
static struct cluster_node *
next_node(struct cluster *cl)
{
	struct cluster_node *n, *best = NULL;
	unsigned class, best_class = CLASSES, seen = 0;

	CLUSTER_EACH_NODE(cl, n) {
		if (n->asking || n->asked_round == cl->round)
			continue;
		class = node_class(cl, n);
		if (class == CLASS_REST && n->link.conn == NULL && cl->map != NULL)
			continue;	/* long gone */
		if (class < best_class) {
			best_class = class;
			seen = 0;
		}
		if (class == best_class && cluster_random(cl) % ++seen == 0)
			best = n;
	}
	return (best);
}

static void
ask_done(struct be_op *op)
{
	struct cluster_node *n = CONTAINER_OF(op, struct cluster_node, ask);
	struct cluster *cl = n->cluster;

	n->asking = false;
	cl->nasking--;
	if (cl->closing || !cl->in_round)
		return;
	if (n->mapped) {
		round_over(cl, true);
		return;
	}
	if (op->err == ERR_REFUSED && slots_no_cluster(slice_str(op->why)))
		snprintf(cl->said, sizeof cl->said, "%.90s is no Redis Cluster: its cluster support is disabled", n->name);
	else if (op->err != ERR_NONE)
		snprintf(cl->said, sizeof cl->said, "%s", op->why);
	/* From the timer: here nothing may be opened or closed. */
	timer_clear(&cl->map_timer);
	map_at(cl, loop_now(cl->loop));
}

void
cluster_tree(struct redis_node *conn, struct be_op *op, const struct redisReply *r)
{
	struct cluster_node *n = CONTAINER_OF(op, struct cluster_node, ask);
	struct cluster *cl = n->cluster;
	struct slots_map *m;
	const char *why;

	(void)conn;
	if (cl->closing || !cl->in_round || n->asked_round != cl->round)
		return;		/* it was late, another one has answered */
	m = slots_map_new(r, &n->addr, &why);
	if (m != NULL && map_install(cl, m)) {
		n->mapped = true;
		return;
	}
	slots_map_free(&m);
	snprintf(cl->said, sizeof cl->said, "%.90s: %.150s", n->name, why != NULL ? why : err_text(ERR_NOMEM));
}

static void
node_ask(struct cluster *cl, struct cluster_node *n)
{
	static const struct slice words[] = { { "CLUSTER", 7 }, { "SLOTS", 5 } };
	struct redis_cmd cmd = { .want = RW_TREE, .script = RS_NONE, .read = true };
	struct redis_node *conn;
	const char *why;
	char buf[128];

	n->asked_round = cl->round;
	n->mapped = false;
	conn = cluster_connect(&n->link, &why);
	if (conn == NULL) {
		snprintf(cl->said, sizeof cl->said, "%.90s: %.150s", n->name, why);
		return;
	}
	MUST(redis_put_words_max(NITEMS(words), words) <= sizeof buf);
	cmd.len = (uint32_t)redis_put_words(buf, NITEMS(words), words);
	n->ask = (struct be_op){ .op = { .verb = OP_DEBUG }, .timeout = cl->store->timeout, .done = ask_done,
	    .slot = CLUSTER_ANY };
	n->asking = true;
	cl->nasking++;
	redis_op_begin(&cl->asker, &n->ask);
	redis_node_send(conn, &n->ask, &cmd, buf, false);
}

/* Asks somebody. Nobody left: the round is over as soon as all those asked have answered. */
static void
round_go_on(struct cluster *cl)
{
	unsigned before = cl->nasking;
	struct cluster_node *n;

	while (cl->nasking == before && (n = next_node(cl)) != NULL)
		node_ask(cl, n);
	if (cl->nasking == 0)
		round_over(cl, false);
	else if (cl->nasking > before)
		map_at(cl, loop_now(cl->loop) + STAGGER);
}

void
cluster_map_time(void *arg)
{
	struct cluster *cl = arg;

	if (!cl->in_round) {
		cluster_nodes_tidy(cl);
		cl->in_round = true;
		cl->round++;
		cl->said[0] = '\0';
	}
	round_go_on(cl);
}

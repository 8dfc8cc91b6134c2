/*
 * flight_plan.c - which servers an op may go to, in which order.
 *
 * The replicas of a key are the first distinct servers of the ring from its place on, of as many zones as there are.
 * They never change while a server is down: what it has is its own again when it returns. Reads try what is
 * well first, then what is slow right now; what stands in for a server that is down comes last. A read that could
 * overtake a write of its own client goes where that one went.
 */
#include "config.h"

#include "base/check.h"
#include "req/flight.h"
#include "req/hedge.h"
#include "req/route.h"
#include "route/ring.h"

#define WALK_MAX	32	/* servers of the ring that are looked at for one key */

/* ---- replicas ---- */

static struct target
target_of(const struct pool *p, size_t server)
{
	return ((struct target){ .ops = p->ops, .be = p->servers[server] });
}

static bool
zone_is_new(const struct conf_store *st, const size_t *chosen, unsigned n, size_t server)
{
	const char *zone = st->servers[server].zone;

	for (unsigned i = 0; i < n; i++) {
		const char *other = st->servers[chosen[i]].zone;

		if (zone != NULL && other != NULL && strcmp(zone, other) == 0)
			return (false);
	}
	return (true);
}

/* The servers that have the record: one of each zone in the ring's order, then the next whatever their zones. */
static unsigned
replicas_of(const struct pool *p, struct slice id, uint64_t hash, size_t *chosen)
{
	const struct conf_store *st = p->conf;
	unsigned want = st->replicas < 1 ? 1 : st->replicas, n = 0, nleft = 0;
	size_t left[WALK_MAX];

	if (want > FLIGHT_REPLICAS_MAX)
		want = FLIGHT_REPLICAS_MAX;
	if (p->nservers == 1) {
		chosen[0] = 0;
		return (1);
	}
	for (size_t i = 0; i < WALK_MAX && n < want; i++) {
		size_t server = ring_pick_nth(p->ring, id, hash, i);

		if (server >= p->nservers)
			break;
		if (zone_is_new(st, chosen, n, server))
			chosen[n++] = server;
		else
			left[nleft++] = server;
	}
	for (unsigned i = 0; i < nleft && n < want; i++)
		chosen[n++] = left[i];
	return (n);
}

/* ---- stand-ins ---- */

static bool
has_target(const struct flight *f, const struct backend *be)
{
	for (unsigned i = 0; i < f->ntargets; i++)
		if (f->targets[i].be == be)
			return (true);
	return (false);
}

static struct pool *
stand_in_pool(const struct flight *f)
{
	const struct pool *p = f->space->pool;
	const struct conf_store *st = p->conf->failover_store;
	const struct view *v = f->space->view;

	if (st == NULL)
		return (f->space->pool);
	/* By name: a pool that lived through a reload names the store of an older snapshot. */
	for (unsigned i = 0; i < v->npools; i++)
		if (strcmp(v->pools[i]->conf->name, st->name) == 0)
			return (v->pools[i]);
	return (NULL);
}

/* One more server that is well and not a target yet. */
static bool
add_stand_in(struct flight *f)
{
	struct pool *p = stand_in_pool(f);
	struct slice id = route_place(&f->r->be);

	if (p == NULL || f->ntargets == FLIGHT_TARGETS_MAX)
		return (false);
	for (size_t i = 0; i < WALK_MAX; i++) {
		size_t server = p->nservers == 1 ? i :
		    ring_pick_nth(p->ring, id, f->r->be.op.hash, i);
		struct target t;

		if (server >= p->nservers)
			return (false);
		t = target_of(p, server);
		if (has_target(f, t.be) || !t.ops->healthy(t.be))
			continue;
		t.stand_in = true;
		f->nstand_ins++;
		f->targets[f->ntargets++] = t;
		return (true);
	}
	return (false);
}

bool
flight_stand_in(struct flight *f)
{
	const struct conf_store *st = f->space->pool->conf;
	unsigned down = f->nleft_out;
	bool added = false;

	/* Who stands in has no part of the record, and what it is given would stay there. */
	if (st->on_down != ON_DOWN_FAILOVER || f->r->be.rec != NULL)
		return (false);
	for (unsigned i = 0; i < f->ntargets; i++)
		down += !f->targets[i].stand_in && !f->targets[i].ops->healthy(f->targets[i].be);
	while (f->nstand_ins < down && add_stand_in(f))
		added = true;
	return (added);
}

/* ---- the plan ---- */

static uint64_t
late_of(const struct flight *f, const struct target *t)
{
	const struct be_op *be = &f->r->be;
	struct be_op op = { .op = { .hash = be->op.hash }, .way = t->way, .format = be->format, .ns = be->ns,
	    .id = be->id, .item = be->item };

	op.op.key = be->op.key;
	return (t->ops->late == NULL ? 0 : t->ops->late(t->be, &op));
}

bool
flight_next_is_slow(const struct flight *f)
{
	return (f->tried < f->ntargets && late_of(f, &f->targets[f->tried]) > f->space->pool->conf->timeout / 2);
}

/* 0 well, 1 slow: its oldest request waits for longer than a hedge would, 2 down. */
static unsigned
rank_of(const struct flight *f, const struct target *t)
{
	if (!t->ops->healthy(t->be))
		return (2);
	if (f->space->hedger == NULL || f->behind)
		return (0);
	return (late_of(f, t) > hedger_delay(f->space->hedger));
}

static void
plan_add(struct flight *f, const struct target *t)
{
	f->targets[f->ntargets++] = *t;
}

/* By rank, else as they are. Down: only if all are, so that there is somebody whose error can be told. */
static void
plan_sorted(struct flight *f, const struct target *t, unsigned n)
{
	unsigned rank[FLIGHT_REPLICAS_MAX];

	for (unsigned i = 0; i < n; i++)
		rank[i] = rank_of(f, &t[i]);
	for (unsigned want = 0; want < 2; want++)
		for (unsigned i = 0; i < n; i++)
			if (rank[i] == want)
				plan_add(f, &t[i]);
	if (f->ntargets > 0)
		return;
	plan_add(f, &t[0]);
	/* Nobody waits for the error of one that is known to be down. */
	if (flight_stand_in(f)) {
		f->targets[0] = f->targets[1];
		f->ntargets = 1;
		f->nleft_out = 1;
	}
}

/* A raw value's unique is one server's own: who compares later compares where writes go first. */
static bool
has_own_unique(const struct flight *f)
{
	return (f->space->pool->conf->replicas > 1 && f->space->conf->format == FORMAT_RAW &&
	    (f->r->be.op.want & OPW_CAS) != 0);
}

/* The replicas that a store has inside, or other connections to the same server. */
static unsigned
ways_of(const struct flight *f, struct target *t)
{
	unsigned n = t->ops->ways == NULL ? 1 :
	    t->ops->ways(t->be, &f->r->be);

	if (n > FLIGHT_REPLICAS_MAX)
		n = FLIGHT_REPLICAS_MAX;
	for (unsigned i = 1; i < n; i++) {
		t[i] = t[0];
		t[i].way = (uint8_t)i;
	}
	return (n < 1 ? 1 : n);
}

static void
plan_read(struct flight *f)
{
	const struct pool *p = f->space->pool;
	const struct be_op *be = &f->r->be;
	struct target t[FLIGHT_REPLICAS_MAX];
	size_t chosen[FLIGHT_REPLICAS_MAX];
	unsigned n = replicas_of(p, route_place(be), be->op.hash, chosen), from = 0;

	f->behind = flight_is_behind(f) || has_own_unique(f);
	if (!f->behind && p->conf->read_from == READ_ANY)
		from = f->ctx->rotate++ % n;
	for (unsigned i = 0; i < n; i++)
		t[i] = target_of(p, chosen[(from + i) % n]);
	if (n == 1 && f->space->hedger != NULL && !f->behind)
		n = ways_of(f, t);
	plan_sorted(f, t, n);
}

static void
plan_write(struct flight *f)
{
	const struct pool *p = f->space->pool;
	const struct be_op *be = &f->r->be;
	size_t chosen[FLIGHT_REPLICAS_MAX];
	unsigned n = replicas_of(p, route_place(be), be->op.hash, chosen), kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct target t = target_of(p, chosen[i]);

		plan_add(f, &t);
	}
	if (!flight_stand_in(f))
		return;
	/* Those that are down have somebody else: out with them. */
	for (unsigned i = 0; i < f->ntargets; i++)
		if (i < n && f->nleft_out < f->nstand_ins && !f->targets[i].ops->healthy(f->targets[i].be))
			f->nleft_out++;
		else
			f->targets[kept++] = f->targets[i];
	f->ntargets = (uint8_t)kept;
}

void
flight_plan(struct flight *f)
{
	f->ntargets = 0;
	if (f->write)
		plan_write(f);
	else
		plan_read(f);
}

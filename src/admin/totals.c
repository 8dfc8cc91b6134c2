/*
 * totals.c - the counters of all workers summed, since `stats reset`.
 *
 * Sums are made of plain relaxed reads, one counter after the other: each is true, but two of them need not be
 * of the same moment.
 */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "admin/totals.h"
#include "base/check.h"

/* lock: shared.catalog */
struct totals_base {
	unsigned	 magic;
#define TOTALS_BASE_MAGIC	0x62617365u
	struct totals	 all;
};

#define READ(field)	atomic_load_explicit(&(field), memory_order_relaxed)

static const bool is_gauge[METRIC_COUNT] = {
#define COUNTER	false
#define GAUGE	true
#define METRIC(name, kind, prose)	[METRIC_##name] = kind,
#include "tbl/metrics.h"
#undef METRIC
#undef GAUGE
#undef COUNTER
};

struct totals_base *
totals_base_new(void)
{
	struct totals_base *b = calloc(1, sizeof *b);

	if (b != NULL)
		b->magic = TOTALS_BASE_MAGIC;
	return (b);
}

void
totals_base_free(struct totals_base **bp)
{
	struct totals_base *b;

	if (*bp == NULL)
		return;
	TAKE_OBJ_NOTNULL(b, bp, TOTALS_BASE_MAGIC);
	b->magic = 0;
	free(b);
}

static void
sum_all(const struct shared *sh, struct totals *t)
{
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		t->metric[i] = shared_metric(sh, i);
	t->rejected_conns = READ(sh->rejected_conns);
	t->listen_disabled = READ(sh->listen_disabled);
	cache_stats(sh->cache, &t->cache);
}

/* ---- namespaces ---- */

static void
ns_add(struct ns_totals *t, const struct ns_stats *ns)
{
	const struct ns_totals *was = ns->was;

#define NS_STAT(name, prose)	t->name += READ(ns->name) - (was != NULL ? was->name : 0);
#include "tbl/ns_stats.h"
#undef NS_STAT
}

void
totals_get_ns(struct shared *sh, const char *name, struct ns_totals *t)
{
	*t = (struct ns_totals){ 0 };
	pthread_mutex_lock(&sh->catalog);
	for (unsigned i = 0; i < sh->nworkers; i++) {
		const struct view *v = sh->workers[i]->view;

		for (unsigned n = 0; n < v->conf->nspaces; n++)
			if (strcmp(v->spaces[n].conf->name, name) == 0)
				ns_add(t, v->spaces[n].stats);
	}
	pthread_mutex_unlock(&sh->catalog);
}

/* Out of memory: it counts on. */
static void
ns_reset(struct ns_stats *ns)
{
	struct ns_totals *was = ns->was != NULL ? ns->was :
	    malloc(sizeof *was);

	if (was == NULL)
		return;
	*was = (struct ns_totals){ 0 };
	ns->was = NULL;
	ns_add(was, ns);
	ns->was = was;
}

/* ---- servers ---- */

/* Without the note. */
static void
server_sum(struct server_totals *t, const struct be_stats *st)
{
	enum be_state state = READ(st->state);

	t->requests += READ(st->requests);
	for (unsigned e = 0; e < ERR_COUNT; e++)
		t->errors[e] += READ(st->errors[e]);
	t->connects += READ(st->connects);
	t->disconnects += READ(st->disconnects);
	t->bytes_out += READ(st->bytes_out);
	t->bytes_in += READ(st->bytes_in);
	t->moved += READ(st->moved);
	t->asked += READ(st->asked);
	t->retried += READ(st->retried);
	t->maps += READ(st->maps);
	t->orphans += READ(st->orphans);
	t->inflight += READ(st->inflight);
	if (state == BE_UP || t->state == BE_DOWN)
		t->state = state;
	hist_merge(&t->latency, &st->latency);
}

static void
hist_subtract(struct hist *h, const struct hist *was)
{
	h->count -= was->count;
	h->sum -= was->sum;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		h->bucket[i] -= was->bucket[i];
}

static void
server_add(struct server_totals *t, const struct be_stats *st)
{
	const struct server_totals *was = st->was;

	server_sum(t, st);
	if (was == NULL)
		return;
	t->requests -= was->requests;
	for (unsigned e = 0; e < ERR_COUNT; e++)
		t->errors[e] -= was->errors[e];
	t->connects -= was->connects;
	t->disconnects -= was->disconnects;
	t->bytes_out -= was->bytes_out;
	t->bytes_in -= was->bytes_in;
	t->moved -= was->moved;
	t->asked -= was->asked;
	t->retried -= was->retried;
	t->maps -= was->maps;
	t->orphans -= was->orphans;
	hist_subtract(&t->latency, &was->latency);
}

static void
server_reset(void *arg, const char *name, struct be_stats *st)
{
	struct server_totals *was = st->was != NULL ? st->was :
	    malloc(sizeof *was);

	(void)arg;
	(void)name;
	if (was == NULL)
		return;
	*was = (struct server_totals){ .state = BE_DOWN };
	server_sum(was, st);
	st->was = was;
}

static void
pool_each(const struct pool *p, be_each_f *f, void *arg)
{
	for (unsigned i = 0; i < p->nservers; i++) {
		struct backend *b = p->servers[i];

		if ((p->ops->caps & BE_CAP_WHOLE) != 0)
			p->ops->each(b, f, arg);
		else
			f(arg, p->ops->server_name(b), p->ops->stats(b));
	}
}

static const struct pool *
pool_named(const struct view *v, const char *store)
{
	for (unsigned i = 0; i < v->npools; i++)
		if (strcmp(v->pools[i]->conf->name, store) == 0)
			return (v->pools[i]);
	return (NULL);
}

/* The servers of a store, each once. */
struct server_list {
	unsigned	 n, cap;
	struct server_row {
		const char	*name;
		struct server_totals t;
	}		*rows;
};

static void
list_add(void *arg, const char *name, struct be_stats *st)
{
	struct server_list *l = arg;
	struct server_row *more;
	unsigned i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->rows[i].name, name) == 0)
			break;
	if (i == l->cap) {
		more = realloc(l->rows, (2 * l->cap + 8) * sizeof *more);
		if (more == NULL)
			return;
		l->rows = more;
		l->cap = 2 * l->cap + 8;
	}
	if (i == l->n) {
		l->rows[i] = (struct server_row){ .name = name,
		    .t = { .state = BE_DOWN } };
		l->n++;
	}
	server_add(&l->rows[i].t, st);
}

void
totals_each_server(struct shared *sh, const char *store, totals_server_f *f,
    void *arg)
{
	struct server_list l = { 0 };

	pthread_mutex_lock(&sh->catalog);
	for (unsigned i = 0; i < sh->nworkers; i++) {
		const struct pool *p = pool_named(sh->workers[i]->view, store);

		if (p != NULL)
			pool_each(p, list_add, &l);
	}
	for (unsigned i = 0; i < l.n; i++)
		f(arg, l.rows[i].name, &l.rows[i].t);
	pthread_mutex_unlock(&sh->catalog);
	free(l.rows);
}

/* ---- all ---- */

void
totals_reset(struct shared *sh)
{
	struct totals_base *b = sh->base;

	pthread_mutex_lock(&sh->catalog);
	sum_all(sh, &b->all);
	for (unsigned i = 0; i < sh->nworkers; i++) {
		const struct view *v = sh->workers[i]->view;

		for (unsigned n = 0; n < v->conf->nspaces; n++)
			ns_reset(v->spaces[n].stats);
		for (unsigned n = 0; n < v->npools; n++)
			pool_each(v->pools[n], server_reset, NULL);
	}
	pthread_mutex_unlock(&sh->catalog);
}

void
totals_get(struct shared *sh, struct totals *t)
{
	struct totals_base *b = sh->base;
	const struct totals *was = &b->all;

	pthread_mutex_lock(&sh->catalog);
	sum_all(sh, t);
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		if (!is_gauge[i])
			t->metric[i] -= was->metric[i];
	t->rejected_conns -= was->rejected_conns;
	t->listen_disabled -= was->listen_disabled;
	t->cache.total_items -= was->cache.total_items;
	t->cache.evictions -= was->cache.evictions;
	t->cache.expired_unfetched -= was->cache.expired_unfetched;
	t->cache.evicted_unfetched -= was->cache.evicted_unfetched;
	t->cache.reclaimed -= was->cache.reclaimed;
	t->cache.reserved_failed -= was->cache.reserved_failed;
	t->cache.evicted_small -= was->cache.evicted_small;
	t->cache.moved -= was->cache.moved;
	t->cache.ghost_hits -= was->cache.ghost_hits;
	t->cache.corrupt -= was->cache.corrupt;
	pthread_mutex_unlock(&sh->catalog);
}

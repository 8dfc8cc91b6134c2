/*
 * totals.c - the counters of all workers summed, since `stats reset`.
 *
 * Sums are made of plain relaxed reads, one counter after the other: each is true, but two of them need not be
 * of the same moment. The lock is for the base alone; it is taken by readers and resets, never by who counts.
 */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>

#include "admin/totals.h"
#include "base/check.h"

struct totals_base {
	unsigned	 magic;
#define TOTALS_BASE_MAGIC	0x62617365u
	pthread_mutex_t	 lock;		/* of all below */
	struct totals	 all;
	struct ns_totals *ns;		/* per namespace */
	struct server_totals *servers;	/* per server of all stores, in their order */
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

static unsigned
count_servers(const struct conf *conf)
{
	unsigned n = 0;

	for (unsigned i = 0; i < conf->nstores; i++)
		n += conf->stores[i].nservers;
	return (n);
}

static unsigned
server_index(const struct conf *conf, unsigned store, unsigned server)
{
	for (unsigned i = 0; i < store; i++)
		server += conf->stores[i].nservers;
	return (server);
}

struct totals_base *
totals_base_new(const struct conf *conf)
{
	struct totals_base *b = calloc(1, sizeof *b);

	if (b == NULL)
		return (NULL);
	b->magic = TOTALS_BASE_MAGIC;
	pthread_mutex_init(&b->lock, NULL);
	b->ns = calloc(conf->nspaces, sizeof *b->ns);
	b->servers = calloc(count_servers(conf) + 1, sizeof *b->servers);
	if (b->ns == NULL || b->servers == NULL)
		totals_base_free(&b);
	return (b);
}

void
totals_base_free(struct totals_base **bp)
{
	struct totals_base *b;

	if (*bp == NULL)
		return;
	TAKE_OBJ_NOTNULL(b, bp, TOTALS_BASE_MAGIC);
	pthread_mutex_destroy(&b->lock);
	free(b->ns);
	free(b->servers);
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

static void
sum_ns(const struct shared *sh, unsigned space, struct ns_totals *t)
{
	*t = (struct ns_totals){ 0 };
	for (unsigned i = 0; i < sh->nworkers; i++) {
		const struct ns_stats *ns = &sh->workers[i]->ns[space];

#define NS_STAT(name, prose)	t->name += READ(ns->name);
#include "tbl/ns_stats.h"
#undef NS_STAT
	}
}

static void
sum_server(const struct shared *sh, unsigned store, unsigned server,
    struct server_totals *t)
{
	*t = (struct server_totals){ .state = BE_DOWN };
	for (unsigned i = 0; i < sh->nworkers; i++) {
		const struct pool *p = &sh->workers[i]->pools[store];
		const struct be_stats *st = p->ops->stats(p->servers[server]);
		enum be_state state = READ(st->state);

		t->requests += READ(st->requests);
		for (unsigned e = 0; e < ERR_COUNT; e++)
			t->errors[e] += READ(st->errors[e]);
		t->connects += READ(st->connects);
		t->disconnects += READ(st->disconnects);
		t->bytes_out += READ(st->bytes_out);
		t->bytes_in += READ(st->bytes_in);
		t->inflight += READ(st->inflight);
		if (state == BE_UP || (state == BE_CONNECTING &&
		    t->state == BE_DOWN))
			t->state = state;
		hist_merge(&t->latency, &st->latency);
	}
}

void
totals_reset(const struct shared *sh)
{
	struct totals_base *b = sh->base;
	unsigned n = 0;

	pthread_mutex_lock(&b->lock);
	sum_all(sh, &b->all);
	for (unsigned i = 0; i < sh->conf->nspaces; i++)
		sum_ns(sh, i, &b->ns[i]);
	for (unsigned i = 0; i < sh->conf->nstores; i++)
		for (unsigned j = 0; j < sh->conf->stores[i].nservers; j++)
			sum_server(sh, i, j, &b->servers[n++]);
	pthread_mutex_unlock(&b->lock);
}

void
totals_get(const struct shared *sh, struct totals *t)
{
	struct totals_base *b = sh->base;
	const struct totals *was = &b->all;

	pthread_mutex_lock(&b->lock);
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
	pthread_mutex_unlock(&b->lock);
}

void
totals_get_ns(const struct shared *sh, unsigned space, struct ns_totals *t)
{
	struct totals_base *b = sh->base;
	const struct ns_totals *was = &b->ns[space];

	pthread_mutex_lock(&b->lock);
	sum_ns(sh, space, t);
#define NS_STAT(name, prose)	t->name -= was->name;
#include "tbl/ns_stats.h"
#undef NS_STAT
	pthread_mutex_unlock(&b->lock);
}

static void
hist_subtract(struct hist *h, const struct hist *was)
{
	h->count -= was->count;
	h->sum -= was->sum;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		h->bucket[i] -= was->bucket[i];
}

void
totals_get_server(const struct shared *sh, unsigned store, unsigned server,
    struct server_totals *t)
{
	struct totals_base *b = sh->base;
	const struct server_totals *was =
	    &b->servers[server_index(sh->conf, store, server)];

	pthread_mutex_lock(&b->lock);
	sum_server(sh, store, server, t);
	t->requests -= was->requests;
	for (unsigned e = 0; e < ERR_COUNT; e++)
		t->errors[e] -= was->errors[e];
	t->connects -= was->connects;
	t->disconnects -= was->disconnects;
	t->bytes_out -= was->bytes_out;
	t->bytes_in -= was->bytes_in;
	hist_subtract(&t->latency, &was->latency);
	pthread_mutex_unlock(&b->lock);
}

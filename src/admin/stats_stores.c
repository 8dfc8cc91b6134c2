/*
 * stats_stores.c - what kvgate has beside memcached's statistics: its own counters, those of namespaces and of
 * the servers behind it. `STAT <counter> <value>`, `STAT <namespace>:<field> <value>`,
 * `STAT <store>:<server>:<field> <value>`.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "admin/internal.h"
#include "admin/totals.h"
#include "base/check.h"

static const char *const metric_names[METRIC_COUNT] = {
#define METRIC(name, kind, prose)	[METRIC_##name] = #name,
#include "tbl/metrics.h"
#undef METRIC
};

void
stats_kvgate(struct stats_out *o, const struct stats_args *a)
{
	struct totals t;

	totals_get(a->cl->ctx->shared, &t);
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		stats_u64(o, metric_names[i], t.metric[i]);
#define CACHE(name)	stats_u64(o, "cache_" #name, t.cache.name)
	CACHE(items);
	CACHE(total_items);
	CACHE(bytes);
	CACHE(value_bytes);
	CACHE(dead_bytes);
	CACHE(evictions);
	CACHE(expired_unfetched);
	CACHE(evicted_unfetched);
	CACHE(reclaimed);
	CACHE(reserved_failed);
	CACHE(slabs);
	CACHE(slabs_free);
	CACHE(slab_size);
	CACHE(index_bytes);
	CACHE(index_slots);
	CACHE(mem_limit);
	CACHE(mem_used);
	CACHE(oldest_age);
#undef CACHE
	stats_end(o);
}

static void
put_ns(struct stats_out *o, const struct conf_ns *ns,
    const struct ns_totals *t)
{
#define NS_STAT(field, prose)						\
	stats_line(o, "STAT %s:" #field " %" PRIu64, ns->name, t->field);
#include "tbl/ns_stats.h"
#undef NS_STAT
	stats_line(o, "STAT %s:prefix %.*s", ns->name, (int)ns->prefix_len,
	    ns->prefix_len > 0 ? ns->prefix : "");
	stats_line(o, "STAT %s:store %s", ns->name,
	    ns->primary != NULL ? ns->primary->name : "");
	stats_line(o, "STAT %s:local %s", ns->name, ns->local ? "yes" : "no");
	stats_line(o, "STAT %s:local_ttl_us %" PRIu64, ns->name,
	    ns->local_ttl);
}

void
stats_namespaces(struct stats_out *o, const struct stats_args *a)
{
	const struct ctx *ctx = a->cl->ctx;
	struct ns_totals t;

	for (unsigned i = 0; i < ctx->conf->nspaces; i++) {
		totals_get_ns(ctx->shared, ctx->conf->spaces[i].name, &t);
		put_ns(o, &ctx->conf->spaces[i], &t);
	}
	stats_end(o);
}

static const char *const state_names[] = {
	[BE_CONNECTING] = "connecting",
	[BE_UP] = "up",
	[BE_DOWN] = "down",
	[BE_TRIAL] = "trial",
};

static const char *const error_names[ERR_COUNT] = {
#define ERR(id, text, retryable)	[ERR_##id] = #id,
#include "tbl/errors.h"
#undef ERR
};

static void
put_server_errors(struct stats_out *o, const char *who,
    const struct server_totals *t)
{
	uint64_t sum = 0;

	for (unsigned e = ERR_NONE + 1; e < ERR_COUNT; e++)
		sum += t->errors[e];
	stats_line(o, "STAT %s:errors %" PRIu64, who, sum);
	for (unsigned e = ERR_NONE + 1; e < ERR_COUNT; e++) {
		char kind[32];
		size_t n = 0;

		for (const char *p = error_names[e]; *p != '\0' &&
		    n < sizeof kind - 1; p++)
			kind[n++] = *p == '_' ? '_' : (char)(*p | 0x20);
		kind[n] = '\0';
		stats_line(o, "STAT %s:errors_%s %" PRIu64, who, kind,
		    t->errors[e]);
	}
}

static void
put_server(struct stats_out *o, const char *who,
    const struct server_totals *t)
{
	static const struct {
		const char	*name;
		double		 p;
	} quantiles[] = {
		{ "p50", 0.50 }, { "p95", 0.95 }, { "p99", 0.99 },
		{ "p999", 0.999 }, { "max", 1.0 },
	};

	stats_line(o, "STAT %s:state %s", who, state_names[t->state]);
	stats_line(o, "STAT %s:requests %" PRIu64, who, t->requests);
	stats_line(o, "STAT %s:inflight %" PRIu64, who, t->inflight);
	put_server_errors(o, who, t);
	stats_line(o, "STAT %s:timeouts %" PRIu64, who,
	    t->errors[ERR_TIMEOUT]);
	stats_line(o, "STAT %s:connects %" PRIu64, who, t->connects);
	stats_line(o, "STAT %s:disconnects %" PRIu64, who, t->disconnects);
	stats_line(o, "STAT %s:bytes_out %" PRIu64, who, t->bytes_out);
	stats_line(o, "STAT %s:bytes_in %" PRIu64, who, t->bytes_in);
	for (size_t i = 0; i < NITEMS(quantiles); i++)
		stats_line(o, "STAT %s:latency_%s_us %" PRIu64, who,
		    quantiles[i].name,
		    hist_quantile(&t->latency, quantiles[i].p));
}

/* What only a cluster's servers say. */
static void
put_redirects(struct stats_out *o, const char *who, const struct server_totals *t)
{
	stats_line(o, "STAT %s:moved %" PRIu64, who, t->moved);
	stats_line(o, "STAT %s:asked %" PRIu64, who, t->asked);
	stats_line(o, "STAT %s:retried %" PRIu64, who, t->retried);
	stats_line(o, "STAT %s:maps %" PRIu64, who, t->maps);
}

struct servers {
	struct stats_out	*o;
	const struct conf_store	*store;
};

static void
put_named(void *arg, const char *server, const struct server_totals *t)
{
	const struct servers *s = arg;
	char who[512];

	snprintf(who, sizeof who, "%s:%s", s->store->name, server);
	put_server(s->o, who, t);
	if (s->store->kind == STORE_REDIS || s->store->kind == STORE_REDIS_CLUSTER)
		stats_line(s->o, "STAT %s:orphans %" PRIu64, who, t->orphans);
	if (s->store->kind == STORE_REDIS_CLUSTER)
		put_redirects(s->o, who, t);
}

struct told {
	struct stats_out	*o;
	const char		*store;
};

static void
put_told(void *arg, const char *name, uint64_t value)
{
	const struct told *t = arg;

	stats_line(t->o, "STAT %s:%s %" PRIu64, t->store, name, value);
}

/* What a store says of itself as a whole. */
static void
put_whole(struct stats_out *o, const struct ctx *ctx, const char *store)
{
	const struct view *v = ctx->view;
	struct told t = { o, store };

	for (unsigned i = 0; i < v->npools; i++)
		if (v->pools[i]->ops->tell != NULL && strcmp(v->pools[i]->conf->name, store) == 0)
			v->pools[i]->ops->tell(v->pools[i]->servers[0], put_told, &t);
}

void
stats_servers(struct stats_out *o, const struct stats_args *a)
{
	const struct ctx *ctx = a->cl->ctx;
	struct servers s = { .o = o };

	for (unsigned i = 0; i < ctx->conf->nstores; i++) {
		s.store = &ctx->conf->stores[i];
		totals_each_server(ctx->shared, s.store->name, put_named, &s);
		put_whole(o, ctx, s.store->name);
	}
	stats_end(o);
}

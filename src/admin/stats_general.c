/*
 * stats_general.c - plain `stats`: memcached's names in memcached's order.
 *
 * Tools look for names they know and some fail where one is missing, so what has no counterpart in kvgate
 * is there with the value of a memcached in which it never happens. The whole answer stays below 4,096
 * bytes; kvgate's own counters have `stats kvgate`.
 */
#include "config.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "admin/internal.h"
#include "admin/totals.h"
#include "base/check.h"
#include "req/watch.h"

struct general {
	struct shared	*sh;
	const struct conf *conf;
	const struct totals *t;
	struct rusage	 ru;
	struct watch_stats watch;
};

typedef void row_f(struct stats_out *, const char *name,
    const struct general *);

static void
row_pid(struct stats_out *o, const char *name, const struct general *g)
{
	(void)g;
	stats_u64(o, name, (uint64_t)getpid());
}

static void
row_uptime(struct stats_out *o, const char *name, const struct general *g)
{
	/* Never 0, which some would divide by: the clock starts at 2, as memcached's does. */
	stats_u64(o, name, cache_now(g->sh->cache));
}

static void
row_time(struct stats_out *o, const char *name, const struct general *g)
{
	stats_u64(o, name, (uint64_t)g->sh->started +
	    cache_now(g->sh->cache));
}

static void
row_version(struct stats_out *o, const char *name, const struct general *g)
{
	(void)g;
	stats_str(o, name, KVGATE_VERSION);
}

static void
row_libevent(struct stats_out *o, const char *name, const struct general *g)
{
	(void)g;
	stats_str(o, name, event_get_version());
}

static void
row_pointer_size(struct stats_out *o, const char *name,
    const struct general *g)
{
	(void)g;
	stats_u64(o, name, 8 * sizeof(void *));
}

static void
put_timeval(struct stats_out *o, const char *name, struct timeval tv)
{
	stats_line(o, "STAT %s %jd.%06ld", name, (intmax_t)tv.tv_sec,
	    (long)tv.tv_usec);
}

static void
row_rusage_user(struct stats_out *o, const char *name,
    const struct general *g)
{
	put_timeval(o, name, g->ru.ru_utime);
}

static void
row_rusage_system(struct stats_out *o, const char *name,
    const struct general *g)
{
	put_timeval(o, name, g->ru.ru_stime);
}

static void
row_max_connections(struct stats_out *o, const char *name,
    const struct general *g)
{
	stats_u64(o, name, g->conf->maxconns);
}

static void
row_rejected(struct stats_out *o, const char *name, const struct general *g)
{
	stats_u64(o, name, g->t->rejected_conns);
}

static void
row_structures(struct stats_out *o, const char *name,
    const struct general *g)
{
	stats_u64(o, name, g->t->metric[METRIC_curr_connections] +
	    g->conf->nlistens);
}

/* Answers that wait for a store are what comes nearest to memcached's response objects. */
static void
row_inflight(struct stats_out *o, const char *name, const struct general *g)
{
	stats_u64(o, name, g->t->metric[METRIC_requests_inflight]);
}

static void
row_idle_kicks(struct stats_out *o, const char *name,
    const struct general *g)
{
	if (g->conf->idle_timeout > 0)
		stats_u64(o, name, g->t->metric[METRIC_idle_kicks]);
}

static void
row_accepting(struct stats_out *o, const char *name, const struct general *g)
{
	stats_u64(o, name, atomic_load(&g->sh->accepting));
}

static void
row_listen_disabled(struct stats_out *o, const char *name,
    const struct general *g)
{
	stats_u64(o, name, g->t->listen_disabled);
}

static void
row_threads(struct stats_out *o, const char *name, const struct general *g)
{
	stats_u64(o, name, g->sh->nworkers);
}

/* Whole powers only, as memcached's table has. */
static void
row_hash_power(struct stats_out *o, const char *name,
    const struct general *g)
{
	uint64_t slots = g->t->cache.index_slots;

	stats_u64(o, name, slots == 0 ? 0 : 63 - (unsigned)
	    __builtin_clzll(slots));
}

static void
row_log_written(struct stats_out *o, const char *name,
    const struct general *g)
{
	stats_u64(o, name, g->watch.written);
}

static void
row_log_skipped(struct stats_out *o, const char *name,
    const struct general *g)
{
	stats_u64(o, name, g->watch.skipped);
}

static void
row_log_sent(struct stats_out *o, const char *name, const struct general *g)
{
	stats_u64(o, name, g->watch.sent);
}

static void
row_log_watchers(struct stats_out *o, const char *name,
    const struct general *g)
{
	stats_u64(o, name, g->watch.watchers);
}

static void
row_none(struct stats_out *o, const char *name, const struct general *g)
{
	(void)g;
	stats_str(o, name, "none");
}

enum row_kind { ROW_METRIC, ROW_CACHE, ROW_ZERO, ROW_FN };

static const struct row {
	const char	*name;
	enum row_kind	 kind;
	size_t		 at;		/* ROW_METRIC: enum metric_id; ROW_CACHE: offset in struct cache_stats */
	row_f		*fn;
} rows[] = {
#define METRIC_ROW(name)	{ #name, ROW_METRIC, METRIC_##name, NULL },
#define CACHE_ROW(name, field)						\
	{ #name, ROW_CACHE, offsetof(struct cache_stats, field), NULL },
#define ZERO_ROW(name)		{ #name, ROW_ZERO, 0, NULL },
#define FN_ROW(name, fn)	{ #name, ROW_FN, 0, fn },
#include "tbl/stats.h"
#undef METRIC_ROW
#undef CACHE_ROW
#undef ZERO_ROW
#undef FN_ROW
};

static void
put_row(struct stats_out *o, const struct row *row, const struct general *g)
{
	const char *cache = (const char *)&g->t->cache;

	switch (row->kind) {
	case ROW_METRIC:
		stats_u64(o, row->name, g->t->metric[row->at]);
		break;
	case ROW_CACHE:
		stats_u64(o, row->name,
		    *(const uint64_t *)(const void *)(cache + row->at));
		break;
	case ROW_ZERO:
		stats_u64(o, row->name, 0);
		break;
	case ROW_FN:
		row->fn(o, row->name, g);
		break;
	}
}

void
stats_general(struct stats_out *o, const struct stats_args *a)
{
	struct totals t;
	struct general g = { .sh = a->cl->ctx->shared,
	    .conf = a->cl->ctx->conf, .t = &t };

	totals_get(g.sh, &t);
	getrusage(RUSAGE_SELF, &g.ru);
	watch_get_stats(a->cl->ctx->shared, &g.watch);
	for (size_t i = 0; i < NITEMS(rows); i++)
		put_row(o, &rows[i], &g);
	stats_end(o);
}

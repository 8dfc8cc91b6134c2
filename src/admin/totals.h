/*
 * totals.h - the counters of all workers summed, since `stats reset`.
 *
 * Each worker alone writes its counters, so a reset cannot clear them: it notes what they are, and the note is
 * subtracted from what is read later. The note hangs on what it is about (ns_stats.was, be_stats.was), so it comes
 * and goes with that when the configuration changes. Gauges are not touched by it. Any thread.
 */
#ifndef ADMIN_TOTALS_H
#define ADMIN_TOTALS_H

#include <stdint.h>

#include "backend/backend.h"
#include "cache/cache.h"
#include "obs/hist.h"
#include "obs/metric.h"
#include "req/ctx.h"

struct totals_base;

struct totals {
	uint64_t	 metric[METRIC_COUNT];
	uint64_t	 rejected_conns, listen_disabled;
	struct cache_stats cache;
};

/* One namespace; tbl/ns_stats.h has the rows. */
struct ns_totals {
#define NS_STAT(name, prose)	uint64_t name;
#include "tbl/ns_stats.h"
#undef NS_STAT
};

/* One server of a store, all workers' connections to it. */
struct server_totals {
	uint64_t	 requests, errors[ERR_COUNT], connects, disconnects, bytes_out, bytes_in;
	uint64_t	 moved, asked, retried, maps;	/* redis-cluster */
	uint64_t	 orphans;	/* redis, redis-cluster */
	uint64_t	 inflight;
	enum be_state	 state;		/* the best that any worker has */
	struct hist	 latency;
};

/* NULL: out of memory. */
struct totals_base *totals_base_new(void);
void		 totals_base_free(struct totals_base **);
/* `stats reset`: from here on all counters count from 0. */
void		 totals_reset(struct shared *);

void		 totals_get(struct shared *, struct totals *);
/* By the namespace's name; zeros where no worker has it. */
void		 totals_get_ns(struct shared *, const char *name, struct ns_totals *);
/* Calls f for each server of a store that any worker knows, in the order of the first's. */
typedef void	 totals_server_f(void *arg, const char *server, const struct server_totals *);
void		 totals_each_server(struct shared *, const char *store, totals_server_f *, void *arg);

#endif

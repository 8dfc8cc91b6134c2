/*
 * totals.h - the counters of all workers summed, since `stats reset`.
 *
 * Each worker alone writes its counters, so a reset cannot clear them: it notes what they are, and the note is
 * subtracted from what is read later. Gauges are not touched by it. Any thread.
 */
#ifndef ADMIN_TOTALS_H
#define ADMIN_TOTALS_H

#include <stdint.h>

#include "cache/cache.h"
#include "obs/metric.h"
#include "req/ctx.h"

struct totals {
	uint64_t	 metric[METRIC_COUNT];
	uint64_t	 rejected_conns, listen_disabled;
	struct cache_stats cache;
};

void		 totals_get(const struct shared *, struct totals *);

#endif

/* totals.c - the counters of all workers summed, since `stats reset`. */
#include "config.h"

#include "admin/totals.h"

void
totals_get(const struct shared *sh, struct totals *t)
{
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		t->metric[i] = shared_metric(sh, i);
	t->rejected_conns = atomic_load(&sh->rejected_conns);
	t->listen_disabled = atomic_load(&sh->listen_disabled);
	cache_stats(sh->cache, &t->cache);
}

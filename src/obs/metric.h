/*
 * metric.h - a worker's counters.
 *
 * One writer (the worker's thread), any reader: relaxed loads and stores, no locked instruction. Rows are
 * in tbl/metrics.h.
 */
#ifndef OBS_METRIC_H
#define OBS_METRIC_H

#include <stdatomic.h>
#include <stdint.h>

enum metric_id {
#define METRIC(name, kind, prose)	METRIC_##name,
#include "tbl/metrics.h"
#undef METRIC
	METRIC_COUNT
};

struct metrics {
	_Atomic uint64_t v[METRIC_COUNT];
};

#define METRIC_ADD(m, name, n)						\
	atomic_store_explicit(&(m)->v[METRIC_##name],			\
	    atomic_load_explicit(&(m)->v[METRIC_##name],		\
	    memory_order_relaxed) + (uint64_t)(n), memory_order_relaxed)
#define METRIC_SUB(m, name, n)						\
	atomic_store_explicit(&(m)->v[METRIC_##name],			\
	    atomic_load_explicit(&(m)->v[METRIC_##name],		\
	    memory_order_relaxed) - (uint64_t)(n), memory_order_relaxed)
#define METRIC_GET(m, name)						\
	atomic_load_explicit(&(m)->v[METRIC_##name], memory_order_relaxed)

#endif

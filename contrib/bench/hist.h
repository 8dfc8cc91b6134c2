/*
 * hist.h - latency histogram, log-linear.
 *
 * Every power of two is cut into HIST_SUB equal buckets, so a percentile is at
 * most 1/HIST_SUB (1.6 %) above the true one at any scale from 1 ns to hours.
 * Not thread safe: one per thread, merged when the threads are gone.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS	6
#define HIST_SUB	(1u << HIST_SUB_BITS)
#define HIST_BUCKETS	((64 - HIST_SUB_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t	count;
	uint64_t	sum;
	uint64_t	max;
	uint64_t	bucket[HIST_BUCKETS];
};

void		hist_add(struct hist *, uint64_t ns);
void		hist_merge(struct hist *into, const struct hist *from);
/* The value that share of the samples (0..1) does not exceed; 0 when empty. */
uint64_t	hist_quantile(const struct hist *, double share);
double		hist_mean(const struct hist *);

#endif

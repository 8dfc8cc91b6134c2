/*
 * hist.h - latency histogram: log-linear buckets, 16 per power of two, so within 6 % of the truth.
 *
 * One writer, any reader: plain relaxed loads and stores. 0 to ~67 s in microseconds; larger ones count as the
 * largest. 3 KiB each, made on first use by nobody: it is inside its owner.
 */
#ifndef OBS_HIST_H
#define OBS_HIST_H

#include <stdint.h>

#define HIST_SUB	16
#define HIST_BUCKETS	((26 - 4 + 2) * HIST_SUB)

struct hist {
	_Atomic uint64_t count;
	_Atomic uint64_t sum;
	_Atomic uint32_t bucket[HIST_BUCKETS];
};

/* The writer's thread only. */
void		 hist_add(struct hist *, uint64_t usec);
/* Any thread: adds src to the (private) dst. */
void		 hist_merge(struct hist *dst, const struct hist *src);
/* p in 0..1; the upper end of the bucket that holds it; 0 when empty. */
uint64_t	 hist_quantile(const struct hist *, double p);

#endif

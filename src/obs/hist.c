/*
 * hist.c - log-linear histogram.
 *
 * Values below 16 have a bucket each; above, the top bit picks the row and the next four bits the column.
 */
#include "config.h"

#include <stdatomic.h>

#include "obs/hist.h"

static unsigned
hist_index(uint64_t v)
{
	unsigned top, i;

	if (v < HIST_SUB)
		return ((unsigned)v);
	top = 63 - (unsigned)__builtin_clzll(v);
	i = (top - 3) * HIST_SUB + (unsigned)((v >> (top - 4)) & (HIST_SUB - 1));
	return (i < HIST_BUCKETS ? i : HIST_BUCKETS - 1);
}

static uint64_t
hist_upper(unsigned i)
{
	unsigned row = i / HIST_SUB, col = i % HIST_SUB;

	if (row == 0)
		return (i);
	return (((uint64_t)(HIST_SUB + col + 1) << (row - 1)) - 1);
}

void
hist_add(struct hist *h, uint64_t usec)
{
	unsigned i = hist_index(usec);

#define BUMP(f, n)	atomic_store_explicit(&(f),			\
	    atomic_load_explicit(&(f), memory_order_relaxed) + (n),	\
	    memory_order_relaxed)
	BUMP(h->bucket[i], 1);
	BUMP(h->count, 1);
	BUMP(h->sum, usec);
#undef BUMP
}

void
hist_merge(struct hist *dst, const struct hist *src)
{
	dst->count += atomic_load_explicit(&src->count, memory_order_relaxed);
	dst->sum += atomic_load_explicit(&src->sum, memory_order_relaxed);
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		dst->bucket[i] += atomic_load_explicit(&src->bucket[i],
		    memory_order_relaxed);
}

uint64_t
hist_quantile(const struct hist *h, double p)
{
	uint64_t total = 0, want, seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		total += atomic_load_explicit(&h->bucket[i],
		    memory_order_relaxed);
	if (total == 0)
		return (0);
	want = (uint64_t)(p * (double)total);
	if (want >= total)
		want = total - 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += atomic_load_explicit(&h->bucket[i],
		    memory_order_relaxed);
		if (seen > want)
			return (hist_upper(i));
	}
	return (hist_upper(HIST_BUCKETS - 1));
}

/*
 * hist.c - latency histogram, log-linear.
 *
 * Values below HIST_SUB have a bucket each. Above, the bucket is the position
 * of the highest bit and the HIST_SUB_BITS bits that follow it: no loop, no
 * table, one increment per sample.
 */
#include "config.h"

#include "hist.h"

static unsigned
hist_index(uint64_t v)
{
	unsigned shift;

	if (v < HIST_SUB)
		return (unsigned)v;
	shift = 63u - (unsigned)__builtin_clzll(v) - HIST_SUB_BITS;
	return (shift + 1) * HIST_SUB + (unsigned)((v >> shift) - HIST_SUB);
}

/* The largest value that falls into the bucket. */
static uint64_t
hist_upper(unsigned index)
{
	unsigned shift;

	if (index < HIST_SUB)
		return index;
	shift = index / HIST_SUB - 1;
	return (((uint64_t)HIST_SUB + index % HIST_SUB + 1) << shift) - 1;
}

void
hist_add(struct hist *h, uint64_t ns)
{
	h->count++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
	h->bucket[hist_index(ns)]++;
}

void
hist_merge(struct hist *into, const struct hist *from)
{
	into->count += from->count;
	into->sum += from->sum;
	if (from->max > into->max)
		into->max = from->max;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
}

uint64_t
hist_quantile(const struct hist *h, double share)
{
	uint64_t want, seen = 0, upper;

	if (h->count == 0)
		return 0;
	want = (uint64_t)(share * (double)h->count + 0.5);
	if (want == 0)
		want = 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= want) {
			upper = hist_upper(i);
			return upper < h->max ? upper : h->max;
		}
	}
	return h->max;
}

double
hist_mean(const struct hist *h)
{
	return h->count == 0 ? 0.0 : (double)h->sum / (double)h->count;
}

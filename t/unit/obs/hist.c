/* Unit tests of src/obs/hist.c. */
#include "obs/hist.c"
#include "tap.h"

static void
buckets_hold_what_they_say(void)
{
	unsigned bad = 0;

	for (uint64_t v = 0; v < 70000000; v += v < 5000 ? 1 : v / 997) {
		uint64_t up = hist_upper(hist_index(v));

		if (hist_index(v) < HIST_BUCKETS - 1)
			bad += up < v || up - v > v / 16;
	}
	is_u(bad, 0, "every value is within a sixteenth below its bucket's end");
}

static void
quantiles_of_a_known_set(void)
{
	static struct hist h, sum;

	is_u(hist_quantile(&h, 0.5), 0, "an empty histogram says 0");
	for (uint64_t i = 1; i <= 1000; i++)
		hist_add(&h, i);
	ok(hist_quantile(&h, 0.5) >= 500 && hist_quantile(&h, 0.5) <= 532, "median");
	ok(hist_quantile(&h, 0.99) >= 990 && hist_quantile(&h, 0.99) <= 1056, "99th percentile");
	ok(hist_quantile(&h, 1.0) >= 1000, "maximum");
	hist_merge(&sum, &h);
	hist_merge(&sum, &h);
	is_u(sum.count, 2000, "merged counts add up");
	hist_add(&h, UINT64_MAX);
	ok(hist_quantile(&h, 1.0) > 60000000, "what is too large counts as the largest");
}

int
main(void)
{
	buckets_hold_what_they_say();
	quantiles_of_a_known_set();
	return (done_testing());
}

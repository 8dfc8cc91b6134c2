/* Unit tests of src/req/prefix.c. */
#include "req/prefix.c"
#include "tap.h"

#include <stdio.h>

struct sum {
	unsigned	 n;
	struct prefix_counts all;
	char		 last[64];
	unsigned	 max;
};

static bool
add_up(void *arg, struct slice prefix, const struct prefix_counts *n)
{
	struct sum *s = arg;

	s->all.gets += n->gets;
	s->all.hits += n->hits;
	s->all.sets += n->sets;
	s->all.deletes += n->deletes;
	snprintf(s->last, sizeof s->last, "%.*s", (int)prefix.len, prefix.p);
	return (++s->n < s->max);
}

static struct sum
total(struct prefixes *ps, unsigned max)
{
	struct sum s = { .max = max };

	prefixes_each(ps, add_up, &s);
	return (s);
}

static void
keys_count_for_what_is_before_the_first_delimiter(void)
{
	static const struct prefix_counts get = { .gets = 1 },
	    hit = { .gets = 1, .hits = 1 }, set = { .sets = 1 },
	    del = { .deletes = 1 };
	struct prefixes *ps = prefixes_new(':');
	struct sum s;

	prefixes_add(ps, SLICE_LIT("no delimiter"), &get);
	is_u(total(ps, 10).n, 0, "a key without a delimiter has no prefix");
	prefixes_add(ps, SLICE_LIT("user:1:name"), &get);
	prefixes_add(ps, SLICE_LIT("user:2"), &hit);
	prefixes_add(ps, SLICE_LIT("user:"), &set);
	s = total(ps, 10);
	is_u(s.n, 1, "three keys of one prefix");
	is_s(s.last, "user", "which is its name");
	ok(s.all.gets == 2 && s.all.hits == 1 && s.all.sets == 1 && s.all.deletes == 0, "what was done with them");
	prefixes_add(ps, SLICE_LIT(":x"), &del);
	prefixes_add(ps, SLICE_LIT("use:x"), &del);
	is_u(total(ps, 10).n, 3, "an empty prefix and a beginning of another are two more");
	is_u(total(ps, 2).n, 2, "who lists them may stop");
	prefixes_clear(ps);
	is_u(total(ps, 10).n, 0, "all forgotten");
	prefixes_free(&ps);
	ok(ps == NULL, "freed");
}

static void
there_is_a_limit(void)
{
	static const struct prefix_counts get = { .gets = 1 };
	struct prefixes *ps = prefixes_new('/');
	struct sum s;

	for (unsigned i = 0; i < PREFIXES_MAX + 100; i++) {
		char key[32];
		int n = snprintf(key, sizeof key, "%u/x", i);

		prefixes_add(ps, slice_of(key, (size_t)n), &get);
	}
	s = total(ps, UINT32_MAX);
	is_u(s.n, PREFIXES_MAX, "so many prefixes and no more");
	prefixes_add(ps, SLICE_LIT("0/y"), &get);
	is_u(total(ps, UINT32_MAX).all.gets, PREFIXES_MAX + 1, "those that are there still count");
	prefixes_free(&ps);
}

int
main(void)
{
	keys_count_for_what_is_before_the_first_delimiter();
	there_is_a_limit();
	return (done_testing());
}

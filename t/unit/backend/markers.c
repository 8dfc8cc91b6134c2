/* Unit tests of src/backend/markers.c: against an array of ranges, looked at one by one. */
#include "backend/markers.c"

#include <stdio.h>
#include <stdlib.h>

#include "tap.h"

#define RANGES	24

static uint64_t rnd_state = 88172645463325252u;

static uint32_t
rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return ((uint32_t)(rnd_state * 0x2545f4914f6cdd1dull >> 33) % below);
}

static char room[2][MARKERS_LEN_MAX];

/* ---- bounds ---- */

static void
range(const char *from, const char *until, struct slice head, const char *want)
{
	struct rec_which w = { .head = head };
	char buf[REC_KEY_MAX], got[100] = "nothing";
	struct slice f, u;

	w.from = from != NULL ? slice_str(from) : SLICE_NULL;
	w.until = until != NULL ? slice_str(until) : SLICE_NULL;
	if (markers_range(&w, buf, &f, &u))
		snprintf(got, sizeof got, "%.*s..%.*s", (int)f.len, f.p, u.p != NULL ? (int)u.len : 3,
		    u.p != NULL ? u.p : "end");
	is_s(got, want, "from %s until %s head %.*s", from != NULL ? from : "-", until != NULL ? until : "-",
	    (int)head.len, head.len > 0 ? head.p : "");
}

static void
bounds_and_heads_intersect(void)
{
	range(NULL, NULL, SLICE_NULL, "..end");
	range(NULL, NULL, SLICE_LIT(""), "..end");
	range("b", "d", SLICE_NULL, "b..d");
	range("b", "b", SLICE_NULL, "nothing");
	range("d", "b", SLICE_NULL, "nothing");
	range(NULL, "", SLICE_NULL, "nothing");
	range(NULL, NULL, SLICE_LIT("ab"), "ab..ac");
	range("aa", "abx", SLICE_LIT("ab"), "ab..abx");
	range("aba", "b", SLICE_LIT("ab"), "aba..ac");
	range("ac", NULL, SLICE_LIT("ab"), "nothing");
	range(NULL, "ab", SLICE_LIT("ab"), "nothing");
	range(NULL, NULL, SLICE_LIT("a\xff"), "a\xff..b");
	range(NULL, NULL, SLICE_LIT("\xff\xff"), "\xff\xff..end");
	range(NULL, "\xff\xff\xff", SLICE_LIT("\xff\xff"), "\xff\xff..\xff\xff\xff");
}

/* ---- lists against a plain array ---- */

static struct marker plain[RANGES];
static unsigned nplain;
static char names[RANGES][2][4];

static struct slice
random_key(char *buf)
{
	size_t len = rnd(4);

	for (size_t i = 0; i < len; i++)
		buf[i] = (char)("\0ab\xff"[rnd(4)]);
	return (slice_of(buf, len));
}

static void
random_marker(struct marker *m, unsigned i)
{
	memset(m, 0, sizeof *m);
	do {
		m->from = rnd(4) == 0 ? SLICE_LIT("") : random_key(names[i][0]);
		m->until = rnd(4) == 0 ? SLICE_NULL : random_key(names[i][1]);
	} while (!before_end(m->from, m->until));
	m->stamp.version = 1 + rnd(6);
	m->stamp.nonce[NONCE_LEN - 1] = (uint8_t)rnd(2);
	m->keep = rnd(10);
}

static const struct stamp *
newest_of_plain(struct slice key)
{
	const struct stamp *best = NULL;

	for (unsigned i = 0; i < nplain; i++)
		if (slice_cmp(plain[i].from, key) <= 0 && before_end(key, plain[i].until) &&
		    (best == NULL || stamp_cmp(&plain[i].stamp, best) > 0))
			best = &plain[i].stamp;
	return (best);
}

static bool
same(const struct stamp *a, const struct stamp *b)
{
	return (a == NULL ? b == NULL : b != NULL && stamp_cmp(a, b) == 0);
}

/* All keys of up to three of the four bytes, in order. */
static unsigned
all_keys(char keys[85][4], struct slice list[85])
{
	static const char bytes[] = { 0, 'a', 'b', (char)0xff };
	unsigned n = 0;

	list[n] = slice_of(keys[n], 0);
	n++;
	for (unsigned a = 0; a < 4; a++)
		for (int b = -1; b < 4; b++)
			for (int c = -1; c < (b < 0 ? 0 : 4); c++) {
				keys[n][0] = bytes[a];
				keys[n][1] = b < 0 ? 0 : bytes[b];
				keys[n][2] = c < 0 ? 0 : bytes[c];
				list[n] = slice_of(keys[n], 1u + (b >= 0) + (c >= 0));
				n++;
			}
	return (n);
}

static bool
answers_agree(struct slice list)
{
	char keys[85][4];
	struct slice key[85];
	unsigned n = all_keys(keys, key);
	struct markers_at up, down, any;
	struct stamp s;
	bool good = true;

	markers_begin(&up, list);
	markers_begin(&down, list);
	markers_begin(&any, list);
	for (unsigned i = 0; i < n; i++) {
		unsigned r = rnd(n);

		good &= same(markers_find(list, key[i], &s) ? &s : NULL, newest_of_plain(key[i]));
		good &= same(markers_at(&up, key[i]), newest_of_plain(key[i]));
		good &= same(markers_at(&down, key[n - 1 - i]), newest_of_plain(key[n - 1 - i]));
		good &= same(markers_at(&any, key[r]), newest_of_plain(key[r]));
	}
	return (good);
}

/* What each marker was to be kept for is kept, wherever it is the newest. */
static bool
keeps_agree(struct slice list)
{
	for (unsigned i = 0; i < nplain; i++) {
		struct marker m;
		bool seen = false;

		for (size_t at = 0; markers_next(list, &at, &m);)
			if (slice_cmp(m.from, plain[i].from) <= 0 && before_end(plain[i].from, m.until))
				seen = m.keep >= plain[i].keep && stamp_cmp(&m.stamp, &plain[i].stamp) >= 0;
		if (!seen)
			return (false);
	}
	return (true);
}

static bool
all_agrees(struct slice list)
{
	char keys[85][4];
	struct slice key[85];
	unsigned n = all_keys(keys, key);
	struct stamp oldest;
	bool all = markers_all(list, &oldest), found = false;

	for (unsigned i = 0; i < n; i++) {
		const struct stamp *s = newest_of_plain(key[i]);

		if (all && (s == NULL || stamp_cmp(s, &oldest) < 0))
			return (false);
		found |= all && stamp_cmp(s, &oldest) == 0;
	}
	return (found == all);
}

static bool
whole_is_seen(void)
{
	struct stamp oldest;

	for (unsigned i = 0; i < nplain; i++)
		if (plain[i].from.len == 0 && plain[i].until.p == NULL)
			return (true);
	return (nplain > 1 || !markers_all(SLICE_NULL, &oldest));
}

static void
lists_say_what_single_ranges_do(void)
{
	bool good = true, valid = true, kept = true, all = true;

	for (unsigned round = 0; round < 3000; round++) {
		struct slice list = SLICE_NULL;

		for (nplain = 0; nplain < RANGES; nplain++) {
			size_t len;

			random_marker(&plain[nplain], nplain);
			len = markers_add(list, &plain[nplain], room[nplain % 2]);
			list = slice_of(room[nplain % 2], len);
			if (rnd(4) == 0)
				break;
		}
		nplain += nplain < RANGES;
		valid &= markers_valid(list) && list.len > 0;
		good &= answers_agree(list);
		kept &= keeps_agree(list);
		all &= all_agrees(list) && whole_is_seen();
	}
	ok(valid, "lists are lists");
	ok(good, "the newest marker is found: at once, upwards, downwards and anywhere");
	ok(kept, "markers are kept as long as each of them had to be");
	ok(all, "whether all is covered, and by which stamp at least");
}

/* ---- length ---- */

static unsigned
count(struct slice list)
{
	struct marker m;
	unsigned n = 0;

	for (size_t at = 0; markers_next(list, &at, &m);)
		n++;
	return (n);
}

static struct slice
add(struct slice list, const char *from, const char *until, uint64_t version, uint64_t keep)
{
	struct marker m = { .from = slice_str(from), .until = until != NULL ? slice_str(until) : SLICE_NULL,
		.stamp = { .version = version }, .keep = keep };
	char *dst = list.p == room[0] ? room[1] : room[0];

	return (slice_of(dst, markers_add(list, &m, dst)));
}

static void
what_others_cover_is_gone(void)
{
	struct slice list = SLICE_NULL;
	struct marker m;
	size_t at = 0;

	for (unsigned i = 0; i < 100; i++) {
		char until[8];

		snprintf(until, sizeof until, "%03u", i);
		list = add(list, "", until, i, 50);
	}
	is_u(count(list), 1, "a queue that is cut from its begin is one marker");
	list = add(list, "0", "5", 3, 99);
	is_u(count(list), 2, "an older one counts where there is none");
	ok(markers_next(list, &at, &m) && m.keep == 99, "and is known as long as it has to be");
	list = add(list, "", NULL, 1000, 50);
	is_u(count(list), 1, "a record's delete is the only marker");
	is_u(count(add(list, "a", "b", 999, 50)), 1, "and nothing older adds to it");
	is_u(markers_add(list, &(struct marker){ .from = SLICE_LIT("b"), .until = SLICE_LIT("b") }, room[0]),
	    list.len, "an empty range adds nothing");
}

static bool
below_f(void *arg, const struct marker *m)
{
	return (m->from.p[0] < *(const char *)arg);
}

static void
markers_are_forgotten(void)
{
	struct slice list = SLICE_NULL;
	char below = 'c';
	char dst[64 * 1024];

	list = add(list, "a", "b", 1, 10);
	list = add(list, "c", "d", 2, 20);
	list = add(list, "e", "f", 3, 10);
	is_u(count(slice_of(dst, markers_drop(list, 9, NULL, NULL, dst))), 3, "not before their time");
	is_u(count(slice_of(dst, markers_drop(list, 10, NULL, NULL, dst))), 1, "then");
	is_u(count(slice_of(dst, markers_drop(list, 10, below_f, &below, dst))), 2, "if the caller agrees");
	is_u(markers_drop(list, 20, NULL, NULL, dst), 0, "an empty list has no bytes");
	is_u(markers_drop(SLICE_NULL, 20, NULL, NULL, dst), 0, "nor has one of none");
}

static void
a_list_is_bounded(void)
{
	struct slice list = SLICE_NULL, more;
	unsigned n = 0;

	for (;; n++) {
		char from[8], until[8];

		snprintf(from, sizeof from, "%05u", n);
		snprintf(until, sizeof until, "%05ux", n);
		more = add(list, from, until, n, 1);
		if (more.len == 0)
			break;
		list = more;
	}
	ok(n > 1000 && list.len <= MARKERS_LEN_MAX && markers_valid(list), "%u ranges fit", n);
	more = add(list, "0", "1", n, 1);
	is_u(count(more), 1, "a wider one does when they do not");
}

static void
what_is_no_list_is_told(void)
{
	struct slice list = add(add(SLICE_NULL, "a", "b", 1, 2), "c", NULL, 3, 4);
	char copy[200];
	unsigned good = 0;

	memcpy(copy, list.p, list.len);
	for (size_t n = 0; n <= list.len; n++)
		good += markers_valid(slice_of(copy, n));
	is_u(good, 4, "cut anywhere, it is one where a marker ends, and without any");
	copy[0] = 2;
	ok(!markers_valid(slice_of(copy, list.len)), "another format");
	ok(!markers_valid(slice_of(room[0], MARKERS_LEN_MAX + 1)), "too long");
}

int
main(void)
{
	bounds_and_heads_intersect();
	lists_say_what_single_ranges_do();
	what_others_cover_is_gone();
	markers_are_forgotten();
	a_list_is_bounded();
	what_is_no_list_is_told();
	return (done_testing());
}

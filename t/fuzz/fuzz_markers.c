/*
 * fuzz_markers.c - any bytes as a list of markers, and any ranges added to it.
 *
 * Promises: nothing is read outside of the list; what a list covers, it covers after more was added, by nothing older;
 * what was added is covered by nothing older than it; a list stays a list, and dropping makes none.
 *
 * build: src/backend/markers.c src/base/check.c
 */
#include "config.h"

#include "backend/markers.h"
#include "fuzz.h"

static char room[2][MARKERS_LEN_MAX];

/* A piece of the input that is a key. */
static struct slice
take_key(const uint8_t **p, const uint8_t *end)
{
	size_t len = *p < end ? *(*p)++ % 5 : 0;
	struct slice s;

	if (len > (size_t)(end - *p))
		len = (size_t)(end - *p);
	s = slice_of((const char *)*p, len);
	*p += len;
	return (s);
}

static bool
covered_by(struct slice list, struct slice key, const struct stamp *least)
{
	struct stamp s;

	return (markers_find(list, key, &s) && stamp_cmp(&s, least) >= 0);
}

static void
check_same(struct markers_at *at, struct slice list, struct slice key)
{
	const struct stamp *s = markers_at(at, key);
	struct stamp found;
	bool is = markers_find(list, key, &found);

	PROMISE(is == (s != NULL) && (!is || stamp_cmp(s, &found) == 0));
}

static void
check_list(struct slice list, struct slice key)
{
	struct markers_at at;
	struct marker m;
	struct stamp oldest;
	bool all = markers_all(list, &oldest);

	markers_begin(&at, list);
	for (size_t next = 0; markers_next(list, &next, &m);) {
		PROMISE(covered_by(list, m.from, &m.stamp));
		check_same(&at, list, m.from);
		check_same(&at, list, key);
		if (m.until.p != NULL)
			check_same(&at, list, m.until);
		PROMISE(!all || stamp_cmp(&m.stamp, &oldest) >= 0);
	}
	PROMISE(!all || covered_by(list, key, &oldest));
}

/* The list with one more, which the input tells. */
static struct slice
add(struct slice list, const uint8_t **p, const uint8_t *end)
{
	struct marker m = { .from = take_key(p, end) };
	char *dst = list.p == room[0] ? room[1] : room[0];
	struct slice key, longer;
	struct stamp s;
	bool was;
	size_t len;

	m.until = *p < end && *(*p)++ % 4 == 0 ? SLICE_NULL : take_key(p, end);
	m.stamp.version = *p < end ? *(*p)++ : 0;
	m.keep = *p < end ? *(*p)++ : 0;
	key = take_key(p, end);
	was = markers_find(list, key, &s);
	len = markers_add(list, &m, dst);
	if (len == 0)
		return (list);
	longer = slice_of(dst, len);
	PROMISE(markers_valid(longer));
	PROMISE(!was || covered_by(longer, key, &s));
	if (m.until.p == NULL)
		PROMISE(covered_by(longer, m.from, &m.stamp));
	check_list(longer, key);
	return (longer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char dropped[MARKERS_LEN_MAX];
	const uint8_t *p = data, *end = data + size;
	size_t len = size > 0 ? *p++ : 0;
	struct slice list = SLICE_NULL;
	char *copy;

	if (len > (size_t)(end - p))
		len = (size_t)(end - p);
	copy = exact_copy(p, len);
	p += len;
	if (markers_valid(slice_of(copy, len))) {
		list = slice_of(copy, len);
		check_list(list, SLICE_LIT("k"));
	}
	while (p < end)
		list = add(list, &p, end);
	len = markers_drop(list, 100, NULL, NULL, dropped);
	PROMISE(markers_valid(slice_of(dropped, len)));
	PROMISE(markers_drop(list, UINT64_MAX, NULL, NULL, dropped) == 0);
	free(copy);
	return (0);
}

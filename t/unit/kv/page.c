/* Unit tests of src/kv/page.c: a token says what was put in, to who asks the same, and nothing that is not one. */
#include "kv/page.c"
#include "tap.h"

static const struct slice keys[] = { { "a", 1 }, { "", 0 }, { "a", 1 } };
static const struct rec_which all, some = { .from = { "b", 1 }, .until = { "y", 1 } },
    listed = { .keys = keys, .nkeys = 3 };

static const struct page_ask asks[] = {
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("n"), .id = SLICE_LIT("n:1"), .which = &all },
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("n"), .id = SLICE_LIT("n:2"), .which = &all },
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("m"), .id = SLICE_LIT("n:1"), .which = &all },
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("nn"), .id = SLICE_LIT(":1"), .which = &all },
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("n"), .id = SLICE_LIT("n:1"), .which = &some },
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("n"), .id = SLICE_LIT("n:1"), .which = &listed },
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("n"), .id = SLICE_LIT("n:1"),
	    .which = &(const struct rec_which){ .reverse = true } },
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("n"), .id = SLICE_LIT("n:1"),
	    .which = &(const struct rec_which){ .head = { "", 0 } } },
	{ .verb = OP_ITEMS_READ, .space = SLICE_LIT("n"), .id = SLICE_LIT("n:1"),
	    .which = &(const struct rec_which){ .keys = keys, .nkeys = 2 } },
	{ .verb = OP_SCAN, .space = SLICE_LIT("n"), .part = 1, .parts = 1 },
	{ .verb = OP_SCAN, .space = SLICE_LIT("n"), .part = 1, .parts = 2 },
	{ .verb = OP_SCAN, .space = SLICE_LIT("n"), .part = 2, .parts = 2 },
	{ .verb = OP_SCAN, .space = SLICE_LIT("m"), .part = 1, .parts = 1 },
};

static char text[PAGE_TOKEN_MAX];

static struct slice
put(const struct page_ask *ask, const struct page_at *at)
{
	return (slice_of(text, (size_t)(page_put(text, ask, at) - text)));
}

static bool
same(struct slice a, struct slice b)
{
	return ((a.p == NULL) == (b.p == NULL) && slice_eq(a, b));
}

static void
says_what_was_put_in(void)
{
	static char id[255], key[REC_KEY_MAX];
	const struct page_at places[] = {
		{ .left = 0 },
		{ .key = SLICE_LIT(""), .left = 1, .size = 7 },
		{ .id = SLICE_LIT("n:1"), .key = SLICE_LIT("a\0b"), .left = UINT64_MAX, .done = UINT32_MAX, .size = UINT32_MAX },
		{ .id = { id, sizeof id }, .key = { key, sizeof key }, .done = 3 },
		{ .id = { id, sizeof id } },
	};
	unsigned bad = 0, blanks = 0;
	size_t longest = 0;

	memset(id, 0xff, sizeof id);
	for (size_t a = 0; a < NITEMS(asks); a++)
		for (size_t i = 0; i < NITEMS(places); i++) {
			struct slice token = put(&asks[a], &places[i]);
			char raw[PAGE_RAW_MAX];
			struct page_at at;

			for (size_t c = 0; c < token.len; c++)
				blanks += token.p[c] <= ' ' || token.p[c] > '~';
			longest = token.len > longest ? token.len : longest;
			bad += !page_get(token, &asks[a], &at, raw) || !same(at.key, places[i].key) ||
			    !same(at.id, asks[a].verb == OP_SCAN ? places[i].id : SLICE_NULL) ||
			    at.left != places[i].left || at.done != places[i].done || at.size != places[i].size;
		}
	is_u(bad, 0, "every place comes back");
	is_u(blanks, 0, "tokens are printable");
	ok(longest <= PAGE_TOKEN_MAX, "the longest is %zu bytes", longest);
}

static void
is_bound_to_the_question(void)
{
	struct page_at at = { .key = SLICE_LIT("k") }, got;
	char raw[PAGE_RAW_MAX];
	unsigned bad = 0;

	for (size_t a = 0; a < NITEMS(asks); a++) {
		struct slice token = put(&asks[a], &at);

		for (size_t b = 0; b < NITEMS(asks); b++)
			bad += page_get(token, &asks[b], &got, raw) != (a == b);
	}
	is_u(bad, 0, "a token of one question is none of another");
}

static void
every_changed_byte_is_found(void)
{
	struct page_at at = { .id = SLICE_LIT("n:some"), .key = SLICE_LIT("item"), .left = 5, .size = 100 }, got;
	const struct page_ask *ask = &asks[NITEMS(asks) - 1];
	struct slice token = put(ask, &at);
	char raw[PAGE_RAW_MAX];
	unsigned bad = 0;

	for (size_t i = 0; i < token.len; i++) {
		char was = text[i];

		for (unsigned c = 0; c < 256; c++) {
			text[i] = (char)c;
			bad += page_get(token, ask, &got, raw) != (text[i] == was);
		}
		text[i] = was;
		bad += page_get(slice_of(text, i), ask, &got, raw);
		bad += page_get(slice_of(text + 1, i), ask, &got, raw);
	}
	is_u(bad, 0, "nothing but the token is one");
	text[token.len] = '=';
	ok(!page_get(slice_of(text, token.len + 1), ask, &got, raw), "nor the token and a little more");
	memset(text, 'A', sizeof text);
	ok(!page_get(slice_of(text, sizeof text), ask, &got, raw), "nor what is as long as may be");
}

int
main(void)
{
	says_what_was_put_in();
	is_bound_to_the_question();
	every_changed_byte_is_found();
	return (done_testing());
}

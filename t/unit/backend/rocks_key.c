/* Unit tests of src/backend/rocks_key.c: names of rows, their order, parts of a scan. */
#include "backend/rocks_key.c"
#include "tap.h"

static const uint8_t nonce[NONCE_LEN] = { 1, 2, 3, 15 };

static void
there_and_back(void)
{
	static const struct slice ids[] = { { "", 0 }, { "a", 1 }, { "user:42", 7 }, { "\0\xff\0", 3 } };
	static const struct slice items[] = { { "", 0 }, { "x", 1 }, { "\0", 1 }, { "a long key\xff", 11 } };
	struct envelope head = { .version = 0x1122334455667788u, .dictionary = 9 };
	struct rocks_row_name n;
	struct rocks_key k;

	memcpy(head.nonce, nonce, NONCE_LEN);
	for (size_t i = 0; i < NITEMS(ids); i++)
		for (size_t j = 0; j < NITEMS(items); j++) {
			rocks_key_item(&k, ROCKS_ITEM, ids[i], items[j]);
			ok(rocks_key_parse(rocks_key_slice(&k), &n) && n.kind == ROCKS_ITEM && slice_eq(n.id, ids[i]) &&
			    slice_eq(n.item, items[j]), "an item");
			rocks_key_chunk(&k, ids[i], items[j], &head, 7);
			ok(rocks_key_parse(rocks_key_slice(&k), &n) && n.kind == ROCKS_CHUNK && slice_eq(n.id, ids[i]) &&
			    slice_eq(n.item, items[j]) && n.version == 0x1122334455667788u &&
			    memcmp(n.nonce, nonce, NONCE_LEN) == 0 && n.chunk_try == 9 && n.chunk == 7, "a piece");
			rocks_key_answer(&k, ids[i], items[j], 5, nonce);
			ok(rocks_key_parse(rocks_key_slice(&k), &n) && n.kind == ROCKS_ANSWER && slice_eq(n.item, items[j]) &&
			    n.version == 5, "an answer");
			for (size_t cut = 0; cut < k.len; cut++)
				if (rocks_key_parse(slice_of(k.bytes, cut), &n) && n.kind != ROCKS_ANSWER)
					ok(false, "cut at %zu", cut);
		}
	rocks_key_item(&k, ROCKS_RECORD, ids[1], SLICE_NULL);
	ok(rocks_key_parse(rocks_key_slice(&k), &n) && n.kind == ROCKS_RECORD && slice_eq(n.id, ids[1]), "a record");
	rocks_key_newest(&k);
	ok(!rocks_key_parse(rocks_key_slice(&k), &n), "the newest version has no record");
	ok(!rocks_key_parse(SLICE_LIT("Zxx\1a"), &n), "no kind of row");
}

static void
the_longest(void)
{
	static char id[ROCKS_ID_MAX], item[REC_KEY_MAX];
	struct envelope head = { .version = 0x1122334455667788u, .dictionary = 9 };
	struct rocks_row_name n;
	struct rocks_key k;

	memset(id, 0xff, sizeof id);
	memset(item, 0xff, sizeof item);
	rocks_key_chunk(&k, slice_of(id, sizeof id), slice_of(item, sizeof item), &head, UINT32_MAX - 1);
	ok(k.len == ROCKS_KEY_MAX && rocks_key_parse(rocks_key_slice(&k), &n) && n.item.len == REC_KEY_MAX, "fits");
}

/* Items of one record are in the order of their keys, all between the record's bounds. */
static void
order(void)
{
	static const struct slice items[] = { { "", 0 }, { "\0", 1 }, { "\0\0", 2 }, { "a", 1 }, { "a\0", 2 }, { "b", 1 },
		{ "\xff", 1 }, { "\xff\xff", 2 } };
	struct rocks_key last, k, behind;

	rocks_key_item(&behind, ROCKS_ITEM, SLICE_LIT("id"), SLICE_NULL);
	rocks_key_behind(&behind);
	for (size_t i = 0; i < NITEMS(items); i++) {
		rocks_key_item(&k, ROCKS_ITEM, SLICE_LIT("id"), items[i]);
		ok(i == 0 || rocks_key_before(&last, &k), "item %zu is behind the one before", i);
		ok(rocks_key_before(&k, &behind) && !rocks_key_before(&behind, &k), "and within its record");
		last = k;
	}
}

/* Every record is in exactly one part, whatever their number. */
static void
parts(void)
{
	static const uint32_t counts[] = { 1, 2, 3, 7, 1000, 1024 };
	struct rocks_key from, until, k;

	for (size_t c = 0; c < NITEMS(counts); c++) {
		unsigned wrong = 0;

		for (unsigned r = 0; r < 200; r++) {
			unsigned in = 0;
			char id[20];

			snprintf(id, sizeof id, "record %u", r);
			rocks_key_item(&k, ROCKS_ITEM, slice_str(id), SLICE_LIT("x"));
			for (uint32_t i = 1; i <= counts[c]; i++) {
				rocks_key_part(&from, ROCKS_ITEM, i, counts[c]);
				rocks_key_part(&until, ROCKS_ITEM, i + 1, counts[c]);
				in += !rocks_key_before(&k, &from) && rocks_key_before(&k, &until);
			}
			wrong += in != 1;
		}
		ok(wrong == 0, "%u parts", (unsigned)counts[c]);
	}
}

int
main(void)
{
	there_and_back();
	the_longest();
	order();
	parts();
	return (done_testing());
}

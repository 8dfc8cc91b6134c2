/* Unit tests of src/backend/rocks_filter.c: what compactions leave out. */
#include "backend/rocks_filter.c"
#include "tap.h"

#define NOW	1000000u	/* milliseconds */
#define KEEP	5000u

static char buf[ROCKS_FILTER_BUF];

static enum rocks_fate
fate_of(char kind, const struct envelope *e, const char *text, uint32_t keep, struct slice *left)
{
	char row[200], *end = envelope_put(row, e);
	enum rocks_fate fate;
	struct rocks_key key;

	memcpy(end, text, strlen(text));
	*left = slice_of(row, (size_t)(end - row) + strlen(text));
	rocks_key_item(&key, kind, SLICE_LIT("id"), SLICE_LIT("x"));
	fate = rocks_filter(rocks_key_slice(&key), left, NOW, keep, true, buf);
	return (fate);
}

static void
items(void)
{
	struct envelope e = { .version = 77, .client_flags = 3 }, got;
	struct slice left, value;

	ok(fate_of(ROCKS_ITEM, &e, "value", KEEP, &left) == ROCKS_STAYS, "what lives stays");
	e.expiry = NOW + 1;
	ok(fate_of(ROCKS_ITEM, &e, "value", KEEP, &left) == ROCKS_STAYS, "so does what lives for a while");
	e.expiry = NOW - 1;
	ok(fate_of(ROCKS_ITEM, &e, "value", KEEP, &left) == ROCKS_CHANGES && envelope_get(left, &got, &value) &&
	    got.version == 77 && got.expiry == e.expiry && value.len == 0, "what has expired keeps its version, not its value");
	ok(fate_of(ROCKS_ITEM, &e, "", KEEP, &left) == ROCKS_STAYS, "once");
	ok(fate_of(ROCKS_ITEM, &e, "", 0, &left) == ROCKS_STAYS, "as long as it is not known how long that has to be");
	e.expiry = NOW - KEEP;
	ok(fate_of(ROCKS_ITEM, &e, "value", KEEP, &left) == ROCKS_GOES, "until it need not be known any more");
	ok(fate_of(ROCKS_ITEM, &e, "value", 0, &left) == ROCKS_CHANGES, "if that is known");
	e.marks = ENVELOPE_DEAD;
	ok(fate_of(ROCKS_DEAD, &e, "", 0, &left) == ROCKS_GOES, "a mark goes in its time");
	e.expiry = NOW + 1;
	ok(fate_of(ROCKS_DEAD, &e, "", 0, &left) == ROCKS_STAYS, "not before");
}

static void
records(void)
{
	struct marker m = { .from = SLICE_LIT(""), .until = SLICE_LIT("b"), .stamp = { .version = 5 }, .keep = NOW - 1 };
	static char one[MARKERS_LEN_MAX], two[MARKERS_LEN_MAX];
	struct slice list, value;
	struct rocks_key key;

	rocks_key_item(&key, ROCKS_RECORD, SLICE_LIT("id"), SLICE_NULL);
	list = slice_of(one, markers_add(SLICE_NULL, &m, one));
	value = list;
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, true, buf) == ROCKS_GOES, "a marker goes in its time");
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, false, buf) == ROCKS_STAYS, "not while it covers something");
	m = (struct marker){ .from = SLICE_LIT("c"), .until = SLICE_LIT("d"), .stamp = { .version = 6 }, .keep = NOW + 1 };
	value = slice_of(two, markers_add(list, &m, two));
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, true, buf) == ROCKS_CHANGES && markers_valid(value) &&
	    value.len < list.len * 2, "and leaves others");
	value = SLICE_LIT("rubbish");
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, true, buf) == ROCKS_STAYS, "what is no list is left alone");
}

static void
others(void)
{
	struct op_result res = { .status = OP_OK };
	static const uint8_t nonce[NONCE_LEN];
	char answer[ROW_ANSWER_LEN], piece[ROCKS_PIECE_HEAD] = { 0 };
	struct envelope head = { .version = 1 };
	struct rocks_key key;
	struct slice value;

	rocks_key_answer(&key, SLICE_LIT("id"), SLICE_LIT("x"), 1, nonce);
	value = slice_of(answer, (size_t)(row_answer_put(answer, &res, NOW) - answer));
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, true, buf) == ROCKS_GOES, "a first answer goes in its time");
	value = slice_of(answer, (size_t)(row_answer_put(answer, &res, NOW + 1) - answer));
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, true, buf) == ROCKS_STAYS, "not before");
	rocks_key_chunk(&key, SLICE_LIT("id"), SLICE_LIT("x"), &head, 1);
	value = slice_of(piece, sizeof piece);
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, true, buf) == ROCKS_IF_NAMED, "a piece stays if it is named");
	piece[0] = 1;
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, true, buf) == ROCKS_STAYS, "and while it need not be");
	rocks_key_newest(&key);
	ok(rocks_filter(rocks_key_slice(&key), &value, NOW, KEEP, true, buf) == ROCKS_STAYS, "the newest version stays");
	ok(rocks_filter(SLICE_NULL, &value, NOW, KEEP, true, buf) == ROCKS_STAYS, "no key at all");
}

int
main(void)
{
	items();
	records();
	others();
	return (done_testing());
}

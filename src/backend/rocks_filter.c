/*
 * rocks_filter.c - what compactions leave out: what is dead for good, what is over, what nobody refers to.
 */
#include "config.h"

#include "backend/rocks.h"

/* The head of an expired item still orders writes; its value is of no use to anybody. */
static enum rocks_fate
filter_item(struct slice *row, uint64_t now, uint32_t keep, char *buf)
{
	struct envelope e;
	struct slice value;

	if (!envelope_get(*row, &e, &value) || (e.expiry == 0 && (e.marks & ENVELOPE_DEAD) == 0))
		return (ROCKS_STAYS);
	if (((e.marks & ENVELOPE_DEAD) != 0 || keep != 0) && row_spent(&e, NULL, now, keep))
		return (ROCKS_GOES);
	if ((e.marks & ENVELOPE_DEAD) != 0 || e.expiry > now || value.len == 0)
		return (ROCKS_STAYS);
	e.codec = CODEC_NONE;
	e.chunks = 0;
	e.chunk = 0;
	e.size = 0;
	*row = slice_of(buf, (size_t)(envelope_put(buf, &e) - buf));
	return (ROCKS_CHANGES);
}

static enum rocks_fate
filter_record(struct slice *list, uint64_t now, bool swept, char *buf)
{
	size_t len;

	if (!swept || !markers_valid(*list) || list->len > ROCKS_FILTER_BUF)
		return (ROCKS_STAYS);
	len = markers_drop(*list, now, NULL, NULL, buf);
	if (len == list->len)
		return (ROCKS_STAYS);
	*list = slice_of(buf, len);
	return (len == 0 ? ROCKS_GOES : ROCKS_CHANGES);
}

/* What is written before its item has time until then. */
static enum rocks_fate
filter_chunk(struct slice row, uint64_t now)
{
	uint64_t until = 0;

	for (size_t i = 0; i < ROCKS_PIECE_HEAD && i < row.len; i++)
		until = until << 8 | (unsigned char)row.p[i];
	return (until > now ? ROCKS_STAYS : ROCKS_IF_NAMED);
}

enum rocks_fate
rocks_filter(struct slice key, struct slice *value, uint64_t now, uint32_t keep, bool swept, char *buf)
{
	struct op_result res;
	uint64_t until;

	if (key.len == 0)
		return (ROCKS_STAYS);
	switch (key.p[0]) {
	case ROCKS_ITEM:
	case ROCKS_DEAD:
		return (filter_item(value, now, keep, buf));
	case ROCKS_RECORD:
		return (filter_record(value, now, swept, buf));
	case ROCKS_ANSWER:
		return (row_answer_get(*value, &res, &until) && until <= now ? ROCKS_GOES : ROCKS_STAYS);
	case ROCKS_CHUNK:
		return (filter_chunk(*value, now));
	default:
		return (ROCKS_STAYS);
	}
}

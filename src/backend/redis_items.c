/*
 * redis_items.c - items of records as they come: marks of deletes, pages of items.
 *
 * A page is an array: for each item its key, a number, itself, and before these its record where several are read; last
 * where the page ends, and why. They are given to whom asked as they come, each when its last part is there; what goes
 * beyond the page (the script only knows about what an item will cost) is left.
 */
#include "config.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "backend/redis_sweep.h"
#include "base/check.h"
#include "base/num.h"

#define MARK_LEN	39	/* of one, without its keys */
#define MARK_ENDS	1	/* it has an end */
#define PLACE_LEN	8	/* of the last element, without its keys */
#define PLACE_KNOWN	1	/* something was looked at */
#define PLACE_DEAD	2	/* something is to be swept */

/* ---- marks ---- */

enum redis_cover
redis_marks_find(struct slice marks, struct slice key, struct stamp *newest)
{
	bool found = false;

	while (marks.len > 0) {
		const char *p = marks.p;
		size_t f, u, c;
		struct slice from, upto;
		struct stamp st;

		if (marks.len < MARK_LEN)
			return (COVER_BAD);
		f = num_get_be(p + 1, 2);
		u = num_get_be(p + 3, 2);
		c = num_get_be(p + 5, 2);
		if (marks.len - MARK_LEN < f + u + c)
			return (COVER_BAD);
		from = slice_of(p + MARK_LEN, f);
		upto = slice_of(p + MARK_LEN + f, u);
		st = stamp_of(num_get_be(p + 7, 8), (const uint8_t *)p + 15);
		if (slice_cmp(key, from) >= 0 && ((p[0] & MARK_ENDS) == 0 || slice_cmp(key, upto) < 0) &&
		    (!found || stamp_cmp(&st, newest) > 0)) {
			*newest = st;
			found = true;
		}
		marks = slice_of(p + MARK_LEN + f + u + c, marks.len - MARK_LEN - f - u - c);
	}
	return (found ? COVER_FOUND : COVER_NONE);
}

/* ---- pages ---- */

static unsigned
stride_of(const struct redis_slot *s)
{
	return (s->cmd.want == RW_SCANNED ? 4 : 3);
}

bool
redis_items_begin(struct redis_conn *c, const struct redis_slot *s, size_t n)
{
	if (n == 0 || n > REDIS_ELEMENTS_MAX || (n - 1) % stride_of(s) != 0)
		return (false);
	if (c->row == NULL && (c->row = malloc(sizeof *c->row)) == NULL)
		return (false);
	c->row->count = (uint32_t)n;
	c->row->items = 0;
	c->row->bytes = 0;
	c->row->full = c->row->bad = false;
	c->row->id_len = c->row->key_len = 0;
	return (true);
}

static bool
keep(char *dst, size_t max, uint16_t *len, const struct redis_obj *o)
{
	if (o->type != REDIS_REPLY_STRING || o->text.len > max)
		return (false);
	if (o->text.len > 0)
		memcpy(dst, o->text.p, o->text.len);
	*len = (uint16_t)o->text.len;
	return (true);
}

static bool
keep_id(struct redis_row *row, const struct redis_obj *o)
{
	size_t len;

	if (o->type != REDIS_REPLY_STRING || !redis_name_id(row->id, o->text, &len))
		return (false);
	row->id_len = (uint16_t)len;
	return (true);
}

/* Whether the page still has room for what it costs; the first one goes anyway. */
static bool
row_fits(struct redis_row *row, struct rec_op *rec)
{
	uint64_t cost = rec->cost == NULL ? 0 : rec->cost(rec, &rec->item);

	if (row->full || (row->items > 0 && rec->bytes_max > 0 && row->bytes + cost > rec->bytes_max) ||
	    (rec->items_max > 0 && row->items >= rec->items_max)) {
		row->full = true;
		return (false);
	}
	row->bytes += cost;
	row->items++;
	return (true);
}

static void
row_found(struct redis_row *row, struct be_op *op, struct slice item)
{
	struct rec_op *rec = op->rec;

	if (!envelope_get(item, &rec->item.head, &rec->item.value)) {
		row->bad = true;
		return;
	}
	rec->item.id = slice_of(row->id, row->id_len);
	rec->item.key = slice_of(row->key, row->key_len);
	if (row->left >= 0) {
		rec->item.value = SLICE_NULL;
		if (rec->item.head.codec == CODEC_NONE && rec->item.head.chunks == 0)
			rec->item.head.size = (uint64_t)row->left;
	}
	if (!row_fits(row, rec))
		return;
	memcpy(row->last_id, row->id, row->id_len);
	memcpy(row->last_key, row->key, row->key_len);
	row->last_id_len = row->id_len;
	row->last_key_len = row->key_len;
	op->at = row->items;
	op->found(op);
}

/* Where the page ends. */
static bool
row_place(struct redis_conn *c, struct be_op *op, const struct redis_slot *s, struct slice text)
{
	struct redis_row *row = c->row;
	struct rec_op *rec = op->rec;
	const char *p = text.p;
	size_t id, key, dead, len;

	if (text.len < PLACE_LEN || (unsigned char)p[0] > REC_DEADLINE)
		return (false);
	id = num_get_be(p + 2, 2);
	key = num_get_be(p + 4, 2);
	dead = num_get_be(p + 6, 2);
	if (text.len != PLACE_LEN + id + key + dead || key > REC_KEY_MAX ||
	    !redis_name_id(row->id, id == 0 ? SLICE_LIT("%") : slice_of(p + PLACE_LEN, id), &len))
		return (false);
	rec->end = (enum rec_end)p[0];
	rec->more = rec->end != REC_END;
	rec->next_id = rec->next = SLICE_NULL;
	if ((p[1] & PLACE_KNOWN) != 0) {
		rec->next_id = slice_of(row->id, len);
		rec->next = slice_of(p + PLACE_LEN + id, key);
	}
	if (row->full) {
		rec->end = rec->items_max > 0 && row->items >= rec->items_max ? REC_ITEMS : REC_BYTES;
		rec->more = true;
		rec->next_id = slice_of(row->last_id, row->last_id_len);
		rec->next = slice_of(row->last_key, row->last_key_len);
	} else if (rec->end == REC_WORK && rec->deadline != 0 && loop_now_fresh(c->node->loop) >= rec->deadline)
		rec->end = REC_DEADLINE;
	if ((p[1] & PLACE_DEAD) != 0 && s->cmd.want == RW_ITEMS && redis_is_record(op))
		redis_sweep_want(c->node->sweeper, op->ns, redis_sent_base(c, s),
		    slice_of(p + PLACE_LEN + id + key, dead));
	return (true);
}

static bool
row_end(struct redis_conn *c, struct be_op *op, const struct redis_slot *s, const struct redis_obj *o)
{
	if (o->type != REDIS_REPLY_STRING)
		return (false);
	if (op == NULL)
		return (true);
	if (!row_place(c, op, s, o->text))
		return (false);
	if (c->row->bad && c->row->items == 0) {
		redis_bad_value(c, op);
		return (true);
	}
	be_op_end(op);
	return (true);
}

bool
redis_items_next(struct redis_conn *c, struct be_op *op, const struct redis_slot *s, size_t i,
    const struct redis_obj *o)
{
	struct redis_row *row = c->row;
	unsigned stride = stride_of(s), at = (unsigned)(i % stride) + 4 - stride;

	if (i + 1 == row->count)
		return (row_end(c, op, s, o));
	switch (at) {
	case 0:
		return (keep_id(row, o));
	case 1:
		return (keep(row->key, sizeof row->key, &row->key_len, o));
	case 2:
		row->left = o->number;
		return (o->type == REDIS_REPLY_INTEGER);
	default:
		if (o->type != REDIS_REPLY_STRING)
			return (false);
		if (op != NULL)
			row_found(row, op, o->text);
		return (true);
	}
}
